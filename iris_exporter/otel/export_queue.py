"""The queue between the event loop and an exporter: bounded, counted to the record, and without a clock or a thread.

Theory. A record waits, or it is in flight: in the batch that is being sent. It leaves in one of three ways: exported,
failed (refused for good, or impossible to encode), or dropped (the queue was full, the record too old, or the end
came). So at any time

    produced = exported + failed + dropped + queued        (queued: waiting or in flight)

When the queue is full, by number or by weight, the oldest waiting record is dropped: new records are worth more.
*Minor* records, of which a source can make any number, are dropped themselves when the queue is half full.

Every method holds the lock briefly; times are monotonic seconds, except for a record's own.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from iris_exporter.instruments.signals import ExportCounts
from iris_exporter.otel.settings import Batching

MAX_AGE_SECONDS = 3600.0
"""Age at which an unsent record is dropped: collectors and stores refuse old records."""
MAX_WAITING_BYTES = 128 * 1024 * 1024
"""Memory for waiting records. A source may send events of a megabyte each, and then their number bounds nothing."""
MAX_BATCH_BYTES = 2 * 1024 * 1024
"""Approximate weight of a batch, unless it is a single record: a request has to be small enough for a collector."""


class Waiting(NamedTuple):
    """A record in the queue: when it was made (Unix seconds), and roughly how many bytes of memory it takes."""

    timestamp: float
    weight: int
    record: Any


class ExportQueue:
    """The queue of one signal. `offer` is for the event loop, the rest for the one thread that sends.

    `retry_delay` gives the seconds before attempt number n, with the collector's hint or None.
    """

    def __init__(self, batching: Batching, retry_delay: Callable[[int, float | None], float]) -> None:
        self._batching = batching
        self._retry_delay = retry_delay
        self._lock = threading.Lock()
        self._waiting: deque[Waiting] = deque()
        self._weight = 0  # of the waiting records
        self._in_flight: deque[Waiting] = deque()
        self._since = 0.0  # when the queue last ceased to be empty
        self._attempts = 0
        self._not_before = 0.0
        self._closed = False
        self._produced = self._exported = self._failed = self._dropped = 0

    def offer(self, records: Collection[Waiting], now: float, *, minor: bool = False) -> bool:
        """Add records; whether the sender has to wake up: the queue was empty, or a whole batch is waiting now."""
        waiting, size = self._waiting, self._batching.queue_size
        with self._lock:
            if not waiting:
                self._since = now
            before = len(waiting)
            self._produced += len(records)
            if self._closed or (minor and len(waiting) + len(records) > size // 2):
                self._dropped += len(records)
                return False
            waiting.extend(records)
            self._weight += sum([record.weight for record in records])
            while len(waiting) > size or self._weight > MAX_WAITING_BYTES:
                self._next()
                self._dropped += 1
            return bool(waiting) and (not before or before < self._batching.batch_size <= len(waiting))

    def due_in(self, now: float) -> float | None:
        """Seconds until a batch has to be sent, 0 or less for now; None when the queue is empty."""
        with self._lock:
            if self._in_flight:
                return self._not_before - now
            if not self._waiting:
                return None
            if len(self._waiting) >= self._batching.batch_size:
                return 0.0
            return self._since + self._batching.delay_seconds - now

    def take(self, wall: float, limit: int | None = None) -> Sequence[Waiting]:
        """The batch to send, oldest first: the one in flight, or else a new one. Records that are too old are dropped.

        Args:
            wall: Unix seconds.
            limit: At most this many records; None for the configured number.
        """
        oldest = wall - MAX_AGE_SECONDS
        with self._lock:
            while self._in_flight and self._in_flight[0].timestamp < oldest:
                self._in_flight.popleft()
                self._dropped += 1
            while self._waiting and self._waiting[0].timestamp < oldest:
                self._next()
                self._dropped += 1
            if not self._in_flight:
                self._attempts = 0
                weight = 0
                while self._waiting and len(self._in_flight) < self._batching.batch_size:
                    weight += self._waiting[0].weight
                    if self._in_flight and weight > MAX_BATCH_BYTES:
                        break
                    self._in_flight.append(self._next())
            return list(self._in_flight)[:limit]

    def _next(self) -> Waiting:
        record = self._waiting.popleft()
        self._weight -= record.weight
        return record

    def settle(self, exported: int, failed: int) -> None:
        """Count the first `exported + failed` records in flight as such, unless the queue has been closed."""
        with self._lock:
            if self._closed:
                return  # counted as dropped already
            for _ in range(exported + failed):
                self._in_flight.popleft()
            self._exported += exported
            self._failed += failed
            self._attempts = 0
            self._not_before = 0.0

    def postpone(self, now: float, hint: float | None) -> float:
        """Send the batch in flight again later: return the seconds until then."""
        with self._lock:
            self._attempts += 1
            delay = self._retry_delay(self._attempts, hint)
            self._not_before = now + delay
        return delay

    def close(self) -> int:
        """Drop what is queued, and whatever is offered later; return how many records were queued."""
        with self._lock:
            left = len(self._waiting) + len(self._in_flight)
            self._waiting.clear()
            self._weight = 0
            self._in_flight.clear()
            self._closed = True
            self._dropped += left
        return left

    def counts(self) -> ExportCounts:
        """What became of the records up to now."""
        with self._lock:
            queued = len(self._waiting) + len(self._in_flight)
            return ExportCounts(self._produced, self._exported, self._failed, self._dropped, queued)
