"""The activity feed: the newest events, each once, by severity and words.

So many events are stored of each severity that a filter shows a full feed, and not what is left of the newest.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice

from iris_exporter.watch.view import words
from iris_exporter.watch.view.objects import EventObject

SIZE = 50
"""Events that are shown, and stored of each severity."""
SEVERITIES = ("info", "warning", "error", "critical")
OTHER = "other"
"""Stands for any severity that is not in the list."""
MAX_IDS = 1000
"""Ids of events that are remembered, so that none is shown twice; an overview has 100 by default."""


@dataclass(frozen=True, slots=True)
class Row:
    """One event as it is shown; `at` is Unix seconds, None for not known."""

    id: str
    at: float | None
    severity: str
    project: str
    event_type: str
    message: str

    @classmethod
    def of(cls, event: EventObject) -> "Row":
        """The row of an event."""
        at = None if event.timestamp is None else words.unix(event.timestamp)
        texts = words.name(event.severity), words.name(event.project), words.name(event.event_type)
        return cls(event.id, at, *texts, words.message(event.message))

    @property
    def group(self) -> str:
        """Its severity as a filter knows it."""
        return self.severity if self.severity in SEVERITIES else OTHER


@dataclass(frozen=True, slots=True)
class Filter:
    """What is shown: severities that are hidden, and a text in project, type or message, in any case."""

    hidden: frozenset[str] = frozenset()
    text: str = ""

    def toggled(self, severity: str) -> "Filter":
        """With this severity hidden if it was shown, and shown if it was hidden; `info` stands for `other` too."""
        names = {severity, OTHER} if severity == SEVERITIES[0] else {severity}
        return Filter(self.hidden ^ names, self.text)

    def shows(self, row: Row) -> bool:
        """Whether a row passes."""
        if row.group in self.hidden:
            return False
        text = self.text.casefold()
        return not text or any(text in part.casefold() for part in (row.project, row.event_type, row.message))


@dataclass(slots=True)
class Feed:
    """The events of one stream."""

    _rows: dict[str, deque[tuple[int, Row]]] = field(default_factory=dict)  # by group, the newest first
    _ids: dict[str, None] = field(default_factory=dict)
    _next: int = 0

    def add(self, row: Row) -> bool:
        """Put an event on top; False, and nothing, for one that was there already."""
        if row.id in self._ids:
            return False
        self._store(row)
        return True

    def fill(self, listed: Sequence[Row]) -> None:
        """Take the events of an overview, newest first: what is missing comes to where it belongs.

        Events that arrived after the overview was made stay on top, older ones below.
        """
        if all(row.id in self._ids for row in listed):
            return
        each_once = list({row.id: row for row in listed}.values())
        merged = _merged(list(self._newest_first()), each_once)
        self._rows.clear()
        for row in reversed(merged):
            self._store(row)

    def shown(self, chosen: Filter, size: int = SIZE) -> list[Row]:
        """The newest events that pass, the newest first."""
        return list(islice((row for row in self._newest_first() if chosen.shows(row)), size))

    def _newest_first(self) -> Iterator[Row]:
        return (row for _, row in merge(*self._rows.values(), key=lambda pair: -pair[0]))

    def _store(self, row: Row) -> None:
        self._rows.setdefault(row.group, deque(maxlen=SIZE)).appendleft((self._next, row))
        self._next += 1
        self._ids[row.id] = None
        if len(self._ids) > MAX_IDS:
            del self._ids[next(iter(self._ids))]


def _merged(stored: Sequence[Row], listed: Sequence[Row]) -> list[Row]:
    """Both, each in its order, what they share once."""
    places = {row.id: place for place, row in enumerate(listed)}
    if not any(row.id in places for row in stored):
        place = _place_beside(stored, listed)
        return [*stored[:place], *listed, *stored[place:]]
    merged: list[Row] = []
    taken = 0
    for row in stored:
        place = places.get(row.id, -1)
        if place < 0:
            merged.append(row)
        elif place >= taken:
            merged += listed[taken : place + 1]
            taken = place + 1
    return [*merged, *listed[taken:]]


def _place_beside(stored: Sequence[Row], listed: Sequence[Row]) -> int:
    """Where a list belongs that shares no event with what is stored: on top, unless its times are older."""
    newest = next((row.at for row in listed if row.at is not None), None)
    if newest is None:
        return 0
    return next((place for place, row in enumerate(stored) if row.at is not None and row.at <= newest), len(stored))
