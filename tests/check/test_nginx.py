"""A real nginx in front of the reference backend: what it breaks is named, and the shipped configuration is fine."""

import asyncio
from pathlib import Path

import pytest

from iris_exporter.check.diagnosis import diagnose, main_finding
from iris_exporter.check.probes import examine
from iris_exporter.clock import SystemClock
from tests.check.sources import UNTIL_IT_ENDS, stream
from tests.integration.reference import reference_backend
from tests.integration.test_nginx import SHIPPED, nginx, one_event_then_silence
from tests.transports.support import serve_bytes

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.needs("nginx")]

BUFFERING = SHIPPED.replace("proxy_buffering off;", "proxy_buffering on;")
NO_UPGRADE = SHIPPED.replace("proxy_set_header Upgrade $http_upgrade;", "")
HASTY = "error_log stderr crit;\n" + SHIPPED.replace("proxy_read_timeout 150s;", "proxy_read_timeout 2s;")
"""nginx calls each cut an error, which it is here meant to make."""


async def found_by(url: str, wait: float, **changes: object) -> str:
    """The verdict of a stream behind nginx."""
    settings = stream(f"{url}/api/stream/overview", **changes)
    found = diagnose(await examine(settings, wait, SystemClock(), lambda _: None), settings)
    first = main_finding(found)
    return "ok" if first is None else first.id


@pytest.mark.parametrize("protocol", ["sse", "websocket", "auto"])
async def test_the_shipped_configuration_is_fine(protocol: str, tmp_path: Path) -> None:
    async with reference_backend("--rate=20") as backend, nginx(tmp_path, backend.port) as url:
        assert await found_by(url, 0.8, protocol=protocol) == "ok"


async def test_a_removed_upgrade_header(tmp_path: Path) -> None:
    async with reference_backend() as backend, nginx(tmp_path, backend.port, NO_UPGRADE) as url:
        assert await found_by(url, 0.5, protocol="websocket") == "upgrade_eaten"


async def plain_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An event stream in a body without chunks, which nginx collects; for all others a snapshot."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b"text/event-stream" not in head:
        body = b'{"metrics":{"totalProjects":3}}'
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        return
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: {}\n\n")
    await reader.read()


async def test_buffered_events(tmp_path: Path) -> None:
    assert BUFFERING != SHIPPED
    async with serve_bytes(plain_body) as port, nginx(tmp_path, port, BUFFERING) as url:
        assert await found_by(url, 0.7, protocol="sse") == "sse_buffered"


async def test_an_idle_limit_below_the_heartbeat_interval(tmp_path: Path) -> None:
    """60 s scaled down: nginx cuts after 2 s, which is not at once, and heartbeats would come every 10 s."""
    assert "proxy_read_timeout 2s;" in HASTY
    slow = {"heartbeat_interval_seconds": 10.0, "heartbeat_timeout_seconds": UNTIL_IT_ENDS}
    async with one_event_then_silence() as port, nginx(tmp_path, port, HASTY) as url:
        assert await found_by(url, UNTIL_IT_ENDS, protocol="sse", **slow) == "idle_cut"
