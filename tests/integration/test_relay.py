"""The relay as a process, killed at any moment, between sources that have only REST and clients of its streams."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.commands.test_backend import ended, started
from tests.integration.harness import sidecar
from tests.integration.programs import wait_until
from tests.integration.reference import ReferenceBackend, reference_backend
from tests.ports import free_port
from tests.waiting import BUSY

pytestmark = [pytest.mark.integration, pytest.mark.time_limit(90)]

EVENTS = 400
LIVES = 4
WINDOW = 50


class Growing:
    """A source without positions: each time it is asked for the overview, some more events have happened."""

    def __init__(self, port: int) -> None:
        self.made = 0
        self.url = f"http://127.0.0.1:{port}"

    @property
    def event_ids(self) -> list[str]:
        return [f"evt-{number}" for number in range(1, self.made + 1)]

    async def overview(self, _: web.Request) -> web.Response:
        self.made = min(EVENTS, self.made + random.randint(0, 12))
        newest = range(self.made, max(0, self.made - WINDOW), -1)
        return web.json_response({
            "metrics": {"active_experts": 3},
            "projects": [{"id": "a", "status": "healthy"}],
            "events": [{"id": f"evt-{number}", "project": "a", "event_type": "info"} for number in newest],
            "anomalies": [],
        })  # fmt: skip


@asynccontextmanager
async def growing() -> AsyncIterator[Growing]:
    source = Growing(free_port())
    app = web.Application()
    app.router.add_get("/api/overview", source.overview)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(source.url.rpartition(":")[2])).start()
    try:
        yield source
    finally:
        await runner.cleanup()


def relay_of(url: str, directory: Path, port: int) -> AbstractAsyncContextManager[ReferenceBackend]:
    # At a lower level, the log names the address of the source before the relay prints its own.
    options = (f"--source={url}", "--source.poll-interval=100ms", f"--state.dir={directory}", "--log.level=error")
    return reference_backend(*options, port=port)


async def history(relay: ReferenceBackend, after: str | None = None) -> tuple[list[str], str]:
    """Ids of all events that a relay has after a position (None: the first), oldest first, and its position."""
    async with aiohttp.ClientSession() as http:
        if after is None:
            async with http.get(f"{relay.url}/api/events?limit=0") as response:
                after = response.headers["Iris-Cursor"].partition("-")[0] + "-0"
        async with http.get(f"{relay.url}/api/events?after={after}&limit=1000") as response:
            assert response.headers["Iris-Resume"] == "full"
            return [event["id"] for event in await response.json()], response.headers["Iris-Cursor"]


@pytest.mark.slow
async def test_a_killed_relay_loses_and_repeats_nothing_and_a_sidecar_counts_each_event_once(tmp_path: Path) -> None:
    port = free_port()
    options = (
        f"--stream.url=http://127.0.0.1:{port}/api/stream",
        "--stream.reconnect-initial=100ms",
        "--stream.reconnect-max=200ms",
        "--stream.reconnect-attempts=1000",
        "--stream.max-connections-per-hour=0",
    )
    async with growing() as source, sidecar(*options) as exporter:
        for life in range(LIVES):
            async with relay_of(source.url, tmp_path, port) as relay:
                least = EVENTS * (life + 1) // LIVES

                async def grown(least: int = least) -> bool:
                    return source.made >= least

                await wait_until(grown, f"{least} events", 20)
                if life < LIVES - 1:
                    # At any moment: while it waits, reads, commits or sends.
                    await relay.program.kill()
                    continue

                async def whole(relay: ReferenceBackend = relay) -> bool:
                    return (await history(relay))[0] == source.event_ids

                await wait_until(whole, "all events, each once, in order")
                _, position = await history(relay)
                assert position.endswith(f"-{EVENTS}"), "one epoch from the first life to the last"
                await exporter.reaches("live")
                scrape = await exporter.counts("iris_events_total", EVENTS)
                assert scrape.total("iris_events_total") == EVENTS
                assert scrape.total("iris_stream_event_gaps_total") == 0


@pytest.mark.slow
async def test_a_relay_follows_the_positions_of_a_source_over_kills(tmp_path: Path) -> None:
    port = free_port()
    async with reference_backend("--rate=40", "--fault=404") as source:
        cursor: str | None = None
        for _ in range(2):
            async with relay_of(f"{source.url}/api/iris/overview", tmp_path, port) as relay:
                known = len(await source.event_ids())

                async def caught_up(relay: ReferenceBackend = relay, known: int = known) -> bool:
                    return len((await history(relay))[0]) >= known

                await wait_until(caught_up, "what has happened")
                found, position = await history(relay)
                made = await source.event_ids()
                first = made.index(found[0])
                assert found == made[first : first + len(found)]
                if cursor is not None:
                    offset = int(cursor.partition("-")[2])
                    later, _ = await history(relay, cursor)
                    assert later[: len(found) - offset] == found[offset:]
                cursor = position
                await relay.program.kill()


async def test_a_second_relay_on_one_directory_ends_with_a_clear_error(tmp_path: Path) -> None:
    async with growing() as source, relay_of(source.url, tmp_path, 0) as first:
        code, out, errors = await ended(
            f"--source={source.url}", f"--state.dir={tmp_path}", "--web.listen-address=127.0.0.1:0"
        )
        assert (code, out) == (2, "")
        assert "--state.dir" in errors
        assert "another relay uses it" in errors
        assert "Traceback" not in errors
        assert await first.program.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
async def test_a_relay_that_waits_for_its_source_can_be_stopped(tmp_path: Path, number: signal.Signals) -> None:
    asked = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    address = "http://{}:{}".format(*server.sockets[0].getsockname())
    async with server, started(f"--source={address}", f"--state.dir={tmp_path}") as relay:
        async with asyncio.timeout(10 * BUSY):
            await asked.wait()
            relay.send_signal(number)
            out, errors = await relay.communicate()
    assert (relay.returncode, out) == (0, b"")
    assert b"Traceback" not in errors
