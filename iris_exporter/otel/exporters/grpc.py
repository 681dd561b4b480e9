"""OTLP over gRPC: the SDK's exporter with an interceptor of ours on its channel, which sees each answer.

Source: OTLP specification 1.x, "OTLP/gRPC": which statuses may be tried again; RESOURCE_EXHAUSTED only when the
collector says after what time (google.rpc.RetryInfo).
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.exporter import OTLPExporterMixin
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.trace.export import SpanExportResult

from iris_exporter.http import tls
from iris_exporter.http.proxies import proxy_for_grpc
from iris_exporter.otel.exporters.base import (
    Answer,
    LibraryProxy,
    of_environment,
    partly,
    trusted_files,
    unencodable,
)
from iris_exporter.otel.settings import TRACES, Endpoint

_RETRY = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
_DETAILS = "grpc-status-details-bin"
_LONGEST_SECONDS = 3600.0


class GrpcExporter:
    """Calls one endpoint over one channel."""

    def __init__(self, signal: str, endpoint: Endpoint, user_agent: str) -> None:
        self._signal = signal
        self._proxy = _proxy(endpoint.url)
        credentials = None
        if not endpoint.insecure:
            files = trusted_files(endpoint)
            # What gRPC cannot use it does not say, and then no call comes through.
            tls.build(files)
            certificate, key, chain = (
                None if path is None else path.read_bytes()
                for path in (files.authorities, files.key, files.certificate)
            )
            credentials = grpc.ssl_channel_credentials(certificate, key, chain)
        self._interceptor = _Interceptor()
        self._exporter = _SdkExporter(
            signal,
            self._interceptor,
            endpoint=endpoint.url,
            insecure=endpoint.insecure,
            credentials=credentials,
            headers=tuple(endpoint.headers.items()),
            timeout=_LONGEST_SECONDS,
            compression=grpc.Compression.Gzip if endpoint.compression == "gzip" else grpc.Compression.NoCompression,
            channel_options=(
                ("grpc.primary_user_agent", user_agent),
                # Its own reading of the variables is another one, without networks, ports, blanks and upper case.
                ("grpc.enable_http_proxy", int(bool(self._proxy.url))),
                *((("grpc.http_proxy", self._proxy.url),) if self._proxy.url else ()),
            ),
            # Nothing is tried again in there, where it would block; None would stand for the SDK's own list.
            retryable_error_codes=(grpc.StatusCode.OK,),
            meter_provider=NoOpMeterProvider(),
        )

    def export(self, batch: Sequence[Any], timeout_seconds: float) -> Answer:
        """See `Exporter.export`."""
        if self._proxy.problem:
            return Answer(retry=True, reason=self._proxy.problem)
        count = len(batch)
        self._interceptor.begin(timeout_seconds)
        try:
            self._exporter.send(batch)
        except (TypeError, ValueError) as error:  # the channel was closed, or something cannot be encoded
            return Answer(retry=True, reason="closed") if "closed channel" in str(error) else unencodable(count)
        call = self._interceptor.call
        if call is None:
            return unencodable(count)
        if call.code() is grpc.StatusCode.OK:
            said = call.result().partial_success
            return partly(said.rejected_spans if self._signal == TRACES else said.rejected_log_records, count)
        return _read(call, count)

    def close(self) -> None:
        """See `Exporter.close`: a call under way ends at once."""
        self._exporter.shutdown()


class _Interceptor(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    """Remembers the call that was made, and gives it the time that is left."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self.call: Any = None

    def begin(self, seconds: float) -> None:
        """The next call is another one; None stands where it is never made."""
        self._seconds = seconds
        self.call = None

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """See `grpc.UnaryUnaryClientInterceptor`."""
        self.call = continuation(client_call_details._replace(timeout=self._seconds), request)
        return self.call


class _SdkExporter(OTLPExporterMixin[Any, Any, Any, Any]):
    """Either of the SDK's exporters, over a channel with the interceptor."""

    def __init__(self, signal: str, interceptor: _Interceptor, **options: Any) -> None:
        self._of = signal
        self._encode: Callable[[Any], Any] = encode_spans if signal == TRACES else encode_logs
        service = TraceServiceStub if signal == TRACES else LogsServiceStub

        def stub(channel: grpc.Channel) -> Any:
            return service(grpc.intercept_channel(channel, interceptor))

        super().__init__(stub, SpanExportResult, signal="traces" if signal == TRACES else "logs", **options)

    def send(self, batch: Sequence[Any]) -> None:
        """Send records; what became of them, the interceptor knows."""
        self._export(batch)

    def _translate_data(self, data: Any) -> Any:
        return self._encode(data)

    def _count_data(self, data: Any) -> int:
        return len(data)

    @property
    def _exporting(self) -> str:
        return self._of


def _proxy(url: str) -> LibraryProxy:
    found = of_environment(proxy_for_grpc(url, os.environ))
    if found.url.startswith("https:"):
        # gRPC would leave it out and go there directly.
        return LibraryProxy(problem="gRPC goes through proxies with an address of http:// alone")
    return found


def _read(call: Any, count: int) -> Answer:
    code = call.code()
    delay = None
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS:
            delay = _retry_delay(value)
    if code in _RETRY or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and delay is not None):
        return Answer(retry=True, retry_after_seconds=delay, reason=code.name)
    # Without a time this status says that the message was too large, or that somebody's quota is used up.
    return Answer(count, too_large=code is grpc.StatusCode.RESOURCE_EXHAUSTED, reason=code.name)


def _retry_delay(status: bytes) -> float | None:
    """Seconds that a `google.rpc.RetryInfo` among a status's details asks for; None without one."""
    info = RetryInfo()
    try:
        found = any(detail.Unpack(info) for detail in Status.FromString(status).details)
    except DecodeError:
        return None
    return max(0.0, info.retry_delay.seconds + info.retry_delay.nanos / 1e9) if found else None
