"""Counters and histograms for the hot path: plain ints and lists, no locks.

Everything runs on one event loop, so an increment is one dictionary or list operation. Values of a label come from
the catalogue's closed list; whatever else arrives is counted under `other`, so that no source can make series. Gauges
need no class: the catalogue's value functions find them at each scrape.

All instruments here belong to one stream. `stream` is the last of our label names in the alphabet, therefore a line is
the beginning shared by all streams (`text.head`), the stream's own tail, and the value. The text is cached by the
total: most of a thousand streams stand still between two scrapes, and the hot path need not know of it.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate, repeat

from typing_extensions import override

from iris_exporter.instruments.metric import OTHER, Metric
from iris_exporter.instruments.text import Exemplar, Pairs, Sample, format_value, sample_lines


class Instrument(ABC):
    """What counters and histograms have in common: their text, cached while nothing was counted."""

    __slots__ = ("_cached", "_metric")

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._cached: tuple[int, str] = (-1, "")

    @abstractmethod
    def total(self) -> int:
        """All that was ever counted; it changes whenever a series does, except that one may begin at 0."""

    def has_exemplars(self) -> bool:
        """Whether the text differs between the formats."""
        return False

    @abstractmethod
    def series(self) -> list[Sample]:
        """The series, in the order in which they are printed."""

    def text(self, tail: str, *, exemplars: bool) -> str:
        """The lines of `series`; `tail` is the stream's `stream="x"} `, the same each time."""
        if exemplars and self.has_exemplars():
            return sample_lines(self.series(), tail, exemplars=True)
        total = self.total()
        if total != self._cached[0]:
            self._cached = (total, sample_lines(self.series(), tail))
        return self._cached[1]


class Counter(Instrument):
    """Counts by the one label that its metric has beside `stream`, or without (the value is then the empty string)."""

    __slots__ = ("_known", "_label", "_values")

    def __init__(self, metric: Metric) -> None:
        super().__init__(metric)
        own = metric.own_labels
        self._label = own[0].name if own else ""
        self._known = own[0].values if own else ("",)
        self._values: dict[str, int] = dict.fromkeys(own[0].zero if own else ("",), 0)

    def inc(self, amount: int = 1, value: str = "") -> None:
        """Add `amount` (not negative) for this label value; an unknown one counts as `other`."""
        try:
            self._values[value] += amount
        except KeyError:
            value = value if value in self._known else OTHER
            self._values[value] = self._values.get(value, 0) + amount

    def value(self, value: str = "") -> int:
        """What has been counted for this label value; 0 for nothing yet."""
        return self._values.get(value, 0)

    @override
    def total(self) -> int:
        return sum(self._values.values())

    @override
    def series(self) -> list[Sample]:
        """Known values first, others in the order in which they were first counted."""
        name, label = self._metric.name, self._label
        return [Sample(name, ((label, value),) if label else (), count) for value, count in self._values.items()]


class Histogram(Instrument):
    """Counts observations in the catalogue's buckets."""

    __slots__ = ("_bounds", "_counts", "_exemplars", "_sum")

    def __init__(self, metric: Metric) -> None:
        super().__init__(metric)
        self._bounds = metric.buckets
        self._counts = [0] * (len(metric.buckets) + 1)
        self._sum = 0.0
        self._exemplars: list[Exemplar | None] | None = None

    @property
    def sum(self) -> float:
        """The sum of all observations, in the metric's unit."""
        return self._sum

    def observe(self, value: float) -> None:
        """Count one observation. A negative one counts as 0, because a sum that falls looks like a restart."""
        if not value > 0.0:  # NaN too
            value = 0.0
        index = bisect_left(self._bounds, value)
        self._counts[index] += 1
        self._sum += value

    def mark(self, value: float, exemplar: Exemplar) -> None:
        """Let `exemplar` stand for the bucket of `value`, which has been counted; one that is too long is left out."""
        if exemplar.fits():
            if self._exemplars is None:
                self._exemplars = [None] * len(self._counts)
            self._exemplars[bisect_left(self._bounds, max(value, 0.0))] = exemplar

    def observe_many(self, values: Iterable[float]) -> None:
        """Count several observations at once, each as `observe` does."""
        everything = list(values)
        # Neighbours in a batch are nearly in order already, so sorting costs less than a search for each.
        ordered = sorted([value for value in everything if value > 0.0])
        self._counts[0] += len(everything) - len(ordered)
        self._sum += sum(ordered)
        start = 0
        for index, bound in enumerate(self._bounds):
            if start == len(ordered):
                return
            end = bisect_right(ordered, bound, start)
            self._counts[index] += end - start
            start = end
        self._counts[-1] += len(ordered) - start

    @override
    def total(self) -> int:
        return sum(self._counts)

    @override
    def has_exemplars(self) -> bool:
        return self._exemplars is not None

    @override
    def series(self) -> list[Sample]:
        """The buckets from the smallest bound on, cumulative, then the count and the sum."""
        name = self._metric.name
        bucket = f"{name}_bucket"
        exemplars = self._exemplars or [None] * len(self._counts)
        cumulated = accumulate(self._counts)
        samples = list(map(Sample, repeat(bucket), _bucket_labels(self._metric), cumulated, exemplars))
        return [*samples, Sample(f"{name}_count", (), self.total()), Sample(f"{name}_sum", (), self._sum)]


@lru_cache
def _bucket_labels(metric: Metric) -> tuple[Pairs, ...]:
    """The labels of each bucket of a histogram."""
    return tuple((("le", bound),) for bound in (*map(format_value, metric.buckets), "+Inf"))
