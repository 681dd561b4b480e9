"""How well messages and documents fit: fields that are read, that are not, and on what scale shares are sent. Pure.

A field that is not read is no trouble: sources may send what they like. It is one where a field that is read has nearly
its name, and is nowhere to be seen in objects of this kind.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from iris_exporter.decoding.fields import MessageFields, ObjectFields, Share

MAX_MESSAGES = 20_000
"""Messages that are examined: each is parsed once more for it."""
MAX_UNREAD = 100
"""Different unread fields that are listed; a map whose keys are ids has any number."""
MAX_NAME_CHARS = 60
_NEAR = 0.82
"""Likeness of two names: one wrong, missing or added letter, of long names two; other words are further apart."""


@dataclass(slots=True)
class Scale:
    """How a share was sent: the range of its numbers, and how many messages had it on each scale.

    `doubtful` counts numbers above 0 and up to 1, read as 0 to 1 because nothing beside them says otherwise.
    """

    lowest: float
    highest: float
    percentages: int = 0
    doubtful: int = 0

    @property
    def is_mixed(self) -> bool:
        """Whether the same field came on both scales, so that some of it is read wrongly."""
        return bool(self.percentages and self.doubtful)

    def add(self, share: Share) -> None:
        """Take in one number."""
        self.lowest, self.highest = min(self.lowest, share.value), max(self.highest, share.value)
        self.percentages += share.is_percentage
        self.doubtful += not share.is_percentage and 0 < share.value <= 1


@dataclass(slots=True)
class Fit:
    """What was seen of the fields of one source; objects are told apart by their place, as in `events`."""

    messages: int = 0
    left_out: int = 0  # messages that were not examined any more
    shapes: Counter[str] = field(default_factory=Counter)
    names: set[str] = field(default_factory=set)
    known: dict[str, dict[str, str]] = field(default_factory=dict)
    read: dict[str, set[str]] = field(default_factory=dict)
    unread: Counter[tuple[str, str]] = field(default_factory=Counter)  # messages that had it
    unlisted: int = 0  # times that an unread field was not listed, since there are too many
    scales: dict[tuple[str, str], Scale] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        """Whether no more messages are examined."""
        return self.messages >= MAX_MESSAGES

    def add(self, message: MessageFields) -> None:
        """Take in one message or document."""
        self.messages += 1
        self.shapes[message.shape] += 1
        unread: set[tuple[str, str]] = set()
        for each in message.objects:
            self.known.setdefault(each.place, {}).update(each.known)
            self.read.setdefault(each.place, set()).update(each.read)
            self.names |= each.names
            unread |= {(each.place, name[:MAX_NAME_CHARS]) for name in each.unread}
            self._add_shares(each)
        for name in unread:
            if name in self.unread or len(self.unread) < MAX_UNREAD:
                self.unread[name] += 1
            else:
                self.unlisted += 1

    def _add_shares(self, found: ObjectFields) -> None:
        for share in found.shares:
            self.scales.setdefault((found.place, share.name), Scale(share.value, share.value)).add(share)

    def missing(self, place: str) -> list[str]:
        """The fields that are read there and were in none of the objects, by their first spelling."""
        return sorted(set(self.known.get(place, {}).values()) - self.read.get(place, set()))

    def places(self) -> list[str]:
        """The kinds of objects that were seen and of which fields are read."""
        return sorted(place for place, known in self.known.items() if known)

    def spelling(self) -> str:
        """How names of several words are written."""
        camel = any(re.search(r"[a-z][A-Z]", name) for name in self.names)
        snake = any("_" in name for name in self.names)
        return " and ".join(name for name, used in (("camelCase", camel), ("snake_case", snake)) if used) or "one word"

    def misspelled(self) -> Iterator[tuple[str, str, str, int]]:
        """Place, unread name, the first spelling of the field that is probably meant, and messages that had it."""
        for (place, name), count in self.unread.most_common():
            absent = set(self.missing(place))
            names = self.known.get(place, {}).items()
            candidates = {_plain(known): first for known, first in names if first in absent}
            for near in difflib.get_close_matches(_plain(name), candidates, n=1, cutoff=_NEAR):
                yield place, name, candidates[near], count


def _plain(name: str) -> str:
    """The letters and digits of a name."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
