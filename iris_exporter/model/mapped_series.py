"""The series of one mapped metric, bounded: counters and histograms rise, all others hold the last value and can go.

A new label set is admitted where there is room. Where a label has too many values, or a stream too many series, what is
counted goes on under `other`, so that sums stay right, and what is a value is not shown; both are counted as dropped.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, repeat

from typing_extensions import override

from iris_exporter.decoding.elements import Forgotten, LabelValues, Samples
from iris_exporter.mapping.spec import MetricKind, MetricSpec
from iris_exporter.model.snapshot import Shown

OTHER = "other"
"""Label value of what is beyond a limit."""


class Room:
    """How many series there are of one stream, and what was left out, by the kinds of `iris_stream_dropped_total`.

    `by_metric` counts by metric the label sets that were left out or counted under another one, each once: as many as
    there may be series are remembered, by their hashes, and what is beyond them is not counted.
    """

    __slots__ = ("_most", "_refused", "by_metric", "dropped", "left")

    def __init__(self, series: int) -> None:
        self.left = self._most = series
        self.dropped: Counter[str] = Counter()
        self.by_metric: Counter[str] = Counter()
        self._refused: set[int] = set()

    def refuse(self, metric: str, key: LabelValues, kind: str, samples: int) -> None:
        """Count so many samples of a label set that there is no room for."""
        self.dropped[kind] += samples
        known = hash((metric, key))
        if known not in self._refused and len(self._refused) < self._most:
            self._refused.add(known)
            self.by_metric[metric] += 1


def width_of(spec: MetricSpec) -> int:
    """How many series of the exposition each label set of a metric has."""
    if spec.kind is MetricKind.HISTOGRAM:
        return len(spec.buckets) + 3
    return len(spec.states) if spec.kind is MetricKind.STATESET else 1


class Family:
    """The series of one metric. `width` is how many series of the exposition each label set has."""

    is_counted = False
    """Whether values add up and stay."""

    def __init__(self, spec: MetricSpec, room: Room) -> None:
        self.spec = spec
        self.width = width_of(spec)
        self.is_changed = True
        self._room = room
        self._most = [(label.max_values, label.other) for label in spec.labels]
        # How many label sets have a value, for each label; the mapping's word for others may always be.
        self._values: list[dict[str, int]] = [{} for _ in spec.labels]

    @property
    def keys(self) -> Mapping[LabelValues, object]:
        """The label sets that there are."""
        raise NotImplementedError

    def fresh(self, keys: Iterable[LabelValues]) -> int:
        """How many series of the exposition samples of these keys would add at most."""
        return self.width * len(set(keys) - self.keys.keys())

    def admitted(self, key: LabelValues, samples: int = 1) -> LabelValues | None:
        """The label set under which a key that is new may be; None for none. `samples` are counted if it may not."""
        allowed = self._within_labels(key)
        if allowed != key:
            self._room.refuse(self.spec.name, key, "label_values", samples)
            if not self.is_counted:
                return None
            if allowed in self.keys:
                return allowed
        if self._room.left >= self.width and len(self.keys) < self.spec.limit:
            self._create(allowed)
            return allowed
        overflow = (OTHER,) * len(key)
        if allowed == key and not (self.is_counted and key == overflow):  # else it is counted already, or shown
            self._room.refuse(self.spec.name, key, "series", samples)
        if not self.is_counted:
            return None
        if overflow not in self.keys:
            self._create(overflow)
        return overflow

    def _within_labels(self, key: LabelValues) -> LabelValues:
        """The key, with the mapping's word in the place of values that are too many."""
        return tuple(
            [
                value if value in known or value in (other, OTHER) or len(known) < most else other
                for value, known, (most, other) in zip(key, self._values, self._most, strict=True)
            ]
        )

    def _create(self, key: LabelValues) -> None:
        self._room.left -= self.width
        for value, known, (_, other) in zip(key, self._values, self._most, strict=True):
            if value not in (other, OTHER):
                known[value] = known.get(value, 0) + 1

    def _removed(self, key: LabelValues) -> None:
        self._room.left += self.width
        for value, known in zip(key, self._values, strict=True):
            if value in known:
                known[value] -= 1
                if not known[value]:
                    del known[value]

    def continues(self, before: "Family") -> bool:
        """Whether the series of another one, of the mapping before a change, are series of this one."""
        one, other = self.spec, before.spec
        names, others = ([label.name for label in spec.labels] for spec in (one, other))
        return type(self) is type(before) and (one.kind, one.buckets, names) == (other.kind, other.buckets, others)


class CounterFamily(Family):
    """A counter that grows with each sample."""

    is_counted = True

    def __init__(self, spec: MetricSpec, room: Room) -> None:
        super().__init__(spec, room)
        self._counts: Counter[LabelValues] = Counter()

    @property
    @override
    def keys(self) -> Mapping[LabelValues, object]:
        return self._counts

    def take_over(self, before: "CounterFamily") -> None:
        """Go on with the series of another one, which it `continues`."""
        for key in before._counts:  # noqa: SLF001 (its own kind)
            self._create(key)
        self._counts = before._counts  # noqa: SLF001 (its own kind)

    def add(self, key: LabelValues, value: float = 1) -> None:
        """Count one sample."""
        self.is_changed = True
        if key not in self._counts:
            key = self.admitted(key) or key
        self._counts[key] += value  # type: ignore[assignment]  # counts may be fractions

    def add_all(self, samples: Samples, values: Sequence[float] | None) -> None:
        """Count several samples: as `add` for each, since new keys stand behind the others in the order of arrival."""
        self.is_changed = True
        counts = self._counts
        before = len(counts)
        if values is not None:
            for key, value in zip(samples.keys, values, strict=True):
                counts[key] += value  # type: ignore[assignment]
        elif samples.counts is not None:
            for key, count in samples.counts.items():
                counts[key] += count
        else:
            counts.update(samples.keys)
        if len(counts) > before:
            new = list(islice(counts.items(), before, None))
            for key, _ in new:
                del counts[key]
            for key, value in new:
                number = samples.keys.count(key) if samples.counts is None else samples.counts[key]
                allowed = self.admitted(key, number) or key
                counts[allowed] += value

    def shown(self) -> Mapping[LabelValues, Shown]:
        """The series, frozen."""
        return dict.copy(self._counts)  # as a plain dictionary: a copy of the table, and not of each entry


class HistogramFamily(Family):
    """A histogram: how many observations are in each bucket alone, and their sum."""

    is_counted = True

    def __init__(self, spec: MetricSpec, room: Room) -> None:
        super().__init__(spec, room)
        self._buckets: dict[LabelValues, list[int]] = {}
        self._sums: dict[LabelValues, float] = {}

    @property
    @override
    def keys(self) -> Mapping[LabelValues, object]:
        return self._buckets

    def take_over(self, before: "HistogramFamily") -> None:
        """Go on with the series of another one, which it `continues`."""
        for key in before._buckets:  # noqa: SLF001 (its own kind)
            self._create(key)
        self._buckets, self._sums = before._buckets, before._sums  # noqa: SLF001 (its own kind)

    def add(self, key: LabelValues, value: float) -> None:
        """Count one observation."""
        self.is_changed = True
        counts = self._of(key if key in self._buckets else self.admitted(key) or key, value)
        counts[bisect_left(self.spec.buckets, value)] += 1

    def _of(self, key: LabelValues, value: float) -> list[int]:
        if key not in self._buckets:
            self._buckets[key] = [0] * (len(self.spec.buckets) + 1)
            self._sums[key] = 0.0
        self._sums[key] += value
        return self._buckets[key]

    def add_all(self, keys: Sequence[LabelValues], values: Sequence[float]) -> None:
        """Count several observations."""
        self.is_changed = True
        if not self._buckets.keys() >= set(keys):
            for key, value in zip(keys, values, strict=True):
                self.add(key, value)
            return
        sums, bounds = self._sums, self.spec.buckets
        for key, value in zip(keys, values, strict=True):
            sums[key] += value
        places = map(bisect_left, repeat(bounds), values)
        for (key, place), count in Counter(zip(keys, places, strict=True)).items():
            self._buckets[key][place] += count

    def shown(self) -> Mapping[LabelValues, Shown]:
        """The series, frozen."""
        return {key: (*counts, self._sums[key]) for key, counts in self._buckets.items()}


class ValueFamily(Family):
    """The last value of each series: gauges, infos, statesets, and counters that the source counts itself.

    `is_timed` says that a sample older than the value does not replace it. `forgotten_by` are the places of labels by
    which series can be forgotten.
    """

    def __init__(
        self, spec: MetricSpec, room: Room, *, is_timed: bool, forgotten_by: Iterable[tuple[int, ...]]
    ) -> None:
        super().__init__(spec, room)
        self._series: dict[LabelValues, Shown] = {}
        self._is_timed = is_timed
        self._times: dict[LabelValues, float] = {}
        self._latest = float("-inf")  # no series has a later time
        self._set_at: dict[LabelValues, float] = {}  # only of what expires
        self._next_search = float("-inf")  # for what has expired, to make room
        self._by_places: dict[tuple[int, ...], dict[LabelValues, dict[LabelValues, None]]] = {
            places: {} for places in forgotten_by
        }

    @property
    @override
    def keys(self) -> Mapping[LabelValues, object]:
        return self._series

    def take_over(self, before: "ValueFamily", now: float) -> None:
        """Go on with the series of another one, which it `continues`."""
        for key, value in before._series.items():  # noqa: SLF001 (its own kind)
            self.set(key, value, before._times.get(key), before._set_at.get(key, now))  # noqa: SLF001 (its own kind)

    def set(self, key: LabelValues, value: Shown, time: float | None, now: float) -> None:
        """Take one sample of an element that happened at `time`."""
        series = self._series
        if key not in series:
            if now >= self._next_search:
                self.expire(now)
            if self.admitted(key) is None:
                return
        elif time is not None and time < self._times.get(key, time):
            return
        self.is_changed = True
        series[key] = value
        if self.spec.expire_seconds is not None:
            self._set_at[key] = now
        if self._is_timed:
            if time is None:
                self._times.pop(key, None)
            else:
                self._times[key] = time
                self._latest = max(self._latest, time)

    def set_all(
        self,
        keys: Sequence[LabelValues],
        values: Sequence[Shown] | None,
        times: Sequence[float | None] | None,
        now: float,
    ) -> None:
        """Take several samples: as `set` for each."""
        if values is None:
            values = [1.0] * len(keys)
        if not self._series.keys() >= set(keys) or (times is not None and not self._take_times(keys, times)):
            for key, value, time in zip(keys, values, times or repeat(None), strict=False):
                self.set(key, value, time, now)
            return
        self.is_changed = True
        self._series.update(zip(keys, values, strict=True))
        if self.spec.expire_seconds is not None:
            self._set_at.update(dict.fromkeys(keys, now))
        if times is None and self._is_timed:
            for key in keys:
                self._times.pop(key, None)

    def _take_times(self, keys: Sequence[LabelValues], times: Sequence[float | None]) -> bool:
        """Note the times when all are there, rise and are later than any before; False, and no change, otherwise."""
        if None in times:
            return False
        rising: list[float] = sorted(times)  # type: ignore[arg-type]
        if rising != times or rising[0] < self._latest:
            return False
        self._latest = rising[-1]
        self._times.update(zip(keys, rising, strict=True))
        return True

    @override
    def _create(self, key: LabelValues) -> None:
        super()._create(key)
        for places, index in self._by_places.items():
            index.setdefault(tuple([key[place] for place in places]), {})[key] = None

    def remove(self, keys: Iterable[LabelValues]) -> None:
        """Series that go; those that are not there are not missed."""
        for key in keys:
            if key not in self._series:
                continue
            self.is_changed = True
            del self._series[key]
            self._times.pop(key, None)
            self._set_at.pop(key, None)
            self._removed(key)
            for places, index in self._by_places.items():
                shared = tuple([key[place] for place in places])
                del index[shared][key]
                if not index[shared]:
                    del index[shared]

    def forget(self, forgotten: Forgotten) -> None:
        """Remove the series that have these label values."""
        self.remove(list(self._by_places.get(forgotten.places, {}).get(forgotten.values, ())))

    def expire(self, now: float) -> None:
        """Remove the series that were not set for as long as the mapping gives them."""
        limit = self.spec.expire_seconds
        if limit is not None:
            self._next_search = now + limit / 10
            self.remove([key for key, at in self._set_at.items() if now - at >= limit])

    def clear(self) -> None:
        """Remove all series."""
        self.remove(list(self._series))
        self._latest = float("-inf")

    def shown(self) -> Mapping[LabelValues, Shown]:
        """The series, frozen."""
        return self._series.copy()
