"""The queue between the event loop and an exporter: bounded, counted to the record, and without a clock or a thread.

Theory. A record is in one of two places: it waits, or it is in flight, in the batch that is being sent. It leaves in
one of three ways: exported, failed (refused for good, or impossible to encode), or dropped (the queue was full, it was
too old, or the end came). So at any time

    produced = exported + failed + dropped + queued        (queued: waiting or in flight)

When the queue is full, by number or by weight, the oldest waiting record goes: what is new is worth more than what is
old. *Minor* records, of which a source can make any number, go themselves when the queue is half full, and leave the
rest to the others.

Every method holds the lock briefly; times are monotonic seconds, except for a record's own.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from iris_exporter.otel.settings import Batching

MAX_AGE_SECONDS = 3600.0
"""A record that could not be sent for an hour is given up: collectors and stores refuse what is old."""


MAX_WAITING_BYTES = 128 * 1024 * 1024
"""What waiting records may take. A source may send events of a megabyte each, and then the number bounds nothing."""


MAX_BATCH_BYTES = 2 * 1024 * 1024
"""About what the records of one batch may weigh, unless it is one alone: a request has to be small enough."""


class Waiting(NamedTuple):
    """A record that waits: when it was made, in Unix seconds, and about how many bytes of memory it takes."""

    timestamp: float
    weight: int
    record: Any


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the records so far; see the theory of the module."""

    produced: int
    exported: int
    failed: int
    dropped: int
    queued: int


class ExportQueue:
    """The queue of one signal. `offer` is for the event loop, the rest for the one thread that sends.

    `retry_delay` gives the seconds before attempt number n, with the collector's hint or None.
    `on_drop` is called with the number of records dropped, on whatever thread it happens.
    """

    def __init__(
        self,
        batching: Batching,
        retry_delay: Callable[[int, float | None], float],
        on_drop: Callable[[int], None],
    ) -> None:
        self._batching = batching
        self._retry_delay = retry_delay
        self._on_drop = on_drop
        self._lock = threading.Lock()
        self._waiting: deque[Waiting] = deque()
        self._weight = 0  # of what waits
        self._in_flight: deque[Waiting] = deque()
        self._since = 0.0  # when the queue last ceased to be empty
        self._attempts = 0
        self._not_before = 0.0
        self._closed = False
        self._produced = self._exported = self._failed = self._dropped = 0

    def offer(self, records: Collection[Waiting], now: float, *, minor: bool = False) -> bool:
        """Take records over; whether the sender is to be woken: something waits again, or a whole batch does."""
        waiting, size = self._waiting, self._batching.queue_size
        with self._lock:
            if not waiting:
                self._since = now
            before = len(waiting)
            self._produced += len(records)
            if self._closed or (minor and len(waiting) + len(records) > size // 2):
                dropped = len(records)
            else:
                waiting.extend(records)
                self._weight += sum([record.weight for record in records])
                dropped = 0
                while len(waiting) > size or self._weight > MAX_WAITING_BYTES:
                    self._next()
                    dropped += 1
            self._dropped += dropped
            wake = bool(waiting) and (not before or before < self._batching.batch_size <= len(waiting))
        if dropped:
            self._on_drop(dropped)
        return wake

    def due_in(self, now: float) -> float | None:
        """Seconds until something is to be sent, 0 or less for now; None when there is nothing."""
        with self._lock:
            if self._in_flight:
                return self._not_before - now
            if not self._waiting:
                return None
            if len(self._waiting) >= self._batching.batch_size:
                return 0.0
            return self._since + self._batching.delay_seconds - now

    def take(self, wall: float, limit: int | None = None) -> Sequence[Waiting]:
        """The batch to send, oldest first: the one in flight, or else a new one; what is too old is dropped.

        Args:
            wall: Unix seconds.
            limit: At most this many; None for the configured size.
        """
        oldest = wall - MAX_AGE_SECONDS
        dropped = 0
        with self._lock:
            while self._in_flight and self._in_flight[0].timestamp < oldest:
                self._in_flight.popleft()
                dropped += 1
            while self._waiting and self._waiting[0].timestamp < oldest:
                self._next()
                dropped += 1
            self._dropped += dropped
            if not self._in_flight:
                self._attempts = 0
                weight = 0
                while self._waiting and len(self._in_flight) < self._batching.batch_size:
                    weight += self._waiting[0].weight
                    if self._in_flight and weight > MAX_BATCH_BYTES:
                        break
                    self._in_flight.append(self._next())
            batch = list(self._in_flight)
        if dropped:
            self._on_drop(dropped)
        return batch if limit is None else batch[:limit]

    def _next(self) -> Waiting:
        record = self._waiting.popleft()
        self._weight -= record.weight
        return record

    def settle(self, exported: int, failed: int) -> bool:
        """The first `exported + failed` records in flight have been dealt with; False when it is too late to say so."""
        with self._lock:
            if self._closed:
                return False  # counted as dropped already
            for _ in range(exported + failed):
                self._in_flight.popleft()
            self._exported += exported
            self._failed += failed
            self._attempts = 0
            self._not_before = 0.0
        return True

    def postpone(self, now: float, hint: float | None) -> float:
        """The collector cannot take what is in flight now; return the seconds until it is tried again."""
        with self._lock:
            self._attempts += 1
            delay = self._retry_delay(self._attempts, hint)
            self._not_before = now + delay
        return delay

    def close(self) -> int:
        """Drop what is left and whatever comes later; return how many were left."""
        with self._lock:
            left = len(self._waiting) + len(self._in_flight)
            self._waiting.clear()
            self._weight = 0
            self._in_flight.clear()
            self._closed = True
            self._dropped += left
        if left:
            self._on_drop(left)
        return left

    def counts(self) -> Counts:
        """What became of the records, at one moment."""
        with self._lock:
            queued = len(self._waiting) + len(self._in_flight)
            return Counts(self._produced, self._exported, self._failed, self._dropped, queued)
