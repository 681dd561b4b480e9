"""One part of an entry, the patient way: the samples of each element, on plain values."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from iris_exporter.decoding.elements import Forgotten, LabelValues, MappedBatch, Samples, UnmadeEvent
from iris_exporter.decoding.mapped import values
from iris_exporter.decoding.mapped.conditions import holds, json_type
from iris_exporter.decoding.mapped.events import EventMaker
from iris_exporter.decoding.mapped.labels import Labels
from iris_exporter.decoding.mapped.places import Scope, Walk
from iris_exporter.decoding.mapped.tally import MappingProblem, Tally
from iris_exporter.decoding.values import UnusableValueError
from iris_exporter.mapping.patterns import MAX_SEARCHED
from iris_exporter.mapping.spec import Conditions, Entry, MetricKind, MetricSpec, PartSpec, Paths, ValueSpec
from iris_exporter.mapping.spec import Mapping as SourceMapping

_NO_SAMPLE = object()


class MetricReader:
    """One metric of a part. `scale` is not None where the value is an age, see `Samples`."""

    def __init__(self, spec: MetricSpec, declared: Mapping[str, MetricSpec], limit: int) -> None:
        self.spec = spec
        self.labels = Labels(spec, declared, limit)
        value = spec.value
        self.is_age = value is not None and value.age
        self.scale = (value.factor, value.offset) if value is not None and value.age else None
        self.has_value = spec.state is not None or not is_one(value)

    def forgets(self, names: tuple[str, ...]) -> tuple[int, ...] | None:
        """The places of labels by which series are forgotten; None for counters, and where one of them is missing."""
        own = [label.name for label in self.labels.specs]
        if not is_forgettable(self.spec) or not set(names) <= set(own):
            return None
        return tuple(own.index(name) for name in names)


def is_one(value: ValueSpec | None) -> bool:
    """Whether each sample is 1."""
    return value is None or (value.path is None and value.constant == 1)


def is_forgettable(spec: MetricSpec) -> bool:
    """Whether series of a metric can go: what is counted stays."""
    return spec.kind in (MetricKind.GAUGE, MetricKind.INFO, MetricKind.STATESET)


class PartReader:
    """One part of an entry; `number` is its place in `Mapping.parts`.

    `follows` says that elements have no id of their own, and are left out where the first part was a duplicate;
    `is_followed` that such parts follow, so that the id counts even of a message that is filtered.
    """

    def __init__(
        self,
        entry: Entry,
        spec: PartSpec,
        number: int,
        mapping: SourceMapping,
        declared: Mapping[str, MetricSpec],
        tally: Tally,
    ) -> None:
        limit = mapping.limits.label_length
        self.spec = spec
        self.number = number
        self.metrics = [MetricReader(metric, declared, limit) for metric in spec.metrics]
        first = entry.parts[0]
        is_same_id = spec.each is None and spec.id == first.id
        self.follows = spec is not first and first.each is None and bool(first.id) and (not spec.id or is_same_id)
        self.id = () if self.follows else spec.id
        self.events = EventMaker.of(spec, entry.kind, mapping.name)
        self._id_of_event = first.id if self.follows else ()
        self.is_followed = spec is first and spec.each is None and bool(spec.id) and len(entry.parts) > 1
        self._kind = entry.kind
        self._tally = tally
        names = tuple(name for name, _ in spec.forget)
        readers = (MetricReader(metric, declared, limit) for metric in declared.values()) if names else ()
        self._forgetting = [(each, places) for each in readers if (places := each.forgets(names)) is not None]

    @classmethod
    def of(cls, entry: Entry, numbers: Iterator[int], mapping: SourceMapping, tally: Tally) -> list["PartReader"]:
        """The parts of an entry."""
        declared = {metric.name: metric for metric in mapping.metrics}
        return [cls(entry, part, next(numbers), mapping, declared, tally) for part in entry.parts]

    def read(self, scope: Scope, *, is_history: bool) -> MappedBatch:
        """The elements of one message."""
        spec = self.spec
        batch = MappedBatch(self._kind, self.number, 0, follows=self.follows, is_history=is_history)
        batch.replaces = spec.replace
        ids: list[str | None] = []
        times: list[float | None] = []
        forgotten: list[list[Forgotten]] = []
        events: list[UnmadeEvent | None] = []
        samples: dict[tuple[int, bool], Samples] = {}
        for _ in self._elements(scope, batch):
            holds_here = self._holds(spec.where, scope)
            if not holds_here:
                self._tally.filtered += 1
                if not self.is_followed:
                    continue
            if self.id:
                ids.append(self._id(scope))
            if spec.time is not None:
                times.append(self._time(scope) if holds_here else None)
            if spec.forget:
                forgotten.append(self._forgotten(scope) if holds_here else [])
            if self.events is not None:
                found = self._event(self.events, scope, ids, times) if holds_here else None
                events.append(found)
            for place, metric in enumerate(self.metrics if holds_here else ()):
                self._sample(metric, scope, batch, samples, place)
            batch.count += 1
        batch.ids = ids if self.id else None
        batch.times = times if spec.time is not None else None
        batch.forgotten = forgotten
        batch.events = events or None
        batch.samples = list(samples.values())
        return batch

    def _elements(self, scope: Scope, batch: MappedBatch) -> Iterator[None]:
        """Let `scope` stand at each element in turn."""
        if self.spec.each is None:
            yield
            return
        elements = Walk(scope.message, self.spec.each)
        batch.replaces = batch.replaces and elements.found
        if elements.wrong:
            self._problem("", "wrong_type", self.spec.each.text)
        for found in elements.elements:
            scope.element, scope.key, scope.parent = found.value, found.key, found.parent
            yield

    def _problem(self, metric: str, reason: str, path: str = "", found: object = None) -> None:
        self._tally.problems[MappingProblem(self._kind, metric, reason, path, json_type(found))] += 1

    @staticmethod
    def _holds(conditions: Conditions, scope: Scope) -> bool:
        return all(holds(condition, scope.first(condition.path)) for condition in conditions)

    def _id(self, scope: Scope) -> str | None:
        raws = [scope.first(paths) for paths in self.id]
        try:
            found = values.identity(raws)
        except UnusableValueError as error:
            self._problem("", error.reason, _texts(self.id[0]), raws[0])
            found = None
        else:
            if found is None:
                self._problem("", "missing", _texts(self.id[0]))
        if found is None and self.spec.counts_events:
            self._tally.nameless += 1
        return found

    def _time(self, scope: Scope) -> float | None:
        if self.spec.time is None:
            return None
        raw = scope.first(self.spec.time.path)
        try:
            return values.seconds(self.spec.time.format, raw)
        except UnusableValueError as error:
            self._problem("", error.reason, _texts(self.spec.time.path), raw)
            return None

    def _event(self, maker: EventMaker, scope: Scope, ids: list[str | None], times: list[float | None]) -> UnmadeEvent:
        """What a log record and a span of an element are made of; `ids` and `times` end in its own."""
        raws = []
        for place, paths in enumerate(maker.paths):
            raw = scope.first(paths)
            try:
                raws.append(maker.plain(place, raw))
            except UnusableValueError as error:
                self._problem("", error.reason, _texts(paths), raw)
                raws.append(None)
        event_id = ids[-1] if self.id else self._followed_id(scope)
        return UnmadeEvent(maker.make, tuple(raws), event_id, times[-1] if self.spec.time is not None else None)

    def _followed_id(self, scope: Scope) -> str | None:
        """The id of the first part, which this one follows; what is wrong with it has been noted there."""
        try:
            return values.identity([scope.first(paths) for paths in self._id_of_event]) if self._id_of_event else None
        except UnusableValueError:
            return None

    def _forgotten(self, scope: Scope) -> list[Forgotten]:
        """The series that go with this element; none where a value is missing or cannot be a label."""
        raws = [scope.first(paths) for _, paths in self.spec.forget]
        if any(raw is None for raw in raws):
            return []
        found = []
        for metric, places in self._forgetting:
            wanted: list[Any] = [None] * len(metric.labels.specs)
            for place, raw in zip(places, raws, strict=True):
                wanted[place] = raw
            try:
                key, _ = metric.labels.values(tuple(wanted))
            except UnusableValueError as error:
                self._problem("", error.reason, _texts(self.spec.forget[0][1]), raws[0])
                return []
            found.append(Forgotten(metric.spec.name, places, tuple(key[place] for place in places)))
        return found

    # Samples

    def _sample(
        self,
        metric: MetricReader,
        scope: Scope,
        batch: MappedBatch,
        samples: dict[tuple[int, bool], Samples],
        place: int,
    ) -> None:
        spec = metric.spec
        if not self._holds(spec.where, scope):
            return
        value, is_age = self._value(metric, scope)
        if value is _NO_SAMPLE:
            return
        raws = tuple([None if label.path is None else scope.first(label.path) for label in metric.labels.specs])
        try:
            key, cut = metric.labels.values(raws)
        except UnusableValueError as error:
            self._problem(spec.name, error.reason, *_unusable_label(metric, raws))
            return
        batch.cut += cut
        found = samples.get((place, is_age))
        if found is None:
            has_values: list[Any] | None = [] if metric.has_value else None
            found = Samples(spec.name, [], has_values, [], metric.scale if is_age else None)
            samples[place, is_age] = found
        cast("list[LabelValues]", found.keys).append(key)
        if found.values is not None:
            found.values.append(value)
        if found.rows is not None:
            found.rows.append(batch.count)

    def _value(self, metric: MetricReader, scope: Scope) -> tuple[Any, bool]:
        """The value of a sample and whether it is a time; `_NO_SAMPLE` without one."""
        spec = metric.spec
        if spec.state is not None:
            return self._state(metric, scope), False
        if spec.value is None:
            return None, False
        if spec.value.path is None:
            return spec.value.constant, False
        try:
            found = self._number(spec.value, scope)
        except UnusableValueError as error:
            self._problem(spec.name, error.reason, *_unusable_value(spec.value, scope))
            return _NO_SAMPLE, False
        if found is None:
            return self._missing(spec), False
        if spec.value.age:
            return found, True
        if found < 0 and spec.kind is MetricKind.COUNTER:
            self._problem(spec.name, "negative", _texts(spec.value.path), 0)
            return _NO_SAMPLE, False
        return found, False

    def _missing(self, spec: MetricSpec) -> object:
        if spec.value is not None and spec.value.default is not None:
            return spec.value.default
        if spec.required:
            paths = spec.value.path if spec.value is not None else None if spec.state is None else spec.state.path
            self._problem(spec.name, "missing", _texts(paths or ()))
        return _NO_SAMPLE

    @staticmethod
    def _number(spec: ValueSpec, scope: Scope) -> float | None:
        """The value in the base unit, or the time of which the age is meant; None where something is missing."""
        found = [
            values.number(spec, scope.first(paths)) for paths in (spec.path, spec.minus, spec.per) if paths is not None
        ]
        if None in found:
            return None
        if spec.age:
            return found[0]
        rest = iter(found[1:])
        minus = next(rest) if spec.minus is not None else None
        return values.combined(spec, found[0] or 0.0, minus, next(rest) if spec.per is not None else None)

    def _state(self, metric: MetricReader, scope: Scope) -> object:
        spec = metric.spec
        if spec.state is None:
            return _NO_SAMPLE
        raw = scope.first(spec.state.path)
        try:
            found = values.state(spec.state, spec.states, raw)
        except UnusableValueError as error:
            self._problem(spec.name, error.reason, _texts(spec.state.path), raw)
            return None if error.reason == "not_a_state" else _NO_SAMPLE
        return self._missing(spec) if found is None else found


def _unusable_value(spec: ValueSpec, scope: Scope) -> tuple[str, object]:
    """The path of a value that could not be read, and what stands there."""
    groups: list[Paths] = [paths for paths in (spec.path, spec.minus, spec.per) if paths is not None]
    for paths in groups:
        raw = scope.first(paths)
        try:
            values.number(spec, raw)
        except UnusableValueError:
            return _texts(paths), raw
    return _texts(groups[-1]), scope.first(groups[-1])


def _unusable_label(metric: MetricReader, raws: LabelValues | tuple[Any, ...]) -> tuple[str, object]:
    for label, raw in zip(metric.labels.specs, raws, strict=True):
        try:
            values.label(label, raw, MAX_SEARCHED)
        except UnusableValueError:
            return _texts(label.path or ()), raw
    return "", None


def _texts(paths: Paths | tuple[()]) -> str:
    """Paths as in the mapping."""
    return ", ".join(path.text for path in paths)
