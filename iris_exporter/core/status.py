"""What a stream's connection looks like from outside: the states of the contract, protocol, times and failure."""

from dataclasses import dataclass
from enum import StrEnum

from iris_exporter.core.failures import Failure


class State(StrEnum):
    """The states of the contract, in the order in which they are printed."""

    DISCONNECTED = "disconnected"  # asked for
    CONNECTING = "connecting"  # first try, or waiting for the next one
    LIVE = "live"
    POLLING = "polling"
    ERROR = "error"  # polling fails too, or upstream refuses us


PROTOCOLS = ("websocket", "sse", "poll", "graphql", "ndjson")
"""How a source is heard, `graphql` over a WebSocket, `ndjson` in an endless body; `none` stands for nothing in use."""
ENCODINGS = ("json", "protobuf")
"""How messages are written; `none` stands for no connection."""
COMPRESSIONS = ("deflate", "gzip")
"""How a live stream is compressed: permessage-deflate on a WebSocket, gzip or deflate on SSE; `none` for not at all."""


class Counted(StrEnum):
    """How often an event is counted, over drops and restarts: what `mapping.guarantee` works out."""

    EXACTLY_ONCE = "exactly_once"
    AT_MOST_ONCE = "at_most_once"
    AT_LEAST_ONCE = "at_least_once"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """A connection as it is now. Times are Unix seconds, None for never or none planned.

    `protocol` and `endpoint` are what is in use (`none` and empty when nothing is); `endpoint` has no credentials.
    `last_message` is of any message of the source, heartbeats included. `failure` is what keeps the stream from being
    live, or polled as wished, since `failing_since` (`core.connection`); `last_failure_at` is the time of the last
    failure of an attempt, a link or a poll, which stays after a recovery.
    `encoding` and `compression` are those of the live stream, `none` without one. `extensions` are the options of a
    subscription that the source has granted, None where there is no subscription. `oldest_waiting` is when the oldest
    piece of the stream arrived that waits to be taken, an ordinary and an urgent one.
    """

    state: State
    protocol: str
    endpoint: str
    attempt: int
    next_attempt_at: float | None
    connected_at: float | None
    last_message: float | None
    failure: Failure | None
    failing_since: float | None
    last_failure_at: float | None
    state_changed_at: float
    encoding: str = "none"
    compression: str = "none"
    extensions: frozenset[str] | None = None
    oldest_waiting: tuple[float | None, float | None] = (None, None)
