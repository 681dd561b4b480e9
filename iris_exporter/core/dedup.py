"""Which events were seen: each event once, in bounded memory.

Theory. The same event arrives on two channels, again in the next snapshot and again after a reconnect, so events are
identified by their ids. Ids are remembered in two generations: new ones go to the young one, and when that is full it
becomes the old one, and the old one before it is dropped. That costs two look-ups, keeps at least the last `max_ids`
ids and never more than twice as many. An id that is met again moves to the young generation: an event that a source
repeats in every snapshot is never forgotten, however many others pass by.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Self

from iris_exporter.core.limits import DEFAULT_LIMITS

DEFAULT_MAX_IDS = DEFAULT_LIMITS.max_event_ids
"""Ids remembered at least, by default."""


class SeenIds:
    """The ids of one source. `ids` are those to begin with, from the oldest to the youngest, `pinned` those pinned.

    `forgotten` counts the ids that were dropped with an old generation; whoever reads it may set it to 0. `pinned` are
    not forgotten before `unpin`; others read it, since the hot path asks whether there are any.
    """

    __slots__ = ("_in_both", "_max_ids", "_old", "_old_order", "_young", "_young_order", "forgotten", "pinned")

    def __init__(self, max_ids: int = DEFAULT_MAX_IDS, ids: Iterable[str] = (), pinned: Iterable[str] = ()) -> None:
        if max_ids < 1:
            raise ValueError("max_ids must be at least 1")
        self._max_ids = max_ids
        self.forgotten = 0
        # Each generation as a set, which the hot path asks, and in order, for those who save it.
        self._young: set[str] = set()
        self._young_order: list[str] = []
        # Never changed in place: they are dropped as a whole, so copies can share them.
        self._old_order = list(dict.fromkeys(list(ids)[-2 * max_ids :]))
        self._old = set(self._old_order)
        self._in_both = 0  # ids of the old generation that were met again
        self.pinned: dict[str, None] = {}
        self.pin(pinned)

    def see(self, event_id: str) -> bool:
        """Remember an id; True when it is the first time."""
        young = self._young
        if event_id in young:
            return False
        is_old = event_id in self._old
        self._in_both += is_old
        young.add(event_id)
        self._young_order.append(event_id)
        if len(young) >= self._max_ids:
            self._age()
        return not is_old and event_id not in self.pinned

    def pin(self, event_ids: Iterable[str]) -> None:
        """Do not forget these before `unpin`: their events came out of order, and will come once more."""
        room = 2 * self._max_ids - len(self.pinned)
        self.pinned.update(dict.fromkeys(itertools.islice(event_ids, max(0, room))))

    def unpin(self) -> None:
        """The cursor has passed all pinned events: from now on their ids are remembered like any other."""
        pinned, self.pinned = self.pinned, {}
        for event_id in pinned:
            self.see(event_id)

    def _age(self) -> None:
        """The young generation becomes the old one, and the old one is forgotten."""
        self.forgotten += len(self._old) - self._in_both
        self._old, self._old_order = self._young, self._young_order
        self._young, self._young_order, self._in_both = set(), [], 0

    def resize(self, max_ids: int) -> None:
        """Remember another number of ids from now on; pinned ones stay."""
        self._max_ids = max_ids
        if len(self._old) > max_ids or len(self._young) > max_ids:
            ids = self.ids()[-2 * max_ids :]
            self.forgotten += len(self) - len(ids)
            self._old, self._old_order = set(ids), ids
            self._young, self._young_order, self._in_both = set(), [], 0

    def see_all(self, event_ids: Sequence[str]) -> bool:
        """Remember several ids when all of them are new; False, and nothing changes, when one is not."""
        young = self._young
        # Where the cursor is behind, ids are seen one by one.
        if self.pinned or not (self._old.isdisjoint(event_ids) and young.isdisjoint(event_ids)):
            return False
        before = len(young)
        young.update(event_ids)
        if len(young) - before < len(event_ids):  # one comes twice
            young.difference_update(event_ids)
            return False
        if len(young) < self._max_ids:
            self._young_order.extend(event_ids)
        else:
            young.difference_update(event_ids)
            for event_id in event_ids:
                self.see(event_id)
        return True

    def knows(self, event_id: str) -> bool:
        """Whether an id is remembered; nothing changes."""
        return event_id in self._young or event_id in self._old or event_id in self.pinned

    def copy(self) -> Self:
        """The same memory, frozen at this moment; costs as much as the young generation is large."""
        twin = type(self)(self._max_ids)
        twin._old, twin._old_order, twin._in_both = self._old, self._old_order, self._in_both  # noqa: SLF001 (its own kind)
        twin._young, twin._young_order = self._young.copy(), self._young_order.copy()  # noqa: SLF001
        twin.pinned = self.pinned.copy()
        return twin

    def ids(self) -> list[str]:
        """Every id once, from the oldest to the youngest, without those that are only pinned."""
        young = self._young
        return [event_id for event_id in self._old_order if event_id not in young] + self._young_order

    def __bool__(self) -> bool:
        """Whether any id is remembered."""
        return bool(self._young or self._old or self.pinned)

    def __len__(self) -> int:
        """How many ids are remembered, without those that are only pinned; at most twice `max_ids`."""
        return len(self._young) + len(self._old) - self._in_both
