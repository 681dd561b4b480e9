"""The exporter `console`: the SDK's own, each record as one line of JSON on standard output."""

import io
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter
from opentelemetry.sdk.trace.export import ConsoleSpanExporter
from typing_extensions import override

from iris_exporter.otel.exporters.base import ACCEPTED, ALL, Answer, Exporter
from iris_exporter.otel.settings import TRACES
from iris_exporter.process.standard_streams import stdout

_READER_SECONDS = 10.0


class ConsoleExporter(Exporter):
    """Writes to standard output, through the writer that everything there goes through."""

    def __init__(self, signal: str) -> None:
        self._kind: Any = ConsoleSpanExporter if signal == TRACES else ConsoleLogRecordExporter

    @override
    def export(self, batch: Sequence[Any]) -> Answer:
        """Records that nobody can read any more count as refused."""
        writer = stdout.own_writer()
        # A queue with room would take lines for a reader that never comes: earlier lines have to be gone.
        if writer is not None and not writer.flush(_READER_SECONDS):
            return Answer(retry=True, reason="nobody reads standard output", failure="no_reader")
        dropped = 0 if writer is None else writer.dropped
        lines = io.StringIO()
        try:
            self._kind(out=lines, formatter=lambda record: record.to_json(indent=None) + "\n").export(batch)
            stdout.write(lines.getvalue())
        except (OSError, ValueError) as error:
            return Answer(ALL, reason=type(error).__name__, failure="no_reader")
        if writer is not None:
            writer.flush(_READER_SECONDS)
            if writer.dropped != dropped:
                return Answer(ALL, reason="standard output is closed", failure="no_reader")
        return ACCEPTED

    @override
    def close(self) -> None:
        """Nothing is open."""
