"""Which dials spend the budget of connections: those that a source could have seen, and no others."""

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from iris_exporter.clock import SystemClock
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.core.status import State
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.session import open_session
from iris_exporter.streams.stream import Stream
from iris_exporter.transports.dialer import Dialer
from tests.fakes import FakeClock
from tests.settings import stream_settings
from tests.transports.support import serve, serve_bytes, serve_proxy
from tests.waiting import until
from tests.web.config.certificates import Authority

BACKOFF_STEP_SECONDS = 72.0  # a minute, and a fifth of it


def unused_port() -> int:
    """A port that nothing listens on, for the moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def spent(budgets: ConnectionBudgets, host: str) -> float:
    """Tokens of a host that were spent and not back yet when it was last asked for."""
    return budgets._hosts[host].spent if host in budgets._hosts else 0.0


class Dials:
    """Dials of one stream, and what they have spent of a budget of so many that none is ever refused."""

    PER_HOUR = 10_000

    def __init__(self, dialer: Dialer, budgets: ConnectionBudgets, host: str) -> None:
        self.budgets = budgets
        self._dialer = dialer
        self._host = host

    async def outcome(self) -> str:
        """The protocol of the link, or the reason of the failure."""
        try:
            link = await self._dialer.dial("")
        except TransportError as error:
            return error.failure.reason
        await link.close()
        return link.protocol

    def spent(self, host: str | None = None) -> int:
        """How many connections of `host` are spent; none may still be reserved."""
        assert not any(one.reserved for one in self.budgets._hosts.values())
        return round(spent(self.budgets, host or self._host))


@pytest.fixture
def tls_server(tmp_path: Path) -> ssl.SSLContext:
    """A server whose certificate nobody trusts."""
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    Authority().issue(certificate, key, "127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


@asynccontextmanager
async def dials(url: str, host: str = "127.0.0.1", **settings: object) -> AsyncIterator[Dials]:
    """Dials of `url` with a session of their own."""
    chosen = stream_settings(
        **{
            "url": url,
            "protocol": "sse",
            "connect_timeout_seconds": 5.0,
            "max_connections_per_hour": Dials.PER_HOUR,
            **settings,
        }
    )
    budgets = ConnectionBudgets()
    async with open_session() as session:
        credentials = Credentials(chosen)
        yield Dials(Dialer(chosen, session, credentials, SystemClock(), budgets, IrisJson()), budgets, host)


async def event_stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b": hello\n\n")
    return response


async def endless_stream(request: web.Request) -> web.StreamResponse:
    response = await event_stream(request)
    await asyncio.get_running_loop().create_future()
    return response


async def test_streams_of_one_host_are_live_within_a_backoff_step_after_their_port_was_refused() -> None:
    """Thirty streams, the default budget, and a port that nothing listens on for a minute."""
    port, clock, budgets, seeded = unused_port(), FakeClock(), ConnectionBudgets(), random.Random(1)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session())
        streams = []
        for number in range(30):
            settings = stream_settings(name=f"s{number}", url=f"http://127.0.0.1:{port}/api/{number}", protocol="sse")
            stream = Stream(settings, session, clock, seeded.random, budgets)
            stack.push_async_callback(stream.stop)
            streams.append(stream)

        def at_rest() -> bool:
            waiting = [stream.status() for stream in streams]
            return all(one.state is State.LIVE or one.next_attempt_at is not None for one in waiting)

        async def passes(seconds: float) -> None:
            for _ in range(int(seconds)):
                await clock.advance(1.0)
                await until(at_rest)

        for stream in streams:
            stream.connect()
        await until(at_rest)
        await passes(60)
        assert {stream.status().state for stream in streams} == {State.CONNECTING}
        runner = web.AppRunner(app := web.Application(), access_log=None, shutdown_timeout=0.1)
        app.router.add_get("/api/{number:[0-9]+}", endless_stream)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await passes(BACKOFF_STEP_SECONDS)
        assert sum(stream.status().state is State.LIVE for stream in streams) == 30
        assert spent(budgets, "127.0.0.1") <= 30


async def test_dials_in_flight_at_once_do_not_exceed_the_budget_when_all_are_accepted() -> None:
    async with serve(event_stream) as server, dials(f"{server.url}/s", max_connections_per_hour=20) as made:
        outcomes = await asyncio.gather(*(made.outcome() for _ in range(30)))
        assert sorted(outcomes) == ["connection_budget"] * 20 + ["sse"] * 10
        assert len(server.requests) == 10
        assert made.spent() == 10


@pytest.mark.parametrize("protocol", ["sse", "websocket", "auto"])
async def test_a_refused_connection_costs_nothing(protocol: str) -> None:
    async with dials(f"http://127.0.0.1:{unused_port()}/s", protocol=protocol) as made:
        assert await made.outcome() == "connection_refused"
        assert made.spent() == 0


async def test_a_name_that_is_not_found_costs_nothing() -> None:
    async with dials("http://nowhere.invalid/s", "nowhere.invalid") as made:
        assert await made.outcome() in ("dns", "timeout")
        assert made.spent() == 0


async def test_a_connection_that_is_not_accepted_in_time_costs_nothing() -> None:
    """The queue of a listener that accepts nothing is full, so that the system drops our handshake."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        async with AsyncExitStack() as stack:
            for _ in range(4):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            async with dials(f"http://127.0.0.1:{port}/s", connect_timeout_seconds=0.2) as made:
                assert await made.outcome() == "timeout"
                assert made.spent() == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("how", ["silent", "closes"])
async def test_a_connection_that_is_accepted_counts_whatever_comes_of_it(scheme: str, how: str) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if how == "silent":
            await reader.read()

    async with (
        serve_bytes(handle) as port,
        dials(f"{scheme}://127.0.0.1:{port}/s", connect_timeout_seconds=0.5) as made,
    ):
        assert await made.outcome() in ("timeout", "connection_reset", "tls")
        assert made.spent() == 1


async def test_a_certificate_that_is_not_trusted_counts(tls_server: ssl.SSLContext) -> None:
    async with serve(event_stream, tls_server) as server, dials(f"{server.url}/s") as made:
        assert await made.outcome() == "tls_certificate"
        assert made.spent() == 1


async def test_a_dial_that_is_cancelled_gives_back_what_it_did_not_use() -> None:
    asked = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()

    async with serve_bytes(handle) as port, dials(f"http://127.0.0.1:{port}/s") as made:
        dialing = asyncio.ensure_future(made.outcome())
        await asyncio.sleep(0)
        dialing.cancel()
        await asyncio.gather(dialing, return_exceptions=True)
        assert made.spent() == 0
        dialing = asyncio.ensure_future(made.outcome())
        await asked.wait()
        dialing.cancel()
        await asyncio.gather(dialing, return_exceptions=True)
        assert made.spent() == 1


async def test_each_host_of_a_redirect_pays_for_its_own_connection() -> None:
    async def elsewhere(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(f"http://localhost:{unused}/t")

    unused = unused_port()
    async with serve(elsewhere) as server, dials(f"{server.url}/s") as made:
        assert await made.outcome() == "connection_refused"
        assert (made.spent(), made.spent("localhost")) == (1, 0)


async def test_a_redirect_within_one_connection_costs_one() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/s":
            raise web.HTTPFound("/t")
        return await event_stream(request)

    async with serve(handle) as server, dials(f"{server.url}/s") as made:
        assert await made.outcome() == "sse"
        assert len({request.transport for request in server.requests}) == 1
        assert made.spent() == 1


async def test_a_stream_over_a_reused_connection_counts_since_the_source_sees_another_stream() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.json_response({}) if "kept" in request.query else await event_stream(request)

    async with serve(handle) as server, open_session() as session:
        chosen = stream_settings(url=f"{server.url}/s", protocol="sse", max_connections_per_hour=Dials.PER_HOUR)
        budgets = ConnectionBudgets()
        dialer = Dialer(chosen, session, Credentials(chosen), SystemClock(), budgets, IrisJson())
        async with session.get(f"{server.url}/s?kept") as response:
            await response.read()
        assert await Dials(dialer, budgets, "127.0.0.1").outcome() == "sse"
        assert len(server.requests) == 2
        assert round(spent(budgets, "127.0.0.1")) == 1


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("protocol", ["sse", "websocket"])
async def test_a_proxy_that_cannot_be_reached_costs_nothing(
    proxied: pytest.MonkeyPatch, scheme: str, protocol: str
) -> None:
    proxied.setenv(f"{scheme}_proxy", f"http://127.0.0.1:{unused_port()}")
    async with dials(f"{scheme}://source.invalid/s", "source.invalid", protocol=protocol) as made:
        assert await made.outcome() == "proxy"
        assert made.spent() == 0


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"])
async def test_a_proxy_that_refuses_the_tunnel_costs_nothing(proxied: pytest.MonkeyPatch, status: str) -> None:
    async with serve_proxy() as proxy, dials("https://source.invalid/s", "source.invalid") as made:
        proxy.refusal = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
        proxied.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        assert await made.outcome() in ("proxy", "proxy_refused")
        assert made.spent() == 0


async def test_a_source_behind_a_tunnel_counts_from_its_handshake_on(
    proxied: pytest.MonkeyPatch, tls_server: ssl.SSLContext
) -> None:
    async with serve(event_stream, tls_server) as server, serve_proxy() as proxy, dials(f"{server.url}/s") as made:
        proxied.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        assert await made.outcome() == "tls_certificate"
        assert made.spent() == 1


@pytest.mark.parametrize(
    ("answer", "spent"),
    [
        ("407 Proxy Authentication Required\r\n", 0),
        ("502 Bad Gateway\r\n", 0),
        ("504 Gateway Timeout\r\n", 0),
        ("503 Service Unavailable\r\nX-Squid-Error: ERR_CONNECT_FAIL 111\r\n", 0),
        ("503 Service Unavailable\r\nProxy-Status: corp; error=connection_refused\r\n", 0),
        ("503 Service Unavailable\r\n", 1),
        ("404 Not Found\r\n", 1),
    ],
)
async def test_what_a_proxy_answers_for_a_source_that_it_did_not_reach_costs_nothing(
    proxied: pytest.MonkeyPatch, answer: str, spent: int
) -> None:
    async with serve_proxy() as proxy, dials("http://source.invalid/s", "source.invalid") as made:
        proxy.refusal = f"HTTP/1.1 {answer}Content-Length: 0\r\n\r\n".encode()
        proxied.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        await made.outcome()
        assert made.spent() == spent


async def test_a_stream_through_a_plain_proxy_counts(proxied: pytest.MonkeyPatch) -> None:
    async with serve(event_stream) as server, serve_proxy() as proxy, dials(f"{server.url}/s") as made:
        proxied.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert await made.outcome() == "sse"
        assert made.spent() == 1


async def test_a_failure_for_want_of_what_is_only_reserved_waits_no_longer_than_the_backoff() -> None:
    budgets = ConnectionBudgets()
    chosen = stream_settings(url="http://127.0.0.1:1/s", max_connections_per_hour=2)
    assert budgets.reserve("127.0.0.1", 2, SystemClock().monotonic()) is None
    async with open_session() as session:
        dialer = Dialer(chosen, session, Credentials(chosen), SystemClock(), budgets, IrisJson())
        with pytest.raises(TransportError) as caught:
            await dialer.dial("")
    assert caught.value.failure == Failure("connection_budget", caught.value.failure.detail, 0.0)
