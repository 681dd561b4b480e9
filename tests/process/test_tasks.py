"""Long-lived tasks do not end unseen."""

import asyncio
import logging

import pytest

from iris_exporter.process.tasks import FAILURES_OF_TROUBLE, LASTING_SECONDS, TaskOwner
from tests.fakes import FakeClock


class Failures:
    """Counts, in place of the exporter's own metrics."""

    def __init__(self) -> None:
        self.tasks: list[str] = []

    def __call__(self, task: str) -> None:
        self.tasks.append(task)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_task_that_fails_is_logged_counted_and_started_again(caplog: pytest.LogCaptureFixture) -> None:
    clock, failures, begun = FakeClock(), Failures(), []
    owner = TaskOwner(clock, failures)

    async def work() -> None:
        begun.append(clock.now)
        if len(begun) == 1:
            raise RecursionError("too deep")
        await asyncio.Event().wait()

    with caplog.at_level(logging.ERROR):
        task = owner.start("refresh", work)
        await turns()
        assert (len(begun), failures.tasks) == (1, ["refresh"])
        await clock.advance(1.0)
    assert len(begun) == 2
    assert [record.getMessage() for record in caplog.records] == ["task.failed"]
    assert owner.trouble() is None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_task_that_goes_on_failing_is_trouble_until_it_lasts() -> None:
    clock, failures, broken = FakeClock(), Failures(), True
    owner = TaskOwner(clock, failures)

    async def work() -> None:
        if broken:
            raise ValueError
        await asyncio.Event().wait()

    task = owner.start("discovery_files", work)
    await turns()
    for pause in (1.0, 2.0):
        assert owner.trouble() is None
        await clock.advance(pause)
    assert len(failures.tasks) == FAILURES_OF_TROUBLE
    assert owner.trouble() == "these tasks fail again and again: discovery_files"
    broken = False
    await clock.advance(4.0)
    assert owner.trouble() is not None, "it has just been started again"
    await clock.advance(LASTING_SECONDS)
    assert owner.trouble() is None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_task_that_is_cancelled_ends_and_a_leaked_cancellation_does_not_end_it() -> None:
    clock, failures, begun = FakeClock(), Failures(), []
    owner = TaskOwner(clock, failures)

    async def work() -> None:
        begun.append(1)
        if len(begun) == 1:
            raise asyncio.CancelledError  # of something that it waited for
        await asyncio.Event().wait()

    task = owner.start("election", work)
    await turns()
    await clock.advance(1.0)
    assert (len(begun), failures.tasks) == (2, ["election"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert owner.trouble() is None
