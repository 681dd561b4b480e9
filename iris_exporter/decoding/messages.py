"""Messages after decoding: typed, in base units, missing fields as None.

Seconds, ratios 0 to 1, Unix timestamps. Source of every field: the IRIS wire, section 3.

A dialect makes these, and the model and everything behind it reads them. They are part of `decoding`, as its output, so
that imports go the way that data goes.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Protocol

import msgspec

from iris_exporter.core.positions import Outcome


class Metrics(msgspec.Struct, frozen=True, gc=False):
    """The headline figures; None means that this message did not carry the field."""

    projects: float | None = None
    healthy_projects: float | None = None
    warning_projects: float | None = None
    critical_projects: float | None = None
    runs_today: float | None = None
    success_ratio: float | None = None
    active_experts: float | None = None
    reflexions: float | None = None


class Project(msgspec.Struct, frozen=True, gc=False):
    """One project; the stream shape and the REST shape end up here alike.

    `status` is as sent, lower-cased; `last_run_timestamp` is None too when the source sent free text.
    """

    id: str
    name: str | None = None
    status: str | None = None
    health_ratio: float | None = None
    success_ratio: float | None = None
    runs: float | None = None
    active_experts: float | None = None
    reflexions: float | None = None
    latency_seconds: float | None = None
    last_run_timestamp: float | None = None


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event. `metadata` is a JSON object in UTF-8, as sent or equal to it (`{}` when absent).

    `severity` is as sent, lower-cased, so a source may use words other than `info`, `warning`, `error`, `critical`.
    `traceparent` names the span that the event belongs to at the source (W3C Trace Context); empty without a valid one.
    """

    id: str
    timestamp: float | None = None
    project: str = ""
    event_type: str = ""
    severity: str = "info"
    message: str = ""
    metadata: bytes = b"{}"
    traceparent: str = ""


class MappedEvent(Event, frozen=True, gc=False):
    """A new element of which a mapping wants a log record, a span, or both.

    `event_type` is the kind of its message, `id` is empty where the mapping names none, and `metadata` has what the
    mapping names as attributes. There is a span where there is a `traceparent`.
    """

    mapping: str = ""
    is_logged: bool = True


def logged(events: Sequence[Event]) -> Sequence[Event]:
    """Those that are shown and logged: of elements of a mapping those that have a log record, and not a span alone."""
    return [event for event in events if not isinstance(event, MappedEvent) or event.is_logged]


class Anomaly(msgspec.Struct, frozen=True, gc=False):
    """One anomaly; an unresolved one is shown, a resolved one is dropped from the model.

    `severity` is as sent, lower-cased: `critical`, `warning`, `info`, from REST also `low`, `medium`, `high`.
    """

    id: str
    timestamp: float | None = None
    project: str = ""
    type: str = ""
    severity: str = "info"
    metric: str = ""
    value: float | None = None
    expected: float | None = None
    deviation: float | None = None
    description: str = ""
    resolved: bool = False


class Overview(msgspec.Struct, frozen=True, gc=False):
    """State, whole or partial: a stream's `update` or `telemetry`, or a REST document.

    A part is None where the source did not report it, and an empty tuple where it reported none. `cursor` is the
    source's position after this document (docs/protocol.md), None where the source has none. `removed` are ids of
    projects that the source has no longer.
    """

    metrics: Metrics | None = None
    projects: tuple[Project, ...] | None = None
    events: tuple[Event, ...] | None = None
    anomalies: tuple[Anomaly, ...] | None = None
    cursor: str | None = None
    removed: tuple[str, ...] | None = None


class Page(msgspec.Struct, frozen=True, gc=False):
    """One page of the events that follow a position (docs/protocol.md, section 4, REST).

    `cursor` is the position after the page, which `overview` does not have; `missed` counts events lost before the
    page, and `more` says that another page waits.
    """

    overview: Overview
    cursor: str
    missed: int = 0
    more: bool = False


class Update(msgspec.Struct, frozen=True, gc=False):
    """State from the stream: `update`, `telemetry`, or an older socket's `project_update` and `anomaly_detected`.

    `timestamp` is when the source sent it, None when not known. `replay` marks what a resumed stream sends again.
    `position` is the source's own id of the message, as sent (`<epoch>-<offset>`), None where it has none. With
    `is_whole` projects and anomalies that its lists lack are gone.
    """

    overview: Overview
    message_type: str = "update"
    timestamp: float | None = None
    replay: bool = False
    position: str | None = None
    is_whole: bool = False


class EventMessage(msgspec.Struct, frozen=True, gc=False):
    """One event from the stream; an older socket's named changes (`system_alert`, ...) are events too.

    `timestamp` is when the source sent it: the envelope's, else the event's own. `is_advance` marks a copy that
    overtakes what waits at the source: the event comes once more, in its place. The rest is as in `Update`.
    """

    event: Event
    message_type: str = "event"
    timestamp: float | None = None
    replay: bool = False
    position: str | None = None
    is_advance: bool = False


class UnmadeEvents(Protocol):
    """Events that are made when somebody asks for them."""

    def events(self) -> Sequence[Event]:
        """The events one by one."""

    def traced(self) -> Sequence[Event]:
        """The events that have a `traceparent`."""


class DeferredMessage(Protocol):
    """A message of an event that is made when it is asked for. `traceparent` is what stands beside the event."""

    traceparent: str | None

    def message(self) -> EventMessage:
        """The message; another object each time."""


class EventBatch(msgspec.Struct, gc=False):
    """Well-formed events that arrived one after another, at least one, as columns; objects are made on demand.

    The columns have one element for each message, in the order of arrival, but `sent` in that of time; its elements
    have an offset. `metadata` is that of all events in one text.
    """

    deferred: Sequence[DeferredMessage]
    ids: list[str]
    positions: list[str | None]
    sent: list[datetime]
    projects: list[str]
    event_types: list[str]
    severities: list[str]
    has_replays: bool
    metadata: bytes

    def __len__(self) -> int:
        return len(self.deferred)

    def messages(self) -> list[EventMessage]:
        """The messages one by one."""
        return [deferred.message() for deferred in self.deferred]

    def events(self) -> list[Event]:
        """The events one by one."""
        return [deferred.message().event for deferred in self.deferred]

    def traced(self) -> list[Event]:
        """The events that have a `traceparent`; one search answers where there are none."""
        if b"traceparent" in self.metadata or any(deferred.traceparent for deferred in self.deferred):
            return [event for event in self.events() if event.traceparent]
        return []


class Ping(msgspec.Struct, frozen=True, gc=False):
    """The source asks for a sign of life (`ping`, or `heartbeat` where a source writes it so)."""

    message_type: ClassVar[str] = "ping"


class Pong(msgspec.Struct, frozen=True, gc=False):
    """The answer to our own ping."""

    message_type: ClassVar[str] = "pong"


class UpstreamError(msgspec.Struct, frozen=True, gc=False):
    """The source reports a failure. `code` is as sent, empty when absent.

    `reason` is the one of `core.reasons` for which the link has to end, empty for a report that ends nothing; None
    where `core.failures` knows what the code asks for.
    """

    code: str
    message: str = ""
    retry_after_seconds: float | None = None
    reason: str | None = None
    message_type: ClassVar[str] = "error"


class Resumed(msgspec.Struct, frozen=True, gc=False):
    """The source's answer to a request to resume (docs/protocol.md).

    `replayed` messages follow marked as replays; `missed` ones are lost for good. Both are 0 when not reported.
    """

    outcome: Outcome = Outcome.NONE
    replayed: int = 0
    missed: int = 0
    epoch: str | None = None
    last_event_id: str | None = None
    message_type: ClassVar[str] = "resumed"


class Subscribed(msgspec.Struct, frozen=True, gc=False):
    """The source's answer to a subscription (docs/protocol.md): where its events are, and what it has granted.

    `position` is None where it numbers none. `resumed` is None where nothing was asked to be resumed.
    """

    position: str | None
    extensions: frozenset[str]
    resumed: Resumed | None = None
    message_type: ClassVar[str] = "subscribed"


class Dropped(msgspec.Struct, frozen=True, gc=False):
    """The source has left out so many events, which were taken too slowly; `to` is the position of the last one."""

    events: int = 0
    to: str | None = None
    message_type: ClassVar[str] = "dropped"


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """A message of a type that the dialect does not know. `type` is as sent, cut to a readable length."""

    type: str
    message_type: ClassVar[str] = "unknown"


class Elements:
    """What a mapping finds in messages: elements of one kind, read, so that nothing can fail any more.

    The base of what a dialect with a mapping makes, and the state of a mapping takes.
    """

    __slots__ = ()
    message_type: str
    is_data: bool
    """Whether they say something of what the source is about, and not only that it lives."""


Message = Update | EventMessage | Ping | Pong | UpstreamError | Resumed | Subscribed | Dropped | Unknown | Elements
"""What one message of a stream can be. `message_type` is bounded, so it can be a label value."""

OLDER_EVENT_TYPES = (
    *("expert_rotated", "evaluation_complete", "remediation_progress"),
    *("system_alert", "reflexion_created", "consensus_reached"),
)
"""The older socket's named changes that become events of that type."""

MESSAGE_TYPES = (
    *("update", "telemetry", "event", "ping", "pong", "error", "resumed", "project_update", "anomaly_detected"),
    *(*OLDER_EVENT_TYPES, "delta", "subscribed", "dropped", "unknown"),
)
"""Every value that `message_type` can have."""
