"""What one subscriber has yet to be sent: events, changes of state, answers. Pure: the time is handed in.

Theory of operation. There are four queues, taken in this order:

- answers (`subscribed`, `pong`, `error`, ...), which are few;
- advance copies of urgent events, whose ordinary ones stay where they are, so that positions keep their order;
- the changes of state: no queue but a set of the objects that have changed, each with what the client knows of it, so a
  slow reader gets the newest state, and at most one message of it waits;
- events: first a replay, then live ones. A reader too slow for the live ones loses the oldest, and is told which.

`debounceMs` makes changes of state wait for newer ones. With `batch`, state and events wait for others to be sent with.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from iris_exporter.backend.history import Entry
from iris_exporter.backend.options import Batching, Grant
from iris_exporter.backend.state import Change, Item, Object, Payload, ReportedState

MAX_TAKEN = 64
"""Messages written in one go: what is urgent waits for so many at most."""
QUEUES = ("answers", "urgent", "state", "events")
MAX_BATCH_BYTES = 64 * 1024
"""A batch, or what is written in one go, has no more events once their JSON texts are so long: section 5 of the
protocol promises messages of at most 100 KB."""
MAX_ANSWERS = 1000
"""A client that has so many answers waiting asks without reading."""
URGENT_SEVERITY = "critical"


@dataclass(frozen=True, slots=True)
class Say:
    """A message that is sent as it is."""

    message: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SendState:
    """An `update` or `delta`; `offset` is the position after its events, `seq` its number where deltas are granted."""

    payload: Payload
    offset: int | None
    seq: int | None


@dataclass(frozen=True, slots=True)
class SendEvent:
    """An event, as it comes, as a replay, or as an advance copy."""

    entry: Entry
    replay: bool = False
    advance: bool = False


@dataclass(frozen=True, slots=True)
class SendDropped:
    """The news that `count` events of this subscription are lost: those after `after`, up to `last` (offsets)."""

    count: int
    after: int
    last: int


Single = Say | SendState | SendEvent | SendDropped


@dataclass(frozen=True, slots=True)
class SendBatch:
    """At least two messages in one."""

    items: tuple[Single, ...]


Outgoing = Single | SendBatch


@dataclass(frozen=True, slots=True)
class _Whole:
    """Stands among the answers for the whole state, which is read when it is taken."""

    entries: tuple[Entry, ...] | None
    """The events that come with it, newest first; None where the update has none."""


class Offered(NamedTuple):
    """What became of events: how many older ones are lost for want of room, and how many have advance copies."""

    lost: int
    copies: int


NOTHING_OFFERED = Offered(0, 0)


class SendQueue:
    """The queues of one subscriber; nothing but answers until `subscribe` is called."""

    def __init__(self, max_events: int, max_bytes: int) -> None:
        """Bound the live events that may wait, by number and by the size of their JSON texts."""
        self.grant: Grant | None = None
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._answers: deque[tuple[Say | _Whole, float]] = deque()
        self._urgent: deque[tuple[Entry, float]] = deque()
        self._replay: deque[tuple[Entry, float]] = deque()
        self._events: deque[tuple[Entry, float]] = deque()
        self._bytes = 0
        self._dropped: SendDropped | None = None
        self._dirty: dict[tuple[str, str], Object | None] = {}
        self._dirty_since = 0.0
        self._beyond_filter: set[str] = set()
        """Ids of anomalies that the client knows although the filters would not let them pass any more."""
        self._seq = 0
        self._hurry = False
        """Whether the next batch may not wait for others."""

    # What comes in.

    def say(self, message: Mapping[str, Any], now: float, *, urgent: bool = False) -> bool:
        """Queue an answer; False when the client has too many waiting.

        Answers overtake events by themselves; an `urgent` one says so, where that is granted.
        """
        if len(self._answers) >= MAX_ANSWERS:
            return False
        if urgent and self.grant is not None and self.grant.priority and self._events_wait:
            message = {**message, "priority": "high"}
        self._answers.append((Say(message), now))
        return True

    def subscribe(
        self,
        grant: Grant,
        answer: Mapping[str, Any],
        now: float,
        *,
        first: Sequence[Entry] | None = None,
        replay: Sequence[Entry] | None = None,
    ) -> None:
        """Begin, or change, the subscription: the answer, the whole state, then events.

        Args:
            grant: From now on; what waits already is held to it, too.
            answer: The `subscribed` message.
            now: Monotonic seconds.
            first: Events to come with the whole state, newest first; None when there is no such list.
            replay: What is replayed before live events; None leaves events as they are.
        """
        self.grant = grant
        if replay is not None or "events" not in grant.channels:
            self._forget_events()
            self._replay = deque((entry, now) for entry in replay or ())
        elif first is None:
            first = self._first_waiting()
        # Their ordinary ones are still there, and are held to the new filters.
        self._urgent.clear()
        self._dirty.clear()
        self._beyond_filter.clear()
        self._seq = 0
        self._answers = deque(each for each in self._answers if isinstance(each[0], Say))
        self._answers.append((Say(answer), now))
        entries = None if first is None else tuple(entry for entry in first if grant.shows_event(entry.event))
        self._answers.append((_Whole(entries), now))

    def _forget_events(self) -> None:
        self._replay.clear()
        self._events.clear()
        self._bytes = 0
        self._dropped = None

    def _first_waiting(self) -> Sequence[Entry] | None:
        """The events of a whole state that was never taken, and that another one takes the place of."""
        return next((item.entries for item, _ in self._answers if isinstance(item, _Whole)), None)

    def offer(self, entries: Sequence[Entry], now: float) -> Offered:
        """Queue live events, oldest first, as far as they are granted."""
        grant = self.grant
        if grant is None:
            return NOTHING_OFFERED
        copies = 0
        for entry in entries:
            if not grant.shows_event(entry.event):
                continue
            if grant.priority and entry.event.severity == URGENT_SEVERITY:
                copies += self._overtake(entry, now)
            self._events.append((entry, now))
            self._bytes += len(entry.json)
        lost = 0
        while len(self._events) > self._max_events or (self._bytes > self._max_bytes and len(self._events) > 1):
            self._lose_oldest()
            lost += 1
        return Offered(lost, copies)

    def _overtake(self, entry: Entry, now: float) -> bool:
        """Let an event be sent at once; whether that takes a copy."""
        if not self._events_wait:
            self._hurry = True
            return False
        self._urgent.append((entry, now))
        if len(self._urgent) > self._max_events:
            # Its ordinary one is still there, or among those that are said to be lost.
            self._urgent.popleft()
        return True

    def _lose_oldest(self) -> None:
        entry, _ = self._events.popleft()
        self._bytes -= len(entry.json)
        before = self._dropped
        self._dropped = SendDropped(
            1 if before is None else before.count + 1,
            entry.offset - 1 if before is None else before.after,
            entry.offset,
        )

    def mark(self, changes: Sequence[Change], state: ReportedState, now: float) -> None:
        """Note which objects have changed."""
        grant = self.grant
        if grant is None or self._whole_waits:
            return
        for channel, key, before in changes:
            current = state.get(channel, key)
            shows = current is not None and grant.shows(current)
            if channel in grant.channels and (shows or self._knows(grant, key, before)):
                if not self._dirty:
                    self._dirty_since = now
                self._dirty.setdefault((channel, key), before)

    def _knows(self, grant: Grant, key: str, base: Object | None) -> bool:
        return base is not None and (grant.shows(base) or key in self._beyond_filter)

    @property
    def _whole_waits(self) -> bool:
        return any(isinstance(item, _Whole) for item, _ in self._answers)

    # What is there.

    @property
    def _events_wait(self) -> bool:
        return bool(self._replay or self._events or self._dropped)

    @property
    def answers(self) -> int:
        """How many answers wait."""
        return len(self._answers)

    @property
    def empty(self) -> bool:
        """Whether nothing is left to send, now or later."""
        return not (self._answers or self._urgent or self._dirty or self._events_wait)

    def oldest(self) -> dict[str, float]:
        """The time when the oldest entry of each queue that has one was put there."""
        found = {}
        if self._answers:
            found["answers"] = self._answers[0][1]
        if self._urgent:
            found["urgent"] = self._urgent[0][1]
        if self._dirty:
            found["state"] = self._dirty_since
        if events := self._replay or self._events:
            found["events"] = events[0][1]
        return found

    def next_offset(self) -> int | None:
        """The offset before the first event that waits; None when none does."""
        if self._dropped is not None:
            return self._dropped.after
        events = self._replay or self._events
        return events[0][0].offset - 1 if events else None

    def due_at(self) -> float | None:
        """When `take` has something, in monotonic seconds: in the past when it has now; None when nothing waits."""
        if self._answers or self._urgent:
            return 0.0
        times = [time for time in (self._state_due_at(), self._events_due_at()) if time is not None]
        return min(times) if times else None

    def _state_due_at(self) -> float | None:
        if not self._dirty or self.grant is None:
            return None
        due = self._dirty_since + self.grant.debounce_ms / 1000
        return due if self.grant.batch is None else due + self.grant.batch.max_delay_ms / 1000

    def _events_due_at(self) -> float | None:
        if self._dropped is not None:
            return 0.0
        events = self._replay or self._events
        if not events or self.grant is None:
            return None
        batch = self.grant.batch
        if batch is None or self._hurry or len(self._replay) + len(self._events) >= batch.max_messages:
            return 0.0
        return events[0][1] + batch.max_delay_ms / 1000

    # What goes out.

    def take(self, now: float, state: ReportedState, *, all_of_it: bool = False) -> list[Outgoing]:
        """Return what to send next, in order; empty when there is nothing now. `all_of_it` lets nothing wait longer."""
        out: list[Outgoing] = []
        while self._answers and len(out) < MAX_TAKEN:
            item, _ = self._answers.popleft()
            if isinstance(item, Say):
                out.append(item)
            elif (whole := self._take_whole(item, state)) is not None:
                out.append(whole)
        while self._urgent:
            out.append(SendEvent(self._urgent.popleft()[0], advance=True))
        grant = self.grant
        if grant is None or len(out) >= MAX_TAKEN:
            return out
        if grant.batch is None:
            out += self._take_state(now, grant, state, all_of_it=all_of_it)
            out += self._take_events(grant, MAX_TAKEN)
        else:
            out += self._take_batches(now, grant, grant.batch, state, all_of_it=all_of_it)
        return out

    def _take_batches(
        self, now: float, grant: Grant, batch: Batching, state: ReportedState, *, all_of_it: bool
    ) -> list[Outgoing]:
        out: list[Outgoing] = []
        taken = 0
        while taken < MAX_TAKEN:
            due = self.due_at()
            if due is None or (due > now and not all_of_it):
                break
            items: list[Single] = self._take_state(now, grant, state, all_of_it=all_of_it)
            items += self._take_events(grant, batch.max_messages - len(items))
            if items:
                out.append(items[0] if len(items) == 1 else SendBatch(tuple(items)))
            taken += max(1, len(items))
        return out

    def _take_whole(self, whole: _Whole, state: ReportedState) -> SendState | None:
        grant = self.grant
        payload = None if grant is None else state.whole(grant, whole.entries)
        if grant is None or payload is None:
            return None
        return SendState(payload, whole.entries[0].offset if whole.entries else None, self._next_seq(grant))

    def _take_state(self, now: float, grant: Grant, state: ReportedState, *, all_of_it: bool) -> list[Single]:
        if not self._dirty or (self._dirty_since + grant.debounce_ms / 1000 > now and not all_of_it):
            return []
        items = []
        for (channel, key), base in self._dirty.items():
            current = state.get(channel, key)
            if current is None and channel != "projects":
                continue
            knows, shows = self._knows(grant, key, base), current is not None and grant.shows(current)
            if channel == "anomalies":
                (self._beyond_filter.discard if shows else self._beyond_filter.add)(key)
            if knows or shows:
                items.append(Item(channel, base if knows else None, current))
        self._dirty.clear()
        payload = state.changed(grant, items)
        return [] if payload is None else [SendState(payload, None, self._next_seq(grant))]

    def _next_seq(self, grant: Grant) -> int | None:
        if not grant.delta:
            return None
        self._seq += 1
        return self._seq

    def _take_events(self, grant: Grant, limit: int) -> list[Single]:
        out: list[Single] = []
        size = 0
        while self._replay and len(out) < limit and size < MAX_BATCH_BYTES:
            entry, _ = self._replay.popleft()
            if grant.shows_event(entry.event):
                size += len(entry.json)
                out.append(SendEvent(entry, replay=True))
        if self._replay:
            return out
        if self._dropped is not None and len(out) < limit:
            out.append(self._dropped)
            self._dropped = None
        while self._events and len(out) < limit and size < MAX_BATCH_BYTES:
            entry, _ = self._events.popleft()
            self._bytes -= len(entry.json)
            if grant.shows_event(entry.event):
                size += len(entry.json)
                out.append(SendEvent(entry))
        self._hurry = self._hurry and bool(self._events)
        return out
