"""Write docs/limits.md: everything that grows with what others send, its limit, and the counter of what is beyond it.

A row names where its number comes from: an option, or a constant as `module:NAME` in the package. Both are looked up
here, so that the page cannot show a number that the program does not use. Metrics and tests that rows name are checked
by tests/contract/test_limits.py.
"""

from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path

from iris_exporter.config.options import BY_KEY
from iris_exporter.mapping.spec import DEFAULT_LIMITS

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "limits.md"


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit. `number` is an option's key or `module:NAME`; `counter` a metric, or `none: ` and why."""

    what: str
    number: str
    beyond: str
    counter: str
    test: str


_DISCONNECTED = '`iris_stream_disconnects_total{reason="message_too_large"}`'
_BOUNDS = "tests/transports/test_bounds.py"
_TOO_LONG = '`iris_stream_decode_errors_total{reason="too_long"}`'
_REFUSED_POLL = '`iris_stream_poll_failures_total{reason="message_too_large"}`'
_HOSTILE = "tests/test_hostile.py"


_MAPPING = "mapping.spec:DEFAULT_LIMITS."


def _dropped(kind: str) -> str:
    return f'`iris_stream_dropped_total{{kind="{kind}"}}`'


def _series(metric: str) -> str:
    return f'`iris_exporter_series_dropped_total{{metric="{metric}"}}`'


SECTIONS: dict[str, tuple[Limit, ...]] = {
    "Connections": (
        Limit(
            "stream connections that one host accepts in any hour, over all streams of the process; neither polls nor "
            "dials that do not reach it (no name, refused, no answer to the connect, a proxy that fails) are counted",
            "stream.max-connections-per-hour",
            "the attempt fails, and is made again when there is budget",
            '`iris_stream_connect_failures_total{reason="connection_budget"}`',
            "tests/core/test_budget.py",
        ),
        Limit(
            "redirects that are followed, one after the other",
            "http.redirects:MAX_HOPS",
            "the attempt fails",
            '`iris_stream_connect_failures_total{reason="redirect"}`',
            "tests/http/test_redirects.py",
        ),
        Limit(
            "a source's `Retry-After` or `retry:`, in seconds",
            "core.failures:RETRY_AFTER_CAP_SECONDS",
            "the exporter waits for as long as the limit",
            "none: the delay is in the log line",
            "tests/core/test_connection.py",
        ),
    ),
    "What arrives": (
        Limit(
            "a message: of a WebSocket in all its frames, an SSE event in all its lines, an SSE line before its end",
            "stream.max-message-bytes",
            "the connection is closed and made again",
            _DISCONNECTED,
            _BOUNDS,
        ),
        Limit(
            "what a compressed piece of an event stream inflates to, beside its own size, in largest messages (1 MiB "
            "at least)",
            "transports.body:_INFLATED_MESSAGES",
            "the connection is closed and made again",
            _DISCONNECTED,
            _BOUNDS,
        ),
        Limit(
            "bytes of an event stream that are parsed before other streams get their turn",
            "transports.body:_PART_BYTES",
            "the rest waits",
            "none: nothing is lost",
            _BOUNDS,
        ),
        Limit(
            "bytes of a stream between its socket and its reader, and what one read of a socket brings beside",
            "transports.incoming:_PAUSE_BYTES",
            "the socket is not read, and the source waits",
            "none: nothing is lost",
            _BOUNDS,
        ),
        Limit(
            "frames of a WebSocket that are taken at once",
            "transports.incoming:MAX_BATCH_MESSAGES",
            "the rest waits",
            "none: nothing is lost",
            _BOUNDS,
        ),
        Limit(
            "a REST answer (snapshot, poll, page), inflated",
            "stream.max-body-bytes",
            "the poll fails",
            _REFUSED_POLL,
            "tests/transports/test_sockets.py",
        ),
        Limit(
            "what a stream brings while its snapshot is loaded, in bytes",
            "transports.link_session:MAX_BACKLOG_BYTES",
            "the snapshot is given up and the stream is taken at once",
            'none is lost; `iris_stream_poll_failures_total{reason="timeout"}` counts the snapshot',
            "tests/transports/test_supervisor.py",
        ),
        Limit(
            "pages asked for after one message, when events are missing",
            "transports.snapshots:_MAX_PAGES",
            "the rest is asked for after the next poll",
            "none: nothing is lost",
            "tests/transports/test_supervisor.py",
        ),
        Limit(
            "messages in a batch",
            "decoding.iris_stream.session:MAX_MESSAGES",
            "the rest of the batch is not read",
            'once for the batch by `iris_stream_decode_errors_total{reason="too_long"}`',
            "tests/decoding/iris_stream/test_dialect.py",
        ),
        Limit(
            "metrics, projects and anomalies as they were last, to which changes are applied, in bytes",
            "decoding.iris_stream.deltas:MAX_BYTES",
            "everything is asked for anew, and without changes after the third time",
            "`iris_stream_delta_resyncs_total`",
            "tests/decoding/iris_stream/test_deltas.py",
        ),
        Limit(
            "projects and anomalies among them",
            "decoding.iris_stream.deltas:MAX_OBJECTS",
            "the same",
            "`iris_stream_delta_resyncs_total`",
            "tests/decoding/iris_stream/test_deltas.py",
        ),
        Limit(
            "changes in a row that may not follow the one before, before no more are asked for",
            "decoding.iris_stream.session:MAX_LOSSES",
            "whole objects are asked for",
            "`iris_stream_delta_resyncs_total`",
            "tests/decoding/iris_stream/test_dialect.py",
        ),
        Limit(
            "an `id:` of an event stream that is sent back on a reconnect, in characters",
            "core.positions:MAX_POSITION_CHARS",
            "it is not resumed from",
            _dropped("positions"),
            "tests/streams/test_ingest.py",
        ),
    ),
    "What a message holds": (
        Limit(
            "the text and the metadata of an event, the description of an anomaly",
            "stream.max-event-bytes",
            "text is cut, metadata left out",
            _TOO_LONG,
            "tests/streams/test_ingest.py",
        ),
        Limit(
            "nesting of metadata",
            "stream.max-json-depth",
            "metadata is left out",
            '`iris_stream_decode_errors_total{reason="too_deep"}`',
            "tests/streams/test_ingest.py",
        ),
        Limit(
            "ids of projects, events and anomalies, and positions, in characters",
            "decoding.values:MAX_ID_CHARS",
            "an id becomes its hash, a position is none",
            f"{_TOO_LONG} for positions and for the project of an event; an id loses nothing",
            "tests/decoding/iris_json/test_decoder.py",
        ),
        Limit(
            "names, types, severities, states in the model, in characters",
            "decoding.values:MAX_LABEL_CHARS",
            "cut, and marked by a hash",
            _TOO_LONG,
            "tests/decoding/iris_json/test_decoder.py",
        ),
        Limit(
            "the text of an error message of the source, in characters",
            "decoding.values:MAX_REPORT_CHARS",
            "cut",
            "none: the message is counted by `iris_stream_upstream_errors_total`",
            "tests/streams/test_ingest.py",
        ),
        Limit(
            "digits of a number without a fraction",
            "decoding.json_text:MAX_INTEGER_DIGITS",
            "the field is missing",
            '`iris_stream_decode_errors_total{reason="not_finite"}`',
            "tests/decoding/test_json_text.py",
        ),
        Limit(
            "paths of broken fields that are reported separately",
            "decoding.problems:MAX_PATHS",
            "the rest is reported for the message as a whole",
            "none: all are counted by `iris_stream_decode_errors_total`",
            "tests/decoding/iris_json/test_decoder.py",
        ),
    ),
    "What is stored": (
        Limit(
            "events of the feed",
            "stream.max-events",
            "the oldest are dropped",
            "none: `iris_events_total` has counted them",
            "tests/model/test_state.py",
        ),
        Limit(
            "ids of events: twice as many at most, and as many again of what a replay will repeat",
            "stream.max-event-ids",
            "the oldest are forgotten, and would count again",
            _dropped("event_ids"),
            "tests/streams/test_ingest.py",
        ),
        Limit(
            "projects",
            "stream.max-projects",
            "left out until others vanish",
            f"{_dropped('projects')}",
            "tests/streams/test_ingest.py",
        ),
        Limit(
            "open anomalies", "stream.max-anomalies", "left out", _dropped("anomalies"), "tests/streams/test_ingest.py"
        ),
        Limit(
            "label sets that events are counted by",
            "stream.max-event-series",
            "the event is counted under `other`",
            _dropped("event_labels"),
            _HOSTILE,
        ),
    ),
    "What is shown": (
        Limit(
            "projects in labels of events, and in labels of anomalies beside the listed ones",
            "stream.max-projects",
            "`other`",
            f"{_series('iris_events_total')}, {_series('iris_anomalies')}",
            "tests/instruments/test_exposition.py",
        ),
        Limit(
            "event types, severities of events, severities of anomalies",
            "stream.max-label-values",
            "`other`",
            f"{_series('iris_events_total')}; anomalies keep their sum",
            "tests/instruments/test_exposition.py",
        ),
        Limit(
            "characters of a label value",
            "stream.max-label-length",
            "cut, and marked by a hash",
            _dropped("label_text"),
            "tests/instruments/test_text.py",
        ),
        Limit(
            "labels of an exemplar, in characters",
            "instruments.text:MAX_EXEMPLAR_CHARS",
            "the exemplar is left out",
            "none: the observation is counted",
            "tests/instruments/test_text.py",
        ),
        Limit(
            "beginnings of series that are cached as text",
            "instruments.text:MAX_CACHED_HEADS",
            "the one that was not used for longest is written anew",
            "none: nothing is lost",
            "tests/instruments/test_equality.py",
        ),
        Limit(
            "lines of the log about unreadable messages, for each stream and minute",
            "streams.log:_BROKEN_LINES_PER_MINUTE",
            "left out, and the next line has their number",
            "`iris_stream_decode_errors_total`",
            "tests/integration/test_bad_input.py",
        ),
        Limit(
            "a value in a log line, in characters",
            "core.log_format:MAX_VALUE_CHARS",
            "cut",
            "none: the line says how much",
            "tests/test_logs.py",
        ),
    ),
    "Streams with a mapping": (
        Limit(
            "series of a stream, and of each metric its `limit`",
            _MAPPING + "series",
            "what is counted goes on under `other`, what is a value is not shown",
            _dropped("series"),
            "tests/streams/test_mapped_stream.py",
        ),
        Limit(
            "values of one label",
            _MAPPING + "label_values",
            "what is counted goes on under `other`, what is a value is not shown",
            _dropped("label_values"),
            "tests/streams/test_mapped_stream.py",
        ),
        Limit(
            "characters of a label value",
            _MAPPING + "label_length",
            "cut, and marked by a hash",
            _dropped("label_text"),
            "tests/decoding/mapped/test_patient.py",
        ),
        Limit(
            "identities of elements: twice as many at most",
            _MAPPING + "ids",
            "the oldest are forgotten, and would count again",
            _dropped("event_ids"),
            "tests/core/test_dedup.py",
        ),
        Limit(
            "keys that have a cursor of their own",
            "core.places:MAX_KEYS",
            "gaps of further keys are not found",
            _dropped("cursor_keys"),
            "tests/decoding/mapped/test_patient.py",
        ),
        Limit(
            "characters that a pattern is searched in",
            "mapping.patterns:MAX_SEARCHED",
            "what follows is not seen",
            "none: what does not match is a problem of the mapping, and counted",
            "tests/mapping/test_patterns.py",
        ),
    ),
    "Files and disks that do not answer": (
        Limit(
            "seconds for a key, a header file, a certificate or a file of discovery",
            "process.blocking:FILES.seconds",
            "the dial fails (`credentials`), or the file keeps its last list",
            "`iris_exporter_blocking_timeouts_total`",
            "tests/integration/test_hangs.py",
        ),
        Limit(
            "such accesses at the same time, those that hang among them",
            "process.blocking:FILES.threads",
            "wait, and fail after the same time",
            "`iris_exporter_blocking_timeouts_total`",
            "tests/process/test_blocking.py",
        ),
        Limit(
            "seconds for a cursor or a lock in `--state.dir`",
            "process.blocking:STATE.seconds",
            "the scrape is answered, and the cursor is not saved",
            "`iris_exporter_blocking_timeouts_total`",
            "tests/integration/test_hangs.py",
        ),
        Limit(
            "seconds for the configuration and the files that it names, at a reload",
            "process.blocking:CONFIG.seconds",
            "the old one stays in force",
            "`iris_exporter_blocking_timeouts_total`",
            "tests/integration/test_hangs.py",
        ),
        Limit(
            "seconds for reading what a source of discovery lists",
            "process.blocking:PARSING.seconds",
            "the source keeps its last list",
            "`iris_exporter_blocking_timeouts_total`",
            "tests/fleet/test_discovery.py",
        ),
    ),
    "The HTTP server": (
        Limit(
            "open connections; one client address has a fourth",
            "web.max-connections",
            "closed at once",
            "`iris_exporter_http_connections_cut_total`",
            "tests/web/test_http_server.py",
        ),
        Limit(
            "scrapes at the same time",
            "web.max-requests",
            "status 503",
            "`iris_exporter_scrapes_refused_total`",
            "tests/web/test_scrape.py",
        ),
        Limit(
            "the body of a request, in bytes",
            "web.rate_limits:MAX_BODY_BYTES",
            "status 413",
            "`iris_exporter_http_requests_refused_total`",
            "tests/web/test_http_server.py",
        ),
    ),
    "Watching (`iris-exporter watch`)": (
        Limit(
            "bytes of a message of the exporter",
            "watch.sidecar:MAX_EVENT_BYTES",
            "the connection is made again",
            "none: the badge, or a line, says it",
            "tests/watch/test_sidecar.py",
        ),
        Limit(
            "bytes of an overview",
            "watch.sidecar:MAX_BODY_BYTES",
            "figures and projects are not shown",
            "none: the screen, or a line, says it",
            "tests/watch/test_sidecar.py",
        ),
        Limit(
            "events of a stream that are stored, of each severity",
            "watch.view.feed:SIZE",
            "the oldest goes",
            "none: it is a feed",
            "tests/watch/test_view.py",
        ),
        Limit(
            "streams whose figures and events a screen stores",
            "watch.view.board:MAX_SHOWN",
            "those of the stream that was shown longest ago go",
            "none: they are asked for again",
            "tests/watch/test_board.py",
        ),
        Limit(
            "streams whose figures and projects are compared for lines",
            "watch.lines:MAX_STREAMS",
            "only states and events of a further one are written",
            "none: docs/watch.md says it",
            "tests/watch/test_lines.py",
        ),
        Limit(
            "projects of a stream that are compared and shown, the worst first",
            "watch.view.board:MAX_PROJECTS",
            "the others are left out, and their number is shown",
            "none: the screen says it",
            "tests/watch/test_board.py",
        ),
    ),
}

INTRODUCTION = """\
# Limits

<!-- Generated by scripts/generate_limits.py; change the table there, or the option, and run `make generate`. -->

Everything that grows with what a source, a client or a file sends has a limit. What is beyond the limit is refused, cut
or left out, and counted. Limits of a stream are options; they follow a reload, except that counters of events keep the
labels that they have. The memory of a stream is therefore bounded, whatever its source sends: tests/test_hostile.py
measures everything that a source can reach.

The exporter has no queue between a socket and the model. TCP slows down a source that sends faster than the exporter
reads, and no event and no count is lost. The HTTP library bounds what waits in its buffer (some 128 KiB).

Compression is offered where the URL of a stream ends in `/api/stream` and `--stream.compression` is not `off`:
permessage-deflate on a WebSocket, whose messages may inflate to `--stream.max-message-bytes` and no further, and gzip
for event streams. Anywhere else a server that turns compression of a WebSocket on all the same is refused
(`handshake`), and a compressed frame ends the connection (`protocol_error`); event streams are asked for without
compression, and read with it (gzip, deflate). Polls are asked for with gzip.

A mount that hangs, a disk or a name server that does not answer delays only those who need it. Each kind of such work
has threads of its own, a time limit, and at most one thread for each place that hangs; until it answers, further work
there is refused at once. `iris_exporter_blocking_stuck_threads` shows how many hang now. Names of sources are looked up
on the event loop (c-ares: `/etc/hosts`, `/etc/resolv.conf`, and no other plug-ins of the system's name service, such as
mDNS or LDAP).

Invisible characters in labels (control characters but line feed and tab, marks and overrides of the writing direction,
lone surrogates) are shown as U+FFFD; joiners, which scripts and emoji need, stay. A value that was cut or changed ends
in `~` and 16 digits of its hash, so that two different names remain two series.
"""


def default_of(number: str) -> tuple[str, str]:
    """The default as people write it, and where it comes from.

    Raises:
        KeyError, AttributeError, ImportError: There is no such option or constant.
    """
    if ":" not in number:
        option = BY_KEY[number]
        return str(option.default), f"`--{number}`"
    if number.startswith(_MAPPING):
        name = number.removeprefix(_MAPPING)
        return f"{getattr(DEFAULT_LIMITS, name):,}", f"`limits: {{{name.replace('_', '-')}: ...}}` of the mapping"
    module, name = number.split(":")
    value = attrgetter(name)(import_module(f"iris_exporter.{module}"))
    return f"{value:g}" if isinstance(value, float) else f"{value:,}", f"fixed (`{module}`)"


def render() -> str:
    """The page."""
    parts = [INTRODUCTION]
    for title, limits in SECTIONS.items():
        lines = [f"## {title}\n", "| What | Limit | Option | Beyond it | Counted by | Test |"]
        lines.append("| --- | --- | --- | --- | --- | --- |")
        for limit in limits:
            default, origin = default_of(limit.number)
            lines.append(f"| {limit.what} | {default} | {origin} | {limit.beyond} | {limit.counter} | `{limit.test}` |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    TARGET.write_text(render(), "utf-8")
