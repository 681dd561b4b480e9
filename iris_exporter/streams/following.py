"""What somebody who follows a stream as it happens is told. Nothing is done for each event while nobody follows."""

from collections.abc import Sequence
from typing import Protocol

from typing_extensions import override

from iris_exporter.decoding.messages import Event, UnmadeEvents, logged
from iris_exporter.streams.listener import EventListener


class Follower(Protocol):
    """Receives what happens to streams; it must be quick and never raise."""

    def events_arrived(self, stream: str, events: Sequence[Event]) -> None:
        """Events of a stream that are seen for the first time, oldest first."""

    def state_changed(self, stream: str) -> None:
        """The connection of a stream has another state, or another attempt is planned."""


class FollowedEvents(EventListener):
    """Hands the events of the stream `name` to a follower and, where there is one, to the listener before it."""

    def __init__(self, name: str, follower: Follower, listener: EventListener | None) -> None:
        self._name = name
        self._follower = follower
        self._listener = listener

    @override
    def wanted(self, batch: UnmadeEvents) -> Sequence[Event]:
        """All of them: the other listener chooses in `arrived`, too."""
        return batch.events()

    @override
    def granted(self, extensions: frozenset[str]) -> None:
        if self._listener is not None:
            self._listener.granted(extensions)

    @override
    def arrived(self, events: Sequence[Event], at: float) -> None:
        if self._listener is not None:
            self._listener.arrived(events, at)
        self._follower.events_arrived(self._name, logged(events))
