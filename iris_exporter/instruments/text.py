"""How names, labels and numbers are spelled in the exposition formats; pure functions.

The spelling is that of `prometheus_client` (labels in alphabetical order, `1.0` for one, `1.5e+06` from a million on),
so that both print the same bytes for the same families: a test holds us to it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

MAX_LABEL_CHARS = 256
"""Longer label values are cut: identifiers are shorter, and a scraper drops a whole scrape over one value too long."""

MAX_EXEMPLAR_CHARS = 128
"""All label names and values of an exemplar together. Source: OpenMetrics 1.0.0, "Exemplars"."""

_EXPONENT_FROM = 1_000_000.0
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}")


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observation that stands for the others; `labels` lead to its span, `timestamp` is Unix seconds or None."""

    labels: tuple[tuple[str, str], ...]
    value: float
    timestamp: float | None = None

    def fits(self) -> bool:
        """Whether it is short enough for OpenMetrics; one that is not has to be left out."""
        return sum(len(name) + len(value) for name, value in self.labels) <= MAX_EXEMPLAR_CHARS


class Sample(NamedTuple):
    """One series and its value; label values are clean (`clean_label`)."""

    name: str
    labels: Mapping[str, str]
    value: float
    exemplar: Exemplar | None = None


def clean_label(value: str) -> str:
    """Return `value` as it may stand in a label: at most 256 characters, without lone surrogates (not valid UTF-8)."""
    if len(value) > MAX_LABEL_CHARS:
        value = value[:MAX_LABEL_CHARS]
    return value if value.isascii() else value.translate(_SURROGATES)


def escape_label(value: str) -> str:
    """Escape a clean label value for both formats: backslash, line feed and double quote."""
    if "\\" in value or "\n" in value or '"' in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value


def escape_help(text: str, *, openmetrics: bool) -> str:
    """Escape help text; OpenMetrics escapes the double quote too, the older format must not."""
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if openmetrics else text


def format_value(value: float) -> str:
    """Spell a sample's value the way Go and `prometheus_client` do."""
    value = float(value)
    if -_EXPONENT_FROM < value < _EXPONENT_FROM:
        return repr(value)
    return _format_unusual(value)


def _format_unusual(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    point = text.find(".")
    # repr itself changes to an exponent at 1e16 and then has its point elsewhere; negative numbers keep their digits.
    if value < 0 or point <= 6:
        return text
    digits = f"{text[0]}.{text[1:point]}{text[point + 1 :]}".rstrip("0.")
    return f"{digits}e+{point - 1:02d}"


def pairs_text(pairs: Iterable[tuple[str, str]]) -> str:
    """`a="x",b="y"` for clean label values, in the order given."""
    return ",".join([f'{name}="{escape_label(value)}"' for name, value in pairs])


@lru_cache(maxsize=4096)
def head(name: str, pairs: tuple[tuple[str, str], ...]) -> str:
    """The beginning of a series whose last label is still to come: `name{a="x",`.

    Cached because every stream has the same beginnings: only the `stream` label, last in the alphabet of our labels,
    tells them apart. Not for values of which a stream has many (projects).
    """
    return f"{name}{{{pairs_text(pairs)}," if pairs else f"{name}{{"


def series_text(name: str, labels: Mapping[str, str]) -> str:
    """`name{a="x"} ` (with the blank) for clean label values, labels in alphabetical order."""
    if not labels:
        return f"{name} "
    return f"{name}{{{pairs_text(sorted(labels.items()))}}} "


def sample_line(sample: Sample, *, exemplars: bool) -> str:
    """The whole line of one sample, with its exemplar where there is one and the format allows it."""
    suffix = exemplar_text(sample.exemplar) if exemplars and sample.exemplar is not None else ""
    return f"{series_text(sample.name, sample.labels)}{format_value(sample.value)}{suffix}\n"


def exemplar_text(exemplar: Exemplar) -> str:
    """What follows the value of a sample in OpenMetrics, with the leading blank."""
    labels = pairs_text(sorted(exemplar.labels))
    text = f" # {{{labels}}} {format_value(exemplar.value)}"
    return text if exemplar.timestamp is None else f"{text} {exemplar.timestamp}"
