"""What a benchmark returns, and the table that is printed of it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `floor` is the same figure of the least that could do the job, in the same unit and run, or None.

    `ratio` is stated and not computed, because for some figures more is better and for others less. Beside a peer it is
    the exporter's figure, measured in the same run, by the peer's.
    """

    name: str
    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text with a heading."""
    cells = [("figure", "value", "unit", "floor", "ratio")]
    cells += [(row.name, _number(row.value), row.unit, _number(row.floor), _number(row.ratio)) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    sides = "<><>>"  # text to the left, figures to the right
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True)).rstrip()
        for line in cells
    )


def _number(value: float | None) -> str:
    """Three significant digits, or all before the point."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 or not value else f"{value:.1e}"
