"""Which protocol an endpoint speaks, found out in as few requests as possible.

An address that says WebSocket is one. Any other is asked once for an event stream (preferred) or JSON, and the answer
decides: an event stream *is* the connection, JSON is something to poll, and a refusal that an upgrade may cure leads
to one upgrade. What worked is remembered for the next reconnect; an answer that does not fit the memory clears it.
Source: the IRIS wire, section 4, and the issue of protocol detection in the contract.
"""

from enum import StrEnum
from urllib.parse import urlencode, urlsplit, urlunsplit

UPGRADE_MAY_CURE = frozenset({400, 404, 405, 426})
"""Statuses with which servers that only speak WebSocket answer a plain GET."""

_HTTP_SCHEMES = {"ws": "http", "wss": "https"}
_OF_A_PAGE = frozenset({"after", "limit"})

MISFITS = frozenset({"not_a_stream", "upgrade_refused", "not_found", "http_client_error", "handshake", "redirect"})
"""Reasons that say: the endpoint answered, but not in the protocol that was remembered."""


class Probe(StrEnum):
    """The request to make next."""

    UPGRADE = "upgrade"  # a WebSocket handshake
    STREAM = "stream"  # GET that accepts an event stream only
    NEGOTIATE = "negotiate"  # GET that accepts an event stream, or else JSON
    POLL = "poll"  # nothing to dial


class Answer(StrEnum):
    """What the answer to a GET means."""

    EVENT_STREAM = "event-stream"
    JSON = "json"
    TRY_UPGRADE = "try-upgrade"
    NOT_A_STREAM = "not-a-stream"
    FAILED = "failed"  # the status says why


def is_websocket_address(url: str) -> bool:
    """Whether the address alone says WebSocket: `ws(s)://`, a path with `/ws/` or one that ends in `/ws`."""
    parts = urlsplit(url)
    return parts.scheme in ("ws", "wss") or "/ws/" in parts.path or parts.path.endswith("/ws")


def first_probe(configured: str, url: str, remembered: str | None) -> Probe:
    """The first request of a dial. `configured` is the option, `remembered` what worked last (None: nothing yet)."""
    if configured == "websocket":
        return Probe.UPGRADE
    if configured == "sse":
        return Probe.STREAM
    if configured == "poll":
        return Probe.POLL
    if is_websocket_address(url) or remembered == "websocket":
        return Probe.UPGRADE
    return Probe.NEGOTIATE


def read_answer(probe: Probe, status: int, content_type: str) -> Answer:
    """What an HTTP answer to a GET of `probe` means; `content_type` is without parameters, in lower case."""
    if status == 200:
        if content_type == "text/event-stream":
            return Answer.EVENT_STREAM
        if probe is Probe.NEGOTIATE and is_json(content_type):
            return Answer.JSON
        return Answer.NOT_A_STREAM
    if probe is Probe.NEGOTIATE and status in UPGRADE_MAY_CURE:
        return Answer.TRY_UPGRADE
    return Answer.FAILED


def is_json(content_type: str) -> bool:
    """Whether a body is JSON by its type, which is without parameters and in lower case."""
    return content_type in ("application/json", "text/json") or content_type.endswith("+json")


def accept_header(probe: Probe) -> str:
    """The Accept header of a GET of `probe`."""
    return "text/event-stream" if probe is Probe.STREAM else "text/event-stream, application/json;q=0.5"


def as_http(url: str) -> str:
    """The address with an HTTP scheme; everything else stays as it is written."""
    scheme, colon, rest = url.partition(":")
    scheme = scheme.lower()
    return f"{_HTTP_SCHEMES.get(scheme, scheme)}{colon}{rest}" if colon else url


def snapshot_addresses(url: str) -> tuple[str, ...]:
    """Where a stream's REST snapshot is likely to be, the likeliest first.

    `/api/stream/...` belongs to `/api/overview`, deployed as `/api/iris/overview`; whatever prefix stands before
    `/api/` stays. An address without `/api/` is looked for at the root of its host. The query stays, since keys and
    filters of the stream are those of its snapshot, too.
    """
    parts = urlsplit(as_http(url))
    prefix, found, _ = parts.path.partition("/api/")
    base = prefix if found else ""
    paths = [f"{base}/api/overview", f"{base}/api/iris/overview"]
    if "/api/iris/" in parts.path:
        paths.reverse()
    return tuple(urlunsplit(parts._replace(path=path, fragment="")) for path in paths)


def page_address(snapshot_url: str, after: str, limit: int) -> str | None:
    """Where the events that follow a position are, beside a snapshot's address; None for an address of another kind.

    Of the query of the snapshot everything stays as it is written; an `after` or a `limit` in it would not be those of
    a page.
    """
    parts = urlsplit(snapshot_url)
    base, found, _ = parts.path.rpartition("/overview")
    if not found:
        return None
    kept = [piece for piece in parts.query.split("&") if piece and piece.partition("=")[0] not in _OF_A_PAGE]
    query = "&".join((*kept, urlencode({"after": after, "limit": limit})))
    return urlunsplit(parts._replace(path=f"{base}/events", query=query, fragment=""))


def is_page_address(url: str) -> bool:
    """Whether an address is one of `page_address`."""
    parts = urlsplit(url)
    return parts.path.endswith("/events") and any(piece.startswith("after=") for piece in parts.query.split("&"))


def without_credentials(url: str) -> str:
    """The address as far as it may be shown: no user, no query, no fragment."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
