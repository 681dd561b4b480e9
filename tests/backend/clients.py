"""Clients of the reference backend that show each message as it came, over WebSocket or SSE."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from iris_exporter.backend.objects import Event
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from tests.fakes import FakeClock
from tests.waiting import BUSY

TIMEOUT_SECONDS = 5.0 * BUSY


class Ended(Exception):  # noqa: N818 (it is not an error)
    """The backend ended the stream; `clean` with a goodbye, with the close code on a WebSocket."""

    def __init__(self, *, clean: bool, code: int | None = None) -> None:
        super().__init__(clean, code)
        self.clean = clean
        self.code = code


@dataclass
class Seen:
    """One message: its JSON text, its cursor, and its SSE event name (None on a WebSocket)."""

    raw: bytes
    position: str | None
    name: str | None = None
    binary: bool = False

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.raw)
        return document

    @property
    def type(self) -> str:
        return str(self.json["type"])


class SseClient:
    protocol = "sse"

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.preamble: list[bytes] = []

    async def _line(self) -> bytes:
        try:
            line = await self.response.content.readuntil(b"\n")
        except (aiohttp.ClientError, RuntimeError) as error:
            raise Ended(clean=False) from error
        if not line:
            raise Ended(clean=True)
        return line.rstrip(b"\n")

    async def next(self) -> Seen:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                lines: list[bytes] = []
                while line := await self._line():
                    lines.append(line)
                values = dict(line.split(b": ", 1) for line in lines)
                if b"data" in values:
                    position = values[b"id"].decode() if b"id" in values else None
                    return Seen(values[b"data"], position, values[b"event"].decode())
                self.preamble += lines

    async def send(self, message: dict[str, Any]) -> None:
        raise AssertionError("SSE has no way back")


class WebSocketClient:
    protocol = "websocket"

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def next(self) -> Seen:
        message = await self.socket.receive(TIMEOUT_SECONDS)
        if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
            raise Ended(clean=self.socket.close_code not in (None, 1006), code=self.socket.close_code)
        if message.type is aiohttp.WSMsgType.ERROR:
            raise Ended(clean=False)
        binary = message.type is aiohttp.WSMsgType.BINARY
        raw = message.data if binary else message.data.encode()
        try:
            position = json.loads(raw).get("id")
        except ValueError:
            position = None
        return Seen(raw, position, binary=binary)

    async def send(self, message: dict[str, Any]) -> None:
        await self.socket.send_json(message)


Client = SseClient | WebSocketClient


class Bench:
    """A backend on a fake clock, and the means to talk to it."""

    def __init__(self, backend: Backend, clock: FakeClock, http: aiohttp.ClientSession) -> None:
        self.backend = backend
        self.clock = clock
        self.http = http
        self.made = 0

    def happen(self, count: int = 1, **changes: Any) -> list[str]:
        """Let events of the test's own happen; returns their ids."""
        events = []
        for _ in range(count):
            self.made += 1
            values: dict[str, Any] = {
                "id": f"own-{self.made}",
                "timestamp": "2025-01-02T03:04:05.678Z",
                "project": "checkout-assistant",
                "event_type": "evaluation",
                "severity": "info",
                "message": "made by a test",
                "metadata": {"number": self.made},
            }
            events.append(Event(**values | changes))
        self.backend.service.publish(events)
        return [event.id for event in events]

    def position(self, offset: int) -> str:
        return self.backend.service.feed.history.position(offset)

    @asynccontextmanager
    async def connect(
        self, protocol: str, channel: str = "events", headers: dict[str, str] | None = None
    ) -> AsyncIterator[Client]:
        """Open a stream; the connection is in the backend's books when the block begins."""
        path = "/api/iris/ws" if channel == "changes" else f"/api/stream/{channel}"
        url = self.backend.url + path
        if protocol == "websocket":
            # The test reads pings and pongs itself.
            async with self.http.ws_connect(url, headers=headers, autoping=False, max_msg_size=0) as socket:
                yield WebSocketClient(socket)
        else:
            async with self.http.get(url, headers=headers, read_bufsize=2**22) as response:
                assert response.status == 200, await response.text()
                yield SseClient(response)

    async def get(self, path: str, **options: Any) -> tuple[aiohttp.ClientResponse, bytes]:
        async with self.http.get(self.backend.url + path, **options) as response:
            return response, await response.read()

    async def until_open(self, count: int) -> None:
        """Wait until the backend has exactly that many streams; the sockets are real, so this takes loop turns."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while self.backend.open_connections != count:  # noqa: ASYNC110 (turns of the loop, not pauses)
                await asyncio.sleep(0)


@asynccontextmanager
async def bench(**settings: Any) -> AsyncIterator[Bench]:
    """Start a backend at rest (rate 0 by default) on a free port, with a clock that stands still."""
    clock = FakeClock()
    values: dict[str, Any] = {"port": 0, "seed": 7, "rate": 0.0}
    async with (
        Backend(BackendSettings(**values | settings), clock=clock) as backend,
        aiohttp.ClientSession() as http,
    ):
        try:
            yield Bench(backend, clock, http)
        finally:
            # What sleeps on the fake clock (the fault `slow`) would outlast the test.
            backend.faults.clear()
