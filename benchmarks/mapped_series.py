"""A stream with a mapping and 100,000 series, which stands in memory as its state holds it."""

from typing_extensions import override

from benchmarks.scrape import NOW, Program
from iris_exporter.core.places import Place
from iris_exporter.core.status import Counted, LinkStatus, State
from iris_exporter.decoding.elements import MappedBatch, Samples
from iris_exporter.instruments.exposition import Source
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.mapping.spec import (
    Entry,
    LabelSpec,
    Mapping,
    MappingLimits,
    MetricKind,
    MetricSpec,
    PartSpec,
    Role,
    ValueSpec,
)
from iris_exporter.model.mapped_state import MappedState

_METRICS = 10  # half of them counters, half gauges
_MOST = 1_000_000
_STATUS = LinkStatus(State.LIVE, "websocket", "wss://source.test/feed", 0, None, NOW, NOW, None, None, None, NOW)


def _mapping() -> Mapping:
    labels = (LabelSpec("room", max_values=_MOST), LabelSpec("kind"))
    counters = [
        MetricSpec(f"rooms_{number}_total", MetricKind.COUNTER, "Count.", ValueSpec(constant=1), labels, limit=_MOST)
        for number in range(_METRICS // 2)
    ]
    gauges = [
        MetricSpec(f"rooms_{number}_celsius", MetricKind.GAUGE, "Value.", ValueSpec(), labels, limit=_MOST)
        for number in range(_METRICS // 2)
    ]
    part = PartSpec(metrics=(*counters, *gauges))
    entries = (Entry("reading", Role.EVENT, parts=(part,)),)
    return Mapping("rooms", "rooms", entries=entries, limits=MappingLimits(series=_MOST))


class MappedProgram(Program):
    """A program whose one stream has a mapping, and ten metrics of 10,000 label sets each."""

    def __init__(self, series: int) -> None:
        self._mapping = _mapping()
        self._state = MappedState(self._mapping, "rooms", 300.0, Place())
        self._instruments = StreamInstruments("rooms")
        self._instruments.follow(self._mapping, Counted.NONE)
        self._value = 21.5
        self._keys = [(f"room-{number}", "warm") for number in range(series // _METRICS)]
        for metric in self._mapping.metrics:
            self._take(metric.name, self._keys, self._value)
        super().__init__(0, 0)

    def _take(self, metric: str, keys: list[tuple[str, str]], value: float) -> None:
        values = [value + number % 7 / 10 for number in range(len(keys))]
        samples = Samples(metric, keys, None if metric.endswith("_total") else values)
        self._state.apply(MappedBatch("reading", 0, len(keys), samples=[samples], plain=True), NOW)

    @override
    def _sources(self) -> list[Source]:
        return [Source(self._instruments, _STATUS, self._state.view(NOW))]

    @override
    def change(self, step: int) -> None:
        """Let one label set in `step` have an event and another value."""
        changing = self._keys[::step]
        self._instruments.message("reading", len(changing))
        first, *_, last = self._mapping.metrics
        self._take(first.name, changing, 0.0)
        self._value += 0.5
        self._take(last.name, changing, self._value)
