"""WebSocket on aiohttp: frames as they come; no decisions.

Pings and pongs are handled here and not by aiohttp, because each of them is a sign of life that must be seen.
Source: RFC 6455.
"""

import asyncio
from contextlib import suppress
from typing import Any

import aiohttp
from aiohttp import ClientWebSocketResponse, WSCloseCode, WSMsgType
from typing_extensions import override

from iris_exporter.core.failures import Failure, TransportError, from_close_code
from iris_exporter.decoding.dialect import Binary, Outgoing
from iris_exporter.http.classify import failure_of
from iris_exporter.http.takeover import TakeoverWebSocket
from iris_exporter.logs import redact
from iris_exporter.transports.base import Link, Received
from iris_exporter.transports.incoming import IncomingFrames

_CLOSE_SECONDS = 1.0


def _wire_size(payload_bytes: int) -> int:
    """The size of an unmasked frame, header included (RFC 6455, section 5.2)."""
    if payload_bytes < 126:
        return payload_bytes + 2
    return payload_bytes + (4 if payload_bytes < 65536 else 10)


class WebSocketLink(Link):
    """An open WebSocket; see `transports.base.Link`."""

    protocol = "websocket"
    two_way = True

    def __init__(self, socket: ClientWebSocketResponse[bool], max_message_bytes: int) -> None:
        self._socket = socket
        self.subprotocol = socket.protocol or ""
        self.compression = "deflate" if socket.compress else "none"
        self._end: Failure | None = None
        self._close_code: int | None = None  # of a violation that we have found
        self._ponging: asyncio.Task[None] | None = None
        self._incoming: IncomingFrames | None = None
        if isinstance(socket, TakeoverWebSocket) and socket.takeover is not None:
            self._incoming = IncomingFrames(max_message_bytes, compressed=bool(socket.compress))
            socket.takeover.take(self._incoming)

    @override
    async def read(self) -> Received:
        if self._close_code is not None and self._end is not None:
            raise TransportError(self._end)
        messages, wire_bytes = None, None
        if self._incoming is not None:
            item = await self._incoming.get()
            if item is None:
                self._incoming = None
            else:
                messages, wire_bytes = item
        if messages is None:
            received = self._received(await self._socket.receive())
            if wire_bytes is not None and wire_bytes != received.wire_bytes:
                received.inflated_bytes, received.wire_bytes = received.wire_bytes, wire_bytes
            return received
        if isinstance(messages[0], Binary):
            return Received(list(messages), wire_bytes or 0)
        texts = messages
        if not _is_utf8(b"\n".join(texts)):  # so that the end of one does not become valid by the next one
            return self._up_to_invalid(texts)
        return Received(list(texts), wire_bytes or 0)

    def _up_to_invalid(self, texts: list[bytes]) -> Received:
        """The messages up to the first that is no valid UTF-8, which the dialect counts.

        The connection has to be failed (RFC 6455, section 8.1).
        """
        invalid = next(index for index, text in enumerate(texts) if not _is_utf8(text))
        self._end = Failure("protocol_error", "a text message is no valid UTF-8")
        self._close_code = WSCloseCode.INVALID_TEXT
        taken = texts[: invalid + 1]
        return Received(list(taken), sum(_wire_size(len(text)) for text in taken))

    def _received(self, frame: Any) -> Received:
        """What a frame says that aiohttp has read."""
        kind = frame.type
        if kind is WSMsgType.TEXT:
            text = frame.data if isinstance(frame.data, bytes) else str(frame.data).encode()
            return self._up_to_invalid([text]) if not _is_utf8(text) else Received([text], _wire_size(len(text)))
        if kind is WSMsgType.BINARY:
            return Received([Binary(frame.data)], _wire_size(len(frame.data)))
        if kind is WSMsgType.PING:
            self._answer(frame.data)
            return Received([], _wire_size(len(frame.data)))
        if kind is WSMsgType.PONG:
            return Received([], _wire_size(len(frame.data)), pongs=1)
        raise TransportError(self._ended(kind, frame.data, frame.extra))

    def _ended(self, kind: WSMsgType, data: object, extra: object) -> Failure:
        if self._end is not None:
            return self._end
        if isinstance(data, aiohttp.WebSocketError):
            return from_close_code(data.code, "the frame was refused")
        if isinstance(data, BaseException):
            return failure_of(data)
        if kind is WSMsgType.CLOSE and isinstance(data, int):
            return from_close_code(data, _printable(extra))
        return from_close_code(self._socket.close_code)

    def _answer(self, payload: bytes) -> None:
        """Answer a ping without waiting for a peer that does not read.

        While an answer is under way, later pings have none: not each one has to (RFC 6455, 5.5.3).
        """
        if self._ponging is None or self._ponging.done():
            self._ponging = asyncio.create_task(self._pong(payload), name="pong")

    async def _pong(self, payload: bytes) -> None:
        with suppress(ConnectionError, RuntimeError, aiohttp.ClientError):
            await self._socket.pong(payload)

    @override
    async def send(self, message: Outgoing) -> bool:
        """A link that has just ended swallows the message, the next read says why it ended."""
        with suppress(ConnectionError, RuntimeError, aiohttp.ClientError):
            if isinstance(message, Binary):
                await self._socket.send_bytes(message.data)
            else:
                await self._socket.send_str(message.decode())
        return True

    @override
    async def ping(self) -> bool:
        with suppress(ConnectionError, RuntimeError, aiohttp.ClientError):
            await self._socket.ping(b"iris")
        return True

    @override
    async def close(self, code: int = 1000) -> None:
        if self._ponging is not None:
            self._ponging.cancel()
        with suppress(Exception):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._socket.close(code=code if self._close_code is None else self._close_code)


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _printable(text: object) -> str:
    """The reason of a close frame as far as it is fit to be shown: up to 123 bytes of the peer's choice.

    A peer that quotes the key it refuses must not make us show it.
    """
    return redact("".join(letter for letter in str(text or "") if letter.isprintable()))
