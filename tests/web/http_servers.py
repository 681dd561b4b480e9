"""An HTTP server on a loopback port, and clients that behave and misbehave."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from iris_exporter.clock import Clock
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.process.listening import bound_sockets
from iris_exporter.web.rate_limits import Timeouts
from iris_exporter.web.server import HttpServer
from tests.fakes import FakeClock
from tests.waiting import BUSY
from tests.web.support import FakeContext, web_settings

LARGE = b"x" * (24 << 20)
"""More than the system's buffers of both ends take."""


@dataclass
class RunningServer:
    """A server that listens."""

    server: HttpServer
    metrics: SelfMetrics
    url: str
    context: FakeContext
    clock: Clock
    trouble: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def later(self, seconds: float = 1.0) -> None:
        """Move the fake clock, and let the server's timer fire, which looks at the files again."""
        assert isinstance(self.clock, FakeClock)
        self.clock.now += seconds
        self.tick()
        if self.server._refreshing is not None:
            await self.server._refreshing

    def tick(self) -> None:
        """Let the server's timer fire now."""
        assert self.server._timer is not None
        self.server._timer.cancel()
        self.server._tick()

    async def ask(self, path: str = "/-/healthy", method: str = "GET", **options: Any) -> "Reply":
        """One request on a connection of its own; `tls` is the client's context."""
        tls = options.pop("tls", None)
        connector = aiohttp.TCPConnector(ssl=tls or True, force_close=True)
        url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}{path}"
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, url, allow_redirects=False, **options) as response,
        ):
            return Reply(response.status, dict(response.headers), await response.text())

    async def dial(self, tls: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=tls)


@dataclass
class Reply:
    """An answer that has been read."""

    status: int
    headers: dict[str, str]
    text: str


@asynccontextmanager
async def http_server(
    config: Path | None = None, *, clock: Clock | None = None, timeouts: Timeouts | None = None,
    host: str = "127.0.0.1", **settings: Any,
) -> AsyncIterator[RunningServer]:  # fmt: skip
    """Serve the whole application, and `/large` for who wants to read much."""
    clock = clock or FakeClock()
    trouble: list[str] = []
    context = FakeContext()
    server = HttpServer(
        context, web_settings(config_file=config, **settings), clock,
        lambda: trouble[0] if trouble else None, timeouts,
    )  # fmt: skip
    server.app.router.add_get("/large", _large)
    try:
        await server.start()
        for bound in await bound_sockets(host, 0):
            url = await server.listen(bound)
        yield RunningServer(server, context.exposition.self_metrics, url, context, clock, trouble)
    finally:
        await server.close()


async def _large(_: web.Request) -> web.Response:
    return web.Response(body=LARGE)


async def raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str = "/-/healthy") -> int:
    """A request on a connection that stays; return the status."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(b" ")[1])


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the other side has closed or reset the connection without a further byte."""
    try:
        return await reader.read(1) == b""
    except (ConnectionError, ssl.SSLError):
        return True


async def until(condition: Any, seconds: float = 10.0) -> None:
    """Wait for a real server to come to `condition`."""
    async with asyncio.timeout(seconds * BUSY):
        while not condition():  # noqa: ASYNC110 (a real server tells nobody)
            await asyncio.sleep(0.01)
