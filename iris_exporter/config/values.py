"""Types of values: each reads text, says what it expects, and writes the value back.

Text is the one form in which flags, variables and files meet: a YAML scalar is read as it is written, so that `name:
007` keeps its zeros and `30` is the same mistake everywhere.
"""

import os
import re
import socket
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from iris_exporter import logs, units
from iris_exporter.core import keys, request_headers, urls
from iris_exporter.core.hosts import is_host
from iris_exporter.core.keys import BadKeyError
from iris_exporter.core.request_headers import SHORTEST_SECRET, Header
from iris_exporter.core.sharding import ordinal_of

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[A-Za-z0-9._-]*):(?P<port>\d{1,5})", re.ASCII)
_MAX_PREFIX_CHARS = 200
# Served beside the metrics: a telemetry path there would hide them.
_TAKEN = ("/-/", "/api/", "/config/")
_MAX_SHOWN = 80

_Number = TypeVar("_Number", int, float)


class BadValueError(ValueError):
    """A value is not what its type needs: `expected` completes "expected ...", `shown` is fit to be printed.

    `shown` None leaves it to the type how much of the text may be printed.
    """

    def __init__(self, expected: str, shown: str | None = None) -> None:
        super().__init__(expected, shown)
        self.expected = expected
        self.shown = shown


class _ReasonError(ValueError):
    """Why a text is no such value; goes in brackets behind what is expected."""


def quoted(text: str) -> str:
    """Return `text` in quotes, escaped, and cut to a length that fits a line; of an address what may be shown."""
    if "://" in text:
        text = urls.redact(text)
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}...")


def plain(key: str) -> str:
    """Return a key that somebody made up so that it cannot confuse a terminal, fill a screen or show a secret."""
    return key if key.isprintable() and len(key) <= 100 and "://" not in key else quoted(key)


@dataclass(frozen=True, slots=True)
class ValueType:
    """How a text is read and written.

    Args:
        syntax: What is expected, for documentation and errors.
        metavar: What stands for the value in `--help`.
        parse: Text and the directory that relative paths start from, to the value. Any ValueError refuses the text.
        write: The value, to text that `parse` accepts.
        show: Text as it may appear in an error message, without secrets.
        suffix: What the attribute's name has and the option's has not: its unit.
        many: Takes a list: repeated as a flag, a sequence in a file, separated by `separator` in a variable.
        mapping: Of a list: in a file it may be a mapping as well, each entry of which is the text `key: value`.
        switch: A flag that needs no value.
    """

    syntax: str
    metavar: str
    parse: Callable[[str, Path], object]
    write: Callable[[Any], str] = str
    show: Callable[[str], str] = quoted
    suffix: str = ""
    many: bool = False
    separator: str = ","
    mapping: bool = False
    switch: bool = False

    def read(self, text: str, base: Path = Path()) -> Any:
        """Return the value; relative paths start from `base`.

        Raises:
            BadValueError: The text is no such value.
        """
        try:
            return self.parse(text, base)
        except BadValueError:
            raise
        except _ReasonError as reason:
            raise BadValueError(f"{self.syntax} ({reason})") from None
        except ValueError:
            raise BadValueError(self.syntax) from None


# Makers of types


def duration(least: float, most: float) -> ValueType:
    """A duration between `least` and `most` seconds."""
    limits = f"between {units.format_duration(least)} and {units.format_duration(most)}"
    return ValueType(
        f"a duration with a unit (500ms, 3s, 1m30s) {limits}",
        "DURATION",
        lambda text, _: _within(units.parse_duration(text), least, most),
        units.format_duration,
        suffix="_seconds",
    )


def size(least: int, most: int) -> ValueType:
    """A number of bytes between `least` and `most`."""
    return ValueType(
        f"a size (100KiB, 1MiB, 1MB) between {units.format_size(least)} and {units.format_size(most)}",
        "SIZE",
        lambda text, _: _within(units.parse_size(text), least, most),
        units.format_size,
    )


def integer(least: int, most: int) -> ValueType:
    """A whole number between `least` and `most`; at most 12 digits are read."""
    # No int() alone: it also takes blanks, underscores and the digits of every script.
    return ValueType(
        f"a whole number between {least} and {most}",
        "NUMBER",
        lambda text, _: _within(int(_match("[0-9]{1,12}", text)), least, most),
    )


def number(least: float, most: float, metavar: str = "NUMBER") -> ValueType:
    """A decimal number between `least` and `most`; at most 12 digits before and behind the point are read."""
    pattern = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
    return ValueType(
        f"a number between {least:g} and {most:g}",
        metavar,
        lambda text, _: _within(float(_match(pattern, text)), least, most),
    )


def choice(*words: str) -> ValueType:
    """One of a few words."""
    return one_of({word: word for word in words})


def one_of(meanings: Mapping[str, object], more: str = "", *, many: bool = False) -> ValueType:
    """A word that stands for something; `more` is added to what is expected."""

    def parse(text: str, _base: Path) -> object:
        if text not in meanings:
            raise ValueError(text)
        return meanings[text]

    return ValueType(f"one of {', '.join(meanings)}{more}", "|".join(meanings), parse, many=many)


def matching(syntax: str, metavar: str, pattern: str) -> ValueType:
    """A text that matches a regular expression as a whole."""
    return ValueType(syntax, metavar, lambda text, _: _match(pattern, text))


def key_file(what: str) -> ValueType:
    """The name of a file that holds a key or a token alone; `what` it is, for messages."""
    syntax = f"a readable file with {what}"

    def parse(text: str, base: Path) -> Path:
        path = _resolve(text, base)
        try:
            # Hidden here and not where it is used, so that no other problem can let it slip out.
            logs.protect(read_key(path, what))
        except BadValueError as error:
            exists = os.path.exists(path)  # noqa: PTH110 (Path.exists may raise)
            raise BadValueError(error.expected, quoted(text) if exists else _show_missing(text)) from error
        return path

    return ValueType(syntax, "FILE", parse, show=_show_missing)


def url(*schemes: str) -> ValueType:
    """An address of an endpoint, with one of these schemes. Secrets in its query are hidden from the log."""
    *first, last = (f"{scheme}://" for scheme in schemes)

    def parse(text: str, _base: Path) -> str:
        if problem := urls.problem(text, schemes):
            raise _ReasonError(problem)
        _hide(urls.secrets(text))
        return text

    return ValueType(f"an {', '.join(first)} or {last} URL", "URL", parse, show=_show_url)


def _match(pattern: str, text: str) -> str:
    if not re.fullmatch(pattern, text, re.ASCII):
        raise ValueError(text)
    return text


def _within(number: _Number, least: float, most: float) -> _Number:
    if not least <= number <= most:
        raise ValueError(number)
    return number


def _hide(secrets: Iterable[str]) -> None:
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            logs.protect(secret)


# Addresses and paths of the server


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of `host:port`, `:port` or `[::1]:port`.

    The host is empty for all interfaces, and has no brackets; port 0 lets the system choose.

    Raises:
        ValueError: Not such an address.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65_535:
        raise ValueError(text)
    host = match["host"].strip("[]")
    if host and not is_host(host):
        raise ValueError(text)
    return host, int(match["port"])


def prefix_of(external_url: str | None) -> str:
    """Return the prefix that an address asks for where none is given: its path."""
    return _prefix(urlsplit(external_url).path) if external_url else ""


def _prefix(path: str) -> str:
    """A path with a slash in front and none behind, "" for the root."""
    inner = _match(r"(?:[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*)?", path.strip("/"))
    if len(path) > _MAX_PREFIX_CHARS or {".", ".."} & set(inner.split("/")):
        raise ValueError(path)
    return f"/{inner}" if inner else ""


def _parse_external(text: str, _base: Path) -> str:
    if problem := urls.problem(text, ("http", "https")):
        raise _ReasonError(problem)
    if "?" in text or "#" in text or "@" in urlsplit(text).netloc:
        raise ValueError(text)
    try:
        prefix_of(text)
    except ValueError:
        raise _ReasonError("its path is no prefix") from None
    return text


def _parse_listen_address(text: str, _base: Path) -> str:
    parse_address(text)
    return text


def _parse_telemetry_path(text: str, _base: Path) -> str:
    if f"{text}/".startswith(_TAKEN):
        raise ValueError(text)
    return _match(r"(?:/[A-Za-z0-9._~-]+)+/?", text)


# Files


def read_key(path: Path, what: str = "the API key") -> str:
    """Return the key in the file at `path`; `what` it is, for messages. See `core.keys`.

    Raises:
        BadValueError: The file cannot be read, or holds no key; never shows the content.
    """
    try:
        with path.open("rb") as file:
            return keys.parse(file.read(keys.MAX_BYTES + 1))
    except OSError as error:
        raise BadValueError(f"a readable file with {what} ({error.strerror})", quoted(str(path))) from error
    except BadKeyError as error:
        raise BadValueError(error.expected(what), quoted(str(path))) from None


def _parse_file(text: str, base: Path) -> Path:
    path = _resolve(text, base)
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise BadValueError(f"{FILE.syntax} ({error.strerror})", quoted(str(path))) from error


def _parse_directory(text: str, base: Path) -> Path:
    path = _resolve(text, base)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, PermissionError):
        return path  # made, or complained about, where it is used
    except OSError as error:
        raise _ReasonError(error.strerror) from None
    if not stat.S_ISDIR(mode):
        raise _ReasonError("this is a file")
    return path


def _parse_headers_file(text: str, base: Path) -> Path:
    path: Path = FILE.read(text, base)
    try:
        with path.open("rb") as file:
            headers = request_headers.parse_file(file.read(request_headers.MAX_HEADERS_FILE_BYTES + 1))
    except (OSError, request_headers.BadHeaderError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadValueError(f"{HEADERS_FILE.syntax} ({reason})", quoted(str(path))) from None
    _hide(value for _, value in headers)
    return path


def _parse_glob(text: str, base: Path) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError(text)
    return str(base / text)


def _resolve(text: str, base: Path) -> Path:
    if not text or not text.isprintable():
        raise ValueError(text)
    try:
        return base / Path(text).expanduser()
    except RuntimeError:
        raise _ReasonError("the directory that ~ stands for is not known") from None


def _show_url(text: str) -> str:
    return quoted(urls.redact(text))


def _show_missing(text: str) -> str:
    """Return a path that does not exist, unless it looks like a key that somebody put in place of a path."""
    looks_like_path = text.startswith(("/", "./", "../", "~")) or "." in text[-8:] or len(text) < 16
    return quoted(text) if looks_like_path else "something that is no file (not shown: it could be the key itself)"


# Other


def _parse_header(text: str, _base: Path) -> Header:
    try:
        header = request_headers.parse(text)
    except request_headers.BadHeaderError as error:
        raise _ReasonError(str(error)) from None
    _hide(header[1:])
    return header


def _show_header(text: str) -> str:
    name, colon, _ = text.partition(":")
    return quoted(f"{name}: ...") if colon else "something without a colon (not shown: it could be a secret)"


def _parse_shard(text: str, _base: Path) -> int:
    if text != "auto":
        return int(_match("[0-9]{1,4}", text))
    ordinal = ordinal_of(socket.gethostname())
    if ordinal is None:
        raise BadValueError("a host name that ends in a number, such as iris-exporter-0 in a StatefulSet")
    return ordinal


def _commit(interval: ValueType) -> ValueType:
    """The word `scrape`, which reads as None, or an interval."""
    return ValueType(
        f"scrape, or {interval.syntax}",
        "scrape|DURATION",
        lambda text, base: None if text == "scrape" else interval.parse(text, base),
        lambda value: "scrape" if value is None else interval.write(value),
        suffix=interval.suffix,
    )


RATIO = number(0, 1, "RATIO")
SWITCH = ValueType(
    "true or false",
    "true|false",
    one_of({"true": True, "false": False}).parse,
    lambda value: "true" if value else "false",
    switch=True,
)
NAME = matching("1 to 64 letters, digits, dots, dashes or underscores", "NAME", "[A-Za-z0-9_.-]{1,64}")
SERVER_NAME = matching(
    "a host name or an IP address",
    "NAME",
    "[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}",
)
ADDRESSES = ValueType(
    "an address such as 127.0.0.1:14747, :14747 or [::1]:14747", "ADDRESS", _parse_listen_address, many=True
)
TELEMETRY_PATH = ValueType(
    "a path such as /metrics that is not used otherwise (/, /config, /-/..., /api/...)", "PATH", _parse_telemetry_path
)
ROUTE_PREFIX = ValueType(
    "a path such as /iris of letters, digits, dots, dashes, underscores and tildes, or / for none",
    "PATH",
    lambda text, _: _prefix(_match(".+", text)),
    lambda value: value or "/",
)
EXTERNAL_URL = ValueType(
    "an http:// or https:// URL without user, query and fragment", "URL", _parse_external, show=_show_url
)
STREAM_URL = url("http", "https", "ws", "wss")
HTTP_URL = url("http", "https")
FILE = ValueType("a readable file", "FILE", _parse_file)
DIRECTORY = ValueType("a directory", "DIRECTORY", _parse_directory)
GLOBS = ValueType("a path or a glob such as streams/*.yaml", "GLOB", _parse_glob, many=True)
KEY_FILE = key_file("the API key")
TOKEN_FILE = key_file("the token")
HEADERS = ValueType(
    "a header such as `X-Tenant: a`",
    "HEADER",
    _parse_header,
    show=_show_header,
    many=True,
    separator="\n",
    mapping=True,
)
HEADERS_FILE = ValueType("a readable file with one header in each line", "FILE", _parse_headers_file)
SHARD = ValueType("a number from 0, or auto", "NUMBER|auto", _parse_shard)
COMMIT = _commit(duration(0.1, 3600))
