"""What each fault does to a client, over real sockets on a clock that stands still."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from iris_exporter.backend.faults import KINDS
from tests.backend.clients import TIMEOUT_SECONDS, Bench, Client, Ended, Seen, bench

BOTH = pytest.mark.parametrize("protocol", ["websocket", "sse"])


async def ending(client: Client) -> Ended:
    """Read until the stream ends, and say how it did."""
    with pytest.raises(Ended) as ended:
        while True:
            await client.next()
    return ended.value


async def messages_before_the_end(it: Bench, client: Client) -> list[Seen]:
    """End the stream politely and return what came before that."""
    it.backend.faults.set("drop-clean=0")
    await it.clock.advance(0.1)
    messages = []
    with pytest.raises(Ended):
        while True:
            messages.append(await client.next())
    return messages


@BOTH
@pytest.mark.parametrize(("fault", "clean"), [("drop=5", False), ("drop-clean=5", True)])
async def test_streams_end_after_a_time(protocol: str, fault: str, clean: bool) -> None:
    async with bench() as it, it.connect(protocol) as client:
        await it.until_open(1)
        await it.clock.advance(10)
        it.backend.faults.set(fault)
        await it.clock.advance(4.8)
        assert it.backend.open_connections == 1
        await it.clock.advance(0.3)
        ended = await ending(client)
        assert ended.clean == clean


@BOTH
async def test_silent_says_nothing_at_all(protocol: str) -> None:
    async with bench(faults=("silent",)) as it, it.connect(protocol, "overview") as client:
        await it.until_open(1)
        it.happen(3)
        await it.clock.advance(61)
        if protocol == "websocket":
            await client.send({"type": "ping"})
            await client.socket.ping()
            await it.clock.advance(0.5)
        it.backend.faults.clear()
        it.happen(1, message="after the silence")
        await it.clock.advance(1.1)
        assert "after the silence" in (await client.next()).raw.decode()


async def test_silent_leaves_pings_unanswered() -> None:
    async with bench(faults=("silent",)) as it, it.connect("websocket") as client:
        await client.socket.ping(b"unheard")
        await client.send({"type": "ping"})
        await it.clock.advance(1)
        it.backend.faults.clear()
        await client.socket.ping(b"heard")
        answer = await client.socket.receive(TIMEOUT_SECONDS)
        assert bytes(answer.data) == b"heard"


@BOTH
async def test_silent_may_begin_later(protocol: str) -> None:
    async with bench(faults=("silent=5",)) as it, it.connect(protocol) as client:
        await it.until_open(1)
        first = it.happen()
        assert (await client.next()).json["data"]["id"] == first[0]
        await it.clock.advance(5.1)
        it.happen()
        await it.clock.advance(0.1)
        it.backend.faults.clear()
        last = it.happen()
        assert (await client.next()).json["data"]["id"] == last[0]


@BOTH
async def test_data_silent_lets_heartbeats_pass(protocol: str) -> None:
    async with bench(faults=("data-silent",)) as it, it.connect(protocol, "overview") as client:
        await it.until_open(1)
        it.happen(5)
        await it.clock.advance(31)
        assert (await client.next()).type == "ping"


@BOTH
async def test_accept_close_hangs_up_after_the_head(protocol: str) -> None:
    async with bench(faults=("accept-close",)) as it, it.connect(protocol) as client:
        ended = await ending(client)
        assert ended.clean
        assert it.backend.opened_connections == 0


REFUSALS = [
    ("401", 401, "AUTH_REQUIRED"),
    ("403", 403, "FORBIDDEN"),
    ("404", 404, "INVALID_ENDPOINT"),
    ("429=7", 429, "RATE_LIMIT_EXCEEDED"),
    ("503", 503, "STREAM_UNAVAILABLE"),
]


@pytest.mark.parametrize(("fault", "status", "code"), REFUSALS)
async def test_refusals_by_status(fault: str, status: int, code: str) -> None:
    async with bench(faults=(fault,)) as it:
        response, body = await it.get("/api/stream/events")
        assert response.status == status
        error = json.loads(body)["error"]
        assert error["code"] == code
        assert ("WWW-Authenticate" in response.headers) == (status == 401)
        assert response.headers.get("Retry-After") == ("7" if status == 429 else None)
        assert error.get("retryAfter") == (7 if status == 429 else None)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with it.connect("websocket"):
                pass
        assert refused.value.status == status
        assert (await it.get("/api/overview"))[0].status == 200


async def test_too_many_requests_names_thirty_seconds_by_default() -> None:
    async with bench(faults=("429",)) as it:
        assert (await it.get("/api/stream/events"))[0].headers["Retry-After"] == "30"


async def test_unavailable_rest_has_the_form_of_each_endpoint() -> None:
    async with bench(faults=("rest:503",)) as it:
        response, body = await it.get("/api/overview")
        assert (response.status, json.loads(body)["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
        response, body = await it.get("/api/telemetry/health")
        assert (response.status, json.loads(body)["ok"]) == (503, False)
        async with it.connect("sse", "overview") as client:
            assert (await client.next()).type == "update"


@pytest.mark.parametrize("path", ["/api/overview", "/api/stream/events", "/api/iris/ws"])
async def test_refuse_cuts_each_request(path: str) -> None:
    async with bench(faults=("all:refuse",)) as it:
        with pytest.raises(aiohttp.ClientConnectionError):
            await it.get(path)
        assert (await it.get("/"))[0].status == 200


async def test_html_is_a_page_with_status_200() -> None:
    async with bench(faults=("html",)) as it:
        response, body = await it.get("/api/stream/events", headers={"Accept": "text/event-stream"})
        assert (response.status, response.content_type) == (200, "text/html")
        assert body.startswith(b"<!doctype html>")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with it.connect("websocket"):
                pass


async def until_asleep(it: Bench, task: "asyncio.Task[Any]", more_than: int) -> None:
    """Give the loop turns until one more sleeper than `more_than` waits on the clock."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while len(it.clock._sleepers) <= more_than and not task.done():  # noqa: ASYNC110 (turns of the loop, not pauses)
            await asyncio.sleep(0)


async def test_slow_waits_before_the_head() -> None:
    async with bench(faults=("rest:slow=3",)) as it:
        await it.clock.advance(0)
        asleep = len(it.clock._sleepers)
        request = asyncio.create_task(it.get("/api/overview"))
        await until_asleep(it, request, asleep)
        await it.clock.advance(2.9)
        assert not request.done()
        await it.clock.advance(0.2)
        response, _ = await asyncio.wait_for(request, TIMEOUT_SECONDS)
        assert response.status == 200


async def test_hang_never_answers_while_it_is_on() -> None:
    async with bench(faults=("all:hang",)) as it:
        await it.clock.advance(0)
        asleep = len(it.clock._sleepers)
        request = asyncio.create_task(it.get("/api/overview"))
        await until_asleep(it, request, asleep)
        await it.clock.advance(100)
        assert not request.done()
        it.backend.faults.clear()
        await it.clock.advance(0.3)
        response, _ = await asyncio.wait_for(request, TIMEOUT_SECONDS)
        assert response.status == 200


@BOTH
async def test_garbage_takes_the_place_of_every_third_message(protocol: str) -> None:
    async with bench(faults=("garbage",)) as it, it.connect(protocol) as client:
        await it.until_open(1)
        it.happen(15)
        messages = [await client.next() for _ in range(15)]
        good = [message for number, message in enumerate(messages, 1) if number % 3]
        assert [message.json["data"]["id"] for message in good] == [f"own-{n}" for n in range(1, 16) if n % 3]
        broken, binary, html, half, wrong = (message for number, message in enumerate(messages, 1) if number % 3 == 0)
        for message in (broken, binary, html, half):
            with pytest.raises(ValueError, match=r".*"):
                json.loads(message.raw)
        assert binary.binary == (protocol == "websocket")
        assert html.raw.startswith(b"<!doctype html>")
        assert half.raw.startswith(b'{"type":"event","id":')
        assert wrong.json["data"]["project"] == 7
        assert all(message.position is None for message in (broken, binary, html, half, wrong))


@BOTH
async def test_huge_is_a_valid_message_of_that_size(protocol: str) -> None:
    async with bench(faults=("huge=200000",)) as it, it.connect(protocol) as client:
        await it.until_open(1)
        it.happen(51)
        messages = [await client.next() for _ in range(53)]
        huge = [number for number, message in enumerate(messages) if message.type == "update"]
        assert huge == [0, 51]
        assert all(len(messages[number].raw) == 200_000 for number in huge)


@BOTH
async def test_an_error_message_comes_once_and_the_stream_goes_on(protocol: str) -> None:
    async with bench() as it, it.connect(protocol) as client:
        await it.until_open(1)
        it.backend.faults.set("error=RATE_LIMIT_EXCEEDED")
        it.happen(2)
        types = [await client.next() for _ in range(3)]
        assert [message.type for message in types] == ["error", "event", "event"]
        assert types[0].json["error"] == {
            "code": "RATE_LIMIT_EXCEEDED",
            "message": "too many requests or messages",
            "retryAfter": 5,
        }
        it.backend.faults.set("error=MY_OWN")
        await it.clock.advance(0.1)
        it.backend.faults.set("error=STREAM_UNAVAILABLE")
        it.happen(1)
        assert (await client.next()).json["error"]["code"] == "STREAM_UNAVAILABLE"


@BOTH
async def test_a_restart_loses_the_history_and_cuts_the_streams(protocol: str) -> None:
    async with bench() as it:
        it.happen(5)
        old = it.position(5)
        async with it.connect(protocol) as client:
            await it.until_open(1)
            it.backend.faults.set("restart")
            await it.clock.advance(0.1)
            assert not (await ending(client)).clean
        assert it.backend.faults.active() == {}
        assert it.position(0).partition("-")[0] != old.partition("-")[0]
        it.happen(1)
        response, body = await it.get("/api/events", params={"after": old})
        assert response.headers["Iris-Resume"] == "restarted"
        assert [event["id"] for event in json.loads(body)] == ["own-6"]


async def test_restarts_may_come_every_so_often() -> None:
    async with bench(faults=("restart=10",)) as it:
        epochs = set()
        for _ in range(40):
            await it.clock.advance(1)
            epochs.add(it.position(0))
        assert len(epochs) in (4, 5)


@BOTH
async def test_duplicate_sends_each_event_twice(protocol: str) -> None:
    async with bench(faults=("duplicate",)) as it, it.connect(protocol) as client:
        await it.until_open(1)
        it.happen(2)
        messages = [await client.next() for _ in range(4)]
        assert [message.json["data"]["id"] for message in messages] == ["own-1", "own-1", "own-2", "own-2"]
        assert messages[0].position == messages[1].position


@BOTH
async def test_flap_is_there_and_gone_in_turn(protocol: str) -> None:
    async with bench(faults=("flap=10,5",)) as it:
        async with it.connect(protocol) as client:
            await it.until_open(1)
            await it.clock.advance(10.1)
            assert not (await ending(client)).clean
        with pytest.raises(aiohttp.ClientConnectionError):
            await it.get("/api/overview")
        await it.clock.advance(5)
        assert (await it.get("/api/overview"))[0].status == 200


async def test_faults_can_be_set_and_cleared_at_run_time() -> None:
    async with bench() as it:
        assert (await it.get("/api/overview"))[0].status == 200
        it.backend.faults.set("all:503")
        assert (await it.get("/api/overview"))[0].status == 503
        it.backend.faults.clear("503")
        assert (await it.get("/api/overview"))[0].status == 200


@pytest.mark.parametrize("fault", [kind.usage for kind in KINDS.values()])
async def test_no_fault_keeps_the_backend_from_stopping(fault: str) -> None:
    spec = fault.replace("[=SECONDS]", "").replace("SECONDS", "60").replace("BYTES", "5000")
    spec = spec.replace("CODE", "STREAM_UNAVAILABLE").replace("UP,DOWN", "60,60")
    async with bench() as it, it.connect("websocket") as socket, it.connect("sse", "overview") as sse:
        await it.until_open(2)
        it.backend.faults.set(spec)
        it.happen(10)
        await it.clock.advance(0.2)
        reading = [asyncio.create_task(ending(client)) for client in (socket, sse)]
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await it.backend.stop()
        await asyncio.gather(*reading)
        await it.backend.start()


async def test_a_client_that_does_not_answer_cannot_keep_the_backend_from_stopping() -> None:
    async with bench() as it, it.connect("websocket"), it.connect("sse"):
        await it.until_open(2)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await it.backend.stop()
        await it.backend.start()
