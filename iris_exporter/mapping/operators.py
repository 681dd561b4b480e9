"""The closed list of operators: what can be done to a value or a label, what a condition can ask, and in which units.

One table for each. Reading, lint, JSON Schema, the reference in the documentation and `map --show` are made from them;
what is not here is not in the language.
"""

import math
import re
from dataclasses import dataclass, replace
from typing import Any

from typing_extensions import override

from iris_exporter.config.yaml_tree import Node, Scalar, Sequence, Table, typed
from iris_exporter.core.labels import MAX_LABEL_CHARS, clean_label
from iris_exporter.core.severities import SEVERITIES
from iris_exporter.mapping.conditions import PATH, PATHS, PATTERN
from iris_exporter.mapping.fields import (
    Changed,
    Choice,
    Entries,
    Flag,
    Forms,
    Many,
    Number,
    Schema,
    Text,
    Type,
    named,
)
from iris_exporter.mapping.metric_spec import (
    LabelSpec,
    StateSpec,
    TimeFormat,
    ValueSpec,
)
from iris_exporter.mapping.notes import Here
from iris_exporter.mapping.objects import Key, Object, Values
from iris_exporter.mapping.paths import Paths


@dataclass(frozen=True, slots=True)
class Unit:
    """How a unit becomes its base unit, which the metric's name ends in: times `factor`, plus `offset`."""

    base: str
    factor: float
    offset: float = 0.0


UNITS = {
    "ns": Unit("seconds", 1e-9),
    "us": Unit("seconds", 1e-6),
    "ms": Unit("seconds", 1e-3),
    "minutes": Unit("seconds", 60),
    "hours": Unit("seconds", 3_600),
    "days": Unit("seconds", 86_400),
    "percent": Unit("ratio", 0.01),
    "bits": Unit("bytes", 0.125),
    "kilobits": Unit("bytes", 125),
    "megabits": Unit("bytes", 125_000),
    "gigabits": Unit("bytes", 125_000_000),
    "kilobytes": Unit("bytes", 1e3),
    "megabytes": Unit("bytes", 1e6),
    "gigabytes": Unit("bytes", 1e9),
    "terabytes": Unit("bytes", 1e12),
    "kibibytes": Unit("bytes", 1 << 10),
    "mebibytes": Unit("bytes", 1 << 20),
    "gibibytes": Unit("bytes", 1 << 30),
    "tebibytes": Unit("bytes", 1 << 40),
    "celsius": Unit("celsius", 1),
    "fahrenheit": Unit("celsius", 5 / 9, -160 / 9),
    "kelvin": Unit("kelvin", 1),
    "millimeters": Unit("meters", 1e-3),
    "kilometers": Unit("meters", 1e3),
    "feet": Unit("meters", 0.3048),
    "miles": Unit("meters", 1_609.344),
    "nautical-miles": Unit("meters", 1_852),
    "knots": Unit("meters_per_second", 1_852 / 3_600),
    "kilometers-per-hour": Unit("meters_per_second", 1 / 3.6),
    "miles-per-hour": Unit("meters_per_second", 0.44704),
    "degrees": Unit("radians", math.pi / 180),
    "hectopascals": Unit("pascals", 100),
    "kilowatts": Unit("watts", 1e3),
    "watt-hours": Unit("joules", 3_600),
    "kilowatt-hours": Unit("joules", 3.6e6),
    "millivolts": Unit("volts", 1e-3),
    "milliamperes": Unit("amperes", 1e-3),
}

TIME_FORMATS = {
    TimeFormat.ISO: "ISO 8601, as in RFC 3339: 2025-10-09T08:53:19.5Z; without a zone it is UTC",
    TimeFormat.UNIX: "seconds since 1970, with or without a fraction",
    TimeFormat.UNIX_MS: "milliseconds since 1970",
    TimeFormat.UNIX_US: "microseconds since 1970",
    TimeFormat.UNIX_NS: "nanoseconds since 1970",
}

# Values

_TEXT_KEY = Text("a text", most=200)


def _check_operators(values: Values) -> None:
    readers = [name for name in ("length", "map", "base", "format") if values.get(name)]
    if len(readers) > 1:
        values.at(readers[1]).problem(readers[1], f"one of length, map, base and format, not {readers[0]} beside it")
    values.together("unit", "scale")
    values.needs("other", "map")
    if values.get("age"):
        values.needs("age", "format")
        for name in ("minus", "per"):
            values.together(name, "age")
    if values.get("length"):
        values.together("pattern", "length")
    if values.get("unit") == "fahrenheit":
        for name in ("minus", "per"):
            values.together(name, "unit")


def _make_value(values: Values) -> ValueSpec:
    unit = UNITS.get(values.get("unit"), Unit("", values.get("scale", 1.0)))
    return ValueSpec(
        factor=unit.factor,
        offset=unit.offset,
        **values.pick(
            *("path", "minus", "per", "length", "age", "format", "pattern", "base", "map", "other", "unit", "default"),
        ),
    )


VALUE = Object(
    "value",
    (
        Key("path", PATHS, "where the value is; of several paths the first that is there and not null", required=True),
        Key("minus", PATHS, "less this value, which is read in the same way"),
        Key("per", PATHS, "divided by this value, which is read in the same way"),
        Key("length", Flag(), "how long the text, list or object is", "false"),
        Key("age", Flag(), "how long ago the time is, in seconds", "false"),
        Key("format", Choice({each.value: each for each in TimeFormat}), "reads a time, as seconds since 1970"),
        Key("pattern", PATTERN, "takes the first group (or all) of what is found in the text"),
        Key("base", Number(2, 36, whole=True), "reads a whole number of this base, such as 16"),
        Key("map", Entries(_TEXT_KEY, Number(), "texts and their numbers"), "numbers for texts"),
        Key("other", Number(), "the number for a text that `map` lacks; without it such a text is a problem"),
        Key("unit", Choice({name: name for name in UNITS}), "converts this unit to the base unit"),
        Key("scale", Number(), "multiplies"),
        Key("default", Number(), "the value where there is none; without it there is no sample"),
    ),
    _make_value,
    _check_operators,
)


class ValueType(Type):
    """A path, several, a number, or operators."""

    @override
    def read(self, node: Node, here: Here) -> ValueSpec:
        if isinstance(node, Table):
            value: ValueSpec = VALUE.read(node, here)
            return value
        if isinstance(node, Scalar) and node.text is not None and not isinstance(_typed(node), str):
            return ValueSpec(constant=Number().read(node, here))
        return ValueSpec(path=PATHS.read(node, here))

    @property
    @override
    def words(self) -> str:
        return "a path, several, a number, or [operators](#value)"

    @override
    def schema(self, definitions: Schema) -> Schema:
        types = (PATHS, Number(), VALUE)
        return {"anyOf": [each.schema(definitions) for each in types]}


def _typed(node: Scalar) -> object:
    try:
        return typed(node)
    except ValueError:
        return None


# Labels and states


def _check_label(values: Values) -> None:
    if "path" not in values and "value" not in values:
        values.here.problem("neither path nor value", "a path (path: $.name) or a constant (value: north)")
    values.together("value", "path", "pattern", "map", "lower", "keep", "other", "default", "max-values")


def _make_label(values: Values) -> dict[str, Any]:
    names = ("path", "pattern", "map", "lower", "keep", "other", "default", "max-values")
    return values.pick(*names, constant="value", unmapped="other")


def check_label_text(text: str) -> str:
    """Return a text that can be the value of a label; raises ValueError with what is expected."""
    if clean_label(text) != text:
        raise ValueError("a text of characters that are seen")
    return text


LABEL_TEXT = Text("a text", check_label_text, MAX_LABEL_CHARS)

LABEL = Object(
    "label",
    (
        Key("path", PATHS, "where the text is; of several paths the first that is there and not null"),
        Key("value", LABEL_TEXT, "a constant instead"),
        Key("pattern", PATTERN, "takes the first group (or all) of what is found; else the label is `other`"),
        Key("lower", Flag(), "makes it lower case", "false"),
        Key("map", Entries(_TEXT_KEY, LABEL_TEXT, "texts and what they become"), "other texts for texts"),
        Key(
            "keep",
            Changed(Many(_TEXT_KEY, "texts"), frozenset),
            "the only texts that stay; others become `other`",
        ),
        Key("other", LABEL_TEXT, "what other texts become; without it those that `map` lacks stay", "other"),
        Key("default", LABEL_TEXT, "the text where there is none", "an empty one"),
        Key("max-values", Number(1, 1_000_000, whole=True), "how many different texts; more become `other`", "1000"),
    ),
    _make_label,
    _check_label,
)

_RESERVED_LABELS = frozenset({"le", "quantile", "stream", "job", "instance"})


def check_label_name(text: str) -> str:
    """Return the name of a label; raises ValueError with what is expected."""
    if text in _RESERVED_LABELS or text.startswith("__"):
        reserved = ", ".join(sorted(_RESERVED_LABELS))
        raise ValueError(f"a name of its own, since {reserved} and __... have a meaning already")
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", text, re.ASCII):
        raise ValueError("a label of lower-case letters, digits and underscores that does not begin with a digit")
    return text


LABEL_NAME = Text("the name of a label", check_label_name, 100, "^[a-z_][a-z0-9_]*$")


# What a path ends in that has as many values as there are things or people.
UNBOUNDED = frozenset({"id", "uuid", "ip", "email", "user", "hash", "token", "url"})


class LabelType(Type):
    """One label: a path, several, or operators. `name` is empty where it is no label of a metric."""

    _forms = Forms(PATHS, PATHS, LABEL, "a path ($.name), or operators")

    @override
    def read(self, node: Node, here: Here) -> LabelSpec:
        given: Paths | dict[str, Any] = self._forms.read(node, here)
        options = given if isinstance(given, dict) else {"path": given}
        name = here.key.rpartition(".")[2]
        if not options.keys() & {"constant", "pattern", "keep", "max_values"} and _is_unbounded(options["path"]):
            here.warn(f"{options['path'][0]} without max-values", "a bound, as it may have very many values")
        return LabelSpec(name, **{"max_values": here.label_values, **options})

    @property
    @override
    def words(self) -> str:
        return "a path, several, or [operators](#label)"

    @override
    def schema(self, definitions: Schema) -> Schema:
        return self._forms.schema(definitions)


def _is_unbounded(paths: Paths) -> bool:
    last = str(paths[0].steps[-1]) if paths[0].steps else ""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", last)
    return bool(words) and words[-1].lower() in UNBOUNDED


STATE_OBJECT = Object(
    "state",
    (
        Key("path", PATHS, "where the word is", required=True),
        Key("map", Entries(_TEXT_KEY, LABEL_TEXT, "words and their states"), "states for other words"),
    ),
    lambda values: StateSpec(**values.pick("path", "map")),
)


_SEVERITY_WORD = Choice({word: word for word in SEVERITIES})
_OF_A_SEVERITY: dict[str, Type] = {
    "value": _SEVERITY_WORD,
    "map": Entries(_TEXT_KEY, _SEVERITY_WORD, "texts and their severities"),
    "other": _SEVERITY_WORD,
    "default": _SEVERITY_WORD,
}
_INSTEAD: dict[str, Any] = {
    "pattern": {"help": "takes the first group (or all) of what is found; else the severity is `other`"},
    "other": {"default": "info"},
    "default": {"help": "the severity where there is none", "default": "info"},
}
SEVERITY_OBJECT = Object(
    "severity",
    tuple(
        replace(key, type=_OF_A_SEVERITY.get(key.name, key.type), **_INSTEAD.get(key.name, {}))
        for key in LABEL.keys
        if key.name != "max-values"  # a severity makes no series
    ),
    _make_label,
    _check_label,
)


class SeverityType(Type):
    """How bad something is: a path, several, or the operators of a label that give one of the words for it."""

    _forms = Forms(PATHS, PATHS, SEVERITY_OBJECT, "a path ($.level), or operators")

    @override
    def read(self, node: Node, here: Here) -> LabelSpec:
        given: Paths | dict[str, Any] = self._forms.read(node, here)
        options = given if isinstance(given, dict) else {"path": given}
        return LabelSpec("severity", **{"other": "info", "default": "info", **options})

    @property
    @override
    def words(self) -> str:
        return "a path, several, or [operators](#severity)"

    @override
    def schema(self, definitions: Schema) -> Schema:
        return self._forms.schema(definitions)


class StateType(Type):
    """Which state holds: a path, several, or a path and a map."""

    @override
    def read(self, node: Node, here: Here) -> StateSpec:
        if isinstance(node, Table):
            state: StateSpec = STATE_OBJECT.read(node, here)
            return state
        return StateSpec(PATHS.read(node, here))

    @property
    @override
    def words(self) -> str:
        return "a path, several, or [path and map](#state)"

    @override
    def schema(self, definitions: Schema) -> Schema:
        return {"anyOf": [PATHS.schema(definitions), STATE_OBJECT.schema(definitions)]}


class IdType(Type):
    """The parts of an identity: a path, or a list of parts, each a path or a list of paths."""

    @override
    def read(self, node: Node, here: Here) -> tuple[Paths, ...]:
        if not isinstance(node, Sequence):
            return ((PATH.read(node, here),),)
        parts: tuple[Paths, ...] = Many(PATHS, "parts of an identity", most=10).read(node, here)
        return parts

    @property
    @override
    def words(self) -> str:
        return "a path, or a list of parts, each a path or several"

    @override
    def schema(self, definitions: Schema) -> Schema:
        path, paths = PATH.schema(definitions), PATHS.schema(definitions)
        return {"anyOf": [path, {"type": "array", "items": paths, "minItems": 1}]}


VALUE_TYPE = ValueType()
LABEL_TYPE = LabelType()
SEVERITY = SeverityType()
LABELS = Changed(Entries(LABEL_NAME, LABEL_TYPE, "labels", 20), lambda labels: tuple(labels.values()))
STATE = StateType()
ID = IdType()
METRIC_NAME = named("a name of lower-case letters, digits and underscores", "[a-z0-9_]+", 150)
