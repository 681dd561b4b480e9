"""What all dashboards have in common around their panels: variables, annotations and links."""

import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as model

from alerts.model import Severity
from dashboards.common import BLUE, PROMETHEUS, SEVERITY_COLOURS, STATE_COLOURS
from iris_exporter.core.status import State
from iris_exporter.grafana.queries import FINEST, START_TIME, equals, firing, select
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import Metric

UIDS = {name: f"iris-{name}" for name in ("overview", "project", "connection", "exporter", "live")}
TAG = "iris"
_IN_MENU = model.VariableHide.IN_CONTROLS_MENU
"""In the menu of controls, from Grafana 12.3 on; older ones show it beside the others."""
SPLIT = "{{stream}} {{instance}}"
"""What the variable `by` adds to the name of a series."""
_VARIABLES = ("prometheus_datasource", "job", "instance", "stream")
VARIABLES_IN_LINKS = "&".join(f"${{{name}:queryparam}}" for name in _VARIABLES)
VARIABLES_WITHOUT_STREAM = "&".join(f"${{{name}:queryparam}}" for name in _VARIABLES if name != "stream")


def link(title: str, url: str, *, new_tab: bool = False) -> dict[str, Any]:
    """A data link."""
    return {"title": title, "url": url, "targetBlank": new_tab}


def data_links(panel: Any, *links: dict[str, Any]) -> Any:
    """Give the values of a panel these links."""
    return panel.data_links(
        [build.DashboardLink(found["title"]).url(found["url"]).target_blank(found["targetBlank"]) for found in links]
    )


def sidecar_link() -> dict[str, Any]:
    """To the stream on the page of its own sidecar, where it can be switched and retried."""
    return link(
        "Open ${__field.labels.stream} on its exporter (connect, disconnect, reset)",
        "${scheme}://${__field.labels.instance}/#stream-${__field.labels.stream:percentencode}",
        new_tab=True,
    )


def dashboard_link(name: str, title: str, more: str = "") -> dict[str, Any]:
    """To another of the dashboards, with the same choice of source, streams and time."""
    return link(title, f"/d/{UIDS[name]}?{VARIABLES_IN_LINKS}{more}&${{__url_time_range}}")


def explore_url(datasource: shared.DataSourceRef, target: dict[str, Any]) -> str:
    """Address of Explore with a query; `left` is understood by every version since 7."""
    pane = {
        "datasource": datasource.uid,
        "queries": [{"refId": "A", "datasource": {"type": datasource.type_val, "uid": datasource.uid}, **target}],
        "range": {"from": "${__from}", "to": "${__to}"},
    }
    text = quote(json.dumps(pane, ensure_ascii=False), safe="")
    # Variables are put in by Grafana, which knows them only in plain text.
    return "/explore?left=" + re.sub(r"%24%7B([\w.]+)(?:%3A(\w+))?%7D", _variable, text)


def _variable(match: re.Match[str]) -> str:
    return f"${{{match[1]}:{match[2]}}}" if match[2] else f"${{{match[1]}}}"


def _choice(
    name: str, metric: Metric, description: str, *, of: str, all_value: str | None = None
) -> build.QueryVariable:
    """A variable; without `all_value` "All" is each of its values, so that what others export is not chosen as well.

    There is an `up` of each target of Prometheus, and a `process_...` of many; only series of ours have a stream.
    """
    choice = (
        build.QueryVariable(name)
        .label(name.capitalize())
        .description(description)
        .datasource(PROMETHEUS)
        .query({"query": f"label_values({metric.name}{of}, {name})", "refId": f"variable-{name}"})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )
    return choice.all_value(all_value) if all_value else choice


def _source(kind: str, description: str) -> build.DatasourceVariable:
    name = f"{kind}_datasource"
    return build.DatasourceVariable(name).label(f"{kind.capitalize()} data source").type(kind).description(description)


def dashboard(name: str, title: str, description: str, *, loki_used: bool, tempo_used: bool) -> build.Dashboard:
    """An empty dashboard with all that they have in common."""
    others = build.DashboardLink("Dashboards").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    others.icon("external link").as_dropdown(True).include_vars(True).keep_time(True)
    others.tooltip("The other dashboards, with the same choice")
    board = (
        build.Dashboard(title)
        .uid(UIDS[name])
        .description(description)
        .tags([TAG, name])
        .readonly()
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time("now-3h", "now")
        .refresh("30s")
        .link(others)
        .with_variable(_source("prometheus", "Where the exporter's metrics are").hide(_IN_MENU))
    )
    if loki_used:
        source = _source("loki", "Where its log records are; leave it alone without Loki")
        board.with_variable(source.hide(_IN_MENU))
    if tempo_used:
        source = _source("tempo", "Where its traces are; leave it alone without Tempo")
        board.with_variable(source.hide(_IN_MENU))
    # The choice of exporters is as good; `var-job=` in the address chooses a job.
    job = _choice("job", catalog.BUILD_INFO, "Scrape job of the exporters", of="")
    board.with_variable(job.hide(model.VariableHide.HIDE_VARIABLE))
    board.with_variable(_choice("instance", catalog.BUILD_INFO, "Exporters, by address", of='{job=~"$job"}'))
    of = '{job=~"$job", instance=~"$instance"}'
    board.with_variable(
        _choice("stream", catalog.STREAM_STATE, "Streams, by their configured names", of=of, all_value=".+")
    )
    board.with_variable(_resolution())
    for annotation in annotations():
        board.annotation(annotation)
    return board


def closed_rows(board: build.Dashboard, *rows: tuple[str, Sequence[Builder[model.Panel]]]) -> build.Dashboard:
    """Add rows that are closed at first, and ask nothing until somebody opens them; `main.document` places them."""
    for title, panels in rows:
        row = build.Row(title)
        for panel in panels:
            row.with_panel(panel)
        board.with_row(row)
    return board


def _resolution() -> build.IntervalVariable:
    """How often `queries.growth` looks for resets: 5 s up to half a day, at most some 8,600 times in a longer one."""
    return (
        build.IntervalVariable("resolution")
        .label("Resolution")
        .description("How exactly restarts of counters are found; follows from the range of time")
        .values("5s,15s,30s,1m,5m")
        .auto(True)
        .step_count(6000)
        .min_interval(FINEST)
        .current(model.VariableOption(selected=True, text="auto", value="$__auto_interval_resolution"))
        .hide(model.VariableHide.HIDE_VARIABLE)
    )


def scheme() -> build.CustomVariable:
    """How a browser reaches the exporters."""
    return (
        build.CustomVariable("scheme")
        .label("Scheme")
        .description("How your browser reaches the exporters' own pages, which streams link to")
        .values("http,https")
        .current(model.VariableOption(selected=True, text="http", value="http"))
        .hide(_IN_MENU)
    )


def by() -> build.CustomVariable:
    """What graphs keep apart beside what they are about."""
    # No series has a label `all`: to group by it is to group by nothing.
    choices = ("Nothing : all", "Stream : stream", "Exporter : instance", "Both : stream\\, instance")
    return (
        build.CustomVariable("by")
        .label("Split by")
        .description("What the graphs keep apart beside reasons, types and protocols")
        .values(",".join(choices))
        .current(model.VariableOption(selected=True, text="Nothing", value="all"))
    )


def annotations() -> list[build.AnnotationQuery]:
    """What the old page showed as a notice, restarts of exporters, and firing alerts."""
    notices = (
        ("Connected", State.LIVE, "Live"),
        ("Offline", State.POLLING, "Offline, polling"),
        ("Error", State.ERROR, "Error"),
        ("Connecting", State.CONNECTING, "Connecting"),
        ("Disconnected", State.DISCONNECTED, "Disconnected by hand"),
    )
    found = [
        _notice(
            name,
            STATE_COLOURS[state],
            entered(state),
            f"{{{{stream}}}}: {text}",
            "{{instance}}",
            shown=state not in (State.CONNECTING, State.DISCONNECTED),
        )
        for name, state, text in notices
    ]
    restarts = f"changes({select(START_TIME)}[$__rate_interval]) > 0"
    restarted = _notice("Exporter restarts", BLUE, restarts, "Exporter restarted", "{{instance}}", shown=True)
    found.append(restarted)
    return [*found, *(_alerts(severity) for severity in Severity)]


def _alerts(severity: Severity) -> build.AnnotationQuery:
    """From the time at which an alert begins to fire until it ends, in the colour of its severity."""
    return _notice(
        f"{severity.capitalize()} alerts",
        SEVERITY_COLOURS[severity],
        firing(equals("severity", severity)),
        "{{alertname}}",
        "{{stream}} {{project}} {{instance}}",
        shown=severity is not Severity.INFO,
    )


def entered(state: State) -> str:
    """The streams that are in a state now and were not a moment before."""
    held = f"max_over_time({select(catalog.STREAM_STATE, equals('state', state))}[$__interval]"
    return f"{held}) == 1 unless {held} offset $__interval) == 1"


def _notice(name: str, colour: str, expr: str, title: str, text: str, *, shown: bool) -> build.AnnotationQuery:
    """An annotation; one that is not shown at first has a switch, and the others need none: there are too many."""
    return (
        build.AnnotationQuery()
        .name(name)
        .datasource(PROMETHEUS)
        .enable(shown)
        .icon_color(colour)
        .expr(expr)
        .title_format(title)
        .text_format(text)
        .tag_keys("stream,instance")
        .step("30s")
        .use_value_for_time(False)
        .hide(shown)
        .placement("inControlsMenu")
    )
