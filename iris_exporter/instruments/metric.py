"""What the catalogue says about a metric, and what a value of it stands for."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Any

from iris_exporter.core.labels import clean_label
from iris_exporter.instruments.text import Format, escape_help, escape_label, format_value

MAX_HEADERS = 1024
"""Headers of metrics that are stored: those of the catalogue in both formats, and those of some mappings."""

OTHER = "other"
"""What a label says when the value is not one of the known ones, or when there are too many of them."""

Value = float | str | tuple[str, ...] | Mapping[Any, float | None] | None
"""What a metric shows. None is no series. A number is the only series, and a mapping has the number for each value of
the metric's own label (a tuple of values where there are several; None for no series). Of a stateset it is the state
that holds, of an info the values of its own labels, as the source wrote them."""


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


class Subject(Enum):
    """What one value of a metric is about; the number says how many labels, the first ones, name it."""

    EXPORTER = 0
    STREAM = 1
    PROJECT = 2


@dataclass(frozen=True, slots=True)
class Label:
    """One label. `values` are the known values (empty: open), `zero` those that exist at 0 from the start."""

    name: str
    values: tuple[str, ...] = ()
    zero: tuple[str, ...] = ()


STREAM = Label("stream")
PROJECT = Label("project")


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric. `name` is what a query names: counters end in `_total`, infos in `_info`.

    `source` is the wire field or the part of the program that it comes from. `value` finds the value in a `StreamView`
    or a `ProjectView`, whichever the subject has; None for what is counted where it happens. `buckets` are upper bounds
    in `unit`, without the infinite one.
    """

    name: str
    kind: Kind
    help: str
    group: str
    source: str
    labels: tuple[Label, ...] = ()
    subject: Subject = Subject.EXPORTER
    value: Callable[[Any], Value] | None = None
    buckets: tuple[float, ...] = ()
    stability: Stability = Stability.STABLE
    family: str = field(init=False)
    _head: str = field(init=False)  # format of a line for the values of the labels but `stream`, up to that one

    def __post_init__(self) -> None:
        suffix = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(self.kind, "")
        object.__setattr__(self, "family", self.name.removesuffix(suffix))
        names = [name for name in self.label_names if name != STREAM.name]
        labels = ",".join(f'{name}="{{{index}}}"' for index, name in sorted(enumerate(names), key=lambda each: each[1]))
        if STREAM in self.labels:
            head = f"{self.name}{{{{{labels}," if labels else f"{self.name}{{{{"
        else:
            head = f"{self.name}{{{{{labels}}}}} " if labels else f"{self.name} "
        object.__setattr__(self, "_head", head)

    @property
    def unit(self) -> str:
        """The base unit that the name ends in; empty for a plain number."""
        return next((unit for unit in ("seconds", "bytes", "ratio") if self.family.endswith(f"_{unit}")), "")

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

    def is_wanted(self, names: frozenset[str] | None) -> bool:
        """Whether one of these names is that of the metric or of a sample of it; None: all are wanted."""
        return names is None or self.name in names or not names.isdisjoint(self.sample_names)

    @property
    def own_labels(self) -> tuple[Label, ...]:
        """The labels that do not name the subject."""
        return self.labels[self.subject.value :]

    @lru_cache(maxsize=MAX_HEADERS)  # noqa: B019 (bounded; metrics of the catalogue live for ever)
    def header(self, form: Format) -> bytes:
        """The `#` lines."""
        if form is Format.TEXT:
            kind = Kind.GAUGE if self.kind is Kind.INFO else self.exposed_type
            help_text = escape_help(self.help, openmetrics=False)
            return f"# HELP {self.name} {help_text}\n# TYPE {self.name} {kind}\n".encode()
        help_text = escape_help(self.help, openmetrics=True)
        unit = f"# UNIT {self.family} {self.unit}\n" if self.unit else ""
        return f"# HELP {self.family} {help_text}\n# TYPE {self.family} {self.exposed_type}\n{unit}".encode()

    def lines(
        self, value: Value, tail: str = "", subject: tuple[str, ...] = (), clean: Callable[[str], str] = clean_label
    ) -> str:
        """The text of a value: a line for every series that it stands for.

        Args:
            value: What the metric shows.
            tail: Ends the labels of each line, as in `stream="x"} `; empty for a metric without this label.
            subject: The values of other labels that name the subject, escaped.
            clean: For what an info says.
        """
        found = self.numbers(value, clean)
        return "".join([self.line((*subject, *map(escape_label, own)), number, tail) for own, number in found])

    def line(self, labels: Iterable[str], number: float, tail: str = "") -> str:
        """One line, for escaped values of the labels but `stream`, in the order of `labels`."""
        return f"{self._head.format(*labels)}{tail}{format_value(number)}\n"

    def numbers(self, value: Value, clean: Callable[[str], str]) -> list[tuple[tuple[str, ...], float]]:
        """The values of the own labels, and the number, of every series that a value stands for."""
        if value is None:
            return []
        if isinstance(value, Mapping):
            return [
                (key if isinstance(key, tuple) else (key,), number)
                for key, number in value.items()
                if number is not None
            ]
        if isinstance(value, tuple):
            return [(tuple(map(clean, value)), 1)]
        if isinstance(value, str):
            return [((state,), state == value) for state in self.own_labels[0].values]
        return [((), value)]
