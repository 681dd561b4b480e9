"""How a stream passes from one process to another: never to two at once, and to the next one as soon as it is free.

Theory. A process wants streams and owns streams, and receives those that it both wants and owns. It owns a stream once
it has acquired its lock. It releases the lock only after three things: the link is closed, no scrape is under way that
may make a checkpoint of the stream, and it is not wanted again. In between the stream is neither owned nor free.
Then the next process reads the cursor of the last checkpoint, and goes on from there.

`allowed` and `release` never wait, so that a leader whose file server hangs still closes its streams in time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from functools import partial

from iris_exporter.clock import Clock
from iris_exporter.logs import get_logger
from iris_exporter.persistence.stream_locks import StreamLocks
from iris_exporter.process.blocking import STATE, BlockedError

_log = get_logger("fleet")

RETRY_SECONDS = 0.25
"""Between two tries for a lock that another process has; a stream that moves stands still for about as long."""
TRIES_PER_SECOND = 400
"""At most, with very many streams: each try may be a request to a file server."""
RELEASE_SECONDS = 1.0
"""Time limit for the release of a stream that is wanted again; it takes longer while a slow scraper reads it."""


class Handover:
    """The streams that this process may receive. `locks` None: all of them, as it shares them with nobody.

    `scrapes_ended` returns once no scrape is under way that exposes given streams. `waiting` is called with the number
    of streams that another process still has. Methods of `locks` are called in a thread, one at a time.

    Call `want` and `acquire`, receive what is `allowed`, then `release`.
    """

    def __init__(
        self,
        locks: StreamLocks | None,
        scrapes_ended: Callable[[Collection[str]], Awaitable[None]],
        clock: Clock,
        waiting: Callable[[int], None],
    ) -> None:
        self._locks = locks
        self._scrapes_ended = scrapes_ended
        self._clock = clock
        self._report_waiting = waiting
        self._wanted: frozenset[str] = frozenset()
        self._owned: set[str] = set()
        self._in_release: set[str] = set()
        self._releases: set[asyncio.Task[None]] = set()
        self._waiting: frozenset[str] = frozenset()
        self._has_logged = False  # that streams wait
        self._busy = asyncio.Lock()
        self._some_wait = asyncio.Event()
        waiting(0)

    def allowed(self, stream: str) -> bool:
        """Whether this process may receive `stream` now."""
        return self._locks is None or stream in self._owned

    def want(self, streams: Collection[str]) -> None:
        """Set the streams that this process should receive from now on."""
        self._wanted = frozenset(streams)
        self._note_waiting(tried=False)

    async def acquire(self) -> bool:
        """Try to own all that is wanted; return whether anything became owned."""
        if self._locks is None:
            return False
        if self._wanted & self._in_release:
            await asyncio.wait(self._releases, timeout=RELEASE_SECONDS)
        async with self._busy:
            missing = self._wanted - self._owned - self._in_release
            acquired: set[str] = set()
            # Counted and logged there; what is locked all the same is owned after the next try.
            with suppress(BlockedError):
                acquired = await STATE.run(partial(self._locks.acquire, missing), "stream locks") if missing else set()
            self._owned |= acquired
            self._note_waiting(tried=True)
        return bool(acquired)

    def release(self, received: Collection[str]) -> None:
        """Exactly `received` is received now: release what is owned beside that and not wanted, in the background."""
        released = self._owned - self._wanted - frozenset(received)
        if self._locks is None or not released:
            return
        self._owned -= released
        self._in_release |= released
        task = asyncio.create_task(self._release(self._locks, released))
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)

    async def _release(self, locks: StreamLocks, streams: Collection[str]) -> None:
        await self._scrapes_ended(streams)
        async with self._busy:
            while True:
                try:
                    await STATE.run(lambda: locks.release(streams), "stream locks")
                except BlockedError:
                    await self._clock.sleep(RETRY_SECONDS)
                else:
                    break
            self._in_release.difference_update(streams)

    async def run(self, acquired: Callable[[], Awaitable[object]]) -> None:
        """Try again as long as streams wait, and await `acquired` whenever some became owned; until cancelled."""
        while True:
            await self._some_wait.wait()
            await self._clock.sleep(max(RETRY_SECONDS, len(self._waiting) / TRIES_PER_SECOND))
            if await self.acquire():
                await acquired()

    def _note_waiting(self, *, tried: bool) -> None:
        self._waiting = frozenset() if self._locks is None else self._wanted - self._owned
        count = len(self._waiting)
        # A stream that is not owned yet need not be another process's: only a failed try is worth a line.
        if count and tried and not self._has_logged:
            self._has_logged = True
            detail = "another process has them, or a scrape here still shows them"
            _log.info("fleet.waiting", streams=count, example=min(self._waiting), detail=detail)
        elif self._has_logged and not count:
            self._has_logged = False
            _log.info("fleet.complete", detail="all streams of this process are its own")
        self._report_waiting(count)
        if count:
            self._some_wait.set()
        else:
            self._some_wait.clear()

    async def close(self) -> None:
        """Stop releasing; the locks that remain end with the process."""
        for task in self._releases:
            task.cancel()
        await asyncio.gather(*self._releases, return_exceptions=True)
