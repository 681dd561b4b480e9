"""Servers on loopback for the transports: HTTP with or without TLS, raw bytes, and a small forward proxy."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from iris_exporter import logs
from iris_exporter.clock import SystemClock
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.session import open_session
from iris_exporter.settings import StreamSettings
from iris_exporter.transports.base import Link
from iris_exporter.transports.dialer import Dialer, PollInstead
from iris_exporter.transports.polling import Poller
from tests.settings import stream_settings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """What a server was asked, and where it is."""

    def __init__(self, port: int, scheme: str) -> None:
        self.port = port
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.requests: list[web.Request] = []

    def sent(self, header: str) -> list[str | None]:
        """The values of a header, one for each request."""
        return [request.headers.get(header) for request in self.requests]


@asynccontextmanager
async def serve(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server with one handler for everything."""
    seen: list[web.Request] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", note)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        server = Server(runner.addresses[0][1], "http" if tls is None else "https")
        server.requests = seen
        yield server
    finally:
        await runner.cleanup()


BytesHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serve_bytes(handle: BytesHandler) -> AsyncIterator[int]:
    """A server of plain connections, each handled until the handler returns or the test ends; yields its port."""
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handle(reader, writer)
        writer.close()

    def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        task = asyncio.ensure_future(run(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(start, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()


@asynccontextmanager
async def serve_raw(*replies: bytes) -> AsyncIterator[int]:
    """A server that answers each head of a request, on whatever connection, with the next reply, and keeps it open."""
    left = list(replies)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while left:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(left.pop(0))
        await reader.read()

    async with serve_bytes(handle) as port:
        yield port


class Proxy:
    """A forward proxy: what it was asked, and how it answers CONNECT when not with a tunnel."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.refusal: bytes | None = None
        self.port = 0


@asynccontextmanager
async def serve_proxy() -> AsyncIterator[Proxy]:
    """Tunnels CONNECT, and passes plain requests on as they are."""
    proxy = Proxy()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
        writer.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        proxy.heads.append(head)
        if proxy.refusal is not None:
            writer.write(proxy.refusal)
            return
        method, target, _ = head.split(" ", 2)
        host, _, port = (target if method == "CONNECT" else target.split("/")[2]).rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            far_writer.write(head.encode("latin-1"))
        try:
            await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))
        finally:
            far_writer.transport.abort()

    async with serve_bytes(handle) as proxy.port:
        yield proxy


class Client:
    """A dialer and a poller for one stream, and the secrets that it was told to hide."""

    def __init__(self, settings: StreamSettings, dialer: Dialer, poller: Poller, hidden: set[str]) -> None:
        self.settings = settings
        self.dialer = dialer
        self.poller = poller
        self.hidden = hidden

    async def dial(self) -> Link:
        """Open a link."""
        link = await self.dialer.dial("")
        assert not isinstance(link, PollInstead)
        return link

    async def outcome(self) -> str | Failure:
        """What a dial brings: the protocol of the link, which is closed at once, or the failure."""
        try:
            link = await self.dial()
        except TransportError as error:
            return error.failure
        await link.close()
        return link.protocol

    async def polled(self, url: str | None = None) -> bytes | Failure | None:
        """What a poll brings: the body, or the failure."""
        try:
            return (await self.poller.fetch(url or self.settings.url)).body
        except TransportError as error:
            return error.failure


@asynccontextmanager
async def client(url: str, **settings: object) -> AsyncIterator[Client]:
    """A client of `url` with a session of its own."""
    chosen = stream_settings(**{"url": url, "connect_timeout_seconds": 5.0, **settings})
    hidden: set[str] = set()
    credentials = Credentials(chosen)
    async with open_session() as session:
        clock = SystemClock()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(logs, "protect", hidden.add)
            yield Client(
                chosen,
                Dialer(chosen, session, credentials, clock, ConnectionBudgets(), IrisJson()),
                Poller(chosen, session, credentials, clock, IrisJson()),
                hidden,
            )


def reason(outcome: object) -> str:
    """The reason of a failure; anything else fails the test."""
    assert isinstance(outcome, Failure), outcome
    return outcome.reason


async def stream_or_socket(request: web.Request) -> web.StreamResponse:
    """A WebSocket for those who ask for one, JSON for those who accept it alone, an event stream for all others."""
    if request.headers.get("Upgrade", "").lower() == "websocket":
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket
    if request.headers["Accept"] == "application/json":
        return web.json_response({})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: 1\n\n")
    return response
