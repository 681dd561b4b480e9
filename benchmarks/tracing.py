"""What traces and log records cost: ingest with them, beside ingest without, in turns.

The collector is away, which is the dearest case for the process: what is not sent is kept. The "floor" is the same
program without export; the aim for traces is a ratio of 0.8.
"""

import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from benchmarks import processes
from benchmarks.ingest import product
from benchmarks.processes import Source
from benchmarks.report import Row
from benchmarks.scale import Scale
from iris_exporter.clock import SystemClock
from iris_exporter.instruments import catalog
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.otel.environment import read_otel
from iris_exporter.otel.provider import Telemetry
from iris_exporter.process.tasks import TaskOwner

CASES = {
    "ingest over WebSocket, traces exported": ("websocket", "none"),
    "ingest over SSE, traces exported": ("sse", "none"),
    "ingest over WebSocket, traces and logs exported": ("websocket", "otlp"),
}
# Nothing listens on the discard port of loopback, and no ephemeral port of another benchmark can be it.
_NOWHERE = "http://127.0.0.1:9"


async def run(scale: Scale) -> list[Row]:
    """Messages per CPU second with export and without, and their ratio."""
    rows = []
    async with processes.source() as source:
        for name, (framing, logs) in CASES.items():
            source.order(do="prepare", framing=framing, count=scale.ingest_events)
            await source.answer()
            value, floor = await compare(source, framing, logs, scale)
            rows.append(Row(name, value, "messages/CPU s", floor, value / floor))
    return rows


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
async def exporting(logs: str) -> AsyncIterator[Telemetry]:
    """Telemetry that runs; `logs` is the exporter of log records."""
    settings = read_otel({"OTEL_EXPORTER_OTLP_ENDPOINT": _NOWHERE, "OTEL_LOGS_EXPORTER": logs})
    metrics = SelfMetrics("0", "unknown", "3")
    telemetry = Telemetry(settings, SystemClock(), "0", metrics)
    telemetry.start(TaskOwner(SystemClock(), partial(metrics.add, catalog.TASK_FAILURES, 1)))
    try:
        yield telemetry
    finally:
        await telemetry.close()
