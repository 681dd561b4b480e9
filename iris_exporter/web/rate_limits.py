"""Limits of the HTTP server as pure cores: numbers and `now` in, decisions out. `now` is monotonic, in seconds.

Each limit has its default here, with the reason for it. Who applies it counts what is refused or cut.
"""

import ipaddress
from collections import deque
from dataclasses import dataclass

CLIENT_SHARE = 4
"""One client address gets a fourth of all connections: no single one can lock out the others. Behind a proxy, all have
one address."""
MAX_CLIENTS = 1024
"""Clients whose rates are counted separately at a time."""
SCRAPE_RESERVE = 4
"""Of four or more scrapes at the same time, one client leaves a fourth to others."""
MAX_BODY_BYTES = 4 * 1024
"""Nothing here reads a body; forms of the landing page send an empty one."""
MAX_HEADERS = 64
"""Lines in the head of a request; Prometheus sends seven, browsers some twenty."""
MAX_HEADER_BYTES = 8 * 1024
"""Of one line; what most web servers allow."""
BODY_SECONDS = 10.0
LINGER_SECONDS = 2.0
"""For what a refused client still sends, so that it reads our answer before it sees the connection close."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a client may keep a connection waiting, in seconds."""

    head_seconds: float = 10.0
    """For the TLS handshake, and again for the head of a request, from the connection or from its first byte on."""
    idle_seconds: float = 75.0
    """Between two requests: longer than a minute, the usual longest interval between two scrapes."""
    stall_seconds: float = 30.0
    """Without a byte taken of an answer that waits; three times the usual time limit of a scrape."""


def client_of(address: str) -> str:
    """Return what one customer of a provider has: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.IPv6Network((parsed, 64), strict=False))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


class RateLimiter:
    """One request for each `interval_seconds`, and up to `burst` at once after a rest, for each client by itself.

    A client is one number: the time at which it will have rested. Memory is bounded: clients that have rested are
    forgotten, and while `max_clients` have not, newcomers share one limit.
    """

    def __init__(self, interval_seconds: float, burst: int, max_clients: int = MAX_CLIENTS) -> None:
        self._interval = interval_seconds
        # Sums of fractions end up just above a whole number of intervals.
        self._tolerance = (burst - 1 + 1e-9) * interval_seconds
        self._max_clients = max_clients
        self._rested_at: dict[str, float] = {}

    def take(self, now: float, client: str = "") -> float:
        """Return 0 when the request may pass, else the seconds after which one may (this one does not count)."""
        if client not in self._rested_at and len(self._rested_at) >= self._max_clients:
            self._rested_at = {name: at for name, at in self._rested_at.items() if at > now}
            if len(self._rested_at) >= self._max_clients:
                client = ""
        rested_at = max(now, self._rested_at.get(client, now))
        wait = rested_at - now - self._tolerance
        if wait > 0:
            return wait
        self._rested_at[client] = rested_at + self._interval
        return 0.0

    def __len__(self) -> int:
        return len(self._rested_at)


class Limiter:
    """Limits how many there are at the same time, in all and for each client (see `client_of`)."""

    def __init__(self, limit: int, limit_per_client: int) -> None:
        self.limit = limit
        self.limit_per_client = limit_per_client
        self._clients: dict[str, int] = {}
        self._total = 0

    def acquire(self, address: str) -> str | None:
        """Count one more and return None, or return the reason why there is no room: `limit` or `client_limit`."""
        client = client_of(address)
        if self._total >= self.limit:
            return "limit"
        if self._clients.get(client, 0) >= self.limit_per_client:
            return "client_limit"
        self._total += 1
        self._clients[client] = self._clients.get(client, 0) + 1
        return None

    def release(self, address: str) -> None:
        """Count one less that `acquire` has counted."""
        client = client_of(address)
        self._total -= 1
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]

    def __len__(self) -> int:
        return self._total

    def busiest_client(self, address: str) -> str | None:
        """Return the client that should make room for `address`: the one with the most.

        None when nobody has at least two more than the client of `address`.
        """
        own = self._clients.get(client_of(address), 0)
        client = max(self._clients, key=self._clients.__getitem__, default=None)
        return client if client is not None and self._clients[client] > own + 1 else None


class ConnectionTimer:
    """One connection's timeouts: report to it what happens, and ask it now and then.

    Waiting for the head of the first request begins with the connection, and for another one with its first byte; what
    happens between two requests is aiohttp's keep-alive timeout. While the client takes an answer, however slowly, the
    time for the next head does not run.
    """

    __slots__ = ("_head_since", "_is_answering", "_is_new", "_pending", "_taken_at", "_timeouts")

    def __init__(self, timeouts: Timeouts, now: float) -> None:
        self._timeouts = timeouts
        self._is_new = True  # no request yet
        self._is_answering = False
        self._head_since: float | None = now
        self._pending = 0
        self._taken_at = now

    def received(self, now: float) -> None:
        """Bytes have arrived."""
        if self._head_since is None and not self._is_answering:
            self._head_since = now

    def request_began(self) -> None:
        """The head of a request is complete."""
        self._is_answering, self._is_new = True, False
        self._head_since = None

    def request_ended(self) -> None:
        """The answer is made; the client need not have taken it."""
        self._is_answering = False

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered, or an answer being taken."""
        return self._is_answering or self._pending > 0

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered or read."""
        return not self.is_busy and (self._head_since is None or self._is_new)

    def expired(self, now: float, pending_bytes: int) -> str | None:
        """Return why to cut the connection: `stalled` or `head_timeout`; None to wait on.

        `pending_bytes` is what has been written and not yet been taken by the client's side.
        """
        if pending_bytes == 0 or pending_bytes < self._pending or self._pending == 0:
            self._taken_at = now
        self._pending = pending_bytes
        if pending_bytes:
            if self._head_since is not None:
                self._head_since = now
            return "stalled" if now - self._taken_at >= self._timeouts.stall_seconds else None
        if self._head_since is not None and now - self._head_since >= self._timeouts.head_seconds:
            return "head_timeout"
        return None


TICK_SECONDS = 0.25
"""Of the event loop's own timer; a delay shorter than this may fall between two ticks."""
DELAY_WINDOW_SECONDS = 60.0
"""What the gauge covers: the longest usual interval between scrapes, so that each scraper sees each delay."""
BLOCKED_WINDOW_SECONDS = 30.0
MAX_BLOCKED_SECONDS = 10.0
"""Blocked for more than a third of the window: no probe's time limit is met any more, and heartbeats begin to fail."""
MIN_BLOCKED_SECONDS = 1.0
"""A delay below this is load and not a blocked loop."""


class EventLoopLag:
    """How late the event loop is: a timer of the loop calls `tick` every `TICK_SECONDS`.

    A loop that is blocked now answers nothing, and a probe's own time limit notices. This reports what a probe cannot
    see: that the loop is blocked again and again, or that the timer itself has died.
    """

    def __init__(self, now: float) -> None:
        self._last = now
        self._delays: deque[tuple[float, float]] = deque()  # when it ended, seconds; the window bounds their number

    def tick(self, now: float) -> None:
        """The timer has fired."""
        self._delays.append((now, self._late(now)))
        self._last = now
        while now - self._delays[0][0] >= DELAY_WINDOW_SECONDS:
            self._delays.popleft()

    def longest_delay(self, now: float) -> float:
        """Return the longest delay of the timer in the last `DELAY_WINDOW_SECONDS`, the current one included."""
        return max(self._late(now), *self._since(now - DELAY_WINDOW_SECONDS), 0.0)

    def trouble(self, now: float) -> str | None:
        """Return what is wrong as a phrase, None when the loop is on time."""
        late = self._late(now)
        if late >= MAX_BLOCKED_SECONDS:
            return f"the event loop's timer has been silent for {late:.0f} s"
        blocked = sum(delay for delay in self._since(now - BLOCKED_WINDOW_SECONDS) if delay >= MIN_BLOCKED_SECONDS)
        if blocked >= MAX_BLOCKED_SECONDS:
            return f"the event loop was blocked for {blocked:.0f} s in the last {BLOCKED_WINDOW_SECONDS:.0f} s"
        return None

    def _late(self, now: float) -> float:
        return max(0.0, now - self._last - TICK_SECONDS)

    def _since(self, start: float) -> list[float]:
        return [delay for at, delay in self._delays if at > start]
