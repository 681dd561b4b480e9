"""The stream endpoints over real sockets, on a clock that stands still."""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from iris_exporter.backend.access import Limits
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import CrashError
from iris_exporter.errors import UsageError
from tests.backend.clients import Client, Ended, Seen, bench
from tests.waiting import until

UPGRADE = "".join(
    f"{name}: {value}\r\n"
    for name, value in (
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "MTIzNDU2Nzg5MDEyMzQ1Ng=="),
    )
)
BOTH = pytest.mark.parametrize("protocol", ["websocket", "sse"])


def event_ids(message: Seen) -> list[str]:
    data = message.json["data"]
    if message.type == "event":
        return [data["id"]]
    return [event["id"] for event in data.get("events", data.get("recentEvents", []))]


async def take(client: Client, count: int) -> list[Seen]:
    return [await client.next() for _ in range(count)]


@BOTH
async def test_each_event_is_a_message_with_its_position(protocol: str) -> None:
    async with bench() as it, it.connect(protocol) as client:
        await it.until_open(1)
        ids = it.happen(3)
        messages = await take(client, 3)
        assert [message.type for message in messages] == ["event"] * 3
        assert [event_ids(message) for message in messages] == [[one] for one in ids]
        assert [message.position for message in messages] == [it.position(offset) for offset in (1, 2, 3)]
        assert all(message.json["id"] == message.position for message in messages)
        assert messages[0].json["data"]["metadata"] == {"number": 1}
        assert "replay" not in messages[0].json


@BOTH
async def test_the_overview_is_whole_at_first_and_then_only_what_changed(protocol: str) -> None:
    async with bench() as it:
        ids = it.happen(2)
        async with it.connect(protocol, "overview") as client:
            whole = await client.next()
            assert set(whole.json["data"]) == {"metrics", "projects", "events", "anomalies"}
            assert event_ids(whole) == ids[::-1]
            assert whole.position == it.position(2)
            await it.clock.advance(1.1)
            await client.next()
            new = it.happen(2)
            await it.clock.advance(1.0)
            part = await client.next()
            assert set(part.json["data"]) == {"events"}
            assert event_ids(part) == new[::-1]
            assert part.position == it.position(4)


async def test_a_moving_installation_updates_at_most_once_a_second() -> None:
    async with bench(rate=20.0, heartbeat_interval_seconds=1000.0) as it, it.connect("sse", "overview") as client:
        await client.next()
        for _ in range(3):
            await it.clock.advance(1.0)
        it.backend.faults.set("drop-clean=0")
        await it.clock.advance(0.1)
        messages = []
        with pytest.raises(Ended):
            while True:
                messages.append(await client.next())
        assert [message.type for message in messages] == ["update"] * len(messages)
        assert 2 <= len(messages) <= 3
        assert "metrics" in messages[0].json["data"]


@BOTH
async def test_telemetry_comes_every_five_seconds_with_the_events_since(protocol: str) -> None:
    async with bench() as it, it.connect(protocol, "telemetry") as client:
        first = await client.next()
        assert (first.type, event_ids(first), first.position) == ("telemetry", [], None)
        assert len(first.json["data"]["metrics"]) == 8
        ids = it.happen(60)
        await it.clock.advance(5.1)
        second = await client.next()
        assert event_ids(second) == ids[:9:-1]
        assert second.position == it.position(60)
        await it.clock.advance(5.0)
        assert event_ids(await client.next()) == []


async def test_the_older_socket_names_each_change() -> None:
    async with bench() as it, it.connect("websocket", "changes") as client:
        await it.until_open(1)
        kinds = ["evaluation", "rotation", "consensus", "reflexion", "retrain", "anomaly_detected", "info"]
        for kind in kinds:
            it.happen(event_type=kind)
        types = [message.type for message in await take(client, len(kinds))]
        assert types == [
            "evaluation_complete",
            "expert_rotated",
            "consensus_reached",
            "reflexion_created",
            "remediation_progress",
            "anomaly_detected",
            "system_alert",
        ]


async def test_the_older_socket_reports_changed_projects() -> None:
    async with bench(rate=0.001) as it, it.connect("websocket", "changes") as client:
        await it.until_open(1)
        await it.clock.advance(2.5)
        message = await client.next()
        assert message.type == "project_update"
        assert message.json["data"]["health_score"] > 0


async def test_sse_begins_with_the_delay_for_reconnecting() -> None:
    async with bench() as it, it.connect("sse", "overview") as client:
        await client.next()
        assert client.preamble == [b"retry: 3000"]
        assert client.response.headers["Content-Type"] == "text/event-stream"
        assert client.response.headers["Cache-Control"] == "no-store"


@BOTH
@pytest.mark.parametrize("channel", ["events", "overview", "telemetry"])
async def test_a_heartbeat_comes_every_thirty_seconds(protocol: str, channel: str) -> None:
    async with bench(telemetry_interval_seconds=1000.0) as it, it.connect(protocol, channel) as client:
        await it.until_open(1)
        if channel != "events":
            await client.next()
        await it.clock.advance(30.1)
        message = await client.next()
        assert message.type == "ping"
        assert message.position is None
        assert message.name in (None, "heartbeat")


async def test_pings_of_the_client_are_answered() -> None:
    async with bench() as it, it.connect("websocket") as client:
        await client.send({"type": "ping"})
        assert (await client.next()).type == "pong"
        await client.socket.ping(b"mark")
        answer = await client.socket.receive(5)
        assert (answer.type, bytes(answer.data)) == (aiohttp.WSMsgType.PONG, b"mark")


@pytest.mark.parametrize("text", ["not json", "[]", "{}", '{"type":1}'])
async def test_a_message_that_is_no_envelope_is_answered_with_an_error(text: str) -> None:
    async with bench() as it, it.connect("websocket") as client:
        await client.socket.send_str(text)
        message = await client.next()
        assert message.json["error"]["code"] == "INVALID_REQUEST"
        await client.send({"type": "of the future", "more": [1]})
        await client.send({"type": "ping"})
        assert (await client.next()).type == "pong"


@pytest.mark.parametrize(
    "accept", ["application/json", "text/html, application/json;q=0.5", "text/event-stream;q=0, */*"]
)
async def test_who_wants_no_event_stream_gets_406(accept: str) -> None:
    async with bench() as it:
        response, body = await it.get("/api/stream/events", headers={"Accept": accept})
        assert (response.status, json.loads(body)["error"]["code"]) == (406, "NOT_ACCEPTABLE")


@pytest.mark.parametrize(
    "accept", ["text/event-stream", "*/*", "text/*;q=0.1", "application/json, text/event-stream;q=0.9"]
)
async def test_who_accepts_an_event_stream_gets_it(accept: str) -> None:
    async with bench() as it, it.connect("sse", "overview", {"Accept": accept}) as client:
        assert (await client.next()).type == "update"


async def test_the_older_socket_asks_for_an_upgrade() -> None:
    async with bench() as it:
        response, body = await it.get("/api/iris/ws")
        assert (response.status, response.headers["Upgrade"]) == (426, "websocket")
        assert json.loads(body)["error"]["code"] == "UPGRADE_REQUIRED"


async def resumed(it: Any, protocol: str, channel: str, position: str) -> tuple[dict[str, Any], list[Seen], Seen]:
    """Resume, and return the answer, what is replayed, and the first live message after it."""
    headers = {"Last-Event-ID": position} if protocol == "sse" else None
    async with it.connect(protocol, channel, headers) as client:
        if protocol == "websocket":
            if channel != "events":
                await client.next()
            await it.until_open(1)
            await client.send({"type": "resume", "lastEventId": position})
        answer = await client.next()
        assert answer.type == "resumed"
        assert answer.position is None
        it.happen(1, message="live")
        await it.clock.advance(5.1)
        replayed: list[Seen] = []
        while True:
            message = await client.next()
            if "replay" not in message.json and "live" in message.raw.decode():
                return answer.json["data"], replayed, message
            if "replay" in message.json:
                replayed.append(message)


@BOTH
@pytest.mark.parametrize("channel", ["events", "overview", "telemetry"])
async def test_a_resume_replays_what_was_missed_and_goes_on(protocol: str, channel: str) -> None:
    async with bench() as it:
        ids = it.happen(130)
        answer, replayed, live = await resumed(it, protocol, channel, it.position(5))
        epoch = it.position(0).partition("-")[0]
        assert answer == {
            "outcome": "full",
            "replayed": 125,
            "missed": 0,
            "epoch": epoch,
            "lastEventId": it.position(130),
        }
        assert [one for message in replayed for one in reversed(event_ids(message))] == ids[5:]
        assert all(message.json["replay"] is True for message in replayed)
        assert replayed[-1].position == it.position(130)
        assert live.position == it.position(131)
        assert len(replayed) == {"events": 125, "overview": 2, "telemetry": 3}[channel]


@BOTH
@pytest.mark.parametrize(
    ("position", "outcome", "replayed", "missed"),
    [
        ("{epoch}-2", "partial", 10, 8),
        ("old-7", "restarted", 10, 0),
        ("what?", "none", 0, 0),
        ("{epoch}-99", "none", 0, 0),
    ],
)
async def test_a_resume_says_what_is_lost(
    protocol: str, position: str, outcome: str, replayed: int, missed: int
) -> None:
    async with bench(history_events=10) as it:
        it.happen(20)
        epoch = it.position(0).partition("-")[0]
        answer, messages, live = await resumed(it, protocol, "events", position.format(epoch=epoch))
        assert (answer["outcome"], answer["replayed"], answer["missed"]) == (outcome, replayed, missed)
        assert len(messages) == replayed
        assert live.position == it.position(21)


async def test_a_second_resume_on_one_connection_is_refused() -> None:
    async with bench() as it, it.connect("websocket") as client:
        await client.send({"type": "resume", "lastEventId": it.position(0)})
        assert (await client.next()).type == "resumed"
        await client.send({"type": "resume", "lastEventId": it.position(0)})
        assert (await client.next()).json["error"]["code"] == "INVALID_REQUEST"


async def test_one_position_means_the_same_everywhere() -> None:
    async with bench() as it, it.connect("websocket") as socket, it.connect("sse", "overview") as overview:
        await it.until_open(2)
        await overview.next()
        it.happen(3)
        await it.clock.advance(1.1)
        last = [await socket.next() for _ in range(3)][-1].position
        assert last is not None
        assert last == (await overview.next()).position
        assert last == json.loads((await it.get("/api/overview"))[1])["cursor"]
        assert (await it.get("/api/events", params={"after": last}))[1] == b"[]"


@BOTH
async def test_a_stop_says_goodbye(protocol: str) -> None:
    async with bench() as it, it.connect(protocol) as client:
        await it.until_open(1)
        it.backend.service.shutdown()
        with pytest.raises(Ended) as ended:
            await client.next()
        assert ended.value.clean
        assert ended.value.code == (1001 if protocol == "websocket" else None)
        await it.until_open(0)


async def test_a_backend_that_starts_again_has_another_epoch() -> None:
    async with bench() as it:
        before = it.position(0)
        port = it.backend.url.rpartition(":")[2]
        await it.backend.stop()
        with pytest.raises(UsageError):
            _ = it.backend.url
        await it.backend.start()
        assert it.position(0) != before
        assert port.isdecimal()


async def test_starting_twice_is_a_mistake() -> None:
    async with bench() as it:
        with pytest.raises(UsageError):
            await it.backend.start()
    with pytest.raises(UsageError):
        _ = Backend().url


@BOTH
async def test_a_client_that_leaves_is_forgotten(protocol: str) -> None:
    async with bench() as it:
        async with it.connect(protocol):
            await it.until_open(1)
            assert it.backend.opened_connections == 1
        await it.clock.advance(0.2)
        await it.until_open(0)


@BOTH
async def test_a_client_that_does_not_read_is_cut(protocol: str, caplog: pytest.LogCaptureFixture) -> None:
    async with bench(queue_messages=50) as it, it.connect(protocol) as client:
        await it.until_open(1)
        # Enough at once for the queue to overflow before the writer has its turn.
        it.happen(51)
        with pytest.raises(Ended) as ended:
            while True:
                await client.next()
        assert not ended.value.clean
        assert [record.getMessage() for record in caplog.records] == ["client.slow"]


async def test_the_limit_of_connections_is_429_with_a_time() -> None:
    async with bench(limits=Limits(connections_per_hour=1)) as it, it.connect("sse"):
        response, body = await it.get("/api/stream/events")
        assert response.status == 429
        assert response.headers["Retry-After"] == "3600"
        assert json.loads(body)["error"] == {
            "code": "RATE_LIMIT_EXCEEDED",
            "message": "too many requests or messages",
            "retryAfter": 3600,
        }


async def test_a_client_that_says_too_much_is_closed_with_a_reason() -> None:
    async with bench(limits=Limits(messages_per_minute=2)) as it, it.connect("websocket") as client:
        for _ in range(3):
            await client.send({"type": "of the future"})
        message = await client.next()
        assert message.json["error"]["code"] == "RATE_LIMIT_EXCEEDED"
        with pytest.raises(Ended) as ended:
            await client.next()
        assert ended.value.code == 1008


async def test_a_websocket_that_says_nothing_for_too_long_is_closed() -> None:
    async with bench(limits=Limits(idle_seconds=10.0)) as it, it.connect("websocket") as client:
        await it.until_open(1)
        await it.clock.advance(6.0)
        await client.send({"type": "ping"})
        assert (await client.next()).type == "pong"
        await it.clock.advance(6.0)
        assert it.backend.open_connections == 1
        await it.clock.advance(5.0)
        with pytest.raises(Ended) as ended:
            await client.next()
        assert ended.value.code == 1001


async def test_a_message_over_the_limit_is_refused() -> None:
    async with bench() as it, it.connect("websocket") as client:
        await client.send({"type": "x" * 150_000})
        with pytest.raises(Ended) as ended:
            await client.next()
        assert ended.value.code == 1009


@BOTH
async def test_a_mistake_of_the_backend_ends_its_streams(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench() as it, it.connect(protocol, "events") as client:
        await it.until_open(1)

        def mistake() -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(it.backend.service, "tick", mistake)
        await it.clock.advance(1.0)
        with pytest.raises(Ended) as ended:
            await client.next()
        assert ended.value.clean
        with pytest.raises(CrashError, match="ZeroDivisionError"):
            await it.backend.service.wait_for_end()


async def test_a_client_that_goes_before_the_head_of_its_stream_is_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def gone(*_: object) -> None:
        raise ConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(web.WebSocketResponse, "prepare", gone)
    async with bench() as running:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await running.http.ws_connect(f"{running.backend.url}/api/stream/overview")
    assert [record for record in caplog.records if record.name == "aiohttp.server"] == []


@pytest.mark.parametrize("headers", ["", UPGRADE], ids=["sse", "websocket"])
async def test_a_client_that_leaves_before_the_answer_is_no_error(
    headers: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench() as it:
        it.backend.faults.set("slow=5")
        url = urlsplit(it.backend.url)
        _, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(f"GET /api/stream/events HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        await writer.drain()
        await until(lambda: it.clock.sleepers == 2)  # the ticking and the answer
        writer.transport.abort()
        await it.clock.advance(0)
        await it.clock.advance(6)
        await until(lambda: it.clock.sleepers == 1)
        assert [record for record in caplog.records if record.levelname == "ERROR"] == []
