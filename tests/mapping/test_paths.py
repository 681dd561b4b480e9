"""Paths: a strict subset of JSONPath."""

import pytest

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
