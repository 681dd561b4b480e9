"""Everything that is exported by one process: made from `OtelSettings`, started, and closed within a bound."""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import aiohttp

from iris_exporter import logs
from iris_exporter.clock import Clock
from iris_exporter.instruments.catalog import SIGNALS
from iris_exporter.instruments.exposition import Family
from iris_exporter.instruments.selfmetrics import SelfMetrics
from iris_exporter.instruments.stream import StreamInstruments
from iris_exporter.instruments.telemetry.context import Ids, Sampler
from iris_exporter.instruments.telemetry.hooks import trace_config
from iris_exporter.instruments.telemetry.outbox import Counts
from iris_exporter.instruments.telemetry.pipe import Pipe
from iris_exporter.instruments.telemetry.records import Encoded, LogRecord, Reading, Span, SpanContext
from iris_exporter.instruments.telemetry.resource import resource_attributes
from iris_exporter.instruments.telemetry.settings import (
    LOGS,
    METRICS,
    TRACES,
    Batching,
    Limits,
    OtelSettings,
    SignalSettings,
)
from iris_exporter.instruments.telemetry.stream import StreamTelemetry
from iris_exporter.instruments.text import Sample

FLUSH_SECONDS = 2.0
"""What is left may take this long at the end; with the streams' and the server's own ends that is below 5 s."""

_TICK_SECONDS = 1.0
# A push that waits is replaced by the next one, which says all that it said.
_PUSHES = Batching(queue_size=1, batch_size=1, delay_seconds=0.0)
_PIECE_SECONDS = 0.005
_log = logs.get_logger("otlp")

Collect = Callable[[], Iterable[tuple[Family, list[Sample]]]]


class Telemetry:
    """Exports what the settings ask for. `start` it on the event loop, and `close` it there.

    `collect` gives all families with their samples (`Exposition.samples`); it is called for each push of metrics.
    """

    def __init__(
        self,
        settings: OtelSettings,
        clock: Clock,
        version: str,
        self_metrics: SelfMetrics,
        collect: Collect,
        generator: random.Random | None = None,
    ) -> None:
        for secret in settings.secrets():
            logs.protect(secret)
        self._settings = settings
        self._clock = clock
        self._version = version
        self._self_metrics = self_metrics
        self._collect = collect
        self._random = random.Random() if generator is None else generator
        self._ids = Ids(Sampler(settings.sampling), self._random.getrandbits)
        self.resource = resource_attributes(settings.resource, version)
        self._started = clock.wall()
        self._tasks: list[asyncio.Task[None]] = []
        self._streams: dict[str, StreamTelemetry] = {}
        self._pipes: list[Pipe[Any]] = []
        self._spans = self._records_pipe(TRACES, settings.traces)
        self._logs = self._records_pipe(LOGS, settings.logs)
        self._readings: Pipe[Reading] | None = None
        if settings.metrics is not None:
            endpoint = settings.metrics.endpoint
            self._readings = self._pipe(Pipe(METRICS, _PUSHES, endpoint, self._reading_encoder, *self._common(METRICS)))

    def _records_pipe(self, signal: str, settings: SignalSettings | None) -> Pipe[Any] | None:
        if settings is None:
            return None

        def make_encode() -> Callable[[Sequence[Any]], Encoded]:
            return self._record_encoder(signal, settings.limits)

        return self._pipe(Pipe(signal, settings.batching, settings.endpoint, make_encode, *self._common(signal)))

    def _pipe(self, pipe: Pipe[Any]) -> Pipe[Any]:
        self._pipes.append(pipe)
        return pipe

    def _common(self, signal: str) -> tuple[str, random.Random, Callable[[int, int, int], None]]:
        def counted(exported: int, failed: int, dropped: int) -> None:
            if signal in SIGNALS:
                self._self_metrics.otlp_exported(signal, exported)
                self._self_metrics.otlp_failed(signal, failed)
                self._self_metrics.otlp_dropped(signal, dropped)

        return f"iris-exporter/{self._version}", self._random, counted

    # Called on the threads, since that is where OpenTelemetry's messages are imported

    def _record_encoder(self, signal: str, limits: Limits) -> Callable[[Sequence[Any]], Encoded]:
        from iris_exporter.instruments.telemetry.encoding import Encoder

        encoder = Encoder(self.resource, self._version, limits, logs.redact)
        return encoder.spans if signal == TRACES else encoder.logs

    def _reading_encoder(self) -> Callable[[Sequence[Reading]], Encoded]:
        from iris_exporter.instruments.telemetry.metrics import MetricsEncoder

        return MetricsEncoder(self.resource, self._version, self._started).encode

    # Life

    def start(self) -> None:
        """Begin to send; call it on the event loop."""
        loop = asyncio.get_running_loop()
        for pipe in self._pipes:
            pipe.start()
            endpoint = pipe.endpoint
            _log.info(
                "otlp.exporting",
                signal=pipe.signal,
                protocol="console" if endpoint is None else endpoint.protocol,
                endpoint=None if endpoint is None else endpoint.url.partition("?")[0],
            )
        self._tasks.append(loop.create_task(self._tick(), name="otlp: summaries"))
        if self._readings is not None and self._settings.metrics is not None:
            pushing = self._push_for_ever(self._readings, self._settings.metrics.interval_seconds)
            self._tasks.append(loop.create_task(pushing, name="otlp: metrics"))

    async def close(self) -> None:
        """Tell what is left, send what can be sent within `FLUSH_SECONDS`, and drop the rest, counted."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stream in list(self._streams.values()):
            stream.close()
        if self._readings is not None:
            await self._push(self._readings)
        for pipe in self._pipes:
            pipe.finish(FLUSH_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS + 0.2):
                await asyncio.gather(*(pipe.ended.wait() for pipe in self._pipes))
        for pipe in self._pipes:
            left = pipe.close()
            if left:
                _log.warning("otlp.lost", signal=pipe.signal, count=left)

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(_TICK_SECONDS)
            for stream in list(self._streams.values()):
                stream.tick()

    async def _push_for_ever(self, readings: Pipe[Reading], interval_seconds: float) -> None:
        while True:
            await self._clock.sleep(interval_seconds)
            await self._push(readings)

    async def _push(self, readings: Pipe[Reading]) -> None:
        """Read everything, and let others run now and then."""
        moment = self._clock.wall()
        families = []
        begun = time.perf_counter()
        for family, samples in self._collect():
            families.append((family, samples))
            if time.perf_counter() - begun > _PIECE_SECONDS:
                await asyncio.sleep(0)
                begun = time.perf_counter()
        readings.offer([Reading(moment, families)])

    # What others use

    def trace_configs(self) -> list[aiohttp.TraceConfig]:
        """What the session of the streams is to be made with."""
        return [] if self._spans is None else [trace_config()]

    def stream(self, name: str, url: str, instruments: StreamInstruments) -> StreamTelemetry:
        """What a stream tells its traces and logs to; close it when the stream has ended."""
        stream = StreamTelemetry(
            name,
            url,
            instruments,
            self._clock,
            self._ids,
            None if self._spans is None else self._offer_spans,
            None if self._logs is None else self._offer_logs,
            self._random.random(),
            self._forget,
        )
        self._streams[name] = stream
        return stream

    def _forget(self, stream: StreamTelemetry) -> None:
        if self._streams.get(stream.name) is stream:
            del self._streams[stream.name]

    def _offer_spans(self, spans: Sequence[Span], minor: bool) -> None:
        if self._spans is not None:
            self._self_metrics.otlp_made(TRACES, len(spans))
            self._spans.offer(spans, minor=minor)

    def _offer_logs(self, records: Sequence[LogRecord]) -> None:
        if self._logs is not None:
            self._self_metrics.otlp_made(LOGS, len(records))
            self._logs.offer(records)

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
        return None if context is None else (context.trace_id.hex(), context.span_id.hex())

    def counts(self) -> Mapping[str, Counts]:
        """What became of the records of each signal; metrics count pushes."""
        return {pipe.signal: pipe.counts() for pipe in self._pipes}
