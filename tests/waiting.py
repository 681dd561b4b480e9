"""Waiting for real sockets: a condition and a deadline, never a fixed pause."""

import asyncio
from collections.abc import Callable

BUSY = 5.0
"""A deadline is what a quiet machine needs, times this: it ends a test that hangs, and never measures anything."""


def pause(waited: float) -> float:
    """Seconds until the next look, after `waited` seconds: checking a whole scrape is work for both sides."""
    return min(max(0.005, waited / 20), 0.25)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return when `condition` holds; TimeoutError when it does not within `seconds` of a quiet machine."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(seconds * BUSY):
        while not condition():  # noqa: ASYNC110 (what is waited for is no event of ours)
            await asyncio.sleep(pause(loop.time() - began))
