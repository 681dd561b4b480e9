"""IRIS connection: quality of the link, from attempts to the last byte."""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import heatmap, logs, stat, table, timeseries
from grafana_foundation_sdk.builders.common import StackingConfig
from grafana_foundation_sdk.builders.tempo import Dataquery as TempoQuery
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import prometheus as query

from dashboards import base, common, shared_panels
from dashboards.queries import BY_STREAM, code, equals, increase, quantile, rate, select
from iris_exporter.core.status import State
from iris_exporter.instruments import catalog, signals
from iris_exporter.instruments.metric import Metric
from iris_exporter.model.snapshot import DataFlow

FLOWS = {flow: number for number, flow in enumerate(DataFlow)}
POLLED = "if polled"
NOTHING = "Nothing in this time"


def board() -> build.Dashboard:
    """The whole dashboard."""
    found = (
        base.dashboard(
            "connection",
            "IRIS connection",
            "How streams are connected: states, attempts, failures, delay, traffic, what was lost or came twice.",
            loki_used=True,
            tempo_used=True,
        )
        .with_variable(base.scheme())
        .with_variable(_poll_interval())
        .link(_explore("Changes of state in Loki", common.LOKI, {"expr": shared_panels.states_in_loki()}))
        .link(_explore("Attempts in Tempo", common.TEMPO, {"queryType": "traceql", "query": attempts_in_tempo()}))
    )
    found.with_panel(shared_panels.badge((8, 4)))
    for panel in figures():
        found.with_panel(panel)
    found.with_panel(shared_panels.states((24, 6)))
    found.with_row(build.Row("Attempts"))
    for graph in attempts():
        found.with_panel(graph)
    found.with_row(build.Row("Delay"))
    found.with_panel(percentiles())
    found.with_panel(delays())
    for graph in timings():
        found.with_panel(graph)
    found.with_row(build.Row("Traffic"))
    for graph in traffic():
        found.with_panel(graph)
    found.with_row(build.Row("Lost, repeated, refused"))
    for graph in continuity():
        found.with_panel(graph)
    details = build.Row("Logs and traces (need Loki and Tempo)")
    details.with_panel(state_log().grid_pos(model.GridPos(x=0, y=100, w=12, h=10)))
    details.with_panel(attempt_traces().grid_pos(model.GridPos(x=12, y=100, w=12, h=10)))
    return found.with_row(details)


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
        .label("Compare with polling every")
        .description("Pace of the polling that the panel of bytes compares with; 30 s is the exporter's default")
        .values("30 s : 30,5 s : 5,10 s : 10,1 min : 60")
        .current(model.VariableOption(selected=True, text="30 s", value="30"))
    )


def attempts_in_tempo() -> str:
    """TraceQL for the attempts to connect of the chosen streams."""
    return (
        f'{{ resource.service.name = "{common.SERVICE_NAME}" && name = "{signals.CONNECT.name}" '
        f'&& span.{signals.STREAM.name} =~ "$stream" }}'
    )


def figures() -> list[stat.Panel]:
    """The line of big values."""
    flow = code(catalog.DATA_FLOW, [(flow.value, number) for flow, number in FLOWS.items()], BY_STREAM)
    connected = f"sum by ({BY_STREAM}) ({select(catalog.DATA_FLOW)}) > 0"
    texts = {str(number): (flow.value.capitalize(), common.FLOW_COLOURS[flow]) for flow, number in FLOWS.items()}
    silence = f"time() - {select(catalog.LAST_MESSAGE_TIMESTAMP)}"
    age = f"(time() - {select(catalog.CONNECTED_TIMESTAMP)}) and on ({BY_STREAM}) {_live()} == 1"
    return [
        common.card(
            "Data flow",
            "What arrives while connected: data, heartbeats of the source only (idle), or neither (silent).",
            common.metrics(f"({flow}) and ({connected})", "{{stream}}", instant=True),
            unit="none", empty="Not connected", size=(4, 4), background=True, names=True,
            mappings=[common.values(texts)],
        ),
        common.card(
            "In use",
            "The protocol that each stream uses now; none while there is no connection.",
            common.metrics(f"{select(catalog.STREAM_INFO)} == 1", "{{stream}}: {{protocol}}", instant=True),
            unit="none", empty=shared_panels.NO_STREAM, size=(4, 4),
        ).text_mode(shared.BigValueTextMode.NAME),
        common.card(
            "Since last message",
            "Time since the last message of the source, heartbeats included.",
            common.metrics(silence, "{{stream}}", instant=True),
            unit="s", empty="No message yet", steps=((None, common.GREEN), (60, common.ORANGE), (300, common.RED)),
            size=(4, 4),
        ),
        common.card(
            "Live for",
            "Age of the live stream; nothing while there is none.",
            common.metrics(age, "{{stream}}", instant=True),
            unit="s", empty="No stream is live", size=(4, 4),
        ),
    ]  # fmt: skip


def _live() -> str:
    return f"sum by ({BY_STREAM}) ({select(catalog.STREAM_STATE, equals('state', State.LIVE))})"


def _counted(
    title: str,
    description: str,
    *named: tuple[Metric, str],
    by: str,
    size: tuple[int, int] = (8, 7),
    empty: str = NOTHING,
) -> timeseries.Panel:
    """Counters as bars: how many within each step."""
    targets = [
        common.metrics(f"{_sum(by)} ({increase(metric)})", legend, ref="ABCD"[index])
        for index, (metric, legend) in enumerate(named)
    ]
    return common.lines(title, description, *targets, unit="short", empty=empty, size=size, bars=True)


def _sum(by: str) -> str:
    return f"sum by ({by})" if by else "sum"


def attempts() -> list[timeseries.Panel]:
    """What it took to be connected."""
    planned = f"{select(catalog.NEXT_ATTEMPT_TIMESTAMP)} - time() > 0"
    return [
        _counted(
            "Connect attempts", "Attempts to open the live stream within each step, and those that failed.",
            (catalog.CONNECT_ATTEMPTS, "attempts"), (catalog.CONNECT_FAILURES, "failed"), by="",
        ).stacking(StackingConfig().mode(shared.StackingMode.NONE).group("A")),
        _counted(
            "Failed attempts by reason",
            "Attempts that ended without a stream, by reason. What each means, and what to do, is in failures.md.",
            (catalog.CONNECT_FAILURES, "{{reason}}"), by="reason",
        ),
        _counted(
            "Disconnects by reason", "Live streams that ended, by reason.",
            (catalog.DISCONNECTS, "{{reason}}"), by="reason",
        ),
        common.lines(
            "Reconnect delay",
            "Seconds until the next attempt, at each scrape: the top of a tooth is the delay that was drawn. Nothing "
            "while no attempt is planned.",
            common.metrics(planned, "{{stream}}"),
            unit="s", empty="No attempt was planned in this time", size=(12, 7),
        ).show_points(shared.VisibilityMode.ALWAYS),
        common.lines(
            "Failed attempts in a row", "Failed attempts since the link was last stable; 0 when live.",
            common.metrics(select(catalog.RECONNECT_ATTEMPT), "{{stream}}"),
            unit="short", empty=shared_panels.NO_STREAM, size=(12, 7),
        ).line_interpolation(shared.LineInterpolation.STEP_AFTER),
    ]  # fmt: skip


def _quantiles(
    title: str, description: str, metric: Metric, *, size: tuple[int, int], empty: str, steps: tuple[common.Step, ...]
) -> timeseries.Panel:
    shares = ((0.5, "median"), (0.9, "p90"), (0.99, "p99"))
    targets = [
        common.metrics(quantile(share, metric), name, ref="ABC"[index], exemplars=True)
        for index, (share, name) in enumerate(shares)
    ]
    text = f"{description} Dots are exemplars: a click opens the trace."
    return common.lines(title, text, *targets, unit="s", empty=empty, size=size, steps=steps)


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
    """Delay as a heatmap."""
    target = common.metrics(
        f"sum by (le) ({rate(catalog.MESSAGE_DELAY, sample='_bucket')})",
        "{{le}}",
        exemplars=True,
        form=query.PromQueryFormat.HEATMAP,
    )
    return common.heat(
        "Message delay, distribution",
        "Messages a second in each range of delay: two bands are two ways to the source.",
        target,
        unit="s",
        empty="No message with a timestamp in this time",
    )


def timings() -> list[timeseries.Panel]:
    """Round trips and dials."""
    return [
        _quantiles(
            "Heartbeat round trip", "From a ping to its answer.", catalog.HEARTBEAT_RTT, size=(8, 7),
            empty="No answered ping in this time (WebSocket only)", steps=((None, common.GREEN), (1, common.ORANGE)),
        ),
        _quantiles(
            "Time to connect", "From the beginning of a successful attempt to the open stream.",
            catalog.CONNECT_DURATION, size=(8, 7),
            empty="No stream was opened in this time", steps=((None, common.GREEN), (5, common.ORANGE)),
        ),
        common.lines(
            "Time since last message", "Grows while the source says nothing, not even a heartbeat.",
            common.metrics(f"time() - {select(catalog.LAST_MESSAGE_TIMESTAMP)}", "{{stream}}"),
            unit="s", empty="No message yet", size=(8, 7), steps=((None, common.GREEN), (60, common.ORANGE)),
        ),
    ]  # fmt: skip


def traffic() -> list[timeseries.Panel]:
    """What comes in, and what the other way would have cost."""
    # Averages over the life of the exporter: in a time when nothing is polled there is no other size of a document.
    polled = select(catalog.RECEIVED_BYTES, equals("protocol", "poll"))
    size = f"sum({polled}) / (sum({select(catalog.POLLS)}) > 0)"
    streams = f"count({select(catalog.UP)})"
    return [
        common.lines(
            "Messages by type", "Messages a second, by type; heartbeats are ping and pong.",
            common.metrics(f"sum by (message_type) ({rate(catalog.MESSAGES)})", "{{message_type}}"),
            unit="cps", empty=NOTHING, bars=True,
        ),
        common.lines(
            "Bytes by protocol, and what polling would cost",
            "Bytes a second on the wire, by protocol. The dashed line is what the chosen streams would cost if "
            "they were polled at the chosen pace: the average size of a REST document so far, over the pace.",
            common.metrics(f"sum by (protocol) ({rate(catalog.RECEIVED_BYTES)})", "{{protocol}}"),
            common.metrics(f"{streams} * {size} / $poll_interval", POLLED, ref="B"),
            unit="Bps", empty=NOTHING, legend_table=True,
        ).override_by_name(
            POLLED, [common.fixed(common.GREY), common.override("custom.lineStyle", {"fill": "dash", "dash": [8, 8]})]
        ),
        _counted(
            "Polls", "REST documents that were asked for, on each connect and while polling, and what went wrong.",
            (catalog.POLLS, "polls"), (catalog.POLL_FAILURES, "failed"), by="", size=(24, 6),
        ).stacking(StackingConfig().mode(shared.StackingMode.NONE).group("A")),
    ]  # fmt: skip


def continuity() -> list[timeseries.Panel]:
    """Whether every event came once."""
    return [
        _counted(
            "Resumes by outcome",
            "What each reconnect found: nothing missing (full), some missing (partial), not known (none), or a source "
            "that counts anew (restarted).",
            (catalog.RESUMES, "{{outcome}}"), by="outcome",
        ),
        _counted(
            "Gaps, replays, duplicates",
            "Missing: events that the source numbered and that never arrived. Replayed: sent again after a resume. "
            "Duplicate: seen before and not counted again.",
            (catalog.EVENT_GAPS, "missing"), (catalog.EVENTS_REPLAYED, "replayed"),
            (catalog.EVENTS_DUPLICATE, "duplicate"), by="",
        ),
        common.lines(
            "Errors in what arrives",
            "Messages that could not be read, by reason, and error messages of the source, by code.",
            common.metrics(f"sum by (reason) ({increase(catalog.DECODE_ERRORS)})", "{{reason}}"),
            common.metrics(f"sum by (code) ({increase(catalog.UPSTREAM_ERRORS)})", "{{code}}", ref="B"),
            unit="short", empty=NOTHING, size=(8, 7), bars=True,
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
