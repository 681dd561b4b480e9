"""Whole recordings and documents against what was decoded from them once and read by a person.

After a wanted change, `python -m tests.decoding.test_recordings` from the root writes the expected
files again; read the difference.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.errors import DecodeError
from tests.decoding.envelopes import decode_one

STREAMS = Path(__file__).resolve().parent.parent / "data/streams"
RECORDINGS = sorted([*STREAMS.glob("*.ndjson"), *STREAMS.glob("rest-*.json")])


def expected_file(recording: Path) -> Path:
    """Where the result of a recording lies."""
    return recording.parent / "expected" / f"{recording.stem}.json"


def decoded(recording: Path) -> list[dict[str, Any]]:
    """What each line, or the one document, becomes, and what was left out of it."""
    decoder = IrisJson()
    results = []
    body = recording.read_bytes()
    for data in body.splitlines() if recording.suffix == ".ndjson" else [body]:
        is_stream = recording.suffix == ".ndjson"
        result: dict[str, Any] = {}
        try:
            message: object = decode_one(decoder, data) if is_stream else decoder.decode_document(data)
            result[type(message).__name__] = said(message)
        except DecodeError as error:
            result["error"] = str(error)
        problems = [f"{problem.reason} at {problem.path}" for problem in decoder.problems.take()]
        if problems:
            result["problems"] = problems
        results.append(result)
    return results


def said(value: Any) -> Any:
    """The fields that differ from their defaults, so that an expected file stays readable."""
    if isinstance(value, msgspec.Struct):
        return {
            field.name: said(getattr(value, field.name))
            for field in msgspec.structs.fields(value)
            if field.required or getattr(value, field.name) != field.default
        }
    if isinstance(value, tuple):
        return [said(element) for element in value]
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_a_recording_decodes_to_what_was_expected(recording: Path) -> None:
    assert decoded(recording) == msgspec.json.decode(expected_file(recording).read_bytes())


def test_the_recordings_are_found() -> None:
    assert len(RECORDINGS) >= 6


if __name__ == "__main__":
    for path in RECORDINGS:
        expected_file(path).parent.mkdir(exist_ok=True)
        expected_file(path).write_bytes(msgspec.json.format(msgspec.json.encode(decoded(path)), indent=2) + b"\n")
