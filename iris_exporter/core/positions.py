"""Positions in a source's numbering, its answers to a resume, and the cursor's state as a value.

Source: docs/protocol.md, section 4.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from iris_exporter.core.ranges import Ranges, above, covered, with_range

MAX_OFFSET_DIGITS = 18  # more cannot be a count of events, and converting it costs time
MAX_OFFSET = 10**MAX_OFFSET_DIGITS

_BELOW_100 = tuple(map(str, range(100)))
_LAST_TWO_DIGITS = tuple(f"{number:02}" for number in range(100))

MAX_POSITION_CHARS = 4096
"""A longer position is not sent back: it would have to go into a header, of which servers take 8 KB."""

# What a header cannot carry unchanged: controls but the tab, halves of surrogate pairs, and blanks at either end.
_UNSENDABLE = re.compile(r"[\x00-\x08\x0A-\x1F\x7F\uD800-\uDFFF]|^[ \t]|[ \t]\Z")


def is_sendable(text: str) -> bool:
    """Whether a header can carry `text`, as UTF-8, so that it arrives as it is. Source: RFC 9110, section 5.5."""
    return len(text) <= MAX_POSITION_CHARS and _UNSENDABLE.search(text) is None


class Position(NamedTuple):
    """The offset of an event in one numbering of a source."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"


class Outcome(StrEnum):
    """How a source answered a request to go on; the values are label values. `UNKNOWN`: by nothing that shows it."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"
    RESTARTED = "restarted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CursorState:
    """The cursor as plain data, to be written to disk. A value: its methods return another one.

    All events up to `offset` have been handled, `ahead` are those above it that were handled out of order. `opaque` is
    the last id of a source without positions, `lost` the offset of the last event that was reported lost, `confirmed`
    whether the source has confirmed the epoch.
    """

    epoch: str | None = None
    offset: int = 0
    confirmed: bool = False
    opaque: str = ""
    ahead: Ranges = ()
    lost: int = 0

    @property
    def text(self) -> str:
        """The position or the opaque id, as it is sent back; empty when there is none."""
        return self.opaque if self.epoch is None else f"{self.epoch}-{self.offset}"

    def advanced_to(self, offset: int) -> "CursorState":
        """With everything up to `offset` handled; it moves on over the ranges that join on."""
        offset, ahead = above(self.ahead, max(offset, self.offset))
        if offset == self.offset and ahead == self.ahead:
            return self
        return CursorState(self.epoch, offset, self.confirmed, self.opaque, ahead, self.lost)

    def with_handled(self, start: int, end: int) -> "CursorState":
        """With the events above `start`, up to `end`, handled out of order."""
        ahead = with_range(self.ahead, max(start, self.offset), end)
        return self if ahead is self.ahead else replace(self, ahead=ahead)

    def missing(self, start: int, end: int) -> int:
        """How many of the events above `start`, up to `end`, have not been handled."""
        start = max(start, self.offset)
        return 0 if end <= start else end - start - covered(self.ahead, start, end)


def parse_position(text: str) -> Position | None:
    """`<epoch>-<digits>`, or None for anything else, also where no header could carry it."""
    epoch, dash, digits = text.rpartition("-")
    if not dash or not epoch or not digits.isdigit() or not digits.isascii() or len(digits) > MAX_OFFSET_DIGITS:
        return None
    if not is_sendable(text):
        return None
    return Position(epoch, int(digits))


def are_consecutive(positions: Sequence[str], prefix: str, first: int) -> bool:
    """Whether the offsets behind `prefix` begin with `first` and grow by one; `positions` is not empty."""
    end = first + len(positions)
    if end > MAX_OFFSET or positions[-1] != f"{prefix}{end - 1}":
        return False
    # Two texts are compared quicker than many; a line feed inside a position would make one too many. The expected one
    # is made by the hundred, of which only the beginning has to be written.
    expected = []
    for hundred in range(first // 100, (end - 1) // 100 + 1):
        lead = f"\n{prefix}{hundred or ''}"
        endings = (_LAST_TWO_DIGITS if hundred else _BELOW_100)[max(0, first - 100 * hundred) : end - 100 * hundred]
        expected.append(lead + lead.join(endings))
    return "\n" + "\n".join(positions) == "".join(expected)
