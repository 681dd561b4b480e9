"""Our own log on stderr: events with fields, one line each, in logfmt or JSON, without secrets.

`get_logger` may be called at import; nothing is printed in a new form until `setup`. Records of libraries (aiohttp,
asyncio, warnings, failed threads) go through the same handler, so that one format and one redaction hold for all.

Nothing here waits for whoever reads the log: lines go to stderr through a `LineWriter`. What a library logs is counted
and limited, since its lines may be of a client's or a source's making; what a C library writes past every logger comes
in through `rawstderr`.

Redaction happens on each value before it is escaped and cut: afterwards a secret with a quote in it would no longer
look like itself, and half a secret would no longer be found.
"""

import json
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from types import TracebackType
from typing import Protocol, TextIO
from urllib.parse import quote, quote_plus

from iris_exporter.clock import Clock, SystemClock
from iris_exporter.core.log_limits import LIBRARIES, LibraryLimit, LineLimit, fitting_level, library_of
from iris_exporter.process.line_writer import LineWriter, descriptor_of

LEVELS: dict[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
"""The values of `--log.level`, as the Prometheus exporters spell them."""

FORMATS = ("logfmt", "json")
"""The values of `--log.format`."""

FLUSH_SECONDS = 0.5
"""Time limit for the lines that wait when the program ends; with all that ends before, a stop stays below 5 s."""

MASK = "<redacted>"
"""What stands in place of a secret."""

_PACKAGE = "iris_exporter"
# Long enough for an error with a URL in it, short enough that a hostile server cannot fill the disk line by line.
_MAX_VALUE_CHARS = 1_000
# A traceback is the whole point of the debug level and needs more room.
_MAX_TRACEBACK_CHARS = 16_000
_RESERVED = frozenset({"ts", "level", "logger", "event"})
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
    formatter = _Formatter(as_json=log_format == "json", tracebacks=debug)
    least = logging.INFO if debug else max(logging.WARNING, LEVELS[level])
    root.addHandler(_Handler(_output.writes_to(stream, formatter), formatter, logging.DEBUG if debug else least))
    root.setLevel(least)
    logging.getLogger(_PACKAGE).setLevel(LEVELS[level])
    logging.captureWarnings(capture=True)
    threading.excepthook = _thread_failed
    sys.unraisablehook = _unraisable


def flush(seconds: float = FLUSH_SECONDS) -> None:
    """Wait until what was logged is written, but no longer than `seconds`; call it before the process ends."""
    if _output.writer is not None:
        _output.writer.flush(seconds)


def move_stderr(descriptor: int) -> bool:
    """Write to `descriptor` in place of 2 from now on; False when the log does not go to the process's own stderr."""
    if _output.writer is None:
        return False
    _output.writer.descriptor = descriptor
    return True


@dataclass(frozen=True, slots=True)
class LogCounts:
    """Lines that could not be written, failures of the thread that writes them, and messages of each of `LIBRARIES`,
    printed or not, since the start."""

    dropped: int
    writer_failures: int
    library_messages: Mapping[str, int]


def counts() -> LogCounts:
    """What became of the log of this process."""
    writer = _output.writer
    dropped, failures = (0, 0) if writer is None else (writer.dropped, writer.failures)
    with _library_lock:
        return LogCounts(dropped, failures, dict(_library_messages))


class _Output:
    """Where the log goes. The writer of the process's own stderr is made once and kept: its queue has an order."""

    def __init__(self) -> None:
        self.writer: LineWriter | None = None
        self._formatter: _Formatter | None = None

    def writes_to(self, stream: TextIO | None, formatter: "_Formatter") -> Callable[[str], object]:
        """What writes a line to `stream`; None is stderr, and through a thread when that is the process's own."""
        self._formatter = formatter
        if stream is None and self.writer is None and descriptor_of(sys.stderr) == _STDERR:
            self.writer = LineWriter(_STDERR, self._notice)
        if stream is None and self.writer is not None:
            return self.writer.write
        return _Direct(sys.stderr if stream is None else stream)

    def _notice(self, count: int) -> str:
        fields = {"count": count, "detail": "the reader of this log was too slow or away"}
        record = logging.LogRecord(f"{_PACKAGE}.logs", logging.WARNING, "", 0, "log.dropped", (), None)
        setattr(record, _FIELDS, fields)
        return "" if self._formatter is None else self._formatter.format(record) + "\n"


_STDERR = 2


class _Direct:
    """Writes to a file of Python's, as tests have it in place of stderr."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, line: str) -> None:
        self._stream.write(line)
        self._stream.flush()


class _Handler(logging.Handler):
    """The one handler of the process: `setup` recognises what it installed. Counts and limits what libraries log.

    `least` is the lowest level of a library's message that is written.
    """

    def __init__(self, write: Callable[[str], object], formatter: "_Formatter", least: int) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._write = write
        self._least = least

    def emit(self, record: logging.LogRecord) -> None:
        if not isinstance(getattr(record, _FIELDS, None), dict) and not self._admits(record):
            return
        try:
            self._write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001 (a log that cannot be written has nowhere to say so)
            self.handleError(record)

    def _admits(self, record: logging.LogRecord) -> bool:
        library = library_of(record.name)
        error = record.exc_info[1] if record.exc_info else None
        level = fitting_level(record.levelno, error)
        with _library_lock:
            _library_messages[library] += 1
            if level < self._least:
                return False
            suppressed = _library_limit.admit(library, _message(record), _clock.monotonic())
        if suppressed is None:
            return False
        record.levelno = level
        record.suppressed = suppressed
        return True

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the name is the library's)
        """Ignore a log that cannot be written: the standard answer is a traceback on the same broken stderr."""


class _Limiter:
    """Counts lines per event in windows of a minute."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._limit = LineLimit(per_minute)
        self._clock = clock
        self._lock = threading.Lock()

    def admit(self, event: str) -> int | None:
        """Return how many lines were left out before this one, or None when this one is left out too."""
        with self._lock:
            return self._limit.admit(event, self._clock.monotonic())


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
            fields = {"message": _message(record), "error": failure}
            if suppressed := getattr(record, "suppressed", 0):
                fields["suppressed"] = suppressed
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


def _message(record: logging.LogRecord) -> str:
    """The text of a library's record; arguments that do not fit are no reason to lose it."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 (whatever a stranger's `__str__` raises)
        return str(record.msg)


_output = _Output()
_clock = SystemClock()
_library_lock = threading.Lock()
_library_limit = LibraryLimit()
_library_messages = dict.fromkeys(LIBRARIES, 0)
_thread_log = get_logger("threads").limited(per_minute=6)


class _Unraisable(Protocol):
    """What Python hands to `sys.unraisablehook`."""

    exc_type: type[BaseException]
    exc_value: BaseException | None
    exc_traceback: TracebackType | None
    err_msg: str | None
    object: object


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """Report a thread that died, in place of the traceback that Python prints."""
    with _library_lock:
        _library_messages["python"] += 1
    name = failure.thread.name if failure.thread is not None else None
    _thread_log.error("thread.failed", thread=name, error=failure.exc_value)


def _unraisable(failure: _Unraisable) -> None:
    """Report an error in a destructor or a callback, which nobody can catch, in place of Python's traceback."""
    of = getattr(failure.object, "__qualname__", type(failure.object).__name__)
    error = failure.exc_value
    caught = None if error is None else (type(error), error, error.__traceback__)
    logging.getLogger("python").error("%s %s", failure.err_msg or "Exception ignored in", of, exc_info=caught)
