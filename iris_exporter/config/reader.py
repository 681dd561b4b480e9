"""From tables of text to values: the one reader of files, whoever wrote them.

The configuration, every source of discovery and the web configuration come through here, so that what means something
in one of them means the same in the others.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iris_exporter.config import yaml_tree
from iris_exporter.config.options import BY_KEY, STREAM_OPTIONS
from iris_exporter.config.values import BadValueError, ValueType, plain
from iris_exporter.config.yaml_tree import Node, Scalar, Sequence, Table
from iris_exporter.core.suggestions import did_you_mean, nearest
from iris_exporter.errors import Problem


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was given: `texts` has several for a list; `key` and `where` are for messages."""

    type: ValueType
    texts: tuple[str, ...]
    where: str
    key: str
    base: Path = Path()  # where relative paths start

    @property
    def shown(self) -> str:
        """The first text, as a message may have it."""
        return self.type.show(self.texts[0])


def _elsewhere(name: str, known: Iterable[str], hint: str) -> str:
    """The hint for a key that is written in full, or in the wrong section; else the one that there is."""
    option = BY_KEY.get(nearest(name, BY_KEY) or "")
    if option is None or ("." not in name and (hint or name != option.name)):
        return hint
    if option.name in known:
        return f" (did you mean {option.name}?)"
    if option.group == "stream" and STREAM_OPTIONS.keys() >= set(known):
        return hint  # what every stream has for itself, such as its name, in `defaults:`
    if not option.in_file:
        return f" (--{option.key} is a flag only)"
    return f" ({option.key} is written as {option.key.replace('.', ': ')})"


def without_line_end(text: str) -> str:
    """The text without line ends behind it.

    What is stored in a file, such as a Secret, mostly ends with one, and Kubernetes passes that on in variables, in
    arguments with `$(NAME)` and in block texts of YAML. It is part of no value of ours.
    """
    return text.rstrip("\r\n")


def split(value_type: ValueType, text: str) -> tuple[str, ...]:
    """The values in one text that has room for a list: a variable, a label."""
    text = without_line_end(text)
    return tuple(part.strip() for part in text.strip().split(value_type.separator)) if value_type.many else (text,)


class Reader:
    """Reads values; `problems` grows in the order found, and no problem ends the reading.

    Args:
        file: What the tables come from. None: lines have no numbers, and paths start in the working directory.
        toolkit: Tables are those of Prometheus's exporter-toolkit. As in Go a blank value is not given, and a list has
            to be written as one and may repeat itself.
    """

    def __init__(self, file: Path | None = None, *, toolkit: bool = False) -> None:
        self.problems: list[Problem] = []
        self.file = file
        self._toolkit = toolkit

    def report(self, where: str, key: str, value: str, expected: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(where, key, value, expected))

    def refuse(self, given: Given, expected: str, value: str | None = None) -> None:
        """Note what is wrong with a value; without `value` its text is shown."""
        self.report(given.where, given.key, given.shown if value is None else value, expected)

    def unknown(self, where: str, key: str, name: str, known: Iterable[str], what: str) -> None:
        """Note a key that is none, without its value: what was meant could be a secret."""
        hint = did_you_mean(name, dict.fromkeys(each.partition(".")[0] for each in known))
        if not self._toolkit:
            hint = _elsewhere(name, known, hint)
        self.report(where, plain(key), "an unknown key", what + hint)

    def place(self, table: Table, name: str, outer: str) -> str:
        """Where a key of a table stands; `outer` is where the table does."""
        return outer if self.file is None else f"{self.file}:{table.lines[name]}"

    def table(self, node: Node | None, key: str, where: str) -> Table | None:
        """The node as a table; None without one, such as a section of which every line is commented out."""
        if node is None or isinstance(node, Table):
            return node
        if not (isinstance(node, Scalar) and node.text is None):
            self.report(where, key, yaml_tree.describe(node), "keys with values")
        return None

    def given(self, node: Node | None, key: str, where: str, known: Mapping[str, ValueType]) -> dict[str, Given]:
        """Return what a table gives for the names in `known`, which may have dots for deeper tables."""
        table = self.table(node, key, where) or Table({}, 0)
        result: dict[str, Given] = {}
        for name, value in table.entries.items():
            inner, place = f"{key}.{name}", self.place(table, name, where)
            below = {rest.removeprefix(f"{name}."): t for rest, t in known.items() if rest.startswith(f"{name}.")}
            if below:
                result |= {f"{name}.{rest}": given for rest, given in self.given(value, inner, place, below).items()}
            elif name not in known or "." in name:
                self.unknown(place, inner, name, known, f"a key of {key}")
            elif (given := self.value(value, known[name], inner, place)) is not None:
                result[name] = given
        return result

    def value(self, node: Node, value_type: ValueType, key: str, where: str) -> Given | None:
        """Return what a node gives for a value; None after noting a problem, and for a blank that is not given."""
        if self._toolkit and isinstance(node, Scalar) and not node.text:
            return None
        items = _items(node, value_type)
        texts = tuple(item.text for item in items if isinstance(item, Scalar) and item.text is not None)
        needs_list = self._toolkit and value_type.many
        if len(texts) == len(items) and (isinstance(node, Sequence) if needs_list else texts):
            base = Path() if self.file is None else self.file.parent
            return Given(value_type, tuple(map(without_line_end, texts)), where, key, base)
        wrong = next((item for item in items if not isinstance(item, Scalar) or item.text is None), node)
        got = yaml_tree.describe(wrong) if items else "an empty list"
        hint = "; leave the key out for the default" if got == "nothing" else ""
        self.report(where, key, got, ("a list, each value " if needs_list else "") + value_type.syntax + hint)
        return None

    def read(self, given: Given) -> Any:
        """Return the value, or None after noting a problem (no value that is given is None)."""
        result: list[Any] = []
        for text in given.texts:
            try:
                result.append(given.type.read(text, given.base))
            except BadValueError as error:
                self.refuse(given, error.expected, error.shown or given.type.show(text))
        if len(result) < len(given.texts):
            return None
        if not given.type.many:
            return result[0]
        for text in sorted({text for text in given.texts if given.texts.count(text) > 1 and not self._toolkit}):
            self.refuse(given, "each of them once", f"{given.type.show(text)} twice")
        return tuple(result)

    def read_all(self, given: Mapping[str, Given]) -> dict[str, Any]:
        """Return what could be read, by name."""
        values = {name: self.read(each) for name, each in given.items()}
        return {name: value for name, value in values.items() if value is not None}


def _items(node: Node, value_type: ValueType) -> tuple[Node, ...]:
    """The nodes that should have a text each: of a list its items, of a mapping its entries, else the node itself."""
    if isinstance(node, Sequence) and value_type.many:
        return node.items
    if isinstance(node, Table) and value_type.mapping and node.entries:
        entries = tuple(
            Scalar(f"{name}: {item.text}", item.line)
            for name, item in node.entries.items()
            if isinstance(item, Scalar) and item.text
        )
        if len(entries) == len(node.entries):
            return entries
    return (node,)
