"""Cursor records on disk, one small file for each stream, replaced as a whole.

A file is written beside the old one (`stage`) and renamed over it (`StagedRecords.commit`), so that a reader finds the
old record or the new one and never half of either. The two steps are apart because the first takes milliseconds and can
fail, and the second must come right before the last byte of a scrape. Nothing is forced to the platter: a killed
process loses nothing, a machine that loses power may lose its last records, and the checksum shows which are damaged.

A file that cannot be read, or belongs to another stream, is renamed (`.aside`) with a warning: without its cursor a
resume is not exact, and refusing to start would mean no metrics at all.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from iris_exporter.core.negotiation import as_http, source_of
from iris_exporter.core.positions import CursorState
from iris_exporter.core.shorten import MARK, digest
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.logs import get_logger

_MAGIC = b"iris-exporter-cursor"
_VERSION = 1
# Four times the most ids that may be remembered, half of them pinned, at the longest id there is: a larger file is none
# of this program.
_MAX_FILE_BYTES = 512 * 1024 * 1024
_HEAD_BYTES = 256  # the first line, and the name of the stream

_log = get_logger("store")


class CursorRecord(msgspec.Struct, frozen=True, rename={"pinned_ids": "held"}):
    """What outlives the process of one stream. `endpoint` is without credentials; `ids` begin with the oldest.

    `pinned_ids` are those of events that came out of order (`core.dedup`), `early_ids` and `early_lost` are of events
    that came early (`core.advances`); files of early versions have none. `mapping` and `fingerprint` say what ids and
    cursor mean; both are empty for IRIS.
    """

    stream: str
    endpoint: str
    cursor: CursorState
    ids: list[str]
    pinned_ids: list[str] = []
    early_ids: list[str] = []
    early_lost: int = 0
    mapping: str = ""
    fingerprint: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(CursorRecord)


@dataclass(frozen=True, slots=True)
class StagedRecords:
    """Files that are written and not in force. Call `commit`, perhaps `undo`, and in any case `discard` at the end."""

    files: tuple[tuple[Path, Path], ...]

    def commit(self) -> None:
        """Put all of them in force; takes microseconds where the disk answers. Raises OSError when a rename fails."""
        for staged, final in self.files:
            with suppress(FileNotFoundError):
                os.unlink(_before(final))  # noqa: PTH108 (see below)
            with suppress(FileNotFoundError):
                os.link(final, _before(final))
            os.replace(staged, final)  # noqa: PTH105 (Path.replace builds another Path, and this is timed)

    def undo(self) -> None:
        """Put back what `commit` replaced. Raises OSError when a rename fails."""
        for _, final in self.files:
            try:
                _before(final).replace(final)
            except FileNotFoundError:
                final.unlink(missing_ok=True)

    def discard(self) -> None:
        """Clean up; what is in force stays."""
        for staged, final in self.files:
            with suppress(OSError):  # it may be what made the staging fail
                staged.unlink(missing_ok=True)
            with suppress(OSError):
                _before(final).unlink(missing_ok=True)


def _next(final: Path) -> Path:
    return final.with_name(final.name + ".next")


def _before(final: Path) -> Path:
    return final.with_name(final.name + ".before")


class CursorStore:
    """The files in one directory, which is made when it is not there.

    Raises:
        ConfigError: The directory cannot be made or written in.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
            # Without a name of its own, the probe of another process that starts now could be taken away under it.
            with tempfile.TemporaryFile(dir=directory):
                pass
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigError(
                [Problem("start", "state.dir", str(directory), f"a directory to write in ({reason})")]
            ) from error

    def load(self, stream: str, endpoint: str, fingerprint: str = "") -> CursorRecord | None:
        """The record of a stream; None for a first start and for a file that cannot be used.

        One with another `fingerprint` is of no use: its ids and its cursor mean something else.

        Call it before anything of the stream is staged: a file that a killed process left staged is removed.
        """
        path = self._path(stream)
        StagedRecords(((_next(path), path),)).discard()
        self._rename_earlier(stream, path)
        try:
            if path.stat().st_size > _MAX_FILE_BYTES:
                return self._quarantine(path, stream, "it is too large")
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("state.unreadable", stream=stream, file=str(path), error=error)
            return None
        head, _, body = content.partition(b"\n")
        if head != _head(body):
            return self._quarantine(path, stream, "it is damaged or of another version")
        try:
            record = _decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._quarantine(path, stream, "it does not have the fields that it should")
        # One cursor for all transports, and of an IRIS for all endpoints.
        same = as_http if fingerprint else source_of
        if (record.stream, same(record.endpoint)) != (stream, same(endpoint)):
            return self._quarantine(path, stream, f"it belongs to {record.stream} at {record.endpoint}")
        if record.fingerprint != fingerprint:
            what = f"the mapping {record.mapping}, as it was," if record.mapping else "IRIS"
            return self._quarantine(path, stream, f"it has ids and a cursor of {what} and the stream has other ones")
        return record

    def stage(self, records: Iterable[CursorRecord]) -> StagedRecords:
        """Write files beside those in force; call it in a thread. Raises OSError, and then leaves nothing behind."""
        files: list[tuple[Path, Path]] = []
        try:
            for record in records:
                final = self._path(record.stream)
                staged = _next(final)
                files.append((staged, final))
                body = _encoder.encode(record)
                staged.write_bytes(_head(body) + b"\n" + body)
        except OSError:
            StagedRecords(tuple(files)).discard()
            raise
        return StagedRecords(tuple(files))

    def _path(self, stream: str) -> Path:
        """Capitals are marked by a hash: where a file system ignores case, `A` and `a` are two streams."""
        name = stream if stream == stream.lower() else f"{stream}{MARK}{digest(stream)}"
        return self.directory / f"{name}.cursor"

    def _rename_earlier(self, stream: str, path: Path) -> None:
        """Give the file of an earlier version, whose name had no hash, the name that it has now."""
        earlier = self.directory / f"{stream}.cursor"
        if earlier == path or path.exists():
            return
        try:
            # The name stands at the beginning; on a file system without capitals the file may be another stream's.
            with earlier.open("rb") as file:
                if f'{{"stream":"{stream}",'.encode() in file.read(_HEAD_BYTES):
                    earlier.rename(path)
        except FileNotFoundError:
            return
        except OSError as error:
            _log.warning("state.unreadable", stream=stream, file=str(earlier), error=error)

    @staticmethod
    def _quarantine(path: Path, stream: str, why: str) -> None:
        renamed = path.with_name(path.name + ".aside")
        try:
            path.replace(renamed)
        except OSError as error:
            _log.warning("state.unreadable", stream=stream, file=str(path), reason=why, error=error)
        else:
            _log.warning("state.set_aside", stream=stream, file=str(path), reason=why, moved_to=str(renamed))


def _head(body: bytes) -> bytes:
    return b"%s %d %s" % (_MAGIC, _VERSION, hashlib.blake2b(body, digest_size=16).hexdigest().encode())
