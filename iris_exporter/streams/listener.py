"""Who hears of events that are seen for the first time."""

from collections.abc import Sequence
from typing import Protocol

from iris_exporter.decoding.messages import Event, UnmadeEvents


class EventListener(Protocol):
    """Receives events that are seen for the first time."""

    def wanted(self, batch: UnmadeEvents) -> Sequence[Event]:
        """The events of a batch that it wants; the others are not made into objects."""

    def granted(self, extensions: frozenset[str]) -> None:
        """The source has answered a subscription."""

    def arrived(self, events: Sequence[Event], at: float) -> None:
        """Events seen for the first time, oldest first, by whichever transport, at wall time `at`.

        Called once for each piece of the stream and each document; it must be quick and never raise.
        """
