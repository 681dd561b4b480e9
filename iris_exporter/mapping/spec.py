"""What a mapping says, frozen and checked: the one description that decoding, state, exposition and commands use.

Only `reading` makes these, after `lint` has found nothing wrong; whoever uses them need not check again. Times are
seconds, and every default is filled in. Words are those of the YAML, with underscores for dashes.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from iris_exporter.mapping.link_spec import (
    Authorize,
    CursorSpec,
    Fail,
    HeartbeatSpec,
    Invalid,
    OpenStep,
    Order,
    PlannedEnd,
    PollSpec,
    Resume,
    Rewind,
)
from iris_exporter.mapping.metric_spec import (
    AlertSpec,
    Condition,
    Conditions,
    JsonType,
    LabelSpec,
    MetricKind,
    MetricSpec,
    Scalar,
    StateSpec,
    TimeFormat,
    ValueSpec,
    is_same,
)
from iris_exporter.mapping.paths import Each, Path, Paths, Root
from iris_exporter.mapping.templates import Template

__all__ = [
    "AlertSpec",
    "Authorize",
    "Condition",
    "Conditions",
    "CursorSpec",
    "Each",
    "Entry",
    "ErrorSpec",
    "Fail",
    "Format",
    "HeartbeatSpec",
    "Invalid",
    "JsonType",
    "LabelSpec",
    "LogSpec",
    "Mapping",
    "MappingLimits",
    "MetricKind",
    "MetricSpec",
    "OpenStep",
    "Order",
    "PartSpec",
    "Path",
    "Paths",
    "PlannedEnd",
    "PollSpec",
    "Resume",
    "Rewind",
    "Role",
    "Root",
    "Scalar",
    "SnapshotSpec",
    "StateSpec",
    "Template",
    "TestCase",
    "TimeFormat",
    "TimeSpec",
    "TraceSpec",
    "ValueSpec",
    "is_same",
]


class Role(StrEnum):
    """What a message is for."""

    EVENT = "event"  # data that is counted once
    STATE = "state"  # data that says how things are
    HEARTBEAT = "heartbeat"  # a sign of life of the source
    PONG = "pong"  # answers our heartbeat: proves the link alone
    ACK = "ack"  # answers a request of ours
    ERROR = "error"
    RESUMED = "resumed"  # what comes from now on joins the cursor
    IGNORE = "ignore"
    END = "end"  # the source ends the stream on purpose


class Format(StrEnum):
    """How a piece of a stream becomes messages.

    `ENGINE_IO`: a text frame is a packet of Engine.IO 4 and Socket.IO 5. `meta.event` is its name (`open`, `close`,
    `ping`, `pong`, `connect`, `disconnect`, `event`, `ack`, `connect_error`), the message is the JSON behind
    its digits, null without any.
    """

    JSON = "json"
    NDJSON = "ndjson"
    JSON_SEQ = "json-seq"
    ENGINE_IO = "engine.io"


@dataclass(frozen=True, slots=True)
class TimeSpec:
    """When something happened."""

    path: Paths
    format: TimeFormat


@dataclass(frozen=True, slots=True)
class LogSpec:
    """A log record for each new element."""

    body: Paths
    severity: LabelSpec | None
    attributes: tuple[tuple[str, Paths], ...]


@dataclass(frozen=True, slots=True)
class TraceSpec:
    """A consumer span for each new element that has a `traceparent`, linked to it."""

    traceparent: Paths


@dataclass(frozen=True, slots=True)
class PartSpec:
    """A group of metrics from one message: of the message itself, or of each element."""

    each: Each | None = None
    where: Conditions = ()  # elements for which it does not hold count as filtered
    id: tuple[
        Paths, ...
    ] = ()  # identity; without its first part an element has a problem, the other parts may be missing
    time: TimeSpec | None = None
    forget: tuple[tuple[str, Paths], ...] = ()  # label and value: gauges, infos and statesets with all of them go
    replace: bool = False  # series of this part that the message does not name go
    metrics: tuple[MetricSpec, ...] = ()
    log: LogSpec | None = None
    trace: TraceSpec | None = None

    @property
    def counts_events(self) -> bool:
        """Whether it has a metric that grows with each element."""
        return any(
            metric.kind is MetricKind.HISTOGRAM or (metric.kind is MetricKind.COUNTER and not metric.total)
            for metric in self.metrics
        )


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """What an error message says; `reason` is a name of `core.reasons`, which decides the remedy."""

    code: Paths | None
    message: Paths | None
    retry_after: Paths | None  # seconds
    reason: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of message. A message takes the first entry of which `events`, `text` and `when` hold."""

    kind: str  # the value of the label message_type
    role: Role
    events: tuple[str, ...] = ()  # names of server-sent events, or of packets; empty: any
    text: str | None = None  # this very text instead of JSON
    when: Conditions = ()
    json_text: tuple[Path, ...] = ()  # places that hold JSON as text; paths go through them
    reply: Template | None = None  # sent at once when such a message arrives (a pong for a ping)
    error: ErrorSpec | None = None
    parts: tuple[PartSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class SnapshotSpec:
    """The state beside the stream, asked for by HTTP after connecting."""

    url: Template
    entries: tuple[Entry, ...]
    cursor: Path | None


@dataclass(frozen=True, slots=True)
class MappingLimits:
    """Bounds of one stream of this mapping."""

    series: int = 10_000
    label_values: int = 1_000
    label_length: int = 200
    ids: int = 10_000


DEFAULT_LIMITS = MappingLimits()
"""Those of a mapping that names none."""


@dataclass(frozen=True, slots=True)
class TestCase:
    """A sample and the exposition that it must give, as files; when it arrives, None for now (Unix seconds)."""

    sample: str
    expect: str
    at: float | None = None


@dataclass(frozen=True)
class Mapping:
    """One kind of source."""

    name: str
    namespace: str
    format: Format = Format.JSON
    protocol: str = "auto"
    subprotocols: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    authorize: Authorize = field(default_factory=lambda: Authorize("header"))
    open: tuple[OpenStep, ...] = ()
    heartbeat: HeartbeatSpec | None = None
    planned_end: PlannedEnd = field(default_factory=PlannedEnd)
    cursor: CursorSpec | None = None
    history: Conditions | None = None  # messages until one for which it holds are known, not new
    snapshot: SnapshotSpec | None = None
    poll: PollSpec = field(default_factory=lambda: PollSpec(None, 1))
    entries: tuple[Entry, ...] = ()
    unmatched_is_error: bool = False
    limits: MappingLimits = field(default_factory=MappingLimits)
    expect_every_seconds: float | None = None  # silence for longer is a reason to alert
    tests: tuple[TestCase, ...] = ()
    needs_key: bool = False  # templates use the key file (`${secret}`)
    secrets: frozenset[str] = frozenset()  # names that templates use: `${secret.NAME}`
    parameters: frozenset[str] = frozenset()  # `${param.NAME}`
    mark: str = ""  # stands for what was written, so that mappings with `1` and `true` at one place are not equal

    @property
    def all_entries(self) -> tuple[Entry, ...]:
        """The kinds of messages of the stream, and behind them those of the snapshot."""
        return self.entries if self.snapshot is None else (*self.entries, *self.snapshot.entries)

    @property
    def parts(self) -> Iterator[PartSpec]:
        """The parts of all messages, in the order of `all_entries`."""
        return (part for entry in self.all_entries for part in entry.parts)

    @cached_property
    def metrics(self) -> tuple[MetricSpec, ...]:
        """Each metric once, in the order of the mapping; several parts may give samples of one."""
        return tuple({metric.name: metric for part in self.parts for metric in part.metrics}.values())

    @cached_property
    def fingerprint(self) -> str:
        """Stands for identity and cursor: what was stored under another one means nothing."""
        ids = [[[path.text for path in paths] for paths in part.id] for part in self.parts if part.id]
        cursor = self.cursor and [self.cursor.path.text, self.cursor.order, _texts(self.cursor.by)]
        described = json.dumps([ids, cursor], ensure_ascii=True)
        return hashlib.sha256(described.encode()).hexdigest()[:16]


def _texts(paths: Paths | None) -> list[str]:
    return [path.text for path in paths or ()]
