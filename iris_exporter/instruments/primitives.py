"""Counters and histograms for the hot path: plain ints and lists, no locks.

Everything runs on one event loop, so an increment is one dictionary or list operation. Values of a label come from
the catalogue's closed list; whatever else arrives is counted under `other`, so that no source can make series. Gauges
need no class: they are computed from the link's status and the snapshot when somebody asks.

All instruments here belong to one stream. `stream` is the last of our label names in the alphabet, therefore a line is
the beginning shared by all streams (`text.head`), the stream's own tail, and the value. The text is kept until the
total has changed: most of a thousand streams stand still between two scrapes, and the hot path need not know of it.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from iris_exporter.instruments.metric import OTHER, Metric
from iris_exporter.instruments.text import Exemplar, Sample, exemplar_text, format_value, head


class Instrument(ABC):
    """What counters and histograms have in common: their text, kept while nothing was counted."""

    __slots__ = ("_kept", "_metric")

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._kept: tuple[int, str] = (-1, "")

    @abstractmethod
    def total(self) -> int:
        """All that was ever counted; it changes whenever a series does."""

    @abstractmethod
    def has_exemplars(self) -> bool:
        """Whether the text differs between the formats."""

    @abstractmethod
    def samples(self, stream: str) -> Iterator[Sample]:
        """The series, in the order in which they are printed."""

    def write(self, tail: str, out: list[str], *, exemplars: bool) -> None:
        """Append the lines of `samples`; `tail` is the stream's `stream="x"} `, the same each time."""
        if exemplars and self.has_exemplars():
            out.append("".join(self._lines(tail, exemplars=True)))
            return
        total = self.total()
        if total != self._kept[0]:
            self._kept = (total, "".join(self._lines(tail, exemplars=False)))
        out.append(self._kept[1])

    @abstractmethod
    def _lines(self, tail: str, *, exemplars: bool) -> list[str]:
        """The lines of `samples`."""


class Counter(Instrument):
    """Counts by the one label that its metric has beside `stream`, or without (the value is then the empty string)."""

    __slots__ = ("_exemplars", "_known", "_label", "_values")

    def __init__(self, metric: Metric) -> None:
        super().__init__(metric)
        own = [label for label in metric.labels if label.name != "stream"]
        self._label = own[0].name if own else ""
        self._known = own[0].values if own else ("",)
        self._values: dict[str, int] = dict.fromkeys(own[0].zero if own else ("",), 0)
        self._exemplars: dict[str, Exemplar] | None = None

    def inc(self, amount: int = 1, value: str = "", exemplar: Exemplar | None = None) -> None:
        """Add `amount` (not negative) for this label value; an unknown one counts as `other`."""
        try:
            self._values[value] += amount
        except KeyError:
            value = value if value in self._known else OTHER
            self._values[value] = self._values.get(value, 0) + amount
        if exemplar is not None and exemplar.fits():
            if self._exemplars is None:
                self._exemplars = {}
            self._exemplars[value] = exemplar

    def value(self, value: str = "") -> int:
        """What has been counted for this label value; 0 for nothing yet."""
        return self._values.get(value, 0)

    def total(self) -> int:
        """See `Instrument.total`; a series that begins with 0 is not worth new text."""
        return sum(self._values.values())

    def has_exemplars(self) -> bool:
        """See `Instrument.has_exemplars`."""
        return self._exemplars is not None

    def samples(self, stream: str) -> Iterator[Sample]:
        """See `Instrument.samples`: known values first, others as they were first seen."""
        for value, count in self._values.items():
            labels = {self._label: value, "stream": stream} if self._label else {"stream": stream}
            exemplar = self._exemplars.get(value) if self._exemplars else None
            yield Sample(self._metric.name, labels, count, exemplar)

    def _lines(self, tail: str, *, exemplars: bool) -> list[str]:
        name, label = self._metric.name, self._label
        lines = []
        for value, count in self._values.items():
            start = head(name, ((label, value),) if label else ())
            exemplar = self._exemplars.get(value) if exemplars and self._exemplars else None
            suffix = exemplar_text(exemplar) if exemplar else ""
            lines.append(f"{start}{tail}{format_value(count)}{suffix}\n")
        return lines


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

    def observe(self, value: float, exemplar: Exemplar | None = None) -> None:
        """Count one observation. A negative one counts as 0, because a sum that falls looks like a restart."""
        if not value > 0.0:  # NaN too
            value = 0.0
        index = bisect_left(self._bounds, value)
        self._counts[index] += 1
        self._sum += value
        if exemplar is not None:
            self.mark(value, exemplar)

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

    def total(self) -> int:
        """See `Instrument.total`: the number of observations."""
        return sum(self._counts)

    def has_exemplars(self) -> bool:
        """See `Instrument.has_exemplars`."""
        return self._exemplars is not None

    def _cumulative(self) -> Iterator[tuple[str, int, Exemplar | None]]:
        total = 0
        for index, count in enumerate(self._counts):
            total += count
            bound = format_value(self._bounds[index]) if index < len(self._bounds) else "+Inf"
            yield bound, total, self._exemplars[index] if self._exemplars else None

    def samples(self, stream: str) -> Iterator[Sample]:
        """See `Instrument.samples`: the buckets from the smallest bound on, cumulative, then the count and the sum."""
        name = self._metric.name
        for bound, total, exemplar in self._cumulative():
            yield Sample(f"{name}_bucket", {"le": bound, "stream": stream}, total, exemplar)
        yield Sample(f"{name}_count", {"stream": stream}, self.total())
        yield Sample(f"{name}_sum", {"stream": stream}, self._sum)

    def _lines(self, tail: str, *, exemplars: bool) -> list[str]:
        name = self._metric.name
        bucket = f"{name}_bucket"
        lines = []
        for bound, total, exemplar in self._cumulative():
            suffix = exemplar_text(exemplar) if exemplars and exemplar else ""
            lines.append(f"{head(bucket, (('le', bound),))}{tail}{format_value(total)}{suffix}\n")
        lines.append(f"{name}_count{{{tail}{format_value(self.total())}\n")
        lines.append(f"{name}_sum{{{tail}{format_value(self._sum)}\n")
        return lines
