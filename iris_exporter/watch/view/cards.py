"""The four cards of the old page: a figure, its trend, and how it came there."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

from iris_exporter.watch.view import words
from iris_exporter.watch.view.objects import MetricsObject

HISTORY = 120
"""Values of a card that are stored for its sparkline."""


@dataclass(frozen=True, slots=True)
class CardKind:
    """A card: its title, the key of the API, how a value is written, and how a difference."""

    title: str
    key: str
    write: Callable[[float], str]
    difference: Callable[[float], str]


def _points(value: float) -> str:
    return f"{value * 100:.2f}"


KINDS = (
    CardKind("Active Runs", "total_runs_today", words.count, words.count),
    CardKind("Success Rate", "avg_success_rate", words.share, _points),
    CardKind("Active Experts", "active_experts", words.count, words.count),
    CardKind("Total Projects", "total_projects", words.count, words.count),
)


class Card:
    """The values of one card. `value` is None while none is known; a trend stays until the next change."""

    def __init__(self, kind: CardKind) -> None:
        self.kind = kind
        self.value: float | None = None
        self.before: float | None = None
        self._history: deque[float] = deque(maxlen=HISTORY)

    def take(self, metrics: MetricsObject | None) -> bool:
        """Take the value of an update; return whether it is another one."""
        value: float | None = None if metrics is None else getattr(metrics, self.kind.key)
        if value is None or not isfinite(value):
            is_other, self.value = self.value is not None, None
            return is_other
        is_other = value != self.value
        if self._history and value != self._history[-1]:
            self.before = self._history[-1]
        self.value = value
        self._history.append(value)
        return is_other

    @property
    def text(self) -> str:
        """The value."""
        return words.NO_VALUE if self.value is None else self.kind.write(self.value)

    @property
    def trend(self) -> str:
        """An arrow and by how much the value has changed last; empty before a change, or without a value."""
        if self.value is None or self.before is None:
            return ""
        difference = self.value - self.before
        return f"{'↑' if difference > 0 else '↓'} {self.kind.difference(abs(difference))}"

    def sparkline(self, width: int) -> str:
        """The last values as bars."""
        return words.sparkline(list(self._history), width)


def new_cards() -> tuple[Card, ...]:
    """The four cards, without values."""
    return tuple(Card(kind) for kind in KINDS)
