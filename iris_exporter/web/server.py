"""The exporter's HTTP server: scrapes, health, configuration, stream control, and a page for people."""

from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from iris_exporter.errors import ConfigError
from iris_exporter.logs import get_logger
from iris_exporter.web.access import Guard
from iris_exporter.web.api import StreamsApi, UnknownStreamError, json_response
from iris_exporter.web.context import WebContext
from iris_exporter.web.page import CONTENT_SECURITY_POLICY, landing_page
from iris_exporter.web.scrape import Scrapes
from iris_exporter.web.views import stream_object

_API = "/api/"
# `same-origin` and not `no-referrer`: with the latter browsers send `Origin: null` from our own forms.
_HEADERS = {
    "Server": "iris-exporter",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_SAFE = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})

_log = get_logger(__name__)


def make_app(context: WebContext, guard: Guard | None = None) -> web.Application:
    """Build the application; start it with an `AppRunner` whose access log is off.

    `guard` None lets everybody in. With one, listen through `gate.GuardedSite`.
    """
    door = _Door(context, guard)
    app = web.Application(middlewares=[_middleware(context)])
    app.on_response_prepare.append(_add_headers)
    if guard is not None:
        app.middlewares.insert(0, guard.middleware(_refusal(context.route_prefix)))
        app.on_response_prepare.append(guard.add_headers)
    prefix = context.route_prefix
    app.add_routes(
        [
            web.get(prefix + context.telemetry_path, Scrapes(context).handle),
            web.get(f"{prefix}/-/healthy", door.healthy),
            web.get(f"{prefix}/-/ready", door.ready),
            web.post(f"{prefix}/-/reload", door.reload),
            web.put(f"{prefix}/-/reload", door.reload),
            web.get(f"{prefix}/config", door.config),
            *StreamsApi(context).routes(),
        ]
    )
    if context.telemetry_path != "/":
        app.router.add_get(f"{prefix}/", door.landing)
    if prefix:
        app.router.add_get("/", _to(f"{prefix[1:]}/"))
        app.router.add_get(prefix, _to(f"{prefix.rpartition('/')[2]}/"))
    return app


def _to(location: str) -> Handler:
    """A handler that sends the client on to a relative address."""

    async def redirect(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={hdrs.LOCATION: location})

    return redirect


class _Door:
    """The handlers that are neither a scrape nor the API."""

    def __init__(self, context: WebContext, guard: Guard | None) -> None:
        self._context = context
        self._guard = guard

    async def healthy(self, _: web.Request) -> web.Response:
        trouble = None if self._guard is None else self._guard.trouble()
        if trouble is not None:
            return web.Response(status=503, text=f"iris-exporter is not healthy: {trouble}\n")
        return web.Response(text="iris-exporter is healthy\n")

    async def ready(self, _: web.Request) -> web.Response:
        if self._context.ready():
            return web.Response(text="iris-exporter is ready\n")
        return web.Response(status=503, text="iris-exporter is starting\n")

    async def reload(self, _: web.Request) -> web.Response:
        try:
            await self._context.reload()
        except ConfigError as error:
            return web.Response(status=400, text=f"the configuration was not changed:\n{error}\n")
        return web.Response(text="the configuration was loaded\n")

    async def config(self, _: web.Request) -> web.Response:
        return web.Response(text=self._context.config_text())

    async def landing(self, request: web.Request) -> web.Response:
        streams = [stream_object(control) for control in self._context.streams().values()]
        refusal = None if self._guard is None else self._guard.control_refusal(request)
        page = landing_page(
            self._context.version, self._context.telemetry_path, streams, refusal, self._context.state_trouble()
        )
        headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
        return web.Response(text=page, content_type="text/html", headers=headers)


def _middleware(context: WebContext) -> Middleware:
    refuse = _refusal(context.route_prefix)

    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.method not in _SAFE and not is_same_origin(request, context.external_url):
                return refuse(request, 403, "a page of another origin must not do this")
            return await handler(request)
        except UnknownStreamError as error:
            return json_response({"error": str(error), "known": error.known}, status=404)
        except web.HTTPException as error:
            allow = error.headers.get(hdrs.ALLOW)
            return refuse(request, error.status, error.reason, {hdrs.ALLOW: allow} if allow else {})
        except ConnectionError:
            raise  # the client has gone; aiohttp knows what to do
        except Exception as error:  # noqa: BLE001 - whatever it is, a client must get an answer and no traceback
            context.exposition.self_metrics.http_error()
            _log.error("request.failed", method=request.method, path=request.path, error=error)
            return refuse(request, 500, "internal error; the log says more")

    return answer_errors


def is_same_origin(request: web.BaseRequest, external_url: str | None = None) -> bool:
    """Whether a request may change something: it comes from no browser, or from a page of our own.

    `Sec-Fetch-Site` is a browser's own word and holds behind a proxy that rewrites `Host`; older browsers send only
    `Origin`, which is compared with `Host` and the external address. Source: Fetch Metadata; RFC 6454, section 7.
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


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers[name] = value


def _refusal(prefix: str) -> Callable[..., web.Response]:
    """Makes an error in the form that the path promises: JSON under the API, one line of text elsewhere."""
    api = prefix + _API

    def refuse(request: web.Request, status: int, reason: str, headers: dict[str, str] | None = None) -> web.Response:
        if request.path.startswith(api):
            return json_response({"error": reason}, status, headers)
        return web.Response(status=status, text=f"{status} {reason}\n", headers=headers)

    return refuse
