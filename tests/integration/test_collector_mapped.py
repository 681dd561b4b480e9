"""A real OpenTelemetry Collector receives the log records and spans of a stream with a mapping."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from iris_exporter.instruments import signals
from tests.integration.collector import Collector, Record, collector
from tests.integration.harness import Sidecar, sidecar
from tests.integration.programs import wait_until
from tests.integration.test_collector import otlp
from tests.transports.support import Server, serve

pytestmark = [pytest.mark.integration, pytest.mark.needs("otelcol")]

MAPPINGS = """\
mappings:
  edits:
    namespace: wiki
    cursor: {path: meta.id, order: number, resume: {header: Last-Event-ID}}
    messages:
      - kind: edit
        id: [$.wiki, $.id]
        time: {path: $.at, format: unix_ms}
        metrics: [{name: edits_total, type: counter, help: Edits.}]
        log:
          body: $.comment
          severity: {path: $.level, map: {W: warning, E: error, C: critical}}
          attributes: {wiki: $.wiki, size: $.size, share: $.share, bot: $.bot, user: $.user, tags: $.tags, gone: $.gone}
        trace: {traceparent: $.trace}
"""
SEVERITIES = {"W": ("warning", 13), "E": ("error", 17), "C": ("critical", 21), "odd": ("odd", 0)}
COMMITS = "text/plain;version=0.0.4"


def edit(number: int) -> dict[str, Any]:
    """What the source sends as its event of that number."""
    return {
        "wiki": "de" if number % 2 else "en",
        "id": number,
        "at": 1_760_000_000_000 + number,
        "comment": f"edit {number} \u00e4 \u6f22",
        "level": list(SEVERITIES)[number % len(SEVERITIES)],
        "size": number,
        "share": number + 0.5,
        "bot": number % 3 == 0,
        "user": {"name": f"user-{number}", "edits": number},
        "tags": ["a", number],
        "trace": f"00-{number + 1:032x}-{number + 2:016x}-01",
    }


class Source:
    """Server-sent events, each with its number as id, from the one behind `Last-Event-ID` on."""

    def __init__(self) -> None:
        self.sent = 0  # events that there are
        self.resumed_from: list[str | None] = []
        self._life = 0
        self._over = False
        self._changed = asyncio.Condition()

    async def publish(self, count: int) -> None:
        async with self._changed:
            self.sent += count
            self._changed.notify_all()

    async def drop(self, *, over: bool = False) -> None:
        """End all connections in the middle of an event."""
        async with self._changed:
            self._life += 1
            self._over = over
            self._changed.notify_all()

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Server]:
        async with serve(self._handle) as server:
            try:
                yield server
            finally:
                await self.drop(over=True)

    def _has_more(self, number: int, life: int) -> bool:
        return self.sent > number or life != self._life or self._over

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        after = request.headers.get("Last-Event-ID")
        self.resumed_from.append(after)
        life, number = self._life, 0 if after is None else int(after) + 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with suppress(ConnectionError):
            while life == self._life and not self._over:
                while number < self.sent:
                    await response.write(f"id: {number}\ndata: {json.dumps(edit(number))}\n\n".encode())
                    number += 1
                async with self._changed:
                    await self._changed.wait_for(partial(self._has_more, number, life))
            await response.write(f"id: {number}\ndata: {json.dumps(edit(number))[:40]}".encode())
            assert request.transport is not None
            request.transport.close()
        return response


def events(records: list[Record], name: str) -> dict[int, list[Record]]:
    """Records or spans of events by the number of the event, in the order of arrival."""
    found: dict[int, list[Record]] = {}
    for record in records:
        if record.body.get("eventName", record.body.get("name")) == name:
            wiki, number = str(record.attributes["iris.event.id"]).split("\x1f")
            assert wiki == edit(int(number))["wiki"]
            found.setdefault(int(number), []).append(record)
    return found


async def arrived(server: Collector, count: int) -> None:
    """Wait until the collector has a record and a span of each of the first `count` events."""

    async def check() -> bool:
        spans, logs = server.spans(), server.logs()
        return all(
            set(range(count)) <= events(records, name).keys()
            for records, name in ((spans, signals.EVENT_SPAN.name), (logs, signals.EVENT_LOG.name))
        )

    await wait_until(check, f"records and spans of {count} events", 30)


@asynccontextmanager
async def life(directory: Path, server: Collector, at: Server) -> AsyncIterator[Sidecar]:
    file = directory / "mappings.yaml"
    file.write_text(MAPPINGS)
    of_stream = (
        f"--stream.url={at.url}/edits",
        "--stream.protocol=sse",
        "--stream.mapping=edits",
        "--stream.reconnect-initial=100ms",
    )
    options = (f"--mapping-files={file}", f"--state.dir={directory / 'state'}", *of_stream)
    async with sidecar(*options, environment=otlp(server, "http/protobuf")) as exporter:
        yield exporter


@pytest.mark.slow
@pytest.mark.time_limit(120)
async def test_events_of_a_mapping_are_records_and_spans_over_a_drop_and_a_kill(tmp_path: Path) -> None:
    """Once up to the last scrape that a store made; what followed it before a kill may come again, and all is there."""
    source = Source()
    async with collector(tmp_path) as server, source.served() as at:
        async with life(tmp_path, server, at) as exporter:
            await source.publish(10)
            await arrived(server, 10)
            await source.drop()
            await source.publish(20)
            await arrived(server, 30)
            page = await exporter.get("/metrics", Accept=COMMITS)
            assert 'wiki_edits_total{stream="default"} 30.0' in page
            await source.publish(10)
            await arrived(server, 40)
            await source.publish(10)
            await exporter.counts("wiki_edits_total", 41)  # the others are on any part of their way
            await exporter.kill()
        async with life(tmp_path, server, at) as exporter:
            await source.publish(5)
            await arrived(server, 55)
            assert (await exporter.scrape()).total("wiki_edits_total") == 25
        await server.stop()

    assert (source.resumed_from[0], source.resumed_from[-1]) == (None, "29")
    assert "9" in source.resumed_from
    spans, logs = events(server.spans(), signals.EVENT_SPAN.name), events(server.logs(), signals.EVENT_LOG.name)
    for found in (spans, logs):
        assert sorted(found) == list(range(55))
        times = Counter({number: len(each) for number, each in found.items()})
        assert {times[number] for number in (*range(30), *range(50, 55))} == {1}
        assert {times[number] for number in range(30, 40)} == {2}
        assert {times[number] for number in range(40, 50)} <= {1, 2}
    for number in range(55):
        for record in logs[number]:
            check_record(record, edit(number))
        for span in spans[number]:
            check_span(span, edit(number))


def check_record(record: Record, sent: dict[str, Any]) -> None:
    """It says what the source said."""
    body = record.body
    assert body["body"] == {"stringValue": sent["comment"]}
    assert (body.get("severityText"), body.get("severityNumber", 0)) == SEVERITIES[sent["level"]]
    assert int(body["timeUnixNano"]) == sent["at"] * 1_000_000 < int(body["observedTimeUnixNano"])
    assert record.attributes == of_event(sent) | {
        "wiki": sent["wiki"],
        "size": sent["size"],
        "share": sent["share"],
        "bot": sent["bot"],
        "user.name": sent["user"]["name"],
        "user.edits": sent["id"],
        "tags": json.dumps(sent["tags"], separators=(",", ":")),
    }


def check_span(span: Record, sent: dict[str, Any]) -> None:
    """It is linked to the span that the source named, and to nothing else."""
    _, trace_id, span_id, _ = sent["trace"].split("-")
    assert [(link["traceId"], link["spanId"]) for link in span.body["links"]] == [(trace_id, span_id)]
    assert of_event(sent).items() <= span.attributes.items()


def of_event(sent: dict[str, Any]) -> dict[str, Any]:
    """The attributes that every record and span of an event has."""
    return {
        "iris.stream": "default",
        "iris.mapping": "edits",
        "iris.event.type": "edit",
        "iris.event.id": f"{sent['wiki']}\x1f{sent['id']}",
    }
