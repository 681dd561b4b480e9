"""What supplies a backend with data: the synthetic installation, or whatever takes its place, such as a relay."""

from collections.abc import Sequence
from typing import Any, Protocol

from iris_exporter.backend.objects import Anomaly, Event, Metrics, Project


class Source(Protocol):
    """An installation as it is now. Everything is read after `advance`, many times a second, and returns at once."""

    version: int
    """Goes up whenever anything that can be read here has changed."""

    @property
    def trouble(self) -> str | None:
        """Why what can be read here is not known or no longer up to date; None when it is."""
        return None

    def advance(self, until: float) -> list[Event]:
        """Move on to `until` (seconds since the Unix epoch) and return the events until then, oldest first."""

    has_details: bool = True
    """Whether `patterns` and `details` know anything; if not, `document` may."""
    description: str = "data of a source"
    """What this is, for people."""

    def metrics(self) -> Metrics | None:
        """The figures of the whole installation; None when it has none."""

    def projects(self) -> Sequence[Project] | None:
        """All projects, in a fixed order; None when none are known of."""

    def anomalies(self) -> Sequence[Anomaly] | None:
        """The open anomalies, and those that closed of late; None when none are known of."""

    def patterns(self) -> Sequence[dict[str, Any]] | None:
        """Combinations of expert and task that keep working; None when it has no such list."""

    async def document(self, name: str, query: str) -> bytes | None:  # noqa: ARG002 (for those who override it)
        """A JSON document of the REST interface that is passed on; None when there is none.

        Raises SourceError when that cannot be found out now.
        """
        return None

    def details(self, project_id: str) -> dict[str, Any] | None:
        """One project and its recent history; None when there is no such project."""
