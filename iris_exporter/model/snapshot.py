"""The frozen view of the model that a scrape and the API read.

Everything in it is immutable or replaced rather than changed, so a reader may take its time while messages arrive.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from iris_exporter.decoding.messages import Anomaly, Event, Metrics, Project

EventKey = tuple[str, str, str]
"""(project, event_type, severity): the labels of the event counter."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one stream is believed to be at one moment.

    `metrics` None, and `projects` and `anomalies` empty, when nothing was heard yet or what was heard is stale.
    A project keeps its identity (`is`) from one snapshot to the next as long as nothing about it changed, so that
    readers can cache what they made of it. `events` is the feed, newest first, at most 100. `event_counts` never
    loses a key and no value ever falls. Moments are Unix seconds, None for never.
    """

    stream: str
    metrics: Metrics | None
    projects: tuple[Project, ...]
    anomalies: tuple[Anomaly, ...]
    events: tuple[Event, ...]
    event_counts: Mapping[EventKey, int]
    last_data_timestamp: float | None
    stale: bool
