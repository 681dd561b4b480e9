"""Bytes: what one client is sent in an hour, by the way in which it asks, and how late an event is.

The scenario is that of the design that the exporter was made for: a first state of about 50 KB, then an update of one
project every five seconds, in 200 to 300 bytes. The reference backend sends it to a client that only counts what its
socket receives, with heads of answers, framing and heartbeats; the hour passes on a clock that is moved by hand.
Delays are measured afterwards on a real clock, from the moment when the source has an event; twenty times a second the
backend asks it.
"""

import asyncio
import json
import random
import statistics
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import msgspec
from typing_extensions import override

from benchmarks.processes import DEADLINE_SECONDS, BenchmarkError
from benchmarks.report import Row
from benchmarks.scale import Scale
from iris_exporter.backend.objects import Anomaly, Event, Metrics, Project, iso_time
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import TICK_SECONDS, BackendSettings
from iris_exporter.backend.source import Source
from iris_exporter.clock import Clock, SystemClock
from iris_exporter.core.negotiation import GRAPHQL_PATH, GRAPHQL_SUBPROTOCOL
from iris_exporter.core.subscriptions import PROTOBUF_SUBPROTOCOL, STREAM_PATH
from iris_exporter.decoding.iris_graphql import operation

UPDATE_SECONDS = 5
POLL_SECONDS = 30
PROJECTS = 150
FIRST_EVENTS = 50
STARTED = 1_750_000_000.0
TURNS = 12
"""Turns of the loop that let what is due at one moment pass through both sockets."""
SEED = {"polling at 30 s": 6_000.0, "WebSocket": 194.0, "SSE": 261.0}
"""KB an hour that the design estimated."""
ALL: dict[str, Any] = {
    "channels": ["projects", "anomalies"],
    "fields": {"projects": ["status", "health_score", "total_runs", "success_rate", "avg_latency"]},
    "delta": True,
    "batch": {"maxMessages": 100, "maxDelayMs": 10_000},
    "debounceMs": 500,
    "priority": True,
}
"""What a client asks for that wants as few bytes as possible, and can bear to wait."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a client asks: over WebSocket or SSE, with which options and headers."""

    name: str
    websocket: bool
    options: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    graphql: bool = False


_GRAPHQL = {"Sec-WebSocket-Protocol": GRAPHQL_SUBPROTOCOL}
_DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate"}
_PROTOBUF = {"Sec-WebSocket-Protocol": PROTOBUF_SUBPROTOCOL}
_GZIP = {"Accept-Encoding": "gzip"}
WAYS = (
    Way("WebSocket", websocket=True),
    Way("SSE", websocket=False),
    Way("WebSocket, protobuf", websocket=True, headers=_PROTOBUF),
    Way("WebSocket, permessage-deflate", websocket=True, headers=_DEFLATE),
    Way("SSE, gzip", websocket=False, headers=_GZIP),
    Way("GraphQL", websocket=True, headers=_GRAPHQL, graphql=True),
    Way("GraphQL, permessage-deflate", websocket=True, headers=_GRAPHQL | _DEFLATE, graphql=True),
    *(Way(f"SSE, {name}", websocket=False, options={name: value}) for name, value in ALL.items()),
    Way("SSE, all together", websocket=False, options=ALL, headers=_GZIP),
    Way("WebSocket, all together", websocket=True, options=ALL, headers=_PROTOBUF | _DEFLATE),
)


class SteppedClock(Clock):
    """A clock that stands still but for `step`; whoever sleeps looks again after each."""

    def __init__(self) -> None:
        self._now = 0.0
        self._stepped = asyncio.Event()

    @override
    def wall(self) -> float:
        return STARTED + self._now

    @override
    def monotonic(self) -> float:
        return self._now

    @override
    async def sleep(self, seconds: float) -> None:
        await self._stepped.wait()

    async def step(self, seconds: float) -> None:
        """Let time pass at once, and everything that is due happen."""
        self._now += seconds
        self._stepped.set()
        self._stepped.clear()
        await _turns()


async def _turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


class Installation(Source):
    """The scenario: every five seconds a project has finished a run."""

    def __init__(self, start: float) -> None:
        self.version = 0
        self._at = start
        self.events: list[Event] = []
        """What the next `advance` returns."""
        self._projects = [
            Project(
                id=f"project-{number:03}",
                name=f"Project number {number:03}",
                status="healthy",
                health_score=90.0 + number % 10,
                last_run=iso_time(start - number),
                total_runs=1000 + number,
                success_rate=0.95,
                active_experts=4,
                reflexions_count=100 + number,
                avg_latency=250.5,
            )
            for number in range(PROJECTS)
        ]

    @override
    def advance(self, until: float) -> list[Event]:
        while self._at + UPDATE_SECONDS <= until:
            self._at += UPDATE_SECONDS
            self.version += 1
            # Not in turn: a client cannot know whose run is next. 7 and 150 have no common factor.
            number = self.version * 7 % PROJECTS
            before = self._projects[number]
            self._projects[number] = msgspec.structs.replace(
                before,
                health_score=round(85 + (self.version * 37 % 120) / 10, 1),
                last_run=iso_time(self._at),
                total_runs=(before.total_runs or 0) + 1,
                success_rate=round(0.9 + (self.version * 13 % 90) / 1000, 3),
                avg_latency=round(200 + (self.version * 101 % 1999) / 10, 1),
            )
        events, self.events = self.events, []
        return events

    @override
    def metrics(self) -> Metrics:
        return Metrics(PROJECTS, PROJECTS, 0, 0, 4711, 0.95, 4 * PROJECTS, 10_000)

    @override
    def projects(self) -> list[Project]:
        return self._projects

    @override
    def anomalies(self) -> list[Anomaly]:
        return []

    @override
    def patterns(self) -> list[dict[str, Any]]:
        return []

    @override
    def details(self, project_id: str) -> dict[str, Any] | None:
        return None


def _event(number: int, sent: float = STARTED) -> Event:
    text = f"run {number} of the nightly evaluation has finished; all checks have passed"
    metadata = {"run_id": f"run-{number}", "expert": f"expert-{number % 7}", "duration_ms": 100.5 + number}
    return Event(f"evt-{number:08}", iso_time(sent), f"project-{number % 150:03}", "evaluation", "info", text, metadata)


class Wire:
    """One connection, on which a client counts what it receives."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received = 0
        self.first = b""
        self._reader = reader
        self._writer = writer
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, backend: Backend) -> "Wire":
        """Connect to the backend, without asking for anything."""
        host, _, port = backend.url.removeprefix("http://").partition(":")
        return cls(*await asyncio.open_connection(host, int(port), limit=2**20))

    async def _read(self) -> None:
        while data := await self._reader.read(2**16):
            self.received += len(data)
            if len(self.first) < 100:
                self.first += data[:100]

    def request(self, path: str, headers: Mapping[str, str]) -> None:
        """Send the head of a request."""
        lines = [f"GET {path} HTTP/1.1", "Host: backend", *(f"{name}: {value}" for name, value in headers.items())]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())

    def say(self, message: Mapping[str, Any]) -> None:
        """Send a WebSocket message; the mask is zero, which leaves it as it is."""
        text = json.dumps(message).encode()
        self._writer.write(struct.pack("!BBHI", 0x81, 0x80 | 126, len(text), 0) + text)

    async def until(self, status: bytes) -> None:
        """Wait for the status of the answer. Raises BenchmarkError for another one."""
        await self.more_than(0)
        if not self.first.startswith(b"HTTP/1.1 " + status):
            raise BenchmarkError(f"the backend answered {self.first[:60]!r}")

    async def more_than(self, received: int) -> None:
        """Wait until more has come. Raises TimeoutError."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while self.received <= received:  # noqa: ASYNC110 (turns of the loop, not pauses)
                await asyncio.sleep(0)

    async def rest(self) -> int:
        """Wait until no more comes; everything that was received."""
        before = -1
        while self.received != before:
            before = self.received
            await _turns()
        return self.received

    async def close(self) -> None:
        """Hang up."""
        self._task.cancel()
        self._writer.close()
        with suppress(ConnectionError, asyncio.CancelledError):
            await self._task


async def _subscribe(backend: Backend, way: Way) -> Wire:
    wire = await Wire.connect(backend)
    if way.websocket:
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        key = {"Sec-WebSocket-Key": "MTIzNDU2Nzg5MDEyMzQ1Ng=="}
        wire.request(GRAPHQL_PATH if way.graphql else STREAM_PATH, {**upgrade, **key, **way.headers})
        await wire.until(b"101")
        for message in _openings(way):
            before = wire.received
            wire.say(message)
            await wire.more_than(before)
    else:
        wire.request(f"{STREAM_PATH}?{urlencode(query(way.options))}", way.headers)
        await wire.until(b"200")
    return wire


def _openings(way: Way) -> list[dict[str, Any]]:
    """What a client says on a WebSocket; each is answered. Over GraphQL it selects what the exporter does."""
    if way.graphql:
        return [{"type": "connection_init"}, json.loads(operation.subscribe(way.options, ""))]
    return [{"type": "subscribe", "data": way.options}]


def query(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Options as the parameters of an address."""
    found = []
    for key, value in options.items():
        for name, part in (value if isinstance(value, dict) else {"": value}).items():
            values = part if isinstance(part, list) else [part]
            found += [(f"{key}.{name}".rstrip("."), json.dumps(each).strip('"')) for each in values]
    return found


@asynccontextmanager
async def _backend(clock: Clock) -> AsyncIterator[tuple[Backend, Installation]]:
    installation = Installation(clock.wall())
    async with Backend(BackendSettings(port=0), clock=clock, source=lambda _: installation) as backend:
        backend.service.publish([_event(number) for number in range(FIRST_EVENTS)])
        yield backend, installation


async def hour(way: Way, minutes: int) -> tuple[int, int]:
    """Bytes until the first state was there, and after it in that many minutes."""
    clock = SteppedClock()
    async with _backend(clock) as (backend, _):
        wire = await _subscribe(backend, way)
        first = await wire.rest()
        for _ in range(minutes * 60):
            await clock.step(1.0)
        total = await wire.rest()
        await wire.close()
    return first, total - first


async def polled_hour(minutes: int, headers: Mapping[str, str]) -> int:
    """Bytes of the whole state, asked for every half minute."""
    clock = SteppedClock()
    async with _backend(clock) as (backend, _):
        wire = await Wire.connect(backend)
        for _ in range(minutes * 60 // POLL_SECONDS):
            await clock.step(POLL_SECONDS)
            before = wire.received
            wire.request("/api/overview", headers)
            await wire.more_than(before)
            await wire.rest()
        received = wire.received
        await wire.close()
    return received


async def delays(way: Way, count: int) -> list[float]:
    """Seconds from an event to its arrival, for each of `count` events one after the other."""
    found = []
    clock = SystemClock()
    async with _backend(clock) as (backend, installation):
        # Without state, whose updates would be taken for the event.
        wire = await _subscribe(backend, replace(way, options={"channels": ["events"]}))
        await wire.rest()
        for number in range(count):
            await clock.sleep(random.uniform(0, TICK_SECONDS))
            received = await wire.rest()
            started = clock.monotonic()
            installation.events.append(_event(number, clock.wall()))
            await wire.more_than(received)
            found.append(clock.monotonic() - started)
        await wire.close()
    return found


async def run(scale: Scale) -> list[Row]:
    """KB an hour for each way to ask, and the delay of events; the ratio of bytes is to those of plain SSE."""
    minutes = scale.volume_minutes
    measured = {way.name: await hour(way, minutes) for way in WAYS}
    kilobytes = {name: (first + later * 60 / minutes) / 1000 for name, (first, later) in measured.items()}
    plain = kilobytes["SSE"]
    polled = {
        "polling at 30 s": await polled_hour(minutes, {}) * 60 / minutes / 1000,
        "polling at 30 s, gzip": await polled_hour(minutes, _GZIP) * 60 / minutes / 1000,
    }
    updates = minutes * 60 / UPDATE_SECONDS
    rows = [
        Row(f"first state, {name}", measured[name][0] / 1000, "KB") for name in ("WebSocket", "WebSocket, protobuf")
    ]
    rows += [
        Row(f"an update with its share of heartbeats, {name}", measured[name][1] / updates, "bytes")
        for name in ("WebSocket", "SSE", "WebSocket, protobuf", "WebSocket, all together")
    ]
    rows += [
        Row(f"an hour of {name}, by the design", value, "KB", ratio=value / SEED["SSE"]) for name, value in SEED.items()
    ]
    rows += [
        Row(f"an hour of {name}", value, "KB", ratio=value / plain) for name, value in (polled | kilobytes).items()
    ]
    rows.append(Row("delay of an event by the design, longest: polling", 1000.0 * POLL_SECONDS, "ms"))
    rows.append(Row("delay of an event by the design, longest: WebSocket, SSE", 200.0, "ms"))
    for way in WAYS:
        if way.name in ("WebSocket", "SSE", "WebSocket, protobuf", "SSE, gzip", "GraphQL"):
            found = sorted(await delays(way, scale.volume_events))
            rows.append(Row(f"delay of an event, {way.name}, median", 1000 * statistics.median(found), "ms"))
            rows.append(Row(f"delay of an event, {way.name}, longest", 1000 * found[-1], "ms"))
    return rows
