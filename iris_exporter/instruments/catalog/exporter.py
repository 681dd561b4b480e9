"""Metrics of the exporter itself: counted or set in `SelfMetrics`."""

from iris_exporter.core.log_limits import LIBRARIES
from iris_exporter.core.own_failures import ALL_REASONS, PARTS
from iris_exporter.instruments.catalog import iris
from iris_exporter.instruments.metric import STREAM, Kind, Label, Metric, Subject
from iris_exporter.process.blocking import POOLS

SELF = "The exporter"
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
_CUT_REASONS = ("limit", "client_limit", "displaced", "tls_handshake", "client_certificate", "head_timeout", "stalled")
_REFUSED_REASONS = ("rate_limited", "unauthorized", "busy", "control", "body", "malformed")
_POOL_NAMES = tuple(pool.name for pool in POOLS)
_SIGNAL = Label("signal", ("traces", "logs"), ("traces", "logs"))


def _gauge(name: str, text: str, source: str, *labels: Label, kind: Kind = Kind.GAUGE) -> Metric:
    return Metric(name, kind, text, SELF, source, labels)


def _counter(name: str, text: str, source: str, *labels: Label) -> Metric:
    return Metric(name, Kind.COUNTER, text, SELF, source, labels)


BUILD_INFO = _gauge(
    "iris_exporter_build_info",
    "Version and revision of the exporter, and the Python it runs on.",
    "package",
    Label("version"),
    Label("revision"),
    Label("pythonversion"),
    kind=Kind.INFO,
)
EXPORTER_FAILURE_INFO = _gauge(
    "iris_exporter_failure_info",
    "A part of the exporter that fails now, and the reason; no series while it works.",
    "exporter",
    Label("part", tuple(PARTS)),
    Label("reason", tuple(ALL_REASONS)),
    kind=Kind.INFO,
)
RELOAD_SUCCESSFUL = _gauge(
    "iris_exporter_config_last_reload_successful",
    "1 when the last attempt to load the configuration succeeded, 0 when the one before it is still in use.",
    "configuration",
)
RELOAD_TIMESTAMP = _gauge(
    "iris_exporter_config_last_reload_success_timestamp_seconds",
    "Unix time at which the configuration in use was loaded.",
    "configuration",
)
OTLP_EXPORTED = _counter(
    "iris_exporter_otlp_exported_total", "Spans and log records that the collector took.", "OTLP export", _SIGNAL
)
OTLP_FAILED = _counter(
    "iris_exporter_otlp_failed_total",
    "Spans and log records that the collector refused or that could not be sent.",
    "OTLP export",
    _SIGNAL,
)
OTLP_DROPPED = _counter(
    "iris_exporter_otlp_dropped_total",
    "Spans and log records given up unsent: the queue was full, they were too old, or the exporter ended.",
    "OTLP export",
    _SIGNAL,
)
OTLP_QUEUED = _gauge(
    "iris_exporter_otlp_queued",
    "Spans and log records that wait, or were sent and have no answer yet.",
    "OTLP export",
    _SIGNAL,
)
HTTP_ERRORS = _counter(
    "iris_exporter_http_errors_total", "Requests to the exporter that ended in an internal error (status 500).", "web"
)
LIBRARY_MESSAGES = _counter(
    "iris_exporter_library_messages_total",
    "Messages that libraries logged, by library, whether they were written or left out; "
    "python is the interpreter, stderr what was written there past every logger.",
    "log",
    Label("library", LIBRARIES, LIBRARIES),
)
LOG_DROPPED = _counter(
    "iris_exporter_log_lines_dropped_total",
    "Lines of the exporter's log that were dropped, because their reader was too slow or away.",
    "log",
)
SCRAPES_REFUSED = _counter(
    "iris_exporter_scrapes_refused_total",
    "Scrapes refused because --web.max-requests others were under way (status 503).",
    "web",
)
STATE_COMMIT_FAILURES = _counter(
    "iris_exporter_state_commit_failures_total",
    "Scrapes after which the cursors could not be written to --state.dir.",
    "store",
)
SHARD_ORDINAL = _gauge("iris_exporter_shard_ordinal", "Which shard of the fleet this process is, from 0.", "fleet")
SHARDS = _gauge("iris_exporter_shards", "Shards that divide the streams among them.", "fleet")
LEADER = _gauge(
    "iris_exporter_leader",
    "1 where this process receives its streams, 0 while another replica leads and this one stands by.",
    "fleet",
)
WAITING = _gauge(
    "iris_exporter_waiting_streams",
    "Streams of this process that another process with the same --state.dir still receives.",
    "fleet",
)
DISCOVERED = _gauge(
    "iris_exporter_discovered_streams",
    "Streams that a source of discovery names, of all shards; no series for a source that is not configured.",
    "fleet",
    Label("source", SOURCES),
)
DISCOVERY_FAILURES = _counter(
    "iris_exporter_discovery_failures_total",
    "Entries, files and requests of discovery that could not be used, by source.",
    "fleet",
    Label("source", ("configuration", *SOURCES), SOURCES),
)
TASK_FAILURES = _counter(
    "iris_exporter_task_failures_total",
    "Failures of the exporter's own long-lived tasks, each of which was started again; a mistake of the exporter's.",
    "tasks",
    Label("task", TASKS, TASKS),
)
BLOCKING_STUCK = _gauge(
    "iris_exporter_blocking_stuck_threads",
    "Threads held by a file, disk or look-up that has not answered in time, by kind of work.",
    "limits",
    Label("pool", _POOL_NAMES, _POOL_NAMES),
)
BLOCKING_TIMEOUTS = _counter(
    "iris_exporter_blocking_timeouts_total",
    "Accesses to files, disks and names that were given up, or refused while an earlier one hangs, by kind of work.",
    "limits",
    Label("pool", _POOL_NAMES, _POOL_NAMES),
)
LIVE_PUSHED = _counter("iris_exporter_live_pushed_lines_total", "Lines that Grafana Live has taken.", "live")
LIVE_DROPPED = _counter(
    "iris_exporter_live_dropped_lines_total",
    "Lines for Grafana Live that were not taken, or left out because there were too many events at once.",
    "live",
)
FOLLOW_CLIENTS = _gauge("iris_exporter_follow_clients", "Clients that follow the streams at /api/v1/follow.", "web")
FOLLOW_DROPPED = _counter(
    "iris_exporter_follow_dropped_events_total",
    "Events that clients of /api/v1/follow were too slow, or away too long, to get; before their filters.",
    "web",
)
SCRAPE_DURATION = _gauge(
    "iris_exporter_scrape_duration_seconds",
    "Time taken to write the last whole scrape, in seconds, waiting for its turn on the event loop included.",
    "web",
)
WEB_CONFIG_SUCCESSFUL = _gauge(
    "iris_exporter_web_config_last_reload_successful",
    "1 when the file of --web.config.file is in force, 0 when it is broken and the one before it still is; "
    "no series without a file.",
    "web",
)
CONNECTIONS = _gauge("iris_exporter_http_connections", "Open connections to the exporter.", "web")
CONNECTIONS_CUT = _counter(
    "iris_exporter_http_connections_cut_total",
    "Connections to the exporter that were refused or cut, by reason; those that only went idle are not counted.",
    "web",
    Label("reason", _CUT_REASONS, _CUT_REASONS),
)
REQUESTS_REFUSED = _counter(
    "iris_exporter_http_requests_refused_total",
    "Requests that the HTTP server refused, by reason.",
    "web",
    Label("reason", _REFUSED_REASONS, _REFUSED_REASONS),
)
LOOP_DELAY = _gauge(
    "iris_exporter_loop_delay_seconds",
    "Longest delay of the event loop's own timer in the last minute, in seconds, seen every quarter of a second.",
    "web",
)
_LIMITED = (iris.EVENTS.name, iris.PROJECT_INFO.name, iris.ANOMALIES.name)
SERIES_DROPPED = Metric(
    "iris_exporter_series_dropped_total",
    Kind.COUNTER,
    "Label sets beyond a limit, each once: counted under other (events, anomalies, counters and histograms of a "
    "mapping) or not shown (projects, other metrics of a mapping). Of a mapping as many as its limits.series at most.",
    SELF,
    "limits",
    (STREAM, Label("metric", _LIMITED, _LIMITED)),
    Subject.STREAM,
)
SERIES = _gauge("iris_exporter_series", "Series in this scrape; in a filtered one, in the last whole one.", "exporter")
