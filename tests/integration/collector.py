"""A real OpenTelemetry Collector on loopback, and what it has received, read back from its file.

The file is written unbuffered (the file exporter buffers unless it rotates), so that whatever the collector has
acknowledged is in it, also when the collector is killed at that moment.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.programs import Program, running
from tests.ports import free_ports
from tests.tools import tool

BEGIN = '{"resource'
"""How the file exporter's JSON of each request begins. Inside a JSON text its quotation mark is escaped; the object
that holds a resource's attributes begins otherwise."""
READY = "Everything is ready. Begin running and processing data."

CONFIGURATION = """
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:{grpc}
      http:
        endpoint: 127.0.0.1:{http}
        logs_url_path: {logs_path}
        metrics_url_path: {metrics_path}
exporters:
  file:
    path: {file}
    rotation:
      max_megabytes: 1000
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    traces: {{receivers: [otlp], exporters: [file]}}
    logs: {{receivers: [otlp], exporters: [file]}}
    metrics: {{receivers: [otlp], exporters: [file]}}
"""


@dataclass(frozen=True)
class Record:
    """A span, a log record or a metric, with what it came in."""

    body: dict[str, Any]
    scope: dict[str, Any]
    resource: dict[str, Any]

    @property
    def attributes(self) -> dict[str, Any]:
        """Name to value."""
        return plain(self.body.get("attributes", []))

    @property
    def resource_attributes(self) -> dict[str, Any]:
        """Name to value, of what sent it."""
        return plain(self.resource.get("attributes", []))

    @property
    def types(self) -> dict[str, str]:
        """Name of each attribute to the name of its OTLP type, such as `string`."""
        kinds = {pair["key"]: next(iter(pair["value"]), "empty") for pair in self.body.get("attributes", [])}
        return {name: kind.removesuffix("Value") for name, kind in kinds.items()}


def plain(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """OTLP's JSON list of keys and typed values as a dictionary; a key that comes twice fails."""
    values = {pair["key"]: _plain_value(pair["value"]) for pair in pairs}
    assert len(values) == len(pairs), f"an attribute twice: {pairs}"
    return values


def _plain_value(value: dict[str, Any]) -> Any:
    match next(iter(value.items()), (None, None)):
        case "intValue", text:
            return int(text)
        case "arrayValue", items:
            return [_plain_value(item) for item in items.get("values", [])]
        case "kvlistValue", items:
            return plain(items.get("values", []))
        case _, found:
            return found


class Collector:
    """A collector that can be ended and started again on the same ports, with one file for all its lives."""

    def __init__(self, directory: Path, logs_path: str = "/v1/logs", metrics_path: str = "/v1/metrics") -> None:
        self.grpc_port, self.http_port = free_ports(2)
        self.file = directory / "received.jsonl"
        self.configuration = directory / "otelcol.yaml"
        self.configuration.write_text(
            CONFIGURATION.format(
                grpc=self.grpc_port,
                http=self.http_port,
                logs_path=logs_path,
                metrics_path=metrics_path,
                file=self.file,
            )
        )
        self._life = AsyncExitStack()
        self._program: Program | None = None

    @property
    def grpc_endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT with the protocol `grpc`."""
        return f"http://127.0.0.1:{self.grpc_port}"

    @property
    def http_endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT with the protocol `http/protobuf`."""
        return f"http://127.0.0.1:{self.http_port}"

    async def start(self) -> None:
        """Return once it takes data."""
        command = (tool("otelcol"), f"--config={self.configuration}")
        self._program = await self._life.enter_async_context(running(*command))
        await self._program.printed(lambda line: READY in line or None)

    async def stop(self) -> None:
        """End it as an operator would, and hold it to what it says of itself."""
        assert self._program is not None
        assert await self._program.stop() == 0, self._program.output
        await self._life.aclose()

    async def kill(self) -> None:
        """End it as a crash would."""
        await self._life.aclose()

    def spans(self) -> list[Record]:
        """All spans received so far, in the order of arrival."""
        return list(self._records("resourceSpans", "scopeSpans", "spans"))

    def logs(self) -> list[Record]:
        """All log records received so far, in the order of arrival."""
        return list(self._records("resourceLogs", "scopeLogs", "logRecords"))

    def metrics(self) -> list[Record]:
        """All metrics received so far, in the order of arrival."""
        return list(self._records("resourceMetrics", "scopeMetrics", "metrics"))

    def _records(self, resources: str, scopes: str, records: str) -> Iterator[Record]:
        for request in self._requests():
            for group in request.get(resources, []):
                for scope in group[scopes]:
                    for record in scope[records]:
                        yield Record(record, scope.get("scope", {}), group.get("resource", {}))

    def _requests(self) -> Iterator[dict[str, Any]]:
        """Each request that is whole: a kill can cut the last one of a life, and its line is not ended then."""
        text = self.file.read_text() if self.file.exists() else ""
        decoder, start = json.JSONDecoder(), text.find(BEGIN)
        while start >= 0:
            end = start + 1
            with suppress(ValueError):
                request, end = decoder.raw_decode(text, start)
                yield request
            start = text.find(BEGIN, end)


@asynccontextmanager
async def collector(
    directory: Path, *, logs_path: str = "/v1/logs", metrics_path: str = "/v1/metrics"
) -> AsyncIterator[Collector]:
    """A running collector, with the paths of its HTTP receiver; killed at the end unless it was stopped."""
    server = Collector(directory, logs_path, metrics_path)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()
