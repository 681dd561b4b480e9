"""The sidecar against the reference backend, with a receiver of OTLP: what a day of a stream looks like there."""

import asyncio
import itertools
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from iris_exporter import config
from iris_exporter.app import Exporter
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.instruments import catalog
from iris_exporter.instruments.signals import ExportCounts
from iris_exporter.instruments.text import Format
from iris_exporter.otel import stream_tracer
from iris_exporter.otel.environment import read_otel
from iris_exporter.otel.provider import Telemetry
from iris_exporter.settings import Settings
from tests.otel.receivers import GrpcReceiver, HttpReceiver, attributes, grpc_receiver, http_receiver
from tests.settings import stream_settings
from tests.transports.support import serve, serve_bytes
from tests.waiting import BUSY, until
from tests.web.config.certificates import Authority

KEY = "k3y-that-nobody-may-see"


@pytest.fixture(autouse=True)
def one_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first minute of a stream ends at random, for one in twenty of them during a test."""
    monkeypatch.setattr(stream_tracer, "SUMMARY_SECONDS", 1e6)


def settings(url: str, **stream: Any) -> Settings:
    loaded = config.load({"web.listen-address": ["127.0.0.1:0"], "stream.url": url}, {})
    chosen = stream_settings(name="main", url=url, **{"reconnect_initial_seconds": 0.05, **stream})
    return replace(loaded, streams=(chosen,))


def environment(receiver: HttpReceiver | GrpcReceiver, **more: str) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc" if isinstance(receiver, GrpcReceiver) else "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "20",
        "OTEL_BLRP_SCHEDULE_DELAY": "20",
        **more,
    }


@asynccontextmanager
async def running(url: str, variables: dict[str, str], **stream: Any) -> AsyncIterator[Exporter]:
    chosen = settings(url, **stream)
    async with Exporter(chosen, lambda: chosen, otel=read_otel(variables)) as exporter:
        yield exporter


@asynccontextmanager
async def source(**changes: Any) -> AsyncIterator[Backend]:
    async with Backend(BackendSettings(port=0, seed=1, rate=50, update_interval_seconds=0.05, **changes)) as backend:
        yield backend


def telemetry(exporter: Exporter) -> Telemetry:
    assert exporter._telemetry is not None
    return exporter._telemetry


def counts(exporter: Exporter, signal: str) -> ExportCounts:
    return telemetry(exporter).counts()[signal]


def check(found: ExportCounts) -> None:
    assert found.produced == found.exported + found.failed + found.dropped + found.queued


def exemplars(exporter: Exporter) -> set[str]:
    """Ids of spans in a scrape of now."""
    return set(re.findall(r' # \{.*span_id="(\w+)"', b"".join(exporter.exposition.render(Format.OPENMETRICS)).decode()))


def named(receiver: HttpReceiver | GrpcReceiver, name: str) -> list[Any]:
    return [span for span in receiver.received.spans if span.name == name]


def self_metric(exporter: Exporter, metric: Any, signal: str) -> float:
    shown: Any = exporter.self_metrics.shown(metric)
    return float(shown[signal])


@pytest.mark.parametrize("protocol", ["websocket", "sse"])
async def test_a_connection_is_a_trace_and_each_event_a_record(protocol: str) -> None:
    with http_receiver() as receiver:
        async with (
            source() as backend,
            running(f"{backend.url}/api/stream/events?api_key={KEY}", environment(receiver), protocol=protocol) as on,
        ):
            stream, at = on.streams()["main"], backend.url
            await until(lambda: len(receiver.received.records) > 60 and len(named(receiver, "iris.event")) > 2)
            promised = exemplars(on)
            await until(lambda: counts(on, "logs").exported > 0)
        seen = stream.snapshot()
    (connect,) = named(receiver, "iris.connect")
    assert connect.kind == 3
    assert connect.parent_span_id == b""
    found = attributes(connect.attributes)
    assert found == {
        "iris.stream": "main",
        "server.address": "127.0.0.1",
        "server.port": int(at.rpartition(":")[2]),
        "url.full": f"{at}/api/stream/events",
        "iris.protocol": protocol,
        "iris.encoding": "json",
        "iris.compression": "none",
        "http.response.status_code": 101 if protocol == "websocket" else 200,
    }
    children = [span for span in receiver.received.spans if span.parent_span_id == connect.span_id]
    assert sorted(span.name for span in children) == [
        "iris.connect.first_message", "iris.connect.handshake", "iris.connect.tcp",
    ]  # fmt: skip
    assert {span.trace_id for span in children} == {connect.trace_id}
    for child in children:
        assert child.start_time_unix_nano >= connect.start_time_unix_nano
        assert child.status.code == 0
        if child.name != "iris.connect.first_message":
            assert child.end_time_unix_nano <= connect.end_time_unix_nano
    (handshake,) = (span for span in children if span.name.endswith("handshake"))
    assert attributes(handshake.attributes)["http.request.method"] == "GET"
    assert attributes(handshake.attributes)["network.protocol.version"] == "1.1"

    (snapshot,) = (s for s in named(receiver, "GET") if attributes(s.attributes)["iris.request.purpose"] == "snapshot")
    assert snapshot.trace_id != connect.trace_id
    assert attributes(snapshot.attributes)["iris.request.bytes"] > 100

    (last,) = named(receiver, "iris.stream.summary")
    assert {span.span_id.hex() for span in (connect, last)} <= promised
    assert [link.span_id for link in last.links] == [connect.span_id]
    found = attributes(last.attributes)
    assert found["iris.summary.cause"] == "disconnect"
    assert found["iris.summary.messages.event"] > 10
    assert 0 <= found["iris.summary.delay.p50"] <= found["iris.summary.delay.p99"]

    events = [record for record in receiver.received.records if record.event_name == "iris.event"]
    identifiers = [attributes(record.attributes)["iris.event.id"] for record in events]
    assert len(identifiers) == len(set(identifiers)) == sum(seen.event_counts.values())
    assert {record.span_id for record in events} == {connect.span_id}
    states = [attributes(r.attributes) for r in receiver.received.records if r.event_name == "iris.stream.state"]
    assert [(state["iris.state.from"], state["iris.state.to"]) for state in states] == [
        ("disconnected", "connecting"), ("connecting", "live"), ("live", "disconnected"),
    ]  # fmt: skip

    spans = named(receiver, "iris.event")
    assert {span.kind for span in spans} == {5}
    carried = {
        attributes(record.attributes)["iris.event.metadata.traceparent"].split("-")[1]
        for record in events
        if "iris.event.metadata.traceparent" in attributes(record.attributes)
    }
    assert {span.links[0].trace_id.hex() for span in spans} == carried
    everything = b"".join(
        r.SerializeToString() for name in ("traces", "logs") for r in receiver.received.requests[name]
    )
    assert KEY.encode() not in everything


async def test_a_polled_stream_has_a_span_for_each_poll() -> None:
    with http_receiver() as receiver:
        async with (
            source() as backend,
            running(f"{backend.url}/api/overview", environment(receiver), protocol="poll", poll_interval_seconds=0.05),
        ):
            await until(lambda: len(named(receiver, "GET")) > 3)
    polls = named(receiver, "GET")
    assert len({span.trace_id for span in polls}) == len(polls)
    assert {attributes(span.attributes)["iris.request.purpose"] for span in polls} == {"poll"}
    assert not named(receiver, "iris.connect")
    events = [record for record in receiver.received.records if record.event_name == "iris.event"]
    assert {record.span_id for record in events} <= {span.span_id for span in polls}
    (summary,) = named(receiver, "iris.stream.summary")
    assert attributes(summary.attributes)["iris.summary.cause"] == "shutdown"
    assert attributes(summary.attributes)["iris.protocol"] == "poll"


async def test_a_failed_attempt_has_a_reason() -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=401)

    with http_receiver() as receiver:
        async with serve(refuse) as server, running(f"{server.url}/s", environment(receiver), protocol="sse"):
            await until(lambda: bool(named(receiver, "iris.connect")))
            await until(lambda: any(r.event_name == "iris.stream.state" for r in receiver.received.records))
    attempt = named(receiver, "iris.connect")[0]
    assert attempt.status.code == 2
    assert attributes(attempt.attributes)["error.type"] == "unauthorized"
    assert attributes(attempt.attributes)["http.response.status_code"] == 401
    handshake = next(s for s in named(receiver, "iris.connect.handshake") if s.trace_id == attempt.trace_id)
    assert attributes(handshake.attributes)["error.type"] == "unauthorized"
    assert not named(receiver, "iris.connect.first_message")
    failed = [r for r in receiver.received.records if "iris.state.reason" in attributes(r.attributes)]
    assert failed[0].severity_number == 17
    assert failed[0].span_id == attempt.span_id


async def test_nobody_there_is_a_broken_tcp_span() -> None:
    with http_receiver() as receiver:
        async with serve(lambda _: asyncio.sleep(0)) as server:  # type: ignore[arg-type,return-value]
            url = server.url
        async with running(f"{url}/s", environment(receiver), protocol="sse"):
            await until(lambda: bool(named(receiver, "iris.connect")))
    attempt = named(receiver, "iris.connect")[0]
    (tcp,) = (span for span in receiver.received.spans if span.parent_span_id == attempt.span_id)
    assert tcp.name == "iris.connect.tcp"
    assert attributes(tcp.attributes)["error.type"] == "connection_refused"


async def test_dns_and_tls_have_spans_of_their_own(tmp_path: Path) -> None:
    authority = Authority()
    certificate, key, ca = tmp_path / "c.pem", tmp_path / "k.pem", tmp_path / "ca.pem"
    authority.issue(certificate, key, "localhost")
    ca.write_text(authority.pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=404)

    with http_receiver() as receiver:
        async with serve(refuse, context) as server:
            url = f"https://localhost:{server.port}/s"
            async with running(url, environment(receiver), protocol="sse", tls_ca_file=ca):
                await until(lambda: bool(named(receiver, "iris.connect")))
    attempt = named(receiver, "iris.connect")[0]
    children = [span for span in receiver.received.spans if span.parent_span_id == attempt.span_id]
    children.sort(key=lambda span: span.start_time_unix_nano)
    assert [span.name.rpartition(".")[2] for span in children] == ["dns", "tcp", "tls", "handshake"]
    for before, after in itertools.pairwise(children):
        assert before.end_time_unix_nano <= after.start_time_unix_nano


async def test_everything_goes_over_grpc_as_well() -> None:
    with grpc_receiver() as receiver:
        variables = environment(receiver, OTEL_RESOURCE_ATTRIBUTES="k8s.pod.name=p")
        async with source() as backend, running(f"{backend.url}/api/stream/events", variables, protocol="sse"):
            await until(lambda: len(receiver.received.records) > 20)
    assert named(receiver, "iris.connect")
    resource = attributes(receiver.received.requests["logs"][0].resource_logs[0].resource.attributes)
    assert resource["service.name"] == "iris-exporter"
    assert resource["k8s.pod.name"] == "p"


async def test_a_sampler_that_drops_all_spans_does_not_stop_logs() -> None:
    with http_receiver() as receiver:
        variables = environment(receiver, OTEL_TRACES_SAMPLER="always_off")
        async with source() as backend, running(f"{backend.url}/api/stream/events", variables, protocol="sse") as on:
            await until(lambda: len(receiver.received.records) > 20)
            assert exemplars(on) == set()
    assert receiver.received.spans == []
    assert {record.flags & 1 for record in receiver.received.records if record.span_id} == {0}


async def test_a_collector_that_stops_and_starts_again_gets_every_record_once() -> None:
    with http_receiver() as receiver:
        async with source() as backend:
            url = f"{backend.url}/api/stream/events"
            async with running(url, environment(receiver), protocol="websocket") as on:
                stream = on.streams()["main"]
                await until(lambda: len(receiver.received.records) > 20)
                receiver.stop()
                before = counts(on, "logs").produced
                await until(lambda: counts(on, "logs").produced > before + 50)
                check(counts(on, "logs"))
                assert counts(on, "logs").queued > 0
                receiver.start()
                await until(lambda: counts(on, "logs").exported > before + 50)
                stream.disconnect()
                await until(lambda: counts(on, "logs").queued == 0 and counts(on, "traces").queued == 0)
                for signal in ("logs", "traces"):
                    found = counts(on, signal)
                    check(found)
                    assert found.dropped == found.failed == 0
                    await until(
                        lambda signal=signal, found=found: (
                            self_metric(on, catalog.OTLP_EXPORTED, signal) == found.exported
                        )
                    )
                produced = counts(on, "logs").produced
                records = len(receiver.received.records)
        # A request that the collector took and could not answer any more is sent again.
        assert records >= produced
        identifiers = {attributes(record.attributes).get("iris.event.id") for record in receiver.received.records}
        assert len(identifiers - {None}) == sum(stream.snapshot().event_counts.values())


async def test_a_collector_that_refuses_is_counted_to_the_record() -> None:
    with http_receiver() as receiver:
        receiver.behaviour.status = 400
        async with source() as backend:
            url = f"{backend.url}/api/stream/events"
            async with running(url, environment(receiver), protocol="sse") as on:
                await until(lambda: counts(on, "logs").failed > 30)
                check(counts(on, "logs"))
                assert counts(on, "logs").exported == 0
                await until(lambda: self_metric(on, catalog.OTLP_FAILED, "logs") > 30)


async def test_a_request_that_is_too_large_is_sent_in_pieces() -> None:
    with http_receiver() as receiver:
        receiver.behaviour.status = lambda count: 413 if count > 3 else 200
        async with source() as backend:
            variables = environment(receiver, OTEL_BLRP_SCHEDULE_DELAY="400")
            async with running(f"{backend.url}/api/stream/events", variables, protocol="sse") as on:
                await until(lambda: counts(on, "logs").exported > 20)
                assert counts(on, "logs").failed == 0
    assert receiver.received.records


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
async def test_shutdown_is_quick_when_the_collector_swallows_everything(protocol: str) -> None:
    """A socket that accepts and never answers is worse than one that refuses."""

    async def swallow(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    loop = asyncio.get_running_loop()
    async with serve_bytes(swallow) as port, source() as backend:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_BLRP_SCHEDULE_DELAY": "10",
        }
        async with running(f"{backend.url}/api/stream/events", variables, protocol="sse") as on:
            await until(lambda: counts(on, "logs").produced > 20)
            exported = telemetry(on)
            begun = loop.time()
        assert loop.time() - begun < 5
    found = exported.counts()["logs"]
    check(found)
    assert found.queued == 0
    assert found.dropped == found.produced


async def test_close_sends_the_queued_records() -> None:
    with http_receiver() as receiver:
        variables = environment(receiver, OTEL_BLRP_SCHEDULE_DELAY="60000", OTEL_BSP_SCHEDULE_DELAY="60000")
        async with source() as backend, running(f"{backend.url}/api/stream/events", variables, protocol="sse") as on:
            await until(lambda: counts(on, "logs").produced > 20)
            exported = telemetry(on)
    for signal in ("traces", "logs"):
        found = exported.counts()[signal]
        assert found.exported == found.produced
    assert not any(thread.name.startswith("otlp-") for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("variables", "forbidden"),
    [
        ({}, ("opentelemetry", "grpc", "requests", "google")),
        ({"OTEL_LOGS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, ("grpc",)),
    ],
)
def test_what_is_not_needed_is_not_imported(variables: dict[str, str], forbidden: tuple[str, ...]) -> None:
    program = f"""
import asyncio, sys
from iris_exporter import config
from iris_exporter.app import Exporter
from iris_exporter.otel.environment import read_otel
settings = config.load({{"web.listen-address": ["127.0.0.1:0"], "stream.url": "http://127.0.0.1:1/x"}}, {{}})
async def main():
    async with Exporter(settings, lambda: settings, otel=read_otel({variables!r})):
        await asyncio.sleep(0)
asyncio.run(main())
print(sorted({{name.split(".")[0] for name in sys.modules}} & set({forbidden!r})), "requests" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30 * BUSY
    )
    assert done.stdout.strip() == f"[] {bool(variables)}"
