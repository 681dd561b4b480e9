"""What became of a batch, the life of an exporter, and what those over HTTP and gRPC have in common."""

import logging
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import override

from iris_exporter.core.failures import Failure
from iris_exporter.http import tls
from iris_exporter.http.proxies import Proxy, with_credentials
from iris_exporter.logs import get_logger, protect
from iris_exporter.otel.settings import TRACES, Endpoint
from iris_exporter.process import standard_streams

# The pipeline logs failures itself: limited in number, and without the collector's own words.
logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)

_log = get_logger("otlp").limited(per_minute=6)

MAX_REQUEST_BYTES = 3 * 1024 * 1024
"""Collectors take 4 MiB over gRPC by default; this leaves room for records whose size was estimated too low."""


ALL = sys.maxsize


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one batch.

    `rejected` of its records, `ALL` for all, were refused for good; with `retry` none was taken, and all may be sent
    again after `retry_after_seconds` (None: not given). `too_large`: the batch should be sent again in
    smaller pieces, and `rejected` counts when that is not possible. `reason` is for our own log, without secrets.
    """

    rejected: int = 0
    retry: bool = False
    retry_after_seconds: float | None = None
    too_large: bool = False
    reason: str = ""


ACCEPTED = Answer()
UNENCODABLE = Answer(ALL, too_large=True, reason="cannot be encoded")
"""Nothing was sent: the request would be larger than it may be, or a record cannot be encoded."""


class Exporter(Protocol):
    """An exporter of the SDK that says what became of a batch; batches come one at a time, from one thread."""

    def export(self, batch: Sequence[Any]) -> Answer:
        """Send records of the SDK; blocks, and never raises for the network."""

    def close(self) -> None:
        """Close the connection; may be called from another thread, to end an export where that works."""


class UnusableProxyError(Exception):
    """The proxy variables of the environment name a proxy that cannot be used; the text is the reason."""


def accepted(signal: str, response: Any) -> Answer:
    """The answer of a collector that has taken a batch, but for those records that `response` counts."""
    partial = response.partial_success
    rejected = partial.rejected_spans if signal == TRACES else partial.rejected_log_records
    return Answer(rejected, reason="partly rejected") if rejected > 0 else ACCEPTED


def _trusted_files(endpoint: Endpoint) -> tls.Files:
    """The authorities that an endpoint is checked with, and the certificate that it is shown.

    The authorities are the endpoint's own, or else the system's (SSL_CERT_FILE, as OpenSSL has it), or on a system
    without such a file those of the client library. By default both libraries use their own list, and would not trust
    an authority that the administrator has installed.
    """
    from requests.utils import DEFAULT_CA_BUNDLE_PATH  # here, because only TLS needs it

    system = ssl.get_default_verify_paths().cafile or DEFAULT_CA_BUNDLE_PATH
    return tls.Files(endpoint.certificate or Path(system), endpoint.client_certificate, endpoint.client_key)


def proxy_url(proxy: Proxy | Failure | None) -> str:
    """The address of a proxy with user and password, for a library; empty for none. The log hides its secrets.

    Raises:
        UnusableProxyError: It cannot be used.
    """
    if isinstance(proxy, Failure):
        raise UnusableProxyError(proxy.detail)
    if proxy is None:
        return ""
    for secret in proxy.secrets:
        protect(secret)
    return with_credentials(proxy)


class RenewedExporter(Exporter):
    """Sends batches of one signal to its endpoint; without one, to standard output.

    The exporter of the protocol is made with the first batch, and made again when a file for TLS has changed. Files
    that cannot be used, as in the middle of a rotation, do not replace the exporter that is in use.
    """

    def __init__(self, signal: str, endpoint: Endpoint | None, user_agent: str) -> None:
        self._signal = signal
        self._endpoint = endpoint
        self._user_agent = user_agent
        self._exporter: Exporter | None = None
        self._stamps: tuple[tls.Stamp | None, ...] = ()

    @override
    def export(self, batch: Sequence[Any]) -> Answer:
        """It does not raise for a file or a proxy either."""
        try:
            self._renew()
        except (tls.UnusableFileError, UnusableProxyError, OSError) as error:
            reason = type(error).__name__ if isinstance(error, OSError) else str(error)
            if self._exporter is None:
                return Answer(retry=True, reason=reason)
            _log.warning("otlp.certificates_unusable", signal=self._signal, reason=reason)
        assert self._exporter is not None  # noqa: S101 (or it has been made just now)
        return self._exporter.export(batch)

    def _renew(self) -> None:
        """Make the exporter when there is none, or when a file has changed."""
        endpoint, before = self._endpoint, self._exporter
        files = None if endpoint is None or endpoint.insecure else _trusted_files(endpoint)
        stamps = () if files is None else tls.stamps(files)
        if before is not None and stamps == self._stamps:
            return
        # Built for gRPC too: what gRPC cannot use it does not report, and then no call comes through.
        context = None if files is None else tls.build(files)
        self._exporter, self._stamps = self._make(files, context), stamps
        if before is not None:
            before.close()
            _log.info("otlp.certificates_renewed", signal=self._signal)

    def _make(self, files: tls.Files | None, context: ssl.SSLContext | None) -> Exporter:
        """The exporter of the protocol. Only what it needs is imported."""
        signal, endpoint = self._signal, self._endpoint
        if endpoint is None:
            from iris_exporter.otel.exporters.console import ConsoleExporter

            return ConsoleExporter(signal)
        if endpoint.protocol == "grpc":
            # Before the import: the C library may write with its first breath.
            standard_streams.capture_stderr()
            from iris_exporter.otel.exporters.grpc import GrpcExporter

            return GrpcExporter(signal, endpoint, self._user_agent, files)
        from iris_exporter.otel.exporters.http import HttpExporter

        return HttpExporter(signal, endpoint, self._user_agent, context)

    @override
    def close(self) -> None:
        if self._exporter is not None:
            self._exporter.close()
