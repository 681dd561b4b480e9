"""The queue of a signal: bounded, and every record counted once."""

import pytest

from iris_exporter.core.backoff import Backoff
from iris_exporter.otel.environment import LOG_QUEUE_RECORDS
from iris_exporter.otel.export_queue import (
    MAX_AGE_SECONDS,
    MAX_BATCH_BYTES,
    MAX_WAITING_BYTES,
    ExportQueue,
    Waiting,
)
from iris_exporter.otel.settings import Batching


def record(number: int, now: float = 0.0, weight: int = 100) -> Waiting:
    return Waiting(now, weight, number)


class Bench:
    def __init__(self, size: int = 10, batch: int = 4, delay: float = 1.0) -> None:
        backoff = Backoff(1.0, 30.0, 0.0, lambda: 0.5)
        self.queue = ExportQueue(Batching(size, batch, delay), backoff.delay)
        self.made = 0

    @property
    def dropped(self) -> int:
        return self.queue.counts().dropped

    def offer(self, count: int, now: float = 0.0, *, minor: bool = False) -> bool:
        records = [record(self.made + index, now) for index in range(count)]
        self.made += count
        return self.queue.offer(records, now, minor=minor)

    def check(self) -> None:
        counts = self.queue.counts()
        assert counts.produced == self.made
        assert counts.produced == counts.exported + counts.failed + counts.dropped + counts.queued


def numbers(batch: object) -> list[int]:
    assert isinstance(batch, list)
    return [waiting.record for waiting in batch]


def test_a_batch_is_due_when_it_is_full_or_has_waited() -> None:
    bench = Bench()
    assert bench.queue.due_in(0.0) is None
    assert bench.offer(1, 5.0), "the sender has to wait for it"
    assert not bench.offer(1, 5.5)
    assert bench.queue.due_in(5.5) == 0.5
    assert bench.offer(2, 5.5), "there is a whole batch"
    assert bench.queue.due_in(5.5) == 0


def test_records_leave_in_order_and_are_counted() -> None:
    bench = Bench()
    bench.offer(6)
    assert numbers(bench.queue.take(0.0)) == [0, 1, 2, 3]
    bench.queue.settle(3, 1)
    assert numbers(bench.queue.take(0.0)) == [4, 5]
    counts = bench.queue.counts()
    assert (counts.exported, counts.failed, counts.queued) == (3, 1, 2)
    bench.check()


def test_the_batch_in_flight_is_taken_again_after_a_failure() -> None:
    bench = Bench()
    bench.offer(5)
    first = numbers(bench.queue.take(0.0))
    assert [bench.queue.postpone(0.0, None) for _ in range(3)] == [1.0, 2.0, 4.0]
    assert bench.queue.due_in(1.0) == 3.0
    assert numbers(bench.queue.take(0.0)) == first
    assert numbers(bench.queue.take(0.0, 2)) == first[:2]
    bench.check()


def test_the_collector_can_name_the_time_of_the_next_attempt() -> None:
    bench = Bench()
    bench.offer(1)
    bench.queue.take(0.0)
    assert bench.queue.postpone(0.0, 17.0) == 17.0


def test_a_full_queue_drops_the_oldest_waiting_records() -> None:
    bench = Bench(size=10, batch=4)
    bench.offer(4)
    bench.queue.take(0.0)
    bench.offer(13)
    assert bench.dropped == 3
    assert numbers(bench.queue.take(0.0)) == [0, 1, 2, 3], "what is in flight stays"
    bench.queue.settle(4, 0)
    assert numbers(bench.queue.take(0.0)) == [7, 8, 9, 10]
    bench.check()


def test_of_more_than_a_whole_queue_at_once_the_newest_records_stay() -> None:
    bench = Bench(size=3, batch=3)
    bench.offer(100)
    assert numbers(bench.queue.take(0.0)) == [97, 98, 99]
    bench.check()


def test_heavy_records_are_dropped_by_weight() -> None:
    bench = Bench(size=1000, batch=2)
    third = MAX_WAITING_BYTES // 3
    for number in range(5):
        bench.queue.offer([record(number, weight=third)], 0.0)
        bench.made += 1
    bench.check()
    assert bench.dropped == 2
    assert numbers(bench.queue.take(0.0)) == [2]
    bench.queue.settle(1, 0)
    bench.queue.take(0.0)
    bench.queue.settle(1, 0)
    bench.queue.take(0.0)
    bench.queue.settle(1, 0)
    bench.queue.offer([record(9, weight=2 * MAX_WAITING_BYTES)], 0.0)
    bench.made += 1
    assert bench.queue.counts().queued == 0, "nor is one let in that alone is too heavy"
    bench.check()
    bench.offer(10)
    assert bench.queue.counts().queued == 10


def test_a_batch_ends_before_a_collector_refuses_it() -> None:
    bench = Bench(size=1000, batch=512)
    bench.queue.offer([record(number, weight=MAX_BATCH_BYTES // 100) for number in range(512)], 0.0)
    assert len(bench.queue.take(0.0)) == 100
    bench.queue.settle(100, 0)
    assert numbers(bench.queue.take(0.0))[0] == 100


def test_minor_records_use_at_most_half_of_the_queue() -> None:
    bench = Bench(size=10)
    bench.offer(5, minor=True)
    bench.offer(1, minor=True)
    assert bench.dropped == 1
    bench.offer(5)
    assert bench.dropped == 1
    bench.check()


def test_old_records_are_dropped_from_the_queue_and_from_the_batch_in_flight() -> None:
    bench = Bench()
    bench.offer(6, now=100.0)
    bench.queue.take(100.0)
    bench.offer(1, now=200.0)
    assert numbers(bench.queue.take(100.5 + MAX_AGE_SECONDS)) == [6]
    assert bench.dropped == 6
    bench.check()


def test_close_drops_queued_records_and_later_ones() -> None:
    bench = Bench()
    bench.offer(6)
    bench.queue.take(0.0)
    assert bench.queue.close() == 6
    bench.queue.settle(4, 0)
    assert bench.queue.counts().exported == 0, "a late answer counts no more"
    bench.offer(2)
    assert bench.dropped == 8
    assert bench.queue.due_in(0.0) is None
    bench.check()


@pytest.mark.parametrize(("minutes", "loses"), [(10, False), (12, True)])
def test_ten_minutes_without_a_collector_at_a_hundred_a_second_lose_nothing(minutes: int, loses: bool) -> None:
    """The default queue holds 65,536 records and the batch in flight 512: 72,000 are too many for it."""
    bench = Bench(size=LOG_QUEUE_RECORDS, batch=512)
    away_until = minutes * 60
    exported: list[int] = []
    tries = 0
    for second in range(away_until + 120):
        bench.offer(100, float(second))
        while (due := bench.queue.due_in(float(second))) is not None and due <= 0:
            batch = bench.queue.take(float(second))
            if second < away_until:
                tries += 1
                bench.queue.postpone(float(second), None)
            else:
                exported += numbers(batch)
                bench.queue.settle(len(batch), 0)
        bench.check()
    assert (bench.dropped > 0) == loses
    assert tries < 40
    assert len(exported) == len(set(exported)) == bench.made - bench.dropped - bench.queue.counts().queued
    assert exported == sorted(exported)
