"""Limits of the log: how many lines of each kind and library are written.

`now` is monotonic, in seconds. A library may log whatever a client, a source or the system makes it log, so both the
number of lines and the number of kinds that are told apart are bounded. All of it may be used by several threads.
"""

import logging
import re
import threading
from collections.abc import Mapping

WINDOW_SECONDS = 60.0
MOST_KINDS = 256
"""Kinds of lines that are told apart in one window; those beyond it share one limit."""

LINES_PER_KIND = 6
"""Lines of one kind of message of a library in a minute: enough to see that it goes on."""
LINES_PER_LIBRARY = 30
"""Lines of one library in a minute, of all kinds."""

LIBRARIES = ("aiohttp", "asyncio", "grpc", "opentelemetry", "python", "requests", "stderr", "urllib3", "other")
"""Whose messages are counted; `python` is the interpreter (warnings, threads, errors in destructors), `stderr` what
was written to standard error past every logger."""

_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\d+")
_KIND_CHARS = 80
# aiohttp's log of this program's server has a name of the program.
_BY_LOGGER = {"py": "python", "iris_exporter": "aiohttp", "yarl": "aiohttp"}
# As in: I1129 07:11:38.169903   30515 ssl_transport_security.cc:2563] Handshake failed
_ABSL = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [^]]*\] ?(.*)", re.DOTALL)
_ABSL_LEVELS = {"I": logging.INFO, "W": logging.WARNING, "E": logging.ERROR, "F": logging.ERROR}


class LineLimit:
    """At most `most` lines of each kind in a minute."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[float, int, int]] = {}  # kind -> start, written, suppressed

    def admit(self, kind: str, now: float) -> int | None:
        """Return how many lines were left out before this one, or None when this one is left out too."""
        with self._lock:
            return self._admit(kind, now)

    def _admit(self, kind: str, now: float) -> int | None:
        if kind not in self._windows and len(self._windows) >= MOST_KINDS:
            self._drop(now)
            kind = kind if len(self._windows) < MOST_KINDS else ""
        start, written, suppressed = self._windows.get(kind, (now, 0, 0))
        if now - start >= WINDOW_SECONDS:
            start, written = now, 0
        if written >= self._most:
            self._windows[kind] = (start, written, suppressed + 1)
            return None
        self._windows[kind] = (start, written + 1, 0)
        return suppressed

    def _drop(self, now: float) -> None:
        self._windows = {kind: window for kind, window in self._windows.items() if now - window[0] < WINDOW_SECONDS}


class LibraryMessages:
    """Counts messages of libraries, and admits those that are written.

    At most `LINES_PER_KIND` lines of one message, and `LINES_PER_LIBRARY` of one library, in a minute.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(LIBRARIES, 0)
        # One for each, so that no library uses up the kinds of another one.
        self._kinds = {library: LineLimit(LINES_PER_KIND) for library in LIBRARIES}
        self._libraries = LineLimit(LINES_PER_LIBRARY)

    def count(self, library: str) -> None:
        """Count a message of one of `LIBRARIES`, written or not."""
        with self._lock:
            self._counts[library] += 1

    def counts(self) -> Mapping[str, int]:
        """How many messages there were of each library."""
        return self._counts.copy()

    def admit(self, library: str, text: str, now: float) -> int | None:
        """As `LineLimit.admit`, by the kind of the message and by its library."""
        suppressed = self._kinds[library].admit(kind_of(text), now)
        if suppressed is None:
            return None
        of_library = self._libraries.admit(library, now)
        return None if of_library is None else suppressed + of_library


def kind_of(text: str) -> str:
    """What messages have in common that differ in a number or an address only."""
    return _NUMBERS.sub("#", text.partition("\n")[0][: 2 * _KIND_CHARS])[:_KIND_CHARS]


def library_of(logger: str) -> str:
    """One of `LIBRARIES`, by the name of a logger."""
    first = logger.partition(".")[0]
    found = _BY_LOGGER.get(first, first)
    return found if found in LIBRARIES else "other"


def fitting_level(level: int, error: BaseException | None) -> int:
    """The level that a library's message deserves: a client that has gone is no error."""
    return logging.DEBUG if isinstance(error, ConnectionError) else level


def raw_line(text: str) -> tuple[str, int, str]:
    """Logger, level and text of a line that was written to standard error past every logger.

    Lines of Abseil, with which gRPC's C library logs, have a level of their own.
    """
    match = _ABSL.fullmatch(text)
    if match is None:
        return "stderr", logging.WARNING, text
    return "grpc", _ABSL_LEVELS[match.group(1)], match.group(2)
