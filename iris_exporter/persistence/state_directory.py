"""`--state.dir`: cursors, checkpoints and locks of one directory, opened and read without holding the event loop."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from iris_exporter.errors import ConfigError, Problem
from iris_exporter.logs import get_logger
from iris_exporter.persistence.checkpoints import Checkpoints, PendingRecord
from iris_exporter.persistence.cursor_store import CursorRecord, CursorStore
from iris_exporter.persistence.stream_locks import StreamLocks
from iris_exporter.process.blocking import STATE, BlockedError

_log = get_logger("state")


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """What outlives the process. Close the `locks` when nothing is shown to anybody any more."""

    store: CursorStore
    locks: StreamLocks
    checkpoints: Checkpoints

    @classmethod
    async def open(
        cls,
        directory: Path,
        pending: Callable[[], Iterable[PendingRecord]],
        report: Callable[[OSError | None], None],
        interval_seconds: float | None,
    ) -> Self:
        """Open a directory, which is made when it is not there; for the other arguments see `Checkpoints`.

        Raises:
            ConfigError: It cannot be written in, or does not answer.
        """
        try:
            store, locks = await STATE.run(lambda: (CursorStore(directory), StreamLocks(directory)), directory)
        except BlockedError as error:
            expected = f"a directory to write in ({error.strerror})"
            raise ConfigError([Problem("start", "state.dir", str(directory), expected)]) from error
        return cls(store, locks, Checkpoints(store, pending, report, interval_seconds))

    async def load(self, stream: str, endpoint: str, fingerprint: str = "") -> CursorRecord | None:
        """The record of a stream; None, after a warning, also where the disk does not answer."""
        try:
            return await STATE.run(lambda: self.store.load(stream, endpoint, fingerprint), self.store.directory)
        except BlockedError as error:
            detail = "the stream starts without its cursor, and may count or miss events"
            _log.warning("state.unreadable", stream=stream, error=error, detail=detail)
            return None
