"""The transports against real sockets on loopback: what is dialled, what is delivered, which failure is named."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from iris_exporter.clock import SystemClock
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.core.reasons import Remedy
from iris_exporter.decoding.dialect import Binary, Frame, NamedEvent
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.session import open_session
from iris_exporter.transports.base import Link, Received
from iris_exporter.transports.dialer import Dialer, PollInstead
from iris_exporter.transports.polling import Poller
from tests.settings import stream_settings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Endpoint:
    """A server with one handler for everything, and a dialer and a poller for it."""

    def __init__(self, url: str, dialer: Dialer, poller: Poller, requests: list[web.Request]) -> None:
        self.url = url
        self.dialer = dialer
        self.poller = poller
        self.requests = requests

    async def dial(self) -> Link:
        link = await self.dialer.dial("")
        assert not isinstance(link, PollInstead)
        return link


class OtherWords(IrisJson):
    """A dialect that offers more than IRIS's."""

    subprotocols = ("iris.v2", "iris.v1")
    accept = "application/cbor"
    event_names = frozenset({"next"})


@asynccontextmanager
async def endpoint(
    handler: Handler, path: str = "/stream", dialect: type[IrisJson] = IrisJson, **settings: object
) -> AsyncIterator[Endpoint]:
    requests: list[web.Request] = []

    async def note(request: web.Request) -> web.StreamResponse:
        requests.append(request)
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", note)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
    chosen = stream_settings(**{"url": url, "connect_timeout_seconds": 2.0, **settings})
    credentials = Credentials(chosen)
    async with open_session() as session:
        clock = SystemClock()
        try:
            yield Endpoint(
                url,
                Dialer(chosen, session, credentials, clock, ConnectionBudgets(), dialect()),
                Poller(chosen, session, credentials, clock, dialect()),
                requests,
            )
        finally:
            await runner.cleanup()


def event_stream(*pieces: bytes, headers: dict[str, str] | None = None) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8", **(headers or {})})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        return response

    return handle


def socket_that(*frames: bytes | str | int, **options: object) -> Handler:
    """A WebSocket that sends frames: bytes as binary, text as text, a number as close code."""

    async def handle(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(**options)  # type: ignore[arg-type]
        await ws.prepare(request)
        for frame in frames:
            if isinstance(frame, int):
                await ws.close(code=frame, message=b"bye\n")
            elif isinstance(frame, bytes):
                await ws.send_bytes(frame)
            else:
                await ws.send_str(frame)
        async for _ in ws:
            pass
        return ws

    return handle


def answer(status: int, text: str = "", content_type: str = "text/plain", **headers: str) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type=content_type, headers=headers)

    return handle


async def drain(link: Link) -> tuple[list[Frame], Failure, int]:
    """Everything a link delivers until it ends, why it ended, and the bytes it took."""
    messages: list[Frame] = []
    size = 0
    while True:
        try:
            received: Received = await link.read()
        except TransportError as error:
            await link.close()
            return messages, error.failure, size
        messages += received.frames
        size += received.wire_bytes


async def failure_of_dial(made: Endpoint) -> Failure:
    with pytest.raises(TransportError) as caught:
        await made.dialer.dial("")
    return caught.value.failure


async def test_an_event_stream_is_found_with_one_request() -> None:
    async with endpoint(event_stream(b"data: 1\n\nda", b"ta: 2\n\n")) as made:
        link = await made.dial()
        assert link.protocol == "sse"
        messages, failure, size = await drain(link)
        assert (messages, failure.reason, size) == ([b"1", b"2"], "closed", 18)
        assert len(made.requests) == 1
        assert made.requests[0].headers["Accept"].startswith("text/event-stream")


async def test_an_event_of_two_megabytes_passes_and_one_over_the_limit_does_not() -> None:
    async with endpoint(event_stream(b"data: " + b"x" * 2_000_000 + b"\n\n"), max_message_bytes=2_000_000) as made:
        messages, failure, _ = await drain(await made.dial())
        assert [len(message) for message in messages] == [2_000_000]
        assert failure.reason == "closed"
    async with endpoint(event_stream(b"data: 1\n\ndata: " + b"x" * 2000), max_message_bytes=1000) as made:
        messages, failure, _ = await drain(await made.dial())
        assert messages == [b"1"]
        assert failure.reason == "message_too_large"


async def test_a_compressed_event_stream_is_read_and_a_bomb_is_not() -> None:
    headers = {"Content-Encoding": "gzip"}
    body = gzip.compress(b"data: 1\n\n")
    async with endpoint(event_stream(body[:5], body[5:], headers=headers)) as made:
        messages, _, size = await drain(await made.dial())
        assert (messages, size) == ([b"1"], len(body))
    bomb = gzip.compress(b"data: " + b"x" * 50_000_000)
    async with endpoint(event_stream(bomb, headers=headers), max_message_bytes=100_000) as made:
        _, failure, _ = await drain(await made.dial())
        assert failure.reason == "message_too_large"


async def test_an_upgrade_is_tried_where_the_answer_asks_for_one() -> None:
    """426, and 400, 404 or 405 that go away with an upgrade."""
    for status in (426, 400, 404, 405):
        upgraded = socket_that("1", 1000)

        async def handle(
            request: web.Request, status: int = status, upgraded: Handler = upgraded
        ) -> web.StreamResponse:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await upgraded(request)
            return web.Response(status=status)

        async with endpoint(handle) as made:
            link = await made.dial()
            assert link.protocol == "websocket"
            assert len(made.requests) == 2
            await drain(link)
            await drain(await made.dial())
            assert len(made.requests) == 3, "what worked is remembered"


async def test_what_is_remembered_is_examined_again_when_it_stops_working() -> None:
    speaks = "websocket"

    async def handle(request: web.Request) -> web.StreamResponse:
        upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
        if speaks == "websocket":
            return await socket_that(1000)(request) if upgrade else web.Response(status=426)
        return web.Response(status=400) if upgrade else await event_stream(b"data: 1\n\n")(request)

    async with endpoint(handle) as made:
        await drain(await made.dial())
        speaks = "sse"
        assert (await failure_of_dial(made)).reason == "http_client_error"
        link = await made.dial()
        assert link.protocol == "sse"
        await link.close()


async def test_plain_json_is_polled_and_its_first_answer_is_used() -> None:
    async with endpoint(answer(200, '{"metrics": {}}', "application/json")) as made:
        found = await made.dialer.dial("")
        assert isinstance(found, PollInstead)
        assert (found.url, found.body) == (made.url, b'{"metrics": {}}')


@pytest.mark.parametrize(
    ("handler", "settings", "reason"),
    [
        (answer(200, "<html>", "text/html"), {}, "not_a_stream"),
        (answer(404), {}, "not_found"),
        (answer(401), {}, "unauthorized"),
        (answer(403), {"protocol": "sse"}, "forbidden"),
        (answer(500), {}, "http_server_error"),
        (answer(503), {}, "unavailable"),
        (answer(302, Location="ftp://127.0.0.1/"), {}, "redirect"),
        (answer(401), {"protocol": "websocket"}, "unauthorized"),
        (answer(404), {"protocol": "websocket"}, "not_found"),
        (answer(200, "<html>", "text/html"), {"protocol": "websocket"}, "upgrade_refused"),
        (answer(426), {}, "upgrade_refused"),
        (event_stream(headers={"Content-Encoding": "br"}), {}, "not_a_stream"),
    ],
)
async def test_every_refusal_has_its_reason(handler: Handler, settings: dict[str, object], reason: str) -> None:
    async with endpoint(handler, **settings) as made:
        assert (await failure_of_dial(made)).reason == reason


@pytest.mark.parametrize("protocol", ["auto", "websocket"])
async def test_retry_after_is_read(protocol: str) -> None:
    refusal = answer(429, **{"Retry-After": "17"})
    async with endpoint(refusal, protocol=protocol) as made:
        failure = await failure_of_dial(made)
        assert (failure.reason, failure.retry_after_seconds) == ("rate_limited", 17.0)


async def test_frames_are_delivered_before_the_end_and_counted_with_their_headers() -> None:
    async with endpoint(socket_that("1", "x" * 200, b"binary", 1012), protocol="websocket") as made:
        link = await made.dial()
        received = await link.read()
        while len(received.frames) < 3:
            more = await link.read()
            received.frames += more.frames
            received.wire_bytes += more.wire_bytes
        assert received.frames == [b"1", b"x" * 200, Binary(b"binary")]
        assert received.wire_bytes == 3 + 204 + 8
        _, failure, _ = await drain(link)
        assert (failure.reason, failure.detail) == ("service_restart", "close code 1012 (bye)")


async def test_pings_are_answered_and_pongs_are_seen() -> None:
    pongs: list[bytes] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        await ws.ping(b"are you there")
        async for frame in ws:
            if frame.type is WSMsgType.PONG:
                pongs.append(frame.data)
            elif frame.type is WSMsgType.PING:
                await ws.pong(frame.data)
        return ws

    async with endpoint(handle, protocol="websocket") as made:
        link = await made.dial()
        first = await link.read()
        assert (first.frames, first.wire_bytes) == ([], 15)
        assert await link.ping()
        assert (await link.read()).pongs == 1
        await link.close()
        assert pongs == [b"are you there"]


async def test_a_message_over_the_limit_ends_a_websocket_with_its_reason() -> None:
    async with endpoint(socket_that("x" * 2000), protocol="websocket", max_message_bytes=1000) as made:
        _, failure, _ = await drain(await made.dial())
        assert failure.reason == "message_too_large"


async def test_our_close_frame_arrives() -> None:
    codes: list[int | None] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for _ in ws:
            pass
        codes.append(ws.close_code)
        return ws

    async with endpoint(handle, protocol="websocket") as made:
        link = await made.dial()
        await link.close(1001)
        await link.close(1001)
    assert codes == [1001]


async def test_the_key_goes_into_the_header_and_is_read_at_each_dial(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("first-key\n")
    async with endpoint(answer(401), api_key_file=key) as made:
        await failure_of_dial(made)
        assert not await made.dialer.key_changed()
        key.write_text("second-key\n")
        assert await made.dialer.key_changed()
        await failure_of_dial(made)
        sent = [request.headers["Authorization"] for request in made.requests]
        assert sent == ["Bearer first-key", "Bearer second-key"]
        key.unlink()
        assert (await failure_of_dial(made)).reason == "credentials"


async def test_a_poll_sends_the_entity_tag_back_and_takes_304_for_unchanged() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.headers.get("If-None-Match") == '"v1"':
            return web.Response(status=304)
        return web.Response(
            body=gzip.compress(b"[]"),
            headers={"ETag": '"v1"', "Content-Encoding": "gzip", "Content-Type": "application/json"},
        )

    async with endpoint(handle) as made:
        first = await made.poller.fetch(made.url)
        assert (first.body, first.wire_bytes) == (b"[]", len(gzip.compress(b"[]")))
        assert (await made.poller.fetch(made.url)).body is None
        made.poller.forget()
        assert (await made.poller.fetch(made.url)).body == b"[]"


@pytest.mark.parametrize(
    ("handler", "reason", "hint"),
    [
        (answer(429, **{"Retry-After": "5"}), "rate_limited", 5.0),
        (answer(503), "unavailable", None),
        (answer(200, "<html>", "text/html"), "not_json", None),
        (answer(401), "unauthorized", None),
        (answer(500), "http_server_error", None),
        (answer(301, Location="/x"), "redirect", None),
    ],
)
async def test_a_poll_that_brings_nothing_has_a_reason(handler: Handler, reason: str, hint: float | None) -> None:
    async with endpoint(handler) as made:
        with pytest.raises(TransportError) as caught:
            await made.poller.fetch(made.url)
        assert (caught.value.failure.reason, caught.value.failure.retry_after_seconds) == (reason, hint)


async def test_a_body_that_inflates_too_far_is_refused() -> None:
    bomb = gzip.compress(b" " * 10_000_000)

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})

    async with endpoint(handle, max_body_bytes=10_000) as made:
        with pytest.raises(TransportError) as caught:
            await made.poller.fetch(made.url)
        assert caught.value.failure.reason == "message_too_large"


@asynccontextmanager
async def raw_server(reply: bytes | None) -> AsyncIterator[int]:
    """Accepts, answers with bytes of the test's choice (None: nothing), and waits for the end of the connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if reply is not None:
            writer.write(reply)
            if reply.endswith(b"FIN"):
                writer.close()
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def dial_raw(port: int, host: str = "127.0.0.1", **settings: object) -> Failure | Link:
    chosen = stream_settings(
        **{"url": f"http://{host}:{port}/x", "protocol": "sse", "connect_timeout_seconds": 0.2, **settings}
    )
    async with open_session() as session:
        dialer = Dialer(chosen, session, Credentials(chosen), SystemClock(), ConnectionBudgets(), IrisJson())
        try:
            link = await dialer.dial("")
        except TransportError as error:
            return error.failure
        assert not isinstance(link, PollInstead)
        _, failure, _ = await drain(link)
        return failure


@pytest.mark.parametrize("protocol", ["sse", "websocket", "auto"])
async def test_a_server_that_accepts_and_sends_nothing_is_a_timeout(protocol: str) -> None:
    async with raw_server(None) as port:
        failure = await dial_raw(port, protocol=protocol)
        assert isinstance(failure, Failure)
        assert failure.reason == "timeout"


async def test_garbage_in_place_of_http_is_a_protocol_error() -> None:
    async with raw_server(b"SSH-2.0-OpenSSH_9.2\r\n\r\n") as port:
        failure = await dial_raw(port, connect_timeout_seconds=2.0)
        assert isinstance(failure, Failure)
        assert failure.reason == "protocol_error"


async def test_a_body_cut_short_is_an_abnormal_closure() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with raw_server(head + b"9\r\ndata: 1\n\n\r\nFIN") as port:
        failure = await dial_raw(port, connect_timeout_seconds=2.0)
        assert isinstance(failure, Failure)
        assert failure.reason in ("abnormal_closure", "protocol_error")


async def test_a_websocket_offers_the_subprotocols_of_the_dialect_and_sends_text_and_binary_messages() -> None:
    heard: list[object] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(protocols=("iris.v1",))
        await ws.prepare(request)
        heard.append(ws.ws_protocol)
        heard.extend([await ws.receive_str(), await ws.receive_bytes()])
        await ws.close()
        return ws

    async with endpoint(handle, dialect=OtherWords, protocol="websocket") as made:
        link = await made.dial()
        await link.send(b"text")
        await link.send(Binary(b"\xff"))
        await drain(link)
        assert made.requests[0].headers["Sec-WebSocket-Protocol"] == "iris.v2,iris.v1"
    assert heard == ["iris.v1", "text", b"\xff"]


async def test_a_get_accepts_the_documents_of_the_dialect_and_gives_it_the_names_it_asked_for() -> None:
    async with endpoint(event_stream(b"event: next\ndata: 1\n\nevent: ping\ndata: 2\n\n"), dialect=OtherWords) as made:
        frames, _, _ = await drain(await made.dial())
        assert made.requests[0].headers["Accept"] == "text/event-stream, application/cbor;q=0.5"
    assert frames == [NamedEvent("next", b"1"), b"2"]


async def test_nothing_listening_is_connection_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    failure = await dial_raw(port)
    assert failure == Failure("connection_refused", "nothing listens there")


async def test_an_unknown_host_is_a_dns_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise OSError(None, "Domain name not found")

    monkeypatch.setattr(aiohttp.AsyncResolver, "resolve", unknown)  # nobody's resolver is asked
    failure = await dial_raw(80, host="no-such-host.invalid", connect_timeout_seconds=5.0)
    assert isinstance(failure, Failure)
    assert failure.reason == "dns"


async def test_tls_spoken_to_a_plain_server_is_a_tls_failure() -> None:
    async with raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\nFIN") as port:
        failure = await dial_raw(port, url=f"https://127.0.0.1:{port}/x", connect_timeout_seconds=2.0)
        assert isinstance(failure, Failure)
        assert failure.reason in ("tls", "timeout", "connection_reset")


async def test_a_host_that_was_asked_too_often_is_left_alone_until_there_is_budget() -> None:
    """One connection of two an hour may be made at once; polls of the same host go on."""
    async with endpoint(event_stream(), max_connections_per_hour=2) as made:
        first = await made.dialer.dial("")
        assert not isinstance(first, PollInstead)
        await first.close()
        with pytest.raises(TransportError) as caught:
            await made.dialer.dial("")
        failure = caught.value.failure
        assert (failure.reason, failure.remedy) == ("connection_budget", Remedy.RETRY_LATER)
        assert failure.retry_after_seconds == pytest.approx(3600, abs=60)
        with pytest.raises(TransportError) as caught:
            await made.poller.fetch(made.url)
        assert caught.value.failure.reason == "not_json"
        assert len(made.requests) == 2, "a stream and a poll"


async def test_the_upgrade_that_follows_a_refused_get_costs_another_connection() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=426)

    async with endpoint(handle, protocol="auto", max_connections_per_hour=2) as made:
        with pytest.raises(TransportError) as caught:
            await made.dialer.dial("")
        assert caught.value.failure.reason == "connection_budget"
        assert len(made.requests) == 1
