"""Every span, log record and attribute that the exporter sends: the one place where such a name is written.

docs/traces.md and docs/logs.md are made from these tables. Names with the prefix `iris.` are the exporter's own, all
others OpenTelemetry's stable semantic conventions (HTTP, network, errors). A name marked stable is an API, as in
`catalog`.
"""

from dataclasses import dataclass
from typing import NamedTuple

from iris_exporter.core.reasons import REASONS
from iris_exporter.core.status import COMPRESSIONS, ENCODINGS, PROTOCOLS, State
from iris_exporter.core.subscriptions import EXTENSIONS
from iris_exporter.instruments.metric import Stability


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute. `type` is `string`, `int`, `double`, `boolean` or `string[]`; `values` are all it can be."""

    name: str
    type: str
    help: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SpanType:
    """One kind of span; `kind` is OTLP's name of that, `parent` the name of the span above it, empty for a root."""

    name: str
    kind: str
    help: str
    attributes: tuple[Attribute, ...]
    parent: str = ""
    links: str = ""
    stability: Stability = Stability.STABLE


@dataclass(frozen=True, slots=True)
class LogType:
    """One kind of log record; `name` is its event name, `body` describes its body."""

    name: str
    help: str
    body: str
    severity: str
    attributes: tuple[Attribute, ...]
    stability: Stability = Stability.STABLE


class ExportCounts(NamedTuple):
    """What became of the records of one signal; at any time `produced` is the sum of the others."""

    produced: int
    exported: int
    failed: int
    dropped: int
    queued: int


SCOPE = "iris_exporter"
"""The instrumentation scope of all spans and log records."""

_PROTOCOLS = (*PROTOCOLS, "none")
_REASONS = tuple(REASONS)
_STATES = tuple(State)

# OpenTelemetry's names
ERROR_TYPE = Attribute("error.type", "string", "Why it failed; absent on success.", _REASONS)
METHOD = Attribute("http.request.method", "string", "Method of the request.", ("GET",))
STATUS_CODE = Attribute("http.response.status_code", "int", "Status of the answer; absent without one.")
SERVER_ADDRESS = Attribute("server.address", "string", "Host of the source.")
SERVER_PORT = Attribute("server.port", "int", "Port of the source.")
URL_FULL = Attribute("url.full", "string", "Address of the request, without user, password, query and fragment.")
NETWORK_PROTOCOL = Attribute("network.protocol.name", "string", "Protocol of the answer.", ("http",))
NETWORK_VERSION = Attribute("network.protocol.version", "string", "Version of HTTP in the answer.")

# Ours
STREAM = Attribute("iris.stream", "string", "Name of the stream in the configuration.")
PROTOCOL = Attribute("iris.protocol", "string", "Transport of the stream.", _PROTOCOLS)
ENCODING = Attribute("iris.encoding", "string", "How the messages of the stream are written.", ENCODINGS)
COMPRESSION = Attribute("iris.compression", "string", "How the stream is compressed.", (*COMPRESSIONS, "none"))
GRANTED = Attribute(
    "iris.extensions",
    "string[]",
    "What the source has granted of the options of a subscription; absent where the stream has none.",
    EXTENSIONS,
)
REQUEST = Attribute(
    "iris.request.purpose",
    "string",
    "Purpose of the request: state beside a live stream, state instead of one, or events that were missing.",
    ("snapshot", "poll", "page"),
)
WIRE_BYTES = Attribute("iris.request.bytes", "int", "Bytes of the body on the wire.")
FROM = Attribute("iris.state.from", "string", "State before.", _STATES)
TO = Attribute("iris.state.to", "string", "State now.", _STATES)
REASON = Attribute("iris.state.reason", "string", "The failure; absent without one.", _REASONS)
ATTEMPT = Attribute("iris.state.attempt", "int", "Failed attempts since the link was last stable.")
DELAY = Attribute("iris.state.delay", "double", "Seconds until the next attempt; absent when none is planned.")

MESSAGES = Attribute("iris.summary.message_count", "int", "Messages of all types.")
MESSAGES_BY_TYPE = Attribute("iris.summary.messages.<message_type>", "int", "Messages of one type, if any.")
BYTES = Attribute("iris.summary.bytes", "int", "Bytes on the wire, polls included.")
DELAY_P50 = Attribute("iris.summary.delay.p50", "double", "Median of the messages' delay in seconds.")
DELAY_P90 = Attribute("iris.summary.delay.p90", "double", "Ninth decile of the messages' delay in seconds.")
DELAY_P99 = Attribute("iris.summary.delay.p99", "double", "99th percentile of the messages' delay in seconds.")
DUPLICATES = Attribute("iris.summary.events.duplicate", "int", "Events that had been seen before.")
REPLAYED = Attribute("iris.summary.events.replayed", "int", "Events sent again after a resume.")
GAPS = Attribute("iris.summary.events.missing", "int", "Events that never arrived.")
RESUMES = Attribute("iris.summary.resumes.<outcome>", "int", "Reconnects with this outcome, if any.")
DECODE_ERRORS = Attribute("iris.summary.decode_errors", "int", "Messages, or parts of one, that could not be read.")
STATE_CHANGES = Attribute("iris.summary.state_changes", "int", "Changes of state.")
CAUSE = Attribute("iris.summary.cause", "string", "Why the summary ends here.", ("minute", "disconnect", "shutdown"))

MAPPING = Attribute("iris.mapping", "string", "Mapping of the stream; on events of streams that have one.")
EVENT_ID = Attribute(
    "iris.event.id",
    "string",
    "Id of the event: the same one means the same event, sent twice. Absent where a mapping names none.",
)
PROJECT = Attribute("iris.project", "string", "Project of the event; absent where the stream has a mapping.")
EVENT_TYPE = Attribute("iris.event.type", "string", "Kind of the event, as sent; of a mapping the kind of the message.")
METADATA = Attribute(
    "iris.event.metadata.<path>",
    "string",
    "The event's metadata: one attribute for each value, objects joined by dots; a boolean, int or double "
    "where the value is one, a list as JSON.",
)

NAMED = Attribute(
    "<name>",
    "string",
    "What `log` of a mapping names as attributes, under those names; values are as in an event's metadata.",
)

_SERVER = (STREAM, SERVER_ADDRESS, SERVER_PORT, URL_FULL)
_HTTP = (METHOD, STATUS_CODE, NETWORK_PROTOCOL, NETWORK_VERSION)

CONNECT = SpanType(
    "iris.connect",
    "CLIENT",
    "One attempt to open the live stream, from the decision to the open link or the failure.",
    (*_SERVER, PROTOCOL, ENCODING, COMPRESSION, STATUS_CODE, ERROR_TYPE),
)
DNS = SpanType("iris.connect.dns", "INTERNAL", "Looking up the host.", (STREAM, ERROR_TYPE), CONNECT.name)
TCP = SpanType(
    "iris.connect.tcp",
    "INTERNAL",
    "Opening the connection; one through a proxy includes the proxy's part.",
    (STREAM, ERROR_TYPE),
    CONNECT.name,
)
TLS = SpanType("iris.connect.tls", "INTERNAL", "The TLS handshake.", (STREAM, ERROR_TYPE), CONNECT.name)
HANDSHAKE = SpanType(
    "iris.connect.handshake",
    "INTERNAL",
    "One request and the head of its answer: the upgrade of a WebSocket, or the start of an event stream. A dial that "
    "has to find out what the source speaks has more than one.",
    (STREAM, URL_FULL, *_HTTP, ERROR_TYPE),
    CONNECT.name,
)
FIRST_MESSAGE = SpanType(
    "iris.connect.first_message",
    "INTERNAL",
    "From the open link to the first bytes on it; it ends after its parent.",
    (STREAM, PROTOCOL, ERROR_TYPE),
    CONNECT.name,
)
REQUEST_SPAN = SpanType(
    "GET",
    "CLIENT",
    "One request for state over REST, from the request to the end of the answer's body.",
    (*_SERVER, *_HTTP, REQUEST, WIRE_BYTES, ERROR_TYPE),
)
SUMMARY = SpanType(
    "iris.stream.summary",
    "INTERNAL",
    "What a stream received within a minute, or until its connection ended.",
    (
        STREAM, PROTOCOL, GRANTED, CAUSE, MESSAGES, MESSAGES_BY_TYPE, BYTES, DELAY_P50, DELAY_P90, DELAY_P99,
        DUPLICATES, REPLAYED, GAPS, RESUMES, DECODE_ERRORS, STATE_CHANGES,
    ),
    links="the span of the connection it is about",
)  # fmt: skip
EVENT_SPAN = SpanType(
    "iris.event",
    "CONSUMER",
    "The arrival of an event that carries a trace context; at most 100 a second for each stream.",
    (STREAM, MAPPING, EVENT_ID, PROJECT, EVENT_TYPE),
    links="the span that the event names",
)
CHECK_SPAN = SpanType(
    "iris.check",
    "INTERNAL",
    "The span by which `iris-exporter check` tries whether spans are taken; the exporter itself sends none.",
    (),
)
SPANS = (CONNECT, DNS, TCP, TLS, HANDSHAKE, FIRST_MESSAGE, REQUEST_SPAN, SUMMARY, EVENT_SPAN, CHECK_SPAN)
"""All spans, in the order of the reference."""

EVENT_LOG = LogType(
    "iris.event",
    "One event of the source, the first time that it is seen.",
    "the event's message",
    "that of the event",
    (STREAM, MAPPING, EVENT_ID, PROJECT, EVENT_TYPE, METADATA, NAMED),
)
STATE_LOG = LogType(
    "iris.stream.state",
    "A change of a stream's state, or a new attempt that was planned.",
    "`from -> to`, with the reason",
    "INFO; WARN when something broke; ERROR on the way into the state `error`",
    (STREAM, FROM, TO, REASON, ATTEMPT, DELAY),
)
CHECK_LOG = LogType(
    "iris.check",
    "The record by which `iris-exporter check` tries whether log records are taken; the exporter itself sends none.",
    "`iris-exporter check`",
    "INFO",
    (),
)
LOGS = (EVENT_LOG, STATE_LOG, CHECK_LOG)
"""All log records, in the order of the reference."""
