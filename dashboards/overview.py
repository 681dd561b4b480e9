"""IRIS overview: what the old page showed, and its past."""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.models import common as shared

from dashboards import base, common, shared_panels
from dashboards.queries import rate, select, status_code, trend
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import Metric

NO_FIGURE = "Not sent by the source"
NO_EVENTS = "No event in this time"


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
    found.with_panel(shared_panels.activity("Activity feed", (14, 12)))
    found.with_panel(activity_table())
    return found


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
    panel = common.grid(
        "Projects",
        "One row for each project of the chosen streams, as last streamed or polled. A click on a name opens the "
        "project; a click on a heading sorts.",
        *(common.rows(expr, ref) for ref, expr in queries.items()),
        empty="No project: nothing was heard from the source yet, or what was heard is too old",
        size=(24, 9),
        columns={
            "name": "Project",
            "project": "Id",
            "stream": "Stream",
            "Value #B": "Status",
            "Value #C": "Health",
            "Value #D": "Success",
            "Value #E": "Experts",
            "Value #F": "Runs",
            "Value #G": "Latency",
            "Value #H": "Last run",
            "Value #I": "Anomalies",
        },
        sort=("Status", True),
    )
    opened = base.dashboard_link("project", "Open the project", "&var-project=${__data.fields.Id:percentencode}")
    coloured = {"type": "color-background", "mode": "basic"}
    text = {"type": "color-text"}
    panel.override_by_name("Project", [common.override("links", [opened]), common.override("custom.minWidth", 140)])
    panel.override_by_name(
        "Status",
        [
            common.override("mappings", common.status_mappings()),
            common.override("custom.cellOptions", coloured),
            common.override("custom.width", 90),
        ],
    )
    for heading, shares in (("Health", common.HEALTH), ("Success", common.SUCCESS)):
        panel.override_by_name(
            heading,
            [
                common.override("unit", "percentunit"),
                common.override("decimals", 1),
                common.override("thresholds", common.thresholds(shares).build()),
                common.override("color", {"mode": "thresholds"}),
                common.override("custom.cellOptions", text),
                common.override("custom.width", 90),
            ],
        )
    panel.override_by_name("Latency", [common.override("unit", "s"), common.override("custom.width", 90)])
    panel.override_by_name(
        "Last run", [common.override("unit", "dateTimeFromNow"), common.override("custom.width", 150)]
    )
    open_ones = common.thresholds(((None, "text"), (1, common.ORANGE))).build()
    panel.override_by_name(
        "Anomalies",
        [
            common.override("thresholds", open_ones),
            common.override("color", {"mode": "thresholds"}),
            common.override("custom.cellOptions", text),
            common.override("custom.width", 90),
        ],
    )
    for heading in ("Experts", "Runs"):
        panel.override_by_name(heading, [common.override("custom.width", 80)])
    return panel


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
    panel = common.grid(
        "Open anomalies",
        "Unresolved anomalies by project and severity. How long they have been open is on the project's dashboard.",
        common.rows(f"sum by (stream, project, severity) ({select(catalog.ANOMALIES)}) > 0", "A"),
        empty="No open anomaly",
        size=(10, 8),
        columns={"project": "Project", "severity": "Severity", "stream": "Stream", "Value": "Open"},
        sort=("Open", True),
    )
    opened = base.dashboard_link("project", "Open the project", "&var-project=${__value.raw:percentencode}")
    panel.override_by_name("Project", [common.override("links", [opened])])
    severities = {name: (name.capitalize(), colour) for name, colour in common.SEVERITY_COLOURS.items()}
    panel.override_by_name(
        "Severity",
        [
            common.override("mappings", [common.values(severities)]),
            common.override("custom.cellOptions", {"type": "color-text"}),
        ],
    )
    return panel.override_by_name("Open", [common.override("custom.width", 80)])


def activity_table() -> table.Panel:
    """The activity feed for those without Loki: what Prometheus can know of it."""
    last = f"timestamp(changes({select(catalog.EVENTS)}[2m]) > 0)"
    by = "stream, project, event_type, severity"
    panel = common.grid(
        "Latest activity (without Loki)",
        "The 50 latest kinds of event within the last hour: when one was last counted (to the minute) and how many "
        "there were. Prometheus keeps numbers, not messages: the messages are in the feed beside, or at "
        "/api/v1/streams/NAME/events of the exporter.",
        common.rows(f"1000 * topk(50, max by ({by}) (max_over_time({last}[1h:1m])))", "A"),
        common.rows(f"sum by ({by}) (increase({select(catalog.EVENTS)}[1h])) > 0", "B"),
        empty=NO_EVENTS,
        size=(10, 12),
        columns={
            "Value #A": "Last",
            "severity": "Severity",
            "project": "Project",
            "event_type": "Type",
            "Value #B": "In 1 h",
            "stream": "Stream",
        },
        sort=("Last", True),
    )
    panel.override_by_name(
        "Last", [common.override("unit", "dateTimeFromNow"), common.override("custom.minWidth", 110)]
    )
    panel.override_by_name("In 1 h", [common.override("decimals", 0), common.override("custom.width", 70)])
    severities = {name: (name.capitalize(), colour) for name, colour in common.SEVERITY_COLOURS.items()}
    return panel.override_by_name(
        "Severity",
        [
            common.override("mappings", [common.values(severities)]),
            common.override("custom.cellOptions", {"type": "color-text"}),
            common.override("custom.width", 90),
        ],
    )
