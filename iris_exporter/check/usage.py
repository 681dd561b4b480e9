"""How near a source comes to the limits that are configured for its stream. Pure."""

from dataclasses import dataclass

from iris_exporter.check.observations import Observation
from iris_exporter.settings import StreamSettings

NEAR = 0.8
"""Share of a limit from which it is near."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What was counted or measured at most, and the option that limits it. `is_size`: in bytes."""

    what: str
    used: int
    limit: int
    option: str
    is_size: bool = False

    @property
    def is_near(self) -> bool:
        """Whether little is left."""
        return self.used >= NEAR * self.limit > 0

    def __str__(self) -> str:
        return f"{self.what} {self.used} of {self.limit}{' bytes' if self.is_size else ''}"


def limits_used(seen: Observation, settings: StreamSettings) -> list[Usage]:
    """Every limit of the stream that what was heard and read says something about."""
    found = []
    if seen.heard is not None:
        found.append(
            Usage("largest message", seen.heard.largest_bytes, settings.max_message_bytes, "max-message-bytes", True)
        )
    if seen.document_bytes:
        found.append(Usage("largest document", seen.document_bytes, settings.max_body_bytes, "max-body-bytes", True))
    if seen.messages.events:
        found.append(
            Usage("largest event", seen.messages.largest_event, settings.max_event_bytes, "max-event-bytes", True)
        )
    if seen.mapping:
        return found  # the others are of what IRIS has
    return [
        *found,
        Usage("projects", seen.projects, settings.max_projects, "max-projects"),
        Usage("anomalies", seen.anomalies, settings.max_anomalies, "max-anomalies"),
        Usage("event types", seen.event_types, settings.max_label_values, "max-label-values"),
        Usage("severities", seen.severities, settings.max_label_values, "max-label-values"),
        Usage("series of events", seen.event_series, settings.max_event_series, "max-event-series"),
    ]
