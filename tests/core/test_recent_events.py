"""The buffer of events: bounds, positions, and where a reader goes on."""

import pytest

from iris_exporter.core.recent_events import RecentEvents, Resumption


def filled(count: int, **limits: int) -> RecentEvents[int]:
    recent: RecentEvents[int] = RecentEvents("e", **limits)
    for number in range(1, count + 1):
        recent.add(number, 10)
    return recent


def test_readers_get_what_follows_their_position_oldest_first_and_not_too_much() -> None:
    recent = filled(5)
    assert list(recent.after(0, 100)) == [1, 2, 3, 4, 5]
    assert list(recent.after(3, 100)) == [4, 5]
    assert list(recent.after(1, 2)) == [2, 3]
    assert list(recent.after(5, 2)) == []


def test_the_oldest_go_by_number_and_who_is_behind_learns_how_many() -> None:
    recent = filled(8, max_events=3)
    assert recent.oldest_position == 5
    assert [recent.lost_after(position) for position in (0, 4, 5, 8)] == [5, 1, 0, 0]
    assert list(recent.after(5, 100)) == [6, 7, 8]


def test_the_oldest_go_by_size_and_the_newest_stays() -> None:
    recent = filled(8, max_bytes=25)
    assert list(recent.after(recent.oldest_position, 100)) == [7, 8]
    recent.add(9, 1000)
    assert list(recent.after(recent.oldest_position, 100)) == [9]
    recent.add(10, 10)
    assert list(recent.after(recent.oldest_position, 100)) == [10]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, Resumption(None, 8, 0)),
        ("e-8", Resumption("full", 8, 0)),
        ("e-5", Resumption("full", 5, 0)),
        ("e-4", Resumption("partial", 5, 1)),
        ("e-0", Resumption("partial", 5, 5)),
        *(
            (text, Resumption("none", 8, None))
            for text in ("f-8", "e-9", "", "e", "e-", "e--1", "e-\u0661", "8", "e-1x")
        ),
        ("e-" + "9" * 5000, Resumption("none", 8, None)),
    ],
)
def test_where_a_reader_goes_on(text: str | None, expected: Resumption) -> None:
    assert filled(8, max_events=3).resume(text) == expected


def test_a_position_is_understood_again() -> None:
    recent = filled(3)
    assert recent.text(2) == "e-2"
    assert recent.resume(recent.text(2)).position == 2
