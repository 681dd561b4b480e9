"""Time as an argument: one protocol, the real clock, and nothing else that reads the time."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from; tests pass one that they advance themselves."""

    def wall(self) -> float:
        """Seconds since the Unix epoch, for what is shown and compared with the source's timestamps."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never go back, for every deadline and duration."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; zero or less yields to the event loop once."""


class SystemClock:
    """The operating system's clocks."""

    def wall(self) -> float:
        """See `Clock.wall`."""
        return time.time()

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await asyncio.sleep(max(0.0, seconds))
