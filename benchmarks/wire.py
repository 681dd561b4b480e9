"""The messages that are sent, and how WebSocket and SSE frame them: what the reference backend sends, made faster."""

import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

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


def sse_event(payload: bytes) -> bytes:
    """One event as the reference backend writes it: the cursor as id, the type as name, one line of data."""
    number = payload[payload.index(b"bench-") : payload.index(b'"', payload.index(b"bench-"))]
    return b"id: %b\nevent: event\ndata: %b\n\n" % (number, payload)


def sse_chunk(payload: bytes) -> bytes:
    """The same as an HTTP chunk of its own: what a server sends that writes event by event."""
    event = sse_event(payload)
    return b"%x\r\n%b\r\n" % (len(event), event)


FRAMINGS: dict[str, Callable[[bytes], bytes]] = {
    "websocket": websocket_frame,
    "sse": sse_event,
    "sse-chunked": sse_chunk,
}
"""Ways to send an envelope, by the last part of the path."""


def blocks(events: Events, framing: str, first: int, count: int) -> Iterator[bytes]:
    """Frames `first` to `first + count` joined to writes of about `BLOCK_BYTES`."""
    frame = FRAMINGS[framing]
    pending: list[bytes] = []
    size = 0
    for number in range(first, first + count):
        piece = frame(events.envelope(number))
        pending.append(piece)
        size += len(piece)
        if size >= BLOCK_BYTES:
            yield b"".join(pending)
            pending, size = [], 0
    if pending:
        yield b"".join(pending)
