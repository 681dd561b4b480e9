"""The frozen view of the model that a scrape and the API read.

Everything in it is immutable or replaced rather than changed, so a reader may take its time while messages arrive.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from iris_exporter.core.limits import DEFAULT_LIMITS
from iris_exporter.decoding.messages import Anomaly, DeferredMessage, Event, Metrics, Project

EventKey = tuple[str, str, str]
"""(project, event_type, severity): the labels of the event counter."""


class DataFlow(StrEnum):
    """Whether the source sends data; the state of the link is `core.status`.

    The limit is `stale-after` in both cases. A heartbeat is a message that the source sends by itself; the answer to a
    ping of ours proves that the link is alive and no more.
    """

    FLOWING = "flowing"  # data arrives
    IDLE = "idle"  # no data, but heartbeats
    SILENT = "silent"  # neither, or nothing yet


class Feed(Collection[Event]):
    """The last events, newest first; those that arrived in a batch become objects when they are read.

    At a thousand messages a second nobody reads them, and 100 events for each stream and scrape would be wasted work.
    """

    __slots__ = ("_events",)

    def __init__(self, events: Iterable[Event | DeferredMessage]) -> None:
        self._events = tuple(events)

    def __len__(self) -> int:
        """How many; at most `max_events`."""
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        return (event if isinstance(event, Event) else event.message().event for event in self._events)

    def __contains__(self, event: object) -> bool:
        return event in tuple(self)


LabelValues = tuple[str, ...]
"""The values of a mapped metric's labels, in the order in which the mapping has them."""

Shown = float | str | tuple[float, ...] | None
"""What a mapped series shows: a number; of a stateset the state that holds, None for none of its states; of a histogram
how many observations are in each bucket alone, the infinite one last, and then their sum."""


@dataclass(frozen=True, slots=True)
class MappedView:
    """The series of a stream with a mapping, by name of metric and by labels; each is replaced rather than changed.

    A metric whose series are those of the view before has the same object as there, and so has a value.
    """

    series: Mapping[str, Mapping[LabelValues, Shown]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of one stream at one time.

    `metrics` None, and `projects` and `anomalies` empty, when nothing was heard yet or what was heard is stale.
    A project keeps its identity (`is`) from one snapshot to the next as long as nothing about it changed, so that
    readers can cache what they made of it. `events` is the feed, newest first, at most `max_events`. `event_counts`
    never loses a key and no value ever falls. Times are Unix seconds, None for never. `mapped` is what a stream with a
    mapping has, in the place of all of that.
    """

    stream: str
    metrics: Metrics | None
    projects: tuple[Project, ...]
    anomalies: tuple[Anomaly, ...]
    events: Collection[Event]
    event_counts: Mapping[EventKey, int]
    last_data_timestamp: float | None
    flow: DataFlow
    max_events: int = DEFAULT_LIMITS.max_events
    mapped: MappedView | None = None

    @property
    def stale(self) -> bool:
        """Whether what was heard is too old to be shown, or nothing was heard yet."""
        return self.flow is DataFlow.SILENT
