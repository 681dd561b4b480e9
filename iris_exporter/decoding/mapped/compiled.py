"""The fast way: messages decoded into types made for the mapping, and many of them read at once.

Theory. A read of the socket brings up to some hundred messages. They are decoded one by one into structs that have what
the mapping reads and nothing else; which entry takes each is looked up by the values that conditions read; and then
every step is one over a column: see `plans`. Messages that have to be read by themselves go the patient way, alone, and
in their place. Both ways give the same for the same bytes.

An entry that cannot be read like this (JSON within JSON, several parts, series that are replaced or forgotten) goes the
patient way with all its messages.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any

import msgspec

from iris_exporter.decoding.elements import MappedBatch, Samples, UnmadeEvent, in_seconds
from iris_exporter.decoding.json_text import is_clean
from iris_exporter.decoding.mapped import values
from iris_exporter.decoding.mapped.choice import PATIENT, Choice
from iris_exporter.decoding.mapped.columns import Column, NotPlain, are_texts
from iris_exporter.decoding.mapped.patient import Patient
from iris_exporter.decoding.mapped.pieces import Piece
from iris_exporter.decoding.mapped.places import metas_of
from iris_exporter.decoding.mapped.plans import Filter, PartPlan
from iris_exporter.decoding.mapped.shapes import Conflict
from iris_exporter.decoding.mapped.tally import Tally
from iris_exporter.decoding.mapped.tree import Registry
from iris_exporter.decoding.mapped.views import Messages, View, elements_of
from iris_exporter.decoding.messages import Message
from iris_exporter.decoding.values import UnusableValueError
from iris_exporter.errors import DecodeError
from iris_exporter.mapping.spec import CursorSpec, Mapping, Order, Role

MAX_BATCH = 512
"""Messages in one batch: enough to make its fixed costs small, and few enough to stay in a processor's cache. With half
as many an event takes a tenth more."""

# TypeError: the frame is not text.
_NOT_ORDINARY = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError)


class Pieces:
    """Pieces of one read: the JSON of each, and what else there is to each where there is more (`others`)."""

    __slots__ = ("_others", "json")

    def __init__(self, json: Sequence[bytes], others: Sequence[Piece] | None = None) -> None:
        self.json = json
        self._others = others

    def __len__(self) -> int:
        return len(self.json)

    def at(self, row: int) -> Piece:
        """One piece."""
        return Piece(self.json[row], self.json[row]) if self._others is None else self._others[row]

    def part(self, start: int, end: int) -> "Pieces":
        """Some of them."""
        return Pieces(self.json[start:end], None if self._others is None else self._others[start:end])


class Positions:
    """The cursor after each of many messages."""

    def __init__(self, spec: CursorSpec) -> None:
        self._spec = spec
        self._filter = Filter(spec.when)

    def over(self, messages: Messages) -> Sequence[str]:
        """One for each message, or none at all. Raises NotPlain where only some have one."""
        spec = self._spec
        count = len(messages.rows)
        rows = self._filter.rows(View(messages, count))
        if rows == []:
            return ()
        if rows is not None:  # the fewer go the patient way
            others = set(range(count)) - set(rows)
            raise NotPlain(rows if len(rows) < len(others) else others)
        column = messages.at(spec.path)
        if spec.order is not Order.NUMBER and are_texts(column) and "" not in column:
            return column
        if column.count(None) == count:
            return ()
        found: list[str] = []
        odd: list[int] = []
        for row, raw in enumerate(column):
            try:
                position = values.cursor(spec.order, raw)
            except UnusableValueError:
                position = None
            if position is None:
                odd.append(row)
            else:
                found.append(position)
        if odd:
            raise NotPlain(odd)
        return found


class Group:
    """What one entry's messages of a batch have brought: elements with their messages, and what is known of them."""

    def __init__(self, plan: PartPlan, messages: Messages, rows: Sequence[int]) -> None:
        each = plan.spec.each
        view = View(messages, len(messages.rows)) if each is None else elements_of(messages, each)
        chosen = plan.chosen(view)
        self.filtered = view.count - chosen.count
        self.count = chosen.count
        self.owners: Sequence[int] = rows if chosen.owners is None else [rows[owner] for owner in chosen.owners]
        self.ids = plan.ids(chosen)
        self.times = plan.times(chosen)
        self.events = plan.events(chosen, self.ids, self.times)
        found = [metric.samples(chosen) for metric in plan.metrics] if chosen.count else []
        self.samples = [samples for samples in found if samples is not None]


class Compiled:
    """Reads messages of one mapping; what it cannot read it hands to `patient`.

    Raises Conflict where it can read none.
    """

    def __init__(self, mapping: Mapping, patient: Patient, tally: Tally) -> None:
        registry = Registry(mapping)
        kinds = registry.root.typed(is_root=True)
        self._root = registry.root
        self._decode = msgspec.json.Decoder(kinds).decode
        self._patient = patient
        self._tally = tally
        self._choice = Choice(patient.entries, registry.known, registry.quick)
        self._signs = frozenset(
            number for number in registry.quick if mapping.entries[number].role in (Role.ACK, Role.IGNORE)
        )
        self._plans = {
            number: PartPlan(patient.entries[number].parts[0], registry.root) for number in registry.quick - self._signs
        }
        cursor = mapping.cursor
        self._positions = None if cursor is None or cursor.is_last_event_id else Positions(cursor)
        self._reads_meta = bool(metas_of(mapping))
        if not registry.quick or (cursor is not None and cursor.by is not None):
            raise Conflict

    def read(self, pieces: Pieces) -> Iterator[Message | DecodeError]:
        """The messages of pieces, in order."""
        for start in range(0, len(pieces), MAX_BATCH):
            yield from self._read_some(pieces.part(start, start + MAX_BATCH))

    def _read_some(self, pieces: Pieces) -> Iterator[Message | DecodeError]:
        left = iter(pieces.json)
        start = 0
        while start < len(pieces):
            rows: Column = []
            with suppress(*_NOT_ORDINARY):
                rows.extend(map(self._decode, left))  # what was decoded before an error is in the list
            end = start + len(rows)
            if rows:
                yield from self._read_rows(rows, pieces.part(start, end))
            if end < len(pieces):
                yield from self._patient.read(pieces.at(end))
            start = end + 1

    def _read_rows(self, rows: Column, pieces: Pieces) -> Iterator[Message | DecodeError]:
        if not is_clean(b"\n".join(pieces.json)):
            for row in range(len(pieces)):
                yield from self._patient.read(pieces.at(row))
            return
        messages = self._messages(rows, pieces)
        chosen = self._choice.over(messages)
        if PATIENT not in chosen:
            yield from self._read_all(messages, chosen, pieces)
        else:
            odd = [row for row, number in enumerate(chosen) if number == PATIENT]
            yield from self._read_around(odd, messages, chosen, pieces)

    def _messages(self, rows: Column, pieces: Pieces) -> Messages:
        if not self._reads_meta:
            return Messages(self._root, rows, {})
        each = [pieces.at(row) for row in range(len(pieces))]
        meta: dict[str, Column] = {
            "event": [piece.event for piece in each],
            "id": [piece.id or None for piece in each],
            "stream": [self._patient.stream or None] * len(each),
        }
        return Messages(self._root, rows, meta)

    def _read_around(
        self, odd: Sequence[int], messages: Messages, chosen: list[int], pieces: Pieces
    ) -> Iterator[Message | DecodeError]:
        """Read messages of which some go the patient way."""
        start = 0
        for row in (*odd, len(pieces)):
            if start < row:
                part = messages.only(range(start, row))
                yield from self._read_all(part, chosen[start:row], pieces.part(start, row))
            if row < len(pieces):
                yield from self._patient.read(pieces.at(row))
            start = row + 1

    def _read_all(self, messages: Messages, chosen: list[int], pieces: Pieces) -> Iterator[Message | DecodeError]:
        try:
            batch = self._batch(messages, chosen)
        except NotPlain as found:
            odd = found.rows
        else:
            yield batch
            return
        yield from self._read_around(odd, messages, chosen, pieces)

    # Batches

    def _batch(self, messages: Messages, chosen: list[int]) -> MappedBatch:
        """All messages as one batch. Raises NotPlain; then nothing has happened."""
        positions = () if self._positions is None else self._positions.over(messages)
        numbers = sorted(set(chosen))
        groups = [
            self._group(number, messages, chosen, is_alone=len(numbers) == 1)
            for number in numbers
            if number in self._plans
        ]
        first = numbers[0]
        kind = self._patient.entries[first].entry.kind
        batch = merged(groups, len(chosen), kind)
        batch.positions = positions
        batch.is_data = not self._signs.issuperset(numbers)
        for number in numbers:
            self._tally.messages[self._patient.entries[number].entry.kind] += chosen.count(number)
        self._tally.filtered += sum(group.filtered for group in groups)
        return batch

    def _group(self, number: int, messages: Messages, chosen: list[int], *, is_alone: bool) -> Group:
        plan = self._plans[number]
        if is_alone:
            return Group(plan, messages, range(len(chosen)))
        rows = [row for row, each in enumerate(chosen) if each == number]
        try:
            return Group(plan, messages.only(rows), rows)
        except NotPlain as odd:
            raise NotPlain([rows[row] for row in odd.rows]) from None


def merged(groups: Sequence[Group], messages: int, kind: str) -> MappedBatch:
    """One batch of what several entries' messages have brought, in the order of the messages."""
    if len(groups) == 1 and groups[0].owners == range(messages):
        [group] = groups
        return MappedBatch(kind, -1, messages, group.ids, group.times, group.samples, plain=True, events=group.events)
    each = [0] * messages
    for group in groups:
        for owner in group.owners:
            each[owner] += 1
    starts = list(accumulate(each, initial=0))
    count = starts[-1]
    batch = MappedBatch(kind, -1, count, elements_each=each, plain=True)
    ids: list[str | None] = [None] * count
    times: list[float | None] = [None] * count
    events: list[UnmadeEvent | None] = [None] * count
    samples: dict[str, Samples] = {}
    for group in groups:
        rows = _rows(group.owners, starts)
        if group.ids is not None:
            batch.ids = _put(ids, rows, group.ids)
        if group.times is not None:
            batch.times = _put(times, rows, in_seconds(group.times))
        if group.events is not None:
            batch.events = _put(events, rows, group.events)
        for each_sample in group.samples:
            _add(samples, each_sample, rows)
    batch.samples = list(samples.values())
    return batch


def _rows(owners: Sequence[int], starts: list[int]) -> list[int]:
    """Where in the batch the elements of a group are: those of one message stand together."""
    rows = []
    before, row = -1, 0
    for owner in owners:
        row = row + 1 if owner == before else starts[owner]
        rows.append(row)
        before = owner
    return rows


def _put(column: list[Any], rows: Sequence[int], found: Sequence[Any]) -> list[Any]:
    for row, value in zip(rows, found, strict=True):
        column[row] = value
    return column


def _add(samples: dict[str, Samples], found: Samples, rows: Sequence[int]) -> None:
    """Add samples of a group; where there are some of the metric, in the order of the messages."""
    found.counts = None
    found.rows = list(rows) if found.rows is None else [rows[row] for row in found.rows]
    known = samples.get(found.metric)
    if known is None:
        samples[found.metric] = found
        return
    for one in (known, found):
        if one.values is None and (known.values or found.values) is not None:
            one.values = [1.0] * len(one.keys)
    known_rows = known.rows or []
    order = sorted(range(len(known.keys) + len(found.keys)), key=[*known_rows, *found.rows].__getitem__)

    def sorted_by_row(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
        both = [*one, *other]
        return [both[place] for place in order]

    known.keys = sorted_by_row(known.keys, found.keys)
    known.rows = sorted_by_row(known_rows, found.rows)
    if known.values is not None and found.values is not None:
        known.values = sorted_by_row(known.values, found.values)
