"""What the value functions of the catalogue see: one stream, or one project of it, at the time of a scrape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from iris_exporter.core.status import LinkStatus, State
from iris_exporter.decoding.messages import Metrics, Project
from iris_exporter.model.snapshot import DataFlow, EventKey, Snapshot

if TYPE_CHECKING:
    from iris_exporter.instruments.mapped import Rows

NO_ROWS: "Mapping[str, Rows]" = MappingProxyType({})

NO_FIGURES = Metrics()
"""The headline figures of a source that has sent none."""


class ProjectView(msgspec.Struct, gc=False):
    """One project. `anomalies` are its open ones by severity, the known severities always among them."""

    project: Project
    anomalies: Mapping[str, int]


class EntityView(msgspec.Struct, frozen=True):
    """The projects and events of one stream within its limits, by clean labels.

    `projects` has an element for each of `names`, `event_lines` a line for each of `event_keys`.
    """

    names: Sequence[str] = ()
    projects: Sequence[ProjectView] = ()
    event_keys: Sequence[EventKey] = ()
    event_counts: Sequence[int] = ()
    event_lines: Sequence[bytes] = ()

    @property
    def events(self) -> dict[EventKey, int]:
        """The count for each label set."""
        return dict(zip(self.event_keys, self.event_counts, strict=True))


NO_ENTITIES = EntityView()


@dataclass(frozen=True, slots=True)
class MappedView:
    """What was counted of a stream with a mapping beside its series: see `mapped.MappedCounts`."""

    mapping: str
    guarantee: str
    filtered: int
    problems: Mapping[tuple[str, str, str], int]


class StreamView:
    """One stream. `figures` are the headline figures, each None when it is not known or too old.

    `mapped` is None for a stream without a mapping; `rows` are the texts of the metrics of one that has.
    """

    __slots__ = ("entities", "figures", "flow", "mapped", "rows", "status")

    def __init__(self, status: LinkStatus, snapshot: Snapshot, entities: EntityView = NO_ENTITIES) -> None:
        self.mapped: MappedView | None = None
        self.rows: Mapping[str, Rows] = NO_ROWS
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
