"""The types of values that only options have: addresses, paths, files with secrets, headers."""

import os
import re
import socket
import stat
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from iris_exporter import logs
from iris_exporter.config.values import (
    BadValueError,
    ReasonError,
    ValueType,
    choice,
    duration,
    matched,
    matching,
    number,
    one_of,
    quoted,
    read_file,
    resolve,
)
from iris_exporter.core import keys, request_headers, subscriptions, urls
from iris_exporter.core.keys import BadKeyError
from iris_exporter.core.request_headers import SHORTEST_SECRET, BadHeaderError, Header
from iris_exporter.core.sharding import ordinal_of
from iris_exporter.core.urls import is_host

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[A-Za-z0-9._-]*):(?P<port>\d{1,5})", re.ASCII)
_MAX_PREFIX_CHARS = 200
_MAX_NAME_CHARS = 64
_ENTRY_NAME = f"[A-Za-z0-9_-]{{1,{_MAX_NAME_CHARS}}}"
_MAX_PARAMETER_CHARS = 4096
# Served beside the metrics: a telemetry path there would hide them.
_TAKEN = ("/-/", "/api/", "/config/")


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
    inner = matched(r"(?:[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*)?", path.strip("/"))
    if len(path) > _MAX_PREFIX_CHARS or {".", ".."} & set(inner.split("/")):
        raise ValueError(path)
    return f"/{inner}" if inner else ""


def _parse_external(text: str, base: Path) -> str:
    HTTP_URL.parse(text, base)
    if "?" in text or "#" in text or "@" in urlsplit(text).netloc:
        raise ValueError(text)
    try:
        prefix_of(text)
    except ValueError:
        raise ReasonError("its path is no prefix") from None
    return text


def _parse_base(text: str, base: Path) -> str:
    HTTP_URL.parse(text, base)
    if "?" in text or "#" in text:
        raise ValueError(text)
    return text


def _parse_listen_address(text: str, _base: Path) -> str:
    parse_address(text)
    return text


def _parse_telemetry_path(text: str, _base: Path) -> str:
    if f"{text}/".startswith(_TAKEN):
        raise ValueError(text)
    return matched(r"(?:/[A-Za-z0-9._~-]+)+/?", text)


def url(*schemes: str) -> ValueType:
    """An address of an endpoint, with one of these schemes. Secrets in its query are hidden from the log."""
    *first, last = (f"{scheme}://" for scheme in schemes)

    def parse(text: str, _base: Path) -> str:
        if problem := urls.problem(text, schemes):
            raise ReasonError(problem)
        _hide(urls.secrets(text))
        return text

    return ValueType(f"an {', '.join(first)} or {last} URL", "URL", parse, show=_show_url)


def _show_url(text: str) -> str:
    return quoted(urls.redact(text))


# Files


def read_key(path: Path, what: str = "the API key") -> str:
    """Return the key in the file at `path`; `what` it is, for messages. See `core.keys`.

    Raises:
        BadValueError: The file cannot be read, or holds no key; never shows the content.
    """
    content = read_file(path, f"a readable file with {what}", keys.MAX_BYTES + 1)
    try:
        return keys.parse(content)
    except BadKeyError as error:
        raise BadValueError(f"a file with {what} alone ({error})", quoted(str(path))) from None


def key_file(what: str) -> ValueType:
    """The name of a file that holds a key or a token alone; `what` it is, for messages."""
    syntax = f"a readable file with {what}"

    def parse(text: str, base: Path) -> Path:
        path = resolve(text, base)
        try:
            # Hidden here and not where it is used, so that no other problem can let it slip out.
            logs.protect(read_key(path, what))
        except BadValueError as error:
            exists = os.path.exists(path)  # noqa: PTH110 (Path.exists may raise)
            raise BadValueError(error.expected, quoted(text) if exists else _show_missing(text)) from error
        return path

    return ValueType(syntax, "FILE", parse, show=_show_missing)


def _show_missing(text: str) -> str:
    """Return a path that does not exist, unless it looks like a key that somebody put in place of a path."""
    looks_like_path = text.startswith(("/", "./", "../", "~")) or "." in text[-8:] or len(text) < 16
    return quoted(text) if looks_like_path else "something that is no file (not shown: it could be the key itself)"


def _parse_headers_file(text: str, base: Path) -> Path:
    path = resolve(text, base)
    content = read_file(path, HEADERS_FILE.syntax, request_headers.MAX_HEADERS_FILE_BYTES + 1)
    try:
        headers = request_headers.parse_file(content)
    except BadHeaderError as error:
        raise BadValueError(f"{HEADERS_FILE.syntax} ({error})", quoted(str(path))) from None
    _hide(value for _, value in headers)
    return path


def _parse_directory(text: str, base: Path) -> Path:
    path = resolve(text, base)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, PermissionError):
        return path  # made, or complained about, where it is used
    except OSError as error:
        raise ReasonError(error.strerror) from None
    if not stat.S_ISDIR(mode):
        raise ReasonError("this is a file")
    return path


def _parse_glob(text: str, base: Path) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError(text)
    return str(base / text)


# Other


def _parse_header(text: str, _base: Path) -> Header:
    try:
        header = request_headers.parse(text)
    except BadHeaderError as error:
        raise ReasonError(str(error)) from None
    _hide(header[1:])
    return header


def _show_header(text: str) -> str:
    name, colon, _ = text.partition(":")
    return quoted(f"{name}: ...") if colon else "something without a colon (not shown: it could be a secret)"


def _entry(text: str) -> tuple[str, str]:
    """Name and value of `NAME: VALUE`."""
    name, colon, value = text.partition(":")
    if not colon:
        raise ReasonError("there is no colon after the name")
    if not re.fullmatch(_ENTRY_NAME, name):
        raise ReasonError("the name is none of letters, digits, dashes and underscores")
    return name, value.strip()


def _parse_parameter(text: str, _base: Path) -> tuple[str, str]:
    name, value = _entry(text)
    if not value.isprintable() or len(value) > _MAX_PARAMETER_CHARS:
        raise ReasonError(f"its value is longer than {_MAX_PARAMETER_CHARS} characters, or cannot be printed")
    if urls.is_secret(name):
        _hide([value])
    return name, value


def _parse_secret(text: str, base: Path) -> tuple[str, Path]:
    name, value = _entry(text)
    try:
        path: Path = SECRET_FILE.read(value, base)
    except BadValueError as error:
        raise BadValueError(error.expected, f"{name}: {error.shown}" if error.shown else None) from error
    return name, path


def _show_entry(text: str) -> str:
    name, colon, _ = text.partition(":")
    return quoted(f"{name}: ...") if colon and len(name) <= _MAX_NAME_CHARS else "something without a name and a colon"


def _parse_shard(text: str, _base: Path) -> int:
    if text != "auto":
        return int(matched("[0-9]{1,4}", text))
    ordinal = ordinal_of(socket.gethostname())
    if ordinal is None:
        raise BadValueError("a host name that ends in a number, such as iris-exporter-0 in a StatefulSet")
    return ordinal


def _hide(secrets: Iterable[str]) -> None:
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            logs.protect(secret)


RATIO = number(0, 1, "RATIO")
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
    lambda text, _: _prefix(matched(".+", text)),
    lambda value: value or "/",
)
EXTERNAL_URL = ValueType(
    "an http:// or https:// URL without user, query and fragment", "URL", _parse_external, show=_show_url
)
BASE_URL = ValueType("an http:// or https:// URL without user, query and fragment", "URL", _parse_base, show=_show_url)
STREAM_URL = url("http", "https", "ws", "wss")
HTTP_URL = url("http", "https")
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
MAPPING = matching("iris, or the name of a mapping or preset", "NAME", "[A-Za-z0-9_.-]{1,64}")
SECRET_FILE = key_file("the secret")
PARAMETERS = ValueType(
    "a parameter such as `station: 7`",
    "PARAMETER",
    _parse_parameter,
    show=_show_entry,
    many=True,
    separator="\n",
    mapping=True,
    entry=lambda pair: urls.MASK if urls.is_secret(pair[0]) else pair[1],
)
SECRETS = ValueType(
    "a name and a readable file with the secret alone, such as `token: /etc/token`",
    "SECRET",
    _parse_secret,
    show=_show_entry,
    many=True,
    separator="\n",
    mapping=True,
    entry=lambda pair: str(pair[1]),
)
HEADERS_FILE = ValueType("a readable file with one header in each line", "FILE", _parse_headers_file)
SHARD = ValueType("a number from 0, or auto", "NUMBER|auto", _parse_shard)
AUTO_OFF = choice("auto", "off")
CHANNELS = one_of({name: name for name in ("auto", *subscriptions.CHANNELS)}, many=True)


def _auto_or(times: ValueType, auto_seconds: float) -> ValueType:
    """A duration, or a word: `auto` reads as `auto_seconds`, and `off` as 0."""
    words = {"auto": auto_seconds, "off": 0.0}
    texts = {seconds: word for word, seconds in words.items()}

    def parse(text: str, base: Path) -> object:
        return words[text] if text in words else times.parse(text, base)

    def write(seconds: float) -> str:
        return texts.get(seconds) or times.write(seconds)

    return ValueType(f"auto, off, or {times.syntax}", "auto|off|DURATION", parse, write, suffix=times.suffix)


BATCH = _auto_or(duration(0.001, subscriptions.MAX_BATCH_SECONDS), subscriptions.AUTO_BATCH_SECONDS)
DEBOUNCE = _auto_or(duration(0.001, subscriptions.MAX_DEBOUNCE_SECONDS), subscriptions.AUTO_DEBOUNCE_SECONDS)
_INTERVAL = duration(0.1, 3600)
COMMIT = ValueType(
    f"scrape, or {_INTERVAL.syntax}",
    "scrape|DURATION",
    lambda text, base: None if text == "scrape" else _INTERVAL.parse(text, base),
    lambda value: "scrape" if value is None else _INTERVAL.write(value),
    suffix=_INTERVAL.suffix,
)
"""An interval; `scrape` reads as None."""
