"""The collector configuration that we ship, run by a real collector, and the harness that reads such a collector."""

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.integration.collector import READY, Collector, collector
from tests.integration.programs import Program, running, wait_until
from tests.ports import free_ports
from tests.tools import ROOT, tool
from tests.waiting import BUSY

CONFIGURATION = ROOT / "deploy/collector/otelcol.yaml"

pytestmark = [pytest.mark.integration, pytest.mark.needs("otelcol")]


def validate(configuration: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What the collector itself says of a configuration."""
    command = [tool("otelcol"), "validate", f"--config={configuration}"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30 * BUSY)


def test_the_configuration_is_valid() -> None:
    """With the defaults, and without a word."""
    result = validate(CONFIGURATION)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_mistake_in_the_configuration_is_found(tmp_path: Path) -> None:
    """The check above can fail."""
    wrong = tmp_path / "otelcol.yaml"
    wrong.write_text(CONFIGURATION.read_text().replace("max_elapsed_time", "max_elapsed_times"))
    result = validate(wrong)
    assert result.returncode != 0
    assert "max_elapsed_times" in result.stderr


def test_every_variable_of_the_configuration_is_described() -> None:
    """In the file's own head and in the documentation."""
    text = CONFIGURATION.read_text()
    head, documentation = text.partition("\nreceivers:")[0], (ROOT / "docs/opentelemetry.md").read_text()
    variables = {word.partition(":")[0] for word in text.split("${env:")[1:]}
    assert len(variables) >= 5
    assert [name for name in sorted(variables) if name not in head or f"`{name}`" not in documentation] == []


def test_no_pipeline_has_an_exporter_without_a_bounded_queue_and_retry() -> None:
    """What is stored elsewhere is neither given up nor piled up."""
    exporters: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text())["exporters"]
    assert len(exporters) == 3
    for exporter in exporters.values():
        assert exporter["retry_on_failure"]["max_elapsed_time"] == "0s"
        assert 0 < exporter["sending_queue"]["queue_size"] <= 64_000_000


@asynccontextmanager
async def shipped(environment: dict[str, str]) -> AsyncIterator[tuple[Program, int, str]]:
    """The shipped configuration at work: the program, its HTTP port and the address of its health check."""
    grpc, http, health = free_ports(3)
    environment = {
        "OTLP_GRPC_LISTEN": f"127.0.0.1:{grpc}",
        "OTLP_HTTP_LISTEN": f"127.0.0.1:{http}",
        "HEALTH_LISTEN": f"127.0.0.1:{health}",
        "COLLECTOR_METRICS_LEVEL": "none",
        **environment,
    }
    async with running(tool("otelcol"), f"--config={CONFIGURATION}", environment=environment) as program:
        await program.printed(lambda line: READY in line or None)
        yield program, http, f"http://127.0.0.1:{health}/"
        assert await program.stop() == 0, program.output


def one_of_each() -> dict[str, bytes]:
    """Path to body of a request with one span, one with one log record and one with one metric."""
    traces, logs, metrics = ExportTraceServiceRequest(), ExportLogsServiceRequest(), ExportMetricsServiceRequest()
    span = traces.resource_spans.add().scope_spans.add().spans.add(name="span", trace_id=b"t" * 16, span_id=b"s" * 8)
    span.attributes.add(key="whole").value.int_value = 2**53 + 1
    record = logs.resource_logs.add().scope_logs.add().log_records.add(event_name="record", time_unix_nano=1)
    record.attributes.add(key="flag").value.bool_value = True
    metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="metric")
    metric.gauge.data_points.add(as_double=1.5, time_unix_nano=1)
    return {
        "/v1/traces": traces.SerializeToString(),
        "/v1/logs": logs.SerializeToString(),
        "/v1/metrics": metrics.SerializeToString(),
    }


async def post(http: aiohttp.ClientSession, url: str, body: bytes) -> int:
    """Send a protobuf request and return the status of the answer."""
    headers = {"Content-Type": "application/x-protobuf"}
    async with http.post(url, data=body, headers=headers) as response:
        return response.status


async def test_each_signal_reaches_its_store(tmp_path: Path) -> None:
    """Traces go out over gRPC, logs to Loki's path and metrics to Prometheus' path."""
    paths = {"logs_path": "/otlp/v1/logs", "metrics_path": "/api/v1/otlp/v1/metrics"}
    async with collector(tmp_path, **paths) as stores, aiohttp.ClientSession() as http:
        environment = {
            "TEMPO_ENDPOINT": f"127.0.0.1:{stores.grpc_port}",
            "LOKI_ENDPOINT": f"{stores.http_endpoint}/otlp",
            "PROMETHEUS_ENDPOINT": f"{stores.http_endpoint}/api/v1/otlp",
        }
        async with shipped(environment) as (program, port, health):
            async with http.get(health) as response:
                assert response.status == 200
            for path, body in one_of_each().items():
                assert await post(http, f"http://127.0.0.1:{port}{path}", body) == 200

            async def arrived() -> bool:
                return bool(stores.spans() and stores.logs() and stores.metrics())

            await wait_until(arrived, "one of each has arrived")
            assert not [line for line in program.stderr if "\twarn\t" in line or "\terror\t" in line]
        assert [(record.body["name"], record.attributes) for record in stores.spans()] == [
            ("span", {"whole": 2**53 + 1})
        ]
        assert [(record.body["eventName"], record.attributes) for record in stores.logs()] == [
            ("record", {"flag": True})
        ]
        assert [record.body["name"] for record in stores.metrics()] == ["metric"]


async def test_what_a_killed_collector_had_acknowledged_can_be_read(tmp_path: Path) -> None:
    """The harness itself: nothing acknowledged is missing, over several lives, and nothing is read twice."""
    body = one_of_each()["/v1/traces"]
    async with collector(tmp_path) as server, aiohttp.ClientSession() as http:
        for life in range(1, 4):
            for _ in range(50):
                assert await post(http, f"{server.http_endpoint}/v1/traces", body) == 200
            await server.kill()
            assert len(server.spans()) == 50 * life
            await server.start()


def test_a_request_that_a_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    """In the middle of the file or at its end, with or without the end of the line."""
    server = Collector(tmp_path)
    whole = [{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": name}]}]}]} for name in "abc"]
    first, second, third = (json.dumps(request) for request in whole)
    for text in (
        f"{first}\n{second[:30]}{third}\n",
        f"{first}{third}\n{second[:-1]}",
        f"{second[:15]}{first}\n{third}",
    ):
        server.file.write_text(text)
        assert [record.body["name"] for record in server.spans()] == ["a", "c"]
