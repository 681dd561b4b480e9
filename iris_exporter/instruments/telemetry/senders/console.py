"""The exporter `console`: each batch as one line of OTLP/JSON on stdout, for somebody who wants to look."""

import base64
import json
import sys
from typing import Any, TextIO

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from iris_exporter.instruments.telemetry.senders.base import ACCEPTED, Answer

_REQUESTS: dict[str, type[Message]] = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


class ConsoleSender:
    """Writes to `stream`; None is stdout."""

    def __init__(self, signal: str, stream: TextIO | None = None) -> None:
        self._request = _REQUESTS[signal]
        self._stream = stream

    def send(self, body: bytes, count: int, timeout_seconds: float) -> Answer:  # noqa: ARG002 (see Sender)
        """See `Sender.send`; records that nobody can read any more count as refused."""
        stream = sys.stdout if self._stream is None else self._stream
        document = MessageToDict(self._request.FromString(body), use_integers_for_enums=True)
        try:
            stream.write(json.dumps(_with_hexadecimal_ids(document), separators=(",", ":")) + "\n")
            stream.flush()
        except (OSError, ValueError) as error:
            return Answer(count, reason=type(error).__name__)
        return ACCEPTED

    def close(self) -> None:
        """See `Sender.close`."""


def _with_hexadecimal_ids(value: Any) -> Any:
    """OTLP/JSON writes ids in hexadecimal, where protobuf's JSON has base64."""
    if isinstance(value, dict):
        return {
            key: base64.b64decode(item).hex() if key in _IDS else _with_hexadecimal_ids(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_hexadecimal_ids(item) for item in value]
    return value
