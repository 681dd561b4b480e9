"""The sender: a process of its own, so that its CPU time is not the measured one. Run by `processes.Source`.

It listens on a free port of 127.0.0.1 and serves `/websocket`, `/sse`, `/sse-chunked` and whatever is below (streams
that stay silent until told) and `/overview/N` (a REST snapshot of N projects). Orders come as lines of JSON on stdin,
each is answered by one line on stdout; the end of stdin ends the process.

  {"do": "prepare", "framing": F, "count": N}            encode N messages ahead
  {"do": "flood", "framing": F, "first": I, "count": N}  send N messages from number I (0), as fast as they are taken
  {"do": "pace", "framing": F, "count": N, "rate": R}    send N messages, R a second; answers when each was written
  {"do": "clients", "framing": F, "count": 0}            answer how many are connected
  {"do": "drop", "framing": F, "first": I, "count": N}   end N connections, each after one message, from number I

It speaks just enough HTTP and WebSocket for that, because a server library would be slower than what is measured.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from benchmarks.wire import FRAMINGS, SUBSCRIBED, Events, blocks

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_PROTOBUF = b"\r\nSec-WebSocket-Protocol: iris.v1+protobuf"
_CLOSE = 0x8
_CLOSE_NORMALLY = b"\x88\x02\x03\xe8"
_TICK_SECONDS = 0.001


class Server:
    """Streams that wait for orders; several clients of one framing get the same."""

    def __init__(self) -> None:
        self._events = Events(datetime.now(UTC))
        self._prepared: dict[tuple[str, int, int], list[bytes]] = {}
        self._clients: dict[str, set[asyncio.StreamWriter]] = {framing: set() for framing in FRAMINGS}

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it becomes a stream or ends."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._answer(await reader.readuntil(b"\r\n\r\n"), reader, writer):
                pass
        writer.close()

    async def _answer(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False when nothing more is to be read."""
        framing, _, number = head.split(b" ", 2)[1].decode("ascii", "replace").lstrip("/").partition("/")
        if framing not in FRAMINGS:
            writer.write(_snapshot(int(number) if number.isdigit() else 0))
            return True
        is_websocket, is_protobuf = framing.startswith("websocket"), "protobuf" in framing
        writer.write(_head_of_websocket(head, protobuf=is_protobuf) if is_websocket else _head_of_events(framing))
        if is_protobuf:
            writer.write(SUBSCRIBED)
        self._clients[framing].add(writer)
        try:
            while data := await reader.read(65536):
                if is_websocket and data[0] & 0xF == _CLOSE:
                    writer.write(_CLOSE_NORMALLY)
                    break
        finally:
            self._clients[framing].discard(writer)
        return False

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one order and return the answer."""
        framing, first, count = order["framing"], order.get("first", 0), order["count"]
        key = (framing, first, count)
        if order["do"] == "prepare":
            self._prepared = {key: list(blocks(self._events, framing, first, count))}
            return {}
        if order["do"] == "clients":
            return {"clients": len(self._clients[framing])}
        if order["do"] == "pace":
            return {"sent": await self._pace(framing, count, order["rate"])}
        if order["do"] == "drop":
            return await self._drop(framing, first, count)
        found: Iterable[bytes] | None = self._prepared.get(key)
        for block in blocks(self._events, framing, first, count) if found is None else found:
            for writer in tuple(self._clients[framing]):
                writer.write(block)
                await writer.drain()
        return {}

    async def _drop(self, framing: str, first: int, count: int) -> dict[str, Any]:
        """End connections as they come, each with a message of its own so that none of them is for nothing."""
        for number in range(first, first + count):
            while not self._clients[framing]:  # noqa: ASYNC110 (an event for each framing would cost the hot path)
                await asyncio.sleep(_TICK_SECONDS)
            writer = self._clients[framing].pop()
            writer.write(FRAMINGS[framing](self._events.envelope(number)))
            writer.close()
        return {}

    async def _pace(self, framing: str, count: int, rate: float) -> list[tuple[int, float]]:
        """Send evenly; after each write the messages so far and the moment before it (`time.monotonic`)."""
        frames = [FRAMINGS[framing](self._events.envelope(number)) for number in range(count)]
        log: list[tuple[int, float]] = []
        sent = 0
        started = time.monotonic()
        while sent < count:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.monotonic()
            due = min(count, int((now - started) * rate))
            if due > sent:
                piece = b"".join(frames[sent:due])
                sent = due
                log.append((sent, time.monotonic()))
                for writer in tuple(self._clients[framing]):
                    writer.write(piece)
        return log


def _snapshot(projects: int) -> bytes:
    found = [{"id": f"known-{number}", "name": f"Project {number}", "status": "active"} for number in range(projects)]
    body = json.dumps({"projects": found} if found else {}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _head_of_websocket(request: bytes, *, protobuf: bool) -> bytes:
    headers = dict(line.partition(b":")[::2] for line in request.split(b"\r\n")[1:])
    key = next(value.strip() for name, value in headers.items() if name.lower() == b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + (_PROTOBUF if protobuf else b"") + b"\r\n\r\n"
    )


def _head_of_events(framing: str) -> bytes:
    ending = b"Transfer-Encoding: chunked" if framing == "sse-chunked" else b"Connection: close"
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + ending + b"\r\n\r\n"


async def main() -> None:
    """Serve until stdin ends."""
    server = Server()
    listening = await asyncio.start_server(server.connected, "127.0.0.1", 0, limit=1 << 20)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    print(json.dumps({"port": listening.sockets[0].getsockname()[1]}), flush=True)
    while line := await orders.readline():
        print(json.dumps(await server.obey(json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
