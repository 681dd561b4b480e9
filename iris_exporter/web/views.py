"""What the JSON API answers: plain values made of a status and a snapshot. Described for users in docs/http.md."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from iris_exporter.core.limits import DEFAULT_LIMITS
from iris_exporter.core.status import LinkStatus, State
from iris_exporter.decoding.messages import Anomaly, Event, Metrics, Project
from iris_exporter.instruments import catalog
from iris_exporter.logs import redact
from iris_exporter.model.snapshot import Snapshot
from iris_exporter.streams.stream import Stream
from iris_exporter.web.context import HttpError

EVENT_LIMIT = 50
"""Events in an answer that names no number: what the activity feed shows. Source: the IRIS wire, section 4."""
SEVERITIES = frozenset({*catalog.SEVERITIES, "low", "medium", "high"})  # the latter from REST
"""What may be asked for besides what is in the feed."""


def bad_parameter(name: str, value: str, expected: str) -> HttpError:
    """A parameter of the query that cannot be used."""
    sentence = f"{name}: got {value!r}, expected {expected}"
    return HttpError(400, sentence, details={"parameter": name, "expected": expected})


def timestamp(seconds: float | None) -> str | None:
    """RFC 3339 in UTC with milliseconds; None for never, and for a time that no calendar has."""
    if seconds is None:
        return None
    try:
        time = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stream_object(stream: Stream) -> dict[str, Any]:
    """One stream with the keys of the contract; all times RFC 3339 or null."""
    status, snapshot = stream.status(), stream.snapshot()
    delay = stream.instruments.histogram(catalog.MESSAGE_DELAY)
    return {
        "name": stream.name,
        "url": stream.url,
        "protocol": status.protocol,
        "state": status.state.value,
        "is_connected": status.state is State.LIVE,
        "is_connecting": status.state is State.CONNECTING,
        "using_fallback": status.state is State.POLLING,
        "reconnect_attempt": 0 if status.state is State.LIVE else status.attempt,
        "next_attempt_at": timestamp(status.next_attempt_at),
        "last_update": timestamp(snapshot.last_data_timestamp),
        "error": None if status.failure is None else redact(str(status.failure)),
        "failure": _failure(status),
        "last_failure_at": timestamp(status.last_failure_at),
        "state_changed_at": timestamp(status.state_changed_at),
        "data_flow": snapshot.flow.value if status.state in (State.LIVE, State.POLLING) else None,
        "encoding": status.encoding,
        "compression": status.compression,
        "extensions": None if status.extensions is None else sorted(status.extensions),
        "last_message": timestamp(status.last_message),
        "messages_total": stream.instruments.counter(catalog.MESSAGES).total,
        "event_gaps_total": stream.instruments.counter(catalog.EVENT_GAPS).total,
        "last_resume": stream.last_resume,
        "delay": {"count": delay.total, "sum_seconds": delay.sum},
    }


def _failure(status: LinkStatus) -> dict[str, Any] | None:
    """Why the stream is not as wished, without the detail, which `error` has."""
    if status.failure is None:
        return None
    return {"reason": status.failure.listed_reason, "since": timestamp(status.failing_since)}


def overview_object(snapshot: Snapshot) -> dict[str, Any]:
    """The whole snapshot in the names of the wire and in base units."""
    return {
        "stream": snapshot.stream,
        "stale": snapshot.stale,
        "last_update": timestamp(snapshot.last_data_timestamp),
        "metrics": None if snapshot.metrics is None else _metrics(snapshot.metrics),
        "projects": [_project(project) for project in snapshot.projects],
        "events": [event_object(event) for event in snapshot.events],
        "anomalies": [_anomaly(anomaly) for anomaly in snapshot.anomalies],
    }


def select_events(snapshot: Snapshot, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """The newest events first, by the query parameters `limit`, `severity` and `project`.

    Raises HttpError. A project that is not known has no events; a severity that neither the wire nor the feed
    knows is taken for a mistake.
    """
    # A stream that keeps few events has no more to show, but a client need not know that.
    most = max(snapshot.max_events, DEFAULT_LIMITS.max_events)
    text = query.get("limit", str(EVENT_LIMIT))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(most)) else 0
    if not 1 <= limit <= most:
        raise bad_parameter("limit", text, f"a whole number from 1 to {most}")
    severity = query.get("severity")
    if severity is not None:
        known = {*SEVERITIES, *(event.severity for event in snapshot.events)}
        if severity not in known:
            raise bad_parameter("severity", severity, f"one of {', '.join(sorted(known))}")
    project = query.get("project")
    if project == "":
        raise bad_parameter("project", project, "the id of a project")
    chosen = (
        event
        for event in snapshot.events
        if (severity is None or event.severity == severity) and (project is None or event.project == project)
    )
    return [event_object(event) for event, _ in zip(chosen, range(limit), strict=False)]


def event_object(event: Event) -> dict[str, Any]:
    """One event as on the wire; `metadata` is passed on as it came."""
    return {
        "id": event.id,
        "timestamp": timestamp(event.timestamp),
        "project": event.project,
        "event_type": event.event_type,
        "severity": event.severity,
        "message": event.message,
        "metadata": msgspec.Raw(event.metadata),
    }


def _metrics(metrics: Metrics) -> dict[str, Any]:
    return {
        "total_projects": metrics.projects,
        "healthy_projects": metrics.healthy_projects,
        "warning_projects": metrics.warning_projects,
        "critical_projects": metrics.critical_projects,
        "total_runs_today": metrics.runs_today,
        "avg_success_rate": metrics.success_ratio,
        "active_experts": metrics.active_experts,
        "total_reflexions": metrics.reflexions,
    }


def _project(project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "name": project.name,
        "status": project.status,
        "health_score": project.health_ratio,
        "success_rate": project.success_ratio,
        "total_runs": project.runs,
        "active_experts": project.active_experts,
        "reflexions_count": project.reflexions,
        "avg_latency_seconds": project.latency_seconds,
        "last_run": timestamp(project.last_run_timestamp),
    }


def _anomaly(anomaly: Anomaly) -> dict[str, Any]:
    return {**msgspec.structs.asdict(anomaly), "timestamp": timestamp(anomaly.timestamp)}
