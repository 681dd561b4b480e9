"""The decoder's promise: any bytes are a message or one documented error, and both ways through it agree."""

import json
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from iris_exporter.decoding.iris_json.decoder import message_from
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.decoding.json_text import parse
from iris_exporter.decoding.messages import EventMessage, Message
from iris_exporter.errors import DecodeError
from tests.decoding.envelopes import decode_one
from tests.decoding.strategies import ENVELOPES, KNOWN, PLAIN_EVENTS
from tests.fuzz.targets import envelope

GOOD = (
    b'{"type":"event","timestamp":"2026-11-23T09:15:00.250Z","id":"k3v-12","replay":true,"data":{"id":"evt-1","timestamp":'
    b'"2026-11-23T09:15:00Z","project":"triage-bot","event_type":"evaluation","severity":"info","message":"18 of 20",'
    b'"metadata":{"run":7}}}'
)


@given(st.binary())
@example(b'{"type":"event","data":{"metadata":{"a":"\\ud800"},"id":"a","project":"b","event_type":"c"}}')
def test_any_bytes_are_a_message_or_a_documented_error(data: bytes) -> None:
    envelope(data)


@given(ENVELOPES)
def test_any_json_is_a_message_or_a_documented_error(value: Any) -> None:
    envelope(json.dumps(value).encode())


@given(st.data())
def test_any_damage_to_a_good_message_is_a_message_or_a_documented_error(data: st.DataObject) -> None:
    message = bytearray(GOOD)
    for _ in range(data.draw(st.integers(min_value=1, max_value=4))):
        begin = data.draw(st.integers(min_value=0, max_value=len(message)))
        end = data.draw(st.integers(min_value=begin, max_value=min(len(message), begin + 12)))
        message[begin:end] = data.draw(st.binary(max_size=6) | st.sampled_from([b"\\u0000", b"NaN", b"{", b"[", b'"']))
    envelope(bytes(message))


def compared(message: Message) -> Message:
    """With metadata in one spelling, since the fast path keeps it as sent."""
    if not isinstance(message, EventMessage):
        return message
    metadata = json.dumps(json.loads(message.event.metadata), sort_keys=True).encode()
    return msgspec.structs.replace(message, event=msgspec.structs.replace(message.event, metadata=metadata))


@given(
    st.fixed_dictionaries(
        {"type": st.just("event"), "data": PLAIN_EVENTS | KNOWN},
        optional={
            "timestamp": st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
            "id": st.text(max_size=9),
            "replay": st.booleans(),
        },
    ),
    st.booleans(),
)
def test_both_paths_through_the_decoder_give_the_same(value: Any, ensure_ascii: bool) -> None:
    """The fast path for events is only faster: what it makes is what the general path makes."""
    data = json.dumps(value, ensure_ascii=ensure_ascii).encode(errors="replace")
    decoder = IrisJson()
    results = []
    for path in (decode_one, lambda dialect, text: message_from(parse(text), dialect.problems)):
        try:
            message: Any = compared(path(decoder, data))
        except DecodeError as error:
            message = str(error)
        results.append((message, decoder.problems.take()))
    assert results[0] == results[1]
