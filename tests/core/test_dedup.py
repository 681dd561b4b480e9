"""Ids seen once, memory bounded."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.core.dedup import SeenIds


def test_an_id_is_new_once() -> None:
    seen = SeenIds()
    assert seen.see("a")
    assert not seen.see("a")
    assert seen.see("b")
    assert len(seen) == 2


def test_at_least_max_ids_are_remembered_and_at_most_twice_as_many() -> None:
    seen = SeenIds(max_ids=10)
    for number in range(1000):
        assert seen.see(str(number))
        assert len(seen) <= 20
        assert not any(seen.see(str(recent)) for recent in range(max(0, number - 9), number + 1))


def test_an_id_that_keeps_coming_is_never_forgotten() -> None:
    """A snapshot may show an old event for as long as it likes, while thousands of others pass."""
    seen = SeenIds(max_ids=10)
    seen.see("old")
    for number in range(1000):
        seen.see(str(number))
        if number % 5 == 0:
            assert not seen.see("old")


def test_a_memory_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="max_ids"):
        SeenIds(max_ids=0)


@given(st.data(), st.integers(min_value=1, max_value=60), st.integers(min_value=2, max_value=4))
def test_each_id_counts_once_whatever_the_interleaving_of_channels(
    data: st.DataObject, events: int, channels: int
) -> None:
    """Several channels bring the same events in order, at their own pace, and repeat the latest at will."""
    seen = SeenIds(max_ids=events)
    firsts: Counter[str] = Counter()
    done = [0] * channels
    while any(reached < events for reached in done):
        channel = data.draw(st.sampled_from([i for i in range(channels) if done[i] < events]))
        again = data.draw(st.integers(min_value=0, max_value=min(3, done[channel])))
        for number in range(done[channel] - again, done[channel] + 1):
            firsts[str(number)] += seen.see(str(number))
        done[channel] += 1
    assert firsts == {str(number): 1 for number in range(events)}


@given(st.lists(st.text(max_size=3)), st.integers(min_value=1, max_value=5))
def test_memory_is_bounded_whatever_comes(ids: list[str], max_ids: int) -> None:
    seen = SeenIds(max_ids)
    for event_id in ids:
        seen.see(event_id)
        assert not seen.see(event_id)
        assert len(seen) <= 2 * max_ids
    assert len(seen.ids()) == len(seen)


@given(st.lists(st.integers(0, 40).map(str)), st.lists(st.integers(0, 40).map(str)), st.integers(1, 10))
def test_a_copy_is_frozen_and_a_restart_goes_on_from_its_ids(before: list[str], after: list[str], max_ids: int) -> None:
    seen = SeenIds(max_ids)
    for event_id in before:
        seen.see(event_id)
    copy = seen.copy()
    ids = copy.ids()
    known = {event_id: seen.knows(event_id) for event_id in before + after}
    for event_id in after:
        seen.see(event_id)
    assert copy.ids() == ids
    again = SeenIds(max_ids, ids)
    assert {event_id: again.knows(event_id) for event_id in known} == known


def test_pinned_ids_outlive_any_number_of_others_until_they_are_unpinned() -> None:
    seen = SeenIds(3)
    assert seen.see("early")
    seen.pin(["early"])
    for number in range(100):
        assert seen.see(str(number))
    assert not seen.see("early")
    assert list(seen.copy().pinned) == ["early"]
    assert SeenIds(3, seen.ids(), seen.pinned).knows("early")
    seen.unpin()
    assert not seen.pinned
    assert not seen.see("early"), "it is remembered like anything else"
    for number in range(100, 110):
        seen.see(str(number))
    assert seen.see("early")


def test_pinned_ids_are_bounded_and_keep_runs_from_being_taken_at_once() -> None:
    seen = SeenIds(2)
    seen.pin(map(str, range(10)))
    assert list(seen.pinned) == ["0", "1", "2", "3"]
    assert not seen.see_all(["x"])
    seen.unpin()
    assert seen.see_all(["x"])


# Ids that grow, and some that do not, so that batches come both ways.
GROWING = st.integers(1, 4).map(lambda step: (step, None))
KNOWN_OR_NOT = st.tuples(st.integers(-6, 1), st.sampled_from([None, "A", "event-0003", "event-0010", "z"]))


@given(st.lists(st.lists(GROWING | GROWING | KNOWN_OR_NOT, min_size=1, max_size=12), max_size=12), st.integers(1, 30))
def test_at_once_is_the_same_as_one_by_one(steps: list[list[tuple[int, str | None]]], max_ids: int) -> None:
    together, patient = SeenIds(max_ids, ["event-0001", "event-0002"]), SeenIds(max_ids, ["event-0001", "event-0002"])
    number = 2
    for batch in steps:
        if len(batch) == 7:
            for seen in (together, patient):
                seen.resize(len(steps))
        ids = []
        for step, other in batch:
            number = max(0, number + step)
            ids.append(other or f"event-{number:04}")
        before = together.ids()
        firsts = [patient.see(event_id) for event_id in ids]
        if together.see_all(ids):
            assert all(firsts)
        else:
            assert together.ids() == before
            assert [together.see(event_id) for event_id in ids] == firsts
        assert (together.ids(), len(together), together.forgotten) == (patient.ids(), len(patient), patient.forgotten)
        assert together.copy().ids() == patient.ids()


def test_ids_above_all_others_are_not_looked_up() -> None:
    """Or it would be slower, and nothing else would show it."""
    seen = SeenIds(1000)
    assert seen.see_all([f"event-{number:04}" for number in range(300)])
    assert not seen._young._known
    assert not seen.see_all(["event-0300", "event-0299"])
    assert seen.see_all(["event-0300", "event-0305"])
    assert not seen.see_all(["event-0306", "event-0306"])
    assert seen.see_all(["event-0304", "event-0303"])
    assert not seen.see_all(["event-0304"])


def test_ids_that_grow_are_stored_in_runs_however_they_come() -> None:
    """One by one they would take five times the memory, and batches would be made in memory that is not at hand."""
    together, single = SeenIds(1000), SeenIds(1000)
    ids = [f"event-{number:04}" for number in range(1100)]
    assert together.see_all(ids[:500])
    assert together.see_all(ids[500:])
    assert all(single.see_all([event_id]) for event_id in ids)
    assert together.ids() == single.ids() == ids
    assert len(together._old.order) + len(together._young.order) == 3
    assert len(single._old.order) == 1
    assert not any(map(together.see, ids[100:]))


@given(st.lists(st.text(st.sampled_from("\0ab"), max_size=4), min_size=21, max_size=60, unique=True))
def test_no_character_of_an_id_is_mistaken_for_the_end_of_one(ids: list[str]) -> None:
    seen = SeenIds(1000, sorted(ids)[:20])
    assert seen.see_all(sorted(ids)[20:])
    assert seen.copy().ids() == sorted(ids)
    assert not any(map(seen.see, ids))
