"""From YAML to mappings, or to everything that is wrong with them.

A mapping that `extends` another one is merged with it as YAML before it is read: keys with values by their keys,
messages by their kind, metrics by their name; other lists and values replace what was there, and nothing (`cursor:`)
takes it away. Kinds that the other one lacks come first, so that its own catch no messages of theirs.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from iris_exporter.config import yaml_tree
from iris_exporter.config.mappings import IRIS, SECTION
from iris_exporter.config.yaml_tree import Node, Scalar, Sequence, Table, text_of
from iris_exporter.core.suggestions import did_you_mean
from iris_exporter.errors import Problem
from iris_exporter.mapping import presets
from iris_exporter.mapping.fields import as_json
from iris_exporter.mapping.mapping_language import MAPPING
from iris_exporter.mapping.notes import Here, Notes, Unreadable
from iris_exporter.mapping.spec import Mapping

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_NAME_SYNTAX = "a name of lower-case letters, digits and single dashes, of at most 64"
# Of lists in a mapping: by which key of its items two of them are merged.
_MERGED_BY = {"messages": "kind", "metrics": "name"}


@dataclass(slots=True)
class Mappings:
    """What was read: mappings by name, what is wrong and what is doubtful."""

    by_name: dict[str, Mapping] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def read_mappings(sections: Iterable[tuple[Node, str]]) -> Mappings:
    """Return the mappings of several sections `mappings:`, each with the file that it is from, for messages.

    Nothing raises: a mapping with a problem is left out of what is returned.
    """
    reader = _Reader()
    for node, file in sections:
        reader.take(node, file)
    return reader.read()


@dataclass(frozen=True, slots=True)
class _Declared:
    """A mapping as it stands."""

    node: Table
    file: str
    line: int


class _Reader:
    """One run of `read_mappings`."""

    def __init__(self) -> None:
        self._notes = Notes()
        self._declared: dict[str, _Declared] = {}

    def take(self, node: Node, file: str) -> None:
        """Take the mappings of one section."""
        section = Here(self._notes, file, SECTION, node.line)
        if isinstance(node, Scalar) and node.text is None:
            return  # every line of it may be commented out
        if not isinstance(node, Table):
            section.problem(yaml_tree.describe(node), "mappings by their names")
            return
        for name, value in node.entries.items():
            place = section.at(name, value, node.lines.get(name))
            if not _NAME.fullmatch(name) or len(name) > 64:
                place.problem("this name", _NAME_SYNTAX)
            elif name == IRIS:
                place.problem("the name iris", "another one: iris is what is built in, and needs no mapping")
            elif name in self._declared:
                first = self._declared[name]
                place.problem("the mapping a second time", f"it once (first at {first.file}:{first.line})")
            elif not isinstance(value, Table):
                place.problem(yaml_tree.describe(value), "keys with values (namespace: ..., messages: ...)")
            else:
                self._declared[name] = _Declared(value, file, place.line)

    def read(self) -> Mappings:
        """Read what was taken."""
        result = Mappings()
        for name, declared in self._declared.items():
            here = Here(self._notes, declared.file, f"{SECTION}.{name}", declared.line)
            try:
                table = self._resolved(name, declared, here, (name,))
                result.by_name[name] = replace(MAPPING.read(table, here), mark=_mark(table))
            except Unreadable:
                continue
        # Several that extend one repeat what is wrong with it.
        result.problems = list(dict.fromkeys(self._notes.problems))
        result.warnings = list(dict.fromkeys(self._notes.warnings))
        return result

    def _resolved(self, name: str, declared: _Declared, here: Here, chain: tuple[str, ...]) -> Table:
        """The mapping merged with what it extends."""
        node = declared.node.entries.get("extends")
        if node is None:
            return declared.node
        place = here.at("extends", node, declared.node.lines.get("extends"))
        other = node.text if isinstance(node, Scalar) else None
        if other is None:
            raise place.problem(yaml_tree.describe(node), "the name of a preset or of another mapping")
        # Of its own name there may be a preset.
        base = self._declared.get(other) if other != name else None
        if base is not None and other in chain:
            raise place.problem(f"a circle ({' -> '.join((*chain, other))})", "mappings that do not extend one another")
        if base is None:
            base = self._preset(other, place)
        self._note_origins(base)
        return _merged(self._resolved(other, base, here, (*chain, other)), declared.node)

    def _preset(self, name: str, place: Here) -> _Declared:
        if name not in presets.names():
            known = [*(each for each in self._declared if each != name), *presets.names()]
            hint = did_you_mean(name, known) or f" ({', '.join(presets.names())})"
            raise place.problem("an unknown name", f"the name of a preset or of another mapping{hint}")
        node = presets.section(name).entries[name]
        assert isinstance(node, Table)  # noqa: S101 (a test reads every preset)
        return _Declared(node, f"preset {name}", node.line)

    def _note_origins(self, base: _Declared) -> None:
        """Note where the nodes of another mapping stand."""
        pending: list[Node] = [base.node]
        while pending:
            node = pending.pop()
            if id(node) in self._notes.origins:
                continue
            self._notes.origins[id(node)] = (node, base.file)
            if isinstance(node, Table):
                pending += node.entries.values()
            elif isinstance(node, Sequence):
                pending += node.items


def _mark(table: Table) -> str:
    return hashlib.sha256(json.dumps(as_json(table)).encode()).hexdigest()[:16]


def _merged(base: Table, change: Table) -> Table:
    """Return `base` with what `change` says instead, or besides."""
    entries = dict(base.entries)
    lines = dict(base.lines)
    for name, node in change.entries.items():
        lines[name] = change.lines.get(name, change.line)
        if isinstance(node, Scalar) and node.text is None:
            entries.pop(name, None)
            continue
        entries[name] = _merged_value(name, entries.get(name), node)
    return Table(entries, change.line, lines)


def _merged_value(name: str, base: Node | None, change: Node) -> Node:
    if isinstance(base, Table) and isinstance(change, Table):
        # What is sent is one thing: keys of two messages would make a third.
        return change if name in ("send", "message", "when", "where", "await") else _merged(base, change)
    if name in _MERGED_BY and isinstance(base, Sequence) and isinstance(change, Sequence):
        return _merged_items(_MERGED_BY[name], base, change, new_first=name == "messages")
    return change


def _merged_items(key: str, base: Sequence, change: Sequence, *, new_first: bool) -> Sequence:
    """Return the items of both, those with the same value of `key` merged."""
    changes = {text_of(item, key): item for item in change.items}

    def changed(item: Node) -> Node:
        other = changes.get(text_of(item, key))
        return _merged(item, other) if isinstance(item, Table) and isinstance(other, Table) else item

    old = [changed(item) for item in base.items]
    known = {text_of(item, key) for item in base.items}
    new = [item for item in change.items if text_of(item, key) is None or text_of(item, key) not in known]
    return Sequence((*new, *old) if new_first else (*old, *new), change.line)
