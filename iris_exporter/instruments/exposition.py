"""All families, grouped once across the streams, as text in small pieces."""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import Metric as ClientMetric

from iris_exporter.core.status import LinkStatus
from iris_exporter.instruments import catalog
from iris_exporter.instruments.catalog import CATALOG
from iris_exporter.instruments.entities import EntitySeries
from iris_exporter.instruments.mapped import MappedSeries, mapped_families
from iris_exporter.instruments.metric import Kind, Label, Metric, Subject, Value
from iris_exporter.instruments.primitives import Instrument, texts_of
from iris_exporter.instruments.projects import Part, ProjectTable, ProjectTables
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.instruments.table import Column
from iris_exporter.instruments.text import Format, escape_label, format_value, number_lines
from iris_exporter.instruments.view import NO_ENTITIES, MappedView, StreamView
from iris_exporter.model.snapshot import Snapshot

if TYPE_CHECKING:
    from iris_exporter.mapping import spec

STREAMS_PER_PIECE = 50
"""Streams printed before the caller may let others run: a histogram of that many takes about a millisecond."""

LINES_PER_PIECE = 1000
"""Lines that were written before are joined in pieces of this many: some 100 KB, a fraction of a millisecond."""

COLUMNS = {metric: index for index, metric in enumerate(catalog.PROJECT_METRICS)}
"""Where the texts of each project metric are in `ProjectTable.columns`."""

Views = list[tuple[EntitySeries, StreamView]]
"""What a scrape shows of each stream."""

Pieces = Iterator[tuple[bytes, int]]
"""Text, and the number of lines in it."""


@dataclass(frozen=True, slots=True)
class Source:
    """One stream as it is now: what was counted, how the link is, what is believed."""

    instruments: StreamInstruments
    status: LinkStatus
    snapshot: Snapshot


class Exposition:
    """Prints everything.

    `sources` is called once for each scrape and names each stream once; what was cached of a stream that it no longer
    names is forgotten. `process_metrics` off leaves out `process_*` and `python_*`.
    """

    def __init__(
        self, sources: Callable[[], Iterable[Source]], self_metrics: SelfMetrics, *, process_metrics: bool = True
    ) -> None:
        self._sources = sources
        # Its collectors describe nothing, and a filter by name would then find nothing.
        self.process = CollectorRegistry(auto_describe=True)
        if process_metrics:
            ProcessCollector(registry=self.process)
            PlatformCollector(registry=self.process)
            GCCollector(registry=self.process)
        self._streams: dict[str, EntitySeries] = {}
        self._mapped: dict[str, MappedSeries] = {}
        self._table = StreamTable(())
        self._projects = ProjectTables()
        self._series: int | None = None
        self._own: dict[Metric, tuple[Value, bytes, int]] = {}
        self.self_metrics = self_metrics

    def render(self, form: Format, names: Collection[str] | None = None) -> Iterator[bytes]:
        """Print all series, or those whose sample name is in `names` (a histogram's own name stands for its parts).

        The pieces, some of them empty, take about a millisecond each. Between two of them anything may happen: what is
        printed later is what is true later, each series whole.
        """
        wanted = None if names is None else frozenset(names)
        metrics = [metric for metric in CATALOG if metric.is_wanted(wanted)]
        views = yield from self.views(metrics, wanted)
        count = 0
        for metric, pieces in self._families(metrics, views, form, wanted):
            started = False
            for piece, lines in pieces:
                if piece and not started:
                    started = True
                    yield metric.header(form)
                count += lines
                yield piece
        if wanted is None:
            self._series = count + 1
        if catalog.SERIES in metrics and self._series is not None:
            yield catalog.SERIES.header(form)
            yield f"{catalog.SERIES.name} {format_value(self._series)}\n".encode()
        yield form.end

    def views(
        self, metrics: Collection[Metric] = CATALOG, wanted: frozenset[str] | None = None
    ) -> Generator[bytes, None, Views]:
        """Every stream, as far as these metrics need it, and mapped ones by their names; empty pieces are pauses."""
        entities = any(map(is_many, metrics))
        streams: dict[str, EntitySeries] = {}
        mapped: dict[str, MappedSeries] = {}
        views: Views = []
        for index, source in enumerate(list(self._sources())):
            if index % STREAMS_PER_PIECE == 0:
                yield b""
            name = source.instruments.stream
            stream = self._streams.get(name)
            if stream is None or stream.instruments is not source.instruments:
                stream = EntitySeries(source.instruments)
            streams[name] = stream
            found = (yield from stream.view(source.snapshot)) if entities else NO_ENTITIES
            view = StreamView(source.status, source.snapshot, found)
            if (counts := source.instruments.mapped) is not None:
                view.mapped = MappedView(counts.mapping.name, counts.holds, counts.filtered, counts.problems.copy())
                mapped[name] = series = self._series_of(name, counts.mapping)
                view.rows = yield from series.view(source.snapshot, wanted)
            views.append((stream, view))
        if entities:
            parts = [
                Part(stream, stream.instruments.limits, view.entities.names, view.entities.projects)
                for stream, view in views
            ]
            yield from self._projects.show(parts)
        self._streams, self._mapped = streams, mapped
        rows = tuple(streams.values())
        if rows != self._table.rows:
            self._table = StreamTable(rows)
        return views

    def _series_of(self, stream: str, mapping: "spec.Mapping") -> MappedSeries:
        found = self._mapped.get(stream)
        return found if found is not None and found.mapping is mapping else MappedSeries(mapping, stream, found)

    def _families(
        self, metrics: list[Metric], views: Views, form: Format, wanted: frozenset[str] | None
    ) -> Iterator[tuple[Metric, Pieces]]:
        # Those of `views`: another scrape may bring others.
        table, projects, exemplars = self._table, self._projects.tables, form.exemplars
        for metric in metrics:
            pieces = self._pieces(metric, views, table, projects, exemplars=exemplars)
            yield metric, pieces if wanted is None or metric.name in wanted else _only(pieces, wanted)
        for metric, texts in mapped_families(rows for _, view in views for rows in view.rows.values()):
            pieces = _joined(texts)
            yield metric, pieces if wanted is None or metric.name in wanted else _only(pieces, wanted)
        process = self.process if wanted is None else self.process.restricted_registry(wanted)
        for family in process.collect():
            yield _process_family(family)

    def _own_text(self, metric: Metric) -> tuple[bytes, int]:
        """The text of a metric of the exporter itself, and the number of lines; written where its value is another."""
        value = self.self_metrics.shown(metric)
        found = self._own.get(metric)
        if found is None or found[0] != value:
            text = metric.lines(value)
            copy = dict(value) if isinstance(value, Mapping) else value  # it may be the one that is counted in
            found = self._own[metric] = copy, text.encode(), text.count("\n")
        return found[1:]

    def _pieces(
        self, metric: Metric, views: Views, table: "StreamTable", projects: Sequence[ProjectTable], *, exemplars: bool
    ) -> Pieces:
        if metric.subject is Subject.EXPORTER:
            return iter((self._own_text(metric),))
        if metric in COLUMNS:
            return _joined(_project_texts(metric, projects))
        if metric is catalog.EVENTS:
            events = [stream.event_lines(view.entities, exemplars=exemplars) for stream, view in views]
            return _joined((lines, len(lines)) for lines in events if lines)
        if metric.value is None:
            return table.counted(metric, exemplars=exemplars)
        return table.found(metric, metric.value, views)


class StreamTable:
    """The text of metrics that have a few series for each stream; the rows are streams."""

    def __init__(self, rows: tuple[EntitySeries, ...]) -> None:
        self.rows = rows
        self._tails = [stream.instruments.tail for stream in rows]
        self._columns: dict[Metric, Column] = {}
        self._instruments: dict[Metric, list[Instrument]] = {}

    def found(self, metric: Metric, value: Callable[[StreamView], Value], views: Views) -> Pieces:
        """The text of a metric whose value is found in the views."""
        column = self._column(metric)
        for start in range(0, len(views), STREAMS_PER_PIECE):
            end = start + STREAMS_PER_PIECE
            changes = column.differing_from(start, [value(view) for _, view in views[start:end]])
            if changes:
                column.write(changes, self._texts(metric, changes))
            yield b"".join(column.texts[start:end]), column.lines(start, end)

    def _texts(self, metric: Metric, changes: Sequence[tuple[int, Any]]) -> list[bytes]:
        """What these rows have to show."""
        if not metric.own_labels and all(type(value) is float for _, value in changes):
            labels = [f"{{{self._tails[row]}" for row, _ in changes]
            return number_lines(metric.name, labels, [value for _, value in changes])
        return [metric.lines(value, self._tails[row]).encode() for row, value in changes]

    def counted(self, metric: Metric, *, exemplars: bool) -> Pieces:
        """The text of a metric that is counted where it happens."""
        column, instruments = self._column(metric), self._instruments.get(metric)
        if instruments is None:
            instruments = self._instruments[metric] = [row.instruments.instrument(metric) for row in self.rows]
        for start in range(0, len(self.rows), STREAMS_PER_PIECE):
            end = start + STREAMS_PER_PIECE
            neighbours = instruments[start:end]
            changes = column.differing_from(start, [instrument.total for instrument in neighbours])
            if changes:
                rows = [row for row, _ in changes]
                column.write(changes, texts_of([instruments[row] for row in rows], [self._tails[row] for row in rows]))
            texts = column.texts[start:end]
            if exemplars:
                for index, instrument in enumerate(neighbours):
                    if instrument.has_exemplars():
                        texts[index] = instrument.text_with_exemplars(self._tails[start + index])
            yield b"".join(texts), column.lines(start, end)

    def _column(self, metric: Metric) -> Column:
        column = self._columns.get(metric)
        if column is None:
            column = self._columns[metric] = Column(len(self.rows))
        return column


def _project_texts(metric: Metric, tables: Iterable[ProjectTable]) -> Iterator[tuple[list[bytes], int]]:
    """The texts of a column of projects, table by table, and the number of lines in them."""
    index, has_one_line = COLUMNS[metric], not metric.own_labels
    for table in tables:
        column = table.columns[index]
        texts = column.texts
        yield texts, len(texts) - texts.count(b"") if has_one_line else column.lines()


def _joined(streams: Iterable[tuple[Sequence[bytes], int]]) -> Pieces:
    """The texts of all streams in pieces of about `LINES_PER_PIECE`."""
    pending: list[bytes] = []
    count = 0
    for texts, lines in streams:
        count += lines
        for start in range(0, len(texts), LINES_PER_PIECE):
            pending += texts[start : start + LINES_PER_PIECE] if len(texts) > LINES_PER_PIECE else texts
            if len(pending) >= LINES_PER_PIECE:
                yield b"".join(pending), count
                pending, count = [], 0
    if pending:
        yield b"".join(pending), count


def is_many(metric: Metric) -> bool:
    """Whether a metric can have more series than there are streams, so that it comes in pieces."""
    return metric in COLUMNS or metric is catalog.EVENTS


def _only(pieces: Pieces, names: frozenset[str]) -> Pieces:
    """The lines of the samples with one of these names: how a part of a histogram is asked for."""
    starts = tuple(f"{name}{end}".encode() for name in sorted(names) for end in ("{", " "))
    for piece, _ in pieces:
        lines = [line for line in piece.splitlines(keepends=True) if line.startswith(starts)]
        yield b"".join(lines), len(lines)


def _process_family(found: ClientMetric) -> tuple[Metric, Pieces]:
    name = f"{found.name}_total" if found.type == Kind.COUNTER else found.name
    labels = tuple(map(Label, found.samples[0].labels)) if found.samples else ()
    metric = Metric(name, Kind(found.type), found.documentation, "The process", "prometheus_client", labels)
    lines = [metric.line(map(escape_label, sample.labels.values()), sample.value) for sample in found.samples]
    return metric, iter((("".join(lines).encode(), len(lines)),))
