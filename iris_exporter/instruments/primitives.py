"""Counters and histograms for the hot path: plain ints and lists, no locks.

Everything runs on one event loop, so an increment is one dictionary or list operation. Values of a label come from
the catalogue's closed list; whatever else arrives is counted under `other`, so that no source can make series. Gauges
need no class: they are computed from the link's status and the snapshot when somebody asks.

All instruments here belong to one stream. `stream` is the last of our label names in the alphabet, therefore a line is
the beginning shared by all streams (`text.head`), the stream's own tail, and the value.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from iris_exporter.instruments.metric import OTHER, Metric
from iris_exporter.instruments.text import Exemplar, Sample, exemplar_text, format_value, head


class Counter:
    """Counts by the one label that its metric has beside `stream`, or without (the value is then the empty string)."""

    __slots__ = ("_exemplars", "_known", "_label", "_limit", "_metric", "_values")

    def __init__(self, metric: Metric) -> None:
        own = [label for label in metric.labels if label.name != "stream"]
        self._metric = metric
        self._label = own[0].name if own else ""
        self._known = own[0].values if own else ("",)
        self._limit = own[0].limit if own else 0
        self._values: dict[str, float] = dict.fromkeys(own[0].zero if own else ("",), 0)
        self._exemplars: dict[str, Exemplar] | None = None

    def inc(self, amount: float = 1, value: str = "", exemplar: Exemplar | None = None) -> None:
        """Add `amount` (not negative) for this label value; an unknown one counts as `other`."""
        try:
            self._values[value] += amount
        except KeyError:
            if value not in self._known and len(self._values) >= self._limit:
                value = OTHER
            self._values[value] = self._values.get(value, 0) + amount
        if exemplar is not None and exemplar.fits():
            if self._exemplars is None:
                self._exemplars = {}
            self._exemplars[value] = exemplar

    def value(self, value: str = "") -> float:
        """What has been counted for this label value; 0 for nothing yet."""
        return self._values.get(value, 0)

    def samples(self, stream: str) -> Iterator[Sample]:
        """The series, in the order in which their label values were first seen."""
        for value, count in self._values.items():
            labels = {self._label: value, "stream": stream} if self._label else {"stream": stream}
            exemplar = self._exemplars.get(value) if self._exemplars else None
            yield Sample(self._metric.name, labels, count, exemplar)

    def write(self, tail: str, out: list[str], *, exemplars: bool) -> None:
        """Append a line for each series; `tail` is the stream's `stream="x"} `."""
        name, label = self._metric.name, self._label
        for value, count in self._values.items():
            start = head(name, ((label, value),) if label else ())
            exemplar = self._exemplars.get(value) if exemplars and self._exemplars else None
            suffix = exemplar_text(exemplar) if exemplar else ""
            out.append(f"{start}{tail}{format_value(count)}{suffix}\n")


class Histogram:
    """Counts observations in the catalogue's buckets."""

    __slots__ = ("_bounds", "_counts", "_exemplars", "_metric", "_sum")

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._bounds = metric.buckets
        self._counts = [0] * (len(metric.buckets) + 1)
        self._sum = 0.0
        self._exemplars: list[Exemplar | None] | None = None

    @property
    def count(self) -> int:
        """Observations so far."""
        return sum(self._counts)

    @property
    def sum(self) -> float:
        """Their sum, in the metric's unit."""
        return self._sum

    def observe(self, value: float, exemplar: Exemplar | None = None) -> None:
        """Count one observation. A negative one counts as 0, because a sum that falls looks like a restart."""
        if not value > 0.0:  # NaN too
            value = 0.0
        index = bisect_left(self._bounds, value)
        self._counts[index] += 1
        self._sum += value
        if exemplar is not None and exemplar.fits():
            if self._exemplars is None:
                self._exemplars = [None] * len(self._counts)
            self._exemplars[index] = exemplar

    def observe_many(self, values: Iterable[float]) -> None:
        """Count several observations at once, each as `observe` does."""
        bounds, counts, total = self._bounds, self._counts, 0.0
        for value in values:
            if value > 0.0:
                counts[bisect_left(bounds, value)] += 1
                total += value
            else:
                counts[0] += 1
        self._sum += total

    def _cumulative(self) -> Iterator[tuple[str, int, Exemplar | None]]:
        total = 0
        for index, count in enumerate(self._counts):
            total += count
            bound = format_value(self._bounds[index]) if index < len(self._bounds) else "+Inf"
            yield bound, total, self._exemplars[index] if self._exemplars else None

    def samples(self, stream: str) -> Iterator[Sample]:
        """The buckets from the smallest bound on, cumulative, then the count and the sum."""
        name = self._metric.name
        for bound, total, exemplar in self._cumulative():
            yield Sample(f"{name}_bucket", {"le": bound, "stream": stream}, total, exemplar)
        yield Sample(f"{name}_count", {"stream": stream}, self.count)
        yield Sample(f"{name}_sum", {"stream": stream}, self._sum)

    def write(self, tail: str, out: list[str], *, exemplars: bool) -> None:
        """Append the lines of `samples`; `tail` is the stream's `stream="x"} `."""
        name = self._metric.name
        bucket = f"{name}_bucket"
        for bound, total, exemplar in self._cumulative():
            suffix = exemplar_text(exemplar) if exemplars and exemplar else ""
            out.append(f"{head(bucket, (('le', bound),))}{tail}{format_value(total)}{suffix}\n")
        out.append(f"{name}_count{{{tail}{format_value(self.count)}\n{name}_sum{{{tail}{format_value(self._sum)}\n")
