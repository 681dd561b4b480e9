"""The state of one stream: messages and snapshots in, what changed out, a frozen view for readers.

Rules of merging. Headline figures and projects merge field by field, and a missing field keeps its value. Anomalies
merge by id, and a resolved one is removed. An event counts once, whichever way it arrives first: both stream channels,
a replay after a reconnect and every REST snapshot (the first one included) share one memory of ids. New events go in
front of the feed. A full snapshot, and the first state of a subscription, is the whole truth about the projects and
anomalies that it carries, so those it lacks vanish; it never removes events. Counters only rise, also over `forget`.

Nothing here reads a clock: `now` is wall time in Unix seconds, given by the caller.
Source: the IRIS wire, section 4.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import TypeVar, cast

from typing_extensions import override

from iris_exporter.core.advances import Advances
from iris_exporter.core.cursor import Cursor
from iris_exporter.core.dedup import SeenIds
from iris_exporter.core.limits import DEFAULT_LIMITS, Limits
from iris_exporter.decoding.messages import (
    Anomaly,
    DeferredMessage,
    Dropped,
    Event,
    EventBatch,
    EventMessage,
    Message,
    Metrics,
    Overview,
    Pong,
    Project,
    Resumed,
    Subscribed,
    Update,
    UpstreamError,
)
from iris_exporter.model.merging import merged, merged_anomaly
from iris_exporter.model.snapshot import DataFlow, EventKey, Feed, Snapshot
from iris_exporter.model.source_state import NO_CHANGES, Changes, SourceState

Entity = TypeVar("Entity", Project, Anomaly)

OVERFLOW_KEY: EventKey = ("other", "other", "other")
"""What events are counted under when no further label set may be: the sum stays right."""

_DUPLICATE = Changes(duplicates=1)
_DUPLICATE_REPLAY = Changes(duplicates=1, replayed=1)


class StreamState(SourceState):
    """What one stream is believed to be.

    Without any message of the source, heartbeats included, for `stale_after_seconds` the state is no longer shown.
    `seen`, `cursor` and `advances` are those of a previous process; fresh ones when None. What `limits` leave out is
    counted by kind in `dropped` until `take_dropped` is called.
    """

    def __init__(
        self,
        name: str,
        stale_after_seconds: float,
        seen: SeenIds | None = None,
        cursor: Cursor | None = None,
        limits: Limits = DEFAULT_LIMITS,
        advances: Advances | None = None,
    ) -> None:
        self.name = name
        self.limits = limits
        self.dropped: dict[str, int] = {}
        self.seen = SeenIds(limits.max_event_ids) if seen is None else seen
        self.cursor: Cursor = Cursor() if cursor is None else cursor
        self.stale_after_seconds = stale_after_seconds
        self.counted = 0
        """Events counted since the start, whatever their labels."""
        self.advances = Advances(limits.max_event_ids) if advances is None else advances
        self._metrics: Metrics | None = None
        self._projects: dict[str, Project] = {}
        self._anomalies: dict[str, Anomaly] = {}
        # Newest first; made with the first event, since an empty deque has room for 64 already.
        self._feed: deque[Event | DeferredMessage] | None = None
        self._counts: Counter[EventKey] = Counter()
        self._heard_at: float | None = None
        self._data_at: float | None = None
        # The last view, and its parts; a part is None when it has changed since.
        self._view: Snapshot | None = None
        self._projects_view: tuple[Project, ...] | None = None
        self._anomalies_view: tuple[Anomaly, ...] | None = None

    @override
    def limit(self, limits: Limits) -> None:
        """Set other limits; of what is there already only the feed and the ids shrink."""
        self.limits = limits
        if self._feed is not None:
            self._feed = deque(list(self._feed)[: limits.max_events], maxlen=limits.max_events)
        self.seen.resize(limits.max_event_ids)
        self._view = None

    @override
    def take_dropped(self) -> dict[str, int]:
        """How much was left out since the last call, by the kinds of `iris_stream_dropped_total`."""
        dropped, self.dropped = self.dropped, {}
        if self.seen.forgotten:
            dropped["event_ids"], self.seen.forgotten = self.seen.forgotten, 0
        if self.cursor.dropped:
            dropped["positions"], self.cursor.dropped = self.cursor.dropped, 0
        return dropped

    def _drop(self, kind: str, count: int = 1) -> None:
        self.dropped[kind] = self.dropped.get(kind, 0) + count

    @override
    def apply(self, message: Message, now: float) -> Changes:
        """Take one message of the stream; `now` is when it arrived.

        Every message proves that the source lives, except an `error` and the answer to our own ping, which proves that
        the link is alive and no more.
        """
        if self.seen.pinned:
            self._unpin_ids()
        if type(message) is EventMessage:
            self._heard_at = now
            return self._apply_event(message, now)
        if isinstance(message, UpstreamError | Pong):
            return NO_CHANGES
        self._heard_at = now
        if isinstance(message, Update):
            return self._apply_update(message, now)
        if isinstance(message, Resumed):
            return self._resumed(message)
        if isinstance(message, Subscribed):
            if message.resumed is not None:
                return self._resumed(message.resumed)
            if message.position is not None and not self.cursor.awaiting_answer:
                self.cursor.document(message.position, 0, polling=False)
        elif isinstance(message, Dropped) and message.to is not None:
            self.cursor.left_out(message.to)
        return NO_CHANGES

    def _resumed(self, answer: Resumed) -> Changes:
        gap = self.cursor.answered(answer.outcome, answer.replayed, answer.missed, answer.epoch, answer.last_event_id)
        return Changes(gap=self.advances.reported(gap)) if gap else NO_CHANGES

    @override
    def apply_batch(self, batch: EventBatch, now: float) -> bool:
        """Take a batch at once, when every event is new, live and the next in the numbering, if there is one.

        The effect is that of `apply` for each message, which would have brought one event and nothing else. False, and
        no effect, for any other batch: then each message has to be applied.
        """
        if self.seen.pinned:
            self._unpin_ids()
        positions = batch.positions
        numbered = len(positions) - positions.count(None)
        if numbered and (numbered < len(positions) or not self.cursor.precedes(cast("list[str]", positions))):
            return False
        if (early := self.advances.outstanding) and not early.keys().isdisjoint(batch.ids):
            return False
        if batch.has_replays or not self.seen.see_all(batch.ids):
            return False
        if numbered:
            self.cursor.advance(len(batch))
        self._heard_at = self._data_at = now
        self._view = None
        self._count_all(batch)
        self._feed_to_extend().extendleft(batch.deferred[-self.limits.max_events :])
        return True

    @override
    def apply_snapshot(self, overview: Overview, now: float, *, full: bool = True, polling: bool = False) -> Changes:
        """Take a REST document that arrived at `now`.

        Args:
            overview: The content of the document.
            now: When it arrived.
            full: Whether it is the whole overview rather than one part or page of it.
            polling: Whether there is no stream beside the documents.
        """
        self._heard_at = now
        changes = self._merge(overview, now, full, overview.cursor)
        if full:  # a page brings what is next in its turn
            self._pin_ids(changes.events)
        if overview.cursor is not None:
            self.cursor.document(overview.cursor, len(overview.events or ()), polling=polling)
            self._pin_ids(changes.events)
            self._unpin_ids()
        return changes

    def _pin_ids(self, events: Iterable[Event]) -> None:
        """Pin the ids of new events where the cursor is behind: they will come once more, perhaps long after."""
        if self.cursor.is_behind:
            self.seen.pin(event.id for event in events)

    def _unpin_ids(self) -> None:
        """Unpin all where the cursor has caught up: no event that came out of order is still to come once more."""
        if self.seen.pinned and not self.cursor.is_behind:
            self.seen.unpin()

    @override
    def heard(self, now: float) -> None:
        """Note that the source lives without data: a heartbeat, or an answer that nothing has changed."""
        self._heard_at = now

    @override
    def forget(self) -> None:
        """Clear the state, the feed and the position. Counters and seen ids stay: no event counts twice."""
        self.cursor.forget()
        self._metrics = None
        self._projects.clear()
        self._anomalies.clear()
        self._feed = None
        self._heard_at = self._data_at = None
        self._view = self._projects_view = self._anomalies_view = None

    @override
    def view(self, now: float) -> Snapshot:
        """The state for readers; the same object as long as nothing has changed."""
        flow = self._flow(now)
        view = self._view
        if view is not None and view.flow is flow:
            return view
        stale = flow is DataFlow.SILENT
        if self._projects_view is None:
            self._projects_view = tuple(self._projects.values())
        if self._anomalies_view is None:
            self._anomalies_view = tuple(self._anomalies.values())
        self._view = Snapshot(
            stream=self.name,
            metrics=None if stale else self._metrics,
            projects=() if stale else self._projects_view,
            anomalies=() if stale else self._anomalies_view,
            events=Feed(self._feed) if self._feed else (),
            event_counts=self._counts.copy(),
            last_data_timestamp=self._data_at,
            flow=flow,
            max_events=self.limits.max_events,
        )
        return self._view

    def _flow(self, now: float) -> DataFlow:
        """Whether messages arrive, and whether they carry data."""
        if self._heard_at is None or now - self._heard_at >= self.stale_after_seconds:
            return DataFlow.SILENT
        if self._data_at is None or now - self._data_at >= self.stale_after_seconds:
            return DataFlow.IDLE
        return DataFlow.FLOWING

    def _apply_event(self, message: EventMessage, now: float) -> Changes:
        """The hot path: a new event costs a few dictionary operations, a known one two look-ups."""
        self._data_at = now
        self._view = None
        position, replay, event = message.position, message.replay, message.event
        if message.is_advance:
            return self._apply_advance(message, now)
        if position is not None:
            if replay:
                self.cursor.replayed(position)
            else:
                self.cursor.live(position, 1)
        if (early := self.advances.outstanding) and event.id in early:
            self.seen.see(event.id)
            return Changes(replayed=int(replay), gap=self.advances.take(event.id))
        if not self.seen.see(event.id) or (position is not None and self.cursor.too_late(position, 1)):
            return _DUPLICATE_REPLAY if replay else _DUPLICATE
        self._count((event.project, event.event_type, event.severity))
        self._feed_to_extend().appendleft(event)
        if replay:
            return Changes((event,), 0, 1)
        self._pin_ids((event,))
        sent = message.timestamp
        return Changes((event,), 0, 0, 0, None if sent is None else max(now - sent, 0.0))

    def _apply_advance(self, message: EventMessage, now: float) -> Changes:
        """An event that overtook others: counted now, and expected once more. The cursor stays before those."""
        event, sent = message.event, message.timestamp
        if not self.seen.see(event.id):
            return _DUPLICATE
        self.advances.add(event.id)
        self._count((event.project, event.event_type, event.severity))
        self._feed_to_extend().appendleft(event)
        return Changes((event,), 0, 0, 0, None if sent is None else max(now - sent, 0.0), 1)

    def _feed_to_extend(self) -> deque[Event | DeferredMessage]:
        if self._feed is None:
            self._feed = deque(maxlen=self.limits.max_events)
        return self._feed

    def _count(self, key: EventKey) -> None:
        self.counted += 1
        counts = self._counts
        if key in counts or len(counts) < self.limits.max_event_series:
            counts[key] += 1
        else:
            counts[OVERFLOW_KEY] += 1
            self._drop("event_labels", 1)

    def _count_all(self, batch: EventBatch) -> None:
        """The same for each event of a batch: the keys that are too many are the last ones in the table."""
        self.counted += len(batch)
        counts = self._counts
        most = max(len(counts), self.limits.max_event_series)
        counts.update(zip(batch.projects, batch.event_types, batch.severities, strict=True))
        if len(counts) > most:
            over = sum(counts.popitem()[1] for _ in range(len(counts) - most))
            counts[OVERFLOW_KEY] += over
            self._drop("event_labels", over)

    def _apply_update(self, message: Update, now: float) -> Changes:
        changes = self._merge(message.overview, now, message.is_whole, message.position)
        events = len(message.overview.events or ())
        if message.replay:
            if message.position is not None:
                self.cursor.replayed(message.position)
            return Changes(changes.events, changes.duplicates, events)
        self._pin_ids(changes.events)
        if message.position is not None:
            # A message without a list of events (an anomaly that opened) stands for one.
            self.cursor.live(message.position, max(1, events))
        sent = message.timestamp
        delay = None if sent is None else max(now - sent, 0.0)
        return Changes(changes.events, changes.duplicates, 0, 0, delay)

    def _merge(self, overview: Overview, now: float, full: bool, position: str | None) -> Changes:
        self._data_at = now
        self._view = None
        if overview.metrics is not None:
            self._metrics = merged(self._metrics, overview.metrics)
        if self._merge_all(self._projects, overview.projects, full, self.limits.max_projects, "projects", merged):
            self._projects_view = None
        for project in overview.removed or ():
            if self._projects.pop(project, None) is not None:
                self._projects_view = None
        if self._merge_all(
            self._anomalies, overview.anomalies, full, self.limits.max_anomalies, "anomalies", merged_anomaly
        ):
            self._anomalies_view = None
        events, duplicates = self._merge_events(overview.events, position)
        return Changes(events, duplicates)

    def _merge_all(
        self,
        known: dict[str, Entity],
        found: tuple[Entity, ...] | None,
        full: bool,
        most: int,
        kind: str,
        merge: Callable[[Entity | None, Entity], Entity | None],
    ) -> bool:
        """Merge projects or anomalies by their ids; return whether anything is different now."""
        if found is None:
            return False
        vanished = known.keys() - {each.id for each in found} if full else ()
        for entity_id in vanished:
            del known[entity_id]
        is_different = bool(vanished)
        for each in found:
            before = known.get(each.id)
            after = merge(before, each)
            if after is None:
                is_different |= known.pop(each.id, None) is not None
            elif before is None and len(known) >= most:
                self._drop(kind)
            elif after is not before:
                known[each.id] = after
                is_different = True
        return is_different

    def _merge_events(self, events: tuple[Event, ...] | None, position: str | None) -> tuple[tuple[Event, ...], int]:
        """Lists come newest first or, as their timestamps show, oldest first. `position` is that of the newest."""
        if not events:
            return (), 0
        see = self.seen.see
        ascending = (events[0].timestamp or 0.0) < (events[-1].timestamp or 0.0)
        oldest_first = events if ascending else events[::-1]
        late = 0 if position is None else self.cursor.too_late(position, len(events))
        new = [event for index, event in enumerate(oldest_first) if see(event.id) and index >= late]
        duplicates = len(events) - len(new)
        if all(event.timestamp is not None for event in new):
            new.sort(key=lambda event: event.timestamp or 0.0)
        for event in new:
            self._count((event.project, event.event_type, event.severity))
            self._feed_to_extend().appendleft(event)
        return tuple(new), duplicates
