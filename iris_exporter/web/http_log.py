"""The log of aiohttp's servers, without what clients have sent."""

import logging
from collections.abc import Callable

from aiohttp.http_exceptions import HttpProcessingError


def http_log(room: str, malformed: Callable[[str], None]) -> logging.Logger:
    """A log for aiohttp that hands the kind of what is not HTTP to `malformed`, and prints the rest as `room`'s.

    Otherwise each such request would be a line of level error, with up to a kilobyte of its content: any scanner
    could fill the disk, and a header with a password that is too long, or an address with a ticket, would be printed.
    """

    def passes(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            return True
        malformed(type(error).__name__)
        return False

    # Not by name: each server has counts of its own.
    log = logging.Logger(f"{room}.http")  # noqa: LOG001
    log.parent = logging.getLogger(room)
    log.addFilter(passes)
    return log
