"""The telemetry path: prints a scrape without blocking the event loop.

A scrape of 100,000 series is megabytes of text. It is made piece by piece, and other tasks get their turn after every
two milliseconds; compression happens in a thread (zlib releases the interpreter); a large answer without compression
is written in parts. The status line is sent only when everything has been printed, so an error is never a 200.
"""

import asyncio
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from aiohttp import hdrs, web

from iris_exporter.instruments import catalog
from iris_exporter.persistence.checkpoints import Checkpoint
from iris_exporter.process.blocking import COMPRESSION
from iris_exporter.web.context import WebContext
from iris_exporter.web.negotiation import accepts_gzip, choose_format, parse
from iris_exporter.web.rate_limits import SCRAPE_RESERVE, Limiter
from iris_exporter.web.scrapers import is_scraper

BLOCKING_SECONDS = 0.002
"""How long the event loop is blocked at a stretch; the contract allows 10 ms, of which other tasks need a part."""
GZIP_LEVEL = 1
"""Exposition text is so repetitive that level 6 saves little more and takes twice the time."""
INLINE_BYTES = 64 * 1024
"""Up to this size compressing takes less than a millisecond, and the way to a thread and back is not worth it."""
PART_BYTES = 256 * 1024
"""Size of one write of a large answer."""


class Scrapes:
    """The handler of the telemetry path, with its count of scrapes under way."""

    def __init__(self, context: WebContext, max_requests: int) -> None:
        self._context = context
        limit = max_requests or sys.maxsize
        self._limiter = Limiter(limit, limit - limit // SCRAPE_RESERVE)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a GET or HEAD: 200 with a type that Prometheus knows, or 503 when too many are under way."""
        limiter, client = self._limiter, request.remote or ""
        refusal = limiter.acquire(client)
        if refusal is not None:
            self._context.exposition.self_metrics.add(catalog.SCRAPES_REFUSED)
            whose = "" if refusal == "limit" else f", of which one client may have {limiter.limit_per_client}"
            text = f"{len(limiter)} scrapes are under way and --web.max-requests is {limiter.limit}{whose}\n"
            return web.Response(status=503, text=text, headers={hdrs.RETRY_AFTER: "1"})
        try:
            return await self._answer(request)
        finally:
            limiter.release(client)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        names = request.query.getall("name[]", None)
        # Begun in the turn in which the first piece is made, which is when the counters are read.
        checkpoint = self._begin_checkpoint(request) if request.method == hdrs.METH_GET and names is None else None
        try:
            headers, pieces = await self._render(request, names)
            if checkpoint is not None:
                await checkpoint.stage()
            elif request.method == hdrs.METH_HEAD or sum(map(len, pieces)) <= PART_BYTES:
                return web.Response(body=b"".join(pieces), headers=headers)
            return await _send(request, headers, pieces, checkpoint)
        finally:
            if checkpoint is not None:
                await checkpoint.discard()

    def _begin_checkpoint(self, request: web.Request) -> Checkpoint | None:
        checkpoints = self._context.checkpoints
        if checkpoints is None:
            return None
        accepted = {item.value: item.parameters for item in parse(_joined(request, hdrs.ACCEPT)) if item.weight > 0}
        if is_scraper(request.headers, accepted):
            return checkpoints.begin()
        if "text/html" not in accepted:
            checkpoints.read_by_unknown()
        return None

    async def _render(self, request: web.Request, names: list[str] | None) -> tuple[dict[str, str], list[bytes]]:
        """Make the headers and the pieces of the body."""
        choice = choose_format(_joined(request, hdrs.ACCEPT))
        exposition = self._context.exposition
        started = time.perf_counter()
        pieces = await _take_turns(exposition.render(choice.format, names))
        if names is None:
            exposition.self_metrics.set(catalog.SCRAPE_DURATION, time.perf_counter() - started)
        headers = {str(hdrs.CONTENT_TYPE): choice.content_type, hdrs.VARY: "Accept, Accept-Encoding"}
        if accepts_gzip(_joined(request, hdrs.ACCEPT_ENCODING)):
            headers[hdrs.CONTENT_ENCODING] = "gzip"
            if sum(map(len, pieces)) <= INLINE_BYTES:
                pieces = [compress(pieces)]
            else:
                pieces = [await COMPRESSION.run(partial(compress, pieces), None)]
        return headers, pieces


def _joined(request: web.Request, header: str) -> str:
    return ",".join(request.headers.getall(header, ()))


async def _send(
    request: web.Request, headers: Mapping[str, str], pieces: Sequence[bytes], checkpoint: Checkpoint | None
) -> web.StreamResponse:
    """Send an answer in parts; commit the checkpoint right before its last byte.

    Raises:
        ConnectionError: The client has gone; nothing is committed.
    """
    response = web.StreamResponse(headers=headers)
    response.content_length = sum(map(len, pieces))
    await response.prepare(request)
    last = b""
    for part in parts(pieces):
        if last:
            await response.write(last)
            # Where the client reads as fast as we write, `write` waits for nothing, and all parts would be one turn.
            await asyncio.sleep(0)
        last = part
    if checkpoint is None:
        await response.write_eof(last)
    else:
        await _send_last(request, response, last, checkpoint)
    return response


async def _send_last(request: web.Request, response: web.StreamResponse, part: bytes, checkpoint: Checkpoint) -> None:
    """Send the last part of an answer, and commit between its last byte but one and its last.

    An answer without its last byte is incomplete to the scraper. So whoever kills the exporter after a complete answer
    finds the commit done, and a kill at any other time has less than a millisecond to hit between commit and byte.
    """
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the scraper has gone")
    # From here on waiting for the buffer to drain means waiting for it to be empty; set before the write, as asyncio's
    # TLS transport checks its buffer only when something is written.
    transport.set_write_buffer_limits(0)
    try:
        await response.write(part[:-1])
        await request.writer.drain()
        if transport.is_closing():
            raise ConnectionResetError("the scraper has gone")
        checkpoint.commit()
        try:
            await response.write_eof(part[-1:])
        except BaseException:
            await checkpoint.undo()
            raise
    finally:
        transport.set_write_buffer_limits()


async def _take_turns(pieces: Iterator[bytes]) -> list[bytes]:
    """Collect all pieces that are not empty, giving way to others every `BLOCKING_SECONDS`."""
    collected = []
    since = time.perf_counter()
    for piece in pieces:
        if piece:
            collected.append(piece)
        if time.perf_counter() - since > BLOCKING_SECONDS:
            await asyncio.sleep(0)
            since = time.perf_counter()
    return collected


def compress(pieces: Iterable[bytes]) -> bytes:
    """One gzip member of all pieces; safe in a thread."""
    compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    # In large parts, since after each a thread has to wait for the interpreter, up to 5 ms beside a busy event loop.
    body = [compressor.compress(part) for part in parts(pieces)]
    body.append(compressor.flush())
    return b"".join(body)


def parts(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join pieces to parts of about `PART_BYTES`."""
    pending: list[bytes] = []
    size = 0
    for piece in pieces:
        pending.append(piece)
        size += len(piece)
        if size >= PART_BYTES:
            yield b"".join(pending)
            pending, size = [], 0
    if pending:
        yield b"".join(pending)
