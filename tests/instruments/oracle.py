"""What the client library prints for the values that the catalogue's declarations give: the text is held to it."""

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as ClientExemplar
from prometheus_client.utils import floatToGoString

from iris_exporter.core.labels import clean_label
from iris_exporter.instruments import catalog
from iris_exporter.instruments.entities import EntitySeries
from iris_exporter.instruments.exposition import Exposition
from iris_exporter.instruments.metric import Kind, Metric, Subject, Value
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.instruments.text import Exemplar
from iris_exporter.instruments.view import StreamView

Result = TypeVar("Result")


class Sample(NamedTuple):
    """One series and its value."""

    name: str
    labels: dict[str, str]
    value: float
    exemplar: Exemplar | None = None


class Oracle(Collector):
    """Families of an `Exposition`, with the names that a registry filters by."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition

    def collect(self) -> Iterator[Family]:
        views = exhaust(self._exposition.views())
        count = 0
        for metric in catalog.CATALOG:
            if metric.subject is Subject.EXPORTER:
                samples = samples_of(metric, self._exposition.self_metrics.shown(metric))
            else:
                samples = [sample for stream, view in views for sample in of_stream(metric, stream, view)]
            if samples:
                count += len(samples)
                yield family(metric, samples)
        for found in self._exposition.process.collect():
            count += len(found.samples)
            yield found
        yield family(catalog.SERIES, [Sample(catalog.SERIES.name, {}, count + 1)])

    def describe(self) -> Iterator[Family]:
        for metric in catalog.CATALOG:
            yield family(metric, ())
        yield from self._exposition.process.collect()


def samples_of(
    metric: Metric, value: Value, subject: tuple[str, ...] = (), clean: Callable[[str], str] = clean_label
) -> list[Sample]:
    """Every series that a value stands for, without the label `stream`."""
    names = [name for name in metric.label_names if name != "stream"]
    return [
        Sample(metric.name, dict(zip(names, (*subject, *own), strict=True)), number)
        for own, number in metric.numbers(value, clean)
    ]


def counted(metric: Metric, instruments: StreamInstruments) -> list[Sample]:
    """The series of a metric that is counted where it happens, without the label `stream`."""
    if metric.kind is not Kind.HISTOGRAM:
        counts = instruments.counter(metric).counts()
        return samples_of(metric, counts if metric.own_labels else counts[""])
    histogram = instruments.histogram(metric)
    exemplars = vars_of(histogram)["_exemplars"] or [None] * (len(metric.buckets) + 1)
    bounds = (*(floatToGoString(bound) for bound in metric.buckets), "+Inf")
    rows = zip(bounds, histogram.cumulated(), exemplars, strict=True)
    samples = [Sample(f"{metric.name}_bucket", {"le": bound}, count, exemplar) for bound, count, exemplar in rows]
    total = histogram.total
    return [*samples, Sample(f"{metric.name}_count", {}, total), Sample(f"{metric.name}_sum", {}, histogram.sum)]


def vars_of(slotted: object) -> dict[str, Any]:
    return {name: getattr(slotted, name) for name in type(slotted).__slots__}  # type: ignore[attr-defined]


def of_stream(metric: Metric, stream: EntitySeries, view: StreamView) -> Iterator[Sample]:
    """All series of a metric for one stream, with the label `stream`."""
    instruments = stream.instruments

    def clean(value: str) -> str:
        return clean_label(value, instruments.limits.max_label_length)

    if metric.value is None:
        found = counted(metric, instruments)
    elif metric.subject is Subject.PROJECT:
        found = [
            sample
            for name, project in zip(view.entities.names, view.entities.projects, strict=True)
            for sample in samples_of(metric, metric.value(project), (name,), clean)
        ]
    else:
        found = samples_of(metric, metric.value(view))
    for sample in found:
        labels, exemplar = sample.labels, sample.exemplar
        if metric is catalog.EVENTS:
            key = labels["project"], labels["event_type"], labels["severity"]
            exemplar = instruments.event_exemplars.get(key)
        yield Sample(sample.name, {**labels, "stream": instruments.stream}, sample.value, exemplar)


def family(metric: Metric, samples: Iterable[Sample]) -> Family:
    made = Family(metric.family, metric.help, metric.exposed_type, metric.unit)
    for sample in samples:
        found = sample.exemplar
        exemplar = None if found is None else ClientExemplar(dict(found.labels), found.value, found.timestamp)
        made.add_sample(sample.name, sample.labels, sample.value, exemplar=exemplar)
    return made


def exhaust(steps: Generator[bytes, None, Result]) -> Result:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


def prometheus_registry(exposition: Exposition) -> CollectorRegistry:
    """A registry with everything that the exposition prints, and nothing else."""
    registry = CollectorRegistry()
    registry.register(Oracle(exposition))
    return registry
