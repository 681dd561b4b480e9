"""The exporter's HTTP server: scrapes, health, configuration, stream control, and a page for people."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from iris_exporter.clock import Clock
from iris_exporter.errors import ConfigError
from iris_exporter.instruments import catalog
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.logs import get_logger, redact_data
from iris_exporter.process.blocking import CONFIG, BlockedError
from iris_exporter.settings import WebSettings
from iris_exporter.web import follow
from iris_exporter.web.access import AccessControl
from iris_exporter.web.api import StreamsApi, json_response
from iris_exporter.web.config.watched import LiveConfig
from iris_exporter.web.connection_filter import ConnectionFilter, Security
from iris_exporter.web.context import HttpError, WebContext
from iris_exporter.web.links import Links
from iris_exporter.web.page import CONTENT_SECURITY_POLICY, SCRIPT, landing_page, script
from iris_exporter.web.rate_limits import MAX_BODY_BYTES, TICK_SECONDS, EventLoopLag, Timeouts
from iris_exporter.web.scrape import Scrapes
from iris_exporter.web.views import event_object, stream_object

STOP_SECONDS = 1.0
"""For requests under way when the server closes; a client that reads slower is cut."""
SWEEP_SECONDS = 1.0
"""Between two checks of all connections; timeouts have this precision."""

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
        self._config = LiveConfig(settings.config_file, clock, metrics.web_config_checked)
        self._refreshing: asyncio.Task[None] | None = None
        self._access = AccessControl(settings, clock, lambda: self._config.loaded.config)
        self.connections = ConnectionFilter(settings.max_connections, timeouts or Timeouts(), metrics, self._security)
        self._lag = EventLoopLag(clock.monotonic())
        self._timer: asyncio.TimerHandle | None = None
        self._swept_at = clock.monotonic()
        self._servers: list[asyncio.Server] = []
        self._follow = follow.Follow(context, clock, settings.max_connections)
        self.app = self._make_app(context, settings)
        self._runner = web.AppRunner(self.app, handle_signals=False, shutdown_timeout=STOP_SECONDS)
        if self._config.loaded.config.http2:
            _log.info("web.http2_not_spoken", file=settings.config_file, spoken="HTTP/1.1")

    def _make_app(self, context: WebContext, settings: WebSettings) -> web.Application:
        links = Links(settings.grafana_url, settings.runbook_base_url)
        handlers = _Handlers(context, settings.telemetry_path, self._access, self._trouble, script(), links)
        answer_errors = _answer_errors(self._metrics, f"{settings.route_prefix}/api/")
        middlewares = [self.connections.middleware, answer_errors, self._access.middleware]
        app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(self._access.add_headers)
        prefix, telemetry_path = settings.route_prefix, settings.telemetry_path
        app.add_routes(
            [
                web.get(prefix + telemetry_path, Scrapes(context, settings.max_requests).handle),
                web.get(f"{prefix}/-/healthy", handlers.healthy),
                web.get(f"{prefix}/-/ready", handlers.ready),
                web.post(f"{prefix}/-/reload", handlers.reload),
                web.put(f"{prefix}/-/reload", handlers.reload),
                web.get(f"{prefix}/config", handlers.config),
                web.get(prefix + follow.PATH, self._follow.handle),
                *StreamsApi(context, prefix).routes(),
            ]
        )
        if telemetry_path != "/":
            app.router.add_get(f"{prefix}/", handlers.landing)
            app.router.add_get(f"{prefix}/{SCRIPT}", handlers.script)
        if prefix:
            app.router.add_get("/", _redirect(f"{prefix[1:]}/"))
            app.router.add_get(prefix, _redirect(f"{prefix.rpartition('/')[2]}/"))
        return app

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
        self._follow.close()
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
        self._follow.tick()
        if now - self._swept_at >= min(SWEEP_SECONDS, self.connections.timeouts.head_seconds):
            self._swept_at = now
            self.connections.check_timeouts()
        if self._config.is_due and self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh(), name="web configuration")

    async def _refresh(self) -> None:
        """Take over what has changed in the configuration file and the files that it names."""
        before = self._config.loaded
        try:
            await CONFIG.run(self._config.refresh, self._config.path)
        except BlockedError:
            self._config.not_answered()
        finally:
            self._refreshing = None
        if self._config.loaded.context is not before.context:
            self.connections.retire()
        if self._config.loaded is not before:
            self._follow.end_all()  # who may follow is asked anew


def _redirect(location: str) -> Handler:
    """A handler that sends the client on to a relative address."""

    async def redirect(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={hdrs.LOCATION: location})

    return redirect


@dataclass(frozen=True, slots=True)
class _Handlers:
    """The handlers that are neither a scrape nor the API."""

    context: WebContext
    telemetry_path: str
    access: AccessControl
    trouble: Callable[[], str | None]
    script_text: str
    links: Links

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

    async def script(self, _: web.Request) -> web.Response:
        return web.Response(text=self.script_text, content_type="text/javascript")

    async def landing(self, request: web.Request) -> web.Response:
        streams = [
            (stream_object(stream), map(event_object, stream.snapshot().events))
            for stream in self.context.streams().values()
        ]
        refusal = self.access.control_refusal(request)
        checkpoints = self.context.checkpoints
        warning = None if checkpoints is None else checkpoints.trouble()
        failures = self.context.exposition.self_metrics.failures()
        page = landing_page(self.context.version, self.telemetry_path, streams, refusal, warning, failures, self.links)
        headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
        return web.Response(text=redact_data(page), content_type="text/html", headers=headers)


def _answer_errors(metrics: SelfMetrics, api: str) -> Middleware:
    """Give each error the form that its path promises: JSON below `api`, one line of text elsewhere."""

    def answer(request: web.Request, error: HttpError) -> web.Response:
        if request.path.startswith(api):
            return json_response({"error": error.sentence, **error.details}, error.status, error.headers)
        return web.Response(status=error.status, text=f"{error.status} {error.sentence}\n", headers=error.headers)

    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except HttpError as error:
            response = answer(request, error)
            if error.counted is not None:
                metrics.add(catalog.REQUESTS_REFUSED, 1, error.counted)
            if error.counted == "body":
                response.force_close()  # what is left of the body is not read
            return response
        except web.HTTPException as error:
            allow = error.headers.get(hdrs.ALLOW)
            return answer(request, HttpError(error.status, error.reason, headers={hdrs.ALLOW: allow} if allow else {}))
        except ConnectionError:
            raise  # the client has gone; aiohttp knows what to do
        except Exception as error:  # noqa: BLE001 - whatever it is, a client must get an answer and no traceback
            metrics.add(catalog.HTTP_ERRORS)
            _log.error("request.failed", method=request.method, path=request.path, error=error)
            return answer(request, HttpError(500, "internal error; the log says more"))

    return answer_errors
