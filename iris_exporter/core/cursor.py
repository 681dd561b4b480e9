"""How far a source has been read: one cursor for all transports, which notices missing events.

Theory. A source that speaks the cursor protocol numbers its events: a position is `<epoch>-<offset>`, the offset grows
by one from event to event, and a message has the position of the last event in it. The cursor is the highest offset
below which all events have been handled. A reconnect asks to go on from it, it is written to disk, and gaps are
measured against it.

After a reconnect two sequences interleave: live messages, and the replay that was asked for, which ends where the
connection began. Until then the cursor follows the replay alone, because a crash in its middle must not lose its rest;
live messages are compared only with each other. When no answer comes, the cursor jumps to them (`give_up`).

A *gap* is a jump in the numbering: a channel carries at most so many events, or documents are polled too rarely. The
cursor waits at its edge until REST brings the events (`page`) or they are counted as lost (`abandon`).

Events above the cursor that came out of order, in live messages or a document, are noted as ranges of offsets
(`ahead`), which outlast a lost link and a restart. They have been counted, so of the events that are lost, as the
source says or as the numbering shows, only those in no range are reported. An event that was reported lost and arrives
after all is `too_late`: a counter cannot take it back.

Other sources have ids without meaning here (an SSE `id:`), which are only sent back. As `order-20251101` looks like a
position and is none, gaps count only in an epoch that the source has confirmed, by answering a resume or in a document.

Source: docs/protocol.md, section 4.
"""

from collections.abc import Sequence
from dataclasses import replace

from iris_exporter.core.positions import (
    MAX_OFFSET_DIGITS,
    CursorState,
    Outcome,
    Position,
    are_consecutive,
    is_sendable,
    parse_position,
)
from iris_exporter.core.ranges import Ranges, with_range


class Cursor:
    """The cursor of one source.

    For each connection call `begin` first; then `live` and `replayed` for each message that has a position and
    carries events, `answered` for the answer to a resume, `give_up` when none came. `document` is for REST documents,
    `page` and `abandon` for gaps: see `gap_after`. `awaiting_answer` is true while a resume was asked for and not
    answered. `dropped` counts positions that no header can carry; whoever reads it may set it to 0.
    """

    __slots__ = (
        "_gap_end",
        "_live",
        "_other_epoch",
        "_prefix",
        "_refused",
        "_replay_end",
        "_state",
        "awaiting_answer",
        "dropped",
    )

    def __init__(self, state: CursorState | None = None) -> None:
        self.dropped = 0
        self._state = CursorState()
        self.forget()
        if state is not None and is_sendable(state.text):  # early versions wrote others
            self._move(state)
            self.begin(asked=False)

    @property
    def state(self) -> CursorState:
        """The cursor as it is; a new object whenever something has changed."""
        return self._state

    @property
    def state_to_record(self) -> CursorState:
        """The cursor for the next process: without a position that the source refuses."""
        return CursorState() if self._refused and self._refused == self._state.text else self._state

    @property
    def resume_from(self) -> str:
        """What to send as `Last-Event-ID`; empty when there is nothing to go on from."""
        return "" if self._state.text == self._refused else self._state.text

    def refuse(self) -> None:
        """The source refuses this position, which is not asked for again; others are."""
        self._refused = self._state.text

    def allow(self) -> None:
        """The refusal had another reason than the position, which may be asked for again."""
        self._refused = ""

    def forget(self) -> None:
        """Begin again, as if the source had never sent a position."""
        self._move(CursorState())
        self._other_epoch: tuple[str, Ranges] = ("", ())  # handled in an epoch that is not the cursor's yet
        self._refused = ""
        self.begin(asked=False)

    @property
    def has_gap(self) -> bool:
        """Whether events are missing that may still be asked for."""
        return self._gap_end is not None

    @property
    def is_behind(self) -> bool:
        """Whether events are still to come that lie before handled ones: those of a replay or of a gap."""
        return bool(
            self.awaiting_answer or self._replay_end is not None or self._gap_end is not None or self._state.ahead
        )

    @property
    def gap_after(self) -> str | None:
        """The position to ask for pages after; None when there is no gap, or while a replay may still fill it."""
        if self._gap_end is None or self.awaiting_answer or self._replay_end is not None:
            return None
        return self._state.text

    def begin(self, *, asked: bool) -> None:
        """A connection begins; `asked` when it was told to go on from `resume_from`.

        A gap is forgotten and not lost: the cursor has not moved over it, so the resume asks for its events again.
        """
        self._gap_end: int | None = None
        self.awaiting_answer = asked and self._state.epoch is not None
        self._replay_end: int | None = None
        self._live: tuple[str, int, int] | None = None  # epoch and range of the live messages of this connection

    def live(self, position: str, events: int) -> int:
        """A live message arrived that carries `events`; return how many events before them are missing.

        When that is not 0 there is a gap now, and the cursor has not moved over it.
        """
        if (prefix := self._prefix) is not None and position.startswith(prefix):
            digits = position[len(prefix) :]
            if digits.isdigit() and digits.isascii() and len(digits) <= MAX_OFFSET_DIGITS:
                return self._live_at(int(digits), events)
        found = self._read(position)
        if found is None:
            self.note_id(position)
        elif self.awaiting_answer:
            # The answer will say that this is another history; until then only the live messages are in it.
            self._note_live(found.epoch, found.offset, events)
            self._note_handled(found.epoch, found.offset - events, found.offset)
        else:
            # The first position of all, or a source that lost its history while we were connected.
            self._replay_end = self._gap_end = None
            ahead = self._other_epoch[1] if self._other_epoch[0] == found.epoch else ()
            self._other_epoch = ("", ())
            self._move(CursorState(found.epoch, found.offset, confirmed=False, ahead=ahead).advanced_to(found.offset))
        return 0

    def precedes(self, positions: Sequence[str]) -> bool:
        """Whether live messages with these positions and one event each follow one by one, and nothing else is due."""
        prefix = self._prefix
        return prefix is not None and not self.is_behind and are_consecutive(positions, prefix, self._state.offset + 1)

    def advance(self, events: int) -> None:
        """Live messages arrived for which `precedes` is true: the same as `live` for each."""
        state = self._state
        self._state = CursorState(
            state.epoch, state.offset + events, state.confirmed, state.opaque, state.ahead, state.lost
        )

    def too_late(self, position: str, events: int) -> int:
        """How many of the `events` that end at `position`, the oldest ones, have been reported lost or are older."""
        lost = self._state.lost
        found = parse_position(position) if lost else None
        if found is None or found.epoch != self._state.epoch:
            return 0
        return min(max(0, lost - (found.offset - events)), events)

    def _live_at(self, offset: int, events: int) -> int:
        state = self._state
        start = offset - events
        if not self.is_behind and (start <= state.offset or not state.confirmed):
            if offset > state.offset:
                self._state = state.advanced_to(offset)
            return 0
        if self.awaiting_answer or self._replay_end is not None:
            return self._live_beside_replay(offset, events)
        before = self._missing()
        self._note_handled(state.epoch, start, offset)
        self._catch_up()
        return max(0, self._missing() - before)

    def _live_beside_replay(self, offset: int, events: int) -> int:
        """Note a live message whose beginning is not known to join on to the cursor."""
        state, before = self._state, self._live
        self._note_live(state.epoch or "", offset, events)
        self._note_handled(state.epoch, offset - events, offset)
        if before is None or before[0] != state.epoch or not state.confirmed:
            return 0
        return max(0, offset - events - before[2])

    def _note_live(self, epoch: str, offset: int, events: int) -> None:
        start = max(0, offset - events)
        if (before := self._live) is not None and before[0] == epoch:
            start, offset = before[1], max(offset, before[2])
        self._live = (epoch, start, offset)

    def replayed(self, position: str) -> None:
        """A replayed message arrived: all events up to its position have been handled."""
        found = self._read(position)
        state = self._state
        if found is None or found.epoch != state.epoch or self._replay_end is None:
            return
        self._state = self._state.advanced_to(found.offset)
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
            epoch: The source's numbering now, None when it does not say.
            last_event_id: The position after the replay, None when it does not say.
        """
        self.awaiting_answer = False
        end = None if last_event_id is None else self._read(last_event_id)
        if end is None or (epoch is not None and end.epoch != epoch):
            lost = self._lose(self._state.offset, missed)
            self._replay_ended()
            return lost
        lost = 0
        if outcome in (Outcome.NONE, Outcome.RESTARTED) or end.epoch != self._state.epoch:
            lost = missed if outcome is Outcome.PARTIAL else 0
            self._change_epoch(end.epoch, max(0, end.offset - replayed))
        else:
            self._confirm()
            if outcome is Outcome.PARTIAL:
                # The cursor may have moved since the question, and the answer says where the lost events end. The
                # cursor moves over them at once: if the link ends here, the next answer must not report them again.
                lost = self._lose(end.offset - replayed - missed, missed)
        self._replay_end = end.offset
        if replayed == 0 or self._state.offset >= end.offset:
            self._replay_ended()
        return lost

    def _lose(self, after: int, missed: int) -> int:
        """The source says that so many events after an offset are lost; return how many of them were not handled.

        The cursor moves over them.
        """
        state, end = self._state, after + missed
        if state.epoch is None:
            return missed
        return 0 if end <= state.offset else self._skip_to(end, state.missing(after, end))

    def _skip_to(self, end: int, lost: int) -> int:
        """Move to `end`; on the way so many events are reported lost."""
        state = replace(self._state, lost=end) if lost else self._state
        self._state = state.advanced_to(end)
        return lost

    def _change_epoch(self, epoch: str, offset: int) -> None:
        """The source says where it is: in another numbering, or before the cursor in this one."""
        ahead: Ranges = ()
        if self._other_epoch[0] == epoch:
            ahead = self._other_epoch[1]
        elif self._live is not None and self._live[0] == epoch:
            # Only this connection is in the numbering as it is now.
            ahead = with_range((), self._live[1], self._live[2])
        self._other_epoch = ("", ())
        self._move(CursorState(epoch, offset, confirmed=True, ahead=ahead).advanced_to(offset))

    def give_up(self) -> int:
        """No answer came: the events before the live messages are a gap; return how many they are."""
        if not self.awaiting_answer:
            return 0
        self.awaiting_answer = False
        if self._live is not None and self._live[0] != self._state.epoch:
            self._move(CursorState(self._live[0], self._live[2]))
            return 0
        self._catch_up()
        return self._missing()

    def document(self, cursor: str, events: int, *, polling: bool) -> int:
        """A whole REST document with a `cursor` arrived, whose list has `events`, the newest there are.

        Args:
            cursor: The source's position after the document.
            events: How many events are in its list, known ones too.
            polling: Whether documents are all there is. Beside a live connection a document moves nothing but the
                very first cursor, since the live messages or the replay bring what lies between.

        Returns:
            How many events are missing between the cursor and the document; when it is not 0 there is a gap now.
        """
        found = self._read(cursor)
        if found is None:
            return 0
        state = self._state
        if polling:  # whatever a connection was to bring, it is gone
            self.awaiting_answer, self._replay_end = False, None
        if found.epoch != state.epoch:
            if state.epoch is None or polling:
                self._gap_end = None
                self._move(CursorState(found.epoch, found.offset, confirmed=True))
            else:
                self._note_handled(found.epoch, found.offset - events, found.offset)
            return 0
        self._confirm()
        before = self._missing()
        self._note_handled(found.epoch, found.offset - events, found.offset)
        if not polling:
            return 0
        self._gap_end = max(found.offset, self._gap_end or 0)
        self._catch_up()
        return max(0, self._missing() - before)

    def left_out(self, last: str) -> None:
        """The source has left out events up to this position: there is a gap, unless they were handled otherwise."""
        if (found := self._read(last)) is not None and found.epoch == self._state.epoch:
            self._gap_end = max(found.offset, self._gap_end or 0)
            self._catch_up()

    def page(self, cursor: str, missed: int) -> int:
        """A page of the events after the cursor was handled: it ends at `cursor`, and before it `missed` are lost.

        Returns:
            How many of the lost ones were not counted already.
        """
        if (found := self._read(cursor)) is None:
            return missed
        if found.epoch != self._state.epoch:
            self._gap_end = None
            self._move(CursorState(found.epoch, found.offset, confirmed=True))
            return missed
        self._confirm()
        lost = self._lose(self._state.offset, min(missed, max(0, found.offset - self._state.offset)))
        self._state = self._state.advanced_to(found.offset)
        self._catch_up()
        return lost

    def _read(self, text: str) -> Position | None:
        """The position that `text` is; one that no header can carry is dropped."""
        found = parse_position(text)
        if found is None and not is_sendable(text):
            self.dropped += 1
        return found

    def abandon(self) -> int:
        """The events of the gap cannot be had: move over it, and return how many events that loses."""
        lost = self._missing()
        if self._gap_end is not None:
            self._skip_to(self._gap_end, lost)
            self._catch_up()
        return lost

    def _missing(self) -> int:
        """How many events of the gap were not handled."""
        return 0 if self._gap_end is None else self._state.missing(0, self._gap_end)

    def note_id(self, identifier: str) -> bool:
        """Note an id that is no position, to be sent back; nothing happens where the source has positions.

        False where no header can carry it: then the id before it stays, and a replay from there is recognised.
        """
        if self._state.epoch is None and identifier != self._state.opaque:
            if not is_sendable(identifier):
                return False
            self._move(CursorState(opaque=identifier))
        return True

    def _replay_ended(self) -> None:
        end, self._replay_end = self._replay_end or 0, None
        self._state = self._state.advanced_to(end)
        self._catch_up()

    def _catch_up(self) -> None:
        """Move on over the ranges ahead, when nothing before them is still to come; what does not join on is a gap."""
        if self.awaiting_answer or self._replay_end is not None:
            return
        state = self._state
        end = state.ahead[-1][1] if state.ahead and not state.confirmed else state.offset
        self._state = state = state.advanced_to(end)
        end = max(self._gap_end or 0, state.ahead[-1][0] if state.ahead else 0)
        self._gap_end = end if end > state.offset else None

    def _confirm(self) -> None:
        if not self._state.confirmed:
            self._state = replace(self._state, confirmed=True)

    def _note_handled(self, epoch: str | None, start: int, end: int) -> None:
        """Events of this range were handled, wherever the cursor is."""
        if epoch == self._state.epoch:
            self._state = self._state.with_handled(start, end)
            return
        known: Ranges = self._other_epoch[1] if self._other_epoch[0] == epoch else ()
        self._other_epoch = (epoch or "", with_range(known, max(0, start), end))

    def _move(self, state: CursorState) -> None:
        self._state = state
        self._prefix: str | None = None if state.epoch is None else f"{state.epoch}-"
