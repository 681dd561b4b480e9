"""Requests of one stream or one client: credentials, proxy, redirects and the connection budget, the same for all."""

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp

from iris_exporter.clock import Clock
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.failures import Failure, TransportError, from_status
from iris_exporter.core.negotiation import as_http
from iris_exporter.http import redirects
from iris_exporter.http.addresses import as_written
from iris_exporter.http.credentials import Credentials, Identity, system_trust
from iris_exporter.http.proxies import is_of_proxy, proxy_for
from iris_exporter.http.session import RedirectedError, Sent, end_with_connection, sent_once
from iris_exporter.settings import ClientSettings

_T = TypeVar("_T")
_REFUSED = frozenset({401, 403})
_WINDOW_BITS = 15  # the largest window of permessage-deflate, 32 KB of memory for each direction


@dataclass(frozen=True, slots=True)
class _Call:
    """What goes to aiohttp for one hop; `options` are its arguments beside the address and the headers."""

    url: str
    headers: dict[str, str]
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class HostBudget:
    """Pays for the connections of one stream, by the host of each request, redirected ones too."""

    budgets: ConnectionBudgets
    per_hour: int
    clock: Clock

    def reserve(self, url: str) -> None:
        """Reserve a connection; `settle` follows. Raises TransportError when none may be made now."""
        host = urlsplit(url).hostname or ""
        seconds = self.budgets.reserve(host, self.per_hour, self.clock.monotonic())
        if seconds is not None:
            detail = f"{self.per_hour} connections an hour are made to {host} at most"
            raise TransportError(Failure("connection_budget", detail, seconds))

    def settle(self, url: str, connections: int) -> None:
        """Pay for the connections that the source can have seen."""
        host = urlsplit(url).hostname or ""
        self.budgets.settle(host, self.per_hour, connections, self.clock.monotonic())


@dataclass(frozen=True, slots=True)
class Requester:
    """Makes requests for one stream or one client. Errors of aiohttp and of the system pass through.

    With a `budget` each request makes one connection at most; without one, a request that was cut before its answer may
    be repeated.
    """

    settings: ClientSettings
    session: aiohttp.ClientSession
    credentials: Credentials
    budget: HostBudget | None = None

    async def get(self, url: str, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """GET `url`, or where it leads. `headers` go to every hop, the credentials to the origin of `url` alone.

        Raises:
            TransportError: The credentials cannot be read, or a redirect is not followed.
        """

        async def send(call: _Call) -> aiohttp.ClientResponse:
            return await self.session.get(as_written(call.url), headers={**call.headers, **headers}, **call.options)

        response = await self._follow(url, send)
        end_with_connection(response)
        return response

    async def send(self, method: str, url: str, headers: Mapping[str, str], **options: Any) -> aiohttp.ClientResponse:
        """Make one request with the credentials, and follow no redirect; `options` are aiohttp's, such as `data`.

        Raises:
            TransportError: The credentials cannot be read.
            RedirectedError: The answer is a redirect.
        """
        call = await self._call(as_http(url), await self.credentials.identity(), known=True)
        response = await self.session.request(
            method,
            as_written(call.url),
            headers={**call.headers, **headers},
            allow_redirects=False,
            **call.options,
            **options,
        )
        end_with_connection(response)
        return response

    async def upgrade(
        self,
        url: str,
        subprotocols: Sequence[str] = (),
        *,
        compress: bool = False,
        headers: Mapping[str, str] | None = None,
        says_secrets: bool = False,
    ) -> aiohttp.ClientWebSocketResponse[bool]:
        """Make a WebSocket at `url`, or where it leads; `compress` offers permessage-deflate.

        `headers` go to every hop, the credentials to the origin of `url` alone. With `says_secrets`, which is for
        messages that hold some, no redirect to another origin is followed.

        Raises:
            TransportError: As `get` does.
            WSServerHandshakeError: The answer is not a WebSocket.
        """

        async def send(call: _Call) -> aiohttp.ClientWebSocketResponse[bool] | aiohttp.WSServerHandshakeError:
            try:
                socket: aiohttp.ClientWebSocketResponse[bool] = await self.session.ws_connect(
                    as_written(call.url),
                    headers={**call.headers, **(headers or {})},
                    protocols=subprotocols,
                    autoping=False,
                    max_msg_size=self.settings.max_message_bytes,
                    timeout=aiohttp.ClientWSTimeout(ws_receive=None, ws_close=1.0),
                    decode_text=False,
                    compress=_WINDOW_BITS if compress else 0,
                    **call.options,
                )
            except aiohttp.WSServerHandshakeError as error:
                return error
            return socket

        made = await self._follow(url, send, stays=says_secrets)
        if isinstance(made, aiohttp.WSServerHandshakeError):
            raise made
        return made

    async def _follow(self, url: str, send: Callable[[_Call], Awaitable[_T]], *, stays: bool = False) -> _T:
        """Send, and send again where a redirect leads; with `stays`, within the origin of `url` alone."""
        identity = await self.credentials.identity()
        hops = [as_http(url)]
        known = True
        paid: set[str] = set()
        while True:
            call = await self._call(hops[-1], identity, known=known)
            try:
                with self._paying(call, paid) as sent:
                    answer = await send(call)
                    status, headers = _head(answer)
                    # A proxy without a tunnel answers itself, or passes the answer on.
                    by_proxy = "proxy" in call.options and call.url.startswith("http:")
                    sent.is_of_proxy = by_proxy and is_of_proxy(status, headers)
            except RedirectedError as error:
                hop = redirects.next_hop(hops[-1], error.location, hops)
                if isinstance(hop, Failure):
                    raise TransportError(hop) from None
                if stays and not hop.keep_credentials:
                    raise TransportError(redirects.refused_with_secrets(hop.url)) from None
                hops.append(hop.url)
                known = hop.keep_credentials
                continue
            if not known and status in _REFUSED:
                failure = redirects.refused_without_credentials(hops[-1], from_status(status))
                if isinstance(answer, aiohttp.ClientResponse):
                    answer.close()
                raise TransportError(failure)
            return answer

    @contextmanager
    def _paying(self, call: _Call, paid: set[str]) -> Iterator[Sent]:
        """Reserve what the request in this block costs, and settle afterwards what it has cost.

        `paid` are the origins that this dial has paid for; a redirect may stay within a connection of the dial.
        """
        if self.budget is None:
            yield Sent()
            return
        self.budget.reserve(call.url)
        sent = Sent()
        try:
            with sent_once(tls_proxy=call.options.get("proxy", "").startswith("https:")) as sent:
                yield sent
        finally:
            origin = str(redirects.origin(call.url))
            connections = 0 if sent.is_of_proxy else sent.connections
            # A stream over a reused connection is one more to the source, even though it accepted no connection.
            if sent.is_reused and not sent.is_of_proxy and origin not in paid:
                connections += 1
            if connections:
                paid.add(origin)
            self.budget.settle(call.url, connections)

    async def _call(self, url: str, identity: Identity, *, known: bool) -> _Call:
        """`known` says whether the origin may receive the credentials."""
        headers = dict(identity.headers) if known else {}
        options: dict[str, Any] = {}
        if known and url.startswith("https:") and self.settings.tls_server_name is not None:
            options["server_hostname"] = self.settings.tls_server_name
        proxy = None if self.settings.proxy == "none" else proxy_for(url, os.environ)
        trust = identity.trust if known else identity.elsewhere
        if url.startswith("https:") or (proxy is not None and proxy.url.startswith("https:")):
            options["ssl"] = trust or await system_trust()
        if proxy is not None:
            options["proxy"] = proxy.url
            if proxy.authorization is not None:
                # A tunnel has a CONNECT request of its own; without one the proxy reads this request.
                to_proxy = options.setdefault("proxy_headers", {}) if url.startswith("https:") else headers
                to_proxy["Proxy-Authorization"] = proxy.authorization
        return _Call(url, headers, options)


def _head(answer: object) -> tuple[int, Mapping[str, str]]:
    """The status and the headers of an answer; a WebSocket is a 101."""
    if isinstance(answer, aiohttp.ClientResponse | aiohttp.WSServerHandshakeError):
        return answer.status, answer.headers or {}
    return 101, {}
