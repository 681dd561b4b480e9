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
from iris_exporter.decoding.elements import MappedBatch
from iris_exporter.decoding.mapped.compiled import Compiled, Pieces
from iris_exporter.decoding.mapped.link import MappedLink
from iris_exporter.decoding.mapped.pages import are_newest_first
from iris_exporter.decoding.mapped.patient import OTHER, Patient
from iris_exporter.decoding.mapped.pieces import Piece, has_attachment, pieces_of
from iris_exporter.decoding.mapped.places import metas_of
from iris_exporter.decoding.mapped.shapes import Conflict
from iris_exporter.decoding.mapped.tally import Tally
from iris_exporter.decoding.messages import EventBatch, Message, Overview, Page, Ping, Pong, UpstreamError
from iris_exporter.decoding.problems import Problems
from iris_exporter.errors import DecodeError
from iris_exporter.mapping.spec import Format, Order
from iris_exporter.mapping.spec import Mapping as SourceMapping
from iris_exporter.settings import StreamSettings


class MappedDialect(MappedLink):
    """Messages as a mapping describes them. Not for use by two threads at a time.

    `is_patient` reads each message by itself, which gives the same and is slower.
    """

    documents_are_messages = True
    _unusable: Failure | None = None
    """Why the document that was read last cannot be used, until somebody takes it."""

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
        if self._unusable is not None:
            noted, self._unusable = replace(noted, end=self._unusable), None
        if reply is None and not has_ended:
            return noted
        self.tally.clear()
        return replace(
            noted,
            reply=None if reply is None else self.rendered(reply),
            end=Failure("planned_end", "the source ends the stream") if has_ended else noted.end,
        )

    @override
    def decode(self, frames: Sequence[Frame]) -> Iterator[EventBatch | Message | DecodeError]:
        if frames and isinstance(frames[0], DocumentFrame):
            yield from self._documents([bytes(frame) for frame in frames if isinstance(frame, DocumentFrame)])
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

    def _documents(self, pages: Sequence[bytes]) -> Iterator[EventBatch | Message | DecodeError]:
        """The messages of a document, or of the pages of a poll, the oldest page first.

        Where one of several pages is of no use, none of their events is taken: the cursor of one would pass those of
        another.
        """
        was_in_history = self._patient.in_history
        read = [self._page(page) for page in pages]
        is_refused = any(isinstance(found, UpstreamError) for page in read for found in page)
        if len(read) > 1 and (is_refused or self._unusable is not None):
            self._patient.in_history = was_in_history
            read = [[found for found in page if not isinstance(found, MappedBatch)] for page in read]
        cursor = self.mapping.cursor
        if are_newest_first(read, Order.OPAQUE if cursor is None else cursor.order):
            read.reverse()
            self.tally.is_cut = self.leaves_pages
        for page in read:
            yield from page

    def _page(self, body: bytes) -> list[EventBatch | Message | DecodeError]:
        messages = self.tally.messages
        before = messages.total() - messages[OTHER]
        read = list(self._document(body))
        if messages.total() - messages[OTHER] == before:
            self._unusable = Failure("unknown_shape", "the document has no message that the mapping knows")
        return read

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
