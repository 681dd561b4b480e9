"""The SDK's exporters, made so that they say what became of a batch."""

import logging
from collections.abc import Callable
from functools import partial

from iris_exporter.otel.exporters.base import Exporter, trusted_files
from iris_exporter.otel.settings import Endpoint
from iris_exporter.process import raw_stderr

# What they say about a failure is said by the export thread, limited and without the collector's own words.
logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)


def make_exporter(signal: str, endpoint: Endpoint | None, user_agent: str) -> Exporter:
    """The exporter of a signal; None writes to stdout. Only what it needs is imported."""
    if endpoint is None:
        from iris_exporter.otel.exporters.console import ConsoleExporter

        return ConsoleExporter(signal)
    make: Callable[[], Exporter]
    if endpoint.protocol == "grpc":
        # Before the import: the C library may write with its first breath.
        raw_stderr.capture()
        from iris_exporter.otel.exporters.grpc import GrpcExporter

        make = partial(GrpcExporter, signal, endpoint, user_agent)
    else:
        from iris_exporter.otel.exporters.http import HttpExporter

        make = partial(HttpExporter, signal, endpoint, user_agent)
    if endpoint.insecure:
        return make()
    from iris_exporter.otel.exporters.renewed import RenewedExporter

    return RenewedExporter(signal, trusted_files(endpoint), make)
