"""The SDK's exporters, made so that they say what became of a batch. Only the client that is needed is imported."""

import logging
from collections.abc import Sequence
from typing import Any

from iris_exporter.http import tls
from iris_exporter.logs import get_logger
from iris_exporter.otel.exporters.base import Answer, Exporter, UnusableProxyError, trusted_files
from iris_exporter.otel.settings import Endpoint
from iris_exporter.process import standard_streams

# The pipeline logs failures itself: limited in number, and without the collector's own words.
logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)

_log = get_logger("otlp").limited(per_minute=6)


class RenewedExporter:
    """Sends batches of one signal, one at a time, from one thread; without an endpoint, to standard output.

    The exporter of the protocol is made with the first batch, and made again when a file for TLS has changed. Files
    that cannot be used, as in the middle of a rotation, do not replace the exporter that is in use.
    """

    def __init__(self, signal: str, endpoint: Endpoint | None, user_agent: str) -> None:
        self._signal = signal
        self._endpoint = endpoint
        self._user_agent = user_agent
        self._exporter: Exporter | None = None
        self._stamps: tuple[tls.Stamp | None, ...] = ()

    def export(self, batch: Sequence[Any]) -> Answer:
        """Send records of the SDK; blocks, and never raises for the network, a file or a proxy."""
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
        stamps = () if endpoint is None or endpoint.insecure else tls.stamps(trusted_files(endpoint))
        if before is not None and stamps == self._stamps:
            return
        self._exporter, self._stamps = _make(self._signal, endpoint, self._user_agent), stamps
        if before is not None:
            before.close()
            _log.info("otlp.certificates_renewed", signal=self._signal)

    def close(self) -> None:
        """See `Exporter.close`."""
        if self._exporter is not None:
            self._exporter.close()


def _make(signal: str, endpoint: Endpoint | None, user_agent: str) -> Exporter:
    if endpoint is None:
        from iris_exporter.otel.exporters.console import ConsoleExporter

        return ConsoleExporter(signal)
    if endpoint.protocol == "grpc":
        # Before the import: the C library may write with its first breath.
        standard_streams.capture_stderr()
        from iris_exporter.otel.exporters.grpc import GrpcExporter

        return GrpcExporter(signal, endpoint, user_agent)
    from iris_exporter.otel.exporters.http import HttpExporter

    return HttpExporter(signal, endpoint, user_agent)
