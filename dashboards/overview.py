"""IRIS overview: what the old page showed, and its past."""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as model

from dashboards import base, common, shared_panels, tables
from dashboards.queries import rate, select, status_code, trend
from dashboards.tables import Column
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
        "State of the streams, the four figures, projects, events and anomalies of an IRIS installation.",
        loki_used=True,
        tempo_used=False,
    ).with_variable(base.scheme())
    found.with_panel(shared_panels.badge((8, 5)))
    for panel in cards():
        found.with_panel(panel)
    found.with_panel(projects())
    found.with_panel(events())
    found.with_panel(by_status())
    found.with_panel(anomalies())
    found.with_panel(shared_panels.states((24, 5)))
    found.with_row(build.Row("Activity"))
    found.with_panel(shared_panels.activity("Activity feed", (24, 14)))
    without_loki = build.Row("Activity without Loki")
    without_loki.with_panel(activity_table().grid_pos(model.GridPos(x=0, y=100, w=24, h=12)))
    return found.with_row(without_loki)


def _figure(title: str, description: str, metric: Metric, aggregation: str, unit: str, *, digits: int) -> stat.Panel:
    panel = common.card(
        title,
        f"{description} The arrow is the difference to an hour ago; it appears when there is an hour of history.",
        common.metrics(f"{aggregation}({select(metric)})", "now"),
        common.metrics(trend(metric, aggregation), "{{trend}} against 1 h ago", ref="B", instant=True),
        unit=unit,
        empty=NO_FIGURE,
        sparkline=True,
        names=True,
    )
    panel.decimals(digits).orientation(_HORIZONTAL)
    steps = common.thresholds(((None, common.RED), (0, "text"), (1e-9, common.GREEN)))
    return panel.override_by_query(
        "B",
        [
            common.override("thresholds", steps.build()),
            common.override("color", {"mode": "thresholds"}),
        ],
    )


_HORIZONTAL = shared.VizOrientation.HORIZONTAL


def cards() -> list[stat.Panel]:
    """The four cards of the old page."""
    return [
        _figure(
            "Active Runs", "Runs since midnight by the source's clock, summed over the chosen streams.",
            catalog.RUNS_TODAY, "sum", "short", digits=0,
        ),
        _figure(
            "Success Rate", "Share of successful runs, averaged over the streams; the arrow is in percentage points.",
            catalog.SUCCESS_RATIO, "avg", "percentunit", digits=1,
        ),
        _figure(
            "Active Experts", "Experts at work, summed over the chosen streams.",
            catalog.ACTIVE_EXPERTS, "sum", "short", digits=0,
        ),
        _figure(
            "Total Projects", "Projects that the source knows, summed over the chosen streams.",
            catalog.PROJECTS, "sum", "short", digits=0,
        ),
    ]  # fmt: skip


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
            "name": Column("Project", 140, [common.override("links", [opened])], grows=True),
            "project": Column("Id", 130),
            "stream": Column("Stream", 130),
            "Value #B": Column("Status", 90, tables.word(common.status_mappings(), background=True)),
            "Value #C": Column("Health", 90, [*share, *tables.graded(common.HEALTH)]),
            "Value #D": Column("Success", 95, [*share, *tables.graded(common.SUCCESS)]),
            "Value #E": Column("Experts", 90),
            "Value #F": Column("Runs", 90, tables.number("locale")),
            "Value #G": Column("Latency", 90, tables.number("s")),
            "Value #H": Column("Last run", 130, tables.number("dateTimeFromNow")),
            "Value #I": Column("Anomalies", 105, tables.graded(((None, "text"), (1, common.ORANGE)))),
        },
        sort=("Status", True),
    )


def events() -> timeseries.Panel:
    """Events over time."""
    return common.lines(
        "Events by severity",
        "Events a minute, each id once over all transports and reconnects, by severity.",
        common.metrics(f"60 * sum by (severity) ({rate(catalog.EVENTS)})", "{{severity}}"),
        unit="cpm",
        empty=NO_EVENTS,
        size=(10, 8),
        bars=True,
        colours=common.SEVERITY_COLOURS,
    )


def by_status() -> stat.Panel:
    """How many projects are well."""
    panel = common.card(
        "Projects by status",
        "Projects in each status, as the source's own summary says.",
        common.metrics(f"sum by (status) ({select(catalog.PROJECTS_BY_STATUS)})", "{{status}}", instant=True),
        unit="short",
        empty=NO_FIGURE,
        size=(4, 8),
        names=True,
    )
    panel.orientation(_HORIZONTAL)
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
        sort=("Open", True),
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
        common.rows(f"sum by ({by}) (increase({select(catalog.EVENTS)}[1h])) and {latest}", "B"),
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
        sort=("Last", True),
    )
