"""The HTTP session that all streams share: one connector, no cookies, and no redirect or retry of aiohttp's own."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
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
from iris_exporter.http.takeover import TakeoverResponse, TakeoverWebSocket


class RedirectedError(aiohttp.ClientError):
    """The answer is a redirect. `location` is the header as it came, in no error text because it may hold a secret."""

    def __init__(self, location: str) -> None:
        super().__init__()
        self.location = location


BROKEN_BODY = Failure("protocol_error", "the body breaks off against its framing")


@dataclass(slots=True)
class Sent:
    """What a request has used so far, successful or not.

    `is_reused` says that it uses the connection of an earlier one. `connections` counts new ones that the source can
    have seen: TCP connections that it, or a proxy for it, accepted; several where a host has several addresses.
    `is_of_proxy` says that the answer is a proxy's own: the source was not reached.
    """

    is_reused: bool = False
    is_of_proxy: bool = False
    connections: int = 0
    # A TLS handshake begins once a connection is accepted or a tunnel is open. With a proxy over TLS, the first
    # one that succeeds is the proxy's.
    _with_proxy: bool = False

    def note_handshake(self, ended: bool) -> None:
        """A TLS handshake begins, or has succeeded (`handshakes.WATCHER`)."""
        if ended:
            self._with_proxy = False
        elif not self._with_proxy:
            self.connections += 1


_once: ContextVar[Sent | None] = ContextVar("once", default=None)


@contextmanager
def sent_once(*, tls_proxy: bool = False) -> Iterator[Sent]:
    """Let a request in this block make one connection at most, and note what it uses.

    `tls_proxy` says that it goes through a proxy that is reached over TLS.

    aiohttp repeats a GET at once when its connection ends before the answer. That is right over a reused connection,
    which the server may just have closed (RFC 9112, section 9.3.1); after a new one it would be a dial that no budget
    and no counter knows of.
    """
    sent = Sent(_with_proxy=tls_proxy)
    other = handshakes.WATCHER.get()

    def note(ended: bool) -> None:
        sent.note_handshake(ended)
        if other is not None:
            other(ended)

    watching = handshakes.WATCHER.set(note)
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
            once.connections = max(once.connections, 1)

    config = aiohttp.TraceConfig()
    config.on_connection_reuseconn.append(reused)
    config.on_connection_create_start.append(created)
    config.on_connection_create_end.append(connected)
    return config


def open_session(trace_configs: Sequence[aiohttp.TraceConfig] = ()) -> aiohttp.ClientSession:
    """A client session without a limit on connections, since the configuration names each stream.

    Names are looked up by an asynchronous resolver (c-ares), which occupies no thread. `trace_configs` receive the
    phases of each request, `handshakes` those of TLS. A request over TLS names its own context, as `Requester` does:
    the handshakes of aiohttp's are not watched.

    A redirect raises `RedirectedError`. The environment is not read: with its proxies aiohttp would take passwords from
    .netrc.
    """
    return aiohttp.ClientSession(
        # Links last long and polls are rare, so idle connections are of little use.
        connector=_Connector(
            limit=0,
            keepalive_timeout=75,
            resolver=Resolver(),
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_read=None),
        headers={"User-Agent": f"iris-exporter/{__version__}"},
        auto_decompress=False,
        trust_env=False,
        response_class=TakeoverResponse,
        ws_response_class=TakeoverWebSocket,
        middlewares=(_check_head,),
        trace_configs=[_note_connections(), *trace_configs],
    )


class _Connector(aiohttp.TCPConnector):
    """Ends look-ups under way when it is closed; aiohttp leaves a resolver that it was given open."""

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections, then the resolver."""
        await super().close(abort_ssl=abort_ssl)
        await self._resolver.close()


async def _check_head(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Check the head of each answer before aiohttp acts on it.

    Redirects are checked here because aiohttp's WebSocket handshake follows them with all headers and has no switch for
    that. Upgrades are checked here because aiohttp takes a 101 as the answer to any request, and accepts extensions and
    subprotocols that were not offered (RFC 6455, section 4.1, steps 5 and 6: the client must fail the connection).
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
        if not _names_in(response.headers.getall(header, ())) <= _names_in(request.headers.getall(header, ())):
            return f"the server uses {what} that was not offered"
    return None


def _names_in(values: Iterable[str]) -> set[str]:
    """The names that a list of extensions or subprotocols has, without their parameters."""
    return {element.partition(";")[0].strip() for value in values for element in value.split(",") if element.strip()}


def end_with_connection(response: ClientResponse) -> None:
    """Make reading the body fail when the connection has ended and the body has neither ended nor failed.

    After an invalid chunk size aiohttp closes the connection without an error for the reader, who would wait for ever.
    """
    content = response.content

    def fail() -> None:
        if not content.is_eof() and content.exception() is None:
            content.set_exception(AnswerError(BROKEN_BODY))

    def forget() -> None:
        if lost is not None:
            lost.remove_done_callback(lost_now)

    def lost_now(ended: asyncio.Future[None]) -> None:
        _fetch(ended)
        fail()

    protocol = response.connection.protocol if response.connection is not None else None
    lost = protocol.closed if protocol is not None else None
    if lost is None:
        fail()
    elif not content.is_eof():
        # A kept-alive connection carries many bodies: each removes its callback, one stays for the exception.
        lost.remove_done_callback(_fetch)
        lost.add_done_callback(_fetch)
        lost.add_done_callback(lost_now)
        content.on_eof(forget)


def _fetch(ended: asyncio.Future[None]) -> None:
    """Retrieve the exception of a lost connection, or asyncio would log it."""
    ended.exception()
