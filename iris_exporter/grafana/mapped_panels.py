"""Panels of a mapping's metrics, by their kinds, each with the settings of a panel of the connection dashboard."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from iris_exporter.grafana.panel_ids import panel_id
from iris_exporter.grafana.queries import age, code, counted, growth, median_and_p99, rate, select, total
from iris_exporter.grafana.units import LEAST_TOP, unit_of
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import STREAM, Kind, Label, Metric
from iris_exporter.mapping.spec import LabelSpec, MetricKind, MetricSpec

Json = dict[str, Any]

WIDTH = 24
"""Of a line, in columns."""
_LONG_TITLE = 60
"""A title with more letters has no room in half of a line at 1280 pixels."""
_SERIES = 10
"""How many series a graph shows."""
_TIMELINES = 8
"""How many state sets a panel shows: as many as its height has room for."""
_ROWS = 50
"""How many rows a table shows."""
_SPLIT = "{{stream}} {{instance}}"
_SHADES = ("#6765ca", "#3295ab", "#95693b", "#9b80bb", "#6189cd", "#718ea1", "#b66b4e", "#087d7c")
"""Of states whose meaning nobody knows here: told apart, and no green or red."""


def panel_of(board: Json, title: str) -> Json:
    """A copy of the panel with this title."""
    every = (panel for row in board["panels"] for panel in (row, *row.get("panels", ())))
    return copy.deepcopy(next(panel for panel in every if panel["title"] == title and panel["type"] != "row"))


class Kinds:
    """Makes them."""

    def __init__(self, connection: Json) -> None:
        self._connection = connection

    def panels(self, metric: MetricSpec) -> Iterator[Json]:
        """The panels of a metric; each asks one query."""
        match metric.kind:
            case MetricKind.COUNTER:
                yield self._counts(metric)
            case MetricKind.GAUGE:
                yield self._values(metric)
            case MetricKind.HISTOGRAM:
                yield from self._distribution(metric)
            case MetricKind.STATESET:
                yield self._states(metric)
            case MetricKind.INFO:
                series = ", ".join(_labels(metric))
                query = f"topk({_ROWS}, max by ({series}) ({select(metric_of(metric))}))"
                yield self._table(metric.name, _sentence(metric.help), query, _labels(metric))

    def most_frequent(self, metric: MetricSpec) -> Json:
        """A table of a counter by all of its labels."""
        series = ", ".join(_labels(metric))
        query = f"topk({_ROWS}, {total(growth(metric_of(metric), over='$__range'), series)} > 0)"
        text = f"{_sentence(metric.help)} The {_ROWS} label sets that were counted most in the whole time shown."
        panel = self._table(f"{metric.name}, most frequent", text, query, _labels(metric), value="Total")
        decimals = {"decimals": 0} if _is_whole(metric) else {}
        panel["fieldConfig"]["defaults"] |= {"unit": unit_of(metric.name, "locale"), **decimals}
        return panel

    def _like(
        self, pattern: str, title: str, text: str, query: str, legend: str, empty: str, *, wide: bool = False
    ) -> Json:
        panel = panel_of(self._connection, pattern)
        target = {**panel["targets"][0], "expr": query, "legendFormat": legend}
        target.pop("exemplar", None)
        defaults = {**panel["fieldConfig"]["defaults"], "noValue": empty}
        return {
            **panel,
            "description": text,
            "fieldConfig": {**panel["fieldConfig"], "defaults": defaults},
            "gridPos": {"w": WIDTH if wide or len(title) > _LONG_TITLE else WIDTH // 2},
            "id": panel_id(title),
            "targets": [target],
            "title": title,
        }

    def _counts(self, metric: MetricSpec) -> Json:
        counter = metric_of(metric)
        text, legend = _sentence(metric.help), _SPLIT
        if metric.labels:
            narrow = min(metric.labels, key=_width_of).name
            query = counted(counter, f"{narrow}, $by")
            legend = f"{{{{{narrow}}}}} {_SPLIT}"
            if _width_of(next(label for label in metric.labels if label.name == narrow)) > _SERIES:
                grown = f"sum by ({narrow}) (rate({select(counter)}[$__range] @ end()))"
                query = f"{query} and on ({narrow}) topk({_SERIES}, {grown})"
                text = f"{text} The {_SERIES} values of {narrow} that were counted most."
        else:
            query = counted(counter, "stream, $by")
        panel = self._like("Elements left out", metric.name, text, query, legend, "Nothing was counted in this time")
        defaults = panel["fieldConfig"]["defaults"]
        defaults["custom"]["stacking"]["mode"] = "normal"
        if not _is_whole(metric):
            del defaults["decimals"]
        return _with_unit(panel, unit_of(metric.name, "locale"))

    def _values(self, metric: MetricSpec) -> Json:
        gauge, series = metric_of(metric), ", ".join(_labels(metric))
        last = f"last_over_time({select(gauge)}[$__range] @ end())"
        title, text, unit = metric.name, _sentence(metric.help), unit_of(metric.name)
        query = f"max by ({series}) ({select(gauge)}) and topk({_SERIES}, max by ({series}) ({last}))"
        which = "largest at the end"
        is_time = metric.name.endswith("_timestamp_seconds")
        if is_time:
            title = f"{metric.name}, age"
            query = f"max by ({series}) ({age(gauge)}) and bottomk({_SERIES}, min by ({series}) ({last}))"
            which = "oldest at the end"
            text = f"{text} How long ago that was at each scrape."
        text = f"{text} At most {_SERIES} series, the {which} of the time shown."
        panel = self._lines(title, text, query, _legend(_labels(metric)), unit, wide=_is_wide(metric))
        if is_time:
            panel["fieldConfig"]["defaults"]["min"] = 0
            return _with_unit(panel, unit)
        return panel

    def _lines(self, title: str, text: str, query: str, legend: str, unit: str, *, wide: bool = False) -> Json:
        panel = self._like("Extensions in use", title, text, query, legend, "No value in this time", wide=wide)
        # A price of 60,000 and one of 0.00006 have scales of their own, and a temperature may be below 0.
        del panel["fieldConfig"]["defaults"]["min"], panel["fieldConfig"]["defaults"]["custom"]["axisSoftMax"]
        panel["fieldConfig"]["defaults"]["unit"] = unit
        return panel

    def _distribution(self, metric: MetricSpec) -> Iterator[Json]:
        histogram, unit = metric_of(metric), unit_of(metric.name)
        buckets = f"sum by (le) ({rate(histogram, sample='_bucket')})"
        text = f"{_sentence(metric.help)} Values a second in each range, of all chosen streams."
        title, empty = f"{metric.name}, distribution", "No value in this time"
        heat = self._like("Message delay, distribution", title, text, buckets, "{{le}}", empty)
        heat["options"] = {**heat["options"], "yAxis": {**heat["options"]["yAxis"], "unit": unit}}
        yield heat
        shares = median_and_p99(histogram, "$by")
        yield self._lines(
            f"{metric.name}, quantiles", f"{_sentence(metric.help)} Median, and what 99 of 100 are below.", shares,
            f"{{{{series}}}} {_SPLIT}", unit,
        )  # fmt: skip

    def _states(self, metric: MetricSpec) -> Json:
        states = metric_of(metric, Label("state"))
        labels = ["job", "instance", *_labels(metric)]
        by = ", ".join(labels)
        codes = {state: number for number, state in enumerate(metric.states, 1)}
        changed = f"topk({_TIMELINES}, sum by ({by}) (changes({select(states)}[$__range] @ end())))"
        series = ", ".join(_labels(metric))
        # Two exporters of one stream say the same.
        query = f"max by ({series}) ({code(states, codes.items(), by)} and on ({by}) {changed})"
        text = f"{_sentence(metric.help)} At most {_TIMELINES}, those that changed most in the time shown."
        legend = _legend(_labels(metric))
        panel = self._like("State of each stream", metric.name, text, query, legend, "No state in this time", wide=True)
        options = {
            str(number): {"color": _SHADES[(number - 1) % len(_SHADES)], "index": number, "text": state}
            for state, number in codes.items()
        }
        options["0"] = {"color": "text", "index": 0, "text": "None of them"}
        defaults = panel["fieldConfig"]["defaults"]
        defaults |= {"mappings": [{"options": options, "type": "value"}], "unit": "short"}
        del defaults["links"]
        return panel

    def _table(self, title: str, text: str, query: str, labels: Sequence[str], value: str = "") -> Json:
        """A table of label sets; `value` heads the column of their value, which is left out without it."""
        panel = self._like("Top reasons", title, text, query, "", "Nothing in this time", wide=True)
        panel["targets"][0] |= {"format": "table", "instant": True, "range": False}
        del panel["targets"][0]["legendFormat"], panel["interval"], panel["maxDataPoints"]
        shown = {**({"Value": value} if value else {}), **{name: name for name in labels}}
        organize = {
            "excludeByName": {},
            "indexByName": {name: index for index, name in enumerate(shown)},
            "renameByName": shown,
        }
        panel["transformations"] = [
            {"id": "filterFieldsByName", "options": {"include": {"pattern": f"^({'|'.join(shown)})$"}}},
            {"id": "organize", "options": organize},
        ]
        empty = {"matcher": {"id": "byRegexp", "options": "/.*/"}, "properties": [{"id": "noValue", "value": "-"}]}
        panel["fieldConfig"]["overrides"] = [empty, *_columns(list(shown.values()))]
        panel["options"]["sortBy"] = [{"desc": bool(value), "displayName": value or labels[0]}]
        return panel


_TABLE_PIXELS = 1190
"""What a table across the page has for its columns in a window of 1280."""


def _columns(headings: Sequence[str]) -> Iterator[Json]:
    """Settings of columns that share a line; the last one takes what a wider window leaves."""
    needed = {heading: 45 + 8 * len(heading) for heading in headings}
    spare = max(0, (_TABLE_PIXELS - sum(needed.values())) // len(needed))
    for heading, width in needed.items():
        setting = "custom.minWidth" if heading == headings[-1] else "custom.width"
        properties = [
            {"id": setting, "value": width + spare},
            # Words of any length take several lines: the first up to Grafana 11, the second from 12 on.
            {"id": "custom.cellOptions", "value": {"type": "auto", "wrapText": True}},
            {"id": "custom.wrapText", "value": True},
        ]
        yield {"matcher": {"id": "byName", "options": heading}, "properties": properties}


def _sentence(text: str) -> str:
    """A help that somebody has written, so that sentences can follow."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def metric_of(spec: MetricSpec, *more: Label) -> Metric:
    """A metric of the mapping as queries know it."""
    labels = (STREAM, *(Label(label.name) for label in spec.labels), *more)
    return Metric(spec.name, Kind(spec.kind.value), spec.help, catalog.MAPPINGS, "mapping", labels)


def _labels(metric: MetricSpec) -> list[str]:
    return ["stream", *(label.name for label in metric.labels)]


def _legend(labels: Sequence[str]) -> str:
    """The mapping's own labels first, then the stream, as on the other dashboards."""
    return " ".join(f"{{{{{name}}}}}" for name in sorted(labels, key="stream".__eq__))


def _with_unit(panel: Json, unit: str) -> Json:
    defaults = panel["fieldConfig"]["defaults"]
    defaults["unit"] = unit
    defaults["custom"]["axisSoftMax"] = LEAST_TOP.get(unit, 1)
    return panel


def _is_wide(metric: MetricSpec) -> bool:
    """Whether the legend needs all of a line: a value of any length stands beside the stream."""
    return any(label.keep is None and label.constant is None for label in metric.labels)


def _is_whole(metric: MetricSpec) -> bool:
    """Whether a counter has whole numbers: it counts, and adds nothing up."""
    return metric.value is None or metric.value.constant == 1 or metric.value.length


def has_table(metric: MetricSpec) -> bool:
    """Whether a metric has more to say by all of its labels than its graph shows."""
    return metric.kind is MetricKind.COUNTER and len(metric.labels) > 1


def _width_of(label: LabelSpec) -> int:
    """How many values a label can have."""
    if label.constant is not None:
        return 1
    return len(label.keep) + 1 if label.keep is not None else label.max_values
