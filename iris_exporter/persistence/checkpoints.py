"""Checkpoints: the cursors are written together with the scrape that exposed the events before them.

Theory. Counters begin at zero in a new process. So that the values of all processes add up to the number of events, an
event that a scrape has exposed must not be counted again, and one that no scrape has exposed must not be forgotten. A
checkpoint therefore takes the cursors in the turn in which the counters of a scrape are read (`Checkpoints.begin`), is
written beside the files in force while the answer is made (`Checkpoint.stage`), and comes into force by a rename right
before the last byte of the answer goes out, when all others have gone (`Checkpoint.commit`). A process that is killed
before that resumes from the scrape before; one that is killed afterwards resumes from this one. A last byte that cannot
be sent takes the rename back (`Checkpoint.undo`).

Which scrapes make a checkpoint: a GET of the whole page by a scraper (`web.scrapers`). A person with curl changes
nothing; where no scraper reads the metrics, a warning says so. With several scrapers each one makes checkpoints: an
event that one of them was shown is not shown to the others after a restart. Each of them sees a counter that starts
anew, and misses at most what arrived between its own last scrape and the last scrape of another one. A scrape that
began before another one and ends after it does not move the cursor back. With `--state.commit=10s`, for readers that do
not scrape, the interval alone makes checkpoints.

A failed write is logged and counted, and never keeps a scrape from being answered.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

from iris_exporter.logs import get_logger
from iris_exporter.persistence.cursor_store import CursorRecord, CursorStore, StagedRecords
from iris_exporter.process.blocking import STATE, BlockedError

_log = get_logger("state")
_LINES_PER_MINUTE = 2
READS_BEFORE_WARNING = 3
"""Reads of the whole page by unknown programs, without any checkpoint, before a warning."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PendingRecord:
    """The cursor record of one stream at one time; `build` makes it, and may be called in a thread.

    `generation` grows with every change of the record; two of one generation are the same.
    """

    stream: str
    generation: int
    build: Callable[[], CursorRecord]


class Checkpoints:
    """Makes the checkpoints of all streams. `run` is a task that makes those of the interval.

    Args:
        store: Where the records go.
        pending: The record of each stream as it is now.
        report: Called with the error of each write that failed, and with None for each checkpoint that is in force.
        interval_seconds: Between two checkpoints of the interval; None: scrapes make them.
    """

    def __init__(
        self,
        store: CursorStore,
        pending: Callable[[], Iterable[PendingRecord]],
        report: Callable[[OSError | None], None],
        interval_seconds: float | None = None,
    ) -> None:
        self.store = store
        self.written: dict[str, int] = {}
        """The generation of each stream's record that is in force."""
        self.writing = asyncio.Lock()
        """Held from staging to commit: two checkpoints must not write the same file."""
        self.has_written = False
        self.open: set[Checkpoint] = set()
        self._pending = pending
        self.outcome = report
        self._interval_seconds = interval_seconds
        self._interval_changed = asyncio.Event()
        self._limited = _log.limited(_LINES_PER_MINUTE)
        self._unknown_reads = 0
        self._has_warned = False

    def begin(self) -> "Checkpoint | None":
        """The checkpoint of a scrape, to be called in the turn in which the counters are read.

        None where the interval makes the checkpoints.
        """
        return Checkpoint(self, self.newer(self._pending())) if self._interval_seconds is None else None

    def set_interval(self, seconds: float | None) -> None:
        """Use another interval from now on."""
        self._interval_seconds = seconds
        self._interval_changed.set()

    async def run(self) -> None:
        """Make the checkpoints of the interval until cancelled."""
        while True:
            self._interval_changed.clear()
            try:
                async with asyncio.timeout(self._interval_seconds):
                    await self._interval_changed.wait()
            except TimeoutError:
                await self.write()

    async def write(self) -> None:
        """Make one checkpoint of the interval; nothing where there is none."""
        if self._interval_seconds is None:
            return
        checkpoint = Checkpoint(self, self.newer(self._pending()))
        try:
            await checkpoint.stage()
            checkpoint.commit()
        finally:
            await checkpoint.discard()

    def read_by_unknown(self) -> None:
        """An unknown program read the whole page, without a checkpoint; warns once where no scraper comes."""
        self._unknown_reads += 1
        if not self._has_warned and (detail := self.trouble()) is not None:
            self._has_warned = True
            _log.warning("state.never_committed", reads=self._unknown_reads, detail=detail)

    def trouble(self) -> str | None:
        """A sentence when the metrics are read again and again without any checkpoint; None otherwise."""
        by_scrape = self._interval_seconds is None
        if not by_scrape or self._unknown_reads < READS_BEFORE_WARNING or self.has_written:
            return None
        if not self.newer(self._pending()):
            return None
        return (
            f"the metrics were read {self._unknown_reads} times by no known scraper, and --state.dir has not been "
            "written to: a restart will count events again; if the reader keeps what it reads, let it send `Accept: "
            "text/plain;version=0.0.4`, or set --state.commit to an interval"
        )

    async def scrapes_ended(self, streams: Collection[str]) -> None:
        """Wait until every scrape has ended that may expose these streams, which are closed, and forget them."""
        await asyncio.gather(*(checkpoint.ended.wait() for checkpoint in self.open))
        for stream in streams:
            self.written.pop(stream, None)

    def newer(self, records: Iterable[PendingRecord]) -> tuple[PendingRecord, ...]:
        """Those that are newer than what is in force."""
        return tuple(record for record in records if self.written.get(record.stream, -1) < record.generation)

    async def on_disk(self, work: Callable[[], T]) -> T:
        """Do something in the directory. Raises OSError, also where the disk does not answer."""
        return await STATE.run(work, self.store.directory)

    def report(self, error: OSError) -> None:
        """Report and log a failed write; the next checkpoint tries again."""
        self.outcome(error)
        self._limited.warning("state.commit_failed", error=error)


class Checkpoint:
    """The cursors of one scrape: `stage`, then `commit` before the last byte, and `discard` in any case at the end."""

    def __init__(self, owner: Checkpoints, records: tuple[PendingRecord, ...]) -> None:
        self.records = records
        """What is written: the records that were newer than those in force."""
        self.ended = asyncio.Event()
        self._owner = owner
        self._staged: StagedRecords | None = None
        self._replaced: dict[str, int] | None = None  # generations that `commit` has replaced
        self._has_lock = False
        owner.open.add(self)

    async def stage(self) -> None:
        """Write the records beside the files in force, but for those that a later scrape has overtaken."""
        if not self.records:
            return
        await self._owner.writing.acquire()
        self._has_lock = True
        self.records = records = self._owner.newer(self.records)
        if not records:
            return
        try:
            store = self._owner.store
            self._staged = await self._owner.on_disk(lambda: store.stage(record.build() for record in records))
        except OSError as error:
            self._owner.report(error)

    def commit(self) -> None:
        """Put the staged records in force, when the answer is out but for its last byte.

        Neither the event loop nor a thread gets its turn between this and the last byte, since a kill in between loses
        what the answer was about to show, and on a busy machine a turn takes long. Takes microseconds; only a disk that
        ceased to answer after the staging makes the event loop wait.
        """
        if self._staged is None:
            return
        try:
            self._staged.commit()
        except OSError as error:
            self._owner.report(error)
            return
        written = self._owner.written
        self._replaced = {record.stream: written.get(record.stream, -1) for record in self.records}
        written.update((record.stream, record.generation) for record in self.records)
        self._owner.has_written = True
        self._owner.outcome(None)

    async def undo(self) -> None:
        """Put back the records that `commit` replaced: the last byte could not be sent."""
        if self._staged is None or self._replaced is None:
            return
        try:
            await self._owner.on_disk(self._staged.undo)
        except OSError as error:
            self._owner.report(error)
        self._owner.written.update(self._replaced)
        self._replaced = None

    async def discard(self) -> None:
        """Remove what is staged and not in force, and let the next checkpoint write; call it in any case."""
        staged, self._staged = self._staged, None
        try:
            if staged is not None:
                await self._owner.on_disk(staged.discard)
        except BlockedError:
            pass  # counted there; the next one that stages writes over it
        finally:
            if self._has_lock:
                self._has_lock = False
                self._owner.writing.release()
            self._owner.open.discard(self)
            self.ended.set()
