"""Server-sent events on aiohttp: raw pieces of the body into the parser; no decisions.

The body is read as it comes. Line readers have a line limit, and a total timeout would end a healthy stream.
Source: WHATWG HTML, 9.2; the parser is `transports.sse_parser`.
"""

import asyncio
import zlib
from collections import deque

import aiohttp
from typing_extensions import override

from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.decoding.dialect import Outgoing
from iris_exporter.errors import LimitExceededError
from iris_exporter.http.classify import LINK_ERRORS, AnswerError, failure_of
from iris_exporter.http.decompress import Inflater
from iris_exporter.http.session import BROKEN_BODY
from iris_exporter.http.takeover import TakeoverResponse
from iris_exporter.transports.base import Link, Received
from iris_exporter.transports.incoming import IncomingBody
from iris_exporter.transports.sse_parser import SseParser

# A compressed piece may inflate to its own size and this many messages of the largest size, not more; where messages
# are to be small, many of them may still come at once.
_INFLATED_MESSAGES = 16
_LEAST_INFLATED_BYTES = 1 << 20
# How much is parsed before others get their turn; aiohttp hands out less at once, but what it inflates to may be more.
_PART_BYTES = 256 * 1024


class SseLink(Link):
    """An open event stream; see `transports.base.Link`."""

    protocol = "sse"
    two_way = False
    subprotocol = ""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        max_message_bytes: int,
        last_event_id: str,
        event_names: frozenset[str] = frozenset(),
    ) -> None:
        self._response = response
        self._parser = SseParser(max_message_bytes, last_event_id, event_names)
        self._incoming: IncomingBody | None = None
        self._inflate_limit = max(max_message_bytes * _INFLATED_MESSAGES, _LEAST_INFLATED_BYTES)
        self._inflated = b""
        self._taken = 0  # of what is inflated
        self._end: BaseException | None = None  # what the body ended by, once all before it is given out
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        self.compression = {"x-gzip": "gzip", "": "none", "identity": "none"}.get(encoding, encoding)
        try:
            self._inflater = Inflater(encoding)
        except ValueError as error:
            raise TransportError(Failure("not_a_stream", "a content encoding we did not ask for")) from error
        if isinstance(response, TakeoverResponse) and response.takeover is not None:
            coding = response.headers.get("Transfer-Encoding", "").strip().lower()
            if coding in ("", "chunked"):
                self._incoming = IncomingBody(chunked=bool(coding))
                response.takeover.take(self._incoming)
            else:
                response.takeover.give_back()

    @override
    async def read(self) -> Received:
        parser = self._parser
        if parser.closed:
            raise TransportError(Failure("message_too_large", "an SSE event is larger than the limit"))
        try:
            part, wire_bytes = await self._next_part()
            frames = parser.feed_frames(part)
        except LINK_ERRORS as error:
            raise TransportError(failure_of(error)) from None
        retry = parser.retry_milliseconds
        return Received(
            frames,
            wire_bytes,
            last_event_id=parser.last_event_id,
            retry_seconds=None if retry is None else retry / 1000,
            inflated_bytes=len(part),
        )

    async def _next_part(self) -> tuple[bytes, int]:
        """The next piece of the body, inflated, and its size on the wire; or more of the piece before, and 0."""
        wire_bytes = 0
        if self._taken < len(self._inflated):
            await asyncio.sleep(0)
        else:
            if self._end is not None:
                raise self._end
            piece = await self._next_piece()
            wire_bytes = len(piece)
            try:
                self._inflated = self._inflater.feed(piece, wire_bytes + self._inflate_limit)
            except (zlib.error, LimitExceededError) as error:
                self._inflated, self._end = self._inflater.rescued, error
            self._taken = 0
        inflated, start = self._inflated, self._taken
        self._taken = start + _PART_BYTES
        if self._taken >= len(inflated):
            self._inflated, self._taken = b"", 0
        return inflated[start : start + _PART_BYTES], wire_bytes

    async def _next_piece(self) -> bytes:
        """The next piece of the body as it came.

        After an error aiohttp gives out nothing any more, not even what it has taken from the socket before.
        """
        if self._incoming is not None:
            if (item := await self._incoming.get()) is not None:
                return item[0]
            self._incoming = None
        content = self._response.content
        if content.exception() is None:
            try:
                piece = await content.readany()
            except RuntimeError:  # the connection has ended, and aiohttp has not said so to those who read
                raise AnswerError(BROKEN_BODY) from None
            if not piece and content.at_eof():
                raise TransportError(Failure("closed", "the server ended the stream"))
            return piece
        pieces: deque[bytes] = getattr(content, "_buffer", deque())
        if not pieces:
            return await content.readany()  # raises it
        skipped: int = getattr(content, "_buffer_offset", 0)
        piece = b"".join(pieces)[skipped:]
        pieces.clear()
        return piece

    @override
    async def send(self, message: Outgoing) -> bool:
        return False

    @override
    async def ping(self) -> bool:
        return False

    @override
    async def close(self, code: int = 1000) -> None:
        """The response is dropped, which is the only way to end one."""
        self._response.close()
