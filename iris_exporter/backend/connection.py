"""One stream connection: what lies between those who send to all and the socket of one client."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from iris_exporter.backend.message_faults import MessageFaults
from iris_exporter.backend.stats import Traffic
from iris_exporter.backend.wire import Frame, message_frame

MAX_QUEUED_BYTES = 8 * 1024 * 1024
"""A client that is this far behind is cut: it has the cursor to catch up with later."""
MAX_TAKEN = 500
"""Messages written in one go; more would keep others waiting."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection is to be ended: close code and reason of a WebSocket, end of body on SSE (RFC 6455, 7.4.1)."""

    code: int
    reason: str


@dataclass(eq=False, kw_only=True)
class Connection(ABC):
    """What one client has yet to receive, and how its connection ends. Times are monotonic seconds.

    The service puts messages into it; the writer waits on `wake`, calls `take`, and stops once `finished`.
    """

    channel: str
    protocol: str
    """`websocket` or `sse`."""
    transport: asyncio.BaseTransport | None
    """None: the client was gone before its request was answered."""
    started_at: float
    faults: MessageFaults
    traffic: Traffic
    """Where the bytes that it is sent are counted."""
    last_heartbeat_at: float = field(init=False)
    last_message_at: float = field(init=False)
    wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    ending: Ending | None = field(default=None, init=False)
    was_cut: bool = field(default=False, init=False)
    knows_of_trouble: bool = field(default=False, init=False)
    """Whether it was told that the source of the data is away."""

    room: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set while the client may say more: it has taken nearly all of the answers to what it said before."""

    def __post_init__(self) -> None:
        self.last_heartbeat_at = self.last_message_at = self.started_at
        self.room.set()

    @property
    def listeners(self) -> "Iterable[Connection]":
        """Those whom messages of the service are for: others where several share one socket."""
        return (self,)

    def tick(self, now: float) -> None:  # noqa: B027 (most have nothing to do)
        """Do what is due by time."""

    def send_away(self, wait_seconds: float) -> None:  # noqa: B027 (older endpoints have no word for it)
        """Tell the client when to come back, where there is a way to; its connection is about to be ended."""

    def is_stalled(self, seconds: float) -> bool:  # noqa: ARG002
        """Whether an answer (a heartbeat at least) has waited for longer: the client takes nothing at all."""
        return False

    @abstractmethod
    def say(self, message: Mapping[str, Any], *, urgent: bool = False) -> bool:
        """Queue a message for this client alone; False when it is too slow, and its connection should be cut."""

    @abstractmethod
    def take(self) -> list[Frame]:
        """Return what to send next, in order; empty when there is nothing now."""

    @property
    def last_line(self) -> bytes:
        """What comes last on SSE, before the end of the body."""
        return b""

    @property
    @abstractmethod
    def empty(self) -> bool:
        """Whether nothing is left to send."""

    @property
    def finished(self) -> bool:
        """Whether the writer may stop: the connection is to be ended, and nothing is left to send or to send it on."""
        return self.was_cut or (self.ending is not None and self.empty)

    def end(self, ending: Ending) -> None:
        """Ask the writer to end the connection in order; the first `ending` counts."""
        if self.ending is None:
            self.ending = ending
        self.wake.set()

    @property
    def is_gone(self) -> bool:
        """Whether the socket is closed."""
        return self.transport is None or self.transport.is_closing()

    def cut(self) -> None:
        """Close the socket at once, without a closing handshake."""
        self.was_cut = True
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()
        self.end(Ending(1006, "cut"))


@dataclass(eq=False, kw_only=True)
class ChannelConnection(Connection):
    """A connection to one of the older endpoints, each of which has one channel: a bounded queue of messages."""

    start_offset: int
    """Offset of the latest event when it began; what is older has to be asked for."""
    max_queued: int
    """Live messages that may wait before the client counts as too slow."""
    resumed: bool = field(default=False, init=False)
    """Whether this connection has asked for a replay; once is enough, and more would let a client pile them up."""
    _backlog: deque[Frame] = field(default_factory=deque, init=False)
    _queue: deque[Frame] = field(default_factory=deque, init=False)
    _queued_bytes: int = field(default=0, init=False)

    def offer(self, frames: Sequence[Frame]) -> bool:
        """Queue live messages; False when the client is too slow for them, and its connection should be cut."""
        if self.ending is not None:
            # Otherwise a busy stream would never be empty, and so never end.
            return True
        self._queue.extend(frames)
        self._queued_bytes += sum(len(frame.body) for frame in frames)
        self.wake.set()
        return len(self._queue) <= self.max_queued and self._queued_bytes <= MAX_QUEUED_BYTES

    @override
    def say(self, message: Mapping[str, Any], *, urgent: bool = False) -> bool:
        return self.offer([message_frame(message)])

    def prepend(self, frames: Iterable[Frame]) -> None:
        """Put messages (a replay, a first state) before the live ones; the ring bounds them, not the queue."""
        self._backlog.extend(frames)
        self.wake.set()

    @override
    def take(self) -> list[Frame]:
        """At most `MAX_TAKEN` messages."""
        taken: list[Frame] = []
        while self._backlog and len(taken) < MAX_TAKEN:
            taken.append(self._backlog.popleft())
        while self._queue and len(taken) < MAX_TAKEN:
            frame = self._queue.popleft()
            self._queued_bytes -= len(frame.body)
            taken.append(frame)
        if self.empty and self.ending is None:
            self.wake.clear()
        return self.faults.apply(taken)

    @property
    @override
    def empty(self) -> bool:
        return not self._backlog and not self._queue
