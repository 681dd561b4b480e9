"""What the catalogue says about a metric."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

OTHER = "other"
"""What a label says when the value is not one of the known ones, or when there are too many of them."""


Value = float | str | tuple[str, ...] | Mapping[str, float] | None
"""What a metric shows. None is no series. A number is the only series, and a mapping has the number for each value of
the metric's own label (the one beside `stream`). Of a stateset it is the state that holds, of an info the values of its
labels in the order of their declaration."""

Series = list[tuple[tuple[tuple[str, str], ...], float]]
"""Labels in alphabetical order, and the number."""


class Kind(StrEnum):
    """What a metric is. A stateset is exposed as a gauge: its label is not named after the metric (a stable choice)."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"
    STATESET = "stateset"


class Stability(StrEnum):
    """What users may rely on."""

    STABLE = "stable"
    EXPERIMENTAL = "experimental"


@dataclass(frozen=True, slots=True)
class Label:
    """One label. `values` are the known values (empty: open), `zero` those that exist at 0 from the start."""

    name: str
    values: tuple[str, ...] = ()
    zero: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `name` is what a query names: counters end in `_total`, infos in `_info`.

    `unit` is a base unit that the name ends in, or empty for a plain number; `source` is the wire field or the part of
    the program that it comes from; `buckets` are upper bounds in `unit`, without the infinite one.
    """

    name: str
    kind: Kind
    help: str
    group: str
    labels: tuple[Label, ...] = ()
    unit: str = ""
    source: str = ""
    stability: Stability = Stability.STABLE
    buckets: tuple[float, ...] = ()
    family: str = field(init=False)

    def __post_init__(self) -> None:
        suffix = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(self.kind, "")
        object.__setattr__(self, "family", self.name.removesuffix(suffix))

    @property
    def exposed_type(self) -> str:
        """The word after `# TYPE` in OpenMetrics; the older text format also calls an info a gauge."""
        return Kind.GAUGE if self.kind is Kind.STATESET else self.kind

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names in the order of `labels`."""
        return tuple(label.name for label in self.labels)

    @property
    def sample_names(self) -> tuple[str, ...]:
        """Names that samples of this metric have."""
        if self.kind is Kind.HISTOGRAM:
            return tuple(f"{self.name}_{suffix}" for suffix in ("bucket", "count", "sum"))
        return (self.name,)

    @property
    def own_labels(self) -> tuple[Label, ...]:
        """All labels but `stream`."""
        return tuple(label for label in self.labels if label.name != "stream")

    def series(self, value: Value) -> Series:
        """Spell out a value: every series that it stands for, without the label `stream`."""
        if value is None:
            return []
        own = self.own_labels
        if isinstance(value, tuple):
            names = [label.name for label in own]
            return [(tuple(sorted(zip(names, value, strict=True))), 1)]
        if self.kind is Kind.STATESET:
            return [(((own[0].name, state),), state == value) for state in own[0].values]
        if isinstance(value, Mapping):
            return [(((own[0].name, key),), number) for key, number in value.items()]
        return [((), float(value))]
