"""What the backend counts; whoever does it counts it here. Everything only grows."""

from collections import Counter
from dataclasses import dataclass, field

STREAMS = (
    *(("websocket", "json"), ("websocket", "protobuf"), ("websocket", "graphql")),
    *(("sse", "json"), ("sse", "graphql")),
)
"""Protocols of streams, with the encodings that there are of them; `graphql` is JSON as GraphQL wraps it."""


@dataclass(slots=True)
class Traffic:
    """Bytes sent on streams of one kind: messages as they are encoded, and what went to the sockets."""

    message_bytes: int = 0
    wire_bytes: int = 0


@dataclass(slots=True)
class Stats:
    """The counters of one backend; `refusals` are by error code, of requests and of messages of clients."""

    traffic: dict[tuple[str, str], Traffic] = field(default_factory=lambda: {key: Traffic() for key in STREAMS})
    refusals: Counter[str] = field(default_factory=Counter)
    dropped_events: int = 0
    advance_copies: int = 0
