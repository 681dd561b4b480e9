"""What traces and log records cost: ingest with them, beside ingest without, in turns, and the export of log records.

During ingest the collector is away, which costs the process most: records stay queued. The floor is the same program
without export; the aim for traces is a ratio of 0.8. Log records are exported over HTTP to a process that takes them;
their floor is the SDK's encoding alone, of records that have been made before.
"""

import logging
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import LogRecordLimits
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from benchmarks import processes
from benchmarks.ingest import product, until
from benchmarks.processes import Source
from benchmarks.report import Row
from benchmarks.scale import Scale
from iris_exporter.clock import SystemClock
from iris_exporter.decoding.messages import Event
from iris_exporter.instruments import catalog
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.otel.environment import read_otel
from iris_exporter.otel.event_logger import Arrival, EventConverter, EventRecord
from iris_exporter.otel.provider import Telemetry
from iris_exporter.process.tasks import TaskOwner

CASES = {
    "ingest over WebSocket, traces exported": ("websocket", "none"),
    "ingest over SSE, traces exported": ("sse", "none"),
    "ingest over WebSocket, traces and logs exported": ("websocket", "otlp"),
}
EXPORT = "log records exported over HTTP"
# Nothing listens on the discard port of loopback, and no ephemeral port of another benchmark can be it.
_NOWHERE = "http://127.0.0.1:9"
_METADATA = b'{"score":0.5,"model":"m-1","run":"r-1"}'
_MOST_QUEUED = 40_000


async def run(scale: Scale) -> list[Row]:
    """Messages per CPU second with export and without, and their ratio."""
    rows = []
    async with processes.source() as source:
        for name, (framing, logs) in CASES.items():
            source.order(do="prepare", framing=framing, count=scale.ingest_events)
            await source.answer()
            value, floor = await compare(source, framing, logs, scale)
            rows.append(Row(name, value, "messages/CPU s", floor, value / floor))
    value, floor = await compare_export(scale)
    rows.append(Row(EXPORT, value, "records/CPU s", floor, value / floor))
    return rows


async def compare_export(scale: Scale) -> tuple[float, float]:
    """The medians of log records a CPU second, from events to the collector's answer, and of their encoding alone."""
    events = [
        Event(
            f"evt-{n}",
            1.7e9,
            f"p-{n % 20}",
            "evaluation",
            "info",
            "Evaluation finished with a score",
            metadata=_METADATA,
        )
        for n in range(scale.ingest_events)
    ]
    convert = EventConverter(Resource.create(), InstrumentationScope("benchmark"), LogRecordLimits())
    arrival = Arrival("main", time.time(), None)
    records = [convert(EventRecord(arrival, event)) for event in events]
    values, floors = [], []
    async with processes.collector() as address:
        for _ in range(scale.rounds):
            values.append(len(events) / await export(address, events))
            before = time.process_time()
            for batch in (records[start : start + 512] for start in range(0, len(records), 512)):
                encode_logs(batch).SerializeToString()
            floors.append(len(events) / (time.process_time() - before))
    return statistics.median(values), statistics.median(floors)


async def export(address: str, events: Sequence[Event]) -> float:
    """CPU seconds in which a stream's events are exported as log records, all threads together."""
    async with exporting("otlp", address) as telemetry:
        tracer = telemetry.stream("main", "http://source.test", StreamInstruments("main"))
        before = time.process_time()
        for start in range(0, len(events), 20):
            tracer.arrived(events[start : start + 20], time.time())
            if telemetry.counts()["logs"].queued > _MOST_QUEUED:
                await until(lambda: telemetry.counts()["logs"].queued < _MOST_QUEUED, "room in the queue")
        await until(lambda: telemetry.counts()["logs"].exported == len(events), "the export of all records")
        return time.process_time() - before


async def compare(source: Source, framing: str, logs: str, scale: Scale) -> tuple[float, float]:
    """The medians with and without, which take turns so that a busy machine slows both."""
    count = scale.ingest_events

    def send() -> None:
        source.order(do="flood", framing=framing, count=count)

    values, floors = [], []
    for _ in range(scale.rounds):
        floors.append(count / await product(source, framing, count, send))
        await source.answer()
        async with exporting(logs) as telemetry:
            values.append(count / await product(source, framing, count, send, telemetry))
        await source.answer()
    return statistics.median(values), statistics.median(floors)


@asynccontextmanager
async def exporting(logs: str, address: str = _NOWHERE) -> AsyncIterator[Telemetry]:
    """Telemetry that runs; `logs` is the exporter of log records. It does not warn of a collector that is away."""
    settings = read_otel({"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_LOGS_EXPORTER": logs})
    metrics = SelfMetrics("0", "unknown", "3")
    telemetry = Telemetry(settings, SystemClock(), "0", metrics)
    telemetry.start(TaskOwner(SystemClock(), partial(metrics.add, catalog.TASK_FAILURES, 1)))
    logger = logging.getLogger("iris_exporter.otlp")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield telemetry
    finally:
        await telemetry.close()
        logger.setLevel(level)
