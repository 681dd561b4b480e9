"""Whether a redirect is followed, and whether the key goes along.

Whoever answers can redirect, and the key may belong to somebody else. So the key, the headers of the operator's choice
and the client certificate go only to the configured origin (scheme, host, port); once a redirect has left that origin
they are not sent, even when a later redirect returns to it. A WebSocket that will be told secrets in messages is made
nowhere else at all. Redirects are not remembered, because many last minutes: the next request starts from the
configured address.

Source: RFC 9110, section 15.4; WHATWG Fetch, 4.4 "HTTP-redirect fetch".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urldefrag, urljoin, urlsplit

from iris_exporter.core.failures import Failure
from iris_exporter.core.negotiation import as_http

MAX_HOPS = 5
"""Redirects in a row; real chains (a path, a host, http to https) have three."""

STATUSES = frozenset({301, 302, 303, 307, 308})
"""All requests here are GETs, for which these five mean the same."""

_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Hop:
    """The next request. `url` is absolute, http or https, without user and fragment."""

    url: str
    keep_credentials: bool


def origin(url: str) -> Origin:
    """Scheme, host and port of a valid address; `ws` counts as `http` and `wss` as `https`, as they begin alike.

    Raises:
        ValueError: Not an address of one of these schemes.
    """
    parts = urlsplit(as_http(url))
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("not an address that can be requested")
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]


def next_hop(current_url: str, location: str, hops: Sequence[str]) -> Hop | Failure:
    """Decide about one redirect.

    Args:
        current_url: The address that redirects.
        location: Its `Location` header as it came; empty when there was none.
        hops: All addresses requested so far, from the configured one to the current one.
    """
    if len(hops) > MAX_HOPS:
        return _refused(f"after {MAX_HOPS} others")
    target = _target(current_url, location)
    if isinstance(target, Failure):
        return target
    here, there = origin(current_url), origin(target)
    if here[0] == "https" and there[0] == "http":
        return _refused(f"from https to {_shown(there)}, which is not encrypted")
    if target in {_normal(url) for url in hops}:
        return _refused(f"in circles, by way of {_shown(there)}")
    home = origin(hops[0])
    return Hop(target, keep_credentials=all(origin(url) == home for url in (*hops, target)))


def refused_without_credentials(url: str, failure: Failure) -> Failure:
    """The failure of a redirected request that was refused because the key was not sent along."""
    if failure.reason not in ("unauthorized", "forbidden"):
        return failure
    return _refused(f"to {_shown(origin(url))}, which wants a key; the key is sent to the configured origin alone")


def refused_with_secrets(url: str) -> Failure:
    """The failure of a redirect to another origin, which would be told secrets in messages."""
    where = _shown(origin(url))
    return _refused(f"to {where}, which would be told a secret; secrets are sent to the configured origin alone")


def _target(current_url: str, location: str) -> str | Failure:
    """The address that `location` means, fit to be requested."""
    text = location.strip(" \t")
    if not text:
        return _refused("without an address")
    # A backslash is a slash to some parsers and a letter to others, which is how a host is smuggled in.
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        return _refused("to an address with characters that none can have")
    try:
        target = _normal(urljoin(as_http(current_url), text))
        origin(target)
    except ValueError:
        return _refused("to an address that cannot be requested")
    if "@" in urlsplit(target).netloc:
        return _refused("to an address with a user or a password in it")
    return target


def _normal(url: str) -> str:
    """The address as it is requested; two spellings of the root are one."""
    parts = urlsplit(urldefrag(as_http(url)).url)
    return parts._replace(path=parts.path or "/").geturl()


def _shown(where: Origin) -> str:
    """An origin for a message. Never the whole address: its path and query may hold a secret."""
    scheme, host, port = where
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" + ("" if port == _PORTS[scheme] else f":{port}")


def _refused(how: str) -> Failure:
    return Failure("redirect", f"a redirect {how}")
