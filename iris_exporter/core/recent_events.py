"""The latest events of all streams, numbered, for readers that each have a position of their own.

One bounded buffer stands for a queue of each reader: a reader that is slow falls behind the oldest event in it, and
learns how many it has missed. A position is the number of the last event that a reader has; its text names the
epoch too, so that nobody goes on from the numbers of another life of the buffer.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

Item = TypeVar("Item")

MAX_EVENTS = 1000
"""Of all streams; a second at a rate at which no person reads any more."""
MAX_BYTES = 4 << 20
"""Events may carry much `metadata`."""


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where a reader goes on. `outcome` is `full`, `partial` or `none`, None where no position was given.

    `missed` is how many events it cannot have any more; None where nobody can know.
    """

    outcome: str | None
    position: int
    missed: int | None


class RecentEvents(Generic[Item]):
    """Add events, and read what comes after a position. `epoch` has neither spaces nor a hyphen."""

    def __init__(self, epoch: str, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self.epoch = epoch
        self.last = 0
        """The number of the newest event, 0 before the first."""
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._stored: deque[tuple[Item, int]] = deque()
        self._bytes = 0

    def add(self, item: Item, size_bytes: int) -> None:
        """Add the newest event; the oldest go where there is no room. The newest stays, whatever its size."""
        self._stored.append((item, size_bytes))
        self._bytes += size_bytes
        self.last += 1
        while len(self._stored) > self._max_events or (self._bytes > self._max_bytes and len(self._stored) > 1):
            self._bytes -= self._stored.popleft()[1]

    @property
    def oldest_position(self) -> int:
        """The lowest position from which nothing is missing."""
        return self.last - len(self._stored)

    def lost_after(self, position: int) -> int:
        """How many events after a position are no more."""
        return max(0, self.oldest_position - position)

    def after(self, position: int, most: int) -> Iterator[Item]:
        """At most so many events that follow `position`, oldest first; it is not below `oldest_position`."""
        start = position - self.oldest_position
        return (item for item, _ in islice(self._stored, start, start + most))

    def text(self, position: int) -> str:
        """A position as a reader keeps it."""
        return f"{self.epoch}-{position}"

    def resume(self, text: str | None) -> Resumption:
        """Where the reader of a position goes on; whatever is no position of this epoch has the outcome `none`."""
        if text is None:
            return Resumption(None, self.last, 0)
        epoch, _, number = text.partition("-")
        is_number = number.isascii() and number.isdigit() and len(number) <= len(str(self.last))
        if epoch != self.epoch or not is_number or int(number) > self.last:
            return Resumption("none", self.last, None)
        missed = self.lost_after(int(number))
        return Resumption("partial" if missed else "full", int(number) + missed, missed)
