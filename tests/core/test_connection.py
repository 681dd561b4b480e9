"""The connection machine: the table is complete and closed, and the numbers are those of the wire page."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.core.backoff import Backoff
from iris_exporter.core.connection import STATES, TABLE, Action, Connection, Input, Phase, Rules, Step
from iris_exporter.core.failures import RETRY_AFTER_CAP_SECONDS, Failure
from iris_exporter.core.status import State

DIALING = {phase for phase in Phase if phase.value.endswith("dialing")}
ASKED = {Input.CONNECT, Input.DISCONNECT, Input.RESET}
DIAL_OUTCOMES = {
    Input.OPENED,
    Input.TO_POLL,
    Input.FAILED,
    Input.EXHAUSTED,
    Input.UNAVAILABLE,
    Input.REFUSED,
    Input.STOPPED,
}
POLLS = {Phase.POLLING, Phase.POLLING_DIALING, Phase.OFFLINE, Phase.OFFLINE_DIALING}
TIMED = {Phase.WAITING, Phase.POLLING, Phase.OFFLINE, Phase.REFUSED}


def connection(attempts: int = 10, stable: float = 30.0, slow: float = 300.0, random: float = 0.5) -> Connection:
    backoff = Backoff(3.0, 60.0, 0.2, lambda: random)
    return Connection(Rules(attempts, stable, slow), backoff)


NETWORK = Failure("connection_refused")
_I = Input


def test_every_phase_answers_exactly_the_inputs_that_can_reach_it() -> None:
    for phase in Phase:
        expected = set(ASKED)
        if phase in DIALING:
            expected |= DIAL_OUTCOMES
        if phase is Phase.LIVE:
            expected |= DIAL_OUTCOMES - {Input.OPENED, Input.TO_POLL}
        if phase in TIMED:
            expected.add(Input.DUE)
        if phase in POLLS:
            expected |= {Input.POLLED, Input.POLL_FAILED}
        assert {what for (row, what) in TABLE if row is phase} == expected, phase


def test_every_row_starts_and_ends_what_its_phase_needs() -> None:
    """Dials, timers and polls run after a row exactly when the phase that follows is one in which they run."""
    for (phase, what), (following, actions) in TABLE.items():
        busy = phase in DIALING or phase is Phase.LIVE
        link_runs = busy and what in (ASKED | {Input.OPENED, Input.POLLED, Input.POLL_FAILED})
        timer_runs = phase in TIMED and what is not Input.DUE
        polls_run = phase in POLLS
        for action in actions:
            match action:
                case Action.DIAL:
                    assert not link_runs, (phase, what)
                    link_runs = True
                case Action.CLOSE:
                    link_runs = False
                case Action.PLAN_RETRY | Action.PLAN_SLOW_RETRY:
                    timer_runs = True
                case Action.CANCEL_RETRY:
                    assert timer_runs, (phase, what)
                    timer_runs = False
                case Action.START_POLLS:
                    polls_run = True
                case Action.STOP_POLLS:
                    assert polls_run, (phase, what)
                    polls_run = False
                case Action.FORGET:
                    assert not link_runs
        assert link_runs == (following in DIALING or following is Phase.LIVE), (phase, what)
        assert timer_runs == (following in TIMED), (phase, what)
        assert polls_run == (following in POLLS), (phase, what)


def test_every_phase_has_a_state_and_every_state_a_phase() -> None:
    assert set(STATES) == set(Phase)
    assert set(STATES.values()) == set(State)


def test_an_input_that_cannot_happen_raises_and_changes_nothing() -> None:
    machine = connection()
    with pytest.raises(KeyError):
        machine.feed(Input.DUE)
    assert machine.phase is Phase.IDLE


def test_retries_at_the_delays_of_the_wire_page_then_polls() -> None:
    machine = connection()
    machine.feed(Input.CONNECT)
    delays = []
    for _ in range(10):
        step = machine.failed(NETWORK, 0.0)
        assert machine.state is State.CONNECTING
        delays.append(step.delay_seconds)
        machine.feed(Input.DUE)
    assert delays == [3.0, 6.0, 12.0, 24.0, 48.0, 60.0, 60.0, 60.0, 60.0, 60.0]
    step = machine.failed(NETWORK, 0.0)
    assert machine.state is State.POLLING
    assert step.actions == (Action.START_POLLS, Action.PLAN_SLOW_RETRY)
    assert step.delay_seconds == 300.0


def test_a_link_that_does_not_last_does_not_reset_the_count() -> None:
    machine = connection(attempts=3)
    machine.feed(Input.CONNECT)
    delays = []
    for now in range(0, 40, 10):
        machine.opened(float(now))
        step = machine.failed(Failure("closed"), now + 0.01)
        delays.append(step.delay_seconds)
        if machine.phase is Phase.WAITING:
            machine.feed(Input.DUE)
    assert delays == [3.0, 6.0, 12.0, 300.0]
    assert machine.state is State.POLLING


def test_a_link_that_was_stable_starts_the_count_again() -> None:
    machine = connection()
    machine.feed(Input.CONNECT)
    for _ in range(5):
        machine.failed(NETWORK, 0.0)
        machine.feed(Input.DUE)
    machine.opened(100.0)
    assert machine.failed(Failure("closed"), 130.0).delay_seconds == 3.0
    assert machine.attempt == 1


@pytest.mark.parametrize(
    ("reason", "phase"),
    [
        ("unauthorized", Phase.REFUSED),
        ("forbidden", Phase.REFUSED),
        ("not_found", Phase.REFUSED),
        ("not_a_stream", Phase.REFUSED),
        ("gone", Phase.STOPPED),
        ("unavailable", Phase.POLLING),
        ("rate_limited", Phase.WAITING),
        ("http_server_error", Phase.WAITING),
        ("a reason nobody has heard of", Phase.WAITING),
    ],
)
@pytest.mark.parametrize("live", [False, True])
def test_the_remedy_of_a_failure_decides(reason: str, phase: Phase, live: bool) -> None:
    machine = connection()
    machine.feed(Input.CONNECT)
    if live:
        machine.opened(0.0)
    machine.failed(Failure(reason), 1.0)
    assert machine.phase is phase


def test_a_key_that_changed_on_disk_is_tried_once_before_the_refusal_counts() -> None:
    machine = connection()
    machine.feed(Input.CONNECT)
    machine.failed(Failure("unauthorized"), 0.0, key_changed=True)
    assert machine.phase is Phase.WAITING
    machine.feed(Input.DUE)
    machine.failed(Failure("unauthorized"), 1.0, key_changed=True)
    assert machine.phase is Phase.REFUSED


@pytest.mark.parametrize("reason", ["connection_refused", "unavailable"])
def test_a_source_with_nothing_to_poll_has_no_polling_phase(reason: str) -> None:
    """Its attempts are used up first, also where it asks to be polled; then the slow schedule goes on for ever."""
    machine = connection(attempts=3)
    machine.feed(Input.CONNECT)
    phases = []
    for _ in range(6):
        step = machine.failed(Failure(reason), 0.0, can_poll=False)
        phases.append(machine.phase)
        assert Action.START_POLLS not in step.actions
        machine.feed(Input.DUE)
    assert phases == [Phase.WAITING] * 3 + [Phase.REFUSED] * 3
    assert (machine.state, step.delay_seconds) == (State.ERROR, 300.0)
    machine.opened(10.0)
    machine.failed(Failure(reason), 100.0, can_poll=False)
    assert machine.phase is Phase.WAITING, "a link that was stable starts the count again"


def test_a_hint_is_a_lower_bound_within_a_cap() -> None:
    machine = connection(random=0.0)
    machine.feed(Input.CONNECT)
    assert machine.failed(Failure("rate_limited", retry_after_seconds=45.0), 0.0).delay_seconds == 45.0
    machine.feed(Input.DUE)
    assert machine.failed(Failure("rate_limited", retry_after_seconds=1.0), 0.0).delay_seconds == pytest.approx(4.8)
    machine.feed(Input.DUE)
    step = machine.failed(Failure("rate_limited", retry_after_seconds=1e9), 0.0)
    assert step.delay_seconds == RETRY_AFTER_CAP_SECONDS


def test_a_source_that_says_when_its_stream_is_back_is_taken_at_its_word() -> None:
    """Such as one that restarts in order; one that says so again and again is asked ever less often."""
    machine = connection()
    machine.feed(Input.CONNECT)
    delays = []
    for _ in range(6):
        delays.append(machine.failed(Failure("unavailable", retry_after_seconds=5.0), 1.0).delay_seconds)
        machine.feed(Input.DUE)
    assert delays == [5.5, 6.0, 12.0, 24.0, 48.0, 60.0]


def test_unavailable_with_a_long_hint_does_not_come_back_early() -> None:
    machine = connection(random=0.0)
    machine.feed(Input.CONNECT)
    assert machine.failed(Failure("unavailable", retry_after_seconds=1000.0), 0.0).delay_seconds == 1000.0


@given(st.integers(1, 10**9), st.floats(0, 1, exclude_max=True), st.one_of(st.none(), st.floats(-10, 1e12)))
def test_jitter_comes_last_and_stays_in_its_band(attempt: int, random: float, hint: float | None) -> None:
    backoff = Backoff(3.0, 60.0, 0.2, lambda: random)
    delay = backoff.delay(attempt, hint)
    base = min(3.0 * 2.0 ** min(attempt - 1, 64), 60.0)
    assert delay >= base * 0.8
    assert delay <= max(base * 1.2, RETRY_AFTER_CAP_SECONDS * 1.2)
    if hint is not None:
        assert delay >= min(hint, RETRY_AFTER_CAP_SECONDS)


@given(st.lists(st.tuples(st.sampled_from(Input), st.floats(0, 100)), max_size=200))
def test_any_history_keeps_the_machine_in_its_table(history: list[tuple[Input, float]]) -> None:
    """Only inputs that the table lacks raise; delays are planned exactly when a timer is started."""
    machine = connection(attempts=3)
    now = 0.0
    for what, seconds in history:
        now += seconds
        step: Step | None = None
        if (machine.phase, what) not in TABLE:
            continue
        if what is Input.OPENED:
            step = machine.opened(now)
        elif what in (Input.FAILED, Input.EXHAUSTED):
            step = machine.failed(NETWORK, now)
        elif what in (Input.UNAVAILABLE, Input.REFUSED, Input.STOPPED):
            reason = {Input.UNAVAILABLE: "unavailable", Input.REFUSED: "forbidden", Input.STOPPED: "gone"}[what]
            step = machine.failed(Failure(reason), now)
        else:
            step = machine.feed(what, NETWORK if what is Input.POLL_FAILED else None)
        planned = {Action.PLAN_RETRY, Action.PLAN_SLOW_RETRY} & set(step.actions)
        assert (step.delay_seconds is not None) == bool(planned)
        if machine.phase in (Phase.IDLE, Phase.LIVE):
            assert machine.failure is None
        elif machine.state is State.ERROR or machine.phase is Phase.WAITING:
            assert machine.failure is not None


NOT_LIVE, POLL_BROKEN = Failure("unavailable"), Failure("not_json")


@pytest.mark.parametrize(
    ("history", "state", "reason"),
    [
        ((), State.DISCONNECTED, None),
        ((_I.CONNECT,), State.CONNECTING, None),
        ((_I.CONNECT, NETWORK), State.CONNECTING, "connection_refused"),
        ((_I.CONNECT, NETWORK, _I.DUE), State.CONNECTING, "connection_refused"),
        ((_I.CONNECT, NETWORK, _I.CONNECT), State.CONNECTING, "connection_refused"),
        ((_I.CONNECT, NETWORK, _I.DUE, Failure("dns")), State.CONNECTING, "dns"),
        ((_I.CONNECT, NETWORK, _I.DUE, _I.OPENED), State.LIVE, None),
        ((_I.CONNECT, _I.OPENED, Failure("closed")), State.CONNECTING, "closed"),
        ((_I.CONNECT, NETWORK, _I.DISCONNECT), State.DISCONNECTED, None),
        ((_I.CONNECT, NETWORK, _I.RESET), State.CONNECTING, None),
        # polled because live failed
        ((_I.CONNECT, NOT_LIVE), State.POLLING, "unavailable"),
        ((_I.CONNECT, NOT_LIVE, _I.POLLED, _I.DUE, _I.POLLED), State.POLLING, "unavailable"),
        ((_I.CONNECT, NOT_LIVE, _I.DUE, NETWORK, _I.POLLED), State.POLLING, "connection_refused"),
        ((_I.CONNECT, NOT_LIVE, _I.DUE, _I.OPENED), State.LIVE, None),
        ((_I.CONNECT, NOT_LIVE, POLL_BROKEN), State.ERROR, "not_json"),
        ((_I.CONNECT, NOT_LIVE, POLL_BROKEN, _I.DUE, NETWORK), State.ERROR, "connection_refused"),
        ((_I.CONNECT, NOT_LIVE, POLL_BROKEN, _I.POLLED), State.POLLING, "not_json"),
        # polled because that is what the source offers
        ((_I.CONNECT, _I.TO_POLL, _I.POLLED), State.POLLING, None),
        ((_I.CONNECT, NETWORK, _I.DUE, _I.TO_POLL), State.POLLING, None),
        ((_I.CONNECT, _I.TO_POLL, POLL_BROKEN), State.ERROR, "not_json"),
        ((_I.CONNECT, _I.TO_POLL, POLL_BROKEN, _I.DUE, _I.TO_POLL), State.ERROR, "not_json"),
        ((_I.CONNECT, _I.TO_POLL, POLL_BROKEN, _I.POLLED, _I.TO_POLL), State.POLLING, None),
        # refused
        ((_I.CONNECT, Failure("forbidden")), State.ERROR, "forbidden"),
        ((_I.CONNECT, Failure("forbidden"), _I.DUE), State.ERROR, "forbidden"),
        ((_I.CONNECT, Failure("forbidden"), _I.DUE, _I.TO_POLL), State.POLLING, None),
        ((_I.CONNECT, Failure("gone")), State.ERROR, "gone"),
        ((_I.CONNECT, Failure("gone"), _I.CONNECT), State.CONNECTING, "gone"),
    ],
)
def test_the_failure_lasts_as_long_as_the_stream_is_not_as_wished(
    history: tuple[Failure | Input, ...], state: State, reason: str | None
) -> None:
    machine = connection()
    for step in history:
        if step is POLL_BROKEN:
            machine.feed(_I.POLL_FAILED, POLL_BROKEN)
        elif isinstance(step, Failure):
            machine.failed(step, 0.0)
        elif step is _I.OPENED:
            machine.opened(0.0)
        else:
            machine.feed(step)
    assert machine.state is state
    assert (machine.failure and machine.failure.reason) == reason


def test_every_phase_can_be_reached_and_left() -> None:
    reached = {Phase.IDLE}
    for _ in Phase:
        reached |= {following for (phase, _), (following, _) in TABLE.items() if phase in reached}
    assert reached == set(Phase)
    for phase in Phase:
        assert any(following is not phase for (row, _), (following, _) in TABLE.items() if row is phase)
    assert len(TABLE) == len(list(itertools.chain(TABLE)))
