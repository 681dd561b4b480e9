"""The use of one link, from its opening to its end: handshake, snapshot, reading, heartbeat, answers.

Some sources want to be talked to before they send anything: see `Opening`. What arrives meanwhile is taken afterwards.

The link is read from its opening on, so that pings are answered and its end is seen. What it brings while the snapshot
is being loaded waits (`Backlog`) and is taken after it, in the order of arrival, so updates are merged in the order in
which they were made. When more has come than may wait, or the link ends, the snapshot is given up and
what waits is taken at once: an event that arrived counts.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.core.heartbeat import Heartbeat
from iris_exporter.decoding.dialect import Opening, Outgoing
from iris_exporter.transports.base import Link, Received
from iris_exporter.transports.connection_events import FirstRead, PingAnswered, PollFailed
from iris_exporter.transports.context import StreamContext
from iris_exporter.transports.snapshots import SnapshotLoader

MAX_BACKLOG_BYTES = 8 * 1024 * 1024
"""Some minutes of what a source may send by the protocol. Beyond, the snapshot is given up: its stream matters more."""
_PIECE_BYTES = 256  # what an empty piece takes
_SNAPSHOT_GIVEN_UP = Failure("timeout", "the stream brought more than may wait until the snapshot is loaded")


_Queue = deque[tuple[Received, float]]


class Backlog:
    """Pieces that wait for the snapshot, bounded by their bytes. `take` them from the oldest on.

    There are two queues: `urgent` pieces hold nothing but messages of high priority, which are as right before the
    snapshot as after it, and are taken first. Its user sets the flags: the snapshot is still `loading`, it was given up
    because the pieces `overflowed`, and what arrives still `waits` behind other pieces.
    """

    def __init__(self, limit_bytes: int = MAX_BACKLOG_BYTES) -> None:
        self.loading = self.waits = True
        self.overflowed = False
        # Made with the first piece: an empty deque has room for 64 already, and mostly nothing waits.
        self._pieces: _Queue | None = None
        self._urgent: _Queue | None = None
        self._bytes = 0
        self._limit = limit_bytes

    def put(self, received: Received, at: float, *, urgent: bool = False) -> bool:
        """Add a piece that arrived at wall time `at`; False when there is more now than may wait."""
        if urgent:
            self._urgent = queue = self._urgent or deque()
        else:
            self._pieces = queue = self._pieces or deque()
        queue.append((received, at))
        self._bytes += sum(map(len, received.frames)) + _PIECE_BYTES
        return self._bytes <= self._limit

    def take(self) -> tuple[Received, float] | None:
        """The next piece, None when there is none."""
        return self.take_urgent() or (self._pieces.popleft() if self._pieces else None)

    def take_urgent(self) -> tuple[Received, float] | None:
        """The next piece of high priority, None when there is none."""
        return self._urgent.popleft() if self._urgent else None

    @property
    def oldest(self) -> tuple[float | None, float | None]:
        """When the oldest ordinary piece, and the oldest urgent one, arrived; None where none waits."""
        normal, urgent = ((queue[0][1] if queue else None) for queue in (self._pieces, self._urgent))
        return normal, urgent


class LinkSession:
    """Uses one open link. Call `run` once; the link is closed by whoever opened it.

    `on_live` is called when everything that has to come first was said and heard.
    """

    def __init__(
        self, link: Link, context: StreamContext, snapshots: SnapshotLoader, on_live: Callable[[], None] = lambda: None
    ) -> None:
        self._link = link
        self._on_live = on_live
        self._context = context
        self._sink, self._clock, self._emit = context.sink, context.clock, context.emit
        self._snapshots = snapshots
        settings = context.settings
        dialect = self._sink.dialect
        self._dead_after_seconds = dialect.heartbeat_timeout_seconds or settings.heartbeat_timeout_seconds
        self._heartbeat = Heartbeat(
            dialect.heartbeat_interval_seconds or settings.heartbeat_interval_seconds,
            self._dead_after_seconds,
            self._clock.monotonic(),
        )
        self._backlog = Backlog()
        self._filling: asyncio.Task[None] | None = None
        self._replying: asyncio.Task[None] | None = None
        self._requesting: asyncio.Task[None] | None = None
        context.oldest_waiting = lambda: self._backlog.oldest

    async def run(self) -> Failure:
        """Complete the handshake, load the snapshot and read until the link ends or is found dead; return why."""
        opening = self._sink.dialect.opening if self._link.two_way else None
        if opening is not None and (failure := await self._open(opening)) is not None:
            return self._take_all() or failure
        self._on_live()
        name = self._context.settings.name
        loading = asyncio.create_task(self._load_snapshot(), name=f"{name}: snapshot")
        reading = asyncio.create_task(self._read(loading), name=f"{name}: read")
        beating = asyncio.create_task(self._beat(), name=f"{name}: heartbeat")
        tasks = (loading, reading, beating)
        try:
            failure = await _first_failure(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            reported = self._take_all()
            self._context.tasks.end(self._filling)
            self._context.tasks.end(self._replying)
            self._context.tasks.end(self._requesting)
        return reported or failure

    async def _open(self, opening: Opening) -> Failure | None:
        """Say and hear what has to come first; the pieces that are read wait with those that follow."""
        step, deadline = -1, 0.0
        while (timeout := opening.timeout_seconds) is not None:
            if opening.step != step:  # other messages in between do not prolong it
                step, deadline = opening.step, asyncio.get_running_loop().time() + timeout
            try:
                async with asyncio.timeout_at(deadline):
                    received = await self._link.read()
            except TransportError as error:
                return error.failure
            except TimeoutError:
                return Failure("handshake", f"no answer that it waits for within {timeout:g} s")
            self._count_read(received)
            self._reply(self._sink.peek(received).replies)
            messages, failure = opening.take(received.frames)
            fits = self._backlog.put(received, self._clock.wall())
            if failure is not None:
                return _refused(failure, self._take_all())
            if not fits:
                return Failure("handshake", "more came than may wait before the answer that it waits for")
            for message in messages:
                await self._link.send(message)
        return None

    def _count_read(self, received: Received) -> None:
        self._heartbeat.heard = self._clock.monotonic()
        wire_bytes, inflated_bytes = received.wire_bytes, received.inflated_bytes
        inflated_bytes = wire_bytes if inflated_bytes is None else inflated_bytes
        self._context.on_read(self._link.protocol, wire_bytes, inflated_bytes)

    async def _load_snapshot(self) -> Failure | None:
        """Load the snapshot, then take what has come since the link was opened."""
        backlog = self._backlog
        try:
            await self._snapshots.load(polling=False)
        except asyncio.CancelledError:
            if not backlog.overflowed:
                raise  # the link has ended
        backlog.loading = False
        while (piece := backlog.take()) is not None:
            if (failure := self._take(*piece, answered=True)) is not None:
                return failure
            await asyncio.sleep(0)
        backlog.waits = False
        return None

    def _take_all(self) -> Failure | None:
        """The link has ended: take what it brought, and return the failure that the source reported in it."""
        failure = None
        while (piece := self._backlog.take()) is not None:
            failure = self._take(*piece, answered=True) or failure
        return failure

    async def _read(self, loading: asyncio.Task[Failure | None]) -> Failure | None:
        link, backlog, wall = self._link, self._backlog, self._clock.wall
        is_first = True
        while True:
            try:
                received = await link.read()
            except TransportError as error:
                return error.failure
            now = wall()
            self._count_read(received)
            if is_first:
                is_first = False
                self._emit(FirstRead())
            if backlog.waits:
                self._add_to_backlog(loading, received, now)
                while (piece := backlog.take_urgent()) is not None:
                    if (failure := self._take(*piece)) is not None:
                        return failure
            elif (failure := self._take(received, now)) is not None:
                return failure
            if received.pongs:
                self._ping_answered()

    def _add_to_backlog(self, loading: asyncio.Task[Failure | None], received: Received, now: float) -> None:
        """Let a piece wait for the snapshot, and answer what cannot wait so long."""
        backlog = self._backlog
        reaction = self._sink.peek(received)
        self._reply(reaction.replies)
        if reaction.request is not None:
            self._requesting = self._context.tasks.spawn(self._send_all((reaction.request,)), "request")
        if reaction.pong:
            self._ping_answered()
        if urgent := self._sink.dialect.urgent(received.frames):
            backlog.put(Received(list(urgent), 0), now, urgent=True)
            received.frames = [frame for frame in received.frames if not any(frame is each for each in urgent)]
        if not backlog.put(received, now) and backlog.loading and not backlog.overflowed:
            backlog.overflowed = True
            self._emit(PollFailed(_SNAPSHOT_GIVEN_UP))
            loading.cancel()

    def _take(self, received: Received, now: float, *, answered: bool = False) -> Failure | None:
        """Give a piece to the sink and do what it wants; a failure that ends the link, None otherwise."""
        if received.last_event_id is not None:
            self._context.retry_seconds = received.retry_seconds
        if not received.frames:
            if not self._link.two_way and received.wire_bytes:
                self._sink.unchanged(now)  # such as a comment in an event stream: the source lives
            return None
        reaction = self._sink.receive(received, now)
        if not reaction.silent:
            self._context.last_message_at = now
        if not answered:
            self._reply(reaction.replies)
        if reaction.request is not None:
            self._requesting = self._context.tasks.spawn(self._send_all((reaction.request,)), "request")
        if reaction.pong:
            self._ping_answered()
        if reaction.fill and (self._filling is None or self._filling.done()):
            self._filling = self._context.tasks.spawn(self._snapshots.fill_gaps(), "fill")
        return reaction.failure

    def _reply(self, replies: Sequence[Outgoing]) -> None:
        """Send answers without waiting for a peer that does not read; one that is under way answers for later ones."""
        if replies and (self._replying is None or self._replying.done()):
            self._replying = self._context.tasks.spawn(self._send_all(replies), "reply")

    async def _send_all(self, replies: Sequence[Outgoing]) -> None:
        for reply in replies:
            await self._link.send(reply)

    def _ping_answered(self) -> None:
        """The first answer to a ping, be it the protocol's or the source's, gives the round trip."""
        seconds = self._heartbeat.answered(self._clock.monotonic())
        if seconds is not None:
            self._emit(PingAnswered(seconds))

    async def _beat(self) -> Failure | None:
        """Send the pings; return when nothing was heard for too long."""
        timeout = self._dead_after_seconds
        while True:
            now = self._clock.monotonic()
            if self._heartbeat.is_dead(now):
                return Failure("heartbeat_timeout", f"nothing heard for {timeout:g} s")
            if self._heartbeat.ping_due(now):
                # A peer that does not read blocks the write; that must not delay the end of the link.
                try:
                    async with asyncio.timeout(timeout):
                        message = self._sink.dialect.heartbeat
                        if message is not None:
                            await self._link.send(message)
                        if await self._link.ping():
                            self._heartbeat.sent(now)
                except TimeoutError:
                    return Failure("heartbeat_timeout", f"could not send a ping for {timeout:g} s")
            await self._clock.sleep(self._heartbeat.wait_seconds(now))


def _refused(failure: Failure, reported: Failure | None) -> Failure:
    """Why the handshake failed: for the reason of its step where that has one, in the words of the source."""
    if reported is None or failure.reason == "handshake":
        return reported or failure
    return replace(reported, reason=failure.reason)


async def _first_failure(tasks: Iterable[asyncio.Task[Failure | None]]) -> Failure:
    """Wait until one of the tasks, which must not all end well, returns a failure or raises."""
    left = set(tasks)
    while True:
        done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if (failure := task.result()) is not None:
                return failure
