"""The newest events of a source, of which some are known: which ones are new, and whether some may be missing. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from iris_exporter.core.positions import parse_position
from iris_exporter.decoding.messages import Event


@dataclass(frozen=True, slots=True)
class Unseen:
    """`events` are new, oldest first; `share` is how much of the list they are, 0 to 1.

    `is_overrun` says that nothing in the list is known: others may have come and gone since it was last looked at.
    """

    events: tuple[Event, ...]
    share: float
    is_overrun: bool


def oldest_first(window: Sequence[Event]) -> Sequence[Event]:
    """A list of the newest events in their order: the newest comes first, unless the timestamps say otherwise."""
    times = [event.timestamp for event in window if event.timestamp is not None]
    return window if len(times) > 1 and times[0] < times[-1] else window[::-1]


def unseen(events: Sequence[Event], is_known: Callable[[str], bool]) -> Unseen:
    """Compare events, oldest first, with what is known; each id counts once."""
    by_id = {event.id: event for event in events}
    new = tuple(event for event in by_id.values() if not is_known(event.id))
    return Unseen(new, len(new) / len(by_id) if by_id else 0.0, is_overrun=bool(by_id) and len(new) == len(by_id))


def together(earlier: Sequence[Event], later: Sequence[Event]) -> tuple[Event, ...]:
    """Two lists as one, oldest first, each event once: what is in both has its place in the first one."""
    return tuple({event.id: event for event in (*earlier, *later)}.values())


def follows(before: str, after: str) -> bool:
    """Whether a source's position goes on from an earlier one, in the same numbering."""
    old, new = parse_position(before), parse_position(after)
    return old is not None and new is not None and old.epoch == new.epoch and old.offset <= new.offset
