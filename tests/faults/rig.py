"""Sidecar, fault proxy and reference backend in one event loop, and what holds whatever the fault is."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp

from iris_exporter import config
from iris_exporter.app import Exporter
from iris_exporter.backend import streams
from iris_exporter.backend.objects import Event, iso_time
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.core.backoff import Backoff
from iris_exporter.settings import StreamSettings
from tests.faults.proxy import FaultProxy
from tests.integration.harness import Scrape
from tests.settings import stream_settings
from tests.waiting import until

TRANSPORTS = ("websocket", "sse", "poll")
PATHS = {"websocket": "/api/stream/events", "sse": "/api/stream/events", "poll": "/api/overview"}
QUICK = {
    "connect_timeout_seconds": 0.5,
    "reconnect_initial_seconds": 0.05,
    "reconnect_max_seconds": 0.2,
    "reconnect_attempts": 3,
    "stable_after_seconds": 0.2,
    "live_retry_interval_seconds": 0.3,
    "heartbeat_interval_seconds": 0.1,
    "heartbeat_timeout_seconds": 1.0,
    "poll_interval_seconds": 0.1,
    "max_connections_per_hour": 0,
}
"""What minutes are in production. The heartbeat's timeout is ten of the backend's heartbeats, so that a busy machine is
not taken for a dead link."""


def numbered_events(first: int, count: int) -> list[Event]:
    """Events with the numbers `first` and so on as ids, over all the labels that make series of their own."""
    return [
        Event(
            f"numbered-{number}",
            iso_time(1_735_800_000 + number / 1000),
            f"project-{number % 5}",
            ("evaluation", "retrain", "rotation")[number % 3],
            "critical" if number % 97 == 96 else ("info", "warning")[number % 2],
            f"event number {number}",
            {},
        )
        for number in range(first, first + count)
    ]


def most_attempts(settings: StreamSettings, seconds: float) -> int:
    """How many dials the rules allow in so long, from the first one on, when each fails at once.

    All delays at their shortest (jitter at the lower end). Where polls succeed and fail in turn, the first success
    after a failure brings a dial as well: at most one every two polls.
    """
    backoff = Backoff(
        settings.reconnect_initial_seconds, settings.reconnect_max_seconds, settings.reconnect_jitter, lambda: 0.0
    )
    dials, at = 1, 0.0
    for attempt in range(1, settings.reconnect_attempts + 1):
        at += backoff.delay(attempt)
        if at > seconds:
            return dials
        dials += 1
    slow = backoff.spread(settings.live_retry_interval_seconds)
    after_polls = 2 * backoff.spread(settings.poll_interval_seconds)
    return dials + int((seconds - at) / slow) + int((seconds - at) / after_polls) + 1


class LogRecords(logging.Handler):
    """Keeps what is logged while it is in use, by anybody in the process."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def tracebacks(self) -> list[str]:
        """Messages of records that carry an exception, and of asyncio's complaints about tasks and callbacks."""
        return [record.getMessage() for record in self.records if record.exc_info or record.name == "asyncio"]


class Rig:
    """A sidecar with one stream through `proxy`. `publish` makes events, `counted` says how many the sidecar has."""

    def __init__(
        self, transport: str, backend: Backend, proxy: FaultProxy, exporter: Exporter, http: aiohttp.ClientSession
    ) -> None:
        self.transport = transport
        self.backend = backend
        self.proxy = proxy
        self.exporter = exporter
        self.stream = exporter.streams()["default"]
        self.published = 0
        self._http = http
        self._last: Scrape | None = None

    def publish(self, count: int) -> None:
        """Let so many events happen."""
        self.backend.service.publish(numbered_events(self.published, count))
        self.published += count

    @property
    def state(self) -> str:
        """The state of the stream."""
        return self.stream.status().state.value

    def counted(self) -> int:
        """Events counted, over all labels."""
        return sum(self.stream.snapshot().event_counts.values())

    async def scrape(self) -> Scrape:
        """The metrics now; no counter is below its value in the scrape before."""
        async with self._http.get(self.exporter.addresses[0] + "/metrics") as answer:
            assert answer.status == 200
            scrape = Scrape(await answer.text())
        if self._last is not None:
            fallen = {
                key: (self._last.samples[key], scrape.samples.get(key))
                for key in self._last.cumulative
                if scrape.samples.get(key, -1.0) < self._last.samples[key]
            }
            assert not fallen, f"counters fell: {fallen}"
        self._last = scrape
        return scrape

    async def reaches(self, *states: str, seconds: float = 10.0) -> None:
        """Wait until the stream is in one of the states."""
        try:
            await until(lambda: self.state in states, seconds)
        except TimeoutError:
            raise AssertionError(f"{self.state}, not {states}: {self.stream.status()}") from None

    async def has_counted(self, count: int, seconds: float = 10.0) -> None:
        """Wait until so many events are counted, and see that it stays at that."""
        try:
            await until(lambda: self.counted() >= count, seconds)
        except TimeoutError:
            raise AssertionError(f"{self.counted()} of {count} events counted: {self.stream.status()}") from None
        assert self.counted() == count, "an event was counted twice"

    async def total(self, name: str, **labels: str) -> float:
        """The sum over all series of a counter that have these labels."""
        return (await self.scrape()).total(name, **labels)


@asynccontextmanager
async def rig(
    transport: str, *, path: str = "", source: Mapping[str, object] | None = None, **changes: object
) -> AsyncIterator[Rig]:
    """Start all three, with the sidecar connected and a first batch of events counted; check the log at the end.

    `path` empty is the usual one of the transport. `source` are other settings of the backend, `changes` of the stream.
    """
    log = LogRecords()
    loggers = [logging.getLogger(), logging.getLogger("iris_exporter")]
    watched = [logger for logger in loggers if logger is loggers[0] or not logger.propagate]
    for logger in watched:
        logger.addHandler(log)
    # What the backend asks of event-stream clients, 3 s, is obeyed; here it would only make each case longer.
    hint, streams.RECONNECT_HINT = streams.RECONNECT_HINT, b"retry: 50\n\n"
    quiet = BackendSettings(
        port=0, seed=1, rate=0, update_interval_seconds=0.05, heartbeat_interval_seconds=0.1, history_events=100_000
    )
    quiet = replace(quiet, **(source or {}))  # type: ignore[arg-type]
    try:
        async with (
            Backend(quiet) as backend,
            FaultProxy(int(backend.url.rpartition(":")[2])) as proxy,
            aiohttp.ClientSession() as http,
        ):
            chosen = stream_settings(
                name="default",
                url=proxy.url + (path or PATHS[transport]),
                snapshot_url=proxy.url + "/api/overview",
                protocol=transport,
                **{**QUICK, **changes},
            )
            loaded = config.load({"web.listen-address": ["127.0.0.1:0"], "stream.url": chosen.url}, {})
            settings = replace(loaded, streams=(chosen,))
            async with Exporter(settings, lambda: settings) as exporter:
                running = Rig(transport, backend, proxy, exporter, http)
                await running.reaches("polling" if transport == "poll" else "live")
                if not quiet.rate:
                    running.publish(20)
                    await running.has_counted(20)
                yield running
                await running.scrape()
            assert running.state == "disconnected"
            left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("default: ")]
            assert not left, f"the stream has left tasks behind: {left}"
    finally:
        streams.RECONNECT_HINT = hint
        for logger in watched:
            logger.removeHandler(log)
    assert not log.tracebacks(), log.tracebacks()
