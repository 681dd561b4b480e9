"""Where a source has been read to: one cursor for all transports, and what is missing noticed.

Theory. A source that speaks the cursor protocol numbers its events: a position is `<epoch>-<offset>`, the offset grows
by one from event to event, and a message has the position of the last event in it. The cursor is the highest offset
below which everything has been dealt with. It is what a reconnect asks to go on from, what is kept on disk, and what
gaps are measured against.

After a reconnect two sequences interleave: live messages, and the replay that was asked for, which ends where the
connection began. Until the replay has ended the cursor follows the replay alone, because a crash in its middle must
not lose its rest; live messages are then compared only with each other. A source that never answers is given up on
after a while (`give_up`), and the cursor jumps to where the live messages are.

A jump in the numbering is a *hole*: a channel that carries at most so many events, or documents polled too rarely. What
is in it can usually be had by REST (`page`); until then the cursor waits at its edge, and what cannot be had is counted
when it is given up (`abandon`).

Other sources have ids that mean nothing to us (an SSE `id:` of their own). Such an id is kept to be sent back and
nothing is concluded from it: a gap is counted only in an epoch that the source has confirmed, by a `cursor` in a REST
document or by answering a resume, since `order-20251101` looks like a position and is none.

Source: docs/protocol.md, section 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

_MAX_OFFSET_DIGITS = 18  # more cannot be a count of events, and converting it costs time
_MAX_OFFSET = 10**_MAX_OFFSET_DIGITS


class Position(NamedTuple):
    """A place in the numbering of a source."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"


class Outcome(StrEnum):
    """How a source answered a request to go on; the values are label values."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"
    RESTARTED = "restarted"


@dataclass(frozen=True, slots=True)
class CursorState:
    """The cursor as plain data, to be kept over a restart. `opaque` is the last id of a source without positions."""

    epoch: str | None = None
    offset: int = 0
    confirmed: bool = False
    opaque: str = ""


def parse_position(text: str) -> Position | None:
    """`<epoch>-<digits>`, or None for anything else."""
    epoch, dash, digits = text.rpartition("-")
    if not dash or not epoch or not digits.isdigit() or not digits.isascii() or len(digits) > _MAX_OFFSET_DIGITS:
        return None
    return Position(epoch, int(digits))


class Cursor:
    """The cursor of one source.

    For each connection call `begin` first; then `live` and `replayed` for each message that has a position and
    carries events, `answered` for the answer to a resume, `give_up` when none came. `document` is for REST documents,
    `page` and `abandon` for holes: look at `hole_after`.
    """

    __slots__ = (
        "_answer_due",
        "_aside",
        "_hole",
        "_hole_end",
        "_live",
        "_live_epoch",
        "_live_from",
        "_prefix",
        "_replay_end",
        "_state",
    )

    def __init__(self, state: CursorState | None = None) -> None:
        self._state = state or CursorState()
        self._prefix = self._prefix_of(self._state)
        self.begin(asked=False)

    @property
    def state(self) -> CursorState:
        """What to keep; a new object whenever something has changed."""
        return self._state

    @property
    def awaiting_answer(self) -> bool:
        """Whether a resume was asked for and not answered yet."""
        return self._answer_due

    @property
    def position(self) -> Position | None:
        """Everything up to here has been dealt with; None when the source has no positions."""
        epoch = self._state.epoch
        return None if epoch is None else Position(epoch, self._state.offset)

    @property
    def resume_from(self) -> str:
        """What to send as `Last-Event-ID`; empty when there is nothing to go on from."""
        position = self.position
        return self._state.opaque if position is None else str(position)

    @property
    def has_hole(self) -> bool:
        """Whether events are missing that may still be asked for."""
        return self._hole_end is not None

    @property
    def is_behind(self) -> bool:
        """Whether events are still to come that lie before others that have come: a replay, or what is in a hole."""
        return self._answer_due or self._replay_end is not None or self._hole_end is not None

    @property
    def hole_after(self) -> str | None:
        """The position to ask for pages after; None when there is no hole, or while a replay may still fill it."""
        if self._hole_end is None or self._answer_due or self._replay_end is not None:
            return None
        return self.resume_from

    def begin(self, *, asked: bool) -> None:
        """A connection begins; `asked` when it was told to go on from `resume_from`.

        A hole is forgotten and not lost: the cursor has not moved over it, so the resume asks for it again.
        """
        self._hole = 0  # how many events are thought to be in the hole
        self._hole_end: int | None = None
        self._answer_due = asked and self._state.epoch is not None
        self._replay_end: int | None = None
        self._live: int | None = None  # the last live offset on this connection
        self._live_epoch = self._state.epoch
        self._live_from = 0  # where the live messages of this connection begin
        self._aside = 0  # new events that documents brought since then

    def live(self, position: str, events: int) -> int:
        """A live message arrived that carries `events`; return how many events before them are missing.

        When that is not 0 there is a hole now, and the cursor has not moved over it.
        """
        prefix = self._prefix
        if prefix is not None and position.startswith(prefix):
            digits = position[len(prefix) :]
            if digits.isdigit() and digits.isascii() and len(digits) <= _MAX_OFFSET_DIGITS:
                return self._live_at(int(digits), events)
        found = parse_position(position)
        if found is None:
            self.note_id(position)
        elif self._answer_due:
            # The answer will say that this is another history; until then only the live messages are in it.
            if found.epoch != self._live_epoch:
                self._live_epoch, self._live = found.epoch, None
            self._beside_replay(found.offset, events)
        else:
            # The first position of all, or a source that lost its history while we were connected.
            self._move(CursorState(found.epoch, found.offset, confirmed=False))
            self._replay_end = self._hole_end = None
            self._live_epoch, self._live = found.epoch, found.offset
        return 0

    def precedes(self, positions: Sequence[str]) -> bool:
        """Whether live messages with these positions and one event each follow one by one, and nothing else is due."""
        # `is_behind`, written out: this is asked for every run of messages, which may be one message.
        if self._prefix is None or self._answer_due or self._replay_end is not None or self._hole_end is not None:
            return False
        prefix, first = self._prefix, self._state.offset + 1
        end = first + len(positions)
        if end > _MAX_OFFSET or positions[-1] != f"{prefix}{end - 1}":
            return False
        # Two texts are compared quicker than many; a line feed inside a position would make one too many.
        return "\n".join(positions) == prefix + f"\n{prefix}".join(map(str, range(first, end)))

    def advance(self, events: int) -> None:
        """Live messages arrived that `precedes` has said yes to: the same as `live` for each."""
        state = self._state
        self._live = state.offset + events
        self._state = CursorState(state.epoch, self._live, state.confirmed, state.opaque)

    def _live_at(self, offset: int, events: int) -> int:
        state = self._state
        if self.is_behind:
            gap = self._beside_replay(offset, events)
        else:
            gap = offset - events - state.offset
            self._live_epoch, self._live = state.epoch, offset
            if offset > state.offset and (gap <= 0 or not state.confirmed):
                self._state = CursorState(state.epoch, offset, state.confirmed, state.opaque)
        if gap <= 0 or not state.confirmed:
            return 0
        self._hole += gap
        self._hole_end = offset - events
        return gap

    def _beside_replay(self, offset: int, events: int) -> int:
        """Note a live message whose beginning is not known to join on to the cursor."""
        before = self._live
        if before is None:
            self._live, self._live_from = offset, offset - events
            return 0
        self._live = max(before, offset)
        return offset - events - before

    def replayed(self, position: str) -> None:
        """A replayed message arrived: all up to its position has been dealt with."""
        found = parse_position(position)
        state = self._state
        if found is None or found.epoch != state.epoch:
            return
        if self._replay_end is None:
            return
        if found.offset > state.offset:
            self._move(CursorState(state.epoch, found.offset, state.confirmed, state.opaque))
        if found.offset >= self._replay_end:
            self._replay_ended()

    def answered(
        self, outcome: Outcome, replayed: int, missed: int, epoch: str | None, last_event_id: str | None
    ) -> int:
        """The source answered a resume; return how many events it says are lost for good.

        Args:
            outcome: See docs/protocol.md.
            replayed: Events that follow, marked as replays.
            missed: Events that are lost; 0 when not known.
            epoch: The source's present numbering, None when not said.
            last_event_id: The position after the replay, None when not said.
        """
        self._answer_due = False
        end = None if last_event_id is None else parse_position(last_event_id)
        if end is None or (epoch is not None and end.epoch != epoch):
            self._replay_ended()
            return missed
        if self._live_epoch != end.epoch:
            self._live_epoch, self._live = end.epoch, None
        if outcome in (Outcome.NONE, Outcome.RESTARTED) or end.epoch != self._state.epoch:
            self._move(CursorState(end.epoch, max(0, end.offset - replayed), confirmed=True))
        else:
            state = self._state
            self._move(CursorState(state.epoch, state.offset, confirmed=True))
        self._replay_end = end.offset
        if replayed == 0 or self._state.offset >= end.offset:
            self._replay_ended()
        return missed if outcome is Outcome.PARTIAL else 0

    def give_up(self) -> int:
        """No answer came: what lies before the live messages is a hole; return how many events are in it."""
        if not self._answer_due:
            return 0
        self._answer_due = False
        if self._live is None:
            return 0
        if self._live_epoch != self._state.epoch:
            self._move(CursorState(self._live_epoch, self._live))
            return 0
        missing = self._live_from - self._state.offset - self._aside if self._state.confirmed else 0
        if missing > 0:
            self._hole += missing
            self._hole_end = max(self._live_from, self._hole_end or 0)
        self._settle()
        return max(0, missing)

    def document(self, cursor: str, new_events: int, *, polling: bool) -> int:
        """A whole REST document with a `cursor` arrived, with `new_events` not seen before.

        Args:
            cursor: The source's position after the document.
            new_events: How many of its events were new.
            polling: Whether documents are all there is. Beside a live connection a document moves nothing but the
                very first cursor, since the live messages or the replay bring what lies between.

        Returns:
            How many events are missing between the cursor and the document; when it is not 0 there is a hole now.
        """
        found = parse_position(cursor)
        if found is None:
            return 0
        state = self._state
        if found.epoch != state.epoch:
            if state.epoch is None or polling:
                self._move(CursorState(found.epoch, found.offset, confirmed=True))
            return 0
        if not state.confirmed:
            self._move(CursorState(state.epoch, state.offset, confirmed=True))
        if not polling:
            self._aside += new_events
            return 0
        if self._hole_end is not None:
            # What was missing could not be asked for so far; this document is further on and brought some itself.
            missing = max(0, found.offset - self._hole_end - new_events)
            self._hole, self._hole_end = self._hole + missing, max(self._hole_end, found.offset)
            return missing
        missing = found.offset - state.offset - new_events
        if missing <= 0:
            self._move_to(found)
            return 0
        self._hole, self._hole_end = missing, found.offset
        return missing

    def page(self, cursor: str, new_events: int) -> None:
        """A page of what follows the cursor was dealt with: it ends at `cursor`, `new_events` of it were new."""
        found = parse_position(cursor)
        if found is None:
            return
        self._hole = max(0, self._hole - new_events)
        elsewhere = found.epoch != self._state.epoch
        self._move_to(found)
        if self._hole_end is not None and (elsewhere or self._state.offset >= self._hole_end):
            self._close_hole(0)

    def abandon(self) -> int:
        """What is missing cannot be had: move over it, and return how many events that loses."""
        lost = self._hole if self._hole_end is not None else 0
        self._close_hole(self._hole_end or 0)
        return lost

    def _close_hole(self, end: int) -> None:
        self._hole, self._hole_end = 0, None
        state = self._state
        if end > state.offset:
            self._move(CursorState(state.epoch, end, state.confirmed, state.opaque))
        self._settle()

    def _move_to(self, found: Position) -> None:
        """Move forward within an epoch, or to another one."""
        if found.epoch != self._state.epoch or found.offset > self._state.offset:
            self._move(CursorState(found.epoch, found.offset, confirmed=True))

    def note_id(self, identifier: str) -> None:
        """An id that is no position: kept to be sent back, unless the source is known to have positions."""
        if self._state.epoch is None and identifier != self._state.opaque:
            self._move(CursorState(opaque=identifier))

    def _replay_ended(self) -> None:
        state = self._state
        end, self._replay_end = self._replay_end or 0, None
        if end > state.offset:
            self._move(CursorState(state.epoch, end, state.confirmed, state.opaque))
        self._settle()

    def _settle(self) -> None:
        """Catch up with the live messages, when nothing before them is still to come."""
        state = self._state
        if self._answer_due or self._replay_end is not None or self._live is None:
            return
        if self._hole_end is not None and state.offset < self._hole_end:
            return
        self._hole, self._hole_end = 0, None
        if self._live > state.offset and self._live_epoch == state.epoch:
            self._move(CursorState(state.epoch, self._live, state.confirmed, state.opaque))

    def _move(self, state: CursorState) -> None:
        self._state = state
        self._prefix = self._prefix_of(state)

    @staticmethod
    def _prefix_of(state: CursorState) -> str | None:
        return None if state.epoch is None else f"{state.epoch}-"
