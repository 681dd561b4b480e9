"""A program around the web server, all in memory."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from iris_exporter.clock import SystemClock
from iris_exporter.core.failures import Failure
from iris_exporter.core.positions import Outcome
from iris_exporter.core.status import LinkStatus, State
from iris_exporter.decoding.messages import Anomaly, Event, Metrics, Project
from iris_exporter.instruments.exposition import Exposition, Source
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.model.snapshot import DataFlow, Snapshot
from iris_exporter.process.listening import bound_sockets
from iris_exporter.settings import WebSettings
from iris_exporter.streams.following import Follower
from iris_exporter.version import VersionInfo
from iris_exporter.web.server import HttpServer

NOON = 1_700_000_000.0


def web_settings(**changes: Any) -> WebSettings:
    values: dict[str, Any] = {
        "listen_addresses": ("127.0.0.1:0",), "telemetry_path": "/metrics", "config_file": None, "max_requests": 40,
        "route_prefix": "", "external_url": None, "grafana_url": None, "runbook_base_url": None,
        "disable_exporter_metrics": True, "enable_control": "auto", "max_connections": 512,
    }  # fmt: skip
    return WebSettings(**{**values, **changes})


def link(state: State = State.LIVE, **changes: Any) -> LinkStatus:
    facts: dict[str, Any] = {
        "state": state, "protocol": "sse", "endpoint": "http://iris.test/api/stream/overview", "attempt": 0,
        "next_attempt_at": None, "connected_at": NOON, "last_message": NOON, "failure": None,
        "failing_since": None, "last_failure_at": None, "state_changed_at": NOON,
    }  # fmt: skip
    return LinkStatus(**{**facts, **changes})


def picture(stream: str = "main", **changes: Any) -> Snapshot:
    facts: dict[str, Any] = {
        "stream": stream,
        "metrics": Metrics(projects=2.0, runs_today=41.0, success_ratio=0.93),
        "projects": (
            Project(id="alpha", name="Alpha", status="healthy", health_ratio=0.9, latency_seconds=0.25,
                    last_run_timestamp=NOON),
            Project(id="beta", status="warning"),
        ),
        "anomalies": (Anomaly(id="a1", project="beta", severity="critical", timestamp=NOON),),
        "events": tuple(
            Event(id=f"e{n}", timestamp=NOON - n, project="alpha" if n % 2 else "beta", event_type="evaluation",
                  severity="warning" if n % 5 == 0 else "info", message=f"event {n}", metadata=b'{"n":%d}' % n)
            for n in range(100)
        ),
        "event_counts": {("alpha", "evaluation", "info"): 50, ("beta", "evaluation", "warning"): 20},
        "last_data_timestamp": NOON,
        "flow": DataFlow.FLOWING,
    }  # fmt: skip
    return Snapshot(**{**facts, **changes})


class FakeControl:
    """A stream that only notes which calls it got."""

    def __init__(self, name: str = "main") -> None:
        self.name = name
        self.url = "http://iris.test/api/stream/overview"
        self.link = link()
        self.picture = picture(name)
        self.instruments = StreamInstruments(name)
        self.calls: list[str] = []
        self.last_resume: Outcome | None = None
        self.follower: Follower | None = None

    def status(self) -> LinkStatus:
        return self.link

    def snapshot(self) -> Snapshot:
        return self.picture

    def follow(self, follower: Follower | None) -> None:
        self.follower = follower

    def connect(self) -> None:
        self.calls.append("connect")
        self.link = link(State.CONNECTING)

    def disconnect(self) -> None:
        self.calls.append("disconnect")
        self.link = link(State.DISCONNECTED, failure=Failure("requested", "closed by request"))

    def reset(self) -> None:
        self.calls.append("reset")


class FakeCheckpoints:
    """Checkpoints, and the only one of them, that note what is asked of them."""

    def __init__(self, trouble: str | None = None) -> None:
        self.steps: list[str] = []
        self.trouble = lambda: trouble

    def begin(self) -> "FakeCheckpoints":
        self.steps.append("begin")
        return self

    def read_by_unknown(self) -> None:
        self.steps.append("unknown")

    async def stage(self) -> None:
        self.steps.append("stage")

    def commit(self) -> None:
        self.steps.append("commit")

    async def undo(self) -> None:
        self.steps.append("undo")

    async def discard(self) -> None:
        self.steps.append("discard")


class FakeContext:
    """A program with two streams."""

    def __init__(self) -> None:
        self.controls = {name: FakeControl(name) for name in ("main", "other")}
        self.version = VersionInfo("1.2.3", "abc", "3.11.7")
        self.is_ready = True
        self.checkpoints: FakeCheckpoints | None = None
        self.reloads = 0
        self.on_reload: Callable[[], None] = lambda: None
        self.exposition = Exposition(self.sources, SelfMetrics("1.2.3", "abc", "3.11.7"), process_metrics=False)

    def sources(self) -> list[Source]:
        return [Source(one.instruments, one.status(), one.snapshot()) for one in self.controls.values()]

    def ready(self) -> bool:
        return self.is_ready

    def streams(self) -> Mapping[str, FakeControl]:
        return self.controls

    def config_text(self) -> str:
        return "streams:\n- name: main\n"

    async def reload(self) -> None:
        self.on_reload()
        self.reloads += 1


class Client:
    """Requests to one server, without redirects followed."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self.session = session
        self.base = base

    async def __call__(self, path: str, method: str = "GET", **headers: str) -> "Answer":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = self.session.request(method, self.base + path, headers=named, allow_redirects=False)
        async with request as response:
            return Answer(response.status, response.headers, await response.read(), response)


class Answer:
    """A response that has been read."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, response: aiohttp.ClientResponse) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.response = response

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def type(self) -> str:
        return self.headers.get("Content-Type", "")


@asynccontextmanager
async def serving(context: FakeContext, **settings: Any) -> AsyncIterator[Client]:
    server = HttpServer(context, web_settings(**settings), SystemClock())
    try:
        await server.start()
        (bound,) = await bound_sockets("127.0.0.1", 0)
        url = await server.listen(bound)
        async with aiohttp.ClientSession(
            auto_decompress=False, skip_auto_headers=["Accept-Encoding", "Accept"]
        ) as session:
            yield Client(session, url)
    finally:
        await server.close()
