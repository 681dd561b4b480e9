"""The WebSocket link on a socket of ours: what is taken at once, and what it does without looking inside aiohttp."""

from collections import deque
from typing import Any, cast

from aiohttp import ClientWebSocketResponse, WSMessage, WSMsgType

from iris_exporter.transports.websocket import WebSocketLink


def frame(data: bytes, kind: WSMsgType = WSMsgType.TEXT) -> WSMessage:
    return WSMessage(kind, data, None)


class Socket:
    """Frames that are all there at once; `receive` is the only way to those that are no text."""

    def __init__(self, *frames: WSMessage) -> None:
        self.frames = deque((each, len(each.data)) for each in frames)
        self.received = 0

    async def receive(self) -> WSMessage:
        self.received += 1
        return self.frames.popleft()[0]

    async def pong(self, payload: bytes) -> None:
        assert payload == b"?"


class Reader:
    """What aiohttp keeps parsed frames in, as far as the link looks at it."""

    def __init__(self, socket: Socket) -> None:
        self._buffer = socket.frames

    async def read(self) -> WSMessage:
        return self._buffer.popleft()[0]


class OpenSocket(Socket):
    """One whose parsed frames can be seen."""

    def __init__(self, *frames: WSMessage) -> None:
        super().__init__(*frames)
        self._reader = Reader(self)


def link(socket: Socket) -> WebSocketLink:
    return WebSocketLink(cast("ClientWebSocketResponse[Any]", socket))


async def test_all_parsed_frames_come_in_one_read_and_control_frames_by_receive() -> None:
    socket = OpenSocket(frame(b"a"), frame(b"?", WSMsgType.PING), frame(b"bc"), frame(b"", WSMsgType.PONG), frame(b"d"))
    received = await link(socket).read()
    assert received.frames == [b"a", b"bc", b"d"]
    assert (received.pongs, received.wire_bytes) == (1, 3 + 3 + 4 + 2 + 3)
    assert socket.received == 2


async def test_where_parsed_frames_are_hidden_each_read_brings_one() -> None:
    socket = Socket(frame(b"a"), frame(b"b"))
    hidden = link(socket)
    assert (await hidden.read()).frames == [b"a"]
    assert (await hidden.read()).frames == [b"b"]
    assert socket.received == 2
