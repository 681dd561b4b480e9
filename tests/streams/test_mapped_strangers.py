"""A stream with a mapping against servers that behave as strangers do: clear reasons, and nothing is told or lost."""

from pathlib import Path

import pytest
from aiohttp import web

from iris_exporter.core.status import Counted, State
from iris_exporter.instruments import catalog
from tests.streams.test_mapped_link import Socket, counted, following, mapping
from tests.transports.support import serve
from tests.waiting import until

OFTEN = {"poll_interval_seconds": 0.02}
EVENT = """\
messages:
  - kind: event
    id: $.id
    metrics: [{name: events_total, type: counter, help: Events.}]
"""
TOLD = {
    "open": 'authorize: message\nopen: [{send: {key: "${secret}"}}]\n',
    "open, after a wait": 'authorize: message\nopen: [{await: {$.type: hello}}, {send: {key: "${secret}"}}]\n',
    "a heartbeat": 'heartbeat: {send: {key: "${secret.other}"}}\n',
    "a resume": 'cursor: {path: $.id, order: opaque, resume: {message: {from: "${cursor}", key: "${secret}"}}}\n',
}


@pytest.mark.parametrize("told", TOLD.values(), ids=list(TOLD))
async def test_no_secret_is_said_to_where_a_source_redirects(told: str, tmp_path: Path) -> None:
    """Whoever answers can redirect, and a WebSocket is not asked for its key before it is sent."""
    key = tmp_path / "key"
    key.write_text("s3cret-key")

    async def hear(socket: web.WebSocketResponse, text: str) -> None:
        """Nothing."""

    elsewhere = Socket(hear, '{"type":"hello","id":"1"}')
    async with serve(elsewhere.handle) as other:

        async def redirect(request: web.Request) -> web.StreamResponse:
            raise web.HTTPTemporaryRedirect(f"{other.url}/ws")

        mapped = mapping(tmp_path, told + EVENT)
        async with (
            serve(redirect) as at,
            following(mapped, at.url.replace("http", "ws"), api_key_file=key, secrets=(("other", key),)) as stream,
        ):
            await until(lambda: len(at.requests) >= 2 and stream.status().failure is not None)
            failure = stream.status().failure
            assert failure is not None
            assert failure.reason == "redirect"
            assert f"to {other.url}, which would be told a secret" in failure.detail
    assert other.requests == []


async def test_where_nothing_secret_is_said_a_redirect_is_followed(tmp_path: Path) -> None:
    """And within the origin it is followed with secrets, too."""
    key = tmp_path / "key"
    key.write_text("s3cret-key")

    async def hear(socket: web.WebSocketResponse, text: str) -> None:
        await socket.send_str('{"id":"1"}')

    server = Socket(hear)

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/ws":
            raise web.HTTPTemporaryRedirect("/moved")
        return await server.handle(request)

    async with serve(handle) as at:
        url = f"{at.url.replace('http', 'ws')}/ws"
        async with following(mapping(tmp_path, TOLD["open"] + EVENT), url, api_key_file=key) as stream:
            await until(lambda: counted(stream) == 1)
        assert server.heard[0][0] == '{"key":"s3cret-key"}'

        async def redirect(request: web.Request) -> web.StreamResponse:
            raise web.HTTPTemporaryRedirect(f"{at.url}/moved")

        mapped = mapping(tmp_path, "open: [{send: {hello: there}}]\n" + EVENT)
        async with serve(redirect) as first, following(mapped, first.url.replace("http", "ws")) as stream:
            await until(lambda: counted(stream) == 1)


async def test_lines_are_polled_under_their_media_type(tmp_path: Path) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b'{"id":"1"}\n\n{"id":"2"}', content_type="application/x-ndjson")

    mapped = mapping(tmp_path, "format: ndjson\n" + EVENT)
    async with serve(handle) as at, following(mapped, at.url, protocol="poll") as stream:
        await until(lambda: counted(stream) == 2 and stream.status().state is State.POLLING)


LIST = """\
limits: {ids: 5}
messages:
  - kind: list
    each: $[*]
    id: "@.id"
    metrics: [{name: events_total, type: counter, help: Events.}]
"""


async def test_a_polled_list_of_more_ids_than_are_remembered_takes_the_guarantee_back(tmp_path: Path) -> None:
    """Its elements are counted again with each poll, and nothing may say otherwise."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.json_response([{"id": str(number)} for number in range(20)])

    async with serve(handle) as at, following(mapping(tmp_path, LIST), at.url, protocol="poll", **OFTEN) as stream:
        counts = stream.instruments.mapped
        assert counts is not None
        await until(lambda: counted(stream) >= 40)
        assert (counts.guarantee, counts.holds) == (Counted.AT_MOST_ONCE, Counted.NONE)


async def test_messages_of_a_few_elements_each_take_nothing_back(tmp_path: Path) -> None:
    """However many of them come at once."""

    async def hear(socket: web.WebSocketResponse, text: str) -> None:
        for number in range(20):
            await socket.send_json([{"id": f"{number}-{each}"} for each in range(4)])

    text = LIST + "open: [{send: {hello: there}}]\n"
    async with (
        serve(Socket(hear).handle) as at,
        following(mapping(tmp_path, text), at.url.replace("http", "ws")) as stream,
    ):
        await until(lambda: counted(stream) == 80)
        assert stream.instruments.mapped is not None
        assert stream.instruments.mapped.holds is Counted.AT_MOST_ONCE


async def test_a_page_that_failed_is_not_hidden_by_not_modified(tmp_path: Path) -> None:
    """The first page has an entity tag; the second one failed, and what it has comes with the next poll."""
    second: list[int] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.query.get("page") == "2":
            second.append(1)
            return web.Response(status=500) if len(second) == 1 else web.json_response([{"id": "2"}])
        headers = {"ETag": '"1"', "Link": '</?page=2>; rel="next"'}
        if request.headers.get("If-None-Match") == '"1"':
            return web.Response(status=304, headers=headers)
        return web.json_response([{"id": "1"}], headers=headers)

    text = LIST + "poll: {pages: link, max-pages: 2}\n"
    async with serve(handle) as at, following(mapping(tmp_path, text), at.url, protocol="poll", **OFTEN) as stream:
        await until(lambda: counted(stream) == 2 and stream.status().state is State.POLLING)


async def test_history_is_known_without_a_resume_on_every_connection(tmp_path: Path) -> None:
    """A cursor that finds gaps alone does not keep the source from sending its history again."""

    async def hear(socket: web.WebSocketResponse, text: str) -> None:
        for number in (1, 2):
            await socket.send_json({"n": number})
        await socket.send_json({"end": True})
        if len(server.heard) == 1:
            await socket.send_json({"n": 3})
            await socket.close()

    server = Socket(hear)
    text = (
        "open: [{send: {hello: there}}]\nhistory: {until: {$.end: true}}\n"
        "cursor: {path: $.n, order: number}\nmessages:\n"
        "  - {kind: end, when: {$.end: true}, role: ack}\n"
        "  - {kind: event, metrics: [{name: events_total, type: counter, help: Events.}]}\n"
    )
    async with (
        serve(server.handle) as at,
        following(mapping(tmp_path, text), at.url.replace("http", "ws")) as stream,
    ):
        ends = stream.instruments.counter(catalog.MESSAGES)
        await until(lambda: ends.counts().get("end") == 2)
        assert counted(stream) == 1
