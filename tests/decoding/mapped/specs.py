"""Short forms of what a mapping is made of, and a run of one from frames to series."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from iris_exporter.decoding.dialect import Frame
from iris_exporter.decoding.elements import MappedBatch
from iris_exporter.decoding.mapped.dialect import MappedDialect
from iris_exporter.decoding.messages import Event, EventBatch, Unknown
from iris_exporter.errors import DecodeError
from iris_exporter.mapping.paths import Paths, read_each, read_path
from iris_exporter.mapping.spec import (
    Condition,
    CursorSpec,
    Entry,
    LabelSpec,
    LogSpec,
    Mapping,
    MetricKind,
    MetricSpec,
    Order,
    PartSpec,
    Role,
    StateSpec,
    TimeFormat,
    TimeSpec,
    TraceSpec,
    ValueSpec,
)
from iris_exporter.model.mapped_state import MappedState
from iris_exporter.streams.profile import cursor_of

NOW = 1_760_000_000.0


def paths(*texts: str) -> Paths:
    return tuple(map(read_path, texts))


def when(*path: str, **expected: Any) -> Condition:
    """`equals` and `unequal` are one constant or a tuple."""
    for name in ("equals", "unequal"):
        if name in expected and not isinstance(expected[name], tuple):
            expected[name] = (expected[name],)
    if "matches" in expected:
        expected["matches"] = re.compile(expected["matches"])
    return Condition(paths(*path), **expected)


def label(name: str, *path: str, **operators: Any) -> LabelSpec:
    if "pattern" in operators:
        operators["pattern"] = re.compile(operators["pattern"])
    return LabelSpec(name, paths(*path) or None, **operators)


def value(*path: str, **operators: Any) -> ValueSpec:
    for name in ("minus", "per"):
        if name in operators:
            operators[name] = paths(operators[name])
    if "pattern" in operators:
        operators["pattern"] = re.compile(operators["pattern"])
    return ValueSpec(paths(*path) or None, **operators)


def counter(name: str, *labels: LabelSpec, of: ValueSpec | None = None, **more: Any) -> MetricSpec:
    return MetricSpec(name, MetricKind.COUNTER, "Help.", of or ValueSpec(constant=1.0), labels, **more)


def gauge(name: str, of: ValueSpec, *labels: LabelSpec, **more: Any) -> MetricSpec:
    return MetricSpec(name, MetricKind.GAUGE, "Help.", of, labels, **more)


def histogram(name: str, of: ValueSpec, *labels: LabelSpec, buckets: Iterable[float], **more: Any) -> MetricSpec:
    return MetricSpec(name, MetricKind.HISTOGRAM, "Help.", of, labels, buckets=tuple(buckets), **more)


def info(name: str, *labels: LabelSpec, **more: Any) -> MetricSpec:
    return MetricSpec(name, MetricKind.INFO, "Help.", None, labels, **more)


def stateset(name: str, path: str, *labels: LabelSpec, states: Iterable[str], **more: Any) -> MetricSpec:
    mapped = more.pop("map", None)
    state = StateSpec(paths(path), mapped)
    return MetricSpec(name, MetricKind.STATESET, "Help.", None, labels, states=tuple(states), state=state, **more)


def part(*metrics: MetricSpec, each: str = "", ids: Iterable[str] = (), time: str = "", **more: Any) -> PartSpec:
    time_format = more.pop("format", TimeFormat.ISO)
    return PartSpec(
        each=read_each(each) if each else None,
        id=tuple(paths(path) for path in ids),
        time=TimeSpec(paths(time), time_format) if time else None,
        metrics=metrics,
        forget=tuple((name, paths(path)) for name, path in more.pop("forget", {}).items()),
        **more,
    )


def log(body: str, *severity: str, attributes: dict[str, str] | None = None, **operators: Any) -> LogSpec:
    """`operators` are those of the severity; `attributes` are paths by name."""
    word = label("severity", *severity, **{"other": "info", "default": "info", **operators})
    named = tuple((name, paths(path)) for name, path in (attributes or {}).items())
    return LogSpec(paths(body), word if severity or operators else None, named)


def trace(path: str) -> TraceSpec:
    return TraceSpec(paths(path))


def entry(kind: str, *parts: PartSpec, role: Role = Role.EVENT, **more: Any) -> Entry:
    """`events` and `json_text` are lists of texts."""
    places = tuple(map(read_path, more.pop("json_text", ())))
    events = tuple(more.pop("events", ()))
    return Entry(kind, role, events=events, json_text=places, parts=parts, **more)


def mapping(*entries: Entry, cursor: str = "", order: Order = Order.OPAQUE, **more: Any) -> Mapping:
    spec = CursorSpec(read_path(cursor), order, **more.pop("of_cursor", {})) if cursor else None
    return Mapping("m", "m", entries=entries, cursor=spec, **more)


def one(*metrics: MetricSpec, **more: Any) -> Mapping:
    """A mapping of one kind of message, with these metrics."""
    return mapping(entry("event", part(*metrics, **more)))


def frame(document: object) -> bytes:
    return json.dumps(document).encode()


@dataclass
class Run:
    """What became of frames; `twin` takes the same frames the patient way, and has to come to the same."""

    state: MappedState
    dialect: MappedDialect
    twin: "Run | None" = None
    errors: Counter[str] = field(default_factory=Counter)
    problems: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    others: list[object] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    duplicates: int = 0
    filtered: int = 0
    gap: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    events: list[Event] = field(default_factory=list)

    def feed(self, *frames: Frame, now: float = NOW) -> "Run":
        """Take frames of one read."""
        for found in self.dialect.decode(frames):
            assert not isinstance(found, EventBatch)
            if isinstance(found, DecodeError):
                self.errors[found.reason] += 1
                continue
            if not isinstance(found, MappedBatch | Unknown):
                self.others.append(found)
            changes = self.state.apply(found, now)
            self.sent += [*changes.sent, *(each.timestamp() for each in changes.sent_at)]
            self.duplicates += changes.duplicates
            self.gap += changes.gap
            self.events += changes.unmade.events() if changes.unmade is not None else ()
        noted = self.dialect.noted()
        self.messages.update(noted.messages or {})
        self.problems.update(noted.problems)
        self.filtered += noted.filtered
        self.dropped.update(self.state.take_dropped())
        if self.twin is not None:
            self.twin.feed(*frames, now=now)
            self.compare(self.twin, now)
        return self

    def reset(self) -> None:
        """A connection begins."""
        self.dialect.reset()
        if self.twin is not None:
            self.twin.reset()

    def compare(self, twin: "Run", now: float) -> None:
        """Raise AssertionError where the two ways have come to something else."""
        assert rounded(self.series(now)) == rounded(twin.series(now))
        for name in ("errors", "problems", "messages", "others", "duplicates", "filtered", "gap", "dropped", "events"):
            assert getattr(self, name) == getattr(twin, name), name
        assert rounded(self.sent) == rounded(twin.sent)
        assert self.state.cursor.state == twin.state.cursor.state
        assert self.state.seen.ids() == twin.state.seen.ids()
        assert self.state.take_dropped_series() == twin.state.take_dropped_series()
        assert self.state.view(now).flow is twin.state.view(now).flow

    def series(self, now: float = NOW) -> dict[str, dict[tuple[str, ...], Any]]:
        """All series that are there."""
        view = self.state.view(now).mapped
        assert view is not None
        return {name: dict(series) for name, series in view.series.items() if series}


def rounded(value: Any) -> Any:
    """Numbers with 12 digits: sums differ in their last ones, as they are added up in another order."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return float(f"{value:.11e}") if isinstance(value, float) else value


def start(spec: Mapping) -> Run:
    twin = Run(MappedState(spec, "m", 300.0, cursor_of(spec)), MappedDialect(spec, is_patient=True))
    return Run(MappedState(spec, "m", 300.0, cursor_of(spec)), MappedDialect(spec), twin)


def run(spec: Mapping, *documents: object) -> Run:
    """Feed JSON documents (bytes are taken as they are) in one read."""
    return start(spec).feed(*(each if isinstance(each, bytes) else frame(each) for each in documents))
