"""The thread that sends: batches are converted there, and each record is counted whatever becomes of it."""

import asyncio
import random
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from iris_exporter.otel import pipeline
from iris_exporter.otel.export_queue import Waiting
from iris_exporter.otel.exporters.base import ACCEPTED, Answer, unencodable
from iris_exporter.otel.pipeline import Pipeline
from iris_exporter.otel.settings import Batching, Limits, SignalSettings
from tests.waiting import until


class Exported:
    """An exporter that answers what it is told, and remembers batches and threads."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.batches: list[list[Any]] = []
        self.threads: set[str] = set()

    def export(self, batch: Sequence[Any], timeout_seconds: float) -> Answer:
        self.batches.append(list(batch))
        self.threads.add(threading.current_thread().name)
        return self.answers.pop(0) if self.answers else ACCEPTED

    def close(self) -> None:
        pass


class Bench:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Answer) -> None:
        self.exported = Exported(*answers)
        self.counted = [0, 0, 0, 0]
        self.converted_on: set[str] = set()
        monkeypatch.setattr(pipeline, "make_exporter", lambda *_: self.exported)
        settings = SignalSettings(None, Batching(100, 4, 0.0), Limits(128, None))
        self.pipeline = Pipeline("logs", settings, self.convert, "agent/1", random.Random(1), self.count)

    def convert(self, record: int) -> str:
        self.converted_on.add(threading.current_thread().name)
        if record < 0:
            raise TypeError("no record")
        return str(record)

    def count(self, *numbers: int) -> None:
        self.counted = [before + more for before, more in zip(self.counted, numbers, strict=True)]

    async def send(self, *records: int) -> None:
        self.pipeline.start()
        self.pipeline.offer([Waiting(4e9, 100, record) for record in records])
        await until(lambda: not self.pipeline.counts().queued)
        self.pipeline.finish(1.0)
        await self.pipeline.ended.wait()
        await asyncio.sleep(0)  # what the thread has counted is handed over to the loop


async def test_records_are_converted_and_sent_on_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    await bench.send(1, 2, 3)
    assert bench.exported.batches == [["1", "2", "3"]]
    assert bench.converted_on == bench.exported.threads == {"otlp-logs"}
    assert bench.counted == [3, 3, 0, 0]


async def test_a_record_that_cannot_be_converted_is_counted_and_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch)
    await bench.send(1, -2, 3, -4, -5)
    assert bench.exported.batches == [["1", "3"]]
    assert bench.counted == [5, 2, 3, 0]


async def test_a_record_that_cannot_be_encoded_is_found_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, unencodable(4), unencodable(2), unencodable(1))
    await bench.send(1, 2, 3, 4)
    assert bench.exported.batches == [["1", "2", "3", "4"], ["1", "2"], ["1"], ["2", "3", "4"]]
    assert bench.counted == [4, 3, 1, 0]


async def test_what_was_partly_taken_is_counted_as_both(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, Answer(2, reason="partly rejected"))
    await bench.send(1, 2, 3)
    assert bench.counted == [3, 1, 2, 0]
