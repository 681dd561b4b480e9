"""What a mapping says of one metric, and the conditions that all of it uses: a part of `spec`, which has all names."""

import re
from collections import abc
from dataclasses import dataclass
from enum import StrEnum

from iris_exporter.mapping.paths import Paths

Scalar = str | int | float | bool | None


class JsonType(StrEnum):
    """What `type` of a condition names; null and what is missing have none."""

    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"
    OBJECT = "object"
    LIST = "list"


def is_same(value: object, constant: Scalar) -> bool:
    """Whether a value of a message is this constant: types count, so that 1 is neither "1" nor true, and 1.0 is 1."""
    if isinstance(value, bool) or isinstance(constant, bool):
        return value is constant
    if isinstance(value, int | float):
        return isinstance(constant, int | float) and value == constant
    return value == constant


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold at a path; all that are not None must. A missing value is as null, and is of no type."""

    path: Paths
    equals: tuple[Scalar, ...] | None = None  # is one of these; None among them holds for missing, too
    unequal: tuple[Scalar, ...] | None = None  # is none of these; None among them refuses missing, too
    exists: bool | None = None  # is there, and not null
    type: JsonType | None = None
    matches: re.Pattern[str] | None = None  # a text in which it is found (search) within the first 1,000 characters
    at_least: float | None = None  # a number, or a text that is one
    below: float | None = None


Conditions = tuple[Condition, ...]
"""All must hold; empty always does."""


class MetricKind(StrEnum):
    """The type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"
    STATESET = "stateset"


class TimeFormat(StrEnum):
    """How a time is written."""

    ISO = "iso"  # RFC 3339, and ISO 8601 with a zone; without one it is UTC
    UNIX = "unix"  # seconds, in a number or a text
    UNIX_MS = "unix_ms"
    UNIX_US = "unix_us"
    UNIX_NS = "unix_ns"


@dataclass(frozen=True, slots=True)
class ValueSpec:
    """A number: found, read, then changed, in this order.

    1. `constant`, or what is at `path`: missing or null gives `default`, unchanged; without one there is no sample.
    2. `length` of a text, list or object. Or of a text the first group (or all) of `pattern`. What is found then is
       read by one of `map` (of the text as a label would show it; else `other`, else the problem `not_in_map`),
       `base`, `format` (a time to Unix seconds), or as a number: JSON's, a boolean, or a text that is one.
    3. `age`: now less that time. Then less `minus`, divided by `per`, both read as `path` is.
    4. Times `factor`, plus `offset`.
    """

    path: Paths | None = None  # None: constant
    constant: float | None = None
    minus: Paths | None = None
    per: Paths | None = None
    length: bool = False
    age: bool = False
    format: TimeFormat | None = None
    pattern: re.Pattern[str] | None = None  # searched in the first 1,000 characters
    base: int | None = None
    map: abc.Mapping[str, float] | None = None
    other: float | None = None
    unit: str | None = None  # as written; it is in factor and offset already
    factor: float = 1.0
    offset: float = 0.0
    default: float | None = None


@dataclass(frozen=True, slots=True)
class LabelSpec:
    """A label's value, a text: `constant`, or found, then `pattern` (first group, or all), `lower`, `map`, `keep`.

    Missing or null gives `default`. A text that `pattern` does not match, or that is not in `keep`, becomes `other`;
    one that `map` lacks becomes `unmapped`. Numbers and booleans are the text that JSON has for them. What is beyond
    `max_values` different ones becomes `other`, too.
    """

    name: str
    path: Paths | None = None  # None: constant
    constant: str | None = None
    pattern: re.Pattern[str] | None = None
    map: abc.Mapping[str, str] | None = None
    lower: bool = False
    keep: frozenset[str] | None = None
    other: str = "other"
    unmapped: str | None = None  # None: stays as it is; `other` where the mapping names one
    default: str = ""
    max_values: int = 1_000


@dataclass(frozen=True, slots=True)
class StateSpec:
    """Which of the states of a stateset holds: the text at `path`, or what `map` has for it."""

    path: Paths
    map: abc.Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class AlertSpec:
    """When a metric alone is a reason to alert: beyond `above` or `below` for `for_seconds`."""

    above: float | None
    below: float | None
    for_seconds: float
    severity: str
    summary: str


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric. `name` is whole, with its namespace. `labels` are in the order of the mapping."""

    name: str
    kind: MetricKind
    help: str
    value: ValueSpec | None  # None: info and stateset
    labels: tuple[LabelSpec, ...] = ()
    where: Conditions = ()
    total: bool = False  # a counter that the source counts itself: the value is shown, not added
    buckets: tuple[float, ...] = ()  # rising, without infinity
    states: tuple[str, ...] = ()
    state: StateSpec | None = None
    required: bool = False  # a missing value is a problem
    expire_seconds: float | None = None
    limit: int = 1_000
    alert: AlertSpec | None = None
