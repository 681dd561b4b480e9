"""The thread that empties an export queue: waits, converts, sends, and waits again.

It takes at most 70 % of a core's time while records wait (`REST_FACTOR`): Python runs one thread at a time, so what
encoding takes is taken from ingest. A flood that is larger than that fills the queue and is dropped there, counted,
in place of slowing down what the metrics are made of.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from iris_exporter.http.tls import UnusableFileError
from iris_exporter.logs import get_logger
from iris_exporter.otel.export_queue import ExportQueue, Waiting
from iris_exporter.otel.exporters.base import ACCEPTED, Answer, Exporter

REST_FACTOR = 0.4
"""Seconds of rest for each second of CPU time. A log record costs the SDK some 40 us, so that 12,000 to 17,000 of them
can be sent in a second, where a thousand streams at the rate that IRIS promises make 17,000."""

_log = get_logger("otlp").limited(per_minute=6)
_IDLE_SECONDS = 3600.0


class ExportThread:
    """Sends what is in `queue`. `start` it, `wake` it when a batch is waiting, `finish` it from another thread.

    `convert` makes a record of the SDK of one that waited. `make_exporter` is called on the thread when there is
    something to send: that is when a client is imported. `on_result` is called on the thread, with the numbers of
    records exported and failed, and `on_end` when the thread is about to end.
    """

    def __init__(
        self,
        signal: str,
        queue: ExportQueue,
        convert: Callable[[Any], Any],
        make_exporter: Callable[[], Exporter],
        timeout_seconds: float,
        on_result: Callable[[int, int], None],
        on_end: Callable[[], None],
    ) -> None:
        self._signal = signal
        self._queue = queue
        self._convert = convert
        self._make_exporter = make_exporter
        self._exporter: Exporter | None = None
        self._timeout = timeout_seconds
        self._on_result = on_result
        self._wake = threading.Event()
        self._finish_by: float | None = None  # monotonic; None while it goes on
        self._largest: int | None = None  # records in a request, after a larger one was refused
        self._down = False
        self._on_end = on_end
        # A daemon, because a collector that swallows what it is sent must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=f"otlp-{signal}", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def wake(self) -> None:
        """A whole batch is waiting."""
        self._wake.set()

    def finish(self, seconds: float) -> None:
        """Send what there is, without waiting for a collector that is away, and end within `seconds` or so."""
        self._finish_by = time.monotonic() + seconds
        self._wake.set()

    def abandon(self) -> None:
        """Let the connection go, whatever the thread is doing."""
        if self._exporter is not None:
            self._exporter.close()

    def _run(self) -> None:
        try:
            while self._finish_by is None:
                due = self._queue.due_in(time.monotonic())
                if due is None or due > 0:
                    self._wake.wait(min(_IDLE_SECONDS if due is None else due, _IDLE_SECONDS))
                    self._wake.clear()
                    continue
                self._rest(self._turn(self._timeout))
            self._flush()
        finally:
            self.abandon()
            self._on_end()

    def _rest(self, spent: float) -> None:
        if spent > 0 and self._finish_by is None:
            time.sleep(spent * REST_FACTOR)

    def _flush(self) -> None:
        assert self._finish_by is not None  # noqa: S101 (only then is it called)
        while self._queue.due_in(0.0) is not None:
            left = self._finish_by - time.monotonic()
            if left <= 0:
                return
            self._turn(min(left, self._timeout))
            if self._down:
                return

    def _turn(self, timeout: float) -> float:
        """Send one batch; the CPU seconds that this took."""
        before = time.thread_time()
        batch = self._queue.take(time.time(), self._largest)
        if batch:
            records = list(self._converted(batch))
            try:
                answer = self._send(records, timeout) if records else ACCEPTED
            except Exception as error:  # noqa: BLE001 (a mistake of ours or a file that is gone must not end the export)
                answer = Answer(retry=True, reason=_reason(error))
            self._settle(len(records), len(batch) - len(records), answer)
        return time.thread_time() - before

    def _converted(self, batch: Sequence[Waiting]) -> Iterator[Any]:
        """Records of the SDK; one that none can be made of is left out, so that it does not come back for ever."""
        for waiting in batch:
            try:
                yield self._convert(waiting.record)
            except Exception as error:  # noqa: BLE001 (whatever a source may have sent, the others go on)
                _log.warning("otlp.unconvertible", signal=self._signal, reason=type(error).__name__)

    def _send(self, records: Sequence[Any], timeout: float) -> Answer:
        if self._exporter is None:
            self._exporter = self._make_exporter()
        return self._exporter.export(records, timeout)

    def _settle(self, count: int, failed: int, answer: Answer) -> None:
        if answer.retry:
            delay = self._queue.postpone(time.monotonic(), answer.retry_after_seconds)
            self._down = True
            _log.warning(
                "otlp.unavailable", signal=self._signal, reason=answer.reason, retry_seconds=round(delay, 1),
                queued=self._queue.counts().queued,
            )  # fmt: skip
            return
        if answer.too_large and count > 1:
            self._largest = count // 2
            return
        self._largest = None
        if self._down:
            self._down = False
            _log.info("otlp.available", signal=self._signal, queued=self._queue.counts().queued)
        if answer.rejected or failed:
            _log.warning(
                "otlp.refused", signal=self._signal, reason=answer.reason or "cannot be encoded",
                count=answer.rejected + failed,
            )  # fmt: skip
        exported, failed = count - answer.rejected, failed + answer.rejected
        if self._queue.settle(exported, failed):
            self._on_result(exported, failed)


def _reason(error: Exception) -> str:
    """A file of certificates says itself what is wrong with it; other texts may quote what was sent."""
    return str(error) if isinstance(error, UnusableFileError) else type(error).__name__
