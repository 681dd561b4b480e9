"""What is known of all that is watched. Feed it messages; it returns what has changed, and the screen reads it.

Every method takes `now`, Unix seconds of this machine; `skew` is what the sidecar's clock is ahead. Memory is bounded:
states of all streams, and figures, projects and events of the streams that were shown last.
"""

from dataclasses import dataclass, field

from iris_exporter.core.failures import Failure
from iris_exporter.watch.view import changes
from iris_exporter.watch.view.cards import Card, new_cards
from iris_exporter.watch.view.changes import Change
from iris_exporter.watch.view.feed import Feed, Filter, Row
from iris_exporter.watch.view.objects import (
    EventObject,
    Followed,
    OverviewObject,
    ProjectObject,
    Snapshot,
    StreamObject,
)

MAX_SHOWN = 16
"""Streams whose figures and events are stored on a screen, which shows one of them."""
MAX_PROJECTS = 1000
"""Projects of a stream that are compared and shown, the worst first; a screen has some dozen lines."""
OVERVIEW_SECONDS = 2.0
RETRY_SECONDS = 5.0
"""Between two requests for the overview of a stream, and after one that failed."""
_MAX_EVENTS_OF_OVERVIEW = 500
_WORST_FIRST = {"critical": 0, "warning": 1}


@dataclass(frozen=True, slots=True)
class Link:
    """How the sidecar is reached; `failure` None while it is, or before the first attempt.

    `attempt` counts failures in a row; `next_attempt_at` is Unix seconds of this machine. `url` is empty, and the link
    always up, where streams are followed without a sidecar.
    """

    url: str
    is_up: bool = False
    failure: Failure | None = None
    attempt: int = 0
    next_attempt_at: float | None = None


@dataclass(slots=True)
class Shown:
    """What is stored of a stream that is shown."""

    cards: tuple[Card, ...] = field(default_factory=new_cards)
    projects: tuple[ProjectObject, ...] = ()
    more_projects: int = 0
    statuses: dict[str, str | None] = field(default_factory=dict)  # of projects, as last heard
    feed: Feed = field(default_factory=Feed)
    stale: bool = False
    has_overview: bool = False
    problem: Failure | None = None
    asked_for: object = None
    ask_at: float = 0.0


@dataclass(slots=True)
class Speed:
    """Messages in a second and their mean delay, over the last seconds."""

    samples: list[tuple[float, float, float, float]] = field(default_factory=list)

    def take(self, stream: StreamObject, now: float) -> None:
        """Note the counters."""
        self.samples.append((now, stream.messages_total, stream.delay.count, stream.delay.sum_seconds))
        while len(self.samples) > 2 and (self.samples[1][0] <= now - 10 or len(self.samples) > 100):
            del self.samples[0]

    @property
    def per_second(self) -> float | None:
        """None before there are two samples that differ in time, or after a restart."""
        first, last = self.samples[0], self.samples[-1]
        seconds, messages = last[0] - first[0], last[1] - first[1]
        return messages / seconds if seconds >= 0.5 and messages >= 0 else None

    @property
    def mean_delay(self) -> float | None:
        """Seconds; None while no message had one."""
        first, last = self.samples[0], self.samples[-1]
        delays = last[2] - first[2]
        return (last[3] - first[3]) / delays if delays > 0 else None


class Board:
    """All of it. `shown` is the name of the stream on the screen, None before there is one.

    `url` is the sidecar's, None for streams that are followed without one.
    """

    def __init__(self, url: str | None, most_shown: int = MAX_SHOWN, *, follows_all: bool = False) -> None:
        self.link = Link(url or "", is_up=url is None)
        self.skew = 0.0
        self.streams: dict[str, StreamObject] = {}
        self.speeds: dict[str, Speed] = {}
        self.shown: str | None = None
        self.filter = Filter()
        self.paused = False
        self.unseen = 0
        """Events that have come since the screen is paused."""
        self.missing = 0
        self.misses_some = False
        """Events of all streams that are not shown: so many, and some more where nobody knows the number."""
        self._details: dict[str, Shown] = {}
        self._reported: dict[str, object] = {}
        self._most_shown = most_shown
        self._follows_all = follows_all

    # What came

    def connected(self, skew: float, now: float) -> list[Change]:
        """The sidecar answers, with a clock that is so many seconds ahead."""
        before, self.link = self.link, Link(self.link.url, is_up=True)
        self.skew = skew
        for each in self._details.values():
            each.asked_for, each.ask_at = None, now
        return [] if before.is_up else [changes.sidecar_answers(self.link.url)]

    def disconnected(self, failure: Failure, attempt: int, delay_seconds: float, now: float) -> list[Change]:
        """The sidecar does not answer, and is asked again after so long."""
        self.link = Link(self.link.url, failure=failure, attempt=attempt, next_attempt_at=now + delay_seconds)
        return [changes.sidecar_away(self.link.url, failure, attempt, delay_seconds)]

    def take(self, message: Followed, now: float) -> list[Change]:
        """Take one message."""
        if isinstance(message, EventObject):
            return self._event(message)
        if isinstance(message, StreamObject):
            return self._stream(message, now)
        if isinstance(message, Snapshot):
            return self._snapshot(message, now)
        return [self._gap(message.events, "slow")]

    def _gap(self, events: int | None, cause: str) -> Change:
        self.missing += events or 0
        self.misses_some |= events is None
        return changes.gap(events, cause)

    def _snapshot(self, message: Snapshot, now: float) -> list[Change]:
        found: list[Change] = []
        if message.resumed == "none":
            found.append(self._gap(None, "restarted"))
        elif message.missed:
            found.append(self._gap(message.missed, "away"))
        names = [stream.name for stream in message.streams]
        for name in [name for name in self.streams if name not in set(names)]:
            found.append(changes.stream_removed(self.streams.pop(name)))
            for stored in (self.speeds, self._details, self._reported):
                stored.pop(name, None)
        for stream in message.streams:
            found += self._stream(stream, now)
        self.streams = {name: self.streams[name] for name in names}
        if self.shown not in self.streams:
            self.select(next(iter(self.streams), None))
        return found

    def _stream(self, stream: StreamObject, now: float) -> list[Change]:
        before = self.streams.get(stream.name)
        self.streams[stream.name] = stream
        speed = self.speeds.setdefault(stream.name, Speed())
        if before is not None and stream.messages_total < before.messages_total:
            speed.samples.clear()  # of another process
        speed.take(stream, now)
        if self._follows_all and stream.name not in self._details and len(self._details) < self._most_shown:
            self._details[stream.name] = Shown()
        significant = changes.significant(stream, now + self.skew)
        if significant == self._reported.get(stream.name):
            return []
        self._reported[stream.name] = significant
        return [changes.stream_changed(before, stream, now + self.skew)]

    def _event(self, event: EventObject) -> list[Change]:
        row = Row.of(event)
        shown = self._details.get(event.stream)
        if shown is not None and not self._follows_all:
            if not shown.feed.add(row):
                return []
            self.unseen += self.paused and event.stream == self.shown
        return [changes.event_arrived(event, row)]

    # Overviews

    def overview_due(self, now: float) -> str | None:
        """The stream whose overview should be asked for now; None for none."""
        names = self._details if self._follows_all else ([self.shown] if self.shown in self._details else [])
        if not self.link.is_up:
            return None
        due = [(self._details[name].ask_at, name) for name in names if name and self._is_due(name, now)]
        return min(due)[1] if due else None

    def _is_due(self, name: str, now: float) -> bool:
        shown, stream = self._details[name], self.streams.get(name)
        if stream is None or now < shown.ask_at:
            return False
        return shown.asked_for is None or shown.asked_for != _version(stream)

    def asks(self, name: str, now: float) -> None:
        """The overview of this stream is being asked for."""
        if name in self._details and name in self.streams:
            self._details[name].asked_for = _version(self.streams[name])
            self._details[name].ask_at = now + OVERVIEW_SECONDS

    def overview(self, name: str, overview: OverviewObject | Failure, now: float) -> list[Change]:
        """Take an overview, or why there is none."""
        shown = self._details.get(name)
        if shown is None:
            return []
        if isinstance(overview, Failure):
            before, shown.problem, shown.asked_for = shown.problem, overview, None
            shown.ask_at = now + max(RETRY_SECONDS, overview.retry_after_seconds or 0.0)
            is_known = before is not None and before.reason == overview.reason
            return [] if is_known else [changes.no_overview(name, overview)]
        shown.problem, first, shown.has_overview = None, not shown.has_overview, True
        found: list[Change] = []
        changed = [card for card in shown.cards if card.take(overview.metrics)]
        if changed or (shown.stale != overview.stale and not first):
            found.append(changes.cards_changed(name, shown.cards, stale=overview.stale))
        shown.stale = overview.stale
        found += self._projects(name, shown, overview.projects)
        if not self._follows_all:
            shown.feed.fill([Row.of(event) for event in overview.events[:_MAX_EVENTS_OF_OVERVIEW]])
        return found

    def _projects(self, name: str, shown: Shown, projects: list[ProjectObject]) -> list[Change]:
        """Compare the projects. A source that is stale shows none, which is no change of theirs."""
        projects = sorted(projects, key=lambda each: (_WORST_FIRST.get(each.status or "", 2), each.id))
        shown.more_projects = max(0, len(projects) - MAX_PROJECTS)
        shown.projects = tuple(projects[:MAX_PROJECTS])
        if shown.stale:
            return []
        before, shown.statuses = shown.statuses, {each.id: each.status for each in shown.projects}
        found = [
            changes.project_changed(name, each, before.get(each.id))
            for each in shown.projects
            if each.id not in before or before[each.id] != each.status
        ]
        gone = before.keys() - {each.id for each in projects}
        return found + [changes.project_removed(name, each, before[each]) for each in sorted(gone)]

    # What a person asks for

    def select(self, name: str | None) -> None:
        """Show this stream; what is stored of the one that was shown longest ago goes."""
        self.shown, self.unseen, self.paused = name, 0, False
        if name is None:
            return
        self._details[name] = self._details.pop(name) if name in self._details else Shown()
        while len(self._details) > self._most_shown and not self._follows_all:
            del self._details[next(iter(self._details))]

    def step(self, by: int) -> None:
        """Show the next stream, or the one before."""
        names = list(self.streams)
        if names:
            place = names.index(self.shown) if self.shown in names else -by
            self.select(names[(place + by) % len(names)])

    def pause(self) -> None:
        """Hold the screen still, or let it go on."""
        self.paused, self.unseen = not self.paused, 0

    @property
    def details(self) -> Shown | None:
        """What is stored of the stream that is shown."""
        return None if self.shown is None else self._details.get(self.shown)


def _version(stream: StreamObject) -> object:
    """What says that an overview is another one."""
    return stream.last_update, stream.data_flow, stream.state
