"""The head of each answer, noted as aiohttp receives it: status, type, clock, and what says that a proxy is between."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from urllib.parse import urlsplit

import aiohttp

from iris_exporter.check.observations import Head, Observation
from iris_exporter.clock import Clock
from iris_exporter.http.session import RedirectedError

_PROXIES = ("nginx", "envoy", "cloudflare", "haproxy", "squid", "varnish", "traefik", "caddy", "awselb", "istio")
_BETWEEN_HEADERS = ("Via", "X-Cache", "CF-Ray", "X-Envoy-Upstream-Service-Time", "X-Squid-Error")


def note_heads(seen: Observation, url: str, clock: Clock) -> aiohttp.TraceConfig:
    """Note the head of each answer, and where redirects lead."""
    own = urlsplit(url).netloc.rpartition("@")[2]

    async def started(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.started = clock.monotonic()

    async def ended(_: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestEndParams) -> None:
        response = params.response
        at, seconds = clock.wall(), clock.monotonic() - context.started
        between = _between(response.headers)
        seen.heads.append(
            Head(response.status, response.content_type.lower(), seconds, at, _date(response.headers), between)
        )

    async def failed(
        _: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestExceptionParams
    ) -> None:
        if isinstance(params.exception, RedirectedError):
            host = urlsplit(params.exception.location).netloc.rpartition("@")[2]
            if host and host != own:
                seen.redirected_to.append(host)

    config = aiohttp.TraceConfig()
    config.on_request_start.append(started)
    config.on_request_end.append(ended)
    config.on_request_exception.append(failed)
    return config


def _between(headers: Mapping[str, str]) -> str:
    """What in the head of an answer says that a proxy stands between; a server names itself as one, too."""
    for name in _BETWEEN_HEADERS:
        if name in headers:
            return f"{name}: {headers[name][:60]}"
    server = headers.get("Server", "")
    return f"Server: {server[:60]}" if any(name in server.lower() for name in _PROXIES) else ""


def _date(headers: Mapping[str, str]) -> float | None:
    if "Age" in headers:  # an answer of a cache, which has the date of long ago
        return None
    try:
        return parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None
