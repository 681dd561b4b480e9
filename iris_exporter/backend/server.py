"""The HTTP shell of the reference backend: routes, authentication, faults before the answer, start and stop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Self

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from iris_exporter.backend.authentication import TICKET_PATH, authenticate, give_ticket
from iris_exporter.backend.compression import compress_body
from iris_exporter.backend.faults import DEFAULT_RETRY_AFTER_SECONDS, Faults, describe_faults
from iris_exporter.backend.graphql.route import MISSING, graphql, is_available
from iris_exporter.backend.history import History
from iris_exporter.backend.metrics import BackendCollector, scrape
from iris_exporter.backend.origins import PREFLIGHT_HEADERS, describe_access
from iris_exporter.backend.replies import ERROR_CODE, SERVICE, error_response, json_response
from iris_exporter.backend.rest import GET_ROUTES
from iris_exporter.backend.service import BackendSettings, Service
from iris_exporter.backend.source import Source
from iris_exporter.backend.streams import MAX_CLIENT_MESSAGE_BYTES, PATHS, stream
from iris_exporter.backend.wire import encode
from iris_exporter.clock import Clock
from iris_exporter.core.negotiation import GRAPHQL_PATH
from iris_exporter.errors import ConfigError, UsageError
from iris_exporter.process.listening import bound_sockets
from iris_exporter.web.auth import is_loopback
from iris_exporter.web.http_log import http_log

HANG_CHECK_SECONDS = 0.25
"""How often a request that hangs checks whether the client has gone or the fault is off."""
MAX_LINE_BYTES = 128 * 1024
"""Longest request line: a query may say as much as a message, and what is longer is still refused by the handler."""
SHUTDOWN_SECONDS = 3.0
"""How long open requests get to end; a stop must be over within five seconds."""
FAULT_CODES = {
    "401": "AUTH_REQUIRED",
    "403": "FORBIDDEN",
    "404": "INVALID_ENDPOINT",
    "429": "RATE_LIMIT_EXCEEDED",
    "503": "STREAM_UNAVAILABLE",
}
HTML_PAGE = "<!doctype html>\n<html><head><title>IRIS</title></head><body><h1>Please sign in</h1></body></html>\n"


def make_app(service: Service) -> web.Application:
    """Build the application around `service`; it ticks while the application runs."""
    app = web.Application(
        middlewares=[_errors_and_origins, _faults, authenticate], client_max_size=MAX_CLIENT_MESSAGE_BYTES
    )
    app[SERVICE] = service
    for path in PATHS:
        app.router.add_get(path, stream, allow_head=False)
    for path, handler in GET_ROUTES.items():
        app.router.add_get(path, handler)
    app.router.add_post(TICKET_PATH, give_ticket)
    app.router.add_get(GRAPHQL_PATH, graphql, allow_head=False)
    app.router.add_post(GRAPHQL_PATH, graphql)
    app.router.add_get("/", _index)
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/-/faults", _get_faults)
    app.router.add_post("/-/faults", _post_faults)
    app.on_response_prepare.append(_describe_access)
    app.cleanup_ctx.append(_ticking)
    app.on_shutdown.append(_shut_down)
    return app


async def _ticking(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(app[SERVICE].run(), name="backend")
    yield
    task.cancel()
    await asyncio.wait([task])


async def _shut_down(app: web.Application) -> None:
    app[SERVICE].shutdown()


def _area(request: web.Request) -> str | None:
    """Which faults can hit a request: `stream`, `rest`, or None for what is not the product's interface."""
    if request.path in PATHS or request.path.startswith("/api/stream/"):
        return "stream"
    if request.path == GRAPHQL_PATH and (
        "Upgrade" in request.headers or "event-stream" in request.headers.get("Accept", "")
    ):
        return "stream"
    return "rest" if request.path.startswith("/api/") else None


@web.middleware
async def _errors_and_origins(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give errors below /api the wire's form, and answer browsers that ask on behalf of a page of an allowed origin."""
    if _is_preflight(request):
        return web.Response(status=204, headers=PREFLIGHT_HEADERS)
    response = await _answer(request, handler)
    code = response.get(ERROR_CODE)
    if code is not None:
        request.app[SERVICE].stats.refusals[code] += 1
    return response


def _is_preflight(request: web.Request) -> bool:
    """Whether a browser asks what a page of an allowed origin may send; it does so without any key."""
    asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    origins = request.app[SERVICE].settings.cors_origins
    return asks and _area(request) is not None and request.headers.get("Origin") in origins


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except ConnectionError:
        # The client has gone. aiohttp notices that by this answer, and would log an error of the handler's as ours.
        return web.Response()
    except web.HTTPException as error:
        if error.status == 413:
            return error_response(413, "MESSAGE_TOO_LARGE")
        if _area(request) is None:
            raise
        code = "INVALID_ENDPOINT" if error.status == 404 else "INVALID_REQUEST"
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return error_response(error.status, code, None if error.status == 404 else error.reason, headers=headers)
    if isinstance(response, web.Response) and _area(request) == "rest":
        compress_body(request, response)
    return response


async def _describe_access(request: web.Request, response: web.StreamResponse) -> None:
    """Say to browsers which pages may read the answer, streams included."""
    origins = request.app[SERVICE].settings.cors_origins
    if origins and _area(request) is not None:
        describe_access(response.headers, request.headers.get("Origin"), origins)


@web.middleware
async def _faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Apply the faults that come before the head of an answer."""
    service = request.app[SERVICE]
    area = _area(request)
    if area is None:
        return await handler(request)
    faults = service.faults
    if faults.hits("refuse", area) or faults.flapped_away(area):
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)
    slow = faults.hits("slow", area)
    if slow:
        await service.clock.sleep(slow.seconds)
    while faults.hits("hang", area) and not service.stopping and not _is_gone(request):
        await service.clock.sleep(HANG_CHECK_SECONDS)
    for status, code in FAULT_CODES.items():
        fault = faults.hits(status, area)
        if fault is None:
            continue
        if status == "503" and request.path == "/api/telemetry/health":
            return json_response({"ok": False, "error": "telemetry is not available"}, status=503)
        wait = int(fault.seconds if fault.numbers else DEFAULT_RETRY_AFTER_SECONDS) if status == "429" else None
        meaning = "SERVICE_UNAVAILABLE" if status == "503" and area == "rest" else code
        return error_response(int(status), meaning, retry_after=wait)
    if faults.hits("html", area):
        return web.Response(text=HTML_PAGE, content_type="text/html")
    return await handler(request)


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def _index(request: web.Request) -> web.Response:
    service = request.app[SERVICE]
    lines = [
        f"IRIS reference backend ({service.feed.installation.description})",
        "",
        "Streams, each as WebSocket or server-sent events:",
        *(f"  {path}" for path in PATHS if path.startswith("/api/stream")),
        "The older socket (WebSocket only):",
        *(f"  {path}" for path in PATHS if not path.startswith("/api/stream")),
        "GraphQL, as WebSocket, server-sent events or requests:",
        f"  {GRAPHQL_PATH}{'' if is_available() else f' ({MISSING})'}",
        "REST:",
        *(f"  {path}" for path in GET_ROUTES),
        f"  {TICKET_PATH} (POST: a ticket for one request, used as ?ticket=...)",
        "",
        f"A key is {'needed: Authorization: Bearer <key>' if service.key else 'not needed'}.",
        f"Open streams: {len(service.connections)}, events so far: {service.feed.history.last}",
        f"Faults on now: {', '.join(service.faults.active()) or 'none'}",
        "",
        "Turn faults on and off from this machine, with names as keys; {} turns all off:",
        "  curl --json '{\"drop\": 5}' <this address>/-/faults",
        describe_faults(),
        "",
    ]
    return web.Response(text="\n".join(lines))


async def _metrics(request: web.Request) -> web.Response:
    service = request.app[SERVICE]
    collector = BackendCollector(service.stats, lambda: service.connections, service.clock.monotonic)
    return scrape((collector, *service.collectors), request.headers.get("Accept", ""))


async def _get_faults(request: web.Request) -> web.Response:
    return json_response(request.app[SERVICE].faults.active())


async def _post_faults(request: web.Request) -> web.Response:
    """Change the faults; from loopback alone, and as JSON so that no web page can do it through a form."""
    if not is_loopback(request.remote or ""):
        return error_response(403, "FORBIDDEN", "faults are switched from the backend's own machine")
    if request.content_type != "application/json":
        return error_response(415, "INVALID_REQUEST", "send JSON, with Content-Type: application/json")
    faults = request.app[SERVICE].faults
    try:
        values = msgspec.json.decode(await request.read(), type=dict[str, float | int | bool | str | None])
        faults.update(values)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return error_response(400, "INVALID_REQUEST", f"expected an object of fault names and values: {error}")
    except ConfigError as error:
        return error_response(400, "INVALID_REQUEST", str(error))
    return json_response(encode(faults.active()))


class Backend:
    """A backend on a socket of its own; `async with Backend(settings) as backend` starts and stops it.

    A stopped backend may be started again: that is a new process to its clients, with a new epoch, on the same port
    when that was given and on another one when it was 0.
    """

    def __init__(
        self,
        settings: BackendSettings | None = None,
        *,
        clock: Clock | None = None,
        source: Callable[[float], Source] | None = None,
        history: History | None = None,
    ) -> None:
        """Set up without opening a socket; `source` and `history` are those of `Service`.

        Raises `ConfigError` for a bad fault or key file.
        """
        self._settings = settings or BackendSettings()
        self._clock = clock
        self._source = source
        self._history = history
        self._service: Service | None = Service(self._settings, clock, source, history)
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def service(self) -> Service:
        """The running backend without its HTTP shell: `publish`, `feed`, `connections`."""
        if self._service is None:
            raise UsageError("the backend is stopped")
        return self._service

    @property
    def faults(self) -> Faults:
        """The faults that are on; set and clear them at any time."""
        return self.service.faults

    @property
    def open_connections(self) -> int:
        """Streams that are open now."""
        return len(self.service.connections)

    @property
    def opened_connections(self) -> int:
        """Streams accepted since the start."""
        return self.service.opened

    @property
    def url(self) -> str:
        """Where the backend is, as in `http://127.0.0.1:14748`. Raises `UsageError` before `start`."""
        if self._runner is None:
            raise UsageError("the backend is not started")
        host = self._settings.host
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Open the socket and start the installation. Raises `OSError` when the address cannot be had."""
        if self._runner is not None:
            raise UsageError("the backend is started already")
        if self._service is None:
            self._service = Service(self._settings, self._clock, self._source, self._history)
        # No access log: request lines carry tickets, and may carry the key.
        runner = web.AppRunner(
            make_app(self._service),
            access_log=None,
            logger=http_log("iris_exporter.backend", self._service.malformed),
            shutdown_timeout=SHUTDOWN_SECONDS,
            max_line_size=MAX_LINE_BYTES,
        )
        await runner.setup()
        try:
            for bound in await bound_sockets(self._settings.host, self._settings.port):
                await web.SockSite(runner, bound).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = int(runner.addresses[0][1])

    async def stop(self) -> None:
        """End all streams in order, close the socket and lose the history; does nothing when stopped."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
            self._service = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
