"""A source that does not have everything: what it lacks is absent on the wire, and trouble is said once."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from typing_extensions import override

from iris_exporter.backend.objects import Anomaly, Event, Metrics, Project
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.backend.source import Source
from iris_exporter.wire import protobuf
from tests.backend.clients import Bench
from tests.fakes import FakeClock


class Scarce(Source):
    """What a test puts into it, and nothing else."""

    trouble: str | None = None

    def __init__(self) -> None:
        self.version = 0
        self.description = "a test"
        self.events: list[Event] = []
        self.figures: Metrics | None = None
        self.known: list[Project] | None = None

    @override
    def advance(self, until: float) -> list[Event]:
        taken, self.events = self.events, []
        return taken

    @override
    def metrics(self) -> Metrics | None:
        return self.figures

    @override
    def projects(self) -> Sequence[Project] | None:
        return self.known

    @override
    def anomalies(self) -> Sequence[Anomaly] | None:
        return None

    @override
    def patterns(self) -> Sequence[dict[str, Any]] | None:
        return None

    @override
    def details(self, project_id: str) -> dict[str, Any] | None:
        return None


@asynccontextmanager
async def scarce(source: Scarce) -> AsyncIterator[Bench]:
    clock = FakeClock()
    async with (
        Backend(BackendSettings(port=0), clock=clock, source=lambda _: source) as backend,
        aiohttp.ClientSession() as http,
    ):
        yield Bench(backend, clock, http)


async def test_what_the_source_lacks_is_absent_everywhere() -> None:
    source = Scarce()
    source.known = [Project("a", total_runs=3)]
    source.events = [Event("e1", message="something")]
    async with scarce(source) as it:
        await it.clock.advance(0.1)
        _, body = await it.get("/api/overview")
        found = json.loads(body)
        assert found.keys() == {"projects", "events", "cursor"}
        assert found["projects"] == [{"id": "a", "total_runs": 3}]
        assert found["events"] == [{"id": "e1", "message": "something"}]
        _, body = await it.get("/api/iris/overview")
        found = json.loads(body)
        assert found["projects"] == [{"project": "a", "totalRuns": 3}]
        assert found["events"] == [{"id": "e1", "message": "something"}]
        assert [(await it.get(path))[0].status for path in ("/api/anomalies", "/api/patterns")] == [404, 404]
        for protocol in ("websocket", "sse"):
            async with it.connect(protocol, "overview") as client:
                assert (await client.next()).json["data"].keys() == {"projects", "events"}
            async with it.connect(protocol, "telemetry") as client:
                assert (await client.next()).json["data"] == {"recentEvents": []}


@pytest.mark.parametrize("delta", [True, False])
@pytest.mark.parametrize("binary", [True, False])
async def test_subscribers_are_told_what_there_is_and_of_what_is_gone(binary: bool, delta: bool) -> None:
    source = Scarce()
    source.known = [Project("a", total_runs=3, status="healthy")]
    source.figures = Metrics(total_projects=1)
    async with (
        scarce(source) as it,
        it.http.ws_connect(
            f"{it.backend.url}/api/stream", protocols=["iris.v1+protobuf"] if binary else [], max_msg_size=0
        ) as socket,
    ):

        async def read() -> dict[str, Any]:
            message = await socket.receive(5)
            return protobuf.decode(message.data) if binary else json.loads(message.data)  # type: ignore[no-any-return]

        await it.clock.advance(1.1)
        options = {"delta": delta, "channels": ["metrics", "projects", "anomalies"]}
        await socket.send_json({"type": "subscribe", "data": options})
        assert (await read())["type"] == "subscribed"
        projects = [{"id": "a", "total_runs": 3, "status": "healthy"}]
        assert (await read())["data"] == {"metrics": {"total_projects": 1}, "projects": projects}
        source.known = [Project("a", total_runs=4)]
        source.figures = None
        source.version += 1
        await it.clock.advance(1.1)
        change: dict[str, Any] = {"id": "a", "total_runs": 4}
        assert (await read())["data"] == {"projects": [change | {"status": None} if delta else change]}
        _, body = await it.get("/api/overview")
        assert json.loads(body)["projects"] == [change]
        source.known = []
        await it.clock.advance(1.1)
        source.version += 1
        _, body = await it.get("/api/overview")
        assert json.loads(body)["projects"] == []


async def test_trouble_is_said_once_on_each_stream_and_by_health() -> None:
    source = Scarce()
    async with (
        scarce(source) as it,
        it.connect("sse", "events") as older,
        it.http.get(f"{it.backend.url}/api/stream?channels=events") as response,
    ):
        source.trouble = "the source is away"
        await it.clock.advance(0.2)
        await it.clock.advance(40)
        found = await older.next()
        assert found.json["error"] == {"code": "SERVICE_UNAVAILABLE", "message": "the source is away"}
        assert (await older.next()).type == "ping", "heartbeats go on, and it is said once"
        types = [(await response.content.readuntil(b"\n\n")).split(b"\n")[0] for _ in range(4)]
        assert types == [b"retry: 3000", b"event: subscribed", b"event: update", b"event: error"]
        health, body = await it.get("/api/telemetry/health")
        assert (health.status, json.loads(body)) == (503, {"ok": False, "error": "the source is away"})
        overview, body = await it.get("/api/overview")
        assert (overview.status, json.loads(body)["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
        source.trouble = None
        await it.clock.advance(0.2)
        assert (await it.get("/api/telemetry/health"))[0].status == 200
        source.trouble = "away again"
        await it.clock.advance(0.2)
        assert (await older.next()).json["error"]["message"] == "away again"
