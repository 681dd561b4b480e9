"""What the messages of one piece of a stream were, and what their errors ask for."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from iris_exporter.core.doubts import Doubt
from iris_exporter.core.failures import Failure, from_error_code
from iris_exporter.decoding.dialect import Noted
from iris_exporter.decoding.messages import Event, Message, UpstreamError
from iris_exporter.instruments import catalog
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.logs import redact
from iris_exporter.model.source_state import Changes, SourceState
from iris_exporter.streams.log import StreamLog


@dataclass(slots=True)
class Piece:
    """Filled message by message: how many of each type, the delays of live ones, new events, and control messages."""

    counts: dict[str, int] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    control: list[Message] = field(default_factory=list)

    def count(self, message_type: str, messages: int = 1) -> None:
        """Note that so many messages were of a type."""
        self.counts[message_type] = self.counts.get(message_type, 0) + messages


def live_of(changes: Changes, since: float | None) -> tuple[Sequence[float], int]:
    """The times at which new elements were sent, from the first on that is not before `since`; and how many are."""
    sent = changes.sent or [each.timestamp() for each in changes.sent_at]
    if since is None:
        return sent, 0
    replayed = next((index for index, each in enumerate(sent) if each >= since), len(sent))
    return sent[replayed:], replayed


def count_mapped(noted: Noted, instruments: StreamInstruments) -> None:
    """Count what a mapping has left out, and what it could not read."""
    if (mapped := instruments.mapped) is not None:
        mapped.filtered += noted.filtered
        mapped.problems.update(noted.problems)
        if noted.nameless:
            mapped.doubt(Doubt.NAMELESS)
        if noted.is_cut:
            mapped.doubt(Doubt.CUT)


def count_changes(changes: Changes, instruments: StreamInstruments) -> None:
    """Count what a message or a document has changed."""
    if changes.duplicates:
        instruments.count(catalog.EVENTS_DUPLICATE, changes.duplicates)
    if changes.replayed:
        instruments.count(catalog.EVENTS_REPLAYED, changes.replayed)
    if changes.gap:
        instruments.count(catalog.EVENT_GAPS, changes.gap)
        instruments.doubt(Doubt.GAP)
    if changes.advances:
        instruments.count(catalog.EVENTS_OVERTAKING, changes.advances)


def report_doubts(state: SourceState, instruments: StreamInstruments, log: StreamLog) -> None:
    """Take back what the stream has shown not to hold of the guarantee of its mapping, and log it the first time."""
    if (mapped := instruments.mapped) is None or not (state.doubts or mapped.weakened):
        return
    for doubt in state.doubts:
        mapped.doubt(doubt)
    for counted, doubt in mapped.weakened:
        log.guarantee_weakened(counted, doubt)
    mapped.weakened.clear()


def count_dropped(state: SourceState, instruments: StreamInstruments) -> None:
    """Count what limits have left out of the model."""
    if state.has_dropped:
        for kind, count in state.take_dropped().items():
            instruments.count(catalog.STREAM_DROPPED, count, kind)
        for metric, count in state.take_dropped_series().items():
            instruments.count(catalog.SERIES_DROPPED, count, metric)


def failure_of(error: UpstreamError) -> Failure | None:
    """Why a link has to end after an error of the source; None for a report that ends nothing."""
    # A source that quotes the key it refuses must not make us show it.
    text = redact(error.message)
    if error.reason is None:
        return from_error_code(error.code, text, error.retry_after_seconds)
    detail = ": ".join(filter(None, (redact(error.code), text)))
    return Failure(error.reason, detail, error.retry_after_seconds) if error.reason else None
