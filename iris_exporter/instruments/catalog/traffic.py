"""Metrics of what arrives: messages, bytes, delays, resumes, and what was left out."""

from iris_exporter.core.failures import ERROR_CODE
from iris_exporter.core.positions import Outcome
from iris_exporter.core.reasons import REASONS
from iris_exporter.core.status import PROTOCOLS
from iris_exporter.decoding import messages, problems
from iris_exporter.instruments.metric import OTHER, STREAM, Kind, Label, Metric, Subject

TRAFFIC = "Traffic"
DROPPED: dict[str, str] = {
    "projects": "projects beyond `--stream.max-projects`, each time a message names one",
    "anomalies": "open anomalies beyond `--stream.max-anomalies`, each time a message names one",
    "event_labels": "events counted under `other`, because `--stream.max-event-series` label sets are in use",
    "event_ids": "ids of events forgotten, because twice `--stream.max-event-ids` were remembered",
    "positions": "positions and `id:` lines that no request can carry back, too long or with control characters",
    "label_text": (
        "label values that were cut at `--stream.max-label-length`, or rid of characters that are not seen or of a "
        "secret"
    ),
}
"""What `iris_stream_dropped_total` counts, by its label `kind`; lost messages and fields are decode errors."""

MAPPED_DROPPED: dict[str, str] = {
    "series": "samples of series beyond a limit of the mapping: counted under `other`, or not shown",
    "label_values": "samples with label values beyond `max-values` of their label: counted under `other`, or not shown",
    "label_text": DROPPED["label_text"],
    "event_ids": "ids of elements forgotten, because twice the mapping's `ids` were remembered",
    "positions": DROPPED["positions"],
    "cursor_keys": "cursors of keys beyond those that are remembered",
}
"""The same for streams with a mapping."""

_MESSAGE_TYPES = (*(name for name in messages.MESSAGE_TYPES if name != messages.Unknown.message_type), OTHER)
_OUTCOMES = tuple(Outcome)


def _counter(name: str, text: str, source: str, *labels: Label) -> Metric:
    return Metric(name, Kind.COUNTER, text, TRAFFIC, source, (STREAM, *labels), Subject.STREAM)


def _timing(name: str, text: str, source: str, *buckets: float) -> Metric:
    return Metric(name, Kind.HISTOGRAM, text, TRAFFIC, source, (STREAM,), Subject.STREAM, buckets=buckets)


MESSAGES = _counter(
    "iris_stream_messages_total",
    "Messages received on the stream, by type, or by the kinds of its mapping; unknown ones are counted as other.",
    "envelope type",
    Label("message_type", _MESSAGE_TYPES, ("update", "telemetry", "event", "ping", "pong", "error")),
)
DECODE_ERRORS = _counter(
    "iris_stream_decode_errors_total",
    "Messages, or parts of one, that could not be read, by reason.",
    "decoder",
    Label("reason", (*problems.REASONS, OTHER), ("not_json", "wrong_type")),
)
RECEIVED_BYTES = _counter(
    "iris_stream_received_bytes_total",
    "Bytes received: WebSocket frames with their headers, bodies of SSE and poll answers before decompression.",
    "transport",
    Label("protocol", PROTOCOLS, PROTOCOLS),
)
DECODED_BYTES = _counter(
    "iris_stream_decoded_bytes_total",
    "Bytes that iris_stream_received_bytes_total would be without compression.",
    "transport",
    Label("protocol", PROTOCOLS, PROTOCOLS),
)
BATCH_MESSAGES = Metric(
    "iris_stream_batch_messages",
    Kind.HISTOGRAM,
    "Messages in each batch that the source sent.",
    TRAFFIC,
    "batch.messages",
    (STREAM,),
    Subject.STREAM,
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
DELTA_RESYNCS = _counter(
    "iris_stream_delta_resyncs_total",
    "Changes that did not follow the one before, after which everything was asked for anew.",
    "delta.seq",
)
UPSTREAM_ERRORS = _counter(
    "iris_stream_upstream_errors_total",
    "Messages of type error, by the code that the source gave.",
    "error.code",
    Label("code", (*ERROR_CODE, OTHER), tuple(ERROR_CODE)),
)
POLLS = _counter(
    "iris_stream_polls_total",
    "REST requests for a snapshot: on each connect, and every --stream.poll-interval while polling.",
    "polling",
)
POLL_FAILURES = _counter(
    "iris_stream_poll_failures_total",
    "REST requests for a snapshot that brought nothing usable, by reason.",
    "polling",
    Label("reason", tuple(REASONS), ("timeout", "unavailable", "not_json")),
)
STREAM_DROPPED = _counter(
    "iris_stream_dropped_total",
    "What the source said and a limit kept from being believed, told apart or shown as it is; see docs/limits.md.",
    "limits",
    Label("kind", tuple(dict.fromkeys((*DROPPED, *MAPPED_DROPPED, OTHER))), tuple(DROPPED)),
)
# From a socket in the same rack (milliseconds) to the default connect timeout (10 s).
CONNECT_DURATION = _timing(
    "iris_stream_connect_duration_seconds",
    "Time from the beginning of a successful attempt to the open stream, in seconds.",
    "connection",
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
# The wire promises 50 to 200 ms live and 0 to 30 s polled: both ends of both ranges are bounds, with room around them.
MESSAGE_DELAY = _timing(
    "iris_stream_message_delay_seconds",
    "Time from the source's timestamp to the arrival here, in seconds; 0 for a timestamp in the future.",
    "envelope timestamp",
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
# A round trip is a millisecond in a data centre and 0.3 s around the globe; beyond seconds only the fact matters.
HEARTBEAT_RTT = _timing(
    "iris_stream_heartbeat_rtt_seconds",
    "Time from a heartbeat to its answer, in seconds.",
    "heartbeat",
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0),
)
RESUMES = _counter(
    "iris_stream_resumes_total",
    "Answers to a request to go on after the last known event, by what the source could still replay.",
    "resumed.outcome",
    Label("outcome", (*_OUTCOMES, OTHER), _OUTCOMES),
)
EVENTS_REPLAYED = _counter(
    "iris_stream_events_replayed_total",
    "Events that arrived marked as replayed after a reconnect.",
    "envelope replay",
)
EVENTS_DUPLICATE = _counter(
    "iris_stream_events_duplicate_total",
    "Events that had been seen before and were not counted again.",
    "event.id",
)
EVENTS_OVERTAKING = _counter(
    "iris_stream_events_overtaking_total",
    "Events that came before others that waited at the source, because they are urgent.",
    "envelope priority",
)
SOURCE_DROPPED = _counter(
    "iris_stream_source_dropped_events_total",
    "Events that the source reports to have left out, because they were taken too slowly; "
    "they are asked for over REST, and those that cannot be had are in iris_stream_event_gaps_total.",
    "dropped.events",
)
EVENT_GAPS = _counter(
    "iris_stream_event_gaps_total",
    "Events that the source numbered and that never arrived.",
    "envelope id, resumed.missed",
)
