"""Ids seen once, gaps found, memory bounded."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.core.sequence import Sequence


def test_an_id_is_new_once() -> None:
    sequence = Sequence()
    assert sequence.see("a")
    assert not sequence.see("a")
    assert sequence.see("b")
    assert len(sequence) == 2


def test_at_least_max_ids_are_remembered_and_at_most_twice_as_many() -> None:
    sequence = Sequence(max_ids=10)
    for number in range(1000):
        assert sequence.see(str(number))
        assert len(sequence) <= 20
        assert not any(sequence.see(str(recent)) for recent in range(max(0, number - 9), number + 1))


def test_an_id_that_keeps_coming_is_never_forgotten() -> None:
    """A snapshot may show an old event for as long as it likes, while thousands of others pass."""
    sequence = Sequence(max_ids=10)
    sequence.see("old")
    for number in range(1000):
        sequence.see(str(number))
        if number % 5 == 0:
            assert not sequence.see("old")


def test_a_memory_of_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="max_ids"):
        Sequence(max_ids=0)


@given(st.data(), st.integers(min_value=1, max_value=60), st.integers(min_value=2, max_value=4))
def test_each_id_counts_once_whatever_the_interleaving_of_channels(
    data: st.DataObject, events: int, channels: int
) -> None:
    """Several channels bring the same events in order, at their own pace, and repeat the latest at will."""
    sequence = Sequence(max_ids=events)
    firsts: Counter[str] = Counter()
    done = [0] * channels
    while any(reached < events for reached in done):
        channel = data.draw(st.sampled_from([i for i in range(channels) if done[i] < events]))
        again = data.draw(st.integers(min_value=0, max_value=min(3, done[channel])))
        for number in range(done[channel] - again, done[channel] + 1):
            firsts[str(number)] += sequence.see(str(number))
        done[channel] += 1
    assert firsts == {str(number): 1 for number in range(events)}


@given(st.lists(st.text(max_size=3)), st.integers(min_value=1, max_value=5))
def test_memory_is_bounded_whatever_comes(ids: list[str], max_ids: int) -> None:
    sequence = Sequence(max_ids)
    for event_id in ids:
        sequence.see(event_id)
        assert not sequence.see(event_id)
        assert len(sequence) <= 2 * max_ids
    assert len(sequence.state()["ids"]) == len(sequence)


def test_positions_without_a_hole_are_no_gap() -> None:
    sequence = Sequence()
    assert [sequence.advance(f"k3v-{offset}") for offset in (5, 6, 7)] == [0, 0, 0]
    assert (sequence.epoch, sequence.offset, sequence.last_event_id) == ("k3v", 7, "k3v-7")


def test_a_jump_is_a_gap_of_what_lies_between() -> None:
    sequence = Sequence()
    sequence.advance("e-1")
    assert sequence.advance("e-5") == 3
    assert sequence.advance("e-6") == 0


def test_a_message_that_carries_several_events_moves_over_them() -> None:
    sequence = Sequence()
    sequence.advance("e-1")
    assert sequence.advance("e-5", carried=4, new=4) == 0
    assert sequence.advance("e-15", carried=4, new=4) == 6


def test_an_older_position_changes_nothing() -> None:
    sequence = Sequence()
    sequence.advance("e-9")
    assert sequence.advance("e-3") == 0
    assert sequence.advance("e-9") == 0
    assert sequence.last_event_id == "e-9"
    assert sequence.advance("e-10") == 0


def test_another_epoch_is_no_gap_and_starts_anew() -> None:
    sequence = Sequence()
    sequence.advance("e-9")
    assert sequence.advance("f-500") == 0
    assert sequence.advance("f-502") == 1
    assert sequence.epoch == "f"


def test_an_epoch_may_contain_a_dash() -> None:
    sequence = Sequence()
    sequence.advance("2026-11-23-7")
    assert (sequence.epoch, sequence.offset) == ("2026-11-23", 7)
    assert sequence.advance("2026-11-23-9") == 1


@pytest.mark.parametrize("position", ["abc", "e-", "e-x", "e-²", "e-٣", "e--1x", "-", "e-" + "9" * 30])
def test_a_position_that_cannot_be_read_is_only_kept(position: str) -> None:
    sequence = Sequence()
    sequence.advance("e-9")
    assert sequence.advance(position) == 0
    assert sequence.epoch is None
    assert sequence.offset is None
    assert sequence.last_event_id == position
    assert sequence.advance("e-20") == 0


def test_an_empty_position_means_there_is_none() -> None:
    sequence = Sequence()
    sequence.advance("e-9")
    sequence.advance("")
    assert sequence.last_event_id is None


def test_what_a_snapshot_brought_is_not_missing_from_the_stream() -> None:
    """Reconnected without a resume: ten events passed, a snapshot showed six of them, so four are lost."""
    sequence = Sequence()
    sequence.advance("e-10")
    sequence.aside(6)
    assert sequence.advance("e-21") == 4
    assert sequence.advance("e-23") == 1


def test_a_snapshot_does_not_excuse_later_gaps() -> None:
    sequence = Sequence()
    sequence.advance("e-10")
    sequence.aside(6)
    assert sequence.advance("e-11", new=0) == 0
    assert sequence.advance("e-15") == 3


def test_a_snapshot_gives_the_first_position_only() -> None:
    sequence = Sequence()
    sequence.start_at("e-5")
    assert sequence.advance("e-8") == 2
    sequence.start_at("e-100")
    assert sequence.last_event_id == "e-8"


def test_what_the_source_declared_lost_is_not_found_missing_again() -> None:
    sequence = Sequence()
    sequence.advance("e-5")
    sequence.skip(3)
    assert sequence.advance("e-9") == 0


def test_skipping_without_a_position_does_nothing() -> None:
    sequence = Sequence()
    sequence.skip(3)
    assert sequence.advance("e-9") == 0


def test_an_announced_epoch_forgets_the_offset_unless_it_is_the_same() -> None:
    sequence = Sequence()
    sequence.advance("e-5")
    sequence.start_epoch("e")
    assert sequence.advance("e-7") == 1
    sequence.start_epoch("f")
    assert sequence.advance("f-100") == 0
    assert sequence.advance("f-101") == 0


def test_state_survives_as_plain_data() -> None:
    sequence = Sequence(max_ids=3)
    for event_id in "abcde":
        sequence.see(event_id)
    sequence.advance("k-7")
    kept = json.loads(json.dumps(sequence.state()))
    assert kept["ids"][-1] == "e"

    other = Sequence(max_ids=3)
    other.see("of another life")
    other.restore(kept)
    assert other.state()["ids"] == ["c", "d", "e"]
    assert not other.see("e")
    assert other.see("z")
    assert other.advance("k-9") == 1


def test_restored_state_without_a_position_has_none() -> None:
    other = Sequence()
    other.restore(Sequence().state())
    assert (other.epoch, other.offset, other.last_event_id) == (None, None, None)


@given(st.text(max_size=8), st.text(max_size=8))
def test_no_position_breaks_it(first: str, second: str) -> None:
    sequence = Sequence()
    for position in (first, second, first + "-1", second + "-5"):
        assert sequence.advance(position) >= 0
