"""What is sent to an IRIS source, and where its documents are. Pure. Source: docs/protocol.md, section 4."""

from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from iris_exporter.core.negotiation import as_http

PING = b'{"type":"ping"}'
PONG = b'{"type":"pong"}'
PAGE_EVENTS = 1000
"""Events in a page: the most that the protocol allows."""

_OF_A_PAGE = frozenset({"after", "limit"})


def resume(position: str) -> bytes:
    """The request to go on after a position."""
    return msgspec.json.encode({"type": "resume", "lastEventId": position})


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


def page_address(snapshot_url: str, after: str) -> str | None:
    """Where the events that follow a position are, beside a snapshot's address; None for an address of another kind.

    Of the query of the snapshot everything stays as it is written; an `after` or a `limit` in it would not be those of
    a page.
    """
    parts = urlsplit(snapshot_url)
    base, found, _ = parts.path.rpartition("/overview")
    if not found:
        return None
    others = [piece for piece in parts.query.split("&") if piece and piece.partition("=")[0] not in _OF_A_PAGE]
    query = "&".join((*others, urlencode({"after": after, "limit": PAGE_EVENTS})))
    return urlunsplit(parts._replace(path=f"{base}/events", query=query, fragment=""))
