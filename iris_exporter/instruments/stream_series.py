"""The series of one stream: what the catalogue's declarations give for it, as text that is written when it changes."""

from collections.abc import Generator, Iterator

from iris_exporter.core.status import LinkStatus
from iris_exporter.instruments import catalog
from iris_exporter.instruments.entities import EntitySeries
from iris_exporter.instruments.metric import Metric, Subject, Value
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.instruments.text import exemplar_text, format_value, sample_lines
from iris_exporter.instruments.view import StreamView
from iris_exporter.model.snapshot import Snapshot

LINES_PER_PIECE = 1000
"""Lines that were written before are joined in pieces of this many: some 100 KB, a fraction of a millisecond."""

COLUMNS = {metric: index for index, metric in enumerate(catalog.PROJECT_METRICS)}
"""Where in a row of `EntityView` the lines of each project metric are."""


class StreamSeries:
    """Writes the metrics of one stream, and caches each text together with the value that it shows."""

    def __init__(self, instruments: StreamInstruments) -> None:
        self.instruments = instruments
        self._entities = EntitySeries(instruments)
        self._texts: dict[Metric, tuple[Value, str]] = {}

    def view(self, status: LinkStatus, snapshot: Snapshot, *, entities: bool) -> Generator[bytes, None, StreamView]:
        """The stream as its metrics see it, after empty pieces. `entities` off leaves out the expensive part."""
        if not entities:
            return StreamView(status, snapshot)
        return StreamView(status, snapshot, (yield from self._entities.view(snapshot)))

    def text(self, metric: Metric, view: StreamView, *, exemplars: bool) -> str:
        """The lines of a metric that has a few series for each stream."""
        if metric.value is None:
            return self.instruments.text(metric, exemplars=exemplars)
        value = metric.value(view)
        cached = self._texts.get(metric)
        if cached is not None and cached[0] == value:
            return cached[1]
        if isinstance(value, float):
            text = f"{metric.name}{{{self.instruments.tail}{format_value(value)}\n"
        else:
            text = sample_lines(metric.series(value), self.instruments.tail)
        self._texts[metric] = value, text
        return text

    def pieces(self, metric: Metric, view: StreamView, *, exemplars: bool) -> Iterator[bytes]:
        """The lines of a metric with many series (`is_many`); pieces may be empty."""
        if metric.subject is Subject.PROJECT:
            column, projects = COLUMNS[metric], list(view.entities.projects.values())
            for start in range(0, len(projects), LINES_PER_PIECE):
                yield b"".join([project.lines[column] for project in projects[start : start + LINES_PER_PIECE]])
            return
        lines = view.entities.event_lines
        if exemplars and self.instruments.event_exemplars:
            lines = self._with_exemplars(view)
        for start in range(0, len(lines), LINES_PER_PIECE):
            yield b"".join(lines[start : start + LINES_PER_PIECE])

    def _with_exemplars(self, view: StreamView) -> tuple[bytes, ...]:
        """The lines of the event counter with exemplars, which are found by the same labels."""
        found = map(self.instruments.event_exemplars.get, view.entities.events)
        return tuple(
            line if exemplar is None else line[:-1] + exemplar_text(exemplar).encode() + b"\n"
            for line, exemplar in zip(view.entities.event_lines, found, strict=True)
        )


def is_many(metric: Metric) -> bool:
    """Whether a metric can have more series than there are streams, so that it comes in pieces."""
    return metric.subject is Subject.PROJECT or metric is catalog.EVENTS
