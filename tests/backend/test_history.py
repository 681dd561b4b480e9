"""The cursor and the ring."""

import pytest

from iris_exporter.backend.history import History, parse_position
from iris_exporter.backend.objects import Event


def filled(count: int, capacity: int = 10) -> History:
    history = History("abc", capacity)
    event = Event("e", "2025-01-02T03:04:05Z", "p", "info", "info", "m", {})
    history.extend([(event, b"{}")] * count)
    return history


def offsets(history: History, position: str, until: int | None = None) -> list[int]:
    return [entry.offset for entry in history.resume(position, until).entries]


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("abc-1", ("abc", 1)),
        ("abc-0", ("abc", 0)),
        ("", None),
        ("abc", None),
        ("abc-", None),
        ("-1", None),
        ("abc-01", None),
        ("abc--1", None),
        ("a-b-1", None),
        ("abc-1\n", None),
        ("abc-\u0661", None),
        ("abc-99999999999999999999", None),
    ],
)
def test_positions_are_read_strictly(text: str, parsed: tuple[str, int] | None) -> None:
    assert parse_position(text) == parsed


def test_offsets_count_events_by_one_from_one() -> None:
    history = filled(3)
    assert [entry.offset for entry in history.after(0)] == [1, 2, 3]
    assert history.position() == "abc-3"
    assert [entry.offset for entry in history.newest(2)] == [3, 2]


def test_a_resume_within_the_ring_is_full() -> None:
    history = filled(5)
    assert history.resume("abc-3").outcome == "full"
    assert offsets(history, "abc-3") == [4, 5]
    assert history.resume("abc-5").outcome == "full"
    assert offsets(history, "abc-5") == []
    assert offsets(history, "abc-0") == [1, 2, 3, 4, 5]


def test_what_comes_live_is_not_replayed() -> None:
    assert offsets(filled(8), "abc-3", until=5) == [4, 5]
    assert filled(8).resume("abc-7", until=5).missed == 0


def test_what_fell_out_of_the_ring_is_counted_as_missed() -> None:
    history = filled(25)
    replay = history.resume("abc-3")
    assert (replay.outcome, replay.missed) == ("partial", 12)
    assert offsets(history, "abc-3") == list(range(16, 26))
    assert history.resume("abc-15").outcome == "full"


def test_a_resume_whose_range_has_left_the_ring_altogether_misses_it_all() -> None:
    replay = filled(25).resume("abc-3", until=10)
    assert (replay.outcome, replay.missed, replay.entries) == ("partial", 7, [])


@pytest.mark.parametrize("position", ["", "nonsense", "abc-6"])
def test_an_unreadable_or_future_position_gets_nothing(position: str) -> None:
    replay = filled(5).resume(position)
    assert (replay.outcome, replay.entries) == ("none", [])


def test_another_epoch_gets_all_there_is() -> None:
    history = filled(25)
    assert history.resume("old-3").outcome == "restarted"
    assert offsets(history, "old-3") == list(range(16, 26))


def test_after_a_restart_counting_begins_again() -> None:
    history = filled(5)
    history.restart("new")
    assert history.position() == "new-0"
    assert history.newest(5) == []
    assert history.resume("abc-5").outcome == "restarted"
