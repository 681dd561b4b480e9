"""An endless response body on aiohttp: its pieces as they come, inflated and bounded; no decisions.

The body is read as it comes. Line readers have a line limit, and a total timeout would end a healthy stream. What cuts
it into messages is the parser of the link: `transports.sse`, `transports.ndjson`.
"""

import asyncio
import zlib
from collections import deque

import aiohttp
from typing_extensions import override

from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.decoding.dialect import Outgoing
from iris_exporter.errors import LimitExceededError
from iris_exporter.http.classify import AnswerError
from iris_exporter.http.decompress import Inflater
from iris_exporter.http.session import BROKEN_BODY
from iris_exporter.http.takeover import TakeoverResponse
from iris_exporter.transports.base import Link
from iris_exporter.transports.incoming import IncomingBody

# A compressed piece may inflate to its own size and this many messages of the largest size, not more; where messages
# are to be small, many of them may still come at once.
_INFLATED_MESSAGES = 16
_LEAST_INFLATED_BYTES = 1 << 20
# How much is parsed before others get their turn; aiohttp hands out less at once, but what it inflates to may be more.
_PART_BYTES = 256 * 1024


class Body:
    """The body of a response that does not end by itself. `compression` is one of `core.status.COMPRESSIONS` or `none`.

    Raises:
        TransportError: The body has a content encoding that was not asked for.
    """

    def __init__(self, response: aiohttp.ClientResponse, max_message_bytes: int) -> None:
        self._response = response
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

    async def next_part(self) -> tuple[bytes, int]:
        """The next piece of the body, inflated, and its size on the wire; or more of the piece before, and 0.

        Raises:
            TransportError, and what aiohttp raises: the body has ended, is broken or inflates to too much.
        """
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

    def close(self) -> None:
        """Drop the response, which is the only way to end one."""
        self._response.close()


class BodyLink(Link):
    """A link that is an endless body, on which nothing can be sent. A kind of it reads."""

    two_way = False
    subprotocol = ""

    def __init__(self, response: aiohttp.ClientResponse, max_message_bytes: int) -> None:
        self._body = Body(response, max_message_bytes)
        self.compression = self._body.compression

    @override
    async def send(self, message: Outgoing) -> bool:
        return False

    @override
    async def ping(self) -> bool:
        return False

    @override
    async def close(self, code: int = 1000) -> None:
        """Nobody is told the code: a response has no way to."""
        self._body.close()
