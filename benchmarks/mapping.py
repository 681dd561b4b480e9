"""Mapped streams: IRIS's events through a mapping of the same meaning, beside IRIS's own way.

Both take turns in this process, from a socket into the model, as `ingest` has it. Memory is that of the exporter as a
process, over many mapped events. Fairness is of many mapped streams in this process: each is sent an event now and
then, while one of them is flooded; what counts is the slowest stream, from the write to the count.
"""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from benchmarks import ingest, processes
from benchmarks.ingest import Send, until
from benchmarks.memory import CURVE
from benchmarks.processes import BenchmarkError, Source
from benchmarks.report import Row
from benchmarks.scale import Scale
from benchmarks.settings import stream_settings
from iris_exporter.clock import SystemClock
from iris_exporter.config.mappings import read_config
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.status import State
from iris_exporter.http.session import open_session
from iris_exporter.instruments import catalog
from iris_exporter.mapping.spec import Mapping
from iris_exporter.streams.stream import Stream

FILE = Path(__file__).with_name("iris_events.yaml")
NAMES = {"websocket": "mapping over WebSocket", "sse": "mapping over SSE"}
METRIC = "mapped_events_total"
_FLOOD, _QUIET = "websocket", "websocket"
_EACH_PER_SECOND = 10
_MIB = 1024 * 1024
_POLL_SECONDS = 0.002


def mapping() -> Mapping:
    """IRIS's events as a mapping."""
    read = read_config(FILE)
    if read.problems:
        raise BenchmarkError(f"{FILE}: {read.problems}")
    return read.by_name["iris-events"]


async def run(scale: Scale) -> list[Row]:
    """Events per CPU second of a mapping, the same of IRIS's own way and their ratio; memory; the slowest stream."""
    rows = []
    async with processes.source() as source:
        for framing, name in NAMES.items():
            source.order(do="prepare", framing=framing, count=scale.ingest_events)
            await source.answer()
            value, iris = await _compare(source, framing, scale)
            rows.append(Row(name, value, "messages/CPU s", iris, value / iris))
        rows += await _memory(source, scale)
        rows += await _fairness(source, scale)
    return rows


async def _compare(source: Source, framing: str, scale: Scale) -> tuple[float, float]:
    """The medians of the mapping and of IRIS's own way, which take turns."""
    count = scale.ingest_events

    def send() -> None:
        source.order(do="flood", framing=framing, count=count)

    values, others = [], []
    for _ in range(scale.rounds):
        others.append(count / await ingest.product(source, framing, count, send))
        await source.answer()
        values.append(count / await _product(source, framing, count, send))
        await source.answer()
    return statistics.median(values), statistics.median(others)


async def _product(source: Source, framing: str, count: int, send: Send) -> float:
    """CPU seconds in which a mapped stream takes `count` events. Raises BenchmarkError where not all are counted."""
    async with _connected([source.url(framing)]) as [stream]:
        before = time.process_time()
        send()
        await until(lambda: _messages(stream) >= count, f"{count} messages")
        seconds = time.process_time() - before
        counted = sum(_series(stream).values())
        if counted != count:
            raise BenchmarkError(f"{counted} of {count} events are in the model")
    return seconds


@asynccontextmanager
async def _connected(urls: list[str]) -> AsyncIterator[list[Stream]]:
    """Mapped streams that are live."""
    spec, budgets = mapping(), ConnectionBudgets()
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session())
        streams = []
        for number, url in enumerate(urls):
            settings = stream_settings(
                name=f"stream-{number}",
                url=url,
                protocol="websocket" if url.startswith("ws") else "sse",
                mapping=spec.name,
                mapped=spec,
                max_connections_per_hour=0,
            )
            stream = Stream(settings, session, SystemClock(), random.random, budgets)
            stack.push_async_callback(stream.stop)
            stream.connect()
            streams.append(stream)
        await until(lambda: all(stream.status().state is State.LIVE for stream in streams), "every stream live")
        yield streams


def _messages(stream: Stream) -> int:
    return int(stream.instruments.counter(catalog.MESSAGES).counts().get("event", 0))


def _series(stream: Stream) -> dict[tuple[str, ...], float]:
    view = stream.snapshot().mapped
    return {} if view is None else dict(view.series[METRIC])  # type: ignore[arg-type]  # of a counter: numbers


# Memory


async def _memory(source: Source, scale: Scale) -> list[Row]:
    """Resident memory of the exporter after so many mapped events: flat from the second point on."""
    rows = []
    before = 0
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "iris-exporter.yaml"
        url = source.url("websocket")
        streams = f"streams:\n  - {{name: mapped, url: '{url}', protocol: websocket, mapping: iris-events}}\n"
        file.write_text(FILE.read_text("utf-8") + streams)
        async with processes.exporter(f"--config.file={file}") as exporter:
            await exporter.until_live()
            for point in [round(scale.memory_events * share) for share in CURVE]:
                source.order(do="flood", framing="websocket", first=before, count=point - before)
                await source.answer()
                await exporter.until_events(point, METRIC)
                rows.append(Row(f"memory after {point:,} mapped events", exporter.rss_bytes() / _MIB, "MiB"))
                before = point
    return rows


# Fairness


async def _fairness(source: Source, scale: Scale) -> list[Row]:
    """The slowest of many streams, of which each is sent some events, alone and beside one that is flooded."""
    async with processes.source() as flooder:
        flooder.order(do="prepare", framing=_FLOOD, count=scale.ingest_events)
        await flooder.answer()
        urls = [flooder.url(_FLOOD), *(source.url(_QUIET, number) for number in range(scale.mapped_streams - 1))]
        async with _connected(urls) as [flooded, *others]:
            alone = await _slowest(source, others, 0, scale)
            flooder.order(do="flood", framing=_FLOOD, count=scale.ingest_events)
            slowest = await _slowest(source, others, scale.mapped_events_each, scale)
            await flooder.answer()
            await until(lambda: _messages(flooded) >= scale.ingest_events, "the flood")
    name = f"slowest of {scale.mapped_streams} mapped streams"
    return [
        Row(f"{name}, alone", alone * 1000, "ms"),
        Row(f"{name}, beside a flood of another", slowest * 1000, "ms", alone * 1000, slowest / alone),
    ]


async def _slowest(source: Source, streams: list[Stream], before: int, scale: Scale) -> float:
    """The longest time from a write to the count, over all streams and events."""
    events = scale.mapped_events_each
    seen: list[list[float]] = [[] for _ in streams]
    source.order(do="pace", framing=_QUIET, count=events, rate=_EACH_PER_SECOND)
    deadline = time.monotonic() + processes.DEADLINE_SECONDS
    while any(len(times) < events for times in seen):
        if time.monotonic() > deadline:
            raise BenchmarkError("not every stream has counted its events")
        now = time.monotonic()
        for stream, times in zip(streams, seen, strict=True):
            times.extend([now] * (_messages(stream) - before - len(times)))
        await asyncio.sleep(_POLL_SECONDS)
    sent = (await source.answer())["sent"]
    return max(max(delays_of(sent, times)) for times in seen)


def delays_of(sent: list[tuple[int, float]], seen: list[float]) -> list[float]:
    """Seconds from each write to when the event was counted; `sent` has how many were written until when."""
    delays = []
    before = 0
    for total, written in sent:
        delays += [seen[number] - written for number in range(before, total)]
        before = total
    return delays
