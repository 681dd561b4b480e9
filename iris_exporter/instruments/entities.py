"""The projects, anomalies and events of one stream within its limits, and the lines of its events.

`view` is a generator that yields an empty piece every few hundred projects, where the caller may let others run, and
returns the view. The lines of projects are in tables that several streams, and two scrapes at once, share (`projects`).
Those of events are not shared, since what is recorded of a scrape (`persistence.checkpoints`) stands for exactly the
events that it shows.

Everything here is bounded by the limits of the stream, and what is beyond them is counted: projects, unlisted projects
(which only events or anomalies name), event label sets, event types, severities, the length of a label. No two series
are the same, whatever the names are: projects whose clean names are equal are shown once, and their events and
anomalies are added up.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

from iris_exporter.core.labels import clean_label
from iris_exporter.decoding.messages import Anomaly, Project
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import OTHER
from iris_exporter.instruments.projects import NO_ANOMALIES, STEP
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.instruments.text import escape_label, exemplar_text, format_value
from iris_exporter.instruments.view import NO_ENTITIES, EntityView, ProjectView
from iris_exporter.logs import redact_data
from iris_exporter.model.snapshot import EventKey, Snapshot

_OTHERS: EventKey = (OTHER, OTHER, OTHER)

Projects = tuple[Sequence[str], Sequence[ProjectView]]
"""Clean names, and what there is to be shown of each."""
Events = tuple[Sequence[EventKey], Sequence[int], Sequence[bytes]]
"""Clean labels, and the count and the line of each."""


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
    """Caches the view of one stream, and the lines of its events, between scrapes."""

    def __init__(self, instruments: StreamInstruments) -> None:
        self.instruments = instruments
        self._limits = limits = instruments.limits
        self._names: dict[str, str] = {}  # of the projects shown last: raw and clean
        self._projects: Projects = ((), ())
        self._ids: list[str] | None = None  # raw ones of the projects, where all of them are shown
        self._anomalies: tuple[Anomaly, ...] = ()  # that the projects show
        # What the last view was made of. Not the snapshot, whose feed would then live twice.
        self._last: tuple[Sequence[Project], Sequence[Anomaly], Mapping[EventKey, int], bool, EntityView] | None = None
        self._left_out: set[str] = set()
        self._unlisted_left_out: set[str] = set()
        self._event_keys: dict[EventKey, EventKey] = {}  # raw and clean; it never changes
        self._event_lines: dict[EventKey, tuple[int, bytes]] = {}
        self._event_projects = Bounded((), limits.max_projects, self.clean)
        self._event_types = Bounded((), limits.max_label_values, self.clean)
        self._severities = Bounded(catalog.SEVERITIES, limits.max_label_values, self.clean)
        self._anomaly_severities = Bounded(catalog.ANOMALY_SEVERITIES, limits.max_label_values, self.clean)

    def view(self, snapshot: Snapshot) -> Generator[bytes, None, EntityView]:
        """The view of a snapshot, the last one where it shows the same; of a stale one only the events are left."""
        events: Events | None = None
        if self._last is not None and self.instruments.limits is self._limits:
            projects, anomalies, counts, stale, view = self._last
            if snapshot.event_counts == counts:
                if snapshot.projects is projects and snapshot.anomalies is anomalies and snapshot.stale == stale:
                    return view
                events = view.event_keys, view.event_counts, view.event_lines
        self._last = None
        self._take_limits()
        if events is None:
            totals = yield from self._count_events(snapshot.event_counts)
            events = list(totals), list(totals.values()), (yield from self._write_events(totals))
        names, views = (), ()  # type: Projects
        if not snapshot.stale:
            names, views = self._projects = self._same_projects(snapshot) or (yield from self._list_projects(snapshot))
        view = EntityView(names, views, *events)
        if not view.names and not view.event_keys:
            view = NO_ENTITIES
        self._last = snapshot.projects, snapshot.anomalies, snapshot.event_counts, snapshot.stale, view
        return view

    @property
    def tail(self) -> str:
        """See `projects.Owner`."""
        return self.instruments.tail

    def event_lines(self, view: EntityView, *, exemplars: bool) -> Sequence[bytes]:
        """The lines of the event counter; their exemplars are found by the same labels."""
        if not exemplars or not self.instruments.event_exemplars:
            return view.event_lines
        found = map(self.instruments.event_exemplars.get, view.event_keys)
        return [
            line if exemplar is None else line[:-1] + exemplar_text(exemplar).encode() + b"\n"
            for line, exemplar in zip(view.event_lines, found, strict=True)
        ]

    def _take_limits(self) -> None:
        """Use the present limits. The labels of counters stay as they are; gauges are written anew."""
        limits = self.instruments.limits
        if limits is self._limits:
            return
        self._limits = limits
        self._names, self._ids, self._projects = {}, None, ((), ())
        self._event_projects.limit = limits.max_projects
        for bounded in (self._event_types, self._severities, self._anomaly_severities):
            bounded.limit = limits.max_label_values

    def clean(self, value: str) -> str:
        """See `projects.Owner`; what is changed is counted."""
        clean = clean_label(redact_data(value), self._limits.max_label_length)
        if clean != value:
            self.instruments.count(catalog.STREAM_DROPPED, 1, "label_text")
        return clean

    def _same_projects(self, snapshot: Snapshot) -> Projects | None:
        """The projects where none has come or gone, which is nearly always."""
        if snapshot.anomalies is not self._anomalies or [project.id for project in snapshot.projects] != self._ids:
            return None
        names, before = self._projects
        views = [
            old if old.project is project else ProjectView(project, old.anomalies)
            for project, old in zip(snapshot.projects, before, strict=False)  # the unlisted ones come last
        ]
        views += before[len(views) :]
        return names, views

    def _list_projects(self, snapshot: Snapshot) -> Generator[bytes, None, Projects]:
        """All projects that are shown."""
        listed, names = yield from self._list_listed(snapshot.projects)
        anomalies = yield from self._count_anomalies(names, snapshot.anomalies)
        self._names = names
        views: list[ProjectView] = []
        for name, project in listed.items():
            if len(views) % STEP == 0:
                yield b""
            views.append(ProjectView(project, anomalies.get(name, NO_ANOMALIES)))
        unlisted = [name for name in anomalies if name not in listed]
        views += [ProjectView(Project(id=name), anomalies[name]) for name in unlisted]
        self._anomalies = snapshot.anomalies
        self._ids = [project.id for project in snapshot.projects] if len(listed) == len(snapshot.projects) else None
        return [*listed, *unlisted], views

    def _list_listed(
        self, projects: tuple[Project, ...]
    ) -> Generator[bytes, None, tuple[dict[str, Project], dict[str, str]]]:
        """The projects that are shown, by clean name, and the clean names by raw ones."""
        listed: dict[str, Project] = {}
        names: dict[str, str] = {}
        left_out: set[str] = set()
        most = self._limits.max_projects
        for index, project in enumerate(projects):
            if index and index % STEP == 0:
                yield b""
            raw = project.id
            if len(listed) >= most:
                left_out.add(raw)
                continue
            name = self._names.get(raw) or self.clean(raw)
            if name in listed:
                left_out.add(raw)
                continue
            listed[name] = project
            names[raw] = name
        self.instruments.count(catalog.SERIES_DROPPED, len(left_out - self._left_out), catalog.PROJECT_INFO.name)
        self._left_out = left_out
        return listed, names

    def _count_anomalies(
        self, names: dict[str, str], anomalies: tuple[Anomaly, ...]
    ) -> Generator[bytes, None, dict[str, dict[str, int]]]:
        """Count unresolved anomalies by clean labels, and add the clean names of unlisted projects to `names`.

        Unlisted projects are shown as long as there is room for projects, then as `other`.
        """
        counts: dict[str, dict[str, int]] = {}
        left_out: set[str] = set()
        for index, anomaly in enumerate(anomalies):
            if index and index % STEP == 0:
                yield b""
            if anomaly.resolved:
                continue
            raw = anomaly.project
            name = names.get(raw)
            if name is None and len(names) < self._limits.max_projects:
                name = names[raw] = self._names.get(raw) or self.clean(raw)
            if name is None:
                left_out.add(raw)
                name = OTHER
            if name not in counts:
                counts[name] = dict(NO_ANOMALIES)
            severity = self._anomaly_severities.admit(anomaly.severity)
            counts[name][severity] = counts[name].get(severity, 0) + 1
        self.instruments.count(catalog.SERIES_DROPPED, len(left_out - self._unlisted_left_out), catalog.ANOMALIES.name)
        self._unlisted_left_out = left_out
        return counts

    def _count_events(self, counts: Mapping[EventKey, int]) -> Generator[bytes, None, dict[EventKey, int]]:
        """Sum the counts by the labels they are shown under; a key never changes its labels, so no sum ever falls."""
        totals: dict[EventKey, int] = {}
        for index, (raw, count) in enumerate(list(counts.items())):
            if index and index % STEP == 0:
                yield b""
            key = self._event_keys.get(raw) or self._admit(raw)
            totals[key] = totals.get(key, 0) + count
        return totals

    def _write_events(self, totals: Mapping[EventKey, int]) -> Generator[bytes, None, list[bytes]]:
        """One line for each total; of those that have not moved the one of the scrape before."""
        known, tail = self._event_lines, self.instruments.tail
        lines = []
        for index, (key, count) in enumerate(totals.items()):
            if index and index % STEP == 0:
                yield b""
            entry = known.get(key)
            if entry is None:
                entry = known[key] = (count, catalog.EVENTS.line(map(escape_label, key), count, tail).encode())
            elif entry[0] != count:
                labels = entry[1].rpartition(b" ")[0]
                entry = known[key] = (count, b"%b %b\n" % (labels, format_value(count).encode()))
            lines.append(entry[1])
        return lines

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
            if OTHER in key and any(shown == OTHER != sent for shown, sent in zip(key, raw, strict=True)):
                self.instruments.count(catalog.SERIES_DROPPED, 1, catalog.EVENTS.name)
        self._event_keys[raw] = key
        return key
