"""What every number of every dashboard promises: it is right, it has a name, and there is none where nothing is."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import promql_parser
import pytest

from dashboards.common import BAR_PIXELS, BARS, LEAST_TOP
from iris_exporter.core import palette
from iris_exporter.grafana.queries import FINEST
from tests.contract import boards
from tests.contract.boards import Query
from tests.examples import every

BOARDS = boards.every()
QUERIES = boards.queries(BOARDS)
PANELS = [(name, panel) for name, board in BOARDS.items() for panel in boards.panels(board)]
OF_PROMETHEUS = [(name, panel) for name, panel in PANELS if panel["datasource"]["type"] == "prometheus"]
QUERIES_A_LOAD = 40


def named(row: tuple[str, dict[str, Any]]) -> str:
    return f"{row[0]} / {row[1]['title']}"


each_query = every(QUERIES, lambda query: query.where)


def each_panel(
    kind: str, panels: list[tuple[str, dict[str, Any]]] = PANELS
) -> Callable[[Callable[..., None]], Callable[[], None]]:
    return every([(name, panel) for name, panel in panels if panel["type"] == kind], named)


def drawn_as_bars(panel: dict[str, Any]) -> bool:
    return panel["type"] == "timeseries" and panel["fieldConfig"]["defaults"]["custom"]["drawStyle"] == "bars"


def of_panel(name: str, panel: dict[str, Any]) -> list[Query]:
    return [query for query in QUERIES if (query.board, query.panel) == (name, panel["title"])]


def nodes(query: Query) -> Iterator[boards.Node]:
    return boards.walk(promql_parser.parse(query.plain()))


# Bars.

SUMS = ("plant_paid_total", "plant_sent_bytes_total")
"""Counters that add up what messages say, which need not be whole numbers."""
MOST_COUNTED = re.compile(r" and on \((\w+)\) topk\(10, sum by \(\1\) \(rate\(\w+{[^}]*}\[\$__range\] @ end\(\)\)\)\)$")
WITH_BARS = [(name, panel) for name, panel in PANELS if drawn_as_bars(panel)]


def test_bars_are_on_every_dashboard_with_a_past() -> None:
    assert {name for name, _ in WITH_BARS} == set(BOARDS) - {"iris-live"}


@every(WITH_BARS, named)
def test_bars_show_what_was_counted_and_nothing_else(name: str, panel: dict[str, Any]) -> None:
    """Whole numbers, few enough to be seen; nothing where nothing was counted, so that the panel's sentence appears."""
    for query in of_panel(name, panel):
        growths, rest = boards.growths(query.expr)
        assert growths
        assert {growth.over for growth in growths} == {"$__interval"}
        # A graph of a mapping's counter leaves whole series out, and none of the bars of a series.
        rest = MOST_COUNTED.sub("", rest)
        assert rest.count("> 0") == rest.count("vector(1)") == len(growths)
        assert not list(boards.selectors(boards.plain(rest)))
    if panel["title"] not in SUMS:
        assert panel["fieldConfig"]["defaults"]["decimals"] == 0
    assert panel["maxDataPoints"] == BARS
    assert panel["interval"] == FINEST
    assert panel["fieldConfig"]["defaults"]["custom"]["barMaxWidth"] == BAR_PIXELS
    assert "sum" in panel["options"]["legend"]["calcs"]


# As `roundInterval` of @grafana/data: below this many seconds, that step.
STEPS = (
    (7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300), (750, 600), (1050, 900),
    (1500, 1200), (2700, 1800), (5400, 3600), (9000, 7200), (16200, 10800), (32400, 21600), (86400, 43200),
    (604800, 86400), (1814400, 604800),
)  # fmt: skip


def stepped(seconds: float) -> int:
    """What Grafana makes of a length, not below that of `FINEST`."""
    return next(step for limit, step in STEPS if seconds < limit)


@pytest.mark.parametrize("name", sorted({name for name, _ in WITH_BARS}))
def test_a_bar_is_looked_at_a_whole_number_of_times(name: str) -> None:
    """Otherwise a restart near the end of a bar would be found in the next one, whatever time is shown."""
    (variable,) = (each for each in BOARDS[name]["templating"]["list"] if each["name"] == "resolution")
    assert (variable["auto"], variable["auto_min"], variable["hide"]) == (True, FINEST, 2)
    shown = 60.0
    while shown < 400 * 86400:
        assert stepped(shown / BARS) % stepped(shown / variable["auto_count"]) == 0, shown
        shown *= 1.01


@each_query
def test_no_query_estimates_how_much_a_counter_grew(query: Query) -> None:
    """`increase` and `delta` reach beyond their window to make up for its ends."""
    assert not re.search(r"\b(increase|delta|idelta|irate)\(", query.expr)


@each_panel("timeseries", OF_PROMETHEUS)
def test_a_window_is_not_drawn_as_bars(name: str, panel: dict[str, Any]) -> None:
    """A rate over several scrapes is a line: as bars, each scrape would be in several of them."""
    if not drawn_as_bars(panel):
        assert all(not boards.growths(query.expr)[0] for query in of_panel(name, panel))


# Names.


@each_panel("stat")
def test_a_number_says_what_it_is_of(name: str, panel: dict[str, Any]) -> None:
    """One number alone has the title of its panel; each of several has its name beside it."""
    queries = of_panel(name, panel)
    alone = [boards.result_labels(promql_parser.parse(query.plain())) for query in queries] == [set()]
    if not alone:
        assert panel["options"]["textMode"] in ("value_and_name", "name")
        assert all("{{" in query.legend for query in queries)


@each_query
def test_a_series_is_named_by_all_that_tells_it_from_the_others(query: Query) -> None:
    """A stream of two exporters is two series; one that is not split by them is added up or the worst of them."""
    if query.legend and query.panel not in ("annotation", "variable"):
        apart = boards.result_labels(promql_parser.parse(query.plain(by="by"))) - {"job", "by"}
        split = {"stream", "instance"} if "$by" in query.expr else set()
        assert set(re.findall(r"{{(\w+)}}", query.legend)) == apart | split


# Ages.


@each_query
def test_an_age_is_taken_at_the_scrape(query: Query) -> None:
    """With `time()` an age would grow by the scrape interval between two scrapes, and a threshold with it."""
    assert "time()" not in query.expr
    for moment in re.finditer(r"timestamp\((\w+\{[^}]*\})\)", query.expr):
        around = query.expr[: moment.start()] + "@" + query.expr[moment.end() :]
        assert f"@ - {moment[1]}" in around or f"{moment[1]} - @" in around


# Nothing instead of NaN and zeros.


@each_query
def test_a_quantile_is_of_something(query: Query) -> None:
    """Of nothing it is NaN: there is a count beside it, by the same labels, that must be more than 0."""
    window = r"\{[^}]*\}\[\$__rate_interval\]\)\)"
    buckets = rf"sum by \(le(?:, )?(?P<by>[^)]*)\) \(rate\((?P<metric>\w+)_bucket{window}"
    counts = rf"sum(?: by \((?P=by)\) )?\(rate\((?P=metric)_count{window}"
    guarded = rf"histogram_quantile\([\d.]+, {buckets}\) and on \((?P=by)\) {counts} > 0"
    assert len(re.findall(guarded, query.expr)) == query.expr.count("histogram_quantile")


@each_query
def test_nothing_is_divided_by_zero(query: Query) -> None:
    for node in nodes(query):
        if isinstance(node.expr, promql_parser.BinaryExpr) and str(node.expr.op) == "/":
            assert never_zero(node.expr.rhs), node.expr.prettify()


def never_zero(divisor: Any) -> bool:
    """A number, a limit of the system, a count, or a comparison that leaves out 0."""
    if isinstance(divisor, promql_parser.ParenExpr):
        return never_zero(divisor.expr)
    if isinstance(divisor, promql_parser.NumberLiteral):
        return bool(divisor.val)
    if isinstance(divisor, promql_parser.AggregateExpr):
        return str(divisor.op) == "count"
    if isinstance(divisor, promql_parser.BinaryExpr):
        return str(divisor.op) == ">" and divisor.rhs.prettify() == "0"
    return False


@each_panel("timeseries", OF_PROMETHEUS)
def test_a_graph_of_zeros_has_no_legend_and_no_scale_to_a_hundred(name: str, panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    (hidden,) = (each for each in panel["fieldConfig"]["overrides"] if each["matcher"]["id"] == "byValue")
    assert hidden["matcher"]["options"] == {"op": "gte", "reducer": "allIsZero", "value": 0}
    assert hidden["properties"] == [{"id": "custom.hideFrom", "value": {"viz": False, "legend": True, "tooltip": True}}]
    legend = panel["options"]["legend"]
    assert (legend["displayMode"], legend["showLegend"]) == ("table", True)
    assert legend["calcs"]
    if panel["title"].startswith("plant_") and not drawn_as_bars(panel) and not panel["title"].endswith(", age"):
        # Of a mapping's gauge nobody knows whether 0 is small for it.
        assert "min" not in defaults
        assert "axisSoftMax" not in defaults["custom"]
        return
    assert defaults["min"] == 0
    assert defaults["custom"]["axisSoftMax"] == LEAST_TOP[defaults["unit"]] < 100 or defaults["unit"] in (
        "bytes",
        "Bps",
    )


@every(PANELS, named)
def test_the_sentence_for_no_data_says_why(name: str, panel: dict[str, Any]) -> None:
    sentence = panel["fieldConfig"]["defaults"]["noValue"]
    assert re.fullmatch(r"[A-Z].* .*[\w?)]", sentence)
    assert sentence != "No data"


# What a reader can choose.


@each_panel("timeseries", [(name, panel) for name, panel in PANELS if name == "iris-connection"])
def test_a_graph_of_the_link_can_be_split_by_stream_and_exporter(name: str, panel: dict[str, Any]) -> None:
    """A heatmap cannot: the buckets of several streams would lie over each other."""
    for query in of_panel(name, panel):
        assert re.search(r"by \((\w+, )*\$by\)", query.expr)
        assert query.legend.endswith("{{stream}} {{instance}}")


REASONED = [
    (name, panel) for name, panel in WITH_BARS if name == "iris-connection" and "{{reason}}" in str(panel["targets"])
]


@every(REASONED, named)
def test_a_reason_has_its_colour_in_bars_whatever_stands_beside_it(name: str, panel: dict[str, Any]) -> None:
    told = {
        each["matcher"]["options"]: each["properties"][0]["value"]["fixedColor"]
        for each in panel["fieldConfig"]["overrides"]
        if each["matcher"]["id"] == "byRegexp"
    }
    for reason, colour in palette.REASONS.items():
        for series in (f"{reason}  ", f"{reason} stream instance", f"unread: {reason} stream "):
            found = [each for pattern, each in told.items() if re.search(pattern.strip("/"), series)]
            assert found == [colour], series


def test_there_are_bars_by_reason() -> None:
    assert len(REASONED) == 4


# How much a dashboard asks.


@pytest.mark.parametrize("name", BOARDS)
def test_a_load_is_at_most_forty_queries(name: str) -> None:
    """Panels of rows that are open, annotations that are on, and variables."""
    board = BOARDS[name]
    targets = sum(len(panel["targets"]) for panel in board["panels"] if panel["type"] != "row")
    annotations = sum(each["enable"] for each in board.get("annotations", {}).get("list", ()))
    variables = sum(each["type"] == "query" for each in board["templating"]["list"])
    assert targets + annotations + variables <= QUERIES_A_LOAD
