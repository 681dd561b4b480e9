"""House defaults: data sources, colours, value mappings, and one function for each kind of panel.

Every panel has a title, a description, a unit, thresholds and a sentence for when there is no data, because the
functions ask for them. Positions follow from the order and the width; a line is 24 columns wide.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import heatmap, logs, loki, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models import prometheus as query

from alerts.thresholds import SUCCESS_OBJECTIVE
from iris_exporter.core import palette
from iris_exporter.core.status import State
from iris_exporter.grafana.queries import FINEST, STATE_CODES, STATUS_CODES
from iris_exporter.grafana.units import LEAST_TOP
from iris_exporter.model.snapshot import DataFlow

PROMETHEUS, LOKI, TEMPO = (
    shared.DataSourceRef(type_val=name, uid=f"${{{name}_datasource}}") for name in ("prometheus", "loki", "tempo")
)
SERVICE_NAME = "iris-exporter"
"""`service.name` of our logs and spans, unless OTEL_SERVICE_NAME says otherwise."""

GREEN, ORANGE, RED, GREY = palette.GOOD, palette.WARNING, palette.ERROR, palette.OFF
BLUE, PURPLE = palette.INFO, palette.CRITICAL
STATE_COLOURS, SEVERITY_COLOURS, STATUS_COLOURS = palette.STATES, palette.SEVERITIES, palette.STATUSES
REASON_COLOURS = palette.REASONS
FLOW_COLOURS: dict[DataFlow, str] = {flow: palette.FLOWS[flow] for flow in DataFlow}

Mapping_ = model.ValueMap | model.RangeMap | model.RegexMap | model.SpecialValueMap
Step = tuple[float | None, str]


class _Dressable(Protocol):
    """What all panel builders have."""

    def title(self, title: str, /) -> Self: ...
    def description(self, description: str, /) -> Self: ...
    def datasource(self, datasource: shared.DataSourceRef, /) -> Self: ...
    def unit(self, unit: str, /) -> Self: ...
    def no_value(self, no_value: str, /) -> Self: ...
    def thresholds(self, thresholds: Builder[model.ThresholdsConfig], /) -> Self: ...
    def span(self, w: int, /) -> Self: ...
    def height(self, h: int, /) -> Self: ...


P = TypeVar("P", bound=_Dressable)


def thresholds(steps: Sequence[Step]) -> build.ThresholdsConfig:
    """Colours from a value on; the first step has no value and is the base."""
    return (
        build.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=colour) for value, colour in steps])
    )


def dress(
    panel: P, title: str, description: str, *, unit: str, empty: str, size: tuple[int, int], steps: Sequence[Step]
) -> P:
    """A panel with what every one has; `empty` is its sentence for no data, `size` columns and lines of the grid."""
    width, height = size
    return (
        panel.title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .no_value(empty)
        .thresholds(thresholds(steps))
        .span(width)
        .height(height)
    )


PLAIN: tuple[Step, ...] = ((None, "text"),)
"""No judgement: the colour of text."""
HEALTH: tuple[Step, ...] = ((None, RED), (0.6, ORANGE), (0.8, GREEN))
"""Where a project's status usually changes; its own word for it is in the status."""
SUCCESS: tuple[Step, ...] = ((None, RED), (round(2 * SUCCESS_OBJECTIVE - 1, 3), ORANGE), (SUCCESS_OBJECTIVE, GREEN))
"""The objective of the alerts: orange spends its budget of failures up to twice as fast as it lasts, red faster."""


def values(texts: Mapping[str, tuple[str, str]]) -> model.ValueMap:
    """Value to text and colour."""
    return model.ValueMap(
        options={
            value: model.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(texts.items())
        }
    )


def state_mappings() -> list[Mapping_]:
    """Every state, and `connecting` with its number of failed attempts, which is shown through the unit."""
    texts = {str(code): (state.value.capitalize(), STATE_COLOURS[state]) for state, code in STATE_CODES.items()}
    attempts = model.RangeMap(
        options=model.DashboardRangeMapOptions(
            from_val=1,
            to=None,
            result=model.ValueMappingResult(color=STATE_COLOURS[State.CONNECTING], index=len(texts)),
        )
    )
    return [values(texts), attempts]


ATTEMPT_UNIT = "prefix:Connecting, attempt "
"""Shows a positive state code; all others are mapped to words."""


def status_mappings() -> list[Mapping_]:
    """Every status of a project."""
    return [values({str(code): (name.capitalize(), STATUS_COLOURS[name]) for name, code in STATUS_CODES.items()})]


def metrics(
    expr: str, legend: str = "", *, ref: str = "A", instant: bool = False, exemplars: bool = False,
    form: query.PromQueryFormat = query.PromQueryFormat.TIME_SERIES,
) -> prometheus.Dataquery:  # fmt: skip
    """A PromQL query."""
    target = prometheus.Dataquery().datasource(PROMETHEUS).expr(expr).ref_id(ref).format(form)
    target.editor_mode(query.QueryEditorMode.CODE)
    if legend:
        target.legend_format(legend)
    if exemplars:
        target.exemplar(True)
    return target.instant() if instant else target.range()


def rows(expr: str, ref: str) -> prometheus.Dataquery:
    """A PromQL query whose series are rows of a table."""
    return metrics(expr, ref=ref, instant=True, form=query.PromQueryFormat.TABLE)


def log_lines(expr: str) -> loki.Dataquery:
    """A LogQL query for the newest 50 lines."""
    return loki.Dataquery().datasource(LOKI).expr(expr).ref_id("A").max_lines(50).query_type("range")


def card(
    title: str, description: str, *targets: prometheus.Dataquery, unit: str, empty: str, size: tuple[int, int] = (4, 5),
    steps: Sequence[Step] = PLAIN, sparkline: bool = False, background: bool = False, names: bool = False,
    mappings: Sequence[Mapping_] = (),
) -> stat.Panel:  # fmt: skip
    """One or a few big values."""
    panel = dress(stat.Panel(), title, description, unit=unit, empty=empty, size=size, steps=steps)
    for target in targets:
        panel.with_target(target)
    panel.graph_mode(shared.BigValueGraphMode.AREA if sparkline else shared.BigValueGraphMode.NONE)
    panel.color_mode(shared.BigValueColorMode.BACKGROUND if background else shared.BigValueColorMode.VALUE)
    panel.text_mode(shared.BigValueTextMode.VALUE_AND_NAME if names else shared.BigValueTextMode.VALUE)
    panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
    if mappings:
        panel.mappings(list(mappings))
    return panel


def lines(
    title: str, description: str, *targets: prometheus.Dataquery, unit: str, empty: str,
    size: tuple[int, int] = (12, 8), steps: Sequence[Step] = ((None, GREEN),), colours: Mapping[str, str] | None = None,
    stacked: bool = False,
) -> timeseries.Panel:  # fmt: skip
    """Values over time. A second step of `steps` is drawn as a line; the scale begins at 0 and has a least end.

    Args:
        colours: The first word of a series' name, or the first behind a colon, and its colour.
    """
    panel = _graph(title, description, *targets, unit=unit, empty=empty, size=size, steps=steps, colours=colours)
    panel.legend(_legend("lastNotNull", "max"))
    panel.draw_style(shared.GraphDrawStyle.LINE).fill_opacity(40 if stacked else 10)
    if stacked:
        panel.stacking(StackingConfig().mode(shared.StackingMode.NORMAL).group("A"))
    if len(steps) > 1:
        line = shared.GraphThresholdsStyleConfig(mode=shared.GraphThresholdsStyleMode.DASHED)
        panel.thresholds_style(Ready(line))
    return panel


BARS, BAR_PIXELS = 100, 8
"""At most so many in a panel: wide enough to be seen, and to be pointed at; and at most so wide."""


def bars(
    title: str, description: str, *targets: prometheus.Dataquery, empty: str, size: tuple[int, int] = (8, 8),
    colours: Mapping[str, str] | None = None, stacked: bool = True,
) -> timeseries.Panel:  # fmt: skip
    """How many in each step of time: what `queries.counted` counts. The legend ranks totals over the whole time."""
    panel = _graph(
        title, description, *targets, unit="locale", empty=empty, size=size, steps=((None, GREEN),), colours=colours
    )
    panel.legend(_legend("sum").sort_by("Total").sort_desc(True))
    panel.draw_style(shared.GraphDrawStyle.BARS).fill_opacity(80).decimals(0).max_data_points(BARS).interval(FINEST)
    # As wide as the time between two bars otherwise, which is long where most counted nothing.
    panel.bar_max_width(BAR_PIXELS)
    mode = shared.StackingMode.NORMAL if stacked else shared.StackingMode.NONE
    return panel.stacking(StackingConfig().mode(mode).group("A"))


def _legend(*calculations: str) -> VizLegendOptions:
    legend = VizLegendOptions().placement(shared.LegendPlacement.BOTTOM).show_legend(True)
    return legend.display_mode(shared.LegendDisplayMode.TABLE).calcs(list(calculations))


_IN_NO_LEGEND = {"viz": False, "legend": True, "tooltip": True}


def _graph(
    title: str, description: str, *targets: prometheus.Dataquery, unit: str, empty: str, size: tuple[int, int],
    steps: Sequence[Step], colours: Mapping[str, str] | None,
) -> timeseries.Panel:  # fmt: skip
    """What lines and bars have in common."""
    panel = dress(timeseries.Panel(), title, description, unit=unit, empty=empty, size=size, steps=steps)
    for target in targets:
        panel.with_target(target)
    panel.tooltip(VizTooltipOptions().mode(shared.TooltipDisplayMode.MULTI).sort(shared.SortOrder.DESCENDING))
    panel.line_width(1).show_points(shared.VisibilityMode.NEVER).span_nulls(False)
    panel.min(0).axis_soft_max(LEAST_TOP[unit])
    for name, colour in (colours or {}).items():
        panel.override_by_regexp(f"/(^|: ){re.escape(name)}( |$)/", [fixed(colour)])
    # A series of zeros is drawn, and takes no line of the legend.
    zeros = model.MatcherConfig(id_val="byValue", options={"op": "gte", "reducer": "allIsZero", "value": 0})
    return panel.with_override(zeros, [override("custom.hideFrom", _IN_NO_LEGEND)])


def timeline(
    title: str, description: str, target: prometheus.Dataquery, *, unit: str, empty: str, size: tuple[int, int],
    mappings: Sequence[Mapping_],
) -> statetimeline.Panel:  # fmt: skip
    """States over time."""
    panel = dress(statetimeline.Panel(), title, description, unit=unit, empty=empty, size=size, steps=PLAIN)
    panel.with_target(target).mappings(list(mappings))
    panel.merge_values(True).show_value(shared.VisibilityMode.AUTO).row_height(0.85).fill_opacity(80).line_width(0)
    panel.legend(
        VizLegendOptions()
        .display_mode(shared.LegendDisplayMode.LIST)
        .placement(shared.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs([])
    )
    return panel.tooltip(VizTooltipOptions().mode(shared.TooltipDisplayMode.SINGLE).sort(shared.SortOrder.NONE))


def heat(
    title: str,
    description: str,
    target: prometheus.Dataquery,
    *,
    unit: str,
    empty: str,
    size: tuple[int, int] = (12, 8),
) -> heatmap.Panel:
    """The buckets of a histogram over time; `unit` is that of the buckets."""
    panel = dress(heatmap.Panel(), title, description, unit="reqps", empty=empty, size=size, steps=PLAIN)
    panel.with_target(target).calculate(False)
    panel.color(
        heatmap.HeatmapColorOptions()
        .mode(heatmap_model.HeatmapColorMode.SCHEME)
        .scheme("Spectral")
        .steps(64)
        .exponent(0.5)
        .fill("dark-orange")
    )
    panel.y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(shared.AxisPlacement.LEFT))
    panel.exemplars_color("rgba(255,0,255,0.7)")
    panel.tooltip(
        heatmap.HeatmapTooltip().mode(shared.TooltipDisplayMode.SINGLE).y_histogram(True).show_color_scale(True)
    )
    return panel.cell_gap(1).filter_values(heatmap.FilterValueRange().le(1e-9))


def feed(title: str, description: str, expr: str, *, empty: str, size: tuple[int, int]) -> logs.Panel:
    """The newest log lines of Loki."""
    panel = dress(logs.Panel(), title, description, unit="string", empty=empty, size=size, steps=PLAIN)
    panel.datasource(LOKI).with_target(log_lines(expr))
    panel.show_time(True).wrap_log_message(True).enable_log_details(True).show_labels(False).show_common_labels(False)
    return panel.sort_order(shared.LogsSortOrder.DESCENDING).dedup_strategy(shared.LogsDedupStrategy.NONE)


M = TypeVar("M")


class Ready(Builder[M]):
    """Something already built, for builders that ask for a builder."""

    def __init__(self, built: M) -> None:
        self._built = built

    def build(self) -> M:
        """It is built already."""
        return self._built


def override(identifier: str, value: Any) -> model.DynamicConfigValue:
    """One setting of an override."""
    return model.DynamicConfigValue(id_val=identifier, value=value)


def fixed(colour: str) -> model.DynamicConfigValue:
    """A fixed colour."""
    return override("color", {"mode": "fixed", "fixedColor": colour})


def colour_fields(panel: Any, colours: Iterable[tuple[str, str]]) -> Any:
    """Fixed colours for series by name."""
    for name, colour in colours:
        panel.override_by_name(name, [fixed(colour)])
    return panel
