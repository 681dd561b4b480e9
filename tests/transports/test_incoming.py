"""Streams taken over from aiohttp bring what aiohttp alone would have brought, and end for the same reason."""

import asyncio
import base64
import gzip
import hashlib
import random
import re
import struct
from contextlib import nullcontext
from pathlib import Path

import pytest
from aiohttp import web

from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.decoding.dialect import Binary, Frame
from iris_exporter.transports import dialer
from iris_exporter.transports.incoming import Incoming
from tests.http.test_tls import Place
from tests.transports.support import client, serve, serve_bytes
from tests.waiting import BUSY

TEXT, BINARY, CLOSE, PING, PONG, START, CONTINUATION = 0x81, 0x82, 0x88, 0x89, 0x8A, 0x01, 0x80
LIMIT = 1000
HEADS = {
    "websocket": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    "chunked": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    "plain": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n",
}


def frame(payload: bytes, first: int = TEXT) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    return struct.pack("!BBH", first, 126, size) + payload


def some_frames(chance: random.Random) -> bytes:
    """Frames of all kinds; most are texts, and an end or an error is rare and may be anywhere."""
    parts = []
    for number in range(chance.randint(1, 40)):
        text = f"{number} é".encode() + b"x" * chance.choice((0, 3, 130, 700))
        kind = chance.random()
        if kind < 0.75:
            parts.append(frame(text))
        elif kind < 0.8:
            parts.append(frame(text, BINARY))
        elif kind < 0.9:
            parts.append(frame(b"p", chance.choice((PING, PONG))))
        elif kind < 0.94:
            parts += [frame(b"begin", START), frame(b"p", PING), frame(b"end", CONTINUATION)]
        else:
            bad = (frame(b"\x03\xe9", CLOSE), frame(b"\xff"), frame(b"x" * (LIMIT + 1)), frame(b"z", 0xC1))
            parts.append(chance.choice((*bad, bytes((TEXT, 0x81)) + b"mask" + b"x", frame(b"c", CONTINUATION))))
    return b"".join(parts)


def some_chunks(chance: random.Random) -> bytes:
    """Chunks of an event stream, of which some are in no plain form."""
    body = b"".join(b"data: %d%b\n\n" % (n, b"x" * chance.choice((0, 3, 500))) for n in range(chance.randint(1, 40)))
    parts = []
    while body:
        size = chance.choice((1, 7, 30, 600))
        piece, body = body[:size], body[size:]
        extension = b";x=y" if chance.random() < 0.05 else b""
        end = b"\r\n" if chance.random() < 0.99 else b"zz"
        parts.append(b"%x%b\r\n%b%b" % (len(piece), extension, piece, end))
    parts.append(chance.choice((b"0\r\n\r\n", b"0\r\nTrailer: x\r\n\r\n", b"", b"nonsense\r\n")))
    return b"".join(parts)


def some_events(chance: random.Random) -> bytes:
    return b"".join(b"data: %d%b\n\n" % (n, b"x" * chance.choice((0, 3, 500))) for n in range(chance.randint(1, 40)))


SOURCES = {"websocket": some_frames, "chunked": some_chunks, "plain": some_events}


async def outcome(kind: str, wire: bytes, cuts: list[int]) -> tuple[list[Frame], int, Failure]:
    """Frames and pongs that a link brings when the wire is cut like this, and why it ends."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if kind == "websocket":
            key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)
            assert key is not None
            digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            accept = base64.b64encode(digest)
            start = (
                b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"
                % accept
            )
        else:
            start = HEADS[kind]
        for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
            writer.write(start + wire[begin:end])
            start = b""
            await writer.drain()
            for _ in range(5):
                await asyncio.sleep(0)

    frames: list[Frame] = []
    pongs = 0
    async with asyncio.timeout(10 * BUSY), serve_bytes(handle) as port:
        url = f"http://127.0.0.1:{port}/s"
        protocol = "websocket" if kind == "websocket" else "sse"
        async with client(url, protocol=protocol, max_message_bytes=LIMIT) as made:
            try:
                link = await made.dial()
            except TransportError as error:
                return frames, pongs, error.failure
            try:
                while True:
                    received = await link.read()
                    frames += received.frames
                    pongs += received.pongs
            except TransportError as error:
                return frames, pongs, error.failure
            finally:
                await link.close()


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("kind", SOURCES)
async def test_a_stream_brings_the_same_with_and_without_a_takeover(
    kind: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(f"{kind} {seed}")
    wire = SOURCES[kind](chance)
    cuts = sorted(chance.randint(0, len(wire)) for _ in range(chance.choice((0, 1, 10))))
    taken = await outcome(kind, wire, cuts)
    monkeypatch.setattr(dialer, "takeovers", nullcontext)
    alone = await outcome(kind, wire, cuts)
    if alone[0] == []:  # an error that comes with the head: aiohttp gives out nothing then
        assert taken[2].reason == alone[2].reason
    else:
        assert taken == alone


async def test_what_is_plain_is_cut_here_and_not_by_aiohttp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the test above would compare aiohttp with itself."""
    left: list[bytes] = []
    leave = Incoming._leave_to_aiohttp

    def note(self: Incoming[object], data: bytes) -> None:
        left.append(data)
        leave(self, data)

    monkeypatch.setattr(Incoming, "_leave_to_aiohttp", note)
    frames, _, _ = await outcome("websocket", frame(b"a") + frame(b"b", BINARY) + frame(b"c"), [4])
    assert frames == [b"a", Binary(b"b"), b"c"]
    frames, _, _ = await outcome("chunked", b"9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n", [8])
    assert frames == [b"1", b"2"]
    assert left == [b"0\r\n\r\n"]


@pytest.mark.parametrize("kind", SOURCES)
async def test_a_stream_that_ends_with_its_head_has_ended(kind: str) -> None:
    frames, _, failure = await outcome(kind, b"", [])
    assert frames == []
    assert failure.reason in ("closed", "abnormal_closure", "protocol_error")


class Streams:
    """A WebSocket and an event stream, the latter under gzip where it is asked for, that send two messages."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self.done = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.send_str("1")
            await socket.send_str("2")
            await socket.receive()
            return socket
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        if self.encoding:
            response.headers["Content-Encoding"] = self.encoding
        await response.prepare(request)
        body = b"data: 1\n\ndata: 2\n\n"
        await response.write(gzip.compress(body) if self.encoding else body)
        await self.done.wait()
        return response


@pytest.mark.parametrize("encoding", ["", "gzip"])
@pytest.mark.parametrize("protocol", ["websocket", "sse"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_streams_over_tls_and_under_gzip_are_taken_over(
    scheme: str, protocol: str, encoding: str, tmp_path: Path
) -> None:
    place = Place(tmp_path)
    streams = Streams(encoding)
    async with serve(streams.handle, place.server() if scheme == "https" else None) as server:
        options = {"tls_ca_file": place.ca} if scheme == "https" else {}
        async with client(server.url + "/s", protocol=protocol, **options) as made:
            link = await made.dial()
            frames: list[Frame] = []
            while len(frames) < 2:
                frames += (await link.read()).frames
            assert frames == [b"1", b"2"]
            assert getattr(link, "_body", link)._incoming is not None
            streams.done.set()
            await link.close()
