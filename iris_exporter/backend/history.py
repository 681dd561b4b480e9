"""The cursor: positions, the ring of recent events, and what a resume from a position yields. Pure.

A position is `<epoch>-<offset>`. The epoch is an opaque token without a dash, new whenever history is lost; the
offset counts events by one from 1. See `docs/protocol.md`, "The cursor".
"""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import msgspec

from iris_exporter.backend.objects import Event

_POSITION = re.compile(r"([A-Za-z0-9_.~]{1,64})-(0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """One event with its offset and its JSON text, which is made once and sent to everybody."""

    offset: int
    event: Event
    json: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Replay:
    """The answer to a resume.

    `outcome` is full (everything since is in `entries`), partial (`missed` events are gone), none (the position
    cannot be read, or lies in the future) or restarted (of another epoch; `entries` is all there is).
    """

    outcome: str
    entries: list[Entry]
    missed: int


def parse_position(text: str) -> tuple[str, int] | None:
    """Split a position into epoch and offset; None when it is not one."""
    match = _POSITION.fullmatch(text)
    return (match[1], int(match[2])) if match else None


class History:
    """The last `capacity` events of one epoch."""

    def __init__(self, epoch: str, capacity: int) -> None:
        self._ring: deque[Entry] = deque(maxlen=capacity)
        self.epoch = epoch
        self.last = 0
        """Offset of the latest event; 0 before the first."""

    def restore(self, entries: Iterable[Entry], last: int) -> None:
        """Take over what was kept of this epoch; `last` is the offset of its latest event, even if that was not."""
        self._ring = deque(entries, maxlen=self._ring.maxlen)
        self.last = last

    def forget_before(self, offset: int) -> None:
        """Lose the events before an offset."""
        while self._ring and self._ring[0].offset < offset:
            self._ring.popleft()

    def restart(self, epoch: str) -> None:
        """Lose everything and begin to count again under a new epoch."""
        self._ring.clear()
        self.epoch = epoch
        self.last = 0

    def extend(self, events: Iterable[tuple[Event, bytes]]) -> list[Entry]:
        """Append events with their JSON text, oldest first, and return them with their offsets."""
        entries = [
            Entry(offset, event, msgspec.Raw(text)) for offset, (event, text) in enumerate(events, self.last + 1)
        ]
        self._ring.extend(entries)
        self.last += len(entries)
        return entries

    def position(self, offset: int | None = None) -> str:
        """Return the position of `offset`; None means the latest event."""
        return f"{self.epoch}-{self.last if offset is None else offset}"

    def newest(self, limit: int) -> list[Entry]:
        """Return the latest `limit` events, newest first."""
        return list(islice(reversed(self._ring), limit))

    def after(self, offset: int, until: int | None = None) -> list[Entry]:
        """Return what the ring still has after `offset`, up to and with `until` (None: the latest), oldest first."""
        first = self.last - len(self._ring)
        end = self.last if until is None else min(until, self.last)
        return list(islice(self._ring, max(0, offset - first), max(0, end - first)))

    def resume(self, position: str, until: int | None = None) -> Replay:
        """Return what a client that has everything up to `position` lacks, up to the offset `until`."""
        parsed = parse_position(position)
        if parsed is None:
            return Replay("none", [], 0)
        epoch, offset = parsed
        if epoch != self.epoch:
            return Replay("restarted", self.after(0, until), 0)
        if offset > self.last:
            return Replay("none", [], 0)
        entries = self.after(offset, until)
        end = self.last if until is None else min(until, self.last)
        missed = max(0, end - offset) - len(entries)
        return Replay("partial" if missed else "full", entries, missed)
