"""Where a source with a mapping is asked, and with what: the key, the cursor, pages. Pure.

The cursor that is sent may lie before the last one that came (`rewind`): what comes again is known by its id.
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urljoin, urlsplit

from iris_exporter.core.failures import RETRY_AFTER_CAP_SECONDS
from iris_exporter.core.negotiation import as_http
from iris_exporter.decoding.mapped.values import MAX_CURSOR_DIGITS
from iris_exporter.mapping.spec import Authorize, Rewind

_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_IS_NEXT = re.compile(r';\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next\b)', re.IGNORECASE)
_SECONDS = re.compile(r"\s*\d{1,9}(?:\.\d{1,9})?\s*", re.ASCII)


def rewound(cursor: str, rewind: Rewind | None) -> str:
    """The cursor to ask for: each number of it that is to be lowered, but not below 0."""
    if rewind is None:
        return cursor
    by = rewind.by

    def lowered(digits: str) -> str:
        is_number = digits.isascii() and digits.isdigit() and len(digits) <= MAX_CURSOR_DIGITS
        return str(max(0, int(digits) - by)) if is_number else digits

    def replaced(match: re.Match[str]) -> str:
        start, end = (place - match.start() for place in match.span(1))
        return match.group()[:start] + lowered(match.group(1)) + match.group()[end:]

    return lowered(cursor) if rewind.pattern is None else rewind.pattern.sub(replaced, cursor)


def with_query(url: str, pairs: Iterable[tuple[str, str]]) -> str:
    """The address with these parameters, in place of what it has of the same names; the rest stays as it is written."""
    new = {quote(name, safe=""): quote(value, safe="") for name, value in pairs}
    if not new:
        return url
    address, hash_sign, fragment = url.partition("#")
    address, _, query = address.partition("?")
    others = [pair for pair in query.split("&") if pair and pair.partition("=")[0] not in new]
    query = "&".join([*others, *(f"{name}={value}" for name, value in new.items())])
    return f"{address}?{query}{hash_sign}{fragment}"


def key_header(authorize: Authorize) -> str | None:
    """The header that the key goes into; None where it goes elsewhere, or nowhere."""
    return (authorize.name or "Authorization") if authorize.scheme == "header" else None


def origin(url: str) -> str:
    """Scheme and host of an address, as HTTP has them."""
    parts = urlsplit(as_http(url))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def pause_seconds(value: str | None) -> float | None:
    """The seconds that a header asks for, an hour at most; None for anything else."""
    if value is None or not _SECONDS.fullmatch(value):
        return None
    return min(float(value), RETRY_AFTER_CAP_SECONDS)


def next_page(url: str, headers: Mapping[str, str]) -> str | None:
    """The address of the next page (RFC 8288), None without one, or where it is at another origin.

    The configuration does not name another origin, and it must not be sent the key.
    """
    for address, parameters in _LINK.findall(headers.get("Link", "")[: 8 * 1024]):
        if _IS_NEXT.search(parameters):
            found = urljoin(as_http(url), address.strip())
            return found if origin(found) == origin(url) else None
    return None
