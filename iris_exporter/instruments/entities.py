"""What a snapshot says, as lines of text: written once for each project and kept until the project changes.

Theory of operation. A scrape of 100,000 series must not take the event loop from the stream, and between two scrapes
few projects change. A project keeps its identity from one snapshot to the next while nothing about it changed, so the
lines of each project are kept beside the object they were made of; a scrape then joins what it finds. `view` is a
generator that yields (nothing) every few hundred projects, where the caller may let others run, and returns the view;
two scrapes at once each build their own and share what was kept.

Everything here is bounded by the limits of the stream, and what is beyond them is counted: projects, projects that only
events or anomalies name, event label sets, event types, severities, the length of a label. No two series are the same,
whatever the names are: projects whose clean names are equal are shown once, and events and anomalies are added up.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field

from iris_exporter.core.limits import DEFAULT_LIMITS, Limits
from iris_exporter.decoding.messages import Anomaly, Metrics, Project
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import OTHER, Metric
from iris_exporter.instruments.text import clean_label, escape_label, format_value
from iris_exporter.model.snapshot import EventKey, Snapshot

PROJECT_FIELDS: tuple[tuple[Metric, str], ...] = (
    (catalog.PROJECT_HEALTH_RATIO, "health_ratio"),
    (catalog.PROJECT_SUCCESS_RATIO, "success_ratio"),
    (catalog.PROJECT_RUNS, "runs"),
    (catalog.PROJECT_ACTIVE_EXPERTS, "active_experts"),
    (catalog.PROJECT_REFLEXIONS, "reflexions"),
    (catalog.PROJECT_LATENCY, "latency_seconds"),
    (catalog.PROJECT_LAST_RUN, "last_run_timestamp"),
)
"""Which field of `Project` each gauge shows."""

COLUMNS: dict[str, int] = {
    metric.name: index
    for index, metric in enumerate(
        (*(metric for metric, _ in PROJECT_FIELDS), catalog.PROJECT_STATUS, catalog.PROJECT_INFO)
    )
}
"""Where in a row the lines of each project metric are."""

ZERO_ANOMALIES = len(COLUMNS)
"""Where in a row the anomaly lines of a project without anomalies are."""

STEP = 200
"""Projects written, or event series read, before the caller may let others run: about a millisecond of work."""

Row = tuple[bytes, ...]


_OTHERS: EventKey = (OTHER, OTHER, OTHER)


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


@dataclass(frozen=True, slots=True)
class View:
    """One snapshot, ready to be printed: lines for text, keys and numbers for everybody else."""

    metrics: Metrics | None = None
    projects: Mapping[str, Project] = field(default_factory=dict)  # by clean id
    rows: tuple[Row, ...] = ()
    anomalies: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # by clean project id, by severity
    anomaly_lines: tuple[bytes, ...] = ()
    events: Mapping[EventKey, int] = field(default_factory=dict)
    event_lines: tuple[bytes, ...] = ()
    label_length: int = DEFAULT_LIMITS.max_label_length


def status_of(project: Project) -> str | None:
    """The project's status as a label value; None when the source did not say."""
    if project.status is None:
        return None
    return project.status if project.status in catalog.STATUSES else OTHER


def _row(key: str, project: Project, tail: str, old: Project | None, before: Row, clean: Callable[[str], str]) -> Row:
    """Write all lines of one project; take those of fields that are as they were in `old` from the row `before`."""
    label = f'project="{escape_label(key)}",'
    series = f"{{{label}{tail}"
    row = []
    for index, (metric, name) in enumerate(PROJECT_FIELDS):
        value = getattr(project, name)
        if old is not None and value == getattr(old, name):
            row.append(before[index])
        else:
            row.append(b"" if value is None else f"{metric.name}{series}{format_value(value)}\n".encode())
    if old is not None and (project.status, project.name) == (old.status, old.name):
        return (*row, *before[len(row) :])
    row.append(_status_lines(label, status_of(project), tail).encode())
    info = ""
    if project.name is not None:
        name = escape_label(clean(project.name))
        info = f'{catalog.PROJECT_INFO.name}{{name="{name}",{label}{tail}1.0\n'
    row.append(info.encode())
    row.append(_anomaly_lines(key, dict.fromkeys(catalog.ANOMALY_SEVERITIES, 0), tail))
    return tuple(row)


def _status_lines(label: str, current: str | None, tail: str) -> str:
    if current is None:
        return ""
    return "".join(
        [
            f'{catalog.PROJECT_STATUS.name}{{{label}status="{status}",{tail}{"1.0" if status == current else "0.0"}\n'
            for status in catalog.STATUSES
        ]
    )


def _anomaly_lines(project: str, counts: Mapping[str, int], tail: str) -> bytes:
    start = f'{catalog.ANOMALIES.name}{{project="{escape_label(project)}",severity="'
    lines = [f'{start}{escape_label(name)}",{tail}{format_value(count)}\n' for name, count in counts.items()]
    return "".join(lines).encode()


def _event_line(key: EventKey, count: int, tail: str) -> bytes:
    project, event_type, severity = map(escape_label, key)
    labels = f'event_type="{event_type}",project="{project}",severity="{severity}"'
    return f"{catalog.EVENTS.name}{{{labels},{tail}{format_value(count)}\n".encode()


class Mirror:
    """Keeps the lines of one stream between scrapes."""

    def __init__(self, tail: str, limits: Limits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        self.dropped = dict.fromkeys(catalog.SERIES_DROPPED.labels[1].zero, 0)
        self._tail = tail
        self._changed_labels = 0
        self._kept: dict[str, tuple[Project, str, Row]] = {}
        self._left_out: set[str] = set()
        self._strangers: dict[str, str] = {}  # projects of anomalies that are no projects of the source, and clean
        self._strangers_left_out: set[str] = set()
        self._keys: dict[EventKey, EventKey] = {}
        self._event_lines: dict[EventKey, tuple[int, bytes]] = {}
        self._event_projects = Bounded((), limits.max_projects, self._clean)
        self._event_types = Bounded((), limits.max_label_values, self._clean)
        self._severities = Bounded(catalog.SEVERITIES, limits.max_label_values, self._clean)
        self._anomaly_severities = Bounded(catalog.ANOMALY_SEVERITIES, limits.max_label_values, self._clean)

    def limit(self, limits: Limits) -> None:
        """Other limits from now on; what counts events keeps the labels that it has."""
        if limits is self.limits:
            return
        self.limits = limits
        self._kept = {}
        self._strangers = {}
        self._event_projects.limit = limits.max_projects
        for bounded in (self._event_types, self._severities, self._anomaly_severities):
            bounded.limit = limits.max_label_values

    def take_changed_labels(self) -> int:
        """How many label values were cut or cleaned since the last call; each once while it is shown."""
        changed, self._changed_labels = self._changed_labels, 0
        return changed

    def _clean(self, value: str) -> str:
        clean = clean_label(value, self.limits.max_label_length)
        self._changed_labels += clean != value
        return clean

    def view(self, snapshot: Snapshot, *, entities: bool = True) -> Generator[None, None, View]:
        """Make the view of a snapshot; of a stale one only the event counts are left.

        Without `entities` it holds the headline figures alone and costs nothing.
        """
        if not entities:
            return View(None if snapshot.stale else snapshot.metrics)
        events = yield from self._count_events(snapshot.event_counts)
        event_lines = yield from self._write_events(events)
        if snapshot.stale:
            return View(events=events, event_lines=event_lines)
        projects, rows = yield from self._write_projects(snapshot.projects)
        anomalies = self._count_anomalies(projects, snapshot.anomalies)
        lines = self._write_anomalies(projects, rows, anomalies)
        length = self.limits.max_label_length
        return View(snapshot.metrics, projects, rows, anomalies, lines, events, event_lines, length)

    def _write_projects(
        self, projects: tuple[Project, ...]
    ) -> Generator[None, None, tuple[Mapping[str, Project], tuple[Row, ...]]]:
        kept: dict[str, tuple[Project, str, Row]] = {}
        shown: dict[str, Project] = {}
        rows: list[Row] = []
        left_out: set[str] = set()
        for index, project in enumerate(projects):
            if index % STEP == 0:
                yield
            if len(rows) >= self.limits.max_projects:
                left_out.add(project.id)
                continue
            entry = self._kept.get(project.id)
            key = entry[1] if entry else self._clean(project.id)
            if key in shown:
                left_out.add(project.id)
                continue
            if entry is None:
                entry = (project, key, _row(key, project, self._tail, None, (), self._clean))
            elif entry[0] is not project:
                entry = (project, key, _row(key, project, self._tail, entry[0], entry[2], self._clean))
            kept[project.id] = entry
            shown[key] = project
            rows.append(entry[2])
        self.dropped[catalog.PROJECT_INFO.name] += len(left_out - self._left_out)
        self._kept, self._left_out = kept, left_out
        return shown, tuple(rows)

    def _count_anomalies(
        self, projects: Mapping[str, Project], anomalies: tuple[Anomaly, ...]
    ) -> dict[str, dict[str, int]]:
        """Count unresolved anomalies by clean labels.

        Projects that the source does not list are shown as long as there is room for projects, then as `other`.
        """
        counts: dict[str, dict[str, int]] = {}
        strangers: dict[str, str] = {}
        left_out: set[str] = set()
        room = self.limits.max_projects - len(projects)
        for anomaly in anomalies:
            if anomaly.resolved:
                continue
            name = anomaly.project
            entry = self._kept.get(name)
            project = entry[1] if entry else strangers.get(name)
            if project is None:
                if len(strangers) < room:
                    project = strangers[name] = self._strangers.get(name) or self._clean(name)
                else:
                    left_out.add(name)
                    project = OTHER
            severities = counts.setdefault(project, dict.fromkeys(catalog.ANOMALY_SEVERITIES, 0))
            severity = self._anomaly_severities.admit(anomaly.severity)
            severities[severity] = severities.get(severity, 0) + 1
        self.dropped[catalog.ANOMALIES.name] += len(left_out - self._strangers_left_out)
        self._strangers, self._strangers_left_out = strangers, left_out
        return counts

    def _write_anomalies(
        self, projects: Iterable[str], rows: tuple[Row, ...], anomalies: Mapping[str, Mapping[str, int]]
    ) -> tuple[bytes, ...]:
        strangers = dict(anomalies)
        lines = []
        for key, row in zip(projects, rows, strict=True):
            counts = strangers.pop(key, None) if strangers else None
            lines.append(row[ZERO_ANOMALIES] if counts is None else _anomaly_lines(key, counts, self._tail))
        lines.extend(_anomaly_lines(key, counts, self._tail) for key, counts in strangers.items())
        return tuple(lines)

    def _count_events(self, counts: Mapping[EventKey, int]) -> Generator[None, None, dict[EventKey, int]]:
        """Sum the counts by the labels they are shown under; a key never changes its labels, so no sum ever falls."""
        totals: dict[EventKey, int] = {}
        for index, (raw, count) in enumerate(list(counts.items())):
            if index % STEP == 0:
                yield
            key = self._keys.get(raw) or self._admit(raw)
            totals[key] = totals.get(key, 0) + count
        return totals

    def _write_events(self, totals: Mapping[EventKey, int]) -> Generator[None, None, tuple[bytes, ...]]:
        """One line for each total; of those that have not moved the one of the scrape before."""
        kept = self._event_lines
        lines = []
        for index, (key, count) in enumerate(totals.items()):
            if index % STEP == 0:
                yield
            entry = kept.get(key)
            if entry is None or entry[0] != count:
                entry = kept[key] = (count, _event_line(key, count, self._tail))
            lines.append(entry[1])
        return tuple(lines)

    def _admit(self, raw: EventKey) -> EventKey:
        key = _OTHERS
        if raw != _OTHERS:
            if len(self._keys) < self.limits.max_event_series:
                project, event_type, severity = raw
                key = (
                    self._event_projects.admit(project),
                    self._event_types.admit(event_type),
                    self._severities.admit(severity),
                )
            if any(shown == OTHER != said for shown, said in zip(key, raw, strict=True)):
                self.dropped[catalog.EVENTS.name] += 1
        self._keys[raw] = key
        return key
