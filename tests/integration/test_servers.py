"""Servers that are not ours, and know nothing of subscriptions or grant nothing, as sources of the sidecar."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api_documents import check
from tests.integration.harness import Scrape, sidecar
from tests.integration.programs import Program, running
from tests.tools import NODE_MODULES, ROOT, tool

pytestmark = [pytest.mark.integration, pytest.mark.time_limit(90)]

SERVERS = Path(__file__).parent / "servers"
COUNT = 40


@asynccontextmanager
async def server(*command: str | Path, **environment: str) -> AsyncIterator[tuple[Program, str]]:
    """Start a server; its lines are JSON, and the first says its port."""
    async with running(*command, environment=environment) as program:
        port = await program.printed(lambda line: json.loads(line).get("port"))
        yield program, f"127.0.0.1:{port}"


def said(program: Program, key: str) -> list[dict[str, Any]]:
    """The lines that have this key."""
    return [line for line in map(json.loads, program.stdout) if key in line]


async def follows(url: str, *options: str) -> Scrape:
    """Run the sidecar until it has counted everything; plain JSON is what the stream then carries."""
    async with sidecar(f"--stream.url={url}", *options) as exporter:
        scrape = await exporter.counts("iris_events_total", COUNT, seconds=20)
        assert scrape.state() == "live"
        assert scrape.total("iris_events_total") == COUNT
        assert scrape.total("iris_stream_decode_errors_total") == 0
        assert scrape.total("iris_stream_disconnects_total") == 0
        assert scrape.value("iris_project_runs", project="alpha") == 321
        events = await exporter.events()
        assert [event["id"] for event in events] == [f"evt-{number}" for number in reversed(range(COUNT))]
        return scrape


@pytest.mark.needs("node", "ws")
@pytest.mark.parametrize(
    ("answer", "subprotocols"),
    [
        ("subscribed", "none"),
        ("nothing", "first"),
        ("error", "none"),
        pytest.param("subscribed", "first", marks=pytest.mark.slow),
        pytest.param("nothing", "none", marks=pytest.mark.slow),
    ],
)
async def test_ws_at_the_path_of_subscriptions(answer: str, subprotocols: str) -> None:
    """All that can be asked for is asked for, nothing is granted: plain JSON on the same, only connection.

    `ws` takes the first subprotocol that a client offers, whatever it is, and then sends text; that is read, too. The
    encoding that is shown is the one agreed on.
    """
    async with server(tool("node"), SERVERS / "ws.mjs", NODE_MODULES, answer, subprotocols) as (program, address):
        scrape = await follows(f"ws://{address}/api/stream")
        opened = said(program, "opened")
        assert len(opened) == 1
        assert opened[0]["offered"] == "iris.v1+protobuf,iris.v1+json"
        assert opened[0]["protocol"] == ("" if subprotocols == "none" else "iris.v1+protobuf")
        first = said(program, "heard")[0]
        assert first["isBinary"] is False
        check("asyncapi.yaml", {"$ref": "#/components/schemas/Subscribe"}, first["message"])
        assert "pong" in [line["heard"] for line in said(program, "heard")], "its ping was not answered"
        agreed = "json" if subprotocols == "none" else "protobuf"
        assert scrape.total("iris_stream_info", protocol="websocket", encoding=agreed) == 1


@pytest.mark.needs("node", "ws")
@pytest.mark.slow
async def test_ws_at_an_old_path() -> None:
    """Nothing is offered and nothing asked for."""
    async with server(tool("node"), SERVERS / "ws.mjs", NODE_MODULES, "nothing", "first") as (program, address):
        await follows(f"ws://{address}/api/stream/overview")
        assert [line["offered"] for line in said(program, "opened")] == [""]
        assert "subscribe" not in [line["heard"] for line in said(program, "heard")]


@pytest.mark.needs("node", "express")
@pytest.mark.parametrize(
    "path", ["", *(pytest.param(each, marks=pytest.mark.slow) for each in ("/overview", "/events"))]
)
async def test_express(path: str) -> None:
    """At the path of subscriptions, the options are in the query, which it does not look at."""
    async with server(tool("node"), SERVERS / "express.mjs", NODE_MODULES) as (program, address):
        scrape = await follows(f"http://{address}/api/stream{path}")
        opened = [line["opened"] for line in said(program, "opened")]
        assert [address.partition("?")[0] for address in opened] == [f"/api/stream{path}"]
        assert ["delta=true" in address for address in opened] == [not path]
        assert scrape.total("iris_stream_info", protocol="sse", encoding="json") == 1


@pytest.mark.needs("sse-starlette")
@pytest.mark.parametrize("path", ["overview", pytest.param("events", marks=pytest.mark.slow)])
async def test_sse_starlette(path: str) -> None:
    packages = str(ROOT / ".tools/sse-starlette")
    async with server(sys.executable, SERVERS / "starlette_sse.py", PYTHONPATH=packages) as (program, address):
        scrape = await follows(f"http://{address}/api/stream/{path}")
        assert [line["opened"] for line in said(program, "opened")] == [f"/api/stream/{path}"]
        assert scrape.total("iris_stream_info", protocol="sse") == 1
