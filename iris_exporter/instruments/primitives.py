"""Counters and histograms for the hot path: plain ints and lists, no locks.

Everything runs on one event loop, so an increment is one dictionary or list operation. Values of a label come from
the catalogue's closed list; whatever else arrives is counted under `other`, so that no source can make series. Gauges
need no class: the catalogue's value functions find them at each scrape.

All instruments here belong to one stream. `stream` is the last of our label names in the alphabet, therefore a line is
the beginning shared by all streams (`text.head`), the stream's own tail, and the value. The text of an instrument is a
template that all streams share, filled in. Whoever prints it caches it by the total: most of a thousand streams stand
still between two scrapes, and the hot path need not know of it.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache, lru_cache
from itertools import accumulate, chain
from types import MappingProxyType

from typing_extensions import override

from iris_exporter.instruments.metric import OTHER, Metric
from iris_exporter.instruments.text import Exemplar, Pairs, exemplar_text, format_value, format_values, head

_ZERO = timedelta()
MAX_TEMPLATES = 1024
"""Texts of counters that are shared: by metric and the label values that were counted, in their order."""


class Instrument(ABC):
    """What counters and histograms have in common."""

    __slots__ = ("_metric", "total")

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self.total = 0
        """All that was ever counted; it changes whenever a series does, except that one may begin at 0."""

    def has_exemplars(self) -> bool:
        """Whether the text differs between the formats."""
        return False

    @abstractmethod
    def numbers(self) -> Collection[float]:
        """The values of the lines, in their order."""

    @abstractmethod
    def template(self) -> str:
        """The lines, with a place for each number and `_TAIL` for the stream."""

    def text(self, tail: str) -> bytes:
        """The lines, without exemplars; `tail` is the stream's `stream="x"} `."""
        return texts_of([self], [tail])[0]

    def text_with_exemplars(self, tail: str) -> bytes:
        """The lines for the format that has exemplars."""
        return self.text(tail)


class Counter(Instrument):
    """Counts by the one label that its metric has beside `stream`, or without (the value is then the empty string)."""

    __slots__ = ("_known", "_values")

    def __init__(self, metric: Metric) -> None:
        super().__init__(metric)
        own = metric.own_labels
        self._known = own[0].values if own else ("",)
        self._values = _zeros(metric)  # of all streams until something is counted: most counters stay at 0

    def know(self, values: tuple[str, ...]) -> None:
        """Let these be the values of the label, in the place of the catalogue's; what was counted stays."""
        self._known = values
        counted = {value: count for value, count in self._values.items() if count}
        self._values = {**dict.fromkeys(values, 0), **counted}

    def inc(self, amount: int = 1, value: str = "") -> None:
        """Add `amount` (not negative) for this label value; an unknown one counts as `other`."""
        values = self._values
        self.total += amount
        if not isinstance(values, dict):
            self._values = values = dict(values)
        try:
            values[value] += amount
        except KeyError:
            value = value if value in self._known else OTHER
            values[value] = values.get(value, 0) + amount

    def counts(self) -> Mapping[str, int]:
        """What has been counted, by label value: known ones first, others in the order in which they came."""
        return self._values

    @override
    def numbers(self) -> Collection[float]:
        return self._values.values()

    @override
    def template(self) -> str:
        return _counter_template(self._metric, tuple(self._values))


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
        self.total += 1
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
        ordered = sorted([value for value in everything if value > 0.0])
        self.total += len(everything)
        self._counts[0] += len(everything) - len(ordered)
        self._sum += sum(ordered)
        self._count(ordered)

    def observe_since(self, times: Sequence[datetime], now: datetime) -> None:
        """Count what has passed since several times, the earliest first, each as `observe` does its seconds.

        A bound is a time, too, and what lies before it is found by one search.
        """
        self.total += len(times)
        past = times[: bisect_left(times, now)]
        self._sum += sum([now - time for time in past], _ZERO).total_seconds()
        end = len(times)
        for index, bound in enumerate(_durations(self._bounds)):
            start = bisect_left(times, now - bound, 0, end)
            self._counts[index] += end - start
            end = start
        self._counts[-1] += end

    def _count(self, ordered: Sequence[float]) -> None:
        """Neighbours in a batch are nearly in order already, so sorting costs less than a search for each."""
        start = 0
        for index, bound in enumerate(self._bounds):
            if start == len(ordered):
                return
            end = bisect_right(ordered, bound, start)
            self._counts[index] += end - start
            start = end
        self._counts[-1] += len(ordered) - start

    @override
    def has_exemplars(self) -> bool:
        return self._exemplars is not None

    def cumulated(self) -> list[int]:
        """How many observations there were up to each bound, infinity last."""
        return list(accumulate(self._counts))

    @override
    def numbers(self) -> Collection[float]:
        """The buckets from the smallest bound on, then the count and the sum."""
        cumulated = self.cumulated()
        return (*cumulated, cumulated[-1], self._sum)

    @override
    def template(self) -> str:
        return _histogram_template(self._metric)

    @override
    def text_with_exemplars(self, tail: str) -> bytes:
        lines = self.text(tail).splitlines(keepends=True)
        for index, exemplar in enumerate(self._exemplars or ()):
            if exemplar is not None:
                lines[index] = b"%b%b\n" % (lines[index][:-1], exemplar_text(exemplar).encode())
        return b"".join(lines)


_TAIL = "\0"
"""Stands for the tail in a template: no label has this character."""


def texts_of(instruments: Sequence[Instrument], tails: Sequence[str]) -> list[bytes]:
    """The lines of each, at least one, for the stream of the same place; all numbers are spelled at once."""
    numbers = [instrument.numbers() for instrument in instruments]
    spelled = format_values(list(map(float, chain.from_iterable(numbers))))
    texts = []
    start = 0
    for instrument, own, tail in zip(instruments, numbers, tails, strict=True):
        end = start + len(own)
        # The tail comes last, since it may have a percent sign.
        texts.append((instrument.template() % tuple(spelled[start:end])).replace(_TAIL, tail).encode())
        start = end
    return texts


@lru_cache(maxsize=MAX_TEMPLATES)
def _counter_template(metric: Metric, values: tuple[str, ...]) -> str:
    return _template([(metric.name, ((metric.own_labels[0].name, value),) if value else ()) for value in values])


@lru_cache
def _histogram_template(metric: Metric) -> str:
    name = metric.name
    bounds = (*map(format_value, metric.buckets), "+Inf")
    buckets = [(f"{name}_bucket", (("le", bound),)) for bound in bounds]
    return _template([*buckets, (f"{name}_count", ()), (f"{name}_sum", ())])


def _template(series: Iterable[tuple[str, Pairs]]) -> str:
    """Lines with a place for each number: all streams have the same, but for their tail."""
    return "".join([f"{head(name, labels)}{_TAIL}".replace("%", "%%") + "%s\n" for name, labels in series])


@cache
def _zeros(metric: Metric) -> Mapping[str, int]:
    own = metric.own_labels
    return MappingProxyType(dict.fromkeys(own[0].zero if own else ("",), 0))


@lru_cache
def _durations(seconds: tuple[float, ...]) -> tuple[timedelta, ...]:
    return tuple(timedelta(seconds=bound) for bound in seconds)
