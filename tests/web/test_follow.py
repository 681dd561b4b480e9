"""Following the streams: what is sent when, to whom, and how a client goes on."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from iris_exporter.core.recent_events import MAX_EVENTS
from iris_exporter.core.status import State
from iris_exporter.decoding.messages import Event
from iris_exporter.instruments import catalog
from iris_exporter.web import follow
from tests.fakes import FakeClock, settle
from tests.waiting import BUSY
from tests.web.http_servers import RunningServer, http_server, until
from tests.web.support import FakeControl, link

PATH = "/api/v1/follow"


def event(name: str, **changes: Any) -> Event:
    facts: dict[str, Any] = {"project": "alpha", "event_type": "run", "severity": "info", "message": "m"}
    return Event(name, **{**facts, **changes})


class Reader:
    """A client that reads messages."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id = ""
        self.comments: list[str] = []

    async def message(self) -> tuple[str, Any]:
        """The next message: its type and its data."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10 * BUSY):
            while line := (await self.response.content.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name == "":
                    if value:
                        self.comments.append(value)
                    elif "data" in fields:
                        break
                else:
                    assert name in ("event", "id", "data", "retry"), line
                    fields[name] = value
        if not fields:
            raise EOFError
        self.last_id = fields["id"]
        return fields["event"], json.loads(fields["data"])

    async def ended(self) -> bool:
        """Whether the server ends the answer properly, whatever it says before that."""
        async with asyncio.timeout(10 * BUSY):
            while await self.response.content.read(1 << 16):
                pass
        return True


@asynccontextmanager
async def following(
    running: RunningServer, query: str = "", tls: ssl.SSLContext | None = None, **headers: str
) -> AsyncIterator[Reader]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connector = aiohttp.TCPConnector(ssl=tls or True, force_close=True)
    url = f"{'https' if tls else 'http'}://127.0.0.1:{running.port}{PATH}{query}"
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(url, headers=named) as response,
    ):
        assert response.status == 200, await response.text()
        yield Reader(response)


def main(running: RunningServer) -> FakeControl:
    return running.context.controls["main"]


def arrive(running: RunningServer, *events: Event, stream: str = "main") -> None:
    follower = running.context.controls[stream].follower
    assert follower is not None
    follower.events_arrived(stream, events)


async def left(running: RunningServer) -> None:
    """Until the server has noticed that nobody follows."""

    def is_left() -> bool:
        running.tick()
        return running.metrics.shown(catalog.FOLLOW_CLIENTS) == 0

    await until(is_left)


async def test_the_first_message_is_a_snapshot_of_the_objects_of_the_api() -> None:
    async with http_server() as running, following(running) as reader:
        assert reader.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert reader.response.headers["Cache-Control"] == "no-store"
        kind, data = await reader.message()
        streams = json.loads((await running.ask("/api/v1/streams")).text)
        assert (kind, data) == ("snapshot", {"streams": streams, "resumed": None, "missed": 0})


async def test_an_event_is_sent_as_the_api_shows_it_whatever_its_metadata_looks_like() -> None:
    async with http_server() as running, following(running) as reader:
        await reader.message()
        arrive(running, event("a", metadata=b'{\r\n"x":\n1}', message="two\nlines", timestamp=0.0))
        assert await reader.message() == (
            "event",
            {
                "stream": "main", "id": "a", "timestamp": "1970-01-01T00:00:00.000Z", "project": "alpha",
                "event_type": "run", "severity": "info", "message": "two\nlines", "metadata": {"x": 1},
            },
        )  # fmt: skip


async def test_a_state_is_sent_when_it_changes_and_what_changes_by_itself_within_a_second() -> None:
    async with http_server() as running, following(running) as reader:
        await reader.message()
        control = main(running)
        assert control.follower is not None
        control.link = link(State.CONNECTING, attempt=2)
        control.follower.state_changed("main")
        kind, state = await reader.message()
        assert (kind, state["name"], state["state"], state["reconnect_attempt"]) == ("state", "main", "connecting", 2)
        running.context.controls["other"].instruments.message("event", 3)
        await running.later()
        kind, state = await reader.message()
        assert (kind, state["name"], state["messages_total"]) == ("state", "other", 3)


async def test_a_client_that_reads_late_gets_the_newest_state_alone() -> None:
    async with http_server() as running, following(running) as reader:
        await reader.message()
        control = main(running)
        assert control.follower is not None
        for attempt in range(5):
            control.link = link(State.CONNECTING, attempt=attempt)
            control.follower.state_changed("main")
        assert (await reader.message())[1]["reconnect_attempt"] == 4


async def test_a_quiet_connection_has_comments() -> None:
    async with http_server() as running, following(running) as reader:
        await reader.message()
        await running.later(follow.HEARTBEAT_SECONDS)
        await settle()
        arrive(running, event("a"))
        await reader.message()
        assert reader.comments == ["heartbeat"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", ["1", "2", "3", "4"]),
        ("?stream=main", ["1", "2", "4"]),
        ("?stream=main&stream=other", ["1", "2", "3", "4"]),
        ("?severity=critical", ["2", "4"]),
        ("?severity=critical&severity=warning", ["2", "3", "4"]),
        ("?project=beta", ["4"]),
        ("?project=beta&severity=critical&stream=main", ["4"]),
    ],
)
async def test_filters_choose_events_and_streams(query: str, ids: list[str]) -> None:
    async with http_server() as running, following(running, query) as reader:
        _, data = await reader.message()
        names = [stream["name"] for stream in data["streams"]]
        assert names == (["main"] if "stream=main" in query and "other" not in query else ["main", "other"])
        arrive(running, event("1"), event("2", severity="critical"))
        arrive(running, event("3", severity="warning"), stream="other")
        arrive(running, event("4", severity="critical", project="beta"))
        assert [(await reader.message())[1]["id"] for _ in ids] == ids
        assert reader.last_id.endswith("-4") or ids[-1] != "4"


@pytest.mark.parametrize(
    ("query", "parameter", "expected"),
    [
        ("?stream=mian", "stream", "one of main, other"),
        ("?stream=", "stream", "one of main, other"),
        ("?severity=fatal", "severity", "one of critical, error, high, info, low, medium, warning"),
        ("?project=", "project", "the id of a project"),
        ("?" + "project=a&" * 33, "project", "at most 32"),
    ],
)
async def test_a_bad_filter_is_a_400(query: str, parameter: str, expected: str) -> None:
    async with http_server() as running:
        answer = await running.ask(PATH + query)
        assert (answer.status, json.loads(answer.text)["parameter"]) == (400, parameter)
        assert json.loads(answer.text)["expected"] == expected


async def test_head_says_what_would_come_and_follows_nothing() -> None:
    async with http_server() as running:
        answer = await running.ask(PATH, "HEAD")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        assert main(running).follower is None


async def test_a_client_that_comes_back_goes_on_where_it_was() -> None:
    async with http_server() as running:
        async with following(running) as reader:
            await reader.message()
            arrive(running, event("1"), event("2"))
            await reader.message()
        await left(running)
        arrive(running, event("3"))
        async with following(running, Last_Event_ID=reader.last_id) as again:
            kind, data = await again.message()
            assert (kind, data["resumed"], data["missed"], again.last_id) == ("snapshot", "full", 0, reader.last_id)
            assert [(await again.message())[1]["id"] for _ in range(2)] == ["2", "3"]


async def test_a_client_that_was_away_too_long_is_told_what_it_has_missed() -> None:
    async with http_server() as running:
        async with following(running) as reader:
            await reader.message()
        await left(running)
        arrive(running, *(event(str(number)) for number in range(MAX_EVENTS + 7)))
        async with following(running, Last_Event_ID=reader.last_id) as again:
            _, data = await again.message()
            assert (data["resumed"], data["missed"]) == ("partial", 7)
            assert (await again.message())[1]["id"] == "7"
        assert running.metrics.shown(catalog.FOLLOW_DROPPED) == 7


@pytest.mark.parametrize("last_id", ["0123456789ab-3", "nonsense"])
async def test_a_position_of_another_life_is_answered_as_that(last_id: str) -> None:
    async with http_server() as running, following(running, Last_Event_ID=last_id) as reader:
        _, data = await reader.message()
        assert (data["resumed"], data["missed"]) == ("none", None)
        assert reader.last_id.endswith("-0")


async def test_streams_are_left_alone_a_while_after_the_last_client_and_have_another_epoch_then() -> None:
    async with http_server() as running:
        assert main(running).follower is None
        async with following(running) as reader:
            await reader.message()
            assert main(running).follower is not None
        await left(running)
        await running.later(follow.LINGER_SECONDS - 1)
        assert main(running).follower is not None
        await running.later(1)
        assert main(running).follower is None
        async with following(running, Last_Event_ID=reader.last_id) as again:
            assert (await again.message())[1]["resumed"] == "none"


async def test_a_slow_client_loses_the_oldest_is_told_how_many_and_costs_no_memory() -> None:
    async with http_server() as running, following(running) as reader:
        await reader.message()
        # Nobody reads meanwhile, since the loop has no turn: more than is stored arrives at once.
        arrive(running, *(event(str(number)) for number in range(MAX_EVENTS + 5)))
        assert await reader.message() == ("lost", {"events": 5})
        assert [(await reader.message())[1]["id"] for _ in range(MAX_EVENTS)] == [
            str(number) for number in range(5, MAX_EVENTS + 5)
        ]
        assert running.metrics.shown(catalog.FOLLOW_DROPPED) == 5


async def test_a_client_that_takes_nothing_does_not_hold_up_the_others() -> None:
    large = "x" * 20_000
    async with http_server() as running:
        reader, writer = await running.dial()
        writer.write(f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        await reader.readuntil(b"event: snapshot")
        async with following(running) as quick:
            await quick.message()
            for number in range(2000):
                arrive(running, event(str(number), message=large))
                kind, data = await quick.message()
                assert (kind, data["id"]) == ("event", str(number))
            assert running.metrics.shown(catalog.FOLLOW_DROPPED) == 0
            # What the system's buffers hold comes first, and then the one message about what is gone.
            async with asyncio.timeout(20 * BUSY):
                while not (await reader.readline()).startswith(b"event: lost"):
                    pass
        writer.close()
        assert running.metrics.shown(catalog.FOLLOW_DROPPED) > 0


async def test_streams_that_come_and_go_are_another_snapshot() -> None:
    async with http_server() as running, following(running) as reader:
        await reader.message()
        gone = running.context.controls.pop("main")
        running.context.controls["new"] = FakeControl("new")
        await running.later()
        kind, data = await reader.message()
        assert kind == "snapshot"
        assert [stream["name"] for stream in data["streams"]] == ["other", "new"]
        assert gone.follower is None
        arrive(running, event("1"), stream="new")
        assert (await reader.message())[1]["stream"] == "new"


async def test_clients_are_bounded_in_all_and_for_each_address() -> None:
    async with http_server(max_connections=16) as running, following(running) as reader:
        await reader.message()
        refused = await running.ask(PATH)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
        refusals = running.metrics.shown(catalog.REQUESTS_REFUSED)
        assert isinstance(refusals, dict)
        assert refusals["busy"] == 1
        assert (await running.ask("/metrics")).status == 200


async def test_the_server_does_not_wait_for_followers_when_it_closes() -> None:
    async with http_server() as running, following(running) as reader:
        await reader.message()
        async with asyncio.timeout(follow.HEARTBEAT_SECONDS):
            await running.server.close()
        assert await reader.ended()
        assert main(running).follower is None


async def test_a_changed_web_configuration_asks_everybody_anew(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text("{}\n")
    async with http_server(file, clock=FakeClock()) as running, following(running) as reader:
        await reader.message()
        file.write_text(
            "basic_auth_users:\n  a: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi\n", encoding="utf-8"
        )
        await running.later()
        assert await reader.ended()
        assert (await running.ask(PATH)).status == 401


async def test_a_reload_of_the_streams_keeps_followers() -> None:
    async with http_server() as running, following(running) as reader:
        await reader.message()
        assert (await running.ask("/-/reload", "POST")).status == 200
        arrive(running, event("1"))
        assert (await reader.message())[1]["id"] == "1"
