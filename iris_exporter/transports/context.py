"""What the parts of one stream's connection share: supervisor, link session and snapshot loader."""

from collections.abc import Callable
from dataclasses import dataclass

from iris_exporter.clock import Clock
from iris_exporter.settings import StreamSettings
from iris_exporter.transports.base import Sink
from iris_exporter.transports.connection_events import ConnectionEvent, Observer
from iris_exporter.transports.stream_tasks import StreamTasks


@dataclass(slots=True)
class StreamContext:
    """Each observer takes every event of the connection; `on_read` takes protocol, bytes and inflated bytes of
    each read of a link.

    `last_message_at` is the Unix time of the last message, None for never; `retry_seconds` is what an SSE stream asked
    for with `retry:`. Both last longer than a link. `oldest_waiting` says when the oldest piece that waits to be taken
    arrived, an ordinary and an urgent one (Unix time), None for none.
    """

    settings: StreamSettings
    sink: Sink
    clock: Clock
    observers: tuple[Observer, ...]
    on_read: Callable[[str, int, int], None]
    tasks: StreamTasks
    last_message_at: float | None = None
    retry_seconds: float | None = None
    oldest_waiting: Callable[[], tuple[float | None, float | None]] = lambda: (None, None)

    def emit(self, event: ConnectionEvent) -> None:
        """Report an event to the observers, in their order."""
        for observer in self.observers:
            observer(event)
