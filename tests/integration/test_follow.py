"""A sidecar that is followed while it follows the reference backend: every event once, through a cut and a restart."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from iris_exporter.backend.objects import Event
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from tests.examples import cases
from tests.integration.harness import sidecar
from tests.waiting import BUSY

pytestmark = pytest.mark.integration


async def read(url: str, events: int, last_id: str = "") -> tuple[dict[str, Any], list[str], str]:
    """The snapshot, the ids of so many events, and the last position, over a connection that is cut then."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    async with (
        asyncio.timeout(20 * BUSY),
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/v1/follow", headers=headers) as response,
    ):
        kind, snapshot, ids = "", {}, []
        while not snapshot or len(ids) < events:
            line = await response.content.readline()
            if not line:
                raise EOFError
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                kind = value
            elif name == "id":
                last_id = value
            elif name == "data" and kind == "snapshot":
                snapshot = json.loads(value)
            elif name == "data" and kind == "event":
                ids.append(json.loads(value)["id"])
        return snapshot, ids, last_id


async def messages(url: str, events: int) -> list[tuple[str, Any]]:
    """Every message, until so many events have come."""
    found: list[tuple[str, Any]] = []
    async with (
        asyncio.timeout(40 * BUSY),
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/v1/follow") as response,
    ):
        kind = ""
        while sum(each == "event" for each, _ in found) < events:
            line = await response.content.readline()
            assert line, "the server has ended it"
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                found.append((kind, json.loads(value)))
    return found


def publish(backend: Backend, first: int, count: int) -> list[str]:
    ids = [f"n{number}" for number in range(first, first + count)]
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    backend.service.publish([Event(name, now, "p", "run", "info", "text", {}) for name in ids])
    return ids


@pytest.mark.parametrize("protocol", cases(("websocket", "sse"), quick={"websocket"}))
async def test_every_event_is_sent_once_through_a_cut_and_a_restart_is_told(protocol: str) -> None:
    async with Backend(BackendSettings(port=0, rate=0)) as backend:
        options = (f"--stream.url={backend.url}/api/stream/events", f"--stream.protocol={protocol}")
        async with sidecar(*options) as exporter:
            await exporter.reaches("live")
            following = asyncio.create_task(read(exporter.url, 90))
            await exporter.counts("iris_exporter_follow_clients", 1)
            sent = publish(backend, 0, 90)
            snapshot, ids, position = await following
            assert snapshot["resumed"] is None
            assert [stream["state"] for stream in snapshot["streams"]] == ["live"]
            assert ids == sent
            sent = publish(backend, 90, 60)
            await exporter.counts("iris_events_total", 150)
            snapshot, ids, position = await read(exporter.url, 60, position)
            assert (snapshot["resumed"], snapshot["missed"], ids) == ("full", 0, sent)
        async with sidecar(*options) as exporter:
            snapshot, _, _ = await read(exporter.url, 0, position)
            assert (snapshot["resumed"], snapshot["missed"]) == ("none", None)


async def test_a_polled_stream_is_followed_through_its_snapshots_and_becomes_live() -> None:
    """Each event once, whatever number of documents has it, then over the live stream; and both changes of state."""
    async with Backend(BackendSettings(port=0, rate=0, faults=("refuse",))) as backend:
        options = (
            *(f"--stream.url={backend.url}/api/stream/events", "--stream.protocol=sse", "--stream.poll-interval=200ms"),
            *("--stream.reconnect-initial=50ms", "--stream.reconnect-max=100ms", "--stream.reconnect-attempts=2"),
            "--stream.live-retry-interval=500ms",
        )
        async with sidecar(*options) as exporter:
            await exporter.reaches("polling")
            following = asyncio.create_task(messages(exporter.url, 40))
            await exporter.counts("iris_exporter_follow_clients", 1)
            sent = publish(backend, 0, 20)
            await exporter.counts("iris_events_total", 20)
            await exporter.counts("iris_stream_polls_total", 5)
            backend.service.faults.clear("refuse")
            await exporter.reaches("live")
            sent += publish(backend, 20, 20)
            found = await following
            assert [data["id"] for kind, data in found if kind == "event"] == sent
            (first, snapshot), *_ = found
            assert (first, snapshot["streams"][0]["state"]) == ("snapshot", "polling")
            states = [data["state"] for kind, data in found if kind == "state"]
            assert states[-1] == "live"
            assert states.index("live") > 0
            assert set(states) <= {"polling", "connecting", "live"}


async def test_a_sidecar_that_is_followed_ends_in_time() -> None:
    async with Backend(BackendSettings(port=0, rate=0)) as backend:
        async with sidecar(f"--stream.url={backend.url}/api/stream/events") as exporter:
            await exporter.reaches("live")
            following = asyncio.create_task(read(exporter.url, 1))
            await exporter.counts("iris_exporter_follow_clients", 1)
        # The harness has seen it end within five seconds.
        with pytest.raises(EOFError):
            await following
