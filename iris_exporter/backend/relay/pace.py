"""When to poll next. Pure."""

from collections.abc import Callable

from iris_exporter.core.backoff import Backoff

JITTER = 0.1
"""Relays of one source that were started together do not stay in step."""
MOST_SECONDS = 60.0
"""The longest wait after failures, unless the interval or the source's own wish is longer."""
LEAST_SECONDS = 0.2
_BUSY_SHARE = 0.5
_SLOWEST, _FASTEST = 1.0, 1 / 16
_FASTER, _SLOWER = 0.5, 1.25


class Pace:
    """The interval between polls: shorter while events come so fast that the source's list might not hold them."""

    def __init__(self, interval_seconds: float, random: Callable[[], float]) -> None:
        self._interval = interval_seconds
        self._backoff = Backoff(interval_seconds, max(interval_seconds, MOST_SECONDS), 2 * JITTER, random)
        self._jitter = Backoff(interval_seconds, interval_seconds, JITTER, random)
        self._factor = _SLOWEST
        self._failures = 0

    def after_success(self, new_share: float) -> float:
        """Seconds to the next poll; `new_share` is how much of the source's list of events was new, 0 to 1."""
        self._failures = 0
        faster = new_share > _BUSY_SHARE
        self._factor = max(_FASTEST, self._factor * _FASTER) if faster else min(_SLOWEST, self._factor * _SLOWER)
        least = min(LEAST_SECONDS, self._interval)
        return self._jitter.spread(max(least, self._interval * self._factor))

    def after_failure(self, hint_seconds: float | None) -> float:
        """Seconds to the next attempt, not less than the source's `Retry-After` asks for."""
        self._failures += 1
        return self._backoff.delay(self._failures, hint_seconds)
