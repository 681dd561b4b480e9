"""Limits of the HTTP door as pure cores: numbers and `now` in, decisions out. `now` is monotonic, in seconds.

Each limit has its default here, with the reason for it, and what is refused or cut is counted by `gate` and `guard`.
"""

import ipaddress
from collections import deque
from dataclasses import dataclass

MAX_CONNECTIONS = 512
"""Open connections in all (`--web.max-connections`): dozens of scrapers and people, and half of the usual 1,024 open
files, the rest of which the streams need."""
CLIENT_SHARE = 4
"""One client address gets a fourth of them: no single one can lock out the others. Behind a proxy, all have one."""
MAX_CLIENTS = 1024
"""Clients whose rates are told apart at a time."""
SCRAPE_RESERVE = 4
"""Of four or more places for scrapes one client leaves a fourth to others."""
MAX_BODY_BYTES = 4 * 1024
"""Nothing here reads a body; forms of the landing page send an empty one."""
MAX_HEADERS = 64
"""Lines in the head of a request; Prometheus sends seven, browsers some twenty."""
MAX_HEADER_BYTES = 8 * 1024
"""Of one line; what most web servers allow."""
HEAD_SECONDS = 10.0
"""For the TLS handshake, and again for the head of a request, from the connection or from its first byte on."""
BODY_SECONDS = 10.0
LINGER_SECONDS = 2.0
"""For what a refused client still sends, so that it reads our answer before it sees the connection close."""
IDLE_SECONDS = 75.0
"""Between two requests on a connection: longer than a minute, the usual longest interval between two scrapes."""
STALL_SECONDS = 30.0
"""Without a byte taken of an answer that waits; three times the usual time limit of a scrape."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a connection may keep us waiting, in seconds."""

    head_seconds: float = HEAD_SECONDS
    idle_seconds: float = IDLE_SECONDS
    stall_seconds: float = STALL_SECONDS


class TokenBucket:
    """A rate limit: one request for each `interval_seconds`, and up to `burst` at once after a rest."""

    def __init__(self, interval_seconds: float, burst: int, now: float) -> None:
        self._interval = interval_seconds
        self._burst = burst
        self._tokens = float(burst)
        self._at = now

    def take(self, now: float) -> float:
        """Return 0 when the request may pass, else the seconds after which one may (this one does not count)."""
        self._tokens = min(float(self._burst), self._tokens + max(0.0, now - self._at) / self._interval)
        self._at = now
        # Sums of fractions end up just below a whole number.
        if self._tokens >= 1.0 - 1e-9:
            self._tokens = max(0.0, self._tokens - 1.0)
            return 0.0
        return (1.0 - self._tokens) * self._interval

    def is_full(self, now: float) -> bool:
        """Whether nothing tells it from a new one."""
        return self._tokens + (now - self._at) / self._interval >= self._burst


def most_scrapes_per_client(most: int) -> int:
    """How many of `most` scrapes at the same time may be one client's."""
    return most - most // SCRAPE_RESERVE


class Occupancy:
    """Counts places that are taken, in all and for each client address (of IPv6, each /64 network)."""

    def __init__(self, most: int, most_per_client: int | None = None) -> None:
        self.most = most
        self.most_per_client = max(1, most // CLIENT_SHARE) if most_per_client is None else most_per_client
        self._clients: dict[str, int] = {}
        self._total = 0

    def enter(self, address: str) -> str | None:
        """Take a place and return None, or the reason why there is no room: `limit` or `client_limit`."""
        client = client_of(address)
        if self._total >= self.most:
            return "limit"
        if self._clients.get(client, 0) >= self.most_per_client:
            return "client_limit"
        self._total += 1
        self._clients[client] = self._clients.get(client, 0) + 1
        return None

    def leave(self, address: str) -> None:
        """Give back a place that `enter` has taken."""
        client = client_of(address)
        self._total -= 1
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]

    def __len__(self) -> int:
        return self._total

    def crowder(self, address: str) -> str | None:
        """Return who should make room for `address`: the client with the most connections, if it has more to give.

        None when nobody has at least two more than the client of `address`.
        """
        own = self._clients.get(client_of(address), 0)
        client = max(self._clients, key=self._clients.__getitem__, default=None)
        return client if client is not None and self._clients[client] > own + 1 else None


class ClientBuckets:
    """A rate limit of its own for each client, with bounded memory: what has rested is forgotten first.

    When `most` clients are all at it, newcomers share one bucket.
    """

    def __init__(self, interval_seconds: float, burst: int, most: int = MAX_CLIENTS) -> None:
        self._interval = interval_seconds
        self._burst = burst
        self._most = most
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, client: str, now: float) -> float:
        """See `TokenBucket.take`."""
        bucket = self._buckets.get(client)
        if bucket is None:
            if len(self._buckets) >= self._most:
                self._buckets = {name: one for name, one in self._buckets.items() if not one.is_full(now)}
            if len(self._buckets) >= self._most:
                client = ""
            bucket = self._buckets.setdefault(client, TokenBucket(self._interval, self._burst, now))
        return bucket.take(now)

    def __len__(self) -> int:
        return len(self._buckets)


def client_of(address: str) -> str:
    """What one customer of a provider has: an IPv4 address, or the first half of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.IPv6Network((parsed, 64), strict=False))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


class Patience:
    """One connection's deadlines: tell it what happens, ask it now and then.

    Waiting for a request begins with the connection and with the end of each answer. An answer that is still being
    taken, however slowly, stops the other clocks.
    """

    __slots__ = ("_busy", "_deadlines", "_fresh", "_head_since", "_idle_since", "_pending", "_taken_at")

    def __init__(self, deadlines: Deadlines, now: float) -> None:
        self._deadlines = deadlines
        self._busy = False
        self._fresh = True  # no request yet
        self._idle_since = now
        self._head_since: float | None = now
        self._pending = 0
        self._taken_at = now

    def received(self, now: float) -> None:
        """Bytes have arrived."""
        if self._head_since is None and not self._busy:
            self._head_since = now

    def request_began(self) -> None:
        """The head of a request is complete."""
        self._busy, self._fresh = True, False
        self._head_since = None

    def request_ended(self, now: float) -> None:
        """The answer is made; it need not have been taken."""
        self._busy = False
        self._idle_since = now

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered, or an answer being taken."""
        return self._busy or self._pending > 0

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered or read."""
        return not self._busy and not self._pending and (self._head_since is None or self._fresh)

    def verdict(self, now: float, pending_bytes: int) -> str | None:
        """Return why to cut the connection: `stalled`, `head_timeout`, `idle`; None to wait on.

        `pending_bytes` is what has been written and not yet been taken by the client's side.
        """
        if pending_bytes == 0 or pending_bytes < self._pending or self._pending == 0:
            self._taken_at = now
        self._pending = pending_bytes
        if pending_bytes:
            self._idle_since = now
            if self._head_since is not None:
                self._head_since = now
            return "stalled" if now - self._taken_at >= self._deadlines.stall_seconds else None
        if self._busy:
            return None
        if self._head_since is not None:
            return "head_timeout" if now - self._head_since >= self._deadlines.head_seconds else None
        return "idle" if now - self._idle_since >= self._deadlines.idle_seconds else None


TICK_SECONDS = 0.25
"""Of the loop's own ticker; a delay shorter than this may fall between two ticks."""
DELAY_WINDOW_SECONDS = 60.0
"""What the gauge looks back on: the longest usual interval between scrapes, so that each scraper sees each delay."""
HELD_WINDOW_SECONDS = 30.0
MOST_HELD_SECONDS = 10.0
"""Held for more than a third of the window: no probe's time limit is met any more, and heartbeats begin to fail."""
HELD_LEAST_SECONDS = 1.0
"""A delay below this is load and not a stuck loop."""


class LoopWatch:
    """Whether the event loop turns: `tick` is called by a timer of the loop every `TICK_SECONDS`.

    A loop that is held at this moment answers nothing, and a probe's own time limit notices. This tells what a probe
    cannot see: that the loop is held again and again, or that the ticker itself has died.
    """

    def __init__(self, now: float) -> None:
        self._last = now
        self._delays: deque[tuple[float, float]] = deque()  # when it ended, seconds

    def tick(self, now: float) -> None:
        """The timer has fired."""
        delay = max(0.0, now - self._last - TICK_SECONDS)
        self._last = now
        self._drop(now)
        # Only what could still be the maximum: longer than all after it. And what counts as held.
        while self._delays and self._delays[-1][1] <= delay < HELD_LEAST_SECONDS:
            self._delays.pop()
        self._delays.append((now, delay))

    def longest_delay(self, now: float) -> float:
        """Seconds by which the timer was late at most, in the last `DELAY_WINDOW_SECONDS`; the present one included."""
        self._drop(now)
        return max(self._late(now), *(delay for _, delay in self._delays), 0.0)

    def trouble(self, now: float) -> str | None:
        """Return what is wrong as a phrase, None when the loop turns."""
        late = self._late(now)
        if late >= MOST_HELD_SECONDS:
            return f"the event loop's ticker has been silent for {late:.0f} s"
        held = sum(
            delay for at, delay in self._delays if now - at < HELD_WINDOW_SECONDS and delay >= HELD_LEAST_SECONDS
        )
        if held >= MOST_HELD_SECONDS:
            return f"the event loop was held for {held:.0f} s in the last {HELD_WINDOW_SECONDS:.0f} s"
        return None

    def _late(self, now: float) -> float:
        return max(0.0, now - self._last - TICK_SECONDS)

    def _drop(self, now: float) -> None:
        while self._delays and now - self._delays[0][0] >= DELAY_WINDOW_SECONDS:
            self._delays.popleft()
