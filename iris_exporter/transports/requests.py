"""Requests of one stream or one client: credentials, proxy and redirects, the same for all that this program asks."""

import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

from iris_exporter.core import redirects
from iris_exporter.core.detection import as_http
from iris_exporter.core.failures import Failure, from_status
from iris_exporter.core.proxies import Proxy, proxy_for
from iris_exporter.settings import ClientSettings, StreamSettings
from iris_exporter.transports.base import TransportError
from iris_exporter.transports.credentials import Credentials, Identity
from iris_exporter.transports.session import RedirectedError, end_with_connection, sent_once

_T = TypeVar("_T")
_REFUSED = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class _Call:
    """What goes to aiohttp for one hop; `options` are its arguments beside the address and the headers."""

    url: str
    headers: dict[str, str]
    options: dict[str, Any]


class Requester:
    """Makes requests for one stream or one client. Errors of aiohttp and of the system pass through.

    `admit` is called with the address of each request, redirected ones too, and raises where it may not be made. With
    it each request makes one connection at most; without it, one that was cut before its answer may be repeated.
    """

    def __init__(
        self,
        settings: StreamSettings | ClientSettings,
        session: aiohttp.ClientSession,
        credentials: Credentials,
        admit: Callable[[str], None] | None = None,
    ) -> None:
        self._settings = settings
        self._session = session
        self._credentials = credentials
        self._admit = admit

    async def get(self, url: str, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """GET `url`, or where it leads. `headers` go to every hop, the credentials to the origin of `url` alone.

        Raises:
            TransportError: The credentials cannot be read, or a redirect is not followed.
        """

        async def send(call: _Call) -> aiohttp.ClientResponse:
            return await self._session.get(call.url, headers={**call.headers, **headers}, **call.options)

        response = await self._follow(url, send, lambda answer: answer.status)
        end_with_connection(response)
        return response

    async def send(self, method: str, url: str, headers: Mapping[str, str], **options: Any) -> aiohttp.ClientResponse:
        """Make one request with the credentials, and follow no redirect; `options` are aiohttp's, such as `data`.

        Raises:
            TransportError: The credentials cannot be read.
            RedirectedError: The answer is a redirect.
        """
        call = self._call(as_http(url), await self._credentials.identity(), known=True)
        response = await self._session.request(
            method,
            call.url,
            headers={**call.headers, **headers},
            allow_redirects=False,
            **call.options,
            **options,
        )
        end_with_connection(response)
        return response

    async def upgrade(self, url: str) -> aiohttp.ClientWebSocketResponse[bool]:
        """Make a WebSocket at `url`, or where it leads.

        Raises:
            TransportError: As `get` does.
            WSServerHandshakeError: The answer is not a WebSocket.
        """

        async def send(call: _Call) -> aiohttp.ClientWebSocketResponse[bool] | aiohttp.WSServerHandshakeError:
            try:
                socket: aiohttp.ClientWebSocketResponse[bool] = await self._session.ws_connect(
                    call.url,
                    headers=call.headers,
                    autoping=False,
                    max_msg_size=self._settings.max_message_bytes,
                    timeout=aiohttp.ClientWSTimeout(ws_receive=None, ws_close=1.0),
                    decode_text=False,
                    **call.options,
                )
            except aiohttp.WSServerHandshakeError as error:
                return error
            return socket

        made = await self._follow(
            url, send, lambda answer: answer.status if isinstance(answer, aiohttp.WSServerHandshakeError) else 101
        )
        if isinstance(made, aiohttp.WSServerHandshakeError):
            raise made
        return made

    async def _follow(self, url: str, send: Callable[[_Call], Awaitable[_T]], status: Callable[[_T], int]) -> _T:
        identity = await self._credentials.identity()
        hops = [as_http(url)]
        known = True
        while True:
            if self._admit is not None:
                self._admit(hops[-1])
            try:
                with nullcontext() if self._admit is None else sent_once():
                    answer = await send(self._call(hops[-1], identity, known=known))
            except RedirectedError as error:
                hop = redirects.next_hop(hops[-1], error.location, hops)
                if isinstance(hop, Failure):
                    raise TransportError(hop) from None
                hops.append(hop.url)
                known = hop.keep_credentials
                continue
            if not known and status(answer) in _REFUSED:
                failure = redirects.refused_without_credentials(hops[-1], from_status(status(answer)))
                if isinstance(answer, aiohttp.ClientResponse):
                    answer.close()
                raise TransportError(failure)
            return answer

    def _call(self, url: str, identity: Identity, *, known: bool) -> _Call:
        """`known` says whether the origin may know who we are."""
        headers = dict(identity.headers) if known else {}
        options: dict[str, Any] = {"ssl": identity.trust if known else identity.elsewhere}
        if known and url.startswith("https:") and self._settings.tls_server_name is not None:
            options["server_hostname"] = self._settings.tls_server_name
        proxy = self._proxy(url)
        if proxy is not None:
            options["proxy"] = proxy.url
            if proxy.authorization is not None:
                # A tunnel is asked for in a request of its own; otherwise the proxy reads ours.
                to_proxy = options.setdefault("proxy_headers", {}) if url.startswith("https:") else headers
                to_proxy["Proxy-Authorization"] = proxy.authorization
        return _Call(url, headers, options)

    def _proxy(self, url: str) -> Proxy | None:
        if self._settings.proxy == "none":
            return None
        found = proxy_for(url, os.environ)
        if isinstance(found, Failure):
            raise TransportError(found)
        if found is not None:
            for secret in found.secrets:
                self._credentials.protect(secret)
        return found
