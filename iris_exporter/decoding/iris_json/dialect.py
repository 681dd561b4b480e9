"""The dialect of IRIS: JSON envelopes in text frames, JSON documents, and the cursor protocol.

Theory. Nearly every message is an `event`, so there is a fast path for events whose fields have the JSON types they
should have (`fast_path`): one typed decode, no dictionary, no conversion that is not needed. Whatever deviates (a
number for an id, a missing type, NUL in a text) raises or is noticed there and takes the general path: plain JSON
values, then `decoder` and the tables of `objects`. Both paths give the same result for the same bytes.

What fails as a whole is a `DecodeError`; what fails in part is noted in `problems`, which the caller takes after each
message or now and then. All reasons are in `problems.REASONS`, all corners of JSON in `json_text`.

Source: docs/protocol.md and the IRIS wire, sections 2 and 3.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

import msgspec
from typing_extensions import override

from iris_exporter.core.limits import DEFAULT_LIMITS, Limits
from iris_exporter.decoding.dialect import Binary, Dialect, Frame, NamedEvent, Outgoing
from iris_exporter.decoding.fields import MessageFields
from iris_exporter.decoding.iris_json import outgoing
from iris_exporter.decoding.iris_json.decoder import message_from
from iris_exporter.decoding.iris_json.documents import overview_of
from iris_exporter.decoding.iris_json.fast_path import WireEnvelope, batch_of, message_of, wire_decoder
from iris_exporter.decoding.json_text import MAX_METADATA_DEPTH, parse
from iris_exporter.decoding.messages import EventBatch, Message, Overview, Page, Ping, Pong
from iris_exporter.decoding.problems import Problems
from iris_exporter.errors import DecodeError
from iris_exporter.settings import StreamSettings

MAX_BATCH = 256
"""Messages in one batch: enough to make its fixed costs small, and few enough to stay in a processor's cache."""

MAX_LISTED = 10_000
"""Messages in one frame, where a source sends a list of them: more than fit into one with events in them."""

_CONTROL_BYTES = 256  # what a ping takes with its timestamp, and much more
_TYPE = b'"type"'  # every message has one
# TypeError: the frame is not text.
_NOT_ORDINARY = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError)


class IrisJson(Dialect):
    """IRIS's JSON. Not for use by two threads at a time."""

    accept = "application/json"
    heartbeat: Outgoing | None = outgoing.PING
    answer: Outgoing | None = outgoing.PONG
    event_names = frozenset({"ping", "pong", "heartbeat", "keepalive", "keep-alive", "keep_alive"})

    snapshot_addresses = staticmethod(outgoing.snapshot_addresses)
    page_address = staticmethod(outgoing.page_address)

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.problems = Problems(limits)
        self._wire = wire_decoder()

    # What is sent and asked

    @override
    def configure(self, settings: StreamSettings) -> None:
        """Plain JSON is the same for all."""

    @override
    def reset(self, subprotocol: str = "") -> None:
        """No message depends on one before it."""

    @override
    def on_open(self, position: str) -> Sequence[Outgoing]:
        return (outgoing.resume(position),) if position else ()

    # Documents

    @override
    def reads(self, media_type: str) -> bool:
        return media_type in ("application/json", "text/json") or media_type.endswith("+json")

    @override
    def decode_document(self, body: bytes) -> Overview:
        """A document of any known shape."""
        return overview_of(parse(body), self.problems)

    @override
    def decode_page(self, body: bytes, headers: Mapping[str, str]) -> Page | None:
        cursor, missed = headers.get("Iris-Cursor"), headers.get("Iris-Missed", "")
        if cursor is None:
            return None
        return Page(
            overview=msgspec.structs.replace(self.decode_document(body or b"[]"), cursor=None),
            cursor=cursor,
            missed=int(missed) if missed.isascii() and missed.isdigit() and len(missed) <= 18 else 0,
            more=headers.get("Iris-More", "").lower() == "true",
        )

    # For a diagnosis

    @override
    def fields(self, frame: Frame) -> Iterator[MessageFields]:
        from iris_exporter.decoding.iris_json.fields import message_fields  # for a diagnosis alone

        text = frame.data if isinstance(frame, NamedEvent) else frame
        if not isinstance(text, bytes):
            return
        with suppress(DecodeError):
            yield from message_fields(self._envelope_in(parse(text)))

    def _envelope_in(self, message: Any) -> Any:
        """The envelope that a parsed message carries."""
        return message

    @override
    def document_fields(self, body: bytes) -> MessageFields | None:
        from iris_exporter.decoding.iris_json.fields import document_fields  # for a diagnosis alone

        try:
            return document_fields(parse(body))
        except DecodeError:
            return None

    # The stream

    @override
    def peek(self, frames: Sequence[Frame]) -> Iterator[Ping | Pong]:
        small = [frame for frame in frames if len(frame) <= _CONTROL_BYTES]
        for found in IrisJson(self.problems.limits).decode(small):
            if isinstance(found, Ping | Pong):
                yield found

    @override
    def decode(self, frames: Sequence[Frame]) -> Iterator[EventBatch | Message | DecodeError]:
        """A JSON array is the envelopes in it, and a binary frame is an error."""
        for start in range(0, len(frames), MAX_BATCH):
            yield from self._decode_some(frames[start : start + MAX_BATCH])

    def _decode_some(self, frames: Sequence[Frame]) -> Iterator[EventBatch | Message | DecodeError]:
        limits = self.problems.limits
        small = max(map(len, frames)) <= limits.max_event_bytes
        wire = self._wire if small and limits.max_json_depth >= MAX_METADATA_DEPTH else self._ordinary
        left = iter(frames)
        start = 0
        while start < len(frames):
            wires: list[WireEnvelope] = []
            with suppress(*_NOT_ORDINARY):
                wires.extend(map(wire, left))  # what was decoded before an error is in the list
            end = start + len(wires)
            if wires:
                yield from self._in_one(wires, frames[start:end])
            if end < len(frames):
                yield from self._general(frames[end])
            start = end + 1

    def _ordinary(self, frame: Frame) -> WireEnvelope:
        """Decode a well-formed event that cannot be over a limit; what can is left to the general path.

        Raises:
            msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError: It is none, or has to be checked.
        """
        limits = self.problems.limits
        if not isinstance(frame, bytes) or len(frame) > limits.max_event_bytes:
            raise msgspec.DecodeError
        if limits.max_json_depth < MAX_METADATA_DEPTH:
            # The envelope and its data are two objects around the one that the limit is about.
            nested = frame.count(b"{") + frame.count(b"[")
            if nested > limits.max_json_depth + 2:
                raise msgspec.DecodeError
        return self._wire(frame)

    def _in_one(
        self, wires: list[WireEnvelope], frames: Sequence[Frame]
    ) -> Iterator[EventBatch | Message | DecodeError]:
        texts = cast("Sequence[bytes]", frames)  # nothing else has been decoded
        batch = batch_of(wires, texts)
        if batch is not None:
            yield batch
            return
        for wire, text in zip(wires, texts, strict=True):
            message = message_of(wire, text)
            if message is None:
                yield from self._general(text)
            else:
                yield message

    def _general(self, frame: Frame) -> Iterator[Message | DecodeError]:
        """The messages of one frame by the general path: an envelope, or a list of them."""
        if isinstance(frame, Binary):
            yield DecodeError("binary", "$", "")
            return
        if isinstance(frame, NamedEvent):
            if _TYPE not in frame.data:
                return  # a keepalive
            frame = frame.data
        try:
            found = parse(frame)
        except DecodeError as error:
            yield error
            return
        envelopes = found[:MAX_LISTED] if isinstance(found, list) else (found,)
        for envelope in envelopes:
            yield from self._messages(envelope)
        if isinstance(found, list) and len(found) > MAX_LISTED:
            yield DecodeError("too_long", f"$[{MAX_LISTED}]", "more messages in a frame than are read")

    def _messages(self, envelope: Any) -> Iterator[Message | DecodeError]:
        """The messages that a parsed envelope stands for."""
        try:
            yield message_from(envelope, self.problems)
        except DecodeError as error:
            yield error
