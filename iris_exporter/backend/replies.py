"""HTTP answers that several handlers share: JSON, errors, and what a client accepts."""

from collections.abc import Mapping

from aiohttp import web

from iris_exporter.backend.service import Service
from iris_exporter.backend.wire import encode, error_body

SERVICE = web.AppKey("service", Service)
"""Where the handlers find the service in their application."""


def json_response(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer with JSON; bytes are taken as JSON that is already encoded."""
    content = body if isinstance(body, bytes) else encode(body)
    return web.Response(
        body=content,
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-cache", **(headers or {})},
    )


def error_response(
    status: int,
    code: str,
    message: str | None = None,
    *,
    retry_after: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Answer with the `error` message of the wire; `retry_after` (seconds) is also sent as a header."""
    extra = dict(headers or {})
    if retry_after is not None:
        extra["Retry-After"] = str(retry_after)
    if status == 401:
        extra["WWW-Authenticate"] = 'Bearer realm="iris"'
    return json_response(error_body(code, message, retry_after), status=status, headers=extra)


def _weights(header: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in header.split(","):
        name, *parameters = (piece.strip() for piece in part.lower().split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        if name:
            weights[name] = max(weight, weights.get(name, 0.0))
    return weights


def accepts(header: str | None, media_type: str) -> bool:
    """Tell whether an `Accept` header (None: absent) allows `media_type`; the most specific range decides.

    Source: RFC 9110, 12.5.1.
    """
    if header is None or not header.strip():
        return True
    weights = _weights(header)
    for key in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
        if key in weights:
            return weights[key] > 0
    return False


def accepts_gzip(header: str | None) -> bool:
    """Tell whether an `Accept-Encoding` header (None: absent) asks for gzip. Source: RFC 9110, 12.5.3."""
    if header is None:
        return False
    weights = _weights(header)
    return weights.get("gzip", weights.get("*", 0.0)) > 0
