"""The fast path: well-formed events, one by one or as a batch.

Nearly every message is an `event`, so there is one typed decode for those whose fields have the JSON types they should
have, without a dictionary. Where many arrive at once, checking and converting each costs more than decoding it; a batch
is therefore checked in a few steps over all of it, and is columns for the model. `batch_of` and `message_of` return
None for whatever deviates in any way, and then the general path is taken. Both paths give the same result.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from iris_exporter.decoding.json_text import MAX_METADATA_DEPTH, is_clean, nested_deeper
from iris_exporter.decoding.messages import Event, EventBatch, EventMessage
from iris_exporter.decoding.trace_context import MARK, traceparent_of
from iris_exporter.decoding.values import MAX_ID_CHARS, MAX_LABEL_CHARS

_EPOCH = datetime.fromtimestamp(0, UTC)
_ABSENT = msgspec.Raw(b"{}")
_BRACE = ord("{")

# Limits in the types are checked by the parser, at no cost; what breaks one goes the general way.
_Label = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LABEL_CHARS)]
_Severity = Literal["info", "warning", "error", "critical", "low", "medium", "high", "debug"]  # as they are stored


# Fields stand in the order of docs/protocol.md, because the decoder looks for the next one first.
class WireEvent(msgspec.Struct, gc=False, kw_only=True):
    """An event as it should be on the wire."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)]
    timestamp: datetime | None = None
    project: _Label
    event_type: _Label
    severity: _Severity = "info"
    message: str = ""
    metadata: msgspec.Raw = _ABSENT
    details: msgspec.Raw = _ABSENT


class WireEnvelope(msgspec.Struct, gc=False, kw_only=True, tag_field="type", tag="event"):
    """The envelope of an event."""

    id: Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARS)] | None = None
    timestamp: datetime | None = None
    data: WireEvent
    replay: bool = False
    traceparent: str | None = None
    priority: None = None  # a message that has one goes the general way

    def message(self) -> EventMessage:
        """The message as an object."""
        return _message(self, _metadata(self.data))


def wire_decoder() -> Callable[[object], WireEnvelope]:
    """Decodes one message; raises msgspec.DecodeError, UnicodeDecodeError, RecursionError, or TypeError for no text."""
    decode: Callable[..., WireEnvelope] = msgspec.json.Decoder(WireEnvelope).decode
    return decode


def batch_of(envelopes: Sequence[WireEnvelope], messages: Sequence[bytes]) -> EventBatch | None:
    """The batch of what was decoded from `messages`; None when each of them has to be checked by itself."""
    if not is_clean(b"\n".join(messages)):
        return None
    events = [envelope.data for envelope in envelopes]
    metadata = [event.metadata if event.metadata is not _ABSENT else event.details for event in events]
    joined = b"\0".join(metadata)  # what was parsed contains no NUL
    if not joined.startswith(b"{") or joined.count(b"\0{") != len(events) - 1:
        return None
    # Two searches answer for most: each has one brace, and one that is too deep has so many more.
    if joined.count(b"{") + joined.count(b"[") >= len(events) + MAX_METADATA_DEPTH:
        longest = max(map(len, metadata))
        if longest > 2 * MAX_METADATA_DEPTH and any(map(nested_deeper, map(bytes, metadata))):
            return None
    sent = [envelope.timestamp for envelope in envelopes]
    try:
        sent.sort()
        happened = min([event.timestamp for event in events])  # type: ignore[type-var]
        # Raises where one is absent or has no offset, since those cannot be compared.
        if min(sent[0], happened, _EPOCH) is not _EPOCH:  # type: ignore[type-var]
            return None
    except TypeError:
        return None
    return EventBatch(
        deferred=envelopes,
        ids=[event.id for event in events],
        positions=[envelope.id for envelope in envelopes],
        sent=sent,  # type: ignore[arg-type]
        projects=[event.project for event in events],
        event_types=[event.event_type for event in events],
        severities=[event.severity for event in events],
        has_replays=True in [envelope.replay for envelope in envelopes],
        metadata=joined,
    )


def message_of(envelope: WireEnvelope, data: bytes) -> EventMessage | None:
    """The message of a well-formed event that was decoded from `data`; None when it needs the general way."""
    if not is_clean(data):
        return None
    metadata = _metadata(envelope.data)
    if not metadata or metadata[0] != _BRACE or nested_deeper(metadata):
        return None
    message = _message(envelope, metadata)
    times = (message.timestamp, message.event.timestamp)
    return None if any(time is not None and time < 0 for time in times) else message


def _message(envelope: WireEnvelope, metadata: bytes) -> EventMessage:
    """The message of an envelope; each of the two times stands in for the other where one is absent."""
    event = envelope.data
    own, sent = event.timestamp, envelope.timestamp
    own_seconds = None if own is None else _seconds(own)
    sent_seconds = own_seconds if sent is None or sent == own else _seconds(sent)
    return EventMessage(
        Event(
            event.id,
            sent_seconds if own_seconds is None else own_seconds,
            event.project,
            event.event_type,
            event.severity,
            event.message,
            metadata,
            traceparent_of(metadata, envelope.traceparent) if envelope.traceparent or MARK in metadata else "",
        ),
        "event",
        sent_seconds,
        envelope.replay,
        envelope.id or None,
    )


def _metadata(event: WireEvent) -> bytes:
    """Copied, since a raw value holds on to the whole message."""
    return bytes(event.metadata if event.metadata is not _ABSENT else event.details)


def _seconds(time: datetime) -> float:
    """Unix seconds; no offset means UTC."""
    return time.timestamp() if time.tzinfo is not None else time.replace(tzinfo=UTC).timestamp()
