"""Newline-delimited JSON and JSON text sequences on aiohttp: pieces of the body into the parser; no decisions."""

import aiohttp
from typing_extensions import override

from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.http.classify import LINK_ERRORS, failure_of
from iris_exporter.transports.base import Received
from iris_exporter.transports.body import BodyLink
from iris_exporter.transports.lines import LineParser


class NdjsonLink(BodyLink):
    """An open body of JSON texts; see `transports.base.Link`."""

    protocol = "ndjson"

    def __init__(self, response: aiohttp.ClientResponse, max_message_bytes: int, separator: bytes) -> None:
        self._parser = LineParser(max_message_bytes, separator)
        super().__init__(response, max_message_bytes)
        self._end: TransportError | None = None

    @override
    async def read(self) -> Received:
        if self._end is not None:
            raise self._end
        if self._parser.closed:
            raise TransportError(Failure("message_too_large", "a message is larger than the limit"))
        try:
            part, wire_bytes = await self._body.next_part()
            return Received([*self._parser.feed(part)], wire_bytes, inflated_bytes=len(part))
        except LINK_ERRORS as error:
            raise TransportError(failure_of(error)) from None
        except TransportError as error:
            # An orderly end also ends the last message; one that was cut short is none.
            last = self._parser.rest() if error.failure.reason == "closed" else []
            if not last:
                raise
            self._end = error
            return Received([*last], 0)
