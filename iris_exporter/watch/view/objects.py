"""The objects of the sidecar's API, as far as they are shown. Source: docs/http.md, docs/openapi-exporter.yaml.

Unknown keys are ignored and missing ones have defaults, so that a sidecar of another version can be watched.
"""

from datetime import datetime

import msgspec


class StreamFailure(msgspec.Struct, frozen=True):
    """Why a stream is not as wished."""

    reason: str = "other"
    since: datetime | None = None


class Delay(msgspec.Struct, frozen=True):
    """Delays of messages since the start."""

    count: float = 0
    sum_seconds: float = 0.0


class StreamObject(msgspec.Struct, frozen=True):
    """One stream as it is now."""

    name: str
    url: str = ""
    protocol: str = "none"
    state: str = "connecting"
    reconnect_attempt: int = 0
    next_attempt_at: datetime | None = None
    last_update: datetime | None = None
    error: str | None = None
    failure: StreamFailure | None = None
    last_failure_at: datetime | None = None
    state_changed_at: datetime | None = None
    data_flow: str | None = None
    encoding: str = "none"
    compression: str = "none"
    extensions: list[str] | None = None
    last_message: datetime | None = None
    messages_total: float = 0
    event_gaps_total: float = 0
    last_resume: str | None = None
    delay: Delay = Delay()


class EventObject(msgspec.Struct, frozen=True):
    """One event. `stream` is empty in an overview; `metadata` is a JSON object as its source sent it."""

    id: str
    stream: str = ""
    timestamp: datetime | None = None
    project: str = ""
    event_type: str = ""
    severity: str = "info"
    message: str = ""
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


class ProjectObject(msgspec.Struct, frozen=True):
    """One project; shares are 0 to 1."""

    id: str
    name: str | None = None
    status: str | None = None
    health_score: float | None = None
    success_rate: float | None = None
    total_runs: float | None = None
    active_experts: float | None = None
    avg_latency_seconds: float | None = None


class MetricsObject(msgspec.Struct, frozen=True):
    """The figures of the four cards."""

    total_runs_today: float | None = None
    avg_success_rate: float | None = None
    active_experts: float | None = None
    total_projects: float | None = None


class OverviewObject(msgspec.Struct, frozen=True):
    """What a source is believed to be; `events` are the newest first."""

    stream: str = ""
    stale: bool = False
    last_update: datetime | None = None
    metrics: MetricsObject | None = None
    projects: list[ProjectObject] = []
    events: list[EventObject] = []


class Snapshot(msgspec.Struct, frozen=True):
    """The first message of a connection, and again when streams come or go.

    `resumed` is None where no position was given; `missed` is None where nobody knows the number.
    """

    streams: list[StreamObject]
    resumed: str | None = None
    missed: int | None = None


class Lost(msgspec.Struct, frozen=True):
    """So many events are gone because they were read too slowly."""

    events: int


Followed = Snapshot | StreamObject | EventObject | Lost
"""A message of `/api/v1/follow`."""
MESSAGES: dict[str, type[Followed]] = {
    "snapshot": Snapshot,
    "state": StreamObject,
    "event": EventObject,
    "lost": Lost,
}
"""By the name of the server-sent event."""
