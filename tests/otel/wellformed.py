"""What OTLP asks of every field, and the catalogue of every attribute: checked in each request of each test."""

from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from iris_exporter.instruments import signals

KINDS = {"string_value": "string", "bool_value": "bool", "int_value": "int", "double_value": "double"}
FREE = ("bool", "int", "double", "string")
"""What the metadata of an event, and attributes that a mapping names, may be."""
SPANS = {kind.name: kind for kind in signals.SPANS}
LOGS = {kind.name: kind for kind in signals.LOGS}


def problems_in(signal: str, request: Any) -> list[str]:
    """Everything that is wrong with a request, in words; metrics have their own tests."""
    if signal == "traces":
        return [
            f"{span.name}: {problem}"
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
            for problem in (*_unnamed(group, scope), *_span(span))
        ]
    if signal == "logs":
        return [
            f"{record.event_name}: {problem}"
            for group in request.resource_logs
            for scope in group.scope_logs
            for record in scope.log_records
            for problem in (*_unnamed(group, scope), *_log(record))
        ]
    return []


def _unnamed(group: Any, scope: Any) -> Iterator[str]:
    kinds = {pair.key: pair.value.WhichOneof("value") for pair in group.resource.attributes}
    if "service.name" not in kinds or set(kinds.values()) != {"string_value"}:
        yield f"resource {kinds}"
    if scope.scope.name != signals.SCOPE:
        yield f"scope {scope.scope.name!r}"


def _span(span: Any) -> Iterator[str]:
    type_ = SPANS.get(span.name)
    if type_ is None:
        yield "not in the catalogue"
        return
    if Span.SpanKind.Name(span.kind) != f"SPAN_KIND_{type_.kind}":
        yield f"kind {span.kind}"
    if not _is_id(span.trace_id, 16) or not _is_id(span.span_id, 8):
        yield "ids"
    if span.parent_span_id and not _is_id(span.parent_span_id, 8):
        yield "parent"
    if any(not _is_id(link.trace_id, 16) or not _is_id(link.span_id, 8) for link in span.links):
        yield "links"
    if not 0 < span.start_time_unix_nano <= span.end_time_unix_nano:
        yield f"times {span.start_time_unix_nano} {span.end_time_unix_nano}"
    if span.events or span.status.code not in (0, 2):
        yield "events or status"
    yield from _attributes(span.attributes, type_.attributes)


def _log(record: Any) -> Iterator[str]:
    type_ = LOGS.get(record.event_name)
    if type_ is None:
        yield "not in the catalogue"
        return
    if record.observed_time_unix_nano <= 0:
        yield "observed time"
    if not 0 <= record.severity_number <= 24 or record.body.WhichOneof("value") != "string_value":
        yield "severity or body"
    if (record.trace_id or record.span_id) and (not _is_id(record.trace_id, 16) or not _is_id(record.span_id, 8)):
        yield "ids"
    yield from _attributes(record.attributes, type_.attributes)


def _attributes(pairs: Any, known: Any) -> Iterator[str]:
    names = [pair.key for pair in pairs]
    if len(names) != len(set(names)):
        yield f"an attribute twice: {names}"
    others = [one for one in known if one is not signals.NAMED]
    for pair in pairs:
        kind = KINDS.get(pair.value.WhichOneof("value") or "", "nothing")
        found = [one for one in others if _fits(one.name, pair.key)]
        if not found and signals.MAPPING.name in names and not pair.key.startswith("iris"):
            found = [one for one in known if one is signals.NAMED]
        if len(found) != 1:
            yield f"{pair.key} is not in the catalogue"
        elif kind not in (FREE if found[0] in (signals.METADATA, signals.NAMED) else (found[0].type,)):
            yield f"{pair.key} is a {kind}"


def _fits(name: str, key: str) -> bool:
    prefix, is_open, _ = name.partition("<")
    return key.startswith(prefix) if is_open else key == name


def _is_id(value: bytes, size: int) -> bool:
    return len(value) == size and any(value)
