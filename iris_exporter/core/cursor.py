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

What was dealt with above the cursor, by live messages or by a document, is noted as ranges of offsets (`ahead`). They
stay over a lost link and a restart. An event in them has been counted, so of events that are lost, as the source says
or as we find, only those in none of them are reported. What was reported lost and arrives after all is `too_late`: a
counter cannot take it back.

Other sources have ids that mean nothing to us (an SSE `id:` of their own). Such an id is kept to be sent back and
nothing is concluded from it: a gap is counted only in an epoch that the source has confirmed, by a `cursor` in a REST
document or by answering a resume, since `order-20251101` looks like a position and is none.

Source: docs/protocol.md, section 4.
"""

from collections.abc import Sequence
from dataclasses import replace

from iris_exporter.core.positions import (
    MAX_OFFSET,
    MAX_OFFSET_DIGITS,
    CursorState,
    Outcome,
    Position,
    is_sendable,
    parse_position,
)
from iris_exporter.core.spans import Spans, above, covered, with_span

__all__ = ["Cursor", "CursorState", "Outcome", "Position", "parse_position"]


class Cursor:
    """The cursor of one source.

    For each connection call `begin` first; then `live` and `replayed` for each message that has a position and
    carries events, `answered` for the answer to a resume, `give_up` when none came. `document` is for REST documents,
    `page` and `abandon` for holes: look at `hole_after`.
    """

    __slots__ = (
        "_answer_due",
        "_dropped",
        "_elsewhere",
        "_hole_end",
        "_live",
        "_prefix",
        "_refused",
        "_replay_end",
        "_state",
    )

    def __init__(self, state: CursorState | None = None) -> None:
        self._state = CursorState()
        self._refused = ""
        self._dropped = 0
        self._move(state or self._state)
        if not is_sendable(self._place):  # kept by a version that did not look
            self._move(CursorState())
        self._elsewhere: tuple[str, Spans] = ("", ())  # what was dealt with in an epoch that is not the cursor's yet
        self.begin(asked=False)

    @property
    def state(self) -> CursorState:
        """What to keep; a new object whenever something has changed."""
        return self._state

    @property
    def kept(self) -> CursorState:
        """What to keep over a restart: without a place that the source refuses."""
        return CursorState() if self._refused and self._refused == self._place else self._state

    @property
    def has_dropped(self) -> bool:
        """Whether `take_dropped` has something to say."""
        return self._dropped > 0

    def take_dropped(self) -> int:
        """How many positions that no header can carry were dropped since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped

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
        place = self._place
        return "" if place == self._refused else place

    @property
    def _place(self) -> str:
        position = self.position
        return self._state.opaque if position is None else str(position)

    def refuse(self) -> None:
        """The source refuses to go on from here: it is not asked to again, until the place is another one."""
        self._refused = self._place

    def allow(self) -> None:
        """What was refused had another reason than the place, which may be asked for again."""
        self._refused = ""

    def forget(self) -> None:
        """Begin again, as if nothing had been heard of a position."""
        self._move(CursorState())
        self._elsewhere = ("", ())
        self._refused = ""
        self.begin(asked=False)

    @property
    def has_hole(self) -> bool:
        """Whether events are missing that may still be asked for."""
        return self._hole_end is not None

    @property
    def is_behind(self) -> bool:
        """Whether events are still to come that lie before others that have come: a replay, or what is in a hole."""
        return bool(self._answer_due or self._replay_end is not None or self._hole_end is not None or self._state.ahead)

    @property
    def hole_after(self) -> str | None:
        """The position to ask for pages after; None when there is no hole, or while a replay may still fill it."""
        if self._hole_end is None or self._answer_due or self._replay_end is not None:
            return None
        return self._place

    def begin(self, *, asked: bool) -> None:
        """A connection begins; `asked` when it was told to go on from `resume_from`.

        A hole is forgotten and not lost: the cursor has not moved over it, so the resume asks for it again.
        """
        self._hole_end: int | None = None
        self._answer_due = asked and self._state.epoch is not None
        self._replay_end: int | None = None
        self._live: tuple[str, int, int] | None = None  # epoch and range of the live messages of this connection

    def live(self, position: str, events: int) -> int:
        """A live message arrived that carries `events`; return how many events before them are missing.

        When that is not 0 there is a hole now, and the cursor has not moved over it.
        """
        prefix = self._prefix
        if prefix is not None and position.startswith(prefix):
            digits = position[len(prefix) :]
            if digits.isdigit() and digits.isascii() and len(digits) <= MAX_OFFSET_DIGITS:
                return self._live_at(int(digits), events)
        found = parse_position(position)
        if found is None:
            if not is_sendable(position):
                self._dropped += 1
            else:
                self.note_id(position)
        elif self._answer_due:
            # The answer will say that this is another history; until then only the live messages are in it.
            self._note_live(found.epoch, found.offset, events)
            self._set_aside(found.epoch, found.offset - events, found.offset)
        else:
            # The first position of all, or a source that lost its history while we were connected.
            self._replay_end = self._hole_end = None
            self._move(CursorState(found.epoch, found.offset, confirmed=False))
        return 0

    def precedes(self, positions: Sequence[str]) -> bool:
        """Whether live messages with these positions and one event each follow one by one, and nothing else is due."""
        if self._prefix is None or self.is_behind:
            return False
        prefix, first = self._prefix, self._state.offset + 1
        end = first + len(positions)
        if end > MAX_OFFSET or positions[-1] != f"{prefix}{end - 1}":
            return False
        # Two texts are compared quicker than many; a line feed inside a position would make one too many.
        return "\n".join(positions) == prefix + f"\n{prefix}".join(map(str, range(first, end)))

    def advance(self, events: int) -> None:
        """Live messages arrived that `precedes` has said yes to: the same as `live` for each."""
        state = self._state
        self._state = CursorState(
            state.epoch, state.offset + events, state.confirmed, state.opaque, state.ahead, state.lost
        )

    def too_late(self, position: str, events: int) -> int:
        """How many of the `events` that end at `position`, the oldest ones, have been reported lost or are older."""
        lost = self._state.lost
        if not lost:
            return 0
        found = parse_position(position)
        if found is None or found.epoch != self._state.epoch:
            return 0
        return min(max(0, lost - (found.offset - events)), events)

    def _live_at(self, offset: int, events: int) -> int:
        state = self._state
        start = offset - events
        if not self.is_behind and (start <= state.offset or not state.confirmed):
            if offset > state.offset:
                self._advance_to(offset)
            return 0
        if self._answer_due or self._replay_end is not None:
            return self._live_beside_replay(offset, events)
        before = self._missing()
        self._set_aside(state.epoch, start, offset)
        self._settle()
        return max(0, self._missing() - before)

    def _live_beside_replay(self, offset: int, events: int) -> int:
        """Note a live message whose beginning is not known to join on to the cursor."""
        state, before = self._state, self._live
        self._note_live(state.epoch or "", offset, events)
        self._set_aside(state.epoch, offset - events, offset)
        if before is None or before[0] != state.epoch or not state.confirmed:
            return 0
        return max(0, offset - events - before[2])

    def _note_live(self, epoch: str, offset: int, events: int) -> None:
        start = max(0, offset - events)
        if self._live is not None and self._live[0] == epoch:
            start, offset = self._live[1], max(offset, self._live[2])
        self._live = (epoch, start, offset)

    def replayed(self, position: str) -> None:
        """A replayed message arrived: all up to its position has been dealt with."""
        found = self._read(position)
        state = self._state
        if found is None or found.epoch != state.epoch or self._replay_end is None:
            return
        self._advance_to(found.offset)
        if found.offset >= self._replay_end:
            self._replay_ended()

    def answered(
        self, outcome: Outcome, replayed: int, missed: int, epoch: str | None, last_event_id: str | None
    ) -> int:
        """The source answered a resume; return how many events are lost for good that were not counted already.

        Args:
            outcome: See docs/protocol.md.
            replayed: Events that follow, marked as replays.
            missed: Events that are lost; 0 when not known.
            epoch: The source's present numbering, None when not said.
            last_event_id: The position after the replay, None when not said.
        """
        self._answer_due = False
        end = None if last_event_id is None else self._read(last_event_id)
        if end is None or (epoch is not None and end.epoch != epoch):
            lost = self._lose(self._state.offset, missed)
            self._replay_ended()
            return lost
        lost = 0
        if outcome in (Outcome.NONE, Outcome.RESTARTED) or end.epoch != self._state.epoch:
            lost = missed if outcome is Outcome.PARTIAL else 0
            self._go_elsewhere(end.epoch, max(0, end.offset - replayed))
        else:
            self._confirm()
            if outcome is Outcome.PARTIAL:
                # The cursor may have moved since the question, and an answer says where what it tells of ends. Over
                # what is lost it goes at once: if the link ends here, the next answer must not tell of it again.
                lost = self._lose(end.offset - replayed - missed, missed)
        self._replay_end = end.offset
        if replayed == 0 or self._state.offset >= end.offset:
            self._replay_ended()
        return lost

    def _lose(self, after: int, missed: int) -> int:
        """So many events after an offset are lost, says the source; return how many of them were not dealt with.

        The cursor moves over them.
        """
        state = self._state
        if state.epoch is None:
            return missed
        start, end = max(after, state.offset), after + missed
        if end <= start:
            return 0
        return self._pass_by(end, end - start - covered(state.ahead, start, end))

    def _pass_by(self, end: int, lost: int) -> int:
        """Move to `end`; on the way so many events are reported lost."""
        state = self._state
        if lost:
            self._state = replace(state, lost=end)
        self._advance_to(end)
        return lost

    def _go_elsewhere(self, epoch: str, offset: int) -> None:
        """The source says where it is: in another numbering, or before the cursor in this one."""
        ahead: Spans = ()
        if self._elsewhere[0] == epoch:
            ahead = self._elsewhere[1]
        elif self._live is not None and self._live[0] == epoch:
            # Only this connection is in the numbering as it is now.
            ahead = with_span((), self._live[1], self._live[2])
        self._elsewhere = ("", ())
        self._move(CursorState(epoch, offset, confirmed=True, ahead=ahead))
        self._advance_to(offset)

    def give_up(self) -> int:
        """No answer came: what lies before the live messages is a hole; return how many events are in it."""
        if not self._answer_due:
            return 0
        self._answer_due = False
        if self._live is not None and self._live[0] != self._state.epoch:
            self._move(CursorState(self._live[0], self._live[2]))
            return 0
        self._settle()
        return self._missing()

    def document(self, cursor: str, events: int, *, polling: bool) -> int:
        """A whole REST document with a `cursor` arrived, whose list has `events`, the newest there are.

        Args:
            cursor: The source's position after the document.
            events: How many events are in its list, seen before or not.
            polling: Whether documents are all there is. Beside a live connection a document moves nothing but the
                very first cursor, since the live messages or the replay bring what lies between.

        Returns:
            How many events are missing between the cursor and the document; when it is not 0 there is a hole now.
        """
        found = self._read(cursor)
        if found is None:
            return 0
        state = self._state
        if polling:  # whatever a connection was to bring, it is gone
            self._answer_due, self._replay_end = False, None
        if found.epoch != state.epoch:
            if state.epoch is None or polling:
                self._hole_end = None
                self._move(CursorState(found.epoch, found.offset, confirmed=True))
            else:
                self._set_aside(found.epoch, found.offset - events, found.offset)
            return 0
        self._confirm()
        before = self._missing()
        self._set_aside(found.epoch, found.offset - events, found.offset)
        if not polling:
            return 0
        self._hole_end = max(found.offset, self._hole_end or 0)
        self._settle()
        return max(0, self._missing() - before)

    def page(self, cursor: str, missed: int) -> int:
        """A page of what follows the cursor was dealt with: it ends at `cursor`, and before it `missed` are lost.

        Returns:
            How many of the lost ones were not counted already.
        """
        found = self._read(cursor)
        if found is None:
            return missed
        if found.epoch != self._state.epoch:
            self._hole_end = None
            self._move(CursorState(found.epoch, found.offset, confirmed=True))
            return missed
        self._confirm()
        offset = self._state.offset
        lost = self._lose(offset, min(missed, max(0, found.offset - offset)))
        self._advance_to(found.offset)
        self._settle()
        return lost

    def _read(self, text: str) -> Position | None:
        """The position that `text` is; what no header can carry is dropped."""
        found = parse_position(text)
        if found is None and not is_sendable(text):
            self._dropped += 1
        return found

    def abandon(self) -> int:
        """What is missing cannot be had: move over it, and return how many events that loses."""
        lost = self._missing()
        if self._hole_end is not None:
            self._pass_by(self._hole_end, lost)
            self._settle()
        return lost

    def _missing(self) -> int:
        """How many events of the hole were not dealt with."""
        state, end = self._state, self._hole_end
        if end is None or end <= state.offset:
            return 0
        return end - state.offset - covered(state.ahead, state.offset, end)

    def note_id(self, identifier: str) -> bool:
        """An id that is no position: kept to be sent back, unless the source is known to have positions.

        False where no header can carry it: then what was kept before stays, and a replay from there is recognised.
        """
        if self._state.epoch is None and identifier != self._state.opaque:
            if not is_sendable(identifier):
                return False
            self._move(CursorState(opaque=identifier))
        return True

    def _replay_ended(self) -> None:
        end, self._replay_end = self._replay_end or 0, None
        self._advance_to(end)
        self._settle()

    def _settle(self) -> None:
        """Catch up with what is ahead, when nothing before it is still to come; where it does not join on is a hole."""
        if self._answer_due or self._replay_end is not None:
            return
        state = self._state
        if state.ahead and not state.confirmed:
            self._advance_to(state.ahead[-1][1])
        else:
            self._advance_to(state.offset)
        state = self._state
        end = max(self._hole_end or 0, state.ahead[-1][0] if state.ahead else 0)
        self._hole_end = end if end > state.offset else None

    def _confirm(self) -> None:
        state = self._state
        if not state.confirmed:
            self._move(replace(state, confirmed=True))

    def _set_aside(self, epoch: str | None, start: int, end: int) -> None:
        """Events of this range were dealt with, wherever the cursor is."""
        state = self._state
        if epoch != state.epoch:
            known = self._elsewhere[1] if self._elsewhere[0] == epoch else ()
            self._elsewhere = (epoch or "", with_span(known, max(0, start), end))
            return
        ahead = with_span(state.ahead, max(start, state.offset), end)
        if ahead is not state.ahead:
            self._state = replace(state, ahead=ahead)

    def _advance_to(self, offset: int) -> None:
        """Everything up to `offset` has been dealt with, and what joins on to it."""
        state = self._state
        offset, ahead = above(state.ahead, max(offset, state.offset))
        if (offset, ahead) != (state.offset, state.ahead):
            self._state = CursorState(state.epoch, offset, state.confirmed, state.opaque, ahead, state.lost)

    def _move(self, state: CursorState) -> None:
        self._state = state
        self._prefix: str | None = None if state.epoch is None else f"{state.epoch}-"
