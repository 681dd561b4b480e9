"""Records to the messages of OTLP, on the thread that sends them.

A batch ends where it would pass `MAX_REQUEST_BYTES`; what is left of it comes with the next one. A record that cannot
be encoded at all is left out and counted, so that it does not come back for ever.

Source: opentelemetry-proto 1.x, trace.proto, logs.proto.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as LogMessage
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from iris_exporter.instruments import signals
from iris_exporter.instruments.telemetry.records import (
    Encoded,
    EventRecord,
    LogRecord,
    Span,
    SpanContext,
    StateRecord,
    Value,
)
from iris_exporter.instruments.telemetry.settings import Limits
from iris_exporter.instruments.telemetry.values import MAX_METADATA_ATTRIBUTES, Redact, Trimmer, flattened

MAX_REQUEST_BYTES = 3 * 1024 * 1024
"""Collectors take 4 MiB over gRPC unless told otherwise; this leaves room for a last record that is large."""

_SAMPLED = 1
# Bits 8 and 9 say whether the parent is remote, and that this is known.
_LOCAL_FLAGS = _SAMPLED | 0x100
_REMOTE_FLAGS = 0x300
_NANOSECONDS = 1_000_000_000
_LARGEST_MOMENT = (2**63 - 1) // _NANOSECONDS


class _Request(Protocol):
    """A request with one resource and one scope, ready to be filled."""

    def SerializeToString(self) -> bytes:  # noqa: N802 (the name is protobuf's)
        """The bytes of it."""


class Encoder:
    """Encodes one signal. `resource` are the attributes of the resource, `version` that of this program."""

    def __init__(self, resource: Mapping[str, str], version: str, limits: Limits, redact: Redact) -> None:
        self._resource = Resource()
        set_attributes(self._resource.attributes, resource.items())
        self._scope = InstrumentationScope(name=signals.SCOPE, version=version)
        self._trimmer = Trimmer(limits, redact)
        self._links = limits.links

    def spans(self, batch: Sequence[Span]) -> Encoded:
        """Encode spans."""
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        group.resource.CopyFrom(self._resource)
        scope = group.scope_spans.add()
        scope.scope.CopyFrom(self._scope)
        return _fill(request, scope.spans, self._span, batch)

    def logs(self, batch: Sequence[LogRecord]) -> Encoded:
        """Encode log records."""
        request = ExportLogsServiceRequest()
        group = request.resource_logs.add()
        group.resource.CopyFrom(self._resource)
        scope = group.scope_logs.add()
        scope.scope.CopyFrom(self._scope)
        return _fill(request, scope.log_records, self._log, batch)

    def _span(self, message: SpanMessage, span: Span) -> None:
        message.trace_id, message.span_id, sampled = span.context
        message.flags = _LOCAL_FLAGS if sampled else _LOCAL_FLAGS & ~_SAMPLED
        message.parent_span_id = span.parent
        message.name = span.type.name
        message.kind = SpanMessage.SpanKind.ValueType(span.type.kind.value)
        message.start_time_unix_nano = nanoseconds(span.start)
        message.end_time_unix_nano = nanoseconds(max(span.start, span.end))
        message.dropped_attributes_count = self._attributes(message.attributes, span.attributes.items())
        for context in span.links[: self._links]:
            link = message.links.add()
            link.trace_id, link.span_id, sampled = context
            remote = _REMOTE_FLAGS if span.type is signals.EVENT_SPAN else 0x100
            link.flags = remote | sampled
        message.dropped_links_count = max(0, len(span.links) - self._links)
        if span.error:
            message.status.code = Status.STATUS_CODE_ERROR
            set_attributes(message.attributes, [(signals.ERROR_TYPE.name, span.error)])

    def _log(self, message: LogMessage, record: LogRecord) -> None:
        message.observed_time_unix_nano = nanoseconds(record.moment)
        if isinstance(record, StateRecord):
            self._state(message, record)
        else:
            self._event(message, record)

    def _state(self, message: LogMessage, record: StateRecord) -> None:
        message.time_unix_nano = message.observed_time_unix_nano
        message.severity_number = SeverityNumber.ValueType(record.severity[0])
        message.severity_text = record.severity[1]
        message.event_name = record.type.name
        message.body.string_value = self._trimmer.body(record.body)
        message.dropped_attributes_count = self._attributes(message.attributes, record.attributes.items())
        _belongs_to(message, record.context)

    def _event(self, message: LogMessage, record: EventRecord) -> None:
        arrival, event = record
        if event.timestamp is not None:
            message.time_unix_nano = nanoseconds(event.timestamp)
        number, _ = signals.SEVERITY.get(event.severity, (0, ""))
        message.severity_number = SeverityNumber.ValueType(number)
        message.severity_text = self._trimmer.text(event.severity)
        message.event_name = signals.EVENT_LOG.name
        message.body.string_value = self._trimmer.body(event.message)
        attributes: list[tuple[str, Value]] = [
            (signals.STREAM.name, arrival.stream),
            (signals.EVENT_ID.name, event.id),
            (signals.PROJECT.name, event.project),
            (signals.EVENT_TYPE.name, event.event_type),
        ]
        found = flattened(event.metadata)
        attributes += itertools.islice(found, MAX_METADATA_ATTRIBUTES)
        more = sum(1 for _ in found)
        message.dropped_attributes_count = more + self._attributes(message.attributes, attributes)
        _belongs_to(message, arrival.context)

    def _attributes(self, target: Any, attributes: Iterable[tuple[str, Value]]) -> int:
        kept, dropped = self._trimmer.pairs(attributes)
        set_attributes(target, kept)
        return dropped


def _fill(request: _Request, messages: Any, encode: Callable[[Any, Any], None], batch: Sequence[Any]) -> Encoded:
    """Encode records into the repeated field `messages` of the request until it is large enough."""
    count = failed = size = 0
    for record in batch:
        message = messages.add()
        try:
            encode(message, record)
        except Exception:  # noqa: BLE001 (whatever a source may have sent, the others go on)
            del messages[-1]
            failed += 1
            continue
        size += message.ByteSize()
        if size > MAX_REQUEST_BYTES and count:
            del messages[-1]
            break
        count += 1
    return Encoded(request.SerializeToString(), count, failed)


def _belongs_to(message: LogMessage, context: SpanContext | None) -> None:
    if context is not None:
        message.trace_id, message.span_id, sampled = context
        message.flags = _SAMPLED if sampled else 0


def nanoseconds(moment: float) -> int:
    """Unix seconds as OTLP has them; what does not fit, such as a year 9999 of a confused source, is 0: unknown."""
    if not 0.0 <= moment <= _LARGEST_MOMENT:
        return 0
    # Microseconds are all that a float of today's seconds holds; multiplying it at once would invent digits.
    return round(moment * 1_000_000) * 1000


def set_attributes(target: Any, attributes: Iterable[tuple[str, Value]]) -> None:
    """Append attributes, each with the type that it has; `target` is a repeated `KeyValue`."""
    for key, value in attributes:
        pair: KeyValue = target.add()
        pair.key = key
        if type(value) is bool:
            pair.value.bool_value = value
        elif isinstance(value, str):
            pair.value.string_value = value
        elif isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.double_value = value
