"""REST on aiohttp: one GET at a time, with ETag and Retry-After; no decisions.

Source: RFC 9110, sections 8.8.3 (ETag), 13.1.2 (If-None-Match), 10.2.3 (Retry-After).
"""

import asyncio
from dataclasses import dataclass, field

import aiohttp

from iris_exporter.clock import Clock
from iris_exporter.core.failures import Failure, TransportError, from_status
from iris_exporter.decoding.dialect import Call, Dialect
from iris_exporter.http.classify import LINK_ERRORS, failure_of
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.decompress import Inflater
from iris_exporter.http.requester import Requester
from iris_exporter.http.resolver import connect_timeout
from iris_exporter.http.retry_after import retry_after_seconds
from iris_exporter.settings import StreamSettings
from iris_exporter.transports.base import Polled

# The head has the connect timeout; a body that takes longer than this would outlast the next poll.
_BODY_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Poller:
    """Asks REST addresses of one stream, and remembers the entity tag of each."""

    settings: StreamSettings
    session: aiohttp.ClientSession
    credentials: Credentials
    clock: Clock
    dialect: Dialect
    _tags: dict[str, str] = field(default_factory=dict, init=False)

    async def fetch(self, url: str, position: str = "", *, remember: bool = True, held_bytes: int = 0) -> Polled:
        """GET `url`; the body is returned whole, inflated and unread. `remember` keeps its entity tag for later.

        `position` is where a stream that is polled goes on, empty for now. `held_bytes` are those of the pages
        before this one, which count for its limit.

        Raises:
            TransportError: No usable answer; a 429 or 503 carries the source's hint.
        """
        headers = {"Accept": self.dialect.accept, "Accept-Encoding": "gzip"}
        if tag := self._tags.get(url):
            headers["If-None-Match"] = tag
        requester = Requester(self.settings, self.session, self.credentials)
        try:
            async with connect_timeout(self.settings.connect_timeout_seconds):
                if self.dialect.needs_secrets:
                    self.dialect.secrets = await self.credentials.secrets()
                call = self.dialect.document_call(url, position)
                response = await requester.get(call.url, {**headers, **call.headers})
            try:
                if position and self.dialect.refuses_position(response.status) and call != Call(url):
                    raise TransportError(position_refused(response.status))
                return await self._read(url, response, remember=remember, held_bytes=held_bytes)
            finally:
                # A body that was read to its end has given the connection back already; one that was not is in doubt.
                response.close()
        except LINK_ERRORS as error:
            # Without the cause: the texts of aiohttp quote addresses, whose query may hold a key.
            raise TransportError(failure_of(error)) from None

    def forget(self) -> None:
        """Forget the entity tags, so that the next answer is a whole one."""
        self._tags.clear()

    async def _read(self, url: str, response: aiohttp.ClientResponse, *, remember: bool, held_bytes: int) -> Polled:
        if response.status == 304 and url in self._tags:
            return Polled(None, 0)
        if response.status != 200:
            self._tags.pop(url, None)  # a source that does not take its own tag is asked without it next time
            hint = retry_after_seconds(response.headers.get("Retry-After"), self.clock.wall())
            raise TransportError(from_status(response.status, retry_after_seconds=hint))
        if not self.dialect.reads(response.content_type.lower()):
            raise TransportError(Failure("not_json", f"the answer is {response.content_type}"))
        body, wire_bytes = await read_body(response, self.settings.max_body_bytes - held_bytes)
        tag = response.headers.get("ETag")
        # A tag is sent back as it came; one that no header can carry is not worth remembering.
        if remember and tag and tag.isprintable() and len(tag) <= 1024:
            self._tags[url] = tag
        elif remember:
            self._tags.pop(url, None)
        return Polled(body, wire_bytes, response.headers)


def position_refused(status: int) -> Failure:
    """The failure of a request to go on from a position that was answered by this status."""
    return Failure("position_refused", f"HTTP status {status} to a request to go on from a position")


async def read_body(response: aiohttp.ClientResponse, limit_bytes: int) -> tuple[bytes, int]:
    """The inflated body, of at most `limit_bytes`, and its size on the wire.

    Raises:
        TransportError, and what aiohttp raises: too large, too slow, damaged, cut short or in an unknown encoding.
    """
    try:
        inflater = Inflater(response.headers.get("Content-Encoding", "").strip().lower())
    except ValueError as error:
        raise TransportError(Failure("not_json", "a content encoding we did not ask for")) from error
    pieces: list[bytes] = []
    left = limit_bytes
    wire_bytes = 0
    async with asyncio.timeout(_BODY_SECONDS):
        while piece := await response.content.readany():
            wire_bytes += len(piece)
            inflated = inflater.feed(piece, left)
            left -= len(inflated)
            pieces.append(inflated)
    if not inflater.complete:
        # A proxy that gave up may have framed what it had as if that were all. What is missing can be so little that
        # the rest reads well, and then the entity tag would keep it from ever being asked for again.
        raise TransportError(Failure("abnormal_closure", "the compressed body ended early"))
    return b"".join(pieces), wire_bytes
