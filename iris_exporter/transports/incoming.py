"""What arrives on a stream, cut into messages or pieces of a body where it comes from the socket.

These protocols take a stream over from aiohttp (`http.takeover`) and cut what is plain, many messages at a time. What
is not plain goes to aiohttp in its place, and the links take it from there: `get` says whose the next one is.
"""

import asyncio
from collections import deque
from typing import Generic, TypeVar

from typing_extensions import override

from iris_exporter.decoding.dialect import Binary
from iris_exporter.http.takeover import StreamProtocol, give_back
from iris_exporter.transports import chunks, frames

_T = TypeVar("_T")

_PAUSE_BYTES = 256 * 1024
"""So much may wait to be taken; beyond, nothing is read from the socket, and the source has to wait."""

MAX_BATCH_MESSAGES = 512
"""How many messages one batch holds: some 2 ms of work, so that a scrape gets its turn."""


class Incoming(StreamProtocol, Generic[_T]):
    """A queue between the socket and the one who reads the stream."""

    def __init__(self) -> None:
        # Made with the first item: an empty deque has room for 64 already, and many streams are silent.
        self._items: deque[tuple[_T, int]] | None = None
        self._waiting_bytes = 0
        self._is_paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._is_busy = False  # whether the last item was there already
        self._is_over = False  # whether nothing is put any more

    async def get(self) -> tuple[_T, int] | None:
        """The next item and its bytes on the wire; None once the rest, and the end, are aiohttp's to tell."""
        if self._items and self._is_busy:
            await asyncio.sleep(0)  # others have their turn between two batches
        self._is_busy = True
        while not self._items:
            if self._is_over:
                return None
            self._is_busy = False
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        item = self._items.popleft()
        self._waiting_bytes -= item[1]
        if self._is_paused and self._waiting_bytes < _PAUSE_BYTES // 2:
            self._is_paused = False
            self._transport.resume_reading()
        return item

    def _put(self, item: _T, wire_bytes: int) -> None:
        if self._items is None:
            self._items = deque()
        self._items.append((item, wire_bytes))
        self._waiting_bytes += wire_bytes
        if self._waiting_bytes > _PAUSE_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    @override
    def ended(self) -> None:
        self._is_over = True
        self._wake()

    def _leave_to_aiohttp(self, data: bytes) -> None:
        self._is_over = True
        if self._is_paused:
            self._transport.resume_reading()
        give_back(self._transport, self._below, data)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class IncomingFrames(Incoming[list[bytes] | list[Binary] | None]):
    """WebSocket frames: batches of text or binary messages, and None for a message that aiohttp has instead.

    aiohttp gets pings, pongs and compressed messages one by one, so that each is in its queue when its turn is
    here. What is none of these, such as a fragment, a close frame or an error, it gets with all that follows.
    """

    def __init__(self, max_message_bytes: int, *, compressed: bool) -> None:
        super().__init__()
        self._limit = max_message_bytes
        self._passed = {frames.PING: 125, frames.PONG: 125}
        if compressed:
            for first in (frames.TEXT, frames.BINARY):
                self._passed[first | frames.COMPRESSED] = max_message_bytes
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._needed_bytes = 0  # how much there has to be until it is worth a look

    @override
    def data_received(self, data: bytes) -> None:
        if self._pending:
            self._pending.append(data)
            self._pending_bytes += len(data)
            if self._pending_bytes < self._needed_bytes:
                return
            data = b"".join(self._pending)
            self._pending.clear()
        start, end = 0, len(data)
        while start < end:
            texts, stop = frames.take_texts(data, start, self._limit, MAX_BATCH_MESSAGES)
            if texts:
                self._put(texts, stop - start)
                start = stop
                continue
            binaries, stop = frames.take_binaries(data, start, self._limit, MAX_BATCH_MESSAGES)
            if binaries:
                self._put(list(map(Binary, binaries)), stop - start)
                start = stop
                continue
            first = data[start]
            limit = self._limit if first in (frames.TEXT, frames.BINARY) else self._passed.get(first)
            size = None if limit is None else frames.whole_frame(data, start, limit)
            if size is None:
                self._leave_to_aiohttp(data[start:])
                return
            if not size or start + size > end:
                self._pending.append(data[start:])
                self._pending_bytes = end - start
                self._needed_bytes = size
                return
            self._below.data_received(data[start : start + size])
            self._put(None, size)
            start += size

    @override
    def ended(self) -> None:
        super().ended()
        if self._pending:
            self._below.data_received(b"".join(self._pending))


class IncomingBody(Incoming[bytes]):
    """The body of an event stream as it comes, without the framing of its chunks."""

    def __init__(self, *, chunked: bool) -> None:
        super().__init__()
        self._chunked = chunked
        self._pending = b""
        self._left_bytes = 0  # of the chunk that has begun, with its line end

    @override
    def data_received(self, data: bytes) -> None:
        if not self._chunked:
            self._put(data, len(data))
            return
        if self._pending:
            data = self._pending + data
            self._pending = b""
        pieces: list[bytes] = []
        start = chunks.take_rest(data, self._left_bytes, pieces) if self._left_bytes else 0
        if start is not None:
            self._left_bytes = max(self._left_bytes - len(data), 0)
            if start < len(data):
                start, self._left_bytes = chunks.take_chunks(data, start, pieces)
        payload = b"".join(pieces)
        if payload:
            self._put(payload, len(payload))
        if start is None:
            self._leave_to_aiohttp(chunks.BROKEN)
        elif chunks.is_beginning(data, start):
            self._pending = data[start:]
        else:
            self._leave_to_aiohttp(data[start:])
