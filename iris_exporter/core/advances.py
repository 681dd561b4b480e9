"""Events that came early and are still to come in their place: urgent ones, which overtake others at the source.

Theory. An early event is counted when it comes, and has no position. When its place is lost for good, it is among the
events that the source reports as lost, and nothing says so. So it is taken to be: of the lost ones as many are not
reported as early ones are outstanding. One that comes in its place after all was not among them, and one lost event is
reported then. In the end, every event is counted or reported, once.

Source: docs/protocol.md, section 6.
"""

from collections.abc import Iterable


class Advances:
    """The `ids` of one source's early events, from the oldest on, `max_ids` at most; `lost` are taken for lost."""

    __slots__ = ("_max_ids", "lost", "outstanding")

    outstanding: dict[str, None]
    """The ids; others read it, since the hot path asks whether there are any."""

    def __init__(self, max_ids: int, ids: Iterable[str] = (), lost: int = 0) -> None:
        self.outstanding = dict.fromkeys(ids)
        self._max_ids = max_ids
        self.lost = min(lost, len(self.outstanding))

    def add(self, event_id: str) -> None:
        """An event came early; the oldest is forgotten where there are too many."""
        self.outstanding[event_id] = None
        if len(self.outstanding) > self._max_ids:
            self.take(next(iter(self.outstanding)))

    def take(self, event_id: str) -> int:
        """An outstanding event came in its place; return how many lost ones are to be reported for it."""
        del self.outstanding[event_id]
        if self.lost <= len(self.outstanding):
            return 0
        self.lost -= 1
        return 1

    def reported(self, lost: int) -> int:
        """Of so many lost events, those to be reported now."""
        early = min(lost, len(self.outstanding) - self.lost)
        self.lost += early
        return lost - early
