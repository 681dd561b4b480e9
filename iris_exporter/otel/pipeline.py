"""One signal, from the SDK to its collector: a processor of ours, the queue behind it, its thread, and the counting."""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import Any

from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from iris_exporter.core.backoff import Backoff
from iris_exporter.instruments import signals
from iris_exporter.otel.export_queue import Counts, ExportQueue, Waiting
from iris_exporter.otel.export_thread import ExportThread
from iris_exporter.otel.exporters import make_exporter
from iris_exporter.otel.settings import SignalSettings

_RETRY_INITIAL_SECONDS, _RETRY_MAX_SECONDS, _RETRY_JITTER = 1.0, 30.0, 0.2
_HINT_CAP_SECONDS = 300.0
_CONSOLE_TIMEOUT_SECONDS = 10.0
_NANOSECONDS = 1_000_000_000
# About: their texts are short.
_SPAN_BYTES, _STATE_BYTES = 2048, 1024

OnCounted = Callable[[int, int, int, int], None]
"""Takes numbers of records made, exported, failed and dropped."""


class Pipeline:
    """One signal. `start` it on the event loop, which is where `offer` and `on_counted` are called from then on.

    Args:
        signal: `traces` or `logs`.
        convert: From a record that waited to one of the SDK, on the thread that sends.
    """

    def __init__(
        self,
        signal: str,
        settings: SignalSettings,
        convert: Callable[[Any], Any],
        user_agent: str,
        generator: random.Random,
        on_counted: OnCounted,
    ) -> None:
        self.signal = signal
        self.endpoint = settings.endpoint
        self._on_counted = on_counted
        self._backoff = Backoff(_RETRY_INITIAL_SECONDS, _RETRY_MAX_SECONDS, _RETRY_JITTER, generator.random)
        self._queue = ExportQueue(settings.batching, self._retry_delay, self._dropped)
        timeout = _CONSOLE_TIMEOUT_SECONDS if self.endpoint is None else self.endpoint.timeout_seconds
        self._thread = ExportThread(
            signal,
            self._queue,
            convert,
            partial(make_exporter, signal, self.endpoint, user_agent),
            timeout,
            self._settled,
            self._thread_ended,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self.ended = asyncio.Event()

    def start(self) -> None:
        """Begin to send."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._thread.start()

    def offer(self, records: Collection[Waiting], *, minor: bool = False) -> None:
        """Take records over; see `ExportQueue.offer`. Takes microseconds, whatever the collector does."""
        self._on_counted(len(records), 0, 0, 0)
        if self._queue.offer(records, time.monotonic(), minor=minor):
            self._thread.wake()

    def finish(self, seconds: float) -> None:
        """Send what is left within that time; `ended` is set when the thread has ended."""
        self._thread.finish(seconds)

    def close(self) -> int:
        """Give up what is left, and say how much that was."""
        left = self._queue.close()
        self._thread.abandon()
        return left

    def counts(self) -> Counts:
        """See `ExportQueue.counts`."""
        return self._queue.counts()

    def _retry_delay(self, attempt: int, hint: float | None) -> float:
        return self._backoff.delay(attempt, None if hint is None else min(hint, _HINT_CAP_SECONDS))

    # From whatever thread it happens on to the event loop

    def _dropped(self, count: int) -> None:
        self._hand_over(partial(self._on_counted, 0, 0, 0, count))

    def _settled(self, exported: int, failed: int) -> None:
        self._hand_over(partial(self._on_counted, 0, exported, failed, 0))

    def _thread_ended(self) -> None:
        self._hand_over(self.ended.set)

    def _hand_over(self, call: Callable[[], None]) -> None:
        if threading.get_ident() == self._loop_thread or self._loop is None:
            call()
            return
        with suppress(RuntimeError):  # the loop is closed: nobody reads these numbers any more
            self._loop.call_soon_threadsafe(call)


class QueuedSpans(SpanProcessor):
    """Puts each span that has ended into the queue. Those of which a source can make any number are minor."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def on_end(self, span: ReadableSpan) -> None:
        """See `SpanProcessor.on_end`."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        timestamp = (span.end_time or 0) / _NANOSECONDS
        self._pipeline.offer([Waiting(timestamp, _SPAN_BYTES, span)], minor=span.name == signals.EVENT_SPAN.name)


class QueuedLogs(LogRecordProcessor):
    """Puts each log record that the SDK's logger has emitted into the queue, and events that become one later."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """See `LogRecordProcessor.on_emit`."""
        record = log_record.log_record
        assert log_record.resource is not None  # noqa: S101 (our provider has one)
        made = ReadableLogRecord(record, log_record.resource, log_record.instrumentation_scope, log_record.limits)
        timestamp = (record.observed_timestamp or 0) / _NANOSECONDS
        self._pipeline.offer([Waiting(timestamp, _STATE_BYTES, made)])

    def shutdown(self) -> None:
        """See `LogRecordProcessor.shutdown`: the pipeline is closed by itself."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 (see LogRecordProcessor)
        """See `LogRecordProcessor.force_flush`: there is nothing that would not be sent as soon as it can be."""
        return True
