from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Priority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIORITY_UNSPECIFIED: _ClassVar[Priority]
    PRIORITY_HIGH: _ClassVar[Priority]

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_INFO: _ClassVar[Severity]
    SEVERITY_WARNING: _ClassVar[Severity]
    SEVERITY_ERROR: _ClassVar[Severity]
    SEVERITY_CRITICAL: _ClassVar[Severity]

class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATUS_UNSPECIFIED: _ClassVar[Status]
    STATUS_HEALTHY: _ClassVar[Status]
    STATUS_WARNING: _ClassVar[Status]
    STATUS_CRITICAL: _ClassVar[Status]
PRIORITY_UNSPECIFIED: Priority
PRIORITY_HIGH: Priority
SEVERITY_UNSPECIFIED: Severity
SEVERITY_INFO: Severity
SEVERITY_WARNING: Severity
SEVERITY_ERROR: Severity
SEVERITY_CRITICAL: Severity
STATUS_UNSPECIFIED: Status
STATUS_HEALTHY: Status
STATUS_WARNING: Status
STATUS_CRITICAL: Status

class Envelope(_message.Message):
    __slots__ = ("timestamp", "position", "seq", "replay", "priority", "update", "event", "delta", "batch", "ping", "pong", "error", "dropped", "subscribed", "subscribe", "resume")
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBED_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    timestamp: int
    position: int
    seq: int
    replay: bool
    priority: Priority
    update: Update
    event: Event
    delta: Delta
    batch: Batch
    ping: Ping
    pong: Pong
    error: Error
    dropped: Dropped
    subscribed: Subscribed
    subscribe: Subscribe
    resume: Resume
    def __init__(self, timestamp: _Optional[int] = ..., position: _Optional[int] = ..., seq: _Optional[int] = ..., replay: _Optional[bool] = ..., priority: _Optional[_Union[Priority, str]] = ..., update: _Optional[_Union[Update, _Mapping]] = ..., event: _Optional[_Union[Event, _Mapping]] = ..., delta: _Optional[_Union[Delta, _Mapping]] = ..., batch: _Optional[_Union[Batch, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., dropped: _Optional[_Union[Dropped, _Mapping]] = ..., subscribed: _Optional[_Union[Subscribed, _Mapping]] = ..., subscribe: _Optional[_Union[Subscribe, _Mapping]] = ..., resume: _Optional[_Union[Resume, _Mapping]] = ...) -> None: ...

class Metrics(_message.Message):
    __slots__ = ("total_projects", "healthy_projects", "warning_projects", "critical_projects", "total_runs_today", "avg_success_rate", "active_experts", "total_reflexions", "cleared", "other")
    TOTAL_PROJECTS_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_PROJECTS_FIELD_NUMBER: _ClassVar[int]
    WARNING_PROJECTS_FIELD_NUMBER: _ClassVar[int]
    CRITICAL_PROJECTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_RUNS_TODAY_FIELD_NUMBER: _ClassVar[int]
    AVG_SUCCESS_RATE_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_EXPERTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_REFLEXIONS_FIELD_NUMBER: _ClassVar[int]
    CLEARED_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    total_projects: int
    healthy_projects: int
    warning_projects: int
    critical_projects: int
    total_runs_today: int
    avg_success_rate: float
    active_experts: int
    total_reflexions: int
    cleared: _containers.RepeatedScalarFieldContainer[str]
    other: str
    def __init__(self, total_projects: _Optional[int] = ..., healthy_projects: _Optional[int] = ..., warning_projects: _Optional[int] = ..., critical_projects: _Optional[int] = ..., total_runs_today: _Optional[int] = ..., avg_success_rate: _Optional[float] = ..., active_experts: _Optional[int] = ..., total_reflexions: _Optional[int] = ..., cleared: _Optional[_Iterable[str]] = ..., other: _Optional[str] = ...) -> None: ...

class Project(_message.Message):
    __slots__ = ("id", "name", "status", "health_score", "last_run", "total_runs", "success_rate", "active_experts", "reflexions_count", "avg_latency", "cleared", "other")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HEALTH_SCORE_FIELD_NUMBER: _ClassVar[int]
    LAST_RUN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_RUNS_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_RATE_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_EXPERTS_FIELD_NUMBER: _ClassVar[int]
    REFLEXIONS_COUNT_FIELD_NUMBER: _ClassVar[int]
    AVG_LATENCY_FIELD_NUMBER: _ClassVar[int]
    CLEARED_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    status: Status
    health_score: float
    last_run: int
    total_runs: int
    success_rate: float
    active_experts: int
    reflexions_count: int
    avg_latency: float
    cleared: _containers.RepeatedScalarFieldContainer[str]
    other: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., status: _Optional[_Union[Status, str]] = ..., health_score: _Optional[float] = ..., last_run: _Optional[int] = ..., total_runs: _Optional[int] = ..., success_rate: _Optional[float] = ..., active_experts: _Optional[int] = ..., reflexions_count: _Optional[int] = ..., avg_latency: _Optional[float] = ..., cleared: _Optional[_Iterable[str]] = ..., other: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("id", "timestamp", "project", "event_type", "severity", "message", "metadata", "other")
    ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    id: str
    timestamp: int
    project: str
    event_type: str
    severity: Severity
    message: str
    metadata: str
    other: str
    def __init__(self, id: _Optional[str] = ..., timestamp: _Optional[int] = ..., project: _Optional[str] = ..., event_type: _Optional[str] = ..., severity: _Optional[_Union[Severity, str]] = ..., message: _Optional[str] = ..., metadata: _Optional[str] = ..., other: _Optional[str] = ...) -> None: ...

class Anomaly(_message.Message):
    __slots__ = ("id", "timestamp", "project", "type", "severity", "metric", "value", "expected", "deviation", "description", "resolved", "cleared", "other")
    ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    DEVIATION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_FIELD_NUMBER: _ClassVar[int]
    CLEARED_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    id: str
    timestamp: int
    project: str
    type: str
    severity: Severity
    metric: str
    value: float
    expected: float
    deviation: float
    description: str
    resolved: bool
    cleared: _containers.RepeatedScalarFieldContainer[str]
    other: str
    def __init__(self, id: _Optional[str] = ..., timestamp: _Optional[int] = ..., project: _Optional[str] = ..., type: _Optional[str] = ..., severity: _Optional[_Union[Severity, str]] = ..., metric: _Optional[str] = ..., value: _Optional[float] = ..., expected: _Optional[float] = ..., deviation: _Optional[float] = ..., description: _Optional[str] = ..., resolved: _Optional[bool] = ..., cleared: _Optional[_Iterable[str]] = ..., other: _Optional[str] = ...) -> None: ...

class Projects(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Project]
    def __init__(self, items: _Optional[_Iterable[_Union[Project, _Mapping]]] = ...) -> None: ...

class Events(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, items: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class Anomalies(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Anomaly]
    def __init__(self, items: _Optional[_Iterable[_Union[Anomaly, _Mapping]]] = ...) -> None: ...

class Update(_message.Message):
    __slots__ = ("metrics", "projects", "events", "anomalies", "removed")
    METRICS_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    ANOMALIES_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    metrics: Metrics
    projects: Projects
    events: Events
    anomalies: Anomalies
    removed: Removed
    def __init__(self, metrics: _Optional[_Union[Metrics, _Mapping]] = ..., projects: _Optional[_Union[Projects, _Mapping]] = ..., events: _Optional[_Union[Events, _Mapping]] = ..., anomalies: _Optional[_Union[Anomalies, _Mapping]] = ..., removed: _Optional[_Union[Removed, _Mapping]] = ...) -> None: ...

class Delta(_message.Message):
    __slots__ = ("metrics", "projects", "anomalies", "removed")
    METRICS_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    ANOMALIES_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    metrics: Metrics
    projects: Projects
    anomalies: Anomalies
    removed: Removed
    def __init__(self, metrics: _Optional[_Union[Metrics, _Mapping]] = ..., projects: _Optional[_Union[Projects, _Mapping]] = ..., anomalies: _Optional[_Union[Anomalies, _Mapping]] = ..., removed: _Optional[_Union[Removed, _Mapping]] = ...) -> None: ...

class Removed(_message.Message):
    __slots__ = ("projects",)
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    projects: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, projects: _Optional[_Iterable[str]] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[Envelope]
    def __init__(self, messages: _Optional[_Iterable[_Union[Envelope, _Mapping]]] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Pong(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message", "retry_after")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    retry_after: float
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., retry_after: _Optional[float] = ...) -> None: ...

class Dropped(_message.Message):
    __slots__ = ("events", "from_offset", "to_offset")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    FROM_OFFSET_FIELD_NUMBER: _ClassVar[int]
    TO_OFFSET_FIELD_NUMBER: _ClassVar[int]
    events: int
    from_offset: int
    to_offset: int
    def __init__(self, events: _Optional[int] = ..., from_offset: _Optional[int] = ..., to_offset: _Optional[int] = ...) -> None: ...

class Options(_message.Message):
    __slots__ = ("channels", "projects", "severities", "fields", "delta", "batch", "debounce_ms", "priority", "after")
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    SEVERITIES_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    DEBOUNCE_MS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    channels: _containers.RepeatedScalarFieldContainer[str]
    projects: _containers.RepeatedScalarFieldContainer[str]
    severities: _containers.RepeatedScalarFieldContainer[str]
    fields: Fields
    delta: bool
    batch: Batching
    debounce_ms: int
    priority: bool
    after: str
    def __init__(self, channels: _Optional[_Iterable[str]] = ..., projects: _Optional[_Iterable[str]] = ..., severities: _Optional[_Iterable[str]] = ..., fields: _Optional[_Union[Fields, _Mapping]] = ..., delta: _Optional[bool] = ..., batch: _Optional[_Union[Batching, _Mapping]] = ..., debounce_ms: _Optional[int] = ..., priority: _Optional[bool] = ..., after: _Optional[str] = ...) -> None: ...

class Fields(_message.Message):
    __slots__ = ("metrics", "projects", "events", "anomalies")
    METRICS_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    ANOMALIES_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedScalarFieldContainer[str]
    projects: _containers.RepeatedScalarFieldContainer[str]
    events: _containers.RepeatedScalarFieldContainer[str]
    anomalies: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, metrics: _Optional[_Iterable[str]] = ..., projects: _Optional[_Iterable[str]] = ..., events: _Optional[_Iterable[str]] = ..., anomalies: _Optional[_Iterable[str]] = ...) -> None: ...

class Batching(_message.Message):
    __slots__ = ("max_messages", "max_delay_ms")
    MAX_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    max_messages: int
    max_delay_ms: int
    def __init__(self, max_messages: _Optional[int] = ..., max_delay_ms: _Optional[int] = ...) -> None: ...

class Subscribe(_message.Message):
    __slots__ = ("options",)
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    options: Options
    def __init__(self, options: _Optional[_Union[Options, _Mapping]] = ...) -> None: ...

class Resume(_message.Message):
    __slots__ = ("last_event_id",)
    LAST_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    last_event_id: str
    def __init__(self, last_event_id: _Optional[str] = ...) -> None: ...

class Subscribed(_message.Message):
    __slots__ = ("options", "encoding", "position", "resume")
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    options: Options
    encoding: str
    position: str
    resume: Resumption
    def __init__(self, options: _Optional[_Union[Options, _Mapping]] = ..., encoding: _Optional[str] = ..., position: _Optional[str] = ..., resume: _Optional[_Union[Resumption, _Mapping]] = ...) -> None: ...

class Resumption(_message.Message):
    __slots__ = ("outcome", "replayed", "missed", "epoch", "last_event_id")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LAST_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    replayed: int
    missed: int
    epoch: str
    last_event_id: str
    def __init__(self, outcome: _Optional[str] = ..., replayed: _Optional[int] = ..., missed: _Optional[int] = ..., epoch: _Optional[str] = ..., last_event_id: _Optional[str] = ...) -> None: ...
