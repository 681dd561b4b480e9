"""The thread that empties an outbox: waits, encodes, sends, and waits again.

It takes at most a fifth of a core's time while records wait (`REST_FACTOR`): Python runs one thread at a time, so what
encoding takes is taken from ingest. A flood that is larger than that fills the queue and is dropped there, counted,
in place of slowing down what the metrics are made of.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic

from iris_exporter.instruments.telemetry.outbox import Outbox, Record
from iris_exporter.instruments.telemetry.records import Encoded
from iris_exporter.instruments.telemetry.senders.base import ACCEPTED, Answer, Sender
from iris_exporter.logs import get_logger
from iris_exporter.transports.tls import UnusableFileError

REST_FACTOR = 4.0
"""Seconds of rest for each second of CPU time."""

_log = get_logger("otlp").limited(per_minute=6)
_IDLE_SECONDS = 3600.0


class Worker(Generic[Record]):
    """Sends what is in `outbox`. `start` it, `wake` it when a batch is waiting, `finish` it from another thread.

    `prepare` makes what encodes and what sends, on the thread and when there is something to send: that is when
    OpenTelemetry's messages and the client are imported. `on_result` is called on the thread, with the numbers of
    records exported and failed, and `on_end` when the thread is about to end.
    """

    def __init__(
        self,
        signal: str,
        outbox: Outbox[Record],
        prepare: Callable[[], tuple[Callable[[Sequence[Record]], Encoded], Sender]],
        timeout_seconds: float,
        on_result: Callable[[int, int], None],
        on_end: Callable[[], None],
    ) -> None:
        self._signal = signal
        self._outbox = outbox
        self._prepare = prepare
        self._encode: Callable[[Sequence[Record]], Encoded] | None = None
        self._sender: Sender | None = None
        self._timeout = timeout_seconds
        self._on_result = on_result
        self._wake = threading.Event()
        self._finish_by: float | None = None  # monotonic; None while it goes on
        self._largest: int | None = None  # records in a request, after a collector has refused a larger one
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
        if self._sender is not None:
            self._sender.close()

    def _run(self) -> None:
        try:
            while self._finish_by is None:
                due = self._outbox.due_in(time.monotonic())
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
        while self._outbox.due_in(0.0) is not None:
            left = self._finish_by - time.monotonic()
            if left <= 0:
                return
            self._turn(min(left, self._timeout))
            if self._down:
                return

    def _turn(self, timeout: float) -> float:
        """Send one batch; the CPU seconds that this took."""
        before = time.thread_time()
        batch = self._outbox.take(time.time(), self._largest)
        if batch:
            try:
                encoded, answer = self._send(batch, timeout)
            except Exception as error:  # noqa: BLE001 (a mistake of ours or a file that is gone must not end the export)
                encoded, answer = Encoded(b"", 0, 0), Answer(retry=True, reason=_reason(error))
            self._settle(encoded, answer)
        return time.thread_time() - before

    def _send(self, batch: Sequence[Record], timeout: float) -> tuple[Encoded, Answer]:
        if self._encode is None or self._sender is None:
            self._encode, self._sender = self._prepare()
        encoded = self._encode(batch)
        if not encoded.count:
            return encoded, ACCEPTED
        return encoded, self._sender.send(encoded.body, encoded.count, timeout)

    def _settle(self, encoded: Encoded, answer: Answer) -> None:
        if answer.retry:
            delay = self._outbox.postpone(time.monotonic(), answer.retry_after_seconds)
            self._down = True
            _log.warning(
                "otlp.unavailable", signal=self._signal, reason=answer.reason, retry_seconds=round(delay, 1),
                queued=self._outbox.counts().queued,
            )  # fmt: skip
            return
        if answer.too_large and encoded.count > 1:
            self._largest = encoded.count // 2
            return
        self._largest = None
        if self._down:
            self._down = False
            _log.info("otlp.available", signal=self._signal, queued=self._outbox.counts().queued)
        if answer.rejected or encoded.failed:
            _log.warning(
                "otlp.refused", signal=self._signal, reason=answer.reason or "cannot be encoded",
                count=answer.rejected + encoded.failed,
            )  # fmt: skip
        exported, failed = encoded.count - answer.rejected, encoded.failed + answer.rejected
        if self._outbox.settle(exported, failed):
            self._on_result(exported, failed)


def _reason(error: Exception) -> str:
    """A file of certificates says itself what is wrong with it; other texts may quote what was sent."""
    return str(error) if isinstance(error, UnusableFileError) else type(error).__name__
