"""Families to text: Prometheus text (0.0.4 and 1.0.0 have the same bytes for our names) and OpenMetrics 1.0.0.

Neither timestamps nor `_created` series: a sample with a timestamp gets no staleness marker, and `_created` doubles
the counters. Source: Prometheus docs, "Exposition formats"; OpenMetrics 1.0.0.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from iris_exporter.instruments.metric import Kind, Metric
from iris_exporter.instruments.text import escape_help


class Format(Enum):
    """What a scraper can ask for."""

    TEXT = "text"
    OPENMETRICS = "openmetrics"

    @property
    def exemplars(self) -> bool:
        """Whether samples carry them; in the older text they are a syntax error."""
        return self is Format.OPENMETRICS


END = {Format.TEXT: b"", Format.OPENMETRICS: b"# EOF\n"}
"""What follows the last family."""


@dataclass(frozen=True, slots=True)
class Family:
    """What stands above the samples of one metric. `family` is the name without `_total` or `_info`."""

    family: str
    name: str
    type: str
    help: str
    unit: str = ""

    @classmethod
    def of(cls, metric: Metric) -> "Family":
        """The family of a metric of the catalogue."""
        return cls(metric.family, metric.name, metric.exposed_type, metric.help, metric.unit)

    def header(self, form: Format) -> bytes:
        """The `#` lines."""
        if form is Format.OPENMETRICS:
            text = (
                f"# HELP {self.family} {escape_help(self.help, openmetrics=True)}\n# TYPE {self.family} {self.type}\n"
            )
            if self.unit:
                text += f"# UNIT {self.family} {self.unit}\n"
            return text.encode()
        kind = Kind.GAUGE if self.type == Kind.INFO else self.type
        return f"# HELP {self.name} {escape_help(self.help, openmetrics=False)}\n# TYPE {self.name} {kind}\n".encode()


def only(pieces: Iterable[bytes], names: frozenset[str]) -> Iterator[bytes]:
    """Keep the lines of the samples with one of these names: how a part of a histogram is asked for."""
    starts = tuple(f"{name}{end}".encode() for name in sorted(names) for end in ("{", " "))
    for piece in pieces:
        yield b"".join([line for line in piece.splitlines(keepends=True) if line.startswith(starts)])
