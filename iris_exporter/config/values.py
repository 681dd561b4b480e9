"""Kinds of values: each reads text, says what it expects, and writes the value back.

Text is the one form in which flags, variables and files meet: a YAML scalar is read as it is written, so that `name:
007` keeps its zeros and `30` is the same mistake everywhere.
"""

import os
import re
import socket
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, cast

from iris_exporter import logs, units
from iris_exporter.core import keys, request_headers, urls
from iris_exporter.core.hosts import is_host
from iris_exporter.core.keys import BadKeyError
from iris_exporter.core.request_headers import SHORTEST_SECRET, BadHeaderError
from iris_exporter.core.sharding import ordinal_of

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[A-Za-z0-9._-]*):(?P<port>\d{1,5})", re.ASCII)
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+/?", re.ASCII)
# Served beside the metrics: a telemetry path there would hide them.
_TAKEN = ("/-/", "/api/", "/config/")
_MAX_SHOWN = 80
_SERVER_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}", re.ASCII)


class BadValueError(Exception):
    """A value is not what its option needs: `expected` completes "expected ...", `shown` is fit to be printed."""

    def __init__(self, expected: str, shown: str | None = None) -> None:
        super().__init__(expected, shown)
        self.expected = expected
        self.shown = shown


def quoted(text: str) -> str:
    """Return `text` in quotes, escaped, and cut to a length that fits a line; of an address what may be shown."""
    if "://" in text:
        text = urls.redact(text)
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}...")


def plain(key: str) -> str:
    """Return a key that somebody made up so that it cannot confuse a terminal, fill a screen or show a secret."""
    return key if key.isprintable() and len(key) <= 100 and "://" not in key else quoted(key)


@dataclass(frozen=True, slots=True)
class Kind:
    """How an option's text is read and written.

    Args:
        syntax: What is expected, for documentation and errors.
        metavar: What stands for the value in `--help`.
        read: Text and the directory that relative paths start from, to the value. Raises `BadValueError`.
        write: The value, to text that `read` accepts.
        shown: Text as it may appear in an error message, without secrets.
        field_suffix: What the attribute's name has and the option's has not: its unit.
        many: Takes a list: repeated as a flag, a sequence in a file, separated by `separator` in a variable.
        mapping: Of a list: in a file it may be a mapping as well, each entry of which is the text `key: value`.
        switch: A flag that needs no value.
    """

    syntax: str
    metavar: str
    read: Callable[[str, Path], object]
    write: Callable[[object], str] = str
    shown: Callable[[str], str] = quoted
    field_suffix: str = ""
    many: bool = False
    separator: str = ","
    mapping: bool = False
    switch: bool = False


def duration(least: float, most: float) -> Kind:
    """A duration between `least` and `most` seconds."""
    limits = f"between {units.format_duration(least)} and {units.format_duration(most)}"
    syntax = f"a duration with a unit (500ms, 3s, 1m30s) {limits}"

    def read(text: str, _base: Path) -> float:
        try:
            seconds = units.parse_duration(text)
        except ValueError:
            raise BadValueError(syntax) from None
        if not least <= seconds <= most:
            raise BadValueError(syntax)
        return seconds

    return Kind(
        syntax, "DURATION", read, lambda value: units.format_duration(cast("float", value)), field_suffix="_seconds"
    )


def _scrape_or(interval: Kind) -> Kind:
    """The word `scrape`, which reads as None, or an interval."""
    syntax = f"scrape, or {interval.syntax}"

    def read(text: str, base: Path) -> object:
        if text == "scrape":
            return None
        try:
            return interval.read(text, base)
        except BadValueError:
            raise BadValueError(syntax) from None

    return Kind(
        syntax,
        "scrape|DURATION",
        read,
        lambda value: "scrape" if value is None else interval.write(value),
        field_suffix="_seconds",
    )


def size(least: int, most: int) -> Kind:
    """A number of bytes between `least` and `most`."""
    syntax = f"a size (100KiB, 1MiB, 1MB) between {units.format_size(least)} and {units.format_size(most)}"

    def read(text: str, _base: Path) -> int:
        try:
            number = units.parse_size(text)
        except ValueError:
            raise BadValueError(syntax) from None
        if not least <= number <= most:
            raise BadValueError(syntax)
        return number

    return Kind(syntax, "SIZE", read, lambda value: units.format_size(cast("int", value)))


def integer(least: int, most: int) -> Kind:
    """A whole number between `least` and `most`."""
    syntax = f"a whole number between {least} and {most}"

    def read(text: str, _base: Path) -> int:
        # No int(): it also takes blanks, underscores and the digits of every script.
        if not re.fullmatch("[0-9]{1,12}", text) or not least <= int(text) <= most:
            raise BadValueError(syntax)
        return int(text)

    return Kind(syntax, "NUMBER", read)


def choice(*values: str) -> Kind:
    """One of a few words."""
    syntax = "one of " + ", ".join(values)

    def read(text: str, _base: Path) -> str:
        if text not in values:
            raise BadValueError(syntax)
        return text

    return Kind(syntax, "|".join(values), read)


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


def _read_ratio(text: str, _base: Path) -> float:
    if not re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]{1,4})?", text) or float(text) > 1:
        raise BadValueError(RATIO.syntax)
    return float(text)


def _read_switch(text: str, _base: Path) -> bool:
    if text not in {"true", "false"}:
        raise BadValueError(SWITCH.syntax)
    return text == "true"


def _read_name(text: str, _base: Path) -> str:
    if not _NAME.fullmatch(text):
        raise BadValueError(NAME.syntax)
    return text


def _read_address(text: str, _base: Path) -> str:
    try:
        parse_address(text)
    except ValueError:
        raise BadValueError(ADDRESSES.syntax) from None
    return text


def _read_telemetry_path(text: str, _base: Path) -> str:
    if not _PATH.fullmatch(text) or f"{text}/".startswith(_TAKEN):
        raise BadValueError(TELEMETRY_PATH.syntax)
    return text


def _read_stream_url(text: str, _base: Path) -> str:
    return _read_url(text, ("http", "https", "ws", "wss"), STREAM_URL)


def _read_snapshot_url(text: str, _base: Path) -> str:
    return _read_url(text, ("http", "https"), SNAPSHOT_URL)


def _read_url(text: str, schemes: tuple[str, ...], kind: Kind) -> str:
    problem = urls.problem(text, schemes)
    if problem:
        raise BadValueError(f"{kind.syntax} ({problem})")
    for secret in urls.secrets(text):
        if len(secret) >= SHORTEST_SECRET:
            logs.protect(secret)
    return text


def _read_file(text: str, base: Path) -> Path:
    path = _resolve(text, base, FILE.syntax)
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise BadValueError(f"{FILE.syntax} ({error.strerror})", quoted(str(path))) from error


def _read_directory(text: str, base: Path) -> Path:
    path = _resolve(text, base, DIRECTORY.syntax)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, PermissionError):
        return path  # made, or complained about, where it is used
    except OSError as error:
        raise BadValueError(f"{DIRECTORY.syntax} ({error.strerror})") from None
    if not stat.S_ISDIR(mode):
        raise BadValueError(f"{DIRECTORY.syntax} (this is a file)")
    return path


def _key_file(what: str) -> Kind:
    """The name of a file that holds a key or a token alone."""
    syntax = f"a readable file with {what}"

    def read(text: str, base: Path) -> Path:
        path = _resolve(text, base, syntax)
        try:
            # Hidden here and not where it is used, so that no other problem can let it slip out.
            logs.protect(read_key(path, what))
        except BadValueError as error:
            raise BadValueError(
                error.expected,
                quoted(text) if os.path.exists(path) else _show_missing(text),  # noqa: PTH110 (Path.exists may raise)
            ) from error
        return path

    return Kind(syntax, "FILE", read, shown=_show_missing)


def _read_headers_file(text: str, base: Path) -> Path:
    path = _read_file(text, base)
    try:
        with path.open("rb") as file:
            headers = request_headers.parse_file(file.read(request_headers.MAX_HEADERS_FILE_BYTES + 1))
    except (OSError, BadHeaderError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadValueError(f"{HEADERS_FILE.syntax} ({reason})", quoted(str(path))) from None
    _hide(headers)
    return path


def _read_header(text: str, _base: Path) -> tuple[str, str]:
    try:
        header = request_headers.parse(text)
    except BadHeaderError as error:
        raise BadValueError(f"{HEADERS.syntax} ({error})") from None
    _hide((header,))
    return header


def _hide(headers: Iterable[tuple[str, str]]) -> None:
    for _, value in headers:
        if len(value) >= SHORTEST_SECRET:
            logs.protect(value)


def _show_header(text: str) -> str:
    name, colon, _ = text.partition(":")
    return quoted(f"{name}: ...") if colon else "something without a colon (not shown: it could be a secret)"


def _read_server_name(text: str, _base: Path) -> str:
    if not _SERVER_NAME.fullmatch(text):
        raise BadValueError(SERVER_NAME.syntax)
    return text


def _read_shard(text: str, _base: Path) -> int:
    if text != "auto":
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else _refuse(SHARD)
    ordinal = ordinal_of(socket.gethostname())
    if ordinal is None:
        raise BadValueError("a host name that ends in a number, such as iris-exporter-0 in a StatefulSet")
    return ordinal


def _refuse(kind: Kind) -> NoReturn:
    raise BadValueError(kind.syntax)


def _read_glob(text: str, base: Path) -> str:
    if not text.strip() or not text.isprintable():
        _refuse(GLOBS)
    return str(base / text)


def _resolve(text: str, base: Path, syntax: str) -> Path:
    if not text or not text.isprintable():
        raise BadValueError(syntax)
    try:
        return base / Path(text).expanduser()
    except RuntimeError:
        raise BadValueError(f"{syntax} (the directory that ~ stands for is not known)") from None


def _show_url(text: str) -> str:
    return quoted(urls.redact(text))


def _show_missing(text: str) -> str:
    """Return a path that does not exist, unless it looks like a key that somebody put in place of a path."""
    looks_like_path = text.startswith(("/", "./", "../", "~")) or "." in text[-8:] or len(text) < 16
    return quoted(text) if looks_like_path else "something that is no file (not shown: it could be the key itself)"


RATIO = Kind("a number between 0 and 1", "RATIO", _read_ratio)
SWITCH = Kind("true or false", "true|false", _read_switch, lambda value: "true" if value else "false", switch=True)
NAME = Kind("1 to 64 letters, digits, dots, dashes or underscores", "NAME", _read_name)
PROTOCOL = choice("auto", "websocket", "sse", "poll")
ADDRESSES = Kind("an address such as 127.0.0.1:14747, :14747 or [::1]:14747", "ADDRESS", _read_address, many=True)
TELEMETRY_PATH = Kind(
    "a path such as /metrics that is not used otherwise (/, /config, /-/..., /api/...)", "PATH", _read_telemetry_path
)
STREAM_URL = Kind("an http://, https://, ws:// or wss:// URL", "URL", _read_stream_url, shown=_show_url)
SNAPSHOT_URL = Kind("an http:// or https:// URL", "URL", _read_snapshot_url, shown=_show_url)
FILE = Kind("a readable file", "FILE", _read_file)
DIRECTORY = Kind("a directory", "DIRECTORY", _read_directory)
COMMIT = _scrape_or(duration(0.1, 3600))
KEY_FILE = _key_file("the API key")
TOKEN_FILE = _key_file("the token")
HEADERS = Kind(
    "a header such as `X-Tenant: a`",
    "HEADER",
    _read_header,
    shown=_show_header,
    many=True,
    separator="\n",
    mapping=True,
)
HEADERS_FILE = Kind("a readable file with one header in each line", "FILE", _read_headers_file)
SERVER_NAME = Kind("a host name or an IP address", "NAME", _read_server_name)
SHARD = Kind("a number from 0, or auto", "NUMBER|auto", _read_shard)
GLOBS = Kind("a path or a glob such as streams/*.yaml", "GLOB", _read_glob, many=True)
