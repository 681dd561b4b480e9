"""Streams that are watched without a sidecar, against the reference backend."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from iris_exporter.backend.objects import Event
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.clock import SystemClock
from iris_exporter.http.session import open_session
from iris_exporter.watch.direct import Direct
from iris_exporter.watch.session import Session
from iris_exporter.watch.view.board import Board
from iris_exporter.watch.view.changes import Change, Kind
from iris_exporter.watch.view.feed import Filter
from tests.ports import free_port
from tests.settings import stream_settings
from tests.waiting import until


@asynccontextmanager
async def watching(*urls: str) -> AsyncIterator[tuple[Board, Direct, list[Change]]]:
    """Watch these streams, called s0, s1 and so on."""
    found: list[Change] = []
    settings = [stream_settings(name=f"s{number}", url=url, proxy="none") for number, url in enumerate(urls)]
    async with open_session() as session:
        board, source = Board(None), Direct(settings, session, SystemClock())
        task = asyncio.ensure_future(Session(board, source, SystemClock(), found.extend).run())
        try:
            yield board, source, found
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def publish(backend: Backend, *names: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    backend.service.publish([Event(name, now, "p", "run", "info", f"text of {name}", {}) for name in names])


async def test_a_stream_is_shown_and_switched() -> None:
    async with (
        Backend(BackendSettings(port=0, rate=0)) as backend,
        watching(f"{backend.url}/api/stream/events") as (board, source, found),
    ):
        await until(lambda: "s0" in board.streams and board.streams["s0"].state == "live")
        publish(backend, "e1", "e2")
        await until(lambda: sum(change.kind is Kind.EVENT for change in found) == 2)
        await until(lambda: board.details is not None and bool(board.details.projects))
        assert board.details is not None
        assert [row.message for row in board.details.feed.shown(Filter())][:2] == ["text of e2", "text of e1"]
        assert board.details.cards[0].value is not None
        for action, state in (("disconnect", "disconnected"), ("connect", "live"), ("reset", "live")):
            assert await source.switch("s0", action) is None
            await until(lambda state=state: board.streams["s0"].state == state)  # type: ignore[misc]
    assert next(change.kind for change in found) is Kind.STREAM  # and nothing of a sidecar


async def test_one_of_several_streams_may_fail() -> None:
    async with Backend(BackendSettings(port=0, rate=0)) as backend:
        dead = f"http://127.0.0.1:{free_port()}/api/stream"
        async with watching(f"{backend.url}/api/stream", dead) as (board, source, _):
            await until(lambda: [each.state for each in board.streams.values()] == ["live", "connecting"])
            await until(lambda: board.streams["s1"].failure is not None)
            assert await source.switch("none", "reset") is not None
            assert backend.open_connections == 1
        await until(lambda: backend.open_connections == 0)
