"""Observers in the exporter's own parts: what a link brings, what the model takes, what the log would be told."""

import asyncio
from collections.abc import Callable

from typing_extensions import override

from iris_exporter.check.fit import Fit
from iris_exporter.check.observations import Heard, Messages, Observation
from iris_exporter.clock import Clock
from iris_exporter.decoding.dialect import Dialect, Outgoing
from iris_exporter.decoding.messages import (
    Elements,
    EventBatch,
    EventMessage,
    Message,
    Metrics,
    Overview,
    Unknown,
    Update,
    UpstreamError,
)
from iris_exporter.model.source_state import Changes, SourceState
from iris_exporter.model.state import StreamState
from iris_exporter.streams.log import StreamLog
from iris_exporter.transports.base import Link, Received
from iris_exporter.transports.connection_events import ConnectionEvent

_MAX_IDS = 10_000
_MAX_PLACES = 100
_MAX_DELAYS = 1000
_MAX_ERRORS = 20
_MAX_TYPES = 20


class ObservedLink(Link):
    """A link whose reads are noted in `heard`, and what their messages are made of in `fit`."""

    def __init__(self, link: Link, heard: Heard, clock: Clock, dialect: Dialect, fit: Fit) -> None:
        self._link, self._heard, self._clock, self._dialect, self._fit = link, heard, clock, dialect, fit
        self._opened_at = clock.monotonic()
        self.protocol, self.two_way = link.protocol, link.two_way
        self.subprotocol, self.compression = link.subprotocol, link.compression
        self.first_read: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once the first bytes have come."""

    @override
    async def read(self) -> Received:
        received = await self._link.read()
        heard = self._heard
        after = self._clock.monotonic() - self._opened_at
        if heard.last_after is None:
            heard.first_after = after
            self.first_read.set_result(None)
        else:
            heard.longest_pause = max(heard.longest_pause, after - heard.last_after)
        heard.last_after = after
        heard.reads += 1
        heard.wire_bytes += received.wire_bytes
        heard.pongs += received.pongs
        heard.largest_bytes = max(heard.largest_bytes, *map(len, received.frames), 0)
        for frame in received.frames:
            if self._fit.is_full:
                self._fit.left_out += 1
            else:
                for message in self._dialect.fields(frame):
                    self._fit.add(message)
        return received

    @override
    async def send(self, message: Outgoing) -> bool:
        return await self._link.send(message)

    @override
    async def ping(self) -> bool:
        sent = await self._link.ping()
        self._heard.pings += sent
        return sent

    @override
    async def close(self, code: int = 1000) -> None:
        await self._link.close(code)


def note_documents(dialect: Dialect, seen: Observation) -> None:
    """Note in `seen` what the documents are made of that `dialect` decodes from now on."""
    decode = dialect.decode_document

    def decode_document(body: bytes) -> Overview:
        seen.document_bytes = max(seen.document_bytes, len(body))
        found = dialect.document_fields(body)
        if found is not None:
            seen.messages.fit.add(found)
        return decode(body)

    dialect.decode_document = decode_document  # type: ignore[method-assign]  # whoever asks for documents has this one


class RecordingState(StreamState):
    """The model of a stream, which notes in `messages` what it takes while `recording`."""

    messages = Messages()
    recording = True
    has_snapshot = False

    @override
    def apply_batch(self, batch: EventBatch, now: float) -> bool:
        return False  # so that each message is applied, and seen, by itself

    @override
    def apply(self, message: Message, now: float) -> Changes:
        changes = super().apply(message, now)
        if self.recording:
            self._note(message, changes, now)
        return changes

    def _note(self, message: Message, changes: Changes, now: float) -> None:
        notes = self.messages
        notes.usable += 1
        notes.kinds[message.message_type] += 1
        if notes.first_at is None:
            notes.first, notes.first_at = message.message_type, now
        if isinstance(message, EventMessage):
            self._note_event(message)
        if isinstance(message, Update):
            self._note_metrics(message.overview.metrics)
        if isinstance(message, UpstreamError) and len(notes.errors) < _MAX_ERRORS:
            notes.errors.append(message.code[:64] or "without a code")
        if isinstance(message, Unknown) and len(notes.unknown_types) < _MAX_TYPES:
            notes.unknown_types[message.type] += 1
        if isinstance(message, EventMessage | Update):
            notes.data += 1
            if changes.delay_seconds is not None and len(notes.delays) < _MAX_DELAYS:
                notes.delays.append(changes.delay_seconds)
            notes.last_data_at = now

    def _note_event(self, message: EventMessage) -> None:
        if message.replay or message.is_advance:
            return
        notes, sent = self.messages, self._sent
        notes.events += 1
        notes.largest_event = max(notes.largest_event, len(message.event.metadata), len(message.event.message))
        if message.event.id in sent:
            notes.repeated_events += 1
        elif len(sent) < _MAX_IDS:
            sent.add(message.event.id)

    def _note_metrics(self, metrics: Metrics | None) -> None:
        if metrics is None:
            return
        values = {name: getattr(metrics, name) for name in metrics.__struct_fields__}
        self.messages.fields |= {name for name, value in values.items() if value is not None}
        if metrics.success_ratio is not None:
            self.messages.shares["success"] = metrics.success_ratio

    @override
    def apply_snapshot(self, overview: Overview, now: float, *, full: bool = True, polling: bool = False) -> Changes:
        self.has_snapshot = True
        self._note_metrics(overview.metrics)
        return super().apply_snapshot(overview, now, full=full, polling=polling)

    def record_in(self, messages: Messages) -> None:
        """Note in `messages` from now on."""
        self.messages = messages
        self._sent: set[str] = set()


def note_elements(state: SourceState, messages: Messages) -> None:
    """Note in `messages` what the state of a mapping takes from now on, but for the kinds, which the dialect counts."""
    apply = state.apply

    def noting(message: Message, now: float) -> Changes:
        changes = apply(message, now)
        if isinstance(message, UpstreamError) and len(messages.errors) < _MAX_ERRORS:
            messages.errors.append(message.code[:64] or "without a code")
        if isinstance(message, Elements) and message.is_data:
            messages.data += 1
            messages.last_data_at = now
            room = _MAX_DELAYS - len(messages.delays)
            messages.delays += [max(now - sent, 0.0) for sent in changes.sent[: max(room, 0)]]
        return changes

    state.apply = noting  # type: ignore[method-assign]  # whoever hands it messages has this one


class Notes(StreamLog):
    """Takes what would be logged of a stream; writes nothing."""

    def __init__(
        self, name: str, clock: Clock, messages: Messages, on_event: Callable[[ConnectionEvent], None]
    ) -> None:
        super().__init__(name, clock)
        self._messages = messages
        self._take_event = on_event
        self._outcome: str | None = None

    def take_outcome(self) -> str | None:
        """How the source last said that it goes on, since the last call; None for nothing said."""
        outcome, self._outcome = self._outcome, None
        return outcome

    @override
    def on_event(self, event: ConnectionEvent) -> None:
        self._take_event(event)

    @override
    def broken(self, reason: str, path: str, detail: str = "") -> None:
        notes = self._messages
        notes.broken_messages += 1
        place = (reason, path[:80])
        notes.broken[place if place in notes.broken or len(notes.broken) < _MAX_PLACES else (reason, "...")] += 1

    @override
    def resumed(self, outcome: str) -> None:
        self._outcome = str(outcome)

    @override
    def subscribed(self, encoding: str, extensions: list[str]) -> None:
        """Nothing: the dialect has it."""

    @override
    def out_of_sync(self) -> None:
        self._messages.errors.append("out_of_sync")

    @override
    def upstream_error(self, code: str, message: str) -> None:
        """Nothing: the model has it."""
