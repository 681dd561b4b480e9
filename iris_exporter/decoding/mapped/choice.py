"""Which entry takes each of many messages, looked up by the values that conditions read."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from iris_exporter.decoding.mapped.columns import LIST, MARKED, OBJECT, NotPlain, Operator, marked
from iris_exporter.decoding.mapped.conditions import holds
from iris_exporter.decoding.mapped.patient import EntryReader
from iris_exporter.decoding.mapped.places import fits
from iris_exporter.decoding.mapped.views import Messages

PATIENT = -1
"""The number of the entry of messages that go the patient way."""


class Choice:
    """The number of the entry that takes a message, PATIENT for what has to go that way.

    `known` are the entries whose conditions can be evaluated, `quick` those whose messages can go the fast way.
    """

    def __init__(self, readers: Sequence[EntryReader], known: frozenset[int], quick: frozenset[int]) -> None:
        self._readers = readers
        self._known = known
        self._quick = quick
        conditions = [condition for number in sorted(known) for condition in readers[number].flat]
        self._paths = list(dict.fromkeys(condition.path for condition in conditions))
        self._has_events = any(reader.entry.events for reader in readers)
        self._of_objects = Operator(partial(self._choose, OBJECT), MARKED)
        self._of_lists = Operator(partial(self._choose, LIST), MARKED)
        self._of_any = Operator(lambda raws: self._choose(raws[0], raws[1:]), MARKED)

    def over(self, messages: Messages) -> list[int]:
        """The choice for each message."""
        columns = [marked(messages.first(paths)) for paths in self._paths]
        if self._has_events:
            columns.append(messages.meta["event"])
        root, length = messages.root, len(messages.rows)
        is_list = any(isinstance(step, int) for step in root.steps)
        try:
            if root.is_one_kind and root.struct is not None:
                return (self._of_lists if is_list else self._of_objects).over(columns, length)
            return self._of_any.over([marked(messages.rows, is_list=is_list), *columns], length)
        except NotPlain:
            return [PATIENT] * length

    def _choose(self, kind: object, raws: Sequence[Any]) -> int:
        found = dict(zip(self._paths, raws, strict=False))
        event = raws[-1] if self._has_events else ""
        whole = {} if kind is OBJECT else [] if kind is LIST else kind
        for number, reader in enumerate(self._readers):
            events = reader.entry.events
            if (events and event not in events) or reader.entry.text is not None or not fits(reader.steps, whole):
                continue
            if number not in self._known:
                return PATIENT
            if all(holds(condition, found[condition.path]) for condition in reader.flat):
                return number if number in self._quick and not reader.deep else PATIENT
        return PATIENT
