"""From settings to an open link: carries out the probes that `core.negotiation` asks for."""

from dataclasses import dataclass, field, replace
from http import HTTPStatus

import aiohttp

from iris_exporter.clock import Clock
from iris_exporter.core import negotiation
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.failures import Failure, TransportError, from_status
from iris_exporter.core.negotiation import Answer, Probe
from iris_exporter.decoding.dialect import Dialect
from iris_exporter.http.classify import LINK_ERRORS, failure_of
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.requester import HostBudget, Requester
from iris_exporter.http.resolver import connect_timeout
from iris_exporter.http.retry_after import retry_after_seconds
from iris_exporter.http.takeover import takeovers
from iris_exporter.settings import StreamSettings
from iris_exporter.transports.base import Link
from iris_exporter.transports.lines import LINE_FEED, RECORD_SEPARATOR
from iris_exporter.transports.ndjson import NdjsonLink
from iris_exporter.transports.polling import position_refused, read_body
from iris_exporter.transports.sse import SseLink
from iris_exporter.transports.websocket import WebSocketLink

# Where the upgrade after a refused GET has a better reason than the refusal.
_OF_THE_UPGRADE = ("unauthorized", "forbidden", "rate_limited", "connection_budget")


@dataclass(frozen=True, slots=True)
class PollInstead:
    """There is no link: `url` is to be polled. `body` is its answer, None when it was not asked yet.

    `has_more` says that another page follows the answer.
    """

    url: str
    body: bytes | None
    wire_bytes: int
    has_more: bool = False


@dataclass(slots=True)
class Dialer:
    """Dials one stream, and remembers which protocol worked. `budgets` is shared by all dialers of the process."""

    settings: StreamSettings
    session: aiohttp.ClientSession
    credentials: Credentials
    clock: Clock
    budgets: ConnectionBudgets
    dialect: Dialect
    _remembered: str | None = field(default=None, init=False)

    @property
    def _requester(self) -> Requester:
        budget = HostBudget(self.budgets, self.settings.max_connections_per_hour, self.clock)
        return Requester(self.settings, self.session, self.credentials, budget)

    @property
    def needs_network(self) -> bool:
        """Whether a dial makes a request at all; a stream that is configured to be polled has nothing to dial."""
        return self.dialect.first_probe(self.settings, None) is not Probe.POLL

    def forget(self) -> None:
        """Forget which protocol worked."""
        self._remembered = None

    async def key_changed(self) -> bool:
        """Whether the key, or anything else that identifies us, is another one on disk than the dial used."""
        return await self.credentials.changed()

    async def dial(self, last_event_id: str) -> Link | PollInstead:
        """Open a link, or find out that there is only something to poll.

        Args:
            last_event_id: Where an event stream is asked to go on; empty for now.

        Raises:
            TransportError: Neither; what was remembered is forgotten when the answer did not fit it.
        """
        probe = self.dialect.first_probe(self.settings, self._remembered)
        if probe is Probe.POLL:
            return PollInstead(negotiation.as_http(self.settings.url), None, 0)
        try:
            link = await self._probe(probe, last_event_id)
        except TransportError as error:
            if error.failure.reason in negotiation.MISFITS:
                self._remembered = None
            raise
        self._remembered = link.protocol if not isinstance(link, PollInstead) else None
        return link

    async def _probe(self, probe: Probe, last_event_id: str) -> Link | PollInstead:
        try:
            async with connect_timeout(self.settings.connect_timeout_seconds):
                if self.dialect.needs_secrets:
                    self.dialect.secrets = await self.credentials.secrets()
                if probe is Probe.UPGRADE:
                    return await self._upgrade(self.settings.url, last_event_id)
                if probe is Probe.GRAPHQL:
                    return await self._upgrade_to_graphql()
                return await self._get(probe, last_event_id)
        except LINK_ERRORS as error:
            # Without the cause: the texts of aiohttp quote addresses, whose query may hold a key.
            raise TransportError(failure_of(error)) from None

    async def _upgrade_to_graphql(self) -> WebSocketLink:
        link = await self._upgrade(negotiation.graphql_address(self.settings.url))
        if link.subprotocol != negotiation.GRAPHQL_SUBPROTOCOL:
            await link.close()
            detail = f"the server does not speak {negotiation.GRAPHQL_SUBPROTOCOL}"
            raise TransportError(Failure("upgrade_refused", detail))
        link.protocol = "graphql"
        return link

    async def _upgrade(self, url: str, position: str = "") -> WebSocketLink:
        dialect = self.dialect
        call = dialect.stream_call(url, position, two_way=True)
        is_asked = call != dialect.stream_call(url, "", two_way=True)
        try:
            with takeovers():
                socket = await self._requester.upgrade(
                    call.url,
                    dialect.subprotocols,
                    compress=dialect.compresses,
                    headers=call.headers,
                    says_secrets=dialect.says_secrets,
                )
        except aiohttp.WSServerHandshakeError as error:
            retry_after = error.headers.get("Retry-After") if error.headers is not None else None
            hint = retry_after_seconds(retry_after, self.clock.wall())
            if error.status == 101:
                raise TransportError(Failure("handshake", error.message)) from None
            if error.status == 200:
                raise TransportError(Failure("upgrade_refused", "the answer is not a WebSocket")) from None
            if is_asked and dialect.refuses_position(error.status):
                raise TransportError(position_refused(error.status)) from None
            raise TransportError(self._from_status(error.status, hint)) from None
        return WebSocketLink(socket, self.settings.max_message_bytes)

    async def _get(self, probe: Probe, last_event_id: str) -> Link | PollInstead:
        url = negotiation.as_http(self.settings.url)
        headers = {
            "Accept": negotiation.accept_header(probe, self.dialect.accept),
            "Accept-Encoding": "gzip" if self.dialect.compresses else "identity",
            "Cache-Control": "no-store",
        }
        call = self.dialect.stream_call(url, last_event_id, two_way=False)
        with takeovers():
            response = await self._requester.get(call.url, {**headers, **call.headers})
            if response.status == HTTPStatus.BAD_REQUEST and self.dialect.stream_address(url) != url:
                # It may not know one of the options: the stream as it is without any is better than none.
                response.close()
                response = await self._requester.get(url, {**headers, **call.headers})
        link: SseLink | NdjsonLink | None = None
        try:
            media_type = response.content_type.lower()
            is_document = self.dialect.reads(media_type)
            separator = self.dialect.separator
            match negotiation.read_answer(
                probe, response.status, media_type, is_document=is_document, is_endless=bool(separator)
            ):
                case Answer.EVENT_STREAM:
                    limit, names = self.settings.max_message_bytes, self.dialect.event_names
                    link = SseLink(response, limit, last_event_id, names, names_events=self.dialect.names_events)
                    return link
                case Answer.LINES:
                    if media_type == negotiation.JSON_SEQUENCE:
                        separator = RECORD_SEPARATOR
                    link = NdjsonLink(response, self.settings.max_message_bytes, separator or LINE_FEED)
                    return link
                case Answer.DOCUMENT:
                    body, wire_bytes = await read_body(response, self.settings.max_body_bytes)
                    has_more = self.dialect.next_page(url, response.headers, 1) is not None
                    return PollInstead(url, body, wire_bytes, has_more)
                case Answer.TRY_UPGRADE:
                    return await self._upgrade_instead(response, last_event_id)
                case Answer.NOT_A_STREAM:
                    wanted = "an event stream" if probe is not Probe.LINES else "JSON, line by line"
                    detail = f"the answer is {response.content_type}, not {wanted}"
                    raise TransportError(Failure("not_a_stream", detail))
                case Answer.FAILED:
                    raise TransportError(self._refusal(response, last_event_id))
        finally:
            if link is None:
                response.close()

    async def _upgrade_instead(self, response: aiohttp.ClientResponse, last_event_id: str) -> Link:
        """Try the upgrade that may cure the refusal; when it does not, the first answer is the one that counts."""
        try:
            return await self._upgrade(self.settings.url, last_event_id)
        except TransportError as error:
            status_of_get = self._refusal(response, last_event_id)
            if response.status == 426 or error.failure.reason in _OF_THE_UPGRADE:
                raise
            raise TransportError(status_of_get) from None

    def _refusal(self, response: aiohttp.ClientResponse, last_event_id: str) -> Failure:
        if last_event_id and self.dialect.refuses_position(response.status):
            return position_refused(response.status)
        hint = retry_after_seconds(response.headers.get("Retry-After"), self.clock.wall())
        return self._from_status(response.status, hint)

    def _from_status(self, status: int, hint: float | None) -> Failure:
        failure = from_status(status, retry_after_seconds=hint)
        if failure.reason == "not_found" and self.dialect.missing_hint:
            return replace(failure, detail=f"{failure.detail}; {self.dialect.missing_hint}")
        return failure
