"""Discovery from files: those that match the globs of `--discovery.files` are read when they have changed."""

import asyncio
import glob
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from iris_exporter.config import yaml_text
from iris_exporter.core.own_failures import disk_reason
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.fleet.discovery.source import MAX_BYTES, Entry, Source, StreamList
from iris_exporter.process.blocking import FILES, PARSING, BlockedError

_READ_SHARE = 20  # a list whose entries wait for files takes 1/20 of a processor at most
_SHAPE = "a list of streams in YAML or JSON"

_Mark = tuple[int, ...]
"""What differs when a file was written or replaced."""


@dataclass(slots=True)
class _File:
    """What is known of a file.

    `refused`, `broken` and `retry_at` are of the last read, `streams` of the last one that worked; `broken`: nothing in
    it could be used. `unreadable` is why the last check failed, None where it did not.
    """

    mark: _Mark | None = None
    streams: StreamList = ()
    refused: Sequence[Sequence[Problem]] = ()
    retry_at: float = math.inf  # when the files that refused entries name may be there
    broken: bool = False
    unreadable: str | None = None

    @property
    def failing(self) -> str | None:
        """Why it cannot be used now, as a whole or in part."""
        return self.unreadable or ("invalid" if self.broken or self.refused else None)


@dataclass(slots=True)
class FileDiscovery(Source):
    """Files named by globs; the swap of a ConfigMap's symbolic link is a change like any."""

    name = "files"
    _files: dict[str, _File] = field(default_factory=dict, init=False)

    async def run(self) -> None:
        """Check the files at each interval."""
        while True:
            await self._check_all()
            self.report(tuple(stream for file in self._files.values() for stream in file.streams))
            await self.clock.sleep(self.settings.files_interval_seconds)

    async def _check_all(self) -> None:
        """Check every file at once, so that one that hangs keeps no other one from being read."""
        patterns = self.settings.files
        try:
            found = await FILES.run(lambda: [*map(glob.glob, patterns)], patterns)
        except BlockedError as error:
            self.failed(" ".join(patterns), error, disk_reason(error))
            return
        self._files = {name: self._files.get(name) or _File() for name in sorted({*itertools.chain(*found)})}
        await asyncio.gather(*(self._check(name, file) for name, file in self._files.items()))
        self.failing(next(filter(None, (file.failing for file in self._files.values())), None))

    async def _check(self, name: str, file: _File) -> None:
        # An entry may have been refused for a file that it names, such as a key that is mounted a little later.
        before, is_due = file.mark, self.clock.monotonic() >= file.retry_at
        file.unreadable = None
        try:
            file.mark, content = await FILES.run(lambda: _changed(Path(name), None if is_due else before), name)
            if content is not None:
                file.broken = True
                reported = file.refused if file.mark == before else ()
                file.streams = await PARSING.run(lambda: self._read(Path(name), file, content, reported), name)
                file.broken = False
        except OSError as error:
            file.unreadable = disk_reason(error)
            self.failed(name, error, file.unreadable)
        except ConfigError as error:
            # The streams that were in the file before stay.
            self.refuse(error.problems)

    def _read(self, path: Path, file: _File, content: bytes, reported: Sequence[Sequence[Problem]]) -> StreamList:
        """The streams of a file; of the problems of its entries, `reported` have been logged and counted."""
        started = self.clock.monotonic()
        file.retry_at = math.inf
        if len(content) > MAX_BYTES:
            raise ConfigError([Problem(str(path), "(file)", f"more than {MAX_BYTES >> 20} MiB", _SHAPE)])
        streams, file.refused = self.read(
            Entry(node, f"{path}:{node.line}", f"[{index}]", path, problems)
            for index, (node, problems) in enumerate(yaml_text.read_list(content, path, _SHAPE))
        )
        for problems in file.refused:
            if problems not in reported:
                self.refuse(problems)
        if any(problem.key.endswith("-file") for problems in file.refused for problem in problems):
            now = self.clock.monotonic()
            file.retry_at = now + _READ_SHARE * (now - started)
        return streams


def _changed(path: Path, before: _Mark | None) -> tuple[_Mark, bytes | None]:
    """The mark of a file, and its content unless the mark is the one `before`; one byte more than is allowed."""
    status = path.stat()  # of what the link points to, so that a swap shows
    mark = (status.st_mtime_ns, status.st_ino, status.st_dev, status.st_size)
    if mark == before:
        return mark, None
    with path.open("rb") as file:
        return mark, file.read(MAX_BYTES + 1)
