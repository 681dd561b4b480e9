"""The file while the server runs: checked once a second, taken over when it is whole.

A check costs a `stat` of up to four files. A change is a new modification time,
inode, device or size of the file itself or of a certificate, key or CA that it names; atomic renames and the symbolic
links of Kubernetes volumes change the inode. What is broken is reported once for each change, and what was in force
stays in force: a typing error neither admits everybody nor locks everybody out.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from iris_exporter.clock import Clock
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.logs import get_logger
from iris_exporter.web.config.loading import load_for_use
from iris_exporter.web.config.model import WebConfig

CHECK_SECONDS = 1.0
"""Least time between two checks of the files."""
RETRY_SECONDS = 10.0
"""After a load that failed: it may have failed on a file that is not watched yet, and that appears later."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration in force and the context for new connections; None is plain HTTP."""

    config: WebConfig
    context: ssl.SSLContext | None


class LiveConfig:
    """Holds what is in force. Call `refresh` when `is_due`, in a thread, since the disk may hang.

    `path` None is an empty file that never changes. `report` takes None for each load, the first included, and the
    reason of `core.own_failures` for each one that failed. The constructor raises ConfigError: a server must not start
    less secure than was asked for.
    """

    def __init__(self, path: Path | None, clock: Clock, report: Callable[[str | None], None]) -> None:
        self.path = path
        self._clock = clock
        self._report = report
        self._checked_at = clock.monotonic()
        self.loaded = Loaded(WebConfig(), None)
        self._stamps: dict[Path, _Stamp] = {}
        self._problems: list[Problem] = []
        self._retry_at = 0.0
        self._hangs = False
        if path is not None:
            self._load(path)
            report(None)

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next check."""
        return self.path is not None and self._clock.monotonic() - self._checked_at >= CHECK_SECONDS

    def not_answered(self) -> None:
        """The disk did not answer a check: what is in force stays, and the next check is as long away as usual."""
        self._checked_at = self._clock.monotonic()
        self._hangs = True
        self._report("hangs")

    def refresh(self) -> bool:
        """Take over a changed file; return whether something else may be in force now."""
        now = self._clock.monotonic()
        if self.path is None or not self.is_due:
            return False
        self._checked_at = now
        changed = any(_stamp(path) != stamp for path, stamp in self._stamps.items())
        if self._hangs:
            self._hangs = False
            self._report("invalid" if self._problems else None)
        if not changed and not (self._problems and now >= self._retry_at):
            return False
        try:
            self._load(self.path)
        except ConfigError as error:
            if changed or error.problems != self._problems:
                for problem in error.problems:
                    _log.error("web.config_rejected", problem=str(problem))
            self._problems = error.problems
            self._retry_at = now + RETRY_SECONDS
            self._report("invalid")
            return False
        self._problems = []
        _log.info("web.config_loaded", file=self.path, tls=self.loaded.context is not None)
        self._report(None)
        return True

    def _load(self, path: Path) -> None:
        # Before reading: what changes in between is then seen as a change at the next check.
        stamps = {watched: _stamp(watched) for watched in {path, *self._stamps}}
        try:
            loaded = Loaded(*load_for_use(path))
            files = loaded.config.tls.files if loaded.config.tls is not None else ()
            if not stamps.keys() >= set(files):
                # Their names are new: once more, now that it is known what to compare with later.
                stamps |= {file: _stamp(file) for file in files}
                loaded = Loaded(*load_for_use(path))
        finally:
            self._stamps = stamps
        self._stamps = {watched: stamps.get(watched) for watched in (path, *files)}
        self.loaded = loaded


_Stamp = tuple[int, int, int, int] | None
"""Modification time, inode, device and size of a file; None when there is none."""


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_dev, status.st_size
