"""Binary messages bring what the same messages bring in JSON, and hostile ones an error."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.core.limits import Limits
from iris_exporter.decoding.dialect import Binary, Frame
from iris_exporter.decoding.iris_protobuf.decoder import MAX_MESSAGES
from iris_exporter.decoding.iris_stream.dialect import IrisStream
from iris_exporter.decoding.messages import EventBatch, EventMessage, Message, Ping, Pong, Unknown, Update
from iris_exporter.decoding.problems import REASONS
from iris_exporter.errors import DecodeError
from iris_exporter.wire.iris.v1 import iris_pb2 as pb
from iris_exporter.wire.protobuf import encode
from tests.decoding.strategies import check_printable
from tests.examples import examples
from tests.settings import stream_settings
from tests.wire.strategies import EPOCH, EVENTS, MESSAGES, POSITIONS, TIMES

NOW = "2025-01-02T03:04:05.678Z"
GRANTED = {"delta": True, "priority": True, "position": f"{EPOCH}-5"}
SUBSCRIBED = {"type": "subscribed", "timestamp": NOW, "data": GRANTED}
EVENT: dict[str, Any] = {
    "id": "evt-1", "timestamp": "2025-01-02T03:04:05.671Z", "project": "p", "event_type": "evaluation",
    "severity": "error", "message": "m", "metadata": {"a": [1, {"b": "c"}]},
}  # fmt: skip


def dialect(subprotocol: str, limits: Limits | None = None) -> IrisStream:
    found = IrisStream(limits or Limits())
    found.configure(stream_settings(url="ws://iris.test/api/stream"))
    found.reset(subprotocol)
    return found


def binary(limits: Limits | None = None) -> IrisStream:
    found = dialect("iris.v1+protobuf", limits)
    decode(found, Binary(encode(SUBSCRIBED)))
    return found


def decode(source: IrisStream, *frames: Frame) -> list[Message | DecodeError]:
    found: list[Message | DecodeError] = []
    for each in source.decode(frames):
        found += each.messages() if isinstance(each, EventBatch) else [each]
    return found


def comparable(found: list[Message | DecodeError]) -> list[object]:
    """Metadata is a JSON object: how it is written does not count. Nor do the words of an error."""
    values: list[object] = []
    for each in found:
        if isinstance(each, EventMessage):
            values.append(msgspec.structs.replace(each, event=_parsed(each.event)))
        elif isinstance(each, Update) and each.overview.events is not None:
            events = tuple(map(_parsed, each.overview.events))
            overview = msgspec.structs.replace(each.overview, events=events)
            values.append(msgspec.structs.replace(each, overview=overview))
        else:
            values.append(each.reason if isinstance(each, DecodeError) else each)
    return values


def _parsed(event: Any) -> Any:
    return msgspec.structs.replace(event, metadata=json.dumps(json.loads(event.metadata), sort_keys=True))


def event(**more: Any) -> dict[str, Any]:
    return {"type": "event", "timestamp": NOW, "id": f"{EPOCH}-6", "data": {**EVENT, **more}}


@given(st.lists(MESSAGES, max_size=4))
@examples(2)
def test_json_and_protobuf_bring_the_same_messages(messages: list[dict[str, Any]]) -> None:
    plain, compact = dialect("iris.v1+json"), dialect("iris.v1+protobuf")
    everything = [SUBSCRIBED, *messages]
    one = decode(plain, *[json.dumps(message).encode() for message in everything])
    other = decode(compact, *[Binary(encode(message)) for message in everything])
    assert comparable(one) == comparable(other)
    assert plain.noted() == compact.noted()
    assert plain.extensions == compact.extensions
    assert {problem.reason for problem in plain.problems.take()} == {p.reason for p in compact.problems.take()}
    for message in other:
        if not isinstance(message, DecodeError | Unknown):
            check_printable(message)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"type": st.just("event"), "timestamp": TIMES, "id": POSITIONS, "data": EVENTS},
            optional={"replay": st.just(True)},
        ),
        min_size=1,
        max_size=5,
    )
)
@examples(2)
def test_events_together_bring_what_they_bring_alone(messages: list[dict[str, Any]]) -> None:
    frames = [Binary(encode(message)) for message in messages]
    alone = [found for frame in frames for found in decode(binary(), frame)]
    assert decode(binary(), *frames) == alone


def test_ordinary_events_are_a_batch() -> None:
    frames = [Binary(encode(event(id=f"evt-{number}", project="é"))) for number in range(300)]
    found = list(binary().decode([*frames, Binary(encode({"type": "ping"})), frames[0]]))
    assert [len(each) if isinstance(each, EventBatch) else type(each) for each in found] == [256, 44, Ping, 1]
    first = found[0]
    assert isinstance(first, EventBatch)
    assert first.positions[0] == f"{EPOCH}-6"
    assert json.loads(first.events()[0].metadata) == EVENT["metadata"]


def test_a_trace_context_is_found() -> None:
    context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    frames = [Binary(encode(event())), Binary(encode(event(metadata={"traceparent": context})))]
    (batch,) = binary().decode(frames)
    assert isinstance(batch, EventBatch)
    assert [each.traceparent for each in batch.traced()] == [context]


def test_without_an_epoch_there_are_no_positions() -> None:
    (found,) = decode(dialect("iris.v1+protobuf"), Binary(encode(event())))
    assert isinstance(found, EventMessage)
    assert found.position is None


def test_limits_hold() -> None:
    limits = Limits(max_event_bytes=256, max_json_depth=2)
    source = binary(limits)
    frames = [event(message="m" * 300), event(metadata={"a": "x" * 300}), event(metadata={"a": {"b": {"c": 1}}})]
    found = decode(source, *[Binary(encode(each)) for each in frames])
    assert [each.event.message for each in found if isinstance(each, EventMessage)] == ["m" * 256, "m", "m"]
    assert [each.event.metadata for each in found if isinstance(each, EventMessage)][1:] == [b"{}", b"{}"]
    assert sorted(problem.reason for problem in source.problems.take()) == ["too_deep", "too_long", "too_long"]


@pytest.mark.parametrize(
    "metadata", ["", "{", "[]", "7", '{"a":1}\n{"b":2}', '{"a":[{}', "{}]},{}", '{"a":"\\u0000"}', "{}\0"]
)
def test_metadata_that_is_no_object_harms_nothing(metadata: str) -> None:
    """Alone, and between others whose texts would complete it."""
    frames = []
    for text in ('{"b":[{}', metadata, '{}]},{"c":2}', "{}"):
        envelope = pb.Envelope(timestamp=1_700_000_000_000, position=6)
        envelope.event.CopyFrom(
            pb.Event(
                id="e",
                timestamp=1_700_000_000_000,
                project="p",
                event_type="t",
                severity="SEVERITY_INFO",
                metadata=text,
            )
        )
        frames.append(Binary(envelope.SerializeToString()))
    found = decode(binary(), *frames)
    assert len(found) == 4
    for each in found:
        if isinstance(each, DecodeError):
            assert each.reason == "not_protobuf"
        else:
            check_printable(each)


def test_what_is_inside_a_batch_is_read_in_order_and_bounded() -> None:
    source = binary()
    messages = [
        event(id="a"),
        {"type": "ping"},
        {"type": "update", "timestamp": NOW, "seq": 1, "data": {}},
        event(id="b"),
    ]
    found = decode(source, Binary(encode({"type": "batch", "messages": messages})))
    assert [type(each) for each in found] == [EventMessage, Ping, Update, EventMessage]
    assert source.noted().batches == [4]
    nested = pb.Envelope(batch=pb.Batch(messages=[pb.Envelope(batch=pb.Batch()), pb.Envelope(pong=pb.Pong())]))
    error, pong = decode(source, Binary(nested.SerializeToString()))
    assert isinstance(error, DecodeError)
    assert pong == Pong()
    many = pb.Envelope(batch=pb.Batch(messages=[pb.Envelope(pong=pb.Pong())] * (MAX_MESSAGES + 1)))
    *pongs, last = decode(source, Binary(many.SerializeToString()))
    assert pongs == [Pong()] * MAX_MESSAGES
    assert isinstance(last, DecodeError)
    assert last.reason == "too_long"


def test_text_on_a_binary_connection_is_json_and_binary_on_a_text_connection_is_an_error() -> None:
    text = json.dumps({"type": "ping"}).encode()
    found = decode(binary(), text, Binary(encode({"type": "pong"})), text)
    assert found == [Ping(), Pong(), Ping()]
    (error,) = decode(dialect("iris.v1+json"), Binary(encode({"type": "ping"})))
    assert isinstance(error, DecodeError)
    assert error.reason == "binary"


def test_signs_of_life_and_urgent_frames_are_found_before_they_are_taken() -> None:
    source = binary()
    urgent = Binary(encode({"type": "event", "timestamp": NOW, "priority": "high", "data": EVENT}))
    frames = [
        Binary(encode({"type": "ping", "timestamp": NOW})),
        Binary(b"\xff"),
        urgent,
        Binary(encode(event())),
        b"{}",
    ]
    assert list(source.peek(frames)) == [Ping()]
    assert list(source.urgent(frames)) == [urgent]


def test_signs_of_life_and_urgent_frames_in_text_are_found_on_a_binary_connection_too() -> None:
    source = binary()
    urgent = json.dumps({"type": "event", "timestamp": NOW, "priority": "high", "data": EVENT}).encode()
    frames = [b'{"type":"ping"}', Binary(encode({"type": "pong"})), urgent]
    assert set(source.peek(frames)) == {Ping(), Pong()}
    assert list(source.urgent(frames)) == [urgent]


@pytest.mark.parametrize(
    "data", [b"\xff", b"\x0a", encode(event())[:-1], b"\x3a\x02\xff\xff", b"\x3a\x04\x0a\x02\xff\xfe"]
)
def test_what_is_truncated_or_no_message_is_an_error_and_the_next_is_read(data: bytes) -> None:
    error, ping = decode(binary(), Binary(data), Binary(encode({"type": "ping"})))
    assert isinstance(error, DecodeError)
    assert error.reason == "not_protobuf"
    assert ping == Ping()


@given(
    st.binary(max_size=60)
    | MESSAGES.map(encode).flatmap(lambda data: st.integers(0, len(data)).map(lambda n: data[:n]))
)
@examples(2)
def test_whatever_arrives_is_a_message_or_a_documented_error(data: bytes) -> None:
    for found in decode(binary(), Binary(data)):
        if isinstance(found, DecodeError):
            assert found.reason in REASONS
        elif not isinstance(found, Unknown):
            check_printable(found)
