"""What a mapping's dialect has noticed beside the samples, until somebody takes it."""

from collections import Counter
from typing import NamedTuple

from iris_exporter.decoding.dialect import NOTHING_NOTED, Noted
from iris_exporter.mapping.spec import JsonType, Template


class MappingProblem(NamedTuple):
    """Something that was left out: of which kind of message and metric (empty: none), why, where, and what stood there.

    All of these come from the mapping or from closed lists, so there can only be so many. `found` is None for null.
    """

    kind: str
    metric: str
    reason: str
    path: str = ""
    found: JsonType | None = None


class Tally:
    """Counts of messages by kind, of filtered elements, of those that are counted without their id, and of problems.

    `reply` is what the last message that wants one is answered by; `has_ended` that the source ends the stream on
    purpose; `is_cut` that a poll has left out its oldest pages.
    """

    __slots__ = ("filtered", "has_ended", "is_cut", "messages", "nameless", "problems", "reply")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self.messages: Counter[str] = Counter()
        self.problems: Counter[MappingProblem] = Counter()
        self.filtered = 0
        self.nameless = 0
        self.reply: Template | None = None
        self.has_ended = False
        self.is_cut = False

    def take(self) -> Noted:
        """What was noticed since the last call; the reply and the end are for whoever can say them."""
        if not self.messages and not self.problems and not self.filtered:
            return NOTHING_NOTED
        problems: Counter[tuple[str, str, str]] = Counter()
        for problem, count in self.problems.items():
            problems[problem[:3]] += count
        noted = Noted(
            messages=self.messages,
            filtered=self.filtered,
            nameless=self.nameless,
            problems=problems,
            is_cut=self.is_cut,
        )
        self.clear()
        return noted
