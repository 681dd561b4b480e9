"""The trace context that a source sends with an event, as the SDK reads it. Pure."""

from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_extract = TraceContextTextMapPropagator().extract


def parse_traceparent(text: str) -> SpanContext | None:
    """The context that a `traceparent` names; None for one that is not valid."""
    context = get_current_span(_extract({"traceparent": text}, Context())).get_span_context()
    return context if context.is_valid else None
