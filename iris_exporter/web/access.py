"""The door itself: which connections are taken in, which requests pass, and whether the event loop turns.

For each connection: room, TLS, deadlines (`gate`). For each request, in this order: rate limit, password, size of the
body, permission to switch something. The order is that of Prometheus's exporters: somebody who guesses passwords meets
the rate limit first. Probes do not meet it, or a busy exporter would be restarted for being busy; so that nobody
guesses by way of them, a password that is given to a probe and not yet known costs a token of its client's own.
Everything that is refused or cut is counted.
"""

import asyncio
import logging
import math
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware

from iris_exporter.clock import Clock
from iris_exporter.instruments.http_server import CUT_REASONS, DoorMetrics
from iris_exporter.logs import get_logger
from iris_exporter.process.blocking import CONFIG, BlockedError
from iris_exporter.settings import WebSettings
from iris_exporter.web import rate_limits
from iris_exporter.web.auth import CHALLENGE, BusyError, Passwords, control_refusal, credentials
from iris_exporter.web.config.model import RateLimit
from iris_exporter.web.config.watched import LiveConfig
from iris_exporter.web.connection_filter import Gate
from iris_exporter.web.rate_limits import (
    ClientBuckets,
    Deadlines,
    LoopWatch,
    Occupancy,
    Patience,
    TokenBucket,
    client_of,
)

LOOK_SECONDS = 0.25
"""How long a connection or request waits for a look at the configuration file; a disk takes a hundredth of it."""
SWEEP_SECONDS = 1.0
"""Between two looks at all connections; deadlines are kept to this precision."""

Refuse = Callable[[web.Request, int, str, dict[str, str]], web.Response]
"""Makes the answer to a refused request: status, a sentence, further headers."""

PROBES = ("/-/healthy", "/-/ready")
"""Paths below the prefix that no rate limit holds up."""
_SAFE = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
_log = get_logger(__name__)
_limited_log = _log.limited(6)


class Guard:
    """Guards one server. Call `start` within the event loop, and `close` before the runner's cleanup.

    `tasks_trouble` says what is wrong with the program's own tasks as a phrase, None when nothing is. The constructor
    reads the web configuration file and raises ConfigError.
    """

    def __init__(
        self,
        settings: WebSettings,
        clock: Clock,
        metrics: DoorMetrics,
        tasks_trouble: Callable[[], str | None] = lambda: None,
        deadlines: Deadlines | None = None,
    ) -> None:
        self._control_mode = settings.enable_control
        self._clock = clock
        self._metrics = metrics
        self._tasks_trouble = tasks_trouble
        self._deadlines = deadlines or Deadlines()
        self._live = LiveConfig(settings.config_file, clock, metrics.config_loaded)
        self._context = self._live.loaded.context
        self._look: tuple[asyncio.Task[None], float] | None = None  # and when it began, in the loop's time
        self._occupancy = Occupancy(settings.max_connections)
        self._gates: set[Gate] = set()
        self._served: dict[web.RequestHandler, Gate] = {}
        self._passwords = Passwords()
        self._probes = frozenset(settings.route_prefix + path for path in PROBES)
        self._rate: tuple[RateLimit, TokenBucket, ClientBuckets] | None = None
        self._watch = LoopWatch(clock.monotonic())
        self._swept_at = clock.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        if self._live.loaded.config.http2:
            _log.info("web.http2_not_spoken", file=settings.config_file, spoken="HTTP/1.1")

    # The server's life

    def start(self) -> None:
        """Begin to watch the event loop and the connections."""
        self._watch = LoopWatch(self._clock.monotonic())
        self._metrics.watch(lambda: len(self._occupancy), lambda: self._watch.longest_delay(self._clock.monotonic()))
        self._schedule()

    def close(self) -> None:
        """Stop watching; end connections that nobody serves yet. The runner's cleanup ends the others."""
        if self._timer is not None:
            self._timer.cancel()
        if self._look is not None:
            self._look[0].cancel()
        for gate in list(self._gates):
            if gate.handler is None:
                gate.cut(None)
        self._passwords.close()

    def server_options(self) -> dict[str, Any]:
        """Further arguments of the `AppRunner`: limits that aiohttp keeps itself, and where it reports to."""
        return {
            "keepalive_timeout": rate_limits.IDLE_SECONDS,
            "lingering_time": rate_limits.LINGER_SECONDS,
            "max_line_size": rate_limits.MAX_HEADER_BYTES,
            "max_field_size": rate_limits.MAX_HEADER_BYTES,
            "max_headers": rate_limits.MAX_HEADERS,
            "logger": self._http_log(),
        }

    def _http_log(self) -> logging.Logger:
        """A log for aiohttp that counts what is not HTTP instead of printing it.

        Otherwise each such request would be a line of level error, with up to a kilobyte of its content: any scanner
        could fill the disk, and a header with a password that is too long would be printed.
        """

        def passes(record: logging.LogRecord) -> bool:
            error = record.exc_info[1] if record.exc_info else None
            if not isinstance(error, HttpProcessingError):
                return True
            self._metrics.request_refused("malformed")
            _log.debug("web.malformed", reason=type(error).__name__)
            return False

        # Not by name: each guard has counts of its own.
        log = logging.Logger("iris_exporter.web.http")  # noqa: LOG001
        log.parent = logging.getLogger("iris_exporter.web")
        log.addFilter(passes)
        return log

    @property
    def is_secure(self) -> bool:
        """Whether new connections speak TLS."""
        return self._live.loaded.context is not None

    def trouble(self) -> str | None:
        """Why `/-/healthy` should fail, as a phrase; None when all is well."""
        return self._watch.trouble(self._clock.monotonic()) or self._tasks_trouble()

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(rate_limits.TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        now = self._clock.monotonic()
        self._watch.tick(now)
        self._schedule()
        if now - self._swept_at >= min(SWEEP_SECONDS, self._deadlines.head_seconds):
            self._swept_at = now
            self._sweep(asyncio.get_running_loop().time())

    def _sweep(self, now: float) -> None:
        for gate in [gate for gate in self._gates if gate.handler is not None]:
            verdict = gate.patience.verdict(now, gate.pending_bytes)
            if verdict is not None:
                _log.debug("web.connection_cut", remote=gate.address, reason=verdict)
                gate.cut(verdict if verdict in CUT_REASONS else None)

    # The configuration file

    def look_begins(self) -> bool:
        """See `Guarding.look_begins`."""
        now = asyncio.get_running_loop().time()
        if self._look is None and self._live.is_due:
            self._look = asyncio.create_task(self._look_again(), name="web configuration"), now
        return self._look is not None and now - self._look[1] < LOOK_SECONDS

    async def looked(self) -> None:
        """See `Guarding.looked`."""
        if self._look is not None:
            await asyncio.wait({self._look[0]}, timeout=LOOK_SECONDS)

    async def _look_again(self) -> None:
        try:
            await CONFIG.run(self._live.refresh, self._live.path)
        except BlockedError:
            self._live.not_answered()
        finally:
            self._look = None
        if self._live.loaded.context is not self._context:
            self._context = self._live.loaded.context
            # Whoever came in under another certificate or authority has to come in again.
            for gate in list(self._gates):
                gate.retired = True
                if gate.handler is not None and gate.patience.is_idle:
                    gate.cut(None)

    # Connections (see `gate.Guarding`)

    def admit(self, gate: Gate) -> str | None:
        """See `Guarding.admit`."""
        refusal = self._occupancy.enter(gate.address)
        if refusal == "limit" and self._make_room(gate.address):
            refusal = self._occupancy.enter(gate.address)
        if refusal is None:
            self._gates.add(gate)
        else:
            self._metrics.connection_cut(refusal)
            _limited_log.warning("web.connection_refused", remote=gate.address, reason=refusal)
        return refusal

    def _make_room(self, address: str) -> bool:
        """End a connection of the client that has most, for one that has fewer; one that is answered now is kept."""
        crowder = self._occupancy.crowder(address)
        if crowder is None:
            return False
        theirs = [gate for gate in self._gates if client_of(gate.address) == crowder]
        waiting = next((gate for gate in theirs if gate.handler is None or not gate.patience.is_busy), None)
        if waiting is None:
            return False
        waiting.cut("displaced")
        return True

    def dismiss(self, gate: Gate, cut: str | None) -> None:
        """See `Guarding.dismiss`."""
        self._gates.discard(gate)
        if gate.handler is not None:
            self._served.pop(gate.handler, None)
        self._occupancy.leave(gate.address)
        if cut is not None:
            self._metrics.connection_cut(cut)

    def greet(self, gate: Gate) -> None:
        """See `Guarding.greet`."""
        if gate.handler is not None:
            self._served[gate.handler] = gate

    def security(self) -> tuple[ssl.SSLContext, tuple[str, ...]] | None:
        """See `Guarding.security`."""
        loaded = self._live.loaded
        if loaded.context is None or loaded.config.tls is None:
            return None
        return loaded.context, loaded.config.tls.client_sans

    def patience(self) -> Patience:
        """See `Guarding.patience`."""
        return Patience(self._deadlines, asyncio.get_running_loop().time())

    @property
    def handshake_seconds(self) -> float:
        """See `Guarding.handshake_seconds`."""
        return self._deadlines.head_seconds

    # Requests

    def middleware(self, refuse: Refuse) -> Middleware:
        """The outermost middleware of the application."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            gate = self._gate(request)
            if gate is None:
                return await self._pass(request, handler, refuse)
            gate.patience.request_began()
            try:
                response = await self._pass(request, handler, refuse)
            finally:
                gate.patience.request_ended(asyncio.get_running_loop().time())
            if gate.retired:
                response.force_close()
            return response

        return guard

    def control_refusal(self, request: web.Request) -> str | None:
        """Why this client may not switch anything (a sentence); None when it may."""
        gate = self._gate(request)
        return control_refusal(
            self._control_mode,
            on_loopback=gate is not None and gate.on_loopback,
            authenticated=self._live.loaded.config.authenticates,
            host=request.headers.get(hdrs.HOST, ""),
        )

    async def add_headers(self, _: web.Request, response: web.StreamResponse) -> None:
        """Signal handler: set the headers of the configuration file, over any of our own."""
        for name, value in self._live.loaded.config.headers.items():
            response.headers[name] = value

    def _gate(self, request: web.Request) -> Gate | None:
        return self._served.get(request.protocol)

    async def _pass(self, request: web.Request, handler: Handler, refuse: Refuse) -> web.StreamResponse:
        if self.look_begins():
            await self.looked()
        config = self._live.loaded.config
        rate = self._rates(config.rate_limit)
        now = self._clock.monotonic()
        if rate is None:
            wait = 0.0
        elif request.method in _SAFE and request.path in self._probes:
            wait = rate[1].take(self._client(request), now) if self._guesses(request, config.users) else 0.0
        else:
            wait = rate[0].take(now)
        if wait:
            self._metrics.request_refused("rate_limited")
            return refuse(request, 429, "too many requests", {hdrs.RETRY_AFTER: str(math.ceil(wait))})
        return (
            await self._check_password(request, config.users, refuse)
            or await self._check_body(request, refuse)
            or self._check_control(request, refuse)
            or await handler(request)
        )

    def _rates(self, rate: RateLimit | None) -> tuple[TokenBucket, ClientBuckets] | None:
        if rate is None:
            self._rate = None
            return None
        if self._rate is None or self._rate[0] != rate:
            bucket = TokenBucket(rate.interval_seconds, rate.burst, self._clock.monotonic())
            self._rate = rate, bucket, ClientBuckets(rate.interval_seconds, rate.burst)
        return self._rate[1:]

    def _guesses(self, request: web.Request, users: Mapping[str, str]) -> bool:
        """Whether a password is given that has to be verified first."""
        given = credentials(request.headers.get(hdrs.AUTHORIZATION, "")) if users else None
        return given is not None and not self._passwords.remembers(users, *given)

    def _client(self, request: web.Request) -> str:
        gate = self._gate(request)
        return client_of(request.remote or "" if gate is None else gate.address)

    async def _check_password(
        self, request: web.Request, users: Mapping[str, str], refuse: Refuse
    ) -> web.Response | None:
        if not users:
            return None
        given = credentials(request.headers.get(hdrs.AUTHORIZATION, ""))
        try:
            if given is not None and await self._passwords.verify(users, *given, client=self._client(request)):
                return None
        except BusyError:
            self._metrics.request_refused("busy")
            return refuse(request, 503, "too many passwords are being verified", {hdrs.RETRY_AFTER: "1"})
        self._metrics.request_refused("unauthorized")
        if given is not None:  # a browser's first request has none; nothing of what was given is logged
            _limited_log.warning("web.unauthorized", remote=request.remote, path=request.path)
        return refuse(request, 401, "a valid user and password are needed", {hdrs.WWW_AUTHENTICATE: CHALLENGE})

    async def _check_body(self, request: web.Request, refuse: Refuse) -> web.Response | None:
        """Read and throw away a small body, so that the connection can go on; refuse any other."""
        if not request.body_exists:
            return None
        status, reason = 413, f"a body of more than {rate_limits.MAX_BODY_BYTES} bytes is not accepted"
        if (request.content_length or 0) <= rate_limits.MAX_BODY_BYTES:
            try:
                async with asyncio.timeout(rate_limits.BODY_SECONDS):
                    if await _fits(request):
                        return None
            except TimeoutError:
                status, reason = 408, "the body took too long"
            except web.RequestPayloadError:
                status, reason = 400, "the body is damaged"
        self._metrics.request_refused("body")
        response = refuse(request, status, reason, {})
        response.force_close()
        return response

    def _check_control(self, request: web.Request, refuse: Refuse) -> web.Response | None:
        # A path or method that does not exist is told so by its own answer.
        if request.method in _SAFE or request.match_info.http_exception is not None:
            return None
        sentence = self.control_refusal(request)
        if sentence is None:
            return None
        self._metrics.request_refused("control")
        return refuse(request, 403, sentence, {})


async def _fits(request: web.Request) -> bool:
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > rate_limits.MAX_BODY_BYTES:
            return False
    return True
