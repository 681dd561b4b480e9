"""What the decoder has read, in units of the model, as objects of the wire. Pure. What is not known stays absent."""

from typing import Any

import msgspec

from iris_exporter.backend import objects
from iris_exporter.backend.objects import iso_time
from iris_exporter.decoding import messages

_DIGITS = 9
"""Of a product, so that 0.874 is 87.4 and not 87.39999999999999."""

_metadata_decoder = msgspec.json.Decoder(dict[str, Any])


def metrics(found: messages.Metrics | None) -> objects.Metrics | None:
    """The figures; None when there is not a single one."""
    if found is None or found == messages.Metrics():
        return None
    return objects.Metrics(
        total_projects=_count(found.projects),
        healthy_projects=_count(found.healthy_projects),
        warning_projects=_count(found.warning_projects),
        critical_projects=_count(found.critical_projects),
        total_runs_today=_count(found.runs_today),
        avg_success_rate=found.success_ratio,
        active_experts=_count(found.active_experts),
        total_reflexions=_count(found.reflexions),
    )


def project(found: messages.Project) -> objects.Project:
    """One project."""
    return objects.Project(
        id=found.id,
        name=found.name,
        status=found.status,
        health_score=_times(found.health_ratio, 100),
        last_run=_time(found.last_run_timestamp),
        total_runs=_count(found.runs),
        success_rate=found.success_ratio,
        active_experts=_count(found.active_experts),
        reflexions_count=_count(found.reflexions),
        avg_latency=_times(found.latency_seconds, 1000),
    )


def event(found: messages.Event) -> objects.Event:
    """One event."""
    return objects.Event(
        id=found.id,
        timestamp=_time(found.timestamp),
        project=found.project or None,
        event_type=found.event_type or None,
        severity=found.severity,
        message=found.message or None,
        metadata=_metadata_decoder.decode(found.metadata) or None,
    )


def anomaly(found: messages.Anomaly) -> objects.Anomaly:
    """One anomaly."""
    return objects.Anomaly(
        id=found.id,
        timestamp=_time(found.timestamp),
        project=found.project or None,
        type=found.type or None,
        severity=found.severity,
        metric=found.metric or None,
        value=found.value,
        expected=found.expected,
        deviation=found.deviation,
        description=found.description or None,
        resolved=found.resolved,
    )


def _count(value: float | None) -> float | None:
    """Counts are whole numbers on the wire, where they are."""
    return int(value) if value is not None and value.is_integer() else value


def _times(value: float | None, factor: int) -> float | None:
    return None if value is None else round(value * factor, _DIGITS)


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else iso_time(seconds)
