"""The messages that are sent, and how WebSocket and SSE frame them: what the reference backend sends, made faster."""

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from iris_exporter.wire.protobuf import encode

EVENT_BYTES = 300
"""Size of one JSON envelope (docs/benchmarks.md)."""
BLOCK_BYTES = 256 * 1024
"""One write: as much as asyncio reads at a time."""

_PROJECTS = tuple(f"project-{number:02}" for number in range(20))
_TYPES = ("evaluation", "rotation", "consensus", "reflexion", "retrain")
_SEVERITIES = ("info", "info", "info", "warning", "error")
_EVENTS_PER_SECOND = 1000  # by their own timestamps, so that neighbours share the second and not the moment
_BACKDATED = timedelta(minutes=30)  # a million events later it is still not the future
_UNDER_WAY = timedelta(milliseconds=3)
_FILLING = "expert rotation finished after the evaluation of the nightly batch; all checks passed. "


class Events:
    """A numbered source of distinct events, each `EVENT_BYTES` long."""

    def __init__(self, started: datetime) -> None:
        self._first = started.astimezone(UTC) - _BACKDATED

    def envelope(self, number: int) -> bytes:
        """Event `number`, with the cursor that the reference backend gives and a moment of its own."""
        happened = self._first + timedelta(microseconds=number * (1_000_000 // _EVENTS_PER_SECOND))
        head = (
            f'{{"type":"event","id":"bench-{number}","timestamp":"{_iso(happened + _UNDER_WAY)}",'
            f'"data":{{"id":"evt-{number:08}","timestamp":"{_iso(happened)}","project":"{_PROJECTS[number % 20]}",'
            f'"event_type":"{_TYPES[number % 5]}","severity":"{_SEVERITIES[number // 20 % 5]}","message":"'
        )
        tail = f'","metadata":{{"run":{number % 1000}}}}}}}'
        room = EVENT_BYTES - len(head) - len(tail)
        return f"{head}{_FILLING[:room]:.<{room}}{tail}".encode()


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def websocket_frame(payload: bytes) -> bytes:
    """One unmasked text frame (RFC 6455, section 5.2) of 126 to 65535 bytes."""
    return struct.pack("!BBH", 0x81, 126, len(payload)) + payload


def _binary_frame(payload: bytes) -> bytes:
    """One unmasked binary frame of fewer than 65,536 bytes."""
    length = bytes([len(payload)]) if len(payload) < 126 else struct.pack("!BH", 126, len(payload))
    return b"\x82" + length + payload


def protobuf_frame(payload: bytes) -> bytes:
    """The same message in the binary encoding."""
    return _binary_frame(encode(json.loads(payload)))


def protobuf_batch(payloads: Sequence[bytes]) -> bytes:
    """Several of them as one batch."""
    return _binary_frame(encode({"type": "batch", "messages": list(map(json.loads, payloads))}))


SUBSCRIBED = protobuf_frame(b'{"type":"subscribed","data":{"position":"bench-0","encoding":"protobuf"}}')
"""What comes before all else in the binary encoding: the epoch of the positions."""


def sse_event(payload: bytes) -> bytes:
    """One event as the reference backend writes it: the cursor as id, the type as name, one line of data."""
    number = payload[payload.index(b"bench-") : payload.index(b'"', payload.index(b"bench-"))]
    return b"id: %b\nevent: event\ndata: %b\n\n" % (number, payload)


def sse_chunk(payload: bytes) -> bytes:
    """The same as an HTTP chunk of its own: what a server sends that writes event by event."""
    event = sse_event(payload)
    return b"%x\r\n%b\r\n" % (len(event), event)


BATCHED = {"websocket-protobuf-batches": 100}
"""Framings that put so many messages into each."""

FRAMINGS: dict[str, Callable[[bytes], bytes]] = {
    "websocket": websocket_frame,
    "websocket-protobuf": protobuf_frame,
    "websocket-protobuf-batches": protobuf_frame,
    "sse": sse_event,
    "sse-chunked": sse_chunk,
}
"""Ways to send an envelope, by the last part of the path."""


def blocks(events: Events, framing: str, first: int, count: int) -> Iterator[bytes]:
    """Frames `first` to `first + count` joined to writes of about `BLOCK_BYTES`."""
    pending: list[bytes] = []
    size = 0
    for piece in _frames(events, framing, first, first + count):
        pending.append(piece)
        size += len(piece)
        if size >= BLOCK_BYTES:
            yield b"".join(pending)
            pending, size = [], 0
    if pending:
        yield b"".join(pending)


def _frames(events: Events, framing: str, first: int, end: int) -> Iterator[bytes]:
    size = BATCHED.get(framing, 0)
    if not size:
        yield from map(FRAMINGS[framing], map(events.envelope, range(first, end)))
        return
    for start in range(first, end, size):
        yield protobuf_batch(list(map(events.envelope, range(start, min(start + size, end)))))
