"""What is kept between a happening and its export: small values, made on the event loop, encoded elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from iris_exporter.decoding.messages import Event
from iris_exporter.instruments.exposition import Family
from iris_exporter.instruments.signals import LogType, SpanType
from iris_exporter.instruments.text import Sample

Value = str | bool | int | float
"""What an attribute can be."""


class SpanContext(NamedTuple):
    """What leads to a span: 16 and 8 bytes, never all zero. `sampled`: it is, or will be, exported."""

    trace_id: bytes
    span_id: bytes
    sampled: bool


@dataclass(slots=True)
class Span:
    """One span, ended or not. Moments are Unix seconds; `error` is an `error.type`, empty when nothing failed.

    `parent` is the id of the span above it, empty for a root. A link is a context with its attributes.
    """

    type: SpanType
    context: SpanContext
    start: float
    parent: bytes = b""
    end: float = 0.0
    error: str = ""
    attributes: dict[str, Value] = field(default_factory=dict)
    links: Sequence[SpanContext] = ()

    @property
    def moment(self) -> float:
        """When it became a record."""
        return self.end

    @property
    def weight(self) -> int:
        """Bytes of memory, about: its texts are short."""
        return 2048


@dataclass(slots=True)
class StateRecord:
    """A change of state, to become a log record of the kind `type` with `attributes`."""

    type: LogType
    moment: float
    severity: tuple[int, str]
    body: str
    attributes: Mapping[str, Value]
    context: SpanContext | None

    @property
    def weight(self) -> int:
        """Bytes of memory, about: its texts are short."""
        return 1024


class Arrival(NamedTuple):
    """What the events of one read have in common: the stream, when they came, and the span they belong to."""

    stream: str
    moment: float
    context: SpanContext | None


class EventRecord(NamedTuple):
    """An event, to become a log record. The event belongs to the model too; nobody changes it."""

    arrival: Arrival
    event: Event

    @property
    def moment(self) -> float:
        """When it became a record."""
        return self.arrival.moment

    @property
    def weight(self) -> int:
        """Bytes of memory, about: the texts that may be long, and what the rest takes."""
        return 512 + len(self.event.message) + len(self.event.metadata)


LogRecord = EventRecord | StateRecord
"""What waits in the queue of log records."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request. It holds `count` records, for which the first `count + failed` of the batch were used."""

    body: bytes
    count: int
    failed: int


@dataclass(frozen=True, slots=True)
class Reading:
    """All families and their samples, as they were at `moment`."""

    moment: float
    families: Sequence[tuple[Family, list[Sample]]]

    @property
    def weight(self) -> int:
        """Nothing: there is one of them at a time, and it has to be let through whatever its size."""
        return 0
