"""Types of what stands in a mapping: each reads a node of YAML, and describes itself as JSON Schema.

A type that cannot read a node notes why, with file and line, and raises `Unreadable`; what holds it goes on with the
rest, so that all problems are found at once. Plain `true`, `false`, `null` and JSON numbers are typed; everything else,
and everything in quotes, is text.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from typing_extensions import override

from iris_exporter.config import yaml_tree
from iris_exporter.config.values import BadValueError, ValueType, quoted
from iris_exporter.config.yaml_tree import NUMBER, Node, Scalar, Sequence, Table, typed
from iris_exporter.core.suggestions import did_you_mean
from iris_exporter.mapping.notes import Here, Unreadable

Schema = dict[str, Any]


class Type(Protocol):
    """One type of value."""

    def read(self, node: Node, here: Here) -> Any:
        """Return the value; raises `Unreadable`."""

    @property
    def words(self) -> str:
        """What it is, in a few words, for the reference."""
        raise NotImplementedError

    def schema(self, definitions: Schema) -> Schema:
        """Return JSON Schema; what is used in several places goes into `definitions`."""


def as_json(node: Node) -> Any:
    """Return what a node is as plain values; a number without bounds stays as it is written."""
    if isinstance(node, Table):
        return {name: as_json(value) for name, value in node.entries.items()}
    if isinstance(node, Sequence):
        return [as_json(item) for item in node.items]
    try:
        return typed(node)
    except ValueError:
        return node.text


def shown(node: Node) -> str:
    """Return a node as a message may have it."""
    return quoted(node.text) if isinstance(node, Scalar) and node.text is not None else yaml_tree.describe(node)


# Single values


@dataclass(frozen=True, slots=True)
class Text(Type):
    """A text, as it stands; `check` raises ValueError with what is expected."""

    syntax: str = "a text"
    check: Callable[[str], Any] = str
    most: int = 1_000
    pattern: str | None = None  # for JSON Schema alone
    hidden: bool = False  # it may be a secret

    @override
    def read(self, node: Node, here: Here) -> Any:
        if not isinstance(node, Scalar) or node.text is None:
            raise here.problem(shown(node), self.syntax)
        if len(node.text) > self.most:
            raise here.problem(f"{len(node.text)} characters", f"{self.syntax}, of at most {self.most}")
        here.warn_of_names(node.text)
        try:
            return self.check(node.text)
        except ValueError as error:
            raise here.problem("a text" if self.hidden else shown(node), str(error) or self.syntax) from None

    @property
    @override
    def words(self) -> str:
        return self.syntax

    @override
    def schema(self, definitions: Schema) -> Schema:
        pattern = {} if self.pattern is None else {"pattern": self.pattern}
        return {"type": ["string", "number", "boolean"] if self.pattern is None else "string", **pattern}


def named(syntax: str, pattern: str, most: int = 100) -> Text:
    """A text that matches a regular expression as a whole."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(syntax)
        return text

    return Text(syntax, check, most, f"^(?:{pattern})$")


@dataclass(frozen=True, slots=True)
class Choice(Type):
    """One of a few words; `what` they are, where they are too many for a message."""

    meanings: Mapping[str, Any]
    what: str = ""

    @override
    def read(self, node: Node, here: Here) -> Any:
        text = node.text if isinstance(node, Scalar) else None
        if text is None or text not in self.meanings:
            hint = "" if text is None else did_you_mean(text, self.meanings)
            raise here.problem(shown(node), f"{self.what or 'one of ' + ', '.join(self.meanings)}{hint}")
        return self.meanings[text]

    @property
    @override
    def words(self) -> str:
        return self.what or ", ".join(f"`{word}`" for word in self.meanings)

    @override
    def schema(self, definitions: Schema) -> Schema:
        return {"enum": list(self.meanings)}


@dataclass(frozen=True, slots=True)
class Option(Type):
    """A value as options have it: a duration, a header."""

    type: ValueType

    @override
    def read(self, node: Node, here: Here) -> Any:
        if not isinstance(node, Scalar) or node.text is None:
            raise here.problem(yaml_tree.describe(node), self.type.syntax)
        try:
            return self.type.read(node.text)
        except BadValueError as error:
            raise here.problem(error.shown or self.type.show(node.text), error.expected) from None

    @property
    @override
    def words(self) -> str:
        return "a duration" if "duration" in self.type.syntax else self.type.syntax

    @override
    def schema(self, definitions: Schema) -> Schema:
        return {"type": ["string", "number"], "description": self.type.syntax}


@dataclass(frozen=True, slots=True)
class Flag(Type):
    """true or false."""

    @override
    def read(self, node: Node, here: Here) -> bool:
        value = typed(node) if isinstance(node, Scalar) and node.text in ("true", "false") else None
        if not isinstance(value, bool):
            raise here.problem(shown(node), "true or false, without quotes")
        return value

    @property
    @override
    def words(self) -> str:
        return "`true` or `false`"

    @override
    def schema(self, definitions: Schema) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Number(Type):
    """A finite number."""

    least: float = -math.inf
    most: float = math.inf
    whole: bool = False

    @property
    def syntax(self) -> str:
        """What is expected."""
        what = "a whole number" if self.whole else "a number"
        if math.isinf(self.least) and math.isinf(self.most):
            return what
        if math.isinf(self.most):
            return f"{what} from {self.least:g} on"
        return f"{what} between {self.least:g} and {self.most:.15g}"

    @override
    def read(self, node: Node, here: Here) -> Any:
        try:
            value = typed(node) if isinstance(node, Scalar) else None
        except ValueError:
            value = None
        if isinstance(value, str) and isinstance(node, Scalar) and node.quoted and NUMBER.fullmatch(value):
            raise here.problem(f"{quoted(value)} in quotes", f"{self.syntax}, without quotes")
        kinds = int if self.whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not self.least <= value <= self.most:
            raise here.problem(shown(node), self.syntax)
        return value if self.whole else float(value)

    @property
    @override
    def words(self) -> str:
        return self.syntax

    @override
    def schema(self, definitions: Schema) -> Schema:
        bounds = {
            name: value for name, value in (("minimum", self.least), ("maximum", self.most)) if not math.isinf(value)
        }
        return {"type": "integer" if self.whole else "number", **bounds}


@dataclass(frozen=True, slots=True)
class Constant(Type):
    """A typed single value: text, number, truth or null."""

    @override
    def read(self, node: Node, here: Here) -> Any:
        if not isinstance(node, Scalar):
            raise here.problem(yaml_tree.describe(node), "a single value: text, number, true, false or null")
        try:
            return typed(node)
        except ValueError:
            raise here.problem(shown(node), "a number that is finite") from None

    @property
    @override
    def words(self) -> str:
        return "text, number, `true`, `false` or `null`"

    @override
    def schema(self, definitions: Schema) -> Schema:
        return {"type": ["string", "number", "boolean", "null"]}


# What holds others


@dataclass(frozen=True, slots=True)
class Many(Type):
    """A list, as a tuple; one alone need be no list where `single` is set."""

    type: Type
    what: str
    single: bool = False
    least: int = 1
    most: int = 1_000

    @override
    def read(self, node: Node, here: Here) -> Any:
        if not isinstance(node, Sequence):
            if self.single:
                return (self.type.read(node, here),)
            raise here.problem(shown(node), f"a list of {self.what}")
        if not self.least <= len(node.items) <= self.most:
            count = f"{len(node.items)} items" if node.items else "an empty list"
            raise here.problem(count, f"a list of {self.least} to {self.most} {self.what}")
        values = list(_readable(self.type, ((item, here.at(i, item)) for i, item in enumerate(node.items))))
        if len(values) < len(node.items):
            raise Unreadable
        return tuple(values)

    @property
    @override
    def words(self) -> str:
        inner = self.type.words
        if self.single:
            return f"{inner}, or a list"
        linked = f"[{self.what}]({inner.partition('](')[2]}" if inner.startswith("[") else self.what
        return f"list of {linked}"

    @override
    def schema(self, definitions: Schema) -> Schema:
        inner = self.type.schema(definitions)
        items = {"type": "array", "items": inner, "minItems": self.least}
        return {"anyOf": [inner, items]} if self.single else items


@dataclass(frozen=True, slots=True)
class Entries(Type):
    """Keys of the operator's choice, each with a value of one type; a dict, in the order of the file."""

    key: Text
    value: Type
    what: str
    most: int = 1_000

    @override
    def read(self, node: Node, here: Here) -> Any:
        if not isinstance(node, Table):
            raise here.problem(shown(node), f"keys with values: {self.what}")
        if not 1 <= len(node.entries) <= self.most:
            count = f"{len(node.entries)} keys" if node.entries else "nothing in it"
            raise here.problem(count, f"between 1 and {self.most} of {self.what}")
        result = {}
        for name, value in node.entries.items():
            place = here.at(name, value, node.lines.get(name))
            try:
                result[self.key.read(Scalar(name, place.line, quoted=True), place)] = self.value.read(value, place)
            except Unreadable:
                continue
        if len(result) < len(node.entries):
            raise Unreadable
        return result

    @property
    @override
    def words(self) -> str:
        return f"{self.what} by name: {self.value.words}"

    @override
    def schema(self, definitions: Schema) -> Schema:
        names = {} if self.key.pattern is None else {"propertyNames": {"pattern": self.key.pattern}}
        return {"type": "object", "additionalProperties": self.value.schema(definitions), "minProperties": 1, **names}


def _readable(value_type: Type, nodes: Iterable[tuple[Node, Here]]) -> Iterator[Any]:
    for node, place in nodes:
        try:
            yield value_type.read(node, place)
        except Unreadable:
            continue


@dataclass(frozen=True, slots=True)
class Forms(Type):
    """One of several types, chosen by what the node is: a single value, a list, or keys with values."""

    single: Type | None
    many: Type | None
    table: Type | None
    syntax: str

    @override
    def read(self, node: Node, here: Here) -> Any:
        by_form = {Table: self.table, Sequence: self.many, Scalar: self.single}
        chosen = by_form[type(node)]
        if chosen is None or (isinstance(node, Scalar) and node.text is None):
            raise here.problem(shown(node), self.syntax)
        return chosen.read(node, here)

    @property
    @override
    def words(self) -> str:
        return self.syntax

    @override
    def schema(self, definitions: Schema) -> Schema:
        types = [each for each in (self.single, self.many, self.table) if each is not None]
        return {"anyOf": [each.schema(definitions) for each in types]}


@dataclass(frozen=True, slots=True)
class Changed(Type):
    """A value of another type, made into something else."""

    type: Type
    change: Callable[[Any], Any]

    @override
    def read(self, node: Node, here: Here) -> Any:
        return self.change(self.type.read(node, here))

    @property
    @override
    def words(self) -> str:
        return self.type.words

    @override
    def schema(self, definitions: Schema) -> Schema:
        return self.type.schema(definitions)
