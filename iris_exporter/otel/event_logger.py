"""Events and changes of state as log records of the SDK.

An event is queued as it is, and becomes a log record on the thread that sends: on the event loop that would cost a
hundred times as much as the append.

Source: OpenTelemetry specification, "Common", attribute limits: attributes over the count are left out and counted,
texts over the length are cut.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgspec
from opentelemetry._logs import Logger, LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import LogRecordLimits, ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from iris_exporter.core.severities import SEVERITIES
from iris_exporter.core.status import State
from iris_exporter.decoding.messages import Event, MappedEvent
from iris_exporter.instruments import signals
from iris_exporter.otel.export_queue import Waiting
from iris_exporter.otel.pipeline import Pipeline
from iris_exporter.otel.spans import Value, clean, cleaned, nanoseconds, within
from iris_exporter.transports.connection_events import StateChanged

MAX_METADATA_ATTRIBUTES = 64
"""Attributes that the metadata of one event become, whatever the general limit allows."""
MAX_METADATA_DEPTH = 4
"""Levels of objects that become attributes; a deeper object is one text of JSON."""
MAX_BODY_CHARS = 16 * 1024
"""The longest body, to which the limits of attributes do not apply."""
MAX_KEY_CHARS = 256

_PREFIX = signals.METADATA.name.partition("<")[0]
_LARGEST_INT = 2**63 - 1
_EVENT_BYTES = 512
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_SEVERITY = {word: SeverityNumber(number) for word, number in SEVERITIES.items()}


class Arrival(NamedTuple):
    """What the events of one read have in common, or a change of state has: the stream, the time, and the span."""

    stream: str
    timestamp: float
    context: SpanContext | None


class EventRecord(NamedTuple):
    """An event, to become a log record. The event belongs to the model too; nobody changes it."""

    arrival: Arrival
    event: Event


def event_attributes(stream: str, event: Event) -> dict[str, Value]:
    """The attributes that log records and spans of events have in common."""
    if isinstance(event, MappedEvent):
        identity = {signals.EVENT_ID.name: event.id} if event.id else {}
        return {
            signals.EVENT_TYPE.name: event.event_type,
            signals.MAPPING.name: event.mapping,
            **identity,
            signals.STREAM.name: stream,
        }
    return {
        signals.EVENT_TYPE.name: event.event_type,
        signals.PROJECT.name: event.project,
        signals.EVENT_ID.name: event.id,
        signals.STREAM.name: stream,
    }


@dataclass(frozen=True, slots=True)
class EventConverter:
    """Makes log records of queued events. `limits` are the SDK's."""

    resource: Resource
    scope: InstrumentationScope
    limits: LogRecordLimits

    def __call__(self, record: EventRecord | ReadableLogRecord) -> ReadableLogRecord:
        """A record of the SDK; one that is one already stays."""
        if isinstance(record, ReadableLogRecord):
            return record
        arrival, event = record
        made = LogRecord(
            timestamp=None if event.timestamp is None else nanoseconds(event.timestamp),
            observed_timestamp=nanoseconds(arrival.timestamp),
            context=within(arrival.context),
            severity_text=clean(event.severity),
            severity_number=_SEVERITY.get(event.severity, SeverityNumber.UNSPECIFIED),
            body=clean(event.message)[:MAX_BODY_CHARS],
            attributes=self._attributes(arrival, event),
            event_name=signals.EVENT_LOG.name,
        )
        return ReadableLogRecord(made, self.resource, self.scope, self.limits)

    def _attributes(self, arrival: Arrival, event: Event) -> Mapping[str, Value]:
        """Metadata come first: where there are too many attributes, the SDK drops the first ones."""
        found = flattened(event.metadata, "" if isinstance(event, MappedEvent) else _PREFIX)
        attributes = cleaned(
            {**dict(itertools.islice(found, MAX_METADATA_ATTRIBUTES)), **event_attributes(arrival.stream, event)}
        )
        more = sum(1 for _ in found)
        most, longest = self.limits.max_log_record_attributes, self.limits.max_log_record_attribute_length
        if not more and _fit(attributes, most, longest):
            return attributes  # the SDK's BoundedAttributes cost as much as the rest of the record
        bounded: Any = BoundedAttributes(most, attributes, max_value_len=longest)
        bounded.dropped += more
        return cast("Mapping[str, Value]", bounded)


def _fit(attributes: Mapping[str, Value], most: int | None, longest: int | None) -> bool:
    if most is not None and len(attributes) > most:
        return False
    return longest is None or all(type(value) is not str or len(value) <= longest for value in attributes.values())


class EventLogger:
    """Logs events, which are queued as they are, and changes of state, which the SDK's logger emits."""

    def __init__(self, pipeline: Pipeline, logger: Logger) -> None:
        self._pipeline = pipeline
        self._logger = logger

    def events(self, arrival: Arrival, events: Iterable[Event]) -> None:
        """Log events that have arrived together."""
        at = arrival.timestamp
        self._pipeline.offer(
            [
                Waiting(at, _EVENT_BYTES + len(event.message) + len(event.metadata), EventRecord(arrival, event))
                for event in events
            ]
        )

    def state(self, arrival: Arrival, change: StateChanged) -> None:
        """Log a change of state."""
        attributes: dict[str, Value] = {
            signals.STREAM.name: arrival.stream,
            signals.FROM.name: change.previous,
            signals.TO.name: change.state,
            signals.ATTEMPT.name: change.attempt,
        }
        body, severity = f"{change.previous} -> {change.state}", SeverityNumber.INFO
        if change.failure is not None:
            attributes[signals.REASON.name] = change.failure.reason
            body = f"{body}: {change.failure}"
            severity = SeverityNumber.ERROR if change.state == State.ERROR else SeverityNumber.WARN
        if change.delay_seconds is not None:
            attributes[signals.DELAY.name] = round(change.delay_seconds, 3)
        timestamp = nanoseconds(arrival.timestamp)
        self._logger.emit(
            timestamp=timestamp,
            observed_timestamp=timestamp,
            context=within(arrival.context),
            severity_number=severity,
            severity_text=severity.name,
            body=clean(body)[:MAX_BODY_CHARS],
            attributes=cleaned(attributes),
            event_name=signals.STATE_LOG.name,
        )


def flattened(metadata: bytes, prefix: str = _PREFIX) -> Iterator[tuple[str, Value]]:
    """The values in an event's metadata, each under `prefix` and its path.

    More than `MAX_METADATA_ATTRIBUTES` may come. Null has no attribute. A whole number beyond 64 bits becomes a double,
    a number that is not finite, or beyond a double, a text.
    """
    if metadata == b"{}":
        return
    try:
        table = _decode(metadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    yield from _flatten(prefix, table, 1)


def _flatten(prefix: str, table: dict[str, Any], depth: int) -> Iterator[tuple[str, Value]]:
    for name, value in table.items():
        key = clean(f"{prefix}{name}")[:MAX_KEY_CHARS]  # a source may repeat our key anywhere
        if isinstance(value, dict) and value and depth < MAX_METADATA_DEPTH:
            yield from _flatten(f"{key}.", value, depth + 1)
        elif value is not None:
            yield key, _scalar(value)


def _scalar(value: Any) -> Value:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_INT else _double(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    return msgspec.json.encode(value).decode()


def _double(value: int) -> Value:
    try:
        return float(value)
    except OverflowError:  # a text can have as many digits
        return str(value)
