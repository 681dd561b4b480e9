"""Pages of other origins: which of them may use the API, and what their browsers are told.

A browser lets a page of another origin read an answer when the answer allows it (CORS; Source: Fetch, 3.2). It opens a
WebSocket for any page and leaves it to the server to look at `Origin` (RFC 6455, 10.2).
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from multidict import CIMultiDict

from iris_exporter.core.urls import is_host

PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID, If-None-Match",
    # Browsers keep it for at most one to two hours, some for ten minutes.
    "Access-Control-Max-Age": "3600",
}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_EXPOSED = "ETag, Iris-Cursor, Iris-Resume, Iris-Missed, Iris-More, Retry-After"


def parse_origin(text: str) -> str:
    """Return an origin as browsers write it: in small letters, and without the usual port.

    Raises:
        ValueError: No origin, or one that says nothing, such as `*` and `null`.
    """
    parts = urlsplit(text.lower())
    host, port = parts.hostname or "", parts.port
    if parts.scheme not in _DEFAULT_PORTS or not is_host(host) or text.lower() != f"{parts.scheme}://{parts.netloc}":
        raise ValueError(text)
    if "@" in parts.netloc or parts.netloc.endswith(":"):
        raise ValueError(text)
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + ("" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}")


def is_foreign(origin: str | None, host: str | None, allowed: Collection[str]) -> bool:
    """Whether a request comes from a page that is neither ours, by its `Host`, nor of an allowed origin.

    A request without `Origin` comes from no page. The scheme is not compared, since a proxy may have ended TLS.
    """
    if origin is None or origin in allowed:
        return False
    try:
        place = urlsplit(origin).netloc.lower()
    except ValueError:
        return True
    return not place or place != (host or "").lower()


def describe_access(headers: CIMultiDict[str], origin: str | None, allowed: Collection[str]) -> None:
    """Add to the headers of an answer which page may read it; caches must keep one answer for each origin."""
    headers["Vary"] = f"{headers['Vary']}, Origin" if "Vary" in headers else "Origin"
    if origin is not None and origin in allowed:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Allow-Credentials"] = "true"
        headers["Access-Control-Expose-Headers"] = _EXPOSED
