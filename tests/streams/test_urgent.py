"""An urgent event does not wait until the snapshot is loaded; what is behind it does."""

import asyncio
import json
import random
from typing import Any

import pytest
from aiohttp import web

from iris_exporter.clock import SystemClock
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.http.session import open_session
from iris_exporter.instruments import catalog
from iris_exporter.streams.stream import Stream
from iris_exporter.wire.protobuf import encode
from tests.settings import stream_settings
from tests.waiting import until

NOW = "2025-01-02T03:04:05.678Z"


def event(name: str, **more: Any) -> dict[str, Any]:
    data = {"id": name, "timestamp": NOW, "project": "p", "event_type": "info", "severity": "info"}
    return {"type": "event", "timestamp": NOW, "data": data, **more}


MESSAGES = (
    {"type": "subscribed", "timestamp": NOW, "data": {"priority": True, "position": "e-10", "channels": ["events"]}},
    event("a", id="e-11"),
    event("urgent", priority="high"),
    event("urgent", id="e-12"),
)


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
async def test_an_urgent_event_is_counted_while_the_snapshot_is_loaded(encoding: str) -> None:
    may_answer = asyncio.Event()

    async def overview(_: web.Request) -> web.Response:
        await may_answer.wait()
        return web.json_response({"events": [], "cursor": "e-10"})

    async def stream_of(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=(f"iris.v1+{encoding}",))
        await socket.prepare(request)
        for message in MESSAGES:
            if encoding == "json":
                await socket.send_str(json.dumps(message))
            else:
                await socket.send_bytes(encode(message))
        async for _ in socket:
            pass
        return socket

    app = web.Application()
    app.router.add_get("/api/overview", overview)
    app.router.add_get("/api/stream", stream_of)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings = stream_settings(
        url=f"ws://127.0.0.1:{runner.addresses[0][1]}/api/stream", snapshot_url=None, encoding=encoding
    )
    async with open_session() as session:
        stream = Stream(settings, session, SystemClock(), random.random, ConnectionBudgets())
        stream.connect()
        try:
            await until(lambda: sum(stream.snapshot().event_counts.values()) == 1)
            assert [found.id for found in stream.snapshot().events] == ["urgent"]
            normal, urgent = stream.status().oldest_waiting
            assert normal is not None, "the others wait"
            assert urgent is None
            may_answer.set()
            await until(lambda: sum(stream.snapshot().event_counts.values()) == 2)
            await until(lambda: stream.status().oldest_waiting == (None, None))
            assert stream.status().encoding == encoding
            counted = stream.instruments.counter(catalog.EVENTS_DUPLICATE).counts()
            assert sum(counted.values()) == 0
        finally:
            await stream.stop()
            await runner.cleanup()
