"""Dashboards of mappings: those of all samples, and of a mapping with everything, keep what shipped ones promise."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from iris_exporter.grafana import files, mapped
from iris_exporter.grafana.mapped import QUERIES_A_LOAD
from iris_exporter.mapping.spec import Mapping, MetricKind, MetricSpec
from tests.contract import boards, test_dashboard_numbers, test_dashboard_tables, test_dashboards
from tests.examples import of_one
from tests.mapping import samples
from tests.tools import tool

MAPPINGS = {name: samples.load(name).mapping for name in samples.NAMES} | {"plant": boards.PLANT}
SHIPPED = {query.expr for query in boards.queries()}
OF_A_QUERY = (
    test_dashboards.test_a_query_parses,
    test_dashboards.test_a_query_names_only_metrics_and_labels_that_exist,
    test_dashboards.test_a_query_matches_only_values_that_a_label_can_have,
    test_dashboards.test_a_query_chooses_job_instance_and_stream,
    test_dashboards.test_a_counter_is_only_read_through_its_growth,
    test_dashboards.test_a_rate_is_taken_over_what_grafana_says,
    test_dashboard_numbers.test_no_query_estimates_how_much_a_counter_grew,
    test_dashboard_numbers.test_a_series_is_named_by_all_that_tells_it_from_the_others,
    test_dashboard_numbers.test_an_age_is_taken_at_the_scrape,
    test_dashboard_numbers.test_a_quantile_is_of_something,
    test_dashboard_numbers.test_nothing_is_divided_by_zero,
)
OF_A_TABLE = (
    test_dashboard_tables.test_the_columns_of_a_table_fit_into_it_at_1280_pixels,
    test_dashboard_tables.test_a_heading_fits_into_its_column,
    test_dashboard_tables.test_an_empty_cell_does_not_repeat_the_sentence_for_an_empty_table,
)


def many(count: int) -> Mapping:
    """A mapping with so many gauges."""
    gauges = tuple(
        MetricSpec(name=f"many_gauge_{number}", kind=MetricKind.GAUGE, help="One of many.", value=None)
        for number in range(count)
    )
    return boards.with_metrics(boards.PLANT, gauges)


@pytest.mark.parametrize("name", sorted(MAPPINGS))
def test_the_dashboard_of_a_mapping_keeps_the_rules_of_the_others(name: str) -> None:
    """Bars add up, quantiles and quotients are guarded, series have names, selectors choose; columns have room."""
    boards.know(MAPPINGS[name])
    board = mapped.dashboard(MAPPINGS[name])
    for query in boards.queries({board["uid"]: board}):
        for rule in OF_A_QUERY if query.expr not in SHIPPED else ():
            of_one(rule)(query)
    for panel in (found for found in boards.panels(board) if found["type"] == "table"):
        for rule_of_table in OF_A_TABLE:
            of_one(rule_of_table)(name, panel)


@pytest.mark.parametrize("name", sorted(MAPPINGS))
def test_every_metric_has_a_panel_and_every_panel_a_place(name: str) -> None:
    board = mapped.dashboard(MAPPINGS[name])
    asked = " ".join(query.expr for query in boards.queries({name: board}))
    for metric in MAPPINGS[name].metrics:
        assert metric.name in asked
    every = list(boards.panels(board, with_rows=True))
    assert len({panel["id"] for panel in every}) == len(every)
    assert len(board["uid"]) <= 40
    heights = [panel["gridPos"]["h"] * panel["gridPos"]["w"] for panel in board["panels"]]
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    assert sum(heights) == 24 * bottom, "a line has a hole, or panels overlap"
    for row in (panel for panel in board["panels"] if panel.get("panels")):
        inside = [panel["gridPos"] for panel in row["panels"]]
        assert sum(place["h"] * place["w"] for place in inside) % 24 == 0
        assert inside[0]["y"] == row["gridPos"]["y"] + 1


@pytest.mark.parametrize("count", [0, 1, 2, 14, 200])
def test_a_load_is_at_most_forty_queries_however_many_metrics_there_are(count: int) -> None:
    board = mapped.dashboard(many(count))
    targets = sum(len(panel.get("targets", [])) for panel in board["panels"])
    annotations = sum(each["enable"] for each in board["annotations"]["list"])
    variables = sum(each["type"] == "query" for each in board["templating"]["list"])
    assert targets + annotations + variables <= QUERIES_A_LOAD == test_dashboard_numbers.QUERIES_A_LOAD
    shown = [panel["title"] for panel in boards.panels(board) if panel["title"].startswith("many_")]
    assert len(shown) == count
    assert all(len(row.get("panels", [])) <= 12 for row in board["panels"])


def test_all_streams_are_those_of_the_mapping() -> None:
    (stream,) = (each for each in mapped.dashboard(boards.PLANT)["templating"]["list"] if each["name"] == "stream")
    assert 'mapping="plant"' in stream["query"]["query"]
    assert "allValue" not in stream


def test_what_is_about_streams_is_as_on_the_shipped_dashboards() -> None:
    shipped = {
        json.dumps(panel["targets"]): panel["title"]
        for board in files.dashboards().values()
        for panel in boards.panels(board)
    }
    others = [p for p in boards.panels(mapped.dashboard(boards.PLANT)) if not p["title"].startswith("plant_")]
    assert len(others) == 12
    assert all(shipped[json.dumps(panel["targets"])] == panel["title"] for panel in others)


def _panel(title: str) -> dict[str, Any]:
    (found,) = (panel for panel in boards.panels(mapped.dashboard(boards.PLANT)) if panel["title"] == title)
    return found


def test_a_panel_fits_what_its_metric_counts() -> None:
    """Whole numbers where messages are counted, units from names, ages of times, a word for each state."""
    assert _panel("plant_readings_total")["fieldConfig"]["defaults"]["decimals"] == 0
    assert "decimals" not in _panel("plant_paid_total")["fieldConfig"]["defaults"]
    assert _panel("plant_sent_bytes_total")["fieldConfig"]["defaults"]["unit"] == "bytes"
    age = _panel("plant_serviced_timestamp_seconds, age")
    assert age["fieldConfig"]["defaults"]["unit"] == "s"
    assert age["targets"][0]["expr"].startswith("max by (stream, boiler) (clamp_min(timestamp(")
    (states,) = _panel("plant_state")["fieldConfig"]["defaults"]["mappings"]
    assert {text["text"] for text in states["options"].values()} == {"None of them", "ON", 'O"F'}
    assert _panel("plant_readings_total")["targets"][0]["legendFormat"] == "{{stream}} {{instance}}"
    assert _panel("plant_visits_total")["targets"][0]["legendFormat"] == "{{gate}} {{stream}} {{instance}}"


@pytest.mark.slow
@pytest.mark.needs("dashboard-linter")
def test_the_linter_of_grafana_finds_nothing(tmp_path: Path) -> None:
    lint = tmp_path / ".lint"
    shipped = yaml.safe_load(test_dashboards.LINT.read_text())["exclusions"]
    reasons = {
        "template-job-rule": shipped["template-job-rule"]["reason"],
        "template-instance-rule": shipped["template-instance-rule"]["reason"],
        "target-rate-interval-rule": "Which series a graph shows is chosen by the whole time shown.",
    }
    exclusions: dict[str, Any] = {rule: {"reason": reason} for rule, reason in reasons.items()}
    titles = [f"Mapping {mapping.name}" for mapping in MAPPINGS.values()]
    of_alerts: list[dict[str, Any]] = []
    for title in titles:
        of_alerts += [{"dashboard": title, "panel": "Firing alerts"}]
        of_alerts += [{"dashboard": title, "panel": "Streams", "targetIdx": 7}]
    for rule in ("target-job-rule", "target-instance-rule"):
        exclusions[rule] = {"reason": shipped[rule]["reason"], "entries": of_alerts}
    exclusions["target-promql-rule"] = {
        "reason": "Its variables are not put in behind a quote in a text.",
        "entries": [{"dashboard": "Mapping plant", "panel": "plant_state"}],
    }
    lint.write_text(yaml.safe_dump({"exclusions": exclusions}))
    wrong = []
    for name, mapping in MAPPINGS.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(mapped.dashboard(mapping)))
        command = [tool("dashboard-linter"), "lint", "--strict", "-c", lint, path]
        linted = subprocess.run(command, capture_output=True, text=True, check=False)
        if linted.returncode:
            wrong.append(linted.stdout + linted.stderr)
    assert wrong == []
