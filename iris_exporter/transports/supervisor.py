"""The only reconnect loop: feeds the connection machine and carries out its actions.

One supervisor looks after one stream, in few tasks: the link (a dial, then a `LinkSession`), the timer of the next
attempt, and the polls. Every decision is `core.connection`'s; every wait goes through the clock.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from iris_exporter.core import negotiation
from iris_exporter.core.backoff import Backoff
from iris_exporter.core.connection import STATES, Action, Connection, Input, Phase, Rules, Step
from iris_exporter.core.failures import REQUEST_REFUSED, RETRY_AFTER_CAP_SECONDS, Failure, TransportError
from iris_exporter.core.reasons import Remedy
from iris_exporter.core.status import LinkStatus, State
from iris_exporter.transports.base import Link
from iris_exporter.transports.connection_events import (
    Connected,
    DialFailed,
    DialStarted,
    Disconnected,
    StateChanged,
)
from iris_exporter.transports.context import StreamContext
from iris_exporter.transports.dialer import Dialer, PollInstead
from iris_exporter.transports.link_session import LinkSession
from iris_exporter.transports.polling import Poller
from iris_exporter.transports.snapshots import SnapshotLoader

_GOING_AWAY = 1001
_NORMAL = 1000
_CLOSED_BY_US = Failure("requested", "closed by request")


class Supervisor:
    """Keeps one stream connected. Start it with `connect`; `stop` ends it for good.

    `connect`, `disconnect` and `reset` return at once; the tasks do the rest. Everything happens on one event loop.
    """

    def __init__(self, context: StreamContext, dialer: Dialer, poller: Poller, random: Callable[[], float]) -> None:
        self._context = context
        self._sink, self._clock = context.sink, context.clock
        self._settings = settings = context.settings
        self._tasks, self._emit = context.tasks, context.emit
        self._dialer = dialer
        self._snapshots = SnapshotLoader(context, poller)
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
        self._close_code = _NORMAL

        self._protocol = "none"
        self._endpoint = ""
        self._compression = "none"
        self._next_attempt_at: float | None = None
        self._connected_at: float | None = None
        self._failing_since: float | None = None
        self._state_changed_at = self._clock.wall()
        self.last_failure_at: float | None = None

    # Status and control

    def status(self) -> LinkStatus:
        """What the connection looks like now."""
        dialect, is_live = self._sink.dialect, self._connection.state is State.LIVE
        return LinkStatus(
            state=self._connection.state,
            protocol=self._protocol,
            endpoint=self._endpoint,
            attempt=0 if self._connection.state is State.LIVE else self._connection.attempt,
            next_attempt_at=self._next_attempt_at,
            connected_at=self._connected_at,
            last_message=self._context.last_message_at,
            failure=self._connection.failure,
            failing_since=self._failing_since,
            last_failure_at=self.last_failure_at,
            state_changed_at=self._state_changed_at,
            encoding=dialect.encoding if is_live else "none",
            compression=self._compression if is_live else "none",
            extensions=dialect.extensions if is_live else None,
            oldest_waiting=self._context.oldest_waiting(),
        )

    @property
    def has_crashed(self) -> bool:
        """Whether bugs of the exporter stop the stream."""
        return self._tasks.has_crashed

    def connect(self) -> None:
        """Connect, or make the next attempt now; does nothing when live or while an attempt is under way."""
        self._carry_out(self._connection.feed(Input.CONNECT), None)

    def disconnect(self) -> None:
        """End the link and stay disconnected until asked again."""
        self._carry_out(self._connection.feed(Input.DISCONNECT), None)

    def reset(self) -> None:
        """Clear everything that is believed about the source, then connect."""
        self._carry_out(self._connection.feed(Input.RESET), None)

    async def stop(self) -> None:
        """Disconnect with a "going away" close frame and return when every task has ended."""
        self._close_code = _GOING_AWAY
        self.disconnect()
        await self._tasks.wait_ended()

    # The machine

    def _carry_out(self, step: Step, failure: Failure | None) -> None:
        before = STATES[step.previous]
        for action in step.actions:
            self._act(action, step.delay_seconds or 0.0)
        state = self._connection.state
        if step.phase in (Phase.POLLING, Phase.POLLING_DIALING):
            self._protocol, self._endpoint = "poll", negotiation.without_credentials(self._snapshots.url or "")
        elif state is not State.LIVE:
            self._protocol, self._endpoint = "none", ""
        self._record_times(before, failure)
        if before is not state or step.delay_seconds is not None:
            self._emit(StateChanged(before, state, failure, self._connection.attempt, step.delay_seconds))

    def _record_times(self, before: State, failure: Failure | None) -> None:
        now = self._clock.wall()
        if before is not self._connection.state:
            self._state_changed_at = now
        if failure is not None:
            self.last_failure_at = now
        if self._connection.failure is None:
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = now

    def _act(self, action: Action, delay_seconds: float) -> None:
        match action:
            case Action.DIAL:
                self._link_task = self._tasks.spawn(self._run_link(), "link")
            case Action.CLOSE:
                self._tasks.end(self._link_task)
            case Action.PLAN_RETRY | Action.PLAN_SLOW_RETRY:
                self._tasks.end(self._retry_task)
                self._next_attempt_at = self._clock.wall() + delay_seconds
                self._retry_task = self._tasks.spawn(self._wait_for_retry(delay_seconds), "retry")
            case Action.CANCEL_RETRY:
                self._tasks.end(self._retry_task)
                self._next_attempt_at = None
            case Action.START_POLLS:
                if self._poll_task is None or self._poll_task.done():
                    self._poll_task = self._tasks.spawn(self._poll_for_ever(), "polls")
            case Action.STOP_POLLS:
                self._tasks.end(self._poll_task)
                self._poll_task = None
            case Action.FORGET:
                self._forget()

    def _forget(self) -> None:
        self._sink.forget()
        self._dialer.forget()
        self._snapshots.forget()
        self._context.last_message_at = None

    async def _wait_for_retry(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._next_attempt_at = None
        self._carry_out(self._connection.feed(Input.DUE), None)

    # The link

    async def _run_link(self) -> None:
        """Use one link; an unexpected exception is a failure like any: the stream goes on by its backoff."""
        try:
            await self._run_link_once()
        except Exception as error:  # noqa: BLE001 (whatever it is, the stream has to go on)
            await self._failed(self._tasks.unexpected(error))

    async def _run_link_once(self) -> None:
        await self._tasks.wait_ended()  # at most one connection: the one before this one has to be gone
        link = await self._dial()
        if link is None:
            return
        failure = _CLOSED_BY_US
        started = self._clock.monotonic()
        try:
            session = LinkSession(link, self._context, self._snapshots, self._opened)
            failure = self._of_the_position(link, await session.run())
            if self._sink.dialect.ends_as_planned(failure, self._clock.monotonic() - started):
                failure = replace(failure, reason="planned_end")
        finally:
            await link.close(self._close_code)
            self._connected_at = None
            self._emit(Disconnected(failure))
        if failure.retry_after_seconds is None:
            failure = replace(failure, retry_after_seconds=self._context.retry_seconds)
        await self._failed(failure)

    def _of_the_position(self, link: Link, failure: Failure) -> Failure:
        """A two-way link is asked to resume after its dial, and so refuses a position by the way it ends."""
        if failure.reason == "position_refused":  # as a message says
            self._sink.position_refused(refused=True)
        if not link.two_way or failure.reason not in REQUEST_REFUSED:
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
            if reason == "position_refused" or reason in REQUEST_REFUSED:
                self._sink.position_refused(refused=reason == "position_refused")
            self._emit(DialFailed(error.failure, self._clock.monotonic() - started))
            await self._failed(error.failure)
            return None
        now = self._clock.monotonic()
        if isinstance(link, PollInstead):
            self._snapshots.found(link)
            self._carry_out(self._connection.feed(Input.TO_POLL), None)
            return None
        self._protocol, self._endpoint = link.protocol, negotiation.without_credentials(self._settings.url)
        self._connected_at, self._compression = self._clock.wall(), link.compression
        first = self._sink.on_open(self._connected_at, two_way=link.two_way, subprotocol=link.subprotocol)
        encoding = self._sink.dialect.encoding
        self._emit(
            Connected(link.protocol, self._endpoint, now - started, self._connected_at, encoding, link.compression)
        )
        for message in first:
            await link.send(message)
        return link

    def _opened(self) -> None:
        self._carry_out(self._connection.opened(self._clock.monotonic()), None)
        self._tasks.works()

    async def _failed(self, failure: Failure) -> None:
        key_changed = failure.remedy is Remedy.RENEW and await self._dialer.key_changed()
        can_poll = self._snapshots.url is not None
        step = self._connection.failed(failure, self._clock.monotonic(), key_changed=key_changed, can_poll=can_poll)
        self._carry_out(step, failure)

    # The polls

    async def _poll_for_ever(self) -> None:
        while True:
            failure = await self._poll_safely()
            hint = self._snapshots.pause_seconds
            if failure is None:
                self._carry_out(self._connection.feed(Input.POLLED), None)
            else:
                hint = hint if failure.retry_after_seconds is None else failure.retry_after_seconds
                self._carry_out(self._connection.feed(Input.POLL_FAILED, failure), failure)
            if self._connection.phase is Phase.LIVE or self._poll_task is not asyncio.current_task():
                return
            delay = self._backoff.spread(self._settings.poll_interval_seconds)
            await self._clock.sleep(delay if hint is None else max(delay, min(hint, RETRY_AFTER_CAP_SECONDS)))

    async def _poll_safely(self) -> Failure | None:
        try:
            failure = await self._snapshots.poll()
        except Exception as error:  # noqa: BLE001 (as for the link)
            return self._tasks.unexpected(error)
        if failure is None:
            self._tasks.works()
        return failure
