"""Standard input, output and error: always there, never waited for, and read where a C library writes to them.

A program that is started with one of them closed (`>&-`) finds None in its place; and the next file or socket that it
opens gets the free descriptor, so that a library that writes to standard error writes into a connection. Hence
`open_missing`.

gRPC's core logs with Abseil, which writes raw lines to descriptor 2, whatever form our log has and whether anybody
reads there. `GRPC_VERBOSITY` does not hold all of them back, and those that it does are missed when somebody looks for
a fault in TLS. Hence `capture_stderr`: descriptor 2 becomes a pipe that a thread reads, and the log goes on to write
where it wrote before. The price: the last words of the C library before a crash are lost with the pipe. The
interpreter's own report of a crash is not: `faulthandler` writes it to the real standard error. So this is done for
gRPC only, when it is about to be used.
"""

import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import TextIO

from iris_exporter.core.log_limits import raw_line
from iris_exporter.process.line_writer import LineWriter

FLUSH_SECONDS = 0.5
"""Time limit for the lines that wait when the program ends; with all that ends before, a stop stays below 5 s."""

_STDOUT, _STDERR = 1, 2
_READ_BYTES = 64 * 1024
_MOST_LINE_BYTES = 8 * 1024
"""A longer line of a C library is cut in two."""


class StandardStream:
    """Standard output or error of the process, written by a thread of its own.

    Where Python has something else in its place, as in a test, text is written to that at once. `notice(count)` makes
    the line that says that `count` lines are missing.
    """

    def __init__(self, descriptor: int, current: Callable[[], TextIO | None]) -> None:
        self.notice: Callable[[int], str] = lambda _: ""
        self.writer: LineWriter | None = None
        """Made by `own_writer`, and then for good: its queue has an order."""
        self._descriptor = descriptor
        self._current = current

    def own_writer(self) -> LineWriter | None:
        """The writer of the process's own stream; None where something else is in its place."""
        stream = self._current()
        try:
            descriptor = None if stream is None else stream.fileno()
        except (OSError, ValueError):  # kept in memory, or closed
            return None
        if self.writer is None and descriptor == self._descriptor and stream is not None:
            stream.flush()
            self.writer = LineWriter(self._descriptor, lambda count: self.notice(count))  # noqa: PLW0108 (it may be replaced)
        return self.writer if self.writer is not None and self.writer.descriptor == descriptor else None

    def write(self, text: str) -> None:
        """Write without waiting for whoever reads there; a text that finds no room is dropped and counted."""
        writer, stream = self.own_writer(), self._current()
        if writer is not None:
            writer.write(text)
        elif stream is not None:
            stream.write(text)
            stream.flush()

    @property
    def dropped(self) -> int:
        """Lines that could not be written."""
        return 0 if self.writer is None else self.writer.dropped

    @property
    def failures(self) -> int:
        """Exceptions that the thread has met."""
        return 0 if self.writer is None else self.writer.failures

    def flush(self) -> None:
        """Wait until everything is written, but no longer than `FLUSH_SECONDS`."""
        if self.writer is not None:
            self.writer.flush(FLUSH_SECONDS)


stdout = StandardStream(_STDOUT, lambda: sys.stdout)
stderr = StandardStream(_STDERR, lambda: sys.stderr)


def open_missing() -> None:
    """Open the null device in place of each standard stream that is closed. Call it before anything is opened."""
    for descriptor in (0, _STDOUT, _STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free descriptor is taken, and those below are open by now.
            os.open(os.devnull, os.O_RDONLY if descriptor == 0 else os.O_WRONLY)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 (for as long as the process lives)
    if sys.stdout is None:
        sys.stdout = open(_STDOUT, "w", closefd=False)  # noqa: SIM115 (as above)
    if sys.stderr is None:
        sys.stderr = open(_STDERR, "w", buffering=1, closefd=False)  # noqa: SIM115 (as above)


def discard_output() -> None:
    """Send what is still in the buffer of standard output nowhere, or the interpreter would complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


_capture_lock = threading.Lock()


def capture_stderr() -> None:
    """Read descriptor 2 from now on, once and for all; nothing happens when the log does not go to it."""
    with _capture_lock:
        if stderr.writer is None or stderr.writer.descriptor != _STDERR:
            return
        real = os.dup(_STDERR)
        stderr.writer.descriptor = real
        sys.stderr.flush()
        sys.stderr = open(real, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115 (as above)
        faulthandler.enable(real)
        read, write = os.pipe()
        # Whoever writes there must never wait, not even when nobody reads any more at the end of the process.
        os.set_blocking(write, False)
        os.dup2(write, _STDERR)
        os.close(write)
        threading.Thread(target=_read_stderr, args=(read,), name="stderr", daemon=True).start()


def _read_stderr(descriptor: int) -> None:
    pending = b""
    while piece := os.read(descriptor, _READ_BYTES):
        *lines, pending = (pending + piece).split(b"\n")
        if len(pending) > _MOST_LINE_BYTES:
            lines, pending = [*lines, pending], b""
        for line in lines:
            _log_line(line.decode("utf-8", "replace"))


def _log_line(text: str) -> None:
    """Log one line as the message of the library that has written it."""
    if text.strip():
        name, level, message = raw_line(text.rstrip())
        # A disabled level would not be counted; the handler decides.
        logger = logging.getLogger(name)
        logger.handle(logger.makeRecord(name, level, "", 0, message, (), None))
