"""What a link is to those who use it, and where what it brings goes."""

from dataclasses import dataclass
from typing import Protocol

from iris_exporter.core.failures import Failure


@dataclass(slots=True)
class Received:
    """What one read of the socket brought.

    `messages` are JSON documents, whole and in order; it is empty for a control frame or an SSE comment, which still
    prove that the link lives. `wire_bytes` is what they took on the wire: WebSocket frames with their headers, the
    body of an SSE or poll response before decompression. `last_event_id` and `retry_seconds` are what an SSE stream
    said last in this piece, None for nothing. `binary` counts binary frames, which carry nothing we know.
    """

    messages: list[bytes]
    wire_bytes: int
    last_event_id: str | None = None
    retry_seconds: float | None = None
    pongs: int = 0
    binary: int = 0


class Link(Protocol):
    """An open connection; `read` until it raises `TransportError`, then `close`."""

    protocol: str  # websocket | sse

    async def read(self) -> Received:
        """The next piece; waits for as long as it takes. A cancelled read loses nothing that was returned."""

    async def send(self, message: bytes) -> bool:
        """Send one JSON message; False where the protocol has no way to (SSE)."""

    async def ping(self) -> bool:
        """Send a protocol-level ping whose answer shows as `Received.pongs`; False where there is none (SSE)."""

    async def close(self, code: int = 1000) -> None:
        """End it with a close frame where there is one; safe to call twice, never raises, takes at most a second."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What the reader of messages wants of the link: answers to send, and a failure that ends it.

    `pong` says that one of the messages was the answer to our own JSON ping, `fill` that events are missing which
    REST may have: see `Sink.missing_after`.
    """

    replies: tuple[bytes, ...] = ()
    failure: Failure | None = None
    pong: bool = False
    fill: bool = False


NO_REACTION = Reaction()


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the events that follow a position (docs/protocol.md, section 4, REST).

    `after` is what was asked for, `cursor` the position after the page, None from a source that cannot page; `missed`
    counts events lost before it; `more` says that another page waits.
    """

    after: str
    body: bytes
    cursor: str | None
    missed: int
    more: bool


class Sink(Protocol):
    """Where what arrives goes: the rest of the program, seen from a socket. Never blocks, never raises."""

    def resume_from(self) -> str:
        """What a connection asks to go on from; empty when there is nothing to go on from."""

    def resume_message(self) -> bytes | None:
        """What to send first on a link that can be written to; None where the source has shown no positions."""

    def position_refused(self, *, refused: bool) -> None:
        """A dial was refused for the position that it asked for, which is left out of the next one.

        Not `refused`: a dial was refused as well without a position, which was then not what the source minds.
        """

    def awaits_answer(self) -> bool:
        """Whether the link was told where to go on, by a position, and the source has not said yet whether it does."""

    def link_opened(self, at: float, *, asked: bool) -> None:
        """A link begins at wall time `at`; `asked` when it was told where to go on."""

    def receive(self, received: Received, protocol: str, at: float) -> Reaction:
        """Take a piece of the stream that arrived at wall time `at`."""

    def peek(self, received: Received) -> Reaction:
        """What a piece wants at once that is handed to `receive` only later: answers and pongs, nothing else."""

    def snapshot(self, body: bytes, at: float, *, polling: bool) -> Failure | None:
        """Take a whole REST document; a failure when it could not be read. `polling` when there is no link."""

    def missing_after(self) -> str | None:
        """The position after which events are missing that may be asked for; None when there is nothing to ask for."""

    def page(self, page: Page | None, at: float) -> bool:
        """Take a page of missing events, None when it cannot be had; whether another one should be asked for."""

    def unchanged(self, at: float) -> None:
        """The source says that nothing changed since the last document, which is as good as hearing it again."""

    def forget(self) -> None:
        """Somebody asked to start again: clear what is believed about the source; what was counted stays counted."""
