"""A TCP proxy that does to a connection what networks, load balancers and dying servers do.

It listens on a free port of 127.0.0.1, which stays the same, and passes bytes on until it is told otherwise; faults are
switched at run time and hit connections that are open as well as new ones. Everything is bounded (connections, bytes
held), and leaving the `async with` block ends every connection, whatever state it is in.

It works on bytes and knows no HTTP, except that `cut_gzip` shortens a compressed answer so that its framing stays
right: the one fault that a client cannot tell from the length of what it got.
"""

import asyncio
import errno
import re
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from tests.ports import free_port

MAX_LINKS = 256
"""Open connections; further ones are closed at once."""
_PORT_TAKEN_SECONDS = 0.02
PIECE_BYTES = 16 * 1024
"""The most that is read, and so held, for one direction of a connection."""

_LINGER_ZERO = struct.pack("ii", 1, 0)
_LENGTH = re.compile(rb"(?i)(\r\ncontent-length: *)(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong; the defaults are nothing.

    `hang`: a new connection is accepted and then left alone. `reset_after` and `end_after`: so many bytes of answer
    (counted from the moment the fault was set, or from the start of a later connection) are passed on, then the client
    gets a reset, or an end of the stream. `drip`: one byte at a time, both ways. `delay_seconds`: each piece arrives so
    much later at least, in order, both ways. `cut_gzip`: so many bytes are missing from the end of each compressed
    answer, and its Content-Length says so. `swap`: the next connection gets its answer only after a later one has got
    one.
    """

    hang: bool = False
    reset_after: int | None = None
    end_after: int | None = None
    drip: bool = False
    delay_seconds: float = 0.0
    cut_gzip: int = 0
    swap: bool = False


NOTHING = Faults()


class Link:
    """One connection through the proxy, and how much of the answer has passed."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.client = writer
        self.server: asyncio.StreamWriter | None = None
        self.passed = 0
        """Bytes of answer passed on since the last change of faults."""
        self.gathered = b""
        """An answer that `cut_gzip` waits to see whole."""
        self.half_open = False
        self.answered = False
        self.may_answer = asyncio.Event()
        """Unset while `swap` holds the answer back."""

    def reset(self) -> None:
        """End both sides at once, the client's with RST instead of FIN."""
        with suppress(OSError):
            self.client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self.close()

    def close(self) -> None:
        """End both sides; what is not sent yet is lost."""
        self.client.transport.abort()
        if self.server is not None:
            self.server.transport.abort()


class FaultProxy:
    """`async with FaultProxy(port) as proxy`: clients use `proxy.url` in place of the server's address."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        """Where it listens, each time."""
        self.accepted = 0
        """Connections accepted since the start."""
        self._target_port = target_port
        self._faults = NOTHING
        self._links: dict[asyncio.Task[None], Link] = {}
        self._server: asyncio.Server | None = None
        self._flapping: asyncio.Task[None] | None = None
        self._held: Link | None = None

    @property
    def url(self) -> str:
        """The address for HTTP clients."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_links(self) -> int:
        """Connections that are open, hanging or half-open."""
        return len(self._links)

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop_flapping()
        self.refuse()
        tasks = list(self._links)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Switches

    def set(self, faults: Faults) -> None:
        """Let `faults` act from now on, in place of those before."""
        self._faults = faults
        for link in self._links.values():
            link.passed = 0

    async def lift(self) -> None:
        """End every fault. Connections that hang or are half-open stay so: whatever forgot them has no memory."""
        await self._stop_flapping()
        self.set(NOTHING)
        self._release()
        await self.accept()

    async def accept(self) -> None:
        """Listen, on the port of the first time; nothing happens when it listens."""
        while self._server is None:
            try:
                listener = socket.create_server(("127.0.0.1", self.port))
            except OSError as error:
                # While nothing listened another test may have taken the port for a moment.
                if error.errno != errno.EADDRINUSE:
                    raise
                await asyncio.sleep(_PORT_TAKEN_SECONDS)
                continue
            # Without a pause until it is ours: a server that is cancelled while it starts would listen for ever.
            self._server = await asyncio.start_server(
                self._connected, sock=listener, limit=PIECE_BYTES, start_serving=False
            )
            await self._server.start_serving()

    def refuse(self) -> None:
        """Close the listener and cut what is open, as a server that was killed."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """Reset every connection that is open now; new ones are welcome."""
        for task, link in self._links.items():
            link.reset()
            # One that hangs or is half-open waits for nothing that could tell it so.
            task.cancel()

    def bury(self) -> None:
        """End the connections that are half-open, as hosts do after hours."""
        for task, link in self._links.items():
            if link.half_open:
                link.reset()
                task.cancel()

    def half_open(self) -> None:
        """Stop reading from and writing to every connection that is open now, for ever, and keep its sockets."""
        for link in self._links.values():
            link.half_open = True

    async def flap(self, up_seconds: Callable[[], float], down_seconds: Callable[[], float]) -> None:
        """From now on be there and refuse in turn, each time for as long as the functions say."""
        await self._stop_flapping()

        async def flapping() -> None:
            while True:
                await self.accept()
                await asyncio.sleep(up_seconds())
                self.refuse()
                await asyncio.sleep(down_seconds())

        self._flapping = asyncio.create_task(flapping(), name="flapping")

    async def _stop_flapping(self) -> None:
        task, self._flapping = self._flapping, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # Connections

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = Link(writer)
        if len(self._links) >= MAX_LINKS:
            link.reset()
            return
        task = asyncio.create_task(self._serve(link, reader), name="proxied connection")
        self._links[task] = link
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        link = self._links.pop(task)
        link.close()
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def _serve(self, link: Link, from_client: asyncio.StreamReader) -> None:
        if self._faults.hang:
            await asyncio.get_running_loop().create_future()
        if self._faults.swap and self._held is None:
            self._held = link
        else:
            link.may_answer.set()
        with suppress(OSError):
            from_server, link.server = await asyncio.open_connection("127.0.0.1", self._target_port, limit=PIECE_BYTES)
            up = asyncio.create_task(self._pass_on(link, from_client, link.server, self._up))
            down = asyncio.create_task(self._pass_on(link, from_server, link.client, self._down))
            try:
                # Either side may close its half first; a WebSocket or HTTP connection is over then.
                await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
                if not link.half_open:
                    await self._flush(link.client)
            finally:
                for task in (up, down):
                    task.cancel()
                await asyncio.gather(up, down, return_exceptions=True)

    async def _flush(self, writer: asyncio.StreamWriter) -> None:
        """Send what was accepted for sending, and the end of the stream, for a second at most."""
        with suppress(OSError, TimeoutError, RuntimeError):
            async with asyncio.timeout(1):
                writer.close()
                await writer.wait_closed()

    async def _pass_on(
        self,
        link: Link,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        transform: Callable[[Link, bytes], bytes | None],
    ) -> None:
        """Move pieces from `reader` to `writer` until one side ends."""
        with suppress(ConnectionError):
            while piece := await reader.read(PIECE_BYTES):
                if self._faults.delay_seconds:
                    await asyncio.sleep(self._faults.delay_seconds)
                if writer is link.client:
                    await link.may_answer.wait()
                if link.half_open:
                    await asyncio.get_running_loop().create_future()
                shaped = transform(link, piece)
                if shaped is None:
                    return
                await self._write(writer, shaped)
        if link.half_open:
            await asyncio.get_running_loop().create_future()

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if not self._faults.drip:
            writer.write(data)
            await writer.drain()
            return
        for index in range(len(data)):
            writer.write(data[index : index + 1])
            await writer.drain()
            # A peer in this loop takes the byte from its socket in one turn, and its task runs in the next.
            for _ in range(3):
                await asyncio.sleep(0)
            if not self._faults.drip:
                writer.write(data[index + 1 :])
                return

    def _up(self, link: Link, piece: bytes) -> bytes | None:
        return piece

    def _down(self, link: Link, piece: bytes) -> bytes | None:
        """What is left of a piece of answer; None when the connection is over."""
        if not link.answered:
            link.answered = True
            if self._held is not None and self._held is not link:
                self._release()
        faults = self._faults
        if faults.cut_gzip or link.gathered:
            link.gathered += piece
            shorter = without_end_of_gzip(link.gathered, faults.cut_gzip)
            if shorter is None:
                return b""
            piece, link.gathered = shorter, b""
        limit = faults.reset_after if faults.reset_after is not None else faults.end_after
        if limit is not None:
            left = limit - link.passed
            link.passed += len(piece)
            if len(piece) >= left:
                link.client.write(piece[: max(left, 0)])
                if faults.reset_after is not None:
                    link.reset()
                return None
        return piece

    def _release(self) -> None:
        """Let the held connection have its answer; `swap` is over."""
        self._faults = replace(self._faults, swap=False)
        if self._held is not None:
            self._held.may_answer.set()
            self._held = None


def without_end_of_gzip(answer: bytes, missing: int) -> bytes | None:
    """An HTTP answer whose compressed body lacks its last bytes, with a Content-Length that fits.

    None while the answer is incomplete; what is no such answer is returned as it is.
    """
    head, end, body = answer.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if not end or length is None or b"content-encoding: gzip" not in head.lower():
        return answer
    if len(body) < int(length[2]):
        return None
    kept = max(0, int(length[2]) - missing)
    return head[: length.start(2)] + str(kept).encode() + head[length.end(2) :] + end + body[:kept]
