"""When a cursor is kept: with the scrape that showed what it stands for.

Theory. Counters begin at zero in a new process. So that the values of all lives add up to the number of events, an
event that a scrape has shown must not be counted again, and one that no scrape has shown must not be forgotten. The
cursor is therefore taken at the moment at which the counters of a scrape are read (`capture`), written beside the one
in force while the answer is being made (`Commit.stage`), and put in force by a rename right before the last byte of the
answer goes out, when all others have gone (`Commit.commit`). A process that is killed before that resumes from the
scrape before; one that is killed afterwards resumes from this one. A last byte that cannot be sent takes the commit
back (`Commit.undo`).

Which scrapes commit: a GET of the whole page by a scraper (`web.scrapers`), or none, where `checkpoints` keeps the
cursors every so often. Somebody with curl looks and changes nothing; where nobody else comes, that is told. With
several scrapers every one commits: an event that one of them was shown is not shown again after a restart to the
others, each of which sees a counter that starts anew, and misses at most what arrived between its own last scrape and
the last scrape of another one. A scrape that began before another one and ends after it does not move the cursor back.

What cannot be written is logged and counted, and never keeps a scrape from being answered.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from iris_exporter.logs import get_logger
from iris_exporter.persistence.cursor_store import CursorStore, Kept, Staged
from iris_exporter.process.blocking import STATE, BlockedError

_log = get_logger("state")
_LINES_PER_MINUTE = 2
LOOKS = 3
"""Reads of the whole page without a commit after which somebody should know."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Capture:
    """One stream's place at one moment. `build` makes what is written, and may be called in a thread.

    `generation` grows with every change of the place; two captures of one generation are the same.
    """

    stream: str
    generation: int
    build: Callable[[], Kept]


class Keeper(Protocol):
    """Whom a commit tells that something could not be written."""

    def state_commit_failed(self) -> None:
        """A cursor could not be kept."""


class Commits:
    """Makes one `Commit` for each scrape; `capture` must be called in the same turn in which the counters are read."""

    def __init__(self, store: CursorStore, captures: Callable[[], Iterable[Capture]], keeper: Keeper) -> None:
        self._store = store
        self._captures = captures
        self._keeper = keeper
        self._kept: dict[str, int] = {}
        self._busy = asyncio.Lock()
        self._under_way: set[Commit] = set()
        self._limited = _log.limited(_LINES_PER_MINUTE)
        self._looks = 0
        self._has_written = False
        self._has_warned = False

    def capture(self) -> "Commit":
        """Take the place of every stream that has moved since it was last kept."""
        commit = Commit(self, tuple(c for c in self._captures() if self._kept.get(c.stream, -1) < c.generation))
        self._under_way.add(commit)
        return commit

    def looked(self) -> None:
        """The whole page was read without a commit. Warns once when nobody else seems to come."""
        self._looks += 1
        if not self._has_warned and self.trouble() is not None:
            self._has_warned = True
            _log.warning("state.never_committed", reads=self._looks, detail=self.trouble())

    def trouble(self) -> str | None:
        """Return what is wrong as a sentence: read again and again, and nothing was ever written; None if not so."""
        moved = any(self._kept.get(c.stream, -1) < c.generation for c in self._captures())
        if self._has_written or self._looks < LOOKS or not moved:
            return None
        return (
            f"the metrics were read {self._looks} times by no known scraper, and --state.dir has not been written to: "
            "a restart will count events again; if the reader keeps what it reads, let it send `Accept: "
            "text/plain;version=0.0.4`, or set --state.commit to an interval"
        )

    async def settled(self, streams: Collection[str]) -> None:
        """Streams that have been closed: wait until every scrape has ended that may show them, and forget them."""
        await asyncio.gather(*(commit.ended.wait() for commit in self._under_way))
        for stream in streams:
            self._kept.pop(stream, None)

    def ended(self, commit: "Commit") -> None:
        """This scrape can no longer change anything."""
        self._under_way.discard(commit)

    async def stage(self, captures: Sequence[Capture]) -> Staged:
        """Write captures beside the files in force. Raises OSError."""
        return await self.on_disk(lambda: self._store.stage(capture.build() for capture in captures))

    async def on_disk(self, work: Callable[[], T]) -> T:
        """Do something in the directory. Raises OSError, also where the disk does not answer."""
        return await STATE.run(work, self._store.directory)

    def newer(self, captures: Iterable[Capture]) -> tuple[Capture, ...]:
        """Those that nobody has overtaken."""
        return tuple(c for c in captures if self._kept.get(c.stream, -1) < c.generation)

    def keep(self, captures: Sequence[Capture]) -> dict[str, int | None]:
        """Note what is in force now, and return what was before."""
        before = {capture.stream: self._kept.get(capture.stream) for capture in captures}
        self._has_written = True
        self._kept |= {capture.stream: capture.generation for capture in captures}
        return before

    def forget(self, before: dict[str, int | None]) -> None:
        """What `keep` noted is no longer so."""
        for stream, generation in before.items():
            self._kept.pop(stream, None)
            if generation is not None:
                self._kept[stream] = generation

    @property
    def busy(self) -> asyncio.Lock:
        """Held from staging to commit: two scrapes must not write the same file."""
        return self._busy

    def failed(self, error: OSError) -> None:
        """A cursor could not be kept; the next scrape tries again."""
        self._keeper.state_commit_failed()
        self._limited.warning("state.commit_failed", error=error)


class Commit:
    """The commit of one scrape: `stage`, then `commit` before the last byte, and `discard` in any case at the end."""

    def __init__(self, commits: Commits, captures: tuple[Capture, ...]) -> None:
        self._commits = commits
        self._captures = captures
        self._staged: Staged | None = None
        self._committed: dict[str, int | None] | None = None
        self._holds = False
        self.ended = asyncio.Event()

    @property
    def staged_anything(self) -> bool:
        """Whether `stage` found something to write."""
        return self._holds and bool(self._captures)

    async def stage(self) -> None:
        """Write what was captured, unless a later scrape has overtaken this one."""
        if not self._captures:
            return
        await self._commits.busy.acquire()
        self._holds = True
        self._captures = self._commits.newer(self._captures)
        if not self._captures:
            return
        try:
            self._staged = await self._commits.stage(self._captures)
        except OSError as error:
            self._commits.failed(error)

    def commit(self) -> None:
        """The answer is out but for its last byte: put what was staged in force.

        Neither the event loop nor a thread gets its turn between this and the last byte, since a kill in between loses
        what the answer was about to show, and on a busy machine a turn takes long. Takes microseconds; only a disk that
        ceased to answer after the staging makes everybody wait.
        """
        if self._staged is not None:
            try:
                self._staged.commit()
            except OSError as error:
                self._commits.failed(error)
                return
            self._committed = self._commits.keep(self._captures)

    async def undo(self) -> None:
        """The last byte could not be sent: put back what was in force before."""
        if self._staged is not None and self._committed is not None:
            try:
                await self._commits.on_disk(self._staged.undo)
            except OSError as error:
                self._commits.failed(error)
            self._commits.forget(self._committed)
            self._committed = None

    async def discard(self) -> None:
        """Leave the cursor as it was unless it was committed, and let the next one in; call it in any case."""
        staged, self._staged = self._staged, None
        try:
            if staged is not None:
                await self._commits.on_disk(staged.discard)
        except BlockedError:
            pass  # counted there; the next one that stages writes over it
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._holds:
            self._holds = False
            self._commits.busy.release()
        self._commits.ended(self)
        self.ended.set()
