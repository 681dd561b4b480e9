"""The dialect of a source that a mapping describes."""

from collections.abc import Iterator, Mapping, Sequence

from typing_extensions import override

from iris_exporter.core.limits import DEFAULT_LIMITS, Limits
from iris_exporter.decoding.dialect import Binary, Dialect, Frame, Noted, Outgoing
from iris_exporter.decoding.mapped.patient import Patient
from iris_exporter.decoding.mapped.pieces import pieces_of
from iris_exporter.decoding.mapped.places import paths_of
from iris_exporter.decoding.mapped.tally import Tally
from iris_exporter.decoding.messages import EventBatch, Message, Overview, Page, Ping, Pong
from iris_exporter.decoding.problems import Problems
from iris_exporter.errors import DecodeError
from iris_exporter.mapping.paths import Root
from iris_exporter.mapping.spec import Entry, Format
from iris_exporter.mapping.spec import Mapping as SourceMapping
from iris_exporter.settings import StreamSettings

SEPARATORS = {Format.NDJSON: b"\n", Format.JSON_SEQ: b"\x1e"}


class MappedDialect(Dialect):
    """Messages as a mapping describes them. Not for use by two threads at a time."""

    accept = "application/json"
    heartbeat: Outgoing | None = None
    answer: Outgoing | None = None
    event_names: frozenset[str] = frozenset()
    documents_are_messages = True

    def __init__(self, mapping: SourceMapping, limits: Limits = DEFAULT_LIMITS) -> None:
        self.mapping = mapping
        self.problems = Problems(limits)
        self.tally = Tally()
        self.subprotocols = mapping.subprotocols
        self.separator = SEPARATORS.get(mapping.format, b"")
        self.names_events = reads_names(mapping)
        self._patient = Patient(mapping, self.tally)

    @override
    def configure(self, settings: StreamSettings) -> None:
        self._patient.stream = settings.name

    @override
    def reset(self, subprotocol: str = "") -> None:
        self._patient.in_history = self.mapping.history is not None

    @override
    def on_open(self, position: str) -> Sequence[Outgoing]:
        """What was known before is not sent again to who resumes."""
        if position:
            self._patient.in_history = False
        return ()

    @override
    def noted(self) -> Noted:
        return self.tally.take()

    @override
    def decode(self, frames: Sequence[Frame]) -> Iterator[EventBatch | Message | DecodeError]:
        for frame in frames:
            if isinstance(frame, Binary):
                yield DecodeError("binary", "$", "")
                continue
            for piece in pieces_of(frame, self.mapping.format):
                yield from self._patient.read(piece)

    @override
    def peek(self, frames: Sequence[Frame]) -> Iterator[Ping | Pong]:
        return iter(())

    @override
    def reads(self, media_type: str) -> bool:
        return media_type in ("application/json", "text/json") or media_type.endswith("+json")

    @override
    def decode_document(self, body: bytes) -> Overview:
        """A document is one more message."""
        raise DecodeError("unknown_shape", "$", "a mapping reads documents as messages")

    @override
    def decode_page(self, body: bytes, headers: Mapping[str, str]) -> Page | None:
        return None

    @override
    def snapshot_addresses(self, url: str) -> tuple[str, ...]:
        return ()

    @override
    def page_address(self, snapshot_url: str, after: str) -> str | None:
        return None


def reads_names(mapping: SourceMapping) -> bool:
    """Whether a mapping reads the name or the id of each server-sent event."""
    return any(entry.events or _reads_meta(entry) for entry in mapping.entries) or (
        mapping.cursor is not None and mapping.cursor.path.root is Root.META and bool(mapping.cursor.when)
    )


def _reads_meta(entry: Entry) -> bool:
    return any(path.root is Root.META and path.steps != ("stream",) for path in paths_of(entry))
