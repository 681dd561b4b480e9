"""Metrics of the link to the source: its state, and what became of attempts to open it."""

from collections.abc import Callable

from iris_exporter.core.reasons import REASONS
from iris_exporter.core.status import COMPRESSIONS, ENCODINGS, PROTOCOLS, State
from iris_exporter.core.subscriptions import EXTENSIONS
from iris_exporter.instruments.metric import STREAM, Kind, Label, Metric, Subject, Value
from iris_exporter.instruments.view import StreamView
from iris_exporter.model.snapshot import DataFlow

LINK = "The link"
QUEUES = ("normal", "high")

# Which reasons exist at 0: those that an alert asks for first. All of them would be 40 idle series for each stream.
_CONNECT_REASON = Label("reason", tuple(REASONS), ("connection_refused", "timeout", "unauthorized", "unavailable"))
_DISCONNECT_REASON = Label("reason", tuple(REASONS), ("closed", "abnormal_closure", "heartbeat_timeout"))


def _gauge(
    name: str, text: str, value: Callable[[StreamView], Value], *labels: Label, kind: Kind = Kind.GAUGE
) -> Metric:
    return Metric(name, kind, text, LINK, "connection", (STREAM, *labels), Subject.STREAM, value)


def _counter(name: str, text: str, *labels: Label) -> Metric:
    return Metric(name, Kind.COUNTER, text, LINK, "connection", (STREAM, *labels), Subject.STREAM)


UP = _gauge(
    "iris_up",
    "1 while live or polling and the source was heard within --stream.stale-after; else 0.",
    lambda view: view.is_up,
)
STREAM_STATE = _gauge(
    "iris_stream_state",
    "1 for the state of the connection, 0 for the other states.",
    lambda view: view.status.state,
    Label("state", tuple(State), tuple(State)),
    kind=Kind.STATESET,
)
DATA_FLOW = _gauge(
    "iris_stream_data_flow",
    "1 for what arrives while connected: flowing, idle (the source sends heartbeats and no data) or silent (neither).",
    lambda view: view.flow if view.is_connected else "",
    Label("flow", tuple(DataFlow), tuple(DataFlow)),
    kind=Kind.STATESET,
)
STREAM_INFO = _gauge(
    "iris_stream_info",
    "Protocol and endpoint in use now, none and empty while there is no connection; "
    "encoding and compression of the live stream, none without one.",
    lambda view: (view.status.protocol, view.status.endpoint, view.status.encoding, view.status.compression),
    Label("protocol", (*PROTOCOLS, "none")),
    Label("endpoint"),
    Label("encoding", (*ENCODINGS, "none")),
    Label("compression", (*COMPRESSIONS, "none")),
    kind=Kind.INFO,
)
STREAM_EXTENSION = _gauge(
    "iris_stream_extension",
    "1 for what the source has granted of the options of a subscription, 0 for the others; no series where the stream "
    "has no subscription.",
    lambda view: (
        None
        if view.status.extensions is None
        else {extension: float(extension in view.status.extensions) for extension in EXTENSIONS}
    ),
    Label("extension", EXTENSIONS),
)
QUEUE_OLDEST_TIMESTAMP = _gauge(
    "iris_stream_queue_oldest_timestamp_seconds",
    "Unix time at which the oldest piece of the stream arrived that waits to be taken, such as for the snapshot; "
    "no series while none waits. High are messages that overtake others.",
    lambda view: dict(zip(QUEUES, view.status.oldest_waiting, strict=True)),
    Label("queue", QUEUES),
)
STATE_CHANGED_TIMESTAMP = _gauge(
    "iris_stream_state_changed_timestamp_seconds",
    "Unix time at which the connection entered the state that iris_stream_state shows.",
    lambda view: view.status.state_changed_at,
)
FAILURE_INFO = _gauge(
    "iris_stream_failure_info",
    "Why the stream is not live, or polled as wished: the reason of the last failure; no series while it is as wished.",
    lambda view: None if view.status.failure is None else (view.status.failure.listed_reason,),
    Label("reason", tuple(REASONS)),
    kind=Kind.INFO,
)
LAST_FAILURE_TIMESTAMP = _gauge(
    "iris_stream_last_failure_timestamp_seconds",
    "Unix time of the last failure of an attempt, a live stream or a poll; stays after a recovery, "
    "no series before the first.",
    lambda view: view.status.last_failure_at,
)
CONNECT_ATTEMPTS = _counter(
    "iris_stream_connect_attempts_total", "Attempts to open the live stream, successful or not."
)
CONNECT_FAILURES = _counter(
    "iris_stream_connect_failures_total",
    "Attempts to open the live stream that ended without one, by reason.",
    _CONNECT_REASON,
)
DISCONNECTS = _counter("iris_stream_disconnects_total", "Live streams that ended, by reason.", _DISCONNECT_REASON)
RECONNECT_ATTEMPT = _gauge(
    "iris_stream_reconnect_attempt",
    "Failed attempts since the link was last stable; 0 when live.",
    lambda view: 0 if view.status.state is State.LIVE else view.status.attempt,
)
CONNECTED_TIMESTAMP = _gauge(
    "iris_stream_connected_timestamp_seconds",
    "Unix time at which the live stream was last opened; no series before that.",
    lambda view: view.status.connected_at,
)
NEXT_ATTEMPT_TIMESTAMP = _gauge(
    "iris_stream_next_attempt_timestamp_seconds",
    "Unix time at which the live stream is tried again; no series while no attempt is planned.",
    lambda view: view.status.next_attempt_at,
)
LAST_MESSAGE_TIMESTAMP = _gauge(
    "iris_stream_last_message_timestamp_seconds",
    "Unix time of the last message of the source, heartbeats included; no series before that.",
    lambda view: view.status.last_message,
)
