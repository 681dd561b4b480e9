"""The series of streams with a mapping as lines of text, written again only for what has changed.

Theory of operation. As for projects (`entities`), a scrape of 100,000 series must not take the event loop, and between
two scrapes few of them change. Here all series may be counters, and what is recorded of a scrape
(`persistence.checkpoints`) stands for exactly the events that it shows. So a table of lines is never changed once it is
whole: `successor` makes the next one from it and from a frozen view, and a scrape that is under way goes on with its
own. A metric whose view is the object from before keeps its table, and most others the lines of most rows.

Label names stand in alphabetical order, `stream` among them, as `prometheus_client` prints them.
"""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, compress
from operator import ne
from typing import TYPE_CHECKING, Any

from iris_exporter.core.doubts import Doubt, counted_in_spite_of
from iris_exporter.core.status import Counted
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import OTHER, STREAM, Kind, Label, Metric, Subject
from iris_exporter.instruments.text import escape_label, format_value, format_values
from iris_exporter.model.snapshot import LabelValues, Shown, Snapshot

if TYPE_CHECKING:
    from iris_exporter.mapping import spec

LINES_PER_STEP = 500
"""Lines written before the caller may let others run: less than a millisecond of work."""

KEYS_PER_STEP = 5_000
"""Series compared, or looked up, before the caller may let others run."""

_BELIEVED = (Kind.GAUGE, Kind.INFO, Kind.STATESET)
"""What is shown while its source is heard; what is counted always is."""


@dataclass(slots=True)
class MappedCounts:
    """What is counted of a stream with a mapping beside its series; `guarantee` is that of the mapping.

    `doubts` are what the stream has shown against it, and `weakened` is what is left after a doubt, until it is logged.
    `problems` are by kind of message, metric (empty for none) and reason: all from the configuration, so bounded.
    """

    mapping: "spec.Mapping"
    guarantee: Counted = Counted.NONE
    doubts: set[Doubt] = field(default_factory=set)
    weakened: list[tuple[Counted, Doubt]] = field(default_factory=list)
    filtered: int = 0
    problems: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    @property
    def holds(self) -> Counted:
        """What is left of the guarantee."""
        return counted_in_spite_of(self.guarantee, self.doubts)

    def doubt(self, doubt: Doubt) -> None:
        """The stream has shown this."""
        if doubt in self.doubts:
            return
        before = self.holds
        self.doubts.add(doubt)
        if self.holds is not before:
            self.weakened.append((self.holds, doubt))


def label_values(mapping: "spec.Mapping") -> dict[Metric, tuple[str, ...]]:
    """What the labels of a stream's counters can be where it has a mapping; all of them exist at 0."""
    return {
        catalog.MESSAGES: (*dict.fromkeys(entry.kind for entry in mapping.all_entries), OTHER),
        catalog.UPSTREAM_ERRORS: (OTHER,),
        catalog.STREAM_DROPPED: tuple(catalog.MAPPED_DROPPED),
        catalog.SERIES_DROPPED: tuple(metric.name for metric in mapping.metrics),
    }


def metric_of(described: "spec.MetricSpec") -> Metric:
    """A metric of a mapping as those of the catalogue are described."""
    name, kind, labels = described.name, Kind(described.kind), tuple(Label(label.name) for label in described.labels)
    if kind is Kind.STATESET:
        labels += (Label("state", described.states),)
    labels = (STREAM, *labels)
    return Metric(name, kind, described.help, "Mapping", "mapping", labels, Subject.STREAM, buckets=described.buckets)


@dataclass(frozen=True, slots=True)
class SeriesTable:
    """A row for each series of one metric of one stream: its labels, what it shows, and its text.

    `view` is what the rows are of.
    """

    view: Mapping[LabelValues, Shown]
    keys: list[LabelValues]
    values: list[Any]
    texts: list[bytes]

    def successor(self, view: Mapping[LabelValues, Shown], lines: "Lines") -> Generator[bytes, None, "SeriesTable"]:
        """The table of another view, with the lines of what it has in common with this one."""
        if view is self.view:
            return self
        yield b""
        keys, values = list(view), list(view.values())
        yield b""
        before = self if keys == self.keys else (yield from self._reordered(keys))
        texts = before.texts.copy()
        step = max(1, LINES_PER_STEP // lines.per_series)
        for start in range(0, len(keys), KEYS_PER_STEP):
            yield b""
            end = start + KEYS_PER_STEP
            new, old = values[start:end], before.values[start:end]
            if new == old:
                continue
            rows = list(compress(range(start, end), map(ne, new, old)))
            for first in range(0, len(rows), step):
                yield b""
                some = rows[first : first + step]
                written = lines.write(
                    [keys[row] for row in some], [values[row] for row in some], [texts[row] for row in some]
                )
                if some[-1] - some[0] < len(some):  # neighbours
                    texts[some[0] : some[-1] + 1] = written
                    continue
                for row, text in zip(some, written, strict=True):
                    texts[row] = text
        return SeriesTable(view, keys, values, texts)

    def _reordered(self, keys: list[LabelValues]) -> Generator[bytes, None, "SeriesTable"]:
        """What this table shows in the rows of other keys; a new row shows nothing."""
        count = len(self.keys)
        if keys[:count] == self.keys:
            new = len(keys) - count
            return SeriesTable({}, keys, self.values + [_NOTHING] * new, self.texts + [b""] * new)
        index: dict[LabelValues, int] = {}
        for start in range(0, count, KEYS_PER_STEP):
            yield b""
            index.update(zip(self.keys[start : start + KEYS_PER_STEP], range(start, count), strict=False))
        values, texts = [*self.values, _NOTHING], [*self.texts, b""]
        found: tuple[list[Any], list[bytes]] = ([], [])
        for start in range(0, len(keys), KEYS_PER_STEP):
            yield b""
            rows = [index.get(key, -1) for key in keys[start : start + KEYS_PER_STEP]]
            found[0].extend(map(values.__getitem__, rows))
            found[1].extend(map(texts.__getitem__, rows))
        return SeriesTable({}, keys, *found)


_NOTHING = object()
EMPTY = SeriesTable({}, [], [], [])
"""The table of no series."""


class Lines:
    """Writes the series of one metric of one stream. `per_series` is how many lines each has."""

    def __init__(self, metric: Metric, stream: str) -> None:
        self.metric = metric
        self._names = [label.name for label in metric.labels if label is not STREAM]
        if metric.kind is Kind.STATESET:
            self._names.pop()
        samples = _samples_of(metric)
        self.per_series = len(samples)
        self._template = "".join(_template(name, self._names, own, stream) for name, own in samples)
        order = [self._names.index(name) for name in sorted(self._names)]
        self._order = order * self.per_series

    def _head(self, key: LabelValues) -> str:
        """The lines of a series with `%s` in the place of each number."""
        labels = [escape_label(value).replace("%", "%%") for value in key]
        return self._template % tuple([labels[place] for place in self._order])

    def write(self, keys: Sequence[LabelValues], values: Sequence[Any], before: Sequence[bytes]) -> list[bytes]:
        """The text of some series, at least one; `before` are their texts so far, empty for new ones."""
        if self.metric.kind not in (Kind.COUNTER, Kind.GAUGE):
            return [
                (self._head(key) % tuple(map(format_value, self._numbers(value)))).encode()
                for key, value in zip(keys, values, strict=True)
            ]
        numbers = "\n".join(format_values(list(map(float, values)))).encode().split(b"\n")
        # What stands in front of the number stays, and need not be put together again.
        heads = [
            text.rpartition(b" ")[0] or (self._head(key) % "").encode()[:-2]
            for key, text in zip(keys, before, strict=True)
        ]
        return [b"%b %b\n" % line for line in zip(heads, numbers, strict=True)]

    def _numbers(self, value: Any) -> Iterable[float]:
        """The numbers of a series of several lines, in their order."""
        if self.metric.kind is Kind.STATESET:
            return [state == value for state in self.metric.labels[-1].values]
        if self.metric.kind is Kind.HISTOGRAM:
            cumulated = list(accumulate(value[:-1]))
            return [*cumulated, cumulated[-1], value[-1]]
        return [1.0]


def _samples_of(metric: Metric) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """The name, and the label that the format adds, of each line that a series has."""
    name = metric.name
    if metric.kind is Kind.HISTOGRAM:
        bounds = (*map(format_value, metric.buckets), "+Inf")
        buckets = [(f"{name}_bucket", (("le", bound),)) for bound in bounds]
        return [*buckets, (f"{name}_count", ()), (f"{name}_sum", ())]
    if metric.kind is Kind.STATESET:
        return [(name, ((metric.labels[-1].name, state),)) for state in metric.labels[-1].values]
    return [(name, ())]


def _template(name: str, labels: Sequence[str], own: tuple[tuple[str, str], ...], stream: str) -> str:
    """A line that is formatted twice, with the values of the labels (in the order of their names) and a number."""
    fixed = {STREAM.name: stream, **dict(own)}
    texts = {each: escape_label(value).replace("%", "%%%%") for each, value in fixed.items()}
    texts |= dict.fromkeys(labels, "%s")
    pairs = ",".join([f'{each}="{texts[each]}"' for each in sorted(texts)])
    return f"{name}{{{pairs}}} %%s\n"


@dataclass(frozen=True, slots=True)
class Rows:
    """The text of one metric of one stream, a row for each series, and the number of lines in it."""

    metric: Metric
    texts: Sequence[bytes]
    lines: int


class MappedSeries:
    """Caches the lines of one stream's mapped metrics between scrapes.

    `before` is that of the same stream with another mapping, whose lines stay where a metric means the same.
    """

    def __init__(self, mapping: "spec.Mapping", stream: str, before: "MappedSeries | None" = None) -> None:
        self.mapping = mapping
        self._lines = {each.name: Lines(metric_of(each), stream) for each in mapping.metrics}
        self.tables: dict[str, SeriesTable] = {}
        """The last table of each metric, by its name."""
        if before is not None:
            known = {each.name: each for each in before.mapping.metrics}
            same = {each.name for each in mapping.metrics if each == known.get(each.name)}
            self.tables = {name: table for name, table in before.tables.items() if name in same}

    def view(self, snapshot: Snapshot, names: frozenset[str] | None) -> Generator[bytes, None, dict[str, Rows]]:
        """The text of the metrics that are wanted (see `Metric.is_wanted`), of a stale stream only what is counted."""
        found: dict[str, Rows] = {}
        series = snapshot.mapped.series if snapshot.mapped is not None else {}
        for name, lines in self._lines.items():
            view = series.get(name)
            if not view or not lines.metric.is_wanted(names) or (snapshot.stale and lines.metric.kind in _BELIEVED):
                continue
            table = yield from self.tables.get(name, EMPTY).successor(view, lines)
            self.tables[name] = table
            found[name] = Rows(lines.metric, table.texts, len(table.texts) * lines.per_series)
        return found


def mapped_families(rows: Iterable[Rows]) -> Iterator[tuple[Metric, list[tuple[Sequence[bytes], int]]]]:
    """Each metric once, and the texts of all streams that have it, in the order in which the streams have metrics."""
    families: dict[str, tuple[Metric, list[tuple[Sequence[bytes], int]]]] = {}
    for each in rows:
        families.setdefault(each.metric.name, (each.metric, []))[1].append((each.texts, each.lines))
    return iter(families.values())
