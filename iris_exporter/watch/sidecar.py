"""Follows a running sidecar by its API: `/api/v1/follow` with resume, overviews, and the switches of streams."""

import asyncio
import random
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from aiohttp import hdrs
from typing_extensions import override

from iris_exporter.clock import Clock
from iris_exporter.core.backoff import Backoff
from iris_exporter.core.failures import Failure, TransportError, from_status
from iris_exporter.core.reasons import Remedy
from iris_exporter.errors import IrisExporterError
from iris_exporter.http.classify import LINK_ERRORS, failure_of
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.requester import Requester
from iris_exporter.http.retry_after import retry_after_seconds
from iris_exporter.http.session import RedirectedError
from iris_exporter.settings import ClientSettings
from iris_exporter.transports.sse_parser import SseEvent, SseParser
from iris_exporter.watch.source import Down, Source, Take, Unreadable, Up
from iris_exporter.watch.view.objects import MESSAGES, OverviewObject

ANSWER_SECONDS = 10.0
SILENT_SECONDS = 35.0
"""Without a byte for so long the connection is dead; the sidecar sends a comment every 15 s."""
MAX_EVENT_BYTES = 16 << 20
"""A snapshot of ten thousand streams has some 8 MB."""
MAX_BODY_BYTES = 32 << 20
"""Of an overview; one with ten thousand projects has some 3 MB."""
MAX_ERROR_BYTES = 64 << 10
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, JITTER = 1.0, 30.0, 0.2
REFUSED_DELAY_SECONDS = 15.0
"""Before a sidecar is asked again that has refused us: only a person can change that."""
END_DELAY_SECONDS = 2.0
"""After an orderly end: the sidecar restarts, or has another web configuration."""
_REFUSALS = frozenset({Remedy.REFUSE, Remedy.RENEW, Remedy.STOP})


class UnknownStreamError(IrisExporterError):
    """The sidecar does not know a stream that was asked for; the text is its own."""


class _Error(msgspec.Struct):
    """The body of an error of the API."""

    error: str = ""


class Sidecar(Source):
    """The sidecar at `settings.url`, which has no slash at its end. `streams` names what is wanted; empty is all."""

    def __init__(
        self,
        settings: ClientSettings,
        session: aiohttp.ClientSession,
        clock: Clock,
        streams: Sequence[str] = (),
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._base = settings.url
        self._requester = Requester(settings, session, Credentials(settings))
        self._clock = clock
        self._streams = tuple(streams)
        self._backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, JITTER, uniform)
        self._decoders = {name: msgspec.json.Decoder(kind) for name, kind in MESSAGES.items()}
        self._last_id = ""
        self._was_followed = False
        self._is_up = False
        self._hint_seconds: float | None = None
        self._hurry = asyncio.Event()

    # Following

    @override
    async def run(self, take: Take) -> None:
        """Raises UnknownStreamError when the first answer is that a stream is not known."""
        attempt = 0
        while True:
            self._is_up, self._hint_seconds = False, None
            failure = await self._try(take)
            attempt = 1 if self._is_up else attempt + 1
            delay = self._delay(failure, attempt)
            take(Down(failure, attempt, delay))
            await self._pause(delay)

    async def _try(self, take: Take) -> Failure:
        try:
            return await self._follow(take)
        except RedirectedError:
            return Failure("redirect", "the sidecar redirects")
        except (*LINK_ERRORS, TransportError) as error:
            return failure_of(error)

    def _delay(self, failure: Failure, attempt: int) -> float:
        if failure.reason == "closed":
            hint = END_DELAY_SECONDS if self._hint_seconds is None else self._hint_seconds
            return self._backoff.delay(1, hint)
        if failure.remedy in _REFUSALS:
            return max(self._backoff.delay(attempt), self._backoff.spread(REFUSED_DELAY_SECONDS))
        return self._backoff.delay(attempt, failure.retry_after_seconds)

    async def _pause(self, seconds: float) -> None:
        self._hurry.clear()
        tasks = {asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._hurry.wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @override
    def retry(self) -> None:
        self._hurry.set()

    async def _follow(self, take: Take) -> Failure:
        query = urlencode([("stream", name) for name in self._streams])
        url = f"{self._base}/api/v1/follow{f'?{query}' if query else ''}"
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity", "Cache-Control": "no-store"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        async with asyncio.timeout(ANSWER_SECONDS):
            response = await self._requester.get(url, headers)
        try:
            if response.status != HTTPStatus.OK:
                failure = await self._refusal(response)
                if response.status == HTTPStatus.BAD_REQUEST and self._streams and not self._was_followed:
                    raise UnknownStreamError(failure.detail.partition(": ")[2] or failure.detail)
                return failure
            if response.content_type != "text/event-stream":
                return Failure("not_a_stream", f"the answer is {response.content_type} and no event stream")
            return await self._read(response, take)
        finally:
            response.close()

    async def _read(self, response: aiohttp.ClientResponse, take: Take) -> Failure:
        parser = SseParser(MAX_EVENT_BYTES, self._last_id)
        skew = self._skew(response.headers.get(hdrs.DATE))
        while True:
            chunk = await self._piece(response)
            if not chunk:
                return Failure("closed", "the sidecar ended the connection")
            for event in parser.feed(chunk):
                if not self._is_up:
                    if event.name != "snapshot":
                        return Failure("not_a_stream", "an event stream, but not that of a sidecar")
                    self._is_up = self._was_followed = True
                    take(Up(skew))
                self._take(event, take)
            if self._is_up:
                self._last_id = parser.last_event_id
            if parser.closed:
                return Failure("message_too_large", f"a message has more than {MAX_EVENT_BYTES >> 20} MiB")
            if parser.retry_milliseconds is not None:
                self._hint_seconds = parser.retry_milliseconds / 1000

    async def _piece(self, response: aiohttp.ClientResponse) -> bytes:
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                return await response.content.readany()
        except TimeoutError:
            text = f"the sidecar has sent nothing for {SILENT_SECONDS:g} s"
            raise TransportError(Failure("heartbeat_timeout", text)) from None

    def _take(self, event: SseEvent, take: Take) -> None:
        decoder = self._decoders.get(event.name)
        if decoder is None:
            return  # of a newer sidecar
        try:
            take(decoder.decode(event.data))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            take(Unreadable(f"a message of the type {event.name}: {error}"))

    def _skew(self, date: str | None) -> float:
        """How far the sidecar's clock is ahead; below two seconds the header, which has whole ones, says nothing."""
        try:
            skew = parsedate_to_datetime(date or "").timestamp() + 0.5 - self._clock.wall()
        except (ValueError, TypeError, IndexError, OverflowError):
            return 0.0
        return skew if abs(skew) >= 2.0 else 0.0

    # Asking

    @override
    async def overview(self, stream: str) -> OverviewObject | Failure:
        answer = await self._ask("GET", stream, "overview", MAX_BODY_BYTES)
        if isinstance(answer, Failure):
            return answer
        try:
            return msgspec.json.decode(answer, type=OverviewObject)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return Failure("unknown_shape", f"the overview cannot be read: {error}")

    @override
    async def switch(self, stream: str, action: str) -> Failure | None:
        answer = await self._ask("POST", stream, action, MAX_ERROR_BYTES)
        return answer if isinstance(answer, Failure) else None

    async def _ask(self, method: str, stream: str, what: str, limit: int) -> bytes | Failure:
        url = f"{self._base}/api/v1/streams/{quote(stream, safe='')}/{what}"
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                response = await self._requester.send(method, url, headers)
                try:
                    if response.status != HTTPStatus.OK:
                        return await self._refusal(response)
                    body = await _body(response, limit)
                    response.release()
                    return body
                finally:
                    if not response.closed:
                        response.close()
        except RedirectedError:
            return Failure("redirect", "the sidecar redirects")
        except (*LINK_ERRORS, TransportError) as error:
            return failure_of(error)

    async def _refusal(self, response: aiohttp.ClientResponse) -> Failure:
        """The failure that an answer is, with the sidecar's own sentence where there is one."""
        hint = retry_after_seconds(response.headers.get(hdrs.RETRY_AFTER), self._clock.wall())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                sentence = msgspec.json.decode(await _body(response, MAX_ERROR_BYTES), type=_Error).error
        except (*LINK_ERRORS, TransportError, msgspec.MsgspecError):
            sentence = ""
        status = f"HTTP status {response.status}"
        return from_status(response.status, f"{status}: {sentence}" if sentence else status, hint)


async def _body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body, which is no longer than `limit` bytes. Raises TransportError when it is."""
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > limit:
            raise TransportError(Failure("message_too_large", f"the answer has more than {limit} bytes"))
        pieces.append(piece)
    return b"".join(pieces)
