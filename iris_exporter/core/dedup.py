"""Which events were seen: each event once, in bounded memory.

Theory. The same event arrives on two channels, again in the next snapshot and again after a reconnect, so events are
identified by their ids. Ids are remembered in two generations: new ones go to the young one, and when that is full it
becomes the old one, and the old one before it is dropped. That keeps at least the last `max_ids` ids and never more
than twice as many. An id that is met again moves to the young generation: an event that a source repeats in every
snapshot is never forgotten, however many others pass by.

An id above all that are remembered is new, and needs no look-up. Many sources give such ids (counters with leading
zeros, times, ULIDs, version 7 of UUIDs), so a generation is a list and becomes a set only when something has to be
looked up: an id that is not above, or what a document or a second channel brings. Look-ups among ids that have left
the processor's cache cost a sixth of all that is done with an event.

Such ids are stored many in one text, a run. They take a fifth of the memory, and nothing of a decoded batch outlives
it but its last events: ids that did would lie scattered in the memory in which the next batch is made, which is then
no longer in the processor's cache. That costs a tenth of all that is done with an event.
"""

import itertools
import operator
from collections.abc import Iterable, Sequence
from typing import Self

from iris_exporter.core.limits import DEFAULT_LIMITS

DEFAULT_MAX_IDS = DEFAULT_LIMITS.max_event_ids
"""Ids remembered at least, by default."""


_SEPARATOR = "\0"  # no decoder lets one through in an id; ids that have one are stored by themselves
_LEAST_OF_A_RUN = 16


class _Run(str):
    """Several ids in one text."""

    __slots__ = ()


class _Generation:
    """Ids, each once. `order` has them as they came, one by one or in runs, and `count` says how many they are.

    `largest` is the last one in the alphabet, empty without any. `looked_up` is how many elements of `order` are in the
    set that `known` returns.
    """

    __slots__ = ("_known", "count", "largest", "looked_up", "order")

    def __init__(self, ids: Sequence[str] = ()) -> None:
        self.order: list[str] = []
        self.count = 0
        self.largest = max(ids, default="")
        self.looked_up = 0
        self._known: set[str] | None = None
        self.extend(ids)

    def extend(self, ids: Sequence[str]) -> None:
        """Add ids that are in no set."""
        self.count += len(ids)
        if len(ids) >= _LEAST_OF_A_RUN:
            text = _SEPARATOR.join(ids)
            if text.count(_SEPARATOR) == len(ids) - 1:
                self.order.append(_Run(text))
                return
        self.order.extend(ids)

    def known(self) -> set[str]:
        """The ids to look up; costs as much as ids have come since the last time. Whoever adds to it says so."""
        if self._known is None:
            self._known = set()
        if self.looked_up < len(self.order):
            self._known.update(_separated(self.order[self.looked_up :]))
            self.looked_up = len(self.order)
        return self._known

    def ids(self) -> list[str]:
        """Every id, from the oldest on."""
        return _separated(self.order)

    def compact(self) -> "_Generation":
        """The same ids in one run, where most came one by one and none was looked up; else this one."""
        if self.looked_up or len(self.order) * _LEAST_OF_A_RUN <= self.count:
            return self
        return _Generation(self.ids())


def _separated(order: Iterable[str]) -> list[str]:
    ids: list[str] = []
    for element in order:
        if isinstance(element, _Run):
            ids += element.split(_SEPARATOR)
        else:
            ids.append(element)
    return ids


class SeenIds:
    """The ids of one source. `ids` are those to begin with, from the oldest to the youngest, `pinned` those pinned.

    `forgotten` counts the ids that were dropped with an old generation; whoever reads it may set it to 0. `pinned` are
    not forgotten before `unpin`; others read it, since the hot path asks whether there are any.
    """

    __slots__ = ("_in_both", "_max_ids", "_old", "_young", "forgotten", "pinned")

    def __init__(self, max_ids: int = DEFAULT_MAX_IDS, ids: Iterable[str] = (), pinned: Iterable[str] = ()) -> None:
        if max_ids < 1:
            raise ValueError("max_ids must be at least 1")
        self._max_ids = max_ids
        self.forgotten = 0
        self._young = _Generation()
        # Nothing is added to it: it is dropped as a whole, so copies can share it.
        self._old = _Generation(list(dict.fromkeys(list(ids)[-2 * max_ids :])))
        self._in_both = 0  # ids of the old generation that were met again
        self.pinned: dict[str, None] = {}
        self.pin(pinned)

    def see(self, event_id: str) -> bool:
        """Remember an id; True when it is the first time."""
        young, old, is_old = self._young, self._old, False
        if event_id > young.largest and event_id > old.largest:
            young.largest = event_id
        else:
            known = young.known()
            if event_id in known:
                return False
            known.add(event_id)
            young.looked_up += 1
            is_old = event_id in old.known()
            self._in_both += is_old
            if event_id > young.largest:
                young.largest = event_id
        young.order.append(event_id)
        young.count += 1
        if young.count >= self._max_ids:
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
        self.forgotten += self._old.count - self._in_both
        self._old, self._young, self._in_both = self._young.compact(), _Generation(), 0

    def resize(self, max_ids: int) -> None:
        """Remember another number of ids from now on; pinned ones stay."""
        self._max_ids = max_ids
        if self._old.count > max_ids or self._young.count > max_ids:
            ids = self.ids()[-2 * max_ids :]
            self.forgotten += len(self) - len(ids)
            self._old, self._young, self._in_both = _Generation(ids), _Generation(), 0

    def see_all(self, event_ids: Sequence[str]) -> bool:
        """Remember several ids when all of them are new; False, and nothing changes, when one is not."""
        if self.pinned:  # where the cursor is behind, ids are seen one by one
            return False
        if self._are_above(event_ids):
            self._add_above(event_ids)
            return True
        young = self._young
        known = young.known()
        if not (self._old.known().isdisjoint(event_ids) and known.isdisjoint(event_ids)):
            return False
        before = len(known)
        known.update(event_ids)
        if len(known) - before < len(event_ids):  # one comes twice
            known.difference_update(event_ids)
            return False
        if len(known) < self._max_ids:
            young.order.extend(event_ids)
            young.count += len(event_ids)
            young.looked_up = len(young.order)
            young.largest = max(young.largest, *event_ids)
        else:
            known.difference_update(event_ids)
            for event_id in event_ids:
                self.see(event_id)
        return True

    def _add_above(self, event_ids: Sequence[str]) -> None:
        start = 0
        while start < len(event_ids):
            young = self._young
            part = event_ids[start : start + max(1, self._max_ids - young.count)]
            young.extend(part)
            young.largest = part[-1]
            if young.count >= self._max_ids:
                self._age()
            start += len(part)

    def _are_above(self, event_ids: Sequence[str]) -> bool:
        """Whether each of these ids is above the one before it, and the first above all that are remembered."""
        if event_ids[0] <= self._young.largest or event_ids[0] <= self._old.largest:
            return False
        return all(map(operator.lt, event_ids, itertools.islice(event_ids, 1, None)))

    def knows(self, event_id: str) -> bool:
        """Whether an id is remembered; nothing changes."""
        return event_id in self._young.known() or event_id in self._old.known() or event_id in self.pinned

    def copy(self) -> Self:
        """The same memory, frozen at this moment; costs as much as the list of the young generation is long."""
        twin, young = type(self)(self._max_ids), self._young
        twin._old, twin._in_both = self._old, self._in_both  # noqa: SLF001 (its own kind)
        twin._young.order, twin._young.count, twin._young.largest = young.order.copy(), young.count, young.largest  # noqa: SLF001
        twin.pinned = self.pinned.copy()
        return twin

    def ids(self) -> list[str]:
        """Every id once, from the oldest to the youngest, without those that are only pinned."""
        old, young = self._old.ids(), self._young
        if self._in_both:
            old = [event_id for event_id in old if event_id not in young.known()]
        return old + young.ids()

    def __bool__(self) -> bool:
        """Whether any id is remembered."""
        return bool(self._young.count or self._old.count or self.pinned)

    def __len__(self) -> int:
        """How many ids are remembered, without those that are only pinned; at most twice `max_ids`."""
        return self._young.count + self._old.count - self._in_both
