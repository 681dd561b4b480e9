"""Which TCP connections the HTTP server serves, under which TLS context, and how long it waits for them.

aiohttp's own server has no limit of connections, takes its TLS context once and for all, and waits for slow clients. So
a `Connection` asks the `ConnectionFilter` before aiohttp's handler hears of it, makes its own TLS handshake with the
context in force at that time, and has timeouts.

Why `loop.start_tls`, and no listener with a context whose `sni_callback` switches to the current one: OpenSSL
takes certificate and ciphers from that context, but neither the versions, nor the curves, nor whether a
client certificate is required; a file that begins to require one would let everybody in until the next start. TLS
could not be switched on or off, and asyncio reports no failed handshake to anybody, so that connections that never
complete theirs would be neither limited nor counted.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from iris_exporter.instruments import catalog
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.logs import get_logger
from iris_exporter.web import rate_limits
from iris_exporter.web.auth import is_loopback
from iris_exporter.web.http_log import http_log
from iris_exporter.web.rate_limits import ConnectionTimer, Limiter, Timeouts, client_of
from iris_exporter.web.tls import has_allowed_san

TLS_SHUTDOWN_SECONDS = 2.0
"""For the client's part in the end of TLS; who does not answer is gone anyway."""

Security = tuple[ssl.SSLContext, tuple[str, ...]] | None
"""The context of a new connection and the names of which a client certificate must have one; None is plain HTTP."""

_log = get_logger(__name__)
_limited_log = _log.limited(6)


class Connection(web.RequestHandler):
    """One TCP connection from accept to close: limited, secured and timed; aiohttp handles it once it is secure."""

    def __init__(self, connections: "ConnectionFilter", server: web.Server, *, on_loopback: bool) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=connections.timeouts.idle_seconds,
            lingering_time=rate_limits.LINGER_SECONDS,
            max_line_size=rate_limits.MAX_HEADER_BYTES,
            max_field_size=rate_limits.MAX_HEADER_BYTES,
            max_headers=rate_limits.MAX_HEADERS,
            access_log=None,  # type: ignore[arg-type] # aiohttp's own way to switch it off
            logger=connections.http_log,
        )
        self._filter = connections
        self._raw: asyncio.Transport | None = None
        self._secured: asyncio.Transport | None = None  # TLS on top of `_raw`
        self._handshake: asyncio.Task[None] | None = None
        self._early = b""
        self.on_loopback = on_loopback
        """Whether the address that is listened on can be reached from this machine alone."""
        self.address = ""
        self.timer: ConnectionTimer | None = None
        """None until aiohttp serves the connection; until then only the time limit of the handshake applies."""
        self.retired = False
        """Whether to close after the next answer, because the TLS settings have changed since its handshake."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take in the connection, or end it at once."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (a stream server makes no other)
        self._raw = transport
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._filter.on_open(self):
            transport.abort()
            return
        security = self._filter.security()
        if security is None:
            self._serve(transport)
        else:
            # Before the first byte is read: all of them belong to TLS.
            transport.pause_reading()
            self._handshake = asyncio.get_running_loop().create_task(self._secure(transport, *security))

    def data_received(self, data: bytes) -> None:
        """Pass on what has arrived; what comes with the end of the handshake waits until that is accepted."""
        if self.timer is None:
            self._early += data
        else:
            self.timer.received(asyncio.get_running_loop().time())
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count the connection no more."""
        self._filter.on_close(self, None)
        super().connection_lost(exc)

    @property
    def pending_bytes(self) -> int:
        """What has been written and not yet been taken by the system."""
        return sum(each.get_write_buffer_size() for each in (self._raw, self._secured) if each is not None)

    def cut(self, reason: str | None) -> None:
        """End the connection at once; `reason` is counted, None is not."""
        if self._handshake is not None:
            self._handshake.cancel()
        self._filter.on_close(self, reason)
        if self._raw is not None:
            self._raw.abort()

    def _serve(self, transport: asyncio.Transport) -> None:
        self.timer = ConnectionTimer(self._filter.timeouts, asyncio.get_running_loop().time())
        super().connection_made(transport)
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)

    async def _secure(self, raw: asyncio.Transport, context: ssl.SSLContext, names: tuple[str, ...]) -> None:
        refusal: str | None = "tls_handshake"
        try:
            self._secured = await asyncio.get_running_loop().start_tls(
                raw,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=self._filter.timeouts.head_seconds,
                ssl_shutdown_timeout=TLS_SHUTDOWN_SECONDS,
            )
            refusal = self._accept(self._secured, names)
        except OSError as error:  # the client's part; TLS errors and timeouts are among them
            _log.debug("web.handshake_failed", remote=self.address, error=error)
        except Exception as error:  # noqa: BLE001 (a bug of the exporter; the connection must not stay counted)
            _limited_log.error("web.handshake_failed", remote=self.address, error=error)
        self._handshake = None
        if refusal is not None:
            self.cut(refusal)

    def _accept(self, secured: asyncio.Transport | None, names: tuple[str, ...]) -> str | None:
        """Serve a connection whose handshake is complete, or return the reason why not."""
        if secured is None or self not in self._filter:
            return None  # lost while the result was on its way
        if not has_allowed_san(secured.get_extra_info("peercert"), names):
            _log.debug("web.client_certificate_refused", remote=self.address)
            return "client_certificate"
        self._serve(secured)
        return None


class ConnectionFilter:
    """Limits connections in number and time. `security` is asked for each new one.

    The one limit is in all and for each client: a client with more connections makes room for one with fewer.
    """

    def __init__(
        self, max_connections: int, timeouts: Timeouts, metrics: SelfMetrics, security: Callable[[], Security]
    ) -> None:
        self.timeouts = timeouts
        self.security = security
        self.http_log = http_log("iris_exporter.web", self._malformed)
        self._metrics = metrics
        self._limiter = Limiter(max_connections, max(1, max_connections // rate_limits.CLIENT_SHARE))
        self._connections: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._connections)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._connections

    async def listen(self, server: web.Server, bound: socket.socket) -> asyncio.Server:
        """Listen on a bound socket. Raises OSError when that cannot be had."""
        on_loopback = is_loopback(str(bound.getsockname()[0]))
        return await asyncio.get_running_loop().create_server(
            lambda: Connection(self, server, on_loopback=on_loopback), sock=bound, backlog=128
        )

    def on_open(self, connection: Connection) -> bool:
        """Return whether there is room for the connection, which is counted then."""
        refusal = self._limiter.acquire(connection.address)
        if refusal == "limit" and self._make_room(connection.address):
            refusal = self._limiter.acquire(connection.address)
        if refusal is None:
            self._connections.add(connection)
            return True
        self._metrics.add(catalog.CONNECTIONS_CUT, 1, refusal)
        _limited_log.warning("web.connection_refused", remote=connection.address, reason=refusal)
        return False

    def _make_room(self, address: str) -> bool:
        """End a connection of the client that has most, but none whose request is being answered."""
        client = self._limiter.busiest_client(address)
        for connection in self._connections if client is not None else ():
            is_busy = connection.timer is not None and connection.timer.is_busy
            if client_of(connection.address) == client and not is_busy:
                connection.cut("displaced")
                return True
        return False

    def on_close(self, connection: Connection, reason: str | None) -> None:
        """A connection has ended, by itself or (`reason`) because it was cut; what comes after that is ignored."""
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        self._limiter.release(connection.address)
        if reason is not None:
            self._metrics.add(catalog.CONNECTIONS_CUT, 1, reason)

    def check_timeouts(self) -> None:
        """Cut the connections whose client takes too long; call it every second."""
        now = asyncio.get_running_loop().time()
        for connection in list(self._connections):
            if connection.timer is None:
                continue
            reason = connection.timer.expired(now, connection.pending_bytes)
            if reason is not None:
                _log.debug("web.connection_cut", remote=connection.address, reason=reason)
                connection.cut(reason)

    def retire(self) -> None:
        """Let everybody connect anew: the TLS settings have changed. Requests under way are answered."""
        for connection in list(self._connections):
            connection.retired = True
            if connection.timer is not None and connection.timer.is_idle:
                connection.cut(None)

    def close(self) -> None:
        """End the connections that aiohttp does not serve yet; its runner ends the others."""
        for connection in list(self._connections):
            if connection.timer is None:
                connection.cut(None)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Report each request to its connection; the outermost middleware."""
        connection = request.protocol
        assert isinstance(connection, Connection)  # noqa: S101 (`listen` makes no other)
        timer = connection.timer
        assert timer is not None  # noqa: S101 (aiohttp serves the connection)
        timer.request_began()
        try:
            response = await handler(request)
        finally:
            timer.request_ended()
        if connection.retired:
            response.force_close()
        return response

    def _malformed(self, reason: str) -> None:
        self._metrics.add(catalog.REQUESTS_REFUSED, 1, "malformed")
        _log.debug("web.malformed", reason=reason)
