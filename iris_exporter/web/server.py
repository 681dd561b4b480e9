"""The exporter's HTTP server: scrapes, health, configuration, stream control, and a page for people."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from iris_exporter.clock import Clock
from iris_exporter.errors import ConfigError
from iris_exporter.instruments import catalog
from iris_exporter.logs import get_logger
from iris_exporter.process.blocking import CONFIG, BlockedError
from iris_exporter.settings import WebSettings
from iris_exporter.web.access import SAFE_METHODS, AccessControl, RefusedError, is_same_origin
from iris_exporter.web.api import StreamsApi, json_response
from iris_exporter.web.config.watched import LiveConfig
from iris_exporter.web.connection_filter import ConnectionFilter, Security
from iris_exporter.web.context import WebContext
from iris_exporter.web.page import CONTENT_SECURITY_POLICY, landing_page
from iris_exporter.web.rate_limits import TICK_SECONDS, EventLoopLag, Timeouts
from iris_exporter.web.scrape import Scrapes
from iris_exporter.web.views import ApiError, stream_object

STOP_SECONDS = 1.0
"""For requests under way when the server closes; a client that reads slower is cut."""
SWEEP_SECONDS = 1.0
"""Between two looks at all connections; timeouts are kept to this precision."""

# `same-origin` and not `no-referrer`: with the latter browsers send `Origin: null` from our own forms.
_HEADERS = {
    "Server": "iris-exporter",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_log = get_logger(__name__)


class HttpServer:
    """Serves one program. Call `start` in the event loop, `listen` for each socket, and `close`.

    `tasks_trouble` says what is wrong with the program's own tasks as a phrase, None when nothing is. The constructor
    reads the web configuration file and raises ConfigError.
    """

    def __init__(
        self,
        context: WebContext,
        settings: WebSettings,
        clock: Clock,
        tasks_trouble: Callable[[], str | None] = lambda: None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._clock = clock
        metrics = self._metrics = context.exposition.self_metrics
        self._tasks_trouble = tasks_trouble
        self._config = LiveConfig(settings.config_file, clock, partial(metrics.set, catalog.WEB_CONFIG_SUCCESSFUL))
        self._refreshing: asyncio.Task[None] | None = None
        self._access = AccessControl(settings, clock, lambda: self._config.loaded.config)
        self.connections = ConnectionFilter(settings.max_connections, timeouts or Timeouts(), metrics, self._security)
        self._lag = EventLoopLag(clock.monotonic())
        self._timer: asyncio.TimerHandle | None = None
        self._swept_at = clock.monotonic()
        self._servers: list[asyncio.Server] = []
        self.app = make_app(context, settings, self._access, self._trouble)
        self.app.middlewares.insert(0, self.connections.middleware)
        self._runner = web.AppRunner(self.app, handle_signals=False, shutdown_timeout=STOP_SECONDS)
        if self._config.loaded.config.http2:
            _log.info("web.http2_not_spoken", file=settings.config_file, spoken="HTTP/1.1")

    async def start(self) -> None:
        """Begin to watch the event loop, the connections and the configuration file."""
        await self._runner.setup()
        self._lag = EventLoopLag(self._clock.monotonic())
        self._metrics.watch(catalog.CONNECTIONS, lambda: len(self.connections))
        self._metrics.watch(catalog.LOOP_DELAY, lambda: self._lag.longest_delay(self._clock.monotonic()))
        self._schedule()

    async def listen(self, bound: socket.socket) -> str:
        """Serve what connects to a bound socket, and return its URL; `close` closes the socket. Raises OSError."""
        assert self._runner.server is not None  # noqa: S101 (`start` comes first)
        self._servers.append(await self.connections.listen(self._runner.server, bound))
        host, port = bound.getsockname()[:2]
        scheme = "http" if self._security() is None else "https"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def close(self) -> None:
        """Take in no more connections, answer the requests under way, and end all connections."""
        for task in (self._timer, self._refreshing):
            if task is not None:
                task.cancel()
        for server in self._servers:
            server.close()
        self.connections.close()
        self._access.close()
        await self._runner.cleanup()

    def _security(self) -> Security:
        loaded = self._config.loaded
        if loaded.context is None or loaded.config.tls is None:
            return None
        return loaded.context, loaded.config.tls.client_sans

    def _trouble(self) -> str | None:
        return self._lag.trouble(self._clock.monotonic()) or self._tasks_trouble()

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        now = self._clock.monotonic()
        self._lag.tick(now)
        self._schedule()
        if now - self._swept_at >= min(SWEEP_SECONDS, self.connections.timeouts.head_seconds):
            self._swept_at = now
            self.connections.check_timeouts()
        if self._config.is_due and self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh(), name="web configuration")

    async def _refresh(self) -> None:
        """Take over what has changed in the configuration file and the files that it names."""
        before = self._config.loaded.context
        try:
            await CONFIG.run(self._config.refresh, self._config.path)
        except BlockedError:
            self._config.not_answered()
        finally:
            self._refreshing = None
        if self._config.loaded.context is not before:
            self.connections.retire()


def make_app(
    context: WebContext,
    settings: WebSettings,
    access: AccessControl | None = None,
    trouble: Callable[[], str | None] = lambda: None,
) -> web.Application:
    """Build the application. `access` None lets everybody in; `trouble` says why the program is not healthy."""
    handlers = _Handlers(context, settings, access, trouble)
    access_control = [] if access is None else [access.middleware]
    app = web.Application(
        middlewares=[
            _answer_errors(context, settings.route_prefix),
            *access_control,
            _refuse_other_origins(settings.external_url),
        ]
    )
    app.on_response_prepare.append(_add_headers)
    if access is not None:
        app.on_response_prepare.append(access.add_headers)
    prefix, telemetry_path = settings.route_prefix, settings.telemetry_path
    app.add_routes(
        [
            web.get(prefix + telemetry_path, Scrapes(context, settings.max_requests).handle),
            web.get(f"{prefix}/-/healthy", handlers.healthy),
            web.get(f"{prefix}/-/ready", handlers.ready),
            web.post(f"{prefix}/-/reload", handlers.reload),
            web.put(f"{prefix}/-/reload", handlers.reload),
            web.get(f"{prefix}/config", handlers.config),
            *StreamsApi(context, prefix).routes(),
        ]
    )
    if telemetry_path != "/":
        app.router.add_get(f"{prefix}/", handlers.landing)
    if prefix:
        app.router.add_get("/", _redirect(f"{prefix[1:]}/"))
        app.router.add_get(prefix, _redirect(f"{prefix.rpartition('/')[2]}/"))
    return app


def _redirect(location: str) -> Handler:
    """A handler that sends the client on to a relative address."""

    async def redirect(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={hdrs.LOCATION: location})

    return redirect


@dataclass(frozen=True, slots=True)
class _Handlers:
    """The handlers that are neither a scrape nor the API."""

    context: WebContext
    settings: WebSettings
    access: AccessControl | None
    trouble: Callable[[], str | None]

    async def healthy(self, _: web.Request) -> web.Response:
        trouble = self.trouble()
        if trouble is not None:
            return web.Response(status=503, text=f"iris-exporter is not healthy: {trouble}\n")
        return web.Response(text="iris-exporter is healthy\n")

    async def ready(self, _: web.Request) -> web.Response:
        if self.context.ready():
            return web.Response(text="iris-exporter is ready\n")
        return web.Response(status=503, text="iris-exporter is starting\n")

    async def reload(self, _: web.Request) -> web.Response:
        try:
            await self.context.reload()
        except ConfigError as error:
            return web.Response(status=400, text=f"the configuration was not changed:\n{error}\n")
        return web.Response(text="the configuration was loaded\n")

    async def config(self, _: web.Request) -> web.Response:
        return web.Response(text=self.context.config_text())

    async def landing(self, request: web.Request) -> web.Response:
        streams = [stream_object(control) for control in self.context.streams().values()]
        refusal = None if self.access is None else self.access.control_refusal(request)
        checkpoints = self.context.checkpoints
        warning = None if checkpoints is None else checkpoints.trouble()
        page = landing_page(self.context.version, self.settings.telemetry_path, streams, refusal, warning)
        headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
        return web.Response(text=page, content_type="text/html", headers=headers)


def _answer_errors(context: WebContext, route_prefix: str) -> Middleware:
    """Give each error the form that its path promises: JSON under the API, one line of text elsewhere."""
    api = f"{route_prefix}/api/"

    def answer(request: web.Request, status: int, sentence: str, headers: dict[str, str] | None = None) -> web.Response:
        if request.path.startswith(api):
            return json_response({"error": sentence}, status, headers)
        return web.Response(status=status, text=f"{status} {sentence}\n", headers=headers)

    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            return json_response(error.body, error.status)
        except RefusedError as error:
            context.exposition.self_metrics.add(catalog.REQUESTS_REFUSED, 1, error.counted)
            response = answer(request, error.status, error.sentence, error.headers)
            if error.counted == "body":
                response.force_close()  # what is left of the body is not read
            return response
        except web.HTTPException as error:
            allow = error.headers.get(hdrs.ALLOW)
            return answer(request, error.status, error.reason, {hdrs.ALLOW: allow} if allow else {})
        except ConnectionError:
            raise  # the client has gone; aiohttp knows what to do
        except Exception as error:  # noqa: BLE001 - whatever it is, a client must get an answer and no traceback
            context.exposition.self_metrics.add(catalog.HTTP_ERRORS)
            _log.error("request.failed", method=request.method, path=request.path, error=error)
            return answer(request, 500, "internal error; the log says more")

    return answer_errors


def _refuse_other_origins(external_url: str | None) -> Middleware:
    @web.middleware
    async def refuse_other_origins(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in SAFE_METHODS and not is_same_origin(request, external_url):
            raise RefusedError("control", 403, "a page of another origin must not do this")
        return await handler(request)

    return refuse_other_origins


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
