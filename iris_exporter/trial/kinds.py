"""Kinds of messages in a sample, and what their fields are."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from iris_exporter.mapping.paths import Root, find, written
from iris_exporter.trial.coverage import Place

_KIND_NAMES = (
    "type",
    "kind",
    "event",
    "event_type",
    "message_type",
    "messagetype",
    "action",
    "op",
    "channel",
    "method",
)
_MOST_KINDS, _MOST_DEPTH = 20, 6
_EVENT = "meta.event"


@dataclass(slots=True)
class Field:
    """What a field was in the messages of one kind."""

    count: int = 0
    values: Counter[object] = field(default_factory=Counter)
    types: Counter[type] = field(default_factory=Counter)

    def add(self, value: Any) -> None:
        """Note one value."""
        self.count += 1
        self.types[type(value)] += 1
        if len(self.values) <= 1_000:
            self.values[value] += 1


@dataclass(frozen=True, slots=True)
class Kind:
    """Messages of one kind. `path` is where they say it, empty where there is one kind; `key` is what; both as YAML."""

    name: str
    path: str
    key: str
    values: list[Any]

    @property
    def selector(self) -> str:
        """What selects it in an entry."""
        if self.path == _EVENT:
            return f"event: {self.key}"
        return f"when: {{{self.path}: {self.key}}}" if self.path else ""


def kinds_of(messages: list[tuple[str | None, Any]]) -> Iterator[Kind]:
    """Yield each kind."""
    events = {event for event, _ in messages if event is not None}
    place = None if len(events) > 1 else _discriminator([value for _, value in messages])
    if len(events) <= 1 and place is None:
        yield Kind("message", "", "", [value for _, value in messages])
        return
    groups: dict[str, list[Any]] = {}
    for event, value in messages:
        key = event if place is None else find(value, place)
        if isinstance(key, str):
            groups.setdefault(key, []).append(value)
    used: set[str] = set()
    for key, values in groups.items():
        word = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")[:40] or "message"
        while word in used or word == "other":
            word += "-more"
        used.add(word)
        quoted = json.dumps(key, ensure_ascii=False)
        path = _EVENT if place is None else json.dumps(written(Root.MESSAGE, place), ensure_ascii=False)
        yield Kind(word, path, quoted, values)


def _discriminator(values: list[Any]) -> Place | None:
    """The place of the text that says what a message is: in nearly all of them, with few values and such a name."""
    objects = [value for value in values if isinstance(value, dict)]
    if len(objects) < 2:
        return None
    found: list[tuple[int, int, Place]] = []
    for place, seen in fields_of(objects).items():
        # Few messages may be of many kinds, such as those at the beginning of a stream; some kind comes again.
        few = 2 <= len(seen.values) <= min(_MOST_KINDS, max(2, seen.count - 1))
        if len(place) <= 2 and few and seen.types.keys() == {str} and seen.count >= 0.8 * len(objects):
            name = str(place[-1]).lower()
            rank = _KIND_NAMES.index(name) if name in _KIND_NAMES else len(_KIND_NAMES)
            found.append((len(place), rank, place))
    named = [each for each in found if each[1] < len(_KIND_NAMES)]
    return min(named)[2] if named else None


def fields_of(values: Iterable[Any]) -> dict[Place, Field]:
    """The single values in objects, by their place."""
    found: dict[Place, Field] = {}
    for value in values:
        for place, single in _singles(value, ()):
            if place in found or len(found) < 500:
                found.setdefault(place, Field()).add(single)
    return found


def _singles(value: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, dict) and len(place) < _MOST_DEPTH:
        for key, inner in value.items():
            yield from _singles(inner, (*place, key))
    elif place and isinstance(value, str | int | float | bool):
        yield place, value
