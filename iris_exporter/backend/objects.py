"""The objects that an IRIS backend sends, in the shape of its streams.

Field names and meanings follow section 3 of the wire description in `docs/protocol.md`. Shares of success run from 0
to 1, health scores from 0 to 100, latencies are milliseconds, timestamps are ISO 8601 in UTC with milliseconds. What
is None is not known, and is not sent.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec


class Metrics(msgspec.Struct, frozen=True, omit_defaults=True):
    """The eight figures of a whole installation; `avg_success_rate` is 0 to 1, weighted by the runs of each project."""

    total_projects: float | None = None
    healthy_projects: float | None = None
    warning_projects: float | None = None
    critical_projects: float | None = None
    total_runs_today: float | None = None
    avg_success_rate: float | None = None
    active_experts: float | None = None
    total_reflexions: float | None = None


class Project(msgspec.Struct, frozen=True, omit_defaults=True):
    """One project; `status` is healthy, warning or critical, `avg_latency` in milliseconds."""

    id: str
    name: str | None = None
    status: str | None = None
    health_score: float | None = None
    last_run: str | None = None
    total_runs: float | None = None
    success_rate: float | None = None
    active_experts: float | None = None
    reflexions_count: float | None = None
    avg_latency: float | None = None


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Something that happened in `project`; the id is opaque and never used again, not even after a restart."""

    id: str
    timestamp: str | None = None
    project: str | None = None
    event_type: str | None = None
    severity: str | None = None
    message: str | None = None
    metadata: dict[str, Any] | None = None


class Anomaly(msgspec.Struct, frozen=True, omit_defaults=True):
    """A figure that left its expected range; `deviation` is in percent of `expected`, `resolved` once it came back."""

    id: str
    timestamp: str | None = None
    project: str | None = None
    type: str | None = None
    severity: str | None = None
    metric: str | None = None
    value: float | None = None
    expected: float | None = None
    deviation: float | None = None
    description: str | None = None
    resolved: bool | None = None


def iso_time(seconds: float) -> str:
    """Format seconds since the Unix epoch as the wire does: `2025-01-02T03:04:05.678Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def members(found: Metrics | Project | Event | Anomaly, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The members that an object has on the wire, only those in `names` unless that is None."""
    wanted = found.__struct_fields__ if names is None else names
    return {name: value for name in wanted if (value := getattr(found, name)) is not None}


def deployed_project(project: Project) -> dict[str, object]:
    """Return a project as the deployed REST interface spells it: `avgSuccessRate` is 0 to 100 there."""
    share = project.success_rate
    values = {
        "project": project.id,
        "overallHealth": project.status,
        "latestHealthScore": project.health_score,
        "lastReportDate": project.last_run,
        "totalRuns": project.total_runs,
        "avgSuccessRate": None if share is None else round(100 * share, 1),
        "activeExperts": project.active_experts,
        "totalReflexions": project.reflexions_count,
    }
    return {name: value for name, value in values.items() if value is not None}


def deployed_event(event: Event) -> dict[str, object]:
    """Return an event as the deployed REST interface spells it: `details` where the stream says `metadata`."""
    values = members(event)
    if "metadata" in values:
        values["details"] = values.pop("metadata")
    return values
