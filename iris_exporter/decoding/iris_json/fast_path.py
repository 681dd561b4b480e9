"""The quick path: events as they should be on the wire, one by one or as a run.

Nearly every message is an `event`, so there is one typed decode for those whose fields have the JSON types they should
have, without a dictionary. Where many arrive at once, checking and converting each costs more than decoding it; an
`EventRun` therefore checks a whole run in a few steps over all of it, holds what the model reads as columns, and makes
`Event` objects only of those that somebody looks at. Whatever deviates in any way is left to others: `run_of` and
`message_of` return None, and then the next more patient way is taken. All ways give the same result.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from iris_exporter.decoding.json_text import MAX_METADATA_DEPTH, nested_deeper
from iris_exporter.decoding.messages import Event, EventMessage
from iris_exporter.decoding.values import MAX_ID_CHARS, MAX_LABEL_CHARS

_EPOCH = datetime.fromtimestamp(0, UTC)
_ABSENT = msgspec.Raw(b"{}")
_BRACE = ord("{")

# Limits in the types are checked by the parser, at no cost; what breaks one goes the general way.
_Label = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LABEL_CHARS)]
_Severity = Literal["info", "warning", "error", "critical", "low", "medium", "high", "debug"]  # as they are stored


class WireEvent(msgspec.Struct, gc=False):
    """An event as it should be on the wire."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)]
    project: _Label
    event_type: _Label
    timestamp: datetime | None = None
    severity: _Severity = "info"
    message: str = ""
    metadata: msgspec.Raw = _ABSENT
    details: msgspec.Raw = _ABSENT


class WireEnvelope(msgspec.Struct, gc=False, tag_field="type", tag="event"):
    """The envelope of an event."""

    data: WireEvent
    timestamp: datetime | None = None
    id: Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARS)] | None = None
    replay: bool = False


def wire_decoder() -> Callable[[bytes], WireEnvelope]:
    """Decodes the bytes of one message; raises msgspec.DecodeError, UnicodeDecodeError or RecursionError."""
    return msgspec.json.Decoder(WireEnvelope).decode


class EventRun:
    """Well-formed events that arrived one after another, at least one; see `run_of`.

    `envelopes` are the messages, in order, `events` what they carry, `sent` when they were sent (Unix seconds).
    """

    __slots__ = ("envelopes", "events", "sent")

    def __init__(self, envelopes: Sequence[WireEnvelope], events: Sequence[WireEvent], sent: list[float]) -> None:
        self.envelopes = envelopes
        self.events = events
        self.sent = sent

    def __len__(self) -> int:
        """How many messages."""
        return len(self.envelopes)

    def has_replays(self) -> bool:
        """Whether any message is marked as a replay."""
        return True in [envelope.replay for envelope in self.envelopes]

    def positions(self) -> list[str | None]:
        """The positions of the messages."""
        return [envelope.id for envelope in self.envelopes]

    def ids(self) -> list[str]:
        """The ids of the events."""
        return [event.id for event in self.events]

    def keys(self) -> Counter[tuple[str, str, str]]:
        """How many events there are of each (project, event_type, severity), in the order of their first ones."""
        events = self.events
        return Counter(
            zip(
                [event.project for event in events],
                [event.event_type for event in events],
                [event.severity for event in events],
                strict=True,
            )
        )


def run_of(envelopes: Sequence[WireEnvelope], messages: Sequence[bytes]) -> EventRun | None:
    """The run of what was decoded from `messages`; None when one of them needs a look at each."""
    if not _is_clean(b"\n".join(messages)):
        return None
    events = [envelope.data for envelope in envelopes]
    metadata = [event.metadata if event.metadata is not _ABSENT else event.details for event in events]
    joined = b"\0".join(metadata)  # what was parsed contains no NUL
    if not joined.startswith(b"{") or joined.count(b"\0{") != len(events) - 1:
        return None
    if max(map(len, metadata)) > 2 * MAX_METADATA_DEPTH and any(map(nested_deeper, map(bytes, metadata))):
        return None
    moments = [envelope.timestamp for envelope in envelopes]
    try:
        # Raises where one is absent or has no offset, since those cannot be compared.
        if min(*moments, *[event.timestamp for event in events], _EPOCH) is not _EPOCH:  # type: ignore[type-var]
            return None
    except TypeError:
        return None
    return EventRun(envelopes, events, list(map(datetime.timestamp, moments)))  # type: ignore[arg-type]


def each_of(run: EventRun) -> list[EventMessage]:
    """The messages of a run one by one."""
    return [_message(envelope, _metadata(envelope.data)) for envelope in run.envelopes]


def event_of(envelope: WireEnvelope) -> Event:
    """The event of one message of a run."""
    return _message(envelope, _metadata(envelope.data)).event


def message_of(envelope: WireEnvelope, data: bytes) -> EventMessage | None:
    """The message of a well-formed event that was decoded from `data`; None when it needs the general way."""
    if not _is_clean(data):
        return None
    metadata = _metadata(envelope.data)
    if not metadata or metadata[0] != _BRACE or nested_deeper(metadata):
        return None
    message = _message(envelope, metadata)
    moments = (message.timestamp, message.event.timestamp)
    return None if any(moment is not None and moment < 0 for moment in moments) else message


def _message(envelope: WireEnvelope, metadata: bytes) -> EventMessage:
    """What an envelope says; each of the two moments stands in for the other where one is absent."""
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
        ),
        "event",
        sent_seconds,
        envelope.replay,
        envelope.id or None,
    )


def _metadata(event: WireEvent) -> bytes:
    """Copied, since a raw value holds on to the whole message."""
    return bytes(event.metadata if event.metadata is not _ABSENT else event.details)


def _seconds(moment: datetime) -> float:
    """Unix seconds; no offset means UTC."""
    return moment.timestamp() if moment.tzinfo is not None else moment.replace(tzinfo=UTC).timestamp()


def _is_clean(text: bytes) -> bool:
    """Whether there is no NUL in a text, and all of it is UTF-8: the decoder does not look into what it leaves raw."""
    # One byte is found much faster than six, and few messages have a backslash.
    if b"\\" in text and b"\\u0000" in text:
        return False
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
