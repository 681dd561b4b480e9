"""Everything that one process exports: made from `OtelSettings`, started, and closed within a bound."""

import asyncio
import os
import random
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import aiohttp
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk._logs import LoggerProvider, LogRecordLimits
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Tracer

from iris_exporter import logs
from iris_exporter.clock import Clock
from iris_exporter.instruments import signals
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.signals import ExportCounts
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.otel.event_logger import EventConverter, EventLogger
from iris_exporter.otel.exporters.renewed import RenewedExporter
from iris_exporter.otel.pipeline import Pipeline, QueuedLogs, QueuedSpans
from iris_exporter.otel.request_spans import trace_config
from iris_exporter.otel.settings import LOGS, TRACES, Limits, OtelSettings, Sampling, SignalSettings
from iris_exporter.otel.spans import make_sampler
from iris_exporter.otel.stream_tracer import StreamTracer
from iris_exporter.process.tasks import TaskOwner

FLUSH_SECONDS = 2.0
"""Time limit for the final flush; with the ends of the streams and of the server that is below 5 s."""

_TICK_SECONDS = 1.0
_log = logs.get_logger("otlp")


class Telemetry:
    """Exports what the settings ask for. `start` it on the event loop, and `close` it there."""

    def __init__(
        self,
        settings: OtelSettings,
        clock: Clock,
        version: str,
        self_metrics: SelfMetrics,
    ) -> None:
        for secret in settings.secrets():
            logs.protect(secret)
        self._settings = settings
        self._clock = clock
        self._version = version
        self._random = random.Random()
        self._self_metrics = self_metrics
        self._resource = make_resource(settings, version)
        self._streams: set[StreamTracer] = set()
        self._pipelines: list[Pipeline] = []
        self._tracer = None if settings.traces is None else self._make_tracer(settings.traces, settings.sampling)
        self._events = None if settings.logs is None else self._make_events(settings.logs)
        self._tasks: list[asyncio.Task[None]] = []
        self_metrics.watch_exports(self.counts)

    def _make_tracer(self, settings: SignalSettings, sampling: Sampling) -> Tracer:
        provider = TracerProvider(
            make_sampler(sampling),
            self._resource,
            shutdown_on_exit=False,
            span_limits=span_limits(settings.limits),
            # Without one, the SDK would choose one by a variable.
            meter_provider=NoOpMeterProvider(),
        )
        provider.add_span_processor(QueuedSpans(self._pipeline(TRACES, settings, lambda span: span)))
        return provider.get_tracer(signals.SCOPE, self._version)

    def _make_events(self, settings: SignalSettings) -> EventLogger:
        count, text = settings.limits.attributes, settings.limits.text
        limits = LogRecordLimits(count, text, count, text)
        provider = LoggerProvider(
            self._resource, shutdown_on_exit=False, meter_provider=NoOpMeterProvider(), log_record_limits=limits
        )
        scope = InstrumentationScope(signals.SCOPE, self._version)
        pipeline = self._pipeline(LOGS, settings, EventConverter(self._resource, scope, limits))
        provider.add_log_record_processor(QueuedLogs(pipeline))
        return EventLogger(pipeline, provider.get_logger(signals.SCOPE, self._version))

    def _pipeline(self, signal: str, settings: SignalSettings, convert: Callable[[Any], Any]) -> Pipeline:
        exporter = RenewedExporter(signal, settings.endpoint, f"iris-exporter/{self._version}")
        report = partial(self._self_metrics.report, f"otlp_{signal}")
        pipeline = Pipeline(signal, settings.batching, convert, exporter, self._random, report)
        self._pipelines.append(pipeline)
        return pipeline

    def start(self, tasks: TaskOwner) -> None:
        """Begin to send; call it on the event loop."""
        for signal, settings in ((TRACES, self._settings.traces), (LOGS, self._settings.logs)):
            if settings is not None:
                endpoint = settings.endpoint
                protocol, url = ("console", None) if endpoint is None else (endpoint.protocol, endpoint.url)
                _log.info("otlp.exporting", signal=signal, protocol=protocol, endpoint=url and url.partition("?")[0])
        self._tasks = [tasks.start(f"otlp_{pipeline.signal}", pipeline.run) for pipeline in self._pipelines]
        self._tasks.append(tasks.start("otlp_summaries", self._tick))

    async def close(self) -> None:
        """Finish the streams' spans, send what can be sent within `FLUSH_SECONDS`, and drop the rest, counted."""
        if self._tasks:
            self._tasks[-1].cancel()
        for stream in list(self._streams):
            stream.close()
        for pipeline in self._pipelines:
            pipeline.finish(FLUSH_SECONDS)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FLUSH_SECONDS + 0.2)
        for pipeline in self._pipelines:
            left = pipeline.close()
            if left:
                _log.warning("otlp.lost", signal=pipeline.signal, count=left)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(_TICK_SECONDS)
            for stream in list(self._streams):
                stream.tick()

    def trace_configs(self) -> list[aiohttp.TraceConfig]:
        """Hooks for the session of the streams."""
        return [] if self._tracer is None else [trace_config()]

    def stream(self, name: str, url: str, instruments: StreamInstruments) -> StreamTracer:
        """Traces and logs of a stream; close them when the stream has ended."""
        phase = self._random.random()
        stream = StreamTracer(
            name, url, instruments, self._clock, self._tracer, self._events, phase, self._streams.discard
        )
        self._streams.add(stream)
        return stream

    def counts(self) -> Mapping[str, ExportCounts]:
        """What became of the records of each signal that is exported."""
        return {pipeline.signal: pipeline.counts() for pipeline in self._pipelines}


def span_limits(limits: Limits) -> SpanLimits:
    """The SDK's limits; off for events and attributes of links, which we do not use, or it would read variables."""
    count, text = limits.attributes, limits.text
    return SpanLimits(
        max_attributes=count,
        max_span_attributes=count,
        max_attribute_length=text,
        max_span_attribute_length=text,
        max_links=limits.links,
        max_events=SpanLimits.UNSET,
        max_event_attributes=SpanLimits.UNSET,
        max_link_attributes=SpanLimits.UNSET,
    )


def make_resource(settings: OtelSettings, version: str) -> Resource:
    """The SDK's resource, with its detectors; attributes of the operator take precedence over ours."""
    if any(problem.key == "OTEL_RESOURCE_ATTRIBUTES" for problem in settings.ignored):
        # The SDK would use those attributes that it can read.
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
    """A resource with a cached hash: the encoder needs it for each record, and the SDK computes it from JSON."""

    _hash: int | None = None

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = super().__hash__()
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)
