"""What a stream did within a minute, as the difference of its counters.

Nothing is counted for a summary: the counters that Prometheus reads are read once at its beginning and once at its
end, so that it costs the hot path nothing and cannot contradict the metrics.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from iris_exporter.instruments import catalog, signals
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.otel.spans import Value

_COUNTERS = (
    (catalog.MESSAGES, signals.MESSAGES.name),
    (catalog.MESSAGES, signals.MESSAGES_BY_TYPE.name),
    (catalog.RESUMES, signals.RESUMES.name),
    (catalog.RECEIVED_BYTES, signals.BYTES.name),
    (catalog.EVENTS_DUPLICATE, signals.DUPLICATES.name),
    (catalog.EVENTS_REPLAYED, signals.REPLAYED.name),
    (catalog.EVENT_GAPS, signals.GAPS.name),
    (catalog.DECODE_ERRORS, signals.DECODE_ERRORS.name),
)
"""Metrics and their attributes. One with a `<label>` becomes an attribute for each label value that was counted."""
_ALWAYS = [attribute for _, attribute in _COUNTERS if "<" not in attribute]
_QUANTILES = ((0.5, signals.DELAY_P50.name), (0.9, signals.DELAY_P90.name), (0.99, signals.DELAY_P99.name))


class Totals(NamedTuple):
    """A stream's counters, by attribute, and how many delays were counted up to each bound, infinity last."""

    counts: dict[str, int]
    delays: list[int]


def totals(instruments: StreamInstruments) -> Totals:
    """The counters of a stream at this time."""
    counts = dict.fromkeys(_ALWAYS, 0)
    for metric, attribute in _COUNTERS:
        prefix, has_labels, _ = attribute.partition("<")
        for label, count in instruments.counter(metric).counts().items():
            name = f"{prefix}{label}" if has_labels else attribute
            counts[name] = counts.get(name, 0) + count
    return Totals(counts, instruments.histogram(catalog.MESSAGE_DELAY).cumulated())


def summarise(before: Totals, after: Totals) -> dict[str, Value]:
    """The attributes of a summary: what was counted in between, in the names of `signals`."""
    grown = {name: count - before.counts.get(name, 0) for name, count in after.counts.items()}
    attributes: dict[str, Value] = {name: count for name, count in grown.items() if count or name in _ALWAYS}
    delays = [last - first for first, last in zip(before.delays, after.delays, strict=True)]
    if delays[-1]:
        for share, name in _QUANTILES:
            attributes[name] = quantile(share, delays, catalog.MESSAGE_DELAY.buckets)
    return attributes


def quantile(share: float, cumulative: Sequence[int], bounds: Iterable[float]) -> float:
    """Estimate the value below which `share` of the observations lie, as `histogram_quantile` does.

    It is linear within a bucket, and the highest bound beyond all. `cumulative` has one count more than `bounds`.
    """
    wanted = share * cumulative[-1]
    lower, counted = 0.0, 0
    for bound, count in zip(bounds, cumulative, strict=False):
        if count >= wanted and count > counted:
            return lower + (bound - lower) * (wanted - counted) / (count - counted)
        lower, counted = bound, count
    return lower
