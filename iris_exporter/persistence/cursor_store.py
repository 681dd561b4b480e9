"""Cursors on disk, one small file for each stream, replaced as a whole.

A file is written beside the old one (`stage`) and renamed over it (`Staged.commit`), so that a reader finds the old
state or the new one and never half of either. The two steps are apart because the first takes milliseconds and can
fail, and the second must follow the last byte of a scrape at once. Nothing is forced to the platter: a killed process
loses nothing, a machine that loses power may lose its last commits, and what it damages is noticed by the checksum.

What cannot be read, or belongs to another stream, is set aside under another name with a warning: losing a cursor means
that a resume is not exact, and refusing to start would mean no metrics at all.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from iris_exporter.core.cursor import CursorState
from iris_exporter.core.negotiation import as_http
from iris_exporter.core.shorten import MARK, digest
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.logs import get_logger

_MAGIC = b"iris-exporter-cursor"
_VERSION = 1
# Four times the most ids that may be remembered, half of them held apart, at the longest id that is kept: a larger file
# is not one of ours.
_MAX_FILE_BYTES = 512 * 1024 * 1024
_HEAD_BYTES = 256  # the first line, and the name of the stream

_log = get_logger("store")


class Kept(msgspec.Struct, frozen=True):
    """What is kept of one stream. `endpoint` is without credentials; `ids` go from the oldest to the youngest.

    `held` are ids of events that came before their turn (`core.dedup`); files of before there were any have none.
    """

    stream: str
    endpoint: str
    cursor: CursorState
    ids: list[str]
    held: list[str] = []


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Kept)


@dataclass(frozen=True, slots=True)
class Staged:
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

    def load(self, stream: str, endpoint: str) -> Kept | None:
        """What was committed for a stream; None for a first start and for a file that was set aside.

        Call it before anything of the stream is staged: what a killed process left staged is removed.
        """
        path = self._path(stream)
        Staged(((_next(path), path),)).discard()
        self._move_former(stream, path)
        try:
            if path.stat().st_size > _MAX_FILE_BYTES:
                return self._set_aside(path, stream, "it is too large")
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("state.unreadable", stream=stream, file=str(path), error=error)
            return None
        head, _, body = content.partition(b"\n")
        if head != _head(body):
            return self._set_aside(path, stream, "it is damaged or of another version")
        try:
            kept = _decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._set_aside(path, stream, "it does not say what it should")
        # One cursor for all transports: ws://h/x and http://h/x are one endpoint.
        if (kept.stream, as_http(kept.endpoint)) != (stream, as_http(endpoint)):
            return self._set_aside(path, stream, f"it belongs to {kept.stream} at {kept.endpoint}")
        return kept

    def stage(self, all_kept: Iterable[Kept]) -> Staged:
        """Write files beside those in force; call it in a thread. Raises OSError, and then leaves nothing behind."""
        files: list[tuple[Path, Path]] = []
        try:
            for kept in all_kept:
                final = self._path(kept.stream)
                staged = _next(final)
                files.append((staged, final))
                body = _encoder.encode(kept)
                staged.write_bytes(_head(body) + b"\n" + body)
        except OSError:
            Staged(tuple(files)).discard()
            raise
        return Staged(tuple(files))

    def _path(self, stream: str) -> Path:
        """Capitals are marked by a hash: where a file system does not tell them apart, `A` and `a` are two streams."""
        name = stream if stream == stream.lower() else f"{stream}{MARK}{digest(stream)}"
        return self.directory / f"{name}.cursor"

    def _move_former(self, stream: str, path: Path) -> None:
        """Give the file of an earlier version, whose name had no hash, the name that it has now."""
        former = self.directory / f"{stream}.cursor"
        if former == path or path.exists():
            return
        try:
            # The name stands at the beginning; on a file system without capitals the file may be another stream's.
            with former.open("rb") as file:
                if f'{{"stream":"{stream}",'.encode() in file.read(_HEAD_BYTES):
                    former.rename(path)
        except FileNotFoundError:
            return
        except OSError as error:
            _log.warning("state.unreadable", stream=stream, file=str(former), error=error)

    @staticmethod
    def _set_aside(path: Path, stream: str, why: str) -> None:
        aside = path.with_name(path.name + ".aside")
        try:
            path.replace(aside)
        except OSError as error:
            _log.warning("state.unreadable", stream=stream, file=str(path), reason=why, error=error)
        else:
            _log.warning("state.set_aside", stream=stream, file=str(path), reason=why, moved_to=str(aside))


def _head(body: bytes) -> bytes:
    return b"%s %d %s" % (_MAGIC, _VERSION, hashlib.blake2b(body, digest_size=16).hexdigest().encode())
