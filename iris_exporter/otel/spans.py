"""Spans and their contexts, as the SDK makes them from the declarations in `signals`."""

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from typing_extensions import override

from iris_exporter.instruments import signals
from iris_exporter.instruments.signals import SpanType
from iris_exporter.logs import redact
from iris_exporter.otel.settings import Sampling

Value = str | bool | int | float | tuple[str, ...]
"""What an attribute can be."""

_NANOSECONDS = 1_000_000_000
_LARGEST_TIMESTAMP = (2**63 - 1) // _NANOSECONDS
_ROOT = Context()
_extract = TraceContextTextMapPropagator().extract


def nanoseconds(timestamp: float) -> int:
    """Unix seconds in OTLP's unit; a time that does not fit, such as one in the year 9999, is 0: unknown."""
    if not 0.0 <= timestamp <= _LARGEST_TIMESTAMP:
        return 0
    # Microseconds are all that a float of today's seconds holds; multiplying it at once would invent digits.
    return round(timestamp * 1_000_000) * 1000


def within(context: SpanContext | None) -> Context:
    """The context of a child of that span, or of a log record that belongs to it; None for neither."""
    return _ROOT if context is None else set_span_in_context(NonRecordingSpan(context), _ROOT)


def parse_traceparent(text: str) -> SpanContext | None:
    """The context that a `traceparent` names; None for one that is not valid."""
    context = get_current_span(_extract({"traceparent": text}, _ROOT)).get_span_context()
    return context if context.is_valid else None


def clean(text: str) -> str:
    """A text without secrets, and without lone surrogates, which are no UTF-8."""
    text = redact(text)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def cleaned(attributes: Mapping[str, Value]) -> dict[str, Value]:
    """Attributes whose texts are `clean`."""
    return {name: clean(value) if isinstance(value, str) else value for name, value in attributes.items()}


def begin(
    tracer: Tracer,
    kind: SpanType,
    at: float,
    attributes: Mapping[str, Value],
    parent: SpanContext | None = None,
    origin: SpanContext | None = None,
) -> Span:
    """Begin a span at `at` (Unix seconds); one without a parent is a root.

    `origin` is a span of another program that it goes on from and is linked to.
    """
    links = () if origin is None else (Link(origin),)
    return tracer.start_span(
        kind.name, within(parent), SpanKind[kind.kind], cleaned(attributes), links, nanoseconds(at)
    )


def end(span: Span, at: float, error: str = "") -> None:
    """End a span at `at` (Unix seconds), not before it began; `error` is an `error.type`, empty for success."""
    if error:
        span.set_attribute(signals.ERROR_TYPE.name, error)
        span.set_status(StatusCode.ERROR)
    begun = span.start_time if isinstance(span, ReadableSpan) else None
    span.end(max(begun or 0, nanoseconds(at)))


class LinkedSampler(Sampler):
    """Samples a root that is linked to a span of another program as if it were a child of that span."""

    def __init__(self, inner: Sampler) -> None:
        self._inner = inner

    @override
    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        *_: Any,
    ) -> SamplingResult:
        origin = links[0].context if links else None
        if origin is not None and origin.is_remote:
            parent_context, trace_id = within(origin), origin.trace_id
        return self._inner.should_sample(parent_context, trace_id, name, kind, attributes, links)

    @override
    def get_description(self) -> str:
        return f"LinkedSampler{{{self._inner.get_description()}}}"


def make_sampler(sampling: Sampling) -> Sampler:
    """The SDK's sampler of that name."""
    plain = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF}
    root = plain.get(sampling.name.removeprefix("parentbased_")) or TraceIdRatioBased(sampling.ratio)
    return LinkedSampler(ParentBased(root) if sampling.name.startswith("parentbased_") else root)
