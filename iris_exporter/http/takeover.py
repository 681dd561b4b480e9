"""The bytes of a connection after the head of a response, taken over from aiohttp and, when need be, given back.

aiohttp dials, shakes hands and reads the head. What follows the head of a stream can be read several times faster by
an `asyncio.Protocol` that knows what streams look like. `TakeoverResponse.start` therefore puts a protocol of its own
between the transport and aiohttp's: bytes go through it up to the end of the head, and what comes after it is held.
Whoever wants them calls `Takeover.take` with a `StreamProtocol`; whoever does not calls `give_back`, and aiohttp has
missed nothing. A stream protocol can give back as well, between two frames or chunks, when it meets something that is
aiohttp's to handle. aiohttp learns of the end of the connection in any case, so its connector stays right.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

from aiohttp import ClientResponse, ClientWebSocketResponse
from aiohttp.connector import Connection
from typing_extensions import override

_HEAD_END = re.compile(rb"\n\r?\n")  # of which a CR may be missing: aiohttp is as lenient
_LONGEST_END = 3
_INFORMATIONAL = re.compile(rb"HTTP/1\.\d 1(?!01)\d\d")  # 101 is final
_STATUS_LINE_BYTES = 12
_MAX_HELD_BYTES = 256 * 1024

_wanted: ContextVar[bool] = ContextVar("wanted", default=False)


@contextmanager
def takeovers() -> Iterator[None]:
    """Responses to requests that are made in this block can be taken over."""
    token = _wanted.set(True)
    try:
        yield
    finally:
        _wanted.reset(token)


class StreamProtocol(asyncio.Protocol):
    """Reads a stream in place of aiohttp's protocol, which still hears of everything that is not data."""

    _transport: asyncio.Transport
    _below: asyncio.Protocol

    def attach(self, transport: asyncio.Transport, below: asyncio.Protocol) -> None:
        """Become the protocol of `transport`, of which `below` was the protocol."""
        self._transport = transport
        self._below = below
        transport.set_protocol(self)

    def ended(self) -> None:
        """The connection has ended; aiohttp, which hears of it next, knows why."""

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.ended()
        self._below.connection_lost(exc)

    @override
    def eof_received(self) -> bool | None:
        return self._below.eof_received()

    @override
    def pause_writing(self) -> None:
        self._below.pause_writing()

    @override
    def resume_writing(self) -> None:
        self._below.resume_writing()


class Takeover(StreamProtocol):
    """Passes on the head of a response and holds what follows, until somebody says whose it is."""

    def __init__(self) -> None:
        self.is_complete = False
        """Whether the head has ended, so that what is held begins right after it."""
        self._status_line = b""
        self._passed = b""  # the last bytes that were passed on
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._has_ended = False
        self._is_over = False  # whether somebody has said whose it is
        self._lost: tuple[Exception | None] | None = None  # what aiohttp hears when it has what is held

    @override
    def data_received(self, data: bytes) -> None:
        """Pass on what belongs to the head and hold the rest."""
        while data and not self.is_complete:
            found = _HEAD_END.search(self._passed + data)
            end = len(data) if found is None else found.end() - len(self._passed)
            head, data = data[:end], data[end:]
            self._status_line = (self._status_line + head)[:_STATUS_LINE_BYTES]
            self._passed = (self._passed + head)[1 - _LONGEST_END :]
            if found is not None:
                self.is_complete = _INFORMATIONAL.match(self._status_line) is None
                self._status_line = self._passed = b""
            self._below.data_received(head)
        if data:
            self._held.append(data)
            self._held_bytes += len(data)
            if self._held_bytes > _MAX_HELD_BYTES:
                self._transport.pause_reading()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """The end comes after what is held."""
        self._has_ended = True
        if self._held:
            self._lost = (exc,)
        else:
            super().connection_lost(exc)

    def take(self, stream: StreamProtocol) -> None:
        """Let `stream` have what is held, and all that follows."""
        self._is_over = True
        stream.attach(self._transport, self._below)
        for data in self._release():
            self._transport.get_protocol().data_received(data)  # type: ignore[attr-defined]  # it may give back
        if self._lost is not None:
            self._transport.get_protocol().connection_lost(*self._lost)
        elif self._has_ended:
            stream.ended()

    def give_back(self) -> None:
        """Let aiohttp have what is held, and all that follows; nothing happens where it was said before whose it is."""
        if self._is_over:
            return
        self._is_over = True
        give_back(self._transport, self._below, b"".join(self._release()))
        if self._lost is not None:
            self._below.connection_lost(*self._lost)

    def _release(self) -> list[bytes]:
        held, self._held = self._held, []
        if self._held_bytes > _MAX_HELD_BYTES:
            self._transport.resume_reading()
        return held


def give_back(transport: asyncio.Transport, protocol: asyncio.Protocol, data: bytes) -> None:
    """Make `protocol` the protocol of `transport` again, with what it has not seen yet."""
    transport.set_protocol(protocol)
    if data:
        protocol.data_received(data)


class TakeoverResponse(ClientResponse):
    """A response of which the body, or the connection after an upgrade, may be taken over; `takeover` None: it cannot.

    Only what is made within `takeovers` can be, and only an upgrade or an event stream without a length.
    """

    takeover: Takeover | None = None

    @override
    async def start(self, connection: Connection) -> Self:
        transport, protocol = connection.transport, connection.protocol
        # Something may have arrived already: then aiohttp has it, and keeps it.
        if not _wanted.get() or transport is None or protocol is None or protocol.should_close:
            await super().start(connection)
            return self
        takeover = Takeover()
        takeover.attach(transport, protocol)
        try:
            await super().start(connection)
            if takeover.is_complete and self.connection is not None and self._may_be_taken():
                self.takeover = takeover
        finally:
            if self.takeover is None:
                takeover.give_back()
        return self

    @override
    def close(self) -> None:
        """Where nobody has taken it over, aiohttp hears how the connection ends."""
        if self.takeover is not None:
            self.takeover.give_back()
        super().close()

    @override
    def release(self) -> Any:
        if self.takeover is not None:
            self.takeover.give_back()
        return super().release()

    def _may_be_taken(self) -> bool:
        if self.status == 101:
            return True
        return self.status == 200 and self.content_type == "text/event-stream" and self.content_length is None


class TakeoverWebSocket(ClientWebSocketResponse[Any]):
    """A WebSocket whose frames may be taken over, where its response may be."""

    def __init__(
        self,
        reader: Any,
        writer: Any,
        protocol: str | None,
        response: ClientResponse,
        *options: Any,
        **more: Any,
    ) -> None:
        super().__init__(reader, writer, protocol, response, *options, **more)
        self.takeover = response.takeover if isinstance(response, TakeoverResponse) else None
