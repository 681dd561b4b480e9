"""Blocking work, away from the event loop: each kind in threads of its own, bounded in number and in time.

Theory. A file on a mount that hangs, or a disk that does not answer, holds the thread that asked for it, and nothing
can take that thread back. asyncio's default executor is shared by all such work and is waited for at the end: one hung
file would keep scrapes from being compressed and the process from ending. Here each kind of work has a `Pool`: its
threads are daemons, so the process ends without them; the caller gets an error after a deadline; and a resource (a
file, a directory) that hangs costs one thread: until that thread is back, further work on the resource is refused.

Name resolution is not here: it has an asynchronous resolver (`http.session`).
"""

import asyncio
import errno
import queue
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from iris_exporter.logs import get_logger

T = TypeVar("T")

_IDLE_SECONDS = 30.0
"""A thread without work ends after this long."""
_LINES_PER_MINUTE = 5

_log = get_logger("blocking").limited(_LINES_PER_MINUTE)


class BlockedError(OSError):
    """The work did not end in time, or was not begun because of other work that has not ended; `strerror` says which.

    What was begun may still end; what was not begun never is.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(errno.ETIMEDOUT, sentence)


@dataclass(slots=True, eq=False)
class _Job(Generic[T]):
    """One piece of work; `begun_at` and `has_ended` are guarded by the pool's lock."""

    work: Callable[[], T]
    resource: Hashable
    result: Future[T] = field(default_factory=Future)
    begun_at: float | None = None  # monotonic
    has_ended: bool = False


class Pool:
    """Threads for one kind of work: at most `threads`, and the caller waits for at most `seconds`.

    `seconds` covers the wait for a thread. None is for work that only computes: it is waited for in any case.
    """

    def __init__(self, name: str, threads: int, seconds: float | None) -> None:
        self.name = name
        self.timeouts = 0
        """Pieces of work that were given up, or refused because of others that had been."""
        self.threads = threads
        self.seconds = seconds
        self._jobs: queue.SimpleQueue[_Job[Any]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._running = 0  # threads
        self._idle = 0  # threads that wait for work
        self._waiting = 0  # work that waits for a thread
        self._abandoned: set[_Job[Any]] = set()  # work under way whose caller has gone

    @property
    def stuck(self) -> int:
        """Threads whose work is past its time."""
        return len(self._overdue())

    async def run(self, work: Callable[[], T], resource: Hashable) -> T:
        """Do `work` in a thread and return what it returns; what it raises is raised here.

        Args:
            work: Called once, or never.
            resource: What it may hang on: a path, or another name that work of this pool shares.

        Raises:
            BlockedError: It takes too long, or the resource or the whole pool hangs already.
        """
        job = self._submit(work, resource)
        try:
            async with asyncio.timeout(self.seconds):
                return await asyncio.wrap_future(job.result)
        except TimeoutError:
            if job.result.done() and not job.result.cancelled():
                raise  # the work's own
            raise self._refused(resource, f"no answer within {self.seconds:g} s") from None
        finally:
            self._abandon(job)

    def _submit(self, work: Callable[[], T], resource: Hashable) -> _Job[T]:
        self._check(resource)
        job: _Job[T] = _Job(work, resource)
        with self._lock:
            self._waiting += 1
            if self._waiting > self._idle and self._running < self.threads:
                self._running += 1
                threading.Thread(target=self._serve, name=f"blocking-{self.name}", daemon=True).start()
        self._jobs.put(job)
        return job

    def _abandon(self, job: _Job[Any]) -> None:
        """The caller has gone: work that has not begun never does."""
        job.result.cancel()
        with self._lock:
            if job.begun_at is not None and not job.has_ended:
                self._abandoned.add(job)

    def _check(self, resource: Hashable) -> None:
        overdue = self._overdue()
        if any(job.resource == resource for job in overdue):
            raise self._refused(resource, "an earlier access has not been answered yet")
        if len(overdue) >= self.threads:
            raise self._refused(resource, f"{self.threads} accesses to other places have not been answered yet")

    def _overdue(self) -> list[_Job[Any]]:
        if self.seconds is None or not self._abandoned:
            return []
        before = time.monotonic() - self.seconds
        with self._lock:
            return [job for job in self._abandoned if job.begun_at is not None and job.begun_at <= before]

    def _refused(self, resource: Hashable, why: str) -> BlockedError:
        self.timeouts += 1
        _log.warning("blocking.timed_out", pool=self.name, place=str(resource), reason=why)
        return BlockedError(why)

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            value, error = None, None
            try:
                value = job.work()
            except BaseException as raised:  # noqa: BLE001 (it is raised in the caller)
                error = raised
            with self._lock:
                job.has_ended = True
                self._abandoned.discard(job)
            if error is None:
                job.result.set_result(value)
            else:
                job.result.set_exception(error)
            del job, value, error  # so that nothing of it lives on while this thread waits

    def _next(self) -> _Job[Any] | None:
        """The next piece of work with a caller; None when this thread is no longer needed."""
        while True:
            with self._lock:
                self._idle += 1
            try:
                job = self._jobs.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                job = None
            with self._lock:
                self._idle -= 1
                if job is None and self._waiting <= self._idle:
                    self._running -= 1
                    return None
                if job is not None:
                    self._waiting -= 1
                    if job.result.set_running_or_notify_cancel():
                        job.begun_at = time.monotonic()
                        return job


FILES = Pool("files", 64, 5.0)
"""Reads of keys, headers, certificates and files of discovery."""
STATE = Pool("state", 8, 3.0)
"""Cursors and locks in `--state.dir`."""
CONFIG = Pool("config", 4, 5.0)
"""The configuration and the web configuration, which name files of their own."""
COMPRESSION = Pool("compression", 2, None)
"""Compression of scrapes."""
PARSING = Pool("parsing", 2, 60.0)
"""Reading of what discovery has found, which may be large and name files of its own."""
PASSWORDS = Pool("passwords", 1, None)
"""Verification of passwords with bcrypt."""
NAMES = Pool("names", 4, 5.0)
"""Look-ups of the names that are listened on, which the system's resolver makes."""

POOLS = (FILES, STATE, CONFIG, COMPRESSION, PARSING, PASSWORDS, NAMES)
"""All of them; each has its series."""
