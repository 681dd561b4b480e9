"""Server-sent events on aiohttp: pieces of the body into the parser; no decisions.

Source: WHATWG HTML, 9.2; the parser is `transports.sse_parser`.
"""

import aiohttp
from typing_extensions import override

from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.http.classify import LINK_ERRORS, failure_of
from iris_exporter.transports.base import Received
from iris_exporter.transports.body import BodyLink
from iris_exporter.transports.sse_parser import SseParser


class SseLink(BodyLink):
    """An open event stream; see `transports.base.Link`."""

    protocol = "sse"

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        max_message_bytes: int,
        last_event_id: str,
        event_names: frozenset[str] = frozenset(),
        *,
        names_events: bool = False,
    ) -> None:
        self._parser = SseParser(max_message_bytes, last_event_id, event_names, names_events=names_events)
        super().__init__(response, max_message_bytes)

    @override
    async def read(self) -> Received:
        parser = self._parser
        if parser.closed:
            raise TransportError(Failure("message_too_large", "an SSE event is larger than the limit"))
        try:
            part, wire_bytes = await self._body.next_part()
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
