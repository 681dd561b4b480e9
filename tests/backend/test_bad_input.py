"""Bad input at every way into the backend: each gets its code, and a well-behaved client beside it misses nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from iris_exporter.backend.tickets import LIFETIME_SECONDS
from iris_exporter.core.subscriptions import PROTOBUF_SUBPROTOCOL
from iris_exporter.wire import protobuf
from tests.backend.clients import TIMEOUT_SECONDS, Bench, bench
from tests.backend.test_subscriptions import Subscribed, subscribe
from tests.waiting import until

KEY = {"Authorization": "Bearer the-key-of-the-test"}
SUBSCRIBE = '{"type":"subscribe","data":{"channels":["events"]}}'
BINARY = protobuf.encode({"type": "subscribe", "data": {"channels": ["events"], "delta": True}})
CLOSINGS = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING)

Attack = Callable[[Bench], Awaitable[object]]
"""Does what a client should not, and returns what it was answered: a status with a code, a code, or a close code."""


def asks(path: str, method: str = "GET", **options: Any) -> Attack:
    """A request; the status and the code of its answer."""

    async def attack(it: Bench) -> tuple[int, str]:
        async with it.http.request(method, it.backend.url + path, **{"headers": KEY} | options) as response:
            return response.status, json.loads(await response.read())["error"]["code"]

    return attack


def offers(*subprotocols: str) -> Attack:
    """A handshake; what was chosen, and the type of the answer to a subscribe."""

    async def attack(it: Bench) -> tuple[str | None, str]:
        url = f"{it.backend.url}/api/stream"
        async with it.http.ws_connect(url, protocols=subprotocols, headers=KEY) as socket:
            await socket.send_str(SUBSCRIBE)
            return socket.protocol, str((await socket.receive_json(timeout=TIMEOUT_SECONDS))["type"])

    return attack


def says(*messages: str | bytes, path: str = "/api/stream", subprotocols: Sequence[str] = ()) -> Attack:
    """Messages on a WebSocket; the code of the first error, or with which the connection is closed."""

    async def attack(it: Bench) -> str | int | None:
        url = it.backend.url + path
        async with it.http.ws_connect(url, protocols=subprotocols, headers=KEY, max_msg_size=0) as socket:
            for message in messages:
                await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
            return await _first_error(socket)

    return attack


async def _first_error(socket: aiohttp.ClientWebSocketResponse) -> str | int | None:
    while True:
        received = await socket.receive(TIMEOUT_SECONDS)
        if received.type in CLOSINGS:
            return socket.close_code
        is_text = received.type is aiohttp.WSMsgType.TEXT
        message = json.loads(received.data) if is_text else protobuf.decode(received.data, "e")
        if message["type"] == "error":
            return str(message["error"]["code"])


def writes(frame: bytes) -> Attack:
    """Bytes that are no frame; with which code the connection is closed."""

    async def attack(it: Bench) -> int | None:
        async with it.http.ws_connect(f"{it.backend.url}/api/stream", headers=KEY) as socket:
            transport = socket.get_extra_info("socket")
            await asyncio.get_running_loop().sock_sendall(transport._sock, frame)
            await _first_error(socket)
            return socket.close_code

    return attack


async def uses_a_ticket_twice(it: Bench) -> tuple[int, str]:
    ticket = await _ticket(it)
    async with it.http.ws_connect(f"{it.backend.url}/api/stream?ticket={ticket}"):
        return await _with_ticket(it, ticket)


async def uses_a_ticket_too_late(it: Bench) -> tuple[int, str]:
    ticket = await _ticket(it)
    it.clock.now += LIFETIME_SECONDS
    return await _with_ticket(it, ticket)


async def _ticket(it: Bench) -> str:
    async with it.http.post(it.backend.url + "/api/ticket", headers=KEY) as response:
        return str((await response.json())["ticket"])


async def _with_ticket(it: Bench, ticket: str) -> tuple[int, str]:
    answer = await asks(f"/api/stream?ticket={ticket}", headers={})(it)
    assert isinstance(answer, tuple)
    return answer


def subscribes(*options: str, path: str = "/api/stream") -> Attack:
    return says(*(f'{{"type":"subscribe","data":{{{each}}}}}' for each in options), path=path)


INVALID = (400, "INVALID_REQUEST")
SERVED = (None, "subscribed")
LARGE = "x" * 102_401
PROJECTS = ",".join(['"p"'] * 1001)
ROWS: dict[str, tuple[Attack, object]] = {
    "a message over 100 KB": (says(LARGE), 1009),
    "a binary one over 100 KB": (says(LARGE.encode(), subprotocols=[PROTOBUF_SUBPROTOCOL]), 1009),
    "one over 100 KB on an older path": (says(LARGE, path="/api/stream/events"), 1009),
    "a body over 100 KB": (asks("/api/ticket", "POST", data=LARGE), (413, "MESSAGE_TOO_LARGE")),
    "an address over 100 KB": (asks(f"/api/stream?projects={LARGE}"), INVALID),
    "a subprotocol that nobody knows": (offers("chat.v7"), SERVED),
    "subprotocols of another version": (offers("iris.v9+json", "graphql-transport-ws"), SERVED),
    "a channel that does not exist": (subscribes('"channels":["nope"]'), "INVALID_REQUEST"),
    "one in a query": (asks("/api/stream?channels=nope"), INVALID),
    "a field that does not exist": (subscribes('"fields":{"events":["colour"]}'), "INVALID_REQUEST"),
    "one in a query, too": (asks("/api/stream?fields.events=colour"), INVALID),
    "fields of a channel that does not exist": (subscribes('"fields":{"nope":["id"]}'), "INVALID_REQUEST"),
    "a severity that does not exist": (subscribes('"severities":["fatal"]'), "INVALID_REQUEST"),
    "too many projects": (subscribes(f'"projects":[{PROJECTS}]'), "INVALID_REQUEST"),
    "an option of the wrong type": (subscribes('"delta":"yes"'), "INVALID_REQUEST"),
    "a batch of one": (subscribes('"batch":{"maxMessages":1}'), "INVALID_REQUEST"),
    "a delay below zero": (subscribes('"debounceMs":-1'), "INVALID_REQUEST"),
    "a number that is none": (subscribes('"debounceMs":1e999'), "INVALID_REQUEST"),
    "a resume after a subscribe": (says(SUBSCRIBE, '{"type":"resume","lastEventId":"e-1"}'), "INVALID_REQUEST"),
    "a second resume": (says(*['{"type":"resume","lastEventId":"e-1"}'] * 2), "INVALID_REQUEST"),
    "a second resume on an older path": (
        says(*['{"type":"resume","lastEventId":"e-1"}'] * 2, path="/api/stream/events"),
        "INVALID_REQUEST",
    ),
    "no JSON": (says("{"), "INVALID_REQUEST"),
    "JSON that is deeper than a stack": (says("[" * 100_000), "INVALID_REQUEST"),
    "half a surrogate": (says('{"type":"subscribe","data":{"projects":["\\ud800"]}}'), "INVALID_REQUEST"),
    "truncated protobuf": (says(BINARY[:-1], subprotocols=[PROTOBUF_SUBPROTOCOL]), "INVALID_REQUEST"),
    "protobuf that claims more than there is": (
        says(b"\xff\xff\xff\xff\x7f", subprotocols=[PROTOBUF_SUBPROTOCOL]),
        "INVALID_REQUEST",
    ),
    "protobuf without the subprotocol": (says(BINARY), "INVALID_REQUEST"),
    "text that is not UTF-8": (writes(b"\x81\x82\x00\x00\x00\x00\xff\xff"), 1007),
    "a frame with reserved bits": (writes(b"\xf1\x80\x00\x00\x00\x00"), 1002),
    "a frame that claims an exabyte": (writes(b"\x81\xff\x0f\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 1009),
    "10,000 subscribes at once": (says(*[SUBSCRIBE] * 10_000), "RATE_LIMIT_EXCEEDED"),
    "a ticket used twice": (uses_a_ticket_twice, (401, "AUTH_REQUIRED")),
    "a ticket used too late": (uses_a_ticket_too_late, (401, "AUTH_REQUIRED")),
    "a ticket that was never given": (asks("/api/stream?ticket=x", headers={}), (401, "AUTH_REQUIRED")),
    "a ticket for a ticket": (asks("/api/ticket?ticket=x", "POST", headers={}), (401, "AUTH_REQUIRED")),
    "a key in the address": (asks("/api/stream?api_key=the-key-of-the-test", headers={}), (401, "AUTH_REQUIRED")),
    "no key": (asks("/api/stream", headers={}), (401, "AUTH_REQUIRED")),
    "a method that is none of ours": (asks("/api/stream", "DELETE"), (405, "INVALID_REQUEST")),
    "an address that is none of ours": (asks("/api/stream/nothing"), (404, "INVALID_ENDPOINT")),
}


def _reason(answer: object) -> str:
    """By which reason /metrics counts an answer."""
    code = answer[1] if isinstance(answer, tuple) else answer
    if isinstance(code, str):
        return code
    return "MESSAGE_TOO_LARGE" if code == 1009 else "INVALID_REQUEST"


@asynccontextmanager
async def well_behaved(it: Bench, form: str) -> AsyncIterator[Subscribed]:
    """A client that subscribes to events, and has been told so."""
    it.http.headers.update(KEY)
    async with subscribe(it, form, channels=["events"]) as client:
        for name in KEY:
            del it.http.headers[name]
        await client.take(2)
        yield client


@pytest.mark.parametrize("form", ["json", "sse"])
@pytest.mark.parametrize("row", ROWS)
async def test_bad_input_gets_its_code_and_disturbs_nobody_else(
    row: str, form: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    attack, expected = ROWS[row]
    (tmp_path / "key").write_text("the-key-of-the-test")
    async with bench(api_key_file=tmp_path / "key") as it, well_behaved(it, form) as other:
        made: list[str] = []
        running = asyncio.ensure_future(attack(it))
        # Events before, while and after: as many as fit between the turns that the attack takes.
        while not running.done() or len(made) < 20:
            made += it.happen()
            received = await other.next()
            assert (received["type"], received["data"]["id"]) == ("event", made[-1])
        assert await running == expected
        if expected != SERVED:
            refusals = it.backend.service.stats.refusals
            await until(lambda: refusals[_reason(expected)] > 0)  # a close is counted after its handshake
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
