"""Our families as `prometheus_client` objects, for a registry that we create: the global one is left alone."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from iris_exporter.instruments.exposition import Exposition
from iris_exporter.instruments.rendering import Family
from iris_exporter.instruments.text import Sample


class PrometheusCollector(Collector):
    """A custom collector over an `Exposition`, with the names that a registry filters by."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition

    def collect(self) -> Iterator[Metric]:
        """All families as they are now."""
        for family, samples in self._exposition.samples():
            yield _metric(family, samples)

    def describe(self) -> Iterator[Metric]:
        """All families without samples."""
        for family in self._exposition.described():
            yield _metric(family, ())


def prometheus_registry(exposition: Exposition) -> CollectorRegistry:
    """A registry with everything that the exposition prints, and nothing else."""
    registry = CollectorRegistry()
    registry.register(PrometheusCollector(exposition))
    return registry


def _metric(family: Family, samples: Iterable[Sample]) -> Metric:
    metric = Metric(family.family, family.help, family.type, family.unit)
    for sample in samples:
        metric.add_sample(sample.name, dict(sample.labels), sample.value, exemplar=_exemplar(sample))
    return metric


def _exemplar(sample: Sample) -> Exemplar | None:
    found = sample.exemplar
    return None if found is None else Exemplar(dict(found.labels), found.value, found.timestamp)
