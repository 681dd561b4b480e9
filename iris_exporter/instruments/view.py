"""What the value functions of the catalogue see: one stream, or one project of it, at the time of a scrape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from iris_exporter.core.status import LinkStatus, State
from iris_exporter.decoding.messages import Metrics, Project
from iris_exporter.instruments.table import Column
from iris_exporter.model.snapshot import DataFlow, EventKey, Snapshot

NO_FIGURES = Metrics()
"""The headline figures of a source that has sent none."""


class ProjectView(msgspec.Struct, gc=False):
    """One project. `anomalies` are its open ones by severity, the known severities always among them."""

    project: Project
    anomalies: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class EntityView:
    """The projects and events of one stream within its limits, by clean labels, and their text.

    `projects` has a row for each of `names`, `columns` the text of each of `catalog.PROJECT_METRICS` in the same rows.
    `event_lines` has a line for each of `event_keys`.
    """

    names: Sequence[str] = ()
    projects: Sequence[ProjectView] = ()
    columns: Sequence[Column[bytes]] = ()
    event_keys: Sequence[EventKey] = ()
    event_counts: Sequence[int] = ()
    event_lines: Sequence[bytes] = ()

    @property
    def events(self) -> dict[EventKey, int]:
        """The count for each label set."""
        return dict(zip(self.event_keys, self.event_counts, strict=True))


NO_ENTITIES = EntityView()


class StreamView:
    """One stream. `figures` are the headline figures, each None when it is not known or too old."""

    __slots__ = ("entities", "figures", "flow", "status")

    def __init__(self, status: LinkStatus, snapshot: Snapshot, entities: EntityView = NO_ENTITIES) -> None:
        self.status = status
        self.flow = snapshot.flow
        self.figures = NO_FIGURES if snapshot.stale or snapshot.metrics is None else snapshot.metrics
        self.entities = entities

    @property
    def is_connected(self) -> bool:
        """Whether data can arrive."""
        return self.status.state in (State.LIVE, State.POLLING)

    @property
    def is_up(self) -> bool:
        """Whether data can arrive and the source was heard lately."""
        return self.is_connected and self.flow is not DataFlow.SILENT
