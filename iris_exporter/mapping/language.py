"""The objects of the language that have to do with messages: a metric, a part, an entry. `link_language` has the rest.

One table for each, of which reading, JSON Schema and the reference in the documentation are made.
"""

from dataclasses import replace
from typing import Any

from iris_exporter.config.values import duration
from iris_exporter.config.yaml_tree import Scalar, Table
from iris_exporter.core.labels import MAX_LABEL_CHARS
from iris_exporter.core.reasons import REASONS
from iris_exporter.core.severities import SEVERITIES
from iris_exporter.mapping import lint
from iris_exporter.mapping.conditions import CONDITIONS, PATH, PATHS
from iris_exporter.mapping.fields import Choice, Entries, Flag, Many, Number, Option, Text, named
from iris_exporter.mapping.notes import Here
from iris_exporter.mapping.objects import Key, Object, Values
from iris_exporter.mapping.operators import (
    ID,
    LABEL_NAME,
    LABELS,
    METRIC_NAME,
    SEVERITY,
    STATE,
    VALUE_TYPE,
    check_label_text,
)
from iris_exporter.mapping.paths import PathError, Root, read_each
from iris_exporter.mapping.spec import (
    AlertSpec,
    Entry,
    ErrorSpec,
    LogSpec,
    MetricKind,
    MetricSpec,
    PartSpec,
    Role,
    TimeFormat,
    TimeSpec,
    TraceSpec,
)
from iris_exporter.mapping.template_types import REPLY

_OUTSIDE = frozenset({Root.MESSAGE, Root.META})
_INSIDE = _OUTSIDE | {Root.ELEMENT, Root.KEY}
_NESTED = _INSIDE | {Root.PARENT}

REASON = Choice({name: name for name in REASONS}, "a reason of docs/failures.md")


# A metric

ALERT = Object(
    "alert",
    (
        Key("above", Number(), "the value that it must not be above"),
        Key("below", Number(), "the value that it must not be below"),
        Key("for", Option(duration(0, 86_400)), "for how long", "5m"),
        Key("severity", Choice({name: name for name in ("critical", "warning", "info")}), "how bad it is", "warning"),
        Key("summary", Text("a sentence"), "what an operator reads; `{{ $labels.NAME }}` is a label", required=True),
    ),
    lambda values: AlertSpec(
        values.get("above"),
        values.get("below"),
        values.get("for", 300.0),
        values.get("severity", "warning"),
        values.get("summary"),
    ),
    lambda values: lint.check_one_of(values, "above", "below"),
)


def _make_metric(values: Values) -> MetricSpec:
    kind: MetricKind = values.get("type")
    value = values.get("value")
    if value is None and kind is MetricKind.COUNTER:
        value = lint.ONE
    return MetricSpec(
        name=f"{values.here.namespace}_{values.get('name')}",
        kind=kind,
        value=value,
        **values.pick(
            *("help", "labels", "where", "total", "buckets", "states", "state", "required", "limit", "alert"),
            expire_seconds="expire",
        ),
    )


_STATE_NAME = Text("a word", check_label_text, MAX_LABEL_CHARS)

METRIC = Object(
    "metric",
    (
        Key("name", METRIC_NAME, "the name behind the namespace", required=True),
        Key("type", Choice({kind.value: kind for kind in MetricKind}), "what it is", required=True),
        Key("help", Text("a sentence"), "what it says, for people", required=True),
        Key("value", VALUE_TYPE, "a path, several, a number, or operators", "1, of a counter"),
        Key("total", Flag(), "the source counts itself: the value is shown, and not added", "false"),
        Key("buckets", Many(Number(), "upper bounds", most=100), "rising upper bounds of a histogram"),
        Key(
            "states",
            Many(Text("a word", check_label_text, MAX_LABEL_CHARS), "states", most=100),
            "all states of a stateset",
        ),
        Key("state", STATE, "where the state is that holds; a word that is no state is a problem"),
        Key("labels", LABELS, "labels by name, each a path, several, or operators"),
        Key("where", CONDITIONS, "what must hold for a sample"),
        Key("required", Flag(), "a missing value is a problem", "false"),
        Key("expire", Option(duration(1, 31_536_000)), "how long a series stays without a sample", "for ever"),
        Key("limit", Number(1, 1_000_000, whole=True), "how many label sets; more are dropped and counted", "1000"),
        Key("alert", ALERT, "when its value is a reason to alert"),
    ),
    _make_metric,
    lint.check_metric,
)


# A part

TIME = Object(
    "time",
    (
        Key("path", PATHS, "where the time is", required=True),
        Key("format", Choice({each.value: each for each in TimeFormat}), "how it is written", required=True),
    ),
    lambda values: TimeSpec(values.get("path"), values.get("format")),
)


def _attribute(text: str) -> str:
    if text == "iris" or text.startswith("iris.") or not text.isprintable() or not text.strip():
        raise ValueError("the name of an attribute that does not begin with iris., which the exporter's own do")
    return text


_ATTRIBUTE = Text("the name of an attribute", _attribute, 100)
LOG = Object(
    "log",
    (
        Key("body", PATHS, "the text of the record; an object or a list as JSON", required=True),
        Key("severity", SEVERITY, f"how bad it is: {', '.join(SEVERITIES)}; another word is sent as it is", "info"),
        Key("attributes", Entries(_ATTRIBUTE, PATHS, "attributes", 50), "attributes by name"),
    ),
    lambda values: LogSpec(values.get("body"), values.get("severity"), tuple((values.get("attributes") or {}).items())),
)
TRACE = Object(
    "trace",
    (Key("traceparent", PATHS, "a W3C traceparent", required=True),),
    lambda values: TraceSpec(values.get("traceparent")),
)
EACH = Text("a path with `[*]` or `.*`", read_each)

_PART_KEYS = (
    Key("each", EACH, "elements of lists ([*]) or values of an object (.*), each of which is taken by itself"),
    Key("where", CONDITIONS, "what must hold for an element; others count as filtered"),
    Key("id", ID, "identity, by which an event that comes twice is counted once; the first part must be there"),
    Key("time", TIME, "when it happened"),
    Key("forget", Entries(LABEL_NAME, PATHS, "labels", 20), "gauges, infos and statesets with these labels go"),
    Key("replace", Flag(), "the elements are the whole truth: series of this part that they do not name go", "false"),
    Key("metrics", Many(METRIC, "metrics"), "what is made of it"),
    Key("log", LOG, "a log record over OTLP for each new event"),
    Key("trace", TRACE, "a span over OTLP, linked to the source's, for each new event"),
)
_PART_NAMES = frozenset(key.name for key in _PART_KEYS)


def _inside(table: Table, here: Here) -> Here:
    """What paths of a part may begin with: with `each` an element, with a nested one what is around it, too."""
    node = table.entries.get("each")
    if node is None:
        return here
    try:
        depth = read_each(node.text or "").depth if isinstance(node, Scalar) else 2
    except PathError:
        depth = 2  # which is reported, and nothing that follows from it
    return replace(here, roots=_INSIDE if depth == 1 else _NESTED)


def _make_part(values: Values) -> PartSpec:
    forget = tuple((values.get("forget") or {}).items())
    return PartSpec(forget=forget, **values.pick(*_PART_NAMES - {"forget"}))


PART = Object("part", _PART_KEYS, _make_part, inside=_inside)


# An entry

ERROR = Object(
    "error",
    (
        Key("code", PATHS, "the code of the error"),
        Key("message", PATHS, "what the source says"),
        Key("retry-after", PATHS, "how many seconds to wait"),
        Key("as", REASON, "the reason that it is, which decides what is done", "misconfigured"),
    ),
    lambda values: ErrorSpec(
        values.get("code"), values.get("message"), values.get("retry-after"), values.get("as", "misconfigured")
    ),
)


_WORD = named("a word of lower-case letters, digits, dashes and underscores", "[a-z0-9]+(?:[_-]+[a-z0-9]+)*", 50)


def _kind(text: str) -> str:
    if text == "other":
        raise ValueError("another word: other are the messages that no entry takes")
    _WORD.check(text)
    return text


_KIND = Text(_WORD.syntax, _kind, 50, _WORD.pattern)


def _check_entry(values: Values) -> None:
    role: Role | None = values.get("role", Role.EVENT)
    values.together("text", "when", "json-text", "each")
    if role is None:
        return
    if role not in (Role.EVENT, Role.STATE):
        for name in (*(key.name for key in _PART_KEYS), "parts"):
            if name in values:
                values.at(name).problem(f"{name} of a message of role {role}", "it with role event or state alone")
    if role is Role.STATE:
        lint.check_unlogged(values)
    if "error" in values and role is not Role.ERROR:
        values.at("error").problem(f"error of a message of role {role}", "it with role error alone")


def _make_entry(values: Values) -> Entry:
    parts: tuple[PartSpec, ...] = values.get("parts") or ()
    if any(name in values for name in _PART_NAMES):
        first = _make_part(values)
        values.here.notes.made[id(first)] = (first, values.here)
        parts = (first, *parts)
    role = values.get("role", Role.EVENT)
    error = values.get("error") or (ErrorSpec(None, None, None, "misconfigured") if role is Role.ERROR else None)
    return Entry(
        role=role,
        parts=parts,
        error=error,
        **values.pick("kind", "text", "when", "json-text", "reply", events="event"),
    )


_ROLES: dict[str, Any] = {role.value: role for role in Role}

ENTRY = Object(
    "message",
    (
        Key("kind", _KIND, "the value of the label message_type", required=True),
        Key("role", Choice(_ROLES), "what the message is for", "event"),
        Key("event", Many(Text("a name", most=200), "names", single=True), "names of server-sent events", outside=True),
        Key("text", Text("a text", most=1_000), "this very text, which is no JSON"),
        Key("when", CONDITIONS, "what must hold for the entry to take the message", outside=True),
        Key("json-text", Many(PATH, "paths", single=True, most=10), "places that hold JSON as text", outside=True),
        Key("reply", REPLY, "what is sent at once when such a message arrives, such as a pong", outside=True),
        Key("error", ERROR, "where the error is described, for role error", outside=True),
        *_PART_KEYS,
        Key("parts", Many(PART, "parts", most=50), "further groups from the same message", outside=True),
    ),
    _make_entry,
    _check_entry,
    _inside,
)
MESSAGES = Many(ENTRY, "messages", most=200)
