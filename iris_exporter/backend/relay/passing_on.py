"""Documents that a relay does not know itself: asked for when a client does, for all clients together."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from iris_exporter.clock import Clock

MAX_CACHED = 16
"""Answers that are stored, each for one poll interval."""

Document = bytes | None


@dataclass(eq=False)
class PassingOn:
    """Asks `ask` (name and query to body; None: the source has none) at most once in so many seconds for the same."""

    ask: Callable[[str, str], Awaitable[Document]]
    seconds: float
    clock: Clock
    _cached: dict[tuple[str, str], tuple[float, Document]] = field(default_factory=dict, init=False)
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def get(self, name: str, query: str) -> Document:
        """The document, as the source has sent it. Raises what `ask` raises."""
        key = (name, query)
        async with self._one_at_a_time:
            asked_at, document = self._cached.get(key, (None, None))
            if asked_at is None or self.clock.monotonic() - asked_at >= self.seconds:
                document = await self.ask(name, query)
                self._cached.pop(key, None)
                self._cached[key] = self.clock.monotonic(), document
                if len(self._cached) > MAX_CACHED:
                    del self._cached[next(iter(self._cached))]
        return document
