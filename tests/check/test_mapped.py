"""A stream with a mapping is checked as what its mapping says, and nothing of IRIS is asked or missed."""

import json
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from iris_exporter.check.diagnosis import diagnose
from iris_exporter.check.measured import measured
from iris_exporter.check.probes import examine
from iris_exporter.clock import SystemClock
from tests.streams.test_mapped_stream import (
    TEXT,
    Recorder,
    binary_socket,
    document,
    events,
    mapping,
    message,
    missing,
    recording,
    settings_of,
    socket,
)

WAIT_SECONDS = 0.4


@pytest.mark.parametrize(
    ("answer", "scheme"), [(socket, "ws"), (binary_socket, "ws"), (events, "http"), (document, "http")]
)
async def test_a_source_that_its_mapping_knows_is_well(tmp_path: Path, answer: object, scheme: str) -> None:
    async with recording(answer) as server:  # type: ignore[arg-type]
        settings = settings_of(mapping(tmp_path), server.url.replace("http", scheme) + "/graphql")
        seen = await examine(settings, WAIT_SECONDS, SystemClock(), lambda _: None)
        found = [each for each in diagnose(seen, settings) if each.id != "not_heard_long_enough"]
        assert found == []
        rows = dict(measured(seen, settings))
        assert rows["mapping"] == "m"
        assert rows["messages by type"] == ("change 1" if answer is document else "change 2")
        assert "events have ids" in rows["guarantee"]
        assert not {"snapshot", "shape", "figures"} & rows.keys()
        assert "projects" not in rows.get("limits", "")
        assert server.paths == {"/graphql"}


async def test_the_key_goes_where_the_mapping_says_and_its_refusal_is_not_called_accepted(tmp_path: Path) -> None:
    """A source that wants the key in a message is not sent it in a header as well."""

    async def refuse(server: Recorder, request: web.Request) -> web.StreamResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        server.heard.append((WSMsgType.TEXT, (await response.receive()).data))
        await response.send_str('{"op":"refused","text":"bad token"}')
        await server.over.wait()
        return response

    steps = """\
    authorize: message
    open:
      - send: {token: "${secret}"}
      - await: {$.op: welcome}
        fail: {when: {$.op: refused}, as: unauthorized}
    messages:
      - {kind: refused, when: {$.op: refused}, role: error, error: {message: $.text}}
"""
    key = tmp_path / "key"
    key.write_text("the-key-of-the-source")
    async with recording(refuse) as server:
        mapped = mapping(tmp_path, TEXT.replace("    messages:\n", steps))
        settings = settings_of(mapped, server.url.replace("http", "ws"), api_key_file=key)
        seen = await examine(settings, WAIT_SECONDS, SystemClock(), lambda _: None)
        assert [headers.get("Authorization") for _, headers in server.requests] == [None]
        assert server.heard == [(WSMsgType.TEXT, '{"token":"the-key-of-the-source"}')]
        assert "unauthorized" in [each.id for each in diagnose(seen, settings)]
        assert "authentication" not in dict(measured(seen, settings))


async def test_a_mapping_of_another_source_is_found(tmp_path: Path) -> None:
    async with recording(events) as server:
        server.messages = [json.dumps({"type": "event", "data": {}})] * 3
        settings = settings_of(mapping(tmp_path), server.url + "/feed")
        (found, *_) = diagnose(await examine(settings, WAIT_SECONDS, SystemClock(), lambda _: None), settings)
        assert (found.id, found.detail) == ("not_mapped", "3 messages of unknown types")


async def test_what_a_mapping_cannot_read_is_named(tmp_path: Path) -> None:
    text = TEXT.replace("value: $.size", "required: true, value: $.size")
    async with recording(events) as server:
        server.messages = [message(1), json.dumps({"op": "change", "id": "e2", "wiki": "x", "size": "many"})]
        settings = settings_of(mapping(tmp_path, text), server.url + "/feed")
        (found,) = diagnose(await examine(settings, WAIT_SECONDS, SystemClock(), lambda _: None), settings)
        assert found.id == "mapping_problems"
        assert "not_a_number of m_size_bytes (1 times)" in found.detail


async def test_no_address_of_iris_is_asked_after_a_failure(tmp_path: Path) -> None:
    async def hang(server: Recorder, request: web.Request) -> web.StreamResponse:
        await server.over.wait()
        return web.Response()

    for answer in (missing, hang):
        async with recording(answer) as server:
            settings = settings_of(mapping(tmp_path), server.url + "/api/stream/overview", connect_timeout_seconds=0.3)
            seen = await examine(settings, WAIT_SECONDS, SystemClock(), lambda _: None)
            assert seen.failure is not None
            assert seen.rest_through == ""
            assert server.paths == {"/api/stream/overview"}
