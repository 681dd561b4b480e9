"""One stream at one moment of a scrape: every series of every metric, as lines and as samples.

The two spellings come from the same numbers; tests hold them to the same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from iris_exporter.core.status import LinkStatus
from iris_exporter.decoding.messages import Metrics
from iris_exporter.instruments import catalog
from iris_exporter.instruments.entities import COLUMNS, PROJECT_FIELDS, Mirror, View, status_of
from iris_exporter.instruments.link import Series, link_lines, link_series
from iris_exporter.instruments.metric import Metric
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.instruments.text import Sample, clean_label, exemplar_text, format_value
from iris_exporter.model.snapshot import DataFlow

LINES_PER_PIECE = 1000
"""Kept lines are joined in pieces of this many: some 100 KB, a fraction of a millisecond."""
MANY = frozenset({*COLUMNS, catalog.ANOMALIES.name, catalog.EVENTS.name})
"""Metrics with more series than streams: they come in pieces. All others have a few for each stream."""

_PROJECT_ATTRIBUTES = {metric.name: name for metric, name in PROJECT_FIELDS}


@dataclass(frozen=True, slots=True)
class Present:
    """The series of the link, their lines, and what they were made of: kept while a stream does what it did before.

    The moment of the last message is left out of it: it is another one at each scrape of a stream that lives.
    """

    facts: tuple[object, ...]
    series: Series
    lines: dict[str, str]


class Moment:
    """What the status, the view and the counters of one stream say; counters are read when they are printed."""

    __slots__ = ("_instruments", "_last_message", "_lines", "_series", "_view")

    def __init__(
        self, instruments: StreamInstruments, view: View, present: Present, last_message: float | None
    ) -> None:
        self._instruments = instruments
        self._view = view
        self._series = present.series
        self._lines = present.lines
        self._last_message = last_message

    @property
    def has_entities(self) -> bool:
        """Whether `pieces` has anything to say."""
        return bool(self._view.anomaly_lines or self._view.events)

    def pieces(self, metric: Metric, *, exemplars: bool) -> Iterator[bytes]:
        """The lines of a metric of `MANY`; pieces may be empty."""
        if metric is catalog.EVENTS and exemplars and self._instruments.event_exemplars:
            yield from self._event_pieces()
            return
        if metric is catalog.EVENTS or metric is catalog.ANOMALIES:
            lines = self._view.event_lines if metric is catalog.EVENTS else self._view.anomaly_lines
            for start in range(0, len(lines), LINES_PER_PIECE):
                yield b"".join(lines[start : start + LINES_PER_PIECE])
            return
        column, rows = COLUMNS[metric.name], self._view.rows
        for start in range(0, len(rows), LINES_PER_PIECE):
            yield b"".join([row[column] for row in rows[start : start + LINES_PER_PIECE]])

    def _event_pieces(self) -> Iterator[bytes]:
        """The lines of the event counter with exemplars; both mappings have the labels as they are counted."""
        known = self._instruments.event_exemplars
        lines = []
        for key, line in zip(self._view.events, self._view.event_lines, strict=True):
            exemplar = known.get(key)
            lines.append(line if exemplar is None else line[:-1] + exemplar_text(exemplar).encode() + b"\n")
        for start in range(0, len(lines), LINES_PER_PIECE):
            yield b"".join(lines[start : start + LINES_PER_PIECE])

    def write(self, metric: Metric, out: list[str], *, exemplars: bool) -> None:
        """Append the lines of any other metric with the label `stream`."""
        lines = self._lines.get(metric.name)
        if lines is not None:
            out.append(lines)
        elif metric is not catalog.LAST_MESSAGE_TIMESTAMP:
            self._instruments.write(metric, out, exemplars=exemplars)
        elif self._last_message is not None:
            out.append(f"{metric.name}{{{self._instruments.tail}{format_value(self._last_message)}\n")

    def samples(self, metric: Metric) -> Iterator[Sample]:
        """The same series, and those of `pieces`, for whoever does not want text."""
        stream, name = self._instruments.stream, metric.name
        if name in self._series:
            for pairs, value in self._series[name]:
                yield Sample(name, {**dict(pairs), "stream": stream}, value)
        elif metric is catalog.LAST_MESSAGE_TIMESTAMP:
            if self._last_message is not None:
                yield Sample(name, {"stream": stream}, self._last_message)
        elif metric is catalog.EVENTS:
            known = self._instruments.event_exemplars
            for key, count in self._view.events.items():
                project, event_type, severity = key
                labels = {"event_type": event_type, "project": project, "severity": severity, "stream": stream}
                yield Sample(name, labels, count, known.get(key))
        elif metric is catalog.ANOMALIES:
            zeros = dict.fromkeys(catalog.ANOMALY_SEVERITIES, 0)
            for project, counts in {**dict.fromkeys(self._view.projects, zeros), **self._view.anomalies}.items():
                for severity, count in counts.items():
                    yield Sample(name, {"project": project, "severity": severity, "stream": stream}, count)
        elif name in MANY:
            yield from self._project_samples(metric, stream)
        else:
            yield from self._instruments.samples(metric)

    def _project_samples(self, metric: Metric, stream: str) -> Iterator[Sample]:
        name = metric.name
        for key, project in self._view.projects.items():
            if metric is catalog.PROJECT_STATUS:
                current = status_of(project)
                for status in catalog.STATUSES if current is not None else ():
                    yield Sample(name, {"project": key, "status": status, "stream": stream}, status == current)
            elif metric is catalog.PROJECT_INFO:
                if project.name is not None:
                    shown = clean_label(project.name, self._view.label_length)
                    yield Sample(name, {"name": shown, "project": key, "stream": stream}, 1)
            else:
                value = getattr(project, _PROJECT_ATTRIBUTES[name])
                if value is not None:
                    yield Sample(name, {"project": key, "stream": stream}, value)


def present_of(
    instruments: StreamInstruments, status: LinkStatus, metrics: Metrics | None, mirror: Mirror, flow: DataFlow, *,
    kept: Present | None,
) -> Present:  # fmt: skip
    """Write the series of the link, or take those of the scrape before when nothing about them has changed."""
    attempts = (status.attempt, status.connected_at, status.next_attempt_at)
    facts = (status.state, status.protocol, status.endpoint, *attempts, metrics, flow, *mirror.dropped.values())
    if kept is not None and kept.facts == facts:
        return kept
    series = link_series(status, metrics, mirror.dropped, flow)
    return Present(facts, series, link_lines(series, instruments.tail))
