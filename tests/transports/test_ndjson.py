"""Endless bodies of JSON texts, over sockets."""

import asyncio
import gzip

import pytest

from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.decoding.dialect import Frame
from iris_exporter.transports.base import Link
from iris_exporter.transports.dialer import PollInstead
from iris_exporter.transports.ndjson import NdjsonLink
from tests.transports.support import Client, client, serve_bytes, serve_raw

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n%b\r\n"


async def drain(link: Link) -> tuple[list[Frame], Failure]:
    """All frames of a link, and why it ended."""
    frames: list[Frame] = []
    while True:
        try:
            frames += (await link.read()).frames
        except TransportError as error:
            return frames, error.failure


async def dialled(made: Client, separator: bytes = b"") -> Link:
    made.dialer.dialect.separator = separator
    return await made.dial()


@pytest.mark.parametrize(
    ("media_type", "separator", "protocol"),
    [
        (b"application/x-ndjson", b"", "auto"),
        (b"application/jsonl; charset=utf-8", b"", "auto"),
        (b"application/json", b"\n", "auto"),  # as Kubernetes has it
        (b"application/json", b"", "ndjson"),
        (b"application/vnd.docker.multiplexed-stream+json", b"", "ndjson"),
    ],
)
async def test_lines_are_read_whatever_they_are_called(media_type: bytes, separator: bytes, protocol: str) -> None:
    body = b'{"a":1}\n\n{"b":\r\n "no line of its own'
    async with (
        serve_raw(HEAD % (media_type, b"Connection: close\r\n") + body) as port,
        client(f"http://127.0.0.1:{port}/s", protocol=protocol) as made,
    ):
        link = await dialled(made, separator)
        assert isinstance(link, NdjsonLink)
        received = await link.read()
        assert received.frames == [b'{"a":1}', b'{"b":\r']
        assert received.wire_bytes == len(body)
        await link.close()


async def test_a_document_is_polled_where_no_dialect_says_otherwise() -> None:
    async with (
        serve_raw(HEAD % (b"application/json", b"Content-Length: 2\r\n") + b"{}") as port,
        client(f"http://127.0.0.1:{port}/s") as made,
    ):
        assert isinstance(await made.dialer.dial(""), PollInstead)


@pytest.mark.parametrize(
    ("end", "reason", "expected"),
    [
        (b"1\r\n3\r\n0\r\n\r\n", "closed", [b"1", b"2", b"3"]),  # an orderly end ends the last message, too
        (b"1\r\n3\r\n", "abnormal_closure", [b"1", b"2"]),  # what was cut short is none
        (b"zz\r\n", "protocol_error", [b"1", b"2"]),
        (b"500\r\n" + b"x" * 0x500 + b"\r\n", "message_too_large", [b"1", b"2"]),
    ],
)
async def test_whole_messages_before_the_end_count(end: bytes, reason: str, expected: list[bytes]) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD % (b"application/x-ndjson", b"Transfer-Encoding: chunked\r\n") + b"4\r\n1\n2\n\r\n" + end)
        await writer.drain()

    async with serve_bytes(handle) as port, client(f"http://127.0.0.1:{port}/s", max_message_bytes=1024) as made:
        link = await dialled(made)
        frames, failure = await drain(link)
        assert (frames, failure.reason) == (expected, reason)
        await link.close()


async def test_a_sequence_in_gzip_is_read() -> None:
    body = gzip.compress(b'\x1e{"a":1}\n\x1e[2]\n\x1e')
    head = HEAD % (b"application/json-seq", b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(body))
    async with serve_raw(head + body) as port, client(f"http://127.0.0.1:{port}/s") as made:
        link = await dialled(made)
        assert link.compression == "gzip"
        frames, failure = await drain(link)
        assert ([bytes(frame).strip() for frame in frames if isinstance(frame, bytes)], failure.reason) == (
            [b'{"a":1}', b"[2]"],
            "closed",
        )
        await link.close()
