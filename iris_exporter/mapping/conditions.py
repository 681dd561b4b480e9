"""Types for paths, regular expressions and conditions, which the rest of the language is made of."""

from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from iris_exporter.config import yaml_tree
from iris_exporter.config.values import quoted
from iris_exporter.config.yaml_tree import Node, Scalar, Table
from iris_exporter.mapping.fields import Choice, Constant, Flag, Many, Number, Schema, Text, Type
from iris_exporter.mapping.metric_spec import Condition, Conditions, JsonType
from iris_exporter.mapping.notes import Here, Unreadable
from iris_exporter.mapping.objects import Key, Object
from iris_exporter.mapping.paths import Path, Root, read_path
from iris_exporter.mapping.patterns import read_pattern

_ROOT_NAMES = {
    Root.ELEMENT: "@, the element: there is no each here",
    Root.KEY: "@key, the key of the element: there is no each here",
    Root.PARENT: "@parent, the element around: there is no nested each here",
}


class PathType(Type):
    """A path that names one place, from a root that there is here."""

    @override
    def read(self, node: Node, here: Here) -> Path:
        path: Path = Text("a path ($.name)", read_path).read(node, here)
        if path.root not in here.roots:
            raise here.problem(quoted(path.text), f"a path that does not begin with {_ROOT_NAMES[path.root]}")
        return path

    @property
    @override
    def words(self) -> str:
        return "a path"

    @override
    def schema(self, definitions: Schema) -> Schema:
        definitions["path"] = {"type": "string", "pattern": r"^(\$|@|meta\.)", "description": "a path such as $.name"}
        return {"$ref": "#/$defs/path"}


PATH = PathType()
PATHS = Many(PATH, "paths", single=True, most=20)
PATTERN = Text("a regular expression", read_pattern, 500)


# Conditions


class _Expected(Constant):
    """A constant that a value is compared with."""

    @override
    def read(self, node: Node, here: Here) -> Any:
        value = super().read(node, here)
        if isinstance(value, str):
            here.warn_of_names(value)
        return value


_CONSTANTS = Many(_Expected(), "constants", single=True)

CONDITION = Object(
    "condition",
    (
        Key("not", _CONSTANTS, "is none of these"),
        Key("exists", Flag(), "is there and not null, or is not"),
        Key("type", Choice({each.value: each for each in JsonType}), "is of this type"),
        Key("matches", PATTERN, "a text in which the regular expression is found"),
        Key("at-least", Number(), "a number from this one on"),
        Key("below", Number(), "a number below this one"),
    ),
    lambda values: values.pick("exists", "type", "matches", "at-least", "below", unequal="not"),
)


@dataclass(frozen=True, slots=True)
class ConditionsType(Type):
    """Paths, and what must hold at each: a constant, a list of constants, or operators; all of them must."""

    @override
    def read(self, node: Node, here: Here) -> Conditions:
        if not isinstance(node, Table) or not node.entries:
            raise here.problem(yaml_tree.describe(node), "conditions: a path, and what must hold there ($.type: edit)")
        conditions = []
        for name, value in node.entries.items():
            place = here.at(name, value, node.lines.get(name))
            try:
                path = PATH.read(Scalar(name, place.line, quoted=True), place)
                conditions.append(Condition((path,), **_holds(value, place)))
            except Unreadable:
                continue
        if len(conditions) < len(node.entries):
            raise Unreadable
        return tuple(conditions)

    @property
    @override
    def words(self) -> str:
        return "[conditions](#condition)"

    @override
    def schema(self, definitions: Schema) -> Schema:
        value = {"anyOf": [_CONSTANTS.schema(definitions), CONDITION.schema(definitions)]}
        definitions["conditions"] = {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": r"^(\$|@|meta\.)"},
            "additionalProperties": value,
        }
        return {"$ref": "#/$defs/conditions"}


def _holds(node: Node, here: Here) -> dict[str, Any]:
    if not isinstance(node, Table):
        return {"equals": _CONSTANTS.read(node, here)}
    if not node.entries:
        raise here.problem("nothing in it", "a constant, a list of constants, or one of not, exists, type, ...")
    holds: dict[str, Any] = CONDITION.read(node, here)
    return holds


CONDITIONS = ConditionsType()
