"""What a stream did within a minute, as the difference of its counters between two moments.

Nothing is counted for a summary: the counters that Prometheus reads are read once at its beginning and once at its
end, so that it costs the hot path nothing and cannot contradict the metrics. Percentiles of the delay are estimated
from the histogram's buckets, as `histogram_quantile` does: linear within a bucket, and the highest bound for what
lies beyond it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from iris_exporter.instruments import catalog, signals
from iris_exporter.instruments.metric import Metric
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.otel.spans import Value

_COUNTED: tuple[tuple[Metric, str], ...] = (
    (catalog.RECEIVED_BYTES, signals.BYTES.name),
    (catalog.EVENTS_DUPLICATE, signals.DUPLICATES.name),
    (catalog.EVENTS_REPLAYED, signals.REPLAYED.name),
    (catalog.EVENT_GAPS, signals.GAPS.name),
    (catalog.DECODE_ERRORS, signals.DECODE_ERRORS.name),
)
_MESSAGES = signals.MESSAGES_BY_TYPE.name.partition("<")[0]
_RESUMES = signals.RESUMES.name.partition("<")[0]
_QUANTILES = ((0.5, signals.DELAY_P50.name), (0.9, signals.DELAY_P90.name), (0.99, signals.DELAY_P99.name))


@dataclass(frozen=True, slots=True)
class Totals:
    """A stream's counters at one moment. `delays` are the histogram's counts up to each bound, infinity last."""

    messages: Mapping[str, int]
    resumes: Mapping[str, int]
    counted: Mapping[str, int]
    delays: Sequence[int]

    @classmethod
    def of(cls, instruments: StreamInstruments) -> "Totals":
        """Read them now."""
        return cls(
            _by_label(instruments, catalog.MESSAGES),
            _by_label(instruments, catalog.RESUMES),
            {name: sum(_by_label(instruments, metric).values()) for metric, name in _COUNTED},
            [
                int(sample.value)
                for sample in instruments.samples(catalog.MESSAGE_DELAY)
                if sample.name.endswith("_bucket")
            ],
        )


def _by_label(instruments: StreamInstruments, metric: Metric) -> dict[str, int]:
    own = next((label.name for label in metric.labels if label.name != "stream"), "")
    return {sample.labels.get(own, ""): int(sample.value) for sample in instruments.samples(metric)}


def summarise(before: Totals, after: Totals) -> dict[str, Value]:
    """The attributes of a summary: what was counted between two moments, in the names of `signals`."""
    messages = _grown(before.messages, after.messages)
    attributes: dict[str, Value] = {signals.MESSAGES.name: sum(messages.values())}
    attributes |= {f"{_MESSAGES}{name}": count for name, count in messages.items()}
    attributes |= {name: after.counted[name] - before.counted[name] for _, name in _COUNTED}
    attributes |= {f"{_RESUMES}{name}": count for name, count in _grown(before.resumes, after.resumes).items()}
    delays = [last - first for first, last in zip(before.delays, after.delays, strict=True)]
    if delays[-1]:
        for share, name in _QUANTILES:
            attributes[name] = quantile(share, delays, catalog.MESSAGE_DELAY.buckets)
    return attributes


def _grown(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    differences = ((name, count - before.get(name, 0)) for name, count in after.items())
    return {name: count for name, count in differences if count}


def quantile(share: float, cumulative: Sequence[int], bounds: Iterable[float]) -> float:
    """The value below which `share` of the observations lie; `cumulative` has one count more than there are bounds."""
    wanted = share * cumulative[-1]
    lower, counted = 0.0, 0
    for bound, count in zip(bounds, cumulative, strict=False):
        if count >= wanted and count > counted:
            return lower + (bound - lower) * (wanted - counted) / (count - counted)
        lower, counted = bound, count
    return lower
