"""The fast path: well-formed events of the schema, as one batch.

As in `iris_json.fast_path`: what deviates in any way is left to the general path, which makes a document of it, and
both give the same result. Values are read a field at a time over all messages, since a call for each costs more than
the field does, and are copied out of them, since each message holds on to all of the frame it came in.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import starmap
from operator import attrgetter
from typing import Any, overload

import msgspec

from iris_exporter.core.limits import Limits
from iris_exporter.decoding.json_text import MAX_METADATA_DEPTH, nested_deeper
from iris_exporter.decoding.messages import Event, EventBatch, EventMessage
from iris_exporter.decoding.trace_context import MARK, traceparent_of
from iris_exporter.decoding.values import MAX_ID_CHARS, MAX_LABEL_CHARS
from iris_exporter.wire.iris.v1 import iris_pb2 as pb

_LAST_MILLISECOND = 253_402_300_800_000  # the end of the year 9999
_SEVERITIES: dict[int, str] = {
    pb.SEVERITY_INFO: "info",
    pb.SEVERITY_WARNING: "warning",
    pb.SEVERITY_ERROR: "error",
    pb.SEVERITY_CRITICAL: "critical",
}
_head_of = attrgetter("timestamp", "position", "replay", "priority", "event")
_body_of = attrgetter("id", "timestamp", "project", "event_type", "severity", "message", "metadata", "other")
_decode_lines = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode_lines


class ProtobufEvent(msgspec.Struct, gc=False):
    """An event and its envelope; times are in milliseconds, `metadata` is the text of an object."""

    id: str
    sent: int
    timestamp: int
    project: str
    event_type: str
    severity: int
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
            self.timestamp / 1000,
            self.project,
            self.event_type,
            _SEVERITIES[self.severity],
            self.text,
            metadata,
            traceparent_of(metadata) if MARK in metadata else "",
        )
        return EventMessage(event, "event", self.sent / 1000, self.replay, self.position)


class _Deferred(Sequence[ProtobufEvent]):
    """Events that become objects when they are read: of a large batch only the last ones are."""

    __slots__ = ("_rows",)

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> ProtobufEvent: ...
    @overload
    def __getitem__(self, index: slice) -> list[ProtobufEvent]: ...
    def __getitem__(self, index: int | slice) -> ProtobufEvent | list[ProtobufEvent]:
        """One event, or several."""
        if isinstance(index, slice):
            return list(starmap(ProtobufEvent, self._rows[index]))
        return ProtobufEvent(*self._rows[index])


def batch_of(envelopes: Sequence[pb.Envelope], prefix: str, limits: Limits) -> EventBatch | None:
    """The batch of envelopes that all have an event; None when each of them has to be read by itself.

    `prefix` is what stands before an offset in a position; without one there are no positions.
    """
    if limits.max_json_depth < MAX_METADATA_DEPTH:
        return None
    sent, offsets, replays, priorities, events = zip(*map(_head_of, envelopes), strict=True)
    ids, times, projects, event_types, severities, texts, objects, others = zip(*map(_body_of, events), strict=True)
    if any(priorities) or any(others) or (prefix and not all(offsets)):
        return None
    if not (_are_times(sent) and _are_times(times) and _SEVERITIES.keys() >= set(severities)):
        return None
    labels = (*projects, *event_types)
    if "" in ids or "" in labels or max(map(len, ids)) > MAX_ID_CHARS or max(map(len, labels)) > MAX_LABEL_CHARS:
        return None
    metadata = [text.encode() or b"{}" for text in objects]
    if max(map(len, texts)) > limits.max_event_bytes or max(map(len, metadata)) > limits.max_event_bytes:
        return None
    if "\0" in "".join((*ids, *labels, *texts)) or not _are_objects(metadata):
        return None
    positions: list[str | None] = [f"{prefix}{offset}" for offset in offsets] if prefix else [None] * len(ids)
    columns = (ids, sent, times, projects, event_types, severities, texts, metadata, positions, replays)
    return EventBatch(
        deferred=_Deferred(list(zip(*columns, strict=True))),
        ids=list(ids),
        positions=positions,
        sent=[datetime.fromtimestamp(timestamp_ms / 1000, UTC) for timestamp_ms in sorted(sent)],
        projects=list(projects),
        event_types=list(event_types),
        severities=[_SEVERITIES[severity] for severity in severities],
        has_replays=any(replays),
        metadata=b"\0".join(metadata),
    )


def _are_times(timestamps_ms: Iterable[int]) -> bool:
    """Whether all are there, from 1970 on, and have a year that can be written."""
    return min(timestamps_ms) > 0 and max(timestamps_ms) < _LAST_MILLISECOND


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
