"""One signal, from the event loop to its collector: an outbox, the thread that empties it, and the counting."""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Generic

from iris_exporter.core.backoff import Backoff
from iris_exporter.instruments.telemetry.outbox import Counts, Outbox, Record
from iris_exporter.instruments.telemetry.records import Encoded
from iris_exporter.instruments.telemetry.senders.base import Sender
from iris_exporter.instruments.telemetry.settings import Batching, Endpoint
from iris_exporter.instruments.telemetry.worker import Worker

_RETRY_INITIAL_SECONDS, _RETRY_MAX_SECONDS, _RETRY_JITTER = 1.0, 30.0, 0.2
_HINT_CAP_SECONDS = 300.0
_CONSOLE_TIMEOUT_SECONDS = 10.0

OnCounted = Callable[[int, int, int], None]
"""Takes numbers of records exported, failed and dropped."""


class Pipe(Generic[Record]):
    """One signal. `start` it on the event loop, which is where `offer` and `on_counted` are called from then on.

    Args:
        signal: `traces`, `logs` or `metrics`.
        endpoint: None writes to stdout.
        make_encode: Called on the thread, when there is something to send.
    """

    def __init__(
        self,
        signal: str,
        batching: Batching,
        endpoint: Endpoint | None,
        make_encode: Callable[[], Callable[[Sequence[Record]], Encoded]],
        user_agent: str,
        generator: random.Random,
        on_counted: OnCounted,
    ) -> None:
        self.signal = signal
        self.endpoint = endpoint
        self._user_agent = user_agent
        self._make_encode = make_encode
        self._on_counted = on_counted
        self._backoff = Backoff(_RETRY_INITIAL_SECONDS, _RETRY_MAX_SECONDS, _RETRY_JITTER, generator.random)
        self._outbox: Outbox[Record] = Outbox(batching, self._retry_delay, self._dropped)
        timeout = _CONSOLE_TIMEOUT_SECONDS if endpoint is None else endpoint.timeout_seconds
        self._worker = Worker(signal, self._outbox, self._prepare, timeout, self._settled, self._thread_ended)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self.ended = asyncio.Event()

    def start(self) -> None:
        """Begin to send."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._worker.start()

    def offer(self, records: Collection[Record], *, minor: bool = False) -> None:
        """Take records over; see `Outbox.offer`. Takes microseconds, whatever the collector does."""
        if self._outbox.offer(records, time.monotonic(), minor=minor):
            self._worker.wake()

    def finish(self, seconds: float) -> None:
        """Send what is left within that time; `ended` is set when the thread has ended."""
        self._worker.finish(seconds)

    def close(self) -> int:
        """Give up what is left, and say how much that was."""
        left = self._outbox.close()
        self._worker.abandon()
        return left

    def counts(self) -> Counts:
        """See `Outbox.counts`."""
        return self._outbox.counts()

    def _retry_delay(self, attempt: int, hint: float | None) -> float:
        return self._backoff.delay(attempt, None if hint is None else min(hint, _HINT_CAP_SECONDS))

    def _prepare(self) -> tuple[Callable[[Sequence[Record]], Encoded], Sender]:
        return self._make_encode(), make_sender(self.signal, self.endpoint, self._user_agent)

    # From whatever thread it happens on to the event loop

    def _dropped(self, count: int) -> None:
        self._hand_over(partial(self._on_counted, 0, 0, count))

    def _settled(self, exported: int, failed: int) -> None:
        self._hand_over(partial(self._on_counted, exported, failed, 0))

    def _thread_ended(self) -> None:
        self._hand_over(self.ended.set)

    def _hand_over(self, call: Callable[[], None]) -> None:
        if threading.get_ident() == self._loop_thread or self._loop is None:
            call()
            return
        with suppress(RuntimeError):  # the loop is closed: nobody reads these numbers any more
            self._loop.call_soon_threadsafe(call)


def make_sender(signal: str, endpoint: Endpoint | None, user_agent: str) -> Sender:
    """The sender for an endpoint. Only what it needs is imported."""
    if endpoint is None:
        from iris_exporter.instruments.telemetry.senders.console import ConsoleSender

        return ConsoleSender(signal)
    make: Callable[[], Sender]
    if endpoint.protocol == "grpc":
        from iris_exporter.instruments.telemetry.senders.grpc import GrpcSender

        make = partial(GrpcSender, signal, endpoint, user_agent)
    else:
        from iris_exporter.instruments.telemetry.senders.http import HttpSender

        make = partial(HttpSender, signal, endpoint, user_agent)
    if endpoint.insecure:
        return make()
    from iris_exporter.instruments.telemetry.senders.base import trusted_files
    from iris_exporter.instruments.telemetry.senders.renewed import RenewedSender

    return RenewedSender(signal, trusted_files(endpoint), make)
