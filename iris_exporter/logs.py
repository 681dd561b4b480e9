"""Our own log on stderr: events with fields, one line each, in logfmt or JSON, without secrets.

`get_logger` may be called at import; nothing is printed in a new form until `setup`. Records of libraries (aiohttp,
asyncio, warnings, failed threads) go through the same handler, so that one format and one redaction hold for all.

Nothing here waits for the reader of the log (`process.standard_streams`). Messages of libraries are counted and
limited, since a client or a source may decide how many there are.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TextIO

from iris_exporter.clock import Clock, SystemClock
from iris_exporter.core import log_format
from iris_exporter.core.log_format import Scalar
from iris_exporter.core.log_limits import LibraryMessages, LineLimit, fitting_level, library_of
from iris_exporter.core.redaction import Redactor
from iris_exporter.process import standard_streams

LEVELS: dict[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
"""The values of `--log.level`, as the Prometheus exporters spell them."""

FORMATS = ("logfmt", "json")
"""The values of `--log.format`."""

_PACKAGE = "iris_exporter"
_RESERVED = frozenset({"ts", "level", "logger", "event"})
_FIELDS = "event_fields"

_redactor = Redactor()
_libraries = LibraryMessages()
_clock = SystemClock()


def protect(secret: str) -> None:
    """Register `secret` for every line of this process; call it as soon as a secret has been read."""
    _redactor.protect(secret)


def redact(text: str) -> str:
    """Return `text` without the secrets registered by `protect`, for what is printed or served outside the log."""
    return _redactor.redact(text)


def redact_data(text: str) -> str:
    """Return what a source has sent without secrets, for labels and answers; below 8 characters one may be any word."""
    return _redactor.redact(text, 8)


def library_messages() -> Mapping[str, int]:
    """Messages of each of `core.log_limits.LIBRARIES`, printed or not, since the start."""
    return _libraries.counts()


class EventLogger:
    """Writes events: a dotted name that never varies, and fields that carry what does.

    Fields that are None are left out. A field that is an exception is written as `Type: message`; at level debug its
    traceback follows in a field of its own, and at no other level.
    """

    def __init__(self, logger: logging.Logger, limit: LineLimit | None = None, clock: Clock = _clock) -> None:
        self._logger = logger
        self._limit = limit
        self._clock = clock

    def debug(self, event: str, /, **fields: object) -> None:
        """For the search of a fault."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """A change of state that was meant to happen."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Something is wrong and the program goes on; a counter says how often."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Something is wrong that a person has to put right."""
        self._write(logging.ERROR, event, fields)

    def limited(self, per_minute: int, clock: Clock = _clock) -> "EventLogger":
        """Return a logger that writes at most `per_minute` lines of each event in a minute.

        The next line that passes carries `suppressed`, the number left out. The count belongs to the logger that is
        returned: make it once.
        """
        return EventLogger(self._logger, LineLimit(per_minute), clock)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        if self._limit is not None:
            suppressed = self._limit.admit(event, self._clock.monotonic())
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
    write = standard_streams.stderr.write if stream is None else partial(_write_to, stream)
    if stream is None:
        standard_streams.stderr.own_writer()  # from now on, also for a C library
    standard_streams.stderr.notice = partial(_notice, formatter)
    least = logging.INFO if debug else max(logging.WARNING, LEVELS[level])
    root.addHandler(_Handler(write, formatter, logging.DEBUG if debug else least))
    root.setLevel(least)
    logging.getLogger(_PACKAGE).setLevel(LEVELS[level])
    logging.captureWarnings(capture=True)
    threading.excepthook = _thread_failed
    sys.unraisablehook = _unraisable


def _write_to(stream: TextIO, line: str) -> None:
    stream.write(line)
    stream.flush()


def _notice(formatter: "_Formatter", count: int) -> str:
    """The line that says how many are missing."""
    fields = {"count": count, "detail": "the reader of this log was too slow or away"}
    record = logging.LogRecord(f"{_PACKAGE}.logs", logging.WARNING, "", 0, "log.dropped", (), None)
    setattr(record, _FIELDS, fields)
    return formatter.format(record) + "\n"


class _Handler(logging.Handler):
    """The one handler of the process, which `setup` replaces. Counts and limits what libraries log.

    `least` is the lowest level of a library's message that is written.
    """

    def __init__(self, write: Callable[[str], None], formatter: "_Formatter", least: int) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._write = write
        self._least = least

    def emit(self, record: logging.LogRecord) -> None:
        if not isinstance(getattr(record, _FIELDS, None), dict) and not self._admits(record):
            return
        try:
            self._write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001 (a log that cannot be written cannot be logged)
            self.handleError(record)

    def _admits(self, record: logging.LogRecord) -> bool:
        library = library_of(record.name)
        error = record.exc_info[1] if record.exc_info else None
        level = fitting_level(record.levelno, error)
        _libraries.count(library)
        if level < self._least:
            return False
        suppressed = _libraries.admit(library, _message(record), _clock.monotonic())
        if suppressed is None:
            return False
        record.levelno = level
        record.suppressed = suppressed
        return True

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the name is the library's)
        """Ignore a log that cannot be written: the standard answer is a traceback on the same broken stderr."""


class _Formatter(logging.Formatter):
    """Renders a record as one line."""

    def __init__(self, *, as_json: bool, tracebacks: bool) -> None:
        super().__init__()
        self._render = log_format.as_json if as_json else log_format.as_logfmt
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        now = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Scalar] = {
            "ts": now.replace("+00:00", "Z"),
            "level": _level_name(record.levelno),
            "logger": record.name.removeprefix(_PACKAGE + "."),
        }
        fields = getattr(record, _FIELDS, None)
        failure = record.exc_info[1] if record.exc_info else None
        if isinstance(fields, dict):
            line["event"] = log_format.scalar(record.getMessage(), redact)
        else:
            line["event"] = "library.message"
            fields = {"message": _message(record), "error": failure}
            if suppressed := getattr(record, "suppressed", 0):
                fields["suppressed"] = suppressed
        for key, value in fields.items():
            if value is None:
                continue
            line[f"{key}_" if key in _RESERVED else key] = log_format.scalar(value, redact)
            if isinstance(value, BaseException):
                failure = value
        if failure is not None and self._tracebacks:
            text = "".join(traceback.format_exception(failure))
            line["traceback"] = log_format.scalar(text, redact, log_format.MAX_TRACEBACK_CHARS)
        return self._render(line)


def _level_name(number: int) -> str:
    """Return the lowest of our names that covers a library's level number."""
    return next((name for name, least in reversed(LEVELS.items()) if number >= least), "debug")


def _message(record: logging.LogRecord) -> str:
    """The text of a library's record; arguments that do not fit are no reason to lose it."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 (whatever the `__str__` of an argument raises)
        return str(record.msg)


_thread_log = get_logger("threads").limited(per_minute=6)


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """Report a thread that died, in place of the traceback that Python prints."""
    _libraries.count("python")
    name = failure.thread.name if failure.thread is not None else None
    _thread_log.error("thread.failed", thread=name, error=failure.exc_value)


def _unraisable(failure: "sys.UnraisableHookArgs") -> None:
    """Report an error in a destructor or a callback, which no caller gets, in place of Python's traceback."""
    of = getattr(failure.object, "__qualname__", type(failure.object).__name__)
    error = failure.exc_value
    caught = None if error is None else (type(error), error, error.__traceback__)
    logging.getLogger("python").error("%s %s", failure.err_msg or "Exception ignored in", of, exc_info=caught)
