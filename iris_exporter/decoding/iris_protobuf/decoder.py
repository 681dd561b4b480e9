"""Binary frames to batches of events, and to documents of everything else.

A document is the plain value that the JSON of the same message would be, so that what it means is read in one place.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from google.protobuf.message import DecodeError as ProtobufError

from iris_exporter.core.limits import Limits
from iris_exporter.core.positions import parse_position
from iris_exporter.decoding.iris_protobuf.events import batch_of
from iris_exporter.decoding.json_text import printable
from iris_exporter.decoding.messages import EventBatch, Message
from iris_exporter.errors import DecodeError
from iris_exporter.wire.iris.v1 import iris_pb2 as pb
from iris_exporter.wire.objects import WireError
from iris_exporter.wire.protobuf import document

MAX_BATCH = 256
"""Events that are made into one batch, as in `iris_json`."""
MAX_MESSAGES = 10_000
"""Messages that are read of one frame: more than fit into one with events in them."""

Read = Callable[[Any], Iterator[Message | DecodeError]]
Found = EventBatch | Message | DecodeError


class ProtobufDecoder:
    """The decoder of one connection. `read` makes messages of a document, `note_batch` takes the size of each batch."""

    def __init__(self, read: Read, note_batch: Callable[[int], None]) -> None:
        self._read = read
        self._note_batch = note_batch
        self._epoch = ""

    def decode(self, frames: Sequence[bytes], limits: Limits) -> Iterator[Found]:
        """The messages in the frames, in order."""
        events: list[pb.Envelope] = []
        for envelope in self._envelopes(frames):
            if not isinstance(envelope, DecodeError) and envelope.HasField("event"):
                events.append(envelope)
                if len(events) == MAX_BATCH:
                    yield from self._together(events, limits)
                    events = []
                continue
            if events:
                yield from self._together(events, limits)
                events = []
            yield from (envelope,) if isinstance(envelope, DecodeError) else self._alone(envelope)
        if events:
            yield from self._together(events, limits)

    @property
    def _prefix(self) -> str:
        return f"{self._epoch}-" if self._epoch else ""

    def _envelopes(self, frames: Sequence[bytes]) -> Iterator[pb.Envelope | DecodeError]:
        """Every message in the frames; batches are taken apart."""
        for frame in frames:
            try:
                envelope = pb.Envelope.FromString(frame)
            except ProtobufError:
                yield DecodeError("not_protobuf", "$", "no iris.v1.Envelope")
                continue
            if not envelope.HasField("batch"):
                yield envelope
                continue
            messages = envelope.batch.messages
            self._note_batch(len(messages))
            for each in messages[:MAX_MESSAGES]:
                nested = each.HasField("batch")
                yield DecodeError("not_protobuf", "$.batch", "a batch inside a batch") if nested else each
            if len(messages) > MAX_MESSAGES:
                yield DecodeError("too_long", f"$.batch[{MAX_MESSAGES}]", "more messages in a batch than are read")

    def _together(self, events: Sequence[pb.Envelope], limits: Limits) -> Iterator[Found]:
        """The messages of events, as one batch where all of them are well-formed."""
        batch = batch_of(events, self._prefix, limits)
        if batch is not None:
            yield batch
        elif len(events) == 1:
            yield from self._alone(events[0])
        else:
            for event in events:
                yield from self._together((event,), limits)

    def _alone(self, envelope: pb.Envelope) -> Iterator[Found]:
        """The messages of one envelope by the general path."""
        try:
            found = printable(document(envelope, self._epoch))
        except (WireError, RecursionError) as error:
            yield DecodeError("not_protobuf", "$", str(error))
            return
        if found["type"] == "subscribed" and isinstance(data := found.get("data"), dict):
            position = parse_position(str(data.get("position", "")))
            self._epoch = "" if position is None else position.epoch
        yield from self._read(found)
