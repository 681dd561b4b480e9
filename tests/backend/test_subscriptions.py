"""`/api/stream` over real sockets, on a clock that stands still."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest

from iris_exporter.backend.access import Limits
from iris_exporter.backend.subscriber import Subscriber
from iris_exporter.core.subscriptions import JSON_SUBPROTOCOL, PROTOBUF_SUBPROTOCOL
from iris_exporter.wire import protobuf
from tests.backend.clients import TIMEOUT_SECONDS, Bench, Ended, bench
from tests.wire.test_protobuf import same

SEVERITIES = ("info", "warning", "error", "critical")


class Subscribed:
    """A client of /api/stream in any of its forms: messages as JSON documents."""

    def __init__(self, it: Bench, form: str) -> None:
        self.it = it
        self.form = form
        self.epoch = it.backend.service.feed.history.epoch
        self.socket: aiohttp.ClientWebSocketResponse = cast("aiohttp.ClientWebSocketResponse", None)
        self.response: aiohttp.ClientResponse = cast("aiohttp.ClientResponse", None)
        self.ids: list[str | None] = []
        """The `id:` lines of server-sent events, one for each message."""
        self.names: list[str] = []

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await (self._event() if self.form == "sse" else self._message())

    async def _message(self) -> dict[str, Any]:
        message = await self.socket.receive()
        if message.type is aiohttp.WSMsgType.BINARY:
            return protobuf.decode(message.data, self.epoch)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise Ended(clean=True, code=self.socket.close_code)
        return cast("dict[str, Any]", json.loads(message.data))

    async def _event(self) -> dict[str, Any]:
        fields: dict[bytes, bytes] = {}
        while b"data" not in fields:
            fields = {}
            while (line := await self.response.content.readuntil(b"\n")) != b"\n":
                if not line:
                    raise Ended(clean=True)
                name, _, value = line.rstrip(b"\n").partition(b": ")
                fields[name] = value
        self.ids.append(fields[b"id"].decode() if b"id" in fields else None)
        self.names.append(fields[b"event"].decode())
        return cast("dict[str, Any]", json.loads(fields[b"data"]))

    async def take(self, count: int) -> list[dict[str, Any]]:
        return [await self.next() for _ in range(count)]

    async def until(self, kind: str) -> dict[str, Any]:
        while (message := await self.next())["type"] != kind:
            pass
        return message

    async def send(self, message: dict[str, Any]) -> None:
        if self.form == "protobuf":
            await self.socket.send_bytes(protobuf.encode(message))
        else:
            await self.socket.send_json(message)

    async def subscribe(self, **options: Any) -> None:
        await self.send({"type": "subscribe", "data": options})


def query(options: dict[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in options.items():
        for name, part in (value if isinstance(value, dict) else {"": value}).items():
            values = part if isinstance(part, list) else [part]
            found += [(f"{key}.{name}".rstrip("."), json.dumps(each).strip('"')) for each in values]
    return found


@asynccontextmanager
async def open_socket(it: Bench, protocols: Sequence[str] = ()) -> AsyncIterator[Subscribed]:
    """A WebSocket whose client has said nothing yet."""
    client = Subscribed(it, "protobuf" if protocols and protocols[0] == PROTOBUF_SUBPROTOCOL else "json")
    async with it.http.ws_connect(f"{it.backend.url}/api/stream", protocols=protocols, max_msg_size=0) as client.socket:
        yield client


@asynccontextmanager
async def subscribe(
    it: Bench, form: str, headers: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[Subscribed]:
    """Subscribe over WebSocket in JSON or protobuf, or over SSE."""
    if form == "sse":
        client = Subscribed(it, form)
        url = f"{it.backend.url}/api/stream"
        async with it.http.get(url, params=query(options), headers=headers, read_bufsize=2**22) as client.response:
            assert client.response.status == 200, await client.response.text()
            yield client
        return
    async with open_socket(it, (PROTOBUF_SUBPROTOCOL,) if form == "protobuf" else ()) as client:
        await client.subscribe(**options)
        yield client


FORMS = pytest.mark.parametrize("form", ["json", "protobuf", "sse"])
SOCKETS = pytest.mark.parametrize("form", ["json", "protobuf"])


def ids(message: dict[str, Any]) -> list[str]:
    return [event["id"] for event in message["data"]["events"]]


@FORMS
async def test_a_subscription_begins_with_the_answer_and_the_whole_state(form: str) -> None:
    async with bench() as it:
        made = it.happen(60)
        async with subscribe(it, form, sorcery=True) as client:
            answer, state = await client.take(2)
            assert answer["data"] == {
                "channels": ["metrics", "projects", "events", "anomalies"],
                "encoding": "protobuf" if form == "protobuf" else "json",
                "position": it.position(60),
            }
            assert set(state["data"]) == {"metrics", "projects", "events", "anomalies"}
            assert len(state["data"]["projects"]) == 6
            assert ids(state) == made[:9:-1]
            assert state["id"] == it.position(60)
            assert "seq" not in state
            (new,) = it.happen()
            event = await client.next()
            assert (event["type"], event["data"]["id"], event["id"]) == ("event", new, it.position(61))
            if form == "sse":
                assert client.names == ["subscribed", "update", "event"]
                assert client.ids == [None, it.position(60), it.position(61)]


@FORMS
async def test_filters_and_fields(form: str) -> None:
    async with bench() as it:
        options = {
            "channels": ["projects", "events"],
            "projects": ["checkout-assistant"],
            "severities": ["error"],
            "fields": {"events": ["severity"], "projects": ["status"]},
        }
        async with subscribe(it, form, **options) as client:
            answer, state = await client.take(2)
            assert answer["data"]["projects"] == ["checkout-assistant"]
            assert answer["data"]["fields"] == {"projects": ["id", "status"], "events": ["id", "severity"]}
            assert [set(project) for project in state["data"]["projects"]] == [{"id", "status"}]
            assert state["data"]["events"] == []
            it.happen(severity="info")
            it.happen(severity="error", project="support-triage")
            (wanted,) = it.happen(severity="error")
            assert (await client.next())["data"] == {"id": wanted, "severity": "error"}


@FORMS
async def test_deltas_batches_and_debounce_together(form: str) -> None:
    options = {
        "channels": ["metrics", "projects", "anomalies"],
        "delta": True,
        "debounceMs": 1500,
        "batch": {"maxMessages": 10, "maxDelayMs": 100},
    }
    async with bench(rate=5.0, heartbeat_interval_seconds=1000.0) as it, subscribe(it, form, **options) as client:
        _, state = await client.take(2)
        assert state["seq"] == 1
        model = {project["id"]: project for project in state["data"]["projects"]}
        (subscriber,) = it.backend.service.connections
        assert isinstance(subscriber, Subscriber)
        await it.clock.advance(7.0)
        cast("Any", it.backend.service.feed.installation)._rate = 0.0
        while not subscriber.send_queue.empty:
            await it.clock.advance(0.5)
        for seq in range(2, subscriber.send_queue._seq + 1):
            delta = await client.next()
            assert (delta["type"], delta["seq"]) == ("delta", seq)
            for patch in delta["data"].get("projects", ()):
                assert len(patch) < 10
                model[patch["id"]] |= patch
        assert 4 <= delta["seq"] <= 5, "every 1.6 s"
        async with subscribe(it, "json", channels=["projects"]) as other:
            _, whole = await other.take(2)
        assert same(whole["data"]["projects"], list(model.values()))


@FORMS
async def test_events_come_in_batches(form: str) -> None:
    options = {"channels": ["events"], "batch": {"maxMessages": 3, "maxDelayMs": 10_000}}
    async with bench() as it, subscribe(it, form, **options) as client:
        await client.take(2)
        it.happen(6)
        for last in (3, 6):
            batch = await client.next()
            assert [message["id"] for message in batch["messages"]] == [it.position(last - 2 + n) for n in range(3)]
            assert form != "sse" or (client.names[-1], client.ids[-1]) == ("batch", it.position(last))
        it.happen(1)
        await it.clock.advance(10.1)
        assert (await client.next())["type"] == "event"


@FORMS
async def test_a_critical_event_overtakes_without_a_position(form: str) -> None:
    async with bench() as it, subscribe(it, form, channels=["events"], priority=True) as client:
        await client.take(2)
        it.happen(2)
        (urgent,) = it.happen(severity="critical")
        advance, *ordinary = await client.take(4)
        assert (advance["data"]["id"], advance["priority"], "id" in advance) == (urgent, "high", False)
        assert [message["id"] for message in ordinary] == [it.position(offset) for offset in (1, 2, 3)]
        assert all("priority" not in message for message in ordinary)
        assert form != "sse" or client.ids[2] is None


@FORMS
@pytest.mark.parametrize(
    ("after", "outcome", "replayed", "missed"),
    [(3, "full", 2, 0), (5, "full", 0, 0), (0, "partial", 4, 1), (9, "none", 0, 0)],
)
async def test_a_subscribe_resumes(form: str, after: int, outcome: str, replayed: int, missed: int) -> None:
    async with bench(history_events=4) as it:
        it.happen(5)
        async with subscribe(it, form, after=it.position(after)) as client:
            answer, state, *replay = await client.take(2 + replayed)
            assert answer["data"]["resume"] == {
                "outcome": outcome,
                "replayed": replayed,
                "missed": missed,
                "epoch": client.epoch,
                "lastEventId": it.position(5),
            }
            assert ("events" in state["data"]) == (outcome == "none")
            assert [message["id"] for message in replay] == [it.position(6 - replayed + n) for n in range(replayed)]
            assert all(message["replay"] for message in replay)
            it.happen()
            live = await client.next()
            assert (live["id"], "replay" in live) == (it.position(6), False)


async def test_the_header_of_a_browser_wins_over_the_query() -> None:
    async with bench() as it:
        it.happen(3)
        async with subscribe(it, "sse", {"Last-Event-ID": it.position(2)}, after=it.position(1)) as client:
            assert (await client.next())["data"]["resume"]["replayed"] == 1


@SOCKETS
async def test_a_resume_is_a_subscribe_with_nothing_but_a_position(form: str) -> None:
    async with bench() as it:
        it.happen(3)
        protocols = (PROTOBUF_SUBPROTOCOL,) if form == "protobuf" else ()
        async with open_socket(it, protocols) as client:
            await client.send({"type": "resume", "lastEventId": it.position(1)})
            answer, _, first, second = await client.take(4)
            assert answer["data"]["resume"]["outcome"] == "full"
            assert [first["id"], second["id"]] == [it.position(2), it.position(3)]
            await client.send({"type": "resume", "lastEventId": it.position(1)})
            refusal = await client.next()
            assert refusal["error"]["code"] == "INVALID_REQUEST"


@SOCKETS
async def test_a_client_that_says_nothing_gets_everything_after_a_while(form: str) -> None:
    async with bench() as it, open_socket(it, (PROTOBUF_SUBPROTOCOL,) if form == "protobuf" else ()) as client:
        await it.until_open(1)
        it.happen()
        await it.clock.advance(4.9)
        await client.send({"type": "ping"})
        assert (await client.next())["type"] == "pong"
        await it.clock.advance(0.2)
        answer, state = await client.take(2)
        assert answer["data"]["channels"] == ["metrics", "projects", "events", "anomalies"]
        assert len(state["data"]["events"]) == 1


@SOCKETS
async def test_a_later_subscribe_changes_the_subscription_and_loses_no_event(form: str) -> None:
    async with bench() as it, subscribe(it, form, channels=["events"]) as client:
        await client.take(2)
        it.happen(2)
        await client.subscribe(channels=["events", "metrics"], delta=True)
        it.happen(1)
        seen = []
        while len(seen) < 5:
            seen.append(await client.next())
        assert [message["type"] for message in seen if message["type"] != "event"] == ["subscribed", "update"]
        assert [message["id"] for message in seen if message["type"] == "event"] == [it.position(n) for n in (1, 2, 3)]
        (state,) = [message for message in seen if message["type"] == "update"]
        assert (list(state["data"]), state["seq"]) == (["metrics"], 1)


@SOCKETS
async def test_a_bad_subscribe_leaves_the_subscription_as_it_was(form: str) -> None:
    async with bench() as it, subscribe(it, form, channels=["events"]) as client:
        await client.take(2)
        await client.subscribe(channels=["nope"])
        refusal = await client.next()
        assert refusal["error"]["code"] == "INVALID_REQUEST"
        assert refusal["error"]["message"].startswith("channels: ")
        it.happen()
        assert (await client.next())["type"] == "event"


async def test_subscribes_are_limited_and_the_last_one_stays() -> None:
    async with bench() as it, open_socket(it) as client:
        for _ in range(11):
            await client.subscribe(channels=["events"])
        refusal = await client.until("error")
        assert refusal["error"]["code"] == "RATE_LIMIT_EXCEEDED"
        assert refusal["error"]["retryAfter"] == 1
        it.happen()
        assert (await client.next())["type"] == "event"
        await it.clock.advance(1.1)
        await client.subscribe(channels=["metrics"])
        assert (await client.until("subscribed"))["data"]["channels"] == ["metrics"]


async def test_ten_thousand_subscribes_disturb_nobody_else() -> None:
    async with bench() as it, subscribe(it, "json", channels=["events"]) as other, open_socket(it) as client:
        await other.take(2)
        for _ in range(10_000):
            await client.subscribe(channels=["events"])
        it.happen()
        assert (await other.next())["type"] == "event"
        answers = [await client.next() for _ in range(10_000)]
        assert {answer["type"] for answer in answers} <= {"subscribed", "update", "error", "event"}
        codes = [answer["error"]["code"] for answer in answers if answer["type"] == "error"]
        assert set(codes) == {"RATE_LIMIT_EXCEEDED"}
        assert len(codes) >= 9_900


async def test_a_client_that_asks_without_reading_is_not_listened_to() -> None:
    async with bench() as it, open_socket(it) as client:
        for _ in range(20_000):
            await client.send({"type": "ping"})
        (subscriber,) = it.backend.service.connections
        assert isinstance(subscriber, Subscriber)
        assert subscriber.send_queue.answers <= 101
        assert [(await client.next())["type"] for _ in range(20_000)] == ["pong"] * 20_000


TEXTS = ["", "{", "[]", "7", "null", '{"type":7}', '{"data":{}}', '{"type":"subscribe","data":[]}', "[" * 50_000]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
async def test_what_is_no_message_is_refused_and_the_stream_goes_on(text: str) -> None:
    async with bench() as it, open_socket(it) as client:
        await client.socket.send_str(text)
        assert (await client.next())["error"]["code"] == "INVALID_REQUEST"
        await client.subscribe(channels=["events"])
        assert (await client.next())["type"] == "subscribed"


BYTES = [b"\xff" * 50, b'{"type":"ping"}', protobuf.encode({"type": "subscribe", "data": {"delta": True}})[:-1]]


@pytest.mark.parametrize("data", BYTES, ids=range(len(BYTES)))
@SOCKETS
async def test_hostile_binary_messages_are_refused(form: str, data: bytes) -> None:
    async with bench() as it, open_socket(it, (PROTOBUF_SUBPROTOCOL,) if form == "protobuf" else ()) as client:
        await client.socket.send_bytes(data)
        assert (await client.next())["error"]["code"] == "INVALID_REQUEST"
        await client.subscribe(channels=["events"])
        assert (await client.next())["type"] == "subscribed"


@SOCKETS
async def test_types_that_nobody_knows_are_ignored(form: str) -> None:
    async with bench() as it, open_socket(it, (PROTOBUF_SUBPROTOCOL,) if form == "protobuf" else ()) as client:
        await client.socket.send_json({"type": "later"})
        if form == "protobuf":
            await client.socket.send_bytes(b"")
        await client.send({"type": "pong"})
        await client.send({"type": "ping"})
        assert (await client.next())["type"] == "pong"


async def test_an_oversized_message_ends_its_own_connection() -> None:
    async with bench() as it, subscribe(it, "json", channels=["events"]) as other, open_socket(it) as client:
        await other.take(2)
        await client.subscribe(projects=["x" * 150] * 1000)
        with pytest.raises(Ended) as ended:
            await client.next()
        assert ended.value.code == 1009
        it.happen()
        assert (await other.next())["type"] == "event"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ((), None),
        ((JSON_SUBPROTOCOL,), JSON_SUBPROTOCOL),
        ((PROTOBUF_SUBPROTOCOL, JSON_SUBPROTOCOL), PROTOBUF_SUBPROTOCOL),
        ((JSON_SUBPROTOCOL, PROTOBUF_SUBPROTOCOL), JSON_SUBPROTOCOL),
        (("iris.v9+cbor", PROTOBUF_SUBPROTOCOL), PROTOBUF_SUBPROTOCOL),
        (("iris.v9+cbor", "chat"), None),
    ],
)
async def test_the_subprotocol_is_the_first_one_that_we_speak(offered: tuple[str, ...], chosen: str | None) -> None:
    async with bench() as it, it.http.ws_connect(f"{it.backend.url}/api/stream", protocols=offered) as socket:
        assert socket.protocol == chosen
        await socket.send_json({"type": "ping"})
        message = await socket.receive(TIMEOUT_SECONDS)
        assert (message.type is aiohttp.WSMsgType.BINARY) == (chosen == PROTOBUF_SUBPROTOCOL)


async def test_the_older_paths_know_no_subprotocol() -> None:
    async with bench() as it:
        url = f"{it.backend.url}/api/stream/events"
        async with it.http.ws_connect(url, protocols=(PROTOBUF_SUBPROTOCOL,)) as socket:
            assert socket.protocol is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("channels=nope", "channels"),
        ("channels=", "channels"),
        ("channels=events,metrics", "channels"),
        ("severities=fatal", "severities"),
        ("fields.projects=colour", "fields.projects"),
        ("fields.nope=id", "fields"),
        ("delta=1", "delta"),
        ("batch.maxMessages=0", "batch.maxMessages"),
        ("debounceMs=soon", "debounceMs"),
        ("priority=true&priority=true", "priority"),
        ("after=a&after=b", "after"),
        ("projects=" + "x" * 201, "projects"),
    ],
)
async def test_a_bad_parameter_is_a_400_that_names_it(text: str, named: str) -> None:
    async with bench() as it:
        response, body = await it.get(f"/api/stream?{text}")
        assert response.status == 400
        error = json.loads(body)["error"]
        assert (error["code"], error["message"].split(":")[0]) == ("INVALID_REQUEST", named)


async def test_a_slow_reader_is_told_what_it_lost_and_can_ask_for_it() -> None:
    async with bench(queue_messages=10) as it, subscribe(it, "json", channels=["events"]) as client:
        await client.take(2)
        (subscriber,) = it.backend.service.connections
        assert isinstance(subscriber, Subscriber)
        it.happen(25)
        lost = await client.next()
        assert lost["type"] == "dropped"
        assert lost["data"] == {"events": 15, "from": it.position(0), "to": it.position(15)}
        rest = await client.take(10)
        assert [message["id"] for message in rest] == [it.position(n) for n in range(16, 26)]
        _, body = await it.get("/api/events", params={"after": lost["data"]["from"], "limit": 15})
        assert len(json.loads(body)) == 15


@FORMS
async def test_a_reader_that_takes_nothing_at_all_loses_events_and_is_cut(form: str) -> None:
    plain = {"Accept-Encoding": "identity"}
    async with bench() as it, subscribe(it, form, plain, channels=["events"]) as client:
        await client.take(2)
        (subscriber,) = it.backend.service.connections
        # More than all buffers on the way take, so that the rest waits.
        for _ in range(5):
            it.happen(100, message="x" * 100_000)
            await it.clock.advance(0.1)
        # The sockets are real: when the write that is not taken begins to wait, no clock of the test says.
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while it.backend.open_connections:
                await it.clock.advance(95.0)
        assert subscriber.was_cut
        kinds = set()
        with pytest.raises((Ended, asyncio.IncompleteReadError, aiohttp.ClientError)):
            while True:
                kinds.add((await client.next())["type"])
        assert kinds - {"ping"} == {"dropped", "event"}  # a heartbeat where the clock had to be moved again


@FORMS
async def test_faults_act_on_subscriptions_too(form: str) -> None:
    async with bench(faults=("huge=5000",)) as it, subscribe(it, form, channels=["events"]) as client:
        huge, answer, _ = await client.take(3)
        assert (huge["type"], answer["type"]) == ("update", "subscribed")
        it.backend.faults.clear()
        it.backend.faults.set("error=STREAM_UNAVAILABLE")
        it.backend.faults.set("duplicate")
        it.happen()
        error, one, two = await client.take(3)
        assert error["error"]["code"] == "STREAM_UNAVAILABLE"
        assert one == two
        it.backend.faults.clear()
        it.backend.faults.set("drop-clean=0")
        await it.clock.advance(0.1)
        with pytest.raises((Ended, asyncio.IncompleteReadError)):
            await client.next()


@FORMS
async def test_heartbeats_come_to_subscribers(form: str) -> None:
    async with bench() as it, subscribe(it, form, channels=["events"]) as client:
        await client.take(2)
        await it.clock.advance(30.1)
        assert (await client.next())["type"] == "ping"
        assert form != "sse" or client.names[-1] == "heartbeat"


async def test_a_key_is_asked_for(tmp_path: Any) -> None:
    path = tmp_path / "key"
    path.write_text("secret-key-of-the-test")
    async with bench(api_key_file=path) as it:
        response, _ = await it.get("/api/stream")
        assert response.status == 401
        response.close()


@FORMS
async def test_a_stop_tells_each_client_when_to_come_back_and_sends_what_waits(form: str) -> None:
    waits = set()
    async with bench(come_back_seconds=(2.0, 9.0)) as it:
        for _ in range(3):
            async with subscribe(it, form, channels=["events"], batch={"maxDelayMs": 10_000}) as client:
                await client.take(2)
                it.happen(2)
                it.backend.service.shutdown()
                error, batch = await client.take(2)
                assert error["error"]["code"] == "STREAM_UNAVAILABLE"
                wait = error["error"]["retryAfter"]
                assert 2.0 <= wait <= 9.0
                waits.add(wait)
                assert len(batch["messages"]) == 2
                if form == "sse":
                    rest = await client.response.content.read()
                    assert rest == b"retry: %d\n\n" % round(1000 * wait)
                else:
                    with pytest.raises(Ended) as ended:
                        await client.next()
                    assert ended.value.code == 1001
            it.backend.service.stopping = False
    assert len(waits) > 1


@pytest.mark.parametrize(("protocol", "code"), [("websocket", 1001), ("sse", None)])
async def test_the_older_paths_end_without_a_word(protocol: str, code: int | None) -> None:
    async with bench() as it, it.connect(protocol) as client:
        await it.until_open(1)
        it.backend.service.shutdown()
        with pytest.raises(Ended) as ended:
            await client.next()
        assert (ended.value.clean, ended.value.code) == (True, code)


@pytest.mark.parametrize("form", ["json", "sse"])
async def test_promised_limits_hold_for_subscriptions_too(form: str) -> None:
    limits = Limits(connections_per_hour=2, connections_at_once=10, messages_per_minute=5, idle_seconds=60.0)
    async with bench(limits=limits) as it:
        async with subscribe(it, form, channels=["events"]) as client:
            await client.take(2)
            if form == "json":
                for _ in range(5):
                    await client.send({"type": "ping"})
                refusal = await client.until("error")
                assert refusal["error"]["code"] == "RATE_LIMIT_EXCEEDED"
                assert refusal["error"]["retryAfter"] == 60
                with pytest.raises(Ended) as ended:
                    await client.next()
                assert ended.value.code == 1008
        async with subscribe(it, form, channels=["events"]) as client:
            await client.take(2)
            await it.clock.advance(61.0)
            if form == "json":
                with pytest.raises(Ended) as ended:
                    await client.until("never")
                assert ended.value.code == 1001
        response, body = await it.get("/api/stream")
        assert (response.status, json.loads(body)["error"]["code"]) == (429, "RATE_LIMIT_EXCEEDED")
        assert int(response.headers["Retry-After"]) == json.loads(body)["error"]["retryAfter"]


async def test_a_query_may_be_as_long_as_a_message() -> None:
    async with bench() as it:
        async with subscribe(it, "sse", projects=[f"project-{number:04}" for number in range(1000)]) as client:
            assert len((await client.next())["data"]["projects"]) == 1000
        response, body = await it.get("/api/stream?" + "projects=a&" * 10_000)
        assert (response.status, json.loads(body)["error"]["code"]) == (400, "INVALID_REQUEST")
