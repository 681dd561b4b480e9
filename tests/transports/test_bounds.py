"""What a source can do to our memory through a socket: nothing beyond the limits, over a real connection each time."""

import asyncio
import gzip
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache

import pytest
from aiohttp import web

from iris_exporter.clock import SystemClock
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.session import open_session
from iris_exporter.transports.base import Link, Received
from iris_exporter.transports.dialer import Dialer, PollInstead
from tests.settings import stream_settings
from tests.waiting import BUSY, until

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LIMIT = 10_000


@asynccontextmanager
async def link_to(handler: Handler, protocol: str, **settings: object) -> AsyncIterator[Link]:
    """An open link to a server that answers with `handler`."""
    app = web.Application()
    app.router.add_get("/stream", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/stream"
        chosen = stream_settings(
            url=url, protocol=protocol, connect_timeout_seconds=2.0, **{"max_message_bytes": LIMIT, **settings}
        )
        async with open_session() as session:
            credentials = Credentials(chosen)
            link = await Dialer(chosen, session, credentials, SystemClock(), ConnectionBudgets(), IrisJson()).dial("")
            assert not isinstance(link, PollInstead)
            try:
                yield link
            finally:
                await link.close()
    finally:
        await runner.cleanup()


async def end_of(link: Link) -> tuple[list[Received], Failure]:
    """Everything that arrives, and why it ends."""
    received = []
    try:
        async with asyncio.timeout(5 * BUSY):
            while True:
                received.append(await link.read())
    except TransportError as error:
        return received, error.failure


def event_stream(body: bytes, encoding: str = "") -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        if encoding:
            response.headers["Content-Encoding"] = encoding
        await response.prepare(request)
        with suppress(ConnectionError):
            await response.write(body)
            await asyncio.Event().wait()
        return response

    return handle


def websocket(frames: bytes, headers: dict[str, str] | None = None) -> Handler:
    """A WebSocket whose frames are bytes of the test's choice."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.WebSocketResponse(compress=False)
        response.headers.update(headers or {})
        await response.prepare(request)
        assert request.transport is not None
        request.transport.write(frames)
        with suppress(ConnectionError):
            await response.receive()
        return response

    return handle


def frame(payload: bytes, first_byte: int) -> bytes:
    """One unmasked frame; `first_byte` has FIN, the reserved bits and the opcode (RFC 6455, section 5.2)."""
    if len(payload) < 126:
        return struct.pack("!BB", first_byte, len(payload)) + payload
    return struct.pack("!BBQ", first_byte, 127, len(payload)) + payload


FIN_TEXT, FIN_TEXT_COMPRESSED = 0x81, 0xC1

TOO_LARGE = {
    "an SSE event": ("sse", lambda: event_stream(b"data: " + b"x" * LIMIT + b"x\n\n")),
    "an SSE event of many lines": ("sse", lambda: event_stream(b"data: xxx\n" * LIMIT + b"\n")),
    "an SSE line without an end": ("sse", lambda: event_stream(b"data: " + b"x" * 2 * LIMIT)),
    "an SSE comment without an end": ("sse", lambda: event_stream(b":" + b"x" * 2 * LIMIT)),
    "the id of an SSE event": ("sse", lambda: event_stream(b"id: " + b"x" * 2 * LIMIT + b"\ndata: 1\n\n")),
    "a WebSocket message": ("websocket", lambda: websocket(frame(b"x" * (LIMIT + 1), FIN_TEXT))),
    "a WebSocket message that is only announced": (
        "websocket",
        lambda: websocket(struct.pack("!BBQ", 0x81, 127, 1 << 40)),
    ),
    "a WebSocket message of many frames": (
        "websocket",
        lambda: websocket(frame(b"x" * 1000, 0x01) + frame(b"x" * 1000, 0x00) * 10),
    ),
    "a gzip bomb as an event stream": ("sse", lambda: event_stream(gzip.compress(b":" * 50_000_000), "gzip")),
    "a deflate bomb as an event stream": (
        "sse",
        lambda: event_stream(zlib.compress(b"data: x\n" * 9_000_000), "deflate"),
    ),
}


@pytest.mark.parametrize(("protocol", "made"), TOO_LARGE.values(), ids=TOO_LARGE)
async def test_what_is_larger_than_a_message_may_be_ends_the_link(protocol: str, made: Callable[[], Handler]) -> None:
    """Made by the test, since compressing a bomb takes longer than loading any other module."""
    async with link_to(made(), protocol) as link:
        received, failure = await end_of(link)
    assert failure.reason == "message_too_large"
    assert not any(piece.frames for piece in received)


@cache
def bomb() -> bytes:
    return frame(zlib.compress(b" " * 10_000_000)[2:-4], FIN_TEXT_COMPRESSED)


async def test_a_compressed_message_is_refused_and_not_inflated() -> None:
    """We never offer compression: messages are small, and each would be a bomb to look into."""
    offered = []
    answer = websocket(bomb())

    async def handle(request: web.Request) -> web.StreamResponse:
        offered.append(request.headers.get("Sec-WebSocket-Extensions"))
        return await answer(request)

    async with link_to(handle, "websocket") as link:
        received, failure = await end_of(link)
    assert offered == [None]
    assert failure.reason == "protocol_error"
    assert not any(piece.frames for piece in received)


@pytest.mark.parametrize("extension", ["permessage-deflate", "permessage-deflate; server_no_context_takeover"])
async def test_a_server_that_turns_compression_on_unasked_is_refused(extension: str) -> None:
    with pytest.raises(TransportError) as caught:
        async with link_to(websocket(bomb(), {"Sec-WebSocket-Extensions": extension}), "websocket"):
            pass
    assert caught.value.failure.reason == "handshake"


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_a_burst_that_is_many_times_larger_than_a_message_may_be_is_read(encoding: str) -> None:
    """Only the single message counts; a lot of them, and much at once, is what a resumed stream brings."""
    body = b"".join(b"data: %0200d\n\n" % number for number in range(4000))
    sent = gzip.compress(body) if encoding else body
    async with link_to(event_stream(sent, encoding), "sse") as link:
        numbers: list[int] = []
        wire_bytes = 0
        while len(numbers) < 4000:
            received = await link.read()
            numbers += map(int, received.frames)
            wire_bytes += received.wire_bytes
    assert numbers == list(range(4000))
    assert wire_bytes == len(sent)


async def test_a_burst_of_frames_is_taken_in_parts() -> None:
    frames = b"".join(frame(b"%d" % number, FIN_TEXT) for number in range(2000))
    async with link_to(websocket(frames), "websocket") as link:
        numbers: list[int] = []
        while len(numbers) < 2000:
            received = await link.read()
            assert len(received.frames) <= 512
            numbers += map(int, received.frames)
    assert numbers == list(range(2000))


async def test_what_a_small_piece_inflates_to_is_read_in_parts() -> None:
    """Lines that say nothing are the slowest to read; others must get their turn while there are a million of them."""
    blank = b"\n" * 900_000
    async with link_to(event_stream(gzip.compress(blank + b"data: 1\n\n"), "gzip"), "sse") as link:
        reads = 1
        while not (await link.read()).frames:
            reads += 1
    assert reads >= 4


MESSAGES = 100_000


def endless(protocol: str, sent: list[int]) -> Handler:
    """Sends numbered messages as fast as it may."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response: web.WebSocketResponse | web.StreamResponse
        if protocol == "websocket":
            response = socket = web.WebSocketResponse(compress=False)
            await socket.prepare(request)
            for number in range(MESSAGES):
                await socket.send_str(f"{number:0200d}")
                sent[0] = number + 1
            await socket.receive()
        else:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            for number in range(MESSAGES):
                await response.write(b"data: %0200d\n\n" % number)
                sent[0] = number + 1
            await asyncio.Event().wait()
        return response

    return handle


@pytest.mark.parametrize("protocol", ["websocket", "sse"])
async def test_who_does_not_read_slows_the_source_down_and_loses_nothing(protocol: str) -> None:
    """Between a socket and the model there is one bounded queue: all else waits at the source."""
    sent = [0]
    async with link_to(endless(protocol, sent), protocol) as link:
        await until(lambda: getattr(link, "_body", link)._incoming._is_paused, 5.0)
        for _ in range(3):  # whatever is still on its way to a kernel's buffer
            before = -1
            while before != sent[0]:
                before = sent[0]
                await asyncio.sleep(0.02)
        assert sent[0] < MESSAGES, "the source waits"

        numbers: list[int] = []
        async with asyncio.timeout(20 * BUSY):
            while len(numbers) < MESSAGES:
                numbers += map(int, (await link.read()).frames)
        assert numbers == list(range(MESSAGES))
