"""A relay of a source that has only REST, over real sockets."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from iris_exporter.backend.objects import Event
from iris_exporter.backend.relay.journal import MAX_AGE_SECONDS, Journal, JournalError, Row
from iris_exporter.backend.relay.relay import TIDY_SECONDS
from iris_exporter.backend.relay.relayed import LEAST_STALE_SECONDS
from iris_exporter.backend.relay.running import RelaySettings, relaying
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.wire import protobuf
from tests.backend.clients import Bench, SseClient
from tests.fakes import FakeClock, settle
from tests.settings import stream_settings
from tests.waiting import until

INTERVAL = 5.0


class Iris:
    """A source of the test's own: documents by path, and what is asked for. A status other than 200 is for all."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.key: str | None = None
        self.url = ""
        self.pages = False
        """Whether an unknown address has a page for people, and no 404."""

    @property
    def requests(self) -> int:
        return self.asked.total()

    async def answer(self, request: web.Request) -> web.Response:
        self.asked[request.path] += 1
        self.key = request.headers.get("Authorization")
        if self.status != 200:
            return web.Response(status=self.status, headers=self.headers)
        document = self.documents.get(request.path)
        if document is None:
            return web.Response(text="<html>", content_type="text/html") if self.pages else web.Response(status=404)
        if "limit" in request.query and isinstance(document, list):
            document = document[: int(request.query["limit"])]
        body = document if isinstance(document, str) else json.dumps(document)
        tag = f'"{hash(body)}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304)
        return web.Response(text=body, content_type="application/json", headers={"ETag": tag})


@asynccontextmanager
async def iris() -> AsyncIterator[Iris]:
    source = Iris()
    app = web.Application()
    app.router.add_get("/{path:.*}", source.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    source.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield source
    finally:
        await runner.cleanup()


@asynccontextmanager
async def relay(url: str, state_dir: Path | None = None, **changes: Any) -> AsyncIterator[Bench]:
    clock = FakeClock()
    settings = stream_settings(url=url, protocol="poll", poll_interval_seconds=INTERVAL, **changes)
    async with (
        relaying(RelaySettings(settings, state_dir), BackendSettings(port=0), clock) as backend,
        aiohttp.ClientSession() as http,
    ):
        await clock.advance(0.1)
        yield Bench(backend, clock, http)


def failures(it: Bench) -> int:
    (stats,) = it.backend.service.collectors
    return sum(stats.failures.values())  # type: ignore[attr-defined]


async def polled(it: Bench, source: Iris, count: int = 1) -> None:
    """Let so many polls happen, and what they bring be sent."""
    for _ in range(count):
        before = source.asked["/api/overview"] + source.asked["/api/iris/overview"]
        for _ in range(200):
            if source.asked["/api/overview"] + source.asked["/api/iris/overview"] > before:
                break
            await it.clock.advance(0.5)
        # The poll is over when it sleeps again; the service is the other sleeper.
        await until(lambda: it.clock.sleepers >= 2)
        await settle()
        await it.clock.advance(1.1)


def event(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "message": f"number {number}"} | more


def window(last: int, size: int = 50) -> list[dict[str, Any]]:
    return [event(number) for number in range(last, max(0, last - size), -1)]


def ids(it: Bench) -> list[str]:
    history = it.backend.service.feed.history
    return [entry.event.id for entry in history.after(0)]


async def value(it: Bench, name: str) -> float:
    _, body = await it.get("/metrics")
    return sum(float(line.split()[-1]) for line in body.decode().splitlines() if line.startswith(name))


DEPLOYED = {
    "metrics": {"total_projects": 1, "avg_success_rate": 87.5},
    "projects": [
        {"project": "a", "overallHealth": "Healthy", "latestHealthScore": 87.4, "totalRuns": "12", "avgSuccessRate": 91}
    ],
    "events": [{"id": 7, "timestamp": "2025-01-02 03:04:05", "details": {"x": 1}, "severity": "error"}],
}


async def test_the_deployed_shape_becomes_that_of_streams_and_nothing_is_invented() -> None:
    async with iris() as source:
        source.documents["/api/iris/overview"] = DEPLOYED
        source.documents["/api/iris/anomalies"] = {"success": True, "data": [{"id": "x", "metric": "m", "value": 2}]}
        async with relay(source.url) as it:
            _, body = await it.get("/api/overview")
            found = json.loads(body)
            assert found["metrics"] == {"total_projects": 1, "avg_success_rate": 0.875}
            wanted = {"id": "a", "status": "healthy", "health_score": 87.4, "total_runs": 12, "success_rate": 0.91}
            assert found["projects"] == [wanted]
            assert found["events"] == [
                {"id": "7", "timestamp": "2025-01-02T03:04:05.000Z", "severity": "error", "metadata": {"x": 1}}
            ]
            assert found["anomalies"] == [
                {"id": "x", "severity": "info", "metric": "m", "value": 2.0, "resolved": False}
            ]
            _, body = await it.get("/api/iris/overview")
            assert json.loads(body)["projects"][0]["avgSuccessRate"] == 91.0
            for path in ("/api/patterns", "/api/project-details?id=a", "/api/project-details?id=nobody"):
                assert (await it.get(path))[0].status == 404


async def test_a_source_without_metrics_and_lists_has_none_behind_the_relay() -> None:
    async with iris() as source:
        source.documents["/api/overview"] = {"projects": []}
        async with relay(source.url) as it:
            _, body = await it.get("/api/overview")
            assert json.loads(body).keys() == {"projects", "events", "cursor"}


async def test_each_event_comes_once_in_order_however_many_clients_there_are() -> None:
    async with iris() as source:
        source.documents["/api/overview"] = {"projects": [], "anomalies": [], "events": window(3)}
        async with relay(source.url) as it, it.connect("sse") as one, it.connect("websocket") as two:
            await it.until_open(2)
            source.documents["/api/overview"]["events"] = window(5)
            await polled(it, source)
            source.documents["/api/overview"]["events"] = window(6)[::-1]
            await polled(it, source)
            source.documents["/api/overview"]["events"] = window(7)
            await polled(it, source)
            for client in (one, two):
                assert [(await client.next()).json["data"]["id"] for _ in range(4)][:2] == ["e4", "e5"]
            assert source.asked["/api/overview"] == 4
            assert await value(it, "iris_backend_source_gaps_total") == 0


async def test_what_has_not_changed_is_not_sent_again_by_the_source() -> None:
    async with iris() as source:
        source.documents["/api/overview"] = {"projects": [], "anomalies": [], "events": window(3)}
        async with relay(source.url) as it:
            await polled(it, source, 3)
            assert source.requests == 4
            assert await value(it, "iris_backend_source_not_modified_total") == 3
            assert await value(it, "iris_backend_source_requests_total") == 4
            assert ids(it) == ["e1", "e2", "e3"]


async def test_a_list_that_was_overrun_is_asked_for_in_its_full_length() -> None:
    async with iris() as source:
        source.documents["/api/overview"] = {"projects": [], "anomalies": [], "events": window(50)}
        source.documents["/api/events"] = window(50, 1000)
        async with relay(source.url) as it:
            source.documents["/api/overview"]["events"] = window(300)
            source.documents["/api/events"] = window(300, 1000)
            await polled(it, source)
            assert ids(it) == [f"e{number}" for number in range(1, 301)]
            assert await value(it, "iris_backend_source_gaps_total") == 0


async def test_events_that_may_be_missing_are_logged_counted_and_polled_for_sooner() -> None:
    async with iris() as source:
        source.documents["/api/overview"] = {"projects": [], "anomalies": [], "events": window(50)}
        async with relay(source.url) as it:
            source.documents["/api/overview"]["events"] = window(300)
            await polled(it, source)
            assert ids(it) == [f"e{number}" for number in (*range(1, 51), *range(251, 301))]
            assert await value(it, "iris_backend_source_gaps_total") == 1
            before = source.asked["/api/overview"]
            await it.clock.advance(0.6 * INTERVAL)
            await until(lambda: source.asked["/api/overview"] == before + 1)


async def test_a_project_that_vanishes_is_gone() -> None:
    async with iris() as source:
        source.documents["/api/overview"] = {"projects": [{"id": "a"}, {"id": "b"}], "anomalies": [], "events": []}
        async with relay(source.url) as it:
            source.documents["/api/overview"]["projects"] = [{"id": "b"}]
            await polled(it, source)
            _, body = await it.get("/api/overview")
            assert json.loads(body)["projects"] == [{"id": "b"}]
            async with it.connect("sse", "overview") as client:
                assert (await client.next()).json["data"]["projects"] == [{"id": "b"}]


@pytest.mark.parametrize("path", ["/api/stream/overview", "/api/stream?channels=projects", "/api/stream?delta=true"])
async def test_clients_that_have_a_project_are_told_that_it_has_vanished(path: str) -> None:
    async with iris() as source:
        source.documents["/api/overview"] = {"projects": [{"id": "a"}, {"id": "b"}], "anomalies": [], "events": []}
        async with relay(source.url) as it, it.http.get(it.backend.url + path) as response:
            client = SseClient(response)
            while (await client.next()).type != "update":
                pass
            source.documents["/api/overview"]["projects"] = [{"id": "b", "total_runs": 2}]
            await polled(it, source)
            found = (await client.next()).json["data"]
            assert found == {"projects": [{"id": "b", "total_runs": 2}], "removed": {"projects": ["a"]}}


async def test_clients_of_graphql_are_told_too() -> None:
    query = "subscription { stream(channels: [projects]) { ... on Update { projects { id } removed { projects } } } }"
    async with iris() as source:
        source.documents["/api/overview"] = {"projects": [{"id": "a"}, {"id": "b"}], "anomalies": [], "events": []}
        headers = {"Accept": "text/event-stream"}
        async with (
            relay(source.url) as it,
            it.http.post(f"{it.backend.url}/api/graphql", json={"query": query}, headers=headers) as response,
        ):
            client = SseClient(response)
            assert (await client.next()).json["data"]["stream"] == {}, "the answer"
            first = {"projects": [{"id": "a"}, {"id": "b"}], "removed": None}
            assert (await client.next()).json["data"]["stream"] == first
            source.documents["/api/overview"]["projects"] = [{"id": "b"}]
            await polled(it, source)
            gone = {"projects": None, "removed": {"projects": ["a"]}}
            assert (await client.next()).json["data"]["stream"] == gone


@pytest.mark.parametrize("path", ["/api/stream/overview", "/api/stream?channels=anomalies", "/api/stream?delta=true"])
async def test_an_anomaly_that_leaves_the_list_is_resolved_for_those_who_know_it(path: str) -> None:
    async with iris() as source:
        anomalies = [{"id": "x", "metric": "m"}, {"id": "y", "metric": "m", "resolved": True}]
        source.documents["/api/overview"] = {"projects": [], "anomalies": anomalies, "events": window(1)}
        async with relay(source.url) as it, it.http.get(it.backend.url + path) as response:
            client = SseClient(response)
            while (await client.next()).type != "update":
                pass
            source.documents["/api/overview"]["anomalies"] = []
            await polled(it, source)
            found = (await client.next()).json["data"]
            assert [(each["id"], each["resolved"]) for each in found["anomalies"]] == [("x", True)]
            _, body = await it.get("/api/anomalies")
            assert json.loads(body) == []
            source.documents["/api/overview"]["anomalies"] = anomalies
            await polled(it, source)
            again = (await client.next()).json["data"]["anomalies"]
            assert ("x", False) in [(each["id"], each.get("resolved")) for each in again]


async def test_a_page_at_an_unknown_address_is_not_taken_for_the_source() -> None:
    async with iris() as source:
        source.pages = True
        source.documents["/api/iris/overview"] = {"projects": [{"project": "a"}]}
        async with relay(source.url) as it:
            _, body = await it.get("/api/overview")
            assert json.loads(body).keys() == {"projects", "events", "cursor"}
            source.documents["/api/iris/anomalies"] = [{"id": "x", "metric": "m"}]
            await polled(it, source, 14)
            _, body = await it.get("/api/anomalies")
            assert [each["id"] for each in json.loads(body)] == ["x"], "it is looked for again"


async def test_what_is_not_polled_is_asked_for_once_in_an_interval_and_passed_on() -> None:
    async with iris() as source:
        source.documents["/api/overview"] = {"projects": [{"id": "a&b"}], "anomalies": [], "events": window(1)}
        source.documents["/api/patterns"] = [{"anything": 1}]
        source.documents["/api/project-details"] = {"project": {"id": "a&b"}}
        async with relay(source.url) as it:
            for _ in range(3):
                _, body = await it.get("/api/patterns")
                assert json.loads(body) == [{"anything": 1}]
                _, body = await it.get("/api/project-details", params={"id": "a&b"})
                assert json.loads(body) == {"project": {"id": "a&b"}}
            assert (await it.get("/api/project-details?id=nobody"))[0].status == 404
            assert (source.asked["/api/patterns"], source.asked["/api/project-details"]) == (1, 1)
            source.documents["/api/patterns"] = "{"
            assert (await it.get("/api/patterns"))[0].status == 200
            await it.clock.advance(INTERVAL)
            assert (await it.get("/api/patterns"))[0].status == 503
            source.status = 500
            assert (await it.get("/api/patterns"))[0].status == 503


async def test_events_grow_old_while_nothing_happens() -> None:
    async with iris() as source:
        source.documents["/api/overview"] = {"projects": [], "anomalies": [], "events": window(3)}
        async with relay(source.url) as it:
            assert len(ids(it)) == 3
            it.clock._wall += MAX_AGE_SECONDS + 1
            it.clock.now += TIDY_SECONDS
            await polled(it, source, 2)
            assert ids(it) == []
            assert it.backend.service.feed.history.last == 3
            source.documents["/api/overview"]["events"] = window(4)
            await polled(it, source)
            assert ids(it) == ["e4"], "what is forgotten is still known"


@pytest.mark.parametrize("status", [500, 503, 401, 404])
async def test_a_source_that_is_away_is_said_once_and_streams_go_on(status: int) -> None:
    async with iris() as source:
        source.documents["/api/overview"] = {"projects": [{"id": "a"}], "anomalies": [], "events": window(1)}
        async with relay(source.url) as it, it.connect("sse") as client:
            source.status = status
            assert (await it.get("/api/telemetry/health"))[0].status == 200
            await polled(it, source)
            await it.clock.advance(LEAST_STALE_SECONDS)
            told = await client.next()
            assert told.json["error"]["code"] == "SERVICE_UNAVAILABLE"
            assert (await it.get("/api/telemetry/health"))[0].status == 503
            assert await value(it, "iris_backend_source_up") == 0
            _, body = await it.get("/api/overview")
            assert json.loads(body)["projects"] == [{"id": "a"}], "what was last known stays"
            await it.clock.advance(30)
            assert (await client.next()).type == "ping"
            source.status = 200
            source.documents["/api/overview"]["events"] = window(2)
            await polled(it, source)
            while (found := await client.next()).type == "ping":
                pass
            assert found.json["data"]["id"] == "e2"
            assert (await it.get("/api/telemetry/health"))[0].status == 200
            assert await value(it, "iris_backend_source_up") == 1


async def test_retry_after_is_respected() -> None:
    async with iris() as source:
        source.documents["/api/overview"] = {"projects": [], "anomalies": [], "events": []}
        async with relay(source.url) as it:
            source.status, source.headers = 429, {"Retry-After": "100"}
            await polled(it, source)
            before = source.requests
            await it.clock.advance(95)
            assert source.requests == before
            assert await value(it, 'iris_backend_source_failures_total{reason="rate_limited"}') == 1
            source.status = 200
            await it.clock.advance(40)
            await until(lambda: source.requests > before)


async def test_a_source_that_was_never_there_has_no_state() -> None:
    async with relay("http://127.0.0.1:9") as it:
        overview, body = await it.get("/api/overview")
        assert overview.status == 503
        assert "has not answered yet" in json.loads(body)["error"]["message"]
        async with it.connect("websocket", "overview") as client:
            assert (await client.next()).json["data"] == {"events": []}
            await it.clock.advance(0.2)
            assert (await client.next()).json["error"]["code"] == "SERVICE_UNAVAILABLE"


@pytest.mark.parametrize("body", ["<html>", "[1, 2]", '{"success": false}', '{"events": 5}', "{", "null"])
async def test_an_answer_that_is_of_no_use_is_a_failure(body: str) -> None:
    async with iris() as source:
        source.documents["/api/overview"] = body
        async with relay(source.url) as it:
            assert (await it.get("/api/overview"))[0].status == 503
            source.documents["/api/overview"] = {"projects": [{"id": "a"}], "anomalies": [], "events": []}
            await polled(it, source, 1)
            assert (await it.get("/api/overview"))[0].status == 200


async def test_fields_that_cannot_be_used_are_counted() -> None:
    async with iris() as source:
        source.documents["/api/overview"] = {"projects": [{"id": "a", "total_runs": "many"}, {}], "events": window(1)}
        async with relay(source.url) as it:
            assert await value(it, 'iris_backend_source_problems_total{reason="not_a_number"}') == 1
            assert await value(it, 'iris_backend_source_problems_total{reason="no_id"}') == 1


async def test_the_key_goes_to_the_source_and_into_no_answer(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key-of-the-source")
    async with iris() as source:
        source.documents["/api/overview"] = {"projects": [], "anomalies": [], "events": window(1)}
        async with relay(source.url + "?token=secret-token", api_key_file=tmp_path / "key") as it:
            assert source.key == "Bearer key-of-the-source"
            for path in ("/", "/api/overview", "/metrics", "/api/telemetry/health"):
                _, body = await it.get(path)
                assert b"key-of-the-source" not in body
                assert b"secret-token" not in body


async def test_positions_outlive_a_restart(tmp_path: Path) -> None:
    async with iris() as source:
        source.documents["/api/overview"] = {"projects": [], "anomalies": [], "events": window(3)}
        async with relay(source.url, tmp_path) as it:
            cursor = it.position(2)
        source.documents["/api/overview"]["events"] = window(5)
        async with relay(source.url, tmp_path) as it:
            assert ids(it) == ["e1", "e2", "e3", "e4", "e5"]
            answer, body = await it.get(f"/api/events?after={cursor}")
            assert answer.headers["Iris-Resume"] == "full"
            assert [each["id"] for each in json.loads(body)] == ["e3", "e4", "e5"]
            async with it.connect("sse", headers={"Last-Event-ID": cursor}) as client:
                found = [(await client.next()).json for _ in range(4)]
                assert found[0]["data"]["outcome"] == "full"
                assert [each["data"]["id"] for each in found[1:]] == ["e3", "e4", "e5"]
            it.backend.faults.set("restart")
            await it.clock.advance(0.2)
            assert it.position(2) == cursor


async def test_without_a_directory_a_restart_is_a_new_epoch() -> None:
    async with iris() as source:
        source.documents["/api/overview"] = {"projects": [], "anomalies": [], "events": window(3)}
        async with relay(source.url) as it:
            before = it.position(0)
        async with relay(source.url) as it:
            assert it.position(0) != before


@asynccontextmanager
async def reference(clock: FakeClock) -> AsyncIterator[Bench]:
    """A reference backend that has only REST."""
    settings = BackendSettings(port=0, rate=0.0, faults=("404",))
    async with Backend(settings, clock=clock) as backend, aiohttp.ClientSession() as http:
        yield Bench(backend, clock, http)


@pytest.mark.parametrize("path", ["", "/api/overview", "/api/iris/overview", "/api/stream"])
async def test_a_source_with_positions_is_followed_without_a_gap(path: str, tmp_path: Path) -> None:
    async with reference(FakeClock()) as source:
        made = source.happen(3)
        async with relay(source.backend.url + path, tmp_path) as it:
            assert ids(it) == made
            made += source.happen(2500)
            history = it.backend.service.feed.history
            for _ in range(40):
                await it.clock.advance(1)
                await until(lambda: it.clock.sleepers >= 2)
            await it.clock.advance(0.1)
            assert history.last == 2503
            assert ids(it) == made
        made += source.happen(10)
        async with relay(source.backend.url + path, tmp_path) as it:
            assert ids(it) == made, "it goes on at the source's position"
            assert await value(it, "iris_backend_source_gaps_total") == 0
        source.backend.service.restart()
        made += source.happen(2)
        async with relay(source.backend.url + path, tmp_path) as it:
            assert ids(it) == made
            assert await value(it, "iris_backend_source_gaps_total") == 1


async def test_events_of_the_source_are_as_they_were() -> None:
    async with reference(FakeClock()) as source:
        source.happen(severity="critical", metadata={"deep": {"list": [1, 2.5, None, "x"]}})
        async with relay(source.backend.url) as it:
            sent, found = (each.backend.service.feed.history.newest(1)[0].event for each in (source, it))
            assert isinstance(found, Event)
            assert found == sent


@pytest.mark.parametrize(
    "text",
    [
        '{"id": "odd", "metadata": {"n": 123456789012345678901234567890}}',
        '{"id": "odd", "metadata": {"n": 1e999, "m": NaN, "t": "\\ud800 \\u0000"}}',
        '{"id": "odd", "metadata": ' + '{"a":' * 300 + "1" + "}" * 300 + "}",
        '{"id": "odd", "metadata": {"t": "' + "x" * 100_000 + '"}}',
        '{"id": "odd", "timestamp": 99999999999999999, "severity": "nonsense", "metadata": [1]}',
        '{"id": "odd", "timestamp": "9999-12-31T23:59:59.9999Z"}',
        '{"id": "odd", "timestamp": "1969-01-01", "metadata": "text"}',
    ],
)
async def test_events_that_are_odd_are_relayed_as_far_as_they_can_be_read(text: str, tmp_path: Path) -> None:
    async with iris() as source:
        head = (
            '{"anomalies": [], "projects": [{"id": "a", "total_runs": 1e300, "last_run": "2 minutes ago"}], "events": ['
        )
        source.documents["/api/overview"] = head + text + "]}"
        for _ in range(2):
            async with (
                relay(source.url, tmp_path) as it,
                it.http.ws_connect(it.backend.url + "/api/stream", protocols=["iris.v1+protobuf"]) as socket,
            ):
                assert ids(it) == ["odd"]
                _, body = await it.get("/api/overview")
                json.loads(body)
                await socket.send_json({"type": "subscribe", "data": {}})
                await socket.receive(5)
                found = protobuf.decode((await socket.receive(5)).data)
                assert [each["id"] for each in found["data"]["events"]] == ["odd"]


@pytest.mark.parametrize("commits", [True, False])
async def test_events_wait_for_a_disk_that_takes_nothing_and_come_once(
    commits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when what was thought to have failed was committed."""
    record = Journal.record

    def fail(self: Journal, *arguments: Any) -> list[Row]:
        if commits:
            record(self, *arguments)
        raise JournalError("database or disk is full")

    async with iris() as source:
        source.documents["/api/overview"] = {"projects": [], "anomalies": [], "events": window(3)}
        async with relay(source.url, tmp_path) as it, it.connect("sse") as client:
            monkeypatch.setattr(Journal, "record", fail)
            source.documents["/api/overview"] |= {"projects": [{"id": "new"}], "events": window(5)}
            await polled(it, source)
            assert ids(it) == ["e1", "e2", "e3"], "nobody is sent what may not be on disk"
            _, body = await it.get("/api/overview")
            assert json.loads(body)["projects"] == [{"id": "new"}], "state goes on"
            assert await value(it, "iris_backend_history_failures_total") == 1
            await it.clock.advance(LEAST_STALE_SECONDS + INTERVAL)
            assert "its events cannot be stored" in (await client.next()).json["error"]["message"]
            monkeypatch.setattr(Journal, "record", record)
            source.documents["/api/overview"]["events"] = window(6)
            await polled(it, source, 3)
            assert ids(it) == [f"e{number}" for number in range(1, 7)]
            assert await value(it, "iris_backend_source_gaps_total") == 0
