"""The shell for pipes and files: one line for each change."""

import sys
from collections.abc import Sequence

from iris_exporter.clock import Clock
from iris_exporter.errors import IrisExporterError
from iris_exporter.process.standard_streams import discard_output
from iris_exporter.watch.session import Session
from iris_exporter.watch.source import Source
from iris_exporter.watch.view.board import Board
from iris_exporter.watch.view.changes import Change

MAX_STREAMS = 1000
"""Streams whose figures and projects are compared; of more than that only states and events are written."""


async def write_lines(url: str | None, source: Source, clock: Clock, *, as_json: bool) -> None:
    """Write until it is cancelled, to standard output.

    A reader that is slow holds up the program, and with it the sidecar, which drops what waits for too long and says
    how much: nothing piles up here. Raises BrokenPipeError when the reader has gone.
    """

    def write(found: Sequence[Change]) -> None:
        if found:
            at = clock.wall()
            lines = (change.as_json(at) if as_json else change.as_line(at) for change in found)
            _write("".join(f"{line}\n" for line in lines))

    await Session(Board(url, MAX_STREAMS, follows_all=True), source, clock, write).run()


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_output()
        raise IrisExporterError(f"cannot write to standard output: {error.strerror}") from error
