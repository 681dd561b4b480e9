"""The state of a stream that a mapping describes: batches in, counts and last values out.

An element counts once, whichever way it comes: its id is the first of two tests, its position the second, and then come
effects that cannot fail. A batch whose elements are all new is taken column by column, any other one element by
element; both give the same. Counters only rise, also over `forget`.

Nothing here reads a clock: `now` is wall time in Unix seconds, given by the caller.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Mapping as FamilyMapping
from types import MappingProxyType
from typing import cast

from typing_extensions import override

from iris_exporter.core.advances import Advances
from iris_exporter.core.dedup import SeenIds
from iris_exporter.core.doubts import Doubt
from iris_exporter.core.limits import DEFAULT_LIMITS, Limits
from iris_exporter.core.places import PlaceCursor
from iris_exporter.core.positions import Outcome
from iris_exporter.decoding.elements import (
    LabelValues,
    MappedBatch,
    UnmadeEvent,
    in_seconds,
)
from iris_exporter.decoding.messages import Message, Overview, Pong, Resumed, UpstreamError
from iris_exporter.mapping.spec import Mapping, MetricKind, MetricSpec
from iris_exporter.model.mapped_changes import Sample, aged, changes_of, events_of, known_times, rows_of
from iris_exporter.model.mapped_series import CounterFamily, HistogramFamily, Room, ValueFamily
from iris_exporter.model.snapshot import DataFlow, MappedView, Shown, Snapshot
from iris_exporter.model.source_state import NO_CHANGES, Changes, SourceState

AnyFamily = CounterFamily | HistogramFamily | ValueFamily


class MappedState(SourceState):
    """What one stream with a mapping is believed to be; `seen` and `cursor` are those of a previous process.

    Without any message for `stale_after_seconds` values are no longer shown; what was counted is.
    """

    def __init__(
        self,
        mapping: Mapping,
        name: str,
        stale_after_seconds: float,
        cursor: PlaceCursor,
        seen: SeenIds | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.name = name
        self.limits = limits
        self.stale_after_seconds = stale_after_seconds
        self.seen = SeenIds(mapping.limits.ids) if seen is None else seen
        self.cursor = cursor
        self.counted = 0
        self.doubts: set[Doubt] = set()
        self.advances = Advances(1)
        self._mapping = mapping
        self._room = Room(mapping.limits.series)
        self.dropped = self._room.dropped
        self._families = families_of(mapping, self._room)
        self._parts = [tuple(dict.fromkeys(metric.name for metric in part.metrics)) for part in mapping.parts]
        self._named: dict[int, dict[str, set[LabelValues]]] = {}  # of parts that replace
        self._was_duplicate = False  # the element of the batch before
        self._heard_at: float | None = None
        self._data_at: float | None = None
        self._view: Snapshot | None = None
        self._shown: dict[str, FamilyMapping[LabelValues, Shown]] = {}
        self._series: dict[str, FamilyMapping[LabelValues, Shown]] = {}

    @override
    def take_over(self, before: SourceState, now: float) -> None:
        """Series stay whose name, type and labels do."""
        if not isinstance(before, MappedState):
            return
        self.counted = before.counted
        self._heard_at, self._data_at = before._heard_at, before._data_at  # noqa: SLF001 (its own kind)
        for name, family in self._families.items():
            old = before._families.get(name)  # noqa: SLF001 (its own kind)
            if old is None or not family.continues(old):
                continue
            if isinstance(family, ValueFamily):
                family.take_over(cast("ValueFamily", old), now)
            elif isinstance(family, CounterFamily):
                family.take_over(cast("CounterFamily", old))
            else:
                family.take_over(cast("HistogramFamily", old))
        self._named = self._named_before(before._named.values())  # noqa: SLF001 (its own kind)

    def _named_before(
        self, parts: Iterable[FamilyMapping[str, set[LabelValues]]]
    ) -> dict[int, dict[str, set[LabelValues]]]:
        """What parts that replace have named, by the parts of this mapping, which may have other numbers."""
        named: dict[str, set[LabelValues]] = {}
        for part in parts:
            for name, keys in part.items():
                named.setdefault(name, set()).update(keys)
        return {
            number: {name: named[name] & self._families[name].keys.keys() for name in names if name in named}
            for number, names in enumerate(self._parts)
        }

    @override
    def limit(self, limits: Limits) -> None:
        """The limits of series are those of the mapping."""
        self.limits = limits

    @property
    @override
    def has_dropped(self) -> bool:
        return super().has_dropped or bool(self.cursor.dropped_keys)

    @override
    def take_dropped(self) -> dict[str, int]:
        dropped = dict(self.dropped)
        self.dropped.clear()
        if self.seen.forgotten:
            dropped["event_ids"], self.seen.forgotten = self.seen.forgotten, 0
        if self.cursor.dropped:
            dropped["positions"], self.cursor.dropped = self.cursor.dropped, 0
        if self.cursor.dropped_keys:
            dropped["cursor_keys"], self.cursor.dropped_keys = self.cursor.dropped_keys, 0
        return dropped

    @override
    def take_dropped_series(self) -> dict[str, int]:
        dropped = dict(self._room.by_metric)
        self._room.by_metric.clear()
        return dropped

    @override
    def apply(self, message: Message, now: float) -> Changes:
        """Take a batch or a sign of life: see `StreamState.apply`."""
        if isinstance(message, MappedBatch):
            return self._apply_batch(message, now)
        if not isinstance(message, UpstreamError | Pong):
            self._heard_at = now
        if isinstance(message, Resumed):
            gap = self.cursor.answered(message.outcome, message.replayed, message.missed, None, None)
            return Changes(gap=gap) if gap else NO_CHANGES
        return NO_CHANGES

    @override
    def apply_snapshot(self, overview: Overview, now: float, *, full: bool = True, polling: bool = False) -> Changes:
        """A document of a mapping is one more message."""
        return NO_CHANGES

    @override
    def heard(self, now: float) -> None:
        self._heard_at = now

    @override
    def forget(self) -> None:
        self.cursor.forget()
        for family in self._families.values():
            if isinstance(family, ValueFamily):
                family.clear()
        self._named.clear()
        self._heard_at = self._data_at = self._view = None

    # Batches

    def _apply_batch(self, batch: MappedBatch, now: float) -> Changes:
        self._heard_at = now
        if batch.is_data:
            self._data_at = now
        if batch.cut:
            self.dropped["label_text"] = self.dropped.get("label_text", 0) + batch.cut
        if batch.stands_for:
            self.cursor.stand_for(batch.stands_for)
        if batch.follows and self._was_duplicate:
            return NO_CHANGES
        if batch.count > self._mapping.limits.ids and batch.ids is not None:
            self._note_size(batch)
        if self.seen.pinned and not self.cursor.is_behind:
            self.seen.unpin()
        if self._take_at_once(batch):
            self._was_duplicate = False
            self._add_all(batch, now)
            self.counted += batch.count
            return changes_of(batch.times, events_of(batch.events))
        return self._take_each(batch, now)

    def _take_at_once(self, batch: MappedBatch) -> bool:
        """Whether all elements are new and can be taken column by column; then ids and positions are noted."""
        if not batch.plain or batch.is_history or batch.replaces or batch.forgotten or not self._has_room_for(batch):
            return False
        positions = batch.positions
        most = max(batch.elements_each, default=0) if batch.elements_each is not None else 1
        if positions and (batch.position_keys or not self.cursor.joins(positions, most)):
            return False
        ids = batch.ids or ()
        if batch.elements_each is not None and None in ids:  # of several kinds of messages
            ids = [event_id for event_id in ids if event_id is not None]
        if ids and not self.seen.see_all(cast("Sequence[str]", ids)):
            return False
        if positions and (doubt := self.cursor.pass_all(positions)) is not None:
            self._doubt(doubt)
        return True

    def _note_size(self, batch: MappedBatch) -> None:
        """One message with more ids than are remembered may come again as a whole, as a polled document does."""
        each = batch.elements_each or ((1,) if batch.plain else (batch.count,))
        if max(each) > self._mapping.limits.ids:
            self.doubts.add(Doubt.MANY)

    def _doubt(self, doubt: Doubt) -> None:
        self.doubts.add(doubt)
        self.cursor.checks = False

    @override
    def unanswered(self) -> Outcome:
        return self.cursor.unanswered()

    @override
    def note_id(self, identifier: str) -> bool:
        is_number = self.cursor.checks and identifier.isascii() and identifier.isdigit()
        if is_number and self.cursor.doubt_of(identifier) is Doubt.DISORDER:
            self._doubt(Doubt.DISORDER)
        return self.cursor.note_id(identifier)

    def _has_room_for(self, batch: MappedBatch) -> bool:
        """Whether series that are new fit; else the order of samples decides which of them do."""
        families = self._families
        widest = sum(len(samples.keys) * families[samples.metric].width for samples in batch.samples)
        return self._room.left >= widest or self._room.left >= sum(
            families[samples.metric].fresh(samples.counts or samples.keys) for samples in batch.samples
        )

    def _add_all(self, batch: MappedBatch, now: float) -> None:
        for samples in batch.samples:
            family = self._families[samples.metric]
            values = aged(samples, now)
            if isinstance(family, ValueFamily):
                times = None if batch.times is None else in_seconds(batch.times)
                if times is not None and samples.rows is not None:
                    times = [times[row] for row in samples.rows]
                family.set_all(samples.keys, values, times, now)
            elif isinstance(family, CounterFamily):
                family.add_all(samples, cast("Sequence[float] | None", values))
            else:
                family.add_all(samples.keys, cast("Sequence[float]", values))

    def _take_each(self, batch: MappedBatch, now: float) -> Changes:
        """Take a batch element by element."""
        times = None if batch.times is None else in_seconds(batch.times)
        rows = rows_of(batch, now)
        gap = duplicates = row = 0
        sent: list[float | None] = []
        unmade: list[UnmadeEvent | None] = []
        for number, count in enumerate(batch.elements_each or [1] * batch.count):
            late, doubt = 0, None
            if batch.positions:
                position = batch.positions[number]
                key = None if batch.position_keys is None else batch.position_keys[number]
                doubt = self.cursor.doubt_of(position) if self.cursor.checks else None
                gap += self.cursor.take(position, count, key)
                late = self.cursor.too_late(position, count)
            for place in range(count):
                if self._is_new(batch, row, is_late=place < late):
                    if doubt is not None:
                        self._doubt(doubt)
                    self._take_row(batch, row, rows[row], None if times is None else times[row], now)
                    if times is not None and not batch.is_history:
                        sent.append(times[row])
                    if batch.events is not None and not batch.is_history:
                        unmade.append(batch.events[row])
                elif batch.is_history:
                    self._take_row(batch, row, rows[row], None if times is None else times[row], now)
                else:
                    duplicates += 1
                row += 1
        if batch.replaces:
            self._replace(batch)
        self._was_duplicate = bool(batch.count) and duplicates == batch.count
        return Changes(duplicates=duplicates, gap=gap, sent=known_times(sent), unmade=events_of(unmade))

    def _is_new(self, batch: MappedBatch, row: int, *, is_late: bool) -> bool:
        event_id = batch.ids[row] if batch.ids is not None else None
        if event_id is None:
            return not is_late
        if not self.seen.see(event_id) or is_late:
            return False
        if self.cursor.is_behind:
            self.seen.pin((event_id,))
        return True

    def _take_row(
        self, batch: MappedBatch, row: int, samples: "Sequence[Sample]", time: float | None, now: float
    ) -> None:
        if batch.forgotten:
            for forgotten in batch.forgotten[row]:
                family = self._families[forgotten.metric]
                if isinstance(family, ValueFamily):
                    family.forget(forgotten)
        for metric, key, value in samples:
            family = self._families[metric]
            if isinstance(family, ValueFamily):
                family.set(key, value, time, now)
            elif not batch.is_history:
                family.add(key, cast("float", value))
        if not batch.is_history:
            self.counted += 1

    def _replace(self, batch: MappedBatch) -> None:
        """Series of a part that its last message named and this one does not go."""
        before = self._named.get(batch.part, {})
        named: dict[str, set[LabelValues]] = {}
        for name in self._parts[batch.part]:
            family = self._families[name]
            if isinstance(family, ValueFamily):
                keys = {key for samples in batch.samples if samples.metric == name for key in samples.keys}
                named[name] = keys & family.keys.keys()
                family.remove(before.get(name, set()) - keys)
        self._named[batch.part] = named

    # The view

    @override
    def view(self, now: float) -> Snapshot:
        flow = self._flow(now)
        before = self._series
        self._series = {
            name: self._frozen(name, family, now, is_stale=flow is DataFlow.SILENT)
            for name, family in self._families.items()
        }
        view, is_same = self._view, all(self._series[name] is before[name] for name in before)
        if view is not None and is_same and view.flow is flow and view.last_data_timestamp == self._data_at:
            return view
        self._view = Snapshot(
            stream=self.name,
            metrics=None,
            projects=(),
            anomalies=(),
            events=(),
            event_counts={},
            last_data_timestamp=self._data_at,
            flow=flow,
            max_events=self.limits.max_events,
            mapped=MappedView(self._series),
        )
        return self._view

    def _frozen(self, name: str, family: AnyFamily, now: float, *, is_stale: bool) -> FamilyMapping[LabelValues, Shown]:
        """The series of a metric; the same object as long as nothing has changed."""
        if is_stale and isinstance(family, ValueFamily) and family.spec.kind is not MetricKind.COUNTER:
            return NOTHING_SHOWN
        if isinstance(family, ValueFamily):
            family.expire(now)
        if family.is_changed or name not in self._shown:
            family.is_changed = False
            self._shown[name] = family.shown()
        return self._shown[name]

    def _flow(self, now: float) -> DataFlow:
        """Whether messages arrive, and whether they carry data."""
        if self._heard_at is None or now - self._heard_at >= self.stale_after_seconds:
            return DataFlow.SILENT
        if self._data_at is None or now - self._data_at >= self.stale_after_seconds:
            return DataFlow.IDLE
        return DataFlow.FLOWING


NOTHING_SHOWN: FamilyMapping[LabelValues, Shown] = MappingProxyType({})


def families_of(mapping: Mapping, room: Room) -> dict[str, AnyFamily]:
    """The families of a mapping, without series."""
    parts = list(mapping.parts)
    timed = {metric.name for part in parts if part.time is not None for metric in part.metrics}
    forgets = {tuple(name for name, _ in part.forget) for part in parts if part.forget}
    return {metric.name: _family(metric, room, metric.name in timed, forgets) for metric in mapping.metrics}


def _family(metric: MetricSpec, room: Room, is_timed: bool, forgets: Iterable[tuple[str, ...]]) -> AnyFamily:
    if metric.kind is MetricKind.HISTOGRAM:
        return HistogramFamily(metric, room)
    if metric.kind is MetricKind.COUNTER and not metric.total:
        return CounterFamily(metric, room)
    names = [label.name for label in metric.labels]
    by = [tuple(map(names.index, each)) for each in forgets if set(each) <= set(names)]
    return ValueFamily(
        metric, room, is_timed=is_timed, forgotten_by=by if metric.kind is not MetricKind.COUNTER else ()
    )
