"""A stream with a mapping, whole: what its source is sent and asked, and what lasts over reloads and restarts."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from iris_exporter import logs
from iris_exporter.clock import SystemClock
from iris_exporter.config import yaml_text
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.status import State
from iris_exporter.http.session import open_session
from iris_exporter.instruments import catalog
from iris_exporter.instruments.exposition import Exposition, Source
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.text import Format
from iris_exporter.mapping.reading import read_mappings
from iris_exporter.mapping.spec import Mapping
from iris_exporter.persistence.cursor_store import CursorRecord, CursorStore
from iris_exporter.settings import StreamSettings
from iris_exporter.streams.registry import Streams
from iris_exporter.streams.stream import Stream
from tests.settings import stream_settings
from tests.waiting import until

TEXT = """\
mappings:
  m:
    namespace: m
    cursor: {path: meta.id, order: opaque, resume: {header: Last-Event-ID}}
    messages:
      - kind: change
        when: {$.op: change}
        id: $.id
        metrics:
          - {name: changes_total, type: counter, help: Changes., labels: {wiki: $.wiki}}
          - {name: size_bytes, type: gauge, help: Size., value: $.size, labels: {wiki: $.wiki}}
          - {name: length_bytes, type: histogram, help: Length., value: $.size, buckets: [10], labels: {wiki: $.wiki}}
"""
QUICK: dict[str, Any] = {
    "heartbeat_interval_seconds": 0.03, "heartbeat_timeout_seconds": 60.0, "poll_interval_seconds": 0.03,
    "reconnect_initial_seconds": 0.01, "reconnect_max_seconds": 0.02, "reconnect_attempts": 3,
    "live_retry_interval_seconds": 3600.0, "stable_after_seconds": 3600.0, "max_connections_per_hour": 0,
}  # fmt: skip


def mapping(tmp_path: Path, text: str = TEXT) -> Mapping:
    path = tmp_path / "mapping.yaml"
    path.write_text(text)
    table, problems = yaml_text.read(path)
    read = read_mappings([(table.entries["mappings"], str(path))])
    assert [*problems, *read.problems] == []
    return read.by_name["m"]


def message(number: int, wiki: str = "x", size: float = 5) -> str:
    return json.dumps({"op": "change", "id": f"e{number}", "wiki": wiki, "size": size})


class Recorder:
    """A server that notes every request and every message; `answer` says how it answers a request."""

    def __init__(self, answer: Callable[["Recorder", web.Request], Any]) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.heard: list[tuple[WSMsgType, object]] = []
        self.messages = [message(1), message(2)]
        self.over = asyncio.Event()
        self.url = ""
        self._answer = answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((str(request.rel_url), dict(request.headers)))
        response: web.StreamResponse = await self._answer(self, request)
        return response

    @property
    def paths(self) -> set[str]:
        return {path for path, _ in self.requests}


async def socket(server: Recorder, request: web.Request) -> web.StreamResponse:
    response = web.WebSocketResponse(autoping=False)
    await response.prepare(request)
    for each in server.messages:
        await response.send_str(each)
    async for received in response:
        server.heard.append((received.type, received.data))
        if received.type is WSMsgType.PING:
            await response.pong(received.data)
    return response


async def binary_socket(server: Recorder, request: web.Request) -> web.StreamResponse:
    response = web.WebSocketResponse()
    await response.prepare(request)
    for each in server.messages:
        await response.send_bytes(each.encode("utf-8", "surrogateescape"))
    await server.over.wait()
    return response


async def events(server: Recorder, request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    after = int(request.headers.get("Last-Event-ID", "0"))
    for number, each in enumerate(server.messages, 1):
        if number > after:
            await response.write(f"id: {number}\ndata: {each}\n\n".encode())
    await server.over.wait()
    return response


async def document(server: Recorder, request: web.Request) -> web.StreamResponse:
    return web.json_response(text=server.messages[-1])


async def missing(server: Recorder, request: web.Request) -> web.StreamResponse:
    return web.Response(status=503)


@asynccontextmanager
async def recording(answer: Callable[[Recorder, web.Request], Any]) -> AsyncIterator[Recorder]:
    server = Recorder(answer)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        server.over.set()
        await runner.cleanup()


def settings_of(mapped: Mapping | None, url: str, **changes: Any) -> StreamSettings:
    name = "iris" if mapped is None else mapped.name
    return stream_settings(**{"name": "s", "url": url, "mapping": name, "mapped": mapped, **QUICK, **changes})


@asynccontextmanager
async def following(settings: StreamSettings, record: CursorRecord | None = None) -> AsyncIterator[Stream]:
    async with open_session() as session:
        stream = Stream(settings, session, SystemClock(), lambda: 0.5, ConnectionBudgets(), record)
        stream.connect()
        try:
            yield stream
        finally:
            await stream.stop()


def printed(stream: Stream) -> list[str]:
    source = Source(stream.instruments, stream.status(), stream.snapshot())
    exposition = Exposition(lambda: [source], SelfMetrics("1", "a", "3"), process_metrics=False)
    return b"".join(exposition.render(Format.TEXT)).decode().splitlines()


def counted(stream: Stream) -> int:
    return stream.instruments.counter(catalog.MESSAGES).counts()["change"]


# What a source is sent


@pytest.mark.parametrize("path", ["/feed", "/ws/feed", "/api/graphql", "/api/stream"])
async def test_a_websocket_hears_nothing_but_protocol_pings(tmp_path: Path, path: str) -> None:
    async with recording(socket) as server:
        url = server.url.replace("http", "ws") + path
        async with following(settings_of(mapping(tmp_path), url)) as stream:
            await until(lambda: sum(kind is WSMsgType.PING for kind, _ in server.heard) >= 3)
            await until(lambda: counted(stream) == 2)
            assert stream.status().state is State.LIVE
        assert {kind for kind, _ in server.heard} == {WSMsgType.PING}, "no ping, resume or subscription of IRIS"
        assert server.paths == {path}, "no overview is asked for"
        (headers,) = [headers for _, headers in server.requests]
        assert "Sec-WebSocket-Protocol" not in headers


@pytest.mark.parametrize("protocol", ["sse", "auto"])
async def test_an_event_stream_is_asked_at_its_address_alone(tmp_path: Path, protocol: str) -> None:
    async with recording(events) as server:
        async with following(settings_of(mapping(tmp_path), server.url + "/graphql", protocol=protocol)) as stream:
            await until(lambda: counted(stream) == 2)
        assert server.paths == {"/graphql"}
        assert len(server.requests) == 1
        assert "Last-Event-ID" not in server.requests[0][1]


async def test_a_document_is_polled_at_its_address_alone(tmp_path: Path) -> None:
    async with recording(document) as server:
        async with following(settings_of(mapping(tmp_path), server.url + "/state", protocol="poll")) as stream:
            await until(lambda: len(server.requests) >= 4)
            assert stream.status().state is State.POLLING
            assert 'm_changes_total{stream="s",wiki="x"} 1.0' in printed(stream), "once, however often it is polled"
        assert server.paths == {"/state"}


@pytest.mark.parametrize("scheme", ["ws", "http"])
async def test_a_source_with_nothing_to_poll_stays_in_error_on_the_slow_schedule(tmp_path: Path, scheme: str) -> None:
    async with recording(missing) as server:
        url = server.url.replace("http", scheme) + "/api/stream/overview"
        async with following(settings_of(mapping(tmp_path), url)) as stream:
            await until(lambda: stream.status().state is State.ERROR)
            status = stream.status()
            assert status.next_attempt_at is not None
            assert status.next_attempt_at - SystemClock().wall() > 1000
            assert status.protocol == "none"
            assert stream.instruments.counter(catalog.POLLS).total == 0
        assert server.paths == {"/api/stream/overview"}
        assert len(server.requests) == 4


async def test_the_guarantee_is_that_of_the_protocol_in_use(tmp_path: Path) -> None:
    mapped = mapping(tmp_path)
    async with recording(events) as server, following(settings_of(mapped, server.url + "/feed")) as stream:
        await until(lambda: counted(stream) == 2)
        assert 'iris_stream_guarantee{guarantee="exactly_once",stream="s"} 1.0' in printed(stream)
    without = mapping(tmp_path, TEXT.replace("        id: $.id\n", ""))
    async with recording(document) as server, following(settings_of(without, server.url + "/feed")) as stream:
        await until(lambda: stream.status().state is State.POLLING)
        assert stream.instruments.mapped is not None
        assert stream.instruments.mapped.guarantee in ("none", "at_least_once")


async def test_binary_frames_of_json_are_messages_and_others_are_counted(tmp_path: Path) -> None:
    """Bad UTF-8 in one is no reason to end the connection, as it would be in a text frame."""
    async with recording(binary_socket) as server:
        server.messages = [message(1, "\xe4"), "\udcff", "\b\x01", message(2)]
        settings = settings_of(mapping(tmp_path), server.url.replace("http", "ws"))
        async with following(settings) as stream:
            await until(lambda: counted(stream) == 2)
            errors = stream.instruments.counter(catalog.DECODE_ERRORS).counts()
            assert {reason: count for reason, count in errors.items() if count} == {"not_utf8": 1, "not_json": 1}
            assert 'm_changes_total{stream="s",wiki="\xe4"} 1.0' in printed(stream)
    assert len(server.requests) == 1


# What lasts


async def test_a_mapping_that_changes_goes_on_with_what_stays_the_same(tmp_path: Path) -> None:
    async with recording(events) as server:
        async with following(settings_of(mapping(tmp_path), server.url + "/feed")) as stream:
            await until(lambda: counted(stream) == 2)
            changed = (
                TEXT.replace("Changes.", "Changes of pages.").replace("size_bytes", "bytes").replace("[10]", "[20]")
            )
            changed = changed.replace("kind: change", "kind: edit")
            server.messages.append(message(3, size=30))
            await stream.reconfigure(settings_of(mapping(tmp_path, changed), server.url + "/feed"))
            await until(lambda: stream.instruments.counter(catalog.MESSAGES).counts().get("edit") == 1)
            lines = printed(stream)
            for line in (
                "# HELP m_changes_total Changes of pages.",
                'm_changes_total{stream="s",wiki="x"} 3.0',
                'm_bytes{stream="s",wiki="x"} 30.0',
                'm_length_bytes_count{stream="s",wiki="x"} 1.0',
                'iris_stream_messages_total{message_type="change",stream="s"} 2.0',
            ):
                assert line in lines
            assert not [line for line in lines if line.startswith("m_size_bytes")], (
                "a metric that is gone has no series"
            )
        assert [headers.get("Last-Event-ID") for _, headers in server.requests] == [None, "2"]


async def test_a_mapping_with_other_ids_starts_afresh_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.setup("info", "logfmt")
    async with recording(events) as server:
        async with following(settings_of(mapping(tmp_path), server.url + "/feed")) as stream:
            await until(lambda: counted(stream) == 2)
            other = mapping(tmp_path, TEXT.replace("id: $.id", "id: [$.id, $.wiki]"))
            await stream.reconfigure(settings_of(other, server.url + "/feed"))
            await until(lambda: counted(stream) == 4)
            assert 'm_changes_total{stream="s",wiki="x"} 4.0' in printed(stream), "counters never fall"
        assert [headers.get("Last-Event-ID") for _, headers in server.requests] == [None, None]
    assert "event=stream.cursor_forgotten" in capsys.readouterr().err


async def test_what_was_recorded_is_resumed_from_and_counts_once(tmp_path: Path) -> None:
    store = CursorStore(tmp_path / "state")
    mapped = mapping(tmp_path)
    async with recording(events) as server:
        url = server.url + "/feed"
        async with following(settings_of(mapped, url)) as stream:
            await until(lambda: counted(stream) == 2)
            pending = stream.pending_record()
            assert stream.pending_record() is pending, "the same as long as nothing has changed"
            store.stage([pending.build()]).commit()
        server.messages += [message(2), message(3)]
        record = store.load("s", url, mapped.fingerprint)
        assert record is not None
        assert (record.mapping, record.cursor.opaque, record.ids) == ("m", "2", ["e1", "e2"])
        async with following(settings_of(mapped, url), record) as stream:
            await until(lambda: counted(stream) == 2)
            assert 'm_changes_total{stream="s",wiki="x"} 1.0' in printed(stream), "e2 was known"
        assert server.requests[-1][1]["Last-Event-ID"] == "2"


@pytest.mark.parametrize("fingerprint", ["", "another"])
def test_a_record_of_another_mapping_is_set_aside(
    tmp_path: Path, fingerprint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.setup("info", "logfmt")
    store, mapped = CursorStore(tmp_path), mapping(tmp_path)
    url = "http://h/feed"
    stream = Stream(
        settings_of(mapped, url),
        None,
        SystemClock(),
        lambda: 0.5,
        ConnectionBudgets(),  # type: ignore[arg-type]
    )
    store.stage([stream.pending_record().build()]).commit()
    assert store.load("s", url, mapped.fingerprint) is not None
    assert store.load("s", url, fingerprint) is None
    assert "event=state.set_aside" in capsys.readouterr().err
    assert store.load("s", url, mapped.fingerprint) is None


async def test_a_stream_that_becomes_another_kind_of_source_starts_anew(tmp_path: Path) -> None:
    mapped = mapping(tmp_path)
    made: list[Stream] = []
    async with open_session() as session:

        async def make(settings: StreamSettings) -> Stream:
            made.append(Stream(settings, session, SystemClock(), lambda: 0.5, ConnectionBudgets()))
            return made[-1]

        streams = Streams(make, SystemClock())
        url = "http://127.0.0.1:1/feed"
        assert (await streams.reconcile([settings_of(mapped, url)]))["added"] == 1
        assert (await streams.reconcile([settings_of(mapped, url, poll_interval_seconds=9.0)]))["changed"] == 1
        assert len(made) == 1
        done = await streams.reconcile([settings_of(None, url)])
        assert (done["added"], done["removed"]) == (1, 1)
        assert len(made) == 2
        assert made[1].instruments.mapped is None
        await streams.stop()


async def test_what_limits_leave_out_is_counted_by_kind_and_metric(tmp_path: Path) -> None:
    small = TEXT.replace("labels: {wiki: $.wiki}}", "limit: 2, labels: {wiki: {path: $.wiki, max-values: 2}}}")
    async with recording(events) as server:
        server.messages = [message(number, wiki=f"w{number % 5}") for number in range(15)]
        async with following(settings_of(mapping(tmp_path, small), server.url + "/feed")) as stream:
            await until(lambda: counted(stream) == 15)
            lines = printed(stream)
            assert 'm_changes_total{stream="s",wiki="other"} 9.0' in lines
            # Samples by kind, and label sets by metric, each once.
            assert 'iris_stream_dropped_total{kind="label_values",stream="s"} 27.0' in lines
            for metric in ("m_changes_total", "m_size_bytes", "m_length_bytes"):
                assert f'iris_exporter_series_dropped_total{{metric="{metric}",stream="s"}} 3.0' in lines
            dropped = stream.instruments.counter(catalog.STREAM_DROPPED).counts()
            assert dropped["label_values"] + dropped["series"] >= 9


async def test_keys_without_room_for_a_cursor_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iris_exporter.core.places.MAX_KEYS", 2)
    by_wiki = TEXT.replace(
        "cursor: {path: meta.id, order: opaque, resume: {header: Last-Event-ID}}",
        "cursor: {path: $.size, order: number, by: $.wiki, gaps: count}",
    )
    async with recording(events) as server:
        server.messages = [message(number, wiki=f"w{number}", size=number) for number in range(5)]
        async with following(settings_of(mapping(tmp_path, by_wiki), server.url + "/feed")) as stream:
            await until(lambda: counted(stream) == 5)
            assert stream.instruments.counter(catalog.STREAM_DROPPED).counts()["cursor_keys"] == 3
