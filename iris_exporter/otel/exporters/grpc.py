"""OTLP over gRPC: the SDK's exporters over a channel with an interceptor of ours, which sees each answer.

Source: OTLP specification 1.x, "OTLP/gRPC": which statuses may be tried again; RESOURCE_EXHAUSTED only with a time
(google.rpc.RetryInfo).
"""

import os
from collections.abc import Sequence
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from grpc import StatusCode
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.exporter import OTLPExporterMixin
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.trace.export import SpanExportResult
from typing_extensions import override

from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.http import tls
from iris_exporter.http.proxies import proxy_for_grpc
from iris_exporter.otel.exporters.base import (
    ALL,
    MAX_WORDS,
    UNENCODABLE,
    Answer,
    Exporter,
    accepted,
)
from iris_exporter.otel.settings import TRACES, Endpoint

_RETRY = frozenset(
    {
        StatusCode.CANCELLED, StatusCode.DEADLINE_EXCEEDED, StatusCode.ABORTED, StatusCode.OUT_OF_RANGE,
        StatusCode.UNAVAILABLE, StatusCode.DATA_LOSS,
    }
)  # fmt: skip
_FAILURES = {
    StatusCode.UNAVAILABLE: "unavailable",
    StatusCode.DEADLINE_EXCEEDED: "timeout",
    StatusCode.RESOURCE_EXHAUSTED: "rate_limited",
    StatusCode.UNAUTHENTICATED: "unauthorized",
    StatusCode.PERMISSION_DENIED: "forbidden",
    StatusCode.UNIMPLEMENTED: "not_found",
    StatusCode.INVALID_ARGUMENT: "http_client_error",
    StatusCode.INTERNAL: "server_error",
    StatusCode.UNKNOWN: "server_error",
    StatusCode.DATA_LOSS: "server_error",
}
_DETAILS = "grpc-status-details-bin"


class GrpcExporter(Exporter):
    """Calls one endpoint over one channel.

    Raises:
        TransportError: The proxy cannot be used.
    """

    def __init__(self, signal: str, endpoint: Endpoint, user_agent: str, files: tls.Files | None) -> None:
        self._signal = signal
        proxy = proxy_for_grpc(endpoint.url, os.environ)
        if proxy is not None and proxy.url.startswith("https:"):
            # gRPC would ignore the proxy and connect directly.
            raise TransportError(Failure("proxy", "gRPC goes through proxies with an address of http:// alone"))
        self._interceptor = _Interceptor()
        self._exporter = (_Spans if signal == TRACES else _Logs)(
            interceptor=self._interceptor,
            endpoint=endpoint.url,
            insecure=endpoint.insecure,
            credentials=None if files is None else _credentials(files),
            headers=dict(endpoint.headers),
            timeout=endpoint.timeout_seconds,
            compression=grpc.Compression.Gzip if endpoint.compression == "gzip" else grpc.Compression.NoCompression,
            channel_options=(
                ("grpc.primary_user_agent", user_agent),
                # gRPC reads proxy variables differently: without networks, ports, blanks and upper case.
                ("grpc.enable_http_proxy", int(proxy is not None)),
                *(() if proxy is None else (("grpc.http_proxy", proxy.full_url),)),
            ),
            # The SDK must not retry, which blocks; an empty list or None would stand for its own list.
            retryable_error_codes=(StatusCode.OK,),
            meter_provider=NoOpMeterProvider(),
        )

    @override
    def export(self, batch: Sequence[Any]) -> Answer:
        self._interceptor.call = None
        try:
            self._exporter.export(batch)
        except (TypeError, ValueError) as error:  # the channel was closed, or something cannot be encoded
            return Answer(retry=True, reason="closed") if "closed channel" in str(error) else UNENCODABLE
        call = self._interceptor.call
        if call is None:
            return UNENCODABLE
        if call.code() is StatusCode.OK:
            return accepted(self._signal, call.result())
        return _refused(call)

    @override
    def close(self) -> None:
        """A call under way ends at once."""
        self._exporter.shutdown()


class _Interceptor(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    """Remembers the last call."""

    call: Any = None

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        self.call = continuation(client_call_details, request)
        return self.call


class _Spans(OTLPSpanExporter):
    def __init__(self, **options: Any) -> None:
        _init(self, TraceServiceStub, SpanExportResult, signal="traces", **options)


class _Logs(OTLPLogExporter):
    def __init__(self, **options: Any) -> None:
        _init(self, LogsServiceStub, LogRecordExportResult, signal="logs", **options)


def _init(exporter: Any, service: Any, result: Any, *, interceptor: _Interceptor, **options: Any) -> None:
    """Initialise an exporter of the SDK with an interceptor. Its own class takes none; the mixin takes a stub."""

    def stub(channel: grpc.Channel) -> Any:
        return service(grpc.intercept_channel(channel, interceptor))

    OTLPExporterMixin.__init__(exporter, stub, result, **options)


def _credentials(files: tls.Files) -> grpc.ChannelCredentials:
    parts = (None if path is None else path.read_bytes() for path in (files.authorities, files.key, files.certificate))
    return grpc.ssl_channel_credentials(*parts)


def _refused(call: Any) -> Answer:
    code = call.code()
    details = next((value for key, value in call.trailing_metadata() or () if key == _DETAILS), b"")
    delay, failure = _retry_delay(details), _FAILURES.get(code, "other")
    words = (call.details() or "")[:MAX_WORDS]
    if code in _RETRY or (code is StatusCode.RESOURCE_EXHAUSTED and delay is not None):
        return Answer(retry=True, retry_after_seconds=delay, reason=code.name, failure=failure, words=words)
    # Without a time this status means that the message was too large, or that a quota is used up.
    is_large = code is StatusCode.RESOURCE_EXHAUSTED
    return Answer(ALL, too_large=is_large, reason=code.name, failure=failure, words=words)


def _retry_delay(status: bytes) -> float | None:
    """Seconds that a `google.rpc.RetryInfo` among a status's details asks for; None without one."""
    info = RetryInfo()
    try:
        found = any(detail.Unpack(info) for detail in Status.FromString(status).details)
    except DecodeError:
        return None
    return max(0.0, info.retry_delay.seconds + info.retry_delay.nanos / 1e9) if found else None
