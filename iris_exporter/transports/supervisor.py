"""The only reconnect loop: feeds the connection machine, carries out its actions, hands data to a sink.

One supervisor looks after one stream. It has few tasks: the link (a dial, then reading beside heartbeat, the snapshot
and answers under way), the timer of the next attempt, the polls, and the search for missing events. Every decision is
`core.connection`'s; every wait goes through the clock.

The link is read from its opening on, so that pings are answered and its end is seen. What it brings while the snapshot
is being loaded is held (`transports.held`) and taken after it, in the order of arrival, so updates are merged into the
snapshot in the order in which they were made. When more has come than should be held, or the link ends, the snapshot is
given up and what is held is taken at once: an event that arrived counts.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace

from iris_exporter.clock import Clock
from iris_exporter.core import negotiation
from iris_exporter.core.backoff import Backoff
from iris_exporter.core.connection import STATES, Action, Connection, Input, Phase, Rules, Step
from iris_exporter.core.failures import RETRY_AFTER_CAP_SECONDS, Failure, Remedy, TransportError
from iris_exporter.core.status import LinkStatus, State
from iris_exporter.logs import get_logger
from iris_exporter.settings import StreamSettings
from iris_exporter.transports.base import Link, Received, Sink
from iris_exporter.transports.connection_events import (
    Connected,
    ConnectionEvent,
    DialFailed,
    DialStarted,
    Disconnected,
    FirstRead,
    Observer,
    PingAnswered,
    PollAnswered,
    PollFailed,
    PollStarted,
    StateChanged,
)
from iris_exporter.transports.dialer import Dialer, PollInstead
from iris_exporter.transports.held import Held
from iris_exporter.transports.polling import Poller

PING = b'{"type":"ping"}'
_GOING_AWAY = 1001
_NORMAL = 1000
_CLOSED_BY_US = Failure("requested", "closed by request")
_SNAPSHOT_GIVEN_UP = Failure("timeout", "the stream brought more than is held until the snapshot is there")
# The most that the protocol allows in a page, and enough pages for twice what a source keeps by default.
_PAGE_EVENTS = 1000
# A source that answers like this has no such pages; any other failure may pass.
_FINAL = (Remedy.REFUSE, Remedy.STOP)
_MAX_PAGES = 20
# Mistakes of ours in a row that make the stream one that cannot go on.
_MISTAKES = 3
# A dial without the position that ends like this was refused for something else before, too.
_NOT_OF_THE_POSITION = ("not_found", "gone", "http_client_error")
_log = get_logger(__name__)


class Supervisor:
    """Keeps one stream connected. Start it with `connect`; `stop` ends it for good.

    `connect`, `disconnect` and `reset` return at once; the tasks do the rest. Everything happens on one event loop.

    Each observer takes every event of the connection; `on_read` takes protocol and bytes of each read of a link;
    `on_crash` is called for each unexpected exception in one of the tasks.
    """

    def __init__(
        self,
        settings: StreamSettings,
        dialer: Dialer,
        poller: Poller,
        sink: Sink,
        observers: Sequence[Observer],
        on_read: Callable[[str, int], None],
        clock: Clock,
        random: Callable[[], float],
        on_crash: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._on_crash = on_crash
        self._mistakes = 0  # in a row, since a link was last opened or a poll brought something
        self._dialer = dialer
        self._poller = poller
        self._sink = sink
        self._observers = tuple(observers)
        self._on_read = on_read
        self._clock = clock
        self._backoff = Backoff(
            settings.reconnect_initial_seconds, settings.reconnect_max_seconds, settings.reconnect_jitter, random
        )
        self._connection = Connection(
            Rules(settings.reconnect_attempts, settings.stable_after_seconds, settings.live_retry_interval_seconds),
            self._backoff,
        )
        self._link_task: asyncio.Task[None] | None = None
        self._retry_task: asyncio.Task[None] | None = None
        self._poll_task: asyncio.Task[None] | None = None
        self._fill_task: asyncio.Task[None] | None = None
        self._reply_task: asyncio.Task[None] | None = None
        self._has_document = False  # whether a dial found a document that polling can begin with
        self._ending: set[asyncio.Task[None]] = set()
        self._crashed = False
        self._close_code = _NORMAL

        self._protocol = "none"
        self._endpoint = ""
        self._failure: Failure | None = None
        self._next_attempt_at: float | None = None
        self._connected_at: float | None = None
        self._last_heard: float | None = None
        self._last_message: float | None = None
        self._heard = 0.0  # monotonic
        self._ping_sent: float | None = None  # monotonic; None when no answer is awaited
        self._retry_hint: float | None = None  # what an SSE stream asked for with `retry:`
        self._poll_urls = self._snapshot_urls()

    # What others see and ask for

    def status(self) -> LinkStatus:
        """What the connection looks like now."""
        return LinkStatus(
            state=self._connection.state,
            protocol=self._protocol,
            endpoint=self._endpoint,
            attempt=0 if self._connection.state is State.LIVE else self._connection.attempt,
            next_attempt_at=self._next_attempt_at,
            connected_at=self._connected_at,
            last_heard=self._last_heard,
            last_message=self._last_message,
            failure=self._failure,
        )

    @property
    def has_crashed(self) -> bool:
        """Whether mistakes of ours keep the stream from going on: one after the other, or one that ended its tasks."""
        return self._crashed or self._mistakes >= _MISTAKES

    def connect(self) -> None:
        """Connect, or make the next attempt now; does nothing when live or while an attempt is under way."""
        self._carry_out(self._connection.feed(Input.CONNECT), None)

    def disconnect(self) -> None:
        """End the link and stay disconnected until asked again."""
        self._failure = None
        self._carry_out(self._connection.feed(Input.DISCONNECT), None)

    def reset(self) -> None:
        """Clear everything that is believed about the source, then connect."""
        self._failure = None
        self._carry_out(self._connection.feed(Input.RESET), None)

    async def stop(self) -> None:
        """Disconnect with a "going away" close frame and return when every task has ended."""
        self._close_code = _GOING_AWAY
        self.disconnect()
        if self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)

    # The machine

    def _carry_out(self, step: Step, failure: Failure | None) -> None:
        before = STATES[step.previous]
        for action in step.actions:
            self._act(action, step.delay_seconds or 0.0)
        state = self._connection.state
        if step.phase in (Phase.POLLING, Phase.POLLING_DIALING):
            self._protocol, self._endpoint = "poll", negotiation.without_credentials(self._poll_urls[0])
        elif state is not State.LIVE:
            self._protocol, self._endpoint = "none", ""
        if state is State.LIVE:
            self._failure = None
        if before is not state or step.delay_seconds is not None:
            self._emit(StateChanged(before, state, failure, self._connection.attempt, step.delay_seconds))

    def _emit(self, event: ConnectionEvent) -> None:
        for observer in self._observers:
            observer(event)

    def _act(self, action: Action, delay_seconds: float) -> None:
        match action:
            case Action.DIAL:
                self._link_task = self._spawn(self._run_link(), "link")
            case Action.CLOSE:
                self._end(self._link_task)
            case Action.PLAN_RETRY | Action.PLAN_SLOW_RETRY:
                self._end(self._retry_task)
                self._next_attempt_at = self._clock.wall() + delay_seconds
                self._retry_task = self._spawn(self._wait_for_retry(delay_seconds), "retry")
            case Action.CANCEL_RETRY:
                self._end(self._retry_task)
                self._next_attempt_at = None
            case Action.START_POLLS:
                if self._poll_task is None or self._poll_task.done():
                    self._poll_task = self._spawn(self._poll_for_ever(), "polls")
            case Action.STOP_POLLS:
                self._end(self._poll_task)
                self._poll_task = None
            case Action.FORGET:
                self._forget()

    def _spawn(self, work: Coroutine[object, object, None], what: str) -> asyncio.Task[None]:
        self._crashed = False
        task = asyncio.get_running_loop().create_task(work, name=f"{self._settings.name}: {what}")
        task.add_done_callback(self._note_crash)
        return task

    def _note_crash(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("stream.crashed", stream=self._settings.name, task=task.get_name(), error=error)
            self._on_crash()
            self._crashed = task not in self._ending

    def _end(self, task: asyncio.Task[None] | None) -> None:
        """Cancel a task unless it is the one that is running: that one is about to return by itself."""
        if task is not None and not task.done() and task is not asyncio.current_task():
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def _forget(self) -> None:
        self._sink.forget()
        self._dialer.forget()
        self._poller.forget()
        self._last_message = None
        self._poll_urls = self._snapshot_urls()

    def _snapshot_urls(self) -> tuple[str, ...]:
        if self._settings.snapshot_url is not None:
            return (negotiation.as_http(self._settings.snapshot_url),)
        if self._settings.protocol == "poll":
            return (negotiation.as_http(self._settings.url),)
        return negotiation.snapshot_addresses(self._settings.url)

    async def _wait_for_retry(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._next_attempt_at = None
        self._carry_out(self._connection.feed(Input.DUE), None)

    # The link

    async def _run_link(self) -> None:
        """A mistake of ours is a failure like any: the stream goes on by its backoff."""
        try:
            await self._run_link_once()
        except Exception as error:  # noqa: BLE001 (whatever it is, the stream has to go on)
            await self._failed(self._mistake(error))

    def _mistake(self, error: Exception) -> Failure:
        task = asyncio.current_task()
        _log.error("stream.crashed", stream=self._settings.name, task=task and task.get_name(), error=error)
        self._mistakes += 1
        self._on_crash()
        return Failure("other", f"unexpected {type(error).__name__}, a mistake of the exporter")

    async def _run_link_once(self) -> None:
        if self._ending:  # at most one connection: the one before this one has to be gone
            await asyncio.gather(*self._ending, return_exceptions=True)
        link = await self._dial()
        if link is None:
            return
        failure = _CLOSED_BY_US
        try:
            failure = self._of_the_position(link, await self._use(link))
        finally:
            await link.close(self._close_code)
            self._connected_at = None
            self._emit(Disconnected(failure))
        if failure.retry_after_seconds is None:
            failure = replace(failure, retry_after_seconds=self._retry_hint)
        await self._failed(failure)

    def _of_the_position(self, link: Link, failure: Failure) -> Failure:
        """A WebSocket is asked to go on after its dial, and so refuses a position by the way it ends."""
        if link.protocol != "websocket" or failure.reason not in _NOT_OF_THE_POSITION:
            return failure
        refused = self._sink.awaits_answer()
        self._sink.position_refused(refused=refused)
        return Failure("position_refused", f"{failure.detail} after a resume") if refused else failure

    async def _dial(self) -> Link | None:
        started = self._clock.monotonic()
        if self._dialer.needs_network:
            self._emit(DialStarted())
        try:
            link = await self._dialer.dial(self._sink.resume_from())
        except TransportError as error:
            reason = error.failure.reason
            if reason == "position_refused" or reason in _NOT_OF_THE_POSITION:
                self._sink.position_refused(refused=reason == "position_refused")
            self._emit(DialFailed(error.failure, self._clock.monotonic() - started))
            await self._failed(error.failure)
            return None
        now = self._clock.monotonic()
        if isinstance(link, PollInstead):
            self._poll_urls = (link.url,)
            if link.body is not None:
                self._emit(PollAnswered(link.wire_bytes))
                self._has_document = self._sink.snapshot(link.body, self._clock.wall(), polling=True) is None
            self._carry_out(self._connection.feed(Input.TO_POLL), None)
            return None
        self._protocol, self._endpoint = link.protocol, negotiation.without_credentials(self._settings.url)
        self._heard = now
        self._last_heard = self._connected_at = self._clock.wall()
        self._emit(Connected(link.protocol, self._endpoint, now - started, self._connected_at))
        await self._ask_to_resume(link)
        self._carry_out(self._connection.opened(now), None)
        self._mistakes = 0
        return link

    async def _ask_to_resume(self, link: Link) -> None:
        """An event stream was asked by a header of the dial; a WebSocket is asked by its first message."""
        message = self._sink.resume_message()
        asked = bool(self._sink.resume_from())
        if link.protocol == "websocket":
            asked = message is not None and await link.send(message)
        self._sink.link_opened(self._clock.wall(), asked=asked)

    async def _failed(self, failure: Failure) -> None:
        key_changed = failure.remedy is Remedy.RENEW and await self._dialer.key_changed()
        self._failure = failure
        self._carry_out(self._connection.failed(failure, self._clock.monotonic(), key_changed=key_changed), failure)

    async def _use(self, link: Link) -> Failure:
        """Load the snapshot and read until the link ends or is found dead; return why."""
        self._heard = self._clock.monotonic()
        self._ping_sent = None
        held = Held()
        name = self._settings.name
        loading = asyncio.create_task(self._load_first(link, held), name=f"{name}: snapshot")
        reading = asyncio.create_task(self._read(link, held, loading), name=f"{name}: read")
        beating = asyncio.create_task(self._beat(link), name=f"{name}: heartbeat")
        tasks = (loading, reading, beating)
        failure = None
        try:
            failure = await _first_failure(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            last_words = self._take_all(link, held)
            self._end(self._fill_task)
            self._end(self._reply_task)
        return last_words or failure

    async def _load_first(self, link: Link, held: Held) -> Failure | None:
        """Load the snapshot, then take what has come since the link was opened."""
        try:
            await self._poll_once(polling=False)
        except asyncio.CancelledError:
            if not held.overflowed:
                raise  # the link has ended
        held.loading = False
        while (piece := held.take()) is not None:
            if (failure := self._take(link, *piece, answered=True)) is not None:
                return failure
            await asyncio.sleep(0)
        held.waits = False
        return None

    def _take_all(self, link: Link, held: Held) -> Failure | None:
        """The link has ended: take what it brought, and return what the source said was wrong."""
        failure = None
        while (piece := held.take()) is not None:
            failure = self._take(link, *piece, answered=True) or failure
        return failure

    async def _read(self, link: Link, held: Held, loading: asyncio.Task[Failure | None]) -> Failure | None:
        protocol = link.protocol
        monotonic, wall = self._clock.monotonic, self._clock.wall
        on_read, is_first = self._on_read, True
        while True:
            try:
                received = await link.read()
            except TransportError as error:
                return error.failure
            self._heard = monotonic()
            now = wall()
            self._last_heard = now
            on_read(protocol, received.wire_bytes)
            if is_first:
                is_first = False
                self._emit(FirstRead())
            if held.waits:
                self._hold(link, held, loading, received, now)
            elif (failure := self._take(link, received, now)) is not None:
                return failure
            if received.pongs:
                self._ponged()

    def _hold(
        self, link: Link, held: Held, loading: asyncio.Task[Failure | None], received: Received, now: float
    ) -> None:
        """Keep a piece until the snapshot is there, and answer what cannot wait so long."""
        reaction = self._sink.peek(received)
        self._reply(link, reaction.replies)
        if reaction.pong:
            self._ponged()
        if not held.put(received, now) and held.loading and not held.overflowed:
            held.overflowed = True
            self._emit(PollFailed(_SNAPSHOT_GIVEN_UP))
            loading.cancel()

    def _take(self, link: Link, received: Received, now: float, *, answered: bool = False) -> Failure | None:
        """Hand a piece to the sink and do what it wants; a failure that ends the link, None otherwise."""
        if received.last_event_id is not None:
            self._retry_hint = received.retry_seconds
        if not received.messages and not received.binary:
            if link.protocol == "sse" and received.wire_bytes:
                self._sink.unchanged(now)  # a comment, or an event without a message: the source lives
            return None
        self._last_message = now
        reaction = self._sink.receive(received, link.protocol, now)
        if not answered:
            self._reply(link, reaction.replies)
        if reaction.pong:
            self._ponged()
        if reaction.fill and (self._fill_task is None or self._fill_task.done()):
            self._fill_task = self._spawn(self._fill(self._poll_urls[0]), "fill")
        return reaction.failure

    def _reply(self, link: Link, replies: Sequence[bytes]) -> None:
        """Send answers without waiting for a peer that does not read; one that is under way answers for later ones."""
        if replies and (self._reply_task is None or self._reply_task.done()):
            self._reply_task = self._spawn(self._send_all(link, replies), "reply")

    @staticmethod
    async def _send_all(link: Link, replies: Sequence[bytes]) -> None:
        for reply in replies:
            await link.send(reply)

    def _ponged(self) -> None:
        """The first answer to a ping, be it the protocol's or the source's, gives the round trip."""
        if self._ping_sent is not None:
            self._emit(PingAnswered(self._clock.monotonic() - self._ping_sent))
            self._ping_sent = None

    async def _beat(self, link: Link) -> Failure | None:
        """Send the pings; return when nothing was heard for too long."""
        interval, timeout = self._settings.heartbeat_interval_seconds, self._settings.heartbeat_timeout_seconds
        next_ping = self._clock.monotonic() + interval
        while True:
            now = self._clock.monotonic()
            if now - self._heard >= timeout:
                return Failure("heartbeat_timeout", f"nothing heard for {timeout:g} s")
            if now >= next_ping:
                next_ping = now + interval
                # A peer that does not read blocks the write as well; this must not keep us from noticing.
                try:
                    async with asyncio.timeout(timeout):
                        if await link.send(PING) and await link.ping():
                            self._ping_sent = now
                except TimeoutError:
                    return Failure("heartbeat_timeout", f"could not send a ping for {timeout:g} s")
            await self._clock.sleep(min(next_ping, self._heard + timeout) - now)

    # The polls

    async def _poll_for_ever(self) -> None:
        while True:
            if self._has_document:  # the dial has found it; asking again at once would bring the same
                self._has_document, failure = False, None
                self._last_heard = self._last_message = self._clock.wall()
            else:
                failure = await self._poll_safely()
            hint = None
            if failure is None:
                self._carry_out(self._connection.feed(Input.POLLED), None)
            else:
                self._failure = failure
                hint = failure.retry_after_seconds
                self._carry_out(self._connection.feed(Input.POLL_FAILED), failure)
            if self._connection.phase is Phase.LIVE or self._poll_task is not asyncio.current_task():
                return
            delay = self._backoff.spread(self._settings.poll_interval_seconds)
            await self._clock.sleep(delay if hint is None else max(delay, min(hint, RETRY_AFTER_CAP_SECONDS)))

    async def _poll_safely(self) -> Failure | None:
        try:
            failure = await self._poll_once(polling=True)
        except Exception as error:  # noqa: BLE001 (as for the link)
            return self._mistake(error)
        if failure is None:
            self._mistakes = 0
        return failure

    async def _poll_once(self, *, polling: bool) -> Failure | None:
        """Load a REST document from the first address that has one; that address is the only one asked from then on."""
        failure: Failure | None = None
        for url in self._poll_urls:
            failure = await self._load(url, polling=polling)
            if failure is None:
                self._last_heard = self._last_message = self._clock.wall()
                self._poll_urls = (url,)
                if polling:
                    await self._fill(url)
                return None
            self._emit(PollFailed(failure))
            if failure.reason != "not_found":
                return failure
        return failure

    async def _load(self, url: str, *, polling: bool) -> Failure | None:
        self._emit(PollStarted())
        try:
            polled = await self._poller.fetch(url)
        except TransportError as error:
            return error.failure
        self._emit(PollAnswered(polled.wire_bytes))
        if polled.body is None:
            self._sink.unchanged(self._clock.wall())
            return None
        if (failure := self._sink.snapshot(polled.body, self._clock.wall(), polling=polling)) is not None:
            self._poller.forget()  # its entity tag would bring "not modified", which passes for a success
        return failure

    async def _fill(self, url: str) -> None:
        """Load the events that the numbering shows to be missing, page by page, from beside the snapshot at `url`."""
        for _ in range(_MAX_PAGES):
            after = self._sink.missing_after()
            address = None if after is None else negotiation.page_address(url, after, _PAGE_EVENTS)
            if after is None:
                return
            page = None
            if address is not None:
                self._emit(PollStarted())
                try:
                    polled = await self._poller.fetch(address, remember=False)
                except TransportError as error:
                    self._emit(PollFailed(error.failure))
                    if error.failure.remedy not in _FINAL:
                        return  # the next document, or the next message, asks again
                else:
                    self._emit(PollAnswered(polled.wire_bytes))
                    page = polled.page(after)
            if not self._sink.page(page, self._clock.wall()):
                return
        # A source that always has another page: what is left is loaded after the next poll.


async def _first_failure(tasks: Iterable[asyncio.Task[Failure | None]]) -> Failure:
    """Wait until one of the tasks, which must not all end well, returns a failure or raises."""
    left = set(tasks)
    while True:
        done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if (failure := task.result()) is not None:
                return failure
