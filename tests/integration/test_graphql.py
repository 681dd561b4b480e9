"""GraphQL with clients and a server that are not ours: npm's `graphql-ws` and `graphql-sse`."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from tests.integration.harness import sidecar
from tests.integration.programs import running
from tests.tools import NODE_MODULES, ROOT, tool
from tests.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.time_limit(90)]

HERE = Path(__file__).parent
SCHEMA = ROOT / "iris_exporter/backend/graphql/schema.graphql"
DOCUMENT = """subscription($after: String) { stream(after: $after) { __typename
  ... on Subscribed { position resume { outcome missed } } ... on Update { projects { id } events { id } }
  ... on EventMessage { position event { id } } ... on ErrorMessage { code } } }"""
COUNT = 40


@pytest.mark.needs("node", "ws", "graphql", "graphql-ws", "graphql-sse")
@pytest.mark.parametrize("package", ["graphql-ws", "graphql-sse"])
async def test_clients_of_npm_count_each_event_once_through_a_cut(package: str) -> None:
    seen: list[dict[str, Any]] = []

    def take(line: str) -> bool | None:
        seen.append(json.loads(line))
        return None

    def events() -> list[str]:
        found = [line["result"]["data"]["stream"] for line in seen if "result" in line]
        return [each["event"]["id"] for each in found if each["__typename"] == "EventMessage"]

    async with Backend(BackendSettings(port=0, seed=7, rate=20.0)) as backend:
        url = f"{backend.url}/api/graphql"
        if package == "graphql-ws":
            url = url.replace("http", "ws", 1)
        command = (tool("node"), HERE / "clients/graphql.mjs", NODE_MODULES, package, url, DOCUMENT)
        async with running(*command) as program:
            reading = asyncio.ensure_future(program.printed(take, 60))
            try:
                await until(lambda: len(events()) >= 20)
                for connection in list(backend.service.connections):
                    connection.cut()
                before = len(events())
                await until(lambda: len(events()) >= before + 20)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        counted = events()
        history = [entry.event.id for entry in backend.service.feed.history.after(0)]
    first = history.index(counted[0])
    assert counted == history[first : first + len(counted)], "none is lost, none is repeated"
    results = [line["result"]["data"]["stream"] for line in seen if "result" in line]
    answers = [each for each in results if each["__typename"] == "Subscribed"]
    assert [each["resume"] for each in answers] == [None, {"outcome": "full", "missed": 0}]
    assert not any("errors" in line.get("result", {}) for line in seen)


@pytest.mark.needs("node", "ws", "graphql", "graphql-ws")
async def test_the_sidecar_follows_a_server_of_npm() -> None:
    async with running(tool("node"), HERE / "servers/graphql.mjs", NODE_MODULES, SCHEMA) as program:
        port = await program.printed(lambda line: json.loads(line).get("port"))
        options = ("--stream.protocol=graphql", "--stream.reconnect-initial=100ms")
        async with sidecar(f"--stream.url=http://127.0.0.1:{port}/api/stream", *options) as exporter:
            scrape = await exporter.counts("iris_events_total", COUNT, seconds=20)
            assert scrape.state() == "live"
            assert scrape.total("iris_stream_info", protocol="graphql", encoding="json") == 1
            assert scrape.total("iris_stream_decode_errors_total") == 0
            assert scrape.total("iris_stream_event_gaps_total") == 0
            assert scrape.total("iris_stream_disconnects_total", reason="closed") == 1
            assert scrape.value("iris_project_runs", project="alpha") == 321
            events = await exporter.events()
            assert [event["id"] for event in events] == [f"evt-{number}" for number in reversed(range(COUNT))]
        opened = [line for line in map(json.loads, program.stdout) if "opened" in line]
        assert [line["after"] for line in opened] == [None, "e-10"]
