"""What one message says, after decoding: typed, in base units, missing fields as None.

Seconds, ratios 0 to 1, Unix timestamps. Source of every field: the IRIS wire, section 3.
"""

import msgspec


class Metrics(msgspec.Struct, frozen=True, gc=False):
    """The headline figures; None means that this message did not carry the field."""

    projects: float | None = None
    healthy_projects: float | None = None
    warning_projects: float | None = None
    critical_projects: float | None = None
    runs_today: float | None = None
    success_ratio: float | None = None
    active_experts: float | None = None
    reflexions: float | None = None


class Project(msgspec.Struct, frozen=True):
    """One project; the stream shape and the REST shape end up here alike.

    `status` is as sent, lower-cased; `last_run_timestamp` is None too when the source sent free text.
    """

    id: str
    name: str | None = None
    status: str | None = None
    health_ratio: float | None = None
    success_ratio: float | None = None
    runs: float | None = None
    active_experts: float | None = None
    reflexions: float | None = None
    latency_seconds: float | None = None
    last_run_timestamp: float | None = None


class Event(msgspec.Struct, frozen=True):
    """One event. `metadata` is the JSON object as sent (`{}` when absent)."""

    id: str
    timestamp: float | None = None
    project: str = ""
    event_type: str = ""
    severity: str = "info"
    message: str = ""
    metadata: bytes = b"{}"


class Anomaly(msgspec.Struct, frozen=True):
    """One anomaly; an unresolved one is shown, a resolved one is dropped from the model."""

    id: str
    timestamp: float | None = None
    project: str = ""
    type: str = ""
    severity: str = "info"
    metric: str = ""
    value: float | None = None
    expected: float | None = None
    deviation: float | None = None
    description: str = ""
    resolved: bool = False


class Overview(msgspec.Struct, frozen=True):
    """State, whole or partial: a stream's `update` or `telemetry`, or a REST document.

    None means "not said"; an empty tuple means "said to be empty". `cursor` is the source's position after this
    document (docs/protocol.md), None where the source has none.
    """

    metrics: Metrics | None = None
    projects: tuple[Project, ...] | None = None
    events: tuple[Event, ...] | None = None
    anomalies: tuple[Anomaly, ...] | None = None
    cursor: str | None = None
