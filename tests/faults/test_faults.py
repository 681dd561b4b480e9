"""Each fault of a network with each transport: what is seen while it lasts, and that nothing is lost afterwards.

A case says how the fault is brought about, and for each transport which state the stream takes, which reason stands on
which counter, and whether data counts as arriving. Common to all of them: the number of dials stays within what the
reconnect rules allow; after the fault the stream is live (or polling, where that is its transport), every event that
was published before, during and after the fault is counted, and once; no counter falls; no traceback is logged; no task
is left.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from tests.faults.proxy import Faults
from tests.faults.rig import TRANSPORTS, Rig, most_attempts, rig
from tests.waiting import BUSY, pause, until

EVENTS_DURING = 120
"""Events that happen during a fault. A snapshot shows the last 50 and a stream that starts anew none of these, so that
120 come back because they are asked for, or not at all."""
EVENTS_AFTER = 30

DISCONNECTS = "iris_stream_disconnects_total"
CONNECT_FAILURES = "iris_stream_connect_failures_total"
POLL_FAILURES = "iris_stream_poll_failures_total"

Reasons = dict[str, set[str]]


@dataclass(frozen=True)
class Seen:
    """What one transport shows while the fault lasts: the state, and a reason on each of its counters.

    Where a counter has several reasons any one of them will do: which one it is depends on the moment. `up` is the
    value of `iris_up` in the same scrape. A counter that is not named has not moved when `only` is set.
    """

    state: str
    reasons: Reasons = field(default_factory=dict)
    up: float = 1
    only: bool = False


@dataclass(frozen=True)
class Case:
    """A fault: what brings it about, what is seen of it on each transport, and settings that it needs."""

    bring: Callable[[Rig], Awaitable[None]]
    stream: Seen
    poll: Seen
    settings: dict[str, float] = field(default_factory=dict)
    events: int = EVENTS_DURING

    def seen(self, transport: str) -> Seen:
        return self.poll if transport == "poll" else self.stream


async def refused(rig: Rig) -> None:
    rig.proxy.refuse()


async def hanging(rig: Rig) -> None:
    rig.proxy.set(Faults(hang=True))
    rig.proxy.cut()


async def half_open_for_good(rig: Rig) -> None:
    """What is open is dead without a sign, and whatever comes later hangs."""
    rig.proxy.half_open()
    rig.proxy.set(Faults(hang=True))


async def half_open_once(rig: Rig) -> None:
    """What is open is dead without a sign; a new connection would be fine."""
    rig.proxy.half_open()


async def reset_in_mid_frame(rig: Rig) -> None:
    rig.proxy.set(Faults(reset_after=300))


async def ended_in_mid_frame(rig: Rig) -> None:
    rig.proxy.set(Faults(end_after=300))


async def gzip_cut_short(rig: Rig) -> None:
    rig.proxy.set(Faults(cut_gzip=10))
    rig.proxy.cut()


async def dripping(rig: Rig) -> None:
    rig.proxy.set(Faults(drip=True))


async def late(rig: Rig) -> None:
    rig.proxy.set(Faults(delay_seconds=0.1))
    rig.proxy.cut()


async def answers_swapped(rig: Rig) -> None:
    """The next connection is answered only once a later one has been."""
    rig.proxy.set(Faults(swap=True))
    rig.proxy.cut()


async def flapping(rig: Rig) -> None:
    await rig.proxy.flap(lambda: 0.1, lambda: 0.1)


REFUSED = {"connection_refused"}
# A reset may overtake what was sent before it, so that the end is found by reading, by writing, or in mid-frame.
CUT = {"connection_reset", "abnormal_closure"}
SHORT_TIMEOUTS = {"connect_timeout_seconds": 0.2, "heartbeat_timeout_seconds": 0.4}

CASES = {
    "refused": Case(
        refused,
        Seen("error", {DISCONNECTS: CUT, CONNECT_FAILURES: REFUSED, POLL_FAILURES: REFUSED}, up=0, only=True),
        Seen("error", {POLL_FAILURES: REFUSED}, up=0),
    ),
    "hangs after accept": Case(
        hanging,
        Seen("error", {DISCONNECTS: CUT, CONNECT_FAILURES: {"timeout"}, POLL_FAILURES: {"timeout"}}, up=0, only=True),
        Seen("error", {POLL_FAILURES: {"timeout"}}, up=0),
        # With a short heartbeat, a busy machine finds the connection silent before it is cut.
        {"connect_timeout_seconds": 0.2},
    ),
    "half-open for good": Case(
        half_open_for_good,
        Seen(
            "error",
            {DISCONNECTS: {"heartbeat_timeout"}, CONNECT_FAILURES: {"timeout"}, POLL_FAILURES: {"timeout"}},
            up=0,
            only=True,
        ),
        Seen("error", {POLL_FAILURES: {"timeout"}}, up=0, only=True),
        SHORT_TIMEOUTS,
    ),
    # Given up after the heartbeat's timeout, and connected again at once, without anybody's help.
    "half-open once": Case(
        half_open_once,
        Seen("live", {DISCONNECTS: {"heartbeat_timeout"}}),
        Seen("polling", {POLL_FAILURES: {"timeout"}}),
        SHORT_TIMEOUTS,
    ),
    # Each dial succeeds and each link breaks at once, as does each snapshot: the attempts are used up all the same.
    "reset in mid-frame": Case(
        reset_in_mid_frame,
        Seen("error", {DISCONNECTS: CUT, POLL_FAILURES: CUT}, up=0),
        Seen("error", {POLL_FAILURES: CUT}, up=0, only=True),
    ),
    "ended in mid-frame": Case(
        ended_in_mid_frame,
        Seen("error", {DISCONNECTS: {"abnormal_closure"}, POLL_FAILURES: {"abnormal_closure"}}, up=0),
        Seen("error", {POLL_FAILURES: {"abnormal_closure"}}, up=0, only=True),
    ),
    # The stream is not compressed and does not suffer; the snapshot that each reconnect loads does.
    "gzip cut short": Case(
        gzip_cut_short,
        Seen("live", {DISCONNECTS: CUT, POLL_FAILURES: {"abnormal_closure"}}),
        Seen("error", {POLL_FAILURES: {"abnormal_closure"}}, up=0),
    ),
    # Slow is not dead: bytes arrive.
    "one byte at a time": Case(
        dripping, Seen("live", only=True), Seen("polling", only=True), {"connect_timeout_seconds": 5.0}, events=20
    ),
    "late": Case(late, Seen("live", {DISCONNECTS: CUT}, only=True), Seen("polling"), {"connect_timeout_seconds": 5.0}),
    # The attempt that was given up is answered when nobody listens: one link stays, and no event counts twice.
    "answers swapped": Case(
        answers_swapped,
        Seen("live", {DISCONNECTS: CUT, CONNECT_FAILURES: {"timeout"}}),
        Seen("polling", {POLL_FAILURES: {"timeout"}}),
    ),
    "flapping": Case(
        flapping,
        Seen("error", {DISCONNECTS: CUT, CONNECT_FAILURES: REFUSED, POLL_FAILURES: REFUSED}, up=0),
        Seen("error", {POLL_FAILURES: REFUSED}, up=0),
    ),
}


def turns() -> list[object]:
    """Every fault over every transport; `make test` has each fault over one, in turn, so that each has its share."""
    return [
        pytest.param(name, transport, marks=() if number % len(TRANSPORTS) == turn else pytest.mark.slow)
        for number, name in enumerate(CASES)
        for turn, transport in enumerate(TRANSPORTS)
    ]


@pytest.mark.parametrize(("name", "transport"), turns())
async def test_a_fault_is_seen_and_nothing_is_lost(name: str, transport: str) -> None:
    case = CASES[name]
    seen = case.seen(transport)
    async with rig(transport, **case.settings) as running:
        dials = await running.total("iris_stream_connect_attempts_total")
        loop = asyncio.get_running_loop()
        began = loop.time()
        await case.bring(running)
        running.publish(case.events)
        await until_seen(running, seen)
        if seen.up:
            await arrives(running)
        dials = await running.total("iris_stream_connect_attempts_total") - dials
        allowed = most_attempts(running.stream.settings, loop.time() - began)
        assert dials <= allowed, f"{dials} dials in {loop.time() - began:.2f} s, where {allowed} are allowed"

        await running.proxy.lift()
        await running.reaches("polling" if transport == "poll" else "live")
        running.publish(EVENTS_AFTER)
        await arrives(running)
        if transport != "poll":
            running.proxy.bury()
            await until(lambda: running.backend.open_connections == 1)
        await is_up(running)


async def is_up(running: Rig) -> None:
    """Wait until a scrape says so: on a busy machine a poll may take longer than a short timeout, and the next not."""
    async with asyncio.timeout(10 * BUSY):
        while await running.total("iris_up") != 1:  # noqa: ASYNC110 (a scrape is asked for)
            await asyncio.sleep(0.02)


async def until_seen(running: Rig, seen: Seen) -> None:
    """Wait for a scrape that shows all of `seen`."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        scrape = await running.scrape()
        counted = {
            name: {dict(labels)["reason"] for labels, value in scrape.series(name).items() if value}
            for name in (DISCONNECTS, CONNECT_FAILURES, POLL_FAILURES)
        }
        shown = (scrape.state(), scrape.value("iris_up"))
        fits = all(counted[name] & reasons for name, reasons in seen.reasons.items())
        if fits and shown == (seen.state, seen.up):
            break
        waited = loop.time() - began
        assert waited < 10 * BUSY, f"wanted {seen}, got {shown} and {counted}"
        await asyncio.sleep(max(0.02, pause(waited)))
    if seen.only:
        assert {name: reasons - seen.reasons.get(name, set()) for name, reasons in counted.items()} == {
            name: set() for name in counted
        }


async def arrives(running: Rig) -> None:
    """Wait until every event published so far is counted once, without a gap being reported."""
    await running.has_counted(running.published)
    assert await running.total("iris_stream_event_gaps_total") == 0
