"""Which requests are accepted: the key in a file or a ticket, and the limits of section 5 of the wire description."""

import hmac
import ipaddress
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from iris_exporter.backend.tickets import Tickets
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


NO_KEY = "a key is needed: Authorization: Bearer <key>; a browser's stream takes a ticket (POST /api/ticket)"
WRONG_KEY = "this key is not the one that is needed"
NO_BEARER = "the header Authorization has no key: Bearer <key>"
KEY_IN_URL = (
    "a key in an address is not accepted here: send Authorization: Bearer <key>, or use a ticket of POST /api/ticket"
)
TICKET_FOR_TICKET = "a ticket is given for the key in the header Authorization alone"


class Authenticator:
    """Who may use the API: whoever brings the key in a header or a ticket in the address."""

    def __init__(self, key: KeyFile | None, tickets: Tickets, *, key_in_url: bool = False) -> None:
        """Without a key everybody may; `key_in_url` accepts the key as the query parameter `api_key`, too."""
        self._key = key
        self._tickets = tickets
        self._key_in_url = key_in_url

    def refusal(
        self, authorization: str | None, query: Mapping[str, str], now: float, *, header_only: bool = False
    ) -> str | None:
        """None when the request may go on, else why not; the texts repeat nothing of what was offered.

        A header decides alone; else a ticket, which this uses up. `header_only` accepts nothing in the address.
        """
        if self._key is None:
            return None
        if authorization is not None:
            scheme, _, key = authorization.partition(" ")
            return self._check(key.strip()) if scheme.lower() == "bearer" else NO_BEARER
        if header_only:
            return TICKET_FOR_TICKET if query.keys() & {"ticket", "api_key"} else NO_KEY
        if "ticket" in query:
            return self._tickets.use(query["ticket"], now)
        if "api_key" in query:
            return self._check(query["api_key"]) if self._key_in_url else KEY_IN_URL
        return NO_KEY

    def _check(self, offered: str) -> str | None:
        return None if self._key is not None and self._key.accepts(offered) else WRONG_KEY


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
    """Counts stream connections, in all and by client address."""

    HOUR_SECONDS = 3600.0
    RETRY_SECONDS = 60.0
    """After which to try again where all places are taken: when one will be free is unknown."""
    MAX_ADDRESSES = 10_000
    """Addresses that are remembered; of more, those that were not heard of for the longest time are let in again."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open = 0
        self._by_address: OrderedDict[str, RateWindow] = OrderedDict()

    def admit(self, address: str, now: float) -> float | None:
        """Count a new connection at `now` (monotonic seconds).

        None when it may stay, and `leave` has to be called after it; else the seconds after which to try again.
        """
        at_once = self._limits.connections_at_once
        if at_once is not None and self._open >= at_once:
            return self.RETRY_SECONDS
        per_hour = self._limits.connections_per_hour
        wait = None if per_hour is None else self._use(_network(address), per_hour, now)
        if wait is None:
            self._open += 1
        return wait

    def leave(self) -> None:
        """Give back the place of a connection that was admitted."""
        self._open -= 1

    def _use(self, address: str, per_hour: int, now: float) -> float | None:
        window = self._by_address.setdefault(address, RateWindow(per_hour, self.HOUR_SECONDS))
        self._by_address.move_to_end(address)
        wait = window.use(now)
        oldest = next(iter(self._by_address.values()))
        while oldest.idle(now) or len(self._by_address) > self.MAX_ADDRESSES:
            self._by_address.popitem(last=False)
            oldest = next(iter(self._by_address.values()))
        return wait


def _network(address: str) -> str:
    """The address to count by: of IPv6 the first 64 bits, since any client can have all addresses below them."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
