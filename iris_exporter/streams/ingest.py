"""The sink of a stream: what its connection brings is decoded, applied to the model and counted.

It also looks after the position: what a connection resumes from, what the source answers, and which missing events have
to be asked for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from typing_extensions import override

from iris_exporter.core.doubts import Doubt
from iris_exporter.core.failures import Failure
from iris_exporter.core.limits import Limits
from iris_exporter.core.positions import Outcome
from iris_exporter.decoding.dialect import NOTHING_NOTED, Dialect, DocumentFrame, Noted, Outgoing
from iris_exporter.decoding.messages import (
    Dropped,
    Elements,
    Event,
    EventBatch,
    EventMessage,
    Message,
    Page,
    Ping,
    Pong,
    Resumed,
    Subscribed,
    Update,
    UpstreamError,
)
from iris_exporter.errors import DecodeError
from iris_exporter.instruments import catalog
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.model.source_state import Changes, SourceState
from iris_exporter.settings import StreamSettings
from iris_exporter.streams.listener import EventListener
from iris_exporter.streams.log import StreamLog
from iris_exporter.streams.piece import (
    Piece,
    count_changes,
    count_dropped,
    count_mapped,
    failure_of,
    live_of,
    report_doubts,
)
from iris_exporter.transports.base import NO_REACTION, Polled, Reaction, Received, Sink

_SILENT = Reaction(silent=True)
_CONTROL = frozenset(kind.message_type for kind in (Ping, Pong, Resumed, UpstreamError, Subscribed, Dropped))
_OUT_OF_SYNC = Failure("out_of_sync", "a change does not follow the one before")
_NO_DOCUMENT = ("unknown_shape", "not_an_object")  # JSON of no known shape
Document = TypeVar("Document")
ANSWER_SECONDS = 10.0
"""A source that goes on answers, or sends known events again, at once; one that has not after this time never will."""


class StreamSink(Sink):
    """Takes what a connection brings: decodes it, applies it to the model, counts it.

    Without a `listener` most events are never made into objects, which is quicker.
    """

    def __init__(
        self,
        dialect: Dialect,
        state: SourceState,
        instruments: StreamInstruments,
        log: StreamLog,
        listener: EventListener | None = None,
    ) -> None:
        self.dialect = dialect
        self._state = state
        self._instruments = instruments
        self._log = log
        self.listener = listener
        self.last_outcome: Outcome | None = None
        """The last outcome of a resume; None before the first."""
        # Of the connection that was opened last:
        self._two_way = False
        self._resumes = False  # whether an outcome of a resume is still to be reported
        self._lost_cursor = False
        self._without_cursor = False  # whether the connection began without one, since it was lost
        self._refused = False  # whether the position was refused, and nothing was heard without it yet
        self._refusal_pending = False  # whether that is still to be reported
        self._opened_at = 0.0
        self._replay_before: float | None = None  # messages older than this may be replays that are not marked

    def configure(self, settings: StreamSettings) -> None:
        """Follow the settings of the stream, here and in all that it gives things to."""
        limits = Limits.of(settings)
        self.dialect.configure(settings)
        self.dialect.problems.limits = limits
        self._state.limit(limits)
        self._instruments.limits = limits

    # Position

    @override
    def resume_from(self) -> str:
        return self._state.cursor.resume_from

    def lose_cursor(self) -> None:
        """Another process may have had this stream, and its cursor is not here: the first connection has an outcome."""
        self._lost_cursor = True

    @override
    def on_open(self, at: float, *, two_way: bool, subprotocol: str = "") -> Sequence[Outgoing]:
        """A message resumes from a position alone, a dial from any id."""
        cursor = self._state.cursor
        resume_from = self.resume_from()
        position = resume_from if cursor.state.epoch is not None or self.dialect.resumes_by_id else ""
        asked = bool(position if two_way else resume_from)
        self.dialect.reset(subprotocol)
        self._two_way = two_way
        cursor.begin(asked=asked)
        self._resumes = asked or bool(self._state.seen) or self._lost_cursor
        self._without_cursor = self._lost_cursor and not asked
        self._lost_cursor = False
        self._opened_at = at
        self._replay_before = at if asked and not cursor.awaiting_answer else None
        if self._refusal_pending and not asked:
            self._resumes = True
            self._report_outcome(Outcome.NONE)
            self._instruments.doubt(Doubt.REFUSED)
        self._refusal_pending = False
        return self.dialect.on_open(position)

    @override
    def position_refused(self, *, refused: bool) -> None:
        if refused:
            self._state.cursor.refuse()
        elif self._refused:
            self._state.cursor.allow()
        self._refused = self._refusal_pending = refused

    @override
    def awaits_answer(self) -> bool:
        return self._state.cursor.awaiting_answer

    def _report_outcome(self, outcome: Outcome) -> None:
        if self._resumes:
            self._resumes = False
            self.last_outcome = outcome
            self._instruments.count(catalog.RESUMES, 1, outcome)
            self._log.resumed(outcome)

    # The stream

    @override
    def receive(self, received: Received, at: float) -> Reaction:
        state = self._state
        now = datetime.fromtimestamp(at, UTC)
        taken = Piece()
        is_silent = True
        for found in self.dialect.decode(received.frames):
            is_silent = False
            if isinstance(found, EventBatch):
                # Nearly everything ends here; what is below does the same, one by one, for what is not so simple.
                if self._replay_before is None and state.apply_batch(found, at):
                    taken.count("event", len(found))
                    self._instruments.delays_since(found.sent, now)
                    if self.listener is not None:
                        taken.events += self.listener.wanted(found)
                    del found  # so that the next one is made in its memory, which is in the processor's cache
                    continue
                for message in found.messages():
                    self._apply(message, at, taken)
            elif isinstance(found, DecodeError):
                self._broken(found.reason, found.path, 1, found.detail)
            else:
                self._apply(found, at, taken)
        noted = self.dialect.noted()
        self._report_messages(taken, noted)
        reaction = self._react(taken.control) if taken.control else NO_REACTION
        if self._refused and reaction.failure is None and taken.counts:
            self._refused = False
        self._notify(taken.events, at)
        self._finish(received, at)
        if is_silent:  # no frame had a message in it that says something of the source
            state.heard(at)
            if noted is NOTHING_NOTED:
                return _SILENT
        reaction = reaction if noted is NOTHING_NOTED else self._with_noted(reaction, noted)
        return replace(reaction, fill=True) if state.cursor.gap_after is not None else reaction

    def _apply(self, message: Message, at: float, taken: Piece) -> None:
        """Take one message, and note what has to be done about it at the end of its piece."""
        taken.count(message.message_type)
        changes = self._state.apply(message, at)
        taken.events += changes.events
        count_changes(changes, self._instruments)
        if isinstance(message, Elements):
            taken.delays += self._element_delays(changes, at)
            if changes.unmade is not None and self.listener is not None:
                taken.events += self.listener.wanted(changes.unmade)
            return
        delay = changes.delay_seconds
        if delay is not None and (self._replay_before is None or not self._is_old(message, changes)):
            taken.delays.append(delay)
        if message.message_type in _CONTROL:
            taken.control.append(message)

    def _report_messages(self, taken: Piece, noted: Noted) -> None:
        counts: Mapping[str, int] = taken.counts
        if noted.messages is not None:
            counts = noted.messages
        for kind, count in counts.items():
            self._instruments.message(kind, count)
        self._instruments.delays(taken.delays)

    def _with_noted(self, reaction: Reaction, noted: Noted) -> Reaction:
        """Count what the dialect has noticed, and ask for what it needs: a link that takes no messages is made anew."""
        self._instruments.histogram(catalog.BATCH_MESSAGES).observe_many(noted.batches)
        count_mapped(noted, self._instruments)
        if noted.losses:
            self._instruments.count(catalog.DELTA_RESYNCS, noted.losses)
            self._log.out_of_sync()
        if noted.reply is not None:
            reaction = replace(reaction, replies=(*reaction.replies, noted.reply))
        if noted.end is not None and reaction.failure is None:
            return replace(reaction, failure=noted.end)
        if self._two_way:
            return reaction if noted.request is None else replace(reaction, request=noted.request)
        if noted.losses and reaction.failure is None:
            return replace(reaction, failure=_OUT_OF_SYNC)
        return reaction

    @override
    def peek(self, received: Received) -> Reaction:
        reaction = self._react(self.dialect.peek(received.frames))
        if replies := self.dialect.replies_to(received.frames):
            reaction = replace(reaction, replies=(*reaction.replies, *replies))
        request = self.dialect.request_for(received.frames)
        return reaction if request is None else replace(reaction, request=request)

    def _react(self, control: Iterable[Message]) -> Reaction:
        """Answer pings and report the outcome of a resume; an error that ends the link ends what is read of a piece."""
        replies: tuple[Outgoing, ...] = ()
        pong = False
        for message in control:
            if isinstance(message, Ping):
                replies = () if self.dialect.answer is None else (self.dialect.answer,)
            elif isinstance(message, Pong):
                pong = True
            elif isinstance(message, Resumed):
                self._report_outcome(message.outcome)
            elif isinstance(message, Subscribed):
                self._log.subscribed(self.dialect.encoding, sorted(message.extensions))
                if self.listener is not None:
                    self.listener.granted(message.extensions)
                if message.resumed is not None:
                    self._report_outcome(message.resumed.outcome)
            elif isinstance(message, Dropped):
                self._instruments.count(catalog.SOURCE_DROPPED, message.events)
            elif isinstance(message, UpstreamError):
                self._instruments.count(catalog.UPSTREAM_ERRORS, 1, message.code)
                self._log.upstream_error(message.code, message.message)
                failure = failure_of(message)
                if failure is not None:
                    return Reaction(replies, failure, pong)
        return Reaction(replies, None, pong)

    def _finish(self, received: Received, at: float) -> None:
        """What is due once for each piece, and not for each message."""
        self._report_problems()
        event_id = received.last_event_id if self.dialect.uses_event_ids else None
        if event_id is not None and not self._state.note_id(event_id):
            self._instruments.count(catalog.STREAM_DROPPED, 1, "positions")
        if (self._resumes or self._state.cursor.awaiting_answer) and at - self._opened_at >= ANSWER_SECONDS:
            outcome = Outcome.NONE if self._without_cursor else self._state.unanswered()
            self._state.cursor.give_up()
            self._report_outcome(outcome)
        self._report_dropped()
        report_doubts(self._state, self._instruments, self._log)

    def _is_old(self, message: Message, changes: Changes) -> bool:
        """Whether a message that is not marked as a replay is one: it was sent before this connection began.

        The first one that is not ends the search, so that a source whose clock is behind loses few delays.
        """
        sent = message.timestamp if isinstance(message, EventMessage | Update) else None
        if sent is None or self._replay_before is None or sent >= self._replay_before:
            self._replay_before = None
            return False
        self._instruments.count(catalog.EVENTS_REPLAYED, len(changes.events))
        return True

    def _notify(self, events: Sequence[Event], at: float) -> None:
        if events and self.listener is not None:
            self.listener.arrived(events, at)

    # Messages of a mapping

    def _element_delays(self, changes: Changes, at: float) -> list[float]:
        """The delays of new elements, without those that were sent before this connection began to go on.

        An element that is known already shows that the source reaches back to where the last connection ended.
        """
        if changes.duplicates:
            self._report_outcome(Outcome.FULL)
        if changes.sent_at and self._replay_before is None:
            self._instruments.delays_since(sorted(changes.sent_at), datetime.fromtimestamp(at, UTC))
            return []
        sent, replayed = live_of(changes, self._replay_before)
        if replayed:
            self._instruments.count(catalog.EVENTS_REPLAYED, replayed)
        self._replay_before = None if sent else self._replay_before
        return [max(at - each, 0.0) for each in sent]

    # Documents

    @override
    def snapshot(self, body: bytes, at: float, *, polling: bool, following: Sequence[bytes] = ()) -> Failure | None:
        if self.dialect.documents_are_messages:
            return self.receive(Received([DocumentFrame(page) for page in (body, *following)], 0), at).failure
        overview = self._document(lambda: self.dialect.decode_document(body))
        if isinstance(overview, Failure):
            return overview
        events = overview.events
        continues = events is not None and any(self._state.seen.knows(event.id) for event in events)
        changes = self._state.apply_snapshot(overview, at, polling=polling)
        count_changes(changes, self._instruments)
        self._report_dropped()
        self._notify(changes.events, at)
        if events and not self._state.cursor.awaiting_answer:
            # A source without positions: recent events that reach back to a known one have no gap.
            self._report_outcome(Outcome.FULL if continues else Outcome.NONE)
        return None

    @override
    def missing_after(self) -> str | None:
        return self._state.cursor.gap_after

    @override
    def page(self, after: str, page: Polled | None, at: float) -> bool:
        cursor = self._state.cursor
        if page is not None and after != cursor.gap_after:
            return cursor.has_gap  # the gap was filled, or given up, while the page was on its way
        found = None
        if page is not None:
            body, headers = page.body or b"", page.headers
            found = self._document(lambda: self.dialect.decode_page(body, headers))
        if not isinstance(found, Page):
            self._lost(cursor.abandon())
            return False
        changes = self._state.apply_snapshot(found.overview, at, full=False)
        count_changes(changes, self._instruments)
        self._notify(changes.events, at)
        self._instruments.count(catalog.EVENTS_REPLAYED, len(changes.events))
        self._report_dropped()
        self._lost(cursor.page(found.cursor, found.missed))
        if cursor.has_gap and not found.more:
            self._lost(cursor.abandon())
        return cursor.has_gap

    def _lost(self, events: int) -> None:
        """Count events that cannot be had, but for those that came early."""
        self._instruments.count(catalog.EVENT_GAPS, self._state.advances.reported(events))

    def _document(self, decode: Callable[[], Document]) -> Document | Failure:
        try:
            return decode()
        except DecodeError as error:
            self._broken(error.reason, error.path, 1, error.detail)
            return Failure("unknown_shape" if error.reason in _NO_DOCUMENT else "decode", str(error))
        finally:
            self._report_problems()

    @override
    def unchanged(self, at: float) -> None:
        self._state.heard(at)

    @override
    def forget(self) -> None:
        self._state.forget()

    def _broken(self, reason: str, path: str, count: int, detail: str = "") -> None:
        self._instruments.count(catalog.DECODE_ERRORS, count, reason)
        self._log.broken(reason, path, detail)

    def _report_dropped(self) -> None:
        """Count what limits have left out of the model; never with a log line for each."""
        count_dropped(self._state, self._instruments)

    def _report_problems(self) -> None:
        if self.dialect.problems:
            for reason, path, count in self.dialect.problems.take():
                self._broken(reason, path, count)
