"""Which process receives a stream, where several share a state directory: the one that has locked its name.

Theory. A stream's name stands for one byte of a file in the directory, and the process that locks that byte receives
the stream. The system that keeps the file releases a lock when its process ends, however it ends, so that nothing has
to be renewed, timed or cleaned up. A process that is merely slow, or stopped, keeps its locks: two processes at once
would count every event twice, and none for a while is made good from the cursor.

The locks are those of open files ("open file description locks"), as two objects of one process then exclude each other
as two processes do; where a system has only those of processes, these are used. Network file systems keep both kinds.
Source: fcntl(2), F_OFD_SETLK; POSIX advisory record locks.
"""

import errno
import fcntl
import hashlib
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from iris_exporter.errors import ConfigError, Problem
from iris_exporter.logs import get_logger

_FILE = "claims.lock"
_LOCKED = (errno.EAGAIN, errno.EACCES)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)

_log = get_logger("state")


class StreamLocks:
    """The locks of this process in one directory, which exists. Every method may wait for a file server.

    Raises:
        ConfigError: The file of the locks cannot be opened for writing.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / _FILE
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigError([Problem("start", "state.dir", str(path), f"a file to write to ({reason})")]) from error
        self._are_supported = True

    def acquire(self, streams: Iterable[str]) -> set[str]:
        """Lock streams, and return those that this process owns now; the others are another process's."""
        return {stream for stream in streams if self._lock(fcntl.F_WRLCK, stream)}

    def release(self, streams: Iterable[str]) -> None:
        """Let other processes have these streams."""
        for stream in streams:
            self._lock(fcntl.F_UNLCK, stream)

    def close(self) -> None:
        """Release everything."""
        with suppress(OSError):
            os.close(self._file)

    def _lock(self, operation: int, stream: str) -> bool:
        """Whether the system did it; on a file system without locks, always, after one warning."""
        try:
            if self._are_supported:
                _set_lock(self._file, operation, _byte_of(stream))
        except OSError as error:
            if error.errno in _LOCKED:
                return False
            if error.errno not in _NO_LOCKS:
                _log.warning("state.claim_failed", stream=stream, error=error)
                return False
            self._are_supported = False
            detail = "two processes that share this directory may receive the same stream"
            _log.warning("state.no_locks", error=error, detail=detail)
        return True


def _byte_of(stream: str) -> int:
    """The byte of a stream: 62 bits, so that two names share one about never; file offsets are positive 64-bit."""
    digest = hashlib.blake2b(stream.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2


def _set_lock(file: int, operation: int, offset: int) -> None:
    """Lock or unlock one byte. Raises OSError: EAGAIN or EACCES when another process has it."""
    if hasattr(fcntl, "F_OFD_SETLK"):
        # struct flock: type, whence, start, length, process (0 for this kind).
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi", operation, os.SEEK_SET, offset, 1, 0))
    else:
        command = fcntl.LOCK_UN if operation == fcntl.F_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB
        fcntl.lockf(file, command, 1, offset, os.SEEK_SET)
