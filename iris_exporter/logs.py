"""Our own log on stderr: events with fields, one line each, in logfmt or JSON, without secrets.

`get_logger` may be called at import; nothing is printed in a new form until `setup`. Records of libraries (aiohttp,
asyncio, warnings, failed threads) go through the same handler, so that one format and one redaction hold for all.

Redaction happens on each value before it is escaped and cut: afterwards a secret with a quote in it would no longer
look like itself, and half a secret would no longer be found.
"""

import json
import logging
import sys
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TextIO
from urllib.parse import quote, quote_plus

from iris_exporter.clock import Clock, SystemClock

LEVELS: dict[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
"""The values of `--log.level`, as the Prometheus exporters spell them."""

FORMATS = ("logfmt", "json")
"""The values of `--log.format`."""

MASK = "<redacted>"
"""What stands in place of a secret."""

_PACKAGE = "iris_exporter"
# Long enough for an error with a URL in it, short enough that a hostile server cannot fill the disk line by line.
_MAX_VALUE_CHARS = 1_000
# A traceback is the whole point of the debug level and needs more room.
_MAX_TRACEBACK_CHARS = 16_000
_RESERVED = frozenset({"ts", "level", "logger", "event"})
_WINDOW_SECONDS = 60.0
_FIELDS = "event_fields"

Scalar = str | int | float | bool


class Redactor:
    """Replaces every registered secret, in each of the spellings that reach a log line, by `MASK`."""

    def __init__(self) -> None:
        self._spellings: tuple[str, ...] = ()
        self._lock = threading.Lock()  # a reload reads keys in a thread

    def protect(self, secret: str) -> None:
        """Hide `secret` from now on; the empty string is ignored. Secrets are never forgotten: old ones leak too."""
        if not secret:
            return
        spellings = {
            secret,
            quote(secret, safe=""),
            quote_plus(secret),
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            repr(secret)[1:-1],
        }
        # Longest first, or a secret that contains another one would leave its remainder behind.
        with self._lock:
            self._spellings = tuple(sorted(spellings.union(self._spellings), key=lambda text: (-len(text), text)))

    def redact(self, text: str) -> str:
        """Return `text` with each secret replaced."""
        for spelling in self._spellings:
            if spelling in text:
                text = text.replace(spelling, MASK)
        return text


_redactor = Redactor()


def protect(secret: str) -> None:
    """Register `secret` for every line of this process; call it as soon as a secret has been read."""
    _redactor.protect(secret)


def redact(text: str) -> str:
    """Return `text` without the secrets registered by `protect`, for what is printed or served outside the log."""
    return _redactor.redact(text)


class EventLogger:
    """Writes events: a dotted name that never varies, and fields that carry what does.

    Fields that are None are left out. A field that is an exception is written as `Type: message`; at level debug its
    traceback follows in a field of its own, and at no other level.
    """

    def __init__(self, logger: logging.Logger, limiter: "_Limiter | None" = None) -> None:
        self._logger = logger
        self._limiter = limiter

    def debug(self, event: str, /, **fields: object) -> None:
        """For somebody who looks for a fault."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """A change of state that was meant to happen."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Something is wrong and the program goes on; a counter says how often."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Something is wrong that somebody has to put right."""
        self._write(logging.ERROR, event, fields)

    def limited(self, per_minute: int, clock: Clock | None = None) -> "EventLogger":
        """Return a logger that writes at most `per_minute` lines of each event in a minute.

        The next line that passes carries `suppressed`, the number left out. The count belongs to the logger that is
        returned: make it once and keep it.
        """
        return EventLogger(self._logger, _Limiter(per_minute, clock or SystemClock()))

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        if self._limiter is not None:
            suppressed = self._limiter.admit(event)
            if suppressed is None:
                return
            if suppressed:
                fields["suppressed"] = suppressed
        self._logger.log(level, event, extra={_FIELDS: fields})


def get_logger(name: str) -> EventLogger:
    """Return the event logger of a module; `name` is its `__name__`, or a short name within the package."""
    inside = name == _PACKAGE or name.startswith(_PACKAGE + ".")
    return EventLogger(logging.getLogger(name if inside else f"{_PACKAGE}.{name}"))


def setup(level: str, log_format: str, stream: TextIO | None = None) -> None:
    """Send all logging of the process to `stream` (None: stderr); a second call replaces the first.

    Args:
        level: A key of `LEVELS`. Libraries are held to warnings, at debug to info: their debug output is for them.
        log_format: One of `FORMATS`.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _Handler):
            root.removeHandler(handler)
    debug = LEVELS[level] == logging.DEBUG
    handler = _Handler(stream if stream is not None else sys.stderr)
    handler.setFormatter(_Formatter(as_json=log_format == "json", tracebacks=debug))
    root.addHandler(handler)
    root.setLevel(logging.INFO if debug else max(logging.WARNING, LEVELS[level]))
    logging.getLogger(_PACKAGE).setLevel(LEVELS[level])
    logging.captureWarnings(capture=True)
    threading.excepthook = _thread_failed


class _Handler(logging.StreamHandler[TextIO]):
    """A stream handler of ours, so that `setup` recognises what it installed."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the name is the library's)
        """Ignore a log that cannot be written: the standard answer is a traceback on the same broken stderr."""


class _Limiter:
    """Counts lines per event in windows of a minute."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[float, int, int]] = {}  # event -> start, written, suppressed

    def admit(self, event: str) -> int | None:
        """Return how many lines were left out before this one, or None when this one is left out too."""
        now = self._clock.monotonic()
        with self._lock:
            start, written, suppressed = self._windows.get(event, (now, 0, 0))
            if now - start >= _WINDOW_SECONDS:
                start, written = now, 0
            if written >= self._per_minute:
                self._windows[event] = (start, written, suppressed + 1)
                return None
            self._windows[event] = (start, written + 1, 0)
            return suppressed


class _Formatter(logging.Formatter):
    """Renders a record, ours or a library's, as one line."""

    def __init__(self, *, as_json: bool, tracebacks: bool) -> None:
        super().__init__()
        self._as_json = as_json
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Scalar] = {
            "ts": moment.replace("+00:00", "Z"),
            "level": _level_name(record.levelno),
            "logger": record.name.removeprefix(_PACKAGE + "."),
        }
        fields = getattr(record, _FIELDS, None)
        failure = record.exc_info[1] if record.exc_info else None
        if isinstance(fields, dict):
            line["event"] = _scalar(record.getMessage())
        else:
            line["event"] = "library.message"
            fields = {"message": record.getMessage(), "error": failure}
        for key, value in fields.items():
            if value is None:
                continue
            line[f"{key}_" if key in _RESERVED else key] = _scalar(value)
            if isinstance(value, BaseException):
                failure = value
        if failure is not None and self._tracebacks:
            text = _redactor.redact("".join(traceback.format_exception(failure)))
            line["traceback"] = _cut(text, _MAX_TRACEBACK_CHARS)
        if self._as_json:
            return json.dumps(line, separators=(",", ":"))
        return " ".join(f"{key}={_logfmt(value)}" for key, value in line.items())


def _level_name(number: int) -> str:
    """Return the lowest of our names that covers a library's level number."""
    return next((name for name, least in reversed(LEVELS.items()) if number >= least), "debug")


def _scalar(value: object) -> Scalar:
    """Return `value` without secrets and cut to length: numbers stay numbers, all else becomes text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        # Six decimals are microseconds; beyond them only binary noise such as 1.6000000000000001 is left.
        number = round(value, 6) if isinstance(value, float) else value
        text = repr(number)
        redacted = _redactor.redact(text)
        finite = number - number == 0  # JSON has no spelling for NaN and infinities
        return number if redacted == text and finite else redacted
    return _cut(_redactor.redact(_text(value)), _MAX_VALUE_CHARS)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, BaseException):
        message = str(value)
        return f"{type(value).__name__}: {message}" if message else type(value).__name__
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    return (
        json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, Mapping | list | tuple) else str(value)
    )


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}...({len(text) - limit} more characters)"


def _logfmt(value: Scalar) -> str:
    """Quote where a reader of logfmt would otherwise stop: at blanks, quotes, `=`, and what does not print."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if text and text.isprintable() and not any(character in ' "=\\' for character in text):
        return text
    return '"' + "".join(_ESCAPES.get(character) or _escape(character) for character in text) + '"'


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(character: str) -> str:
    """Spell what does not print (controls, bidirectional overrides, lone surrogates) as a code point."""
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """Report a thread that died, in place of the traceback that Python prints."""
    name = failure.thread.name if failure.thread is not None else None
    get_logger("threads").error("thread.failed", thread=name, error=failure.exc_value)
