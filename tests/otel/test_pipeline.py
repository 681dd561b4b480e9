"""The thread that sends: batches are converted there, and each record is counted whatever becomes of it."""

import asyncio
import random
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from iris_exporter.instruments.signals import ExportCounts
from iris_exporter.otel.export_queue import Waiting
from iris_exporter.otel.exporters.base import ACCEPTED, UNENCODABLE, Answer
from iris_exporter.otel.pipeline import Pipeline
from iris_exporter.otel.settings import Batching
from iris_exporter.process.tasks import TaskOwner
from tests.fakes import FakeClock
from tests.waiting import until


class FakeExporter:
    """Gives the answers that it was made with, and remembers batches and threads."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.batches: list[list[Any]] = []
        self.threads: set[str] = set()

    def export(self, batch: Sequence[Any]) -> Answer:
        self.batches.append(list(batch))
        self.threads.add(threading.current_thread().name)
        return self.answers.pop(0) if self.answers else ACCEPTED

    def close(self) -> None:
        pass


class Bench:
    def __init__(self, *answers: Answer) -> None:
        self.exporter = FakeExporter(*answers)
        self.converted_on: set[str] = set()
        self.reported: list[str | None] = []
        self.pipeline = Pipeline(
            "logs", Batching(100, 4, 0.0), self.convert, self.exporter, random.Random(1), self.reported.append
        )

    def convert(self, record: int) -> str:
        self.converted_on.add(threading.current_thread().name)
        if record < 0:
            raise TypeError("no record")
        return str(record)

    def offer(self, *records: int) -> None:
        self.pipeline.offer([Waiting(4e9, 100, record) for record in records])

    async def send(self, *records: int) -> ExportCounts:
        self.offer(*records)
        running = asyncio.create_task(self.pipeline.run())
        await until(lambda: not self.pipeline.counts().queued)
        self.pipeline.finish(1.0)
        await running
        return self.pipeline.counts()


async def test_records_are_converted_and_sent_on_the_thread() -> None:
    bench = Bench()
    assert await bench.send(1, 2, 3) == ExportCounts(3, 3, 0, 0, 0)
    assert bench.exporter.batches == [["1", "2", "3"]]
    assert bench.converted_on == bench.exporter.threads == {"otlp-logs"}


async def test_a_record_that_cannot_be_converted_is_counted_and_the_others_are_sent() -> None:
    bench = Bench()
    assert await bench.send(1, -2, 3, -4) == ExportCounts(4, 2, 2, 0, 0)
    assert bench.exporter.batches == [["1", "3"]]


async def test_a_batch_that_cannot_be_converted_at_all_is_counted_and_not_sent() -> None:
    bench = Bench()
    assert await bench.send(-1, -2) == ExportCounts(2, 0, 2, 0, 0)
    assert bench.exporter.batches == []


async def test_a_record_that_cannot_be_encoded_is_found_and_the_others_are_sent() -> None:
    bench = Bench(UNENCODABLE, UNENCODABLE, UNENCODABLE)
    assert await bench.send(1, 2, 3, 4) == ExportCounts(4, 3, 1, 0, 0)
    assert bench.exporter.batches == [["1", "2", "3", "4"], ["1", "2"], ["1"], ["2", "3", "4"]]


async def test_a_batch_that_was_partly_taken_is_counted_as_both() -> None:
    assert await Bench(Answer(2, reason="partly rejected")).send(1, 2, 3) == ExportCounts(3, 1, 2, 0, 0)


async def test_why_the_last_batch_failed_is_reported_and_that_the_next_one_did_not() -> None:
    away = Answer(retry=True, retry_after_seconds=0.01, reason="status 503", failure="unavailable")
    bench = Bench(away, Answer(2, reason="partly rejected", failure="rejected"))
    await bench.send(1, 2, 3)
    assert bench.reported == ["unavailable", "rejected"]
    assert (await bench.send(-1), bench.reported[-1]) == (ExportCounts(4, 1, 3, 0, 0), "invalid")
    await bench.send(4)
    assert bench.reported[-1] is None


class Failures:
    def __init__(self) -> None:
        self.tasks: list[str] = []

    def __call__(self, task: str) -> None:
        self.tasks.append(task)


async def test_a_thread_that_ends_by_a_mistake_is_counted_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, clock, failures = Bench(), FakeClock(), Failures()
    take = bench.pipeline._queue.take
    mistakes = [LookupError("mistake"), LookupError("mistake")]

    def fail(wall: float, limit: int | None = None) -> Sequence[Waiting]:
        if mistakes:
            raise mistakes.pop()
        return take(wall, limit)

    monkeypatch.setattr(bench.pipeline._queue, "take", fail)
    bench.offer(1, 2)
    running = TaskOwner(clock, failures).start("otlp_logs", bench.pipeline.run)
    for count, pause in ((1, 1.0), (2, 2.0)):
        await until(lambda count=count: len(failures.tasks) == count)
        assert bench.exporter.batches == []
        await clock.advance(pause)
    await until(lambda: bench.pipeline.counts().exported == 2)
    assert failures.tasks == ["otlp_logs"] * 2
    bench.pipeline.finish(1.0)
    await running
