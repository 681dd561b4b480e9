"""Each cause of trouble with its verdict, and healthy sources without one."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from typing_extensions import override

from iris_exporter.backend.server import Backend
from iris_exporter.check import probes, report
from iris_exporter.check.diagnosis import diagnose, exit_code, main_finding
from iris_exporter.check.findings import FINDINGS
from iris_exporter.check.observations import Observation
from iris_exporter.check.probes import examine
from iris_exporter.clock import SystemClock
from iris_exporter.settings import StreamSettings
from tests.check.sources import (
    BACKEND,
    PATH,
    UNTIL_IT_ENDS,
    Source,
    answering,
    at,
    backend,
    keyed,
    over_tls,
    reached,
    saying,
    small_stream,
    stream,
    through_proxy,
)
from tests.faults.proxy import FaultProxy, Faults
from tests.ports import free_port
from tests.transports.support import serve_proxy

WS = {"protocol": "websocket"}
SSE = {"protocol": "sse"}
POLL = {"protocol": "poll"}


@dataclass(frozen=True)
class Case:
    """A source, how long it is listened to, and the ids of which the verdict is one (an order of events decides)."""

    source: Source
    ids: tuple[str, ...] = ()
    wait: float | None = 0.4
    clock_seconds: float = 0.0


async def page(_: web.Request) -> web.StreamResponse:
    return web.Response(text="<h1>Please sign in</h1>", content_type="text/html")


async def login(request: web.Request) -> web.StreamResponse:
    """A captive portal, whose login page is at another host."""
    if request.path == "/login":
        return await page(request)
    raise web.HTTPFound(f"http://localhost:{request.url.port}/login")


async def circle(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(request.path)


async def left(request: web.Request) -> None:
    """Return when the client has gone."""
    while request.transport is not None:  # noqa: ASYNC110 (aiohttp tells in no other way)
        await asyncio.sleep(0.02)


async def other_json(request: web.Request) -> web.StreamResponse:
    """Something quite different, as JSON and as an event stream."""
    if "text/event-stream" not in request.headers.get("Accept", ""):
        return web.json_response({"weather": "fine"})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b'data: {"weather":"fine"}\n\n' * 3)
    await left(request)
    return response


async def without_upgrade(request: web.Request) -> web.StreamResponse:
    """A source behind a proxy that removes the Upgrade header: it sees a plain GET."""
    if "Upgrade" in request.headers:
        return web.Response(status=400, text="not a WebSocket handshake")
    return await small_stream(request)


async def buffered(request: web.Request) -> web.StreamResponse:
    """An event stream of which a proxy keeps everything but the head."""
    if "text/event-stream" not in request.headers.get("Accept", ""):
        return await small_stream(request)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Via": "1.1 gateway"})
    await response.prepare(request)
    await left(request)
    return response


async def late(request: web.Request) -> web.StreamResponse:
    """An event stream whose first sign of life comes after the default time, and before it would be given up."""
    if "text/event-stream" not in request.headers.get("Accept", ""):
        return await small_stream(request)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await asyncio.sleep(0.4)
    await response.write(b": alive\n\n")
    await left(request)
    return response


async def cut_when_idle(request: web.Request) -> web.StreamResponse:
    """A stream that is cut after 0.8 s without traffic, or as long as its beginning took on a busy machine."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    if "text/event-stream" not in request.headers.get("Accept", ""):
        return await small_stream(request)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b'data: {"type":"update","data":{"metrics":{"totalProjects":3}}}\n\n')
    for _ in range(10):  # of the loop that both sides share: the check has read it by then, and the silence begins
        await asyncio.sleep(0)
    await asyncio.sleep(max(0.8, loop.time() - began))
    assert request.transport is not None
    request.transport.abort()
    return response


async def fed_no_more(request: web.Request) -> web.StreamResponse:
    """A stream with one update, and nothing but signs of life afterwards."""
    if "text/event-stream" not in request.headers.get("Accept", ""):
        return await small_stream(request)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b'data: {"type":"update","data":{"metrics":{"totalProjects":3}}}\n\n')
    while True:
        await response.write(b": alive\n\n")
        await asyncio.sleep(0.1)


def status(code: int) -> Source:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=code)

    return answering(handler)


def missing_key() -> Source:
    return at("http://127.0.0.1:9/api/stream/events", api_key_file=Path("/does/not/exist"))


CAUSES = {
    # the reference backend's faults
    "refuse": Case(backend("refuse", **SSE), ("connection_reset",)),
    "refuse, ws": Case(backend("refuse", **WS), ("connection_reset",)),
    "401 without a key": Case(backend("401", **SSE), ("key_missing",)),
    "401 with another key": Case(keyed(False), ("unauthorized",)),
    "401 with another key, ws": Case(keyed(False, **WS), ("unauthorized",)),
    "403": Case(backend("403", **SSE), ("forbidden",)),
    "404": Case(backend("404"), ("not_found",)),
    "404, ws": Case(backend("404", **WS), ("not_found",)),
    "429": Case(backend("429"), ("rate_limited",)),
    "503": Case(backend("503"), ("unavailable",)),
    "503, ws": Case(backend("503", **WS), ("unavailable",)),
    "accept-close": Case(backend("accept-close", **SSE), ("closed_at_once",)),
    "accept-close, ws": Case(backend("accept-close", **WS), ("closed_at_once",)),
    "garbage": Case(backend("garbage", **SSE), ("unusable_messages",)),
    "garbage, ws": Case(backend("garbage", **WS), ("unusable_messages",)),
    "garbage, /api/stream": Case(backend("garbage", path="/api/stream", **WS), ("unusable_messages",)),
    "slow": Case(backend("slow=0.7", **SSE), ("slow_answer",)),
    "hang": Case(backend("hang", **SSE), ("no_answer",)),
    "hang, ws": Case(backend("hang", **WS), ("no_answer",)),
    "html": Case(backend("html", **SSE), ("web_page",)),
    "html, ws": Case(backend("html", **WS), ("web_page",)),
    "huge": Case(backend("huge=100000", max_message_bytes=20_000, **SSE), ("message_too_large",)),
    "huge, ws": Case(backend("huge=100000", max_message_bytes=20_000, **WS), ("message_too_large",)),
    "huge, and near the limit": Case(backend("huge=18000", max_message_bytes=20_000, **WS), ("near_message_limit",)),
    "error that ends": Case(backend("error=STREAM_UNAVAILABLE", **WS), ("unavailable",)),
    "error about the key": Case(backend("error=AUTH_REQUIRED", **WS), ("key_missing",)),
    "error of its own": Case(backend("error=DISK_FULL", **WS), ("upstream_error",)),
    "restart": Case(backend("restart=1.0", **WS), ("going_away", "service_restart", "cut_early"), wait=UNTIL_IT_ENDS),
    "duplicate": Case(backend("duplicate", **WS), ("duplicate_events",), wait=0.8),
    "flap": Case(backend("flap=1,5", **SSE), ("cut_early", "connection_reset"), wait=UNTIL_IT_ENDS),
    "drop": Case(backend("drop=0.4", **WS), ("cut_early",), wait=UNTIL_IT_ENDS),
    "drop-clean": Case(backend("drop-clean=0.4", **SSE), ("cut_early",), wait=UNTIL_IT_ENDS),
    "silent from the start, ws": Case(backend("silent", **WS), ("silent_connection",), wait=1.5),
    "silent from the start": Case(backend("silent", **SSE), ("silent_connection", "heartbeat_timeout"), wait=1.5),
    "silent later": Case(backend("silent=0.3", **WS), ("heartbeat_timeout",), wait=UNTIL_IT_ENDS),
    "data-silent": Case(backend("data-silent", **WS), ("silent_data",), wait=1.2),
    "data-silent, sse": Case(backend("data-silent", **SSE), ("silent_data",), wait=1.2),
    "data that stops": Case(answering(fed_no_more, **SSE), ("silent_data",), wait=1.4),
    "REST 503": Case(backend("rest:503", **SSE), ("snapshot_failed",)),
    "REST hangs": Case(backend("rest:hang", **WS), ("snapshot_failed",), wait=1.3),
    "REST answers a page": Case(backend("rest:html", **SSE), ("snapshot_failed",)),
    "REST 503, polled": Case(backend("rest:503", path="/api/overview", **POLL), ("unavailable",)),
    "REST answers a page, polled": Case(backend("rest:html", path="/api/overview", **POLL), ("web_page",)),
    # the network's, by the fault proxy
    "nothing listens": Case(through_proxy("refuse"), ("connection_refused",)),
    "accepts and hangs": Case(through_proxy(Faults(hang=True)), ("no_answer",)),
    "half-open": Case(through_proxy("half_open", after=0.3, **WS), ("heartbeat_timeout",), wait=UNTIL_IT_ENDS),
    "reset in the middle": Case(through_proxy(Faults(reset_after=3000), **SSE), ("cut_early",), wait=UNTIL_IT_ENDS),
    "ended in the middle": Case(through_proxy(Faults(end_after=3000), **WS), ("cut_early",), wait=UNTIL_IT_ENDS),
    "answers swapped": Case(through_proxy(Faults(swap=True), at_step="asking for the stream", **SSE), ("no_answer",)),
    "compressed answers cut short": Case(through_proxy(Faults(cut_gzip=10), **WS), ("snapshot_failed",)),
    # what stands between
    "no such host": Case(at("http://nothing.invalid/api/stream"), ("dns",)),
    "captive portal": Case(answering(page), ("web_page",)),
    "captive portal, ws": Case(answering(page, **WS), ("web_page",)),
    "captive portal that redirects": Case(answering(login), ("login_redirect",)),
    "captive portal that redirects, ws": Case(answering(login, **WS), ("login_redirect",)),
    "redirected in a circle": Case(answering(circle), ("redirect",)),
    "the upgrade is eaten": Case(answering(without_upgrade, **WS), ("upgrade_eaten",)),
    "events are buffered": Case(answering(buffered, **SSE), ("sse_buffered",), wait=1.2),
    "events are buffered, no time given": Case(answering(buffered, **SSE), ("sse_buffered",), wait=None),
    "cut when idle": Case(
        answering(cut_when_idle, heartbeat_timeout_seconds=UNTIL_IT_ENDS, **SSE), ("idle_cut",), wait=UNTIL_IT_ENDS
    ),
    # other answers
    "410": Case(status(410), ("gone",)),
    "204": Case(status(204), ("no_content",)),
    "502": Case(status(502), ("http_server_error",)),
    "no HTTP": Case(saying(b"220 mail.example ESMTP\r\n"), ("protocol_error",)),
    "a wrong handshake": Case(
        saying(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", **WS), ("handshake",)
    ),
    "another source": Case(answering(other_json, **SSE), ("not_iris",)),
    "another document": Case(answering(other_json, **POLL), ("unknown_shape",)),
    # TLS
    "certificate expired": Case(over_tls(begins_days=-20, ends_days=-1), ("tls_expired",)),
    "certificate not yet valid": Case(over_tls(begins_days=3), ("tls_not_yet_valid",)),
    "certificate for another name": Case(over_tls(name="iris.example"), ("tls_wrong_name",)),
    "certificate self-signed": Case(over_tls(self_signed=True), ("tls_self_signed",)),
    "unknown authority": Case(over_tls(trusted=False), ("tls_unknown_authority",)),
    "client certificate wanted": Case(over_tls(ask=True), ("client_certificate",)),
    "certificate expires soon": Case(over_tls(ends_days=5), ("tls_expires_soon",)),
    "no TLS where it is spoken": Case(over_tls(scheme="http"), ("tls_expected",)),
    # this machine
    "clock behind": Case(backend(**SSE), ("clock_difference",), clock_seconds=-3600),
    "clock ahead": Case(backend(**WS), ("clock_difference",), clock_seconds=300),
    "no key file": Case(missing_key(), ("credentials",)),
}

HEALTHY = {
    "sse": Case(backend(**SSE)),
    "websocket": Case(backend(**WS)),
    "auto": Case(backend(path="/api/stream/overview")),
    "telemetry": Case(backend(path="/api/stream/telemetry", source={"telemetry_interval_seconds": 0.1})),
    "poll": Case(backend(path="/api/overview", **POLL)),
    "a document": Case(backend(path="/api/overview")),
    "extensions, sse": Case(backend(path="/api/stream", **SSE)),
    "extensions, ws": Case(backend(path="/api/stream", **WS), wait=0.8),
    "older socket": Case(backend(path="/api/iris/ws", **WS), wait=0.8),
    "key": Case(keyed(True)),
    "key, ws": Case(keyed(True, **WS)),
    "tls": Case(over_tls()),
    "a quiet source": Case(backend(source={"rate": 0, "update_interval_seconds": 60.0}, **WS), wait=0.8),
    "a quiet source, sse": Case(backend(source={"rate": 0, "update_interval_seconds": 60.0}, **SSE), wait=0.8),
    "one event a second": Case(backend(source={"rate": 1}, **SSE), wait=0.8),
    "a small delay": Case(through_proxy(Faults(delay_seconds=0.05), **WS), wait=0.8),
    "a first byte that comes late": Case(answering(late), wait=None),
    "busy": Case(backend(source={"rate": 500}, **WS), wait=0.5),
}


class WrongClock(SystemClock):
    """A wall clock that is off by so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    @override
    def wall(self) -> float:
        return super().wall() + self._seconds


@pytest.fixture(autouse=True)
def short_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody says how long to listen."""
    monkeypatch.setattr(probes, "WAIT_SECONDS", 0.2)


async def examined(case: Case, directory: Path) -> tuple[Observation, StreamSettings]:
    async with case.source(directory) as settings:
        return await examine(settings, case.wait, WrongClock(case.clock_seconds), reached), settings


@pytest.mark.parametrize("name", CAUSES)
async def test_the_verdict_names_the_cause(name: str, tmp_path: Path) -> None:
    case = CAUSES[name]
    seen, settings = await examined(case, tmp_path)
    found = diagnose(seen, settings)
    first = main_finding(found)
    assert first is not None, seen
    assert first.id in case.ids, (found, seen)
    assert exit_code(found) == (2 if first.id == "credentials" else 1)


@pytest.mark.parametrize("name", HEALTHY)
async def test_a_healthy_source_gets_no_warning(name: str, tmp_path: Path) -> None:
    seen, settings = await examined(HEALTHY[name], tmp_path)
    found = diagnose(seen, settings)
    assert main_finding(found) is None, (found, seen)
    assert exit_code(found) == 0


async def test_there_are_many_causes_and_each_is_in_the_table() -> None:
    assert len(CAUSES) >= 35
    assert {found for case in CAUSES.values() for found in case.ids} <= FINDINGS.keys()
    assert len({case.ids[0] for case in CAUSES.values()}) >= 35


async def test_https_at_a_port_without_tls(tmp_path: Path) -> None:
    async with backend()(tmp_path) as plain:
        settings = stream(plain.url.replace("http:", "https:"))
        found = diagnose(await examine(settings, 0.2, SystemClock(), lambda _: None), settings)
        assert found[0].id == "tls_not_spoken"


@pytest.mark.parametrize("changes", [WS, SSE, {}], ids=["ws", "sse", "auto"])
async def test_one_connection_at_a_time_and_few_of_them(changes: dict[str, object]) -> None:
    """TCP, the stream and its snapshot, and one to resume; the snapshot is beside the stream, as for the exporter."""
    async with Backend(BACKEND) as running, FaultProxy(int(running.url.rpartition(":")[2])) as proxy:
        settings = stream(proxy.url + PATH, **changes)
        most = 0

        def look(_: str) -> None:
            nonlocal most
            most = max(most, proxy.open_links)

        assert not diagnose(await examine(settings, 0.4, SystemClock(), look), settings)
        assert most <= 2  # a kept connection, and one that the proxy has not seen the end of
        assert proxy.accepted <= 4


def test_the_words_of_a_source_do_nothing_to_a_terminal() -> None:
    settings, seen = stream("http://127.0.0.1:1"), Observation("default", "http://127.0.0.1:1")
    seen.messages.errors.append("\x1b[2J\ndiagnosis: all is well")
    text = report.as_text(seen, diagnose(seen, settings), settings)
    assert "\x1b" not in text
    assert text.count("\ndiagnosis: ") == 1
    assert (
        json.loads(json.dumps(report.as_values(seen, diagnose(seen, settings), settings)))["diagnosis"]
        == "upstream_error"
    )


async def test_through_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that works says nothing; one that refuses, or is not there, is named."""
    async with serve_proxy() as proxy, backend(**SSE)(tmp_path) as settings:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:secret-of-proxy@127.0.0.1:{proxy.port}")
        seen = await examine(settings, 0.4, SystemClock(), lambda _: None)
        assert main_finding(diagnose(seen, settings)) is None
        assert "secret-of-proxy" not in repr(seen)
        proxy.refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
        assert diagnose(await examine(settings, 0.4, SystemClock(), lambda _: None), settings)[0].id == "proxy_refused"
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
        assert diagnose(await examine(settings, 0.4, SystemClock(), lambda _: None), settings)[0].id == "proxy"
