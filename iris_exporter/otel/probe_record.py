"""One span or log record that says nothing but that an endpoint was tried."""

from collections.abc import Sequence
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk._logs import LogRecordLimits, ReadableLogRecord
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from iris_exporter.instruments import signals
from iris_exporter.otel.provider import make_resource, span_limits
from iris_exporter.otel.settings import TRACES, OtelSettings, SignalSettings
from iris_exporter.otel.spans import begin, end, nanoseconds


def probe_batch(signal: str, settings: OtelSettings, version: str, now: float) -> Sequence[Any]:
    """A batch for `Exporter.export`: the record has the resource and the limits of all others.

    Args:
        signal: `traces` or `logs`, which has to be exported.
        now: Unix time.
    """
    resource = make_resource(settings, version)
    about: SignalSettings | None = settings.traces if signal == TRACES else settings.logs
    assert about is not None  # noqa: S101 (the caller has its endpoint)
    limits = about.limits
    if signal == TRACES:
        provider = TracerProvider(
            ALWAYS_ON,
            resource,
            shutdown_on_exit=False,
            span_limits=span_limits(limits),
            meter_provider=NoOpMeterProvider(),
        )
        span = begin(provider.get_tracer(signals.SCOPE, version), signals.CHECK_SPAN, now, {})
        end(span, now)
        return [span]
    record = LogRecord(
        timestamp=nanoseconds(now),
        observed_timestamp=nanoseconds(now),
        severity_text="INFO",
        severity_number=SeverityNumber.INFO,
        body=signals.CHECK_LOG.body.strip("`"),
        event_name=signals.CHECK_LOG.name,
    )
    count, text = limits.attributes, limits.text
    scope = InstrumentationScope(signals.SCOPE, version)
    return [ReadableLogRecord(record, resource, scope, LogRecordLimits(count, text, count, text))]
