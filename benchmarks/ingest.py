"""Ingest: the exporter's own way from a socket into the model, beside a bare loop that receives and decodes.

Both run in this process, one after the other, in turns; the sender is another process and off this one's CPU clock.
What counts is messages per CPU second of this process (user and system), from the order to send to the last message.
"""

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from benchmarks import processes
from benchmarks.processes import DEADLINE_SECONDS, BenchmarkError, Source
from benchmarks.report import Row
from benchmarks.scale import Scale
from benchmarks.settings import stream_settings
from iris_exporter.clock import SystemClock
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.status import State
from iris_exporter.http.session import open_session
from iris_exporter.instruments import catalog
from iris_exporter.otel.provider import Telemetry
from iris_exporter.streams.stream import Stream
from iris_exporter.wire.iris.v1.iris_pb2 import Envelope

NAMES = {
    "websocket": "ingest over WebSocket",
    "websocket-protobuf": "ingest over WebSocket, protobuf",
    "websocket-protobuf-batches": "ingest over WebSocket, protobuf in batches of 100",
    "sse": "ingest over SSE",
    "sse-chunked": "ingest over SSE, an HTTP chunk for each event",
}
_POLL_SECONDS = 0.005
_PROTOBUF = "iris.v1+protobuf"
_KNOWN_PROJECTS = (10, 1_000, 100_000)
"""Projects that a stream has while it takes events in."""

Send = Callable[[], None]


class _Event(msgspec.Struct):
    """The fields that the model reads, as they are on the wire."""

    id: str
    timestamp: str
    project: str
    event_type: str
    severity: str
    message: str
    metadata: msgspec.Raw


class _Envelope(msgspec.Struct, tag_field="type", tag="event"):
    id: str
    timestamp: str
    data: _Event


_decode = msgspec.json.Decoder(_Envelope).decode


async def run(scale: Scale) -> list[Row]:
    """Messages per CPU second of each transport, its floor, and the ratio of the two."""
    rows = []
    async with processes.source() as source:
        for framing, name in NAMES.items():
            source.order(do="prepare", framing=framing, count=scale.ingest_events)
            await source.answer()
            value, floor = await compare(source, framing, scale.ingest_events, scale.rounds)
            rows.append(Row(name, value, "messages/CPU s", floor, value / floor))
        rows += await _beside_projects(source, scale)
    return rows


async def _beside_projects(source: Source, scale: Scale) -> list[Row]:
    """Ingest while so many projects are known, whose series a scrape would show; the ratio is to the fewest."""

    def send() -> None:
        source.order(do="flood", framing="websocket", count=scale.ingest_events)

    source.order(do="prepare", framing="websocket", count=scale.ingest_events)
    await source.answer()
    found: dict[int, list[float]] = {projects: [] for projects in _KNOWN_PROJECTS}
    for _ in range(scale.rounds):
        for projects, values in found.items():
            seconds = await product(source, "websocket", scale.ingest_events, send, projects=projects)
            values.append(scale.ingest_events / seconds)
            await source.answer()
    medians = {projects: statistics.median(values) for projects, values in found.items()}
    least = medians[_KNOWN_PROJECTS[0]]
    return [
        Row(f"ingest over WebSocket beside {projects:,} projects", value, "messages/CPU s", least, value / least)
        for projects, value in medians.items()
    ]


async def compare(source: Source, framing: str, count: int, rounds: int) -> tuple[float, float]:
    """The medians of product and floor, which take turns so that a busy machine slows both."""

    def send() -> None:
        source.order(do="flood", framing=framing, count=count)

    floor = FLOORS.get(framing, sse_floor)
    values, floors = [], []
    for _ in range(rounds):
        floors.append(count / await floor(source.url(framing), count, send))
        await source.answer()
        values.append(count / await product(source, framing, count, send))
        await source.answer()
    return statistics.median(values), statistics.median(floors)


async def product(
    source: Source, framing: str, count: int, send: Send, telemetry: Telemetry | None = None, projects: int = 0
) -> float:
    """CPU seconds in which the exporter's stream takes `count` events into its model, all threads together.

    Raises:
        BenchmarkError: Not all of them arrived, or one was not understood.
    """
    async with connected(source, framing, telemetry, projects) as stream:
        messages = stream.instruments.counter(catalog.MESSAGES)
        before = time.process_time()
        send()
        await until(lambda: messages.counts()["event"] >= count, f"{count} messages")
        seconds = time.process_time() - before
        counted = sum(stream.snapshot().event_counts.values())
        if counted != count:
            raise BenchmarkError(f"{counted} of {count} events are in the model")
    return seconds


@asynccontextmanager
async def connected(
    source: Source, framing: str, telemetry: Telemetry | None = None, projects: int = 0
) -> AsyncIterator[Stream]:
    """A stream of the exporter that is live and has loaded its snapshot; with `telemetry` it tells that everything."""
    settings = stream_settings(
        url=source.url(framing),
        protocol="websocket" if framing.startswith("websocket") else "sse",
        snapshot_url=f"{source.snapshot_url}/{projects}",
        max_projects=max(10_000, projects),
    )
    async with open_session(() if telemetry is None else telemetry.trace_configs()) as session:
        stream = Stream(
            settings,
            session,
            SystemClock(),
            random.random,
            ConnectionBudgets(),
            make_tracer=None if telemetry is None else telemetry.stream,
        )
        stream.connect()
        try:
            await until(
                lambda: stream.status().state is State.LIVE and stream.snapshot().last_data_timestamp is not None,
                "a live stream",
            )
            yield stream
        finally:
            await stream.stop()


async def websocket_floor(url: str, count: int, send: Send) -> float:
    """CPU seconds of a bare loop: `receive`, decode, next."""
    async with open_session() as session, session.ws_connect(url, autoping=False, decode_text=False) as socket:
        before = time.process_time()
        send()
        for _ in range(count):
            _decode((await socket.receive()).data)
        return time.process_time() - before


async def protobuf_floor(url: str, count: int, send: Send) -> float:
    """CPU seconds of the same loop over binary messages, each of which may be a batch."""
    async with open_session() as session, session.ws_connect(url, autoping=False, protocols=(_PROTOBUF,)) as socket:
        await socket.receive()
        before = time.process_time()
        send()
        while count > 0:
            found = Envelope.FromString((await socket.receive()).data)
            count -= len(found.batch.messages) or 1
        return time.process_time() - before


FLOORS = {
    "websocket": websocket_floor,
    "websocket-protobuf": protobuf_floor,
    "websocket-protobuf-batches": protobuf_floor,
}


async def sse_floor(url: str, count: int, send: Send) -> float:
    """CPU seconds of a bare loop: read what is there, split at blank lines, decode the data line."""
    async with open_session() as session, session.get(url, headers={"Accept-Encoding": "identity"}) as response:
        before = time.process_time()
        send()
        left, rest = count, b""
        while left:
            piece = await response.content.readany()
            if not piece:
                raise BenchmarkError("the sender has ended the stream")
            *events, rest = (rest + piece).split(b"\n\n")
            for event in events:
                _decode(event[event.index(b"data: ") + 6 :])
            left -= len(events)
        return time.process_time() - before


async def until(check: Callable[[], bool], what: str) -> None:
    """Return when `check` is true; asked every 5 ms, which costs next to nothing.

    Raises:
        BenchmarkError: It was not within `DEADLINE_SECONDS`.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not check():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"not within {DEADLINE_SECONDS:g} s: {what}")
        await asyncio.sleep(_POLL_SECONDS)
