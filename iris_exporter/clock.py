"""Time as an argument: one protocol, the real clock, and nothing else that reads the time."""

import asyncio
import time
from typing import Protocol

from typing_extensions import override


class Clock(Protocol):
    """Where time comes from; tests pass one that they advance themselves."""

    def wall(self) -> float:
        """Seconds since the Unix epoch, for what is shown and compared with the source's timestamps."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never go back, for every deadline and duration."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; zero or less yields to the event loop once."""


class SystemClock(Clock):
    """The operating system's clocks."""

    @override
    def wall(self) -> float:
        return time.time()

    @override
    def monotonic(self) -> float:
        return time.monotonic()

    @override
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
