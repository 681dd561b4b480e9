"""Compression of streams and bodies, and what is counted of it."""

import asyncio
import gc
import gzip
import json
import zlib

import aiohttp
import pytest
from aiohttp.compression_utils import ZLibCompressor

from iris_exporter.backend.compression import MIN_BODY_BYTES, StreamGzip
from iris_exporter.backend.objects import Event
from iris_exporter.backend.streams import SENT_AT_ONCE_BYTES
from iris_exporter.core.subscriptions import PROTOBUF_SUBPROTOCOL
from iris_exporter.wire import protobuf
from tests.backend.clients import Bench, bench
from tests.waiting import until


def test_what_is_fed_can_be_read_at_once() -> None:
    stream, reader = StreamGzip(), zlib.decompressobj(31)
    for text in (b"data: one\n\n", b"x" * 100_000, b"data: two\n\n"):
        assert reader.decompress(stream.feed(text)) == text
    assert reader.decompress(stream.end()) == b""
    assert reader.eof


NAMED = pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        (None, False),
        ("", False),
        ("identity", False),
        ("gzip", True),
        ("GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("*;q=0", False),
        ("*", True),
        ("*;q=0.3, gzip;q=0", False),
        ("br, deflate", False),
        ("gzip;q=0.2, identity;q=0.9", False),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
    ],
)


def headers(accepted: str | None) -> dict[str, str]:
    return {} if accepted is None else {"Accept-Encoding": accepted}


async def raw(it: Bench, path: str, accepted: str | None) -> tuple[aiohttp.ClientResponse, bytes]:
    async with (
        aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=("Accept-Encoding",)) as http,
        http.get(it.backend.url + path, headers=headers(accepted)) as response,
    ):
        return response, await response.read()


@NAMED
async def test_long_bodies_are_compressed_as_the_client_wants(accepted: str | None, compressed: bool) -> None:
    async with bench() as it:
        it.happen(50)
        for path in ("/api/events", "/api/overview", "/api/iris/overview"):
            response, body = await raw(it, path, accepted)
            assert ("Content-Encoding" in response.headers) == compressed
            assert response.headers["Vary"] == "Accept-Encoding"
            assert len(json.loads(gzip.decompress(body) if compressed else body)) > 1


async def test_short_bodies_are_sent_as_they_are() -> None:
    async with bench() as it:
        for path in ("/api/telemetry/health", "/api/events"):
            response, body = await raw(it, path, "gzip")
            assert "Content-Encoding" not in response.headers
            assert len(body) <= MIN_BODY_BYTES
            json.loads(body)


@NAMED
async def test_a_subscription_over_sse_is_compressed_and_each_write_arrives(
    accepted: str | None, compressed: bool
) -> None:
    async with (
        bench() as it,
        aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=("Accept-Encoding",)) as http,
        http.get(f"{it.backend.url}/api/stream?channels=events", headers=headers(accepted)) as response,
    ):
        assert (response.headers.get("Content-Encoding") == "gzip") == compressed
        assert response.headers["Vary"] == "Accept-Encoding"
        reader = zlib.decompressobj(31)
        text = b""

        async def until(wanted: bytes) -> None:
            nonlocal text
            while wanted not in text:
                data = await response.content.readany()
                text += reader.decompress(data) if compressed else data

        await until(b"event: update")
        (first,) = it.happen()
        await until(first.encode())
        (second,) = it.happen()
        await until(second.encode())
        it.backend.faults.set("drop-clean=0")
        await it.clock.advance(0.1)
        if compressed:
            assert reader.decompress(await response.content.read()) == b""
            assert reader.eof, "the end and its checksum came, too"
        traffic = it.backend.service.stats.traffic["sse", "json"]
        assert traffic.message_bytes == len(text)
        assert (traffic.wire_bytes < traffic.message_bytes) == compressed


async def test_the_older_paths_are_not_compressed() -> None:
    async with bench() as it, it.connect("sse", "overview", {"Accept-Encoding": "gzip"}) as client:
        await client.next()
        response = client.response  # type: ignore[union-attr]
        assert "Content-Encoding" not in response.headers
        assert "Vary" not in response.headers


@pytest.mark.parametrize("compress", [0, 15])
@pytest.mark.parametrize("protocols", [(), (PROTOBUF_SUBPROTOCOL,)])
async def test_a_websocket_is_compressed_where_that_is_offered(compress: int, protocols: tuple[str, ...]) -> None:
    async with bench() as it:
        url = f"{it.backend.url}/api/stream"
        async with it.http.ws_connect(url, compress=compress, protocols=protocols) as socket:
            assert bool(socket.compress) == bool(compress)
            await socket.send_json({"type": "subscribe", "data": {"channels": ["events"]}})
            it_read = 0
            for _ in range(2):
                it_read += len((await socket.receive()).data)
            it.happen(20)
            for _ in range(20):
                message = await socket.receive()
                it_read += len(message.data)
                if protocols:
                    assert protobuf.decode(message.data)["type"] == "event"
            traffic = it.backend.service.stats.traffic["websocket", "protobuf" if protocols else "json"]
            assert traffic.message_bytes == it_read
            assert (traffic.wire_bytes < traffic.message_bytes) == bool(compress)
            if not compress:
                assert traffic.wire_bytes - traffic.message_bytes <= 22 * 4, "heads of frames"


async def test_a_client_that_goes_while_a_large_message_is_compressed_leaves_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The library does that in a task of its own, which finds the socket closed."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    compress = ZLibCompressor.compress

    async def slow(self: ZLibCompressor, data: bytes) -> bytes:
        begun.set()
        await go_on.wait()
        return await compress(self, data)

    async with bench() as it:
        async with it.http.ws_connect(f"{it.backend.url}/api/stream/events", compress=15) as socket:
            await it.until_open(1)
            monkeypatch.setattr(ZLibCompressor, "compress", slow)
            it.backend.service.publish([Event("large", "", "p", "info", "info", "x" * 2 * SENT_AT_ONCE_BYTES, {})])
            await begun.wait()
            (server_side,) = it.backend.service.connections
            assert socket._response.connection is not None
            assert socket._response.connection.transport is not None
            socket._response.connection.transport.abort()
            await until(lambda: server_side.is_gone)
            go_on.set()
            await it.until_open(0)
        gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
