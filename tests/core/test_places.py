"""Cursors that are numbers, or mean nothing to us."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.core.places import MAX_KEYS, CountedPlace, Place, PositionPlace
from iris_exporter.core.positions import CursorState


def take(place: Place, *positions: int, key: str | None = None) -> list[int]:
    return [place.take(str(position), 1, key) for position in positions]


def test_what_is_skipped_is_lost() -> None:
    place = CountedPlace()
    assert take(place, 10, 11, 14, 14, 12, 15) == [0, 0, 2, 0, 0, 0]
    assert place.resume_from == "15"


def test_each_key_has_a_number_of_its_own_and_none_is_resumed_from() -> None:
    place = CountedPlace()
    assert take(place, 10, 12, key="a") == [0, 1]
    assert take(place, 500, key="b") == [0]
    assert take(place, 13, key="a") == [0]
    assert place.resume_from == ""


def test_a_number_of_a_key_that_goes_back_changes_nothing() -> None:
    place = CountedPlace()
    assert take(place, 10, 5, 11, 12, 20, key="a") == [0, 0, 0, 0, 7]


def test_a_position_that_is_refused_is_neither_asked_for_nor_recorded() -> None:
    place = Place(CursorState(opaque="a"))
    place.refuse()
    assert (place.resume_from, place.state_to_record) == ("", CursorState())
    place.allow()
    assert (place.resume_from, place.state_to_record) == ("a", CursorState(opaque="a"))
    place.refuse()
    place.take("b", 1)
    assert (place.resume_from, place.state_to_record) == ("b", CursorState(opaque="b"))


def test_keys_are_bounded_and_what_is_beyond_is_counted() -> None:
    place = CountedPlace()
    for key in range(MAX_KEYS + 2):
        take(place, 1, key=str(key))
    assert place.dropped_keys == 2
    assert take(place, 5, key="0") == [3]
    assert take(place, 5, key=str(MAX_KEYS)) == [0]


def test_a_number_of_an_earlier_process_counts() -> None:
    assert take(CountedPlace(CursorState(opaque="7")), 9) == [1]


def test_a_source_that_is_forgotten_begins_anew() -> None:
    place = CountedPlace()
    take(place, 1)
    take(place, 1, key="a")
    place.forget()
    assert take(place, 9) == take(place, 9, key="a") == [0]


@pytest.mark.parametrize(("positions", "joins"), [([5, 6], True), ([6], False), ([5, 7], False), ([4], False)])
def test_only_what_follows_joins(positions: list[int], *, joins: bool) -> None:
    place = CountedPlace(CursorState(opaque="4"))
    assert place.joins([str(position) for position in positions], 1) is joins


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.lists(st.integers(0, 30), min_size=1, max_size=8))
def test_what_joins_may_be_passed_at_once(before: list[int], positions: list[int]) -> None:
    one, other = CountedPlace(), CountedPlace()
    assert take(one, *before) == take(other, *before)
    texts = [str(position) for position in positions]
    if one.joins(texts, 1):
        one.pass_all(texts)
        assert take(other, *positions) == [0] * len(positions)
        assert one.state == other.state


@pytest.mark.parametrize(
    ("identifier", "is_usable", "resume_from"),
    [
        ("9", True, "9"),
        ("", True, "7"),
        ("6", True, "7"),
        ("a9", False, "7"),
        ("9\n", False, "7"),
        ("\u0669", False, "7"),
    ],
)
def test_an_id_that_is_no_number_is_refused_where_the_cursor_is_one(
    identifier: str, *, is_usable: bool, resume_from: str
) -> None:
    place = Place(CursorState(opaque="7"), is_number=True)
    assert place.note_id(identifier) is is_usable
    assert place.resume_from == resume_from


@pytest.mark.parametrize("make", [Place, lambda: Place(is_number=True), CountedPlace])
def test_a_document_begins_a_stream_and_moves_no_cursor_that_there_is(make: Callable[[], Place]) -> None:
    """Events before a later document may still be on their way."""
    place = make()
    place.stand_for("10")
    assert (place.resume_from, place.state_to_record) == ("10", CursorState(opaque="10"))
    place.stand_for("20")
    assert place.resume_from == "10"
    assert take(place, 11) == [0]
    place.stand_for("30")
    assert place.resume_from == "11"


def test_a_document_stands_in_for_a_position_that_is_refused() -> None:
    place = Place(is_number=True)
    take(place, 100)
    place.refuse()
    place.stand_for("5")  # of a source that has begun anew
    assert (place.resume_from, place.state_to_record) == ("5", CursorState(opaque="5"))
    take(place, 6)
    assert place.resume_from == "6"
    place.forget()
    assert place.resume_from == ""


def test_a_document_without_a_position_that_can_be_sent_is_counted() -> None:
    place = Place()
    place.stand_for("\x01")
    assert (place.resume_from, place.dropped) == ("", 1)


def test_positions_of_an_epoch_take_the_first_one_of_a_document_alone() -> None:
    place = PositionPlace()
    place.stand_for("a-10")
    assert place.resume_from == "a-10"
    place.take("a-11", 1)
    place.stand_for("a-20")
    assert (place.resume_from, place.has_gap) == ("a-11", False)
