"""When to ping a source, and when its silence means that the link is dead.

All times are monotonic seconds. Each byte that arrives sets `heard`. Whoever keeps the link waits for `wait_seconds`,
then asks `is_dead` and `ping_due`, and reports with `sent` and `answered`.
"""


class Heartbeat:
    """The heartbeat of one link that was opened at `now`."""

    def __init__(self, interval_seconds: float, timeout_seconds: float, now: float) -> None:
        self.heard = now
        self._interval = interval_seconds
        self._timeout = timeout_seconds
        self._next_ping = now + interval_seconds
        self._sent: float | None = None  # None when no answer is awaited

    def is_dead(self, now: float) -> bool:
        """Whether nothing was heard for the timeout."""
        return now - self.heard >= self._timeout

    def ping_due(self, now: float) -> bool:
        """Whether to ping now; if so, the next ping is due after another interval."""
        if now < self._next_ping:
            return False
        self._next_ping = now + self._interval
        return True

    def sent(self, now: float) -> None:
        """A ping went out that the source can answer."""
        self._sent = now

    def answered(self, now: float) -> float | None:
        """The round trip of the last ping in seconds, at its first answer; None for an answer that nobody awaits."""
        sent, self._sent = self._sent, None
        return None if sent is None else now - sent

    def wait_seconds(self, now: float) -> float:
        """How long until there is something to do."""
        return min(self._next_ping, self.heard + self._timeout) - now
