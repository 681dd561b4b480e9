"""The HTTP client that all streams share: one connector, no cookies, no automatic anything."""

import asyncio
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, hdrs

from iris_exporter import __version__
from iris_exporter.core.failures import Failure
from iris_exporter.http import handshakes
from iris_exporter.http.classify import AnswerError, failure_of
from iris_exporter.http.redirects import STATUSES
from iris_exporter.http.resolver import Resolver


class RedirectedError(aiohttp.ClientError):
    """An answer that leads elsewhere. `location` is the header as it came; it is in no text, it may hold a secret."""

    def __init__(self, location: str) -> None:
        super().__init__()
        self.location = location


@dataclass(slots=True)
class Sent:
    """What has come of a request so far, successful or not.

    `is_reused` says that it goes over a connection that was kept from an earlier one. `connections` counts new ones as
    far as the source can have seen them: TCP connections that it accepted, or a proxy for it. There can be several
    where a host has several addresses. `is_of_proxy` says that the answer is a proxy's own: the source was not
    reached.
    """

    is_reused: bool = False
    is_of_proxy: bool = False
    connections: int = 0
    # A TLS handshake begins when a connection was accepted or a tunnel is through; where the proxy itself is spoken to
    # over TLS, the first one that succeeds is the proxy's.
    _with_proxy: bool = False

    def shook(self, ended: bool) -> None:
        """A TLS handshake begins, or has succeeded: see `handshakes.WATCHER`."""
        if ended:
            self._with_proxy = False
        elif not self._with_proxy:
            self.connections += 1

    def connected(self) -> None:
        """A connection is there as a whole."""
        self.connections = max(self.connections, 1)


_once: ContextVar[Sent | None] = ContextVar("once", default=None)


@contextmanager
def sent_once(*, tls_proxy: bool = False) -> Iterator[Sent]:
    """A request in this block makes one connection at most, and what comes of it is noted in what is returned.

    `tls_proxy` says that it goes through a proxy that is spoken to over TLS.

    aiohttp sends a GET a second time, at once, when its connection ends before the answer. That is right over a
    connection that was kept, which the server may just have given up (RFC 9112, section 9.3.1); after a new one it
    would be a dial that no budget and no counter knows of.
    """
    sent = Sent(_with_proxy=tls_proxy)
    other = handshakes.WATCHER.get()

    def shook(ended: bool) -> None:
        sent.shook(ended)
        if other is not None:
            other(ended)

    watching = handshakes.WATCHER.set(shook)
    sending = _once.set(sent)
    try:
        yield sent
    finally:
        _once.reset(sending)
        handshakes.WATCHER.reset(watching)


def _note_connections() -> aiohttp.TraceConfig:
    async def reused(_: aiohttp.ClientSession, __: object, ___: object) -> None:
        if (once := _once.get()) is not None:
            once.is_reused = True

    async def created(_: aiohttp.ClientSession, __: object, ___: object) -> None:
        if (once := _once.get()) is not None:
            once.is_reused = False

    async def connected(_: aiohttp.ClientSession, __: object, ___: object) -> None:
        if (once := _once.get()) is not None:
            once.connected()

    config = aiohttp.TraceConfig()
    config.on_connection_reuseconn.append(reused)
    config.on_connection_create_start.append(created)
    config.on_connection_create_end.append(connected)
    return config


def open_session(trace_configs: Sequence[aiohttp.TraceConfig] = ()) -> aiohttp.ClientSession:
    """A client session without limits on the number of links, since the configuration names every one of them.

    Names are looked up by an asynchronous resolver (c-ares), which holds no thread however long it waits.

    `trace_configs` are told the moments of each request. TLS handshakes are watched too (`handshakes`).

    It follows no redirect: each raises `RedirectedError`. The environment is left alone: aiohttp would take passwords
    from .netrc along with the proxies.
    """
    return aiohttp.ClientSession(
        # Links are long, polls are rare: nothing is gained by keeping idle connections for long.
        connector=_Connector(
            limit=0,
            keepalive_timeout=75,
            resolver=Resolver(),
            ssl=handshakes.watch(ssl.create_default_context()),
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_read=None),
        headers={"User-Agent": f"iris-exporter/{__version__}"},
        auto_decompress=False,
        trust_env=False,
        middlewares=(_guard,),
        trace_configs=[_note_connections(), *trace_configs],
    )


class _Connector(aiohttp.TCPConnector):
    """Ends look-ups under way when it is closed; aiohttp leaves a resolver that it was given open."""

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections, then the resolver."""
        await super().close(abort_ssl=abort_ssl)
        await self._resolver.close()


async def _guard(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Look at each head before aiohttp acts on it.

    Redirects are here because the WebSocket handshake of aiohttp follows them with all headers and cannot be told not
    to. Upgrades are here because it takes a 101 as the answer to any request, and does not mind extensions and
    subprotocols that nobody offered (RFC 6455, section 4.1, steps 5 and 6: the connection has to be failed).
    """
    try:
        response = await handler(request)
    except aiohttp.ClientConnectorError:
        raise  # not repeated in any case
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        once = _once.get()
        if once is not None and not once.is_reused:
            raise AnswerError(failure_of(error)) from None
        raise
    if response.status in STATUSES:
        response.release()
        raise RedirectedError(response.headers.get(hdrs.LOCATION, ""))
    if response.status == HTTPStatus.SWITCHING_PROTOCOLS and (wrong := _wrong_upgrade(request, response)):
        response.close()
        raise AnswerError(Failure("handshake", wrong))
    return response


def _wrong_upgrade(request: ClientRequest, response: ClientResponse) -> str | None:
    if hdrs.UPGRADE not in request.headers:
        return "the server changes the protocol without being asked"
    for header, what in (
        (hdrs.SEC_WEBSOCKET_EXTENSIONS, "an extension"),
        (hdrs.SEC_WEBSOCKET_PROTOCOL, "a subprotocol"),
    ):
        if header in response.headers and header not in request.headers:
            return f"the server uses {what} that was not offered"
    return None


def end_with_connection(response: ClientResponse) -> None:
    """Make reading the body fail when the connection is gone and the body has neither ended nor failed.

    After a chunk whose size is nonsense aiohttp closes the connection and forgets about who waits for the body: the
    reader would wait for ever.
    """
    content = response.content

    def fail() -> None:
        if not content.is_eof() and content.exception() is None:
            content.set_exception(AnswerError(Failure("protocol_error", "the body breaks off against its framing")))

    def lost_now(ended: asyncio.Future[None]) -> None:
        _fetch(ended)
        fail()

    protocol = response.connection.protocol if response.connection is not None else None
    lost = protocol.closed if protocol is not None else None
    if lost is None:
        fail()
    elif not content.is_eof():
        # A connection that is kept alive sees many bodies: each takes its callback away, one stays for the exception.
        lost.remove_done_callback(_fetch)
        lost.add_done_callback(_fetch)
        lost.add_done_callback(lost_now)
        content.on_eof(lambda: _leave(lost, lost_now))


def _leave(lost: asyncio.Future[None], callback: Callable[[asyncio.Future[None]], None]) -> None:
    lost.remove_done_callback(callback)


def _fetch(ended: asyncio.Future[None]) -> None:
    """Take the exception of a lost connection, which asyncio would complain about otherwise."""
    ended.exception()
