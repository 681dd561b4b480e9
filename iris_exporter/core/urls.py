"""Addresses of streams: what is wrong with one, how to show one, and when two are the same. Pure."""

import ipaddress
import re
from urllib.parse import SplitResult, unquote_plus, urlsplit, urlunsplit

MASK = "redacted"
"""Stands for a secret in a URL; needs no escaping there."""

_SECRET = re.compile(r"key|token|secret|passw|pwd|auth|credential|signature|\bsig\b|session|jwt", re.IGNORECASE)
_BRACKETS = re.compile(r"\[[^\]]*:[^\]]*\](?::\d*)?|[^\[\]]*", re.ASCII)
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
# Two schemes name the same endpoint: a WebSocket begins as an HTTP request to it.
_SAME = {"ws": "http", "wss": "https"}

_LABEL = re.compile(r"[A-Za-z0-9_~-]{1,63}", re.ASCII)
_MAX_NAME_CHARS = 253


def is_host(text: str) -> bool:
    """Whether `text` is an IP address, without brackets, or a name that can be looked up; a dot at its end may stay.

    Names beyond ASCII come in their encoded form (`xn--...`).
    Source: RFC 1035, section 2.3.4 (lengths of labels and names); RFC 6874 (zones of IPv6).
    """
    if ":" in text:
        try:
            ipaddress.IPv6Address(text.replace("%25", "%"))
        except ValueError:
            return False
        return text.isascii()
    name = text.removesuffix(".")
    return len(name) <= _MAX_NAME_CHARS and all(_LABEL.fullmatch(label) for label in name.split("."))


def problem(url: str, schemes: tuple[str, ...]) -> str | None:
    """Return what keeps `url` from being the address of an endpoint, or None; never quotes a secret."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return "blanks and characters beyond ASCII have to be escaped"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "the host or the port is not valid"
    if parts.scheme.lower() not in schemes:
        return "the scheme is missing" if not parts.scheme or "://" not in url else f"the scheme is {parts.scheme}"
    if "@" in parts.netloc:
        return "no user or password in it; put the key in a file and name it by api-key-file"
    # What stands between a bracket and the port is lost to the parser, and a later form of addresses passes.
    if not parts.hostname or not is_host(parts.hostname) or port == 0 or not _BRACKETS.fullmatch(parts.netloc):
        return "the host is missing or not valid" if port != 0 else "port 0 cannot be connected to"
    return "a fragment (#) is never sent" if parts.fragment else None


def redact(url: str) -> str:
    """Return `url` without user, password, and the values of query parameters whose names suggest a secret.

    Takes any text: what cannot be taken apart as a URL loses everything up to an `@` and after a `?`.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        head = url.partition("?")[0]
        return head.rpartition("@")[2]
    netloc = parts.netloc
    path = parts.path
    if "@" in netloc:
        netloc = f"{MASK}@{netloc.rpartition('@')[2]}"
    elif "@" in path:
        path = f"{MASK}@{path.rpartition('@')[2]}"
    return urlunsplit(SplitResult(parts.scheme, netloc, path, _redact_query(parts.query), parts.fragment and MASK))


def secrets(url: str) -> list[str]:
    """Return the values of query parameters that `redact` hides, for the log's own redaction.

    Each comes decoded and as it is written, because there are several ways to escape the same text.
    """
    parameters = [piece.partition("=") for piece in urlsplit(url).query.split("&")]
    values = [value for name, _, value in parameters if value and is_secret(name)]
    return list(dict.fromkeys(text for value in values for text in (unquote_plus(value), value)))


def endpoint(url: str) -> tuple[str, str, int, str, str]:
    """Return what two URLs share exactly when they lead to the same endpoint; `url` is valid."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    port = parts.port or _PORTS[scheme]
    return _SAME.get(scheme, scheme), (parts.hostname or "").rstrip("."), port, parts.path or "/", parts.query


def _redact_query(query: str) -> str:
    pieces = []
    for piece in query.split("&"):
        name, equals, value = piece.partition("=")
        pieces.append(f"{name}={MASK}" if equals and value and is_secret(name) else piece)
    return "&".join(pieces)


def is_secret(name: str) -> bool:
    """Whether the name of a parameter suggests that its value is a secret."""
    return _SECRET.search(unquote_plus(name)) is not None
