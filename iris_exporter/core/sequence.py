"""Which events were seen and where the stream stands: each event once, and what is missing noticed.

Theory. The same event arrives on two channels, again in the next snapshot and again after a reconnect, so events are
told apart by id. Ids are remembered in two generations: new ones go to the young one, and when that is full it becomes
the old one and the former old one is dropped. That costs two look-ups, keeps at least the last `max_ids` ids and never
more than twice as many. An id that is met again moves to the young generation: an event that a source repeats in
every snapshot is never forgotten, however many others pass by.

Independent of the ids, a source may number its events (docs/protocol.md, "The cursor"): a message has the position
`<epoch>-<offset>` of its last event, and offsets grow by one from event to event while the epoch stays. A jump over
more events than the message carries is a gap, unless a snapshot brought them; a smaller offset is a repetition and
moves nothing; another epoch is a new numbering, across which nothing can be said.
"""

from typing import TypedDict

DEFAULT_MAX_IDS = 10_000
"""Ids remembered at least: ten minutes at the thousand messages a minute that a backend promises to send at most."""

_MAX_OFFSET_DIGITS = 18  # more cannot be a count of events, and converting it costs time


class SequenceState(TypedDict):
    """Plain data to keep over a restart: ids from the oldest to the youngest, and the position."""

    ids: list[str]
    epoch: str | None
    offset: int | None
    last_event_id: str | None


class Sequence:
    """What has been seen of one source. Call `see` for each event id and `advance` for each position."""

    __slots__ = ("_aside", "_max_ids", "_offset", "_old", "_prefix", "_young", "last_event_id")

    def __init__(self, max_ids: int = DEFAULT_MAX_IDS) -> None:
        if max_ids < 1:
            raise ValueError("max_ids must be at least 1")
        self._max_ids = max_ids
        self._young: dict[str, None] = {}
        self._old: dict[str, None] = {}
        self._prefix: str | None = None  # the epoch and its dash
        self._offset = 0
        self._aside = 0  # new events from snapshots since the stream last moved
        self.last_event_id: str | None = None
        """The position to resume from, as sent; None when the source never sent one."""

    def see(self, event_id: str) -> bool:
        """Remember an id; True when it is the first time."""
        young = self._young
        if event_id in young:
            return False
        first = event_id not in self._old
        young[event_id] = None
        if len(young) >= self._max_ids:
            self._old = young
            self._young = {}
        return first

    def advance(self, position: str, carried: int = 1, new: int = 1) -> int:
        """Move to the position of a message that arrived; return how many events before it are missing.

        `carried` is how many events the message brought, `new` how many of them were seen for the first time. The
        result is 0 when nothing is missing or nothing can be said: the first position, another epoch, a repetition,
        or a position that is not `<epoch>-<digits>` (which is still kept as the place to resume from).
        """
        prefix = self._prefix
        if prefix is not None and position.startswith(prefix):
            digits = position[len(prefix) :]
            if digits.isdecimal() and digits.isascii() and len(digits) <= _MAX_OFFSET_DIGITS:
                offset = int(digits)
                step = offset - self._offset
                if step <= 0:
                    return 0
                gap = 0 if step <= carried else max(0, step - new - self._aside)
                self._offset = offset
                self._aside = 0
                self.last_event_id = position
                return gap
        epoch, dash, digits = position.rpartition("-")
        self._aside = 0
        if dash and digits.isdecimal() and digits.isascii() and len(digits) <= _MAX_OFFSET_DIGITS:
            self._prefix = epoch + dash
            self._offset = int(digits)
        else:
            self._prefix = None
        self.last_event_id = position or None
        return 0

    def aside(self, new: int) -> None:
        """Note that a snapshot brought `new` events not seen before: no gap when the stream jumps over them."""
        self._aside += new

    def start_at(self, position: str) -> None:
        """Take the position of a snapshot as the place where the stream begins, unless one is known already."""
        if self.last_event_id is None:
            self.advance(position)

    def skip(self, missed: int) -> None:
        """Move over events that the source itself declared lost, so that they are not found missing again."""
        if self._prefix is not None and missed > 0:
            self._offset += missed

    def start_epoch(self, epoch: str) -> None:
        """Expect another numbering, whose first offset is not known; nothing happens when it is the present one."""
        if epoch != self.epoch:
            self._prefix = None

    @property
    def epoch(self) -> str | None:
        """The present numbering; None when there is none."""
        return None if self._prefix is None else self._prefix[:-1]

    @property
    def offset(self) -> int | None:
        """The last offset in the present numbering; None when there is none."""
        return None if self._prefix is None else self._offset

    def __len__(self) -> int:
        """How many ids are remembered; at most twice `max_ids`."""
        old, young = self._old, self._young
        return len(young) + sum(1 for event_id in old if event_id not in young)

    def state(self) -> SequenceState:
        """Everything worth keeping, as plain data that shares nothing with this object."""
        young = self._young
        ids = [event_id for event_id in self._old if event_id not in young]
        ids.extend(young)
        return SequenceState(ids=ids, epoch=self.epoch, offset=self.offset, last_event_id=self.last_event_id)

    def restore(self, state: SequenceState) -> None:
        """Go on from what `state` returned; it replaces what was seen so far. The youngest `max_ids` ids are kept."""
        ids = state["ids"][-self._max_ids :]
        self._old = dict.fromkeys(ids)
        self._young = {}
        epoch, offset = state["epoch"], state["offset"]
        self._prefix = None if epoch is None or offset is None else f"{epoch}-"
        self._offset = offset or 0
        self._aside = 0
        self.last_event_id = state["last_event_id"]
