"""A stream with a mapping against servers that want to be talked to, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from iris_exporter.clock import SystemClock
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.status import State
from iris_exporter.http.session import open_session
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import Metric
from iris_exporter.mapping.spec import Mapping
from iris_exporter.persistence.cursor_store import CursorRecord
from iris_exporter.streams.profile import profile_for
from iris_exporter.streams.stream import Stream
from tests.mapping.samples import read_files
from tests.settings import stream_settings
from tests.transports.support import Server, serve
from tests.waiting import until

QUICK = {
    "reconnect_initial_seconds": 0.01,
    "reconnect_max_seconds": 0.02,
    "reconnect_attempts": 1000,
    "live_retry_interval_seconds": 0.05,
    "max_connections_per_hour": 0,
    "heartbeat_interval_seconds": 0.05,
}


def mapping(directory: Path, text: str) -> Mapping:
    """The mapping `m` of a text of YAML."""
    path = directory / "mapping.yaml"
    path.write_text("mappings:\n  m:\n    namespace: m\n" + "".join(f"    {line}\n" for line in text.splitlines()))
    found = read_files([path])
    assert not found.problems, found.problems
    return found.by_name["m"]


@asynccontextmanager
async def following(
    mapped: Mapping, url: str, record: CursorRecord | None = None, **settings: Any
) -> AsyncIterator[Stream]:
    """A stream that follows `url` with a mapping, from the record of an earlier process."""
    chosen = stream_settings(**{"url": url, **QUICK, **settings})
    async with open_session() as session:
        budgets, profile = ConnectionBudgets(), profile_for(mapped)
        stream = Stream(chosen, session, SystemClock(), lambda: 0.5, budgets, record, profile=profile)
        stream.connect()
        try:
            yield stream
        finally:
            await stream.stop()


class Socket:
    """A server of WebSockets: what each connection was asked and sent, and what it does with what it hears."""

    def __init__(self, hear: Callable[[web.WebSocketResponse, str], Any], first: str | None = None) -> None:
        self.heard: list[list[str]] = []
        self.queries: list[dict[str, str]] = []
        self.open: list[web.WebSocketResponse] = []
        self._hear = hear
        self._first = first

    async def handle(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        heard: list[str] = []
        self.heard.append(heard)
        self.queries.append(dict(request.query))
        self.open.append(socket)
        if self._first is not None:
            await socket.send_str(self._first)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                heard.append(message.data)
                await self._hear(socket, message.data)
        return socket


AUTHENTICATED = """\
authorize: message
open:
  - await: {$.type: hello}
  - send: {key: "${secret}", room: "${param.room}", n: "${next}"}
  - await: {$.type: welcome}
    fail: {when: {$.type: go_away}, as: unauthorized}
    timeout: 200ms
  - send: {subscribe: all, n: "${next}"}
heartbeat: {send: {beat: "${next}"}}
messages:
  - {kind: hello, when: {$.type: [hello, welcome]}, role: ack}
  - {kind: refusal, when: {$.type: go_away}, role: ack}
  - {kind: beat, when: {$.type: beat}, role: pong}
  - {kind: ping, when: {$.type: ping}, role: heartbeat, reply: {type: pong}}
  - {kind: bye, when: {$.type: bye}, role: end}
  - kind: event
    when: {$.type: event}
    id: $.id
    metrics: [{name: events_total, type: counter, help: Events.}]
"""


def counted(stream: Stream, name: str = "m_events_total") -> float:
    """The sum of a counter."""
    mapped = stream.snapshot().mapped
    return 0 if mapped is None else sum(float(each) for each in mapped.series[name].values())  # type: ignore[arg-type]


def counts(stream: Stream, metric: Metric) -> dict[str, int]:
    """What a counter of the link has, without zeros."""
    return {label: count for label, count in stream.instruments.counter(metric).counts().items() if count}


async def test_a_stream_is_live_once_the_handshake_is_done(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret-key\n")
    welcome = asyncio.Event()

    async def hear(socket: web.WebSocketResponse, text: str) -> None:
        said = json.loads(text)
        if "key" in said:
            await socket.send_str('{"type":"event","id":"0"}')  # before its turn: it counts all the same
            await welcome.wait()
            await socket.send_str('{"type":"welcome"}')
        elif "subscribe" in said:
            await socket.send_str('{"type":"ping"}')
            await socket.send_str('{"type":"event","id":"1"}')

    server = Socket(hear, '{"type":"hello"}')
    mapped = mapping(tmp_path, AUTHENTICATED.replace("200ms", "20s"))
    async with (
        serve(server.handle) as at,
        following(mapped, at.url.replace("http", "ws"), api_key_file=key, parameters=(("room", "r 1"),)) as stream,
    ):
        await until(lambda: bool(server.heard and server.heard[0]))
        assert stream.status().state is State.CONNECTING
        welcome.set()
        await until(lambda: stream.status().state is State.LIVE and counted(stream) == 2)
        await until(lambda: any('"beat":4' in text for text in server.heard[0]))
        assert at.sent("Authorization") == [None]
    heard = [json.loads(text) for text in server.heard[0]]
    assert heard[:2] == [{"key": "s3cret-key", "room": "r 1", "n": 1}, {"subscribe": "all", "n": 2}]
    assert {"type": "pong"} in heard
    assert [each["beat"] for each in heard if "beat" in each][:2] == [3, 4]


async def test_a_handshake_that_is_refused_or_not_answered_has_its_reason(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret-key")
    answers = {"refused": '{"type":"go_away"}', "silent": '{"type":"event","id":"1"}'}
    for name, answer in answers.items():

        async def hear(socket: web.WebSocketResponse, text: str, answer: str = answer) -> None:
            await socket.send_str(answer)

        server = Socket(hear, '{"type":"hello"}')
        async with (
            serve(server.handle) as at,
            following(mapping(tmp_path, AUTHENTICATED), at.url.replace("http", "ws"), api_key_file=key) as stream,
        ):
            await until(lambda: stream.status().failure is not None)
            failure = stream.status().failure
            assert failure is not None
            assert failure.reason == {"refused": "unauthorized", "silent": "handshake"}[name]
            assert "s3cret" not in str(failure)
            assert stream.status().state in (State.CONNECTING, State.ERROR)


async def test_the_reason_of_a_step_is_that_of_the_failure_in_the_words_of_the_error(tmp_path: Path) -> None:
    """An entry of role error takes all errors, and would otherwise say `misconfigured` of a wrong key."""
    key = tmp_path / "key"
    key.write_text("s3cret-key")
    refusal = "  - {kind: refusal, when: {$.type: go_away}, role: ack}\n"
    error = "  - {kind: refusal, when: {$.type: go_away}, role: error, error: {code: $.code, message: $.text}}\n"
    for step, reason in (("as: unauthorized", "unauthorized"), ("as: handshake", "misconfigured")):
        text = AUTHENTICATED.replace("as: unauthorized", step).replace(refusal, error)

        async def hear(socket: web.WebSocketResponse, text: str) -> None:
            await socket.send_str('{"type":"go_away","code":"E1","text":"bad token"}')

        server = Socket(hear, '{"type":"hello"}')
        async with (
            serve(server.handle) as at,
            following(mapping(tmp_path, text), at.url.replace("http", "ws"), api_key_file=key) as stream,
        ):
            await until(lambda: stream.status().failure is not None)
            failure = stream.status().failure
            assert failure is not None
            assert (failure.reason, failure.detail) == (reason, "E1: bad token")


async def test_a_planned_end_is_followed_by_the_next_connection(tmp_path: Path) -> None:
    async def hear(socket: web.WebSocketResponse, text: str) -> None:
        pass

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        server.open.append(socket)
        await socket.send_json({"type": "event", "id": str(len(server.open))})
        number = len(server.open) % 3
        if number == 0:
            await socket.close(code=4999)
        elif number == 1:
            await socket.send_str("[DONE]")
        else:
            await socket.send_str('{"type":"bye"}')
        async for _ in socket:
            pass
        return socket

    server = Socket(hear)
    mapped = mapping(
        tmp_path,
        """\
planned-end: {text: "[DONE]", close: [4999]}
messages:
  - {kind: bye, when: {$.type: bye}, role: end}
  - kind: event
    when: {$.type: event}
    id: $.id
    metrics: [{name: events_total, type: counter, help: Events.}]
""",
    )
    async with serve(handle) as at, following(mapped, at.url.replace("http", "ws"), reconnect_attempts=1) as stream:
        await until(lambda: counted(stream) >= 7)
        ends = counts(stream, catalog.DISCONNECTS)
        assert stream.status().attempt <= 1
    assert set(ends) == {"planned_end"}, ends


RESUMED = """\
cursor: {path: $.n, order: number, rewind: {by: 2}, resume: RESUME, invalid: {status: [410], when: {$.error: old}}}
messages:
  - {kind: refusal, when: {$.error: {exists: true}}, role: error, error: {code: $.error, as: unavailable}}
  - kind: event
    id: $.n
    metrics: [{name: events_total, type: counter, help: Events.}]
"""


async def test_a_socket_goes_on_from_a_cursor_in_the_query_or_in_a_message(tmp_path: Path) -> None:
    for way, resume in {"query": "{query: {from: '${cursor}'}}", "message": "{message: {from: '${cursor}'}}"}.items():
        asked: list[int] = []

        async def send_from(socket: web.WebSocketResponse, start: int, asked: list[int] = asked) -> None:
            asked.append(start)
            last = 10 * len(asked)
            for number in range(start, last + 1):
                await socket.send_json({"n": number})
            await socket.close()

        async def handle(request: web.Request, way: str = way) -> web.StreamResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            if way == "query":
                await send_from(socket, int(request.query.get("from", "1")))
            elif not asked:  # noqa: B023
                await send_from(socket, 1)
            else:
                await send_from(socket, int((await socket.receive_json())["from"]))
            return socket

        async with (
            serve(handle) as at,
            following(
                mapping(tmp_path, RESUMED.replace("RESUME", resume)), at.url.replace("http", "ws") + "/?x=1"
            ) as stream,
        ):
            await until(lambda: counted(stream) >= 30)
        assert asked[:3] == [1, 8, 18], way
        assert counted(stream) == 10 * len(asked), way


async def test_a_cursor_that_is_too_old_is_forgotten(tmp_path: Path) -> None:
    """By the status of the answer, or by a message after it."""
    for way in ("status", "message"):
        asked: list[str] = []
        over = asyncio.Event()

        async def handle(request: web.Request, way: str = way, asked: list[str] = asked) -> web.StreamResponse:
            asked.append(request.query.get("from", ""))
            if asked[-1] and way == "status":
                return web.Response(status=410)
            response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
            await response.prepare(request)
            if asked[-1]:
                await response.write(b'{"error":"old"}\n')
                await over.wait()  # noqa: B023
            numbers = range(100 * len(asked), 100 * len(asked) + 3)
            await response.write(b"".join(b'{"n":%d}\n' % number for number in numbers))
            return response

        async with (
            serve(handle) as at,
            following(mapping(tmp_path, RESUMED.replace("RESUME", "{query: {from: '${cursor}'}}")), at.url) as stream,
        ):
            await until(lambda: len(asked) >= 5)  # noqa: B023
            over.set()
        assert asked[:4] == ["", "100", "", "300"], way
        failures = counts(stream, catalog.DISCONNECTS) | counts(stream, catalog.CONNECT_FAILURES)
        assert failures.get("position_refused"), (way, failures)
        assert stream.last_resume == "none"


async def test_a_polled_source_is_asked_for_its_pages_and_left_alone_as_long_as_it_wants(tmp_path: Path) -> None:
    server: Server

    async def handle(request: web.Request) -> web.StreamResponse:
        page = int(request.query.get("page", "1"))
        link = f'<{server.url}/events?page={page + 1}>; rel="next"'
        return web.json_response([{"id": f"{page}-{n}"} for n in "ab"], headers={"X-Pause": "3600", "Link": link})

    mapped = mapping(
        tmp_path,
        """\
authorize: query:token
poll: {interval-from: X-Pause, pages: link, max-pages: 3}
messages:
  - kind: event
    each: $[*]
    id: "@.id"
    metrics: [{name: events_total, type: counter, help: Events.}]
""",
    )
    async with (
        serve(handle) as server,
        following(mapped, server.url + "/events", protocol="poll", poll_interval_seconds=0.01) as stream,
    ):
        await until(lambda: counted(stream) == 6)
        assert {"token" in request.query for request in server.requests} == {False}  # as no header without a key
    key = tmp_path / "key"
    key.write_text("s3cret&key")
    async with (
        serve(handle) as server,
        following(
            mapped, server.url + "/events", protocol="poll", poll_interval_seconds=0.01, api_key_file=key
        ) as stream,
    ):
        await until(lambda: counted(stream) == 6 and stream.status().state is State.POLLING)
        await asyncio.sleep(0.1)  # ten intervals of the settings
        assert [request.query["token"] for request in server.requests] == ["s3cret&key"] * 3
        assert server.sent("Authorization") == [None] * 3
        assert "s3cret" not in repr(stream.status())


LISTED = """\
cursor: {path: $.version, order: ORDER, resume: {query: {since: "${cursor}"}}, invalid: {status: [410]}}
snapshot:
  url: "${origin}/list"
  cursor: $.version
  messages:
    - kind: list
      role: state
      each: $.items.*
      metrics: [{name: level, type: gauge, help: Level., value: "@", labels: {item: "@key"}}]
messages:
  - kind: event
    metrics:
      - {name: events_total, type: counter, help: Events.}
      - {name: level, type: gauge, help: Level., value: $.version, labels: {item: $.item}}
"""


class Listed:
    """A source of a list and of what changes it, each with its version: a history that a connection goes on in.

    Connection by connection it happens what `steps` say: how many changes are made before the list is answered, how
    many of the changes the connection brings before it ends, and from which version on there is a history (410 before).
    """

    def __init__(self, *steps: tuple[int, int, int]) -> None:
        self.since: list[str | None] = []
        self.brought: list[int] = []
        self.version = 0
        self.over = asyncio.Event()
        self._steps = list(steps)
        self._listed = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        made, brought, first = self._steps[0]
        if request.path == "/list":
            self.version += made
            self._listed.set()
            return web.json_response({"version": self.version, "items": {"a": self.version}})
        since = request.query.get("since")
        self.since.append(since)
        if since is not None and int(since) < first:
            return web.Response(status=410)
        start = self.version if since is None else int(since)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        await self._listed.wait()
        self._listed.clear()
        for version in range(start + 1, min(start + brought, self.version) + 1):
            self.brought.append(version)
            await response.write(json.dumps({"version": version, "item": "a"}).encode() + b"\n")
        self._steps.pop(0)
        if not self._steps:
            await self.over.wait()
        return response


@pytest.mark.parametrize("order", ["number", "opaque"])
async def test_a_stream_goes_on_from_where_the_list_beside_it_was_made(order: str, tmp_path: Path) -> None:
    """Nothing is counted twice or lost, though events have no id; a cursor that is too old gives way to the list's."""
    source = Listed(
        (3, 0, 0),  # versions 1 to 3 are there before the first list, and nothing else comes
        (2, 0, 0),  # 4 and 5 are made, and the link ends before it brings them
        (0, 1, 0),  # it brings 4
        (2, 0, 0),  # 6 and 7 are made and in the list, but the link does not bring them
        (0, 9, 0),  # 5, 6 and 7
        (3, 0, 99),  # 8 to 10 are made while the source forgets its history: they are in the list alone
        (1, 9, 10),  # 11
    )
    mapped = mapping(tmp_path, LISTED.replace("ORDER", order))
    link = {"protocol": "ndjson"}
    async with serve(source.handle) as at, following(mapped, at.url + "/watch", **link) as stream:
        try:
            await until(lambda: counted(stream) == 5 and stream.status().state is State.LIVE)
        finally:
            source.over.set()
    assert source.since == [None, "3", "3", "4", "4", "7", None, "10"]
    assert source.brought == [4, 5, 6, 7, 11]


SNAPSHOT = """\
snapshot:
  url: "${origin}/state?room=${param.room}"
  messages:
    - kind: state
      each: $.devices.*
      id: "@.n"
      metrics:
        - {name: events_total, type: counter, help: Events.}
        - {name: level, type: gauge, help: Level., value: "@.level", labels: {device: "@key"}}
messages:
  - kind: event
    id: $.n
    metrics:
      - {name: events_total, type: counter, help: Events.}
      - {name: level, type: gauge, help: Level., value: $.level, labels: {device: $.device}}
"""


async def test_the_state_beside_a_stream_has_entries_of_its_own(tmp_path: Path) -> None:
    """What it has is not counted again when the stream brings it, and the stream goes on from it."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/state":
            return web.json_response({"devices": {"a": {"n": 1, "level": 5}, "b": {"n": 2, "level": 6}}})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for number, level in ((2, 6), (3, 7)):
            await socket.send_json({"n": number, "device": "b", "level": level})
        await socket.receive()
        return socket

    mapped = mapping(tmp_path, SNAPSHOT)
    async with (
        serve(handle) as at,
        following(mapped, at.url.replace("http", "ws") + "/ws", parameters=(("room", "7"),)) as stream,
    ):
        await until(lambda: counted(stream) == 3 and stream.status().state is State.LIVE)
        shown = stream.snapshot().mapped
        assert shown is not None
        assert dict(shown.series["m_level"]) == {("a",): 5.0, ("b",): 7.0}
        assert {request.path_qs for request in at.requests} == {"/ws", "/state?room=7"}
        assert counts(stream, catalog.POLL_FAILURES) == {}
