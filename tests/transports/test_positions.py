"""Positions of a source: what goes into the next request, and what becomes of one that is refused."""

import asyncio
import random

import aiohttp
import pytest
from aiohttp import web

from iris_exporter.core.backoff import Backoff
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.cursor import Cursor
from iris_exporter.core.failures import RETRY_AFTER_CAP_SECONDS, TransportError
from iris_exporter.core.positions import CursorState, Outcome, parse_position
from iris_exporter.core.status import State
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.retry_after import retry_after_seconds
from iris_exporter.http.session import open_session
from iris_exporter.instruments import catalog
from iris_exporter.persistence.cursor_store import CursorRecord
from iris_exporter.streams.stream import Stream
from iris_exporter.transports.polling import Poller
from tests.fakes import FakeClock
from tests.settings import stream_settings
from tests.transports.support import serve, serve_bytes
from tests.waiting import until

UNSENDABLE = ["a\x01b", "a\x1bb", "a\x7fb", "a\rb", "a\nb", "a\0b", " a", "a ", "\ta", "a\udcff", "a" * 4097]
SENDABLE = ["a b", "a\tb", "ä☃", "a" * 4096, "\ufffd"]


@pytest.mark.parametrize("identifier", UNSENDABLE)
def test_an_id_that_no_header_can_carry_is_neither_sent_nor_stored(identifier: str) -> None:
    cursor = Cursor(CursorState(opaque="before"))
    cursor.note_id(identifier)
    assert cursor.resume_from == "before"
    assert Cursor(CursorState(opaque=identifier)).resume_from == ""
    if identifier[-1] != " ":
        assert parse_position(f"{identifier}-5") is None
    assert Cursor(CursorState(f"\x01{identifier}", 5)).state == CursorState()


@pytest.mark.parametrize("identifier", SENDABLE)
def test_every_other_id_is_sent_back(identifier: str) -> None:
    cursor = Cursor()
    cursor.note_id(identifier)
    assert cursor.resume_from == identifier


@pytest.mark.parametrize("kept", [CursorState(opaque="old-id"), CursorState("e", 7, confirmed=True)])
@pytest.mark.parametrize("status", [400, 404, 410, 412, 416, 422])
async def test_a_position_that_is_refused_is_left_out_of_the_next_dial(kept: CursorState, status: int) -> None:
    asked: list[str | None] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if not head.startswith("GET /api/stream"):
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        asked.append(lines.get("Last-Event-ID"))
        if "Last-Event-ID" in lines:
            writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hi\n\n")
        await reader.read()

    clock = FakeClock()
    async with serve_bytes(handle) as port, open_session() as session:
        url = f"http://127.0.0.1:{port}/api/stream/x"
        settings = stream_settings(name="s", url=url, protocol="sse")
        stream = Stream(
            settings,
            session,
            clock,
            random.Random(1).random,
            ConnectionBudgets(),
            CursorRecord("s", url, kept, []),
        )
        stream.connect()
        await until(lambda: stream.status().next_attempt_at is not None)
        await clock.advance(5.0)
        await until(lambda: stream.status().state is State.LIVE)
        assert stream.instruments.counter(catalog.RESUMES).counts()["none"] == 1
        assert asked == [Cursor(kept).resume_from, None]
        await stream.stop()


def test_a_refused_position_is_asked_for_again_only_when_it_has_changed_or_was_not_at_fault() -> None:
    cursor = Cursor(CursorState("e", 7, confirmed=True))
    cursor.refuse()
    assert cursor.resume_from == ""
    cursor.allow()
    assert cursor.resume_from == "e-7"
    cursor.refuse()
    cursor.live("e-8", 1)
    assert cursor.resume_from == "e-8"


def test_a_reset_forgets_the_position() -> None:
    for state in (CursorState(opaque="x"), CursorState("e", 7, confirmed=True)):
        cursor = Cursor(state)
        cursor.forget()
        assert (cursor.resume_from, cursor.state) == ("", CursorState())


class Refusing:
    """A WebSocket that refuses each `resume`, by a close code or by an `error` message; `resumes` has what it got."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.resumes: list[bool] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path != "/api/stream/x":
            return web.Response(status=404)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        # Without a position the first message is the ping of the heartbeat.
        asks = (await socket.receive_json())["type"] == "resume"
        if asks and self.code:
            await socket.close(code=self.code)
        elif asks:
            await socket.send_json({"type": "error", "error": {"code": "INVALID_ENDPOINT", "message": "no"}})
        self.resumes.append(asks)
        async for _ in socket:
            pass
        return socket


def websocket_stream(url: str, session: aiohttp.ClientSession, clock: FakeClock, record: CursorRecord) -> Stream:
    settings = stream_settings(name="s", url=url, protocol="ws", heartbeat_interval_seconds=1.0)
    return Stream(settings, session, clock, random.Random(1).random, ConnectionBudgets(), record)


@pytest.mark.parametrize("code", [0, 4400, 4404, 4410, 4412, 4416, 4422])
async def test_a_websocket_that_refuses_the_position_is_asked_once(code: int) -> None:
    source, clock = Refusing(code), FakeClock()
    async with serve(source.handle) as server, open_session() as session:
        url = f"{server.url.replace('http', 'ws')}/api/stream/x"
        record = CursorRecord("s", url, CursorState("e", 7, confirmed=True), ["a"])
        stream = websocket_stream(url, session, clock, record)
        stream.connect()
        await until(lambda: stream.status().next_attempt_at is not None)
        assert stream.status().failure is not None
        assert stream.status().failure.reason == "position_refused"
        assert stream.pending_record().build().cursor == CursorState()
        assert stream.pending_record().build().ids == ["a"]
        await clock.advance(5.0)
        await until(lambda: stream.status().state is State.LIVE)
        await clock.advance(5.0)
        await until(lambda: len(source.resumes) == 2)
        assert source.resumes == [True, False]
        assert stream.instruments.counter(catalog.RESUMES).counts()["none"] == 1
        await stream.stop()


def test_the_cursor_record_lacks_a_refused_position_and_has_it_again_when_it_was_not_at_fault() -> None:
    for state in (CursorState("e", 7, confirmed=True), CursorState(opaque="x")):
        cursor = Cursor(state)
        assert cursor.state_to_record == state
        cursor.refuse()
        assert cursor.state_to_record == CursorState()
        cursor.allow()
        assert cursor.state_to_record == state


@pytest.mark.parametrize("text", ["e\x01-5", "e" * 4100 + "-5", "\udcff-5"])
def test_a_numbered_position_that_no_header_can_carry_is_dropped_and_counted(text: str) -> None:
    for state in (CursorState(), CursorState("e", 1, confirmed=True)):
        cursor = Cursor(state)
        cursor.live(text, 1)
        cursor.document(text, 1, polling=True)
        cursor.page(text, 0)
        cursor.answered(Outcome.FULL, 0, 0, None, text)
        assert cursor.state == state
        assert cursor.dropped == 4


async def test_an_entity_tag_that_is_refused_or_not_the_one_sent_is_not_sent_again() -> None:
    asked: list[str | None] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("If-None-Match"))
        if asked[-1] is not None:
            return web.Response(status=412)
        return web.Response(body=b"{}", content_type="application/json", headers={"ETag": '"v1"'})

    async with serve(handle) as server, open_session() as session:
        settings = stream_settings(url=server.url, protocol="poll")
        poller = Poller(settings, session, Credentials(settings), FakeClock(), IrisJson())
        assert (await poller.fetch(server.url)).body == b"{}"
        with pytest.raises(TransportError):
            await poller.fetch(server.url)
        assert (await poller.fetch(server.url)).body == b"{}"
    assert asked == [None, '"v1"', None]


async def test_not_modified_to_a_request_without_a_tag_is_a_failure() -> None:
    async def handle(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=304)

    async with serve(handle) as server, open_session() as session:
        settings = stream_settings(url=server.url, protocol="poll")
        with pytest.raises(TransportError):
            await Poller(settings, session, Credentials(settings), FakeClock(), IrisJson()).fetch(server.url)


@pytest.mark.parametrize(
    "value",
    [
        "NaN",
        "inf",
        "-1",
        "1e400",
        "9" * 400,
        "",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Fri, 31 Dec 99999 23:59:59 GMT",
        "Fri, 31 Dec 9999 23:59:59 -9999",
        "\u0665",
    ],
)
def test_whatever_a_retry_after_says_the_wait_is_bounded(value: str) -> None:
    hint = retry_after_seconds(value, 1_000_000.0)
    delay = Backoff(1.0, 60.0, 0.0, random.Random(1).random).delay(1, hint)
    assert 1.0 <= delay <= RETRY_AFTER_CAP_SECONDS
