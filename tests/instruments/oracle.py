"""What the client library prints for the values that the catalogue's declarations give: the text is held to it."""

from collections.abc import Generator, Iterable, Iterator
from typing import TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from iris_exporter.instruments import catalog
from iris_exporter.instruments.exposition import Exposition
from iris_exporter.instruments.metric import Metric, Subject
from iris_exporter.instruments.stream_series import StreamSeries
from iris_exporter.instruments.text import Sample, clean_label
from iris_exporter.instruments.view import StreamView

Result = TypeVar("Result")


class Oracle(Collector):
    """Families of an `Exposition`, with the names that a registry filters by."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition

    def collect(self) -> Iterator[Family]:
        views = exhaust(self._exposition.views())
        count = 0
        for metric in catalog.CATALOG:
            if metric.subject is Subject.EXPORTER:
                samples = self._exposition.self_metrics.series(metric)
            else:
                samples = [sample for stream, view in views for sample in of_stream(metric, stream, view)]
            if samples:
                count += len(samples)
                yield family(metric, samples)
        for metric, samples in self._exposition.process_families():
            count += len(samples)
            yield family(metric, samples)
        yield family(catalog.SERIES, [Sample(catalog.SERIES.name, (), count + 1)])

    def describe(self) -> Iterator[Family]:
        for metric in (*catalog.CATALOG, *(metric for metric, _ in self._exposition.process_families())):
            yield family(metric, ())


def of_stream(metric: Metric, stream: StreamSeries, view: StreamView) -> Iterator[Sample]:
    """All series of a metric for one stream, with the label `stream`."""
    instruments = stream.instruments

    def clean(value: str) -> str:
        return clean_label(value, instruments.limits.max_label_length)

    if metric.value is None:
        found = instruments.series(metric)
    elif metric.subject is Subject.PROJECT:
        found = [
            sample
            for name, project in zip(view.entities.names, view.entities.projects, strict=True)
            for sample in metric.series(metric.value(project), (name,), clean)
        ]
    else:
        found = metric.series(metric.value(view))
    for sample in found:
        labels, exemplar = dict(sample.labels), sample.exemplar
        if metric is catalog.EVENTS:
            key = labels["project"], labels["event_type"], labels["severity"]
            exemplar = instruments.event_exemplars.get(key)
        yield Sample(sample.name, (*sample.labels, ("stream", instruments.stream)), sample.value, exemplar)


def family(metric: Metric, samples: Iterable[Sample]) -> Family:
    made = Family(metric.family, metric.help, metric.exposed_type, metric.unit)
    for sample in samples:
        found = sample.exemplar
        exemplar = None if found is None else Exemplar(dict(found.labels), found.value, found.timestamp)
        made.add_sample(sample.name, dict(sample.labels), sample.value, exemplar=exemplar)
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
