"""A mapping on messages, as a stream would take them: what is counted, what is shown, what is left out."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from iris_exporter.core.limits import DEFAULT_LIMITS
from iris_exporter.core.status import LinkStatus, State
from iris_exporter.decoding.dialect import Binary, Frame, NamedEvent
from iris_exporter.decoding.mapped.patient import OTHER
from iris_exporter.decoding.mapped.pieces import has_attachment, pieces_of
from iris_exporter.decoding.messages import Event, EventBatch, UpstreamError, logged
from iris_exporter.errors import DecodeError
from iris_exporter.instruments import text
from iris_exporter.instruments.exposition import Exposition, Source
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.mapping.guarantee import Guarantee, guarantee
from iris_exporter.mapping.spec import Format, JsonType, Mapping
from iris_exporter.streams.profile import profile_for
from iris_exporter.trial.coverage import Coverage, message_of
from iris_exporter.trial.samples import Arrival

MAX_RECORDS = 5
"""Log records that are shown."""
_MAX_REMEMBERED = 20
_MAX_COMPARED = 10_000  # messages whose fields are compared with the mapping; it takes longer than reading them
_FOR_EVER = 1e9  # seconds: nothing of a sample is stale


class Found(NamedTuple):
    """Something that was left out; `kind` and `metric` are empty where it belongs to none, `found` is None for null."""

    kind: str
    metric: str
    reason: str
    path: str
    found: JsonType | None


class _Tally(Protocol):
    """What a dialect with a mapping counts beside its messages."""

    messages: Counter[str]
    filtered: int
    problems: Counter[Any]

    def clear(self) -> None:
        """Forget all."""


@dataclass(slots=True)
class Result:
    """What came of messages. `unmatched` has the first of each shape, `errors` what error messages said.

    `logged` and `traced` count the elements by kind that are log records and spans, and `records` has the first ones.
    """

    mapping: Mapping
    guarantee: Guarantee
    coverage: Coverage
    messages: Counter[str] = field(default_factory=Counter)
    filtered: int = 0
    duplicates: int = 0
    gaps: int = 0
    problems: Counter[Found] = field(default_factory=Counter)
    unmatched: list[str] = field(default_factory=list)
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    logged: Counter[str] = field(default_factory=Counter)
    traced: Counter[str] = field(default_factory=Counter)
    records: list[Event] = field(default_factory=list)
    series: dict[str, int] = field(default_factory=dict)
    cursor: str = ""
    resume: str = ""
    exposition: str = ""

    @property
    def is_clean(self) -> bool:
        """Whether something came of it, and nothing was left out."""
        return not self.problems and any(count for kind, count in self.messages.items() if kind != OTHER)


class Trial:
    """Takes messages as a stream does. `stream` is its name, `protocol` how it is read."""

    def __init__(self, mapping: Mapping, stream: str, protocol: str) -> None:
        profile = profile_for(mapping)
        self._dialect = profile.dialect(DEFAULT_LIMITS)
        self._dialect.reset()
        self._state = profile.state(stream, _FOR_EVER, DEFAULT_LIMITS, None)
        dialect: Any = self._dialect  # every one with a mapping has a tally
        self._tally: _Tally = dialect.tally
        self._instruments = StreamInstruments(stream)
        self._shapes: set[object] = set()
        self._compared = 0
        self.mapping = mapping
        promise = guarantee(mapping, protocol)
        self._instruments.follow(mapping, promise.counted)
        self._result = Result(mapping, promise, Coverage(mapping))

    @property
    def names_events(self) -> bool:
        """Whether the mapping reads names and ids of events."""
        return self._dialect.names_events

    def take(self, arrival: Arrival, at: float) -> None:
        """Take what arrives at `at`, in Unix seconds."""
        for frame in messages_in(arrival.frame, self.mapping.format):
            self._take(frame, at)
        if arrival.last_event_id is not None and self._dialect.uses_event_ids:
            self._state.cursor.note_id(arrival.last_event_id)

    def _take(self, frame: Frame, at: float) -> None:
        result = self._result
        for found in self._dialect.decode([frame]):
            if isinstance(found, DecodeError):
                result.problems[Found("", "", found.reason, found.path, None)] += 1
                continue
            if isinstance(found, UpstreamError):
                result.errors[found.code, found.reason or ""] += 1
            if isinstance(found, EventBatch):
                continue  # which only IRIS has
            changes = self._state.apply(found, at)
            result.duplicates += changes.duplicates
            result.gaps += changes.gap
            if changes.unmade is not None:
                self._note_events(changes.unmade.events())
        content = text_of(frame)
        for kind, count in self._tally.messages.items():
            result.messages[kind] += count
            if kind == OTHER:
                self._note_unmatched(content)
            else:
                self._compared += 1
                if self._compared <= _MAX_COMPARED:
                    result.coverage.take(kind, content)
        result.filtered += self._tally.filtered
        for problem, count in self._tally.problems.items():
            result.problems[Found(*problem)] += count
        self._tally.clear()
        result.dropped.update(self._state.take_dropped())

    def _note_events(self, events: Sequence[Event]) -> None:
        result, records = self._result, logged(events)
        result.logged.update(event.event_type for event in records)
        result.traced.update(event.event_type for event in events if event.traceparent)
        result.records += records[: MAX_RECORDS - len(result.records)]

    def result(self, at: float) -> Result:
        """Return what came of the messages until now."""
        snapshot = self._state.view(at)
        self._result.cursor = self._state.cursor.resume_from
        self._result.resume = self._resume(self._result.cursor)
        if snapshot.mapped is not None:
            self._result.series = {name: len(series) for name, series in snapshot.mapped.series.items()}
        link = LinkStatus(State.LIVE, "none", "", 0, None, None, None, None, None, None, at)
        source = Source(self._instruments, link, snapshot)
        exposition = Exposition(lambda: [source], SelfMetrics("", "", ""), process_metrics=False)
        names = [metric.name for metric in self.mapping.metrics]
        self._result.exposition = b"".join(exposition.render(text.Format.TEXT, names)).decode()
        return self._result

    def _resume(self, cursor: str) -> str:
        """What a connection sends to go on from a cursor, as a person reads it."""
        if not cursor:
            return ""
        call = self._dialect.stream_call("", cursor, two_way=False)
        parts = [
            f"{name}: {value}" for name, value in call.headers.items() if (name, value) not in self.mapping.headers
        ]
        messages = self._dialect.on_open(cursor) if self.mapping.cursor and self._by_message else ()
        parts += [text_of(message).decode("utf-8", "replace") for message in messages[-1:]]
        return " and ".join(part for part in (call.url, *parts) if part)

    @property
    def _by_message(self) -> bool:
        cursor = self.mapping.cursor
        return cursor is not None and cursor.resume is not None and cursor.resume.message is not None

    def _note_unmatched(self, text: bytes) -> None:
        shape = _shape(message_of(text, self.mapping.format))
        if shape not in self._shapes and len(self._shapes) < _MAX_REMEMBERED:
            self._shapes.add(shape)
            self._result.unmatched.append(text.decode("utf-8", "replace"))


def messages_in(frame: Frame, form: Format) -> Iterator[Frame]:
    """A frame for each message in a frame."""
    if has_attachment([frame], form):
        yield frame
        return
    for piece in pieces_of(frame, form):
        yield NamedEvent(frame.name, piece.text, frame.id) if isinstance(frame, NamedEvent) else piece.text


def text_of(frame: Frame) -> bytes:
    """The content of a frame."""
    return frame.data if isinstance(frame, Binary | NamedEvent) else frame


def _shape(value: object) -> object:
    """What messages of one kind mostly have in common: their keys, or the types of a list's items."""
    if isinstance(value, dict):
        return ("object", tuple(sorted(value)))
    if isinstance(value, list):
        return ("list", tuple(type(item).__name__ for item in value[:5]))
    return type(value).__name__
