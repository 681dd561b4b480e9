"""docs/openapi-exporter.yaml: a valid document, of every route of the server, that its answers keep to."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from jsonschema import Draft202012Validator
from multidict import CIMultiDict
from openapi_spec_validator import validate
from yarl import URL

from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.core.failures import Failure
from iris_exporter.core.positions import Outcome
from iris_exporter.core.status import State
from iris_exporter.decoding.messages import Event
from tests.integration.harness import sidecar
from tests.transports.support import serve
from tests.waiting import BUSY
from tests.web.http_servers import http_server
from tests.web.support import NOON, FakeContext, link, serving
from tests.web.test_follow import arrive, following

FILE = Path(__file__).parents[2] / "docs/openapi-exporter.yaml"
DOCUMENT: dict[str, Any] = yaml.load(FILE.read_text("utf-8"), yaml.CSafeLoader)


def check(name: str, value: object) -> None:
    """Fail unless a value fits the schema of this name."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(value)


def test_the_document_is_valid() -> None:
    validate(DOCUMENT)


async def test_it_has_every_route_and_no_other() -> None:
    async with http_server() as running:
        served = {
            (route.method.lower(), route.resource.canonical)
            for route in running.server.app.router.routes()
            if route.method != "HEAD" and route.resource is not None and route.resource.canonical != "/large"
        }
    methods = {"get", "post", "put"}
    assert served == {(method, path) for path, item in DOCUMENT["paths"].items() for method in methods & item.keys()}


async def test_answers_and_messages_fit_their_schemas() -> None:
    context = FakeContext()
    context.controls["main"].last_resume = Outcome.PARTIAL
    async with serving(context) as get:
        check("Stream", json.loads((await get("/api/v1/streams/main")).body))
        check("Overview", json.loads((await get("/api/v1/streams/main/overview")).body))
        for event in json.loads((await get("/api/v1/streams/main/events")).body):
            check("Event", event)
        check("BadParameter", json.loads((await get("/api/v1/follow?severity=x")).body))
        check("Error", json.loads((await get("/api/v1/streams/x")).body))
    async with http_server() as running, following(running) as reader:
        check("Snapshot", (await reader.message())[1])
        arrive(running, *(Event(str(number)) for number in range(1001)))
        kind, lost = await reader.message()
        assert kind == "lost"
        check("Lost", lost)
        check("FollowedEvent", (await reader.message())[1])


async def test_every_kind_of_message_fits_its_schema_whatever_is_chosen() -> None:
    """With each filter and with none, after each kind of position, while states and streams come and go."""
    async with http_server() as running:
        last_id = ""
        for query in ("", "?stream=main", "?severity=info&severity=error", "?project=alpha", "?stream=main&project=x"):
            for where in ("", "the last", "nonsense", "0-0"):
                position = last_id if where == "the last" else where
                headers = {"Last_Event_ID": position} if position else {}
                async with following(running, query, **headers) as reader:
                    assert reader.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
                    kind, data = await reader.message()
                    assert kind == "snapshot"
                    check("Snapshot", data)
                    control = running.context.controls["main"]
                    for state in State:
                        control.link = link(state, failure=Failure("dns", "no such host"), failing_since=NOON)
                        control.follower.state_changed("main")  # type: ignore[union-attr]
                        kind, data = await reader.message()
                        assert kind == "state"
                        check("Stream", data)
                    arrive(running, Event("e", NOON, "alpha", "run", "info", "m", b'{"a":[1,null]}'))
                    if query in ("", "?stream=main", "?project=alpha") or "info" in query:
                        kind, data = await reader.message()
                        assert kind == "event"
                        check("FollowedEvent", data)
                    last_id = reader.last_id


@asynccontextmanager
async def bounded(exporter: str) -> AsyncIterator[str]:
    """The exporter behind a server that ends an event stream after its first message, and passes on all else as it is.

    So what asks for one can read it to its end. A follower that has gone is waited for: no more than a few at a time.
    """
    # Those between two neighbours, and those that say how long a body is, which comes anew.
    hop = {"connection", "keep-alive", "transfer-encoding", "content-length", "date"}

    async def left(session: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(10 * BUSY):
            while True:
                async with session.get(f"{exporter}/metrics", headers={"Accept-Encoding": "identity"}) as answer:
                    if "\niris_exporter_follow_clients 0" in await answer.text():
                        return
                await asyncio.sleep(0.05)

    async def pass_on(request: web.Request) -> web.StreamResponse:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in hop | {"host"}]
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True), cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            ) as session,
            session.request(
                request.method, URL(f"{exporter}{request.raw_path}", encoded=True), headers=headers,
                data=await request.read(), allow_redirects=False,
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            ) as answer,
        ):  # fmt: skip
            is_stream = answer.content_type == "text/event-stream" and request.method == "GET"
            body = b"" if is_stream else await answer.read()
            while is_stream and body.count(b"\n\n") < 2:  # the time to come back after, and the snapshot
                body += await answer.content.readany()
            answer.close()
            if is_stream:
                await left(session)
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in hop]
            return web.Response(status=answer.status, headers=CIMultiDict(kept), body=body)

    async with serve(pass_on) as server:
        yield server.url


async def schemathesis(url: str, directory: Path, *options: str) -> str:
    """What it prints; fails unless it finds nothing."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", str(FILE), f"--url={url}", *options),
        *("--checks=all", "--max-examples=30", "--seed=1", "--no-color"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=directory,  # it leaves a cache behind
    )
    output = (await program.communicate())[0].decode()
    assert program.returncode == 0, output
    assert "No issues found" in output, output
    return output


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.time_limit(400)
async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """All paths; of `/api/v1/follow`, whose answer has no end, what ends after its first message.

    A document cannot say which streams there are: an unknown one in the query is a 400.
    """
    async with (
        Backend(BackendSettings(port=0, rate=20)) as backend,
        sidecar(f"--stream.url={backend.url}/api/stream/events") as exporter,
    ):
        await exporter.reaches("live")
        await schemathesis(exporter.url, tmp_path, "--exclude-path=/api/v1/follow")
        async with bounded(exporter.url) as url:
            options = ("--include-path=/api/v1/follow", "--exclude-checks=positive_data_acceptance")
            output = await schemathesis(url, tmp_path, *options)
    assert "1 selected / 16 total" in output
