"""The dialect of a source that a mapping describes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeGuard

from typing_extensions import override

from iris_exporter.core.failures import Failure
from iris_exporter.core.limits import DEFAULT_LIMITS, Limits
from iris_exporter.core.negotiation import LINE_TYPES
from iris_exporter.decoding.dialect import Binary, DocumentFrame, Frame, Noted, Outgoing
from iris_exporter.decoding.mapped.compiled import Compiled, Pieces
from iris_exporter.decoding.mapped.link import MappedLink
from iris_exporter.decoding.mapped.patient import Patient
from iris_exporter.decoding.mapped.pieces import Piece, has_attachment, pieces_of
from iris_exporter.decoding.mapped.places import metas_of
from iris_exporter.decoding.mapped.shapes import Conflict
from iris_exporter.decoding.mapped.tally import Tally
from iris_exporter.decoding.messages import EventBatch, Message, Overview, Page, Ping, Pong
from iris_exporter.decoding.problems import Problems
from iris_exporter.errors import DecodeError
from iris_exporter.mapping.spec import Format
from iris_exporter.mapping.spec import Mapping as SourceMapping
from iris_exporter.settings import StreamSettings


class MappedDialect(MappedLink):
    """Messages as a mapping describes them. Not for use by two threads at a time.

    `is_patient` reads each message by itself, which gives the same and is slower.
    """

    documents_are_messages = True

    def __init__(self, mapping: SourceMapping, limits: Limits = DEFAULT_LIMITS, *, is_patient: bool = False) -> None:
        super().__init__(mapping)
        self.problems = Problems(limits)
        self.tally = Tally()
        self.names_events = not metas_of(mapping) <= {"stream"}
        self._patient = Patient(mapping, self.tally)
        self._snapshot = Patient(mapping, self.tally, of_snapshot=True) if mapping.snapshot is not None else None
        self._compiled: Compiled | None = None
        if not is_patient:
            with suppress(Conflict):
                self._compiled = Compiled(mapping, self._patient, self.tally)

    @override
    def configure(self, settings: StreamSettings) -> None:
        super().configure(settings)
        self._patient.stream = settings.name
        if self._snapshot is not None:
            self._snapshot.stream = settings.name

    @override
    def reset(self, subprotocol: str = "") -> None:
        self._patient.in_history = self.mapping.history is not None

    @override
    def on_open(self, position: str) -> Sequence[Outgoing]:
        """What was known before is not sent again to who resumes, which takes more than having a cursor."""
        if position and (self._resume is not None or self.uses_event_ids):
            self._patient.in_history = False
        return super().on_open(position)

    @override
    def noted(self) -> Noted:
        reply, has_ended = self.tally.reply, self.tally.has_ended
        noted = self.tally.take()
        if reply is None and not has_ended:
            return noted
        self.tally.clear()
        return replace(
            noted,
            reply=None if reply is None else self.rendered(reply),
            end=Failure("planned_end", "the source ends the stream") if has_ended else None,
        )

    @override
    def decode(self, frames: Sequence[Frame]) -> Iterator[EventBatch | Message | DecodeError]:
        if len(frames) == 1 and isinstance(frames[0], DocumentFrame):
            yield from self._document(bytes(frames[0]))
        elif self._compiled is None or self._patient.in_history:
            for frame in frames:
                yield from self._one_by_one(frame)
        elif self.mapping.format is Format.JSON and (texts := texts_of(frames)) is not None:
            yield from self._compiled.read(Pieces(texts))
        elif has_attachment(frames, self.mapping.format):
            for frame in frames:
                yield from self._one_by_one(frame)
        else:
            pieces = [piece for frame in frames for piece in pieces_of(frame, self.mapping.format)]
            yield from self._compiled.read(Pieces([piece.json for piece in pieces], pieces))

    def _document(self, body: bytes) -> Iterator[EventBatch | Message | DecodeError]:
        """What is beside a stream has entries of its own; what is polled instead of one has those of the stream."""
        if self._snapshot is None or self.is_polled:
            yield from self.decode((body,))
        else:
            yield from self._snapshot.read(Piece(body, body))

    def _one_by_one(self, frame: Frame) -> Iterator[Message | DecodeError]:
        if has_attachment([frame], self.mapping.format):
            yield DecodeError("binary", "$", "")
        for piece in pieces_of(frame, self.mapping.format):
            yield from self._patient.read(piece)

    @override
    def peek(self, frames: Sequence[Frame]) -> Iterator[Ping | Pong]:
        return iter(())

    @override
    def reads(self, media_type: str) -> bool:
        is_json = media_type in ("application/json", "text/json") or media_type.endswith("+json")
        return is_json or (bool(self.separator) and media_type in LINE_TYPES)

    @override
    def decode_document(self, body: bytes) -> Overview:
        """A document is one more message."""
        raise DecodeError("unknown_shape", "$", "a mapping reads documents as messages")

    @override
    def decode_page(self, body: bytes, headers: Mapping[str, str]) -> Page | None:
        return None

    @override
    def page_address(self, snapshot_url: str, after: str) -> str | None:
        return None


def texts_of(frames: Sequence[Frame]) -> Sequence[bytes] | None:
    """What the frames hold, where all are text or all are binary; None for others."""
    if are_texts(frames):
        return frames
    held = [frame.data for frame in frames if isinstance(frame, Binary)]
    return held if len(held) == len(frames) else None


def are_texts(frames: Sequence[Frame]) -> TypeGuard[Sequence[bytes]]:
    """Whether all frames are texts and nothing else; joining them asks each quickest."""
    try:
        b"".join(frames)  # type: ignore[arg-type]  # what is none raises
    except TypeError:
        return False
    return True
