"""HTTP answers that several handlers share."""

from collections.abc import Mapping

from aiohttp import web

from iris_exporter.backend.service import Service
from iris_exporter.backend.wire import encode, error_body

SERVICE = web.AppKey("service", Service)
"""Where the handlers find the service in their application."""


ERROR_CODE = web.ResponseKey("error code", str)
"""What an answer that refuses says."""


def json_response(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer with JSON; bytes are taken as JSON that is already encoded."""
    content = body if isinstance(body, bytes) else encode(body)
    extra = {"Cache-Control": "no-cache", **(headers or {})}
    return web.Response(body=content, status=status, content_type="application/json", headers=extra)


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
    response = json_response(error_body(code, message, retry_after), status=status, headers=extra)
    response[ERROR_CODE] = code
    return response
