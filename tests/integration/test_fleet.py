"""A fleet of real processes: every stream on exactly one of them, and of two replicas exactly one that counts."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from iris_exporter.backend import streams
from iris_exporter.backend.objects import Event
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.core.sharding import owner
from tests.fleet.api import FakeApi, fake_api
from tests.integration.programs import POLL_SECONDS, Program, running, wait_until
from tests.waiting import BUSY

STREAMS = 1000
_STREAM_LABEL = re.compile(r'stream="([^"]*)"')
SCRAPER = {"X-Prometheus-Scrape-Timeout-Seconds": "10"}

pytestmark = pytest.mark.integration


class Process:
    """A sidecar of the fleet."""

    def __init__(self, program: Program, url: str, http: aiohttp.ClientSession) -> None:
        self.program = program
        self.url = url
        self._http = http

    async def states(self) -> dict[str, str]:
        """State by name of the streams that this process has."""
        async with self._http.get(f"{self.url}/api/v1/streams") as answer:
            return {stream["name"]: stream["state"] for stream in await answer.json()}

    async def look(self, metric: str) -> str:
        """One metric, as somebody who looks sees it: nothing is committed by that."""
        async with self._http.get(f"{self.url}/metrics?name[]={metric}") as answer:
            return await answer.text()

    async def scrape(self) -> str:
        """Everything, as a scraper sees it."""
        async with self._http.get(f"{self.url}/metrics", headers=SCRAPER) as answer:
            return await answer.text()

    async def counted(self) -> int:
        """What a scrape shows of events."""
        lines = (await self.scrape()).splitlines()
        return sum(int(float(line.split()[-1])) for line in lines if line.startswith("iris_events_total{"))


@asynccontextmanager
async def process(*options: str) -> AsyncIterator[Process]:
    command = (sys.executable, "-m", "iris_exporter", "--web.listen-address=127.0.0.1:0", "--log.format=json")
    async with running(*command, *options) as program, aiohttp.ClientSession() as http:
        yield Process(program, await program.printed(_address), http)


def _address(line: str) -> str | None:
    fields = json.loads(line)
    return str(fields["address"]) if fields.get("event") == "web.listening" else None


def write_configuration(file: Path, url: str, total: int) -> None:
    streams = [{"name": f"stream-{n}", "url": f"{url}/api/stream/events?n={n}"} for n in range(STREAMS)]
    defaults = {"max-connections-per-hour": 0, "snapshot-url": f"{url}/api/overview"}
    file.write_text(json.dumps({"total-shards": total, "defaults": defaults, "streams": streams}))


async def placement(fleet: list[Process]) -> dict[str, int]:
    """Which shard has each stream, once all of them are live and each is on exactly one."""

    async def look() -> dict[str, int] | None:
        states = await asyncio.gather(*(shard.states() for shard in fleet))
        count = Counter(name for one in states for name in one)
        assert not [name for name, times in count.items() if times > 1 and len(count) == STREAMS], "on two shards"
        settled = len(count) == STREAMS and set(count.values()) == {1}
        if not settled or any(state != "live" for one in states for state in one.values()):
            return None
        return {name: ordinal for ordinal, one in enumerate(states) for name in one}

    found = await wait_until(look, "every stream live on exactly one shard", 40)
    assert found is not None
    return found


class Overlaps:
    """Looks at the backend at every moment: which streams are open, and whether one ever was so twice."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.twice: list[str] = []
        self.pauses: list[float] = []
        self._open: dict[str, asyncio.BaseTransport] = {}
        self._closed_at: dict[str, float] = {}
        for name in ("_serve_sse", "_serve_websocket"):
            monkeypatch.setattr(streams, name, partial(self._observed, getattr(streams, name)))

    async def _observed(
        self, serve: Callable[..., Awaitable[web.StreamResponse]], request: web.Request, *more: Any
    ) -> web.StreamResponse:
        name = f"stream-{request.query['n']}"
        before = self._open.get(name)
        if before is not None and not before.is_closing():
            self.twice.append(name)
        elif before is not None:
            now = time.monotonic()
            self.pauses.append(now - self._closed_at.get(name, now))
        assert request.transport is not None
        self._open[name] = request.transport
        return await serve(request, *more)

    async def watch(self) -> None:
        """Note when streams are closed, until cancelled."""
        while True:
            for name, connection in self._open.items():
                if connection.is_closing():
                    self._closed_at.setdefault(name, time.monotonic())
            await asyncio.sleep(POLL_SECONDS)

    @property
    def open(self) -> set[str]:
        """The streams that are open now."""
        return {name for name, connection in self._open.items() if not connection.is_closing()}


class Ledger:
    """What scrapes have shown of each stream, by the shard that showed it: the last value of each."""

    def __init__(self) -> None:
        self._shown: dict[tuple[Process, str], int] = {}
        self.missing = 0.0

    async def scrape(self, shard: Process) -> None:
        totals: Counter[str] = Counter()
        for line in (await shard.scrape()).splitlines():
            if line.startswith("iris_events_total{"):
                totals[_STREAM_LABEL.search(line)[1]] += int(float(line.rpartition(" ")[2]))  # type: ignore[index]
            elif line.startswith("iris_stream_event_gaps_total{"):
                self.missing += float(line.rpartition(" ")[2])
        self._shown |= {(shard, name): count for name, count in totals.items()}

    def totals(self) -> Counter[str]:
        """Events by stream over all shards."""
        totals: Counter[str] = Counter()
        for (_, name), count in self._shown.items():
            totals[name] += count
        return totals


@pytest.mark.slow
@pytest.mark.time_limit(150)
async def test_a_fleet_grows_from_8_to_9_and_every_stream_stays_on_exactly_one_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of a rolling update: the new shard is there before the old ones know of it, one after another."""
    file, overlaps, ledger = tmp_path / "iris.yaml", Overlaps(monkeypatch), Ledger()
    async with AsyncExitStack() as stack, Backend(BackendSettings(port=0, rate=0)) as backend:
        write_configuration(file, backend.url, 8)
        options = (f"--config.file={file}", f"--state.dir={tmp_path / 'state'}")
        shards = [await stack.enter_async_context(process(*options, f"--shard={ordinal}")) for ordinal in range(8)]
        before = await placement(shards)
        assert before == {name: owner(name, 8) for name in before}
        assert backend.open_connections == STREAMS

        sent = 0

        async def life_goes_on() -> None:
            """Events all the time, and a scraper."""
            nonlocal sent
            while True:
                backend.service.publish([Event(f"n{sent}", "", "p", "info", "info", "", {})])
                sent += 1
                await ledger.scrape(shards[sent % len(shards)])

        living = [asyncio.create_task(life_goes_on()), asyncio.create_task(overlaps.watch())]
        write_configuration(file, backend.url, 9)
        shards.append(await stack.enter_async_context(process(*options, "--shard=8")))
        await wait_until(lambda: _waits(shards[8]), "the new shard to wait")
        assert await shards[8].states() == {}, "the others have all of its streams"
        for shard in shards[:8]:
            shard.program.signal(signal.SIGHUP)
            await wait_until(lambda shard=shard: _has_total(shard, 9), "a reload", 30)
            assert len(overlaps.open) >= STREAMS - STREAMS / 9, "a stream that does not move is not touched"
        after = await placement(shards)
        for task in living:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        moved = [name for name in before if before[name] != after[name]]
        print(f"8 to 9 shards: {len(moved)} of {STREAMS} streams moved ({STREAMS / 9:.0f} is one in nine)")
        middle, most = median(overlaps.pauses), max(overlaps.pauses)
        print(f"each of them was on no shard for {middle:.2f} s (median), {most:.2f} s at most, and never on two")
        assert {after[name] for name in moved} == {8}
        assert 0.7 * STREAMS / 9 < len(moved) < 1.3 * STREAMS / 9
        assert overlaps.twice == []
        assert len(overlaps.pauses) == len(moved), "nothing else was connected again"
        assert overlaps.open == set(before)

        async def all_counted() -> bool:
            await asyncio.gather(*map(ledger.scrape, shards))
            return set(ledger.totals().values()) == {sent}

        await wait_until(all_counted, f"{sent} events of each stream counted once", 20)
        print(f"{sent} events of each stream, each counted once over both shards that had it")
        assert ledger.missing == 0
        per_process = [_resident_mebibytes(shard.program) for shard in shards]
        print("resident MiB of each process:", " ".join(f"{size:.0f}" for size in per_process))
        assert sum(per_process) < 2048


async def _waits(shard: Process) -> bool:
    expected = sum(owner(f"stream-{n}", 9) == 8 for n in range(STREAMS))
    return f"iris_exporter_waiting_streams {expected}.0" in await shard.look("iris_exporter_waiting_streams")


async def _has_total(shard: Process, total: int) -> bool:
    return f"iris_exporter_shards {total}.0" in await shard.look("iris_exporter_shards")


def _resident_mebibytes(program: Program) -> float:
    pages = int(Path(f"/proc/{program.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
async def test_a_killed_leader_is_followed_and_nothing_is_counted_twice(tmp_path: Path) -> None:
    async with fake_api() as api, Backend(BackendSettings(port=0, rate=0)) as backend, AsyncExitStack() as stack:
        options = replicas(api, backend, tmp_path)
        sent = 0

        def send(count: int) -> None:
            nonlocal sent
            for number in range(sent, sent + count):
                event = Event(f"n{number}", "", "p", "info", "info", "", {})
                backend.service.publish([event])
            sent += count

        first = await stack.enter_async_context(process(*options))
        await wait_until(lambda: _is_live(first), "the first one leads")
        second = await stack.enter_async_context(process(*options))
        send(300)
        await wait_until(lambda: _has(first, 300), "300 events counted")
        shown = await first.counted()
        assert await second.counted() == 0, "a standby counts nothing"
        assert backend.opened_connections == 1
        send(200)  # the leader may see them, but no scrape shows them
        first.program.signal(signal.SIGKILL)
        send(100)
        loop = asyncio.get_running_loop()
        killed = loop.time()
        await wait_until(lambda: _is_live(second), "the second one leads", 8)
        took = loop.time() - killed
        print(f"taken over after {took:.1f} s under a lease of 3 s")
        assert took < 3 * BUSY, "within a lease time, on a quiet machine"
        send(50)
        await wait_until(lambda: _has(second, sent - shown), "what no scrape has shown is counted")
        assert shown + await second.counted() == sent
        assert "iris_stream_event_gaps_total" in await second.scrape()
        assert 'iris_stream_event_gaps_total{stream="default"} 0.0' in await second.scrape()


@pytest.mark.slow
async def test_what_a_takeover_has_lost_is_counted_as_missing(tmp_path: Path) -> None:
    """The source remembers 50 events; 200 happen that no scrape of the killed leader has shown."""
    upstream = BackendSettings(port=0, rate=0, history_events=50)
    async with fake_api() as api, Backend(upstream) as backend, AsyncExitStack() as stack:
        options = replicas(api, backend, tmp_path)

        def send(first: int, count: int) -> None:
            for number in range(first, first + count):
                backend.service.publish([Event(f"n{number}", "", "p", "info", "info", "", {})])

        first = await stack.enter_async_context(process(*options))
        await wait_until(lambda: _is_live(first), "the first one leads")
        second = await stack.enter_async_context(process(*options))
        send(0, 100)
        await wait_until(lambda: _has(first, 100), "100 events counted")
        shown = await first.counted()
        send(100, 200)
        first.program.signal(signal.SIGKILL)
        await wait_until(lambda: _is_live(second), "the second one leads", 8)
        await wait_until(lambda: _has(second, 50), "what the source still knew is counted")
        missing = await wait_until(lambda: _missing(second), "what it had forgotten is counted as missing")
        counted = await second.counted()
        print(f"{shown} shown before, {counted} counted after, {missing} missing of 300")
        assert (shown, counted, missing) == (100, 50, 150)


async def _missing(one: Process) -> int:
    lines = (await one.look("iris_stream_event_gaps_total")).splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith("iris_stream_event_gaps_total{"))


def replicas(api: FakeApi, backend: Backend, directory: Path) -> tuple[str, ...]:
    """The options of replicas of which one leads."""
    return (
        f"--stream.url={backend.url}/api/stream/events",
        f"--state.dir={directory}",
        "--leader-election",
        "--fleet.lease-duration=3s",
        f"--fleet.kubernetes-url={api.url}",
    )


async def _is_live(one: Process) -> bool:
    return (await one.states()).get("default") == "live"


async def _has(one: Process, count: int) -> bool:
    lines = (await one.look("iris_events_total")).splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith("iris_events_total{")) >= count
