"""Standard input, output and error that are always there.

A program that is started with one of them closed (`>&-`) finds None in its place; and the next file or socket that it
opens gets the free descriptor, so that a library that writes to standard error writes into a connection.
"""

import os
import sys

from iris_exporter.process.line_writer import LineWriter, descriptor_of

FLUSH_SECONDS = 0.5
"""Time limit for what waits to be written to standard output when the program ends."""

_STDOUT = 1
_writers: list[LineWriter] = []


def open_missing() -> None:
    """Open the null device in place of each standard stream that is closed. Call it before anything is opened."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free descriptor is taken, and those below are open by now.
            os.open(os.devnull, os.O_RDONLY if descriptor == 0 else os.O_WRONLY)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 (for as long as the process lives)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 (as above)
    if sys.stderr is None:
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115 (as above)


def write(text: str) -> None:
    """Write to standard output without waiting for whoever reads there; what finds no room is dropped."""
    writer = output()
    if writer is not None:
        writer.write(text)
    else:
        sys.stdout.write(text)
        sys.stdout.flush()


def output() -> LineWriter | None:
    """The one writer of the process's own standard output; None where something else is in its place, as in a test."""
    if descriptor_of(sys.stdout) != _STDOUT:
        return None
    if not _writers:
        sys.stdout.flush()
        _writers.append(LineWriter(_STDOUT, lambda _: ""))
    return _writers[0]


def flush() -> None:
    """Wait until what was written by `write` has gone out, but no longer than `FLUSH_SECONDS`."""
    for writer in _writers:
        writer.flush(FLUSH_SECONDS)


def discard_output() -> None:
    """Send what is still in the buffer of standard output nowhere, or the interpreter would complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
