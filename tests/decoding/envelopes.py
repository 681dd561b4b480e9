"""Messages as a source sends them, and what becomes of them."""

import json
from typing import Any

import pytest

from iris_exporter.decoding.dialect import Dialect
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.decoding.messages import (
    Event,
    EventBatch,
    EventMessage,
    Message,
)
from iris_exporter.errors import DecodeError

MOMENT = 1795425300.0
EVENT = {
    "id": "evt-1",
    "timestamp": "2026-11-23T09:15:00Z",
    "project": "triage-bot",
    "event_type": "evaluation",
    "severity": "info",
    "message": "18 of 20",
    "metadata": {"run": 7},
}


def encoded(value: Any) -> bytes:
    """As most backends write it, without spaces and without escapes for what UTF-8 can say."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def envelope(data: Any = EVENT, kind: str = "event", **extra: Any) -> bytes:
    return encoded({"type": kind, "timestamp": "2026-11-23T09:15:00.250Z", **extra, "data": data})


def event_with(**fields: Any) -> bytes:
    return envelope({**EVENT, **fields})


def decode_one(dialect: Dialect, data: bytes) -> Message:
    """The message of a frame that has one. Raises DecodeError when it is lost."""
    (found,) = dialect.decode([data])
    if isinstance(found, DecodeError):
        raise found
    return found.messages()[0] if isinstance(found, EventBatch) else found


def decode(data: bytes) -> Message:
    """Decode one message in which nothing may be left out."""
    decoder = IrisJson()
    message = decode_one(decoder, data)
    assert decoder.problems.take() == []
    return message


def decode_event(data: bytes) -> Event:
    message = decode(data)
    assert isinstance(message, EventMessage)
    return message.event


def decode_in_part(data: bytes) -> tuple[Message, list[tuple[str, str]]]:
    """Decode one message, and what was left out of it."""
    decoder = IrisJson()
    message = decode_one(decoder, data)
    return message, [(problem.reason, problem.path) for problem in decoder.problems.take()]


def refusal(data: bytes) -> tuple[str, str]:
    with pytest.raises(DecodeError) as caught:
        decode_one(IrisJson(), data)
    return caught.value.reason, caught.value.path
