"""One stream at one moment of a scrape: every series of every metric, as lines and as samples.

The two spellings come from the same numbers; tests hold them to the same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from iris_exporter.core.status import LinkStatus
from iris_exporter.decoding.messages import Metrics
from iris_exporter.instruments import catalog
from iris_exporter.instruments.link import Series, link_lines, link_series
from iris_exporter.instruments.metric import Metric
from iris_exporter.instruments.mirror import COLUMNS, PROJECT_FIELDS, Mirror, View, status_of
from iris_exporter.instruments.stream import StreamInstruments
from iris_exporter.instruments.text import Sample, clean_label, escape_label, format_value

ROWS_PER_PIECE = 1000
"""Kept lines are joined in pieces of this many projects: some 100 KB, a fraction of a millisecond."""
EVENTS_PER_PIECE = 500
"""Event series are written anew for each scrape: about half a millisecond for this many."""

MANY = frozenset({*COLUMNS, catalog.ANOMALIES.name, catalog.EVENTS.name})
"""Metrics with more series than streams: they come in pieces. All others have a few for each stream."""

_PROJECT_ATTRIBUTES = {metric.name: name for metric, name in PROJECT_FIELDS}


@dataclass(frozen=True, slots=True)
class Present:
    """The series of the link, their lines, and what they were made of: kept while a stream stands still."""

    status: LinkStatus
    metrics: Metrics | None
    stale: bool
    dropped: int
    series: Series
    lines: dict[str, str]


class Moment:
    """What the status, the view and the counters of one stream say; counters are read when they are printed."""

    __slots__ = ("_instruments", "_lines", "_view", "present")

    def __init__(self, instruments: StreamInstruments, view: View, present: Present) -> None:
        self._instruments = instruments
        self._view = view
        self.present = present
        self._lines = present.lines

    @property
    def has_entities(self) -> bool:
        """Whether `pieces` has anything to say."""
        return bool(self._view.anomaly_lines or self._view.events)

    def pieces(self, metric: Metric) -> Iterator[bytes]:
        """The lines of a metric of `MANY`; pieces may be empty."""
        if metric is catalog.EVENTS:
            yield from self._event_pieces()
            return
        if metric is catalog.ANOMALIES:
            lines = self._view.anomaly_lines
            for start in range(0, len(lines), ROWS_PER_PIECE):
                yield b"".join(lines[start : start + ROWS_PER_PIECE])
            return
        column, rows = COLUMNS[metric.name], self._view.rows
        for start in range(0, len(rows), ROWS_PER_PIECE):
            yield b"".join([row[column] for row in rows[start : start + ROWS_PER_PIECE]])

    def _event_pieces(self) -> Iterator[bytes]:
        name, tail, items = catalog.EVENTS.name, self._instruments.tail, iter(self._view.events.items())
        while batch := list(islice(items, EVENTS_PER_PIECE)):
            yield "".join(
                [
                    f'{name}{{event_type="{escape_label(event_type)}",project="{escape_label(project)}",'
                    f'severity="{escape_label(severity)}",{tail}{format_value(count)}\n'
                    for (project, event_type, severity), count in batch
                ]
            ).encode()

    def write(self, metric: Metric, out: list[str], *, exemplars: bool) -> None:
        """Append the lines of any other metric with the label `stream`."""
        lines = self._lines.get(metric.name)
        if lines is None:
            self._instruments.write(metric, out, exemplars=exemplars)
        else:
            out.append(lines)

    def samples(self, metric: Metric) -> Iterator[Sample]:
        """The same series, and those of `pieces`, for whoever does not want text."""
        stream, name = self._instruments.stream, metric.name
        if name in self.present.series:
            for pairs, value in self.present.series[name]:
                yield Sample(name, {**dict(pairs), "stream": stream}, value)
        elif metric is catalog.EVENTS:
            for (project, event_type, severity), count in self._view.events.items():
                labels = {"event_type": event_type, "project": project, "severity": severity, "stream": stream}
                yield Sample(name, labels, count)
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
                    yield Sample(name, {"name": clean_label(project.name), "project": key, "stream": stream}, 1)
            else:
                value = getattr(project, _PROJECT_ATTRIBUTES[name])
                if value is not None:
                    yield Sample(name, {"project": key, "stream": stream}, value)


def present_of(
    instruments: StreamInstruments, status: LinkStatus, metrics: Metrics | None, mirror: Mirror, *, stale: bool,
    kept: Present | None,
) -> Present:  # fmt: skip
    """Write the series of the link, or take those of the scrape before when nothing about them has changed."""
    dropped = sum(mirror.dropped.values())
    if kept is not None and (kept.status, kept.metrics, kept.stale, kept.dropped) == (status, metrics, stale, dropped):
        return kept
    series = link_series(status, metrics, mirror.dropped, stale=stale)
    return Present(status, metrics, stale, dropped, series, link_lines(series, instruments.tail))
