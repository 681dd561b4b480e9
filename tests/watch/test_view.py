"""Words, cards and the feed."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.watch.view import words
from iris_exporter.watch.view.cards import HISTORY, Card, new_cards
from iris_exporter.watch.view.feed import MAX_IDS, SEVERITIES, SIZE, Feed, Filter, Row
from tests.watch.samples import NOW, at, event, metrics


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0 s"), (11.6, "12 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 d")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert words.span(seconds) == shown
    assert words.ago(at(-seconds), NOW) == f"{shown} ago"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (347, "347"), (12345, "12,345"), (1.25, "1.2"), (1_234_567, "1.23 M"), (-3, "-3"), (1e300, "1.00e+300")],
)
def test_counts(value: float, shown: str) -> None:
    assert words.count(value) == shown


def test_sparklines_are_between_the_lowest_and_the_highest() -> None:
    assert words.sparkline([0, 1, 2, 3, 4, 5, 6, 7], 20) == "▁▂▃▄▅▆▇█"
    assert words.sparkline([100, 0, 0.5, 1], 3) == "▁▅█"
    assert words.sparkline([5, 5], 9) == "▁▁"
    assert words.sparkline([], 9) == ""


@given(st.lists(st.floats(-1e12, 1e12), max_size=40), st.integers(1, 30))
def test_a_sparkline_is_never_wider_and_rises_with_its_values(values: list[float], width: int) -> None:
    bars = words.sparkline(values, width)
    assert len(bars) == min(len(values), width)
    shown = values[-width:]
    assert all(
        bars[low] <= bars[high] for low, high in pairwise(sorted(range(len(shown)), key=lambda place: shown[place]))
    )


def test_a_card_shows_its_value_and_its_last_change() -> None:
    runs, share, *_ = new_cards()
    assert [runs.take(metrics()), share.take(metrics())] == [True, True]
    assert (runs.text, runs.trend, share.text, share.trend) == ("347", "", "92.4 %", "")
    assert not runs.take(metrics())
    runs.take(metrics(total_runs_today=350.0))
    share.take(metrics(avg_success_rate=0.9))
    assert (runs.trend, share.trend) == ("↑ 3", "↓ 2.40")
    runs.take(metrics(total_runs_today=350.0))
    assert runs.trend == "↑ 3"  # until the next change
    assert runs.sparkline(9) == "▁▁██"


@pytest.mark.parametrize("missing", [None, metrics(total_runs_today=None), metrics(total_runs_today=float("inf"))])
def test_a_card_without_a_value_says_so_and_remembers_its_trend(missing: object) -> None:
    card = new_cards()[0]
    card.take(metrics())
    assert card.take(missing)  # type: ignore[arg-type]
    assert (card.text, card.trend) == ("-", "")
    card.take(metrics(total_runs_today=340.0))
    assert card.trend == "↓ 7"


def test_a_card_remembers_a_bounded_number_of_values() -> None:
    card = new_cards()[0]
    for number in range(10 * HISTORY):
        card.take(metrics(total_runs_today=float(number)))
    assert len(card.sparkline(10 * HISTORY)) == HISTORY
    assert isinstance(card, Card)


def ids(feed: Feed, chosen: Filter | None = None) -> list[str]:
    return [row.id for row in feed.shown(chosen or Filter())]


def row(number: int, **changes: object) -> Row:
    return Row.of(event(number, **changes))


def test_the_newest_fifty_events_are_shown_each_once() -> None:
    feed = Feed()
    assert all(feed.add(row(number)) for number in range(80))
    assert not feed.add(row(79))
    assert ids(feed) == [f"e{number}" for number in range(79, 29, -1)]


def test_a_filter_shows_a_full_feed() -> None:
    feed = Feed()
    for number in range(400):
        feed.add(row(number))
    only_critical = Filter(frozenset({"info", "warning", "error", "other"}))
    assert ids(feed, only_critical) == [f"e{number}" for number in range(399, 199, -4)]
    assert sum(len(rows) for rows in feed._rows.values()) == 4 * SIZE


def test_severities_are_hidden_and_shown_again() -> None:
    feed = Feed()
    for number, severity in enumerate((*SEVERITIES, "high")):
        feed.add(row(number, severity=severity))
    assert ids(feed, Filter().toggled("error")) == ["e4", "e3", "e1", "e0"]
    assert ids(feed, Filter().toggled("info")) == ["e3", "e2", "e1"]  # and any that is not in the list
    assert Filter().toggled("info").toggled("info") == Filter()


@pytest.mark.parametrize(
    ("text", "found"), [("CHECK", True), ("valuat", True), ("finish", True), ("e7", False), ("", True)]
)
def test_words_are_looked_for_in_project_type_and_message(text: str, found: bool) -> None:
    assert Filter(text=text).shows(row(7)) == found


def test_an_overview_fills_the_feed_and_repeats_nothing() -> None:
    feed = Feed()
    feed.fill([row(3), row(2)])
    feed.add(row(4))
    feed.fill([row(3), row(2), row(1)])  # made before e4 arrived
    assert ids(feed) == ["e4", "e3", "e2", "e1"]
    feed.fill([row(6), row(5), row(4)])  # e5 was missed
    assert ids(feed) == ["e6", "e5", "e4", "e3", "e2", "e1"]


def test_an_overview_that_shares_nothing_goes_where_its_times_belong() -> None:
    feed = Feed()
    feed.add(row(10))
    feed.fill([row(3), row(2)])
    assert ids(feed) == ["e10", "e3", "e2"]
    feed.fill([row(22), row(21)])
    assert ids(feed) == ["e22", "e21", "e10", "e3", "e2"]
    timeless = Feed()
    timeless.add(row(1, timestamp=None))
    timeless.fill([row(2, timestamp=None)])
    assert ids(timeless) == ["e2", "e1"]


@given(st.lists(st.one_of(st.integers(0, 30), st.lists(st.integers(0, 30), max_size=9, unique=True)), max_size=30))
def test_no_event_is_shown_twice(steps: list[int | list[int]]) -> None:
    feed, known = Feed(), set()
    for step in steps:
        if isinstance(step, int):
            assert feed.add(row(step)) == (step not in known)
            known.add(step)
        else:
            feed.fill([row(number) for number in sorted(step, reverse=True)])
            known.update(step)
        assert len(set(ids(feed))) == len(ids(feed)) == min(len(known), SIZE)


def test_ids_are_remembered_in_bounded_memory() -> None:
    feed = Feed()
    for number in range(3 * MAX_IDS):
        feed.add(row(number))
    assert len(feed._ids) == MAX_IDS
