"""Tests of a mapping: a sample, and the exposition that has to come of it.

Series are compared without the label `stream`, in any order, and values to six digits. What an expectation has no line
of at all is not compared: the buckets of a histogram, if none of them is there.
"""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from iris_exporter.errors import UsageError
from iris_exporter.mapping.spec import Format, Mapping, TestCase
from iris_exporter.trial.running import Result, Trial
from iris_exporter.trial.samples import MAX_BYTES, Recording, read_sample

_SERIES = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s.*)?")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


def read_arrivals(mapping: Mapping, content: bytes) -> Recording:
    """Return the messages of a sample as the mapping wants them."""
    names_events = Trial(mapping, "sample", "auto").names_events
    return read_sample(content, names_events=names_events, lines=mapping.format is Format.ENGINE_IO)


def try_arrivals(mapping: Mapping, recording: Recording, at: float, stream: str = "sample") -> Result:
    """Return what comes of messages that all arrive at `at`, in Unix seconds."""
    trial = Trial(mapping, stream, protocol_of(mapping, recording.form))
    for arrival in recording.arrivals:
        trial.take(arrival, at)
    return trial.result(at)


def protocol_of(mapping: Mapping, form: str) -> str:
    """How a source would be read, of which there is a sample of this form."""
    if mapping.protocol != "auto":
        return mapping.protocol
    return {"sse": "sse", "json": "poll", "json-seq": "ndjson"}.get(form, "websocket")


def run_test(mapping: Mapping, test: TestCase, now: float) -> list[str]:
    """Return the differences between what comes of a sample and what is expected, as lines; none if it is the same.

    Raises:
        UsageError: A file cannot be read.
    """
    recording = read_arrivals(mapping, read_file(Path(test.sample)))
    result = try_arrivals(mapping, recording, now if test.at is None else test.at)
    expected = series(read_file(Path(test.expect)).decode("utf-8", "replace").splitlines())
    buckets = any(map(_is_bucket, expected))
    found = [line for line in series(result.exposition.splitlines()) if buckets or not _is_bucket(line)]
    return list(difflib.unified_diff(expected, found, test.expect, test.sample, lineterm="", n=1))


def series(lines: Iterable[str]) -> list[str]:
    """The series of an exposition in a form in which they can be compared, sorted."""
    found = []
    for line in lines:
        match = None if line.startswith("#") else _SERIES.fullmatch(line.strip())
        if match is None:
            if line.strip() and not line.startswith("#"):
                found.append(line.strip())  # which then is a difference
            continue
        labels = sorted(f'{name}="{value}"' for name, value in _LABEL.findall(match[2] or "") if name != "stream")
        found.append(f"{match[1]}{{{','.join(labels)}}} {_number(match[3])}")
    return sorted(found)


def _number(text: str) -> str:
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def _is_bucket(line: str) -> bool:
    return line.partition("{")[0].endswith("_bucket")


def read_file(path: Path) -> bytes:
    """Return what is in a file.

    Raises:
        UsageError: It cannot be read, or is too large for a sample.
    """
    try:
        with path.open("rb") as file:
            return bounded(file, repr(str(path)))
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from error


def bounded(file: BinaryIO, what: str) -> bytes:
    """Return what is in an open file; raises `UsageError` where it is too large for a sample."""
    content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UsageError(f"{what} is larger than {MAX_BYTES >> 20} MiB, which is too much for a sample")
    return content
