"""Records to be exported, and a stand-in for the queue that they wait in."""

from collections.abc import Collection
from typing import Any, cast

from opentelemetry.sdk._logs import LoggerProvider, LogRecordLimits, ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags, Tracer

from iris_exporter.decoding.messages import Event
from iris_exporter.instruments import signals
from iris_exporter.otel.event_logger import Arrival, EventConverter, EventLogger, EventRecord
from iris_exporter.otel.export_queue import Waiting
from iris_exporter.otel.pipeline import Pipeline, QueuedLogs, QueuedSpans
from iris_exporter.otel.settings import Sampling
from iris_exporter.otel.spans import make_sampler

CONTEXT = SpanContext(int("01" * 16, 16), int("02" * 8, 16), is_remote=False, trace_flags=TraceFlags(1))
NOW = 1_700_000_100.25
RESOURCE = Resource({"service.name": "s"})
SCOPE = InstrumentationScope(signals.SCOPE, "1.2")


class Recorder:
    """Takes what a pipeline is offered. Events stay as they are."""

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.minor: list[Any] = []

    def offer(self, records: Collection[Waiting], *, minor: bool = False) -> None:
        (self.minor if minor else self.records).extend(waiting.record for waiting in records)


def tracer_into(recorder: Recorder, sampler: str = "always_on") -> Tracer:
    provider = TracerProvider(make_sampler(Sampling(sampler)), RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(QueuedSpans(cast("Pipeline", recorder)))
    return provider.get_tracer(signals.SCOPE, "1.2")


def events_into(recorder: Recorder) -> EventLogger:
    provider = LoggerProvider(RESOURCE, shutdown_on_exit=False)
    provider.add_log_record_processor(QueuedLogs(cast("Pipeline", recorder)))
    return EventLogger(cast("Pipeline", recorder), provider.get_logger(signals.SCOPE, "1.2"))


def converter(attributes: int = 128, text: int = 4096) -> EventConverter:
    return EventConverter(RESOURCE, SCOPE, LogRecordLimits(attributes, text, attributes, text))


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


def log_records(count: int = 1) -> list[ReadableLogRecord]:
    convert = converter()
    return [convert(event_record(str(number))) for number in range(1, count + 1)]
