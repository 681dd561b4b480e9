"""Listening to a real source with its mapping."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from iris_exporter import config
from iris_exporter.clock import SystemClock
from iris_exporter.settings import StreamSettings
from iris_exporter.trial import listening
from iris_exporter.trial.listening import Heard, listen
from tests.mapping import samples
from tests.waiting import BUSY

STOP = web.AppKey("stop", asyncio.Event)


@asynccontextmanager
async def running() -> AsyncIterator[str]:
    """A server with an event stream of Wikimedia's shape, a WebSocket of Home Assistant's, and a document."""
    app = web.Application()
    app[STOP] = asyncio.Event()
    app.router.add_get("/sse", events)
    app.router.add_get("/ws", socket)
    app.router.add_get("/ws-binary", socket)
    app.router.add_get("/status", document)
    app.router.add_get("/refused", refused)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    app[STOP].set()
    await runner.cleanup()


async def events(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(samples.load("wikimedia").content + b"\n\n")
    await request.app[STOP].wait()
    return response


async def socket(request: web.Request) -> web.WebSocketResponse:
    link = web.WebSocketResponse()
    await link.prepare(request)

    async def send(text: str) -> None:
        await (link.send_bytes(text.encode()) if request.path == "/ws-binary" else link.send_str(text))

    await send('{"type": "auth_required"}')
    answer = await link.receive_json()
    if answer != {"type": "auth", "access_token": "a-secret-token"}:
        await send('{"type": "auth_invalid"}')
        await link.close()
        return link
    await send('{"type": "auth_ok"}')
    subscribe = await link.receive_json()
    assert subscribe == {"id": 1, "type": "subscribe_events", "event_type": "state_changed"}
    for line in samples.load("home-assistant").lines[2:-1]:
        await send(line.decode())
    await link.receive()
    return link


async def document(_request: web.Request) -> web.Response:
    return web.Response(body=samples.load("status-page").content, content_type="application/json")


async def refused(_request: web.Request) -> web.Response:
    raise web.HTTPForbidden


def stream(url: str, mapping: str, directory: Path, **options: str) -> StreamSettings:
    key = directory / "key"
    key.write_text(options.pop("key", "a-secret-token"))
    flags: dict[str, object] = {"stream.url": url, "stream.mapping": mapping, "stream.api-key-file": str(key)}
    flags |= {f"stream.{name.replace('_', '-')}": value for name, value in options.items()}
    return config.load(flags, {}).streams[0]


async def heard(path: str, mapping: str, directory: Path, messages: int, **options: str) -> Heard:
    async with running() as address:
        scheme = "ws" if path.startswith("ws") else "http"
        settings = stream(f"{scheme}://{address}/{path}", mapping, directory, **options)
        assert settings.mapped is not None
        return await listen(settings, settings.mapped, 25 * BUSY, SystemClock(), messages)


async def test_an_event_stream(tmp_path: Path) -> None:
    found = await heard("sse", "wikimedia", tmp_path, 4)
    assert found.trouble == []
    assert found.result.messages == {"change": 4}
    assert (found.result.filtered, found.result.duplicates) == (1, 1)
    assert found.result.cursor.startswith("[")
    assert found.result.is_clean


@pytest.mark.parametrize("path", ["ws", "ws-binary"])
async def test_a_socket_with_a_handshake(path: str, tmp_path: Path) -> None:
    found = await heard(path, "home-assistant", tmp_path, 7)
    assert found.trouble == []
    assert found.result.messages["state"] == 3
    assert 'hass_state_changes_total{domain="sensor"' in found.result.exposition


async def test_a_source_is_heard_no_longer_than_a_sample_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "MAX_BYTES", 1)
    found = await heard("sse", "wikimedia", tmp_path, 100)
    assert (found.trouble, len(found.arrivals)) == ([], 1)


async def test_a_document_that_is_polled(tmp_path: Path) -> None:
    found = await heard("status", "status-page", tmp_path, 1, protocol="poll")
    assert found.result.messages["status"] >= 1
    assert "edge_app_processes" in found.result.exposition


@pytest.mark.parametrize(
    ("path", "mapping", "reason"), [("refused", "wikimedia", "forbidden"), ("ws", "home-assistant", "unauthorized")]
)
async def test_a_source_that_refuses_is_reported_at_once(path: str, mapping: str, reason: str, tmp_path: Path) -> None:
    found = await heard(path, mapping, tmp_path, 1_000, key="another-wrong-one")
    assert len(found.trouble) == 1
    assert found.trouble[0].startswith(reason)
    assert "another-wrong-one" not in found.trouble[0]
