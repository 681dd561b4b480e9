"""Small hand-written fakes: a clock that tests advance, and nothing that sleeps."""

import asyncio
import heapq
import itertools


class FakeClock:
    """A clock that stands still until `advance` moves it, waking sleepers in the order of their deadlines."""

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self.now = 0.0
        self._wall = wall
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @property
    def sleepers(self) -> int:
        """How many tasks wait for a later time."""
        return sum(not future.done() for _, _, future in self._sleepers)

    def wall(self) -> float:
        return self._wall + self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + max(seconds, 0.0), next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass; everything that becomes due runs at its own moment."""
        end = self.now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, future = heapq.heappop(self._sleepers)
            self.now = max(self.now, due)
            if not future.done():
                future.set_result(None)
            await settle()
        self.now = end
        await settle()


async def settle() -> None:
    """Let every task run until all of them wait for something."""
    for _ in range(50):
        await asyncio.sleep(0)
