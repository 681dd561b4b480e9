"""All families, grouped once across the streams: as text for a scrape, as samples for others.

Two ways lead from the same numbers to the outside. `Exposition.render` is the fast one: it joins lines that were kept
and gives its caller many small pieces. `Exposition.samples` makes plain objects, of which `client` builds what a
`prometheus_client` registry wants. Tests hold the two to the same bytes.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import Metric as ClientMetric

from iris_exporter.core.status import LinkStatus
from iris_exporter.instruments import catalog
from iris_exporter.instruments.catalog import CATALOG
from iris_exporter.instruments.entities import Mirror, View
from iris_exporter.instruments.metric import Kind, Metric
from iris_exporter.instruments.rendering import END, Family, Format, only
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.instruments.stream_series import MANY, Moment, Present, present_of
from iris_exporter.instruments.text import Sample, format_value, sample_line
from iris_exporter.model.snapshot import Snapshot

STREAMS_PER_PIECE = 50
"""Streams looked at before the caller may let others run: a histogram of that many takes about a millisecond."""


@dataclass(frozen=True, slots=True)
class Source:
    """One stream as it is now: what was counted, how the link is, what is believed."""

    instruments: StreamInstruments
    status: LinkStatus
    snapshot: Snapshot


@dataclass(slots=True)
class _Kept:
    """What one stream keeps between scrapes."""

    instruments: StreamInstruments
    mirror: Mirror
    present: Present | None = None


class Exposition:
    """Prints everything.

    `sources` is called once for each scrape and names each stream once; what is kept for a stream that it no longer
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
        self._kept: dict[str, _Kept] = {}
        self._series: int | None = None
        self.self_metrics = self_metrics

    def render(self, form: Format, names: Collection[str] | None = None) -> Iterator[bytes]:
        """Print all series, or those whose sample name is in `names` (a histogram's own name stands for its parts).

        The pieces, some of them empty, take about a millisecond each. Between two of them anything may happen: what is
        printed later is what is true later, each series whole.
        """
        wanted = None if names is None else frozenset(names)
        metrics = [metric for metric in CATALOG if wanted is None or _is_wanted(metric, wanted)]
        moments = yield from self._moments(metrics)
        count = 0
        for family, pieces in self._families(metrics, moments, form, wanted):
            started = False
            for piece in pieces:
                if piece and not started:
                    started = True
                    yield family.header(form)
                count += piece.count(b"\n")
                yield piece
        if wanted is None:
            self._series = count + 1
        if catalog.SERIES in metrics and self._series is not None:
            yield Family.of(catalog.SERIES).header(form)
            yield f"{catalog.SERIES.name} {format_value(self._series)}\n".encode()
        yield END[form]

    def _families(
        self, metrics: list[Metric], moments: list[Moment], form: Format, wanted: frozenset[str] | None
    ) -> Iterator[tuple[Family, Iterator[bytes]]]:
        for metric in metrics:
            pieces = self._pieces(metric, moments, form)
            if wanted is not None and metric.name not in wanted:
                pieces = only(pieces, wanted)
            yield Family.of(metric), pieces
        registry = self._process if wanted is None else self._process.restricted_registry(wanted)
        for client_metric in registry.collect():
            yield _process_family(client_metric), _process_pieces(client_metric)

    def _pieces(self, metric: Metric, moments: list[Moment], form: Format) -> Iterator[bytes]:
        exemplars = form.exemplars
        if metric.label_names[:1] != ("stream",):
            lines = [sample_line(sample, exemplars=exemplars) for sample in self.self_metrics.samples(metric)]
            yield "".join(lines).encode()
        elif metric.name in MANY:
            for moment in moments:
                if moment.has_entities:
                    yield from moment.pieces(metric, exemplars=exemplars)
        else:
            for start in range(0, len(moments), STREAMS_PER_PIECE):
                out: list[str] = []
                for moment in moments[start : start + STREAMS_PER_PIECE]:
                    moment.write(metric, out, exemplars=exemplars)
                yield "".join(out).encode()

    def _moments(self, metrics: Collection[Metric]) -> Generator[bytes, None, list[Moment]]:
        """Look at every stream; entities only when a metric wants them, because that is the expensive part."""
        entities = any(metric.name in MANY for metric in metrics)
        kept: dict[str, _Kept] = {}
        moments = []
        for index, source in enumerate(list(self._sources())):
            if index % STREAMS_PER_PIECE == 0:
                yield b""
            instruments, snapshot = source.instruments, source.snapshot
            keeper = self._kept.get(instruments.stream)
            if keeper is None or keeper.instruments is not instruments:
                keeper = _Kept(instruments, Mirror(instruments.tail, instruments.limits))
            kept[instruments.stream] = keeper
            keeper.mirror.limit(instruments.limits)
            view = yield from _pausing(keeper.mirror.view(snapshot, entities=entities))
            if changed_labels := keeper.mirror.take_changed_labels():
                instruments.dropped("label_text", changed_labels)
            keeper.present = present_of(
                instruments, source.status, view.metrics, keeper.mirror, snapshot.flow, kept=keeper.present
            )
            moments.append(Moment(instruments, view, keeper.present, source.status.last_message))
        self._kept = kept
        return moments

    def samples(self) -> Iterator[tuple[Family, list[Sample]]]:
        """The same families as samples, whole and in one go; a family without samples is not there."""
        moments = _exhaust(self._moments(CATALOG))
        count = 0
        for metric in CATALOG:
            if metric.label_names[:1] == ("stream",):
                found = [sample for moment in moments for sample in moment.samples(metric)]
            else:
                found = list(self.self_metrics.samples(metric))
            count += len(found)
            if found:
                yield Family.of(metric), found
        for client_metric in self._process.collect():
            count += len(client_metric.samples)
            yield _process_family(client_metric), _process_samples(client_metric)
        yield Family.of(catalog.SERIES), [Sample(catalog.SERIES.name, {}, count + 1)]

    def described(self) -> Iterator[Family]:
        """Every family that there can be, whether it has samples now or not."""
        yield from map(Family.of, CATALOG)
        yield from map(_process_family, self._process.collect())


def _is_wanted(metric: Metric, wanted: frozenset[str]) -> bool:
    return metric.name in wanted or not wanted.isdisjoint(metric.sample_names)


def _process_family(metric: ClientMetric) -> Family:
    suffix = "_total" if metric.type == Kind.COUNTER else ""
    return Family(metric.name, metric.name + suffix, metric.type, metric.documentation, metric.unit)


def _process_samples(metric: ClientMetric) -> list[Sample]:
    return [Sample(sample.name, sample.labels, sample.value) for sample in metric.samples]


def _process_pieces(metric: ClientMetric) -> Iterator[bytes]:
    yield "".join([sample_line(sample, exemplars=False) for sample in _process_samples(metric)]).encode()


def _pausing(steps: Generator[None, None, View]) -> Generator[bytes, None, View]:
    """Turn the pauses of a view in the making into empty pieces."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("View", end.value)
        yield b""


def _exhaust(steps: Generator[bytes, None, list[Moment]]) -> list[Moment]:
    """Take all steps at once and return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("list[Moment]", end.value)
