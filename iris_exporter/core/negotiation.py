"""Which protocol an endpoint speaks, found out in as few requests as possible.

An address may show that it is a WebSocket. Any other is asked once for an event stream (preferred) or a document, and
the answer decides: an event stream *is* the connection, a document is something to poll, and a refusal that an upgrade
may cure leads to one upgrade. What worked is remembered for the next reconnect; an answer that does not fit the memory
clears it. Source: the IRIS wire, section 4, and the issue of protocol detection in the contract.
"""

from enum import StrEnum
from urllib.parse import urlsplit, urlunsplit

UPGRADE_MAY_CURE = frozenset({400, 404, 405, 426})
"""Statuses with which servers that only speak WebSocket answer a plain GET."""

GRAPHQL_PATH = "/api/graphql"
GRAPHQL_SUBPROTOCOL = "graphql-transport-ws"

_ENDPOINTS = (
    *("/api/stream", "/api/stream/overview", "/api/stream/events", "/api/stream/telemetry", "/api/iris/ws"),
    *("/api/overview", "/api/iris/overview", GRAPHQL_PATH),
)
"""Where an IRIS may have events with positions."""

_HTTP_SCHEMES = {"ws": "http", "wss": "https"}

MISFITS = frozenset({"not_a_stream", "upgrade_refused", "not_found", "http_client_error", "handshake", "redirect"})
"""Reasons of an endpoint that answered, but not in the protocol that was remembered."""


class Probe(StrEnum):
    """The request to make next."""

    UPGRADE = "upgrade"  # a WebSocket handshake
    STREAM = "stream"  # GET that accepts an event stream only
    NEGOTIATE = "negotiate"  # GET that accepts an event stream, or else a document
    POLL = "poll"  # nothing to dial
    GRAPHQL = "graphql"  # a WebSocket handshake with GraphQL's subprotocol
    LINES = "lines"  # GET that accepts JSON texts one after another


_CONFIGURED = {
    "websocket": Probe.UPGRADE,
    "sse": Probe.STREAM,
    "poll": Probe.POLL,
    "graphql": Probe.GRAPHQL,
    "ndjson": Probe.LINES,
}

JSON_SEQUENCE = "application/json-seq"
LINE_TYPES = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", JSON_SEQUENCE}
    | {"application/jsonlines", "application/stream+json", "application/x-json-stream"}
)
"""Media types of JSON texts one after another."""
_ACCEPT_LINES = f"application/x-ndjson, {JSON_SEQUENCE};q=0.9, application/json;q=0.5"


class Answer(StrEnum):
    """What the answer to a GET means."""

    EVENT_STREAM = "event-stream"
    LINES = "lines"
    DOCUMENT = "document"
    TRY_UPGRADE = "try-upgrade"
    NOT_A_STREAM = "not-a-stream"
    FAILED = "failed"  # for the reason in the status


def first_probe(configured: str, url: str, remembered: str | None, *, graphql: bool = True) -> Probe:
    """The first request of a dial. `configured` is the option, `remembered` what worked last (None: nothing yet).

    An address shows a WebSocket by `ws(s)://`, by a path with `/ws/` or by one that ends in `/ws`, and GraphQL by
    one that ends in `/graphql`, unless the source is none that speaks IRIS's `graphql`.
    """
    if configured in _CONFIGURED:
        return _CONFIGURED[configured]
    if graphql and is_graphql(configured, url):
        return Probe.GRAPHQL
    parts = urlsplit(url)
    is_websocket = parts.scheme in ("ws", "wss") or "/ws/" in f"{parts.path}/"
    return Probe.UPGRADE if is_websocket or remembered == "websocket" else Probe.NEGOTIATE


def is_graphql(configured: str, url: str) -> bool:
    """Whether GraphQL is to be spoken, by the option or by the address."""
    return configured == "graphql" or (configured == "auto" and _is_graphql_path(urlsplit(url).path))


def _is_graphql_path(path: str) -> bool:
    return path.rstrip("/").endswith("/graphql")


def graphql_address(url: str) -> str:
    """Where GraphQL is: an address that ends in `/graphql` is it; any other stands for `/api/graphql` of the same IRIS.

    Whatever prefix stands before `/api/` stays, and so does the query, which may have a key.
    """
    parts = urlsplit(url)
    if _is_graphql_path(parts.path):
        return url
    prefix, found, _ = parts.path.partition("/api/")
    return urlunsplit(parts._replace(path=f"{prefix if found else ''}{GRAPHQL_PATH}", fragment=""))


def read_answer(probe: Probe, status: int, media_type: str, *, is_document: bool, is_endless: bool = False) -> Answer:
    """What an HTTP answer to a GET of `probe` means.

    `media_type` is without parameters, in lower case; `is_document`: the dialect reads it. `is_endless`: what looks
    like a document is a stream of them, as the dialect knows; no media type says so.
    """
    if status == 200:
        if media_type == "text/event-stream":
            return Answer.EVENT_STREAM
        may_be_lines = probe is Probe.LINES or (probe is Probe.NEGOTIATE and is_endless)
        if media_type in LINE_TYPES or (may_be_lines and is_document):
            return Answer.LINES if probe is not Probe.STREAM else Answer.NOT_A_STREAM
        if probe is Probe.NEGOTIATE and is_document:
            return Answer.DOCUMENT
        return Answer.NOT_A_STREAM
    if probe is Probe.NEGOTIATE and status in UPGRADE_MAY_CURE:
        return Answer.TRY_UPGRADE
    return Answer.FAILED


def accept_header(probe: Probe, document_type: str) -> str:
    """The Accept header of a GET of `probe`."""
    if probe is Probe.LINES:
        return _ACCEPT_LINES
    return "text/event-stream" if probe is Probe.STREAM else f"text/event-stream, {document_type};q=0.5"


def as_http(url: str) -> str:
    """The address with an HTTP scheme; everything else stays as it is written."""
    scheme, colon, rest = url.partition(":")
    scheme = scheme.lower()
    return f"{_HTTP_SCHEMES.get(scheme, scheme)}{colon}{rest}" if colon else url


def source_of(url: str) -> str:
    """The IRIS that an address belongs to, whatever its endpoint and transport; of another address the address.

    The same position means the same event at all of its endpoints (docs/protocol.md, section 4).
    """
    address = as_http(url)
    base = next((address.removesuffix(path) for path in _ENDPOINTS if address.endswith(path)), None)
    return address if base is None else f"{base}#iris"  # which no address has that is stored


def without_credentials(url: str) -> str:
    """The address as far as it may be shown: no user, no query, no fragment."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
