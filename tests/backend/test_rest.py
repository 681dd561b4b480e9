"""The REST endpoints over real sockets, on a clock that stands still."""

import gzip
import json
from pathlib import Path

import pytest

from tests.backend.clients import bench


async def test_the_overview_has_the_stream_shape_and_a_cursor() -> None:
    async with bench() as it:
        ids = it.happen(3)
        response, body = await it.get("/api/overview")
        document = json.loads(body)
        assert response.content_type == "application/json"
        assert set(document) == {"metrics", "projects", "events", "anomalies", "cursor"}
        assert len(document["metrics"]) == 8
        assert document["projects"][0]["id"] == "checkout-assistant"
        assert [event["id"] for event in document["events"]] == ids[::-1]
        assert document["cursor"] == it.position(3)


async def test_the_deployed_overview_has_the_rest_shape() -> None:
    async with bench() as it:
        it.happen()
        _, body = await it.get("/api/iris/overview")
        document = json.loads(body)
        names = {"project", "overallHealth", "latestHealthScore", "lastReportDate", "totalRuns", "avgSuccessRate"}
        assert set(document["projects"][0]) == names | {"activeExperts", "totalReflexions"}
        assert document["projects"][0]["avgSuccessRate"] > 1
        assert document["events"][0]["details"] == {"number": 1}
        assert "metadata" not in document["events"][0]


async def test_an_overview_that_did_not_change_is_304() -> None:
    async with bench() as it:
        response, _ = await it.get("/api/overview")
        etag = response.headers["ETag"]
        response, body = await it.get("/api/overview", headers={"If-None-Match": f'"other", {etag}'})
        assert (response.status, body, response.headers["ETag"]) == (304, b"", etag)
        it.happen()
        response, _ = await it.get("/api/overview", headers={"If-None-Match": etag})
        assert response.status == 200
        assert response.headers["ETag"] != etag


async def test_an_overview_changes_its_tag_with_the_projects() -> None:
    async with bench(rate=1.0) as it:
        response, _ = await it.get("/api/overview")
        etag = response.headers["ETag"]
        await it.clock.advance(2.0)
        response, _ = await it.get("/api/overview", headers={"If-None-Match": etag})
        assert response.status == 200


@pytest.mark.parametrize(
    ("header", "packed"), [("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("br", False)]
)
async def test_the_overview_is_compressed_for_those_who_accept_it(header: str, packed: bool) -> None:
    async with bench() as it:
        _, plain = await it.get("/api/overview", headers={"Accept-Encoding": "identity"})
        it.http._auto_decompress = False
        response, body = await it.get("/api/overview", headers={"Accept-Encoding": header})
        assert response.headers["Vary"] == "Accept-Encoding"
        assert ("Content-Encoding" in response.headers) == packed
        assert (gzip.decompress(body) if packed else body) == plain


@pytest.mark.parametrize(("path", "field"), [("/api/events", "metadata"), ("/api/iris/events", "details")])
async def test_events_are_a_bare_array_with_the_newest_in_front(path: str, field: str) -> None:
    async with bench() as it:
        ids = it.happen(5)
        response, body = await it.get(f"{path}?limit=2")
        events = json.loads(body)
        assert [event["id"] for event in events] == [ids[4], ids[3]]
        assert events[0][field] == {"number": 5}
        assert response.headers["Iris-Cursor"] == it.position(5)


async def test_events_after_a_position_come_page_by_page_with_the_oldest_in_front() -> None:
    async with bench() as it:
        ids = it.happen(5)
        position, seen, more = it.position(1), [], "true"
        while more == "true":
            response, body = await it.get("/api/events", params={"after": position, "limit": "2"})
            seen.append([event["id"] for event in json.loads(body)])
            position, more = response.headers["Iris-Cursor"], response.headers["Iris-More"]
            assert response.headers["Iris-Resume"] == "full"
        assert seen == [ids[1:3], ids[3:5]]
        assert position == it.position(5)
        response, body = await it.get("/api/events", params={"after": position})
        assert (body, response.headers["Iris-Cursor"]) == (b"[]", position)


@pytest.mark.parametrize(
    ("position", "outcome", "missed", "count"),
    [("{epoch}-2", "partial", "8", 10), ("old-2", "restarted", "0", 10), ("nonsense", "none", "0", 0)],
)
async def test_events_after_a_lost_position_say_what_was_lost(
    position: str, outcome: str, missed: str, count: int
) -> None:
    async with bench(history_events=10) as it:
        it.happen(20)
        after = position.format(epoch=it.position(0).partition("-")[0])
        response, body = await it.get("/api/events", params={"after": after})
        assert (response.headers["Iris-Resume"], response.headers["Iris-Missed"]) == (outcome, missed)
        assert len(json.loads(body)) == count
        assert response.headers["Iris-Cursor"] == it.position(20)


@pytest.mark.parametrize("limit", ["-1", "x", "1.5", ""])
async def test_a_limit_that_is_no_number_is_refused(limit: str) -> None:
    async with bench() as it:
        response, body = await it.get("/api/events", params={"limit": limit})
        assert response.status == 400
        assert json.loads(body)["error"]["code"] == "INVALID_REQUEST"


async def test_anomalies_in_both_shapes() -> None:
    async with bench(rate=5.0) as it:
        for _ in range(60):
            it.backend.service.feed.advance(it.clock.wall() + 10)
            it.clock.now += 10
        _, body = await it.get("/api/anomalies")
        bare = json.loads(body)
        assert bare
        project = bare[0]["project"]
        _, body = await it.get("/api/iris/anomalies", params={"projectId": project})
        wrapped = json.loads(body)
        own = [item for item in bare if item["project"] == project]
        assert (wrapped["success"], wrapped["projectId"], wrapped["count"]) == (True, project, len(own))
        assert wrapped["data"] == own
        assert wrapped["timestamp"].endswith("Z")


async def test_details_patterns_and_health() -> None:
    async with bench(rate=50.0) as it:
        await it.clock.advance(5.0)
        _, body = await it.get("/api/project-details?id=fraud-screening")
        details = json.loads(body)
        assert details["project"]["id"] == "fraud-screening"
        lists = {"recent_errors", "expert_performance", "recent_reflexions", "consensus_history"}
        assert set(details) == lists | {"project"}
        _, body = await it.get("/api/patterns")
        assert json.loads(body)[0]["occurrences"] > 0
        _, body = await it.get("/api/telemetry/health")
        assert json.loads(body) == {"ok": True, "message": "telemetry of 6 projects is available"}


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/project-details", 400, "INVALID_REQUEST"),
        ("/api/project-details?id=nobody", 404, "PROJECT_NOT_FOUND"),
        ("/api/nothing", 404, "INVALID_ENDPOINT"),
        ("/api/stream/nothing", 404, "INVALID_ENDPOINT"),
    ],
)
async def test_errors_have_the_form_of_the_wire(path: str, status: int, code: str) -> None:
    async with bench() as it:
        response, body = await it.get(path)
        document = json.loads(body)
        assert (response.status, document["type"], document["error"]["code"]) == (status, "error", code)


async def test_another_method_is_refused_with_what_is_allowed() -> None:
    async with bench() as it, it.http.post(it.backend.url + "/api/overview") as response:
        assert response.status == 405
        assert "GET" in response.headers["Allow"]


@pytest.mark.parametrize("path", ["/api/overview", "/api/stream/events", "/api/iris/ws", "/api/nothing"])
async def test_without_the_key_everything_below_api_is_401(path: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("the-key\n")
    async with bench(api_key_file=file) as it:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "the-key"}):
            response, body = await it.get(path, headers=headers)
            assert response.status == 401
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
            assert json.loads(body)["error"]["code"] == "AUTH_REQUIRED"


async def test_the_key_opens_and_may_change(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("the-key\n")
    async with bench(api_key_file=file) as it:
        assert (await it.get("/api/overview", headers={"Authorization": "Bearer the-key"}))[0].status == 200
        file.write_text("a-newer-key\n")
        assert (await it.get("/api/overview", headers={"Authorization": "Bearer the-key"}))[0].status == 401
        assert (await it.get("/api/overview", headers={"Authorization": "Bearer a-newer-key"}))[0].status == 200
        assert (await it.get("/"))[0].status == 200


async def test_the_first_page_lists_endpoints_and_faults() -> None:
    async with bench() as it:
        it.backend.faults.set("html")
        text = (await it.get("/"))[1].decode()
        for word in (
            "/api/stream/overview",
            "/api/iris/ws",
            "/api/project-details",
            "drop-clean=SECONDS",
            "stream:html",
        ):
            assert word in text


async def test_faults_are_switched_over_http() -> None:
    async with bench() as it:
        url = it.backend.url + "/-/faults"
        async with it.http.post(url, json={"drop": 5, "rest:503": True}) as response:
            assert await response.json() == {"stream:drop": "5", "rest:503": ""}
        assert (await it.get("/api/overview"))[0].status == 503
        assert json.loads((await it.get("/-/faults"))[1]) == {"stream:drop": "5", "rest:503": ""}
        async with it.http.post(url, json={}) as response:
            assert await response.json() == {}
        assert (await it.get("/api/overview"))[0].status == 200


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'{"nonsense":1}', "application/json", 400),
        (b'{"drop":[1]}', "application/json", 400),
        (b"drop", "application/json", 400),
        (b'{"drop":1}', "application/x-www-form-urlencoded", 415),
    ],
)
async def test_a_wrong_switch_is_refused(body: bytes, content_type: str, status: int) -> None:
    async with bench() as it:
        headers = {"Content-Type": content_type}
        async with it.http.post(it.backend.url + "/-/faults", data=body, headers=headers) as response:
            assert response.status == status
        assert it.backend.faults.active() == {}
