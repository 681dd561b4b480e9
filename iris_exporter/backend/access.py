"""Which requests are accepted: the key in a file, and the limits of section 5 of the wire description."""

import hmac
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from iris_exporter.core import keys
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.logs import get_logger, protect

_log = get_logger(__name__)


class KeyFile:
    """The key in a file, read for each request, so that a new key is in force at once."""

    def __init__(self, path: Path) -> None:
        """Read the key once. Raises `ConfigError` when the file is unreadable or holds no key."""
        self._path = path
        try:
            self._key = self._read()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            problem = Problem("command line", "--api-key-file", str(path), f"a readable file with a key ({reason})")
            raise ConfigError([problem]) from error

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            key = keys.parse(file.read(keys.MAX_BYTES + 1))
        protect(key)
        return key.encode()

    def accepts(self, offered: str) -> bool:
        """Whether `offered` is the key, found in a time that does not depend on where they differ.

        When the file has become unreadable or empty, the last key stays in force and a warning is logged.
        """
        try:
            self._key = self._read()
        except (OSError, ValueError) as error:
            _log.warning("key.unreadable", error=error)
        return hmac.compare_digest(offered.encode("utf-8", "surrogateescape"), self._key)


def offered_key(authorization: str | None, query_key: str | None) -> str | None:
    """Return the key that a request brings, from its `Authorization` header or, without one, its query."""
    if authorization is None:
        return query_key
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the backend allows; None means no limit. All of them count streams, not REST requests.

    `messages_per_minute` is about messages that a client sends on one WebSocket, `idle_seconds` about how long a
    WebSocket may stay without one (an SSE client cannot send, so it is never idle).
    """

    connections_per_hour: int | None = None
    connections_at_once: int | None = None
    messages_per_minute: int | None = None
    idle_seconds: float | None = None


NO_LIMITS = Limits()
PROMISED_LIMITS = Limits(
    connections_per_hour=100, connections_at_once=100, messages_per_minute=1000, idle_seconds=300.0
)
"""What section 5 of the wire description promises."""


class RateWindow:
    """At most `limit` uses in any `window_seconds`. Pure: the time is handed in."""

    def __init__(self, limit: int, window_seconds: float) -> None:
        self._limit = limit
        self._window = window_seconds
        self._uses: deque[float] = deque()

    def use(self, now: float) -> float | None:
        """Count a use at `now` (monotonic seconds); None when it is allowed, else the seconds until one would be."""
        while self._uses and self._uses[0] <= now - self._window:
            self._uses.popleft()
        if len(self._uses) >= self._limit:
            return self._uses[0] + self._window - now
        self._uses.append(now)
        return None

    def idle(self, now: float) -> bool:
        """Whether the window is empty."""
        return not self._uses or self._uses[-1] <= now - self._window


class TokenBucket:
    """`burst` uses in a row, and then one each `1 / per_second` seconds. Pure: the time is handed in."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._tokens = float(burst)
        self._at: float | None = None

    def use(self, now: float) -> float | None:
        """Count a use at `now` (monotonic seconds); None when it is allowed, else the seconds until one would be."""
        if self._at is not None:
            self._tokens = min(float(self._burst), self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._per_second
        self._tokens -= 1
        return None


class Admission:
    """Counts stream connections by client address."""

    HOUR_SECONDS = 3600.0

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_address: dict[str, RateWindow] = {}

    def refuse(self, address: str, open_connections: int, now: float) -> float | None:
        """Count a new connection; None when it may stay, else the seconds after which to try again."""
        at_once = self._limits.connections_at_once
        if at_once is not None and open_connections >= at_once:
            # When one will end is unknown; a minute keeps many clients from asking all the time.
            return 60.0
        per_hour = self._limits.connections_per_hour
        if per_hour is None:
            return None
        for other in [key for key, window in self._by_address.items() if key != address and window.idle(now)]:
            del self._by_address[other]
        return self._by_address.setdefault(address, RateWindow(per_hour, self.HOUR_SECONDS)).use(now)
