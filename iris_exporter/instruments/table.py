"""Texts in rows and columns: a row for each subject (a stream, a project), a column for each metric.

Between two scrapes few values change. A column therefore has the text of each row together with the value that it
shows; a scrape hands in the values of now, writes those that differ, and joins the texts.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

_NOTHING: Final = float("nan")
"""The value of a row that was never written; it equals none, and is quickly compared."""


class Column:
    """Values and their texts, in rows of the same order."""

    __slots__ = ("_counts", "_values", "texts")

    def __init__(self, rows: int) -> None:
        self._values: list[Any] = [_NOTHING] * rows
        self._counts: dict[int, int] = {}
        self.texts: list[bytes] = [b""] * rows

    def differing(self, rows: Sequence[int], values: list[Any]) -> list[tuple[int, Any]]:
        """Which of these rows, in their order, show another value, and which one each has to show: `write` it."""
        known = self._values
        if rows[-1] - rows[0] < len(rows) and known[rows[0] : rows[-1] + 1] == values:
            return []  # neighbours, of which mostly none has changed
        return [
            (row, value)
            for row, value in zip(rows, values, strict=True)
            if (before := known[row]) is not value and before != value
        ]

    def differing_from(self, start: int, values: list[Any]) -> list[tuple[int, Any]]:
        """The same for neighbours."""
        return self.differing(range(start, start + len(values)), values) if values else []

    def write(self, changes: Sequence[tuple[int, Any]], texts: Sequence[bytes]) -> None:
        """Let rows, in their order and at least one, show values as these texts."""
        self._counts.clear()
        first, last = changes[0][0], changes[-1][0]
        if last - first < len(changes) == len(texts):  # neighbours
            self.texts[first : last + 1] = texts
            self._values[first : last + 1] = [value for _, value in changes]
            return
        for (row, value), text in zip(changes, texts, strict=True):
            self.texts[row] = text
            self._values[row] = value

    def lines(self, start: int = 0, end: int | None = None) -> int:
        """How many lines these rows have (the same ranges each time); counted again when something was written."""
        count = self._counts.get(start)
        if count is None:
            count = self._counts[start] = b"".join(self.texts[start:end]).count(b"\n")
        return count

    def shows(self, start: int, values: list[Any]) -> bool:
        """Whether these neighbours show these values."""
        return self._values[start : start + len(values)] == values

    def replace(self, start: int, values: Sequence[Any], texts: Sequence[bytes]) -> None:
        """Let neighbours show other values as these texts."""
        self._counts.clear()
        self._values[start : start + len(values)] = values
        self.texts[start : start + len(values)] = texts

    @classmethod
    def of_rows(cls, columns: Sequence["Column"], rows: Sequence[int]) -> "Column":
        """A column whose rows are these of the given ones, one behind another; -1 for a new row."""
        made = cls(0)
        values = [*chain.from_iterable(column._values for column in columns), _NOTHING]  # noqa: SLF001 (its own kind)
        texts = list(chain.from_iterable(column.texts for column in columns))
        texts.append(b"")
        made._values = [values[row] for row in rows]
        made.texts = [texts[row] for row in rows]
        return made
