"""What supplies a backend with data: the synthetic installation, or whatever takes its place."""

from collections.abc import Sequence
from typing import Any, Protocol

from iris_exporter.backend.objects import Anomaly, Event, Metrics, Project


class Source(Protocol):
    """An installation as it is now. Everything is read after `advance`, many times a second, and returns at once."""

    version: int
    """Goes up whenever anything that can be read here has changed."""

    def advance(self, until: float) -> list[Event]:
        """Move on to `until` (seconds since the Unix epoch) and return the events until then, oldest first."""

    def metrics(self) -> Metrics:
        """The figures of the whole installation."""

    def projects(self) -> list[Project]:
        """All projects, in a fixed order."""

    def anomalies(self) -> list[Anomaly]:
        """The open anomalies, and those that closed of late."""

    def patterns(self) -> Sequence[dict[str, Any]]:
        """Combinations of expert and task that keep working."""

    def details(self, project_id: str) -> dict[str, Any] | None:
        """One project and its recent history; None when there is no such project."""
