"""What happens to the connection of a stream, as one value for all observers: counters, spans and log lines.

An observer is a callable that takes each event; it is quick and never raises. The bytes of each read of a link are no
event, because making one costs more than counting them does: `Supervisor` takes a function for that number alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

from iris_exporter.core.failures import Failure


@dataclass(frozen=True, slots=True)
class DialStarted:
    """An attempt to open a link begins."""


@dataclass(frozen=True, slots=True)
class DialFailed:
    """An attempt ended without a link, after so many seconds."""

    failure: Failure
    seconds: float


@dataclass(frozen=True, slots=True)
class Connected:
    """An attempt ended with a link. `at` is wall time; `endpoint` has no credentials."""

    protocol: str
    endpoint: str
    seconds: float
    at: float
    encoding: str = "json"
    compression: str = "none"


@dataclass(frozen=True, slots=True)
class FirstRead:
    """The first bytes of a link have arrived."""


@dataclass(frozen=True, slots=True)
class PingAnswered:
    """The source answered a ping."""

    round_trip_seconds: float


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A link has ended."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class PollStarted:
    """A REST request begins: a snapshot, a poll, or a `page` of missing events."""

    page: bool = False


@dataclass(frozen=True, slots=True)
class PollAnswered:
    """A REST request, or a dial that found something to poll, was answered; `PollFailed` may follow."""

    wire_bytes: int
    inflated_bytes: int


@dataclass(frozen=True, slots=True)
class PollFailed:
    """A REST request brought nothing usable."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The state is another one now, or the same one with a new attempt planned.

    `attempt` counts the failed attempts since the link was last stable, `delay_seconds` is the time until the next
    one, None when none is planned. `failure` is None for a change that nothing broken caused.
    """

    previous: str
    state: str
    failure: Failure | None
    attempt: int
    delay_seconds: float | None


ConnectionEvent = (
    DialStarted
    | DialFailed
    | Connected
    | FirstRead
    | PingAnswered
    | Disconnected
    | PollStarted
    | PollAnswered
    | PollFailed
    | StateChanged
)

Observer = Callable[[ConnectionEvent], None]
