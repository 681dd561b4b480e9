"""Frames to pieces, of which each is one message: what the format of a mapping says. Pure.

Source: RFC 7464 (JSON text sequences); Engine.IO protocol 4 and Socket.IO protocol 5 (packet encoding).
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from iris_exporter.decoding.dialect import Binary, Frame, NamedEvent
from iris_exporter.mapping.spec import Format

MESSAGE = "message"
"""The name of a server-sent event without one, and of what came by another way."""

SEPARATORS = {Format.NDJSON: b"\n", Format.JSON_SEQ: b"\x1e"}
"""What stands between two messages, or in front of each."""

_ENGINE = ("open", "close", "ping", "pong", "", "upgrade", "noop")
_SOCKET = ("connect", "disconnect", "event", "ack", "connect_error", "binary_event", "binary_ack")
_PACKET = re.compile(rb"(?:([0-356])|4([0-6])(?:\d+-)?(?:/[^,]*,)?\d*)(.*)", re.DOTALL)
_WITH_DATA = frozenset({"open", *_SOCKET})


class Piece(NamedTuple):
    """One message: the text of the frame, the JSON in it, and the name and id of an event stream."""

    text: bytes
    json: bytes
    event: str = MESSAGE
    id: str = ""


def has_attachment(frames: Sequence[Frame], frame_format: Format) -> bool:
    """Whether one of them is a binary packet of Engine.IO: bytes of the application, without the digits of a packet."""
    return frame_format is Format.ENGINE_IO and any(isinstance(frame, Binary) for frame in frames)


def pieces_of(frame: Frame, frame_format: Format) -> Iterator[Piece]:
    """The pieces of a frame; none for an attachment. What a binary frame holds is read as text."""
    if isinstance(frame, Binary):
        if has_attachment([frame], frame_format):
            return
        frame = frame.data
    name, event_id = MESSAGE, ""
    if isinstance(frame, NamedEvent):
        name, event_id, frame = frame.name, frame.id, frame.data
    if frame_format is Format.ENGINE_IO:
        yield packet_of(frame)
    elif frame_format is Format.JSON:
        yield Piece(frame, frame, name, event_id)
    else:
        for line in frame.split(SEPARATORS[frame_format]):
            if stripped := line.strip(b"\r\n"):
                yield Piece(stripped, stripped, name, event_id)


def packet_of(frame: bytes) -> Piece:
    """A packet of Engine.IO: its name stands for that of an event, and what is behind its digits is the message."""
    match = _PACKET.match(frame)
    if match is None:
        return Piece(frame, frame)
    engine, socket, rest = match.groups()
    name = _ENGINE[int(engine)] if engine is not None else _SOCKET[int(socket)]
    return Piece(frame, rest if rest and name in _WITH_DATA else b"null", name)


def head_of_packet(frame: bytes) -> bytes:
    """What stands before the content of a packet; nothing where the frame is none."""
    match = _PACKET.match(frame)
    return b"" if match is None else frame[: match.start(3)]
