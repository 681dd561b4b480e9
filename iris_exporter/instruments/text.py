"""How names, labels and numbers are spelled in the exposition formats; pure functions.

The spelling is that of `prometheus_client` (labels in alphabetical order, `1.0` for one, `1.5e+06` from a million on),
so that both print the same bytes for the same families: a test holds us to it. Text of version 0.0.4 and of 1.0.0 has
the same bytes for our names. Neither format gets timestamps or `_created` series: a sample with a timestamp gets no
staleness marker, and `_created` doubles the counters. Source: Prometheus docs, "Exposition formats"; OpenMetrics 1.0.0.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from io import BytesIO
from math import inf

import msgspec

MAX_EXEMPLAR_CHARS = 128
"""All label names and values of an exemplar together. Source: OpenMetrics 1.0.0, "Exemplars"."""

MAX_CACHED_HEADS = 4096
"""Beginnings of series that `head` caches: some hundred for all streams together, and the endpoint of each."""

_encode = msgspec.json.Encoder().encode
_EXPONENT_FROM = 1_000_000.0
_EXPONENTS = tuple(f"e+{digits - 1:02d}" for digits in range(18))
"""By the number of digits before the point."""
_TIMES = (1e9, 1e10)
"""Unix times from 2001 on for three centuries: ten digits before the point."""
_NOT_FINITE = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}


class Format(StrEnum):
    """What a scraper can ask for."""

    TEXT = "text"
    OPENMETRICS = "openmetrics"

    @property
    def exemplars(self) -> bool:
        """Whether samples carry them; in the older text they are a syntax error."""
        return self is Format.OPENMETRICS

    @property
    def end(self) -> bytes:
        """What follows the last family."""
        return b"# EOF\n" if self is Format.OPENMETRICS else b""


Pairs = tuple[tuple[str, str], ...]
"""Names and values of labels, in alphabetical order of the names."""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observation that stands for the others; `labels` lead to its span, `timestamp` is Unix seconds or None."""

    labels: tuple[tuple[str, str], ...]
    value: float
    timestamp: float | None = None

    def fits(self) -> bool:
        """Whether it is short enough for OpenMetrics; one that is not has to be left out."""
        return sum(len(name) + len(value) for name, value in self.labels) <= MAX_EXEMPLAR_CHARS


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


def format_values(values: Sequence[float]) -> list[str]:
    """`format_value` of each of some floats, at least one.

    The encoder of JSON finds the same digits as `repr`, of all at once, three to ten times faster. Its exponents
    differ, those of small numbers begin elsewhere, and it has no text for what is not finite.
    """
    text = _encode(values).decode()[1:-1]
    if "e" in text or "null" in text or "0.0000" in text:
        return list(map(format_value, values))
    texts = text.split(",")
    if max(values) < _EXPONENT_FROM:
        return texts
    if _TIMES[0] <= min(values) and max(values) < _TIMES[1]:  # as `_with_exponent` does, in half the time
        return [f"{text[0]}.{text[1:10]}{text[11:]}".rstrip("0.") + "e+09" for text in texts]
    return [text if value < _EXPONENT_FROM else _with_exponent(text) for text, value in zip(texts, values, strict=True)]


def number_lines(name: str, labels: Iterable[str], values: Sequence[float]) -> list[bytes]:
    """A line for each value, at least one, all spelled and encoded at once; `labels` are in braces, with a blank."""
    lines = [f"{name}{label}{value}\n" for label, value in zip(labels, format_values(values), strict=True)]
    return list(BytesIO("".join(lines).encode()))


def _format_unusual(value: float) -> str:
    text = repr(value)
    # repr itself changes to an exponent at 1e16; the digits of negative numbers stay.
    if value > 0 and "e" not in text and value != inf:
        return _with_exponent(text)
    return _NOT_FINITE.get(text, text)


def _with_exponent(text: str) -> str:
    """The digits of a number from a million on, as Go writes them."""
    whole, _, rest = text.partition(".")
    return f"{whole[0]}.{whole[1:]}{rest}".rstrip("0.") + _EXPONENTS[len(whole)]


def pairs_text(pairs: Iterable[tuple[str, str]]) -> str:
    """`a="x",b="y"` for clean label values, in the order given."""
    return ",".join([f'{name}="{escape_label(value)}"' for name, value in pairs])


@lru_cache(maxsize=MAX_CACHED_HEADS)
def head(name: str, pairs: tuple[tuple[str, str], ...]) -> str:
    """The beginning of a series whose last label is still to come: `name{a="x",`.

    Cached because every stream has the same beginnings: only the `stream` label, last in the alphabet of our labels,
    tells them apart. Not for values of which a stream has many (projects).
    """
    return f"{name}{{{pairs_text(pairs)}," if pairs else f"{name}{{"


def exemplar_text(exemplar: Exemplar) -> str:
    """What follows the value of a sample in OpenMetrics, with the leading blank."""
    labels = pairs_text(sorted(exemplar.labels))
    text = f" # {{{labels}}} {format_value(exemplar.value)}"
    return text if exemplar.timestamp is None else f"{text} {exemplar.timestamp}"
