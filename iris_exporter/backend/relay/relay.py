"""The relay itself: polls, finds what is new, commits it, and only then lets it be sent.

Theory of operation. Each event gets its offset by being committed, with the source's position after it in the same
transaction. A relay that is killed before the commit finds the event again in the source's next answer; one that is
killed after it has the event in its history, from which clients resume. So nothing is lost and nothing comes twice, as
long as the source still has what was not committed.

A source with positions (docs/protocol.md, section 4) is asked for what follows the last one. Of another one there is
only a list of the newest events: when nothing in it is known, the longest list that it may give is asked for, and when
nothing in that is known either, events may be missing, which is logged and counted.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import msgspec

from iris_exporter.backend.history import Entry
from iris_exporter.backend.objects import Anomaly as SentAnomaly
from iris_exporter.backend.objects import Event as SentEvent
from iris_exporter.backend.relay import conversion
from iris_exporter.backend.relay.journal import MORE_IDS, Journal, JournalError, Row
from iris_exporter.backend.relay.pace import Pace
from iris_exporter.backend.relay.relayed import Relayed
from iris_exporter.backend.relay.stats import RelayStats
from iris_exporter.backend.relay.upstream import MOST_EVENTS, WINDOW_EVENTS, Upstream
from iris_exporter.backend.relay.window import follows, oldest_first, together, unseen
from iris_exporter.backend.wire import encode
from iris_exporter.clock import Clock
from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.core.positions import parse_position
from iris_exporter.decoding.messages import Anomaly, Event, Overview
from iris_exporter.logs import get_logger
from iris_exporter.process.blocking import STATE, BlockedError

MAX_PAGES = 20
"""Pages of events in one poll; what is left comes with the next one."""
TIDY_SECONDS = 3600.0
"""Events that are too old are looked for at least so often."""
_LINES_PER_MINUTE = 5

_log = get_logger(__name__)
_limited = _log.limited(_LINES_PER_MINUTE)
_decode_event = msgspec.json.Decoder(SentEvent).decode


def entries_of(rows: Sequence[Row]) -> list[Entry]:
    """Rows of a journal as entries of a history; those that have only an id are left out."""
    return [Entry(row.offset, _decode_event(row.body), msgspec.Raw(row.body)) for row in rows if row.body is not None]


class KnownIds:
    """Ids of the latest events, as many as the journal has; falsy without any."""

    def __init__(self, capacity: int) -> None:
        self._ids: dict[str, None] = {}
        self._capacity = capacity + MORE_IDS

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._ids

    def add(self, event_id: str) -> None:
        """Know another one, and forget the oldest where they are too many."""
        self._ids[event_id] = None
        if len(self._ids) > self._capacity:
            del self._ids[next(iter(self._ids))]


@dataclass(eq=False, kw_only=True)
class Relay:
    """Call `poll` again and again, each time after the seconds that it returned.

    `last` is the offset of the latest event in the journal, `cursor` the source's position after it, if it has any.
    """

    upstream: Upstream
    journal: Journal
    place: Hashable
    """What work on the journal waits for: its directory."""
    relayed: Relayed
    known: KnownIds
    pace: Pace
    stats: RelayStats
    clock: Clock
    last: int
    cursor: str | None
    _overview: Overview | None = field(default=None, init=False)
    _anomalies: tuple[Anomaly, ...] | None = field(default=None, init=False)
    """Those of a source whose overview has none."""
    _written_at: float = field(default=0.0, init=False)
    """When something was last written to the journal, in monotonic seconds."""

    async def poll(self) -> float:
        """Ask the source once, deal with all that it answers, and return the seconds until the next time."""
        try:
            share = await self._take()
        except TransportError as error:
            return self._failed(error.failure)
        except (JournalError, BlockedError) as error:
            self.stats.history_failures += 1
            _limited.warning("history.not_written", error=error, detail="its events are sent once they are written")
            self.relayed.failed(f"its events cannot be stored: {error.strerror or error}")
            self.upstream.forget()  # the next answers have to be whole ones
            return self.pace.after_failure(None)
        if not self.stats.is_up:
            _log.info("source.available", source=self.relayed.description)
        self.stats.is_up = True
        self.stats.last_success = self.clock.wall()
        self.relayed.succeeded()
        return self.pace.after_success(share)

    def _failed(self, failure: Failure) -> float:
        self.stats.failures[failure.listed_reason] += 1
        self.stats.is_up = False
        self.relayed.failed(str(failure))
        # What was half dealt with must not be answered with "not modified".
        self.upstream.forget()
        seconds = self.pace.after_failure(failure.retry_after_seconds)
        _limited.warning(
            "source.failed", reason=failure.reason, detail=failure.detail, again_in_seconds=round(seconds, 1)
        )
        return seconds

    async def _take(self) -> float:
        """Take what has changed; returns how much of a list of the newest events was new."""
        found = await self.upstream.overview()
        overview = found or self._overview
        if overview is None:
            raise TransportError(Failure("not_a_stream", "not modified, without having been read"))
        self._overview = overview
        self.relayed.show(
            conversion.metrics(overview.metrics),
            None if overview.projects is None else [conversion.project(each) for each in overview.projects],
            await self._current_anomalies(overview),
        )
        share = await self._take_events(overview, has_changed=found is not None)
        await self._record((), None)
        return share

    async def _current_anomalies(self, overview: Overview) -> list[SentAnomaly] | None:
        anomalies = overview.anomalies
        if anomalies is None:
            found = await self.upstream.anomalies()
            self._anomalies = anomalies = self._anomalies if found is None else found
        return None if anomalies is None else [conversion.anomaly(each) for each in anomalies]

    async def _take_events(self, overview: Overview, *, has_changed: bool) -> float:
        position = overview.cursor if parse_position(overview.cursor or "") else None
        if position is not None and self.cursor is not None:
            return 0.0 if position == self.cursor else await self._follow(overview, self.cursor)
        if overview.events:
            return await self._take_window(overview.events, position) if has_changed else 0.0
        window = await self.upstream.events(WINDOW_EVENTS)
        return 0.0 if window is None else await self._take_window(window, position)

    async def _take_window(self, window: Sequence[Event], position: str | None) -> float:
        """Take the newest events of a source, whose position after them is `position`."""
        events = oldest_first(window)
        found = unseen(events, self.known.__contains__)
        is_first = not self.known
        if found.is_overrun and not is_first:
            longer = await self.upstream.events(MOST_EVENTS)
            more = unseen(together(oldest_first(longer or ()), events), self.known.__contains__)
            await self._record(more.events, position)
            if more.is_overrun:
                self._gap("all events in the longest list of the source are new")
        else:
            await self._record(found.events, position)
        return 0.0 if is_first else found.share

    async def _follow(self, overview: Overview, after: str) -> float:
        """Take what follows a position of the source, page by page."""
        for _ in range(MAX_PAGES):
            page = await self.upstream.page(after)
            if page is None:
                return await self._take_window(overview.events or (), overview.cursor)
            events = unseen(page.overview.events or (), self.known.__contains__).events
            if not follows(after, page.cursor):
                # It has another history now. Its list of the newest events may have more than what follows.
                window = oldest_first(overview.events or ())
                events = unseen(together(events, window), self.known.__contains__).events
                self._gap("the source has another history than before")
            elif page.missed:
                self.stats.missed += page.missed
                self._gap(f"the source has lost {page.missed} events that were not asked for in time")
            await self._record(events, page.cursor)
            if not page.more or page.cursor == after:
                break
            after = page.cursor
        return 0.0

    def _gap(self, reason: str) -> None:
        self.stats.gaps += 1
        _limited.warning(
            "source.events_missed", reason=reason, detail="others may have been missed; a shorter poll interval helps"
        )

    async def _record(self, events: Sequence[Event], position: str | None) -> None:
        """Commit events, oldest first, and let them be sent."""
        is_due = self.clock.monotonic() - self._written_at >= TIDY_SECONDS  # what is too old has to go
        if not events and position in (None, self.cursor) and not is_due:
            return
        rows = [(event.id, encode(conversion.event(event))) for event in events]
        now, after = self.clock.wall(), self.last
        committed = await STATE.run(lambda: self.journal.record(after, rows, position, now), self.place)
        self._written_at = self.clock.monotonic()
        self.cursor = position or self.cursor
        for row in committed:
            self.known.add(row.event_id)
            self.last = row.offset
        self.relayed.send(entries_of(committed), self.journal.first)
