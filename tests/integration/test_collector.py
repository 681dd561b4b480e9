"""A real OpenTelemetry Collector receives what the sidecar says about the reference backend's day."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from iris_exporter.core.severities import SEVERITIES
from iris_exporter.instruments import signals
from tests.integration.collector import Collector, Record, collector
from tests.integration.harness import Scrape, Sidecar, sidecar
from tests.integration.otlp_listing import ERROR, listing
from tests.integration.programs import wait_until
from tests.integration.reference import ReferenceBackend, reference_backend
from tests.tools import ROOT

EXPECTED = ROOT / "tests/data/expected"
KEY, TOKEN = "key-of-the-stream-4711", "token-of-the-collector-4712"

# Three quick attempts, then polling; from there the live transport is tried again twice a second.
SHORT = (
    "--stream.reconnect-initial=100ms",
    "--stream.reconnect-max=200ms",
    "--stream.reconnect-attempts=3",
    "--stream.stable-after=200ms",
    "--stream.live-retry-interval=500ms",
    "--stream.poll-interval=200ms",
    "--stream.connect-timeout=1s",
)
AT_ONCE = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_BLRP_SCHEDULE_DELAY": "50"}

pytestmark = [pytest.mark.integration, pytest.mark.needs("otelcol")]


def otlp(server: Collector, protocol: str, **more: str) -> dict[str, str]:
    """The variables that make a sidecar export to a collector without waiting for a full batch."""
    endpoint = server.grpc_endpoint if protocol == "grpc" else server.http_endpoint
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        **AT_ONCE,
        **more,
    }


async def documents(backend: ReferenceBackend, key: str = "") -> dict[str, dict[str, Any]]:
    """Id to document of the last thousand events that the backend has made."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{backend.url}/api/events?limit=10000", headers=headers) as got,
    ):
        assert got.status == 200
        return {str(event["id"]): event for event in await got.json()}


def state_lines(exporter: Sidecar) -> list[dict[str, Any]]:
    """The sidecar's own log of what becomes a log record as well."""
    return [line for line in exporter.log() if line["event"] in ("stream.state", "reconnect.scheduled")]


def made(exporter: Sidecar, scrape: Scrape) -> float:
    """Log records made so far, as the sidecar's other outputs have it: its counters, and its own log."""
    return scrape.total("iris_events_total") + len(state_lines(exporter))


def flat(metadata: dict[str, Any], prefix: str = "iris.event.metadata.") -> Iterator[tuple[str, Any]]:
    """What metadata become as attributes."""
    for name, value in metadata.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | dict):
            yield f"{prefix}{name}", json.dumps(value, separators=(",", ":"))
        elif value is not None:
            yield f"{prefix}{name}", value


async def all_is_exported(exporter: Sidecar) -> Scrape:
    """The scrape in which every log record that was made has left; call it while the source is at rest."""

    async def check() -> Scrape | None:
        scrape = await exporter.scrape()
        if scrape.total("iris_exporter_otlp_queued"):
            return None
        left = sum(scrape.total(f"iris_exporter_otlp_{end}_total", signal="logs") for end in ENDS)
        return scrape if left == made(exporter, scrape) else None

    found = await wait_until(check, "every span and log record has been exported or dropped", 30)
    assert found is not None
    return found


ENDS = ("exported", "failed", "dropped")


@pytest.mark.slow
@pytest.mark.time_limit(90)
@pytest.mark.parametrize(
    ("scheme", "protocol", "compression"),
    [("ws", "http/protobuf", "gzip"), ("http", "grpc", "none")],
    ids=["ws", "sse"],
)
async def test_a_day_with_an_outage_is_told_as_it_was(
    tmp_path: Path, scheme: str, protocol: str, compression: str
) -> None:
    """Live, refused, polled, down, polled, live and the end: the spans are the listed ones, the logs the day's own."""
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    async with (
        collector(tmp_path) as server,
        reference_backend("--seed=7", "--rate=20", f"--api-key-file={key_file}") as backend,
        all_documents(backend, KEY) as sent,
    ):
        url = backend.stream("overview").replace("http", scheme, 1)
        environment = otlp(
            server,
            protocol,
            OTEL_EXPORTER_OTLP_COMPRESSION=compression,
            OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{TOKEN}",
            OTEL_RESOURCE_ATTRIBUTES="service.instance.id=test-1,deployment.environment.name=test",
        )
        options = (f"--stream.url={url}?token={KEY}", f"--stream.api-key-file={key_file}", *SHORT)
        async with sidecar(*options, secrets=(KEY, TOKEN), environment=environment) as exporter:
            await exporter.reaches("live")
            await exporter.counts("iris_events_total", 20)
            await backend.faults(drop=0, refuse=True)
            await exporter.reaches("polling")
            await backend.faults(**{"rest:503": True})
            scrape = await exporter.reaches("error")
            failures = scrape.total("iris_stream_connect_failures_total")
            await exporter.counts("iris_stream_connect_failures_total", failures + 2)
            await backend.faults(**{"rest:503": False})
            await exporter.reaches("polling")
            await backend.faults()
            await exporter.reaches("live")
            before = (await exporter.scrape()).total("iris_events_total")
            await exporter.counts("iris_events_total", before + 20)
            await backend.faults(data_silent=True)
            scrape = await all_is_exported(exporter)
            assert scrape.total("iris_exporter_otlp_failed_total") == 0
            assert scrape.total("iris_exporter_otlp_dropped_total") == 0
            page = await exporter.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
            sent.update(await documents(backend, KEY))
        lines = state_lines(exporter)
        await server.stop()

    spans, logs = server.spans(), server.logs()
    check_events([log for log in logs if log.body["eventName"] == signals.EVENT_LOG.name], sent, scrape)
    check_states([log for log in logs if log.body["eventName"] == signals.STATE_LOG.name], lines)
    check_relations(spans, logs)
    check_names(spans, logs)
    check_exemplars(page, spans)
    for record in spans + logs:
        assert record.scope["name"] == signals.SCOPE
        origin = record.resource_attributes
        assert origin["service.name"] == "iris-exporter"
        assert (origin["service.instance.id"], origin["deployment.environment.name"]) == ("test-1", "test")
    for secret in (KEY, TOKEN):
        assert secret not in server.file.read_text()
    assert listing(spans, logs) == (EXPECTED / f"otlp-{'ws' if scheme == 'ws' else 'sse'}.txt").read_text()


def check_events(records: list[Record], sent: dict[str, dict[str, Any]], scrape: Scrape) -> None:
    """Each event that was counted is there once, and says what the backend said."""
    times = Counter(record.attributes["iris.event.id"] for record in records)
    assert set(times.values()) == {1}
    assert len(records) == scrape.total("iris_events_total")
    for record in records:
        document = sent[record.attributes["iris.event.id"]]
        number = SEVERITIES[document["severity"]]
        assert (record.body["severityNumber"], record.body["severityText"]) == (number, document["severity"])
        assert record.body["body"] == {"stringValue": document["message"]}
        assert int(record.body["observedTimeUnixNano"]) >= int(record.body["timeUnixNano"]) > 0
        expected = {
            "iris.stream": "default",
            "iris.event.id": document["id"],
            "iris.project": document["project"],
            "iris.event.type": document["event_type"],
            **dict(flat(document.get("metadata") or {})),
        }
        assert record.attributes == expected


def check_states(records: list[Record], lines: list[dict[str, Any]]) -> None:
    """Each change of state is there, in order, as the sidecar's own log has it."""
    told = [
        {
            "previous": record.attributes["iris.state.from"],
            "state": record.attributes["iris.state.to"],
            "reason": record.attributes.get("iris.state.reason"),
            "attempt": record.attributes["iris.state.attempt"] or None,
            "delay_seconds": record.attributes.get("iris.state.delay"),
        }
        for record in records
    ]
    assert told == [
        {name: line.get(name) for name in told[0]} | {"previous": line.get("previous") or line["state"]}
        for line in lines
    ]
    assert [pair["state"] for pair in told if pair["state"] != pair["previous"]] == [
        "connecting", "live", "connecting", "polling", "error", "polling", "live", "disconnected",
    ]  # fmt: skip


def check_relations(spans: list[Record], logs: list[Record]) -> None:
    """Every parent, link of ours and span of a log record was exported, and in the trace that it is said to be in."""
    traces = {span.body["spanId"]: span.body["traceId"] for span in spans}
    assert len(traces) == len(spans), "a span twice"
    for span in spans:
        body = span.body
        assert int(body["startTimeUnixNano"]) <= int(body["endTimeUnixNano"])
        if parent := body.get("parentSpanId"):
            assert traces[parent] == body["traceId"]
        if body["name"] == signals.SUMMARY.name:
            assert all(traces[link["spanId"]] == link["traceId"] for link in body.get("links", []))
        assert (body.get("status", {}).get("code") == ERROR) == ("error.type" in span.attributes)
    for log in logs:
        if span_id := log.body.get("spanId"):
            assert traces[span_id] == log.body["traceId"]


def check_exemplars(page: str, spans: list[Record]) -> None:
    """Whatever the page leads to was exported, and the families that are to lead somewhere do."""
    exported = {(span.body["traceId"], span.body["spanId"]) for span in spans}
    found = [
        (family.name, (sample.exemplar.labels["trace_id"], sample.exemplar.labels["span_id"]))
        for family in parse_openmetrics(page)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.exemplar is not None
    ]
    assert [place for place in found if place[1] not in exported] == []
    wanted = {"iris_events", "iris_stream_connect_duration_seconds", "iris_stream_message_delay_seconds"}
    assert wanted <= {name for name, _ in found}


def check_names(spans: list[Record], logs: list[Record]) -> None:
    """Nothing is sent that the catalogue does not have, and all of it with the type that the catalogue gives."""
    span_types = {kind.name: kind for kind in signals.SPANS}
    log_types = {kind.name: kind for kind in signals.LOGS}
    named = [(span, span_types[span.body["name"]].attributes) for span in spans]
    named += [(log, log_types[log.body["eventName"]].attributes) for log in logs]
    for record, attributes in named:
        for name, type_ in record.types.items():
            (attribute,) = [
                one
                for one in attributes
                if one is not signals.NAMED  # which only a mapping has
                if one.name == name or ("<" in one.name and name.startswith(one.name.partition("<")[0]))
            ]
            assert (
                type_ in {attribute.type, "bool", "int", "double"}
                if attribute is signals.METADATA
                else (type_ == attribute.type)
            )
            value = record.attributes[name]
            assert not attribute.values or value in attribute.values


@pytest.mark.slow
@pytest.mark.time_limit(90)
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
async def test_an_outage_is_counted_to_the_record(tmp_path: Path, protocol: str) -> None:
    """A collector that is killed under load, twice: what was made is what arrived and what was dropped."""
    async with collector(tmp_path) as server, reference_backend("--seed=7", "--rate=30") as backend:
        # A stream makes spans of 100 events a second at most, and no busy machine should make this one reach that.
        # Thirteen seconds' worth, so that the first outage is survived and the second one is not.
        environment = otlp(
            server,
            protocol,
            OTEL_BLRP_MAX_QUEUE_SIZE="400",
            OTEL_BLRP_MAX_EXPORT_BATCH_SIZE="20",
            # Spans of events may have half of it: what the second outage drops are spans of events alone.
            OTEL_BSP_MAX_QUEUE_SIZE="200",
            OTEL_BSP_MAX_EXPORT_BATCH_SIZE="20",
        )
        url = backend.stream("overview")
        async with (
            sidecar(f"--stream.url={url}", *SHORT, environment=environment) as exporter,
            all_documents(backend) as sent,
        ):
            scrape = await exported(exporter, 40)
            await server.kill()
            scrape = await exporter.counts("iris_events_total", scrape.total("iris_events_total") + 40)
            await server.start()
            scrape = await exported(exporter, scrape.total("iris_events_total"))
            assert scrape.total("iris_exporter_otlp_dropped_total") == 0

            await server.kill()
            await exporter.counts("iris_exporter_otlp_dropped_total", 40, seconds=30, signal="logs")
            await server.start()
            await exported(exporter, scrape.total("iris_exporter_otlp_exported_total", signal="logs") + 400)

            await backend.faults(data_silent=True)
            scrape = await all_is_exported(exporter)
            assert scrape.total("iris_exporter_otlp_failed_total") == 0
            # A record whose acknowledgement the kill cut off is sent again: it is in the file twice, and counted once.
            arrived = {identity(log) for log in server.logs()}
            assert len(arrived) == scrape.total("iris_exporter_otlp_exported_total", signal="logs")
            dropped = scrape.total("iris_exporter_otlp_dropped_total", signal="logs")
            assert len(arrived) + dropped == made(exporter, scrape)

            sent.update(await documents(backend))
            # The backend numbers its events, and the sidecar has counted all from the first one that it saw.
            ids = {number(event): event for event, _ in arrived if event}
            counted = range(min(ids), min(ids) + int(scrape.total("iris_events_total")))
            assert max(ids) in counted
            by_number = {number(event): document for event, document in sent.items()}
            traced = [n for n in counted if "traceparent" in (by_number[n].get("metadata") or {})]
            spans = {span.body["spanId"]: span.body["name"] for span in server.spans()}
            assert len(spans) == scrape.total("iris_exporter_otlp_exported_total", signal="traces")
            event_spans = sum(name == signals.EVENT_SPAN.name for name in spans.values())
            dropped = scrape.total("iris_exporter_otlp_dropped_total", signal="traces")
            assert dropped > 0
            assert event_spans + dropped == len(traced)
            assert await exporter.logged(event="otlp.unavailable")
            assert await exporter.logged(event="otlp.available")
        await server.stop()


@asynccontextmanager
async def all_documents(backend: ReferenceBackend, key: str = "") -> AsyncIterator[dict[str, dict[str, Any]]]:
    """Id to document of every event, filled while it is open: the backend tells only the last thousand."""
    found: dict[str, dict[str, Any]] = {}

    async def collect() -> None:
        while True:
            # A fault of the test's own may concern this question too.
            with suppress(aiohttp.ClientError, AssertionError):
                found.update(await documents(backend, key))
            await asyncio.sleep(1.0)

    collecting = asyncio.create_task(collect())
    try:
        yield found
    finally:
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)


async def exported(exporter: Sidecar, at_least: float) -> Scrape:
    """The first scrape in which so many log records have arrived."""
    return await exporter.counts("iris_exporter_otlp_exported_total", at_least, seconds=30, signal="logs")


def number(event: str) -> int:
    """The number that the reference backend puts at the end of an event's id."""
    return int(event.rpartition("-")[2])


def identity(log: Record) -> tuple[str, str]:
    """What is the same in a record that was sent twice, and in no other."""
    identifier = str(log.attributes.get("iris.event.id", ""))
    return identifier, "" if identifier else json.dumps(log.body, sort_keys=True)
