"""What a source can do wrong: each time a clear state, a reason on a counter, one log line, and no leak of the key."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import WSCloseCode, web

from tests.examples import cases
from tests.integration.harness import Sidecar, sidecar

KEY = "key-that-nobody-may-see-5d41402abc4b"
LIMIT_BYTES = 10 * 1024
GOOD = {"type": "telemetry", "timestamp": "2025-11-23T04:00:00Z", "data": {"metrics": {"total_projects": 3}}}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Source = Callable[[], AbstractAsyncContextManager[str]]


def source(stream: Handler, rest: Handler | None = None) -> Source:
    """A server whose streams and REST endpoints answer as told; `rest` None is an empty overview."""

    @asynccontextmanager
    async def serving() -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/api/stream/overview", stream)
        app.router.add_get("/{rest:.*}", rest or empty_overview)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/stream/overview"
        finally:
            await runner.cleanup()

    return serving


async def empty_overview(_request: web.Request) -> web.StreamResponse:
    """REST that works and has nothing to say."""
    return web.json_response({"projects": [], "events": []})


def refusing(status: int, content_type: str = "application/json") -> Handler:
    """An answer that hands back all it was sent, the key included, as a careless debugging page would."""

    async def handler(request: web.Request) -> web.StreamResponse:
        text = f"<html>{request.headers.get('Authorization')}</html>"
        return web.Response(status=status, text=text, content_type=content_type, headers={"X-Echo": text})

    return handler


def event_stream(*pieces: bytes) -> Handler:
    """An event stream that sends `pieces` and stays open."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        await asyncio.Event().wait()
        return response

    return handler


def websocket(*frames: str | bytes) -> Handler:
    """A WebSocket that sends text and binary frames and stays open."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.WebSocketResponse(compress=False)
        if not response.can_prepare(request):
            return web.Response(status=426, headers={"Upgrade": "websocket"})
        await response.prepare(request)
        for frame in frames:
            await (response.send_bytes(frame) if isinstance(frame, bytes) else response.send_str(frame))
        async for _message in response:
            pass
        await response.close(code=WSCloseCode.OK)
        return response

    return handler


@asynccontextmanager
async def hanging() -> AsyncIterator[str]:
    """Accepts connections and never answers."""
    over = asyncio.Event()

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/stream/overview"
    finally:
        over.set()
        server.close()
        await server.wait_closed()


def sse(document: object) -> bytes:
    """One event with a JSON document, or with text as it is."""
    text = document if isinstance(document, str) else json.dumps(document)
    return f"event: telemetry\ndata: {text}\n\n".encode()


TOO_LARGE = json.dumps({**GOOD, "padding": "x" * LIMIT_BYTES})


@dataclass(frozen=True)
class Case:
    """A fault and what it must look like from outside."""

    source: Source
    state: str
    counter: str
    reason: str
    connect_timeout: str = "30s"


FAILURES = {
    "html": Case(
        source(refusing(200, "text/html"), refusing(200, "text/html")),
        "error",
        "iris_stream_connect_failures_total",
        "not_a_stream",
    ),
    "wrong-url": Case(source(refusing(404), refusing(404)), "error", "iris_stream_connect_failures_total", "not_found"),
    "wrong-key": Case(
        source(refusing(401), refusing(401)), "error", "iris_stream_connect_failures_total", "unauthorized"
    ),
    "forbidden": Case(source(refusing(403), refusing(403)), "error", "iris_stream_connect_failures_total", "forbidden"),
    "too-large-by-sse": Case(
        source(event_stream(sse(TOO_LARGE))), "connecting", "iris_stream_disconnects_total", "message_too_large"
    ),
    "too-large-without-an-end": Case(
        source(event_stream(b"data: ", b"x" * (LIMIT_BYTES + 1))),
        "connecting",
        "iris_stream_disconnects_total",
        "message_too_large",
    ),
    "too-large-by-websocket": Case(
        source(websocket(TOO_LARGE)), "connecting", "iris_stream_disconnects_total", "message_too_large"
    ),
    "hangs-after-accept": Case(hanging, "connecting", "iris_stream_connect_failures_total", "timeout", "300ms"),
}


def options(url: str, key_file: Path, connect_timeout: str = "30s") -> list[str]:
    """One attempt, then a wait that outlasts the test, so that what is counted and logged belongs to that attempt."""
    key_file.write_text(KEY + "\n")
    return [
        f"--stream.url={url}",
        f"--stream.api-key-file={key_file}",
        f"--stream.max-message-bytes={LIMIT_BYTES}B",
        f"--stream.connect-timeout={connect_timeout}",
        "--stream.reconnect-initial=60s",
        "--stream.poll-interval=60s",
        "--stream.live-retry-interval=60s",
    ]


def complaints(exporter: Sidecar) -> list[str]:
    """Warnings and errors about the stream, as event and reason."""
    return [f"{line['event']} {line.get('reason')}" for line in exporter.log(level={"warn", "error"})]


@pytest.mark.integration
@pytest.mark.parametrize(
    "name", cases(FAILURES, quick={"html", "wrong-key", "too-large-by-websocket", "hangs-after-accept"})
)
async def test_a_source_that_cannot_be_used_is_explained(name: str, tmp_path: Path) -> None:
    """The state, the reason and the log line say the same, and the sidecar stays up and silent about the key."""
    case = FAILURES[name]
    async with (
        case.source() as url,
        sidecar(*options(url, tmp_path / "key", case.connect_timeout), secrets=[KEY]) as exporter,
    ):
        await exporter.counts(case.counter, 1, reason=case.reason)
        scrape = await exporter.reaches(case.state)
        assert scrape.value("iris_up") == 0
        assert scrape.total("iris_stream_messages_total") == 0
        assert scrape.total(case.counter) == 1

        status = await exporter.stream()
        assert (status["state"], status["is_connected"]) == (case.state, False)
        assert status["is_connecting"] is (case.state == "connecting")
        assert case.reason in json.dumps(status["error"])
        assert status["next_attempt_at"] is not None

        lines = await exporter.logged(level={"warn", "error"})
        about_it = [line for line in lines if case.reason in json.dumps(line)]
        assert len(about_it) == 1, complaints(exporter)
        await exporter.get("/-/healthy")
        await exporter.get("/-/ready")


BAD_MESSAGES = 40
UNREADABLE = {
    "garbage-by-sse": (source(event_stream(*[sse('{"type": "event", ')] * BAD_MESSAGES, sse(GOOD))), "not_json"),
    "html-by-sse": (source(event_stream(*[sse("<html></html>")] * BAD_MESSAGES, sse(GOOD))), "not_json"),
    "garbage-by-websocket": (source(websocket(*['{"type": '] * BAD_MESSAGES, json.dumps(GOOD))), "not_json"),
    "list-by-websocket": (source(websocket(*["[1]"] * BAD_MESSAGES, json.dumps(GOOD))), "not_an_object"),
    "binary-frames": (source(websocket(*[b"\x08\x96\xff"] * BAD_MESSAGES, json.dumps(GOOD))), "binary"),
}


@pytest.mark.integration
@pytest.mark.parametrize("name", cases(UNREADABLE, quick={"garbage-by-sse", "binary-frames"}))
async def test_messages_that_cannot_be_read_do_not_end_the_link(name: str, tmp_path: Path) -> None:
    """A lot of bad messages, then a good one on the same connection; all are counted, few are logged."""
    source_of, reason = UNREADABLE[name]
    async with source_of() as url, sidecar(*options(url, tmp_path / "key"), secrets=[KEY]) as exporter:
        scrape = await exporter.counts("iris_stream_messages_total", 1, message_type="telemetry")
        assert scrape.state() == "live"
        assert scrape.value("iris_projects") == 3
        assert scrape.value("iris_stream_decode_errors_total", reason=reason) == BAD_MESSAGES
        assert scrape.total("iris_stream_decode_errors_total") == BAD_MESSAGES
        assert scrape.total("iris_stream_connect_attempts_total") == 1
        assert scrape.total("iris_stream_disconnects_total") == 0
        assert scrape.value("iris_up") == 1
        about_it = await exporter.logged(level={"warn", "error"}, reason=reason)
        assert 1 <= len(about_it) <= 5, complaints(exporter)


HOSTILE = [
    'a"b',
    "a\nb",
    'x"} 1\niris_up{y="',
    "{}",
    "a\0b",
    "a\ud800",
    "\u202eevil",
    "n" * 10_000,
    "n" * 10_001,
    "a\\",
]


@pytest.mark.integration
async def test_names_that_attack_leave_the_metrics_valid_and_small(tmp_path: Path) -> None:
    """Every scrape is read by a parser that accepts no series twice; what is over a limit is counted."""
    projects = [{"id": name, "total_runs": 1} for name in [*HOSTILE, *(f"project-{number}" for number in range(100))]]
    update = {"type": "update", "data": {"projects": projects}}
    events = [
        {"type": "event", "data": {"id": str(number), "project": f"{name}-{number}", "event_type": name}}
        for number, name in enumerate(HOSTILE * 20)
    ]
    small = ["--stream.max-projects=30", "--stream.max-event-series=50", "--stream.max-message-bytes=100KiB"]
    stream = event_stream(sse(update), *[sse(event) for event in events])
    async with source(stream)() as url, sidecar(*options(url, tmp_path / "key"), *small, secrets=[KEY]) as exporter:
        scrape = await exporter.counts("iris_events_total", len(events))
        assert scrape.total("iris_events_total") == len(events)
        assert len(scrape.series("iris_project_runs")) == 30
        assert scrape.value("iris_stream_dropped_total", kind="projects") == len(projects) - 30
        assert scrape.value("iris_stream_dropped_total", kind="event_labels") == len(events) - 50
        assert len(scrape.series("iris_events_total")) <= 51
        assert scrape.state() == "live"


@pytest.mark.integration
async def test_streams_to_one_host_share_its_budget_of_connections(tmp_path: Path) -> None:
    """One of two connections an hour may be made at once: the second stream has to wait, and is told how long."""
    configuration = tmp_path / "iris.yaml"
    async with source(event_stream(sse(GOOD)))() as url:
        streams = [
            {"name": name, "url": f"{url}?{name}", "snapshot-url": url, "max-connections-per-hour": 2}
            for name in ("one", "two")
        ]
        configuration.write_text(json.dumps({"streams": streams}))
        async with sidecar(f"--config.file={configuration}") as exporter:
            scrape = await exporter.counts("iris_stream_connect_failures_total", 1, reason="connection_budget")
            assert scrape.total("iris_stream_connect_attempts_total") == 2
            states = {name: (await exporter.stream(name))["state"] for name in ("one", "two")}
            assert sorted(states.values()) == ["connecting", "live"]
