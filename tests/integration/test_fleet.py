"""A fleet of real processes: every stream on exactly one of them, and of two replicas exactly one that counts."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from iris_exporter.backend.objects import Event
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.core.sharding import owner
from tests.fleet.api import fake_api
from tests.integration.programs import Program, running, wait_until

STREAMS = 1000
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

    async def scrape(self) -> str:
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


@pytest.mark.time_limit(110)
async def test_a_fleet_grows_from_8_to_9_and_every_stream_stays_on_exactly_one_shard(tmp_path: Path) -> None:
    file = tmp_path / "iris.yaml"
    async with AsyncExitStack() as stack, Backend(BackendSettings(port=0, rate=1)) as backend:
        write_configuration(file, backend.url, 8)
        shards = [
            await stack.enter_async_context(process(f"--config.file={file}", f"--shard={ordinal}"))
            for ordinal in range(8)
        ]
        before = await placement(shards)
        assert before == {name: owner(name, 8) for name in before}
        assert backend.open_connections == STREAMS
        write_configuration(file, backend.url, 9)
        # Those that give streams away go first, so that no stream is ever on two.
        for shard in shards:
            shard.program.signal(signal.SIGHUP)
        await asyncio.gather(*(wait_until(lambda shard=shard: _has_total(shard, 9), "a reload") for shard in shards))
        during = [await shard.states() for shard in shards]
        assert sum(map(len, during)) == len({name for one in during for name in one})
        shards.append(await stack.enter_async_context(process(f"--config.file={file}", "--shard=8")))
        after = await placement(shards)
        moved = [name for name in before if before[name] != after[name]]
        print(f"8 to 9 shards: {len(moved)} of {STREAMS} streams moved ({STREAMS / 9:.0f} is one in nine)")
        assert {after[name] for name in moved} == {8}
        assert 0.7 * STREAMS / 9 < len(moved) < 1.3 * STREAMS / 9
        assert backend.open_connections == STREAMS
        per_process = [_resident_mebibytes(shard.program) for shard in shards]
        print("resident MiB of each process:", " ".join(f"{size:.0f}" for size in per_process))
        assert sum(per_process) < 2048


async def _has_total(shard: Process, total: int) -> bool:
    return f"iris_exporter_shards {total}.0" in await shard.scrape()


def _resident_mebibytes(program: Program) -> float:
    pages = int(Path(f"/proc/{program.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def test_a_killed_leader_is_followed_and_nothing_is_counted_twice(tmp_path: Path) -> None:
    async with fake_api() as api, Backend(BackendSettings(port=0, rate=0)) as backend, AsyncExitStack() as stack:
        options = (
            f"--stream.url={backend.url}/api/stream/events",
            f"--state.dir={tmp_path}",
            "--leader-election",
            "--fleet.lease-duration=3s",
            f"--fleet.kubernetes-url={api.url}",
        )
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
        assert took < 5
        send(50)
        await wait_until(lambda: _has(second, sent - shown), "what no scrape has shown is counted")
        assert shown + await second.counted() == sent
        assert "iris_stream_event_gaps_total" in await second.scrape()
        assert 'iris_stream_event_gaps_total{stream="default"} 0.0' in await second.scrape()


async def _is_live(one: Process) -> bool:
    return (await one.states()).get("default") == "live"


async def _has(one: Process, count: int) -> bool:
    url = f"{one.url}/metrics?name[]=iris_events_total"  # no scraper's look, so nothing is committed by it
    async with one._http.get(url) as answer:
        lines = (await answer.text()).splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith("iris_events_total{")) >= count
