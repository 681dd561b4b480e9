"""IRIS connection: quality of the link, from attempts to the last byte."""

from collections.abc import Mapping

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import heatmap, logs, table, timeseries
from grafana_foundation_sdk.builders.tempo import Dataquery as TempoQuery
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import prometheus as query

from dashboards import base, common, shared_panels, streams, tables
from dashboards.base import SPLIT
from dashboards.tables import Column
from iris_exporter.core.status import State
from iris_exporter.grafana.queries import (
    BY_STREAM,
    age,
    code,
    counted,
    equals,
    left,
    median_and_p99,
    named,
    rate,
    select,
)
from iris_exporter.instruments import catalog, signals
from iris_exporter.instruments.metric import Metric
from iris_exporter.model.snapshot import DataFlow

FLOWS = {flow: number for number, flow in enumerate(DataFlow)}
POLLED = "if polled"
NOTHING = "Nothing in this time"
THIRD, HALF = (8, 8), (12, 8)
SILENCE: tuple[common.Step, ...] = ((None, "text"), (60, common.ORANGE), (300, common.RED))
"""Two heartbeats of the default interval, and the default of `--stream.stale-after`."""


def board() -> build.Dashboard:
    """The whole dashboard."""
    found = (
        base.dashboard(
            "connection",
            "IRIS connection",
            "How streams are connected: what is wrong now, states, attempts, failures, delay, traffic, what was lost.",
            loki_used=True,
            tempo_used=True,
        )
        .with_variable(base.by())
        .with_variable(base.scheme())
        .with_variable(_poll_interval())
        .link(_explore("Changes of state in Loki", common.LOKI, {"expr": shared_panels.states_in_loki()}))
        .link(_explore("Attempts in Tempo", common.TEMPO, {"queryType": "traceql", "query": attempts_in_tempo()}))
    )
    found.with_panel(streams.worst_first((24, 8), link_facts()))
    found.with_panel(shared_panels.states((24, 10)))
    for title, panels in (
        ("Attempts", [*attempts(), top_reasons()]),
        ("Delay", [percentiles(), delays(), *timings()]),
        ("Traffic", traffic()),
        ("Lost, repeated, refused", continuity()),
    ):
        found.with_row(build.Row(title))
        for panel in panels:
            found.with_panel(panel)
    return base.closed_rows(
        found,
        ("Subscriptions", subscriptions()),
        ("Streams with a mapping", mappings()),
        ("Logs and traces (need Loki and Tempo)", [state_log(), attempt_traces()]),
    )


def _explore(title: str, source: shared.DataSourceRef, target: dict[str, str]) -> build.DashboardLink:
    return (
        build.DashboardLink(title)
        .type(model.DashboardLinkType.LINK)
        .icon("external link")
        .url(base.explore_url(source, target))
        .target_blank(True)
        .tooltip(f"{title}, in Explore")
    )


def _poll_interval() -> build.CustomVariable:
    return (
        build.CustomVariable("poll_interval")
        .label("Poll interval")
        .description("Pace of the polling that the panel of bytes compares with; 30 s is the exporter's default")
        .values("30 s : 30,5 s : 5,10 s : 10,1 min : 60")
        .current(model.VariableOption(selected=True, text="30 s", value="30"))
        .hide(model.VariableHide.HIDE_VARIABLE)
    )


def attempts_in_tempo() -> str:
    """TraceQL for the attempts to connect of the chosen streams."""
    return (
        f'{{ resource.service.name = "{common.SERVICE_NAME}" && name = "{signals.CONNECT.name}" '
        f'&& span.{signals.STREAM.name} =~ "$stream" }}'
    )


def link_facts() -> list[streams.Fact]:
    """What the table of streams says of the link."""
    flow = code(catalog.DATA_FLOW, [(flow.value, number) for flow, number in FLOWS.items()], BY_STREAM)
    connected = f"sum by ({BY_STREAM}) ({select(catalog.DATA_FLOW)}) > 0"
    texts = {str(number): (flow.value.capitalize(), common.FLOW_COLOURS[flow]) for flow, number in FLOWS.items()}
    return [
        (f"{flow} and {connected}", Column("Data", 75, tables.word([common.values(texts)]))),
        (
            f"max by ({BY_STREAM}) ({age(catalog.LAST_MESSAGE_TIMESTAMP)})",
            Column("Silence", 75, [*tables.number("s", 0), *tables.graded(SILENCE)]),
        ),
        (
            f"1000 * max by ({BY_STREAM}) ({select(catalog.LAST_FAILURE_TIMESTAMP)})",
            Column("Last failure", 115, tables.number("dateTimeFromNow")),
        ),
    ]


def top_reasons() -> table.Panel:
    """What went wrong most in this time: the bars of attempts, disconnects and polls, added up."""
    expr = named(
        attempt=counted(catalog.CONNECT_FAILURES, "stream, instance, reason"),
        disconnect=counted(catalog.DISCONNECTS, "stream, instance, reason"),
        poll=counted(catalog.POLL_FAILURES, "stream, instance, reason"),
    )
    return tables.grid(
        "Top reasons",
        "What went wrong in the whole time shown, by stream and reason, the most frequent first: attempts that failed, "
        "live streams that ended, polls that failed.",
        common.metrics(expr),
        empty="Nothing went wrong in this time",
        size=(24, 7),
        columns={
            "Total": Column("Times", 90, tables.number("locale", 0)),
            "series": Column("What failed", 130),
            "reason": Column("Reason", 200, tables.reasons(), grows=True),
            "stream": Column("Stream", 200),
            "instance": Column("Exporter", 200),
        },
        sort=[("Times", True)],
        totals=True,
    )


def _counted(
    title: str, description: str, label: str, metric: Metric, *, empty: str = NOTHING, size: tuple[int, int] = THIRD,
    colours: Mapping[str, str] | None = None,
) -> timeseries.Panel:  # fmt: skip
    """A counter by one of its labels."""
    target = common.metrics(counted(metric, f"{label}, $by"), f"{{{{{label}}}}} {SPLIT}")
    return common.bars(title, description, target, empty=empty, size=size, colours=colours)


def _compared(
    title: str, description: str, *, empty: str = NOTHING, size: tuple[int, int] = THIRD, stacked: bool = False,
    colours: Mapping[str, str] | None = None, **metrics: Metric,
) -> timeseries.Panel:  # fmt: skip
    """Counters beside each other, by names that are written with `_` for a space."""
    expr = named(**{name: counted(metric, "$by") for name, metric in metrics.items()})
    target = common.metrics(expr, f"{{{{series}}}} {SPLIT}")
    return common.bars(title, description, target, empty=empty, size=size, colours=colours, stacked=stacked)


def attempts() -> list[timeseries.Panel]:
    """What it took to be connected."""
    live = select(catalog.STREAM_STATE, equals("state", State.LIVE))
    open_for = f"{age(catalog.CONNECTED_TIMESTAMP)} and on ({BY_STREAM}) {live} == 1"
    planned = f"max by (stream, $by) ({left(catalog.NEXT_ATTEMPT_TIMESTAMP)}) > 0"
    return [
        _compared(
            "Connect attempts", "Attempts to open the live stream within each step, and those that failed.",
            empty="No attempt in this time: what was live stayed so", colours={"failed": common.RED},
            attempts=catalog.CONNECT_ATTEMPTS, failed=catalog.CONNECT_FAILURES,
        ),
        _counted(
            "Failed attempts by reason",
            "Attempts that ended without a stream, by reason. What each means, and what to do, is in failures.md.",
            "reason", catalog.CONNECT_FAILURES, empty="No attempt failed in this time",
            colours=common.REASON_COLOURS,
        ),
        _counted(
            "Disconnects by reason", "Live streams that ended, by reason.",
            "reason", catalog.DISCONNECTS, empty="No live stream ended in this time",
            colours=common.REASON_COLOURS,
        ),
        common.lines(
            "Reconnect delay",
            "Seconds until the next attempt, at each scrape: the top of a tooth is the delay that was drawn. Nothing "
            "while no attempt is planned.",
            common.metrics(planned, SPLIT),
            unit="s", empty="No attempt was planned in this time", size=THIRD,
        ).show_points(shared.VisibilityMode.ALWAYS),
        common.lines(
            "Failed attempts in a row", "Failed attempts since the link was last stable; 0 when live.",
            common.metrics(f"max by (stream, $by) ({select(catalog.RECONNECT_ATTEMPT)})", SPLIT),
            unit="short", empty=shared_panels.NO_STREAM, size=THIRD,
        ).line_interpolation(shared.LineInterpolation.STEP_AFTER).decimals(0),
        common.lines(
            "Age of the live stream",
            "Teeth of the same height are a gateway that ends every connection after a while. Nothing while not live.",
            common.metrics(f"max by (stream, $by) ({open_for})", SPLIT),
            unit="s", empty="No stream was live in this time", size=THIRD,
        ),
    ]  # fmt: skip


def _quantiles(
    title: str, description: str, metric: Metric, *, size: tuple[int, int], empty: str, steps: tuple[common.Step, ...]
) -> timeseries.Panel:
    target = common.metrics(median_and_p99(metric, "$by"), f"{{{{series}}}} {SPLIT}", exemplars=True)
    text = f"{description} Dots are exemplars: a click opens the trace."
    return common.lines(title, text, target, unit="s", empty=empty, size=size, steps=steps)


def percentiles() -> timeseries.Panel:
    """Delay as percentiles."""
    return _quantiles(
        "Message delay",
        "From the source's timestamp to the arrival here. Live: 50 to 200 ms; polled: up to the poll interval. Clocks "
        "that disagree show here too.",
        catalog.MESSAGE_DELAY,
        size=(12, 8),
        empty="No message with a timestamp in this time",
        steps=((None, common.GREEN), (1, common.ORANGE)),
    )


def delays() -> heatmap.Panel:
    """Delay as a heatmap; of all chosen streams, since buckets of several would lie over each other."""
    target = common.metrics(
        f"sum by (le) ({rate(catalog.MESSAGE_DELAY, sample='_bucket')})",
        "{{le}}",
        exemplars=True,
        form=query.PromQueryFormat.HEATMAP,
    )
    return common.heat(
        "Message delay, distribution",
        "Messages a second in each range of delay, of all chosen streams: two bands are two ways to the source.",
        target,
        unit="s",
        empty="No message with a timestamp in this time",
    )


def timings() -> list[timeseries.Panel]:
    """Round trips and dials."""
    return [
        _quantiles(
            "Heartbeat round trip", "From a ping to its answer.", catalog.HEARTBEAT_RTT, size=THIRD,
            empty="No answered ping in this time (WebSocket only)", steps=((None, common.GREEN), (1, common.ORANGE)),
        ),
        _quantiles(
            "Time to connect", "From the beginning of a successful attempt to the open stream.",
            catalog.CONNECT_DURATION, size=THIRD,
            empty="No stream was opened in this time", steps=((None, common.GREEN), (5, common.ORANGE)),
        ),
        common.lines(
            "Time since last message",
            "At each scrape: grows while the source says nothing, not even a heartbeat. Dashed: two heartbeats of the "
            "default interval.",
            common.metrics(f"max by (stream, $by) ({age(catalog.LAST_MESSAGE_TIMESTAMP)})", SPLIT),
            unit="s", empty="No message yet", size=THIRD, steps=((None, common.GREEN), (60, common.ORANGE)),
        ),
        common.lines(
            "Waiting to be taken",
            "Age of the oldest piece of each stream that has arrived and waits, for the snapshot or for its turn. High "
            "are messages that overtake others.",
            common.metrics(f"max by (queue, $by) ({age(catalog.QUEUE_OLDEST_TIMESTAMP)})", f"{{{{queue}}}} {SPLIT}"),
            unit="s", empty="Nothing waited at a scrape", size=(24, 6),
            steps=((None, common.GREEN), (1, common.ORANGE)),
        ),
    ]  # fmt: skip


def traffic() -> list[timeseries.Panel]:
    """What comes in, and what the other way would have cost."""
    # Averages over the life of the exporter: in a time when nothing is polled there is no other size of a document.
    polled = select(catalog.RECEIVED_BYTES, equals("protocol", "poll"))
    size = f"sum by ($by) ({polled}) / (sum by ($by) ({select(catalog.POLLS)}) > 0)"
    streams = f"count by ($by) ({select(catalog.UP)})"
    return [
        common.lines(
            "Messages by type", "Messages a second, by type; heartbeats are ping and pong.",
            common.metrics(f"sum by (message_type, $by) ({rate(catalog.MESSAGES)})", f"{{{{message_type}}}} {SPLIT}"),
            unit="cps", empty=NOTHING, stacked=True,
        ),
        common.lines(
            "Bytes by protocol, and by polling",
            "Bytes a second on the wire, by protocol. The dashed line is what the chosen streams would cost if "
            "they were polled every $poll_interval s: the average size of a REST document so far, over that.",
            common.metrics(
                f"sum by (protocol, $by) ({rate(catalog.RECEIVED_BYTES)}) "
                f'or label_replace({streams} * {size} / $poll_interval, "protocol", "{POLLED}", "", "")',
                f"{{{{protocol}}}} {SPLIT}",
            ),
            unit="Bps", empty=NOTHING,
        ).override_by_regexp(
            f"/^{POLLED}/",
            [common.fixed(common.GREY), common.override("custom.lineStyle", {"fill": "dash", "dash": [8, 8]})],
        ),
        _compared(
            "Polls", "REST documents that were asked for, on each connect and while polling, and what went wrong.",
            size=(24, 8), empty="Nothing was polled in this time", colours={"failed": common.RED},
            polls=catalog.POLLS, failed=catalog.POLL_FAILURES,
        ),
    ]  # fmt: skip


def subscriptions() -> list[timeseries.Panel]:
    """What streams at /api/stream were granted, and what it brings."""
    granted = f"sum by (extension, $by) ({select(catalog.STREAM_EXTENSION)})"
    share = f"sum by ($by) ({rate(catalog.RECEIVED_BYTES)}) / (sum by ($by) ({rate(catalog.DECODED_BYTES)}) > 0)"
    return [
        common.lines(
            "Extensions in use", "Streams whose source has granted each option of a subscription.",
            common.metrics(granted, f"{{{{extension}}}} {SPLIT}"),
            unit="locale", empty="No stream has a subscription", size=HALF,
        ),
        common.lines(
            "Bytes left by compression", "Bytes on the wire as a share of what they inflate to, polls included.",
            common.metrics(share, f"share {SPLIT}"), unit="percentunit", empty=NOTHING, size=HALF,
        ),
        common.lines(
            "Messages in a batch", "How many messages come at once, where the source sends batches.",
            common.metrics(median_and_p99(catalog.BATCH_MESSAGES, "$by"), f"{{{{series}}}} {SPLIT}"),
            unit="short", empty="No batch in this time", size=HALF,
        ),
        _compared(
            "Made good",
            "Resync: changes that did not follow, after which everything was asked for anew. Overtaking: urgent events "
            "that came before others. Left out: events that the source dropped, and that were asked for over REST.",
            empty="Nothing had to be made good in this time", size=HALF,
            resync=catalog.DELTA_RESYNCS, overtaking=catalog.EVENTS_OVERTAKING, left_out=catalog.SOURCE_DROPPED,
        ),
    ]  # fmt: skip


def continuity() -> list[timeseries.Panel]:
    """Whether every event came once."""
    unread = named(
        unread=counted(catalog.DECODE_ERRORS, "reason, $by"), reported=counted(catalog.UPSTREAM_ERRORS, "code, $by")
    )
    return [
        _counted(
            "Resumes by outcome",
            "What each reconnect found: nothing missing (full), some missing (partial), how many is not known (none), "
            "a source that counts anew (restarted), or nothing that shows whether any are missing (unknown).",
            "outcome", catalog.RESUMES, empty="No stream was resumed in this time", size=HALF,
        ),
        _compared(
            "Gaps, replays, duplicates",
            "Missing: events that the source numbered and that never arrived. Replayed: sent again after a resume. "
            "Duplicate: seen before and not counted again.",
            empty="Every event came once in this time", size=HALF, stacked=True, colours={"missing": common.RED},
            missing=catalog.EVENT_GAPS, replayed=catalog.EVENTS_REPLAYED, duplicate=catalog.EVENTS_DUPLICATE,
        ),
        common.bars(
            "Errors in what arrives",
            "Messages that could not be read, by reason, and errors that the source reported, by code.",
            common.metrics(unread, f"{{{{series}}}}: {{{{reason}}}}{{{{code}}}} {SPLIT}"),
            empty="Everything could be read in this time", size=HALF, colours=common.REASON_COLOURS,
        ),
        _counted(
            "Beyond a limit",
            "What the source said and a limit left out, or put together under other, by kind; see limits.md.",
            "kind", catalog.STREAM_DROPPED, empty="No limit was reached in this time", size=HALF,
        ),
    ]  # fmt: skip


def mappings() -> list[timeseries.Panel]:
    """What streams with a mapping promise, leave out and cannot read."""
    promised = f"sum by (guarantee, $by) ({select(catalog.GUARANTEE)})"
    return [
        common.lines(
            "Guarantee", "Streams with a mapping, by how often each event is counted over drops and restarts.",
            common.metrics(promised, f"{{{{guarantee}}}} {SPLIT}"),
            unit="locale", empty="No stream has a mapping", size=THIRD,
        ),
        _compared(
            "Elements left out", "Elements of messages that a condition of the mapping left out.",
            empty="Nothing was left out in this time", filtered=catalog.EVENTS_FILTERED,
        ),
        common.bars(
            "Mapping problems", "Samples, ids and times that a mapping could not read, by metric and reason.",
            common.metrics(
                counted(catalog.MAPPING_PROBLEMS, "kind, metric, reason, $by"),
                f"{{{{kind}}}} {{{{metric}}}}: {{{{reason}}}} {SPLIT}",
            ),
            empty="Everything that a mapping names could be read in this time", size=THIRD,
            colours=common.REASON_COLOURS,
        ),
    ]  # fmt: skip


def state_log() -> logs.Panel:
    """Changes of state from Loki."""
    return common.feed(
        "Changes of state",
        "Every change of state and every planned attempt, with reason and delay, from the exporter's log records.",
        shared_panels.states_in_loki(),
        empty=shared_panels.NO_LOKI,
        size=(12, 10),
    )


def attempt_traces() -> table.Panel:
    """Attempts from Tempo."""
    panel = table.Panel().title("Attempts").description(
        "Attempts to open the live stream, newest first; a click on the id opens the trace with its DNS, TCP, TLS, "
        "handshake and first message."
    )  # fmt: skip
    target = (
        TempoQuery().datasource(common.TEMPO).query(attempts_in_tempo()).query_type("traceql").limit(20).ref_id("A")
    )
    return (
        panel.datasource(common.TEMPO)
        .with_target(target)
        .unit("short")
        .no_value("No trace: needs Tempo, fed by the exporter over OTLP")
        .thresholds(common.thresholds(common.PLAIN))
        .span(12)
        .height(10)
    )
