"""The dialect of IRIS: plain JSON, and where an address takes subscriptions all that they can bring.

Theory. An address whose path ends in `/api/stream` takes subscriptions: over a WebSocket the first message asks, over
server-sent events the query. The encoding is chosen in the handshake of the WebSocket. A decoder makes envelopes, as
plain values, of what is not an ordinary event, and `session` makes messages of those. At any other address nothing is
asked for, and this is `IrisJson` and nothing else.

Source: docs/protocol.md, section 6.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

import msgspec
from typing_extensions import override

from iris_exporter.core.limits import DEFAULT_LIMITS, Limits
from iris_exporter.core.subscriptions import CHANNELS, SUBPROTOCOLS
from iris_exporter.decoding.dialect import NOTHING_NOTED, Binary, Frame, Noted, Outgoing
from iris_exporter.decoding.fields import MessageFields
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.decoding.iris_stream.batches import unpacked
from iris_exporter.decoding.iris_stream.options import Asked, subscribe, with_options
from iris_exporter.decoding.iris_stream.session import Session
from iris_exporter.decoding.messages import EventBatch, Message, Overview, Page, Ping, Pong
from iris_exporter.errors import DecodeError
from iris_exporter.settings import StreamSettings

if TYPE_CHECKING:
    from iris_exporter.decoding.iris_protobuf.decoder import ProtobufDecoder

_PRIORITY = b'"priority"'
_HINT = "an IRIS without subscriptions has /api/stream/overview, /api/stream/events and /api/stream/telemetry instead"


class IrisStream(IrisJson):
    """IRIS, in JSON or protobuf. Until `configure` names an address that takes subscriptions, it is plain JSON."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(limits)
        self._session: Session | None = None
        self._protobuf: ProtobufDecoder | None = None

    @override
    def configure(self, settings: StreamSettings) -> None:
        asked = Asked.of(settings)
        self._session = None if asked is None else Session(asked, self.problems)
        self.subprotocols = () if asked is None else asked.subprotocols
        self.compresses = asked is not None and asked.compression
        self.missing_hint = "" if asked is None else _HINT
        self.encoding, self._protobuf = "json", None

    # What is sent and asked

    @override
    def stream_address(self, url: str) -> str:
        """Where it goes on is in the header `Last-Event-ID`, as on any event stream."""
        return url if self._session is None else with_options(url, self._session.options())

    @override
    def reset(self, subprotocol: str = "") -> None:
        session = self._session
        if session is None:
            return
        session.begin()
        self.encoding = SUBPROTOCOLS.get(subprotocol, "json")
        self._protobuf = _protobuf_decoder(session) if self.encoding == "protobuf" else None

    @override
    def on_open(self, position: str) -> Sequence[Outgoing]:
        """A client may write JSON in any encoding."""
        if self._session is None:
            return super().on_open(position)
        return (subscribe(self._session.options(), position),)

    @override
    def noted(self) -> Noted:
        return NOTHING_NOTED if self._session is None else self._session.noted()

    @property
    def extensions(self) -> frozenset[str] | None:  # type: ignore[override]  # it changes with the connection
        """What the source has granted on this connection."""
        return None if self._session is None else self._session.extensions

    # Documents

    @override
    def decode_document(self, body: bytes) -> Overview:
        """A document of any known shape, with the channels that are wanted alone."""
        overview = super().decode_document(body)
        return overview if self._session is None else _of_channels(overview, self._session.asked.channels)

    @override
    def decode_page(self, body: bytes, headers: Mapping[str, str]) -> Page | None:
        if self._session is not None and "events" not in self._session.asked.channels:
            return None
        return super().decode_page(body, headers)

    # The stream

    @override
    def decode(self, frames: Sequence[Frame]) -> Iterator[EventBatch | Message | DecodeError]:
        if self._session is None:
            return super().decode(frames)
        if self._protobuf is None:
            return super().decode(unpacked(frames, self._session))
        return self._decode_binary(frames, self._protobuf)

    def _decode_binary(
        self, frames: Sequence[Frame], protobuf: "ProtobufDecoder"
    ) -> Iterator[EventBatch | Message | DecodeError]:
        """Binary frames are protobuf; a text frame is JSON, wherever it comes."""
        for is_binary, group in groupby(frames, lambda frame: isinstance(frame, Binary)):
            if is_binary:
                messages = [frame.data for frame in group if isinstance(frame, Binary)]
                yield from protobuf.decode(messages, self.problems.limits)
            else:
                yield from super().decode(unpacked(list(group), self._session))

    @override
    def _messages(self, envelope: Any) -> Iterator[Message | DecodeError]:
        return super()._messages(envelope) if self._session is None else self._session.messages(envelope)

    @override
    def peek(self, frames: Sequence[Frame]) -> Iterator[Ping | Pong]:
        if self._session is None:
            return super().peek(frames)
        if self._protobuf is None:
            return super().peek(unpacked(frames))
        from iris_exporter.decoding.iris_protobuf.heads import control_of

        found = control_of([frame.data for frame in frames if isinstance(frame, Binary)])
        # A server whose library takes any subprotocol goes on with text.
        texts = [frame for frame in frames if not isinstance(frame, Binary)]
        return chain(found, super().peek(unpacked(texts))) if texts else found

    @override
    def fields(self, frame: Frame) -> Iterator[MessageFields]:
        if not isinstance(frame, Binary) or self._protobuf is None:
            return super().fields(frame)
        from iris_exporter.decoding.iris_protobuf.fields import envelope_fields

        return envelope_fields(frame.data)

    @override
    def urgent(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """Advance copies; those in a batch wait with the batch."""
        if self._session is None:
            return ()
        urgent: list[Frame] = [frame for frame in frames if isinstance(frame, bytes) and _is_urgent(frame)]
        if self._protobuf is None:
            return urgent
        from iris_exporter.decoding.iris_protobuf.heads import is_urgent

        return urgent + [frame for frame in frames if isinstance(frame, Binary) and is_urgent(frame.data)]


def _protobuf_decoder(session: Session) -> "ProtobufDecoder":
    from iris_exporter.decoding.iris_protobuf.decoder import ProtobufDecoder

    return ProtobufDecoder(session.messages, session.note_batch)


class _Head(msgspec.Struct, gc=False):
    priority: str | None = None
    id: str | None = None


_decode_head = msgspec.json.Decoder(_Head).decode


def _is_urgent(frame: bytes) -> bool:
    if _PRIORITY not in frame:
        return False
    try:
        head = _decode_head(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return head.priority == "high" and head.id is None


def _of_channels(overview: Overview, channels: Sequence[str]) -> Overview:
    """What belongs to these channels; without events there are no positions to go on from."""
    left_out: dict[str, None] = {name: None for name in CHANNELS if name not in channels}
    if "events" in left_out:
        left_out["cursor"] = None
    return msgspec.structs.replace(overview, **left_out) if left_out else overview
