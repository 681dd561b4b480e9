"""Subscriptions to the reference backend as a process, by clients of other libraries: `websockets`, and bare HTTP."""

import asyncio
import json
import signal
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp
import pytest
from typing_extensions import override
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from iris_exporter.backend.patches import merge_patch
from iris_exporter.wire import protobuf
from tests.commands.test_backend import address, started
from tests.examples import cases
from tests.waiting import BUSY, until

pytestmark = pytest.mark.integration

EXTENSIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "delta": {"delta": True},
    "batch": {"batch": {"maxMessages": 5, "maxDelayMs": 100}},
    "all": {
        "delta": True,
        "batch": {"maxMessages": 20, "maxDelayMs": 50},
        "debounceMs": 100,
        "priority": True,
        "fields": {"events": ["severity"], "projects": ["status", "total_runs"]},
    },
}
EVENTS = 60


class Client(Protocol):
    """Messages as JSON documents, one after the other; ends with the connection."""

    code: int | None
    last_lines: bytes

    def messages(self) -> AsyncIterator[dict[str, Any]]: ...


class OverWebSocket(Client):
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.code = None
        self.last_lines = b""
        self.epoch = ""

    @override
    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        try:
            async for data in self.socket:
                message = json.loads(data) if isinstance(data, str) else protobuf.decode(data, self.epoch)
                if message["type"] == "subscribed":
                    self.epoch = message["data"]["position"].partition("-")[0]
                yield message
        except ConnectionClosed:
            pass
        self.code = self.socket.close_code


class OverSse(Client):
    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.reader = reader
        self.code = None
        self.last_lines = b""

    @override
    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert b"200 OK" in head
        inflate = zlib.decompressobj(31) if b"Content-Encoding: gzip" in head else None
        text = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            data = (await self.reader.readexactly(size + 2))[:-2]
            text += data if inflate is None else inflate.decompress(data)
            *blocks, text = text.split(b"\n\n")
            for block in blocks:
                lines = dict(line.partition(b": ")[::2] for line in block.split(b"\n"))
                if b"data" in lines:
                    yield json.loads(lines[b"data"])
                else:
                    self.last_lines = block
        assert inflate is None or inflate.eof


@asynccontextmanager
async def over(form: str, url: str, options: dict[str, Any]) -> AsyncIterator[Client]:
    if form.startswith("sse"):
        pairs = []
        for key, value in options.items():
            for name, part in (value if isinstance(value, dict) else {"": value}).items():
                values = part if isinstance(part, list) else [part]
                pairs += [(f"{key}.{name}".rstrip("."), json.dumps(each).strip('"')) for each in values]
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]), limit=2**24)
        coding = "Accept-Encoding: gzip\r\n" if form == "sse, gzip" else ""
        writer.write(f"GET /api/stream?{urlencode(pairs)} HTTP/1.1\r\nHost: x\r\n{coding}\r\n".encode())
        try:
            yield OverSse(reader)
        finally:
            writer.close()
        return
    protocols = [Subprotocol("iris.v1+protobuf"), Subprotocol("iris.v1+json")] if form == "protobuf" else None
    ws = url.replace("http", "ws", 1) + "/api/stream"
    async with connect(ws, subprotocols=protocols, max_size=None, compression="deflate") as socket:
        assert socket.subprotocol == (protocols[0] if protocols else None)
        await socket.send(json.dumps({"type": "subscribe", "data": options}))
        yield OverWebSocket(socket)


class Model:
    """What a client knows, by the rules of the protocol."""

    def __init__(self) -> None:
        self.projects: dict[str, dict[str, Any]] = {}
        self.first: list[str] = []
        self.events: dict[str, str] = {}
        """Event ids by position, of events that came live."""
        self.last_seq = 0
        self.error: dict[str, Any] | None = None

    @property
    def has_enough(self) -> bool:
        return len(self.events) >= EVENTS

    def read(self, message: dict[str, Any]) -> None:
        if message["type"] == "batch":
            for each in message["messages"]:
                self.read(each)
        elif message["type"] == "event" and "id" in message:
            assert message["id"] not in self.events
            self.events[message["id"]] = message["data"]["id"]
        elif message["type"] in ("update", "delta"):
            if "seq" in message:
                self.last_seq += 1
                assert message["seq"] == self.last_seq
            self.first += [event["id"] for event in message["data"].get("events", [])]
            for found in message["data"].get("projects", []):
                base = self.projects.get(found["id"], {}) if message["type"] == "delta" else {}
                self.projects[found["id"]] = merge_patch(base, found)
        elif message["type"] == "error":
            self.error = message["error"]


@pytest.mark.parametrize("extension", cases(EXTENSIONS, quick={"all"}))
async def test_every_form_has_the_same_events_once_and_is_told_when_to_come_back(extension: str) -> None:
    options = EXTENSIONS[extension]
    forms = ("json", "protobuf", "sse", "sse, gzip")
    models = {form: Model() for form in forms}
    clients: dict[str, Client] = {}

    async def follow(form: str, url: str) -> None:
        async with over(form, url, options) as client:
            clients[form] = client
            async for message in client.messages():
                models[form].read(message)

    async with (
        started("--web.listen-address=127.0.0.1:0", "--rate=40", "--seed=7") as process,
        aiohttp.ClientSession() as http,
        asyncio.timeout(30 * BUSY),
    ):
        url = await address(process)
        tasks = [asyncio.create_task(follow(form, url)) for form in forms]
        await until(lambda: any(task.done() for task in tasks) or all(each.has_enough for each in models.values()))
        async with http.get(f"{url}/metrics") as response:
            shown = await response.text()
        async with http.get(f"{url}/api/events?limit=1000") as response:
            sent = [event["id"] for event in reversed(await response.json())]
        process.send_signal(signal.SIGTERM)
        await asyncio.gather(*tasks)
        _, err = await process.communicate()
    assert process.returncode == 0
    assert "Traceback" not in err.decode()
    assert 'iris_backend_connections{encoding="protobuf",protocol="websocket"} 1.0' in shown
    for form, model in models.items():
        # The events as they happened, without a gap, from the first one that this client was sent.
        found = list(model.events.values())
        begin = sent.index(found[0])
        common = min(len(found), len(sent) - begin)
        assert found[:common] == sent[begin : begin + common]
        assert model.first[::-1] == sent[:begin][-50:], "the first state has those before it"
        offsets = [int(position.rpartition("-")[2]) for position in model.events]
        assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
        assert model.error is not None
        assert model.error["code"] == "STREAM_UNAVAILABLE"
        assert 1 <= model.error["retryAfter"] <= 15
        if form.startswith("sse"):
            assert clients[form].last_lines == b"retry: %d" % round(1000 * model.error["retryAfter"])
        else:
            assert clients[form].code == 1001
    assert models["json"].projects.keys() == models["sse"].projects.keys()
    assert len({model.error["retryAfter"] for model in models.values() if model.error}) > 1


async def test_a_client_with_an_unknown_subprotocol_is_served_and_fills_no_log() -> None:
    async with started("--web.listen-address=127.0.0.1:0", "--log.level=warn") as process:
        url = (await address(process)).replace("http", "ws", 1) + "/api/stream"
        for _ in range(3):
            async with aiohttp.ClientSession() as http, http.ws_connect(url, protocols=("chat.v7",)) as socket:
                assert socket.protocol is None
                await socket.send_json({"type": "ping"})
                assert (await socket.receive_json())["type"] == "pong"
        process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
    assert err.decode() == ""


async def test_a_compressed_bomb_ends_its_own_connection_alone() -> None:
    async with started("--web.listen-address=127.0.0.1:0", "--rate=20") as process:
        url = (await address(process)).replace("http", "ws", 1) + "/api/stream"
        async with connect(url, compression="deflate") as other, connect(url, compression="deflate") as bomber:
            await other.send('{"type":"subscribe","data":{"channels":["events"]}}')
            await bomber.send("x" * 50_000_000)
            with pytest.raises(ConnectionClosed):
                while True:
                    await bomber.recv()
            assert bomber.close_code == 1009
            for _ in range(5):
                await other.recv()
        process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
    assert process.returncode == 0
    assert "Traceback" not in err.decode()
