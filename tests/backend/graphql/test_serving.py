"""`/api/graphql` over real sockets, on a clock that stands still."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest

from iris_exporter.backend.access import Limits
from iris_exporter.backend.graphql import protocol, route
from iris_exporter.backend.graphql.serving import LEGACY, RESPONSE, choose_media
from iris_exporter.core.negotiation import GRAPHQL_PATH
from tests.backend.clients import TIMEOUT_SECONDS, Bench, Ended, bench

EVERYTHING = """{ __typename
  ... on Subscribed { position granted resume { outcome replayed missed epoch lastEventId } }
  ... on Update { metrics { total_projects } projects { id status } events { id } anomalies { id } }
  ... on EventMessage { position replay advance timestamp event { id severity metadata } }
  ... on Dropped { count from to }
  ... on ErrorMessage { code message retryAfter } }"""


def stream(arguments: str = "") -> str:
    return f"subscription {{ stream{arguments} {EVERYTHING} }}"


SUBSCRIBE = json.dumps({"type": "subscribe", "id": "1", "payload": {"query": stream()}})


class Socket:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, kind: str, **members: Any) -> None:
        await self.socket.send_json({"type": kind, **members})

    async def next(self) -> dict[str, Any]:
        message = await self.socket.receive(TIMEOUT_SECONDS)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise Ended(clean=True, code=self.socket.close_code)
        return cast("dict[str, Any]", json.loads(message.data))

    async def begin(self) -> None:
        await self.send("connection_init")
        assert await self.next() == {"type": "connection_ack"}

    async def subscribe(self, arguments: str = "", operation: str = "1") -> None:
        await self.send("subscribe", id=operation, payload={"query": stream(arguments)})

    async def message(self, operation: str = "1") -> dict[str, Any]:
        """The next message of a subscription; those of others are left out."""
        while (found := await self.next()).get("id") != operation:
            pass
        assert found["type"] == "next", found
        assert "errors" not in found["payload"], found
        return cast("dict[str, Any]", found["payload"]["data"]["stream"])

    async def end(self) -> int | None:
        with pytest.raises(Ended) as ended:
            while True:
                await self.next()
        return ended.value.code


@asynccontextmanager
async def connected(it: Bench, *, begin: bool = True) -> AsyncIterator[Socket]:
    async with it.http.ws_connect(it.backend.url + GRAPHQL_PATH, protocols=(protocol.SUBPROTOCOL,)) as socket:
        assert socket.protocol == protocol.SUBPROTOCOL
        client = Socket(socket)
        if begin:
            await client.begin()
        yield client


async def post(it: Bench, query: str, accept: str = RESPONSE, **members: Any) -> tuple[int, str, dict[str, Any]]:
    url = it.backend.url + GRAPHQL_PATH
    async with it.http.post(url, json={"query": query, **members}, headers={"Accept": accept}) as response:
        return response.status, response.content_type, await response.json(content_type=None)


# Queries


async def test_a_query_is_what_rest_says() -> None:
    async with bench(rate=5.0) as it:
        await it.clock.advance(20)
        _, body = await it.get("/api/overview")
        names = {
            "metrics": "total_projects healthy_projects warning_projects critical_projects total_runs_today "
            "avg_success_rate active_experts total_reflexions",
            "projects": "id name status health_score last_run total_runs success_rate active_experts "
            "reflexions_count avg_latency",
            "events": "id timestamp project event_type severity message metadata",
            "anomalies": "id timestamp project type severity metric value expected deviation description resolved",
        }
        fields = " ".join(f"{name} {{ {each} }}" for name, each in names.items())
        status, media, found = await post(it, f"{{ overview {{ {fields} cursor }} }}")
        assert (status, media) == (200, RESPONSE)
        overview = found["data"]["overview"]
        for each in ("projects", "events", "anomalies"):
            overview[each] = [
                {name: value for name, value in one.items() if value is not None} for one in overview[each]
            ]
        assert overview == json.loads(body)
        assert len(overview["events"]) == 50


async def test_pages_of_events() -> None:
    async with bench() as it:
        ids = it.happen(7)
        query = "query($a: String) { events(after: $a, limit: 3) { events { id } cursor outcome missed more } }"
        seen, after, more = [], it.position(0), True
        while more:
            page = (await post(it, query, variables={"a": after}))[2]["data"]["events"]
            assert (page["outcome"], page["missed"]) == ("full", 0)
            seen += [event["id"] for event in page["events"]]
            after, more = page["cursor"], page["more"]
        assert seen == ids
        newest = (await post(it, query))[2]["data"]["events"]
        assert [event["id"] for event in newest["events"]] == ids[:-4:-1]
        assert newest["cursor"] == it.position(7)
        found = (await post(it, "{ events(limit: -1) { cursor } }"))[2]
        assert found["errors"][0]["extensions"]["code"] == "INVALID_REQUEST"


async def test_one_query_does_not_list_everything_many_times() -> None:
    async with bench() as it:
        it.happen(1500)
        pages = [f"a{number}: events(limit: 1000) {{ events {{ id }} }}" for number in range(4)]
        found = (await post(it, "{" + " ".join(pages[:3]) + "}"))[2]
        assert "errors" not in found
        status, _, found = await post(it, "{" + " ".join(pages) + "}")
        assert status == 200
        assert found["errors"][0]["extensions"]["code"] == "INVALID_REQUEST"


async def test_projects_and_anomalies_by_id() -> None:
    async with bench() as it:
        found = (await post(it, '{ projects { id } a: project(id: "nobody") { id } anomalies(project: "x") { id } }'))[
            2
        ]
        assert found["data"]["a"] is None
        assert found["data"]["anomalies"] == []
        first = found["data"]["projects"][0]["id"]
        found = (await post(it, "query($i: ID!) { project(id: $i) { id } }", variables={"i": first}))[2]
        assert found["data"]["project"] == {"id": first}


async def test_a_query_over_get() -> None:
    async with bench() as it:
        values = {"query": "query a($n: Int) { events(limit: $n) { missed } }", "operationName": "a"}
        response, body = await it.get(GRAPHQL_PATH, params={**values, "variables": '{"n": 3}'})
        assert (response.status, json.loads(body)) == (200, {"data": {"events": {"missed": 0}}})
        assert response.headers["Content-Type"] == f"{RESPONSE}; charset=utf-8"
        for bad in ({**values, "variables": "{"}, {"operationName": "a"}, {**values, "variables": "7"}):
            response, body = await it.get(GRAPHQL_PATH, params=bad)
            assert response.status == 400
            assert json.loads(body)["errors"][0]["extensions"] == {"code": "INVALID_REQUEST"}


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, RESPONSE),
        ("", RESPONSE),
        ("*/*", RESPONSE),
        ("application/*", RESPONSE),
        (RESPONSE, RESPONSE),
        ("application/json", LEGACY),
        (f"application/json, {RESPONSE}", RESPONSE),
        (f"application/json, {RESPONSE};q=0.9", LEGACY),
        ("text/html, */*;q=0.8", RESPONSE),
        ("text/event-stream", "text/event-stream"),
        ("text/event-stream, application/json;q=0.5", "text/event-stream"),
        ("text/html", None),
        ("*/*;q=0", None),
    ],
)
def test_the_media_type_is_what_the_client_accepts(accept: str | None, media: str | None) -> None:
    assert choose_media(accept) == media


@pytest.mark.parametrize(("accept", "status"), [(RESPONSE, 400), (LEGACY, 200)])
async def test_a_request_error_is_400_unless_the_client_knows_only_json(accept: str, status: int) -> None:
    async with bench() as it:
        found = await post(it, "{ nothing }", accept)
        assert found[:2] == (status, accept)
        assert list(found[2]) == ["errors"]
        assert it.backend.service.stats.refusals["INVALID_REQUEST"] == 1


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {"Content-Type": "application/json"}, 400),
        (b"\xff", {"Content-Type": "application/json"}, 400),
        (b"[" * 100_000, {"Content-Type": "application/json"}, 400),
        (b'{"query":"' + b"#" * 200_000 + b'"}', {"Content-Type": "application/json"}, 413),
        (b"query=%7Ba%7D", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Type": "application/json", "Accept": "text/html"}, 406),
        (b'{"query":"subscription { stream { __typename } }"}', {"Content-Type": "application/json"}, 406),
    ],
)
async def test_what_cannot_be_answered_has_a_status_and_a_code(
    body: bytes, headers: dict[str, str], status: int
) -> None:
    async with (
        bench() as it,
        it.http.post(it.backend.url + GRAPHQL_PATH, data=io.BytesIO(body), headers=headers) as response,
    ):
        assert response.status == status
        found = await response.json(content_type=None)
        code = (found.get("error") or found["errors"][0].get("extensions"))["code"]
        assert code == {406: "NOT_ACCEPTABLE", 413: "MESSAGE_TOO_LARGE"}.get(status, "INVALID_REQUEST")


async def test_without_the_extra_the_answer_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "find_spec", lambda _: None)
    async with bench() as it:
        response, body = await it.get(GRAPHQL_PATH)
        assert response.status == 404
        assert json.loads(body)["error"] == {"code": "INVALID_ENDPOINT", "message": route.MISSING}


async def test_a_key_is_asked_for(tmp_path: Any) -> None:
    (tmp_path / "key").write_text("secret-key-1")
    async with bench(api_key_file=tmp_path / "key") as it:
        assert (await it.get(GRAPHQL_PATH))[0].status == 401
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connected(it):
                pass
        assert refused.value.status == 401


# Subscriptions


async def test_a_subscription_has_the_answer_the_state_and_then_events() -> None:
    async with bench() as it, connected(it) as client:
        old = it.happen(2)
        await client.subscribe()
        answer = await client.message()
        assert answer["__typename"] == "Subscribed"
        assert answer["position"] == it.position(2)
        assert answer["granted"] == {"channels": ["metrics", "projects", "events", "anomalies"]}
        assert answer["resume"] is None
        state = await client.message()
        assert state["metrics"]["total_projects"] == 6
        assert len(state["projects"]) == 6
        assert [event["id"] for event in state["events"]] == old[::-1]
        (new,) = it.happen()
        event = await client.message()
        assert (event["__typename"], event["position"], event["replay"]) == ("EventMessage", it.position(3), False)
        assert event["event"] == {"id": new, "severity": "info", "metadata": {"number": 3}}


async def test_a_subscription_resumes_and_filters() -> None:
    async with bench() as it, connected(it) as client:
        it.happen(2)
        ids = it.happen(3, severity="error")
        it.happen(2)
        await client.subscribe(f'(channels: [events], severities: [error], after: "{it.position(1)}")')
        assert (await client.message())["resume"]["replayed"] == 3
        events = [await client.message() for _ in ids]
        assert [event["event"]["id"] for event in events] == ids
        assert all(event["replay"] for event in events)


async def test_operations_of_one_socket_do_not_wait_for_each_other() -> None:
    async with bench() as it, connected(it) as client:
        await client.subscribe("(channels: [events], severities: [error])", "a")
        await client.message("a")
        await client.message("a")
        await client.subscribe("(channels: [events])", "b")
        await client.message("b")
        await client.message("b")
        await client.send("subscribe", id="q", payload={"query": "{ projects { id } }"})
        assert (await client.next())["id"] == "q"
        assert await client.next() == {"id": "q", "type": "complete"}
        (one,) = it.happen(severity="error")
        seen = [await client.next() for _ in range(2)]
        assert {each["id"] for each in seen} == {"a", "b"}
        assert {each["payload"]["data"]["stream"]["event"]["id"] for each in seen} == {one}
        await client.send("complete", id="a")
        # The answer proves that it was read.
        await client.send("ping")
        assert await client.next() == {"type": "pong"}
        (two,) = it.happen(severity="error")
        assert (await client.next())["id"] == "b"
        await client.send("ping")
        assert await client.next() == {"type": "pong"}
        assert it.backend.open_connections == 1
        assert two != one


async def test_a_critical_event_overtakes_without_a_position() -> None:
    async with bench() as it, connected(it) as client:
        await client.subscribe("(channels: [events], priority: true)")
        await client.message()
        await client.message()
        it.happen(3)
        (critical,) = it.happen(severity="critical")
        seen = [await client.message() for _ in range(5)]
        assert [(each["event"]["id"], each["advance"], each["position"]) for each in seen[::4]] == [
            (critical, True, None),
            (critical, False, it.position(4)),
        ]


async def test_a_slow_reader_is_told_what_it_lost() -> None:
    async with bench(queue_messages=10) as it, connected(it) as client:
        await client.subscribe("(channels: [events])")
        await client.message()
        await client.message()
        it.happen(25)
        lost = await client.message()
        assert lost == {"__typename": "Dropped", "count": 15, "from": it.position(0), "to": it.position(15)}
        assert (await client.message())["position"] == it.position(16)
        assert it.backend.service.stats.dropped_events == 15


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        (["{"], 4400),
        ([SUBSCRIBE], 4401),
        (['{"type":"connection_init"}'] * 2, 4429),
        (['{"type":"connection_init"}', '{"type":"subscribe","id":"1","payload":{"query":7}}'], 4400),
        (['{"type":"connection_init"}', SUBSCRIBE, SUBSCRIBE], 4409),
        (["x" * 200_000], 1009),
    ],
)  # fmt: skip
async def test_a_violation_ends_its_own_socket_alone(texts: list[str], code: int) -> None:
    async with bench() as it, connected(it) as other, connected(it, begin=False) as client:
        await other.subscribe("(channels: [events])")
        await other.message()
        await other.message()
        for text in texts:
            await client.socket.send_str(text)
        assert await client.end() == code
        (new,) = it.happen()
        assert (await other.message())["event"]["id"] == new


async def test_a_client_that_does_not_begin_is_sent_away() -> None:
    async with bench() as it, connected(it, begin=False) as client:
        await it.until_open(1)
        await it.clock.advance(protocol.INIT_SECONDS + 1)
        assert await client.end() == 4408


async def test_a_client_without_the_subprotocol_is_told_so() -> None:
    async with bench() as it, it.http.ws_connect(it.backend.url + GRAPHQL_PATH, protocols=("graphql-ws",)) as socket:
        assert socket.protocol is None
        assert await Socket(socket).end() == 4406


async def test_an_operation_that_is_refused_leaves_the_others() -> None:
    async with bench() as it, connected(it) as client:
        await client.subscribe("(channels: [events])", "a")
        await client.message("a")
        await client.message("a")
        for query in ("{ nothing }", "{", "subscription { stream(debounceMs: -1) { __typename } }"):
            await client.send("subscribe", id="b", payload={"query": query})
            refused = await client.next()
            assert (refused["id"], refused["type"]) == ("b", "error")
            assert refused["payload"][0]["extensions"]["code"] == "INVALID_REQUEST"
        (new,) = it.happen()
        assert (await client.message("a"))["event"]["id"] == new
        assert it.backend.service.stats.refusals["INVALID_REQUEST"] == 3


async def test_operations_are_limited_by_time_too() -> None:
    async with bench() as it, connected(it) as client:
        for number in range(11):
            await client.send("subscribe", id=str(number), payload={"query": "{ __typename }"})
        seen = [await client.next() for _ in range(21)]
        refused = seen[-1]
        assert (refused["id"], refused["type"]) == ("10", "error")
        assert refused["payload"][0]["extensions"]["code"] == "RATE_LIMIT_EXCEEDED"


async def test_ten_thousand_subscribes_disturb_nobody_else() -> None:
    async with bench() as it, connected(it) as other, connected(it) as client:
        await other.subscribe("(channels: [events])")
        await other.message()
        await other.message()

        async def flood() -> None:
            for number in range(10_000):
                await client.send("subscribe", id=str(number), payload={"query": stream()})

        async def read() -> None:
            # It would not be listened to otherwise.
            while True:
                await client.next()

        reading = asyncio.create_task(read())
        await flood()
        (new,) = it.happen()
        assert (await other.message())["event"]["id"] == new
        assert len(it.backend.service._subscribers()) <= protocol.MAX_OPERATIONS + 1
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def test_heartbeats_are_pings_of_the_protocol() -> None:
    async with bench() as it, connected(it) as client:
        await it.clock.advance(31)
        assert await client.next() == {"type": "ping"}


async def test_a_client_that_takes_nothing_is_cut() -> None:
    async with bench() as it, connected(it) as client:
        await client.subscribe("(channels: [events])")
        await client.message()
        connection = next(iter(it.backend.service.connections))
        # What the socket does when nobody reads it, without the megabytes that take a kernel to block.
        connection.wake = asyncio.Event()
        await it.clock.advance(125)
        await it.until_open(0)


async def test_a_stop_says_when_to_come_back() -> None:
    async with bench() as it, connected(it) as client:
        await client.subscribe("(channels: [events])")
        await client.message()
        await client.message()
        it.happen()
        it.backend.service.shutdown()
        seen = [await client.message() for _ in range(2)]
        assert seen[0]["code"] == "STREAM_UNAVAILABLE"
        assert 1 <= seen[0]["retryAfter"] <= 15
        assert seen[1]["event"]["id"] == "own-1"
        assert await client.end() == 1001


async def test_promised_limits_hold() -> None:
    limits = Limits(connections_at_once=2, messages_per_minute=3, idle_seconds=300.0)
    async with (
        bench(limits=limits, heartbeat_interval_seconds=1000.0) as it,
        connected(it) as one,
        connected(it) as two,
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connected(it):
                pass
        assert refused.value.status == 429
        for _ in range(3):
            await one.send("ping")
        assert await one.end() == 1008
        it.clock.now += 300
        await it.clock.advance(1)
        assert await two.end() == 1001


@pytest.mark.parametrize("fault", ["drop=1", "drop-clean=1", "restart"])
async def test_faults_end_sockets(fault: str) -> None:
    async with bench() as it, connected(it) as client:
        await client.subscribe()
        await client.message()
        it.backend.faults.set(fault)
        await it.clock.advance(1.5)
        assert await client.end() == (1001 if fault == "drop-clean=1" else 1006)


async def test_faults_in_messages() -> None:
    async with bench() as it, connected(it) as client:
        await client.subscribe("(channels: [events])")
        await client.message()
        await client.message()
        it.backend.faults.set("error=RATE_LIMIT_EXCEEDED")
        it.backend.faults.set("duplicate")
        (new,) = it.happen()
        assert (await client.message())["code"] == "RATE_LIMIT_EXCEEDED"
        assert [(await client.message())["event"]["id"] for _ in range(2)] == [new] * 2
        it.backend.faults.set("garbage")
        it.happen(9)
        seen = [(await client.socket.receive(TIMEOUT_SECONDS)).data for _ in range(18)]
        with pytest.raises(ValueError, match=r"JSON|Expecting"):
            [json.loads(each) for each in seen]


# Server-sent events


@asynccontextmanager
async def events(it: Bench, query: str, **headers: str) -> AsyncIterator[aiohttp.ClientResponse]:
    all_headers = {"Accept": "text/event-stream", **headers}
    async with it.http.post(it.backend.url + GRAPHQL_PATH, json={"query": query}, headers=all_headers) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        yield response


async def block(response: aiohttp.ClientResponse) -> dict[str, str]:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while True:
            text = (await response.content.readuntil(b"\n\n")).decode()
            if not text:
                raise Ended(clean=True)
            if "data:" in text:
                return dict(line.partition(":")[::2] for line in text.rstrip("\n").split("\n"))


@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_a_subscription_over_server_sent_events(coding: str) -> None:
    async with bench() as it:
        it.happen(2)
        head = {"Last-Event-ID": it.position(1), "Accept-Encoding": coding}
        async with events(it, stream("(channels: [events])"), **head) as response:
            found = [await block(response) for _ in range(2)]
            assert [each["event"].strip() for each in found] == ["next", "next"]
            answer, event = (json.loads(each["data"])["data"]["stream"] for each in found)
            assert answer["resume"]["outcome"] == "full"
            assert event["position"] == it.position(2) == found[1]["id"].strip()
            await it.clock.advance(31)
            assert await response.content.readuntil(b"\n\n") == b":\n\n"


@pytest.mark.parametrize(("query", "key"), [("{ __typename }", "data"), ("{ nothing }", "errors"), ("{", "errors")])
async def test_what_is_no_stream_is_one_result_and_the_end(query: str, key: str) -> None:
    async with bench() as it, events(it, query) as response:
        assert key in json.loads((await block(response))["data"])
        assert (await block(response))["event"].strip() == "complete"


async def test_the_metrics_tell_graphql_apart() -> None:
    async with bench() as it, connected(it) as client, events(it, stream()) as response:
        await client.subscribe()
        await client.message()
        await block(response)
        _, body = await it.get("/metrics")
        text = body.decode()
        for kind in ("sse", "websocket"):
            assert f'iris_backend_connections{{encoding="graphql",protocol="{kind}"}} 1.0' in text
