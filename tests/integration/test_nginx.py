"""deploy/nginx/iris.conf in a real nginx: streams of both kinds and REST go through, promptly and for long."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import aiohttp
import pytest

from iris_exporter.config import OPTIONS
from iris_exporter.units import parse_duration
from tests.integration.harness import Sidecar, sidecar
from tests.integration.programs import running, wait_until
from tests.integration.reference import reference_backend
from tests.ports import free_ports
from tests.tools import ROOT, tool
from tests.waiting import BUSY

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.needs("nginx")]

SHIPPED = (ROOT / "deploy/nginx/iris.conf").read_text()

MAIN = """\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr notice;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include iris.conf;
}
"""


@asynccontextmanager
async def nginx(directory: Path, backend_port: int, text: str = SHIPPED) -> AsyncIterator[str]:
    """Run nginx with the configuration, its addresses changed as its comments say; yields its address."""
    (port,) = free_ports(1)
    for line, changed in (
        ("server 127.0.0.1:14748; ", f"server 127.0.0.1:{backend_port}; "),
        ("listen 80; ", f"listen 127.0.0.1:{port}; "),
    ):
        assert text.count(line) == 1
        text = text.replace(line, changed)
    async with nginx_with(directory, port, text):
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def nginx_with(directory: Path, port: int, text: str) -> AsyncIterator[None]:
    """Run nginx with these servers until the block ends; one of them listens on `port`."""
    (directory / "iris.conf").write_text(text)
    (directory / "nginx.conf").write_text(MAIN)
    command = (tool("nginx"), "-p", directory, "-c", "nginx.conf", "-e", "stderr")
    async with running(*command) as program:

        async def listens() -> bool:
            assert program.exit_code is None, program.output
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return False
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            return True

        await wait_until(listens, "nginx")
        yield
        assert await program.stop() == 0
        assert "[error]" not in program.output
        assert "[emerg]" not in program.output


async def counted(exporter: Sidecar) -> float:
    """Events that the exporter has counted."""
    return (await exporter.scrape()).total("iris_events_total")


@pytest.mark.parametrize("protocol", ["websocket", "sse"])
async def test_a_stream_goes_through(protocol: str, tmp_path: Path) -> None:
    """Live over the protocol, the key included, everything counted once; polling finds REST there as well."""
    key = tmp_path / "key"
    key.write_text("key-for-nginx-test")
    options = ("--stream.api-key-file", str(key), "--stream.protocol", protocol)
    backend_options = ("--rate=50", "--seed=1", "--api-key-file", str(key))
    async with (
        reference_backend(*backend_options) as backend,
        nginx(tmp_path, backend.port) as url,
        sidecar(f"--stream.url={url}/api/stream/overview", *options) as exporter,
    ):

        async def many() -> bool:
            return await counted(exporter) >= 60

        await wait_until(many, "events through nginx")
        scrape = await exporter.scrape()
        assert scrape.state() == "live"
        assert scrape.series("iris_stream_info", protocol=protocol)
        assert scrape.total("iris_stream_event_gaps_total") == 0
        assert scrape.total("iris_stream_disconnects_total") == 0
        assert scrape.total("iris_stream_connect_failures_total") == 0
        assert scrape.total("iris_projects") > 0  # from REST, through nginx too


async def test_a_dropped_stream_resumes_through_nginx(tmp_path: Path) -> None:
    """`Last-Event-ID` arrives at the backend: nothing is missing after a reconnect."""
    options = ("--stream.protocol=sse", "--stream.reconnect-initial=50ms")
    async with (
        reference_backend("--rate=50", "--seed=1", "--fault=drop-clean=0.2") as backend,
        nginx(tmp_path, backend.port) as url,
        sidecar(f"--stream.url={url}/api/stream/overview", *options) as exporter,
    ):

        async def resumed() -> bool:
            scrape = await exporter.scrape()
            return scrape.total("iris_stream_resumes_total", outcome="full") >= 1

        await wait_until(resumed, "a full resume", 20)
        assert (await exporter.scrape()).total("iris_stream_event_gaps_total") == 0


@asynccontextmanager
async def one_event_then_silence() -> AsyncIterator[int]:
    """A source that says a little and then waits, in a body without chunks or length; its port.

    nginx passes chunks on as they come, whatever it is told; a plain body it collects.
    """
    done = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: {}\n\n")
        await done.wait()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        done.set()
        server.close()
        await server.wait_closed()


async def first_event(url: str, seconds: float) -> bytes | None:
    """What arrives of an event stream within that time."""
    async with aiohttp.ClientSession() as http:
        try:
            async with asyncio.timeout(seconds), http.get(f"{url}/api/stream/overview") as response:
                return await response.content.readany()
        except TimeoutError:
            return None


async def test_an_event_is_not_kept_in_a_buffer(tmp_path: Path) -> None:
    """It arrives alone; without the line about buffering it does not."""
    buffering = SHIPPED.replace("proxy_buffering off;", "proxy_buffering on;")
    assert buffering != SHIPPED
    async with one_event_then_silence() as port:
        async with nginx(tmp_path, port) as url:
            assert await first_event(url, 5 * BUSY) == b"data: {}\n\n"
        async with nginx(tmp_path, port, buffering) as url:
            assert await first_event(url, 0.5) is None


async def test_without_the_upgrade_headers_there_is_no_websocket(tmp_path: Path) -> None:
    """So the lines are needed."""
    plain = SHIPPED.replace("proxy_set_header Upgrade $http_upgrade;", "")
    async with (
        reference_backend() as backend,
        nginx(tmp_path, backend.port, plain) as url,
        aiohttp.ClientSession() as http,
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(f"{url}/api/stream/overview")


async def test_heartbeats_keep_a_quiet_stream_open(tmp_path: Path) -> None:
    """A link on which nothing happens outlives nginx's timeout several times, as long as pings come more often."""
    hasty = SHIPPED.replace("proxy_read_timeout 150s;", "proxy_read_timeout 2s;")
    assert hasty != SHIPPED
    options = ("--stream.protocol=websocket", "--stream.heartbeat-interval=200ms")
    async with (
        reference_backend("--rate=0") as backend,
        nginx(tmp_path, backend.port, hasty) as url,
        sidecar(f"--stream.url={url}/api/stream/overview", *options) as exporter,
    ):

        async def many_heartbeats() -> bool:
            return (await exporter.scrape()).total("iris_stream_heartbeat_rtt_seconds_count") >= 30

        await wait_until(many_heartbeats, "heartbeats")
        assert (await exporter.scrape()).total("iris_stream_disconnects_total") == 0


def test_the_timeouts_are_above_those_of_the_exporter() -> None:
    """Which is the one to say that a link is dead."""
    defaults = {option.key: option.default for option in OPTIONS}
    reads = re.findall(r"proxy_(?:read|send)_timeout (\S+);", SHIPPED)
    limit = parse_duration(defaults["stream.heartbeat-timeout"] or "")
    assert len(reads) == 2
    assert all(parse_duration(read) > 2 * limit for read in reads)
    (connect,) = re.findall(r"proxy_connect_timeout (\S+);", SHIPPED)
    assert parse_duration(connect) < parse_duration(defaults["stream.connect-timeout"] or "")


LOCATION = "location /iris/ { proxy_pass http://127.0.0.1:14747; }"
"""What docs/nginx.md says about the exporter under a path."""


@pytest.mark.parametrize("strips", [False, True])
async def test_the_exporter_works_under_a_path_that_nginx_keeps_or_strips(tmp_path: Path, strips: bool) -> None:
    """Metrics, the page with its links, a button, and nothing of a kept path outside it."""
    assert LOCATION in (ROOT / "docs/nginx.md").read_text("utf-8")
    (port,) = free_ports(1)
    base = f"http://127.0.0.1:{port}/iris/"
    options = ["--stream.url=http://127.0.0.1:1/api/stream/overview", f"--web.external-url={base}"]
    async with sidecar(*options, *(["--web.route-prefix=/"] if strips else [])) as exporter:
        address = urlsplit(exporter.url)
        assert address.path == ("" if strips else "/iris")
        location = LOCATION.replace("127.0.0.1:14747", address.netloc + ("/" if strips else ""))
        text = f"server {{ listen 127.0.0.1:{port}; {location} }}\n"
        async with nginx_with(tmp_path, port, text), aiohttp.ClientSession() as http:

            async def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
                async with http.request(method, url, headers=headers, allow_redirects=method == "GET") as response:
                    location = response.headers.get("Location", "")
                    return response.status, await response.text(), urljoin(url, location)

            assert "iris_exporter_build_info" in (await ask(base + "metrics"))[1]
            status, page, _ = await ask(base.removesuffix("/"))
            links = re.findall(r'href="([^"]+)"', page)
            assert (status, len(links)) == (200, 6)
            for link in links:
                assert (await ask(urljoin(base, link)))[0] == 200, link
            (button, *_) = re.findall(r'action="([^"]+)"', page)
            own, other = f"http://127.0.0.1:{port}", "http://other.example"
            status, _, back = await ask(urljoin(base, button), "POST", Origin=own, Accept="text/html")
            assert (status, back) == (303, f"{base}#stream-default")
            assert (await ask(urljoin(base, button), "POST", Origin=other))[0] == 403
            assert (await ask(f"http://{address.netloc}/metrics"))[0] == (200 if strips else 404)
