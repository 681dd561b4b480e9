"""What a stream with a mapping shows against the guarantee that its mapping has, and what is left of it. Pure.

A guarantee is worked out before anything arrives, from what the mapping says. Whether the source does what the mapping
says of it shows only later: events without an id, cursors that two messages share, numbers that begin anew.
"""

from collections.abc import Collection
from enum import StrEnum

from iris_exporter.core.status import Counted


class Doubt(StrEnum):
    """Something that a stream has shown, as a sentence for the log."""

    NAMELESS = "an event has no id: sent again, it is counted again"
    MANY = "one message has more events than ids are remembered (limits.ids): sent again, they are counted again"
    GAP = "events are missing, as their numbers show"
    REFUSED = "the source has not gone on from the cursor"
    CUT = "a poll had more pages than max-pages, the newest first: the older events are lost"
    DISORDER = "an event came with a number further below the highest one than rewind reaches: others may be lost"
    SHARED = "two messages have the same cursor: where a connection ends between them, the second one is lost"


_REPEATS = frozenset({Doubt.NAMELESS, Doubt.MANY})


def counted_in_spite_of(counted: Counted, doubts: Collection[Doubt]) -> Counted:
    """How often events are counted where a stream has shown this."""
    at_most_once = counted in (Counted.EXACTLY_ONCE, Counted.AT_MOST_ONCE) and _REPEATS.isdisjoint(doubts)
    at_least_once = counted in (Counted.EXACTLY_ONCE, Counted.AT_LEAST_ONCE) and _REPEATS.issuperset(doubts)
    if at_most_once:
        return Counted.EXACTLY_ONCE if at_least_once else Counted.AT_MOST_ONCE
    return Counted.AT_LEAST_ONCE if at_least_once else Counted.NONE
