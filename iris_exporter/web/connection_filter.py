"""One TCP connection in front of aiohttp: counted, secured, timed, and only then handed over.

aiohttp's own server has no limit of connections, takes its TLS context once and for all, and waits for slow clients.
`Gate` stands between the socket and aiohttp's protocol for the whole life of a connection and passes everything on. It
upgrades the connection itself, with the context that is in force at that moment: that is how a rotated certificate is
used by the next handshake, and how TLS can even be switched on and off while the server runs.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from iris_exporter.logs import get_logger
from iris_exporter.web.auth import is_loopback
from iris_exporter.web.rate_limits import Patience
from iris_exporter.web.tls import has_allowed_san

SHUTDOWN_SECONDS = 2.0
"""For the farewell of TLS; who does not answer it is gone anyway."""

_log = get_logger(__name__)


class Guarding(Protocol):
    """What a gate asks of `guard.Guard`."""

    def admit(self, gate: "Gate") -> str | None:
        """Take in a connection; or return the reason why not."""

    def dismiss(self, gate: "Gate", cut: str | None) -> None:
        """A connection that was taken in has ended, by itself or (`cut`) for a reason of ours."""

    def greet(self, gate: "Gate") -> None:
        """From now on the gate's handler serves this connection."""

    def look_begins(self) -> bool:
        """Whether the configuration is being looked at again, so that `looked` should be awaited first."""

    async def looked(self) -> None:
        """Return when the look has ended, or takes long."""

    def security(self) -> tuple[ssl.SSLContext, tuple[str, ...]] | None:
        """The context for a new connection and the names that a client certificate must have one of."""

    def patience(self) -> Patience:
        """The deadlines of a new connection."""

    @property
    def handshake_seconds(self) -> float:
        """For the TLS handshake."""


class Gate(asyncio.Protocol):
    """One connection. `on_loopback` tells of the address that is listened on, not of the client's."""

    def __init__(self, guard: Guarding, make_handler: Callable[[], web.RequestHandler], *, on_loopback: bool) -> None:
        self._guard = guard
        self._make_handler = make_handler
        self._raw: asyncio.Transport | None = None
        self._transport: asyncio.Transport | None = None  # what the handler writes to: raw, or TLS on top of it
        self._early = b""
        self._upgrade: asyncio.Task[None] | None = None
        self._admitted = False
        self.on_loopback = on_loopback
        self.address = ""
        self.patience = guard.patience()
        self.handler: web.RequestHandler | None = None
        """None until the connection is secured; till then the time limit of the handshake holds, and no other."""
        self.retired = False
        """Whether the connection should end with the next answer, because what it was accepted under has changed."""

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take in the connection, or end it at once."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (a stream server makes no other)
        self._raw = transport
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        refusal = self._guard.admit(self)
        if refusal is not None:
            transport.abort()
            return
        self._admitted = True
        if not self._guard.look_begins() and self._guard.security() is None:
            self._hand_over(transport)
        else:
            # Before the first byte is read: all of them may belong to TLS.
            transport.pause_reading()
            self._upgrade = asyncio.get_running_loop().create_task(self._enter(transport))

    def data_received(self, data: bytes) -> None:
        """Pass on what has arrived; before there is a handler, keep it."""
        if self.handler is None:
            self._early += data
            return
        self.patience.received(asyncio.get_running_loop().time())
        self.handler.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self.handler.eof_received() if self.handler is not None else None  # type: ignore[func-returns-value]

    def pause_writing(self) -> None:
        """Pass it on."""
        if self.handler is not None:
            self.handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        if self.handler is not None:
            self.handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on, and leave."""
        self._leave(None)
        if self.handler is not None:
            self.handler.connection_lost(exc)

    # Called by the guard

    @property
    def pending_bytes(self) -> int:
        """What has been written and not yet been taken by the system."""
        pending = 0 if self._raw is None else self._raw.get_write_buffer_size()
        if self._transport is not None and self._transport is not self._raw:
            pending += self._transport.get_write_buffer_size()
        return pending

    def cut(self, reason: str | None) -> None:
        """End the connection at once; `reason` is counted, None is not."""
        if self._upgrade is not None:
            self._upgrade.cancel()
        self._leave(reason)
        if self._raw is not None:
            self._raw.abort()

    # Inside

    def _hand_over(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.handler = self._make_handler()
        self.patience = self._guard.patience()
        self._guard.greet(self)
        self.handler.connection_made(transport)
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)

    async def _enter(self, raw: asyncio.Transport) -> None:
        """Secure the connection as the configuration wants it, which is waited for when it is being looked at."""
        await self._guard.looked()
        if not self._admitted:
            return  # lost meanwhile
        security = self._guard.security()
        if security is not None:
            await self._secure(raw, *security)
            return
        self._upgrade = None
        raw.resume_reading()
        self._hand_over(raw)

    async def _secure(self, raw: asyncio.Transport, context: ssl.SSLContext, names: tuple[str, ...]) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(
                raw,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=self._guard.handshake_seconds,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
        except Exception as error:  # noqa: BLE001 (OSError as a rule; whatever it is, its place must not stay taken)
            _log.debug("web.handshake_failed", remote=self.address, error=error)
            self.cut("tls_handshake")
            return
        finally:
            self._upgrade = None
        if transport is None or not self._admitted:
            return  # lost while the result was on its way
        if not has_allowed_san(transport.get_extra_info("peercert"), names):
            _log.debug("web.client_certificate_refused", remote=self.address)
            self.cut("client_certificate")
            return
        self._hand_over(transport)

    def _leave(self, reason: str | None) -> None:
        if self._admitted:
            self._admitted = False
            self._guard.dismiss(self, reason)


class GuardedSite(web.BaseSite):
    """A bound socket that is listened on, with a gate for each connection."""

    def __init__(self, runner: web.BaseRunner, bound: socket.socket, guard: Guarding) -> None:
        super().__init__(runner)
        self._socket = bound
        self._guard = guard

    @property
    def name(self) -> str:
        """For people."""
        host, port = self._socket.getsockname()[:2]
        return f"{host}:{port}"

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be had."""
        await super().start()
        make_handler = self._runner.server
        assert make_handler is not None  # noqa: S101 (the runner has been set up, or super().start() raises)
        on_loopback = is_loopback(str(self._socket.getsockname()[0]))
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Gate(self._guard, make_handler, on_loopback=on_loopback),
            sock=self._socket,
            backlog=self._backlog,
        )
