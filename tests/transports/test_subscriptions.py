"""A stream that takes subscriptions, down to the socket: what is offered and compressed, and what does not wait."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from iris_exporter.clock import SystemClock
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.decoding.dialect import Binary, Frame
from iris_exporter.decoding.iris_graphql.dialect import IrisGraphql
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.session import open_session
from iris_exporter.transports.base import Link, Received
from iris_exporter.transports.dialer import Dialer, PollInstead
from iris_exporter.transports.link_session import Backlog
from tests.settings import stream_settings
from tests.waiting import BUSY

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LIMIT = 20_000
TEXT = json.dumps({"type": "pong", "filling": "x" * 5000})


@asynccontextmanager
async def link_to(
    handler: Handler, path: str = "/api/stream", **changes: object
) -> AsyncIterator[tuple[Link, web.Request]]:
    """An open link, and the request that opened it. Raises TransportError where there is none."""
    seen: list[web.Request] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        return await handler(request)

    app = web.Application()
    app.router.add_get("/{tail:.*}", note)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
        chosen = stream_settings(url=url, **{"max_message_bytes": LIMIT, **changes})
        dialect = IrisGraphql()
        dialect.configure(chosen)
        async with open_session() as session:
            dialer = Dialer(chosen, session, Credentials(chosen), SystemClock(), ConnectionBudgets(), dialect)
            link = await dialer.dial("e-7")
            assert not isinstance(link, PollInstead)
            try:
                yield link, seen[-1]
            finally:
                await link.close()
    finally:
        await runner.cleanup()


async def end_of(link: Link) -> tuple[list[Received], Failure]:
    received = []
    try:
        async with asyncio.timeout(5 * BUSY):
            while True:
                received.append(await link.read())
    except TransportError as error:
        return received, error.failure


def socket_that(*frames: str | bytes, protocols: tuple[str, ...] = (), compress: bool = True) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=protocols, compress=compress)
        await socket.prepare(request)
        for each in frames:
            kind = WSMsgType.TEXT if isinstance(each, str) else WSMsgType.BINARY
            await socket.send_frame(each.encode() if isinstance(each, str) else each, kind)
        await socket.close()
        return socket

    return handle


def events_of(body: bytes, encoding: str) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Content-Encoding": encoding})
        await response.prepare(request)
        with suppress(ConnectionError):
            await response.write(body)
        return response

    return handle


def frames_of(received: list[Received]) -> list[Frame]:
    return [frame for each in received for frame in each.frames]


async def test_a_websocket_is_asked_for_both_encodings_and_for_compression() -> None:
    async with link_to(socket_that(protocols=("iris.v1+json", "iris.v1+protobuf")), protocol="websocket") as (
        link,
        request,
    ):
        assert request.headers["Sec-WebSocket-Protocol"] == "iris.v1+protobuf,iris.v1+json"
        assert "permessage-deflate" in request.headers["Sec-WebSocket-Extensions"]
        assert request.query_string == ""
        assert (link.subprotocol, link.compression) == ("iris.v1+protobuf", "deflate")


async def test_an_older_address_is_asked_for_nothing_new() -> None:
    path = "/api/stream/overview"
    async with link_to(socket_that(protocols=("iris.v1+json",)), path, protocol="websocket") as (link, request):
        assert not {"Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"} & set(request.headers)
        assert (link.subprotocol, link.compression) == ("", "none")
    async with link_to(events_of(b"", "identity"), path, protocol="sse") as (link, request):
        assert (request.query_string, request.headers["Accept-Encoding"]) == ("", "identity")


async def test_an_event_stream_is_asked_by_its_query_and_its_header() -> None:
    async with link_to(events_of(b"", "identity"), "/api/stream?tenant=a", protocol="sse", delta="off") as (
        link,
        request,
    ):
        assert request.query["tenant"] == "a"
        assert request.query["priority"] == "true"
        assert "delta" not in request.query
        assert "after" not in request.query
        assert request.query.getall("fields.metrics")[0] == "total_projects"
        assert request.headers["Last-Event-ID"] == "e-7"
        assert request.headers["Accept-Encoding"] == "gzip"
        assert (link.subprotocol, link.compression) == ("", "none")


@pytest.mark.parametrize(
    "header", ["Sec-WebSocket-Protocol: iris.v2+json", "Sec-WebSocket-Extensions: permessage-deflate, x-other; a=1"]
)
async def test_a_server_that_chooses_what_was_not_offered_is_refused(header: str) -> None:
    name, _, value = header.partition(": ")

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False)
        socket.headers[name] = value
        await socket.prepare(request)
        return socket

    with pytest.raises(TransportError) as caught:
        async with link_to(handle, protocol="websocket"):
            pass
    assert caught.value.failure.reason == "handshake"
    assert "not offered" in caught.value.failure.detail


async def test_a_source_that_refuses_an_option_is_asked_without_any() -> None:
    asked: list[str] = []

    async def picky(request: web.Request) -> web.StreamResponse:
        asked.append(request.query_string)
        if "fields.metrics" in request.query_string:
            return web.Response(status=400, text="fields.metrics: no such field")
        return await events_of(b"data: {}\n\n", "identity")(request)

    async with link_to(picky, "/api/stream?tenant=a", protocol="sse") as (link, request):
        received, _ = await end_of(link)
    assert frames_of(received) == [b"{}"]
    assert [bool("fields" in query) for query in asked] == [True, False]
    assert request.query_string == "tenant=a"
    assert request.headers["Last-Event-ID"] == "e-7"


@pytest.mark.parametrize("protocol", ["auto", "sse", "websocket"])
async def test_a_source_without_subscriptions_is_an_error_that_names_the_older_addresses(protocol: str) -> None:
    async def missing(_: web.Request) -> web.StreamResponse:
        return web.Response(status=404)

    with pytest.raises(TransportError) as caught:
        async with link_to(missing, protocol=protocol):
            pass
    failure = caught.value.failure
    assert failure.reason in ("not_found", "position_refused")
    if protocol == "websocket":
        assert "/api/stream/overview" in failure.detail


async def test_compressed_messages_arrive_whole_and_in_order_and_are_measured() -> None:
    frames = [TEXT, TEXT.replace("x", "y"), TEXT.encode() * 2, "{}"]
    async with link_to(socket_that(*frames), protocol="websocket") as (link, _):
        received, failure = await end_of(link)
    assert failure.reason == "closed"
    assert frames_of(received) == [TEXT.encode(), TEXT.replace("x", "y").encode(), Binary(TEXT.encode() * 2), b"{}"]
    wire = sum(each.wire_bytes for each in received)
    inflated = sum(each.wire_bytes if each.inflated_bytes is None else each.inflated_bytes for each in received)
    assert wire < 500
    assert inflated > 20_000


async def test_a_server_may_leave_messages_uncompressed() -> None:
    async with link_to(socket_that(TEXT, b"ab", compress=False), protocol="websocket") as (link, _):
        received, _ = await end_of(link)
    assert link.compression == "none"
    assert frames_of(received) == [TEXT.encode(), Binary(b"ab")]
    assert all(each.inflated_bytes is None for each in received)


@pytest.mark.parametrize("bomb", ["0" * 5_000_000, b"0" * 5_000_000])
async def test_a_decompression_bomb_is_refused(bomb: str | bytes) -> None:
    async with link_to(socket_that("{}", bomb), protocol="websocket") as (link, _):
        received, failure = await end_of(link)
    assert frames_of(received) == [b"{}"]
    assert failure.reason == "message_too_large"


async def test_an_event_stream_may_be_compressed_with_a_flush_for_each_event() -> None:
    compressor = zlib.compressobj(wbits=31)
    body = b"".join(
        compressor.compress(b"id: e-%d\ndata: {}\n\n" % number) + compressor.flush(zlib.Z_SYNC_FLUSH)
        for number in range(9)
    )
    async with link_to(events_of(body, "gzip"), protocol="sse") as (link, _):
        received, _ = await end_of(link)
        assert link.compression == "gzip"
    assert frames_of(received) == [b"{}"] * 9
    assert received[-1].last_event_id == "e-8"
    assert sum(each.inflated_bytes or 0 for each in received) == 9 * 18


async def test_an_event_of_an_event_stream_that_inflates_too_far_is_refused() -> None:
    async with link_to(events_of(gzip.compress(b"data: " + b"0" * 5_000_000), "gzip"), protocol="sse") as (link, _):
        _, failure = await end_of(link)
    assert failure.reason == "message_too_large"


def test_what_is_urgent_is_taken_first_and_counts_towards_the_bound() -> None:
    backlog = Backlog(1000)
    assert backlog.oldest == (None, None)
    backlog.put(Received([b"a"], 1), 1.0)
    backlog.put(Received([b"b"], 1), 2.0, urgent=True)
    assert backlog.oldest == (1.0, 2.0)
    taken: list[Any] = [backlog.take(), backlog.take(), backlog.take()]
    assert [None if each is None else each[1] for each in taken] == [2.0, 1.0, None]
    assert not backlog.put(Received([b"c" * 900], 1), 3.0, urgent=True)


async def test_an_independent_server_may_compress_and_cut_messages_as_it_likes() -> None:
    """`websockets` negotiates windows of its own; a message in fragments, and all after it, are aiohttp's to read."""
    heads: list[tuple[str | None, str]] = []

    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        heads.append((connection.subprotocol, connection.request.path))
        await connection.recv()
        await connection.send(TEXT)
        await connection.send(TEXT.encode())
        await connection.send([TEXT[:100], TEXT[100:3000], TEXT[3000:]])
        await connection.send(TEXT)

    protocols = [Subprotocol("iris.v1+json")]
    async with serve(handle, "127.0.0.1", 0, subprotocols=protocols) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        chosen = stream_settings(url=f"ws://127.0.0.1:{port}/api/stream", max_message_bytes=LIMIT)
        dialect = IrisGraphql()
        dialect.configure(chosen)
        async with open_session() as session:
            dialer = Dialer(chosen, session, Credentials(chosen), SystemClock(), ConnectionBudgets(), dialect)
            link = await dialer.dial("")
            assert not isinstance(link, PollInstead)
            assert (link.subprotocol, link.compression) == ("iris.v1+json", "deflate")
            for message in dialect.on_open(""):
                await link.send(message)
            received, failure = await end_of(link)
            await link.close()
    assert failure.reason == "closed"
    assert frames_of(received) == [TEXT.encode(), Binary(TEXT.encode()), TEXT.encode(), TEXT.encode()]
    assert heads == [("iris.v1+json", "/api/stream")]


@pytest.mark.parametrize("protocols", [(), ("graphql-transport-ws",)])
async def test_graphql_needs_its_subprotocol(protocols: tuple[str, ...]) -> None:
    changes = {"path": "/x/api/stream", "protocol": "graphql"}
    if not protocols:
        with pytest.raises(TransportError) as refused:
            async with link_to(socket_that(protocols=protocols), **changes):
                pass
        assert refused.value.failure.reason == "upgrade_refused"
        return
    async with link_to(socket_that(protocols=protocols), **changes) as (link, request):
        assert (link.protocol, link.subprotocol) == ("graphql", "graphql-transport-ws")
        assert request.path == "/x/api/graphql"
