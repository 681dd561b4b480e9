"""IRIS overview: what the old page showed, and its past."""

from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.builders.common import VizTextDisplayOptions
from grafana_foundation_sdk.models import common as shared

from dashboards import base, common, shared_panels, streams, tables
from dashboards.tables import Column
from iris_exporter.grafana.queries import BY_STREAM, counted, select, status_code
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import Metric

NO_FIGURE = "Not sent by the source"
NO_EVENTS = "No event in this time"
FEED_ROWS = 50
"""As many as the old page's feed had."""


def board() -> build.Dashboard:
    """The whole dashboard."""
    found = base.dashboard(
        "overview",
        "IRIS overview",
        "Streams, worst first, firing alerts, the four figures, projects and events of an IRIS installation.",
        loki_used=True,
        tempo_used=True,
    ).with_variable(base.by())
    found.with_variable(base.scheme())
    found.with_panel(streams.live_count((5, 6)))
    found.with_panel(streams.alerts((19, 6)))
    found.with_panel(streams.worst_first((24, 12), streams.traffic_facts(), exporter_width=190))
    for panel in cards():
        found.with_panel(panel)
    found.with_panel(changes())
    found.with_panel(projects())
    found.with_panel(events())
    found.with_panel(by_status())
    found.with_panel(anomalies())
    found.with_panel(shared_panels.states((24, 10)))
    found.with_row(build.Row("Activity"))
    found.with_panel(shared_panels.activity("Activity feed", (24, 14)))
    return base.closed_rows(found, ("Activity without Loki", [activity_table()]))


@dataclass(frozen=True, slots=True)
class Figure:
    """A card of the old page: `aggregation` puts the streams together, `ago` is what it is compared with."""

    title: str
    text: str
    metric: Metric
    aggregation: str
    unit: str
    ago: str
    since: str
    decimals: int = 0


_HOUR = ("1h", "an hour ago")
FIGURES = (
    # It begins anew each midnight: a comparison with an hour ago would fall by all runs of the day at 00:30.
    Figure(
        "Active Runs", "Runs since midnight by the source's clock, summed.", catalog.RUNS_TODAY, "sum", "locale",
        "1d", "this time yesterday",
    ),
    Figure(
        "Success Rate", "Share of successful runs, averaged.", catalog.SUCCESS_RATIO, "avg", "percentunit", *_HOUR, 1
    ),
    Figure("Active Experts", "Experts at work, summed.", catalog.ACTIVE_EXPERTS, "sum", "locale", *_HOUR),
    Figure("Total Projects", "Projects that the source knows, summed.", catalog.PROJECTS, "sum", "locale", *_HOUR),
)  # fmt: skip


def cards() -> list[stat.Panel]:
    """The four cards of the old page: the exact value, and of how many streams it is."""
    return [
        common.card(
            figure.title,
            f"{figure.text} Above it, how many of the chosen streams it is of: one that has been silent for too long, "
            "or is not connected, has no figures and is left out.",
            common.metrics(figure_now(figure), "{{known}} of {{streams}} streams", instant=True),
            unit=figure.unit,
            empty=NO_FIGURE,
            size=(6, 4),
            names=True,
        )
        .decimals(figure.decimals)
        .text(VALUE_SIZE)
        .wide_layout(False)
        for figure in FIGURES
    ]


# The value takes the room that is left, and so does the sentence for no data.
VALUE_SIZE = VizTextDisplayOptions().title_size(14)
CHANGE_SIZE = VizTextDisplayOptions().title_size(13).value_size(18)


def figure_now(figure: Figure) -> str:
    """The value with labels for how many streams have it, and how many there are."""
    value = select(figure.metric)
    known = f'count_values("known", count(max by ({BY_STREAM}) ({value})))'
    there = f'count_values("streams", count(max by ({BY_STREAM}) ({select(catalog.STREAM_STATE)})))'
    return f"{figure.aggregation}({value}) * on () group_left (known) {known} * on () group_left (streams) {there}"


def figure_change(figure: Figure) -> str:
    """The difference, of those streams alone that have the figure now and had it then, with an arrow as a label.

    So a stream that has gone silent since does not count as a fall by all it had, nor a new one as a rise.
    """
    now, then = (f"sum by (job, stream) ({select(figure.metric, offset=offset)})" for offset in ("", figure.ago))
    scale = "100 * " if figure.unit == "percentunit" else ""
    # Rounded, so that what is equal is: an average of floating-point numbers need not be.
    difference = f"round({scale}{figure.aggregation}({now} - {then}), 0.1)"
    arrows = (("> 0", "▲"), ("< 0", "▼"), ("== 0", "="))
    cases = " or ".join(f'label_replace({difference} {test}, "trend", "{arrow}", "", "")' for test, arrow in arrows)
    what = f"{figure.title} (points)" if scale else figure.title
    return f'label_replace({cases}, "figure", "{what} against {figure.since}", "", "")'


def changes() -> stat.Panel:
    """What is different from before, smaller than the figures themselves."""
    panel = common.card(
        "Changes",
        "The figures above less what they were an hour ago; the runs, which begin anew each midnight, less those at "
        "this time yesterday; the success rate in percentage points. Only streams that have the figure now and had it "
        "then are compared; without such a stream there is no arrow.",
        common.metrics(" or ".join(figure_change(figure) for figure in FIGURES), "{{trend}} {{figure}}", instant=True),
        unit="locale",
        empty="Nothing to compare with yet",
        size=(24, 3),
        names=True,
    )
    return panel.orientation(shared.VizOrientation.VERTICAL).text(CHANGE_SIZE).wide_layout(False)


def projects() -> table.Panel:
    """One row for each project."""
    by = "stream, project"
    queries = {
        "A": f"max by ({by}, name) ({select(catalog.PROJECT_INFO)})",
        "B": status_code(),
        "C": f"max by ({by}) ({select(catalog.PROJECT_HEALTH_RATIO)})",
        "D": f"max by ({by}) ({select(catalog.PROJECT_SUCCESS_RATIO)})",
        "E": f"max by ({by}) ({select(catalog.PROJECT_ACTIVE_EXPERTS)})",
        "F": f"max by ({by}) ({select(catalog.PROJECT_RUNS)})",
        "G": f"max by ({by}) ({select(catalog.PROJECT_LATENCY)})",
        "H": f"1000 * max by ({by}) ({select(catalog.PROJECT_LAST_RUN)})",
        "I": f"sum by ({by}) ({select(catalog.ANOMALIES)})",
    }
    opened = base.dashboard_link("project", "Open the project", "&var-project=${__data.fields.Id:percentencode}")
    share = tables.number("percentunit", 1)
    return tables.grid(
        "Projects",
        "One row for each project of the chosen streams, as last streamed or polled. A click on a name opens the "
        "project; a click on a heading sorts.",
        *(common.rows(expr, ref) for ref, expr in queries.items()),
        empty="No project: nothing was heard from the source yet, or what was heard is too old",
        size=(24, 9),
        columns={
            "name": Column("Project", 135, [common.override("links", [opened])], grows=True),
            "project": Column("Id", 145),
            "stream": Column("Stream", 120),
            "Value #B": Column("Status", 90, tables.word(common.status_mappings(), background=True)),
            "Value #C": Column("Health", 90, [*share, *tables.graded(common.HEALTH)]),
            "Value #D": Column("Success", 95, [*share, *tables.graded(common.SUCCESS)]),
            "Value #E": Column("Experts", 85),
            "Value #F": Column("Runs", 85, tables.number("locale")),
            "Value #G": Column("Latency", 90, tables.number("s")),
            "Value #H": Column("Last run", 150, tables.number("dateTimeFromNow")),
            "Value #I": Column("Anomalies", 100, tables.graded(((None, "text"), (1, common.ORANGE)))),
        },
        sort=[("Status", True)],
    )


def events() -> timeseries.Panel:
    """Events over time."""
    return common.bars(
        "Events by severity",
        "Events in each step, each id once over all transports and reconnects, by severity.",
        common.metrics(counted(catalog.EVENTS, "severity, $by"), f"{{{{severity}}}} {base.SPLIT}"),
        empty=NO_EVENTS,
        size=(10, 8),
        colours=common.SEVERITY_COLOURS,
    )


def by_status() -> stat.Panel:
    """How many projects are well."""
    panel = common.card(
        "Projects by status",
        "Projects in each status, as the source's own summary says.",
        common.metrics(f"sum by (status) ({select(catalog.PROJECTS_BY_STATUS)})", "{{status}}", instant=True),
        unit="locale",
        empty=NO_FIGURE,
        size=(4, 8),
        names=True,
    )
    panel.orientation(shared.VizOrientation.HORIZONTAL).text(VALUE_SIZE)
    common.colour_fields(panel, ((status, common.STATUS_COLOURS[status]) for status in catalog.STATUSES[:3]))
    return panel


def anomalies() -> table.Panel:
    """What is open."""
    opened = base.dashboard_link("project", "Open the project", "&var-project=${__value.raw:percentencode}")
    return tables.grid(
        "Open anomalies",
        "Unresolved anomalies by project and severity. How long they have been open is on the project's dashboard.",
        common.rows(f"sum by (stream, project, severity) ({select(catalog.ANOMALIES)}) > 0", "A"),
        empty="No open anomaly",
        size=(10, 8),
        columns={
            "project": Column("Project", 140, [common.override("links", [opened])], grows=True),
            "severity": Column("Severity", 95, tables.severities()),
            "stream": Column("Stream", 130),
            "Value": Column("Open", 75),
        },
        sort=[("Open", True)],
    )


def activity_table() -> table.Panel:
    """The activity feed for those without Loki: what Prometheus can know of it."""
    last = f"timestamp(changes({select(catalog.EVENTS)}[2m]) > 0)"
    by = "stream, project, event_type, severity"
    latest = f"topk({FEED_ROWS}, max by ({by}) (max_over_time({last}[1h:1m])))"
    return tables.grid(
        "Latest kinds of event",
        f"At most {FEED_ROWS} rows: the kinds of event (severity, project, type, stream) that were counted within the "
        "last hour, the latest first, to the minute, and how many of each there were. It is no list of events: "
        "Prometheus keeps numbers, not messages. Those are in the feed above, which needs Loki, or at "
        f"/api/v1/streams/NAME/events?limit={FEED_ROWS} of the exporter.",
        common.rows(f"1000 * {latest}", "A"),
        common.rows(f"{counted(catalog.EVENTS, by, over='1h')} and {latest}", "B"),
        empty=NO_EVENTS,
        size=(24, 12),
        columns={
            "Value #A": Column("Last", 140, tables.number("dateTimeFromNow")),
            "severity": Column("Severity", 100, tables.severities()),
            "project": Column("Project", 180, grows=True),
            "event_type": Column("Type", 160),
            "Value #B": Column("In 1 h", 90, tables.number("locale", 0)),
            "stream": Column("Stream", 180),
        },
        sort=[("Last", True)],
    )
