"""JSON and protobuf are two encodings of the same messages."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iris_exporter.wire.iris.v1 import iris_pb2 as pb
from iris_exporter.wire.objects import WireError, iso_time, milliseconds
from iris_exporter.wire.protobuf import decode, encode
from tests.examples import examples
from tests.wire.strategies import EPOCH, MESSAGES, TIMES

EVENT: dict[str, Any] = {
    "type": "event",
    "id": f"{EPOCH}-17",
    "timestamp": "2025-01-02T03:04:05.678Z",
    "data": {
        "id": "evt-17",
        "timestamp": "2025-01-02T03:04:05.671Z",
        "project": "checkout-assistant",
        "event_type": "evaluation",
        "severity": "error",
        "message": "a run failed",
        "metadata": {"run": 7},
    },
}


def without_nulls(message: dict[str, Any]) -> dict[str, Any]:
    """The message as a receiver means it: a null of an object is no member, unless it is in a change."""
    kind, data = message["type"], message.get("data")
    if kind == "batch":
        return message | {"messages": [without_nulls(each) for each in message["messages"]]}
    if kind == "event":
        return message | {"data": _bare(data)}
    if kind == "update":
        return message | {
            "data": {
                name: _bare(part) if isinstance(part, dict) else [_bare(each) for each in part]
                for name, part in (data or {}).items()
            }
        }
    return message


def _bare(members: Any) -> dict[str, Any]:
    return {name: member for name, member in members.items() if member is not None}


def same(one: object, other: object) -> bool:
    """Equal as JSON: true is not 1, and 1 is not 1.0 written otherwise."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True) or (
        one == other and _kinds(one) == _kinds(other)
    )


def _kinds(value: object) -> object:
    """Booleans in place, since Python takes them for numbers."""
    if isinstance(value, dict):
        return {name: _kinds(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_kinds(member) for member in value]
    return value if isinstance(value, bool) else None


@examples(4)
@given(MESSAGES)
@example(EVENT)
@example({"type": "delta", "data": {"projects": [{"id": "a", "last_run": None, "owner": None, "status": "odd"}]}})
@example({"type": "update", "data": {"projects": [], "events": [], "anomalies": []}})
@example({"type": "update", "data": {}})
def test_a_message_is_the_same_in_both_encodings(message: dict[str, Any]) -> None:
    as_json = msgspec.json.decode(msgspec.json.encode(message))
    assert same(decode(encode(message), EPOCH), without_nulls(as_json))


@given(MESSAGES)
def test_encodings_of_messages_can_be_joined(message: dict[str, Any]) -> None:
    """Protobuf merges what is concatenated, so a backend may encode an envelope apart from what it holds."""
    head = encode({"type": "ping", "seq": 7})[:-2]
    joined = pb.Envelope.FromString(head + encode(message))
    assert joined.seq == message.get("seq", 7)


@given(TIMES)
def test_a_time_is_exact(text: str) -> None:
    since_epoch = milliseconds(text)
    assert since_epoch is not None
    assert iso_time(since_epoch) == text


@pytest.mark.parametrize(
    "text",
    [
        *("2025-01-02T03:04:05Z", "2025-01-02T03:04:05.678+00:00", "2025-01-02 03:04:05.678Z"),
        *("2025-13-02T03:04:05.678Z", "2025-01-02T03:04:05,678Z", "٢٠٢٥-01-02T03:04:05.678Z"),
        *("x" * 23 + "Z", "", None, 7),
    ],
)
def test_what_is_not_in_the_form_of_the_protocol_is_no_time(text: object) -> None:
    assert milliseconds(text) is None


@examples(4)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    try:
        message = decode(data, EPOCH)
    except WireError:
        return
    assert isinstance(message["type"], str)
    msgspec.json.encode(message)


@given(MESSAGES, st.data())
def test_a_truncated_message_is_a_message_or_an_error(message: dict[str, Any], data: st.DataObject) -> None:
    whole = encode(message)
    cut = data.draw(st.integers(0, len(whole)))
    try:
        assert isinstance(decode(whole[:cut], EPOCH)["type"], str)
    except WireError:
        assert cut < len(whole)


def _hostile() -> dict[str, bytes]:
    deep = b""
    for _ in range(500):
        inner = b"\x0a" + _varint(len(deep)) + deep
        deep = b"\x4a" + _varint(len(inner)) + inner
    return {
        "not protobuf": b"\xff" * 40,
        "text": b'{"type":"ping"}',
        "a length beyond the end": b"\x3a\xff\xff\xff\xff\x0f",
        "invalid UTF-8": pb.Envelope(event=pb.Event(id="ab")).SerializeToString().replace(b"ab", b"\xff\xfe"),
        "batches in batches": encode_nested(2),
        "batches without end": deep,
        "a time that no calendar has": pb.Envelope(timestamp=2**62, ping=pb.Ping()).SerializeToString(),
        "an event before the year 1": pb.Envelope(event=pb.Event(timestamp=-(2**62))).SerializeToString(),
        "metadata that is no JSON": pb.Envelope(event=pb.Event(metadata="{")).SerializeToString(),
        "metadata that is no object": pb.Envelope(event=pb.Event(metadata="[1]")).SerializeToString(),
        "metadata that is too deep": pb.Envelope(event=pb.Event(metadata='{"a":' + "[" * 5000)).SerializeToString(),
        "other that is no object": pb.Envelope(event=pb.Event(other="7")).SerializeToString(),
    }


def encode_nested(depth: int) -> bytes:
    found = pb.Envelope(ping=pb.Ping())
    for _ in range(depth):
        found = pb.Envelope(batch=pb.Batch(messages=[found]))
    return found.SerializeToString()


def _varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


@pytest.mark.parametrize("name", _hostile())
def test_hostile_bytes_are_an_error(name: str) -> None:
    with pytest.raises(WireError):
        decode(_hostile()[name], EPOCH)


def test_what_a_later_version_adds_is_ignored() -> None:
    assert decode(b"", EPOCH) == {"type": "unknown"}
    later = pb.Envelope(timestamp=0).SerializeToString() + b"\xfa\x01\x02\x08\x01"  # a message as field 31
    assert decode(later, EPOCH) == {"type": "unknown", "timestamp": "1970-01-01T00:00:00.000Z"}
    severe = b"\x3a\x05\x0a\x01a\x28\x63"  # an event with the severity 99
    assert decode(severe, EPOCH) == {"type": "event", "data": {"id": "a"}}


def test_positions_need_the_epoch() -> None:
    assert "id" not in decode(encode(EVENT))
    assert decode(encode(EVENT), "other")["id"] == "other-17"


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": "telemetry", "data": {}},
        {"type": "event"},
        {"type": "ping", "timestamp": "today"},
        {"type": "ping", "id": "no position"},
        {"type": "ping", "id": 7},
        {"type": "ping", "seq": -1},
        {"type": "ping", "seq": "one"},
        {"type": "error", "error": {"code": 7}},
        {"type": "subscribe", "data": {"batch": {"maxMessages": 2**64}}},
        {"type": "update", "data": {"projects": 7}},
        {"type": "batch", "messages": [{"type": "batch", "messages": []}]},
    ],
)
def test_what_the_schema_does_not_have_cannot_be_encoded(message: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        encode(message)


def test_a_double_may_be_anything_that_json_cannot_say() -> None:
    for value in (math.nan, math.inf):
        data = pb.Envelope(update=pb.Update(metrics=pb.Metrics(avg_success_rate=value))).SerializeToString()
        assert str(decode(data, EPOCH)["data"]["metrics"]["avg_success_rate"]) == str(value)
