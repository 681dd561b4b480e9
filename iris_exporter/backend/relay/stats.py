"""What a relay counts about its source and its history, and the metrics of it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override


@dataclass(slots=True, eq=False)
class RelayStats(Collector):
    """The counters of one relay. Times are Unix seconds."""

    is_up: bool = False
    """Whether the latest poll had a usable answer."""
    last_success: float | None = None
    requests: int = 0
    not_modified: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    gaps: int = 0
    missed: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    history_failures: int = 0

    @override
    def collect(self) -> Iterator[Metric]:
        prefix = "iris_backend_source"
        yield GaugeMetricFamily(f"{prefix}_up", "Whether the latest poll of the relayed source worked.", self.is_up)
        if self.last_success is not None:
            yield GaugeMetricFamily(
                f"{prefix}_last_success_timestamp_seconds", "When a poll of the source worked last.", self.last_success
            )
        for name, text, value in (
            (f"{prefix}_requests", "Requests to the source.", self.requests),
            (f"{prefix}_not_modified", "Answers that nothing has changed (304).", self.not_modified),
            (f"{prefix}_gaps", "Times when events of the source may have been missed.", self.gaps),
            (f"{prefix}_missed_events", "Events that the source reported lost for the relay.", self.missed),
            ("iris_backend_history_failures", "Failed commits to the history on disk.", self.history_failures),
        ):
            yield CounterMetricFamily(name, text, value)
        for name, text, counts in (
            (f"{prefix}_failures", "Polls that failed, by reason.", self.failures),
            (f"{prefix}_problems", "Fields and elements of answers that could not be used.", self.problems),
        ):
            family = CounterMetricFamily(name, text, labels=["reason"])
            for reason, count in sorted(counts.items()):
                family.add_metric([reason], count)
            yield family
