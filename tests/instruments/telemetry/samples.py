"""Records to be exported."""

from iris_exporter.decoding.messages import Event
from iris_exporter.instruments.telemetry.records import Arrival, EventRecord, SpanContext

CONTEXT = SpanContext(b"\1" * 16, b"\2" * 8, True)
NOW = 1_700_000_100.25


def event_record(identifier: str, **changes: object) -> EventRecord:
    fields: dict[str, object] = {
        "timestamp": 1_700_000_000.5,
        "project": "search",
        "event_type": "evaluation",
        "severity": "warning",
        "message": "slow",
        "metadata": b'{"a":1}',
    }
    event = Event(identifier, **{**fields, **changes})  # type: ignore[arg-type]
    return EventRecord(Arrival("main", NOW, CONTEXT), event)
