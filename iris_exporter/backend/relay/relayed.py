"""What a relay knows of its source, as the backend reads it."""

from collections.abc import Callable, Sequence
from typing import Any

from typing_extensions import override

from iris_exporter.backend.history import Entry, History
from iris_exporter.backend.objects import Anomaly, Event, Metrics, Project
from iris_exporter.backend.relay.passing_on import PassingOn
from iris_exporter.backend.source import Source

STALE_POLLS = 3
"""State is old once so many polls could have brought a newer one."""
LEAST_STALE_SECONDS = 15.0


class Relayed(Source):
    """The state as of the last answer, and committed events that nobody has been sent yet."""

    has_details = False

    def __init__(self, name: str, history: History, interval_seconds: float, now: Callable[[], float]) -> None:
        """`name` is what people are told; `now` is monotonic."""
        self.version = 0
        self.description = f"relay of {name}"
        self._history = history
        self._stale_after = max(STALE_POLLS * interval_seconds, LEAST_STALE_SECONDS)
        self._now = now
        self._answered_at: float | None = None
        self._failure = "it has not been asked yet"
        self._metrics: Metrics | None = None
        self._projects: Sequence[Project] | None = None
        self._anomalies: Sequence[Anomaly] | None = None
        self._pending: list[Entry] = []
        self.passing_on: PassingOn | None = None
        """Where documents are had that are not polled."""

    # What the relay tells.

    def show(
        self, metrics: Metrics | None, projects: Sequence[Project] | None, anomalies: Sequence[Anomaly] | None
    ) -> None:
        """The source has answered: this is its state."""
        if (metrics, projects, anomalies) != (self._metrics, self._projects, self._anomalies):
            self._metrics, self._projects, self._anomalies = metrics, projects, anomalies
            self.version += 1

    def send(self, committed: Sequence[Entry], first: int) -> None:
        """These events have their offsets for good; those before the offset `first` are no longer kept."""
        self._pending += committed
        self._history.forget_before(first)

    def succeeded(self) -> None:
        """All of the source's answers have been dealt with."""
        self._answered_at = self._now()

    def failed(self, reason: str) -> None:
        """They have not, for this reason, which may be shown."""
        self._failure = reason

    # What the backend reads.

    @property
    @override
    def trouble(self) -> str | None:
        if self._answered_at is None:
            return f"the source has not answered yet: {self._failure}"
        if self._now() - self._answered_at < self._stale_after:
            return None
        return f"the source is not available, and this is its state as it was last known: {self._failure}"

    @override
    def advance(self, until: float) -> list[Event]:
        pending, self._pending = self._pending, []
        if pending and pending[0].offset != self._history.last + 1:
            raise RuntimeError(f"the event at {pending[0].offset} would be sent as {self._history.last + 1}")
        return [entry.event for entry in pending]

    @override
    def metrics(self) -> Metrics | None:
        return self._metrics

    @override
    def projects(self) -> Sequence[Project] | None:
        return self._projects

    @override
    def anomalies(self) -> Sequence[Anomaly] | None:
        return self._anomalies

    @override
    def patterns(self) -> Sequence[dict[str, Any]] | None:
        return None

    @override
    async def document(self, name: str, query: str) -> bytes | None:
        return None if self.passing_on is None else await self.passing_on.get(name, query)

    @override
    def details(self, project_id: str) -> dict[str, Any] | None:
        return None
