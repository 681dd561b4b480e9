"""What aiohttp lets pass or waits for without end: each known trap, with bytes of a server that breaks the rules."""

import asyncio
import base64
import gc
import hashlib
import re
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.http.classify import failure_of
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.requester import Requester
from iris_exporter.http.session import open_session
from iris_exporter.transports.base import Link
from tests.settings import stream_settings
from tests.transports.support import client, reason, serve_bytes, serve_raw
from tests.waiting import BUSY, until

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SOCKET_HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


@asynccontextmanager
async def socket_server(
    frames: bytes, headers: bytes = b"", answer: "asyncio.Future[bytes] | None" = None
) -> AsyncIterator[str]:
    """A server that makes a correct handshake with `headers` added, and then sends `frames` as they are.

    What the client sends up to the end of its connection is put into `answer`.
    """

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)
        assert key is not None
        digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        accept = b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n"
        writer.write(SOCKET_HEAD + accept + headers + b"\r\n" + frames)
        said = await reader.read()
        if answer is not None:
            answer.set_result(said)

    async with serve_bytes(handle) as port:
        yield f"ws://127.0.0.1:{port}/s"


async def drain(link: Link) -> tuple[list[bytes], Failure]:
    """What a link delivers, and why it ends; closes it."""
    messages: list[bytes] = []
    try:
        while True:
            messages += (await link.read()).frames
    except TransportError as error:
        return messages, error.failure
    finally:
        await link.close()


async def end_of(url: str, **settings: object) -> tuple[list[bytes], Failure]:
    """What a dial and its link come to; an end that does not come within seconds fails the test."""
    async with asyncio.timeout(5 * BUSY), client(url, **settings) as made:
        try:
            link = await made.dial()
        except TransportError as error:
            return [], error.failure
        return await drain(link)


@asynccontextmanager
async def piecemeal(*pieces: bytes, ends: bool) -> AsyncIterator[tuple[str, asyncio.Semaphore]]:
    """A server that sends a piece of its answer whenever the semaphore is released, then ends or waits."""
    go_on = asyncio.Semaphore(1)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            await go_on.acquire()
            writer.write(piece)
        if not ends:
            await reader.read()

    async with serve_bytes(handle) as port:
        yield f"http://127.0.0.1:{port}/s", go_on


BAD_CHUNKS = [b"nonsense\r\n", b"-5\r\nabc\r\n", b"ffffffffffffffffffff\r\n", b"2\r\nabcdef\r\n", b"\xff\r\n"]


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("chunk", BAD_CHUNKS)
async def test_a_chunk_that_breaks_the_rules_ends_an_event_stream_at_once(chunk: bytes, ends: bool) -> None:
    async with (
        asyncio.timeout(5 * BUSY),
        piecemeal(STREAM_HEAD, b"9\r\ndata: 1\n\n\r\n", chunk, ends=ends) as (url, go_on),
        client(url, protocol="sse") as made,
    ):
        link = await made.dial()
        go_on.release()
        assert (await link.read()).frames == [b"1"]
        go_on.release()
        _, failure = await drain(link)
        assert failure.reason == "protocol_error"


@pytest.mark.parametrize("chunk", BAD_CHUNKS)
async def test_a_bad_chunk_that_comes_with_the_head_ends_an_event_stream_at_once(chunk: bytes) -> None:
    async with serve_raw(STREAM_HEAD + b"9\r\ndata: 1\n\n\r\n" + chunk) as port:
        _, failure = await end_of(f"http://127.0.0.1:{port}/s", protocol="sse")
        assert failure.reason in ("protocol_error", "abnormal_closure")


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("chunk", BAD_CHUNKS)
async def test_a_chunk_that_breaks_the_rules_ends_a_body_at_once(chunk: bytes, ends: bool) -> None:
    head = JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    async with (
        asyncio.timeout(5 * BUSY),
        piecemeal(head, b"1\r\n[\r\n", chunk, ends=ends) as (url, go_on),
        open_session() as session,
    ):
        settings = stream_settings(url=url)
        response = await Requester(settings, session, Credentials(settings)).get(url, {})
        go_on.release()
        assert await response.content.readany() == b"["
        go_on.release()
        with pytest.raises(aiohttp.ClientError) as caught:
            await response.content.read()
        assert failure_of(caught.value).reason == "protocol_error"
        response.close()


@pytest.mark.parametrize("protocol", ["sse", "websocket", "poll"])
async def test_a_head_that_drips_is_a_timeout(protocol: str) -> None:
    """Each byte comes well within any limit on the silence between two of them."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with (
        serve_bytes(drip) as port,
        client(f"http://127.0.0.1:{port}/s", protocol=protocol, connect_timeout_seconds=0.2) as made,
    ):
        outcome = await (made.polled() if protocol == "poll" else made.outcome())
        assert reason(outcome) == "timeout"


@pytest.mark.parametrize("protocol", ["sse", "poll"])
async def test_an_upgrade_that_nobody_asked_for_is_refused_and_its_connection_not_used_again(protocol: str) -> None:
    second = JSON_HEAD + b"Content-Length: 2\r\n\r\n{}"
    async with (
        serve_raw(SOCKET_HEAD + b"\r\n", second) as port,
        client(f"http://127.0.0.1:{port}/s", protocol=protocol) as made,
    ):
        outcome = await (made.polled() if protocol == "poll" else made.outcome())
        assert reason(outcome) == "handshake"
        assert await made.polled() == b"{}"


@pytest.mark.parametrize("missing", [b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n"])
async def test_a_101_that_does_not_upgrade_is_refused_and_its_connection_not_used_again(missing: bytes) -> None:
    second = JSON_HEAD + b"Content-Length: 2\r\n\r\n{}"
    async with (
        serve_raw(SOCKET_HEAD.replace(missing, b"") + b"\r\n", second) as port,
        client(f"http://127.0.0.1:{port}/s", protocol="websocket") as made,
    ):
        assert reason(await made.outcome()) == "handshake"
        assert await made.polled() == b"{}"


@pytest.mark.parametrize(
    "headers",
    [
        b"Sec-WebSocket-Extensions: permessage-deflate\r\n",
        b"Sec-WebSocket-Extensions: x-made-up\r\n",
        b"Sec-WebSocket-Protocol: iris.v9\r\n",
    ],
)
async def test_extensions_and_subprotocols_that_were_not_offered_fail_the_handshake(headers: bytes) -> None:
    async with socket_server(b"\x81\x021\n", headers) as url:
        messages, failure = await end_of(url)
        assert (messages, failure.reason) == ([], "handshake")


def mask(payload: bytes) -> bytes:
    """A masked text frame, which only a client may send."""
    key = b"\x01\x02\x03\x04"
    body = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
    return bytes((0x81, 0x80 | len(payload))) + key + body


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        (b"\xc1\x011", "compressed although nothing was agreed"),
        (b"\x83\x011", "an opcode that does not exist"),
        (b"\x01\x011\x81\x012", "a new message inside of one"),
        (b"\x80\x011", "a continuation of nothing"),
        (b"\x09\x00", "a ping in pieces"),
        (b"\x89\x7e\x00\x7f" + b"x" * 127, "a ping of 127 bytes"),
        (b"\x88\x01\x03", "half a close code"),
        (b"\x88\x02\x03\xed", "close code 1005, which nobody may send"),
    ],
)
async def test_frames_that_break_the_rules_end_the_link(frames: bytes, why: str) -> None:
    async with socket_server(b"\x81\x011" + frames) as url:
        messages, failure = await end_of(url)
        assert messages == [b"1"], why
        assert failure.reason == "protocol_error", why


async def test_masked_frames_are_read_as_what_they_say() -> None:
    """RFC 6455, 5.1 has a client end the connection; aiohttp unmasks instead, which does no harm."""
    async with socket_server(mask(b'{"a":1}') + b"\x88\x02\x03\xe8") as url:
        messages, failure = await end_of(url)
        assert (messages, failure.reason) == ([b'{"a":1}'], "closed")


def close_code(said: bytes) -> int:
    """The code of the close frame that a client has sent after nothing else."""
    assert (said[0], said[1] & 0x80) == (0x88, 0x80)
    return (said[6] ^ said[2]) << 8 | (said[7] ^ said[3])


@pytest.mark.parametrize(
    ("frames", "code", "reason", "delivered"),
    [
        (b"\x81\x02\xff\xfe\x81\x012", 1007, "protocol_error", [b"1", b"\xff\xfe"]),
        (b"\x01\x01\xc3\x80\x01\x28", 1007, "protocol_error", [b"1", b"\xc3\x28"]),
        (b"\x83\x011", 1002, "protocol_error", [b"1"]),
        (b"\x80\x011", 1002, "protocol_error", [b"1"]),
        (b"\x88\x01\x03", 1002, "protocol_error", [b"1"]),
        (b"\x88\x04\x03\xe8\xff\xfe", 1007, "protocol_error", [b"1"]),
        (b"\x81\x7e\x08\x00" + b"x" * 2048, 1009, "message_too_large", [b"1"]),
    ],
)
async def test_a_violation_is_answered_with_its_close_code_and_what_came_before_counts(
    frames: bytes, code: int, reason: str, delivered: list[bytes]
) -> None:
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    async with socket_server(b"\x81\x011" + frames, answer=answer) as url:
        messages, failure = await end_of(url, max_message_bytes=1024)
        assert (messages, failure.reason) == (delivered, reason)
        async with asyncio.timeout(5 * BUSY):
            assert close_code(await answer) == code


async def test_text_in_utf_8_is_let_through_cut_anywhere() -> None:
    text = "\u00e9\u2028\U0001f600".encode()
    kinds = (0x01, *(0x00,) * (len(text) - 2), 0x80)
    frames = b"".join(bytes((kind, 1, byte)) for kind, byte in zip(kinds, text, strict=True))
    async with socket_server(frames + b"\x88\x02\x03\xe8") as url:
        messages, failure = await end_of(url)
        assert (messages, failure.reason) == ([text], "closed")


PACKER = zlib.compressobj(wbits=31)
ONE_IN_GZIP = PACKER.compress(b"data: 1\n\n") + PACKER.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize(
    ("head", "body", "reason"),
    [
        (b"Transfer-Encoding: chunked\r\n", b"9\r\ndata: 1\n\n\r\nzz\r\n", "protocol_error"),
        (b"Transfer-Encoding: chunked\r\n", b"9\r\ndata: 1\n\n\r\n", "abnormal_closure"),
        (b"Content-Length: 100\r\n", b"data: 1\n\n", "abnormal_closure"),
        (b"", b"data: 1\n\ndata: " + b"x" * 5000, "message_too_large"),
        (b"Content-Encoding: gzip\r\n", ONE_IN_GZIP[:-2], "closed"),
        (b"Content-Encoding: gzip\r\n", ONE_IN_GZIP + b"\xff" * 40, "protocol_error"),
    ],
)
async def test_whole_events_before_an_error_count(head: bytes, body: bytes, reason: str) -> None:
    """All of it is there before the first read, as after a loop that was busy."""
    dialed = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + head + b"\r\n")
        await dialed.wait()
        writer.write(body)
        await writer.drain()

    async with serve_bytes(handle) as port, client(f"http://127.0.0.1:{port}/s", max_message_bytes=1024) as made:
        link = await made.dial()
        dialed.set()
        content = link._body._response.content  # type: ignore[union-attr]
        await until(lambda: content.is_eof() or content.exception() is not None or content.total_bytes >= 5000)
        messages, failure = await drain(link)  # type: ignore[arg-type]
        assert messages[:1] == [b"1"]
        assert failure.reason == reason


async def test_unread_bodies_do_not_reach_the_next_request() -> None:
    """The rest of a refusal must not be taken for the answer to what is asked next."""
    refusal = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4000\r\n\r\n" + JSON_HEAD + b'Content-Length: 3\r\n\r\n"x"'
    async with (
        serve_raw(refusal, JSON_HEAD + b"Content-Length: 2\r\n\r\n{}") as port,
        client(f"http://127.0.0.1:{port}/s") as made,
    ):
        assert reason(await made.polled()) == "not_found"
        assert await made.polled() == b"{}"


async def test_polls_share_a_connection_where_all_is_well() -> None:
    replies = [
        JSON_HEAD + b'ETag: "1"\r\nContent-Length: 2\r\n\r\n{}',
        b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n',
        JSON_HEAD + b"Content-Length: 2\r\n\r\n[]",
    ]
    connections = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for reply in replies:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)

    async with serve_bytes(handle) as port, client(f"http://127.0.0.1:{port}/s") as made:
        assert [await made.polled() for _ in replies] == [b"{}", None, b"[]"]
        assert connections == 1


def _readers() -> int:
    """Bodies that something still holds, those of other tests included."""
    gc.collect()
    return sum(isinstance(thing, aiohttp.StreamReader) for thing in gc.get_objects())


async def test_a_connection_that_serves_many_bodies_keeps_none_of_them() -> None:
    before = _readers()
    go_on = asyncio.Semaphore(0)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(JSON_HEAD + b"Content-Length: 2\r\n\r\n")
            await go_on.acquire()
            writer.write(b"{}")

    async with serve_bytes(handle) as port, open_session() as session:
        settings = stream_settings(url=f"http://127.0.0.1:{port}/s")
        requester = Requester(settings, session, Credentials(settings))
        for _ in range(20):
            response = await requester.get(settings.url, {})
            go_on.release()
            assert await response.content.read() == b"{}"
        assert _readers() - before < 5


@pytest.mark.parametrize("protocol", ["sse", "websocket", "auto"])
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
async def test_a_dial_that_is_cut_before_its_answer_is_one_connection(protocol: str, reset: bool) -> None:
    """aiohttp would send a GET again at once: twice the connections that the budget and the counters know of."""
    connections = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        if reset:
            writer.transport.abort()

    async with serve_bytes(handle) as port, client(f"http://127.0.0.1:{port}/s", protocol=protocol) as made:
        assert reason(await made.outcome()) == "connection_reset"
        assert connections == 1


@pytest.mark.parametrize("protocol", ["sse", "websocket", "poll"])
async def test_a_redirect_whose_server_closes_without_saying_so_is_followed(protocol: str) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b" /s " in head:
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: /t\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n")

    async with serve_bytes(handle) as port, client(f"http://127.0.0.1:{port}/s", protocol=protocol) as made:
        assert reason(await (made.polled() if protocol == "poll" else made.outcome())) == "http_client_error"


async def test_a_poll_over_a_reused_connection_that_the_server_closes_is_repeated() -> None:
    connections = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(JSON_HEAD + b"Content-Length: 2\r\n\r\n{}")
        await reader.readuntil(b"\r\n\r\n")

    async with serve_bytes(handle) as port, client(f"http://127.0.0.1:{port}/s") as made:
        assert [await made.polled(), await made.polled()] == [b"{}", b"{}"]
        assert connections == 2
