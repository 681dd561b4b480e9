"""Everything that is exported by one process: made from `OtelSettings`, started, and closed within a bound."""

import asyncio
import os
import random
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import aiohttp
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk._logs import LoggerProvider, LogRecordLimits
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, format_span_id, format_trace_id

from iris_exporter import logs
from iris_exporter.clock import Clock
from iris_exporter.instruments import signals
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.otel.event_logger import EventConverter, EventLogger
from iris_exporter.otel.export_queue import Counts
from iris_exporter.otel.pipeline import Pipeline, QueuedLogs, QueuedSpans
from iris_exporter.otel.request_hooks import trace_config
from iris_exporter.otel.settings import LOGS, TRACES, OtelSettings, Sampling, SignalSettings
from iris_exporter.otel.spans import Clean, SpanMaker, make_sampler
from iris_exporter.otel.stream_tracer import StreamTracer
from iris_exporter.process.tasks import TaskOwner

FLUSH_SECONDS = 2.0
"""Time limit for the final flush; with the streams' and the server's own ends that is below 5 s."""
MAX_TEXT_CHARS = 4096
"""The longest text where `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` sets no limit: a message may be as large as
`--stream.max-message-bytes`, and a collector takes 4 MiB at a time."""

_TICK_SECONDS = 1.0
_UNLIMITED = SpanLimits.UNSET
_log = logs.get_logger("otlp")


class Telemetry:
    """Exports what the settings ask for. `start` it on the event loop, and `close` it there."""

    def __init__(
        self,
        settings: OtelSettings,
        clock: Clock,
        version: str,
        self_metrics: SelfMetrics,
        generator: random.Random | None = None,
    ) -> None:
        for secret in settings.secrets():
            logs.protect(secret)
        self._clock = clock
        self._version = version
        self._self_metrics = self_metrics
        self._random = random.Random() if generator is None else generator
        self.resource = make_resource(settings, version)
        self._clean = Clean(logs.redact)
        self._tasks: list[asyncio.Task[None]] = []
        self._streams: dict[str, StreamTracer] = {}
        self._pipelines: list[Pipeline] = []
        self._spans = None if settings.traces is None else self._make_spans(settings.traces, settings.sampling)
        self._events = None if settings.logs is None else self._make_events(settings.logs)

    def _make_spans(self, settings: SignalSettings, sampling: Sampling) -> SpanMaker:
        text = MAX_TEXT_CHARS if settings.limits.text is None else settings.limits.text
        provider = TracerProvider(
            make_sampler(sampling),
            self.resource,
            shutdown_on_exit=False,
            span_limits=SpanLimits(
                max_attributes=settings.limits.attributes,
                max_span_attributes=settings.limits.attributes,
                max_links=settings.limits.links,
                max_events=_UNLIMITED,
                max_event_attributes=_UNLIMITED,
                max_link_attributes=_UNLIMITED,
                max_attribute_length=text,
                max_span_attribute_length=text,
            ),
            # Left alone, it would be looked up by a variable.
            meter_provider=NoOpMeterProvider(),
        )
        provider.add_span_processor(QueuedSpans(self._pipeline(TRACES, settings, lambda span: span)))
        return SpanMaker(provider.get_tracer(signals.SCOPE, self._version), self._clean)

    def _make_events(self, settings: SignalSettings) -> EventLogger:
        text = MAX_TEXT_CHARS if settings.limits.text is None else settings.limits.text
        count = settings.limits.attributes
        limits = LogRecordLimits(count, text, count, text)
        provider = LoggerProvider(
            self.resource, shutdown_on_exit=False, meter_provider=NoOpMeterProvider(), log_record_limits=limits
        )
        scope = InstrumentationScope(signals.SCOPE, self._version)
        pipeline = self._pipeline(LOGS, settings, EventConverter(self.resource, scope, limits, self._clean))
        provider.add_log_record_processor(QueuedLogs(pipeline))
        return EventLogger(pipeline, provider.get_logger(signals.SCOPE, self._version), self._clean)

    def _pipeline(self, signal: str, settings: SignalSettings, convert: Callable[[Any], Any]) -> Pipeline:
        def counted(made: int, exported: int, failed: int, dropped: int) -> None:
            self._self_metrics.otlp_made(signal, made)
            self._self_metrics.otlp_exported(signal, exported)
            self._self_metrics.otlp_failed(signal, failed)
            self._self_metrics.otlp_dropped(signal, dropped)

        pipeline = Pipeline(signal, settings, convert, f"iris-exporter/{self._version}", self._random, counted)
        self._pipelines.append(pipeline)
        return pipeline

    # Life

    def start(self, tasks: TaskOwner) -> None:
        """Begin to send; call it on the event loop."""
        for pipeline in self._pipelines:
            pipeline.start()
            endpoint = pipeline.endpoint
            _log.info(
                "otlp.exporting",
                signal=pipeline.signal,
                protocol="console" if endpoint is None else endpoint.protocol,
                endpoint=None if endpoint is None else endpoint.url.partition("?")[0],
            )
        self._tasks.append(tasks.start("otlp_summaries", self._tick))

    async def close(self) -> None:
        """Tell what is left, send what can be sent within `FLUSH_SECONDS`, and drop the rest, counted."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stream in list(self._streams.values()):
            stream.close()
        for pipeline in self._pipelines:
            pipeline.finish(FLUSH_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS + 0.2):
                await asyncio.gather(*(pipeline.ended.wait() for pipeline in self._pipelines))
        for pipeline in self._pipelines:
            left = pipeline.close()
            if left:
                _log.warning("otlp.lost", signal=pipeline.signal, count=left)

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(_TICK_SECONDS)
            for stream in list(self._streams.values()):
                stream.tick()

    # What others use

    def trace_configs(self) -> list[aiohttp.TraceConfig]:
        """What the session of the streams is to be made with."""
        return [] if self._spans is None else [trace_config()]

    def stream(self, name: str, url: str, instruments: StreamInstruments) -> StreamTracer:
        """What a stream tells its traces and logs to; close it when the stream has ended."""
        stream = StreamTracer(
            name,
            url,
            instruments,
            self._clock,
            self._spans,
            self._events,
            self._random.random(),
            self._forget,
        )
        self._streams[name] = stream
        return stream

    def _forget(self, stream: StreamTracer) -> None:
        if self._streams.get(stream.name) is stream:
            del self._streams[stream.name]

    def current_exemplar(self, stream: str, of: str = "summary") -> tuple[str, str] | None:
        """Trace id and span id, in hexadecimal, of a span that is or will be exported; None where there is none.

        Args:
            stream: The stream's name.
            of: `summary` is the span of the minute that is going on, `connection` that of the link that is open or was
                last, `event` that of the last event with a trace context.
        """
        found = self._streams.get(stream)
        if found is None:
            return None
        contexts: dict[str, Callable[[], SpanContext | None]] = {
            "summary": found.summary_context,
            "connection": found.connection_context,
            "event": found.event_context,
        }
        context = contexts[of]()
        return None if context is None else (format_trace_id(context.trace_id), format_span_id(context.span_id))

    def counts(self) -> Mapping[str, Counts]:
        """What became of the records of each signal."""
        return {pipeline.signal: pipeline.counts() for pipeline in self._pipelines}


def make_resource(settings: OtelSettings, version: str) -> Resource:
    """The SDK's resource, with its detectors; what the operator gave goes before what we say."""
    if any(problem.key == "OTEL_RESOURCE_ATTRIBUTES" for problem in settings.ignored):
        # The SDK would take what it can read of them.
        os.environ.pop("OTEL_RESOURCE_ATTRIBUTES", None)
    made = Resource.create(
        {
            "service.name": "iris-exporter",
            "service.version": version,
            "service.instance.id": str(uuid.uuid4()),
            **settings.resource,
        }
    )
    return _HashedOnce(made.attributes, made.schema_url)


class _HashedOnce(Resource):
    """A resource whose hash is kept: the encoder asks for it with each record, and the SDK makes it of JSON."""

    _hash: int | None = None

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = super().__hash__()
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)
