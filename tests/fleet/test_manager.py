"""Which streams a process receives: of its shard, while it leads, each name and endpoint once."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp

from iris_exporter import config
from iris_exporter.app import Exporter
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.clock import SystemClock
from iris_exporter.fleet.manager import Fleet
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.persistence.stream_locks import StreamLocks
from iris_exporter.process.tasks import TaskOwner
from iris_exporter.settings import Settings, StreamSettings
from tests.fleet.api import FakeApi, fake_api
from tests.instruments.support import text
from tests.settings import stream_settings
from tests.waiting import until


def settings(count: int = 0, **flags: object) -> Settings:
    loaded = config.load({"stream.url": "http://h/x", "web.listen-address": ["127.0.0.1:0"], **flags}, {})
    streams = tuple(stream_settings(name=f"s{n}", url=f"http://h/{n}") for n in range(count))
    return replace(loaded, streams=streams)


class Applied:
    def __init__(self) -> None:
        self.now: list[str] = []
        self.noted: list[list[str]] = []
        self.helps: list[str] = []  # of the metrics of mapped streams
        self.metrics = SelfMetrics("1", "r", "3")

    async def __call__(self, streams: Sequence[StreamSettings]) -> int:
        self.now = [stream.name for stream in streams]
        self.noted.append(self.now)
        self.helps = [stream.mapped.metrics[0].help for stream in streams if stream.mapped is not None]
        return len(streams)


async def nothing_shown(streams: Collection[str]) -> None:
    """No scrape is under way."""


@asynccontextmanager
async def fleet(chosen: Settings, directory: Path | None = None) -> AsyncIterator[tuple[Fleet[int], Applied]]:
    applied = Applied()
    async with AsyncExitStack() as stack, aiohttp.ClientSession() as session:
        locks = None
        if directory is not None:
            locks = StreamLocks(directory)
            stack.callback(locks.close)
        made = Fleet(
            chosen,
            session,
            SystemClock(),
            applied.metrics,
            applied,
            locks,
            nothing_shown,
            TaskOwner(SystemClock(), [].append),
        )
        await made.start()
        try:
            yield made, applied
        finally:
            await made.stop()


async def test_the_shards_of_a_fleet_divide_the_streams() -> None:
    seen: list[str] = []
    for ordinal in range(3):
        async with fleet(settings(50, shard=str(ordinal), **{"total-shards": "3"})) as (_, applied):
            assert 5 < len(applied.now) < 30
            seen += applied.now
    assert sorted(seen) == sorted(f"s{n}" for n in range(50))


async def test_a_reload_gives_discovered_streams_the_mapping_of_their_name(tmp_path: Path) -> None:
    """They do not leave meanwhile, as they do when the discovery itself is another one."""
    listed, file = tmp_path / "streams.yaml", tmp_path / "iris.yaml"
    listed.write_text("[{name: found, url: 'http://h/found', mapping: m}, {name: iris, url: 'http://h/iris'}]")

    def loaded(text: str) -> Settings:
        file.write_text(
            "streams_files: [streams.yaml]\nmappings: {m: {namespace: m, messages: [{kind: k, metrics: "
            f"[{{name: t, type: gauge, help: {text}, value: $.t}}]}}]}}}}\n"
        )
        return config.load({"config.file": str(file)}, {})

    before, after = loaded("Before."), loaded("After.")
    async with fleet(before) as (made, applied):
        await until(lambda: applied.now == ["found", "iris"])
        history: list[list[str]] = []
        applied.noted = history
        await made.reconfigure(after)
        assert applied.helps == ["After."]
        assert all(names == ["found", "iris"] for names in history)


async def test_a_reload_with_another_number_of_shards_moves_streams() -> None:
    chosen = settings(50, **{"total-shards": "2"})
    async with fleet(chosen) as (made, applied):
        before = set(applied.now)
        await made.reconfigure(replace(chosen, fleet=replace(chosen.fleet, total_shards=3)))
        assert set(applied.now) < before


async def test_a_stream_is_received_by_one_of_those_that_share_a_directory_and_moves_when_it_is_free(
    tmp_path: Path,
) -> None:
    """A fleet of two grows to three, and the new one starts before the old ones know of it."""
    old = settings(60, **{"total-shards": "2"})
    new = settings(60, shard="2", **{"total-shards": "3"})
    async with (
        fleet(old, tmp_path) as (first, one),
        fleet(settings(60, shard="1", **{"total-shards": "2"}), tmp_path) as (
            second,
            two,
        ),
    ):
        before = {*one.now, *two.now}
        assert len(before) == 60
        async with fleet(new, tmp_path) as (_, three):
            assert three.now == [], "all of its streams are still received by the others"
            await first.reconfigure(replace(old, fleet=replace(old.fleet, total_shards=3)))
            gone = before - {*one.now, *two.now}
            await until(lambda: set(three.now) == gone)
            await second.reconfigure(replace(old, fleet=replace(old.fleet, shard=1, total_shards=3)))
            await until(lambda: len(one.now) + len(two.now) + len(three.now) == 60)
            assert {*one.now, *two.now, *three.now} == before


async def test_discovered_streams_join_and_of_two_with_one_name_the_first_wins(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("[{name: s0, url: http://h/other}, {name: new, url: http://h/new}, {name: same, url: ws://h/1}]")
    async with fleet(settings(2, **{"discovery.files": str(file), "discovery.files-interval": "50ms"})) as (_, applied):
        await until(lambda: applied.now == ["s0", "s1", "new"])
        assert applied.metrics.failures() == {"streams": "duplicate"}
        file.unlink()
        await until(lambda: applied.now == ["s0", "s1"])
        assert applied.metrics.failures() == {}


def elected(api: FakeApi, url: str, directory: Path) -> Settings:
    flags = {
        "web.listen-address": ["127.0.0.1:0"],
        "stream.url": url,
        "state.dir": str(directory),
        "leader-election": "true",
        "fleet.lease-duration": "3s",
        "fleet.kubernetes-url": api.url,
    }
    return config.load(flags, {})


async def test_a_standby_is_ready_holds_no_connection_and_counts_nothing(tmp_path: Path) -> None:
    async with fake_api() as api, Backend(BackendSettings(port=0, rate=0)) as backend, aiohttp.ClientSession() as http:
        chosen = elected(api, backend.url + "/api/stream/events", tmp_path)
        async with Exporter(chosen, lambda: chosen) as first:
            await until(lambda: backend.open_connections == 1)
            async with Exporter(chosen, lambda: chosen) as second:
                async with http.get(second.addresses[0] + "/-/ready") as answer:
                    assert answer.status == 200
                async with http.get(second.addresses[0] + "/metrics") as answer:
                    text = await answer.text()
                assert "iris_exporter_leader 0.0" in text
                assert "iris_up" not in text
                assert dict(second.streams()) == {}
                async with http.get(first.addresses[0] + "/metrics") as answer:
                    assert "iris_exporter_leader 1.0" in await answer.text()
                assert backend.opened_connections == 1


class Jumping(SystemClock):
    """A clock that can be put forward while nothing runs, as for a process that is stopped for a while."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


async def test_a_leader_that_was_stopped_shows_nothing_before_it_knows_whether_it_still_leads(tmp_path: Path) -> None:
    async with fake_api() as api, Backend(BackendSettings(port=0, rate=0)) as backend:
        chosen, clock = elected(api, backend.url + "/api/stream/events", tmp_path), Jumping()
        async with Exporter(chosen, lambda: chosen, clock=clock) as only:
            await until(lambda: backend.open_connections == 1)
            assert "iris_up{" in text(only.exposition)
            assert await stages(only)
            clock.ahead = 2.5
            assert only.streams(), "nothing has run since"
            assert "iris_up{" not in text(only.exposition)
            assert not await stages(only), "and its cursor is not written"


async def stages(exporter: Exporter) -> bool:
    """Whether a checkpoint would write anything now; it does not come into force."""
    assert exporter.checkpoints is not None
    checkpoint = exporter.checkpoints.begin()
    assert checkpoint is not None
    await checkpoint.stage()
    await checkpoint.discard()
    return bool(checkpoint.records)
