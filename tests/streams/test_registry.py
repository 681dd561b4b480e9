"""A start with many streams is no storm, and one that leaves before its turn is not connected."""

from collections.abc import Iterator
from typing import cast

from iris_exporter.settings import StreamSettings
from iris_exporter.streams.registry import START_PAUSE_SECONDS, STARTS_AT_ONCE, Streams
from iris_exporter.streams.stream import Stream
from tests.fakes import FakeClock, settle
from tests.settings import stream_settings


class FakeStream:
    def __init__(self, settings: StreamSettings) -> None:
        self.settings = settings
        self.name = settings.name
        self.connected = self.stopped = 0

    def connect(self) -> None:
        self.connected += 1

    async def stop(self) -> None:
        self.stopped += 1


def wanted(count: int) -> list[StreamSettings]:
    return [stream_settings(name=f"s{number}", url=f"http://h/{number}") for number in range(count)]


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.made: list[FakeStream] = []
        self.streams = Streams(self.make, self.clock)

    async def make(self, settings: StreamSettings) -> Stream:
        self.made.append(FakeStream(settings))
        return cast("Stream", self.made[-1])

    @property
    def connected(self) -> int:
        return sum(stream.connected for stream in self.made)


def batches(total: int) -> Iterator[int]:
    yield from range(STARTS_AT_ONCE, total + 1, STARTS_AT_ONCE)


async def test_a_thousand_streams_are_dialled_few_at_a_time() -> None:
    """No more than 200 in any second."""
    assert STARTS_AT_ONCE / START_PAUSE_SECONDS <= 200
    bench = Bench()
    assert await bench.streams.reconcile(wanted(1000)) == {"added": 1000, "removed": 0, "changed": 0, "unchanged": 0}
    for count in batches(1000):
        assert bench.connected == count
        await bench.clock.advance(START_PAUSE_SECONDS)
    assert all(stream.connected == 1 for stream in bench.made)
    await bench.streams.stop()


async def test_a_stream_that_leaves_before_its_turn_is_not_connected() -> None:
    bench = Bench()
    await bench.streams.reconcile(wanted(150))
    await bench.streams.reconcile(wanted(120))
    await bench.clock.advance(1.0)
    assert [stream.connected for stream in bench.made[118:122]] == [1, 1, 0, 0]
    assert sum(stream.stopped for stream in bench.made) == 30
    await bench.streams.stop()


async def test_stopping_ends_the_start() -> None:
    bench = Bench()
    await bench.streams.reconcile(wanted(150))
    await bench.streams.stop()
    await settle()
    await bench.clock.advance(1.0)
    assert bench.connected == STARTS_AT_ONCE
