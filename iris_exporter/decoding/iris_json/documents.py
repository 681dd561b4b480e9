"""REST documents of every shape to one overview.

Known shapes: `{metrics, projects, events, anomalies}`; the same, or a list, wrapped as
`{success, data, count, projectId, timestamp}`; a bare list of projects, events or anomalies; a single one of them.
What an element of a bare list is follows from the fields that only its kind has. Source: the IRIS wire, section 1.
"""

from collections.abc import Mapping
from typing import Any

from iris_exporter.decoding.iris_json.objects import overview_from
from iris_exporter.decoding.messages import Metrics, Overview
from iris_exporter.decoding.problems import Problems
from iris_exporter.errors import DecodeError

_OVERVIEW = frozenset({"metrics", "projects", "events", "recentEvents", "recent_events", "anomalies"})
_ANOMALY = frozenset({"metric", "deviation", "expected", "resolved"})
_EVENT = frozenset({"event_type", "eventType", "message"})
# A lone object with a message and nothing else of an event is a report of the health of a source, or of a failure.
_IDENTIFIED = frozenset({"id", "event_type", "eventType", "timestamp", "project"})
_PROJECT = frozenset({
    "health_score", "total_runs", "success_rate", "avg_latency", "last_run", "reflexions_count",
    "overallHealth", "latestHealthScore", "lastReportDate", "totalRuns", "avgSuccessRate", "totalReflexions",
    "status",
})  # fmt: skip


def overview_of(document: Any, problems: Problems) -> Overview:
    """The overview that a parsed REST document means. Any part of it may be missing or empty; so may all of it.

    Raises:
        DecodeError: `not_an_object`, `unknown_shape` (it has content, and nothing of it can be used), `upstream_error`
            (`success` or `ok` is false).
    """
    payload, _ = payload_of(document, problems)
    overview = overview_from(payload, problems)
    problems.base = "$"
    if not _is_of_use(payload, overview):
        raise DecodeError("unknown_shape", "$", "nothing in it is a figure, a project, an event or an anomaly")
    return overview


def payload_of(document: Any, problems: Problems) -> tuple[dict[str, Any], str]:
    """What of a document is the overview, in the form of one, and a word for its shape. Raises DecodeError."""
    problems.base = "$"
    if not isinstance(document, (dict, list)):
        raise DecodeError("not_an_object", "$", "neither an object nor a list")
    cursor, payload, shape = None, document, "overview"
    if isinstance(document, dict):
        for name in ("success", "ok"):
            if document.get(name) is False:
                raise DecodeError("upstream_error", f"$.{name}", str(document.get("error") or "no reason given")[:200])
        if _OVERVIEW.isdisjoint(document) and isinstance(document.get("data"), (dict, list)):
            payload = document["data"]
            cursor = document.get("cursor")
            problems.base, shape = "$.data", "overview in data"
    if isinstance(payload, list):
        shape = "list in data" if payload is not document else "list"
        elements = payload
        payload = _sorted_by_kind(elements, problems)
        if elements and not payload:
            raise DecodeError("unknown_shape", problems.base, "no element is a project, an event or an anomaly")
    elif payload and _OVERVIEW.isdisjoint(payload):
        single = _kind_of(payload)
        if single is None or (single == "events" and _IDENTIFIED.isdisjoint(payload)):
            raise DecodeError("unknown_shape", problems.base, "no metrics, projects, events or anomalies")
        payload, shape = {single: [payload]}, "single object"
    if cursor is not None:
        payload = {**payload, "cursor": cursor}
    return payload, shape


def _is_of_use(payload: Mapping[str, Any], overview: Overview) -> bool:
    """Whether anything in a document could be read, or all of it is empty."""
    parts = [payload[name] for name in _OVERVIEW if payload.get(name) is not None]
    if not parts or any(part in ({}, []) for part in parts):
        return True
    figures = overview.metrics is not None and overview.metrics != Metrics()
    return bool(figures or overview.projects or overview.events or overview.anomalies)


def _sorted_by_kind(elements: list[Any], problems: Problems) -> dict[str, list[Any]]:
    """A bare list as the overview it would be part of, whose paths later problems have; the rest is noted."""
    sorted_: dict[str, list[Any]] = {}
    for index, element in enumerate(elements):
        found = _kind_of(element) if isinstance(element, dict) else None
        if found is None:
            problems.add("unknown_shape", f"[{index}]")
        else:
            sorted_.setdefault(found, []).append(element)
    return sorted_


def _kind_of(element: Mapping[str, Any]) -> str | None:
    if not _EVENT.isdisjoint(element):
        # An anomaly may have a message, but an event has no expectation that it deviates from.
        return "anomalies" if "event_type" not in element and not _ANOMALY.isdisjoint(element) else "events"
    if not _ANOMALY.isdisjoint(element):
        return "anomalies"
    return None if _PROJECT.isdisjoint(element) else "projects"
