"""Access control: which requests pass. In this order: rate limit, password, size of the body, permission to change.

The order is that of Prometheus's exporters: somebody who guesses passwords meets the rate limit first. Probes do not
meet it, or a busy exporter would be restarted for being busy; so that nobody guesses by way of them, a password that is
given to a probe and not yet known counts against a limit of its client's own.
"""

import asyncio
import math
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from iris_exporter.clock import Clock
from iris_exporter.logs import get_logger
from iris_exporter.settings import WebSettings
from iris_exporter.web import rate_limits
from iris_exporter.web.auth import CHALLENGE, BusyError, Passwords, control_refusal, credentials
from iris_exporter.web.config.model import RateLimit, WebConfig
from iris_exporter.web.connection_filter import Connection
from iris_exporter.web.context import HttpError
from iris_exporter.web.rate_limits import RateLimiter, client_of

PROBES = ("/-/healthy", "/-/ready")
"""Paths below the prefix that no rate limit delays."""
_SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
# `same-origin` and not `no-referrer`: with the latter browsers send `Origin: null` from our own forms.
_HEADERS = {
    "Server": "iris-exporter",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_limited_log = get_logger(__name__).limited(6)


class AccessControl:
    """Decides by the web configuration in force, for which `config` is asked at each request."""

    def __init__(self, settings: WebSettings, clock: Clock, config: Callable[[], WebConfig]) -> None:
        self._control_mode = settings.enable_control
        self._external_url = settings.external_url
        self._probes = frozenset(settings.route_prefix + path for path in PROBES)
        self._clock = clock
        self._config = config
        self._passwords = Passwords()
        self._rate: RateLimit | None = None
        self._all_requests = self._guesses = RateLimiter(1.0, 1)

    def close(self) -> None:
        """Forget the passwords that wait to be verified."""
        self._passwords.close()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse the request by raising HttpError, or let it pass."""
        config = self._config()
        if config.rate_limit is not None:
            self._check_rate(request, config.rate_limit, config)
        if config.users:
            await self._check_password(request, config)
        if request.body_exists:
            await _check_body(request)
        # A path or method that does not exist is answered as that.
        if request.method not in _SAFE_METHODS and request.match_info.http_exception is None:
            sentence = self.control_refusal(request)
            if sentence is None and not _is_same_origin(request, self._external_url):
                sentence = "a page of another origin must not do this"
            if sentence is not None:
                raise HttpError(403, sentence, counted="control")
        return await handler(request)

    def control_refusal(self, request: web.Request) -> str | None:
        """Return why this client may not change anything (a sentence); None when it may."""
        connection = request.protocol
        return control_refusal(
            self._control_mode,
            on_loopback=isinstance(connection, Connection) and connection.on_loopback,
            authenticated=self._config().authenticates,
            host=request.headers.get(hdrs.HOST, ""),
        )

    async def add_headers(self, _: web.Request, response: web.StreamResponse) -> None:
        """Signal handler: set the headers of each answer, and over them those of the configuration file."""
        response.headers.update({**_HEADERS, **self._config().headers})

    def _check_rate(self, request: web.Request, rate: RateLimit, config: WebConfig) -> None:
        if rate != self._rate:
            self._rate = rate
            self._all_requests = RateLimiter(rate.interval_seconds, rate.burst)
            self._guesses = RateLimiter(rate.interval_seconds, rate.burst)
        now = self._clock.monotonic()
        given = _credentials(request) if config.users else None
        if request.method not in _SAFE_METHODS or request.path not in self._probes:
            wait = self._all_requests.take(now)
        elif given is not None and not self._passwords.remembers(config.users, *given):
            wait = self._guesses.take(now, _client(request))
        else:
            return
        if wait:
            headers = {hdrs.RETRY_AFTER: str(math.ceil(wait))}
            raise HttpError(429, "too many requests", counted="rate_limited", headers=headers)

    async def _check_password(self, request: web.Request, config: WebConfig) -> None:
        given = _credentials(request)
        try:
            if given is not None and await self._passwords.verify(config.users, *given, client=_client(request)):
                return
        except BusyError:
            sentence, headers = "too many passwords are being verified", {hdrs.RETRY_AFTER: "1"}
            raise HttpError(503, sentence, counted="busy", headers=headers) from None
        if given is not None:  # a browser's first request has none; nothing of what was given is logged
            _limited_log.warning("web.unauthorized", remote=request.remote, path=request.path)
        sentence = "a valid user and password are needed"
        raise HttpError(401, sentence, counted="unauthorized", headers={hdrs.WWW_AUTHENTICATE: CHALLENGE})


def _credentials(request: web.Request) -> tuple[str, bytes] | None:
    return credentials(request.headers.get(hdrs.AUTHORIZATION, ""))


def _client(request: web.Request) -> str:
    return client_of(request.remote or "")


async def _check_body(request: web.Request) -> None:
    """Read and throw away a small body, so that the connection can go on; refuse any other."""
    most = rate_limits.MAX_BODY_BYTES
    status, sentence = 413, f"a body of more than {most} bytes is not accepted"
    try:
        async with asyncio.timeout(rate_limits.BODY_SECONDS):
            if (request.content_length or 0) <= most:
                await request.read()
                return
    except web.HTTPRequestEntityTooLarge:
        pass  # a body without a length
    except TimeoutError:
        status, sentence = 408, "the body took too long"
    except web.RequestPayloadError:
        status, sentence = 400, "the body is damaged"
    raise HttpError(status, sentence, counted="body")


def _is_same_origin(request: web.Request, external_url: str | None) -> bool:
    """Return whether a request may change something: it comes from no browser, or from a page of our own.

    The browser itself sends `Sec-Fetch-Site`, which is right even behind a proxy that rewrites `Host`; older browsers
    send only `Origin`, which is compared with `Host` and the external address. Source: Fetch Metadata; RFC 6454,
    section 7.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site.lower() in ("same-origin", "none")
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None:
        return True
    try:
        host = urlsplit(origin).netloc.lower()
        external = urlsplit(external_url).netloc.lower() if external_url else ""
        return host != "" and host in (request.headers.get(hdrs.HOST, "").lower(), external)
    except ValueError:
        return False
