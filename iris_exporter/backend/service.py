"""The running backend: moves the installation on, fans messages out, and lets the faults act. No HTTP in here."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from iris_exporter.backend.access import NO_LIMITS, Admission, KeyFile, Limits
from iris_exporter.backend.connection import Connection, Ending
from iris_exporter.backend.faults import Faults
from iris_exporter.backend.feed import CHANGES, EVENTS, OVERVIEW, TELEMETRY, Feed
from iris_exporter.backend.history import Entry, History
from iris_exporter.backend.objects import Event, iso_time
from iris_exporter.backend.source import Installation
from iris_exporter.backend.wire import Frame, error_body, garbled, padded, ping
from iris_exporter.clock import Clock, SystemClock
from iris_exporter.logs import get_logger

_log = get_logger(__name__)

TICK_SECONDS = 0.05
"""How often the installation moves: events leave within this time, in batches at high rates."""
GARBAGE_EVERY = 3
HUGE_EVERY = 50
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
    projects: int = 6
    faults: tuple[str, ...] = ()
    limits: Limits = NO_LIMITS
    cors_origin: str | None = None
    heartbeat_interval_seconds: float = 30.0
    telemetry_interval_seconds: float = 5.0
    update_interval_seconds: float = 1.0
    history_events: int = 10_000
    queue_messages: int = 10_000


def new_epoch() -> str:
    """Return a token that no history had before."""
    return secrets.token_hex(5)


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
            Installation(seed=self.seed, start=self.clock.wall(), rate=settings.rate, projects=settings.projects),
            History(new_epoch(), settings.history_events),
        )
        self.connections: set[Connection] = set()
        self.opened = 0
        """Stream connections accepted since the start."""
        self.endings: Counter[str] = Counter()
        """How stream connections ended that this side ended: fault, slow, idle, flood, shutdown."""
        self.stopping = False
        now = self.clock.monotonic()
        self._next_update = now + settings.update_interval_seconds
        self._next_telemetry = now + settings.telemetry_interval_seconds
        self._restarted_at = now
        self.feed.changes(self.clock.wall())

    async def run(self) -> None:
        """Tick until `shutdown` is called."""
        while not self.stopping:
            self.tick()
            await self.clock.sleep(TICK_SECONDS)

    def tick(self) -> None:
        """Do everything that is due by now."""
        now, wall = self.clock.monotonic(), self.clock.wall()
        self._restart_when_due(now)
        self._announce(self.feed.advance(wall))
        if now >= self._next_update:
            self._next_update = now + self.settings.update_interval_seconds
            updates, project_updates = self.feed.changes(wall)
            self._fan_out(OVERVIEW, updates)
            self._fan_out(CHANGES, project_updates)
        if now >= self._next_telemetry:
            self._next_telemetry = now + self.settings.telemetry_interval_seconds
            self._fan_out(TELEMETRY, [self.feed.telemetry(wall)])
        for connection in list(self.connections):
            self._look_after(connection, now, wall)

    def publish(self, events: Iterable[Event]) -> None:
        """Let events of the caller's own happen, oldest first, beside those of the installation."""
        self._announce(self.feed.append(events))

    def _announce(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        for channel in (EVENTS, CHANGES):
            if any(connection.channel == channel for connection in self.connections):
                self._fan_out(channel, self.feed.live(channel, entries, self.clock.wall()))

    def _fan_out(self, channel: str, frames: Sequence[Frame]) -> None:
        if not frames:
            return
        for connection in self.connections:
            if connection.channel == channel:
                self._offer(connection, frames)

    def _offer(self, connection: Connection, frames: Sequence[Frame]) -> None:
        if not connection.offer(frames) and not connection.was_cut:
            _log.warning("client.slow", channel=connection.channel, protocol=connection.protocol)
            self.endings["slow"] += 1
            connection.cut()

    def send(self, connection: Connection, frame: Frame) -> None:
        """Queue a message for one connection, behind what waits already; one that is too slow is cut."""
        self._offer(connection, [frame])

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
        self.feed.restart(new_epoch())
        for connection in list(self.connections):
            self._cut_by_fault(connection)

    def _cut_by_fault(self, connection: Connection) -> None:
        if not connection.was_cut:
            self.endings["fault"] += 1
            connection.cut()

    def _look_after(self, connection: Connection, now: float, wall: float) -> None:
        """Heartbeat, limits and the faults that end connections."""
        if connection.is_gone():
            connection.cut()
            return
        if self.faults.flapped_away("stream"):
            self._cut_by_fault(connection)
            return
        for name in ("drop", "drop-clean"):
            fault = self.faults.get(name)
            if fault is None or now - max(connection.started_at, fault.since) < fault.seconds:
                continue
            if name == "drop":
                self._cut_by_fault(connection)
            elif connection.ending is None:
                self.endings["fault"] += 1
                connection.end(GOING_AWAY)
            return
        idle = self.settings.limits.idle_seconds
        if idle is not None and connection.protocol == "websocket" and now - connection.last_heard_at >= idle:
            if connection.ending is None:
                self.endings["idle"] += 1
            connection.end(Ending(1001, "idle"))
            return
        if now - connection.last_heartbeat_at >= self.settings.heartbeat_interval_seconds:
            connection.last_heartbeat_at = now
            self.send(connection, ping(iso_time(wall)))

    def open(
        self, channel: str, protocol: str, *, abort: Callable[[], None], is_gone: Callable[[], bool]
    ) -> Connection:
        """Register a stream that was accepted; see `Connection` for the arguments."""
        connection = Connection(
            channel,
            protocol,
            now=self.clock.monotonic(),
            start_offset=self.feed.history.last,
            max_queued=self.settings.queue_messages,
            abort=abort,
            is_gone=is_gone,
        )
        self.connections.add(connection)
        self.opened += 1
        if self.stopping:
            connection.end(GOING_AWAY)
        return connection

    def close(self, connection: Connection) -> None:
        """Forget a stream that has ended."""
        self.connections.discard(connection)

    def greet(self, connection: Connection) -> None:
        """Queue what a new connection is told at once."""
        connection.prepend(self.feed.first(connection.channel, self.clock.wall()))

    def resume(self, connection: Connection, position: str) -> None:
        """Queue the answer to a resume, in front of what is live."""
        connection.resumed = True
        frames = self.feed.resume(connection.channel, position, self.clock.wall(), connection.start_offset)
        connection.prepend(frames)

    def is_silent(self, connection: Connection) -> bool:
        """Tell whether the `silent` fault has this connection say nothing at all."""
        fault = self.faults.get("silent")
        if fault is None:
            return False
        return self.clock.monotonic() - max(connection.started_at, fault.since) >= fault.seconds

    def outgoing(self, connection: Connection) -> list[Frame]:
        """Take the next messages of a connection and send them through the faults that change messages."""
        frames = connection.take()
        if not frames or self.is_silent(connection):
            return []
        if self.faults.get("data-silent"):
            frames = [frame for frame in frames if frame.heartbeat]
        if self.faults.get("duplicate"):
            frames = [copy for frame in frames for copy in ([frame, frame] if frame.position else [frame])]
        if self.faults.get("huge"):
            frames = self._with_huge(connection, frames)
        if self.faults.get("garbage"):
            frames = self._with_garbage(connection, frames)
        return self._with_error(connection, frames)

    def _with_huge(self, connection: Connection, frames: list[Frame]) -> list[Frame]:
        fault = self.faults.get("huge")
        if fault is None:
            return frames
        result: list[Frame] = []
        for frame in frames:
            due = connection.huge_since != fault.since or connection.passed_since_huge >= HUGE_EVERY
            if due:
                connection.huge_since = fault.since
                connection.passed_since_huge = 0
                result.append(padded(int(fault.seconds), iso_time(self.clock.wall())))
            connection.passed_since_huge += 1
            result.append(frame)
        return result

    def _with_garbage(self, connection: Connection, frames: list[Frame]) -> list[Frame]:
        result: list[Frame] = []
        for frame in frames:
            connection.passed += 1
            turn, rest = divmod(connection.passed, GARBAGE_EVERY)
            result.append(frame if rest else garbled(frame, turn - 1))
        return result

    def _with_error(self, connection: Connection, frames: list[Frame]) -> list[Frame]:
        fault = self.faults.get("error")
        if fault is None or not frames or connection.told_error_since == fault.since:
            return frames
        connection.told_error_since = fault.since
        retry_after = 5.0 if fault.text == "RATE_LIMIT_EXCEEDED" else None
        return [Frame("error", error_body(fault.text, retry_after=retry_after)), *frames]

    def shutdown(self) -> None:
        """Stop ticking and ask all streams to end with a goodbye."""
        self.stopping = True
        for connection in self.connections:
            if connection.ending is None:
                self.endings["shutdown"] += 1
            connection.end(GOING_AWAY)
