"""One stream connection as the backend sees it: a bounded queue of messages between fan-out and socket."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from iris_exporter.backend.wire import Frame

MAX_QUEUED_BYTES = 8 * 1024 * 1024
"""A client that is this far behind is cut: it has the cursor to catch up with later."""
MAX_TAKEN = 500
"""Messages written in one go; more would keep others waiting."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection is to be ended: close code and reason of a WebSocket, end of body on SSE (RFC 6455, 7.4.1)."""

    code: int
    reason: str


class Connection:
    """What one client is owed, and how its connection ends.

    The fan-out calls `offer`; the writer waits on `wake`, calls `take`, and stops once `finished`.
    """

    def __init__(
        self,
        channel: str,
        protocol: str,
        *,
        now: float,
        start_offset: int,
        max_queued: int,
        abort: Callable[[], None],
        is_gone: Callable[[], bool],
    ) -> None:
        """Describe a connection that was just accepted.

        Args:
            channel: Name of what it listens to.
            protocol: `websocket` or `sse`.
            now: Monotonic seconds.
            start_offset: Offset of the latest event when it began; what is older has to be asked for.
            max_queued: Live messages that may wait before the client counts as too slow.
            abort: Closes the socket at once, without a goodbye.
            is_gone: Tells whether the socket is closed.
        """
        self.channel = channel
        self.protocol = protocol
        self.started_at = now
        self.start_offset = start_offset
        self.last_heartbeat_at = now
        self.last_heard_at = now
        self.is_gone = is_gone
        self.wake = asyncio.Event()
        self.ending: Ending | None = None
        self.was_cut = False
        self.resumed = False
        """Whether this connection has asked for a replay; once is enough, and more would let a client pile them up."""
        self.passed = 0
        """Messages that `garbage` has counted."""
        self.passed_since_huge = 0
        self.huge_since: float | None = None
        """Which `huge` and which `error` (by the moment it was set) this connection has had."""
        self.told_error_since: float | None = None
        self._abort = abort
        self._max_queued = max_queued
        self._backlog: deque[Frame] = deque()
        self._queue: deque[Frame] = deque()
        self._queued_bytes = 0

    def offer(self, frames: Sequence[Frame]) -> bool:
        """Queue live messages; False when the client is too slow for them, and its connection should be cut."""
        if self.ending is not None:
            # Otherwise a busy stream would never be empty, and so never end.
            return True
        self._queue.extend(frames)
        self._queued_bytes += sum(len(frame.body) for frame in frames)
        self.wake.set()
        return len(self._queue) <= self._max_queued and self._queued_bytes <= MAX_QUEUED_BYTES

    def prepend(self, frames: Iterable[Frame]) -> None:
        """Put messages (a replay, a first state) before the live ones; the ring bounds them, not the queue."""
        self._backlog.extend(frames)
        self.wake.set()

    def take(self) -> list[Frame]:
        """Return the next messages in order, at most `MAX_TAKEN`; empty when there are none now."""
        taken: list[Frame] = []
        while self._backlog and len(taken) < MAX_TAKEN:
            taken.append(self._backlog.popleft())
        while self._queue and len(taken) < MAX_TAKEN:
            frame = self._queue.popleft()
            self._queued_bytes -= len(frame.body)
            taken.append(frame)
        if not self._backlog and not self._queue and self.ending is None:
            self.wake.clear()
        return taken

    @property
    def finished(self) -> bool:
        """Whether the writer may stop: the connection is to be ended, and nothing is left to send or to send it on."""
        return self.was_cut or (self.ending is not None and not self._backlog and not self._queue)

    def end(self, ending: Ending) -> None:
        """Ask the writer to end the connection politely; the first wish counts."""
        if self.ending is None:
            self.ending = ending
        self.wake.set()

    def cut(self) -> None:
        """Close the socket at once."""
        self.was_cut = True
        self._abort()
        self.end(Ending(1006, "cut"))
