"""Headers of the operator's choice: their syntax, and the names that the exporter sets itself.

Source: RFC 9110, sections 5.1 (names), 5.5 (values) and 7.6.1 (hop-by-hop); RFC 6455, section 11.3.
"""

import re
from collections.abc import Iterable

Header = tuple[str, str]

MAX_HEADERS_FILE_BYTES = 64 * 1024
"""More than any server accepts as the head of a request."""

MAX_VALUE_CHARS = 8 * 1024
"""What web servers accept as one header line."""

SHORTEST_SECRET = 6
"""Values below this length are not hidden in logs: they would turn half a line into masks, and are hardly secrets."""

CONNECTION_HEADERS = frozenset(
    {
        "connection", "content-encoding", "content-length", "expect", "host", "keep-alive", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Of one connection or one body, and so the business of whoever sends it; in lower case."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}", re.ASCII)
_VALUE = re.compile(r"[\x21-\x7E](?:[\x20-\x7E\t]*[\x21-\x7E])?", re.ASCII)
# Headers of one connection and not of the request, or set by the exporter.
_RESERVED = CONNECTION_HEADERS | {
    *("accept", "accept-encoding", "cache-control", "if-match", "if-modified-since", "if-none-match", "if-range"),
    *("if-unmodified-since", "last-event-id", "range"),
}
_RESERVED_PREFIXES = ("sec-", "proxy-")
AUTHORIZATION = "authorization"


class BadHeaderError(ValueError):
    """A line is no header that may be sent; the text says why and never quotes the value."""


def is_name(text: str) -> bool:
    """Whether it can be the name of a header."""
    return _NAME.fullmatch(text) is not None


def parse(line: str) -> Header:
    """Return name and value of `Name: value`.

    Raises:
        BadHeaderError: Not that, or a name that is reserved.
    """
    name, colon, rest = line.partition(":")
    if not colon:
        raise BadHeaderError("there is no colon after the name")
    if not is_name(name):
        raise BadHeaderError("the name is empty or has characters that no header name can have")
    if name.lower() in _RESERVED or name.lower().startswith(_RESERVED_PREFIXES):
        raise BadHeaderError(f"{name} is set by the exporter itself")
    value = rest.strip(" \t")
    if not value:
        raise BadHeaderError(f"{name} has no value")
    if len(value) > MAX_VALUE_CHARS:
        raise BadHeaderError(f"the value of {name} has more than {MAX_VALUE_CHARS} characters")
    if not _VALUE.fullmatch(value):
        raise BadHeaderError(f"the value of {name} has a line end, or other characters beyond printable ASCII")
    return name, value


def parse_file(content: bytes) -> tuple[Header, ...]:
    """Return the headers of a file: one in each line; empty lines, and lines that begin with `#`, are left out.

    Raises:
        BadHeaderError: A line is none, or comes twice; the text has its number.
    """
    if len(content) > MAX_HEADERS_FILE_BYTES:
        raise BadHeaderError(f"more than {MAX_HEADERS_FILE_BYTES} bytes")
    headers: list[Header] = []
    # Latin-1 maps every byte to a character, so that what is not ASCII is found below, with its line.
    for number, line in enumerate(content.decode("latin-1").replace("\r\n", "\n").split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            headers.append(parse(line))
        except BadHeaderError as error:
            raise BadHeaderError(f"line {number}: {error}") from None
        if twice := repeated(headers):
            raise BadHeaderError(f"line {number}: {twice} a second time")
    return tuple(headers)


def repeated(headers: Iterable[Header]) -> str | None:
    """The first name that comes twice, in whatever case; None when all differ."""
    seen: set[str] = set()
    for name, _ in headers:
        if name.lower() in seen:
            return name
        seen.add(name.lower())
    return None


def has_authorization(headers: Iterable[Header]) -> bool:
    """Whether one of them is the header that the key file is for."""
    return any(name.lower() == AUTHORIZATION for name, _ in headers)
