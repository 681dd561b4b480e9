"""The exporter `console`: each record as one line of JSON on stdout, in the SDK's own form."""

import sys
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter
from opentelemetry.sdk.trace.export import ConsoleSpanExporter

from iris_exporter.otel.exporters.base import ACCEPTED, Answer


class ConsoleExporter:
    """Writes to the stdout of now."""

    def __init__(self, signal: str) -> None:
        kind: Any = ConsoleSpanExporter if signal == "traces" else ConsoleLogRecordExporter
        self._exporter = kind(out=sys.stdout, formatter=lambda record: record.to_json(indent=None) + "\n")

    def export(self, batch: Sequence[Any], timeout_seconds: float) -> Answer:  # noqa: ARG002 (see Exporter)
        """See `Exporter.export`; records that nobody can read any more count as refused."""
        try:
            self._exporter.export(batch)
        except (OSError, ValueError) as error:
            return Answer(len(batch), reason=type(error).__name__)
        return ACCEPTED

    def close(self) -> None:
        """See `Exporter.close`."""
