"""The whole sidecar with its HTTP server."""

import asyncio
import base64
import ssl
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import bcrypt
import pytest

from iris_exporter import config
from iris_exporter.app import Exporter
from iris_exporter.instruments import catalog
from iris_exporter.settings import Settings
from iris_exporter.transports.dialer import Dialer
from tests.web.config.certificates import Authority
from tests.web.http_servers import until
from tests.web.support import web_settings


def settings(**web: object) -> Settings:
    # Port 1 refuses at once: no source is needed to test the HTTP server.
    options = {"stream.url": "http://127.0.0.1:1/api/stream/overview", "stream.reconnect-initial": "50ms"}
    loaded = config.load(options, {})
    return replace(loaded, web=web_settings(**web))


async def test_the_sidecar_serves_tls_with_a_password_and_names_its_address_so(tmp_path: Path) -> None:
    authority = Authority()
    authority.issue(tmp_path / "server.crt", tmp_path / "server.key")
    hashed = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
    file = tmp_path / "web.yml"
    file.write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
        f"basic_auth_users: {{prometheus: {hashed}}}\n"
    )
    chosen = settings(config_file=file)
    context = ssl.create_default_context(cadata=authority.pem)
    password = {"Authorization": "Basic " + base64.b64encode(b"prometheus:open sesame").decode()}
    async with (
        Exporter(chosen, lambda: chosen) as exporter,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
    ):
        (address,) = exporter.addresses
        assert address.startswith("https://127.0.0.1:")
        async with session.get(f"{address}/metrics") as response:
            assert response.status == 401
        async with session.get(f"{address}/metrics", headers=password) as response:
            text = await response.text()
        assert "iris_exporter_web_config_last_reload_successful 1.0\n" in text
        assert 'iris_exporter_http_requests_refused_total{reason="unauthorized"} 1.0\n' in text
        assert "iris_exporter_http_connections 1.0\n" in text
        assert "\niris_exporter_loop_delay_seconds " in text


async def test_a_head_that_is_too_large_or_no_head_is_refused_counted_and_not_printed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chosen = settings()
    async with Exporter(chosen, lambda: chosen) as exporter, aiohttp.ClientSession() as session:
        url = f"{exporter.addresses[0]}/-/healthy"
        async with session.get(url, headers={f"X-{number}": "x" for number in range(80)}) as response:
            assert response.status == 400
        async with session.get(url, headers={"Authorization": "s3cr3t" * 2000}) as response:
            assert response.status == 400
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(b"GET / HTTP/9.9\r\ns3cr3t\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
        assert exporter.self_metrics.shown(catalog.REQUESTS_REFUSED)["malformed"] == 3
    assert "s3cr3t" not in str([(record.__dict__, record.exc_info) for record in caplog.records])


async def test_a_stream_whose_task_has_died_makes_the_program_unhealthy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def mistake(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Dialer, "dial", mistake)
    chosen = settings()
    async with Exporter(chosen, lambda: chosen) as exporter, aiohttp.ClientSession() as session:
        await until(lambda: any(stream.has_crashed for stream in exporter.streams().values()))
        async with session.get(f"{exporter.addresses[0]}/-/healthy") as response:
            assert response.status == 503
            assert await response.text() == (
                "iris-exporter is not healthy: mistakes of the exporter keep these streams from going on: default\n"
            )
        assert "stream.crashed" in [record.getMessage() for record in caplog.records]
        monkeypatch.undo()
        exporter.streams()["default"].reset()
        await asyncio.sleep(0)
