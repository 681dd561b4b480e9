"""What holds for any sample and any file: a result or a clear error, and never an exception."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.config import yaml_text
from iris_exporter.config.yaml_tree import Node, Scalar, Sequence, Table
from iris_exporter.mapping import presets
from iris_exporter.mapping.reading import read_mappings
from iris_exporter.trial.report import report
from iris_exporter.trial.samples import read_sample
from iris_exporter.trial.saving import Disguise
from iris_exporter.trial.suggest import suggest
from iris_exporter.trial.testing import read_arrivals, try_arrivals
from tests.examples import examples
from tests.mapping import samples
from tests.mapping.samples import read_files

KEYS = st.sampled_from(["type", "id", "time", "data", "value", "took_ms", "a b", "le", "1", "", "count", "$x", "ä"])
TEXTS = st.sampled_from(["a", "b", "update", "1.5", "2025-10-09T08:53:19Z", "", "x" * 300, "\u202e", 'q"\\'])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=15,
)
SAMPLES = st.lists(JSON, min_size=1, max_size=8).map(lambda values: b"\n".join(json.dumps(v).encode() for v in values))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("suggested")


@given(content=SAMPLES)
@examples(1)
def test_what_is_suggested_is_accepted_whatever_the_sample(directory: Path, content: bytes) -> None:
    file = directory / "suggested.yaml"
    recording = read_sample(content, names_events=True, lines=False)
    file.write_text(suggest("x", recording.arrivals, form=recording.form), encoding="utf-8")
    read = read_files([file])
    assert [str(problem) for problem in read.problems] == []
    result = try_arrivals(read.by_name["x"], read_arrivals(read.by_name["x"], content), 1_760_000_000.0)
    assert report(result)


def spoiled(value: Any, data: st.DataObject) -> Any:
    """A JSON value with something else in some place of it."""
    if not isinstance(value, dict | list) or not value or data.draw(st.integers(0, 3)) == 0:
        return data.draw(JSON)
    keys: list[Any] = sorted(value) if isinstance(value, dict) else list(range(len(value)))
    key = data.draw(st.sampled_from(keys))
    changed = value.copy()
    changed[key] = spoiled(value[key], data)
    return changed


@pytest.mark.parametrize("name", samples.NAMES)
@given(data=st.data())
@examples(0.1)
def test_any_message_is_taken_counted_and_reported(name: str, data: st.DataObject) -> None:
    sample = samples.load(name)
    line = data.draw(st.sampled_from(sample.lines))
    try:
        line = json.dumps(spoiled(json.loads(line), data)).encode()
    except ValueError:
        line = data.draw(st.binary(max_size=50)).replace(b"\n", b"")
    content = b"\n".join([*sample.lines, line])
    arrivals = read_arrivals(sample.mapping, content)
    result = try_arrivals(sample.mapping, arrivals, samples.NOW)
    assert report(result).isprintable() is False  # it has lines
    assert all(character.isprintable() or character == "\n" for character in report(result))
    Disguise(sample.mapping).sample(arrivals.arrivals)


WORDS = [
    "path",
    "map",
    "when",
    "kind",
    "metrics",
    "name",
    "each",
    "labels",
    "value",
    "extends",
    "cursor",
    "open",
    "send",
]
NODES: st.SearchStrategy[Node] = st.recursive(
    st.builds(
        Scalar,
        TEXTS | st.sampled_from(["true", "1", "-3", "1e999", "$.a", "@.b", "$[*]", "iso", "(a+)+", "${x}", None]),
        st.just(1),
        st.booleans(),
    ),
    lambda inner: (
        st.builds(lambda items: Sequence(tuple(items), 1), st.lists(inner, max_size=3))
        | st.builds(
            lambda entries: Table(entries, 1), st.dictionaries(KEYS | st.sampled_from(WORDS), inner, max_size=3)
        )
    ),
    max_leaves=6,
)


def mutated(node: Node, data: st.DataObject) -> Node:
    """A tree with something else in some place of it, or without it, or with more."""
    if isinstance(node, Scalar) or data.draw(st.integers(0, 7)) == 0:
        return data.draw(NODES)
    if isinstance(node, Sequence):
        if not node.items:
            return node
        index = data.draw(st.integers(0, len(node.items) - 1))
        items = [mutated(item, data) if at == index else item for at, item in enumerate(node.items)]
        return Sequence(tuple(items), node.line)
    entries = dict(node.entries)
    match data.draw(st.integers(0, 5)), sorted(entries):
        case 0, keys if keys:
            del entries[data.draw(st.sampled_from(keys))]
        case 1, _:
            entries[data.draw(KEYS | st.sampled_from(WORDS))] = data.draw(NODES)
        case _, keys if keys:
            key = data.draw(st.sampled_from(keys))
            entries[key] = mutated(entries[key], data)
    return Table(entries, node.line, node.lines)


@pytest.mark.parametrize("name", presets.names())
@given(data=st.data())
@examples(0.3)
def test_any_file_is_a_mapping_or_has_a_problem(name: str, data: st.DataObject) -> None:
    """Whatever stands there instead: nothing raises, and what is not read is reported."""
    table, _ = yaml_text.read(presets.path(name))
    section = mutated(table.entries["mappings"], data)
    read = read_mappings([(section, "x.yaml")])
    declared = len(section.entries) if isinstance(section, Table) else 0
    assert len(read.by_name) == declared or read.problems
    for mapping in read.by_name.values():
        assert mapping.fingerprint
        try_arrivals(mapping, read_arrivals(mapping, b'{"a":1}\n[1]\n'), samples.NOW)
