"""All families, grouped once across the streams, as text in small pieces."""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import Metric as ClientMetric

from iris_exporter.core.status import LinkStatus
from iris_exporter.instruments import catalog
from iris_exporter.instruments.catalog import CATALOG
from iris_exporter.instruments.metric import Kind, Metric, Subject
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.instruments.stream_series import StreamSeries, is_many
from iris_exporter.instruments.text import Format, Sample, format_value, sample_lines
from iris_exporter.instruments.view import NO_ENTITIES, StreamView
from iris_exporter.model.snapshot import Snapshot

STREAMS_PER_PIECE = 50
"""Streams printed before the caller may let others run: a histogram of that many takes about a millisecond."""

Views = list[tuple[StreamSeries, StreamView]]
"""What a scrape shows of each stream."""


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
        self._process = CollectorRegistry(auto_describe=True)
        if process_metrics:
            ProcessCollector(registry=self._process)
            PlatformCollector(registry=self._process)
            GCCollector(registry=self._process)
        self._streams: dict[str, StreamSeries] = {}
        self._series: int | None = None
        self.self_metrics = self_metrics

    def render(self, form: Format, names: Collection[str] | None = None) -> Iterator[bytes]:
        """Print all series, or those whose sample name is in `names` (a histogram's own name stands for its parts).

        The pieces, some of them empty, take about a millisecond each. Between two of them anything may happen: what is
        printed later is what is true later, each series whole.
        """
        wanted = None if names is None else frozenset(names)
        metrics = [metric for metric in CATALOG if wanted is None or _is_wanted(metric, wanted)]
        views = yield from self.views(metrics)
        count = 0
        for metric, pieces in self._families(metrics, views, form, wanted):
            started = False
            for piece in pieces:
                if piece and not started:
                    started = True
                    yield metric.header(form)
                count += piece.count(b"\n")
                yield piece
        if wanted is None:
            self._series = count + 1
        if catalog.SERIES in metrics and self._series is not None:
            yield catalog.SERIES.header(form)
            yield f"{catalog.SERIES.name} {format_value(self._series)}\n".encode()
        yield form.end

    def views(self, metrics: Collection[Metric] = CATALOG) -> Generator[bytes, None, Views]:
        """Every stream, as far as these metrics need it; the empty pieces are pauses."""
        entities = any(map(is_many, metrics))
        streams: dict[str, StreamSeries] = {}
        views: Views = []
        for index, source in enumerate(list(self._sources())):
            if index % STREAMS_PER_PIECE == 0:
                yield b""
            name = source.instruments.stream
            stream = self._streams.get(name)
            if stream is None or stream.instruments is not source.instruments:
                stream = StreamSeries(source.instruments)
            streams[name] = stream
            view = yield from stream.view(source.status, source.snapshot, entities=entities)
            views.append((stream, view))
        self._streams = streams
        return views

    def process_families(self, wanted: frozenset[str] | None = None) -> Iterator[tuple[Metric, list[Sample]]]:
        """What the client library says about the process."""
        registry = self._process if wanted is None else self._process.restricted_registry(wanted)
        return map(_process_family, registry.collect())

    def _families(
        self, metrics: list[Metric], views: Views, form: Format, wanted: frozenset[str] | None
    ) -> Iterator[tuple[Metric, Iterator[bytes]]]:
        for metric in metrics:
            pieces = self._pieces(metric, views, exemplars=form.exemplars)
            yield metric, pieces if wanted is None or metric.name in wanted else _only(pieces, wanted)
        for metric, samples in self.process_families(wanted):
            yield metric, iter((sample_lines(samples).encode(),))

    def _pieces(self, metric: Metric, views: Views, *, exemplars: bool) -> Iterator[bytes]:
        if metric.subject is Subject.EXPORTER:
            yield sample_lines(self.self_metrics.series(metric)).encode()
        elif is_many(metric):
            for stream, view in views:
                if view.entities is not NO_ENTITIES:
                    yield from stream.pieces(metric, view, exemplars=exemplars)
        else:
            for start in range(0, len(views), STREAMS_PER_PIECE):
                texts = [
                    stream.text(metric, view, exemplars=exemplars)
                    for stream, view in views[start : start + STREAMS_PER_PIECE]
                ]
                yield "".join(texts).encode()


def _is_wanted(metric: Metric, wanted: frozenset[str]) -> bool:
    return metric.name in wanted or not wanted.isdisjoint(metric.sample_names)


def _only(pieces: Iterable[bytes], names: frozenset[str]) -> Iterator[bytes]:
    """The lines of the samples with one of these names: how a part of a histogram is asked for."""
    starts = tuple(f"{name}{end}".encode() for name in sorted(names) for end in ("{", " "))
    for piece in pieces:
        yield b"".join([line for line in piece.splitlines(keepends=True) if line.startswith(starts)])


def _process_family(found: ClientMetric) -> tuple[Metric, list[Sample]]:
    name = f"{found.name}_total" if found.type == Kind.COUNTER else found.name
    samples = [Sample(sample.name, tuple(sorted(sample.labels.items())), sample.value) for sample in found.samples]
    return Metric(name, Kind(found.type), found.documentation, "The process", "prometheus_client"), samples
