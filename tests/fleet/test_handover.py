"""A stream passes from one process to another: never two at once, and nothing keeps a former leader from closing."""

import asyncio
import threading
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.fleet.handover import Handover
from iris_exporter.persistence.stream_locks import StreamLocks
from tests.examples import examples
from tests.fakes import FakeClock
from tests.waiting import BUSY, until

NAMES = tuple("abcdef")


class Table:
    """What all processes share: who has which stream."""

    def __init__(self) -> None:
        self.holders: dict[str, Member] = {}


class Member:
    """A process: its locks, and what it receives. A scrape is under way while `scrape` is not set."""

    def __init__(self, table: Table, clock: FakeClock) -> None:
        self.table = table
        self.received: set[str] = set()
        self.waiting: list[int] = []
        self.scrape = asyncio.Event()
        self.scrape.set()
        self.asked = threading.Event()
        self.hang = threading.Event()
        self.hang.set()
        self.handover = Handover(cast("StreamLocks", self), self._scrapes_ended, clock, self.waiting.append)

    def acquire(self, streams: Iterable[str]) -> set[str]:
        self.asked.set()
        self.hang.wait()
        return {stream for stream in streams if self.table.holders.setdefault(stream, self) is self}

    def release(self, streams: Iterable[str]) -> None:
        for stream in streams:
            assert self.table.holders.pop(stream) is self
            assert stream not in self.received, "it was still received"

    async def _scrapes_ended(self, streams: Collection[str]) -> None:
        await self.scrape.wait()

    async def line_up(self) -> None:
        """Receive what may be received, as `Fleet` does."""
        allowed = {name for name in NAMES if name in self.handover._wanted and self.handover.allowed(name)}
        self.received = allowed
        self.handover.release(allowed)

    async def want(self, names: Iterable[str]) -> None:
        self.handover.want(list(names))
        await self.handover.acquire()
        await self.line_up()


@asynccontextmanager
async def members(count: int) -> AsyncIterator[tuple[FakeClock, list[Member]]]:
    table, clock = Table(), FakeClock()
    made = [Member(table, clock) for _ in range(count)]
    tasks = [asyncio.create_task(member.handover.run(member.line_up)) for member in made]
    try:
        yield clock, made
    finally:
        for member in made:
            member.hang.set()
            await member.handover.close()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_who_shares_nothing_may_have_everything() -> None:
    async def scrapes_ended(streams: Collection[str]) -> None:
        raise AssertionError("nobody asks")

    waiting: list[int] = []
    alone = Handover(None, scrapes_ended, FakeClock(), waiting.append)
    alone.want(["a"])
    assert not await alone.acquire()
    assert alone.allowed("a")
    alone.release([])
    assert set(waiting) == {0}


async def test_what_another_one_has_is_waited_for_and_received_when_it_is_free() -> None:
    async with members(2) as (clock, (old, new)):
        await old.want("abc")
        await new.want("cd")
        assert (old.received, new.received) == (set("abc"), set("d"))
        assert new.waiting[-1] == 1
        await clock.advance(10)
        assert new.received == set("d")
        await old.want("ab")
        await until(lambda: old.table.holders.get("c") is not old)
        await clock.advance(0.25)
        await until(lambda: new.received == set("cd"))
        assert new.waiting[-1] == 0


async def test_only_what_is_not_to_be_had_is_reported_to_wait(caplog: pytest.LogCaptureFixture) -> None:
    """As an ordinary start, at which everything is free, is nothing to log."""
    caplog.set_level("INFO", "iris_exporter.fleet")
    async with members(2) as (clock, (old, new)):
        await old.want("ab")
        await old.want("abc")
        assert caplog.messages == []
        await new.want("cd")
        await clock.advance(10)
        assert caplog.messages == ["fleet.waiting"]
        await old.want("ab")
        await until(lambda: old.table.holders.get("c") is not old)
        await clock.advance(0.25)
        await until(lambda: new.received == set("cd"))
        assert caplog.messages == ["fleet.waiting", "fleet.complete"]


async def test_a_scrape_that_still_shows_a_stream_keeps_it_from_the_next_one() -> None:
    async with members(2) as (clock, (old, new)):
        await old.want("ab")
        old.scrape.clear()
        await old.want("a")
        assert old.received == set("a")
        await new.want("b")
        await clock.advance(5)
        assert (new.received, new.waiting[-1]) == (set(), 1)
        old.scrape.set()
        await until(lambda: old.table.holders.get("b") is not old)
        await clock.advance(0.25)
        await until(lambda: new.received == set("b"))


async def test_what_comes_back_at_once_is_received_again_and_not_half_released() -> None:
    async with members(1) as (_, (only,)):
        await only.want("ab")
        await only.want("a")
        await only.want("ab")
        assert only.received == set("ab")
        assert set(only.table.holders) == set("ab")


@pytest.mark.parametrize("leads_again", [False, True])
async def test_a_file_server_that_hangs_keeps_no_process_from_closing(leads_again: bool) -> None:
    async with members(1) as (_, (only,)):
        await only.want("a")
        only.hang.clear()
        only.asked.clear()
        only.handover.want("ab")
        stuck = asyncio.create_task(only.handover.acquire())
        await until(only.asked.is_set)
        only.handover.want(())
        async with asyncio.timeout(1 * BUSY):
            await only.line_up()
        assert only.received == set()
        if leads_again:
            only.handover.want("ab")
        only.hang.set()
        await stuck
        await only.line_up()
        assert only.received == (set("b") if leads_again else set())
        await until(lambda: set(only.table.holders) == only.received)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sets(st.sampled_from(NAMES)),
        st.booleans(),  # whether a scrape is under way from then on
        st.floats(0, 1),  # how much later the next step is
    ),
    max_size=12,
)


@examples(0.6)
@given(STEPS)
def test_never_two_receive_one_stream_and_in_the_end_everybody_has_his(
    steps: list[tuple[int, set[str], bool, float]],
) -> None:
    async def run() -> None:
        async with members(3) as (clock, made):

            def nobody_shares() -> None:
                received = [name for member in made for name in member.received]
                assert len(received) == len(set(received)), received

            for number, names, scraped, pause in steps:
                (made[number].scrape.clear if scraped else made[number].scrape.set)()
                made[number].handover.want(names)
                acquiring = asyncio.create_task(made[number].handover.acquire())
                await asyncio.wait({acquiring}, timeout=0.02)
                await made[number].line_up()
                nobody_shares()
                await clock.advance(pause)
                nobody_shares()
                await acquiring if acquiring.done() else acquiring.cancel()
            for number, member in enumerate(made):
                member.scrape.set()
                member.handover.want(NAMES[number::3])
                await member.line_up()
            for number, member in enumerate(made):
                while member.received != set(NAMES[number::3]):
                    await clock.advance(0.25)
                    await asyncio.sleep(0.001)
                    nobody_shares()

    asyncio.run(asyncio.wait_for(run(), 20 * BUSY))
