"""The projects, anomalies and events of one stream as lines of text, written again only for what has changed.

Theory of operation. A scrape of 100,000 series must not take the event loop from the stream, and between two scrapes
few projects change. The lines of each project are therefore cached with the values that they show; a scrape compares
the values and joins the lines. `view` is a generator that yields an empty piece every few hundred projects, where
the caller may let others run, and returns the view; two scrapes at once each make their own and share the lines.

Everything here is bounded by the limits of the stream, and what is beyond them is counted: projects, unlisted projects
(which only events or anomalies name), event label sets, event types, severities, the length of a label. No two series
are the same, whatever the names are: projects whose clean names are equal are shown once, and their events and
anomalies are added up.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from itertools import chain

from iris_exporter.decoding.messages import Anomaly, Project
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import OTHER, Metric, Value
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.instruments.text import clean_label, escape_label, format_value, pairs_text
from iris_exporter.instruments.view import NO_ENTITIES, EntityView, ProjectView
from iris_exporter.model.snapshot import EventKey, Snapshot

STEP = 200
"""Projects written, or event series read, before the caller may let others run: about a millisecond of work."""

_OTHERS: EventKey = (OTHER, OTHER, OTHER)
_NO_ANOMALIES: Mapping[str, int] = dict.fromkeys(catalog.ANOMALY_SEVERITIES, 0)
_ANY_PROJECT = "\0"
"""Stands for a project in lines that many share: no clean label has this character."""
_VALUES = [metric.value for metric in catalog.PROJECT_METRICS if metric.value is not None]


class Bounded:
    """Admits the first `limit` values that it meets, the known ones included, and calls all others `other`.

    What was admitted stays, also when `limit` is lowered: a counter must not change its labels.
    """

    def __init__(self, known: Iterable[str], limit: int, clean: Callable[[str], str]) -> None:
        self.limit = limit
        self._clean = clean
        self._values = {value: value for value in (*known, OTHER)}

    def admit(self, value: str) -> str:
        """The clean value, or `other` when the set is full."""
        found = self._values.get(value)
        if found is not None:
            return found
        if len(self._values) > self.limit:
            return OTHER
        found = self._values[value] = self._clean(value)
        return found


class EntitySeries:
    """Caches the lines of one stream's projects and events between scrapes."""

    def __init__(self, instruments: StreamInstruments) -> None:
        self._instruments = instruments
        self._limits = limits = instruments.limits
        self._names: dict[str, str] = {}  # of the projects shown last: raw and clean
        self._projects: dict[str, ProjectView] = {}  # by clean name
        self._templates: dict[tuple[Metric, str], str] = {}
        self._left_out: set[str] = set()
        self._unlisted_left_out: set[str] = set()
        self._event_keys: dict[EventKey, EventKey] = {}  # raw and clean; it never changes
        self._event_lines: dict[EventKey, tuple[int, bytes]] = {}
        self._event_projects = Bounded((), limits.max_projects, self._clean)
        self._event_types = Bounded((), limits.max_label_values, self._clean)
        self._severities = Bounded(catalog.SEVERITIES, limits.max_label_values, self._clean)
        self._anomaly_severities = Bounded(catalog.ANOMALY_SEVERITIES, limits.max_label_values, self._clean)

    def view(self, snapshot: Snapshot) -> Generator[bytes, None, EntityView]:
        """Make the view of a snapshot; of a stale one only the events are left."""
        self._take_limits()
        events = yield from self._count_events(snapshot.event_counts)
        event_lines = yield from self._write_events(events)
        if snapshot.stale:
            return EntityView(events=events, event_lines=event_lines)
        listed, names = yield from self._list_projects(snapshot.projects)
        anomalies = self._count_anomalies(names, snapshot.anomalies)
        self._names = names
        projects = yield from self._write_projects(listed, anomalies)
        return EntityView(projects, events, event_lines) if projects or events else NO_ENTITIES

    def _take_limits(self) -> None:
        """Use the present limits. The labels of counters stay as they are; gauges are written anew."""
        limits = self._instruments.limits
        if limits is self._limits:
            return
        self._limits = limits
        self._names, self._projects = {}, {}
        self._event_projects.limit = limits.max_projects
        for bounded in (self._event_types, self._severities, self._anomaly_severities):
            bounded.limit = limits.max_label_values

    def _clean(self, value: str) -> str:
        clean = clean_label(value, self._limits.max_label_length)
        if clean != value:
            self._instruments.count(catalog.STREAM_DROPPED, 1, "label_text")
        return clean

    def _lines(self, metric: Metric, value: Value, *subject: str) -> str:
        tail = self._instruments.tail
        return "".join(
            [
                f"{sample.name}{{{pairs_text(sample.labels)},{tail}{format_value(sample.value)}\n"
                for sample in metric.series(value, subject, self._clean)
            ]
        )

    def _list_projects(
        self, projects: tuple[Project, ...]
    ) -> Generator[bytes, None, tuple[dict[str, Project], dict[str, str]]]:
        """The projects that are shown, by clean name, and the clean names by raw ones."""
        listed: dict[str, Project] = {}
        names: dict[str, str] = {}
        left_out: set[str] = set()
        most = self._limits.max_projects
        for index, project in enumerate(projects):
            if index % STEP == 0:
                yield b""
            raw = project.id
            if len(listed) >= most:
                left_out.add(raw)
                continue
            name = self._names.get(raw) or self._clean(raw)
            if name in listed:
                left_out.add(raw)
                continue
            listed[name] = project
            names[raw] = name
        self._instruments.count(catalog.SERIES_DROPPED, len(left_out - self._left_out), catalog.PROJECT_INFO.name)
        self._left_out = left_out
        return listed, names

    def _count_anomalies(self, names: dict[str, str], anomalies: tuple[Anomaly, ...]) -> dict[str, dict[str, int]]:
        """Count unresolved anomalies by clean labels, and add the clean names of unlisted projects to `names`.

        Unlisted projects are shown as long as there is room for projects, then as `other`.
        """
        counts: dict[str, dict[str, int]] = {}
        left_out: set[str] = set()
        for anomaly in anomalies:
            if anomaly.resolved:
                continue
            raw = anomaly.project
            name = names.get(raw)
            if name is None and len(names) < self._limits.max_projects:
                name = names[raw] = self._names.get(raw) or self._clean(raw)
            if name is None:
                left_out.add(raw)
                name = OTHER
            if name not in counts:
                counts[name] = dict(_NO_ANOMALIES)
            severity = self._anomaly_severities.admit(anomaly.severity)
            counts[name][severity] = counts[name].get(severity, 0) + 1
        self._instruments.count(catalog.SERIES_DROPPED, len(left_out - self._unlisted_left_out), catalog.ANOMALIES.name)
        self._unlisted_left_out = left_out
        return counts

    def _write_projects(
        self, listed: Mapping[str, Project], anomalies: Mapping[str, Mapping[str, int]]
    ) -> Generator[bytes, None, dict[str, ProjectView]]:
        """Write all projects, the unlisted ones too; what is still the same object shows the same values."""
        views: dict[str, ProjectView] = {}
        unlisted = {name: Project(id=name) for name in anomalies if name not in listed}
        for index, (name, project) in enumerate(chain(listed.items(), unlisted.items())):
            if index % STEP == 0:
                yield b""
            counts = anomalies.get(name, _NO_ANOMALIES)
            old = self._projects.get(name)
            if old is not None and old.project is project and old.anomalies is counts:
                views[name] = old
            else:
                views[name] = ProjectView(project, counts)
                views[name].lines = self._project_lines(name, views[name], old)
        self._projects = views
        return views

    def _project_lines(self, name: str, view: ProjectView, old: ProjectView | None) -> tuple[bytes, ...]:
        """The lines of one project; of a value that is as it was those from before."""
        project = escape_label(name)
        if old is None:
            return tuple(
                [
                    self._write(metric, value(view), name, project)
                    for metric, value in zip(catalog.PROJECT_METRICS, _VALUES, strict=True)
                ]
            )
        lines = list(old.lines)
        before = [value(old) for value in _VALUES]
        for index, value in enumerate([value(view) for value in _VALUES]):
            if value != before[index]:
                lines[index] = self._write(catalog.PROJECT_METRICS[index], value, name, project)
        return tuple(lines)

    def _write(self, metric: Metric, value: Value, name: str, escaped: str) -> bytes:
        """The lines of one metric of one project."""
        if isinstance(value, float):
            return f'{metric.name}{{project="{escaped}",{self._instruments.tail}{format_value(value)}\n'.encode()
        if isinstance(value, str) or value is _NO_ANOMALIES:
            return self._template(metric, value).replace(_ANY_PROJECT, escaped).encode()
        return self._lines(metric, value, name).encode()

    def _template(self, metric: Metric, value: Value) -> str:
        """The lines of a value that many projects share, written once."""
        key = metric, value if isinstance(value, str) else ""
        found = self._templates.get(key)
        if found is None:
            found = self._templates[key] = self._lines(metric, value, _ANY_PROJECT)
        return found

    def _count_events(self, counts: Mapping[EventKey, int]) -> Generator[bytes, None, dict[EventKey, int]]:
        """Sum the counts by the labels they are shown under; a key never changes its labels, so no sum ever falls."""
        totals: dict[EventKey, int] = {}
        for index, (raw, count) in enumerate(list(counts.items())):
            if index % STEP == 0:
                yield b""
            key = self._event_keys.get(raw) or self._admit(raw)
            totals[key] = totals.get(key, 0) + count
        return totals

    def _write_events(self, totals: Mapping[EventKey, int]) -> Generator[bytes, None, tuple[bytes, ...]]:
        """One line for each total; of those that have not moved the one of the scrape before."""
        known = self._event_lines
        lines = []
        for index, (key, count) in enumerate(totals.items()):
            if index % STEP == 0:
                yield b""
            entry = known.get(key)
            if entry is None:
                entry = known[key] = (count, self._lines(catalog.EVENTS, {key: count}).encode())
            elif entry[0] != count:
                labels = entry[1].rpartition(b" ")[0]
                entry = known[key] = (count, b"%b %b\n" % (labels, format_value(count).encode()))
            lines.append(entry[1])
        return tuple(lines)

    def _admit(self, raw: EventKey) -> EventKey:
        key = _OTHERS
        if raw != _OTHERS:
            if len(self._event_keys) < self._limits.max_event_series:
                project, event_type, severity = raw
                key = (
                    self._event_projects.admit(project),
                    self._event_types.admit(event_type),
                    self._severities.admit(severity),
                )
            if any(shown == OTHER != sent for shown, sent in zip(key, raw, strict=True)):
                self._instruments.count(catalog.SERIES_DROPPED, 1, catalog.EVENTS.name)
        self._event_keys[raw] = key
        return key
