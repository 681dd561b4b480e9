"""What every dashboard promises: queries that can be answered, panels that can be read, fixed names."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import promql_parser
import pytest
import yaml
from prometheus_client import ProcessCollector

from dashboards import main
from dashboards.common import STATUS_COLOURS
from dashboards.shared_panels import STATES_TITLE
from iris_exporter.core import palette
from iris_exporter.core.status import State
from iris_exporter.grafana.panel_ids import panel_id
from iris_exporter.grafana.queries import FOREIGN, STATE_CODES, STATUS_CODES, select
from iris_exporter.instruments import catalog, signals
from iris_exporter.instruments.metric import Kind
from iris_exporter.model.snapshot import DataFlow
from tests.contract import boards
from tests.contract.boards import BY_SAMPLE, TARGET_LABELS, Query
from tests.examples import every
from tests.tools import tool

BOARDS = boards.every()
QUERIES = boards.queries(BOARDS)
PANELS = [(name, panel) for name, board in BOARDS.items() for panel in boards.panels(board)]
MADE_BY_QUERIES = {"le", "series", "trend", "figure", "known", "streams", "live", "polled", "runbook"}
"""Labels that a query makes, or that every histogram has."""
ENTITIES = {"timeseries", "stat", "table", "state-timeline", "heatmap", "logs"}


each_query = every(QUERIES, lambda query: query.where)
each_panel = every(PANELS, lambda row: f"{row[0]} / {row[1]['title']}")
each_board = pytest.mark.parametrize("name", BOARDS)
# The live one asks Grafana Live: there is no choice of job and stream, no annotation, no refresh.
each_board_on_prometheus = pytest.mark.parametrize("name", [name for name in BOARDS if name != "iris-live"])


def test_the_five_dashboards_are_there_and_have_fixed_uids() -> None:
    assert list(boards.load()) == ["iris-connection", "iris-exporter", "iris-live", "iris-overview", "iris-project"]
    assert [board["uid"] for board in BOARDS.values()] == list(BOARDS)
    assert len({board["title"] for board in BOARDS.values()}) == 6


@each_query
def test_a_query_parses(query: Query) -> None:
    promql_parser.parse(query.plain())


@each_query
def test_a_query_names_only_metrics_and_labels_that_exist(query: Query) -> None:
    known = set(TARGET_LABELS | MADE_BY_QUERIES)
    for node in boards.selectors(query.plain()):
        metric = BY_SAMPLE[node.expr.name]
        labels = {matcher.name for matcher in node.expr.matchers.matchers}
        assert labels <= {*metric.label_names, *TARGET_LABELS}
        known |= set(metric.label_names)
    assert boards.grouping_labels(query.plain()) <= known
    assert set(re.findall(r"{{(\w+)}}", query.legend)) <= known


ON_NO_DASHBOARD = {
    "iris_reflexions": "the page that these dashboards replace had no card for it; of a project it is on iris-project",
}


def test_every_metric_is_on_a_dashboard() -> None:
    asked = {node.expr.name for query in QUERIES for node in boards.selectors(query.plain())}
    missing = {metric.name for metric in catalog.CATALOG if asked.isdisjoint(metric.sample_names)}
    assert missing == set(ON_NO_DASHBOARD)


@each_query
def test_a_query_matches_only_values_that_a_label_can_have(query: Query) -> None:
    for node in boards.selectors(query.plain()):
        for matcher in node.expr.matchers.matchers:
            for label in BY_SAMPLE[node.expr.name].labels:
                if label.name == matcher.name and label.values and str(matcher.op).endswith("Equal"):
                    assert matcher.value in label.values


@each_query
def test_a_query_chooses_job_instance_and_stream(query: Query) -> None:
    if query.panel == "variable":
        return
    for node in boards.selectors(query.plain(job="J", instance="I", stream="S")):
        chosen = {(matcher.name, matcher.value) for matcher in node.expr.matchers.matchers}
        if node.expr.name.endswith("ALERTS"):
            # Those of no stream, of no exporter or of no job in particular, too.
            assert {("job", "J|"), ("instance", "I|"), ("stream", "S|")} <= chosen
            continue
        assert {("job", "J"), ("instance", "I")} <= chosen
        if "stream" in BY_SAMPLE[node.expr.name].label_names:
            assert ("stream", "S") in chosen


LIFETIME = {"iris-connection / Bytes by protocol, and by polling / A"}
"""A document's average size over the life of the exporter: while nothing is polled there is no other."""


def of_polls(selector: promql_parser.VectorSelector) -> bool:
    """Whether it chooses polls, or bytes of polls alone."""
    chosen = {(matcher.name, matcher.value) for matcher in selector.matchers.matchers}
    return selector.name == "iris_stream_polls_total" or ("protocol", "poll") in chosen


@each_query
def test_a_counter_is_only_read_through_its_growth(query: Query) -> None:
    _, rest = boards.growths(query.expr)
    for node in boards.selectors(boards.plain(rest)):
        if BY_SAMPLE[node.expr.name].kind is not Kind.COUNTER:
            continue
        if query.where in LIFETIME and of_polls(node.expr):
            continue
        call = node.parents[-2]
        assert isinstance(call, promql_parser.Call)
        assert call.func.name in ("rate", "changes")


@each_query
def test_a_rate_is_taken_over_what_grafana_says(query: Query) -> None:
    # What a graph of a mapping's counter shows is chosen by the whole time.
    expr = re.sub(r"rate\(\w+\{[^}]*\}\[\$__range\] @ end\(\)\)", "", query.expr)
    for window in re.findall(r"rate\([^\[]*\[([^\]]+)\]", expr):
        assert window == "$__rate_interval"


@each_panel
def test_a_panel_explains_itself(name: str, panel: dict[str, Any]) -> None:
    assert panel["type"] in ENTITIES
    assert re.fullmatch(r"([A-Z]|plant_).*[\w)]", panel["title"])
    assert re.fullmatch(r"[A-Z].*[.]", panel["description"], re.DOTALL)
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"]
    assert defaults["noValue"]
    assert defaults["thresholds"]["steps"][0]["value"] is None
    assert panel["targets"]
    assert re.fullmatch(r"\$\{(prometheus|loki|tempo)_datasource\}|-- Grafana --", panel["datasource"]["uid"])
    assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@each_panel
def test_titles_are_unique_on_a_dashboard(name: str, panel: dict[str, Any]) -> None:
    assert [other["title"] for other in boards.panels(BOARDS[name])].count(panel["title"]) == 1


@each_board
def test_panels_do_not_overlap_and_fill_their_lines(name: str) -> None:
    board = BOARDS[name]
    taken: dict[tuple[int, int], str] = {}
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"]) for y in _rows(place)):
            assert cell not in taken, f"{panel['title']} lies over {taken[cell]}"
            taken[cell] = panel["title"]
    height = 1 + max(y for _, y in taken)
    assert len(taken) == 24 * height, "a line has a hole"


def _rows(place: dict[str, int]) -> range:
    return range(place["y"], place["y"] + place["h"])


@each_board
def test_panel_ids_are_unique(name: str) -> None:
    ids = [panel["id"] for panel in boards.panels(BOARDS[name], with_rows=True)]
    assert len(set(ids)) == len(ids)


@each_board
def test_a_panel_keeps_its_id_when_others_come_and_go(name: str) -> None:
    """It follows from the title: links and alerts refer to it."""
    for panel in boards.panels(BOARDS[name], with_rows=True):
        assert panel["id"] == panel_id(panel["title"], row=panel["type"] == "row")


@each_board
def test_a_dashboard_cannot_be_edited_by_accident_and_leads_to_the_others(name: str) -> None:
    board = BOARDS[name]
    assert board["editable"] is False
    assert board["tags"][0] == "iris"
    first = board["links"][0]
    assert (first["type"], first["tags"]) == ("dashboards", ["iris"])
    assert first["keepTime"]
    assert first["includeVars"]
    assert ("refresh" in board) is (name != "iris-live"), "a subscription would begin anew"
    assert board["description"]


@each_board_on_prometheus
def test_variables_are_those_that_users_of_grafana_expect(name: str) -> None:
    variables = {variable["name"]: variable for variable in BOARDS[name]["templating"]["list"]}
    assert {"prometheus_datasource", "job", "instance", "stream"} <= set(variables)
    for kind in ("prometheus", "loki", "tempo"):
        used = f"${{{kind}_datasource}}" in json.dumps(BOARDS[name])
        assert (f"{kind}_datasource" in variables) is used
        if used:
            variable = variables[f"{kind}_datasource"]
            assert (variable["type"], variable["query"]) == ("datasource", kind)
            assert variable["label"] == f"{kind.capitalize()} data source"
    for choice in ("job", "instance", "stream"):
        variable = variables[choice]
        assert variable["datasource"]["uid"] == "${prometheus_datasource}"
        assert variable["label"] == choice.capitalize()
        assert (variable["multi"], variable["includeAll"]) == (True, True)
        # `up{job=~".+"}` would be of everything that Prometheus scrapes.
        # All streams of a mapping are not all streams.
        assert variable.get("allValue") == (".+" if choice == "stream" and name != "mapping-plant" else None)
        assert variable["refresh"] == 2
    text = json.dumps(BOARDS[name])
    for variable in variables:
        assert re.search(rf"\$\{{?{variable}\b", text), f"{variable} is not used"
    assert ("project" in variables) is (name == "iris-project")


@each_board_on_prometheus
def test_annotations_show_every_state_and_restarts(name: str) -> None:
    annotations = BOARDS[name]["annotations"]["list"]
    shown = " ".join(annotation["expr"] for annotation in annotations)
    assert set(re.findall(r'\bstate="(\w+)"', shown)) == {state.value for state in State}
    assert {annotation["name"] for annotation in annotations} >= {"Connected", "Offline", "Error", "Exporter restarts"}


def _mapped(panel: dict[str, Any]) -> set[str]:
    return {value for mapping in panel["fieldConfig"]["defaults"]["mappings"] for value in mapping["options"]}


def _one(board: str, title: str) -> dict[str, Any]:
    (found,) = (panel for panel in boards.panels(BOARDS[board]) if panel["title"] == title)
    return found


@pytest.mark.parametrize(
    ("board", "title"),
    [("iris-overview", STATES_TITLE), ("iris-connection", STATES_TITLE)],
)
def test_every_state_has_a_word_and_a_colour(board: str, title: str) -> None:
    panel = _one(board, title)
    assert set(STATE_CODES) == set(State)
    assert len(set(STATE_CODES.values())) == len(State)
    texts = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    for state, code in STATE_CODES.items():
        assert texts[str(code)]["text"] == state.value.capitalize()
        assert f'{code} * iris_stream_state{{job=~"$job"' in panel["targets"][0]["expr"]
    colours = {texts[str(code)]["text"]: texts[str(code)]["color"] for code in STATE_CODES.values()}
    assert colours == {state.value.capitalize(): palette.STATES[state] for state in State}
    attempts = panel["fieldConfig"]["defaults"]["mappings"][1]
    assert (attempts["type"], attempts["options"]["from"], attempts["options"]["to"]) == ("range", 1, None)
    assert attempts["options"]["result"]["color"] == palette.STATES[State.CONNECTING]
    assert "text" not in attempts["options"]["result"], "the number of the attempt would be hidden"
    assert all(code <= 0 for code in STATE_CODES.values()), "a code would be taken for an attempt"


def test_every_status_of_a_project_has_a_word_and_a_colour() -> None:
    assert set(STATUS_CODES) == set(catalog.STATUSES) == set(STATUS_COLOURS)
    codes = {str(code) for code in STATUS_CODES.values()}
    assert _mapped(_one("iris-project", "Status")) == codes
    assert _mapped(_one("iris-project", "Status over time")) == codes
    overrides = _one("iris-overview", "Projects")["fieldConfig"]["overrides"]
    (status,) = (found["properties"] for found in overrides if found["matcher"]["options"] == "Status")
    (mappings,) = (found["value"] for found in status if found["id"] == "mappings")
    assert set(mappings[0]["options"]) == codes


def test_every_kind_of_data_flow_has_a_word_and_a_colour() -> None:
    panel = _one("iris-connection", "Streams")
    (told,) = (each for each in panel["fieldConfig"]["overrides"] if each["matcher"]["options"] == "Data")
    (mappings,) = (each["value"] for each in told["properties"] if each["id"] == "mappings")
    texts = mappings[0]["options"]
    assert {found["text"].lower() for found in texts.values()} == {flow.value for flow in DataFlow}
    (target,) = (target for target in panel["targets"] if f"* {catalog.DATA_FLOW.name}" in target["expr"])
    for flow in DataFlow:
        assert f'flow="{flow.value}"' in target["expr"]


@pytest.mark.parametrize("board", ["iris-overview", "iris-connection"])
def test_a_state_leads_to_the_stream_on_its_exporter(board: str) -> None:
    panel = _one(board, STATES_TITLE)
    links = panel["fieldConfig"]["defaults"]["links"]
    assert links[0]["url"].startswith("${scheme}://${__field.labels.instance}/#stream-${__field.labels.stream")
    # Both labels are on the series, or the link would lead nowhere.
    assert "sum by (job, instance, stream)" in panel["targets"][0]["expr"]
    variables = {variable["name"] for variable in BOARDS[board]["templating"]["list"]}
    assert "scheme" in variables


def test_links_between_dashboards_name_dashboards_and_variables_that_exist() -> None:
    seen = set()
    for name, board in BOARDS.items():
        variables = {variable["name"] for variable in board["templating"]["list"]}
        for url in re.findall(r'"url": "(/d/[^"]+)"', json.dumps(board)):
            target = url.split("?")[0].removeprefix("/d/")
            assert target in BOARDS
            seen.add((name, target))
            used = set(re.findall(r"\$\{(?!__)(\w+):queryparam\}", url))
            assert used <= variables
            given = set(re.findall(r"var-(\w+)=", url))
            there = {variable["name"] for variable in BOARDS[target]["templating"]["list"]}
            assert used | given <= there
    assert {("iris-overview", "iris-project"), ("iris-overview", "iris-connection")} <= seen


def test_the_connection_dashboard_leads_to_explore_with_readable_queries() -> None:
    links = [link["url"] for link in BOARDS["iris-connection"]["links"] if link["type"] == "link"]
    assert len(links) == 2
    for url in links:
        pane = json.loads(unquote(url.removeprefix("/explore?left=")))
        assert pane["datasource"] in ("${loki_datasource}", "${tempo_datasource}")
        assert pane["range"] == {"from": "${__from}", "to": "${__to}"}
        assert "$stream" in json.dumps(pane["queries"])


def test_log_queries_name_attributes_that_the_exporter_sends() -> None:
    known = {attribute.name.replace(".", "_") for record in signals.LOGS for attribute in record.attributes}
    found = set()
    for _, panel in PANELS:
        for target in panel["targets"]:
            if target["datasource"]["type"] == "loki":
                assert target["expr"].startswith('{service_name="iris-exporter"} |')
                found |= set(re.findall(r"\biris_\w+", target["expr"]))
                assert target["maxLines"] == 50
    assert found
    assert found <= known


def test_trace_queries_name_spans_and_attributes_that_the_exporter_sends() -> None:
    (target,) = _one("iris-connection", "Attempts")["targets"]
    assert f'name = "{signals.CONNECT.name}"' in target["query"]
    attributes = {attribute.name for attribute in signals.CONNECT.attributes}
    assert set(re.findall(r"span\.([\w.]+)", target["query"])) <= attributes


def test_histograms_are_asked_for_their_exemplars() -> None:
    asked = {query.where for query in QUERIES if query.exemplars}
    # A table has no place for them, and sizes of batches have none.
    shipped = [query for query in QUERIES if query.board != "mapping-plant"]
    with_buckets = {query.where for query in shipped if "_bucket{" in query.expr and not query.instant}
    assert asked == with_buckets - {"iris-connection / Messages in a batch / A"}
    assert len(asked) == 4


def test_foreign_metrics_are_those_of_the_process_and_of_the_scrape() -> None:
    names = {sample.name for family in ProcessCollector(registry=None).collect() for sample in family.samples}
    process = {metric.name for metric in FOREIGN if metric.name.startswith("process_")}
    assert process <= names
    targets = {"up", "scrape_duration_seconds", "scrape_samples_scraped"}
    assert {metric.name for metric in FOREIGN} - process == {*targets, "ALERTS", "GRAFANA_ALERTS"}


def test_a_selector_knows_what_a_metric_has() -> None:
    assert select(catalog.UP) == 'iris_up{job=~"$job", instance=~"$instance", stream=~"$stream"}'
    with pytest.raises(ValueError, match="no label project"):
        select(catalog.UP, 'project="x"')
    with pytest.raises(ValueError, match="no sample"):
        select(catalog.UP, sample="_bucket")


def test_what_is_committed_is_what_the_code_makes() -> None:
    for name, module in main.BOARDS.items():
        assert main.document(module.board()) == BOARDS[f"iris-{name}"]


@pytest.mark.parametrize("path", boards.FILES, ids=lambda path: path.stem)
def test_a_file_is_small_enough_for_a_config_map(path: Path) -> None:
    assert path.stat().st_size < 1 << 20


PLUGINS = {
    "heatmap": "HeatmapPanelCfg",
    "logs": "LogsPanelCfg",
    "stat": "StatPanelCfg",
    "state-timeline": "StateTimelinePanelCfg",
    "table": "TablePanelCfg",
    "timeseries": "TimeSeriesPanelCfg",
}
"""Panel type to the module of the schema that describes its options."""

TYPESCRIPT = """\
import type { AnnotationQuery, Dashboard, Panel, RowPanel } from '@grafana/schema';
// What JSON can hold of a type: the words of an enum in place of its members.
type Json<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T
    : T extends Array<infer U> ? Json<U>[] : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
type Body = Json<Omit<Dashboard, 'annotations' | 'panels'>>;
type PanelOf<O> = Json<Omit<Panel, 'options'>> & { options: Partial<Json<O>> };
// The schema has what all data sources share; these are of the Prometheus plugin.
type Notice = Json<Omit<AnnotationQuery, 'datasource'>> & { datasource: { type: 'prometheus', uid: string },
    expr: string, step: string, titleFormat: string, textFormat: string, tagKeys: string, useValueForTime: boolean };
"""


@pytest.mark.slow
@pytest.mark.needs("node", "typescript", "@grafana/schema")
def test_the_json_has_the_types_of_grafanas_schema(tmp_path: Path) -> None:
    """As object literals, so that a field which the schema does not know is an error too."""
    modules = Path(tool("@grafana/schema")).parents[1]
    source = [TYPESCRIPT]
    for module in PLUGINS.values():
        folder = module.removesuffix("PanelCfg").lower()
        path = f"@grafana/schema/dist/esm/raw/composable/{folder}/panelcfg/x/{module}_types.gen"
        source.append(f"import type {{ Options as {module} }} from '{path}';")
    for name, board in BOARDS.items():
        identifier = name.replace("-", "_")
        rest = {key: value for key, value in board.items() if key not in ("panels", "annotations")}
        # What an interval has beside other variables is in the schema of the V2 form alone (IntervalVariableSpec).
        interval = ("auto", "auto_count", "auto_min")
        choices = [{k: v for k, v in each.items() if k not in interval} for each in board["templating"]["list"]]
        rest["templating"] = {"list": choices}
        source.append(f"const {identifier}: Body = {json.dumps(rest)};")
        notices = board["annotations"]["list"]
        source.append(f"const {identifier}_notices: Notice[] = {json.dumps(notices)};")
        for panel in boards.panels(board, with_rows=True):
            row = panel["type"] == "row"
            kind = "Json<Omit<RowPanel, 'panels'>>" if row else f"PanelOf<{PLUGINS[panel['type']]}>"
            text = json.dumps({key: value for key, value in panel.items() if not row or key != "panels"})
            source.append(f"const {identifier}_{panel['id']}: {kind} = {text};")
    (tmp_path / "dashboards.ts").write_text("\n".join(source))
    (tmp_path / "node_modules").symlink_to(modules)
    command = ["node", modules / "typescript/bin/tsc", "--noEmit", "--strict", "--skipLibCheck"]
    options = ["--module", "preserve", "--target", "es2022", "dashboards.ts"]
    checked = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


LINT = boards.ROOT / "dashboards/.lint"


@pytest.mark.needs("dashboard-linter")
@pytest.mark.parametrize("path", boards.FILES, ids=lambda path: path.stem)
def test_the_linter_of_grafana_finds_nothing(path: Path) -> None:
    command = [tool("dashboard-linter"), "lint", "--strict", "-c", LINT, path]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_every_exclusion_of_the_linter_has_a_reason_and_hits_a_panel() -> None:
    for exclusion in yaml.safe_load(LINT.read_text())["exclusions"].values():
        assert exclusion["reason"].endswith(".")
        for entry in exclusion["entries"]:
            (board,) = (found for found in BOARDS.values() if found["title"] == entry["dashboard"])
            assert any(entry.get("panel", panel["title"]) == panel["title"] for panel in boards.panels(board))
