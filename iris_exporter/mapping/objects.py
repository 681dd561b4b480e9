"""Objects of the language: keys with values of their own types, what has to fit together, and what becomes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from iris_exporter.config.yaml_tree import Node, Table
from iris_exporter.core.suggestions import did_you_mean
from iris_exporter.mapping.fields import Schema, Type, shown
from iris_exporter.mapping.notes import Here, Unreadable


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an object. `help` is a phrase for the reference, `default` what stands there where it is left out.

    `outside`: paths begin at the message, even in an object whose other paths may begin at an element.
    """

    name: str
    type: Type
    help: str
    default: str = ""
    required: bool = False
    outside: bool = False


class Values:
    """What an object gives, by key; keys that could not be read are `broken`, and are given all the same."""

    def __init__(self, here: Here) -> None:
        self.here = here
        self.broken: set[str] = set()
        self._values: dict[str, Any] = {}
        self._places: dict[str, Here] = {}

    def put(self, name: str, place: Here, value: Any = None) -> None:
        """Note a key and its value."""
        self._values[name] = value
        self._places[name] = place

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get(self, name: str, default: Any = None) -> Any:
        """The value; None for one that could not be read."""
        return self._values.get(name, default)

    def at(self, name: str) -> Here:
        """Where a key stands; where the object does, without it."""
        return self._places.get(name, self.here)

    def pick(self, *names: str, **renamed: str) -> dict[str, Any]:
        """What is given of these keys, by its name with underscores or by the other name."""
        pairs = {name.replace("-", "_"): name for name in names} | renamed
        return {field_name: self._values[key] for field_name, key in pairs.items() if key in self._values}

    def together(self, name: str, *others: str) -> bool:
        """Refuse a key beside others that exclude it; whether there was nothing to refuse."""
        beside = [other for other in others if other in self]
        if name in self and beside:
            self.at(name).problem(f"{name} beside {beside[0]}", f"not both {name} and {' or '.join(beside)}")
        return not (name in self and beside)

    def needs(self, name: str, *others: str) -> None:
        """Refuse a key without one of the others."""
        if name in self and not any(other in self for other in others):
            self.at(name).problem(f"{name} alone", f"{' or '.join(others)} beside it")


def _nothing(_values: Values) -> None:
    """Checks nothing."""


@dataclass(frozen=True, slots=True)
class Object(Type):
    """Keys with values of their own types.

    `check` notes what does not belong together, also where some keys are broken; `make` makes the result where
    nothing is wrong. `inside` says what is known of where the keys are, from the table itself.
    """

    name: str
    keys: tuple[Key, ...]
    make: Callable[[Values], Any]
    check: Callable[[Values], None] = _nothing
    inside: Callable[[Table, Here], Here] = lambda _table, here: here

    @override
    def read(self, node: Node, here: Here) -> Any:
        if not isinstance(node, Table):
            raise here.problem(shown(node), f"keys with values: {', '.join(key.name for key in self.keys[:6])}, ...")
        before = len(here.notes.problems)
        values = self._values(node, here)
        self.check(values)
        if len(here.notes.problems) > before:
            raise Unreadable
        made = self.make(values)
        here.notes.made[id(made)] = (made, here)
        return made

    def _values(self, table: Table, here: Here) -> Values:
        values = Values(here)
        inner = self.inside(table, here)
        known = {key.name for key in self.keys}
        for name in table.entries:
            if name not in known:
                hint = did_you_mean(name, known) or f" ({', '.join(sorted(known))})"
                here.at(name, table.entries[name], table.lines.get(name)).problem(
                    "an unknown key", f"a key of {self.name}{hint}"
                )
        for key in self.keys:
            if key.name not in table.entries:
                if key.required:
                    values.broken.add(key.name)
                    here.problem(f"nothing for {key.name}", f"{key.help} ({key.name}: ...)")
                continue
            place = (here if key.outside else inner).at(key.name, table.entries[key.name], table.lines.get(key.name))
            values.put(key.name, place)
            try:
                values.put(key.name, place, key.type.read(table.entries[key.name], place))
            except Unreadable:
                values.broken.add(key.name)
        return values

    @property
    @override
    def words(self) -> str:
        return f"[{self.name}](#{self.name})"

    @override
    def schema(self, definitions: Schema) -> Schema:
        if self.name not in definitions:
            definitions[self.name] = {}  # in case of a circle
            definitions[self.name] = {
                "type": "object",
                "additionalProperties": False,
                "required": [key.name for key in self.keys if key.required],
                "properties": {key.name: self._property(key, definitions) for key in self.keys},
            }
        return {"$ref": f"#/$defs/{self.name.replace(' ', '%20')}"}

    @staticmethod
    def _property(key: Key, definitions: Schema) -> Schema:
        default = f" (default: {key.default})" if key.default else ""
        return {**key.type.schema(definitions), "description": key.help + default}
