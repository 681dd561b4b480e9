"""JSON objects to model objects, in the stream's shape and in REST's, one table of names for each kind.

A field that cannot be used is treated as missing and noted; an element of a list that cannot be used is skipped and
noted. Nothing here raises, and nothing becomes longer than the limits allow: what becomes a label is shortened so that
different texts stay different, other texts are cut, an open object is left out. Source: the IRIS wire, section 3.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from iris_exporter.core.positions import Outcome
from iris_exporter.core.shorten import shortened
from iris_exporter.decoding import values
from iris_exporter.decoding.json_text import encode, nested_deeper
from iris_exporter.decoding.messages import Anomaly, Event, Metrics, Overview, Project
from iris_exporter.decoding.problems import Problems
from iris_exporter.decoding.trace_context import traceparent_of
from iris_exporter.decoding.values import UnusableValueError

Made = TypeVar("Made")
Converted = TypeVar("Converted")

JsonObject = Mapping[str, Any]
Field = tuple[str, tuple[str, ...], Callable[[object], object]]
"""A field of the model, its names on the wire (the first one present counts), and the conversion."""

_BY_TYPE: dict[object, Callable[[object], object]] = {
    float | None: values.count,
    int: values.whole,
    str | None: values.position,
    Outcome: values.outcome,
}
"""How the fields of messages that are nothing else are read (`fields_of`)."""

METRICS_SHARES = ("avg_success_rate", "avgSuccessRate")
_METRICS: tuple[Field, ...] = (
    ("projects", ("total_projects", "totalProjects"), values.count),
    ("healthy_projects", ("healthy_projects", "healthyProjects"), values.count),
    ("warning_projects", ("warning_projects", "warningProjects"), values.count),
    ("critical_projects", ("critical_projects", "criticalProjects"), values.count),
    ("runs_today", ("total_runs_today", "totalRunsToday"), values.count),
    ("success_ratio", METRICS_SHARES, values.ratio),
    ("active_experts", ("active_experts", "activeExperts"), values.count),
    ("reflexions", ("total_reflexions", "totalReflexions"), values.count),
)

PROJECT_ID = ("id", "project", "project_id", "projectId")
_HEALTH = ("health_score", "latestHealthScore", "healthScore")
_SUCCESS = ("success_rate", "avgSuccessRate", "successRate")
SHARES = ("overallHealth", *_HEALTH, *_SUCCESS)

_PROJECT: tuple[Field, ...] = (
    ("name", ("name", "projectName"), values.text),
    ("runs", ("total_runs", "totalRuns"), values.count),
    ("active_experts", ("active_experts", "activeExperts"), values.count),
    ("reflexions", ("reflexions_count", "totalReflexions", "reflexionsCount"), values.count),
    ("latency_seconds", ("avg_latency", "avgLatency"), values.milliseconds),
    ("last_run_timestamp", ("last_run", "lastReportDate", "lastRun"), values.timestamp_if_any),
)

EVENT_LISTS = ("events", "recentEvents", "recent_events")
_EVENT_ID = ("id", "event_id", "eventId")
_EVENT: tuple[Field, ...] = (
    ("project", ("project", "project_id", "projectId"), values.text),
    ("event_type", ("event_type", "eventType", "type"), values.text),
    ("severity", ("severity",), values.text),
    ("message", ("message", "description"), values.text),
)
_TIMESTAMP = ("timestamp", "created_at", "createdAt")

_ANOMALY: tuple[Field, ...] = (
    ("timestamp", _TIMESTAMP, values.timestamp),
    ("project", ("project", "project_id", "projectId"), values.text),
    ("type", ("type", "anomaly_type", "anomalyType"), values.text),
    ("severity", ("severity",), values.text),
    ("metric", ("metric",), values.text),
    ("value", ("value",), values.number),
    ("expected", ("expected",), values.number),
    ("deviation", ("deviation",), values.number),
    ("description", ("description", "message"), values.text),
    ("resolved", ("resolved",), values.flag),
)


READ_NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "overview": (("metrics",), ("projects",), EVENT_LISTS, ("anomalies",), ("cursor",), ("removed",)),
    "metrics": tuple(names for _, names, _ in _METRICS),
    "projects": (
        *(PROJECT_ID, ("status",), ("overallHealth",), _HEALTH, _SUCCESS),
        *(names for _, names, _ in _PROJECT),
    ),
    "events": (_EVENT_ID, _TIMESTAMP, ("metadata", "details"), *(names for _, names, _ in _EVENT)),
    "anomalies": (("id",), *(names for _, names, _ in _ANOMALY)),
}
"""Every field that is read of each kind of object, with all the names that it may have."""


def project_from(data: JsonObject, problems: Problems, percent: frozenset[str] = frozenset()) -> Project | None:
    """One project; None, and a note, when nothing identifies it.

    `percent` names the wire fields that are percentages elsewhere in the document (see `percentages`).
    """
    project_id = _identifier(data, PROJECT_ID, problems)
    if project_id is None:
        problems.add("no_id")
        return None
    known = read_fields(data, _PROJECT, problems)
    if "name" in known:
        known["name"] = _label(known["name"], "name", problems)
    # `overallHealth` is a word in some REST answers and a share in others.
    status, health = converted(data, ("status",), values.text, problems), None
    overall = data.get("overallHealth")
    if status is None and isinstance(overall, str) and overall.strip()[:1].isalpha():
        status = overall
    elif overall is not None:
        health = _share(data, ("overallHealth",), percent, problems)
    if status is not None:
        known["status"] = _label(status.strip().lower(), "status", problems) or None
    latest = _share(data, _HEALTH, percent, problems)
    known["health_ratio"] = health if latest is None else latest
    known["success_ratio"] = _share(data, _SUCCESS, percent, problems)
    return Project(id=project_id, **known)


def percentages(projects: object) -> frozenset[str]:
    """The share fields that count from 0 to 100 in these projects, by wire name.

    One source writes a field one way in all objects of a document, so one value above 1 shows what the others mean:
    health scores of 87, 92 and 1 are 87 %, 92 % and 1 %. Different fields may well differ.
    """
    objects = [project for project in projects if isinstance(project, dict)] if isinstance(projects, list) else []
    return frozenset(name for data in objects for name in SHARES if name in data and values.is_percentage(data[name]))


def event_from(
    data: JsonObject,
    problems: Problems,
    timestamp: float | None = None,
    event_type: str | None = None,
    traceparent: object = None,
) -> Event:
    """One event; without an id it gets one made from timestamp, project, type and message.

    `timestamp` (the envelope's) stands in for a missing one of its own. `event_type` is the type that the envelope
    names in the older socket's shape; the whole object is the metadata then, unless it has some of its own.
    `traceparent` is the envelope's.
    """
    own = converted(data, _TIMESTAMP, values.timestamp, problems)
    known = read_fields(data, _EVENT, problems)
    if event_type is not None:
        known["event_type"] = event_type
    if "severity" in known:
        known["severity"] = known["severity"].strip().lower() or "info"
    _shorten(known, ("event_type", "severity"), "message", problems)
    own = timestamp if own is None else own
    event_id = _identifier(data, _EVENT_ID, problems) or values.made_id(
        "" if own is None else repr(own),
        known.get("project", ""),
        known.get("event_type", ""),
        known.get("message", ""),
    )
    metadata = _metadata(data, event_type is not None, problems)
    context = traceparent_of(metadata, traceparent)
    return Event(id=event_id, timestamp=own, metadata=metadata, traceparent=context, **known)


def anomaly_from(data: JsonObject, problems: Problems) -> Anomaly:
    """One anomaly; without an id it gets one made from project, type and metric, the same when it is resolved."""
    known = read_fields(data, _ANOMALY, problems)
    if "severity" in known:
        known["severity"] = known["severity"].strip().lower() or "info"
    _shorten(known, ("severity", "type", "metric"), "description", problems)
    anomaly_id = _identifier(data, ("id",), problems) or values.made_id(
        *(known.get(name, "") for name in ("project", "type", "metric"))
    )
    return Anomaly(id=anomaly_id, **known)


def overview_from(data: JsonObject, problems: Problems, timestamp: float | None = None) -> Overview:
    """An overview, whole or partial: every part that is present and has the right JSON type."""
    base = problems.base
    metrics = data.get("metrics")
    if isinstance(metrics, dict):
        problems.base = f"{base}.metrics"
        figures = Metrics(**read_fields(metrics, _METRICS, problems))
        problems.base = base
    else:
        figures = None
        if metrics is not None:
            problems.add("not_an_object", "metrics")
    percent = percentages(data.get("projects"))
    return Overview(
        metrics=figures,
        projects=_each(data, ("projects",), lambda element: project_from(element, problems, percent), problems),
        events=_each(data, EVENT_LISTS, lambda element: event_from(element, problems, timestamp), problems),
        anomalies=_each(data, ("anomalies",), lambda element: anomaly_from(element, problems), problems),
        cursor=_identifier(data, ("cursor",), problems),
        removed=_removed(data, problems),
    )


def _removed(data: JsonObject, problems: Problems) -> tuple[str, ...] | None:
    """The ids of projects in `removed: {projects: [...]}`; None without such a list."""
    removed = data.get("removed")
    found = removed.get("projects") if isinstance(removed, dict) else removed
    if not isinstance(found, list):
        if found is not None:
            problems.add("wrong_type", "removed")
        return None
    ids = (_identifier({"removed": each}, ("removed",), problems) for each in found)
    return tuple(each for each in ids if each is not None)


def _each(
    data: JsonObject, names: tuple[str, ...], make: Callable[[JsonObject], Made | None], problems: Problems
) -> tuple[Made, ...] | None:
    """What `make` makes of the objects in the first list present, leaving out None; None without a list."""
    name = next((name for name in names if data.get(name) is not None), None)
    if name is None:
        return None
    found = data[name]
    if not isinstance(found, list):
        problems.add("wrong_type", name)
        return None
    base, made = problems.base, []
    for index, element in enumerate(found):
        problems.base = f"{base}.{name}[{index}]"
        result = None
        if isinstance(element, dict):
            result = make(element)
        else:
            problems.add("not_an_object")
        if result is not None:
            made.append(result)
    problems.base = base
    return tuple(made)


def fields_of(kind: type[msgspec.Struct]) -> tuple[Field, ...]:
    """The fields of a message that has those of its struct: named as there, in camel case or not, and read by type."""
    return tuple(
        (field.name, (_camel_case(field.name), field.name), _BY_TYPE[field.type])
        for field in msgspec.structs.fields(kind)
    )


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def read_fields(data: JsonObject, fields: Iterable[Field], problems: Problems) -> dict[str, Any]:
    """The fields that are present and usable, by their names in the model."""
    read = ((name, converted(data, names, convert, problems)) for name, names, convert in fields)
    return {name: value for name, value in read if value is not None}


def converted(
    data: JsonObject, names: Iterable[str], convert: Callable[[object], Converted | None], problems: Problems
) -> Converted | None:
    """The first of `names` that is present and not null, converted; None without one, and for one that is unusable."""
    for name in names:
        value = data.get(name)
        if value is not None:
            try:
                return convert(value)
            except UnusableValueError as error:
                problems.add(error.reason, name)
                return None
    return None


def _share(data: JsonObject, names: Iterable[str], percent: frozenset[str], problems: Problems) -> float | None:
    for name in names:
        if data.get(name) is not None:
            return converted(data, (name,), values.percentage if name in percent else values.ratio, problems)
    return None


def _identifier(data: JsonObject, names: Iterable[str], problems: Problems) -> str | None:
    """The first usable id among `names`."""
    found = (converted(data, (name,), values.identifier, problems) for name in names)
    return next((identifier for identifier in found if identifier is not None), None)


def _shorten(known: dict[str, Any], labels: Iterable[str], words: str, problems: Problems) -> None:
    """Hold the texts of an event or an anomaly to the limits; `words` is the field that people read."""
    project = known.get("project", "")
    if len(project) > values.MAX_ID_CHARS:
        # As the id of the project itself is, so that the two can be joined.
        problems.add("too_long", "project")
        known["project"] = values.made_id(project)
    for name in labels:
        if name in known:
            known[name] = _label(known[name], name, problems)
    if len(known.get(words, "")) > problems.limits.max_event_bytes:
        problems.add("too_long", words)
        known[words] = known[words][: problems.limits.max_event_bytes]


def _label(text: str, field: str, problems: Problems) -> str:
    if len(text) > values.MAX_LABEL_CHARS:
        problems.add("too_long", field)
    return shortened(text, values.MAX_LABEL_CHARS)


def _metadata(data: JsonObject, whole: bool, problems: Problems) -> bytes:
    """The open object of an event as JSON; `whole` takes the event itself where it has none."""
    field = next((name for name in ("metadata", "details") if data.get(name) is not None), "")
    found = data[field] if field else data if whole else {}
    if not isinstance(found, dict):
        problems.add("not_an_object", field)
        return b"{}"
    limits = problems.limits
    try:
        encoded = encode(found)
    except RecursionError:
        encoded = None
    if encoded is None or nested_deeper(encoded, limits.max_json_depth):
        problems.add("too_deep", field)
    elif len(encoded) > limits.max_event_bytes:
        problems.add("too_long", field)
    else:
        return encoded
    return b"{}"
