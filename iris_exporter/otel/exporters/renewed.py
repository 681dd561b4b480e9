"""The exporter of a signal, whatever its protocol, made again when a file for TLS has changed."""

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from iris_exporter.core.failures import TransportError
from iris_exporter.http import tls
from iris_exporter.logs import get_logger
from iris_exporter.otel.exporters.base import Answer, Exporter
from iris_exporter.otel.settings import Endpoint
from iris_exporter.process import standard_streams

_log = get_logger("otlp").limited(per_minute=6)


def trusted_files(endpoint: Endpoint) -> tls.Files:
    """The authorities that an endpoint is checked with, and the certificate that it is shown.

    The authorities are the endpoint's own, or else the system's (SSL_CERT_FILE, as OpenSSL has it), or on a system
    without such a file those of the client library. By default both libraries use their own list, and would not trust
    an authority that the administrator has installed.
    """
    from requests.utils import DEFAULT_CA_BUNDLE_PATH  # here, because only TLS needs it

    system = ssl.get_default_verify_paths().cafile or DEFAULT_CA_BUNDLE_PATH
    return tls.Files(endpoint.certificate or Path(system), endpoint.client_certificate, endpoint.client_key)


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
        except (tls.UnusableFileError, TransportError, OSError) as error:
            reason = type(error).__name__ if isinstance(error, OSError) else str(error)
            if self._exporter is None:
                failure = error.failure.listed_reason if isinstance(error, TransportError) else "credentials"
                return Answer(retry=True, reason=reason, failure=failure)
            _log.warning("otlp.certificates_unusable", signal=self._signal, reason=reason)
        assert self._exporter is not None  # noqa: S101 (or it has been made just now)
        return self._exporter.export(batch)

    def _renew(self) -> None:
        """Make the exporter when there is none, or when a file has changed."""
        endpoint, before = self._endpoint, self._exporter
        files = None if endpoint is None or endpoint.insecure else trusted_files(endpoint)
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
