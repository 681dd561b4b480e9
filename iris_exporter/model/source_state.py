"""What a sink needs of the state of a source, whatever the source is, and what a state answers.

`StreamState` is that of IRIS; the state of a mapping is `mapped_state.MappedState`.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from iris_exporter.core.advances import Advances
from iris_exporter.core.dedup import SeenIds
from iris_exporter.core.doubts import Doubt
from iris_exporter.core.limits import Limits
from iris_exporter.core.positions import Outcome
from iris_exporter.core.source_cursor import SourceCursor
from iris_exporter.decoding.messages import Event, EventBatch, Message, Overview, UnmadeEvents
from iris_exporter.model.snapshot import Snapshot


class Changes(msgspec.Struct, frozen=True, gc=False):
    """What one message or one document changed.

    `events` are those seen for the first time, oldest first. `duplicates` counts events seen before, `replayed` those
    that a resumed stream marked as sent again (new or not), `gap` events that the source reports as lost.
    `delay_seconds` is how long the message was under way, at least 0; None for replays, events seen before (they may be
    unmarked replays), documents and messages without a timestamp. `advances` counts events that overtook others at the
    source. `sent` has the Unix times of several events that are new and have one, in the place of `delay_seconds`;
    `sent_at` are such times as they were decoded. `unmade` are `events` that are made when somebody asks for them.
    """

    events: tuple[Event, ...] = ()
    duplicates: int = 0
    replayed: int = 0
    gap: int = 0
    delay_seconds: float | None = None
    advances: int = 0
    sent: Sequence[float] = ()
    sent_at: Sequence[datetime] = ()
    unmade: UnmadeEvents | None = None


NO_CHANGES = Changes()


class SourceState(Protocol):
    """What one source is believed to be, and what was counted of it. `now` is wall time in Unix seconds."""

    stale_after_seconds: float
    limits: Limits
    dropped: dict[str, int]
    """What limits have left out, by the kinds of `iris_stream_dropped_total`, until `take_dropped` is called."""
    counted: int
    """Grows with every event that is counted, so that a cursor record with another number is another one."""

    seen: SeenIds
    """The ids of events that were seen."""
    cursor: SourceCursor
    """How far the source has been read."""
    doubts: Collection[Doubt] = frozenset()
    """What its messages have shown against the guarantee of a mapping."""
    advances: Advances
    """Events that came early and are expected once more; a source without such has none."""

    def note_id(self, identifier: str) -> bool:
        """The id of the last server-sent event is where to go on; False where it can be sent nowhere."""
        return self.cursor.note_id(identifier)

    def unanswered(self) -> Outcome:
        """What the messages of a connection show of how the source has gone on, where it does not say."""
        return Outcome.NONE

    def take_over(self, before: "SourceState", now: float) -> None:  # noqa: ARG002 (IRIS has no mapping)
        """Go on after the state of a mapping that was changed; seen ids and the cursor are here already."""
        return

    def limit(self, limits: Limits) -> None:
        """Follow other limits."""

    @property
    def has_dropped(self) -> bool:
        """Whether `take_dropped` would return anything."""
        return bool(self.dropped or self.seen.forgotten or self.cursor.dropped)

    def take_dropped(self) -> dict[str, int]:
        """How much was left out since the last call, by the kinds of `iris_stream_dropped_total`."""

    def take_dropped_series(self) -> dict[str, int]:
        """How many label sets of a mapped metric limits have left out for the first time since the last call."""
        return {}

    def apply(self, message: Message, now: float) -> Changes:
        """Take one message of the stream, which arrived at `now`."""

    def apply_batch(self, batch: EventBatch, now: float) -> bool:  # noqa: ARG002 (most have none)
        """Take a batch at once; False, and no effect, where each of its messages has to be applied."""
        return False

    def apply_snapshot(self, overview: Overview, now: float, *, full: bool = True, polling: bool = False) -> Changes:
        """Take a document; `full` where it is no page or part, `polling` where there is no link beside it."""

    def heard(self, now: float) -> None:
        """Note that the source lives without data."""

    def forget(self) -> None:
        """Clear what is believed; counters and seen ids stay."""

    def view(self, now: float) -> Snapshot:
        """The state for readers, frozen; the same object as long as nothing has changed."""
