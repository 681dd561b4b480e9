"""Numbers and times in words, and lines of coloured text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from iris_exporter.core.visible_text import one_line

MAX_NAME_CHARS = 80
MAX_MESSAGE_CHARS = 500
"""Of an event or an error on the screen and in a line; `--json` has all of it."""
BARS = "▁▂▃▄▅▆▇█"
NO_VALUE = "-"


@dataclass(frozen=True, slots=True)
class Span:
    """Text of one style. `colour` is `#rrggbb`, and the text says what it means; `reverse` puts it behind the text."""

    text: str
    colour: str = ""
    bold: bool = False
    dim: bool = False
    reverse: bool = False


Line = tuple[Span, ...]


def plain(line: Iterable[Span]) -> str:
    """A line without its colours."""
    return "".join(span.text for span in line)


def name(text: str) -> str:
    """An identifier of a source as it may be shown."""
    return one_line(text, MAX_NAME_CHARS)


def message(text: str) -> str:
    """A sentence of a source or a server as it may be shown."""
    return one_line(text, MAX_MESSAGE_CHARS)


def span(seconds: float) -> str:
    """A duration in one unit: `3 s`, `12 min`, `5 h`, `2 d`; below zero is zero."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{round(whole / 60)} min"
    return f"{round(whole / 3600)} h" if whole < 172_800 else f"{round(whole / 86_400)} d"


def unix(time: datetime) -> float:
    """Unix seconds; a time without an offset is one of UTC."""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def ago(time: datetime | None, now: float) -> str:
    """How long ago, in words; `now` is Unix seconds."""
    return "never" if time is None else f"{span(now - unix(time))} ago"


def count(value: float) -> str:
    """A number with at most five digits that matter: `347`, `12,345`, `1.23 M`."""
    if abs(value) >= 1e15:
        return f"{value:.2e}"
    for size, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M")):
        if abs(value) >= size:
            return f"{value / size:.2f}{unit}"
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def share(value: float) -> str:
    """A share from 0 to 1 in percent."""
    return f"{value * 100:.1f} %"


def seconds(value: float) -> str:
    """A latency."""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def sparkline(values: Sequence[float], width: int) -> str:
    """The last `width` values as bars, between the lowest and the highest of them; equal ones are low bars."""
    shown = values[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in shown)
