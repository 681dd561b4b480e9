"""Positions of a source: what goes into the next request, and what becomes of one that is refused."""

import asyncio
import random

import pytest

from iris_exporter.config import stream_settings
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.cursor import Cursor
from iris_exporter.core.positions import CursorState, parse_position
from iris_exporter.core.status import State
from iris_exporter.instruments import catalog
from iris_exporter.store import Kept
from iris_exporter.stream import Stream
from iris_exporter.transports.session import open_session
from tests.fakes import FakeClock
from tests.transports.support import serve_bytes
from tests.waiting import until

UNSENDABLE = ["a\x01b", "a\x1bb", "a\x7fb", "a\rb", "a\nb", "a\0b", " a", "a ", "\ta", "a\udcff", "a" * 1025]
SENDABLE = ["a b", "a\tb", "ä☃", "a" * 1024, "\ufffd"]


@pytest.mark.parametrize("identifier", UNSENDABLE)
def test_an_id_that_no_header_can_carry_is_not_sent_and_not_kept(identifier: str) -> None:
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
@pytest.mark.parametrize("status", [400, 404, 410, 412, 416])
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
            lambda _: None,
            ConnectionBudgets(),
            Kept("s", url, kept, []),
        )
        stream.connect()
        await until(lambda: stream.status().next_attempt_at is not None)
        await clock.advance(5.0)
        await until(lambda: stream.status().state is State.LIVE)
        assert stream.instruments.counter(catalog.RESUMES).value("none") == 1
        assert asked == [Cursor(kept).resume_from, None]
        await stream.stop()


def test_a_refused_place_is_asked_for_again_only_when_it_is_another_one_or_was_not_at_fault() -> None:
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
