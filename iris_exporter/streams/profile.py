"""What a stream is put together from, for each kind of source."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iris_exporter.core.advances import Advances
from iris_exporter.core.cursor import Cursor
from iris_exporter.core.dedup import SeenIds
from iris_exporter.core.limits import Limits
from iris_exporter.decoding.dialect import Dialect
from iris_exporter.decoding.iris_graphql.dialect import IrisGraphql
from iris_exporter.model.source_state import SourceState
from iris_exporter.model.state import StreamState
from iris_exporter.persistence.cursor_store import CursorRecord

if TYPE_CHECKING:
    from iris_exporter.core.places import PlaceCursor
    from iris_exporter.mapping import guarantee
    from iris_exporter.mapping.spec import CursorSpec, Mapping


@dataclass(frozen=True, slots=True)
class Profile:
    """What is particular to one kind of source; everything else of a stream is the same for all of them.

    `state` makes the state of a stream: of its name, the seconds until it is stale, the limits, and the cursor record
    of an earlier process, None for a fresh start. `mapping` is what describes the source, None for IRIS.
    """

    dialect: Callable[[Limits], Dialect]
    state: Callable[[str, float, Limits, CursorRecord | None], SourceState]
    mapping: "Mapping | None" = None

    def guarantee(self, protocol: str) -> "guarantee.Guarantee | None":
        """How often events are counted over a protocol (`auto` while it is not known); None for IRIS."""
        if self.mapping is None:
            return None
        from iris_exporter.mapping import guarantee

        return guarantee.guarantee(self.mapping, self.mapping.protocol if protocol == "auto" else protocol)


def _iris_state(name: str, stale_after_seconds: float, limits: Limits, record: CursorRecord | None) -> SourceState:
    if record is None:
        return StreamState(name, stale_after_seconds, limits=limits)
    return StreamState(
        name,
        stale_after_seconds,
        SeenIds(limits.max_event_ids, record.ids, record.pinned_ids),
        Cursor(record.cursor),
        limits,
        Advances(limits.max_event_ids, record.early_ids, record.early_lost),
    )


IRIS = Profile(IrisGraphql, _iris_state)


def profile_for(mapping: "Mapping | None") -> Profile:
    """What is particular to a source that a mapping describes; IRIS without one."""
    if mapping is None:
        return IRIS
    # Only a process with a mapping needs the memory for these.
    from iris_exporter.decoding.mapped.dialect import MappedDialect
    from iris_exporter.model.mapped_state import MappedState

    def state(name: str, stale_after_seconds: float, limits: Limits, record: CursorRecord | None) -> SourceState:
        seen = None if record is None else SeenIds(mapping.limits.ids, record.ids, record.pinned_ids)
        return MappedState(mapping, name, stale_after_seconds, cursor_of(mapping, record), seen, limits)

    return Profile(lambda limits: MappedDialect(mapping, limits), state, mapping)


def cursor_of(mapping: "Mapping", record: CursorRecord | None = None) -> "PlaceCursor":
    """The cursor of a stream with a mapping, where an earlier process has left it."""
    from iris_exporter.core.places import CountedPlace, Place, PositionPlace
    from iris_exporter.mapping.spec import Order

    order = Order.OPAQUE if mapping.cursor is None else mapping.cursor.order
    state = None if record is None else record.cursor
    if order is Order.POSITION:
        return PositionPlace(state)
    if mapping.cursor is not None and mapping.cursor.count_gaps:
        return CountedPlace(state)
    return Place(state, is_number=order is Order.NUMBER, reach=_reach_of(mapping.cursor))


def _reach_of(cursor: "CursorSpec | None") -> int | None:
    """How far a cursor is lowered before it is sent; None where nothing is resumed, or a pattern lowers parts of it."""
    if cursor is None or cursor.resume is None or (cursor.rewind is not None and cursor.rewind.pattern is not None):
        return None
    return 0 if cursor.rewind is None else cursor.rewind.by
