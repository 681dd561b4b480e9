"""A dashboard for a mapping: the link of its streams, each of its metrics, and what was left out.

It is made when it is asked for, since mappings are the operator's. Variables are those of the shipped dashboards, so
that a choice of streams is taken along from one to the other.
"""

import copy
import zlib
from collections.abc import Sequence
from typing import Any

from iris_exporter.core import palette
from iris_exporter.core.status import State
from iris_exporter.grafana import files
from iris_exporter.instruments import catalog
from iris_exporter.mapping.spec import LabelSpec, Mapping, MetricKind, MetricSpec

Json = dict[str, Any]

_SOURCE = {"type": "prometheus", "uid": "${prometheus_datasource}"}
_VARIABLES = ("prometheus_datasource", "job", "instance", "stream")
_SCOPE = 'job=~"$job", instance=~"$instance", stream=~"$stream"'
_TOP = 10
_WIDTH = 24
_UNITS = {
    "seconds": "s", "bytes": "bytes", "bytes_per_second": "Bps", "ratio": "percentunit", "celsius": "celsius",
    "meters": "lengthm", "meters_per_second": "velocityms", "radians": "radian", "volts": "volt", "amperes": "amp",
    "watts": "watt", "joules": "joule", "hertz": "hertz", "pascals": "pressurepa", "kelvin": "kelvin",
}  # fmt: skip
_NEVER = {"noValue": "No value in this time"}


def dashboard(mapping: Mapping) -> Json:
    """The dashboard, in the form that Grafana imports.

    Raises:
        UsageError: The installation is incomplete.
    """
    shipped = files.dashboards()["iris-connection"]
    variables = {variable["name"]: variable for variable in shipped["templating"]["list"]}
    chosen = [copy.deepcopy(variables[name]) for name in _VARIABLES]
    exporters = 'job=~"$job", instance=~"$instance"'
    streams = f'label_values({catalog.MAPPING_INFO.name}{{{exporters}, mapping="{mapping.name}"}}, stream)'
    chosen[-1]["query"]["query"] = streams
    panels: list[Json] = []
    _add(panels, "Link", _link_panels())
    for metric in mapping.metrics:
        _add(panels, metric.name, _panels_of(metric))
    _add(panels, "What was left out", _loss_panels())
    return {
        "annotations": {"list": []},
        "description": f"What the mapping {mapping.name} makes of its streams.",
        "editable": False,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "links": [link for link in shipped["links"] if link["type"] == "dashboards"],
        "panels": panels,
        "refresh": shipped["refresh"],
        "schemaVersion": shipped["schemaVersion"],
        "tags": ["iris", "mapping"],
        "templating": {"list": chosen},
        "time": shipped["time"],
        "timezone": shipped["timezone"],
        "title": f"Mapping {mapping.name}",
        "uid": uid(mapping.name),
    }


def uid(name: str) -> str:
    """The uid of a mapping's dashboard: at most 40 characters, as Grafana wants it."""
    return f"mapping-{name}" if len(name) <= 32 else f"mapping-{name[:23]}-{zlib.crc32(name.encode()):08x}"


def _add(panels: list[Json], title: str, row: Sequence[Json]) -> None:
    """Add a row of panels, which share its width."""
    top = max((panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels), default=0)
    heading = {"collapsed": False, "panels": [], "title": title, "type": "row"}
    heading["gridPos"] = {"h": 1, "w": _WIDTH, "x": 0, "y": top}
    heading["id"] = _identity(f"row {title}")
    panels.append(heading)
    width = _WIDTH // len(row)
    for number, panel in enumerate(row):
        panel["gridPos"] = {"h": 8, "w": width, "x": number * width, "y": top + 1}
        panels.append(panel)


def _identity(title: str) -> int:
    """A panel keeps its id as long as it has its title."""
    return zlib.crc32(title.encode()) % 1_000_000 + 1


def _panel(kind: str, title: str, text: str, queries: Sequence[Json], defaults: Json, options: Json) -> Json:
    steps = [{"color": "text", "value": None}]
    return {
        "datasource": _SOURCE,
        "description": text,
        "fieldConfig": {
            "defaults": {"thresholds": {"mode": "absolute", "steps": steps}, **_NEVER, **defaults},
            "overrides": [],
        },
        "id": _identity(title),
        "options": options,
        "targets": [{**query, "refId": chr(ord("A") + number)} for number, query in enumerate(queries)],
        "title": title,
        "type": kind,
    }


def _query(expression: str, legend: str = "", *, instant: bool = False, form: str = "time_series") -> Json:
    return {
        "datasource": _SOURCE,
        "editorMode": "code",
        "expr": expression,
        "format": form,
        "instant": instant,
        "legendFormat": legend,
        "range": not instant,
    }


def _lines(title: str, text: str, queries: Sequence[Json], unit: str = "short", **defaults: Any) -> Json:
    custom = {"drawStyle": "line", "fillOpacity": 0, "lineWidth": 1, "showPoints": "auto", "spanNulls": False}
    options = {
        "legend": {"calcs": ["lastNotNull"], "displayMode": "table", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return _panel("timeseries", title, text, queries, {"custom": custom, "unit": unit, **defaults}, options)


def _table(title: str, text: str, expression: str, unit: str = "short") -> Json:
    panel = _panel(
        "table",
        title,
        text,
        [_query(expression, instant=True, form="table")],
        {"custom": {"align": "auto", "inspect": False}, "unit": unit},
        {"cellHeight": "sm", "showHeader": True},
    )
    panel["transformations"] = [{"id": "organize", "options": {"excludeByName": {"Time": True, "__name__": True}}}]
    return panel


def _timeline(title: str, text: str, query: Json, states: Sequence[str], colours: Sequence[str]) -> Json:
    mappings = {
        str(number): {"color": colour, "index": number, "text": state}
        for number, (state, colour) in enumerate(zip(states, colours, strict=True))
    }
    return _panel(
        "state-timeline",
        title,
        text,
        [query],
        {"custom": {"fillOpacity": 80, "lineWidth": 0}, "mappings": [{"options": mappings, "type": "value"}]},
        {
            "alignValue": "left",
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "mergeValues": True,
            "rowHeight": 0.85,
            "showValue": "auto",
            "tooltip": {"mode": "single", "sort": "none"},
        },
    )


# The link

_STATES = ("disconnected", "connecting", "live", "polling", "error")
_NOTHING = "Nothing of it in this time"


def _growth(name: str, legend: str, by: str = "") -> Json:
    """How quickly a counter grows, where it does."""
    grouped = f"sum by ({by}) " if by else "sum "
    return _query(f"{grouped}(rate({name}{{{_SCOPE}}}[$__rate_interval])) > 0", legend)


def _link_panels() -> list[Json]:
    worst = " or ".join(
        f'{number} * (iris_stream_state{{{_SCOPE}, state="{state}"}} == 1)' for number, state in enumerate(_STATES)
    )
    return [
        _timeline(
            "State",
            "How each stream is connected.",
            _query(f"max by (stream) ({worst})", "{{stream}}"),
            [state.capitalize() for state in _STATES],
            [palette.STATES[State(state)] for state in _STATES],
        ),
        _lines(
            "Messages",
            "Messages a second by kind; other are those that no entry of the mapping takes.",
            [_growth("iris_stream_messages_total", "{{message_type}}", "message_type")],
            "reqps",
        ),
        _table(
            "Guarantee",
            "How often an event is counted over drops and restarts.",
            f"max by (stream, guarantee) (iris_stream_guarantee{{{_SCOPE}}} == 1)",
        ),
        _lines(
            "Resumed, missing, sent again",
            "Answers to a request to go on, events that are lost for good, and those that came again, a second.",
            [
                _growth("iris_stream_resumes_total", "resume: {{outcome}}", "outcome"),
                _growth("iris_stream_event_gaps_total", "missing"),
                _growth("iris_stream_events_duplicate_total", "sent again"),
            ],
            "cps",
            noValue=_NOTHING,
        ),
    ]


def _loss_panels() -> list[Json]:
    problems = _growth("iris_stream_mapping_problems_total", "{{kind}} {{metric}}: {{reason}}", "kind, metric, reason")
    return [
        _lines("Problems", "Samples, ids and times that were left out, a second.", [problems], "cps", noValue=_NOTHING),
        _lines(
            "Lost messages, filtered elements",
            "Messages that could not be read at all, and elements that a condition leaves out, a second.",
            [
                _growth("iris_stream_decode_errors_total", "lost: {{reason}}", "reason"),
                _growth("iris_stream_events_filtered_total", "filtered: {{stream}}", "stream"),
            ],
            "cps",
            noValue=_NOTHING,
        ),
        _lines(
            "Beyond a limit",
            "What limits have left out or put together under other, a second.",
            [_growth("iris_stream_dropped_total", "{{kind}}", "kind")],
            "cps",
            noValue=_NOTHING,
        ),
    ]


# Metrics


def _panels_of(metric: MetricSpec) -> list[Json]:
    name, text, unit = f"{metric.name}{{{_SCOPE}}}", metric.help, _unit(metric)
    labels = [label.name for label in metric.labels]
    series = ", ".join(["stream", *labels])
    legend = " ".join(f"{{{{{label}}}}}" for label in labels) or "{{stream}}"
    match metric.kind:
        case MetricKind.COUNTER:
            narrow = min(metric.labels, key=_width_of).name if labels else "stream"
            rate = f"topk({_TOP}, sum by ({narrow}) (rate({name}[$__rate_interval])))"
            total = f"sort_desc(round(sum by ({series}) (increase({name}[$__range]))) > 0)"
            return [
                _lines(f"{metric.name}, a second", text, [_query(rate, f"{{{{{narrow}}}}}")], "cps"),
                _table(f"{metric.name}, in all", f"{text} In the time that is shown.", total),
            ]
        case MetricKind.HISTOGRAM:
            return _distribution(metric, unit)
        case MetricKind.STATESET:
            which = " or ".join(
                f'{number} * ({metric.name}{{{_SCOPE}, state="{_escaped(state)}"}} == 1)'
                for number, state in enumerate(metric.states)
            )
            query = _query(f"max by ({series}) ({which})", legend)
            shades = [_SHADES[number % len(_SHADES)] for number in range(len(metric.states))]
            return [_timeline(metric.name, text, query, metric.states, shades)]
        case MetricKind.INFO:
            return [_table(metric.name, text, f"max by ({series}) ({name})")]
        case MetricKind.GAUGE:
            query = _query(f"topk({_TOP}, max by ({series}) ({name}))", legend)
            return [_lines(metric.name, text, [query], unit)]


def _distribution(metric: MetricSpec, unit: str) -> list[Json]:
    buckets = f"sum by (le) (rate({metric.name}_bucket{{{_SCOPE}}}[$__rate_interval]))"
    count = f"sum(rate({metric.name}_count{{{_SCOPE}}}[$__rate_interval]))"
    quantiles = [
        _query(f"histogram_quantile({share}, {buckets}) and on () ({count} > 0)", f"p{share * 100:g}")
        for share in (0.5, 0.99)
    ]
    heat = _panel(
        "heatmap",
        f"{metric.name}, distribution",
        metric.help,
        [_query(buckets, "{{le}}", form="heatmap")],
        {"custom": {}},
        {"calculate": False, "legend": {"show": True}, "yAxis": {"unit": unit}},
    )
    return [heat, _lines(f"{metric.name}, quantiles", metric.help, quantiles, unit)]


def _width_of(label: LabelSpec) -> int:
    """How many values a label can have."""
    if label.constant is not None:
        return 1
    return len(label.keep) + 1 if label.keep is not None else label.max_values


def _unit(metric: MetricSpec) -> str:
    """Grafana's name for the base unit that the name ends in; the longest one decides."""
    base = metric.name.removesuffix("_total")
    return next((_UNITS[unit] for unit in sorted(_UNITS, key=len, reverse=True) if base.endswith(f"_{unit}")), "short")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


_SHADES = ("#6765ca", "#3295ab", "#95693b", "#9b80bb", "#6189cd", "#718ea1", "#b66b4e", "#087d7c")
"""Of states whose meaning nobody knows here: told apart, and no green or red."""
