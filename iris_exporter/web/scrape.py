"""The telemetry path: prints a scrape without keeping the event loop from the streams.

A scrape of 100,000 series is megabytes of text. It is made piece by piece, and whenever the loop has been held for two
milliseconds the others get their turn; compression happens in a thread (zlib lets go of the interpreter); a large
answer without compression is written in parts. The status line is sent only when everything has been printed, so an
error is never a 200.
"""

import asyncio
import time
import zlib
from collections.abc import Iterable, Iterator

from aiohttp import hdrs, web

from iris_exporter.web.context import WebContext
from iris_exporter.web.negotiation import accepts_gzip, choose_format

HOLD_SECONDS = 0.002
"""How long the event loop is held at a stretch; the contract allows 10 ms, and others want their share of that."""
GZIP_LEVEL = 1
"""Exposition text is so repetitive that level 6 saves little more and takes twice the time."""
INLINE_BYTES = 64 * 1024
"""Up to this size compressing takes less than a millisecond, and the way to a thread and back is not worth it."""
PART_BYTES = 256 * 1024
"""Size of one write of a large answer."""


class Scrapes:
    """The handler of the telemetry path, with its count of scrapes under way."""

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._under_way = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a GET or HEAD: 200 with a type that Prometheus knows, or 503 when too many are under way."""
        limit = self._context.max_requests
        if limit and self._under_way >= limit:
            self._context.exposition.self_metrics.scrape_refused()
            text = f"{self._under_way} scrapes are under way and --web.max-requests is {limit}\n"
            return web.Response(status=503, text=text, headers={hdrs.RETRY_AFTER: "1"})
        self._under_way += 1
        try:
            return await self._answer(request)
        finally:
            self._under_way -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        choice = choose_format(",".join(request.headers.getall(hdrs.ACCEPT, ())))
        names = request.query.getall("name[]", None)
        exposition = self._context.exposition
        started = time.perf_counter()
        pieces = await _take_turns(exposition.render(choice.format, names))
        if names is None:
            exposition.self_metrics.scrape_finished(time.perf_counter() - started)
        headers = {hdrs.CONTENT_TYPE: choice.content_type, hdrs.VARY: "Accept, Accept-Encoding"}
        size = sum(map(len, pieces))
        if accepts_gzip(",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, ()))):
            body = compress(pieces) if size <= INLINE_BYTES else await asyncio.to_thread(compress, pieces)
            headers[hdrs.CONTENT_ENCODING] = "gzip"
            return web.Response(body=body, headers=headers)
        if size <= PART_BYTES or request.method == hdrs.METH_HEAD:
            return web.Response(body=b"".join(pieces), headers=headers)
        response = web.StreamResponse(headers=headers)
        response.content_length = size
        await response.prepare(request)
        for part in parts(pieces):
            await response.write(part)
        await response.write_eof()
        return response


async def _take_turns(pieces: Iterator[bytes]) -> list[bytes]:
    """Collect all pieces that are not empty, giving way to others every `HOLD_SECONDS`."""
    collected = []
    since = time.perf_counter()
    for piece in pieces:
        if piece:
            collected.append(piece)
        if time.perf_counter() - since > HOLD_SECONDS:
            await asyncio.sleep(0)
            since = time.perf_counter()
    return collected


def compress(pieces: Iterable[bytes]) -> bytes:
    """One gzip member of all pieces; safe in a thread."""
    compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    body = [compressor.compress(piece) for piece in pieces]
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
