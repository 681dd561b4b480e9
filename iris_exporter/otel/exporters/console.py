"""The exporter `console`: each record as one line of JSON on stdout, in the SDK's own form."""

import io
import sys
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter
from opentelemetry.sdk.trace.export import ConsoleSpanExporter

from iris_exporter.otel.exporters.base import ACCEPTED, Answer
from iris_exporter.process import standard_streams


class ConsoleExporter:
    """Writes to the stdout of now."""

    def __init__(self, signal: str) -> None:
        kind: Any = ConsoleSpanExporter if signal == "traces" else ConsoleLogRecordExporter
        self._writer = standard_streams.output()
        self._lines = io.StringIO()
        out = sys.stdout if self._writer is None else self._lines
        self._exporter = kind(out=out, formatter=lambda record: record.to_json(indent=None) + "\n")

    def export(self, batch: Sequence[Any], timeout_seconds: float) -> Answer:
        """See `Exporter.export`; records that nobody can read any more count as refused."""
        # A queue with room would take lines for a reader that never comes: what was sent before has to be gone.
        if self._writer is not None and not self._writer.flush(timeout_seconds):
            return Answer(retry=True, reason="nobody reads standard output")
        try:
            self._exporter.export(batch)
        except (OSError, ValueError) as error:
            return Answer(len(batch), reason=type(error).__name__)
        return ACCEPTED if self._written(timeout_seconds) else Answer(len(batch), reason="standard output is closed")

    def _written(self, timeout_seconds: float) -> bool:
        if self._writer is None:
            return True
        text = self._lines.getvalue()
        self._lines.seek(0)
        self._lines.truncate()
        before = self._writer.dropped
        self._writer.write(text)
        self._writer.flush(timeout_seconds)
        return self._writer.dropped == before

    def close(self) -> None:
        """See `Exporter.close`."""
