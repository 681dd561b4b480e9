"""Messages in short, for tests of the model."""

from typing import Any

from iris_exporter.decoding.messages import Event, EventMessage, Overview, Update
from iris_exporter.model.state import StreamState

NOW = 1795425300.0
STALE_AFTER = 300.0


def event(number: int, **fields: Any) -> Event:
    given: dict[str, Any] = {
        "timestamp": NOW - 100 + number,
        "project": "a",
        "event_type": "evaluation",
        **fields,
    }
    return Event(f"evt-{number}", **given)


def message(number: int, **fields: Any) -> EventMessage:
    return EventMessage(event(number), **fields)


def update(**parts: Any) -> Update:
    return Update(Overview(**parts))


def feed(state: StreamState) -> list[str]:
    """The ids of the feed, newest first."""
    return [event.id for event in state.view(NOW).events]


def counted(state: StreamState) -> int:
    return sum(state.view(NOW).event_counts.values())
