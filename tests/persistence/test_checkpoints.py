"""A restart is exact: what a scrape has shown is not counted again, what none has shown is not forgotten."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from iris_exporter import config, logs
from iris_exporter.app import Exporter
from iris_exporter.backend.objects import Event
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.core.positions import CursorState
from iris_exporter.persistence.checkpoints import READS_BEFORE_WARNING, Checkpoint, Checkpoints, PendingRecord
from iris_exporter.persistence.cursor_store import CursorRecord, CursorStore
from tests.instruments.support import text
from tests.settings import stream_settings
from tests.waiting import BUSY, until

SCRAPER = {"X-Prometheus-Scrape-Timeout-Seconds": "10"}


class Source:
    """A backend that says only what the test lets it say."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.sent = 0

    def send(self, count: int) -> None:
        """Publish events in small batches, so that the caps of the channels are not what is tested."""
        for number in range(self.sent, self.sent + count):
            self.backend.service.publish(
                [
                    Event(
                        id=f"n{number}",
                        timestamp="",
                        project="p",
                        event_type="info",
                        severity="info",
                        message="",
                        metadata={},
                    )
                ]
            )
        self.sent += count


@asynccontextmanager
async def source() -> AsyncIterator[Source]:
    async with Backend(BackendSettings(port=0, seed=1, rate=0, update_interval_seconds=0.02)) as backend:
        yield Source(backend)


class Life:
    """One run of the exporter over one state directory."""

    def __init__(self, exporter: Exporter, session: aiohttp.ClientSession) -> None:
        self.exporter = exporter
        self._session = session

    @property
    def counted(self) -> int:
        return sum(self.exporter.streams()["s"].snapshot().event_counts.values())

    async def scrape(self, path: str = "/metrics", headers: dict[str, str] | None = None) -> int:
        url = self.exporter.addresses[0] + path
        async with self._session.get(url, headers=SCRAPER if headers is None else headers) as answer:
            lines = (await answer.text()).splitlines()
        return sum(int(float(line.split()[-1])) for line in lines if line.startswith("iris_events_total{"))

    def metric(self, name: str) -> float:
        assert "s" in self.exporter.streams()
        lines = text(self.exporter.exposition, names=[name]).splitlines()
        return sum(float(line.split()[-1]) for line in lines if not line.startswith("#"))


@asynccontextmanager
async def life(
    url: str, directory: Path | None, protocol: str = "auto", commit_seconds: float | None = None
) -> AsyncIterator[Life]:
    loaded = config.load({"web.listen-address": ["127.0.0.1:0"], "stream.url": url}, {})
    stream = stream_settings(
        name="s", url=url, protocol=protocol, reconnect_initial_seconds=0.05, poll_interval_seconds=0.05
    )
    settings = replace(loaded, streams=(stream,), state_dir=directory, state_commit_seconds=commit_seconds)
    async with Exporter(settings, lambda: settings) as exporter, aiohttp.ClientSession() as session:
        yield Life(exporter, session)


ENDPOINTS = [
    ("/api/stream/events", "websocket"),
    ("/api/stream/events", "sse"),
    ("/api/stream/overview", "websocket"),
    ("/api/overview", "poll"),
]


@pytest.mark.parametrize(("path", "protocol"), ENDPOINTS)
async def test_the_values_of_all_lives_add_up(path: str, protocol: str, tmp_path: Path) -> None:
    """200 shown, 150 seen and not shown, 170 sent while nobody listens: the next life shows 320."""
    async with source() as upstream:
        url = upstream.backend.url + path
        async with life(url, tmp_path, protocol) as first:
            await until(lambda: first.exporter.streams()["s"].status().last_message is not None)
            upstream.send(200)
            await until(lambda: first.counted == 200)
            shown = await first.scrape()
            assert shown == 200
            upstream.send(150)
            await until(lambda: first.counted == 350)
            assert await first.scrape(headers={}) == 350, "a person reads, which makes no checkpoint"
            await first.scrape("/metrics?name[]=iris_up")
        upstream.send(170)
        async with life(url, tmp_path, protocol) as second:
            await until(lambda: second.counted >= 320)
            shown += await second.scrape()
            assert shown == upstream.sent
            assert second.metric("iris_stream_event_gaps_total") == 0
            upstream.send(30)
            await until(lambda: second.counted == 350)
            assert await second.scrape() == 350


@pytest.mark.parametrize(("path", "protocol"), ENDPOINTS)
async def test_a_restart_with_nothing_new_shows_nothing(path: str, protocol: str, tmp_path: Path) -> None:
    async with source() as upstream:
        url = upstream.backend.url + path
        upstream.send(50)
        async with life(url, tmp_path, protocol) as first:
            await until(lambda: first.counted == 50)
            assert await first.scrape() == 50
        async with life(url, tmp_path, protocol) as second:
            await until(lambda: second.metric("iris_stream_events_duplicate_total") >= 50)
            assert await second.scrape() == 0


async def test_with_two_scrapers_the_last_one_moves_the_cursor_and_no_event_is_shown_to_either_twice(
    tmp_path: Path,
) -> None:
    """One sees 100 and the other 150: after a restart both see what came since, and the first one has missed 50."""
    async with source() as upstream:
        url = upstream.backend.url + "/api/stream/events"
        async with life(url, tmp_path) as first:
            await until(lambda: first.exporter.streams()["s"].status().connected_at is not None)
            upstream.send(100)
            await until(lambda: first.counted == 100)
            one = await first.scrape()
            upstream.send(50)
            await until(lambda: first.counted == 150)
            other = await first.scrape()
            assert (one, other) == (100, 150)
        upstream.send(20)
        async with life(url, tmp_path) as second:
            await until(lambda: second.counted >= 20)
            one += await second.scrape()
            other += await second.scrape()
            assert (one, other) == (upstream.sent - 50, upstream.sent)


@pytest.mark.parametrize(
    "headers", [{"User-Agent": "Datadog Agent/7.60.0", "Accept": "*/*"}, {"Accept": "text/plain;version=0.0.4"}]
)
async def test_three_lives_add_up_for_scrapers_without_the_header(headers: dict[str, str], tmp_path: Path) -> None:
    shown = 0
    async with source() as upstream:
        upstream.send(20)
        for _ in range(3):
            async with life(upstream.backend.url + "/api/stream/events", tmp_path, "sse") as one:
                await until(lambda one=one: one.exporter.streams()["s"].status().last_message is not None)
                if not shown:
                    await until(lambda one=one: one.counted == 20)
                shown += await one.scrape(headers=headers)
        assert shown == 20


async def test_an_interval_makes_checkpoints_without_a_scrape(tmp_path: Path) -> None:
    async with source() as upstream:
        upstream.send(20)
        url = upstream.backend.url + "/api/stream/events"
        async with life(url, tmp_path, "sse", commit_seconds=0.1) as first:
            await until(lambda: first.counted == 20)
            await until(lambda: any(tmp_path.glob("*.cursor")))
            assert first.exporter.checkpoints.begin() is None
        async with life(url, tmp_path, "sse", commit_seconds=3600) as second:
            await until(lambda: second.exporter.streams()["s"].status().last_message is not None)
            upstream.send(5)
            await until(lambda: second.counted == 5)


def test_reads_without_a_checkpoint_are_a_line_in_the_log_once(tmp_path: Path) -> None:
    lines = io.StringIO()
    logs.setup("info", "logfmt", lines)
    try:
        checkpoints = Checkpoints(CursorStore(tmp_path), lambda: [pending(1)], Failures())
        for _ in range(READS_BEFORE_WARNING - 1):
            checkpoints.read_by_unknown()
        assert "state.never_committed" not in lines.getvalue()
        for _ in range(5):
            checkpoints.read_by_unknown()
    finally:
        logs.setup("error", "logfmt", io.StringIO())
    assert lines.getvalue().count(f"event=state.never_committed reads={READS_BEFORE_WARNING} ") == 1
    assert "level=warn " in lines.getvalue()


async def test_a_changed_interval_is_applied_by_a_reload(tmp_path: Path) -> None:
    async with source() as upstream:
        upstream.send(20)
        async with life(upstream.backend.url + "/api/stream/events", tmp_path, "sse") as one:
            await until(lambda: one.counted == 20)
            before = one.exporter.settings
            one.exporter._load = lambda: replace(before, state_commit_seconds=0.1)
            await one.exporter.reload()
            await until(lambda: any(tmp_path.glob("*.cursor")))
            assert one.exporter.checkpoints.begin() is None
            one.exporter._load = lambda: before
            await one.exporter.reload()
            assert one.exporter.checkpoints.begin() is not None


async def test_a_directory_that_is_never_written_to_is_reported_until_it_is(tmp_path: Path) -> None:
    async with source() as upstream:
        upstream.send(20)
        async with life(upstream.backend.url + "/api/stream/events", tmp_path, "sse") as one:
            await until(lambda: one.counted == 20)
            for _ in range(5):
                await one.scrape(headers={})
            assert "--state.commit" in (one.exporter.checkpoints.trouble() or "")
            await one.scrape()
            assert one.exporter.checkpoints.trouble() is None


async def test_a_stream_that_leaves_and_comes_back_has_checkpoints_again(tmp_path: Path) -> None:
    """As after a reload, or where a leader follows and leads again: many checkpoints were made of it before."""
    async with source() as upstream:
        async with life(upstream.backend.url + "/api/stream/events", tmp_path) as only:
            settings = only.exporter.settings
            shown = 0
            for _ in range(5):
                await until(lambda: only.exporter.streams()["s"].status().last_message is not None)
                upstream.send(10)
                await until(lambda: only.counted == upstream.sent)
                shown = await only.scrape()
            assert shown == 50
            await only.exporter._apply(replace(settings, streams=()))
            await only.exporter._apply(settings)
            upstream.send(7)
            await until(lambda: only.counted == 7)
            shown += await only.scrape()
        async with life(upstream.backend.url + "/api/stream/events", tmp_path) as second:
            upstream.send(1)
            await until(lambda: second.counted >= 1)
            assert shown + await second.scrape() == upstream.sent


async def test_without_a_directory_everything_is_in_memory_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "iris_exporter")
    async with source() as upstream, life(upstream.backend.url + "/api/overview", None) as only:
        upstream.send(5)
        await until(lambda: only.counted == 5)
        assert await only.scrape() == 5
        assert "state.in_memory" in caplog.messages


async def test_a_cursor_that_cannot_be_written_is_counted_and_the_scrape_is_answered(tmp_path: Path) -> None:
    async with source() as upstream:
        upstream.send(5)
        async with life(upstream.backend.url + "/api/overview", tmp_path, "poll") as only:
            await until(lambda: only.counted == 5)
            (tmp_path / "s.cursor.next").mkdir()
            assert await only.scrape() == 5
            assert only.metric("iris_exporter_state_commit_failures_total") == 1
            assert only.exporter.self_metrics.failures() == {"state": "disk"}
            (tmp_path / "s.cursor.next").rmdir()
            assert await only.scrape() == 5
            assert (tmp_path / "s.cursor").exists()
            assert only.exporter.self_metrics.failures() == {}


def begin(checkpoints: Checkpoints) -> Checkpoint:
    made = checkpoints.begin()
    assert made is not None
    return made


class Failures:
    def __init__(self) -> None:
        self.outcomes: list[OSError | None] = []

    def __call__(self, error: OSError | None) -> None:
        self.outcomes.append(error)


def pending(generation: int) -> PendingRecord:
    return PendingRecord("s", generation, lambda: CursorRecord("s", "e", CursorState("x", generation), []))


async def test_a_scrape_that_was_overtaken_does_not_move_the_cursor_back(tmp_path: Path) -> None:
    store, now = CursorStore(tmp_path), [1]
    checkpoints = Checkpoints(store, lambda: [pending(now[0])], Failures())
    early = begin(checkpoints)
    now[0] = 2
    late = begin(checkpoints)
    await late.stage()
    late.commit()
    await late.discard()
    await early.stage()
    early.commit()
    await early.discard()
    record = store.load("s", "e")
    assert record is not None
    assert record.cursor.offset == 2


async def test_a_last_byte_that_cannot_be_sent_undoes_the_checkpoint(tmp_path: Path) -> None:
    store, now = CursorStore(tmp_path), [1]
    checkpoints = Checkpoints(store, lambda: [pending(now[0])], Failures())
    for generation, record in ((1, None), (2, 1), (3, 1)):
        now[0] = generation
        checkpoint = begin(checkpoints)
        await checkpoint.stage()
        checkpoint.commit()
        if generation != 2:
            await checkpoint.undo()
        await checkpoint.discard()
        if generation == 2:
            continue
        loaded = store.load("s", "e")
        assert (loaded and loaded.cursor.offset) == (None if record is None else 2)
    again = begin(checkpoints)
    await again.stage()
    assert again.records, "what was undone is written by the next checkpoint"
    await again.discard()


async def test_an_answer_that_failed_changes_no_cursor_and_lets_the_next_checkpoint_write(tmp_path: Path) -> None:
    store = CursorStore(tmp_path)
    checkpoints = Checkpoints(store, lambda: [pending(1)], Failures())
    failed = begin(checkpoints)
    await failed.stage()
    await failed.discard()
    assert store.load("s", "e") is None
    async with asyncio.timeout(1 * BUSY):
        following = begin(checkpoints)
        await following.stage()
    following.commit()
    await following.discard()
    assert store.load("s", "e") is not None
    unchanged = begin(checkpoints)
    await unchanged.stage()
    unchanged.commit()
    await unchanged.discard()
    assert not unchanged.records, "nothing has changed, so nothing is written"
