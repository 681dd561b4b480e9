"""The running backend: advances the installation, sends messages to connections, and applies faults. No HTTP."""

import asyncio
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from iris_exporter.backend.access import NO_LIMITS, Admission, KeyFile, Limits
from iris_exporter.backend.connection import Connection, Ending
from iris_exporter.backend.faults import Faults
from iris_exporter.backend.feed import CHANGES, EVENTS, OVERVIEW, TELEMETRY, Feed
from iris_exporter.backend.history import Entry, History
from iris_exporter.backend.installation import Installation
from iris_exporter.backend.message_faults import MessageFaults
from iris_exporter.backend.objects import Event, iso_time
from iris_exporter.backend.wire import Frame, heartbeat
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
    messages may wait for one client before it is cut.
    """

    host: str = "127.0.0.1"
    port: int = 14748
    api_key_file: Path | None = None
    seed: int | None = None
    rate: float = 1.0
    faults: tuple[str, ...] = ()
    limits: Limits = NO_LIMITS
    cors_origin: str | None = None
    heartbeat_interval_seconds: float = 30.0
    telemetry_interval_seconds: float = 5.0
    update_interval_seconds: float = 1.0
    history_events: int = 10_000
    queue_messages: int = 10_000


class CrashError(IrisExporterError):
    """A mistake of the backend keeps it from making data, so that it has ended all streams."""


class Service:
    """One backend without its HTTP shell; `tick` drives everything, `run` calls it until `stopping`."""

    def __init__(self, settings: BackendSettings, clock: Clock | None = None) -> None:
        """Set up, without starting anything. Raises `ConfigError` for a bad fault or key file."""
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.seed = secrets.randbelow(2**31) if settings.seed is None else settings.seed
        self.faults = Faults(self.clock.monotonic, settings.faults)
        self.key = None if settings.api_key_file is None else KeyFile(settings.api_key_file)
        self.admission = Admission(settings.limits)
        self.feed = Feed(
            Installation(seed=self.seed, start=self.clock.wall(), rate=settings.rate),
            History(secrets.token_hex(5), settings.history_events),
        )
        self.connections: set[Connection] = set()
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

    async def run(self) -> None:
        """Tick until `shutdown` is called; a mistake of ours ends all streams, like a stop, and sets `ended`."""
        try:
            while not self.stopping:
                self.tick()
                await self.clock.sleep(TICK_SECONDS)
        except Exception as error:  # noqa: BLE001 (whoever runs the backend decides what becomes of it)
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
            updates, project_updates = self.feed.changes(wall)
            self._send_to_all(OVERVIEW, updates)
            self._send_to_all(CHANGES, project_updates)
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

    def _send_to_all(self, channel: str, frames: list[Frame]) -> None:
        for connection in self.connections if frames else ():
            if connection.channel == channel:
                self.send(connection, *frames)

    def send(self, connection: Connection, *frames: Frame) -> None:
        """Queue messages for one connection, behind what waits already; one that is too slow is cut."""
        if not connection.offer(frames) and not connection.was_cut:
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
        """Behave as a restarted process: a new epoch, no history, all streams cut."""
        self.feed.restart(secrets.token_hex(5))
        for connection in list(self.connections):
            connection.cut()

    def _check(self, connection: Connection, now: float, wall: float) -> None:
        """Send the heartbeat that is due, unless a fault or a limit ends the connection."""
        if connection.is_gone or self.faults.flapped_away("stream") or self._is_due("drop", connection, now):
            connection.cut()
        elif self._is_due("drop-clean", connection, now):
            connection.end(GOING_AWAY)
        elif self._is_idle(connection, now):
            connection.end(Ending(1001, "idle"))
        elif now - connection.last_heartbeat_at >= self.settings.heartbeat_interval_seconds:
            connection.last_heartbeat_at = now
            self.send(connection, heartbeat("ping", iso_time(wall)))

    def _is_due(self, name: str, connection: Connection, now: float) -> bool:
        fault = self.faults.get(name)
        return fault is not None and now - max(connection.started_at, fault.since) >= fault.seconds

    def _is_idle(self, connection: Connection, now: float) -> bool:
        limit = self.settings.limits.idle_seconds
        return limit is not None and connection.protocol == "websocket" and now - connection.last_message_at >= limit

    def open(
        self, channel: str, protocol: str, transport: asyncio.BaseTransport | None, position: str | None = None
    ) -> Connection:
        """Register a stream that was accepted; the answer to a resume from `position` is queued before all else."""
        connection = Connection(
            channel,
            protocol,
            transport,
            started_at=self.clock.monotonic(),
            start_offset=self.feed.history.last,
            max_queued=self.settings.queue_messages,
            faults=MessageFaults(self.faults, self.clock),
        )
        self.connections.add(connection)
        self.opened += 1
        if position:
            self.resume(connection, position)
        connection.prepend(self.feed.first(channel, self.clock.wall()))
        if self.stopping:
            connection.end(GOING_AWAY)
        return connection

    def resume(self, connection: Connection, position: str) -> None:
        """Queue the answer to a resume, in front of what is live."""
        connection.resumed = True
        frames = self.feed.resume(connection.channel, position, self.clock.wall(), connection.start_offset)
        connection.prepend(frames)

    def shutdown(self) -> None:
        """Stop ticking and ask all streams to end in order."""
        self.stopping = True
        for connection in self.connections:
            connection.end(GOING_AWAY)
