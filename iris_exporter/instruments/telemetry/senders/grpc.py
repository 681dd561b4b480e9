"""OTLP over gRPC. What is sent is encoded already, so one generic method serves all signals.

Source: OTLP specification 1.x, "OTLP/gRPC": which statuses may be tried again; RESOURCE_EXHAUSTED only when the
collector says after what time (google.rpc.RetryInfo).
"""

import os

import grpc  # type: ignore[import-untyped]

from iris_exporter.core.proxies import proxy_for_grpc
from iris_exporter.instruments.telemetry.senders.answers import rejected_in, retry_delay_in
from iris_exporter.instruments.telemetry.senders.base import (
    ACCEPTED,
    Answer,
    LibraryProxy,
    of_environment,
    trusted_files,
)
from iris_exporter.instruments.telemetry.settings import Endpoint
from iris_exporter.transports import tls

_METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
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


class GrpcSender:
    """Calls one endpoint over one channel."""

    def __init__(self, signal: str, endpoint: Endpoint, user_agent: str) -> None:
        self._signal = signal
        self._metadata = tuple(endpoint.headers.items())
        self._compression = grpc.Compression.Gzip if endpoint.compression == "gzip" else None
        target = endpoint.url.partition("://")[2]
        self._proxy = _proxy(endpoint.url)
        options = (
            ("grpc.primary_user_agent", user_agent),
            # Its own reading of the variables is another one, without networks, ports, blanks and upper case.
            ("grpc.enable_http_proxy", int(bool(self._proxy.url))),
            *((("grpc.http_proxy", self._proxy.url),) if self._proxy.url else ()),
        )
        if endpoint.insecure:
            self._channel = grpc.insecure_channel(target, options=options)
        else:
            files = trusted_files(endpoint)
            # What gRPC cannot use it does not say, and then no call comes through.
            tls.build(files)
            certificate, key, chain = (
                None if path is None else path.read_bytes()
                for path in (files.authorities, files.key, files.certificate)
            )
            credentials = grpc.ssl_channel_credentials(certificate, key, chain)
            self._channel = grpc.secure_channel(target, credentials, options=options)
        self._call = self._channel.unary_unary(_METHODS[signal])

    def send(self, body: bytes, count: int, timeout_seconds: float) -> Answer:
        """See `Sender.send`."""
        if self._proxy.problem:
            return Answer(retry=True, reason=self._proxy.problem)
        try:
            answer = self._call(body, timeout=timeout_seconds, metadata=self._metadata, compression=self._compression)
        except grpc.RpcError as error:
            return _read(error, count)
        except ValueError:  # the channel was closed
            return Answer(retry=True, reason="closed")
        rejected = rejected_in(self._signal, answer)
        return Answer(min(rejected, count), reason="partly rejected") if rejected else ACCEPTED

    def close(self) -> None:
        """See `Sender.close`: a call under way ends at once."""
        self._channel.close()


def _proxy(url: str) -> LibraryProxy:
    found = of_environment(proxy_for_grpc(url, os.environ))
    if found.url.startswith("https:"):
        # gRPC would leave it out and go there directly.
        return LibraryProxy(problem="gRPC goes through proxies with an address of http:// alone")
    return found


def _read(error: grpc.RpcError, count: int) -> Answer:
    code = error.code()
    reason = code.name
    delay = None
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS:
            delay = retry_delay_in(value)
    if code in _RETRY or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and delay is not None):
        return Answer(retry=True, retry_after_seconds=delay, reason=reason)
    # Without a time this status says that the message was too large, or that somebody's quota is used up.
    return Answer(count, too_large=code is grpc.StatusCode.RESOURCE_EXHAUSTED, reason=reason)
