"""Kinds of values that say under which path the server's own routes are, and what they mean together."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from iris_exporter.config.values import BadValueError, Kind, quoted
from iris_exporter.core import urls

_SEGMENTS = re.compile(r"(?:[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*)?", re.ASCII)
_MOST = 200


def normal_prefix(path: str) -> str:
    """Return a path with a slash in front and none behind, "" for the root. ValueError when it cannot be a prefix."""
    inner = path.strip("/")
    if len(path) > _MOST or not _SEGMENTS.fullmatch(inner) or {".", ".."} & set(inner.split("/")):
        raise ValueError(path)
    return f"/{inner}" if inner else ""


def prefix_of(external_url: str | None) -> str:
    """Return the prefix that an address asks for where none is given: its path."""
    return normal_prefix(urlsplit(external_url).path) if external_url else ""


def _read_prefix(text: str, _base: Path) -> str:
    try:
        if text:
            return normal_prefix(text)
    except ValueError:
        pass  # said below, with the empty text
    raise BadValueError(ROUTE_PREFIX.syntax)


def _read_external(text: str, _base: Path) -> str:
    problem = urls.problem(text, ("http", "https"))
    if problem:
        raise BadValueError(f"{EXTERNAL_URL.syntax} ({problem})")
    if "?" in text or "#" in text or "@" in urlsplit(text).netloc:
        raise BadValueError(EXTERNAL_URL.syntax)
    try:
        prefix_of(text)
    except ValueError:
        raise BadValueError(f"{EXTERNAL_URL.syntax} (its path is no prefix)") from None
    return text


ROUTE_PREFIX = Kind(
    "a path such as /iris of letters, digits, dots, dashes, underscores and tildes, or / for none",
    "PATH",
    _read_prefix,
    lambda value: str(value) or "/",
)
EXTERNAL_URL = Kind(
    "an http:// or https:// URL without user, query and fragment",
    "URL",
    _read_external,
    shown=lambda text: quoted(urls.redact(text)),
)
