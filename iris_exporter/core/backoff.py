"""Delays between attempts: cap first, jitter last.

The delay before attempt n (from 1) is `min(initial * 2**(n-1), maximum)`, then moved by up to +-jitter of itself. The
jitter comes after the cap, so that a thousand clients that all reached the cap do not knock in step; with the default
20 % an attempt may therefore be 72 s away under a cap of 60 s. Source: the IRIS wire, section 4.
"""

from collections.abc import Callable
from dataclasses import dataclass

from iris_exporter.core.failures import RETRY_AFTER_CAP_SECONDS


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait. `random` gives floats in [0, 1), uniformly."""

    initial_seconds: float
    maximum_seconds: float
    jitter: float
    random: Callable[[], float]

    def delay(self, attempt: int, hint_seconds: float | None = None) -> float:
        """Seconds before attempt number `attempt` (from 1).

        A hint of the source (`Retry-After`, `retryAfter`) is a lower bound, within `RETRY_AFTER_CAP_SECONDS`; it is
        spread upwards only, because coming early is what the source asked us not to do.
        """
        # An attempt number in the thousands must not compute 2**1000.
        doublings = min(attempt - 1, 64)
        planned = self.spread(min(self.initial_seconds * 2.0**doublings, self.maximum_seconds))
        if hint_seconds is None:
            return planned
        hint = min(max(hint_seconds, 0.0), RETRY_AFTER_CAP_SECONDS)
        return max(planned, hint * (1.0 + self.jitter * self.random()))

    def spread(self, seconds: float) -> float:
        """`seconds`, moved by up to +-jitter of itself."""
        return seconds * (1.0 + self.jitter * (2.0 * self.random() - 1.0))
