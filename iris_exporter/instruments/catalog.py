"""Every metric we expose: the one place where a name, a label, a unit, a help text or a bucket is written.

The collector, the metric reference, dashboards, alerts and tests read this table. A `stable` name or label is an API:
changing it is a breaking change. Wire fields are those of the IRIS wire, section 3.
"""

from iris_exporter.core import reasons
from iris_exporter.core.failures import ERROR_CODE
from iris_exporter.core.log_limits import LIBRARIES
from iris_exporter.core.positions import Outcome
from iris_exporter.core.status import PROTOCOLS, State
from iris_exporter.decoding import messages, problems
from iris_exporter.instruments.metric import OTHER, Kind, Label, Metric
from iris_exporter.model.snapshot import DataFlow
from iris_exporter.process.blocking import POOLS

STATUSES = ("healthy", "warning", "critical", OTHER)
SEVERITIES = ("info", "warning", "error", "critical")
ANOMALY_SEVERITIES = ("critical", "warning", "info")
SIGNALS = ("traces", "logs")
OUTCOMES = tuple(Outcome)
MESSAGE_TYPES = (*(name for name in messages.MESSAGE_TYPES if name != messages.Unknown.message_type), OTHER)
SOURCES = ("files", "http", "kubernetes")
LOG_WRITER = "log_writer"
TASKS = (
    "checkpoints",
    "config_watch",
    "discovery_files",
    "discovery_http",
    "discovery_kubernetes",
    "election",
    "handover",
    "live",
    LOG_WRITER,
    "otlp_logs",
    "otlp_summaries",
    "otlp_traces",
    "refresh",
    "reload",
    "stream",
)
POOL_NAMES = tuple(pool.name for pool in POOLS)
CUT_REASONS = ("limit", "client_limit", "displaced", "tls_handshake", "client_certificate", "head_timeout", "stalled")
REFUSED_REASONS = ("rate_limited", "unauthorized", "busy", "control", "body", "malformed")
REASONS = tuple(reasons.REASONS)
DECODE_REASONS = tuple(problems.REASONS)
DROPPED: dict[str, str] = {
    "projects": "projects beyond `--stream.max-projects`, each time a message names one",
    "anomalies": "open anomalies beyond `--stream.max-anomalies`, each time a message names one",
    "event_labels": "events counted under `other`, because `--stream.max-event-series` label sets are in use",
    "event_ids": "ids of events forgotten, because twice `--stream.max-event-ids` were remembered",
    "positions": "positions and `id:` lines that no request can carry back, too long or with control characters",
    "label_text": "label values that were cut at `--stream.max-label-length`, or rid of characters that are not seen",
}
"""What `iris_stream_dropped_total` counts, by its label `kind`; lost messages and fields are decode errors."""


STREAM = Label("stream")
PROJECT = Label("project")
LINK, TRAFFIC, SOURCE, ENTITIES, SELF = "The link", "Traffic", "The source", "Projects and events", "The exporter"

# Which reasons exist at 0: those that an alert asks for first. All of them would be 40 idle series for each stream.
_CONNECT_REASON = Label("reason", REASONS, ("connection_refused", "timeout", "unauthorized", "unavailable"))
_DISCONNECT_REASON = Label("reason", REASONS, ("closed", "abnormal_closure", "heartbeat_timeout"))
_POLL_REASON = Label("reason", REASONS, ("timeout", "unavailable", "not_json"))
_SIGNAL = Label("signal", SIGNALS, SIGNALS)


def _link(name: str, kind: Kind, text: str, *labels: Label, unit: str = "", source: str = "connection") -> Metric:
    return Metric(name, kind, text, LINK, (STREAM, *labels), unit, source)


def _traffic(name: str, text: str, *labels: Label, unit: str = "", source: str) -> Metric:
    return Metric(name, Kind.COUNTER, text, TRAFFIC, (STREAM, *labels), unit, source)


def _timing(name: str, text: str, source: str, buckets: tuple[float, ...]) -> Metric:
    return Metric(name, Kind.HISTOGRAM, text, TRAFFIC, (STREAM,), "seconds", source, buckets=buckets)


def _headline(name: str, text: str, source: str, unit: str = "") -> Metric:
    return Metric(name, Kind.GAUGE, f"{text} ({source}), as last streamed or polled.", SOURCE, (STREAM,), unit, source)


def _project(name: str, text: str, source: str, unit: str = "") -> Metric:
    text = f"{text} (project {source}), as last streamed or polled."
    return Metric(name, Kind.GAUGE, text, ENTITIES, (STREAM, PROJECT), unit, f"project.{source}")


def _self(name: str, kind: Kind, text: str, *labels: Label, unit: str = "", source: str = "exporter") -> Metric:
    return Metric(name, kind, text, SELF, labels, unit, source)


UP = _link(
    "iris_up", Kind.GAUGE, "1 while live or polling and the source was heard within --stream.stale-after; else 0."
)
STREAM_STATE = _link(
    "iris_stream_state",
    Kind.STATESET,
    "1 for the state of the connection, 0 for the other states.",
    Label("state", tuple(State), tuple(State)),
)
DATA_FLOW = _link(
    "iris_stream_data_flow",
    Kind.STATESET,
    "1 for what arrives while connected: flowing, idle (the source sends heartbeats and no data) or silent (neither).",
    Label("flow", tuple(DataFlow), tuple(DataFlow)),
)
STREAM_INFO = _link(
    "iris_stream_info",
    Kind.INFO,
    "Protocol and endpoint in use now; protocol is none while there is no connection.",
    Label("protocol", (*PROTOCOLS, "none")),
    Label("endpoint"),
)
CONNECT_ATTEMPTS = _link(
    "iris_stream_connect_attempts_total", Kind.COUNTER, "Attempts to open the live stream, successful or not."
)
CONNECT_FAILURES = _link(
    "iris_stream_connect_failures_total",
    Kind.COUNTER,
    "Attempts to open the live stream that ended without one, by reason.",
    _CONNECT_REASON,
)
DISCONNECTS = _link(
    "iris_stream_disconnects_total", Kind.COUNTER, "Live streams that ended, by reason.", _DISCONNECT_REASON
)
RECONNECT_ATTEMPT = _link(
    "iris_stream_reconnect_attempt", Kind.GAUGE, "Failed attempts since the link was last stable; 0 when live."
)
CONNECTED_TIMESTAMP = _link(
    "iris_stream_connected_timestamp_seconds",
    Kind.GAUGE,
    "Unix time at which the live stream was last opened; no series before that.",
    unit="seconds",
)
NEXT_ATTEMPT_TIMESTAMP = _link(
    "iris_stream_next_attempt_timestamp_seconds",
    Kind.GAUGE,
    "Unix time at which the live stream is tried again; no series while no attempt is planned.",
    unit="seconds",
)
LAST_MESSAGE_TIMESTAMP = _link(
    "iris_stream_last_message_timestamp_seconds",
    Kind.GAUGE,
    "Unix time of the last message of the source, heartbeats included; no series before that.",
    unit="seconds",
)
MESSAGES = _traffic(
    "iris_stream_messages_total",
    "Messages received on the stream, by type; unknown types are counted as other.",
    Label("message_type", MESSAGE_TYPES, ("update", "telemetry", "event", "ping", "pong", "error")),
    source="envelope type",
)
DECODE_ERRORS = _traffic(
    "iris_stream_decode_errors_total",
    "Messages, or parts of one, that could not be read, by reason.",
    Label("reason", (*DECODE_REASONS, OTHER), ("not_json", "wrong_type")),
    source="decoder",
)
RECEIVED_BYTES = _traffic(
    "iris_stream_received_bytes_total",
    "Bytes received: WebSocket frames with their headers, bodies of SSE and poll answers before decompression.",
    Label("protocol", PROTOCOLS, PROTOCOLS),
    unit="bytes",
    source="transport",
)
UPSTREAM_ERRORS = _traffic(
    "iris_stream_upstream_errors_total",
    "Messages of type error, by the code that the source gave.",
    Label("code", (*ERROR_CODE, OTHER), tuple(ERROR_CODE)),
    source="error.code",
)
POLLS = _traffic(
    "iris_stream_polls_total",
    "REST requests for a snapshot: on each connect, and every --stream.poll-interval while polling.",
    source="polling",
)
POLL_FAILURES = _traffic(
    "iris_stream_poll_failures_total",
    "REST requests for a snapshot that brought nothing usable, by reason.",
    _POLL_REASON,
    source="polling",
)
STREAM_DROPPED = _traffic(
    "iris_stream_dropped_total",
    "What the source said and a limit kept from being believed, told apart or shown as it is; see docs/limits.md.",
    Label("kind", (*DROPPED, OTHER), tuple(DROPPED)),
    source="limits",
)
# From a socket in the same rack (milliseconds) to the default connect timeout (10 s).
CONNECT_DURATION = _timing(
    "iris_stream_connect_duration_seconds",
    "Time from the beginning of a successful attempt to the open stream, in seconds.",
    "connection",
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
# The wire promises 50 to 200 ms live and 0 to 30 s polled: both ends of both ranges are bounds, with room around them.
MESSAGE_DELAY = _timing(
    "iris_stream_message_delay_seconds",
    "Time from the source's timestamp to the arrival here, in seconds; 0 for a timestamp in the future.",
    "envelope timestamp",
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
# A round trip is a millisecond in a data centre and 0.3 s around the globe; beyond seconds only the fact matters.
HEARTBEAT_RTT = _timing(
    "iris_stream_heartbeat_rtt_seconds",
    "Time from a heartbeat to its answer, in seconds.",
    "heartbeat",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0),
)
RESUMES = _traffic(
    "iris_stream_resumes_total",
    "Answers to a request to go on after the last known event, by what the source could still replay.",
    Label("outcome", (*OUTCOMES, OTHER), OUTCOMES),
    source="resumed.outcome",
)
EVENTS_REPLAYED = _traffic(
    "iris_stream_events_replayed_total",
    "Events that arrived marked as replayed after a reconnect.",
    source="envelope replay",
)
EVENTS_DUPLICATE = _traffic(
    "iris_stream_events_duplicate_total",
    "Events that had been seen before and were not counted again.",
    source="event.id",
)
EVENT_GAPS = _traffic(
    "iris_stream_event_gaps_total",
    "Events that the source numbered and that never arrived.",
    source="envelope id, resumed.missed",
)

PROJECTS = _headline("iris_projects", "Projects that the source knows", "metrics.total_projects")
RUNS_TODAY = _headline("iris_runs_today", "Runs since midnight, by the source's clock", "metrics.total_runs_today")
SUCCESS_RATIO = _headline("iris_success_ratio", "Share of successful runs, 0 to 1", "metrics.avg_success_rate", "ratio")
ACTIVE_EXPERTS = _headline("iris_active_experts", "Experts at work", "metrics.active_experts")
REFLEXIONS = _headline("iris_reflexions", "Reflexions made", "metrics.total_reflexions")
PROJECTS_BY_STATUS = Metric(
    "iris_projects_by_status",
    Kind.GAUGE,
    "Projects in each status (metrics.healthy_projects, warning_projects, critical_projects), as last received.",
    SOURCE,
    (STREAM, Label("status", STATUSES[:3])),
    source="metrics.healthy_projects, warning_projects, critical_projects",
)

PROJECT_STATUS = Metric(
    "iris_project_status",
    Kind.STATESET,
    "1 for the status of the project (project status), 0 for the other statuses; an unknown status is other.",
    ENTITIES,
    (STREAM, PROJECT, Label("status", STATUSES, STATUSES)),
    source="project.status",
)
PROJECT_HEALTH_RATIO = _project("iris_project_health_ratio", "Health of the project, 0 to 1", "health_score", "ratio")
PROJECT_SUCCESS_RATIO = _project(
    "iris_project_success_ratio", "Share of the project's successful runs, 0 to 1", "success_rate", "ratio"
)
PROJECT_RUNS = _project("iris_project_runs", "Runs of the project so far", "total_runs")
PROJECT_ACTIVE_EXPERTS = _project("iris_project_active_experts", "Experts at work for the project", "active_experts")
PROJECT_REFLEXIONS = _project("iris_project_reflexions", "Reflexions made for the project", "reflexions_count")
PROJECT_LATENCY = _project(
    "iris_project_latency_seconds", "Average latency of the project's runs, in seconds", "avg_latency", "seconds"
)
PROJECT_LAST_RUN = _project(
    "iris_project_last_run_timestamp_seconds", "Unix time of the project's last run", "last_run", "seconds"
)
PROJECT_INFO = Metric(
    "iris_project_info",
    Kind.INFO,
    "Name of the project (project name), to be joined by the project label.",
    ENTITIES,
    (STREAM, PROJECT, Label("name")),
    source="project.name",
)
EVENTS = Metric(
    "iris_events_total",
    Kind.COUNTER,
    "Events, each id once, over all transports and reconnects (event project, event_type, severity).",
    ENTITIES,
    (STREAM, PROJECT, Label("event_type"), Label("severity", SEVERITIES)),
    source="event.id, project, event_type, severity",
)
ANOMALIES = Metric(
    "iris_anomalies",
    Kind.GAUGE,
    "Unresolved anomalies (anomaly project, severity, resolved), as last streamed or polled.",
    ENTITIES,
    (STREAM, PROJECT, Label("severity", ANOMALY_SEVERITIES, ANOMALY_SEVERITIES)),
    source="anomaly.project, severity, resolved",
)

BUILD_INFO = _self(
    "iris_exporter_build_info",
    Kind.INFO,
    "Version and revision of the exporter, and the Python it runs on.",
    Label("version"),
    Label("revision"),
    Label("pythonversion"),
    source="package",
)
RELOAD_SUCCESSFUL = _self(
    "iris_exporter_config_last_reload_successful",
    Kind.GAUGE,
    "1 when the last attempt to load the configuration succeeded, 0 when the one before it is still in use.",
    source="configuration",
)
RELOAD_TIMESTAMP = _self(
    "iris_exporter_config_last_reload_success_timestamp_seconds",
    Kind.GAUGE,
    "Unix time at which the configuration in use was loaded.",
    unit="seconds",
    source="configuration",
)
OTLP_EXPORTED = _self(
    "iris_exporter_otlp_exported_total",
    Kind.COUNTER,
    "Spans and log records that the collector took.",
    _SIGNAL,
    source="OTLP export",
)
OTLP_FAILED = _self(
    "iris_exporter_otlp_failed_total",
    Kind.COUNTER,
    "Spans and log records that the collector refused or that could not be sent.",
    _SIGNAL,
    source="OTLP export",
)
OTLP_DROPPED = _self(
    "iris_exporter_otlp_dropped_total",
    Kind.COUNTER,
    "Spans and log records given up unsent: the queue was full, they were too old, or the exporter ended.",
    _SIGNAL,
    source="OTLP export",
)
OTLP_QUEUED = _self(
    "iris_exporter_otlp_queued",
    Kind.GAUGE,
    "Spans and log records that wait, or were sent and have no answer yet.",
    _SIGNAL,
    source="OTLP export",
)
HTTP_ERRORS = _self(
    "iris_exporter_http_errors_total",
    Kind.COUNTER,
    "Requests to the exporter that ended in an internal error (status 500).",
    source="web",
)
LIBRARY_MESSAGES = _self(
    "iris_exporter_library_messages_total",
    Kind.COUNTER,
    "Messages that libraries logged, by library, whether they were written or left out; "
    "python is the interpreter, stderr what was written there past every logger.",
    Label("library", LIBRARIES, LIBRARIES),
    source="log",
)
LOG_DROPPED = _self(
    "iris_exporter_log_lines_dropped_total",
    Kind.COUNTER,
    "Lines of the exporter's log that were dropped, because their reader was too slow or away.",
    source="log",
)
SCRAPES_REFUSED = _self(
    "iris_exporter_scrapes_refused_total",
    Kind.COUNTER,
    "Scrapes refused because --web.max-requests others were under way (status 503).",
    source="web",
)
STATE_COMMIT_FAILURES = _self(
    "iris_exporter_state_commit_failures_total",
    Kind.COUNTER,
    "Scrapes after which the cursors could not be written to --state.dir.",
    source="store",
)
SHARD_ORDINAL = _self(
    "iris_exporter_shard_ordinal", Kind.GAUGE, "Which shard of the fleet this process is, from 0.", source="fleet"
)
SHARDS = _self("iris_exporter_shards", Kind.GAUGE, "Shards that divide the streams among them.", source="fleet")
LEADER = _self(
    "iris_exporter_leader",
    Kind.GAUGE,
    "1 where this process receives its streams, 0 while another replica leads and this one stands by.",
    source="fleet",
)
WAITING = _self(
    "iris_exporter_waiting_streams",
    Kind.GAUGE,
    "Streams of this process that another process with the same --state.dir still receives.",
    source="fleet",
)
DISCOVERED = _self(
    "iris_exporter_discovered_streams",
    Kind.GAUGE,
    "Streams that a source of discovery names, of all shards; no series for a source that is not configured.",
    Label("source", SOURCES),
    source="fleet",
)
DISCOVERY_FAILURES = _self(
    "iris_exporter_discovery_failures_total",
    Kind.COUNTER,
    "Entries, files and requests of discovery that could not be used, by source.",
    Label("source", ("configuration", *SOURCES), SOURCES),
    source="fleet",
)
TASK_FAILURES = _self(
    "iris_exporter_task_failures_total",
    Kind.COUNTER,
    "Failures of the exporter's own long-lived tasks, each of which was started again; a mistake of the exporter's.",
    Label("task", TASKS, TASKS),
    source="tasks",
)
BLOCKING_STUCK = _self(
    "iris_exporter_blocking_stuck_threads",
    Kind.GAUGE,
    "Threads held by a file, disk or look-up that has not answered in time, by kind of work.",
    Label("pool", POOL_NAMES, POOL_NAMES),
    source="limits",
)
BLOCKING_TIMEOUTS = _self(
    "iris_exporter_blocking_timeouts_total",
    Kind.COUNTER,
    "Accesses to files, disks and names that were given up, or refused while an earlier one hangs, by kind of work.",
    Label("pool", POOL_NAMES, POOL_NAMES),
    source="limits",
)
LIVE_PUSHED = _self(
    "iris_exporter_live_pushed_lines_total", Kind.COUNTER, "Lines that Grafana Live has taken.", source="live"
)
LIVE_DROPPED = _self(
    "iris_exporter_live_dropped_lines_total",
    Kind.COUNTER,
    "Lines for Grafana Live that were not taken, or left out because there were too many events at once.",
    source="live",
)
SCRAPE_DURATION = _self(
    "iris_exporter_scrape_duration_seconds",
    Kind.GAUGE,
    "Time taken to write the last whole scrape, in seconds, waiting for its turn on the event loop included.",
    unit="seconds",
    source="web",
)
WEB_CONFIG_SUCCESSFUL = _self(
    "iris_exporter_web_config_last_reload_successful",
    Kind.GAUGE,
    "1 when the file of --web.config.file is in force, 0 when it is broken and the one before it still is; "
    "no series without a file.",
    source="web",
)
CONNECTIONS = _self("iris_exporter_http_connections", Kind.GAUGE, "Open connections to the exporter.", source="web")
CONNECTIONS_CUT = _self(
    "iris_exporter_http_connections_cut_total",
    Kind.COUNTER,
    "Connections to the exporter that were refused or cut, by reason; those that only went idle are not counted.",
    Label("reason", CUT_REASONS, CUT_REASONS),
    source="web",
)
REQUESTS_REFUSED = _self(
    "iris_exporter_http_requests_refused_total",
    Kind.COUNTER,
    "Requests that the HTTP server refused, by reason.",
    Label("reason", REFUSED_REASONS, REFUSED_REASONS),
    source="web",
)
LOOP_DELAY = _self(
    "iris_exporter_loop_delay_seconds",
    Kind.GAUGE,
    "Longest delay of the event loop's own timer in the last minute, in seconds, seen every quarter of a second.",
    unit="seconds",
    source="web",
)
_LIMITED = (EVENTS.name, PROJECT_INFO.name, ANOMALIES.name)
SERIES_DROPPED = _self(
    "iris_exporter_series_dropped_total",
    Kind.COUNTER,
    "Label sets beyond a limit: counted under other (events, anomalies) or not shown (projects).",
    STREAM,
    Label("metric", _LIMITED, _LIMITED),
    source="limits",
)
SERIES = _self("iris_exporter_series", Kind.GAUGE, "Series in this scrape; in a filtered one, in the last whole one.")

CATALOG: tuple[Metric, ...] = (
    UP,
    STREAM_STATE,
    DATA_FLOW,
    STREAM_INFO,
    CONNECT_ATTEMPTS,
    CONNECT_FAILURES,
    DISCONNECTS,
    RECONNECT_ATTEMPT,
    CONNECTED_TIMESTAMP,
    NEXT_ATTEMPT_TIMESTAMP,
    LAST_MESSAGE_TIMESTAMP,
    MESSAGES,
    DECODE_ERRORS,
    RECEIVED_BYTES,
    UPSTREAM_ERRORS,
    POLLS,
    POLL_FAILURES,
    STREAM_DROPPED,
    CONNECT_DURATION,
    MESSAGE_DELAY,
    HEARTBEAT_RTT,
    RESUMES,
    EVENTS_REPLAYED,
    EVENTS_DUPLICATE,
    EVENT_GAPS,
    PROJECTS,
    RUNS_TODAY,
    SUCCESS_RATIO,
    ACTIVE_EXPERTS,
    REFLEXIONS,
    PROJECTS_BY_STATUS,
    PROJECT_STATUS,
    PROJECT_HEALTH_RATIO,
    PROJECT_SUCCESS_RATIO,
    PROJECT_RUNS,
    PROJECT_ACTIVE_EXPERTS,
    PROJECT_REFLEXIONS,
    PROJECT_LATENCY,
    PROJECT_LAST_RUN,
    PROJECT_INFO,
    EVENTS,
    ANOMALIES,
    BUILD_INFO,
    RELOAD_SUCCESSFUL,
    RELOAD_TIMESTAMP,
    OTLP_EXPORTED,
    OTLP_FAILED,
    OTLP_DROPPED,
    OTLP_QUEUED,
    HTTP_ERRORS,
    LIBRARY_MESSAGES,
    LOG_DROPPED,
    SCRAPES_REFUSED,
    STATE_COMMIT_FAILURES,
    SHARD_ORDINAL,
    SHARDS,
    LEADER,
    WAITING,
    DISCOVERED,
    DISCOVERY_FAILURES,
    TASK_FAILURES,
    BLOCKING_STUCK,
    BLOCKING_TIMEOUTS,
    LIVE_PUSHED,
    LIVE_DROPPED,
    SCRAPE_DURATION,
    WEB_CONFIG_SUCCESSFUL,
    CONNECTIONS,
    CONNECTIONS_CUT,
    REQUESTS_REFUSED,
    LOOP_DELAY,
    SERIES_DROPPED,
    SERIES,
)
"""All of them, in the order in which they are printed; the count of series comes last because it counts the others."""

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in CATALOG}
