"""The log of one stream: one line for each change of state, none for a message.

Each warning stands beside a counter: attempts that failed, disconnects, failed polls, decode errors.
"""

from iris_exporter.clock import Clock
from iris_exporter.core.status import State
from iris_exporter.logs import get_logger
from iris_exporter.transports.connection_events import Connected, ConnectionEvent, PollFailed, StateChanged

_log = get_logger("stream")
# A source may send nothing but rubbish at thousands of messages a second; the counter has the number.
_BROKEN_LINES_PER_MINUTE = 5


class StreamLog:
    """Writes the log of the stream `name`."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._broken = _log.limited(_BROKEN_LINES_PER_MINUTE, clock)
        self._poll_failure = ""

    def on_event(self, event: ConnectionEvent) -> None:
        """Observe the connection. The outcome of a dial has its line with the change of state that follows."""
        match event:
            case Connected(protocol=protocol, endpoint=endpoint, seconds=seconds):
                _log.info(
                    "stream.connected",
                    stream=self._name,
                    protocol=protocol,
                    endpoint=endpoint,
                    seconds=round(seconds, 3),
                )
            case PollFailed(failure=failure) if failure.reason != self._poll_failure:
                self._poll_failure = failure.reason
                _log.info("snapshot.failed", stream=self._name, reason=failure.reason, detail=failure.detail)
            case StateChanged():
                self._state_changed(event)

    def _state_changed(self, change: StateChanged) -> None:
        write = _log.warning if change.failure is not None else _log.info
        if change.state is State.LIVE:
            self._poll_failure = ""
        write(
            "stream.state" if change.previous != change.state else "reconnect.scheduled",
            stream=self._name,
            previous=change.previous if change.previous != change.state else None,
            state=change.state,
            reason=None if change.failure is None else change.failure.reason,
            detail=None if change.failure is None else change.failure.detail or None,
            attempt=change.attempt or None,
            delay_seconds=None if change.delay_seconds is None else round(change.delay_seconds, 3),
        )

    def broken(self, reason: str, path: str, detail: str = "") -> None:
        """A message, or a part of one, that could not be read; `path` is the JSON path."""
        self._broken.warning("message.broken", stream=self._name, reason=reason, path=path, detail=detail or None)

    def resumed(self, outcome: str) -> None:
        """A connection goes on where the last one ended, or does not."""
        write = _log.info if outcome in ("full", "unknown") else _log.warning
        write("stream.resumed", stream=self._name, outcome=outcome)

    def subscribed(self, encoding: str, extensions: list[str]) -> None:
        """The source says what it has granted."""
        _log.info("stream.subscribed", stream=self._name, encoding=encoding, extensions=" ".join(extensions) or "none")

    def out_of_sync(self) -> None:
        """A change does not follow the one before; everything is asked for anew."""
        self._broken.warning("stream.out_of_sync", stream=self._name)

    def upstream_error(self, code: str, message: str) -> None:
        """The source sent an `error`."""
        self._broken.warning("upstream.error", stream=self._name, code=code, detail=message or None)

    def guarantee(self, counted: str, why: str) -> None:
        """How often events of a stream with a mapping are counted, over the protocol that it has now."""
        _log.info("stream.guarantee", stream=self._name, guarantee=counted, detail=why)

    def guarantee_weakened(self, counted: str, why: str) -> None:
        """The stream has shown something that its mapping does not say."""
        _log.warning("stream.guarantee_weakened", stream=self._name, guarantee=counted, detail=why)

    def cursor_forgotten(self, mapping: str) -> None:
        """The mapping of the stream was changed so that ids or positions mean something else."""
        detail = "its ids or its cursor are other ones now: the stream starts afresh, and may count or miss events"
        _log.warning("stream.cursor_forgotten", stream=self._name, mapping=mapping, detail=detail)
