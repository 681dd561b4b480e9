"""The families of /metrics as OTLP metrics: the same names, the same values, cumulative.

Gauges and infos become gauges, counters become monotonic sums, histograms stay histograms; all but gauges carry the
moment from which they count. A unit is spelled as OTLP does (UCUM), and no name is changed: the translation that
Prometheus' OTLP receiver makes finds nothing to add to them.

Source: opentelemetry-proto 1.x, metrics.proto.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1 import metrics_pb2 as otlp
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from iris_exporter.instruments import signals
from iris_exporter.instruments.exposition import Family
from iris_exporter.instruments.telemetry.encoding import nanoseconds, set_attributes
from iris_exporter.instruments.telemetry.records import Encoded, Reading
from iris_exporter.instruments.text import Exemplar, Sample

_UNITS = {"seconds": "s", "bytes": "By", "ratio": "1"}
_CUMULATIVE = otlp.AGGREGATION_TEMPORALITY_CUMULATIVE


@dataclass(slots=True)
class _Buckets:
    """The parts of one histogram series: counts up to each bound, as the samples have them."""

    labels: dict[str, str]
    bounds: list[float]
    cumulative: list[int]
    exemplars: list[Exemplar]
    count: int = 0
    sum: float = 0.0


class MetricsEncoder:
    """Encodes readings; see `encoding.Encoder` for the arguments. `start` is when the counters began, Unix seconds."""

    def __init__(self, resource: Mapping[str, str], version: str, start: float) -> None:
        self._resource = Resource()
        set_attributes(self._resource.attributes, resource.items())
        self._scope = InstrumentationScope(name=signals.SCOPE, version=version)
        self._start = nanoseconds(start)

    def encode(self, batch: Sequence[Reading]) -> Encoded:
        """Encode the last reading of the batch; an older one says nothing that it does not say."""
        reading = batch[-1]
        request = ExportMetricsServiceRequest()
        group = request.resource_metrics.add()
        group.resource.CopyFrom(self._resource)
        scope = group.scope_metrics.add()
        scope.scope.CopyFrom(self._scope)
        now = nanoseconds(reading.moment)
        for family, samples in reading.families:
            metric = scope.metrics.add()
            metric.name = family.name
            metric.description = family.help
            metric.unit = _UNITS.get(family.unit, family.unit)
            if family.type == "histogram":
                self._histogram(metric.histogram, family, samples, now)
            elif family.type == "counter":
                metric.sum.aggregation_temporality = _CUMULATIVE
                metric.sum.is_monotonic = True
                self._points(metric.sum.data_points, samples, now, self._start)
            else:
                self._points(metric.gauge.data_points, samples, now, 0)
        return Encoded(request.SerializeToString(), len(batch), 0)

    def _points(self, points: Any, samples: Iterable[Sample], now: int, start: int) -> None:
        for sample in samples:
            point = points.add()
            point.time_unix_nano = now
            point.start_time_unix_nano = start
            if isinstance(sample.value, int):
                point.as_int = int(sample.value)  # a state is a bool, which protobuf refuses
            else:
                point.as_double = sample.value
            set_attributes(point.attributes, sorted(sample.labels.items()))
            if sample.exemplar is not None:
                _set_exemplar(point.exemplars.add(), sample.exemplar, now)

    def _histogram(self, histogram: otlp.Histogram, family: Family, samples: Iterable[Sample], now: int) -> None:
        histogram.aggregation_temporality = _CUMULATIVE
        for buckets in _grouped(family, samples):
            point = histogram.data_points.add()
            point.time_unix_nano = now
            point.start_time_unix_nano = self._start
            set_attributes(point.attributes, sorted(buckets.labels.items()))
            point.count, point.sum = buckets.count, buckets.sum
            point.explicit_bounds.extend(buckets.bounds[:-1])
            point.bucket_counts.extend(
                count - before for before, count in zip([0, *buckets.cumulative], buckets.cumulative, strict=False)
            )
            for exemplar in buckets.exemplars:
                _set_exemplar(point.exemplars.add(), exemplar, now)


def _grouped(family: Family, samples: Iterable[Sample]) -> Iterable[_Buckets]:
    """Put the samples of a histogram together by their labels without `le`."""
    found: dict[tuple[tuple[str, str], ...], _Buckets] = {}
    for sample in samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        series = found.setdefault(tuple(sorted(labels.items())), _Buckets(labels, [], [], []))
        part = sample.name.removeprefix(family.name)
        if part == "_bucket":
            series.bounds.append(float(sample.labels["le"]))
            series.cumulative.append(int(sample.value))
            if sample.exemplar is not None:
                series.exemplars.append(sample.exemplar)
        elif part == "_count":
            series.count = int(sample.value)
        else:
            series.sum = sample.value
    return found.values()


def _set_exemplar(target: otlp.Exemplar, exemplar: Exemplar, now: int) -> None:
    labels = dict(exemplar.labels)
    try:
        target.trace_id = bytes.fromhex(labels.pop("trace_id", ""))
        target.span_id = bytes.fromhex(labels.pop("span_id", ""))
    except ValueError:
        target.ClearField("trace_id")
    target.as_double = exemplar.value
    target.time_unix_nano = now if exemplar.timestamp is None else nanoseconds(exemplar.timestamp)
    set_attributes(target.filtered_attributes, sorted(labels.items()))
