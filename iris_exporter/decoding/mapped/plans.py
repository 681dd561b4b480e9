"""One part of an entry, the fast way: samples of many elements, column by column, where all of them are plain.

What the patient way would note as a problem, or would change to be shown, is left to it: these raise `NotPlain` with
the messages, and nothing has happened yet.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from math import isfinite
from typing import Any

from iris_exporter.decoding import values as plain_values
from iris_exporter.decoding.elements import LabelValues, LazyKeys, Samples, Times, UnmadeEvent
from iris_exporter.decoding.mapped import values
from iris_exporter.decoding.mapped.columns import (
    MARKED,
    NUMBERS,
    TEXTS,
    Column,
    NotPlain,
    Operator,
    are_texts,
    at_rows,
    marked,
)
from iris_exporter.decoding.mapped.conditions import holds
from iris_exporter.decoding.mapped.labels import Labels
from iris_exporter.decoding.mapped.parts import MetricReader, PartReader
from iris_exporter.decoding.mapped.shapes import Node
from iris_exporter.decoding.mapped.views import View, segments_of
from iris_exporter.decoding.values import UnusableValueError
from iris_exporter.mapping.spec import Conditions, LabelSpec, MetricKind, Paths, TimeFormat, ValueSpec

_EPOCH = datetime.fromtimestamp(0, UTC)
_ESCAPED = ("\x1e", values.SEPARATOR)


class Filter:
    """Which elements conditions hold for."""

    def __init__(self, conditions: Conditions) -> None:
        self._paths = [condition.path for condition in conditions]
        self._operator = Operator(
            lambda raws: all(holds(condition, raw) for condition, raw in zip(conditions, raws, strict=True)), MARKED
        )

    def rows(self, view: View) -> list[int] | None:
        """The rows for which they hold; None for all."""
        if not self._paths:
            return None
        found = self._operator.over([marked(view.first(paths)) for paths in self._paths], view.count)
        return None if False not in found else [row for row, does_hold in enumerate(found) if does_hold]


class Keys:
    """The label values of one or several metrics that have the same labels."""

    def __init__(self, labels: Labels) -> None:
        self.is_shared = False
        self._labels = labels
        self._paths = [spec.path for spec in labels.specs if spec.path is not None]
        self._is_from_path = [spec.path is not None for spec in labels.specs]
        self._operator = Operator(self._key)

    @property
    def specs(self) -> tuple[LabelSpec, ...]:
        """The labels."""
        return self._labels.specs

    def _key(self, raws: tuple[Any, ...]) -> LabelValues:
        rest = iter(raws)
        key, cut = self._labels.values(tuple([next(rest) if is_raw else None for is_raw in self._is_from_path]))
        if cut:
            raise UnusableValueError("cut")
        return key

    def counted(self, view: View) -> Mapping[LabelValues, int] | None:
        """How many elements have which label values; None where that costs more."""
        return self._operator.counted([view.first(paths) for paths in self._paths])

    def over(self, view: View) -> list[LabelValues]:
        """The label values of each element."""
        try:
            return self._operator.over([view.first(paths) for paths in self._paths], view.count)
        except NotPlain as odd:
            raise view.not_plain(odd.rows) from None


class Numbers:
    """Values of one metric as numbers: `path`, `minus` and `per`."""

    def __init__(self, spec: ValueSpec) -> None:
        self._spec = spec
        self._is_operated = spec.pattern is not None or spec.map is not None or spec.base is not None
        self._operator = Operator(lambda raws: values.number(spec, raws[0]))

    def over(self, view: View) -> Column:
        """A number for each element, None where something is missing; of an age the time."""
        spec = self._spec
        columns = [self._read(view, paths) for paths in (spec.path, spec.minus, spec.per) if paths is not None]
        found = columns[0]
        if len(columns) == 1 and (spec.age or (spec.factor == 1 and spec.offset == 0)):
            return found
        rest = iter(columns[1:])
        nothing = [None] * view.count
        minus = next(rest) if spec.minus is not None else nothing
        per = next(rest) if spec.per is not None else nothing
        is_whole = [None not in each for each in zip(*columns, strict=True)]
        result: Column = []
        odd: list[int] = []
        for row, (there, value, less, by) in enumerate(zip(is_whole, found, minus, per, strict=True)):
            try:
                result.append(values.combined(spec, value, less, by) if there else None)
            except UnusableValueError:
                odd.append(row)
        if odd:
            raise view.not_plain(odd)
        return result

    def _read(self, view: View, paths: Paths) -> Column:
        spec = self._spec
        column = view.first(paths)
        kinds = set(map(type, column))
        if not spec.length and not self._is_operated and spec.format is None:
            if kinds <= NUMBERS:
                with suppress(OverflowError):
                    if type(None) not in kinds:
                        return list(map(float, column))
                    return [None if raw is None else float(raw) for raw in column]
            elif kinds == {str} and (found := numbers_in_texts(column)) is not None:
                return found
        if self._is_operated:
            try:
                return self._operator.over([column], view.count)
            except NotPlain as odd:
                raise view.not_plain(odd.rows) from None
        return _each(view, column, lambda raw: values.number(spec, raw))


def numbers_in_texts(column: Sequence[str]) -> list[float] | None:
    """Texts as numbers when all of them are plain ones; None to read each by itself."""
    joined = "".join(column)
    if "_" in joined or not joined.isascii():
        return None
    try:
        found = list(map(float, column))
    except ValueError:
        return None
    return found if all(map(isfinite, found)) else None


def _each(view: View, column: Column, read: Callable[[Any], Any]) -> Column:
    """What `read` makes of each value. Raises NotPlain for those of which it makes nothing."""
    result: Column = []
    odd: list[int] = []
    for row, raw in enumerate(column):
        try:
            result.append(read(raw))
        except UnusableValueError:
            odd.append(row)
    if odd:
        raise view.not_plain(odd)
    return result


class MetricPlan:
    """The samples of one metric."""

    def __init__(self, reader: MetricReader, keys: Keys) -> None:
        self._reader = reader
        self._spec = spec = reader.spec
        self._keys = keys
        self._filter = Filter(spec.where)
        self._numbers: Numbers | None = None
        self._states: Operator | None = None
        if spec.state is not None:
            state = spec.state
            self._states = Operator(lambda raws: values.state(state, spec.states, raws[0]))
        elif spec.value is not None and spec.value.path is not None:
            self._numbers = Numbers(spec.value)

    @property
    def _is_only_counted(self) -> bool:
        """Whether nobody needs the label values of each element."""
        return self._spec.kind is MetricKind.COUNTER and not self._reader.has_value and not self._keys.is_shared

    def samples(self, view: View) -> Samples | None:
        """The samples of these elements; None without any."""
        try:
            rows = self._filter.rows(view)
        except NotPlain as odd:
            raise view.not_plain(odd.rows) from None
        if rows == []:
            return None
        if rows is None and self._is_only_counted and (counts := self._keys.counted(view)) is not None:
            return Samples(self._spec.name, LazyKeys(partial(self._keys.over, view), view.count), counts=counts)
        chosen = view if rows is None else view.only(rows)
        found: Column | None = None
        if self._numbers is not None or self._states is not None:
            found = self._values(chosen)
            if None in found:
                there = [row for row, value in enumerate(found) if value is not None]
                if not there:
                    return None
                found = at_rows(found, there)
                rows = there if rows is None else [rows[row] for row in there]
        elif self._reader.has_value and self._spec.value is not None:
            found = [self._spec.value.constant] * chosen.count
        keys = at_rows(self._keys.over(view), rows)
        return Samples(self._spec.name, keys, found, rows, self._reader.scale)

    def _values(self, view: View) -> Column:
        spec = self._spec
        if self._states is not None and spec.state is not None:
            try:
                found = self._states.over([view.first(spec.state.path)], view.count)
            except NotPlain as odd:
                raise view.not_plain(odd.rows) from None
            default = None
        else:
            found, default = self._numbers_of(view)
        if None in found:
            if spec.required or (default is not None and self._reader.is_age):
                raise view.not_plain(row for row, value in enumerate(found) if value is None)
            if default is not None:
                found = [default if value is None else value for value in found]
        if spec.kind is MetricKind.COUNTER and not self._reader.is_age and min(_there(found), default=0) < 0:
            raise view.not_plain(row for row, value in enumerate(found) if value is not None and value < 0)
        return found

    def _numbers_of(self, view: View) -> tuple[Column, float | None]:
        """The numbers, and what stands for one that is missing."""
        if self._numbers is None or self._spec.value is None:
            return [], None
        return self._numbers.over(view), self._spec.value.default


def _there(column: Column) -> Column:
    return column if None not in column else [value for value in column if value is not None]


class PartPlan:
    """One part of an entry."""

    def __init__(self, reader: PartReader, root: Node) -> None:
        self.reader = reader
        self.spec = spec = reader.spec
        self._filter = Filter(spec.where)
        paths = reader.id[0] if len(reader.id) == 1 else ()
        places = [segments_of(path, spec.each) for path in paths]
        # The type says then that they are no longer than ids may be, and not empty.
        self._has_short_ids = bool(places) and all(place is not None and root.at(place).is_short for place in places)
        shared: list[Keys] = []
        self.metrics: list[MetricPlan] = []
        for metric in reader.metrics:
            keys = next((each for each in shared if each.specs == metric.labels.specs), None)
            if keys is None:
                shared.append(keys := Keys(metric.labels))
            else:
                keys.is_shared = True
            self.metrics.append(MetricPlan(metric, keys))

    def chosen(self, view: View) -> View:
        """The elements that are not filtered."""
        try:
            rows = self._filter.rows(view)
        except NotPlain as odd:
            raise view.not_plain(odd.rows) from None
        return view if rows is None else view.only(rows)

    def ids(self, view: View) -> list[str] | None:
        """The id of each element; None where the mapping names none."""
        parts = self.reader.id
        if not parts:
            return None
        columns = [view.first(paths) for paths in parts]
        if self._has_short_ids and are_texts(columns[0]):
            return columns[0]
        if (found := plain_ids(columns)) is not None:
            return found
        made = _each(view, list(zip(*columns, strict=True)), values.identity)
        if None in made:
            raise view.not_plain(row for row, identity in enumerate(made) if identity is None)
        return made

    def times(self, view: View) -> Times | None:
        """The time of each element; None where the mapping names none."""
        spec = self.spec.time
        if spec is None:
            return None
        column = view.first(spec.path)
        if spec.format is TimeFormat.ISO and column and type(column[0]) is datetime and _are_after_1970(column):
            return column
        return _each(view, column, lambda raw: _seconds(spec.format, raw))

    def events(self, view: View, ids: Sequence[str] | None, times: Times | None) -> list[UnmadeEvent] | None:
        """What a log record and a span of each element are made of; None where the part wants neither."""
        maker = self.reader.events
        if maker is None:
            return None
        columns = [view.first(paths) for paths in maker.paths]
        if odd := maker.odd_rows(columns):
            raise view.not_plain(odd)
        nothing = [None] * view.count
        rows = zip(zip(*columns, strict=True), ids or nothing, times or nothing, strict=True)
        return [UnmadeEvent(maker.make, raws, event_id, time) for raws, event_id, time in rows]


def _are_after_1970(times: Sequence[datetime]) -> bool:
    """Whether all are, and are times with an offset."""
    try:
        return min(times) >= _EPOCH
    except TypeError:  # a time without an offset cannot be compared with one that has it, nor can a text
        return False


def _seconds(time_format: TimeFormat, raw: object) -> float | None:
    """A time as the patient way reads it; a date and time that was decoded is in ISO 8601."""
    return values.seconds(time_format, raw.isoformat() if isinstance(raw, datetime) else raw)


def plain_ids(columns: Sequence[Column]) -> list[str] | None:
    """The ids of parts that are all texts; None to make each by itself."""
    head = columns[0]
    if not are_texts(head) or "" in head or not set(map(type, chain.from_iterable(columns[1:]))) <= TEXTS:
        return None
    if len(columns) == 1:
        found = head
    else:
        texts = [head, *([text or "" for text in column] for column in columns[1:])]
        joined = "".join(chain.from_iterable(texts))
        if any(mark in joined for mark in _ESCAPED):
            return None
        found = list(map(values.SEPARATOR.join, zip(*texts, strict=True)))
    return found if max(map(len, found), default=0) <= plain_values.MAX_ID_CHARS else None
