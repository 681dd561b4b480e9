"""Paths: a strict subset of JSONPath."""

import jsonpath_rfc9535
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.mapping.paths import (
    MISSING,
    PathError,
    Root,
    Wildcard,
    find,
    read_each,
    read_path,
    written,
)


@pytest.mark.parametrize(
    ("text", "root", "steps"),
    [
        ("$", Root.MESSAGE, ()),
        ("$.a.b_1", Root.MESSAGE, ("a", "b_1")),
        ("$['any text'].b", Root.MESSAGE, ("any text", "b")),
        ('$["a\'b"]', Root.MESSAGE, ("a'b",)),
        (r"$['a\'b\\\u0041\n']", Root.MESSAGE, ("a'b\\A\n",)),
        (r"$['\ud83d\ude00']", Root.MESSAGE, ("\U0001f600",)),
        ("$[0][-1]", Root.MESSAGE, (0, -1)),
        ("$.größe", Root.MESSAGE, ("größe",)),
        ("@", Root.ELEMENT, ()),
        ("@.e", Root.ELEMENT, ("e",)),
        ("@key", Root.KEY, ()),
        ("@parent.source", Root.PARENT, ("source",)),
        ("meta.event", Root.META, ("event",)),
        ("$['']", Root.MESSAGE, ("",)),
    ],
)
def test_a_path_is_read(text: str, root: Root, steps: tuple[str | int, ...]) -> None:
    path = read_path(text)
    assert (path.root, path.steps, path.text) == (root, steps, text)
    if root is not Root.META:
        assert read_path(written(root, steps)).steps == steps


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "begins with"),
        ("a.b", "begins with"),
        ("@keys", "begins with"),
        ("$a", "begins with"),
        ("meta.topic", "meta.event"),
        ("@key.a", "@key alone"),
        ("$.", "name behind the dot"),
        ("$..a", "name behind the dot"),
        ("$.1", "name behind the dot"),
        ("$.a-b", r"\['a-b'\]"),
        ("$[a]", "names one place"),
        ("$[01]", "a ]"),
        ("$[-0]", "names one place"),
        ("$[1:2]", "a ]"),
        ("$['a','b']", "a ]"),
        ("$[?@.a]", "names one place"),
        ("$[*].a", "one place"),
        ("$.a.*", "one place"),
        ("$.a[0", "a ]"),
        (r"$['\x']", "escapes of JSON"),
        (r"$['\ud83d']", "half of one"),
        ("$[9999999999]", "at most"),
        ("$ .a", ".name"),
        ("$" + ".a" * 65, "at most 64"),
        ("$." + "a" * 1000, "at most 1000"),
    ],
)
def test_what_is_no_path_is_refused(text: str, expected: str) -> None:
    with pytest.raises(PathError, match=expected.replace("[*]", r"\[\*\]")):
        read_path(text)


def test_each_goes_through_lists_and_objects() -> None:
    each = read_each("$.updates[*].values.*")
    assert each.segments == ("updates", Wildcard.ELEMENTS, "values", Wildcard.VALUES)
    assert each.depth == 2
    for text in ("$.a", "@.a[*]", "@key[*]"):
        with pytest.raises(PathError):
            read_each(text)


def test_what_is_not_there_is_missing_and_null_is_not() -> None:
    value = {"a": [{"b": None}], "1": 2}
    assert find(value, ("a", 0, "b")) is None
    assert find(value, ("a", -1)) == {"b": None}
    assert find(value, ()) is value
    for steps in (("b",), ("a", 1), ("a", -2), ("a", "0"), (1,), ("a", 0, "b", "c")):
        assert find(value, steps) is MISSING


# Against the standard

KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=4) | st.sampled_from(["a", "b1", "_c"])
STEPS = st.lists(KEYS | st.integers(-3, 3), max_size=5).map(tuple)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["a", ""]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.sampled_from(["a", "b1", "_c"]), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(STEPS)
def test_a_path_that_is_written_is_one_of_the_standard(steps: tuple[str | int, ...]) -> None:
    text = written(Root.MESSAGE, steps)
    assert read_path(text).steps == steps
    jsonpath_rfc9535.compile(text)


@given(JSON, STEPS, st.data())
def test_a_path_finds_what_the_standard_finds(value: object, steps: tuple[str | int, ...], data: st.DataObject) -> None:
    """Also along what is there: random steps alone hardly ever lead anywhere."""
    inner, along = value, []
    while isinstance(inner, dict | list) and inner and data.draw(st.booleans()):
        step = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(-len(inner), len(inner))))
        along.append(step)
        inner = inner[step]
    for each in (steps, tuple(along)):
        found = jsonpath_rfc9535.find(written(Root.MESSAGE, each), value)
        ours = find(value, each)
        assert [node.value for node in found] == ([] if ours is MISSING else [ours])


@given(st.text("$@.[]'\"*ab0-1\\u \n", max_size=12).map(lambda text: f"${text}"))
def test_what_we_read_the_standard_reads(text: str) -> None:
    """A strict subset: every path that we take is a path of the standard, with the same meaning."""
    try:
        path = read_path(text)
    except PathError:
        return
    jsonpath_rfc9535.compile(text)
    assert read_path(written(path.root, path.steps)).steps == path.steps
