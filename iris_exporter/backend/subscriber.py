"""One client of `/api/stream`: its subscription, and what it is sent as bytes in its encoding."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from typing_extensions import override

from iris_exporter.backend.access import TokenBucket
from iris_exporter.backend.connection import MAX_QUEUED_BYTES, Connection
from iris_exporter.backend.encoding import Encoding, EventCache, Head
from iris_exporter.backend.feed import OVERVIEW_EVENTS, Feed
from iris_exporter.backend.history import Entry
from iris_exporter.backend.objects import iso_time
from iris_exporter.backend.options import EVERYTHING, Grant, Request
from iris_exporter.backend.send_queue import (
    NOTHING_OFFERED,
    Offered,
    Outgoing,
    Say,
    SendBatch,
    SendDropped,
    SendEvent,
    SendQueue,
    SendState,
    Single,
)
from iris_exporter.backend.state import Change, Payload
from iris_exporter.backend.wire import HEARTBEATS, Frame, error, sse_name
from iris_exporter.clock import Clock

GRACE_SECONDS = 5.0
"""A client that has not said by then what it wants gets everything."""
ANSWERS_AHEAD = 100
"""A client that has so many answers waiting is not listened to until it takes some."""
SUBSCRIBE_BURST = 10
SUBSCRIBES_PER_SECOND = 1.0


@dataclass(eq=False, kw_only=True)
class Subscriber(Connection):
    """A connection whose client says what it wants."""

    encoding: Encoding
    feed: Feed
    cache: EventCache
    clock: Clock
    max_events: int
    """Live events that may wait before the oldest are lost."""
    limiter: TokenBucket = field(
        default_factory=lambda: TokenBucket(SUBSCRIBE_BURST, SUBSCRIBES_PER_SECOND), init=False
    )
    has_asked: bool = field(default=False, init=False)
    """Whether the client has said itself what it wants."""
    is_slow: bool = field(default=False, init=False)
    """Whether it has lost events; one line in the log says so."""
    send_queue: SendQueue = field(init=False)
    _come_back_after: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.send_queue = SendQueue(self.max_events, MAX_QUEUED_BYTES)

    def subscribe(self, request: Request) -> None:
        """Begin the subscription, or put another in its place."""
        history, grant = self.feed.history, request.grant
        before = self.send_queue.next_offset()
        answer: dict[str, Any] = grant.document() | {"encoding": self.encoding.name}
        replay: Sequence[Entry] | None = None
        resumed_nothing = True
        if request.after is not None:
            result = history.resume(request.after)
            replay = [entry for entry in result.entries if grant.shows_event(entry.event)]
            resumed_nothing = result.outcome == "none"
            answer["resume"] = {
                "outcome": result.outcome,
                "replayed": len(replay),
                "missed": result.missed,
                "epoch": history.epoch,
                "lastEventId": history.position(),
            }
        position = history.last if before is None or replay is not None else before
        answer["position"] = history.position(position)
        first = None
        if "events" in grant.channels and resumed_nothing and self.send_queue.grant is None:
            matching = (entry for entry in history.newest(history.last) if grant.shows_event(entry.event))
            first = list(islice(matching, OVERVIEW_EVENTS))
        message = {"type": "subscribed", "timestamp": iso_time(self.clock.wall()), "data": answer}
        self.send_queue.subscribe(grant, message, self.clock.monotonic(), first=first, replay=replay)
        self.wake.set()

    @override
    def say(self, message: Mapping[str, Any], *, urgent: bool = False) -> bool:
        if self.ending is not None:
            return True
        self.wake.set()
        if self.send_queue.answers >= ANSWERS_AHEAD:
            self.room.clear()
        return self.send_queue.say(message, self.clock.monotonic(), urgent=urgent)

    def offer(self, entries: Sequence[Entry]) -> Offered:
        """Queue live events."""
        if self.ending is not None:
            return NOTHING_OFFERED
        now = self.clock.monotonic()
        offered = self.send_queue.offer(entries, now)
        self.wake_when_due(now)
        return offered

    def mark(self, changes: Sequence[Change]) -> None:
        """Note which objects have changed."""
        if self.ending is None:
            now = self.clock.monotonic()
            self.send_queue.mark(changes, self.feed.state, now)
            self.wake_when_due(now)

    @override
    def tick(self, now: float) -> None:
        if self.send_queue.grant is None and now - self.started_at >= GRACE_SECONDS:
            self.subscribe(EVERYTHING)
        if not self.wake.is_set():
            self.wake_when_due(now)

    @override
    def send_away(self, wait_seconds: float) -> None:
        self._come_back_after = wait_seconds
        self.say(error("STREAM_UNAVAILABLE", "the backend is going away", wait_seconds), urgent=True)

    @property
    @override
    def last_line(self) -> bytes:
        wait = self._come_back_after
        return b"" if wait is None else b"retry: %d\n\n" % round(1000 * wait)

    def wake_when_due(self, now: float) -> None:
        """Let the writer go on when something has waited long enough."""
        due = self.send_queue.due_at()
        if due is not None and due <= now:
            self.wake.set()

    @override
    def is_stalled(self, seconds: float) -> bool:
        oldest = self.send_queue.oldest().get("answers")
        return oldest is not None and self.clock.monotonic() - oldest >= seconds

    @override
    def take(self) -> list[Frame]:
        now = self.clock.monotonic()
        timestamp = iso_time(self.clock.wall())
        taken = self.send_queue.take(now, self.feed.state, all_of_it=self.ending is not None)
        frames = [frame for item in taken for frame in self.frames(item, timestamp)]
        if self.send_queue.answers < ANSWERS_AHEAD:
            self.room.set()
        due = self.send_queue.due_at()
        if self.ending is None and (due is None or due > now):
            self.wake.clear()
        return self.faults.apply(frames)

    @property
    @override
    def empty(self) -> bool:
        return self.send_queue.empty

    def frames(self, item: Outgoing, timestamp: str) -> Iterable[Frame]:
        """How something is written that was taken from the queue."""
        if not isinstance(item, SendBatch):
            return (self._single(item, timestamp),)
        frames = [self._single(each, timestamp) for each in item.items]
        positions = [frame.position for frame in frames if frame.position]
        body = self.encoding.batch([frame.body for frame in frames])
        return (Frame("batch", body, position=positions[-1] if positions else None, binary=self.encoding.binary),)

    def _single(self, item: Single, timestamp: str) -> Frame:
        epoch = self.feed.history.epoch
        match item:
            case SendEvent(entry, replay, advance):
                names = self._grant.fields_of("events")
                head = Head(timestamp, epoch, entry.offset, replay=replay, urgent=advance)
                return self._wrapped("event", self.cache.data(self.encoding, epoch, entry, names), head)
            case SendState(payload, offset, seq):
                return self._wrapped(payload.kind, self._state_data(payload), Head(timestamp, epoch, offset, seq))
            case SendDropped(count, after, last):
                lost = {"events": count, "from": f"{epoch}-{after}", "to": f"{epoch}-{last}"}
                return self._answer({"type": "dropped", "timestamp": timestamp, "data": lost})
            case Say(message):
                return self._answer(message)

    def _wrapped(self, kind: str, data: bytes, head: Head) -> Frame:
        body = self.encoding.wrap(kind, data, head)
        position = None if head.urgent else head.position
        return Frame(kind, body, position=position, binary=self.encoding.binary)

    def _state_data(self, payload: Payload) -> bytes:
        name = self.encoding.name
        if name not in payload.encoded:
            payload.encoded[name] = self.encoding.state_data(payload)
        return payload.encoded[name]

    def _answer(self, message: Mapping[str, Any]) -> Frame:
        kind = message["type"]
        body = self.encoding.message(message)
        return Frame(sse_name(kind), body, heartbeat=kind in HEARTBEATS, binary=self.encoding.binary)

    @property
    def _grant(self) -> Grant:
        """What is in force; nothing but answers is sent without."""
        return self.send_queue.grant or Grant()
