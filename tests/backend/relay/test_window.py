"""Which events of a list are new, and whether others may be missing."""

import pytest

from iris_exporter.backend.relay.window import follows, oldest_first, together, unseen
from iris_exporter.decoding.messages import Event


def events(*ids: str) -> list[Event]:
    return [Event(each) for each in ids]


def ids(found: object) -> list[str]:
    assert isinstance(found, (list, tuple))
    return [event.id for event in found]


def test_the_newest_comes_first_unless_timestamps_say_otherwise() -> None:
    assert ids(oldest_first(events("c", "b", "a"))) == ["a", "b", "c"]
    rising = [Event("a", 1.0), Event("b"), Event("c", 2.0)]
    assert ids(oldest_first(rising)) == ["a", "b", "c"]
    assert ids(oldest_first([Event("b", 2.0), Event("a", 1.0)])) == ["a", "b"]
    assert ids(oldest_first(())) == []


@pytest.mark.parametrize(
    ("window", "known", "new", "overrun"),
    [
        ("abc", "ab", "c", False),
        ("abc", "abc", "", False),
        ("abc", "", "abc", True),
        ("abc", "z", "abc", True),
        ("abca", "b", "ac", False),
        ("", "a", "", False),
    ],
)
def test_what_is_not_known_is_new_once(window: str, known: str, new: str, overrun: bool) -> None:
    found = unseen(events(*window), set(known).__contains__)
    assert "".join(ids(found.events)) == new
    assert found.is_overrun == overrun
    assert found.share == pytest.approx(len(new) / max(1, len(set(window))))


def test_two_lists_are_one_in_order() -> None:
    assert ids(together(events("a", "b", "c"), events("b", "c", "d"))) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [("e-1", "e-1", True), ("e-1", "e-9", True), ("e-2", "e-1", False), ("e-1", "f-2", False), ("e-1", "x", False)],
)
def test_a_position_follows_in_the_same_numbering(before: str, after: str, expected: bool) -> None:
    assert follows(before, after) == expected
