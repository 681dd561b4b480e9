"""The life of a connection: one table, and the small amount of arithmetic around it.

Theory. A stream is always in one *phase*; what happens to it is an *input*; the table says which phase follows and
which *actions* the supervisor carries out, in order. An input that the table lacks for a phase is a bug of the caller
and raises. Failures are turned into inputs here too: the remedy of a failure (`core.failures`) and the number of
attempts already used decide between trying again, polling, and giving up for a while.

Phases are finer than the states of the contract, because "polling" and "polling while a dial is under way" need
different reactions; `STATES` maps each phase to its state. From POLLING and REFUSED the live transport is dialled
again on a slow schedule, so no operator has to press a button. While a dial from POLLING is under way polling goes
on, and stops only when the link is open. A source without an address to poll has no polling phase: when no attempts
are left it is in REFUSED, as if it had refused.

Attempts. The count of failed attempts goes back to zero only when a link has been up for `stable_after_seconds`; a
server that accepts and closes at once therefore drives the backoff up and ends in polling, like one that refuses.

The failure. What went wrong last is remembered for as long as the stream is not as it was wished: `Connection.failure`
lasts over phases and further attempts, and ends where the stream is live, where nobody wants it, and where a dial has
found that polls are what the source offers (`protocol: poll` always does), unless those polls fail.

No clock and no sockets: the supervisor passes the time in, and gets delays back.
Source: the IRIS wire, section 4; the states are the contract's.
"""

from dataclasses import dataclass
from enum import StrEnum

from iris_exporter.core.backoff import Backoff
from iris_exporter.core.failures import Failure
from iris_exporter.core.reasons import Remedy
from iris_exporter.core.status import State


class Phase(StrEnum):
    """Where the connection is."""

    IDLE = "idle"  # no connection is wanted
    DIALING = "dialing"  # an attempt is under way
    WAITING = "waiting"  # the next attempt is planned
    LIVE = "live"
    POLLING = "polling"  # polls work, or have not failed yet
    POLLING_DIALING = "polling-dialing"
    OFFLINE = "offline"  # polls fail too, and go on
    OFFLINE_DIALING = "offline-dialing"
    REFUSED = "refused"  # upstream does not want us; a slow retry is planned
    REFUSED_DIALING = "refused-dialing"
    STOPPED = "stopped"  # upstream does not want us, and waiting will not help


STATES: dict[Phase, State] = {
    Phase.IDLE: State.DISCONNECTED,
    Phase.DIALING: State.CONNECTING,
    Phase.WAITING: State.CONNECTING,
    Phase.LIVE: State.LIVE,
    Phase.POLLING: State.POLLING,
    Phase.POLLING_DIALING: State.POLLING,
    Phase.OFFLINE: State.ERROR,
    Phase.OFFLINE_DIALING: State.ERROR,
    Phase.REFUSED: State.ERROR,
    Phase.REFUSED_DIALING: State.ERROR,
    Phase.STOPPED: State.ERROR,
}

_AS_WISHED = frozenset({Phase.IDLE, Phase.LIVE})  # polling may be, too: it depends on why


class Input(StrEnum):
    """What can happen."""

    CONNECT = "connect"  # a connection is wanted, or the next attempt now
    DISCONNECT = "disconnect"  # no connection is wanted any more
    RESET = "reset"  # forget everything and start again
    OPENED = "opened"  # the dial brought a link
    TO_POLL = "to-poll"  # the dial found something that can only be polled
    FAILED = "failed"  # the dial or the link failed, and attempts are left
    EXHAUSTED = "exhausted"  # the same, and none are left
    UNAVAILABLE = "unavailable"  # upstream asks us to poll for now
    REFUSED = "refused"  # upstream refuses us
    STOPPED = "stopped"  # upstream refuses us for good
    DUE = "due"  # the planned time has come
    POLLED = "polled"
    POLL_FAILED = "poll-failed"


class Action(StrEnum):
    """What the supervisor has to do, in the order given."""

    DIAL = "dial"
    CLOSE = "close"  # end the link or the dial under way, then go on
    PLAN_RETRY = "plan-retry"  # wait for the backoff's delay, then DUE
    PLAN_SLOW_RETRY = "plan-slow-retry"  # wait for the slow schedule's delay, then DUE
    CANCEL_RETRY = "cancel-retry"
    START_POLLS = "start-polls"  # now, and then at the interval; does nothing when they run
    STOP_POLLS = "stop-polls"
    FORGET = "forget"  # clear the model and what was learnt about the source


_P, _I, _A = Phase, Input, Action

TABLE: dict[tuple[Phase, Input], tuple[Phase, tuple[Action, ...]]] = {
    (_P.IDLE, _I.CONNECT): (_P.DIALING, (_A.DIAL,)),
    (_P.IDLE, _I.DISCONNECT): (_P.IDLE, ()),
    (_P.IDLE, _I.RESET): (_P.DIALING, (_A.FORGET, _A.DIAL)),
    #
    (_P.DIALING, _I.CONNECT): (_P.DIALING, ()),
    (_P.DIALING, _I.DISCONNECT): (_P.IDLE, (_A.CLOSE,)),
    (_P.DIALING, _I.RESET): (_P.DIALING, (_A.CLOSE, _A.FORGET, _A.DIAL)),
    (_P.DIALING, _I.OPENED): (_P.LIVE, ()),
    (_P.DIALING, _I.TO_POLL): (_P.POLLING, (_A.START_POLLS, _A.PLAN_SLOW_RETRY)),
    (_P.DIALING, _I.FAILED): (_P.WAITING, (_A.PLAN_RETRY,)),
    (_P.DIALING, _I.EXHAUSTED): (_P.POLLING, (_A.START_POLLS, _A.PLAN_SLOW_RETRY)),
    (_P.DIALING, _I.UNAVAILABLE): (_P.POLLING, (_A.START_POLLS, _A.PLAN_SLOW_RETRY)),
    (_P.DIALING, _I.REFUSED): (_P.REFUSED, (_A.PLAN_SLOW_RETRY,)),
    (_P.DIALING, _I.STOPPED): (_P.STOPPED, ()),
    #
    (_P.WAITING, _I.CONNECT): (_P.DIALING, (_A.CANCEL_RETRY, _A.DIAL)),
    (_P.WAITING, _I.DISCONNECT): (_P.IDLE, (_A.CANCEL_RETRY,)),
    (_P.WAITING, _I.RESET): (_P.DIALING, (_A.CANCEL_RETRY, _A.FORGET, _A.DIAL)),
    (_P.WAITING, _I.DUE): (_P.DIALING, (_A.DIAL,)),
    #
    (_P.LIVE, _I.CONNECT): (_P.LIVE, ()),
    (_P.LIVE, _I.DISCONNECT): (_P.IDLE, (_A.CLOSE,)),
    (_P.LIVE, _I.RESET): (_P.DIALING, (_A.CLOSE, _A.FORGET, _A.DIAL)),
    (_P.LIVE, _I.FAILED): (_P.WAITING, (_A.PLAN_RETRY,)),
    (_P.LIVE, _I.EXHAUSTED): (_P.POLLING, (_A.START_POLLS, _A.PLAN_SLOW_RETRY)),
    (_P.LIVE, _I.UNAVAILABLE): (_P.POLLING, (_A.START_POLLS, _A.PLAN_SLOW_RETRY)),
    (_P.LIVE, _I.REFUSED): (_P.REFUSED, (_A.PLAN_SLOW_RETRY,)),
    (_P.LIVE, _I.STOPPED): (_P.STOPPED, ()),
    #
    (_P.POLLING, _I.CONNECT): (_P.POLLING_DIALING, (_A.CANCEL_RETRY, _A.DIAL)),
    (_P.POLLING, _I.DISCONNECT): (_P.IDLE, (_A.CANCEL_RETRY, _A.STOP_POLLS)),
    (_P.POLLING, _I.RESET): (_P.DIALING, (_A.CANCEL_RETRY, _A.STOP_POLLS, _A.FORGET, _A.DIAL)),
    (_P.POLLING, _I.DUE): (_P.POLLING_DIALING, (_A.DIAL,)),
    (_P.POLLING, _I.POLLED): (_P.POLLING, ()),
    (_P.POLLING, _I.POLL_FAILED): (_P.OFFLINE, ()),
    #
    (_P.POLLING_DIALING, _I.CONNECT): (_P.POLLING_DIALING, ()),
    (_P.POLLING_DIALING, _I.DISCONNECT): (_P.IDLE, (_A.CLOSE, _A.STOP_POLLS)),
    (_P.POLLING_DIALING, _I.RESET): (_P.DIALING, (_A.CLOSE, _A.STOP_POLLS, _A.FORGET, _A.DIAL)),
    (_P.POLLING_DIALING, _I.OPENED): (_P.LIVE, (_A.STOP_POLLS,)),
    (_P.POLLING_DIALING, _I.TO_POLL): (_P.POLLING, (_A.PLAN_SLOW_RETRY,)),
    (_P.POLLING_DIALING, _I.FAILED): (_P.POLLING, (_A.PLAN_SLOW_RETRY,)),
    (_P.POLLING_DIALING, _I.EXHAUSTED): (_P.POLLING, (_A.PLAN_SLOW_RETRY,)),
    (_P.POLLING_DIALING, _I.UNAVAILABLE): (_P.POLLING, (_A.PLAN_SLOW_RETRY,)),
    (_P.POLLING_DIALING, _I.REFUSED): (_P.REFUSED, (_A.STOP_POLLS, _A.PLAN_SLOW_RETRY)),
    (_P.POLLING_DIALING, _I.STOPPED): (_P.STOPPED, (_A.STOP_POLLS,)),
    (_P.POLLING_DIALING, _I.POLLED): (_P.POLLING_DIALING, ()),
    (_P.POLLING_DIALING, _I.POLL_FAILED): (_P.OFFLINE_DIALING, ()),
    #
    (_P.OFFLINE, _I.CONNECT): (_P.OFFLINE_DIALING, (_A.CANCEL_RETRY, _A.DIAL)),
    (_P.OFFLINE, _I.DISCONNECT): (_P.IDLE, (_A.CANCEL_RETRY, _A.STOP_POLLS)),
    (_P.OFFLINE, _I.RESET): (_P.DIALING, (_A.CANCEL_RETRY, _A.STOP_POLLS, _A.FORGET, _A.DIAL)),
    (_P.OFFLINE, _I.DUE): (_P.OFFLINE_DIALING, (_A.DIAL,)),
    # The source answers again, so the live transport is dialled now, not minutes later.
    (_P.OFFLINE, _I.POLLED): (_P.POLLING_DIALING, (_A.CANCEL_RETRY, _A.DIAL)),
    (_P.OFFLINE, _I.POLL_FAILED): (_P.OFFLINE, ()),
    #
    (_P.OFFLINE_DIALING, _I.CONNECT): (_P.OFFLINE_DIALING, ()),
    (_P.OFFLINE_DIALING, _I.DISCONNECT): (_P.IDLE, (_A.CLOSE, _A.STOP_POLLS)),
    (_P.OFFLINE_DIALING, _I.RESET): (_P.DIALING, (_A.CLOSE, _A.STOP_POLLS, _A.FORGET, _A.DIAL)),
    (_P.OFFLINE_DIALING, _I.OPENED): (_P.LIVE, (_A.STOP_POLLS,)),
    (_P.OFFLINE_DIALING, _I.TO_POLL): (_P.OFFLINE, (_A.PLAN_SLOW_RETRY,)),
    (_P.OFFLINE_DIALING, _I.FAILED): (_P.OFFLINE, (_A.PLAN_SLOW_RETRY,)),
    (_P.OFFLINE_DIALING, _I.EXHAUSTED): (_P.OFFLINE, (_A.PLAN_SLOW_RETRY,)),
    (_P.OFFLINE_DIALING, _I.UNAVAILABLE): (_P.OFFLINE, (_A.PLAN_SLOW_RETRY,)),
    (_P.OFFLINE_DIALING, _I.REFUSED): (_P.REFUSED, (_A.STOP_POLLS, _A.PLAN_SLOW_RETRY)),
    (_P.OFFLINE_DIALING, _I.STOPPED): (_P.STOPPED, (_A.STOP_POLLS,)),
    (_P.OFFLINE_DIALING, _I.POLLED): (_P.POLLING_DIALING, ()),
    (_P.OFFLINE_DIALING, _I.POLL_FAILED): (_P.OFFLINE_DIALING, ()),
    #
    (_P.REFUSED, _I.CONNECT): (_P.REFUSED_DIALING, (_A.CANCEL_RETRY, _A.DIAL)),
    (_P.REFUSED, _I.DISCONNECT): (_P.IDLE, (_A.CANCEL_RETRY,)),
    (_P.REFUSED, _I.RESET): (_P.DIALING, (_A.CANCEL_RETRY, _A.FORGET, _A.DIAL)),
    (_P.REFUSED, _I.DUE): (_P.REFUSED_DIALING, (_A.DIAL,)),
    #
    (_P.REFUSED_DIALING, _I.CONNECT): (_P.REFUSED_DIALING, ()),
    (_P.REFUSED_DIALING, _I.DISCONNECT): (_P.IDLE, (_A.CLOSE,)),
    (_P.REFUSED_DIALING, _I.RESET): (_P.DIALING, (_A.CLOSE, _A.FORGET, _A.DIAL)),
    (_P.REFUSED_DIALING, _I.OPENED): (_P.LIVE, ()),
    (_P.REFUSED_DIALING, _I.TO_POLL): (_P.POLLING, (_A.START_POLLS, _A.PLAN_SLOW_RETRY)),
    # It no longer refuses but fails in an ordinary way: the ordinary backoff takes over.
    (_P.REFUSED_DIALING, _I.FAILED): (_P.WAITING, (_A.PLAN_RETRY,)),
    (_P.REFUSED_DIALING, _I.EXHAUSTED): (_P.POLLING, (_A.START_POLLS, _A.PLAN_SLOW_RETRY)),
    (_P.REFUSED_DIALING, _I.UNAVAILABLE): (_P.POLLING, (_A.START_POLLS, _A.PLAN_SLOW_RETRY)),
    (_P.REFUSED_DIALING, _I.REFUSED): (_P.REFUSED, (_A.PLAN_SLOW_RETRY,)),
    (_P.REFUSED_DIALING, _I.STOPPED): (_P.STOPPED, ()),
    #
    (_P.STOPPED, _I.CONNECT): (_P.DIALING, (_A.DIAL,)),
    (_P.STOPPED, _I.DISCONNECT): (_P.IDLE, ()),
    (_P.STOPPED, _I.RESET): (_P.DIALING, (_A.FORGET, _A.DIAL)),
}


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers that the machine needs; see the options of the same names."""

    reconnect_attempts: int
    stable_after_seconds: float
    live_retry_interval_seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from one input: the actions, in order, and the delay that a planned retry waits for."""

    previous: Phase
    phase: Phase
    actions: tuple[Action, ...]
    delay_seconds: float | None


class Connection:
    """The machine: report what happened (`feed`, `failed`, `opened`), carry out the step it returns.

    `attempt` counts the failed attempts since the link was last stable: 0 at first, and the number of the next
    attempt, from 1, once one has failed. `failure` is the last one of those that keep the stream from what was wished,
    None where it is as wished or has not failed yet.
    """

    def __init__(self, rules: Rules, backoff: Backoff) -> None:
        self.phase = Phase.IDLE
        self.attempt = 0
        self.failure: Failure | None = None
        self._rules = rules
        self._backoff = backoff
        self._opened_at: float | None = None
        self._key_renewed = False

    @property
    def state(self) -> State:
        """The state of the contract."""
        return STATES[self.phase]

    def feed(self, what: Input, failure: Failure | None = None) -> Step:
        """Take anything but an open link or the failure of a dial or a link; `failure` is that of a poll.

        Raises:
            KeyError: The table has no row for this input in this phase; the phase is unchanged.
        """
        if what in (Input.RESET, Input.DISCONNECT):
            self.attempt = 0
            self._opened_at = None
            self._key_renewed = False
        return self._advance(what, failure)

    def opened(self, now: float) -> Step:
        """A dial brought a link at monotonic time `now`."""
        self._opened_at = now
        return self._advance(Input.OPENED)

    def failed(self, failure: Failure, now: float, *, key_changed: bool = False, can_poll: bool = True) -> Step:
        """The dial or the link failed at monotonic time `now`.

        Args:
            failure: What happened.
            now: When; a link that lived for `stable_after_seconds`, or ended as planned, starts the count of attempts
                again.
            key_changed: Whether the key on disk is another one than the one that was refused; then it is tried
                once, like any failed attempt, before the refusal counts.
            can_poll: Whether there is something to poll; without, a source that fails for too long is one that refuses.
        """
        if self._opened_at is not None and (
            failure.reason == "planned_end" or now - self._opened_at >= self._rules.stable_after_seconds
        ):
            self.attempt = 0
        if self._opened_at is not None:
            self._key_renewed = False
        self._opened_at = None
        self.attempt += 1
        what = self._classify(failure.remedy, key_changed=key_changed, can_poll=can_poll)
        return self._advance(what, failure)

    def _classify(self, remedy: Remedy, *, key_changed: bool, can_poll: bool) -> Input:
        match remedy:
            case Remedy.STOP:
                return Input.STOPPED
            case Remedy.REFUSE:
                return Input.REFUSED
            case Remedy.RENEW if not key_changed or self._key_renewed:
                return Input.REFUSED
            case Remedy.RENEW:
                self._key_renewed = True
            case Remedy.POLL if can_poll:
                return Input.UNAVAILABLE
            case Remedy.POLL | Remedy.RETRY | Remedy.RETRY_LATER:
                pass
        if self.attempt <= self._rules.reconnect_attempts:
            return Input.FAILED
        return Input.EXHAUSTED if can_poll else Input.REFUSED

    def _advance(self, what: Input, failure: Failure | None = None) -> Step:
        previous = self.phase
        self.phase, actions = TABLE[previous, what]
        hint_seconds = None
        if failure is not None:
            self.failure, hint_seconds = failure, failure.retry_after_seconds
        elif what is Input.RESET or (what, self.phase) == (Input.TO_POLL, Phase.POLLING) or self.phase in _AS_WISHED:
            self.failure = None
        delay = None
        if Action.PLAN_RETRY in actions:
            delay = self._backoff.delay(max(self.attempt, 1), hint_seconds)
        elif Action.PLAN_SLOW_RETRY in actions:
            delay = self._backoff.spread(self._rules.live_retry_interval_seconds)
            if hint_seconds is not None and what is Input.UNAVAILABLE:
                # Such as a source that restarts in order: it says itself when its stream is back.
                delay = self._backoff.delay(max(self.attempt, 1), hint_seconds)
            elif hint_seconds is not None:
                delay = max(delay, self._backoff.delay(1, hint_seconds))
        return Step(previous, self.phase, actions, delay)
