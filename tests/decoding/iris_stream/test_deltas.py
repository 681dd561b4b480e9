"""Changes to whole objects, in bounded memory."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.decoding.iris_stream.deltas import Deltas, OutOfSyncError


def test_a_change_is_merged_with_the_last_object_of_its_id() -> None:
    deltas = Deltas()
    deltas.replace({"metrics": {"a": 1, "b": 2}, "projects": [{"id": "x", "name": "X", "runs": 1}, {"id": 7, "n": 1}]})
    data = {"metrics": {"a": 3}, "projects": [{"id": "x", "runs": 2, "name": None}, {"id": 7, "n": 2}, {"id": "new"}]}
    assert deltas.apply(data) == {
        "metrics": {"a": 3, "b": 2}, "projects": [{"id": "x", "runs": 2}, {"id": 7, "n": 2}, {"id": "new"}],
    }  # fmt: skip
    assert deltas.apply({"projects": [{"id": "x", "name": "Y"}]}) == {"projects": [{"id": "x", "runs": 2, "name": "Y"}]}
    assert deltas.apply({"anomalies": [{"id": "x"}]}) == {"anomalies": [{"id": "x"}]}, "ids are those of their kind"


def test_what_is_gone_is_whole_when_it_comes_back() -> None:
    deltas = Deltas(max_bytes=500)
    for _ in range(100):
        deltas.apply({"projects": [{"id": 7, "name": "X" * 100}]})
        data = {"removed": {"projects": [7, "nobody", None, {}], "anomalies": "none"}}
        assert deltas.apply(data) == data
    assert deltas.apply({"projects": [{"id": 7, "runs": 1}]}) == {"projects": [{"id": 7, "runs": 1}]}
    for odd in (None, [], "x", {"projects": 7}):
        deltas.apply({"removed": odd})


def test_an_update_replaces_what_was_known() -> None:
    deltas = Deltas()
    deltas.replace({"projects": [{"id": "x", "name": "X"}]})
    deltas.replace({"projects": [{"id": "x", "runs": 1}]})
    assert deltas.apply({"projects": [{"id": "x"}]}) == {"projects": [{"id": "x", "runs": 1}]}


@pytest.mark.parametrize("number", [0, 2, None, "1", 1.0, [], {}, True, 10**30])
def test_a_number_that_does_not_follow_is_noticed(number: Any) -> None:
    deltas = Deltas()
    with pytest.raises(OutOfSyncError):
        deltas.follow(number)


def test_numbers_begin_again_with_a_subscription() -> None:
    deltas = Deltas()
    deltas.follow(1)
    deltas.follow(2)
    deltas.begin()
    deltas.follow(1)
    assert deltas.apply({"projects": [{"id": "x", "a": 1}]}) == {"projects": [{"id": "x", "a": 1}]}


def test_what_is_nested_or_of_another_type_does_no_harm() -> None:
    deltas = Deltas()
    data = {"metrics": {"a": {"b": 1}}, "projects": [7, {"id": [1], "x": {}}, {"id": {}}], "anomalies": "none"}
    deltas.replace(data)
    found = deltas.apply(data)
    assert found["metrics"] == {}
    assert found["projects"] == [7, {}, {}]
    assert found["anomalies"] == "none"


@pytest.mark.parametrize("limits", [{"max_bytes": 10_000}, {"max_objects": 50}])
def test_memory_is_bounded(limits: dict[str, int]) -> None:
    deltas = Deltas(**limits)
    with pytest.raises(OutOfSyncError):
        for number in range(1000):
            deltas.apply({"projects": [{"id": f"{number}", "name": "n" * 100}]})
    deltas.begin()
    deltas.apply({"projects": [{"id": "x", "name": "n" * 100}]})


def test_an_object_that_changes_for_ever_takes_no_more_room() -> None:
    deltas = Deltas(max_bytes=1000)
    for number in range(1000):
        deltas.apply({"metrics": {"a": number, "b": "x" * (number % 200)}})


_VALUES = st.one_of(st.integers(0, 9), st.text(max_size=3), st.booleans(), st.floats(0, 1))
_OBJECTS = st.dictionaries(st.sampled_from("abcd"), _VALUES, max_size=4)


@given(st.lists(_OBJECTS, min_size=1, max_size=8))
def test_changes_bring_the_same_as_whole_objects(states: list[dict[str, Any]]) -> None:
    """RFC 7396, section 2, for members that are no objects: the patch from one state to the next leads to it."""
    deltas, before = Deltas(), dict[str, Any]()
    for state in states:
        patch: dict[str, Any] = {name: value for name, value in state.items() if before.get(name) != value}
        patch |= {name: None for name in before if name not in state}
        (found,) = deltas.apply({"projects": [{"id": "x", **patch}]})["projects"]
        assert found == {"id": "x", **state}
        before = state
