"""The telemetry path: prints a scrape without keeping the event loop from the streams.

A scrape of 100,000 series is megabytes of text. It is made piece by piece, and whenever the loop has been held for two
milliseconds the others get their turn; compression happens in a thread (zlib lets go of the interpreter); a large
answer without compression is written in parts. The status line is sent only when everything has been printed, so an
error is never a 200.
"""

import asyncio
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping

from aiohttp import hdrs, web

from iris_exporter.process.blocking import COMPRESSION
from iris_exporter.web.context import ScrapeCheckpoint, WebContext
from iris_exporter.web.negotiation import accepts_gzip, choose_format, parse
from iris_exporter.web.rate_limits import scrape_limiter
from iris_exporter.web.scrapers import is_scraper

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
        limit = context.max_requests
        self._under_way = scrape_limiter(limit)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a GET or HEAD: 200 with a type that Prometheus knows, or 503 when too many are under way."""
        limit = self._context.max_requests
        if not limit:
            return await self._answer(request)
        client = request.remote or ""
        refusal = self._under_way.acquire(client)
        if refusal is not None:
            self._context.exposition.self_metrics.scrape_refused()
            whose = "" if refusal == "limit" else f", of which one client may have {self._under_way.limit_per_client}"
            text = f"{len(self._under_way)} scrapes are under way and --web.max-requests is {limit}{whose}\n"
            return web.Response(status=503, text=text, headers={hdrs.RETRY_AFTER: "1"})
        try:
            return await self._answer(request)
        finally:
            self._under_way.release(client)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        names = request.query.getall("name[]", None)
        # Begun in the turn in which the first piece is made, which is when the counters are read.
        checkpoint = self._begin_checkpoint(request) if request.method == hdrs.METH_GET and names is None else None
        if checkpoint is None:
            return await self._print(request, names)
        try:
            response = await self._print(request, names)
            await checkpoint.stage()
            return await _send(request, response, checkpoint)
        finally:
            await checkpoint.discard()

    def _begin_checkpoint(self, request: web.Request) -> ScrapeCheckpoint | None:
        ranges = parse(",".join(request.headers.getall(hdrs.ACCEPT, ())))
        accepted = {item.value: item.parameters for item in ranges if item.weight > 0}
        if is_scraper(request.headers, accepted):
            return self._context.begin_checkpoint()
        if "text/html" not in accepted:
            self._context.read_by_unknown()
        return None

    async def _print(self, request: web.Request, names: list[str] | None) -> web.StreamResponse:
        """Make the answer; a large one without compression is sent but for its end."""
        choice = choose_format(",".join(request.headers.getall(hdrs.ACCEPT, ())))
        exposition = self._context.exposition
        started = time.perf_counter()
        pieces = await _take_turns(exposition.render(choice.format, names))
        if names is None:
            exposition.self_metrics.scrape_finished(time.perf_counter() - started)
        headers: dict[str, str] = {hdrs.CONTENT_TYPE: choice.content_type, hdrs.VARY: "Accept, Accept-Encoding"}
        size = sum(map(len, pieces))
        if accepts_gzip(",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, ()))):
            body = compress(pieces) if size <= INLINE_BYTES else await _compress_aside(pieces)
            headers[hdrs.CONTENT_ENCODING] = "gzip"
            return web.Response(body=body, headers=headers)
        if size <= PART_BYTES or request.method == hdrs.METH_HEAD:
            return web.Response(body=b"".join(pieces), headers=headers)
        response = LargeResponse(pieces, size, headers)
        await response.prepare(request)
        await response.write_most()
        return response


class LargeResponse(web.StreamResponse):
    """An answer that is written in parts; the last part goes with `write_eof`, and without it nothing is complete."""

    def __init__(self, pieces: Iterable[bytes], size: int, headers: Mapping[str, str]) -> None:
        super().__init__(headers=headers)
        self.content_length = size
        self._parts = parts(pieces)
        self._last = b""

    async def write_most(self) -> None:
        """Write all parts but the last."""
        for part in self._parts:
            if self._last:
                await self.write(self._last)
            self._last = part

    async def write_rest(self) -> bytes:
        """Write the last part but for its last byte, which is returned to be given to `write_eof`."""
        last, self._last = self._last, b""
        await self.write(last[:-1])
        return last[-1:]

    async def write_eof(self, data: bytes = b"") -> None:
        """Write the last part and end the answer."""
        last, self._last = self._last, b""
        await super().write_eof(last + data)


async def _send(request: web.Request, response: web.StreamResponse, checkpoint: ScrapeCheckpoint) -> web.StreamResponse:
    """Send an answer, and commit between its last byte but one and its last.

    An answer without its last byte is none to the scraper, and until then nothing tells it that one is complete. So a
    kill that somebody aims at the moment of the answer finds the commit done, and a blind one has less than a
    millisecond to hit between the two.

    Raises:
        ConnectionError: The client has gone; nothing is committed.
    """
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the scraper has gone")
    # From here on waiting for the buffer to drain means waiting for it to be empty.
    transport.set_write_buffer_limits(0)
    try:
        if isinstance(response, LargeResponse):
            last = await response.write_rest()
        else:
            body = response.body if isinstance(response, web.Response) and isinstance(response.body, bytes) else b""
            whole = web.StreamResponse(headers=response.headers)
            whole.content_length = len(body)
            await whole.prepare(request)
            await whole.write(body[:-1])
            response, last = whole, body[-1:]
        await request.writer.drain()
        if transport.is_closing():
            raise ConnectionResetError("the scraper has gone")
        checkpoint.commit()
        try:
            await response.write_eof(last)
        except BaseException:
            await checkpoint.undo()
            raise
    finally:
        transport.set_write_buffer_limits()
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


async def _compress_aside(pieces: Iterable[bytes]) -> bytes:
    return await COMPRESSION.run(lambda: compress(pieces), None)


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
