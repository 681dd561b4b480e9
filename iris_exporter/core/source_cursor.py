"""What the rest of the program needs of the cursor of a source, however that source says where it is.

`core.cursor.Cursor` follows positions that grow by one; other sources have an order of their own.
"""

from typing import Protocol

from iris_exporter.core.positions import CursorState


class SourceCursor(Protocol):
    """How far one source has been read. Every connection calls `begin` first; see `core.cursor.Cursor`."""

    awaiting_answer: bool
    """Whether a resume was asked for, and the source has not answered yet."""
    dropped: int
    """Positions that no request can carry; whoever reads it may set it to 0."""

    @property
    def state(self) -> CursorState:
        """The cursor as it is; a new object whenever something has changed."""

    @property
    def state_to_record(self) -> CursorState:
        """The cursor for the next process."""

    @property
    def resume_from(self) -> str:
        """What a connection asks to go on from; empty for nothing."""

    @property
    def has_gap(self) -> bool:
        """Whether events are missing that may still be asked for."""

    @property
    def gap_after(self) -> str | None:
        """The position to ask for pages after; None when there is no gap, or none that can be asked for."""

    def begin(self, *, asked: bool) -> None:
        """A connection begins; `asked` when it was told to go on from `resume_from`."""

    def refuse(self) -> None:
        """The source refuses this position, which is not asked for again."""

    def allow(self) -> None:
        """The refusal had another reason than the position."""

    def forget(self) -> None:
        """Begin again, as if the source had never sent a position."""

    def note_id(self, identifier: str) -> bool:
        """Note the `id:` of an event stream; False where no request can carry it, or where it is none."""

    def give_up(self) -> int:
        """No answer to a resume came; return how many events that shows to be missing."""

    def page(self, cursor: str, missed: int) -> int:
        """A page of events was handled; return how many lost events were not counted already."""

    def abandon(self) -> int:
        """The events of the gap cannot be had; return how many that loses."""
