"""Log records and spans of a stream with a mapping, as a collector receives them."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from iris_exporter import config
from iris_exporter.app import Exporter
from iris_exporter.otel.environment import read_otel
from tests.otel.receivers import HttpReceiver, attributes, http_receiver
from tests.otel.test_end_to_end import environment
from tests.tools import ROOT
from tests.transports.support import Server, serve
from tests.waiting import until

EXPECTED = ROOT / "tests/data/expected/otlp-mapped.txt"
KEY = "k3y-of-the-mapped-stream"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333{}-01"
MAPPINGS = """\
mappings:
  edits:
    namespace: wiki
    cursor: {path: meta.id, resume: {header: Last-Event-ID}}
    messages:
      - kind: edit
        when: {$.op: edit}
        id: [$.wiki, $.id]
        time: {path: $.at, format: unix}
        metrics: [{name: edits_total, type: counter, help: Edits., labels: {wiki: $.wiki}}]
        log:
          body: $.comment
          severity: {path: $.level, map: {W: warning, E: error}}
          attributes: {wiki: $.wiki, size: $.size, bot: $.bot, user: $.user, tags: $.tags, gone: $.gone}
        trace: {traceparent: $.trace}
      - kind: patrol
        when: {$.op: patrol}
        metrics: [{name: patrols_total, type: counter, help: Patrols.}]
        trace: {traceparent: $.trace}
      - kind: note
        when: {$.op: note}
        log: {body: $, severity: {value: debug}}
      - kind: state
        role: state
        when: {$.op: state}
        metrics: [{name: users, type: gauge, help: Users., value: $.users}]
streams:
  - {name: main, url: "URL", protocol: sse, mapping: edits, api-key-file: KEY_FILE, reconnect-initial: 50ms}
web: {listen-address: ["127.0.0.1:0"]}
"""
MESSAGES: list[dict[str, Any]] = [
    {"op": "state", "users": 3},
    {"op": "edit", "wiki": "de", "id": 1, "at": 1_760_000_000.25, "comment": "first", "level": "W", "size": 3},
    {"op": "edit", "wiki": "de", "id": 2, "at": 1_760_000_001, "comment": f"by {KEY}", "level": "?", "bot": True},
    {"op": "edit", "wiki": "de", "id": 1, "at": 1_760_000_000.25, "comment": "first", "level": "W", "size": 3},
    {"op": "edit", "wiki": "en", "id": 1, "user": {"name": KEY, KEY: [1, {"a": 2}]}, "tags": ["x"], "size": 0.5},
    {"op": "edit", "wiki": "en", "id": 3, "comment": "c" * 20_000, "level": "E", "trace": TRACEPARENT.format(1)},
    {"op": "patrol", "trace": TRACEPARENT.format(2)},
    {"op": "patrol", "trace": "no trace context"},
    {"op": "note", "text": "\u202e\u0007 end", "of": {"a": [1]}},
    {"op": "unknown"},
]


class Source:
    """A source of server-sent events: one more of `messages` on each connection, the last one of which stays open."""

    def __init__(self, messages: list[dict[str, Any]], first: int = 0) -> None:
        self._messages = messages
        self._sent = first
        self._over = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self._sent += 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for message in self._messages[: self._sent]:
            await response.write(f"data: {json.dumps(message)}\n\n".encode())
        if self._sent >= len(self._messages):
            await self._over.wait()
        return response

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Server]:
        async with serve(self.handle) as server:
            try:
                yield server
            finally:
                self._over.set()


@asynccontextmanager
async def running(server: Server, receiver: HttpReceiver, tmp_path: Path) -> AsyncIterator[Exporter]:
    (tmp_path / "key").write_text(KEY)
    file = tmp_path / "streams.yaml"
    text = MAPPINGS.replace("URL", f"{server.url}/s").replace("KEY_FILE", str(tmp_path / "key"))
    file.write_text(text)
    chosen = config.load({"config.file": str(file)}, {})
    async with Exporter(chosen, lambda: chosen, otel=read_otel(environment(receiver))) as exporter:
        yield exporter


def listing(receiver: HttpReceiver) -> str:
    """Records and spans of events, without what differs each time."""
    lines = []
    for record in receiver.received.records:
        if record.event_name == "iris.event":
            lines.append(
                f"log {record.severity_number} {record.severity_text} at {record.time_unix_nano} "
                f"{json.dumps(record.body.string_value)[:100]} ({len(record.body.string_value)})"
            )
            lines += shown(record)
    for span in receiver.received.spans:
        if span.name == "iris.event":
            lines.append(f"span {span.kind} linked to {', '.join(link.span_id.hex() for link in span.links)}")
            lines += shown(span)
    return "\n".join([*lines, ""])


def shown(record: Any) -> list[str]:
    return [f"  {name}: {json.dumps(value)}" for name, value in sorted(attributes(record.attributes).items())]


async def all_received(receiver: HttpReceiver, records: int, spans: int) -> None:
    def found(kind: str) -> int:
        if kind == "spans":
            return sum(span.name == "iris.event" for span in receiver.received.spans)
        return sum(record.event_name == "iris.event" for record in receiver.received.records)

    await until(lambda: found("records") >= records and found("spans") >= spans)


async def test_records_and_spans_are_those_of_the_golden_file(tmp_path: Path) -> None:
    with http_receiver() as receiver:
        source = Source(MESSAGES, len(MESSAGES))
        async with source.served() as server, running(server, receiver, tmp_path) as exporter:
            await all_received(receiver, 5, 2)
            series = exporter.streams()["main"].snapshot().mapped
    assert series is not None
    assert series.series["wiki_edits_total"] == {("de",): 2, ("en",): 2}
    found = listing(receiver)
    if os.environ.get("UPDATE_EXPECTED"):
        EXPECTED.write_text(found)
    assert found == EXPECTED.read_text()
    assert KEY not in found


async def test_what_comes_again_after_a_drop_is_no_second_record(tmp_path: Path) -> None:
    """A source that sends everything again on each connection."""
    messages = [
        {"op": "edit", "wiki": "de", "id": number, "comment": str(number), "trace": TRACEPARENT.format(1)}
        for number in range(4)
    ]
    with http_receiver() as receiver:
        async with Source(messages).served() as server, running(server, receiver, tmp_path):
            await all_received(receiver, 4, 4)
    records = [record for record in receiver.received.records if record.event_name == "iris.event"]
    assert [record.body.string_value for record in records] == ["0", "1", "2", "3"]
    assert [attributes(record.attributes)["iris.event.id"] for record in records] == [f"de\x1f{n}" for n in range(4)]
    assert len([span for span in receiver.received.spans if span.name == "iris.event"]) == 4
