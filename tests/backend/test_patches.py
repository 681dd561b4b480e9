"""JSON Merge Patch: the examples of RFC 7396, and that a patch makes what it was made for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.backend.patches import make_patch, merge_patch
from tests.wire.strategies import JSON, PROJECTS


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_the_standard(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


def bare(value: Any) -> Any:
    """Without the members that are null, which mean nothing in objects of the protocol."""
    if isinstance(value, dict):
        return {name: bare(member) for name, member in value.items() if member is not None}
    return value


@given(PROJECTS, PROJECTS)
def test_a_patch_makes_the_object_it_was_made_for(base: dict[str, Any], wanted: dict[str, Any]) -> None:
    patch = make_patch(base, wanted)
    assert bare(merge_patch(base, patch)) == bare(wanted)


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_nothing_changed_is_an_empty_patch(members: dict[str, Any]) -> None:
    assert make_patch(members, dict(members)) == {}


def test_a_patch_has_what_changed_and_nothing_else() -> None:
    assert make_patch({"a": 1, "b": True, "c": 3, "d": {"x": 1, "y": 2}}, {"a": 1, "b": 1, "d": {"x": 1, "y": 3}}) == {
        "b": 1,
        "c": None,
        "d": {"y": 3},
    }
