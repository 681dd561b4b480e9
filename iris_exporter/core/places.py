"""Where in a source's stream we are, for sources whose cursor is a number or means nothing to us. Pure.

A number is the highest that came; of cursors that mean nothing it is the last. `PositionPlace` is the cursor of
`core.cursor`, for sources whose positions are `<epoch>-<offset>`.
"""

from collections.abc import Sequence
from typing import Protocol

from typing_extensions import override

from iris_exporter.core.cursor import Cursor
from iris_exporter.core.doubts import Doubt
from iris_exporter.core.positions import MAX_POSITION_CHARS, CursorState, Outcome, is_sendable
from iris_exporter.core.source_cursor import SourceCursor


class PlaceCursor(SourceCursor, Protocol):
    """The cursor of a source with a mapping: what its state needs."""

    checks: bool = False
    """Whether `doubt_of` is of interest; whoever has heard of a doubt may set it to False, which is quicker."""
    dropped_keys: int = 0
    """Numbers of keys that are too many to be remembered; whoever reads it may set it to 0."""

    @property
    def is_behind(self) -> bool:
        """Whether events are still to come that lie before handled ones."""

    def take(self, position: str, events: int, key: str | None = None) -> int:
        """A message arrived that carries so many events; return how many before them are lost for good.

        `key` is whose cursor it is, where there is one for each.
        """

    def stand_for(self, position: str) -> None:
        """A document beside the stream stands for a position, which begins the stream where nothing else has.

        It moves no cursor that there is, since events before it may still be on their way.
        """

    def doubt_of(self, position: str) -> Doubt | None:  # noqa: ARG002 (positions that grow by one need no doubt)
        """What a message with new events and this cursor shows, before it is taken."""
        return None

    def unanswered(self) -> Outcome:
        """What the messages since `begin` show of how the source has gone on, where it does not say."""
        return Outcome.UNKNOWN

    def joins(self, positions: Sequence[str], most: int) -> bool:
        """Whether `take` for each of these, with so many events at most, would notice nothing."""

    def pass_all(self, positions: Sequence[str]) -> Doubt | None:
        """Messages arrived for which `joins` is true: the same as `take` for each; return what they show."""

    def too_late(self, position: str, events: int) -> int:
        """How many of the events that end at a position, the oldest ones, have been reported lost."""

    def answered(
        self, outcome: Outcome, replayed: int, missed: int, epoch: str | None, last_event_id: str | None
    ) -> int:
        """The source answered a resume; return how many events are lost."""


class PositionPlace(Cursor, PlaceCursor):
    """Positions that grow by one."""

    __slots__ = ()

    @override
    def take(self, position: str, events: int, key: str | None = None) -> int:
        """A message without events stands for one; gaps are first asked for."""
        self.live(position, max(1, events))
        return 0

    @override
    def stand_for(self, position: str) -> None:
        self.document(position, 0, polling=False)

    @override
    def unanswered(self) -> Outcome:
        state = self._state
        if self._other_epoch[0] or (state.ahead and state.ahead[0][0] > state.offset):
            return Outcome.NONE
        return Outcome.FULL if state.ahead else Outcome.UNKNOWN

    @override
    def joins(self, positions: Sequence[str], most: int) -> bool:
        return most <= 1 and self.precedes(positions)

    @override
    def pass_all(self, positions: Sequence[str]) -> Doubt | None:
        self.advance(len(positions))
        return None


class Place(PlaceCursor):
    """A cursor that is a number (`is_number`), the highest, or any text, the last; `state.opaque` holds it.

    `reach` is by how much a number is lowered before it is sent; None where nothing is to be doubted.
    """

    __slots__ = (
        "_began",
        "_first",
        "_reach",
        "_refused",
        "_state",
        "awaiting_answer",
        "checks",
        "dropped",
        "is_number",
    )

    def __init__(self, state: CursorState | None = None, *, is_number: bool = False, reach: int | None = None) -> None:
        self.is_number = is_number
        self.checks = reach is not None
        self._reach = reach or 0
        self.dropped = 0
        self.awaiting_answer = False
        self._state = CursorState()
        self._began = self._first = ""  # where this connection asked to go on, and its first position
        self._refused = ""
        if state is not None and state.epoch is None and is_sendable(state.opaque):
            self._state = state

    @property
    @override
    def state(self) -> CursorState:
        return self._state

    @property
    @override
    def state_to_record(self) -> CursorState:
        return CursorState() if self._refused and self._refused == self._state.opaque else self._state

    @property
    @override
    def resume_from(self) -> str:
        return "" if self._state.opaque == self._refused else self._state.opaque

    @property
    @override
    def has_gap(self) -> bool:
        return False

    @property
    @override
    def gap_after(self) -> str | None:
        return None

    @property
    @override
    def is_behind(self) -> bool:
        return False

    @override
    def begin(self, *, asked: bool) -> None:
        """Nothing is waited for."""
        self._began, self._first = self._state.opaque if asked else "", ""

    @override
    def refuse(self) -> None:
        self._refused = self._state.opaque

    @override
    def allow(self) -> None:
        self._refused = ""

    @override
    def forget(self) -> None:
        self._state, self._refused = CursorState(), ""

    @override
    def note_id(self, identifier: str) -> bool:
        is_usable = is_sendable(identifier)
        if self.is_number:
            is_usable = identifier.isascii() and identifier.isdigit() and is_usable
        if is_usable:
            self.take(identifier, 0)
        return is_usable or not identifier

    @override
    def stand_for(self, position: str) -> None:
        if self.resume_from:
            return
        if is_sendable(position):
            self._state = CursorState(opaque=position)
        else:
            self.dropped += 1

    @override
    def doubt_of(self, position: str) -> Doubt | None:
        """Numbers that the next request would begin behind; two messages of which the next one is after both."""
        last = self._state.opaque
        if not self.checks or not last:
            return None
        if self.is_number:
            return Doubt.DISORDER if int(position) < int(last) - self._reach else None
        return Doubt.SHARED if position == last else None

    @override
    def take(self, position: str, events: int, key: str | None = None) -> int:
        """Nothing is known of what lies between two cursors."""
        self._first = self._first or position
        if key is None and position != self._state.opaque and self._is_later(position):
            if is_sendable(position):
                self._state = CursorState(opaque=position)
            else:
                self.dropped += 1
        return 0

    def _is_later(self, position: str) -> bool:
        return not self.is_number or not self._state.opaque or int(position) > int(self._state.opaque)

    @override
    def joins(self, positions: Sequence[str], most: int) -> bool:
        """One that no request can carry has to be noticed; a text of ordinary characters is searched quickest."""
        if self.checks and not self.is_number and len({self._state.opaque, *positions}) <= len(positions):
            return False
        joined = "".join(positions)
        if self.is_number or (joined.isascii() and joined.isalnum() and len(joined) <= MAX_POSITION_CHARS):
            return True
        return all(map(is_sendable, positions))

    @override
    def pass_all(self, positions: Sequence[str]) -> Doubt | None:
        """None of these is lost without the others, so that only the cursor before them shows anything."""
        self._first = self._first or positions[0]
        if not self.is_number:
            self.take(positions[-1], 0)
            return None
        numbers = list(map(int, positions))
        last = self._state.opaque
        is_doubtful = self.checks and last and min(numbers) < int(last) - self._reach
        self.take(positions[numbers.index(max(numbers))], 0)
        return Doubt.DISORDER if is_doubtful else None

    @override
    def unanswered(self) -> Outcome:
        """A number that was asked for again, by `rewind`, and did not come shows that the source has not gone on."""
        if not (self.is_number and self._began and self._first):
            return Outcome.UNKNOWN
        if int(self._first) <= int(self._began):
            return Outcome.FULL
        return Outcome.NONE if self._reach else Outcome.UNKNOWN

    @override
    def too_late(self, position: str, events: int) -> int:
        return 0

    @override
    def answered(
        self, outcome: Outcome, replayed: int, missed: int, epoch: str | None, last_event_id: str | None
    ) -> int:
        return 0

    @override
    def give_up(self) -> int:
        return 0

    @override
    def page(self, cursor: str, missed: int) -> int:
        return missed

    @override
    def abandon(self) -> int:
        return 0


MAX_KEYS = 1_000
"""Keys whose last number is remembered."""


class CountedPlace(Place):
    """Numbers that grow by one, in all or for each key: what is skipped is lost.

    A number that is not above the last one of its key changes nothing. Numbers of keys are not recorded: the first one
    of a process begins anew. What is of keys beyond `MAX_KEYS` is counted in `dropped_keys`, which may be set to 0.
    """

    __slots__ = ("_last", "dropped_keys")

    def __init__(self, state: CursorState | None = None) -> None:
        super().__init__(state, is_number=True)
        self.dropped_keys = 0
        self._last: dict[str, int] = {}

    @override
    def forget(self) -> None:
        super().forget()
        self._last.clear()

    @override
    def take(self, position: str, events: int, key: str | None = None) -> int:
        number = int(position)
        if key is None:
            before = int(self._state.opaque) if self._state.opaque else None
            super().take(position, events)
        else:
            before = self._last.get(key)
            if before is None and len(self._last) >= MAX_KEYS:
                self.dropped_keys += 1
                return 0
            self._last[key] = number if before is None else max(before, number)
        return 0 if before is None or number <= before else number - before - 1

    @override
    def unanswered(self) -> Outcome:
        if not (self._began and self._first):
            return Outcome.UNKNOWN
        return Outcome.FULL if int(self._first) <= int(self._began) + 1 else Outcome.PARTIAL

    @override
    def joins(self, positions: Sequence[str], most: int) -> bool:
        first = int(self._state.opaque) + 1 if self._state.opaque else int(positions[0])
        return [int(position) for position in positions] == list(range(first, first + len(positions)))
