"""What a source says about where it is: positions, answers to a resume, and the place that is kept of it.

Source: docs/protocol.md, section 4.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from iris_exporter.core.spans import Spans

MAX_OFFSET_DIGITS = 18  # more cannot be a count of events, and converting it costs time
MAX_OFFSET = 10**MAX_OFFSET_DIGITS


MAX_POSITION_CHARS = 1024
"""A longer position is not sent back: it would have to go into a header, of which servers take 8 KB."""

# What a header cannot carry unchanged: controls but the tab, halves of surrogate pairs, and blanks at either end.
_UNSENDABLE = re.compile(r"[\x00-\x08\x0A-\x1F\x7F\uD800-\uDFFF]|^[ \t]|[ \t]\Z")


def is_sendable(text: str) -> bool:
    """Whether a header can carry `text`, as UTF-8, so that it arrives as it is. Source: RFC 9110, section 5.5."""
    return len(text) <= MAX_POSITION_CHARS and _UNSENDABLE.search(text) is None


class Position(NamedTuple):
    """A place in the numbering of a source."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"


class Outcome(StrEnum):
    """How a source answered a request to go on; the values are label values."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"
    RESTARTED = "restarted"


@dataclass(frozen=True, slots=True)
class CursorState:
    """The cursor as plain data, to be kept over a restart.

    `opaque` is the last id of a source without positions, `ahead` what was dealt with above the offset, `lost` the
    offset of the last event that was reported lost.
    """

    epoch: str | None = None
    offset: int = 0
    confirmed: bool = False
    opaque: str = ""
    ahead: Spans = ()
    lost: int = 0


def parse_position(text: str) -> Position | None:
    """`<epoch>-<digits>`, or None for anything else, also where no header could carry it."""
    epoch, dash, digits = text.rpartition("-")
    if not dash or not epoch or not digits.isdigit() or not digits.isascii() or len(digits) > MAX_OFFSET_DIGITS:
        return None
    if not is_sendable(text):
        return None
    return Position(epoch, int(digits))
