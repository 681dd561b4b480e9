"""IRIS project: one project in depth."""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import stat, statetimeline, timeseries
from grafana_foundation_sdk.builders.common import VizTextDisplayOptions
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as model

from dashboards import base, common, shared_panels
from iris_exporter.grafana.queries import counted, select, status_code
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import Metric

CHOSEN = 'project=~"$project"'
NOT_SENT = "Not sent by the source"
FIGURE = (8, 5)
"""Room for a line for each of the streams, with its name."""
NOT_SENT_OR_MANY = f"Not sent, or by over {shared_panels.TILES} streams"


def board() -> build.Dashboard:
    """The whole dashboard."""
    found = (
        base.dashboard(
            "project",
            "IRIS project",
            "One project of an IRIS installation: health, success, latency, runs, experts, events and anomalies.",
            loki_used=True,
            tempo_used=False,
        )
        .with_variable(_project())
        .with_variable(base.by())
    )
    for panel in figures():
        found.with_panel(panel)
    found.with_panel(
        over_time(
            "Health and success", "Health and share of successful runs; dashed: the success objective.",
            ("health", catalog.PROJECT_HEALTH_RATIO), ("success", catalog.PROJECT_SUCCESS_RATIO),
            unit="percentunit", size=(12, 8), steps=((None, common.ORANGE), common.SUCCESS[-1]),
        ).max(1)
    )  # fmt: skip
    found.with_panel(
        over_time(
            "Latency over time", "Average latency of the project's runs, as the source says.",
            ("latency", catalog.PROJECT_LATENCY), unit="s", size=(12, 8),
        )
    )  # fmt: skip
    found.with_panel(statuses())
    found.with_panel(
        over_time(
            "Runs", "Runs so far, by the source's count.", ("runs", catalog.PROJECT_RUNS), unit="short", size=(8, 7)
        )
    )
    found.with_panel(
        over_time(
            "Experts", "Experts at work for the project.", ("experts", catalog.PROJECT_ACTIVE_EXPERTS), unit="short",
            size=(8, 7),
        )
    )  # fmt: skip
    found.with_panel(
        over_time(
            "Reflexions", "Reflexions made for the project so far.", ("reflexions", catalog.PROJECT_REFLEXIONS),
            unit="short", size=(8, 7),
        )
    )  # fmt: skip
    found.with_panel(events("severity").title("Events by severity"))
    found.with_panel(events("event_type").title("Events by type"))
    found.with_panel(anomalies())
    found.with_panel(shared_panels.activity("Events of the project", (12, 9), f'{shared_panels.PROJECT} =~ "$project"'))
    return found


def _project() -> build.QueryVariable:
    of = '{job=~"$job", instance=~"$instance", stream=~"$stream"}'
    text = f"label_values({catalog.PROJECT_STATUS.name}{of}, project)"
    return (
        build.QueryVariable("project")
        .label("Project")
        .description("Projects that the chosen streams know")
        .datasource(common.PROMETHEUS)
        .query({"query": text, "refId": "variable-project"})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(False)
        .include_all(False)
    )


def _value(metric: Metric, aggregation: str = "max") -> str:
    return f"{aggregation} by (stream) ({select(metric, CHOSEN)})"


def _few(expr: str) -> str:
    return shared_panels.few(expr, catalog.PROJECT_STATUS, CHOSEN)


def figures() -> list[stat.Panel]:
    """The line of big values, one for each stream while there are few."""

    def figure(
        title: str, text: str, metric: Metric, unit: str, steps: tuple[common.Step, ...] = common.PLAIN,
        aggregation: str = "max",
    ) -> stat.Panel:  # fmt: skip
        target = common.metrics(_few(_value(metric, aggregation)), "{{stream}}")
        return common.card(
            title, text, target, unit=unit, empty=NOT_SENT_OR_MANY, size=FIGURE, steps=steps, sparkline=True, names=True
        )

    status = common.card(
        "Status",
        "Status of the project now, in each chosen stream that knows it.",
        common.metrics(_few(f"sum by (stream) ({status_code(CHOSEN)})"), "{{stream}}", instant=True),
        unit="none",
        empty=NOT_SENT_OR_MANY,
        size=FIGURE,
        background=True,
        names=True,
        mappings=common.status_mappings(),
    )
    last_run = common.card(
        "Last run",
        "When the project last ran.",
        common.metrics(_few(f"1000 * {_value(catalog.PROJECT_LAST_RUN)}"), "{{stream}}", instant=True),
        unit="dateTimeFromNow",
        empty=NOT_SENT_OR_MANY,
        size=FIGURE,
        names=True,
    )
    found = [
        status,
        figure("Health", "Its health now.", catalog.PROJECT_HEALTH_RATIO, "percentunit", common.HEALTH).decimals(1),
        figure("Success", "Successful runs.", catalog.PROJECT_SUCCESS_RATIO, "percentunit", common.SUCCESS).decimals(1),
        figure("Latency", "Average latency of the project's runs.", catalog.PROJECT_LATENCY, "s").decimals(2),
        last_run,
        figure(
            "Open anomalies", "Unresolved anomalies of all severities.", catalog.ANOMALIES, "short",
            ((None, common.GREEN), (1, common.ORANGE)), "sum",
        ),
    ]  # fmt: skip
    # A name as small as its value asks for would be too small beside a long one.
    names = VizTextDisplayOptions().title_size(13)
    return [panel.orientation(shared.VizOrientation.HORIZONTAL).text(names) for panel in found]


def over_time(
    title: str, description: str, *named: tuple[str, Metric], unit: str, size: tuple[int, int],
    steps: tuple[common.Step, ...] = ((None, common.GREEN),),
) -> timeseries.Panel:  # fmt: skip
    """Gauges of the project."""
    targets = [
        common.metrics(_value(metric), f"{name} ({{{{stream}}}})", ref="ABC"[index])
        for index, (name, metric) in enumerate(named)
    ]
    return common.lines(title, description, *targets, unit=unit, empty=NOT_SENT, size=size, steps=steps)


def statuses() -> statetimeline.Panel:
    """Status over time."""
    return common.timeline(
        "Status over time",
        "Healthy (green), warning (orange), critical (purple), or a status that is not one of these (grey).",
        common.metrics(_few(f"sum by (stream) ({status_code(CHOSEN)})"), "{{stream}}"),
        unit="none",
        empty=f"No such project in the chosen streams, or in more than {shared_panels.TILES}",
        size=(24, 5),
        mappings=common.status_mappings(),
    )


def events(by: str) -> timeseries.Panel:
    """Events of the project over time."""
    return common.bars(
        "",
        f"Events of the project in each step, each id once, by {by.removeprefix('event_')}.",
        common.metrics(counted(catalog.EVENTS, f"{by}, $by", CHOSEN), f"{{{{{by}}}}} {base.SPLIT}"),
        empty="No event of the project in this time",
        size=(12, 8),
        colours=common.SEVERITY_COLOURS if by == "severity" else None,
    )


def anomalies() -> timeseries.Panel:
    """Open anomalies over time."""
    return common.lines(
        "Open anomalies by severity",
        "Unresolved anomalies over time: the width of a step is how long one was open.",
        common.metrics(
            f"sum by (severity, $by) ({select(catalog.ANOMALIES, CHOSEN)})", f"{{{{severity}}}} {base.SPLIT}"
        ),
        unit="short",
        empty="No such project in the chosen streams",
        size=(12, 9),
        colours=common.SEVERITY_COLOURS,
    ).line_interpolation(shared.LineInterpolation.STEP_AFTER)
