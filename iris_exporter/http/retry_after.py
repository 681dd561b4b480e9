"""The header `Retry-After`. Source: RFC 9110, sections 10.2.3 and 5.6.7."""

from datetime import UTC
from email.utils import parsedate_to_datetime


def retry_after_seconds(value: str | None, now: float) -> float | None:
    """Seconds that a `Retry-After` asks for, at wall time `now`; None when absent or unreadable.

    Digits are seconds, anything else must be an HTTP date. A date in the past is 0. There is no cap here.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])  # more digits than that are no sensible wait, and the cap is elsewhere
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:  # "-0000": a UTC date of unknown origin
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - now)
