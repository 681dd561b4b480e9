"""Following a sidecar: each event once, gaps said, and every way in which it does not answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from iris_exporter.clock import Clock, SystemClock
from iris_exporter.core.failures import Failure
from iris_exporter.core.status import State
from iris_exporter.decoding.messages import Event
from iris_exporter.http.session import open_session
from iris_exporter.settings import ClientSettings
from iris_exporter.watch import sidecar as module
from iris_exporter.watch.sidecar import Sidecar, UnknownStreamError
from iris_exporter.watch.source import Down, Unreadable, Up
from iris_exporter.watch.view.objects import EventObject, OverviewObject, Snapshot, StreamObject
from tests.fakes import FakeClock
from tests.ports import free_port
from tests.waiting import until
from tests.web.http_servers import RunningServer, http_server
from tests.web.support import link
from tests.web.test_http_server import ALICE, TLS, USERS, Shop

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
END = web.AppKey("end", asyncio.Event)
SNAPSHOT = b'event: snapshot\nid: x-0\ndata: {"streams":[{"name":"main"}],"resumed":null,"missed":0}\n\n'


class Watched:
    """A sidecar that is followed, and what it says."""

    def __init__(self, source: Sidecar) -> None:
        self.source = source
        self.heard: list[Any] = []
        self.task = asyncio.ensure_future(source.run(self.heard.append))

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]

    async def hears(self, kind: type, count: int = 1) -> Any:
        """The last one of so many messages of this kind."""
        await until(lambda: len(self.of(kind)) >= count or self.task.done())
        if self.task.done():
            self.task.result()
        return self.of(kind)[count - 1]


@asynccontextmanager
async def watching(
    url: str, clock: Clock | None = None, streams: tuple[str, ...] = (), **settings: Any
) -> AsyncIterator[Watched]:
    """Follow the sidecar at this address; delays have no jitter."""
    async with open_session() as session:
        client = ClientSettings("sidecar", url, proxy="none", **settings)
        watched = Watched(Sidecar(client, session, clock or SystemClock(), streams, lambda: 0.5))
        try:
            yield watched
        finally:
            watched.task.cancel()
            await asyncio.gather(watched.task, return_exceptions=True)


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[str]:
    """A server that answers everything in this way."""
    app = web.Application()
    app[END] = asyncio.Event()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        app[END].set()
        await runner.cleanup()


def sse(*pieces: bytes, stay: bool = False) -> Handler:
    """An event stream of these pieces, which ends after them or stays open."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if stay:
            await request.app[END].wait()
        return response

    return handler


def arrive(running: RunningServer, *names: str) -> None:
    follower = running.context.controls["main"].follower
    assert follower is not None
    follower.events_arrived("main", [Event(name, 1.0, "p", "run", "info", "text") for name in names])


async def test_states_and_events_come_each_once_through_a_cut() -> None:
    async with http_server() as one, watching(one.url, FakeClock()) as watched:
        snapshot = await watched.hears(Snapshot)
        assert [stream.name for stream in snapshot.streams] == ["main", "other"]
        arrive(one, "e1", "e2")
        await watched.hears(EventObject, 2)
        one.context.controls["main"].link = link(State.CONNECTING)
        follower = one.context.controls["main"].follower
        assert follower is not None
        follower.state_changed("main")
        assert (await watched.hears(StreamObject)).state == "connecting"
        one.server._follow.end_all()
        down = await watched.hears(Down)
        assert (down.failure.reason, down.attempt, down.delay_seconds) == ("closed", 1, 2.2)
        arrive(one, "e3", "e4")
        watched.source.retry()
        again = await watched.hears(Snapshot, 2)
        assert (again.resumed, again.missed) == ("full", 0)
        await watched.hears(EventObject, 4)
        assert [event.id for event in watched.of(EventObject)] == ["e1", "e2", "e3", "e4"]


async def test_the_next_attempt_is_made_when_its_time_has_come() -> None:
    clock = FakeClock()
    async with watching(f"http://127.0.0.1:{free_port()}", clock) as watched:
        for number, delay in enumerate((1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0), 1):
            down = await watched.hears(Down, number)
            assert (down.failure.reason, down.attempt, down.delay_seconds) == ("connection_refused", number, delay)
            await until(lambda: clock.sleepers == 1)
            await clock.advance(delay)


async def test_delays_differ_from_client_to_client() -> None:
    async with open_session() as session:
        client = ClientSettings("sidecar", "http://127.0.0.1:9")
        delays = {Sidecar(client, session, FakeClock())._delay(Failure("closed"), 1) for _ in range(20)}
        assert len(delays) > 10
        assert all(module.END_DELAY_SECONDS <= delay <= 1.2 * module.END_DELAY_SECONDS for delay in delays)


async def redirect(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("http://127.0.0.1:9/elsewhere")


def status(number: int, body: str = "", **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=number, text=body, content_type="application/json", headers=named)

    return handler


@pytest.mark.parametrize(
    ("handler", "reason", "detail", "delay"),
    [
        (status(401, '{"error": "who are you?"}'), "unauthorized", "HTTP status 401: who are you?", 15.0),
        (status(403, "no JSON"), "forbidden", "HTTP status 403", 15.0),
        (status(404), "not_found", "HTTP status 404", 15.0),
        (status(429, Retry_After="20"), "rate_limited", "HTTP status 429", 22.0),
        (status(503, '{"error": 1}', Retry_After="10"), "unavailable", "HTTP status 503", 11.0),
        (status(500), "http_server_error", "HTTP status 500", 1.0),
        (status(200, "{}"), "not_a_stream", "the answer is application/json and no event stream", 15.0),
        (sse(b"data: {}\n\n", stay=True), "not_a_stream", "an event stream, but not that of a sidecar", 15.0),
        (sse(b"event: event\ndata: {}\n\n", stay=True), "not_a_stream", "an event stream, but not that of ", 15.0),
        (redirect, "connection_refused", "nothing listens there", 1.0),
        (sse(), "closed", "the sidecar ended the connection", 2.2),
        (sse(b"retry: 9000\n\n", SNAPSHOT), "closed", "the sidecar ended the connection", 9.9),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
async def test_each_refusal_has_its_reason_and_its_delay(
    handler: Handler, reason: str, detail: str, delay: float
) -> None:
    async with answering(handler) as url, watching(url, FakeClock()) as watched:
        down = await watched.hears(Down)
        assert down.failure.reason == reason
        assert str(down.failure.detail).startswith(detail)
        assert down.delay_seconds == pytest.approx(delay)


async def test_a_sidecar_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.05)
    async with answering(sse(SNAPSHOT, stay=True)) as url, watching(url, FakeClock()) as watched:
        assert (await watched.hears(Down)).failure.reason == "heartbeat_timeout"


async def test_a_sidecar_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(request: web.Request) -> web.StreamResponse:
        await request.app[END].wait()
        return web.Response()

    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.05)
    async with answering(never) as url, watching(url, FakeClock()) as watched:
        assert (await watched.hears(Down)).failure.reason == "timeout"
        assert await watched.source.overview("main") == Failure("timeout", "no answer in time")


async def test_a_message_that_is_too_large_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EVENT_BYTES", 4096)
    piece = b"event: event\ndata: " + b"x" * 3000
    async with answering(sse(SNAPSHOT, piece, piece, stay=True)) as url, watching(url, FakeClock()) as watched:
        assert (await watched.hears(Down)).failure.reason == "message_too_large"


async def test_what_cannot_be_read_is_said_and_the_rest_is_read() -> None:
    broken = b'event: state\ndata: {"name": 7}\n\nevent: lost\ndata: nothing\n\nevent: new\ndata: {}\n\n'
    whole = b'event: event\ndata: {"id":"e1","stream":"main","new":[1],"metadata":{"a":1}}\n\n'
    async with answering(sse(SNAPSHOT, broken, whole, stay=True)) as url, watching(url, FakeClock()) as watched:
        assert (await watched.hears(EventObject)).id == "e1"
        assert [message.detail.partition(":")[0] for message in watched.of(Unreadable)] == [
            "a message of the type state", "a message of the type lost"
        ]  # fmt: skip


@pytest.mark.parametrize("ahead", [0.0, 7200.0, -7200.0])
async def test_the_difference_of_the_clocks_is_known(ahead: float) -> None:
    clock = FakeClock(SystemClock().wall() - ahead)
    async with answering(sse(SNAPSHOT, stay=True)) as url, watching(url, clock) as watched:
        assert (await watched.hears(Up)).skew_seconds == pytest.approx(ahead, abs=30 if ahead else 0)


async def test_a_stream_that_is_not_known_at_first_is_an_error() -> None:
    async with http_server() as one, watching(one.url, FakeClock(), ("mian",)) as watched:
        with pytest.raises(UnknownStreamError, match="stream: got 'mian', expected one of main, other"):
            await watched.hears(Up)


async def test_a_stream_that_is_removed_later_is_waited_for() -> None:
    async with http_server() as one, watching(one.url, FakeClock(), ("other",)) as watched:
        assert [stream.name for stream in (await watched.hears(Snapshot)).streams] == ["other"]
        other = one.context.controls.pop("other")
        one.server._follow.end_all()
        await watched.hears(Down)
        watched.source.retry()
        refused = await watched.hears(Down, 2)
        assert "expected one of main" in refused.failure.detail
        one.context.controls["other"] = other
        watched.source.retry()
        await watched.hears(Snapshot, 2)


# Asking and switching


async def test_the_switches_reach_the_stream() -> None:
    async with http_server() as one, watching(one.url) as watched:
        for action in ("disconnect", "connect", "reset"):
            assert await watched.source.switch("main", action) is None
        assert one.context.controls["main"].calls == ["disconnect", "connect", "reset"]
        unknown = await watched.source.switch("a/../b?c", "reset")
        assert unknown is not None
        assert (unknown.reason, "no stream is named 'a/../b?c'" in unknown.detail) == ("not_found", True)


async def test_a_switch_may_be_refused() -> None:
    async with http_server(enable_control="never") as one, watching(one.url) as watched:
        refused = await watched.source.switch("main", "reset")
        assert refused is not None
        assert refused.reason == "forbidden"
        assert one.context.controls["main"].calls == []


async def test_an_overview_has_figures_projects_and_events() -> None:
    async with http_server() as one, watching(one.url) as watched:
        overview = await watched.source.overview("main")
        assert isinstance(overview, OverviewObject)
        assert overview.metrics is not None
        assert overview.metrics.total_runs_today == 41
        assert [each.id for each in overview.projects] == ["alpha", "beta"]
        assert [each.id for each in overview.events[:2]] == ["e0", "e1"]


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (status(200, "[]"), "unknown_shape"),
        (status(200, "{" * 5000), "unknown_shape"),
        (status(200, f'{{"stream": "{"x" * 9000}"}}'), "message_too_large"),
        (status(429), "rate_limited"),
        (redirect, "redirect"),
    ],
    ids=["list", "braces", "large", "limited", "redirect"],
)
async def test_an_overview_that_cannot_be_had_has_a_reason(
    handler: Handler, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BODY_BYTES", 8192)
    async with answering(handler) as url, watching(url, FakeClock()) as watched:
        found = await watched.source.overview("main")
        assert isinstance(found, Failure)
        assert found.reason == reason


# Access


async def test_a_sidecar_behind_tls_and_a_password(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    credentials = {"headers": tuple(ALICE.items()), "tls_ca_file": tmp_path / "ca.crt"}
    async with http_server(shop.write(TLS % "" + USERS), clock=SystemClock()) as one:
        async with watching(one.url, **credentials) as watched:
            await watched.hears(Snapshot)
            assert await watched.source.switch("main", "reset") is None
        async with watching(one.url, tls_ca_file=tmp_path / "ca.crt") as watched:
            assert (await watched.hears(Down)).failure.reason == "unauthorized"
        async with watching(one.url) as watched:
            assert (await watched.hears(Down)).failure.reason == "tls_certificate"


async def test_a_sidecar_that_wants_a_certificate(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.client("client")
    wanted = TLS % ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt"
    files = {"tls_cert_file": tmp_path / "client.crt", "tls_key_file": tmp_path / "client.key"}
    async with http_server(shop.write(wanted), clock=SystemClock()) as one:
        async with watching(one.url, tls_ca_file=tmp_path / "ca.crt", **files) as watched:
            await watched.hears(Snapshot)
        async with watching(one.url, tls_ca_file=tmp_path / "ca.crt") as watched:
            assert (await watched.hears(Down)).failure.reason in ("client_certificate", "connection_reset")
