"""Blocking work: bounded in threads and time, and never in the way of anybody else's."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from iris_exporter.process.blocking import BlockedError, Pool
from tests.waiting import BUSY, until


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """What work that hangs waits for; set at the end, so that no thread is left."""
    event = threading.Event()
    yield event
    event.set()


async def test_work_is_done_in_a_thread_and_its_result_or_error_comes_back() -> None:
    pool = Pool("test", 2, 30.0)
    assert await pool.run(threading.get_ident, "a") != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 // 0, "a")
    with pytest.raises(TimeoutError, match="its own"):
        await pool.run(lambda: (_ for _ in ()).throw(TimeoutError("its own")), "a")
    assert (pool.stuck, pool.timeouts) == (0, 0)


async def test_what_hangs_is_given_up_and_its_resource_refused_until_it_answers(hang: threading.Event) -> None:
    pool = Pool("test", 4, 0.5)
    with pytest.raises(BlockedError, match=r"no answer within 0\.5 s"):
        await pool.run(hang.wait, "a")
    await until(lambda: pool.stuck == 1)  # a busy machine may have begun it late
    calls: list[str] = []
    with pytest.raises(BlockedError, match="an earlier access"):
        await pool.run(lambda: calls.append("a"), "a")
    await pool.run(lambda: calls.append("b"), "b")
    hang.set()
    await until(lambda: pool.stuck == 0)
    await pool.run(lambda: calls.append("a again"), "a")
    assert calls == ["b", "a again"]
    assert pool.timeouts == 2


async def test_threads_are_bounded_and_a_pool_that_hangs_as_a_whole_refuses_at_once(hang: threading.Event) -> None:
    pool = Pool("test", 3, 0.05)
    before = threading.active_count()
    results = await asyncio.gather(*(pool.run(hang.wait, number) for number in range(20)), return_exceptions=True)
    assert all(isinstance(result, BlockedError) for result in results)
    assert threading.active_count() <= before + 3
    await until(lambda: pool.stuck == 3)
    with pytest.raises(BlockedError, match="3 accesses to other places"):
        await pool.run(lambda: None, "elsewhere")


async def test_work_that_was_given_up_before_it_began_never_begins(hang: threading.Event) -> None:
    pool = Pool("test", 1, 0.05)
    begun: list[int] = []
    first = asyncio.create_task(pool.run(hang.wait, "a"))
    second = asyncio.create_task(pool.run(lambda: begun.append(1), "b"))
    assert all(isinstance(r, BlockedError) for r in await asyncio.gather(first, second, return_exceptions=True))
    hang.set()
    await until(lambda: pool.stuck == 0)
    await pool.run(lambda: begun.append(2), "b")
    assert begun == [2]


async def test_a_caller_that_goes_makes_no_resource_refused(hang: threading.Event) -> None:
    """A client that goes away while its answer is made is no disk that hangs."""
    pool = Pool("test", 2, 30.0)
    leaving = asyncio.create_task(pool.run(hang.wait, "a"))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert await pool.run(lambda: "done", "a") == "done"
    assert (pool.stuck, pool.timeouts) == (0, 0)


async def test_work_that_only_computes_is_waited_for(hang: threading.Event) -> None:
    pool = Pool("test", 1, None)
    waiting = asyncio.create_task(pool.run(lambda: hang.wait() and "done", None))
    asyncio.get_running_loop().call_later(0.05, hang.set)
    assert await waiting == "done"


def test_a_process_ends_while_a_thread_hangs() -> None:
    program = """
import asyncio, threading
from iris_exporter.process.blocking import BlockedError, Pool
async def main():
    try:
        await Pool("test", 1, 0.05).run(threading.Event().wait, "a")
    except BlockedError as error:
        print(error.strerror)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60 * BUSY, check=True
    )
    assert done.stdout == "no answer within 0.05 s\n"
