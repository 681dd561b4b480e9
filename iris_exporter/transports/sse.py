"""Server-sent events on aiohttp: raw pieces of the body into the parser; no decisions.

The body is read as it comes. Line readers have a line limit, and a total timeout would end a healthy stream.
Source: WHATWG HTML, 9.2; the parser is `core.sse`.
"""

import aiohttp

from iris_exporter.core.failures import Failure
from iris_exporter.core.inflate import Inflater
from iris_exporter.core.sse import SseParser
from iris_exporter.transports.base import Received, TransportError
from iris_exporter.transports.recognise import LINK_ERRORS, failure_of

# A compressed piece of 64 KiB may inflate to this many messages of the largest size, not more.
_INFLATED_MESSAGES = 16


class SseLink:
    """An open event stream; see `transports.base.Link`."""

    protocol = "sse"

    def __init__(self, response: aiohttp.ClientResponse, max_message_bytes: int, last_event_id: str) -> None:
        self._response = response
        self._parser = SseParser(max_message_bytes, last_event_id)
        self._inflate_limit = max_message_bytes * _INFLATED_MESSAGES
        try:
            self._inflater = Inflater(response.headers.get("Content-Encoding", "").strip().lower())
        except ValueError as error:
            raise TransportError(Failure("not_a_stream", "a content encoding we did not ask for")) from error

    async def read(self) -> Received:
        """See `Link.read`."""
        parser = self._parser
        if parser.closed:
            raise TransportError(Failure("message_too_large", "an SSE event is larger than the limit"))
        try:
            piece = await self._response.content.readany()
            if not piece and self._response.content.at_eof():
                raise TransportError(Failure("closed", "the server ended the stream"))
            events = parser.feed(self._inflater.feed(piece, self._inflate_limit))
        except LINK_ERRORS as error:
            raise TransportError(failure_of(error)) from error
        retry = parser.retry_milliseconds
        return Received(
            [event.data for event in events],
            len(piece),
            last_event_id=parser.last_event_id,
            retry_seconds=None if retry is None else retry / 1000,
        )

    async def send(self, message: bytes) -> bool:  # noqa: ARG002 (SSE has one direction)
        """See `Link.send`."""
        return False

    async def ping(self) -> bool:
        """See `Link.ping`."""
        return False

    async def close(self, code: int = 1000) -> None:  # noqa: ARG002 (SSE has no close frame)
        """See `Link.close`: the response is dropped, which is the only way to end one."""
        self._response.close()
