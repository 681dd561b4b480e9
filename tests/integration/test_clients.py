"""Clients that are not ours follow the reference backend through a cut, and count each event once."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.backend.tickets import USED
from iris_exporter.wire import protobuf
from tests.integration.chromium import chromium
from tests.integration.following import (
    EXTENSIONS,
    Followed,
    PausableInstallation,
    follow_through_a_cut,
    uses_every_extension,
)
from tests.integration.programs import running
from tests.tools import NODE_MODULES, tool
from tests.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.time_limit(90)]

CLIENTS = Path(__file__).parent / "clients"
SCHEMA = Path(__file__).parents[2] / "iris_exporter/wire/iris/v1/iris.proto"
ASKED = pytest.mark.parametrize("options", [{}, EXTENSIONS], ids=["plain", "every-extension"])
ENCODINGS = pytest.mark.parametrize("encoding", ["json", "protobuf"])


def served(**more: Any) -> Backend:
    """A backend on a free port in which much happens."""
    settings = BackendSettings(port=0, seed=7, rate=20.0, update_interval_seconds=0.1, **more)
    return Backend(settings, source=lambda start: PausableInstallation(seed=7, start=start, rate=20.0))


def subprotocols(encoding: str) -> list[str]:
    """What a client offers, the one that it likes best first."""
    return [f"iris.v1+{each}" for each in ("protobuf", "json") if each in ("json", encoding)]


def socket_url(backend: Backend) -> str:
    return backend.url.replace("http", "ws", 1) + "/api/stream"


def check(backend: Backend, followed: Followed, options: dict[str, Any], protocol: str, encoding: str = "json") -> None:
    """What holds for every client: compression was agreed on, and all that was asked for was used."""
    traffic = backend.service.stats.traffic[protocol, encoding]
    assert 0 < traffic.wire_bytes < traffic.message_bytes
    assert [answer["encoding"] for answer in followed.answers] == [encoding] * len(followed.answers)
    if options:
        uses_every_extension(followed)


@asynccontextmanager
async def following(coroutine: Awaitable[None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(coroutine)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@ASKED
@ENCODINGS
async def test_websockets(options: dict[str, Any], encoding: str) -> None:
    """Python's `websockets`, which connects again by itself."""
    followed = Followed()

    async def follow(url: str) -> None:
        cursor = epoch = ""
        offers = [Subprotocol(each) for each in subprotocols(encoding)]
        async for socket in connect(url, subprotocols=offers):
            followed.say({"opened": True, "subprotocol": socket.subprotocol})
            after = {"after": cursor} if cursor else {}
            await socket.send(json.dumps({"type": "subscribe", "data": options | after}))
            try:
                async for data in socket:
                    message = json.loads(data) if isinstance(data, str) else protobuf.decode(data, epoch)
                    if message["type"] == "subscribed":
                        epoch = message["data"]["position"].partition("-")[0]
                        cursor = cursor or message["data"]["position"]
                    for each in message.get("messages", [message]):
                        cursor = each.get("id", cursor)
                    followed.say({"message": message})
            except ConnectionClosed:
                pass
            followed.say({"closed": socket.close_code})

    async with served() as backend, following(follow(socket_url(backend))):
        await follow_through_a_cut(backend, followed, options)
        check(backend, followed, options, "websocket", encoding)
    assert {line["subprotocol"] for line in followed.opened} == {f"iris.v1+{encoding}"}


@pytest.mark.needs("node", "ws", "protobufjs")
@ASKED
@ENCODINGS
async def test_ws_of_node(options: dict[str, Any], encoding: str) -> None:
    """Node's `ws`; binary messages are read by `protobufjs` from the schema."""
    followed = Followed()
    async with served() as backend:
        words = (NODE_MODULES, socket_url(backend), json.dumps(options), json.dumps(subprotocols(encoding)), SCHEMA)
        async with node(followed, "ws.mjs", *words):
            await follow_through_a_cut(backend, followed, options)
            check(backend, followed, options, "websocket", encoding)
    assert {line["subprotocol"] for line in followed.opened} == {f"iris.v1+{encoding}"}
    assert {line["extensions"] for line in followed.opened} == {"permessage-deflate"}


@pytest.mark.needs("node", "eventsource")
@pytest.mark.slow  # it waits three seconds before it connects again, as the backend asks
@ASKED
async def test_eventsource_of_node(options: dict[str, Any]) -> None:
    """Node's `eventsource`, which connects again by itself, with the last id that it has seen."""
    followed = Followed()
    async with (
        served() as backend,
        node(followed, "eventsource.mjs", NODE_MODULES, f"{backend.url}/api/stream", json.dumps(options)),
    ):
        await follow_through_a_cut(backend, followed, options)
        check(backend, followed, options, "sse")
    assert {line["closed"] for line in followed.closed} == {"connecting"}


@asynccontextmanager
async def node(followed: Followed, script: str, *words: str | Path) -> AsyncIterator[None]:
    """Run a client in Node; what it prints is fed to `followed`, whose problem a complaint of Node's is."""
    async with running(tool("node"), CLIENTS / script, *words) as program:

        def take(line: str) -> bool | None:
            followed.say(json.loads(line) if line.startswith("{") else {"complaint": line})
            return None

        async with following(program.printed(take, 60)):
            yield
            assert program.stderr == []


@pytest.mark.needs("curl")
@ASKED
async def test_curl(options: dict[str, Any]) -> None:
    """curl with `--compressed`, started again with the last id by whoever reads it."""
    followed = Followed()

    async def follow(url: str) -> None:
        last = ""
        for _ in itertools.count():
            resume = ("--header", f"Last-Event-ID: {last}") if last else ()
            command = (tool("curl"), "--silent", "--no-buffer", "--compressed", *resume, url)
            async with running(*command) as program:
                followed.say({"opened": True})
                reader = EventReader(followed, last)
                await asyncio.gather(program.printed(reader.line, 60), return_exceptions=True)
                last = reader.last
                followed.say({"closed": program.exit_code})

    async with served() as backend, following(follow(f"{backend.url}/api/stream?{query(options)}")):
        await follow_through_a_cut(backend, followed, options)
        check(backend, followed, options, "sse")


class EventReader:
    """Lines of server-sent events to messages; `last` is the last event id."""

    def __init__(self, followed: Followed, last: str) -> None:
        self._followed = followed
        self.last = last

    def line(self, line: str) -> bool | None:
        """Take a line; there is always more to come."""
        name, _, value = line.partition(": ")
        if name == "id":
            self.last = value
        elif name == "data":
            self._followed.say({"message": json.loads(value)})
        return None


def query(options: dict[str, Any]) -> str:
    """The options as parameters."""
    pairs = []
    for name, value in options.items():
        for member, part in (value if isinstance(value, dict) else {"": value}).items():
            values = part if isinstance(part, list) else [part]
            pairs += [(f"{name}.{member}".rstrip("."), json.dumps(each).strip('"')) for each in values]
    return urlencode(pairs)


async def send(file: Path, _: web.Request) -> web.FileResponse:
    return web.FileResponse(file)


@asynccontextmanager
async def origin() -> AsyncIterator[str]:
    """Serve the page of the browser's clients; its address is another origin than the backend's."""
    app = web.Application()
    for file in (*CLIENTS.iterdir(), SCHEMA, NODE_MODULES / "protobufjs/dist/protobuf.js"):
        app.router.add_get(f"/{file.name}", partial(send, file))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.needs("chromium", "protobufjs")
@pytest.mark.slow
@ASKED
async def test_eventsource_of_chromium(options: dict[str, Any], tmp_path: Path) -> None:
    """A page of the allowed origin: EventSource connects again by itself, with the last id that it has seen."""
    followed = Followed()
    async with origin() as there, served(cors_origins=(there,)) as backend, chromium(tmp_path) as browser:
        page = await browser.page(f"{there}/page.html", followed.say)
        await page.call("window.events", f"{backend.url}/api/stream", options)
        await follow_through_a_cut(backend, followed, options)
        check(backend, followed, options, "sse")
        assert {line["closed"] for line in followed.closed} == {"connecting"}


@pytest.mark.needs("chromium", "protobufjs")
@pytest.mark.slow
@ASKED
@ENCODINGS
async def test_websocket_of_chromium(options: dict[str, Any], encoding: str, tmp_path: Path) -> None:
    """A page's WebSocket; binary messages are read by `protobufjs` from the schema."""
    followed = Followed()
    async with origin() as there, served(cors_origins=(there,)) as backend, chromium(tmp_path) as browser:
        page = await browser.page(f"{there}/page.html", followed.say)
        await page.call("window.socket", socket_url(backend), options, subprotocols(encoding))
        await follow_through_a_cut(backend, followed, options)
        check(backend, followed, options, "websocket", encoding)
        assert {line["subprotocol"] for line in followed.opened} == {f"iris.v1+{encoding}"}
        assert {line["extensions"] for line in followed.opened} == {"permessage-deflate"}


@pytest.mark.needs("chromium", "protobufjs")
@pytest.mark.slow
async def test_a_page_reads_what_its_origin_is_allowed(tmp_path: Path) -> None:
    """With a header that needs a preflight, a page of the allowed origin reads REST; of any other, nothing."""
    async with origin() as there, origin() as elsewhere, chromium(tmp_path) as browser:
        (tmp_path / "key").write_text("a-key")
        async with served(cors_origins=(there,), api_key_file=tmp_path / "key") as backend:
            url = f"{backend.url}/api/events?limit=3"
            init = {"headers": {"Authorization": "Bearer a-key"}, "credentials": "include"}
            page = await browser.page(f"{there}/page.html", lambda _: None)
            answer = await page.call("window.read", url, init)
            assert answer["status"] == 200
            assert len(answer["body"]) <= 3
            assert answer["cursor"].startswith(backend.service.feed.history.epoch)
            refused = await page.call("window.read", url, {})
            assert (refused["status"], refused["body"]["error"]["code"]) == (401, "AUTH_REQUIRED")
            other = await browser.page(f"{elsewhere}/page.html", lambda _: None)
            assert await other.call("window.read", url, init) == {"refused": "TypeError"}


@pytest.mark.needs("chromium", "protobufjs")
@pytest.mark.slow
@ASKED
async def test_eventsource_of_chromium_with_tickets(options: dict[str, Any], tmp_path: Path) -> None:
    """A page of the allowed origin, where a key is needed: each connection has a ticket of its own."""
    followed = Followed()
    (tmp_path / "key").write_text("a-key")
    async with (
        origin() as there,
        served(cors_origins=(there,), api_key_file=tmp_path / "key") as backend,
        chromium(tmp_path) as browser,
    ):
        page = await browser.page(f"{there}/page.html", followed.say)
        await page.call("window.eventsWithTickets", backend.url, options, "a-key")
        await follow_through_a_cut(backend, followed, options)
        check(backend, followed, options, "sse")
        assert backend.service.stats.refusals["AUTH_REQUIRED"] == 0


@pytest.mark.needs("chromium", "protobufjs")
@pytest.mark.slow
async def test_a_page_opens_streams_with_tickets(tmp_path: Path) -> None:
    """A page sends its key in the header of `fetch` alone; a page of another origin opens nothing, ticket or not."""
    (tmp_path / "key").write_text("a-key")
    allowed, refused = Followed(), Followed()
    async with (
        origin() as there,
        origin() as elsewhere,
        chromium(tmp_path) as browser,
        served(cors_origins=(there,), api_key_file=tmp_path / "key") as backend,
    ):
        page = await browser.page(f"{there}/page.html", allowed.say)
        init = {"method": "POST", "headers": {"Authorization": "Bearer a-key"}, "credentials": "include"}
        tickets = [(await page.call("window.read", f"{backend.url}/api/ticket", init))["body"] for _ in range(3)]
        assert {key for answer in tickets for key in answer} == {"ticket", "expiresAt"}
        first, second, third = (f"?ticket={answer['ticket']}" for answer in tickets)
        other = await browser.page(f"{elsewhere}/page.html", refused.say)
        await other.call("window.socket", socket_url(backend) + third, {}, ["iris.v1+json"])
        await until(lambda: bool(refused.closed))
        await page.call("window.events", f"{backend.url}/api/stream{first}", {})
        await until(lambda: len(allowed.answers) == 1)
        await page.call("window.socket", socket_url(backend) + second, {}, ["iris.v1+json"])
        await until(lambda: len(allowed.answers) == 2)
        assert not refused.opened
        assert backend.service.stats.refusals["FORBIDDEN"] > 0
        # The ticket of the refused page is still good, and then it is not.
        await page.call("window.socket", socket_url(backend) + third, {}, ["iris.v1+json"])
        await until(lambda: len(allowed.answers) == 3)
        late = await page.call("window.read", f"{backend.url}/api/overview{third}", {})
        assert (late["status"], late["body"]["error"]["message"]) == (401, USED)
