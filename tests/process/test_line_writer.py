"""Lines to a pipe: in order, bounded, counted, and never waited for."""

import os
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from iris_exporter.process import line_writer
from iris_exporter.process.line_writer import LineWriter


def notice(count: int) -> str:
    return f"missing {count}\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue


def drain(reading: int, writer: LineWriter) -> str:
    """Read until the writer has nothing left."""
    found: list[bytes] = []

    def read() -> None:
        while piece := os.read(reading, 65536):
            found.append(piece)

    thread = threading.Thread(target=read)
    thread.start()
    assert writer.flush(20)
    writer.write("end\n")
    assert writer.flush(20)
    os.close(writer.descriptor)  # which ends the reader
    thread.join(20)
    return b"".join(found).decode()


def test_lines_come_in_order(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1], notice)
    assert all(writer.write(f"{n}\n") for n in range(1000))
    assert drain(pipe[0], writer).splitlines() == [*map(str, range(1000)), "end"]
    assert writer.dropped == 0


def test_a_reader_that_does_not_read_costs_lines_that_are_counted_where_they_are_missing(
    pipe: tuple[int, int],
) -> None:
    writer = LineWriter(pipe[1], notice, most_bytes=100_000)
    admitted = [writer.write(f"{n:06d} {'x' * 92}\n") for n in range(10_000)]
    assert not writer.flush(0.01), "nobody waits for it for longer than asked"
    dropped = admitted.count(False)
    assert writer.dropped == dropped > 9_000 - (2 * 65536 + 100_000) // 100
    lines = drain(pipe[0], writer).splitlines()
    notices = [line for line in lines if line.startswith("missing")]
    assert sum(int(line.split()[1]) for line in notices) == dropped
    written = [int(line[:6]) for line in lines if line[0] in "01234"]
    assert written == [n for n, taken in enumerate(admitted) if taken]
    first_lost = admitted.index(False)
    assert lines.index(notices[0]) == first_lost, "the notice stands where the lines are missing"


def test_a_reader_that_has_gone_is_counted(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1], notice)
    os.close(pipe[0])
    for n in range(3):
        writer.write(f"{n}\n")
        assert writer.flush(20)
    assert writer.dropped == 3


def test_a_pipe_that_somebody_has_made_non_blocking_loses_nothing(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    writer = LineWriter(pipe[1], notice)
    assert all(writer.write("y" * 999 + "\n") for _ in range(500))
    assert drain(pipe[0], writer).count("y" * 999 + "\n") == 500


def test_what_cannot_be_encoded_is_spelled(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1], notice)
    writer.write("\ud800\n")
    assert drain(pipe[0], writer).splitlines()[0] == "\\ud800"


def test_after_a_mistake_the_thread_goes_on_and_counts_what_it_lost(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)
    pauses: list[float] = []
    monkeypatch.setattr(line_writer, "time", SimpleNamespace(sleep=pauses.append))
    mistakes = [LookupError("mistake"), LookupError("mistake")]
    write = line_writer._write

    def fail(descriptor: int, data: bytes) -> bool:
        if mistakes:
            raise mistakes.pop()
        return write(descriptor, data)

    monkeypatch.setattr(line_writer, "_write", fail)
    writer = LineWriter(pipe[1], notice)
    for n in range(3):
        writer.write(f"{n}\n")
        assert writer.flush(20)
    assert (writer.failures, writer.dropped, pauses) == (2, 2, [1.0, 2.0])
    assert {report.exc_type for report in reported} == {LookupError}
    assert drain(pipe[0], writer).splitlines() == ["missing 2", "2", "end"]
