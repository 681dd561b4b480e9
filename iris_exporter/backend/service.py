"""The running backend: advances the installation, sends messages to connections, and applies faults. No HTTP."""

import asyncio
import random
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.registry import Collector

from iris_exporter.backend.access import NO_LIMITS, Admission, Authenticator, KeyFile, Limits
from iris_exporter.backend.connection import ChannelConnection, Connection, Ending
from iris_exporter.backend.encoding import JSON, Encoding, EventCache
from iris_exporter.backend.faults import Faults
from iris_exporter.backend.feed import CHANGES, EVENTS, OVERVIEW, SUBSCRIPTIONS, TELEMETRY, Feed
from iris_exporter.backend.history import Entry, History
from iris_exporter.backend.installation import Installation
from iris_exporter.backend.message_faults import MessageFaults
from iris_exporter.backend.objects import Event, iso_time
from iris_exporter.backend.source import Source
from iris_exporter.backend.stats import Stats
from iris_exporter.backend.subscriber import Subscriber
from iris_exporter.backend.tickets import Tickets
from iris_exporter.backend.wire import Frame, error, heartbeat
from iris_exporter.clock import Clock, SystemClock
from iris_exporter.errors import IrisExporterError
from iris_exporter.logs import get_logger

_log = get_logger(__name__)

TICK_SECONDS = 0.05
"""How often the installation moves: events leave within this time, in batches at high rates."""
GOING_AWAY = Ending(1001, "the backend is going away")


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """How a backend behaves; port 0 takes any free one, `seed` None draws one, `rate` 0 is a source at rest.

    `history_events` is the size of the ring that a resume can reach back into, `queue_messages` how many live
    messages may wait for one client before it is cut or, on `/api/stream`, loses the oldest. `come_back_seconds` is
    the window from which each client of it is told a moment to come back at, when the backend stops. `cors_origins`
    are those of `origins.parse_origin`; `key_in_url` is that of `Authenticator`.
    """

    host: str = "127.0.0.1"
    port: int = 14748
    api_key_file: Path | None = None
    seed: int | None = None
    rate: float = 1.0
    faults: tuple[str, ...] = ()
    limits: Limits = NO_LIMITS
    cors_origins: tuple[str, ...] = ()
    key_in_url: bool = False
    heartbeat_interval_seconds: float = 30.0
    telemetry_interval_seconds: float = 5.0
    update_interval_seconds: float = 1.0
    history_events: int = 10_000
    queue_messages: int = 10_000
    come_back_seconds: tuple[float, float] = (1.0, 15.0)


class CrashError(IrisExporterError):
    """A mistake of the backend keeps it from making data, so that it has ended all streams."""


class Service:
    """One backend without its HTTP shell; `tick` drives everything, `run` calls it until `stopping`."""

    def __init__(
        self,
        settings: BackendSettings,
        clock: Clock | None = None,
        source: Callable[[float], Source] | None = None,
        history: History | None = None,
    ) -> None:
        """Set up, without starting anything. Raises `ConfigError` for a bad fault or key file.

        `source` makes what supplies the data, at that time (Unix seconds); None is the synthetic installation.
        `history` is one that was kept, and that outlives restarts; None begins a new one.
        """
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.seed = secrets.randbelow(2**31) if settings.seed is None else settings.seed
        self.faults = Faults(self.clock.monotonic, settings.faults)
        self.key = None if settings.api_key_file is None else KeyFile(settings.api_key_file)
        self.tickets = Tickets()
        self.authenticator = Authenticator(self.key, self.tickets, key_in_url=settings.key_in_url)
        self.admission = Admission(settings.limits)
        self.feed = Feed(
            (source or self._synthetic)(self.clock.wall()),
            history or History(secrets.token_hex(5), settings.history_events),
        )
        self._is_history_durable = history is not None
        self.stats = Stats()
        self.collectors: list[Collector] = []
        """What `/metrics` shows beside what every backend measures."""
        self.connections: set[Connection] = set()
        self._event_cache = EventCache()
        self.opened = 0
        """Stream connections accepted since the start."""
        self.stopping = False
        self.ended = asyncio.Event()
        """Set when the program should end: by whoever is asked to stop it, or after a crash."""
        self._crash: Exception | None = None
        now = self.clock.monotonic()
        self._next_update = now + settings.update_interval_seconds
        self._next_telemetry = now + settings.telemetry_interval_seconds
        self._restarted_at = now
        self.feed.changes(self.clock.wall())

    def _synthetic(self, start: float) -> Source:
        return Installation(seed=self.seed, start=start, rate=self.settings.rate)

    async def run(self) -> None:
        """Tick until `shutdown` is called; a mistake of ours ends all streams, like a stop, and sets `ended`."""
        try:
            while not self.stopping:
                self.tick()
                await self.clock.sleep(TICK_SECONDS)
        except Exception as error:  # noqa: BLE001 (whoever runs the backend decides what becomes of it)
            self.crash(error)

    def crash(self, error: Exception) -> None:
        """End all streams, like a stop, because of a mistake of ours; `wait_for_end` raises."""
        _log.error("installation.stopped", error=error)
        self._crash = error
        self.shutdown()
        self.ended.set()

    async def wait_for_end(self) -> None:
        """Return once `ended` is set. Raises `CrashError` when a mistake of the backend is the reason."""
        await self.ended.wait()
        if self._crash is not None:
            raise CrashError(f"the backend has ended by a mistake of its own: {self._crash!r}") from self._crash

    def tick(self) -> None:
        """Do everything that is due by now."""
        now, wall = self.clock.monotonic(), self.clock.wall()
        self._restart_when_due(now)
        self._announce(self.feed.advance(wall))
        if now >= self._next_update:
            self._next_update = now + self.settings.update_interval_seconds
            changes = self.feed.changes(wall)
            self._send_to_all(OVERVIEW, changes.updates)
            self._send_to_all(CHANGES, changes.project_updates)
            for subscriber in self._subscribers() if changes.changed else ():
                subscriber.mark(changes.changed)
        if now >= self._next_telemetry:
            self._next_telemetry = now + self.settings.telemetry_interval_seconds
            self._send_to_all(TELEMETRY, [self.feed.telemetry(wall)])
        for connection in list(self.connections):
            self._check(connection, now, wall)

    def publish(self, events: Iterable[Event]) -> None:
        """Record events of the caller's own, oldest first, beside those of the installation, and send them."""
        self._announce(self.feed.append(events))

    def _announce(self, entries: list[Entry]) -> None:
        if not entries:
            return
        wanted = {connection.channel for connection in self.connections}
        for channel in (EVENTS, CHANGES):
            if channel in wanted:
                self._send_to_all(channel, list(self.feed.events(channel, entries, self.clock.wall())))
        for subscriber in self._subscribers():
            offered = subscriber.offer(entries)
            self.stats.dropped_events += offered.lost
            self.stats.advance_copies += offered.copies
            if offered.lost and not subscriber.is_slow:
                subscriber.is_slow = True
                _log.warning("client.slow", channel=subscriber.channel, protocol=subscriber.protocol)

    def _subscribers(self) -> list[Subscriber]:
        listeners = (listener for connection in self.connections for listener in connection.listeners)
        return [listener for listener in listeners if isinstance(listener, Subscriber)]

    def _send_to_all(self, channel: str, frames: list[Frame]) -> None:
        for connection in self.connections if frames else ():
            if isinstance(connection, ChannelConnection) and connection.channel == channel:
                self._cut_unless(connection.offer(frames), connection)

    def say(self, connection: Connection, message: Mapping[str, Any], *, urgent: bool = False) -> None:
        """Queue a message for one connection alone; one that is too slow is cut."""
        self._cut_unless(connection.say(message, urgent=urgent), connection)

    def malformed(self, reason: str) -> None:
        """Count a request that is not HTTP; `reason` is the kind of the mistake."""
        self.stats.refusals["INVALID_REQUEST"] += 1
        _log.debug("request.malformed", reason=reason)

    def _cut_unless(self, keeps_up: bool, connection: Connection) -> None:
        if not keeps_up and not connection.was_cut:
            _log.warning("client.slow", channel=connection.channel, protocol=connection.protocol)
            connection.cut()

    def _restart_when_due(self, now: float) -> None:
        fault = self.faults.get("restart")
        if fault is None:
            return
        if not fault.numbers:
            self.faults.clear("restart")
        elif now - max(fault.since, self._restarted_at) < fault.seconds:
            return
        self._restarted_at = now
        self.restart()

    def restart(self) -> None:
        """Behave as a restarted process: all streams cut, and a new epoch without history, unless that is kept."""
        if not self._is_history_durable:
            self.feed.restart(secrets.token_hex(5))
        for connection in list(self.connections):
            connection.cut()

    def _check(self, connection: Connection, now: float, wall: float) -> None:
        """Do what is due for one connection: end it for a fault or a limit, or send it a heartbeat."""
        if connection.is_gone or self.faults.flapped_away("stream") or self._is_due("drop", connection, now):
            connection.cut()
        elif self._is_due("drop-clean", connection, now):
            connection.end(GOING_AWAY)
        elif self._is_idle(connection, now):
            if connection.ending is None:
                self.stats.refusals["IDLE"] += 1
            connection.end(Ending(1001, "idle"))
        elif now - connection.last_heartbeat_at >= self.settings.heartbeat_interval_seconds:
            connection.last_heartbeat_at = now
            self._cut_unless(not connection.is_stalled(2 * self.settings.heartbeat_interval_seconds), connection)
            self.say(connection, heartbeat("ping", iso_time(wall)))
        connection.tick(now)
        for listener in connection.listeners:
            self._report_trouble(listener)

    def _report_trouble(self, connection: Connection) -> None:
        """Say once on each connection that what it is told is no longer up to date; `subscribed` goes before it."""
        trouble = self.feed.installation.trouble
        if trouble is None:
            connection.knows_of_trouble = False
        elif not connection.knows_of_trouble and not (
            isinstance(connection, Subscriber) and connection.send_queue.grant is None
        ):
            connection.knows_of_trouble = True
            self.say(connection, error("SERVICE_UNAVAILABLE", trouble), urgent=True)

    def _is_due(self, name: str, connection: Connection, now: float) -> bool:
        fault = self.faults.get(name)
        return fault is not None and now - max(connection.started_at, fault.since) >= fault.seconds

    def _is_idle(self, connection: Connection, now: float) -> bool:
        limit = self.settings.limits.idle_seconds
        return limit is not None and connection.protocol == "websocket" and now - connection.last_message_at >= limit

    def open(
        self, channel: str, protocol: str, transport: asyncio.BaseTransport | None, position: str | None = None
    ) -> ChannelConnection:
        """Register a stream that was accepted; the answer to a resume from `position` is queued before all else."""
        connection = ChannelConnection(
            channel=channel,
            protocol=protocol,
            transport=transport,
            started_at=self.clock.monotonic(),
            faults=MessageFaults(self.faults, self.clock),
            traffic=self.stats.traffic[protocol, JSON.name],
            start_offset=self.feed.history.last,
            max_queued=self.settings.queue_messages,
        )
        self.register(connection)
        if position:
            self.resume(connection, position)
        connection.prepend(self.feed.first(channel, self.clock.wall()))
        return connection

    def open_subscriber(self, protocol: str, transport: asyncio.BaseTransport | None, encoding: Encoding) -> Subscriber:
        """Register a stream of `/api/stream` that was accepted."""
        subscriber = Subscriber(
            **self.subscriber_parts(protocol, transport, encoding), traffic=self.stats.traffic[protocol, encoding.name]
        )
        self.register(subscriber)
        return subscriber

    def subscriber_parts(
        self, protocol: str, transport: asyncio.BaseTransport | None, encoding: Encoding
    ) -> dict[str, Any]:
        """What every subscriber is made of beside its traffic."""
        return {
            "channel": SUBSCRIPTIONS,
            "protocol": protocol,
            "transport": transport,
            "started_at": self.clock.monotonic(),
            "faults": MessageFaults(self.faults, self.clock, encoding.message, binary=encoding.binary),
            "encoding": encoding,
            "feed": self.feed,
            "cache": self._event_cache,
            "clock": self.clock,
            "max_events": self.settings.queue_messages,
        }

    def register(self, connection: Connection) -> None:
        """A stream was accepted."""
        self.connections.add(connection)
        self.opened += 1
        if self.stopping:
            connection.end(GOING_AWAY)

    def resume(self, connection: ChannelConnection, position: str) -> None:
        """Queue the answer to a resume, in front of what is live."""
        connection.resumed = True
        frames = self.feed.resume(connection.channel, position, self.clock.wall(), connection.start_offset)
        connection.prepend(frames)

    def shutdown(self) -> None:
        """Stop ticking and ask all streams to end in order.

        Clients of `/api/stream` are told when to come back, each at another time, so that they do not come all at once.
        """
        self.stopping = True
        for connection in self.connections:
            connection.send_away(round(random.uniform(*self.settings.come_back_seconds), 1))
            connection.end(GOING_AWAY)
