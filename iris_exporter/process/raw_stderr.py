"""What a C library writes to standard error becomes events of the log.

gRPC's core logs with Abseil, which writes raw lines to descriptor 2, whatever form our log has and whether anybody
reads there. `GRPC_VERBOSITY` does not hold all of them back, and what is held back is missed when somebody looks for a
fault in TLS. So descriptor 2 becomes a pipe of our own that a thread reads, and the log goes on to write where it
wrote before. The price: what the C library says last before a crash is lost with the pipe. The interpreter's own report
of a crash is not: `faulthandler` writes it to the real standard error. Hence this is done for gRPC only, when it is
about to be used.
"""

import faulthandler
import logging
import os
import sys
import threading

from iris_exporter import logs
from iris_exporter.core.log_limits import raw_line

_STDERR = 2
_READ_BYTES = 64 * 1024
_MOST_LINE_BYTES = 8 * 1024
"""A longer line is cut in two."""

_lock = threading.Lock()
_taken: list[threading.Thread] = []


def capture() -> None:
    """Read descriptor 2 from now on, once and for all; nothing happens when the log does not go to it."""
    with _lock:
        if _taken:
            return
        real = os.dup(_STDERR)
        if not logs.move_stderr(real):
            os.close(real)
            return
        sys.stderr.flush()
        sys.stderr = open(real, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115 (for as long as the process lives)
        faulthandler.enable(real)
        read, write = os.pipe()
        # Whoever writes there must never wait, not even when nobody reads any more at the end of the process.
        os.set_blocking(write, False)
        os.dup2(write, _STDERR)
        os.close(write)
        thread = threading.Thread(target=_read, args=(read,), name="stderr", daemon=True)
        thread.start()
        _taken.append(thread)


def _read(descriptor: int) -> None:
    pending = b""
    while piece := os.read(descriptor, _READ_BYTES):
        *lines, pending = (pending + piece).split(b"\n")
        if len(pending) > _MOST_LINE_BYTES:
            lines, pending = [*lines, pending], b""
        for line in lines:
            log_line(line.decode("utf-8", "replace"))


def log_line(text: str) -> None:
    """Log one line as the message of the library that has written it."""
    if text.strip():
        name, level, message = raw_line(text.rstrip())
        # A disabled level would not be counted; the handler decides.
        logger = logging.getLogger(name)
        logger.handle(logger.makeRecord(name, level, "", 0, message, (), None))
