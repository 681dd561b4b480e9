"""The committed dashboards as tests see them: panels, queries, and PromQL taken apart."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import promql_parser

from iris_exporter.config.mappings import read_config
from iris_exporter.grafana import mapped, mapped_panels
from iris_exporter.grafana.queries import FOREIGN, growth
from iris_exporter.instruments.catalog import CATALOG
from iris_exporter.instruments.metric import Label, Metric
from iris_exporter.mapping.spec import Mapping, MetricKind, MetricSpec

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "dashboards/json").glob("*.json"))
PLANT = read_config(ROOT / "tests/data/dashboards/plant.yaml").by_name["plant"]
"""A mapping with metrics of every kind, to hold its dashboard to what the shipped ones are held to."""
BY_SAMPLE: dict[str, Metric] = {sample: metric for metric in (*CATALOG, *FOREIGN) for sample in metric.sample_names}


def know(mapping: Mapping) -> None:
    """Have the metrics of a mapping found in `BY_SAMPLE`."""
    for spec in mapping.metrics:
        state = [Label("state", spec.states)] if spec.kind is MetricKind.STATESET else []
        metric = mapped_panels.metric_of(spec, *state)
        BY_SAMPLE.update(dict.fromkeys(metric.sample_names, metric))


def with_metrics(mapping: Mapping, metrics: tuple[MetricSpec, ...]) -> Mapping:
    """The mapping with one entry, and these metrics alone."""
    part = replace(mapping.entries[0].parts[0], metrics=metrics)
    return replace(mapping, entries=(replace(mapping.entries[0], parts=(part,)),))


know(PLANT)
TARGET_LABELS = {"job", "instance"}
"""Labels that Prometheus gives to every series."""

PLAIN_VALUES = {
    "__rate_interval": "1m",
    "__interval": "30s",
    "__range": "3h",
    "poll_interval": "30",
    "resolution": "5s",
    "by": "stream",
    "job": ".+",
    "instance": ".+",
    "stream": ".+",
    "project": ".+",
}
"""Values that Grafana could put in for variables."""


CHOICES = {f'~"${name}"' for name in ("job", "instance", "stream")}
"""What a selector has by itself."""


@dataclass(frozen=True)
class Query:
    """One query: where it is, what it asks, and the text that names its series."""

    board: str
    panel: str
    ref: str
    expr: str
    legend: str = ""
    exemplars: bool = False
    instant: bool = False

    @property
    def where(self) -> str:
        """As in `iris-overview / Projects / B`."""
        return f"{self.board} / {self.panel} / {self.ref}"

    def plain(self, **values: str) -> str:
        """The query with its variables put in."""
        return plain(self.expr, **values)


def plain(expr: str, **values: str) -> str:
    """A query without variables; an unknown one is a KeyError."""
    known = {**PLAIN_VALUES, **values}
    # `$1` is a group of a label_replace, which Grafana leaves alone.
    return re.sub(r"\$\{?([a-z_]\w*)\}?", lambda match: known[match[1]], expr)


def load() -> dict[str, dict[str, Any]]:
    """The shipped dashboards by file name."""
    return {path.stem: json.loads(path.read_text()) for path in FILES}


def every() -> dict[str, dict[str, Any]]:
    """The shipped dashboards, and one of a mapping."""
    return {**load(), "mapping-plant": mapped.dashboard(PLANT)}


def panels(board: dict[str, Any], *, with_rows: bool = False) -> Iterator[dict[str, Any]]:
    """The panels of a dashboard, those in collapsed rows too."""
    for panel in board["panels"]:
        if panel["type"] != "row" or with_rows:
            yield panel
        yield from panel.get("panels", ())


def queries(found_on: dict[str, dict[str, Any]] | None = None) -> list[Query]:
    """Every PromQL query of these dashboards, those shipped unless told: of panels, annotations and variables."""
    found = []
    for name, board in (found_on or load()).items():
        for panel in panels(board):
            found += [_query(name, panel["title"], target) for target in _of_prometheus(panel)]
        for annotation in board["annotations"]["list"]:
            text = f"{annotation['titleFormat']} {annotation['textFormat']}"
            found.append(Query(name, "annotation", annotation["name"], annotation["expr"], text))
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                selector = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
                assert selector, variable["query"]
                found.append(Query(name, "variable", variable["name"], selector[1], f"{{{{{selector[2]}}}}}"))
    return found


def _of_prometheus(panel: dict[str, Any]) -> list[dict[str, Any]]:
    return [target for target in panel["targets"] if target["datasource"]["type"] == "prometheus"]


def _query(board: str, panel: str, target: dict[str, Any]) -> Query:
    legend, exemplars = target.get("legendFormat", ""), target.get("exemplar", False)
    return Query(board, panel, target["refId"], target["expr"], legend, exemplars, target.get("instant", False))


@dataclass(frozen=True)
class Node:
    """A part of a query, with the parts around it, outermost first."""

    expr: Any
    parents: tuple[Any, ...]


def walk(expr: Any, parents: tuple[Any, ...] = ()) -> Iterator[Node]:
    """The parts of a parsed query, from the outside in."""
    yield Node(expr, parents)
    inner = (*parents, expr)
    for attribute in ("lhs", "rhs", "expr", "param", "vector_selector"):
        child = getattr(expr, attribute, None)
        if child is not None and not isinstance(child, str | float):
            yield from walk(child, inner)
    for argument in getattr(expr, "args", None) or ():
        yield from walk(argument, inner)


def selectors(text: str) -> Iterator[Node]:
    """The selectors of a query."""
    for node in walk(promql_parser.parse(text)):
        if isinstance(node.expr, promql_parser.VectorSelector):
            yield node


def grouping_labels(text: str) -> set[str]:
    """Labels that a query groups or joins by."""
    found: set[str] = set()
    for node in walk(promql_parser.parse(text)):
        modifier = getattr(node.expr, "modifier", None)
        for part in (modifier, getattr(modifier, "matching", None)):
            found |= set(getattr(part, "labels", None) or ())
    return found


@dataclass(frozen=True)
class Growth:
    """A counter whose growth a query adds up, and the matchers of its labels."""

    metric: Metric
    matchers: tuple[str, ...]
    over: str


def growths(expr: str) -> tuple[list[Growth], str]:
    """What `queries.growth` has written in a query, and the query with a number in each of these places."""
    found = []
    start = re.compile(r"last_over_time\((\w+)\{([^}]*)\}\[([^\]]+)\]\) - \(last_over_time")
    while match := start.search(expr):
        metric = BY_SAMPLE[match[1]]
        matchers = tuple(text for text in match[2].split(", ") if text.partition("=")[2] not in CHOICES)
        text = growth(metric, *matchers, over=match[3])
        if not expr.startswith(text, match.start()):
            raise ValueError(f"something else than growth: {expr}")
        found.append(Growth(metric, matchers, match[3]))
        expr = f"{expr[: match.start()]}vector(1){expr[match.start() + len(text) :]}"
    return found, expr


def result_labels(expr: Any) -> set[str]:
    """Labels that can tell the series of a parsed query's result apart; of a number, none."""
    match expr:
        case promql_parser.VectorSelector():
            fixed = {each.name for each in expr.matchers.matchers if str(each.op).endswith(".Equal")}
            return {*TARGET_LABELS, *BY_SAMPLE[expr.name].label_names} - fixed
        case promql_parser.MatrixSelector():
            return result_labels(expr.vector_selector)
        case promql_parser.AggregateExpr():
            made = {expr.param.val} if str(expr.op) == "count_values" else set()
            return made | (set(expr.modifier.labels) if expr.modifier else set())
        case promql_parser.BinaryExpr():
            return _result_of_two(expr)
        case promql_parser.Call():
            inner: set[str] = set().union(*(result_labels(argument) for argument in expr.args), set())
            if expr.func.name == "histogram_quantile":
                return inner - {"le"}
            return inner | ({expr.args[1].val} if expr.func.name == "label_replace" else set())
        case promql_parser.ParenExpr() | promql_parser.SubqueryExpr() | promql_parser.UnaryExpr():
            return result_labels(expr.expr)
    return set()


def _result_of_two(expr: Any) -> set[str]:
    left, right, on = result_labels(expr.lhs), result_labels(expr.rhs), expr.modifier
    if str(expr.op) == "or":
        return left | right
    if str(expr.op) in ("and", "unless"):
        return left
    if on is not None and on.matching is not None:
        many = (promql_parser.VectorMatchCardinality.ManyToOne, promql_parser.VectorMatchCardinality.OneToMany)
        sides = [side for side, card in zip((left, right), many, strict=True) if on.card == card]
        return (sides[0] if sides else set(on.matching.labels)) | set(on.group_labels or ())
    return left | right
