"""What a sidecar sends, at one time."""

from datetime import UTC, datetime
from typing import Any

from iris_exporter.watch.view.objects import (
    Delay,
    EventObject,
    MetricsObject,
    OverviewObject,
    ProjectObject,
    Snapshot,
    StreamFailure,
    StreamObject,
)

NOW = 1_700_000_000.0


def at(seconds: float) -> datetime:
    """A time so many seconds after `NOW`."""
    return datetime.fromtimestamp(NOW + seconds, UTC)


def stream(name: str = "main", **changes: Any) -> StreamObject:
    """A live stream."""
    values: dict[str, Any] = {
        "url": "https://iris.test/api/stream", "state": "live", "protocol": "websocket", "encoding": "protobuf",
        "compression": "deflate", "data_flow": "flowing", "last_update": at(-2), "last_message": at(-1),
        "state_changed_at": at(-180), "messages_total": 500, "delay": Delay(400, 20.0),
        "extensions": ["batch", "delta"], "last_resume": "full",
    }  # fmt: skip
    return StreamObject(name, **{**values, **changes})


def connecting(name: str = "main", **changes: Any) -> StreamObject:
    """One whose third attempt has failed."""
    return failing(name, "connecting", "connection_refused", "iris.test:443", **changes)


def polling(name: str = "main", **changes: Any) -> StreamObject:
    """One whose attempts are used up."""
    values = {"protocol": "poll", "data_flow": "flowing", "reconnect_attempt": 10, "next_attempt_at": at(285)}
    return failing(name, "polling", "upgrade_refused", "HTTP status 426", **{**values, **changes})


def refused(name: str = "main", **changes: Any) -> StreamObject:
    """One whose key is not valid."""
    values = {"next_attempt_at": at(285), "reconnect_attempt": 1}
    return failing(name, "error", "unauthorized", "HTTP status 401", **{**values, **changes})


def failing(name: str, state: str, reason: str, detail: str, **changes: Any) -> StreamObject:
    """One with a failure."""
    values: dict[str, Any] = {
        "state": state, "protocol": "none", "encoding": "none", "compression": "none", "data_flow": None,
        "reconnect_attempt": 3, "next_attempt_at": at(12), "error": f"{reason}: {detail}", "extensions": None,
        "failure": StreamFailure(reason, at(-30)), "last_failure_at": at(-6), "state_changed_at": at(-30),
    }  # fmt: skip
    return stream(name, **{**values, **changes})


def event(number: int, **changes: Any) -> EventObject:
    """An event, as many seconds old as an hour has less `number`."""
    values: dict[str, Any] = {
        "stream": "main", "timestamp": at(number - 3600), "project": "checkout", "event_type": "evaluation",
        "severity": ("info", "warning", "error", "critical")[number % 4], "message": f"evaluation {number} finished",
    }  # fmt: skip
    return EventObject(f"e{number}", **{**values, **changes})


def metrics(**changes: Any) -> MetricsObject:
    """The figures of the cards."""
    values = {"total_runs_today": 347.0, "avg_success_rate": 0.924, "active_experts": 17.0, "total_projects": 3.0}
    return MetricsObject(**{**values, **changes})


def project(name: str, status: str = "healthy", **changes: Any) -> ProjectObject:
    """A project."""
    values: dict[str, Any] = {
        "name": name.capitalize(), "success_rate": 0.945, "health_score": 0.9, "total_runs": 7234.0,
        "active_experts": 5.0, "avg_latency_seconds": 0.814,
    }  # fmt: skip
    return ProjectObject(name, **{"status": status, **values, **changes})


def overview(*events: EventObject, **changes: Any) -> OverviewObject:
    """What the source is believed to be."""
    values: dict[str, Any] = {
        "stream": "main", "last_update": at(-2), "metrics": metrics(),
        "projects": [project("checkout"), project("fraud", "critical", success_rate=0.6), project("search", "warning")],
    }  # fmt: skip
    return OverviewObject(**{**values, "events": list(events), **changes})


def snapshot(*streams: StreamObject, **changes: Any) -> Snapshot:
    """The first message."""
    return Snapshot(list(streams), **changes)
