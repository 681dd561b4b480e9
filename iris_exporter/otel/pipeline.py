"""One signal, from the SDK to its collector: a processor of ours, the queue behind it, and the thread that empties it.

The thread takes at most 70 % of a core's time while records wait (`REST_FACTOR`): Python runs one thread at a time, so
encoding takes its time from ingest. A larger flood fills the queue and is dropped there, counted, in place of slowing
down what the metrics are made of.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from typing_extensions import override

from iris_exporter.core.backoff import Backoff
from iris_exporter.instruments import signals
from iris_exporter.instruments.signals import ExportCounts
from iris_exporter.logs import get_logger
from iris_exporter.otel.export_queue import ExportQueue, Waiting
from iris_exporter.otel.exporters.base import ACCEPTED, Answer, Exporter
from iris_exporter.otel.settings import Batching

REST_FACTOR = 0.4
"""Seconds of rest for each second of CPU time. A log record costs the SDK some 40 us, so that 12,000 to 17,000 of them
can be sent in a second, where a thousand streams at the rate that IRIS promises make 17,000."""

_RETRY_INITIAL_SECONDS, _RETRY_MAX_SECONDS, _RETRY_JITTER = 1.0, 30.0, 0.2
_HINT_CAP_SECONDS = 300.0
_NANOSECONDS = 1_000_000_000
# About: their texts are short.
_SPAN_BYTES, _STATE_BYTES = 2048, 1024

_log = get_logger("otlp").limited(per_minute=6)


class Pipeline:
    """One signal, `traces` or `logs`. `run` is a long-lived task; `offer`, `finish` and `close` are for its event loop.

    `convert` makes a record of the SDK of one that was offered, and `report` takes the reason of each batch that failed
    and None for each one that did not (`core.own_failures`); both are called on the thread that sends.
    """

    def __init__(
        self,
        signal: str,
        batching: Batching,
        convert: Callable[[Any], Any],
        exporter: Exporter,
        generator: random.Random,
        report: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self.signal = signal
        self._convert = convert
        self._exporter = exporter
        self._report = report
        backoff = Backoff(_RETRY_INITIAL_SECONDS, _RETRY_MAX_SECONDS, _RETRY_JITTER, generator.random)
        self._queue = ExportQueue(batching, backoff.delay)
        self._wake = threading.Event()
        self._finish_by: float | None = None  # monotonic; None until `finish`
        self._largest: int | None = None  # records in a request, after a larger one was refused
        self._is_away = False  # the collector, at the last attempt

    def offer(self, records: Collection[Waiting], *, minor: bool = False) -> None:
        """Queue records; see `ExportQueue.offer`. Takes microseconds, whatever the collector does."""
        if self._queue.offer(records, time.monotonic(), minor=minor):
            self._wake.set()

    def counts(self) -> ExportCounts:
        """How many records there are of each outcome."""
        return self._queue.counts()

    async def run(self) -> None:
        """Send until `finish`, on a thread; a mistake that ends the thread is raised here."""
        ended: Future[None] = Future()
        ended.set_running_or_notify_cancel()  # the thread sets it, whether somebody waits for it or not

        def work() -> None:
            try:
                self._send_until_finished()
            except BaseException as error:  # noqa: BLE001 (it is raised in the task)
                ended.set_exception(error)
            else:
                ended.set_result(None)

        # A daemon, because a collector that does not answer must not keep the process alive.
        threading.Thread(target=work, name=f"otlp-{self.signal}", daemon=True).start()
        await asyncio.wrap_future(ended)

    def finish(self, seconds: float) -> None:
        """Send what is queued, unless the collector is away, and end `run` within `seconds` or one request."""
        self._finish_by = time.monotonic() + seconds
        self._wake.set()

    def close(self) -> int:
        """Drop what is still queued, and return how many records that were."""
        left = self._queue.close()
        self._exporter.close()
        return left

    # The thread

    def _send_until_finished(self) -> None:
        while self._finish_by is None:
            due = self._queue.due_in(time.monotonic())
            if due is None or due > 0:
                self._wake.wait(due)
                self._wake.clear()
                continue
            before = time.thread_time()
            self._send_batch()
            if self._finish_by is None:
                time.sleep((time.thread_time() - before) * REST_FACTOR)
        while self._queue.due_in(0.0) is not None and time.monotonic() < self._finish_by:
            self._send_batch()
            if self._is_away:
                return

    def _send_batch(self) -> None:
        batch = self._queue.take(time.time(), self._largest)
        if not batch:  # all were too old
            return
        records = list(self._converted(batch))
        try:
            answer = self._exporter.export(records) if records else ACCEPTED
        except Exception as error:  # noqa: BLE001 (a mistake of ours or a library's must not end the export)
            answer = Answer(retry=True, reason=type(error).__name__)
        if answer.retry:
            self._postpone(answer)
        elif answer.too_large and len(records) > 1:
            self._largest = len(records) // 2
        else:
            self._settle(len(records), len(batch) - len(records), answer)

    def _converted(self, batch: Sequence[Waiting]) -> Iterator[Any]:
        """Records of the SDK. One that cannot be converted is left out, or it would be tried for ever."""
        for waiting in batch:
            try:
                yield self._convert(waiting.record)
            except Exception as error:  # noqa: BLE001 (whatever a source may have sent, the others go on)
                _log.warning("otlp.unconvertible", signal=self.signal, reason=type(error).__name__)

    def _postpone(self, answer: Answer) -> None:
        hint = answer.retry_after_seconds
        delay = self._queue.postpone(time.monotonic(), None if hint is None else min(hint, _HINT_CAP_SECONDS))
        self._is_away = True
        self._report(answer.failure)
        _log.warning(
            "otlp.unavailable", signal=self.signal, reason=answer.reason, retry_seconds=round(delay, 1),
            queued=self._queue.counts().queued,
        )  # fmt: skip

    def _settle(self, sent: int, unconvertible: int, answer: Answer) -> None:
        self._largest = None
        if self._is_away:
            self._is_away = False
            _log.info("otlp.available", signal=self.signal, queued=self._queue.counts().queued)
        rejected = min(answer.rejected, sent)
        failed = unconvertible + rejected
        self._report(answer.failure if rejected else "invalid" if unconvertible else None)
        if failed:
            reason = answer.reason or "cannot be encoded"
            _log.warning("otlp.refused", signal=self.signal, reason=reason, count=failed)
        self._queue.settle(sent - rejected, failed)


class QueuedSpans(SpanProcessor):
    """Queues each sampled span that has ended. Spans of events are minor: a source can cause any number of them."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    @override
    def on_end(self, span: ReadableSpan) -> None:
        if span.context is None or not span.context.trace_flags.sampled:
            return
        timestamp = (span.end_time or 0) / _NANOSECONDS
        self._pipeline.offer([Waiting(timestamp, _SPAN_BYTES, span)], minor=span.name == signals.EVENT_SPAN.name)


class QueuedLogs(LogRecordProcessor):
    """Queues each log record that the SDK's logger has emitted."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    @override
    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        record = log_record.log_record
        assert log_record.resource is not None  # noqa: S101 (our provider has one)
        made = ReadableLogRecord(record, log_record.resource, log_record.instrumentation_scope, log_record.limits)
        timestamp = (record.observed_timestamp or 0) / _NANOSECONDS
        self._pipeline.offer([Waiting(timestamp, _STATE_BYTES, made)])

    @override
    def shutdown(self) -> None:
        """`Telemetry` closes the pipeline."""

    @override
    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Records are sent as soon as they can be."""
        return True
