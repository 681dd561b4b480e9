"""The fast path: well-formed events of the schema, as one batch.

As in `iris_json.fast_path`: what deviates in any way is left to the general path, which makes a document of it, and
both give the same result. Values are copied out of the messages, since each holds on to all of the frame it came in.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from iris_exporter.decoding.iris_json.trace_context import MARK, traceparent_of
from iris_exporter.decoding.json_text import nested_deeper
from iris_exporter.decoding.messages import Event, EventBatch, EventMessage
from iris_exporter.decoding.values import MAX_ID_CHARS, MAX_LABEL_CHARS
from iris_exporter.wire.iris.v1 import iris_pb2 as pb

_LAST_MILLISECOND = 253_402_300_800_000  # the end of the year 9999
_SEVERITIES = {
    pb.SEVERITY_INFO: "info",
    pb.SEVERITY_WARNING: "warning",
    pb.SEVERITY_ERROR: "error",
    pb.SEVERITY_CRITICAL: "critical",
}
_decode_lines = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode_lines


class ProtobufEvent(msgspec.Struct, gc=False):
    """An event and its envelope; times are in seconds, `metadata` is the text of an object."""

    id: str
    sent: float
    timestamp: float
    project: str
    event_type: str
    severity: str
    text: str
    metadata: bytes
    position: str | None
    replay: bool
    traceparent: str | None = None  # the schema has none beside the event

    def message(self) -> EventMessage:
        """The message as an object."""
        metadata = self.metadata
        event = Event(
            self.id,
            self.timestamp,
            self.project,
            self.event_type,
            self.severity,
            self.text,
            metadata,
            traceparent_of(metadata) if MARK in metadata else "",
        )
        return EventMessage(event, "event", self.sent, self.replay, self.position)


def event_of(envelope: pb.Envelope, prefix: str) -> ProtobufEvent | None:
    """The event of an envelope that has one; None for what the general path has to read.

    `prefix` is what stands before an offset in a position; without one there are no positions.
    """
    event = envelope.event
    sent, own = envelope.timestamp, event.timestamp
    severity = _SEVERITIES.get(event.severity)
    if not (0 < sent < _LAST_MILLISECOND and 0 < own < _LAST_MILLISECOND) or severity is None:
        return None
    event_id, project, event_type = event.id, event.project, event.event_type
    if not (
        0 < len(event_id) <= MAX_ID_CHARS
        and 0 < len(project) <= MAX_LABEL_CHARS
        and 0 < len(event_type) <= MAX_LABEL_CHARS
    ):
        return None
    offset = envelope.position
    if envelope.priority or event.other or (prefix and not offset):
        return None
    return ProtobufEvent(
        event_id,
        sent / 1000,
        own / 1000,
        project,
        event_type,
        severity,
        event.message,
        event.metadata.encode() or b"{}",
        f"{prefix}{offset}" if prefix else None,
        envelope.replay,
    )


def batch_of(events: Sequence[ProtobufEvent], max_event_bytes: int) -> EventBatch | None:
    """The events as a batch; None when one of them has to be checked by itself."""
    ids = [event.id for event in events]
    projects = [event.project for event in events]
    event_types = [event.event_type for event in events]
    texts = [event.text for event in events]
    metadata = [event.metadata for event in events]
    if "\0" in "".join([*ids, *projects, *event_types, *texts]):
        return None
    if max(map(len, texts)) > max_event_bytes or max(map(len, metadata)) > max_event_bytes:
        return None
    if not _are_objects(metadata):
        return None
    return EventBatch(
        deferred=events,
        ids=ids,
        positions=[event.position for event in events],
        sent=[datetime.fromtimestamp(sent, UTC) for sent in sorted([event.sent for event in events])],
        projects=projects,
        event_types=event_types,
        severities=[event.severity for event in events],
        has_replays=True in [event.replay for event in events],
        metadata=b"\0".join(metadata),
    )


def _are_objects(metadata: Sequence[bytes]) -> bool:
    """Whether each is a JSON object, of no more levels than may be and without NUL; one parse answers for all."""
    joined = b"\n".join(metadata)
    if b"\\u0000" in joined or joined.count(b"\n") != len(metadata) - 1:
        return False
    try:
        parsed = _decode_lines(joined)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return len(parsed) == len(metadata) and not any(map(nested_deeper, metadata))
