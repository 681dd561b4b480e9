"""The two encodings of what subscribers are sent: an envelope around data that is encoded once. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from typing_extensions import override

from iris_exporter.backend.history import Entry
from iris_exporter.backend.objects import members
from iris_exporter.backend.state import Payload
from iris_exporter.backend.wire import encode as encode_json
from iris_exporter.core.subscriptions import SUBPROTOCOLS
from iris_exporter.wire import protobuf
from iris_exporter.wire.iris.v1 import iris_pb2 as pb
from iris_exporter.wire.objects import milliseconds

MAX_CACHED_EVENTS = 2000
"""Events that are kept encoded for other subscribers; they are needed at about the same time."""


@dataclass(frozen=True, slots=True)
class Head:
    """The envelope around the data; `offset` is the position after the message, None without events."""

    timestamp: str
    epoch: str
    offset: int | None = None
    seq: int | None = None
    replay: bool = False
    urgent: bool = False

    @property
    def position(self) -> str | None:
        """The position as text."""
        return None if self.offset is None else f"{self.epoch}-{self.offset}"


class Encoding(Protocol):
    """How messages become bytes. `binary` says what kind of WebSocket message carries them."""

    name: str
    binary: bool

    def event_data(self, entry: Entry, names: Sequence[str] | None) -> bytes:
        """The data of an event; only the fields in `names`, None for all."""

    def state_data(self, payload: Payload) -> bytes:
        """The data of an update or delta."""

    def wrap(self, kind: str, data: bytes, head: Head) -> bytes:
        """A message around its data."""

    def batch(self, messages: Sequence[bytes]) -> bytes:
        """Several messages in one."""

    def message(self, message: Mapping[str, Any]) -> bytes:
        """A message that is sent to one client alone."""

    def decode(self, data: bytes) -> dict[str, Any]:
        """A message of a client. Raises ValueError."""


class JsonEncoding(Encoding):
    """JSON text."""

    name = "json"
    binary = False

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(dict[str, Any]).decode

    @override
    def event_data(self, entry: Entry, names: Sequence[str] | None) -> bytes:
        return bytes(entry.json) if names is None else encode_json(members(entry.event, names))

    @override
    def state_data(self, payload: Payload) -> bytes:
        return encode_json(payload.data)

    @override
    def wrap(self, kind: str, data: bytes, head: Head) -> bytes:
        parts = [f'{{"type":"{kind}"']
        if head.offset is not None and not head.urgent:
            parts.append(f'"id":"{head.position}"')
        if head.replay:
            parts.append('"replay":true')
        if head.urgent:
            parts.append('"priority":"high"')
        if head.seq is not None:
            parts.append(f'"seq":{head.seq}')
        parts.append(f'"timestamp":"{head.timestamp}","data":')
        return b"%b%b}" % (",".join(parts).encode(), data)

    @override
    def batch(self, messages: Sequence[bytes]) -> bytes:
        return b'{"type":"batch","messages":[%b]}' % b",".join(messages)

    @override
    def message(self, message: Mapping[str, Any]) -> bytes:
        return encode_json(message)

    @override
    def decode(self, data: bytes) -> dict[str, Any]:
        try:
            return self._decode(data)
        except RecursionError as error:
            raise ValueError("too deep") from error


_BATCH = pb.Envelope.BATCH_FIELD_NUMBER
_MESSAGES = pb.Batch.MESSAGES_FIELD_NUMBER


def _field(number: int, content: bytes) -> bytes:
    """A field (of a number below 16) that is a message: key, length, content. Source: protobuf's encoding guide."""
    head = bytearray([number << 3 | 2])
    size = len(content)
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + content


class ProtobufEncoding(Encoding):
    """`iris.v1.Envelope`: the head and the data are encoded apart, since protobuf merges what is concatenated."""

    name = "protobuf"
    binary = True

    @override
    def event_data(self, entry: Entry, names: Sequence[str] | None) -> bytes:
        return protobuf.encode({"type": "event", "data": members(entry.event, names)})

    @override
    def state_data(self, payload: Payload) -> bytes:
        return protobuf.encode({"type": payload.kind, "data": payload.data})

    @override
    def wrap(self, kind: str, data: bytes, head: Head) -> bytes:
        envelope = pb.Envelope(
            timestamp=milliseconds(head.timestamp),
            position=None if head.urgent else head.offset,
            seq=head.seq,
            replay=head.replay or None,
            priority=pb.PRIORITY_HIGH if head.urgent else None,
        )
        return envelope.SerializeToString() + data

    @override
    def batch(self, messages: Sequence[bytes]) -> bytes:
        content = b"".join([_field(_MESSAGES, message) for message in messages])
        return _field(_BATCH, content)

    @override
    def message(self, message: Mapping[str, Any]) -> bytes:
        return protobuf.encode(message)

    @override
    def decode(self, data: bytes) -> dict[str, Any]:
        return protobuf.decode(data)


JSON = JsonEncoding()
PROTOBUF = ProtobufEncoding()
ENCODINGS: dict[str, Encoding] = {each.name: each for each in (JSON, PROTOBUF)}


def choose_subprotocol(headers: Iterable[str]) -> str | None:
    """The first subprotocol that a client offers and we speak; None: plain JSON without one. RFC 6455, 11.3.4."""
    offered = (name.strip() for header in headers for name in header.split(","))
    return next((name for name in offered if name in SUBPROTOCOLS), None)


class EventCache:
    """Events that were encoded for one subscriber and are about to be needed for others, too."""

    def __init__(self) -> None:
        self._cached: dict[tuple[str, str, int, str, tuple[str, ...] | None], bytes] = {}

    def data(self, encoding: Encoding, epoch: str, entry: Entry, names: tuple[str, ...] | None) -> bytes:
        """The data of an event in that encoding."""
        # With the id: after a restart, what a connection that was cut still has to send is of another epoch than now.
        key = (encoding.name, epoch, entry.offset, entry.event.id, names)
        found = self._cached.get(key)
        if found is None:
            if len(self._cached) >= MAX_CACHED_EVENTS:
                self._cached.clear()
            found = self._cached[key] = encoding.event_data(entry, names)
        return found
