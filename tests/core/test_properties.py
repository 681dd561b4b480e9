"""What holds for any source, however adverse: the way back to live, the pace of dials, merging, and bytes of any kind.

The supervisor around the connection table is played by `World`, in virtual time: it carries out the table's actions
and lets an adversary decide how each dial, each link and each poll ends.
"""

import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iris_exporter.core.backoff import Backoff
from iris_exporter.core.connection import Action, Connection, Input, Phase, Rules, Step
from iris_exporter.core.failures import RETRY_AFTER_CAP_SECONDS, Failure
from iris_exporter.core.reasons import REASONS, Remedy
from iris_exporter.decoding.messages import Anomaly, Metrics, Overview, Project, Update
from iris_exporter.errors import LimitExceededError
from iris_exporter.model.state import StreamState
from iris_exporter.transports.sse_parser import SseEvent, SseParser
from tests.examples import examples

INITIAL, MAXIMUM, JITTER = 3.0, 60.0, 0.2
ATTEMPTS, STABLE, SLOW, POLL_INTERVAL = 10, 30.0, 300.0, 30.0
"""The defaults of the options of these names."""


@dataclass(frozen=True)
class Dial:
    """How a dial ends: after `seconds`, with a reason, or None for a link that ends after `lives` with `then`."""

    reason: str | None
    seconds: float = 0.0
    hint: float | None = None
    lives: float = 0.0
    then: str = "closed"
    to_poll: bool = False
    key_changed: bool = False


HEALTHY = Dial(None, lives=1e9)


class World:
    """The machine with its timers; `dials` and `polls` say how each of them ends, and the last one says so for ever."""

    def __init__(self, dials: Iterable[Dial], polls: Iterable[bool], random: float = 0.0) -> None:
        backoff = Backoff(INITIAL, MAXIMUM, JITTER, lambda: random)
        self.machine = Connection(Rules(ATTEMPTS, STABLE, SLOW), backoff)
        self.now = 0.0
        self.dialled: list[float] = []
        self._dials = deque(dials)
        self._polls = deque(polls)
        self._poll_delay = backoff.spread(POLL_INTERVAL)
        self._dial: tuple[float, Dial] | None = None
        self._link_end: tuple[float, Failure] | None = None
        self._retry: float | None = None
        self._poll: float | None = None

    def ask(self, what: Input) -> None:
        """What a person asks for: connect, disconnect or reset."""
        self._carry_out(self.machine.feed(what))

    def recover(self) -> None:
        """From now on the source is healthy: every dial opens a link that lives, every poll succeeds."""
        self._dials = deque([HEALTHY])
        self._polls = deque([True])

    def run(self, until: float) -> None:
        """Let time pass until `until`, or until nothing is planned any more."""
        while True:
            due = [
                (moment, order)
                for order, moment in enumerate(
                    (self._dial and self._dial[0], self._link_end and self._link_end[0], self._retry, self._poll)
                )
                if moment is not None
            ]
            if not due or min(due)[0] > until:
                return
            self.now, what = min(due)
            (self._finish_dial, self._lose_link, self._retry_now, self._poll_now)[what]()

    def _next_dial(self) -> Dial:
        return self._dials.popleft() if len(self._dials) > 1 else self._dials[0]

    def _finish_dial(self) -> None:
        assert self._dial is not None
        _, dial = self._dial
        self._dial = None
        if dial.to_poll:
            self._carry_out(self.machine.feed(Input.TO_POLL))
        elif dial.reason is not None:
            self._fail(Failure(dial.reason, "", dial.hint), dial.key_changed)
        else:
            self._link_end = (self.now + dial.lives, Failure(dial.then, "", dial.hint))
            self._carry_out(self.machine.opened(self.now))

    def _lose_link(self) -> None:
        assert self._link_end is not None
        _, failure = self._link_end
        self._link_end = None
        self._fail(failure, False)

    def _fail(self, failure: Failure, key_changed: bool) -> None:
        self._carry_out(self.machine.failed(failure, self.now, key_changed=key_changed))

    def _retry_now(self) -> None:
        self._retry = None
        self._carry_out(self.machine.feed(Input.DUE))

    def _poll_now(self) -> None:
        self._poll = self.now + self._poll_delay
        succeeds = self._polls.popleft() if len(self._polls) > 1 else self._polls[0]
        self._carry_out(self.machine.feed(Input.POLLED if succeeds else Input.POLL_FAILED))

    def _carry_out(self, step: Step) -> None:
        for action in step.actions:
            match action:
                case Action.DIAL:
                    assert self._dial is None and self._link_end is None, "a second connection to the endpoint"
                    dial = self._next_dial()
                    self.dialled.append(self.now)
                    self._dial = (self.now + dial.seconds, dial)
                case Action.CLOSE:
                    self._dial = self._link_end = None
                case Action.PLAN_RETRY | Action.PLAN_SLOW_RETRY:
                    assert step.delay_seconds is not None
                    self._retry = self.now + step.delay_seconds
                case Action.CANCEL_RETRY:
                    self._retry = None
                case Action.START_POLLS:
                    self._poll = self.now if self._poll is None else self._poll
                case Action.STOP_POLLS:
                    self._poll = None
                case Action.FORGET:
                    pass


HINTS = st.sampled_from([None, 0.0, -1.0, 0.001, 5.0, 1e12])
DIALS = st.builds(
    Dial,
    reason=st.none() | st.sampled_from(sorted(REASONS)),
    seconds=st.sampled_from([0.0, 0.1, 10.0]),
    hint=HINTS,
    lives=st.sampled_from([0.0, 0.1, STABLE - 0.1, STABLE, 100.0]),
    then=st.sampled_from(sorted(REASONS)),
    to_poll=st.sampled_from([False, False, False, True]),
    key_changed=st.booleans(),
)
HISTORIES = st.lists(DIALS, min_size=1, max_size=30)
POLLS = st.lists(st.booleans(), min_size=1, max_size=30)

DIALS_A_MINUTE = 6
"""The most dials in any 60 s with the default options, whatever the source does and however the jitter falls.

Failed dials are at least 2.4, 4.8, 9.6, 19.2, 38.4 s apart (3 s doubling, less 20 %), which is five in a minute. Only a
link that has been up for 30 s starts that row again, and six is what fits: 0, 2.4, 7.2 (30 s up), 39.6, 44.4, 54. The
slow schedule (240 s) and a poll that succeeds after one that failed (24 s) are rarer than that.
"""


RECOVERY_SECONDS = 2 * (1 + JITTER) * RETRY_AFTER_CAP_SECONDS + 200
"""The longest wait for a dial that a source can bring about with a hint, twice: the dial that was under way when the
source recovered may still fail, or open a link that ends, as it was going to. Without hints it is some minutes."""


def busiest_minute(moments: list[float]) -> int:
    return max((sum(1 for other in moments if start <= other < start + 60) for start in moments), default=0)


@given(HISTORIES, POLLS, st.sampled_from([0.0, 0.3, 0.999]))
@example([Dial(None)], [False], 0.0)  # accepts and closes at once
@example([Dial("connection_refused")], [False], 0.0)
@example([Dial("rate_limited", hint=0.0)], [True, False] * 10, 0.0)
@example([Dial(None, hint=0.0, then="try_again_later")], [True, False] * 10, 0.0)
@example([Dial("unauthorized", key_changed=True), Dial(None)] * 10, [True, False] * 10, 0.0)
@example([Dial(None, then="unavailable")], [False, True] * 20, 0.0)
@example([Dial(None, to_poll=True)], [False, True] * 20, 0.0)
def test_no_source_makes_us_dial_in_a_hot_loop(history: list[Dial], polls: list[bool], random: float) -> None:
    world = World(history, polls, random)
    world.ask(Input.CONNECT)
    world.run(2 * 3600)
    assert busiest_minute(world.dialled) <= DIALS_A_MINUTE


def test_the_bound_on_dials_is_reached() -> None:
    """The bound is no looser than it has to be: this is the source that comes closest."""
    refused = Dial("connection_refused")
    world = World([refused, refused, Dial(None, lives=STABLE), refused], [False])
    world.ask(Input.CONNECT)
    world.run(60)
    assert world.dialled == pytest.approx([0, 2.4, 7.2, 39.6, 44.4, 54.0])
    assert busiest_minute(world.dialled) == DIALS_A_MINUTE


@given(
    HISTORIES,
    POLLS,
    st.lists(
        st.tuples(st.floats(0, 2000), st.sampled_from([Input.CONNECT, Input.DISCONNECT, Input.RESET])), max_size=8
    ),
    st.floats(0, 20_000),
    st.sampled_from([0.0, 0.5, 0.999]),
)
def test_a_healthy_source_is_live_again_whatever_came_before(
    history: list[Dial], polls: list[bool], asked: list[tuple[float, Input]], seconds: float, random: float
) -> None:
    """By itself; only where a person disconnected, or the source refused for good, one `connect` is needed."""
    world = World(history, polls, random)
    world.ask(Input.CONNECT)
    for after, what in asked:
        world.run(world.now + after)
        world.ask(what)
    world.run(world.now + seconds)
    world.recover()
    if world.machine.phase in (Phase.IDLE, Phase.STOPPED):
        before = len(world.dialled)
        world.run(world.now + 1e6)
        assert len(world.dialled) == before, "what was stopped stays so"
        world.ask(Input.CONNECT)
    world.run(world.now + RECOVERY_SECONDS)
    if world.machine.phase is Phase.STOPPED:
        world.ask(Input.CONNECT)
        world.run(world.now + 1)
    assert world.machine.phase is Phase.LIVE


@given(HISTORIES, POLLS)
def test_only_a_refusal_for_good_stops_trying(history: list[Dial], polls: list[bool]) -> None:
    final = {name for name, reason in REASONS.items() if reason.remedy is Remedy.STOP}
    world = World([dial for dial in history if {dial.reason, dial.then}.isdisjoint(final)] or [HEALTHY], polls)
    world.ask(Input.CONNECT)
    world.run(24 * 3600)
    assert world.machine.phase is not Phase.STOPPED
    world.recover()
    world.run(world.now + RECOVERY_SECONDS)
    assert world.machine.phase is Phase.LIVE


# Merging

NAMES = ("a", "b", "c")
RATIOS = st.floats(0, 1)
METRIC_FIELDS = Metrics.__struct_fields__
PROJECT_FIELDS = tuple(name for name in Project.__struct_fields__ if name not in ("id", "name", "status"))


@st.composite
def partial_updates(draw: st.DrawFn) -> list[Overview]:
    """Updates of which no two say anything about the same field of the same thing."""
    parts = [Overview(metrics=Metrics(**{name: draw(RATIOS)})) for name in METRIC_FIELDS if draw(st.booleans())]
    parts += [
        Overview(projects=(Project(project, **{name: draw(RATIOS)}),))
        for project, name in itertools.product(NAMES, PROJECT_FIELDS)
        if draw(st.integers(0, 3)) == 0
    ]
    parts += [
        Overview(anomalies=(Anomaly(anomaly, project="p", value=draw(RATIOS)),))
        for anomaly in NAMES
        if draw(st.booleans())
    ]
    return parts


def believed(updates: Iterable[Overview]) -> tuple[object, ...]:
    """What a reader sees after these updates, whatever order things are listed in."""
    state = StreamState("default", 300.0)
    for update in updates:
        state.apply(Update(update), 1.0)
    view = state.view(1.0)
    by_id = {item.id: item for item in (*view.projects, *view.anomalies)}
    return view.metrics, by_id


@given(partial_updates(), st.randoms(use_true_random=False))
def test_the_order_of_partial_updates_of_different_fields_does_not_matter(
    parts: list[Overview], random: Random
) -> None:
    shuffled = list(parts)
    random.shuffle(shuffled)
    assert believed(parts) == believed(shuffled)


ANY_UPDATE = st.builds(
    Overview,
    metrics=st.none() | st.builds(Metrics, projects=st.none() | RATIOS, success_ratio=st.none() | RATIOS),
    projects=st.none()
    | st.lists(
        st.builds(Project, st.sampled_from(NAMES), health_ratio=st.none() | RATIOS, runs=st.none() | RATIOS), max_size=4
    ).map(tuple),
    anomalies=st.none()
    | st.lists(
        st.builds(Anomaly, st.sampled_from(NAMES), value=st.none() | RATIOS, resolved=st.booleans()),
        max_size=3,
        unique_by=lambda anomaly: anomaly.id,
    ).map(tuple),
)


@given(st.lists(ANY_UPDATE, max_size=5), ANY_UPDATE, st.booleans())
def test_an_update_received_twice_counts_once(before: list[Overview], last: Overview, as_document: bool) -> None:
    state = StreamState("default", 300.0)
    for update in before:
        state.apply(Update(update), 1.0)

    def say() -> tuple[object, ...]:
        if as_document:
            state.apply_snapshot(last, 1.0)
        else:
            state.apply(Update(last), 1.0)
        view = state.view(1.0)
        return view.metrics, view.projects, view.anomalies

    assert say() == say()


# Bytes of any kind


@given(st.lists(st.binary(max_size=80), max_size=20))
@examples(3)
def test_any_bytes_are_events_or_a_closed_parser(pieces: list[bytes]) -> None:
    """Nothing else is raised, no event is over the limit, and the cuts between pieces change nothing."""

    def feed(parts: Iterable[bytes]) -> tuple[list[SseEvent], bool]:
        parser = SseParser(60)
        events: list[SseEvent] = []
        for part in parts:
            if parser.closed:
                with pytest.raises(LimitExceededError):
                    parser.feed(part)
                break
            events += parser.feed(part)
        assert all(len(event.data) <= 60 and "\n" not in event.name and "\0" not in event.id for event in events)
        assert parser.retry_milliseconds is None or parser.retry_milliseconds >= 0
        return events, parser.closed

    stream = b"".join(pieces)
    assert feed(pieces)[0] == feed([stream[index : index + 1] for index in range(len(stream))])[0]
