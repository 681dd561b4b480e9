"""How a stream passes from one process to another: never to two at once, and to the next one as soon as it is free.

Theory. What a process should receive (`wanted`) and what it may receive (`allowed`) are two things. A stream becomes
ours when its claim is taken, and somebody else's chance when it is given back, which happens only after three things:
its link is closed, no scrape is under way that has taken its place, and nobody here wants it again. In between it is
neither ours nor free. Then the next process reads the cursor that our last scrape has kept, and goes on from there.

Nothing here keeps the caller from closing streams: `allowed` and `leave` only remember, so that a leader whose file
server hangs still follows in time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Protocol

from iris_exporter.clock import Clock
from iris_exporter.logs import get_logger
from iris_exporter.process.blocking import STATE, BlockedError

_log = get_logger("fleet")

RETRY_SECONDS = 0.25
"""How often a claim is tried that another process has; a stream that moves stands still for about as long."""
TRIES_PER_SECOND = 400
"""At most, with very many streams: each try may be a request to a file server."""
FAREWELL_SECONDS = 1.0
"""How long a stream that comes back at once is waited for; longer only while a slow scraper reads what it showed."""


class Claims(Protocol):
    """See `iris_exporter.persistence.stream_locks.Claims`. Its methods are called in a thread, one at a time."""

    def take(self, streams: Iterable[str]) -> set[str]:
        """Claim streams, and return those that are ours."""

    def give_back(self, streams: Iterable[str]) -> None:
        """Let others have these streams."""


class Handover:
    """The streams that this process may receive. `claims` None: it may receive all, as nobody shares anything with it.

    `settled` returns once no scrape is under way that shows given streams. `waiting` is told how many streams another
    process still has. Call `claim` with all that is wanted, receive what is `allowed`, then tell `leave` what that was.
    """

    def __init__(
        self,
        claims: Claims | None,
        settled: Callable[[Collection[str]], Awaitable[None]],
        clock: Clock,
        waiting: Callable[[int], None],
    ) -> None:
        self._claims = claims
        self._settled = settled
        self._clock = clock
        self._tell_waiting = waiting
        self._wanted: frozenset[str] = frozenset()
        self._ours: set[str] = set()
        self._leaving: set[str] = set()
        self._waiting: frozenset[str] = frozenset()
        self._said = False  # that something waits
        self._busy = asyncio.Lock()
        self._somebody_waits = asyncio.Event()
        self._farewells: set[asyncio.Task[None]] = set()
        waiting(0)

    def allowed(self, stream: str) -> bool:
        """Whether this process may receive `stream` now."""
        return self._claims is None or stream in self._ours

    def want(self, streams: Collection[str]) -> None:
        """What this process should receive from now on."""
        self._wanted = frozenset(streams)
        self._note(tried=False)

    async def claim(self) -> bool:
        """Try to make all that is wanted ours; return whether anything became so."""
        if self._claims is None:
            return False
        if self._wanted & self._leaving:
            await asyncio.wait(self._farewells, timeout=FAREWELL_SECONDS)
        async with self._busy:
            missing = self._wanted - self._ours - self._leaving
            taken = await self._take(self._claims, missing) if missing else set()
            self._ours |= taken
            self._note(tried=True)
        return bool(taken)

    async def _take(self, claims: Claims, streams: Collection[str]) -> set[str]:
        try:
            return await STATE.run(lambda: claims.take(streams), "stream locks")
        except BlockedError:
            return set()  # counted and logged there; what is locked all the same is ours at the next try

    def leave(self, received: Collection[str]) -> None:
        """Exactly `received` is received now: what is ours beside that and not wanted is given back, in the background.

        A stream is free once no scrape that has begun by now shows it any more.
        """
        leaving = self._ours - self._wanted - frozenset(received)
        if self._claims is None or not leaving:
            return
        self._ours -= leaving
        self._leaving |= leaving
        task = asyncio.create_task(self._give_back(self._claims, leaving))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def _give_back(self, claims: Claims, streams: Collection[str]) -> None:
        await self._settled(streams)
        async with self._busy:
            while not await self._gave_back(claims, streams):
                await self._clock.sleep(RETRY_SECONDS)
            self._leaving.difference_update(streams)

    @staticmethod
    async def _gave_back(claims: Claims, streams: Collection[str]) -> bool:
        try:
            await STATE.run(lambda: claims.give_back(streams), "stream locks")
        except BlockedError:
            return False
        return True

    async def run(self, free: Callable[[], Awaitable[object]]) -> None:
        """Try again as long as anything waits, and await `free` whenever something has become ours; until cancelled."""
        while True:
            await self._somebody_waits.wait()
            await self._clock.sleep(max(RETRY_SECONDS, len(self._waiting) / TRIES_PER_SECOND))
            if await self.claim():
                await free()

    def _note(self, *, tried: bool) -> None:
        self._waiting = frozenset() if self._claims is None else self._wanted - self._ours
        count = len(self._waiting)
        # What is not ours yet need not be somebody else's: a try has to fail before there is something to say.
        if count and tried and not self._said:
            self._said = True
            detail = "another process has them, or a scrape here still shows them"
            _log.info("fleet.waiting", streams=count, example=min(self._waiting), detail=detail)
        elif self._said and not count:
            self._said = False
            _log.info("fleet.complete", detail="all streams of this process are its own")
        self._tell_waiting(count)
        if count:
            self._somebody_waits.set()
        else:
            self._somebody_waits.clear()

    async def close(self) -> None:
        """Stop giving back; what is still ours ends with the process."""
        for task in self._farewells:
            task.cancel()
        await asyncio.gather(*self._farewells, return_exceptions=True)
