"""One stream at one moment of a scrape: every series of every metric, as lines and as samples.

The two spellings stand side by side, one short branch for each shape of metric; tests hold them to the same bytes.
"""

from collections.abc import Iterator
from itertools import islice

from iris_exporter.core.status import LinkStatus, State
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import Kind, Metric
from iris_exporter.instruments.mirror import COLUMNS, HEADLINES, PROJECT_FIELDS, STATUS_FIELDS, Mirror, View, status_of
from iris_exporter.instruments.stream import StreamInstruments
from iris_exporter.instruments.text import (
    Sample,
    clean_label,
    escape_label,
    format_value,
    head,
    sample_line,
)

ROWS_PER_PIECE = 1000
"""Kept lines are joined in pieces of this many projects: some 100 KB, a fraction of a millisecond."""
EVENTS_PER_PIECE = 500
"""Event series are written anew for each scrape: about half a millisecond for this many."""

MANY = frozenset({*COLUMNS, catalog.ANOMALIES.name, catalog.EVENTS.name})
"""Metrics with more series than streams: they come in pieces. All others have a few for each stream."""

_PROJECT_ATTRIBUTES = {metric.name: name for metric, name in PROJECT_FIELDS}


class Moment:
    """What the status, the view and the counters of one stream say; counters are read when they are printed."""

    __slots__ = ("_gauges", "_instruments", "_mirror", "_status", "_tail", "_view")

    def __init__(
        self, instruments: StreamInstruments, status: LinkStatus, mirror: Mirror, view: View, *, stale: bool
    ) -> None:
        self._instruments = instruments
        self._tail = instruments.tail
        self._status = status
        self._mirror = mirror
        self._view = view
        self._gauges = _gauges(status, view, stale=stale)

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
        name, tail, items = catalog.EVENTS.name, self._tail, iter(self._view.events.items())
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
        name = metric.name
        if name in self._gauges:
            value = self._gauges[name]
            if value is not None:
                out.append(f"{name}{{{self._tail}{format_value(value)}\n")
        elif metric is catalog.STREAM_STATE:
            current = self._status.state
            for state in State:
                on = "1.0" if state is current else "0.0"
                out.append(f"{head(name, (('state', state.value),))}{self._tail}{on}\n")
        elif metric.kind in (Kind.COUNTER, Kind.HISTOGRAM) and metric is not catalog.SERIES_DROPPED:
            self._instruments.write(metric, out, exemplars=exemplars)
        else:
            out.extend(sample_line(sample, exemplars=exemplars) for sample in self.samples(metric))

    def samples(self, metric: Metric) -> Iterator[Sample]:
        """The same series, and those of `pieces`, for whoever does not want text."""
        stream, name = self._instruments.stream, metric.name
        if name in self._gauges:
            value = self._gauges[name]
            if value is not None:
                yield Sample(name, {"stream": stream}, value)
        elif metric is catalog.STREAM_STATE:
            for state in State:
                yield Sample(name, {"state": state.value, "stream": stream}, state is self._status.state)
        elif metric is catalog.STREAM_INFO:
            endpoint, protocol = clean_label(self._status.endpoint), clean_label(self._status.protocol)
            yield Sample(name, {"endpoint": endpoint, "protocol": protocol, "stream": stream}, 1)
        elif metric is catalog.PROJECTS_BY_STATUS:
            for status, attribute in STATUS_FIELDS.items():
                value = getattr(self._view.metrics, attribute, None)
                if value is not None:
                    yield Sample(name, {"status": status, "stream": stream}, value)
        elif metric is catalog.SERIES_DROPPED:
            for dropped, count in self._mirror.dropped.items():
                yield Sample(name, {"metric": dropped, "stream": stream}, count)
        elif name in MANY:
            yield from self._entity_samples(metric, stream)
        else:
            yield from self._instruments.samples(metric)

    def _entity_samples(self, metric: Metric, stream: str) -> Iterator[Sample]:
        name = metric.name
        if metric is catalog.EVENTS:
            for (project, event_type, severity), count in self._view.events.items():
                labels = {"event_type": event_type, "project": project, "severity": severity, "stream": stream}
                yield Sample(name, labels, count)
        elif metric is catalog.ANOMALIES:
            zeros = dict.fromkeys(catalog.ANOMALY_SEVERITIES, 0)
            for project, counts in {**dict.fromkeys(self._view.projects, zeros), **self._view.anomalies}.items():
                for severity, count in counts.items():
                    yield Sample(name, {"project": project, "severity": severity, "stream": stream}, count)
        else:
            yield from self._project_samples(metric, stream)

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


def _gauges(status: LinkStatus, view: View, *, stale: bool) -> dict[str, float | None]:
    """The gauges with the label `stream` alone, by metric name; None has no series."""
    up = status.state in (State.LIVE, State.POLLING) and not stale
    gauges: dict[str, float | None] = {
        catalog.UP.name: 1 if up else 0,
        catalog.RECONNECT_ATTEMPT.name: 0 if status.state is State.LIVE else status.attempt,
        catalog.CONNECTED_TIMESTAMP.name: status.connected_at,
        catalog.LAST_MESSAGE_TIMESTAMP.name: status.last_message,
    }
    for metric, attribute in HEADLINES:
        gauges[metric.name] = getattr(view.metrics, attribute, None)
    return gauges
