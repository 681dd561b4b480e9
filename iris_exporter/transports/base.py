"""Interfaces of the transports: a link, what it brings (`Received`), and the sink that takes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from iris_exporter.core.failures import Failure
from iris_exporter.decoding.dialect import Dialect, Frame, Outgoing


@dataclass(slots=True)
class Received:
    """What one read of the socket brought.

    `frames` are whole and in order; a control frame or an SSE comment is none, and still proves that the link lives.
    `wire_bytes` is what they took on the wire: WebSocket frames with their headers, the body of an SSE or poll response
    before decompression. `inflated_bytes` is what they would have taken without compression, None for the same.
    `last_event_id` and `retry_seconds` are the last ones that an SSE stream sent in this piece, None without one.
    """

    frames: list[Frame]
    wire_bytes: int
    last_event_id: str | None = None
    retry_seconds: float | None = None
    pongs: int = 0
    inflated_bytes: int | None = None


class Link(Protocol):
    """An open connection; `read` until it raises `TransportError`, then `close`."""

    protocol: str
    """One of `core.status.PROTOCOLS`."""
    two_way: bool
    """Whether messages can be sent. A two-way link is asked to resume by its first message, any other by its dial."""

    subprotocol: str
    """The one that was chosen in the handshake; empty without one."""
    compression: str
    """How the link is compressed, one of `core.status.COMPRESSIONS`; `none` for not at all."""

    async def read(self) -> Received:
        """The next piece; waits for as long as it takes. A cancelled read loses nothing that was returned."""

    async def send(self, message: Outgoing) -> bool:
        """Send one message; False where the protocol has no way to (SSE)."""

    async def ping(self) -> bool:
        """Send a protocol-level ping whose answer shows as `Received.pongs`; False where there is none (SSE)."""

    async def close(self, code: int = 1000) -> None:
        """End it with a close frame where there is one; safe to call twice, never raises, takes at most a second."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What the sink wants of the link after a piece: answers to send, and a failure that ends it.

    `pong` says that one of the messages was the answer to our own heartbeat, `fill` that events are missing which REST
    may have: see `Sink.missing_after`. `silent` says that the frames prove that the source lives and no more.
    `request` is a message that has to be sent even while an answer is under way.
    """

    replies: tuple[Outgoing, ...] = ()
    failure: Failure | None = None
    pong: bool = False
    fill: bool = False
    silent: bool = False
    request: Outgoing | None = None


NO_REACTION = Reaction()


@dataclass(frozen=True, slots=True)
class Polled:
    """The answer to a REST request. `body` is None when the source says that nothing changed (304)."""

    body: bytes | None
    wire_bytes: int
    headers: Mapping[str, str] = field(default_factory=dict)


class Sink(Protocol):
    """Takes what a connection receives. Never blocks, never raises.

    `dialect` is the encoding and protocol of the source; it decodes the frames and documents that the sink takes.
    """

    dialect: Dialect

    def resume_from(self) -> str:
        """The id or position from which a connection asks to resume; empty for none."""

    def position_refused(self, *, refused: bool) -> None:
        """A dial was refused for its position, and the next one goes without it.

        Not `refused`: a dial without a position was refused too, so the position was not the cause.
        """

    def awaits_answer(self) -> bool:
        """Whether the link was asked to resume from a position, and the source has not answered yet."""

    def on_open(self, at: float, *, two_way: bool, subprotocol: str = "") -> Sequence[Outgoing]:
        """A link begins at wall time `at`; return what to send first (see `Link.two_way`)."""

    def receive(self, received: Received, at: float) -> Reaction:
        """Take a piece of the stream that arrived at wall time `at`."""

    def peek(self, received: Received) -> Reaction:
        """The answers and pongs of a piece that `receive` takes only later."""

    def snapshot(self, body: bytes, at: float, *, polling: bool, following: Sequence[bytes] = ()) -> Failure | None:
        """Take a whole REST document; a failure when it could not be read. `polling` when there is no link.

        `following` are the pages after it: they are taken together, or none of them is.
        """

    def missing_after(self) -> str | None:
        """The position after which events are missing that REST may have; None for none."""

    def page(self, after: str, page: Polled | None, at: float) -> bool:
        """Take the page of events after a position, None when it cannot be had; whether to ask for another one."""

    def unchanged(self, at: float) -> None:
        """The source reports that nothing has changed since the last document."""

    def forget(self) -> None:
        """Clear what is believed about the source; what was counted stays counted."""
