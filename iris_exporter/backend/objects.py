"""The objects that an IRIS backend sends, in the shape of its streams.

Field names and meanings follow section 3 of the wire description in `docs/protocol.md`. Shares of success run from 0
to 1, health scores from 0 to 100, latencies are milliseconds, timestamps are ISO 8601 in UTC with milliseconds.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec


class Metrics(msgspec.Struct, frozen=True):
    """The eight figures of a whole installation; `avg_success_rate` is 0 to 1, weighted by the runs of each project."""

    total_projects: int
    healthy_projects: int
    warning_projects: int
    critical_projects: int
    total_runs_today: int
    avg_success_rate: float
    active_experts: int
    total_reflexions: int


class Project(msgspec.Struct, frozen=True):
    """One project; `status` is healthy, warning or critical, `avg_latency` in milliseconds."""

    id: str
    name: str
    status: str
    health_score: float
    last_run: str | None
    total_runs: int
    success_rate: float
    active_experts: int
    reflexions_count: int
    avg_latency: float


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that happened in `project`; the id is opaque and never used again, not even after a restart."""

    id: str
    timestamp: str
    project: str
    event_type: str
    severity: str
    message: str
    metadata: dict[str, Any]


class Anomaly(msgspec.Struct, frozen=True):
    """A figure that left its expected range; `deviation` is in percent of `expected`, `resolved` once it came back."""

    id: str
    timestamp: str
    project: str
    type: str
    severity: str
    metric: str
    value: float
    expected: float
    deviation: float
    description: str
    resolved: bool


def iso_time(seconds: float) -> str:
    """Format seconds since the Unix epoch as the wire does: `2025-01-02T03:04:05.678Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def deployed_project(project: Project) -> dict[str, object]:
    """Return a project as the deployed REST interface spells it: `avgSuccessRate` is 0 to 100 there."""
    return {
        "project": project.id,
        "overallHealth": project.status,
        "latestHealthScore": project.health_score,
        "lastReportDate": project.last_run,
        "totalRuns": project.total_runs,
        "avgSuccessRate": round(100 * project.success_rate, 1),
        "activeExperts": project.active_experts,
        "totalReflexions": project.reflexions_count,
    }


def deployed_event(event: Event) -> dict[str, object]:
    """Return an event as the deployed REST interface spells it: `details` where the stream says `metadata`."""
    values = msgspec.structs.asdict(event)
    values["details"] = values.pop("metadata")
    return values
