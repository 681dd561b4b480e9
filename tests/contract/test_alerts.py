"""What the alerts promise: checked by the programs that read them, and against catalogue, runbooks and dashboards."""

import json
import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts import forms, promql, thresholds
from alerts.inhibition import INHIBITIONS
from alerts.main import GROUPS, files
from alerts.model import Alert, Record
from iris_exporter.core.own_failures import PARTS
from iris_exporter.core.reasons import AUTH_REASONS
from iris_exporter.instruments import catalog, mapping_alerts
from iris_exporter.instruments.metric import Kind
from tests.contract import boards
from tests.tools import tool

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "alerts/iris.rules.yaml"
CASES = sorted((ROOT / "alerts/tests").glob("*.yaml"))
ALERTS = [alert for group in GROUPS for alert in group.alerts]
RECORDS = [record for group in GROUPS for record in group.records]
TARGET_LABELS = {"job", "instance", "pod"}
TEMPLATE_WORDS = {".Labels", ".Values", "else", "end"}


def run(*command: str | Path) -> tuple[int, str]:
    """Exit code and all output."""
    result = subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True, cwd=ROOT)
    return result.returncode, result.stdout + result.stderr


def loaded(path: str) -> Any:
    """A generated file as its reader sees it."""
    return yaml.load((ROOT / path).read_text(), yaml.CSafeLoader)


# The programs that read them.


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("path", ["alerts/iris.rules.yaml", "deploy/prometheus/recording.rules.yaml"])
def test_prometheus_accepts_the_rules_with_all_its_lints(path: str) -> None:
    """A warning would be an error."""
    code, output = run(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", ROOT / path)
    assert code == 0, output


@pytest.mark.slow
@pytest.mark.needs("promtool")
@pytest.mark.parametrize("cases", CASES, ids=[path.stem for path in CASES])
def test_each_alert_fires_stays_silent_and_resolves_as_its_cases_say(cases: Path) -> None:
    """With Prometheus' own rule engine; texts and links included."""
    code, output = run(tool("promtool"), "test", "rules", cases)
    assert code == 0, output


@pytest.mark.needs("promtool")
def test_prometheus_accepts_the_example_configuration() -> None:
    """Rule files included."""
    code, output = run(tool("promtool"), "check", "config", ROOT / "deploy/prometheus/prometheus.yml")
    assert code == 0, output
    assert "1 rule files found" in output


@pytest.mark.needs("amtool")
def test_alertmanager_accepts_the_example_configuration() -> None:
    """All inhibition rules included."""
    code, output = run(tool("amtool"), "check-config", ROOT / "deploy/prometheus/alertmanager.yml")
    assert code == 0, output
    assert f"{len(INHIBITIONS)} inhibit rules" in output


@pytest.mark.needs("amtool")
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("severity=critical", "concern=source"), "page-iris"),
        (("severity=critical", "concern=link"), "page-platform"),
        (("severity=critical", "concern=exporter"), "page-platform"),
        (("severity=warning", "concern=source"), "tickets"),
        (("severity=info", "concern=link"), "notes"),
    ],
    ids=["source", "link", "exporter", "tickets", "notes"],
)
def test_each_alert_goes_to_those_whose_business_it_is(labels: tuple[str, ...], receiver: str) -> None:
    """By severity and concern."""
    configuration = f"--config.file={ROOT / 'deploy/prometheus/alertmanager.yml'}"
    code, output = run(tool("amtool"), "config", "routes", "test", configuration, *labels)
    assert (code, output.splitlines()[0]) == (0, receiver)


def lint(path: Path) -> tuple[int, str]:
    """What pint says about a rule file, without a Prometheus to ask."""
    return run(
        *(tool("pint"), "--no-color", "--offline", "--config", ROOT / "alerts/pint.hcl"),
        *("lint", "--min-severity=info", "--fail-on=info", path),
    )


@pytest.mark.needs("pint")
def test_pint_finds_nothing() -> None:
    """With all checks that need no Prometheus, and those of alerts/pint.hcl."""
    code, output = lint(RULES)
    assert code == 0, output


@pytest.mark.needs("pint")
@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("severity: critical", "severity: urgent", "severity"),
        ("alert: IrisStreamDown\n", "alert: Down\n", "name"),
        ("expr: iris_exporter_config_last_reload_successful == 0", "expr: iris_up", "comparison"),
        ("{{ $labels.stream }} of", "{{ $labels.state }} of", "template"),
    ],
    ids=["label", "name", "no-comparison", "label-that-is-gone"],
)
def test_pint_would_find_a_mistake(tmp_path: Path, before: str, after: str, complaint: str) -> None:
    """The test above is able to fail."""
    text = RULES.read_text()
    assert before in text
    broken = tmp_path / "broken.yaml"
    broken.write_text(text.replace(before, after))
    code, output = lint(broken)
    assert code != 0
    assert complaint in output


# Names.


def known_labels(name: str) -> set[str] | None:
    """The labels that series of this name can have, None for an unknown name."""
    if name in {record.name for record in RECORDS}:
        return {"stream"}
    for suffix, extra in (("", set[str]()), ("_bucket", {"le"}), ("_count", set()), ("_sum", set())):
        metric = catalog.BY_NAME.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        if metric is not None and (metric.kind is Kind.HISTOGRAM) == bool(suffix):
            return {*metric.label_names, *extra}
    return None


SELECTOR = re.compile(r"((?:[a-z_]+:)?iris_[a-z0-9_:]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(?:=~|!~|!=|=)"((?:[^"\\]|\\.)*)"')
MADE = re.compile(r'\bcount_values without \([^)]*\) \("(\w+)"')
"""A label that a query makes of values."""
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


@pytest.mark.parametrize("rule", [*ALERTS, *RECORDS], ids=lambda rule: rule.name)
def test_a_rule_names_only_what_the_catalogue_has(rule: Alert | Record) -> None:
    """Metrics, their labels, and the labels that expressions group by."""
    labels: set[str] = set()
    cause = rule.cause.expr if isinstance(rule, Alert) and rule.cause is not None else ""
    for name, matchers in SELECTOR.findall(f"{rule.expr}\n{cause}"):
        found = known_labels(name)
        assert found is not None, f"{name} is not in the catalogue"
        assert {label for label, _ in MATCHER.findall(matchers)} <= found | TARGET_LABELS
        labels |= found
    labels |= set(MADE.findall(rule.expr))
    grouped = {label.strip() for part in GROUPING.findall(rule.expr) for label in part.split(",")}
    assert grouped <= labels | TARGET_LABELS
    used = (
        set(re.findall(r"\$labels\.(\w+)", " ".join(rule.annotations.values()))) if isinstance(rule, Alert) else set()
    )
    assert used <= labels | TARGET_LABELS


def test_what_the_catalogue_does_not_have_cannot_be_written() -> None:
    """A wrong label or value fails when the rules are made."""
    with pytest.raises(promql.UnknownNameError, match="no label colour"):
        promql.series(catalog.UP, colour="red")
    with pytest.raises(promql.UnknownNameError, match="is never happy"):
        promql.series(catalog.STREAM_STATE, state="happy")
    with pytest.raises(promql.UnknownNameError, match="is a histogram"):
        promql.series(catalog.MESSAGE_DELAY)


def test_recording_rules_are_named_level_metric_operation() -> None:
    """As Prometheus' practices have it, and without `_total`."""
    assert len({record.name for record in RECORDS}) == len(RECORDS)
    for record in RECORDS:
        assert re.fullmatch(r"(instance|stream|instance_stream):iris_[a-z_]+:[a-z]+\d+[smhd]", record.name)
        assert "_total" not in record.name
        assert " by (" not in record.expr


# Texts.


def test_alerts_about_what_has_a_reason_name_it() -> None:
    """By a query when they fire, and not by a label; one that no stream of the alert's answers is left out."""
    named = {alert.name for alert in ALERTS if alert.cause is not None}
    assert named >= {f"IrisStream{name}" for name in ("Down", "Unauthorized", "Error", "Flapping", "Polling")}
    for alert in ALERTS:
        if alert.cause is not None:
            assert len(re.findall("%[qs]", alert.cause.expr)) == len(alert.cause.labels)
            assert set(alert.cause.labels) <= {*alert.variables, "job", "instance", "signal", "source"}
            for part in re.findall(r'part="(\w+)', alert.cause.expr):
                assert any(name.startswith(part) for name in PARTS)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_text_says_what_and_for_how_long(alert: Alert) -> None:
    """A description names the thing, and a window or a limit; a summary is the same for all things."""
    assert re.search(r"\$labels\.(stream|project|instance|shard|job)\b", alert.description)
    assert re.search(r"\b\d+[smhd]\b|--stream\.stale-after", alert.description)
    assert "{{" not in alert.summary
    assert alert.summary.endswith(".")
    assert not alert.hold or re.fullmatch(r"\d+[smhd]", alert.hold)


def test_alerts_of_the_same_name_have_the_same_summary_and_differ_in_a_label() -> None:
    """So that they are grouped, and still told apart."""
    assert {alert.name for alert in ALERTS if not alert.name.startswith("Iris")} == set()
    for name, count in Counter(alert.name for alert in ALERTS).items():
        same = [alert for alert in ALERTS if alert.name == name]
        assert len({alert.summary for alert in same}) == 1
        assert len({tuple(alert.labels.items()) for alert in same}) == count


def runbooks() -> dict[str, str]:
    """Anchor to text of each section of the runbooks."""
    parts = re.split(r"^### (.+)$", (ROOT / "docs/runbooks.md").read_text(), flags=re.MULTILINE)
    return {heading.lower(): text for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    """The anchor of `runbook_url` is a heading."""
    of_mappings = {name.lower() for name in (*mapping_alerts.OF_MAPPINGS, mapping_alerts.OF_METRICS)}
    assert set(runbooks()) == {alert.anchor for alert in ALERTS} | of_mappings
    for alert in ALERTS:
        assert alert.annotations["runbook_url"] == f"{thresholds.RUNBOOKS}#{alert.anchor}"


@pytest.mark.parametrize(("anchor", "text"), runbooks().items(), ids=list(runbooks()))
def test_a_runbook_says_cause_check_and_fix(anchor: str, text: str) -> None:
    """In this order, and links between runbooks lead to one."""
    assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Cause", "Check", "Fix"]
    assert set(re.findall(r"\]\(#(\w+)\)", text)) <= set(runbooks()) - {anchor}


def test_options_and_metrics_in_runbooks_exist() -> None:
    """What somebody types at night has to work."""
    text = (ROOT / "docs/runbooks.md").read_text()
    options = {f"--{option}" for option in re.findall(r"--((?:stream|web|state|config)\.[a-z.-]*[a-z])", text)}
    help_text = (ROOT / "tests/data/config/help.txt").read_text()
    assert {option for option in options if option not in help_text} == set()
    names = set(re.findall(r"`(?:count by \(\w+\) \()?(iris_[a-z_]+)", text))
    assert {name for name in names if name not in catalog.BY_NAME} == set()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_dashboard_link_leads_to_a_dashboard_with_these_variables(alert: Alert) -> None:
    """The uid is that of a generated dashboard."""
    boards = {
        board["uid"]: board
        for path in (ROOT / "dashboards/json").glob("*.json")
        if (board := json.loads(path.read_text()))
    }
    assert alert.dashboard in boards
    variables = {variable["name"] for variable in boards[alert.dashboard]["templating"]["list"]}
    assert set(alert.variables) <= variables


# Cases.


@cache
def cases() -> list[dict[str, Any]]:
    """All test cases of all files."""
    return [case for path in CASES for case in yaml.load(path.read_text(), yaml.CSafeLoader)["tests"]]


def steps(case: dict[str, Any], name: str, window: str | None) -> str:
    """Whether an alert is silent (-) or fires (!) at each step of a case."""
    marks = []
    for step in case["alert_rule_test"]:
        if step["alertname"] == name:
            windows = [alert["exp_labels"].get("window") for alert in step["exp_alerts"]]
            marks.append("!" if window in windows else "-")
    return "".join(marks)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}{alert.labels.get('window', '')}")
def test_every_alert_has_a_case_that_fires_and_resolves_beside_one_that_stays_silent(alert: Alert) -> None:
    """Silent, firing, silent again, in one case; and in one of its cases another series never fires."""
    window = alert.labels.get("window")
    fitting = [case for case in cases() if re.search(r"-!+-", steps(case, alert.name, window))]
    assert fitting, f"{alert.name} {window or ''}"
    quiet = 0
    for case in fitting:
        fired = [found["exp_labels"] for step in case["alert_rule_test"] for found in step["exp_alerts"]]
        labels = [dict(MATCHER.findall(series["series"])) for series in case["input_series"]]
        # A series that agrees with no alert in all the labels that both have.
        quiet += any(
            all(any(firing.get(key, value) != value for key, value in of.items()) for firing in fired) for of in labels
        )
    assert quiet, f"{alert.name}: nothing stays silent"


def test_the_burn_rates_can_be_reached() -> None:
    """A burn rate that would need more failures than runs never alerts."""
    for long, short, rate, *_ in thresholds.SUCCESS_BURN:
        assert rate * (1 - thresholds.SUCCESS_OBJECTIVE) < 1
        assert forms.seconds(long) == 12 * forms.seconds(short)


def test_refusals_that_a_key_mends_are_told_apart() -> None:
    """They follow from the table of failures."""
    assert {"unauthorized", "forbidden", "client_certificate", "policy_violation", "credentials"} == set(AUTH_REASONS)


# Inhibition and the other forms.


def test_no_two_alerts_silence_each_other() -> None:
    """Both would be lost. The one pair of the same name differs in severity."""
    pairs = {
        (inhibition.cause.name, effect.name)
        for inhibition in INHIBITIONS
        for effect in inhibition.effects
        if not inhibition.cause_severity
    }
    assert {pair for pair in pairs if pair[::-1] in pairs} == set()


def test_a_cause_and_its_effect_can_agree_on_the_labels() -> None:
    """A label that only one of them has never agrees; that one of them has none of its own is intended."""
    for inhibition in INHIBITIONS:
        assert set(inhibition.equal) <= set(inhibition.cause.variables) | {"job", "instance"}


def test_the_operator_gets_the_same_rules() -> None:
    """PrometheusRule, version 1."""
    resource = loaded("deploy/prometheus/prometheusrule.yaml")
    assert (resource["apiVersion"], resource["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert resource["spec"] == loaded("alerts/iris.rules.yaml")


def test_grafana_gets_every_alert_with_a_condition_that_exists() -> None:
    """Identifiers are unique and short enough, and each step refers to one before it."""
    groups = loaded("deploy/grafana/alerting/iris.yaml")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len({rule["uid"] for rule in rules}) == len({rule["title"] for rule in rules}) == len(ALERTS)
    for rule, alert in zip(rules, ALERTS, strict=True):
        assert re.fullmatch(r"[a-z0-9-]{1,40}", rule["uid"])
        query, present, fires = rule["data"]
        assert rule["condition"] == fires["refId"]
        assert fires["model"]["expression"] == present["refId"]
        assert query["refId"] in present["model"]["expression"]
        assert query["model"]["expr"] == alert.expr
        assert query["datasourceUid"] == thresholds.GRAFANA_DATASOURCE
        assert "$" not in "".join(rule["annotations"].values()), "Grafana may take it for an environment variable"
        assert set(re.findall(r"\{\{ (?:if )?(\.?\w+)", "".join(rule["annotations"].values()))) <= TEMPLATE_WORDS


def test_grafana_asks_the_data_source_that_is_provisioned() -> None:
    """By its uid."""
    sources = loaded("deploy/grafana/provisioning/datasources/iris.yaml")["datasources"]
    assert thresholds.GRAFANA_DATASOURCE in {source["uid"] for source in sources if source["type"] == "prometheus"}


def test_grafana_links_every_alert_to_a_panel_that_exists() -> None:
    """By the identifiers in the generated dashboards; the panel is the one that the alert names."""
    panels = {
        (board["uid"], str(panel["id"])): panel["title"]
        for path in (ROOT / "dashboards/json").glob("*.json")
        for board in [json.loads(path.read_text())]
        for panel in boards.panels(board)
    }
    rules = [rule for group in loaded("deploy/grafana/alerting/iris.yaml")["groups"] for rule in group["rules"]]
    for rule, alert in zip(rules, ALERTS, strict=True):
        place = rule["annotations"]["__dashboardUid__"], rule["annotations"]["__panelId__"]
        assert panels.get(place) == alert.panel, alert.name


def test_links_to_runbooks_are_absolute_and_alike_in_every_form() -> None:
    """Below the project's home, as the chart names it; the page is in this repository. Dashboards have the same."""
    chart = yaml.safe_load((ROOT / "deploy/helm/iris-exporter/Chart.yaml").read_text())
    page = thresholds.RUNBOOKS.removeprefix(f"{chart['home']}/")
    assert (ROOT / page).is_file()
    texts = [
        (ROOT / path).read_text()
        for path in (*files(), *(f"dashboards/json/{path.name}" for path in (ROOT / "dashboards/json").glob("*.json")))
        if not path.startswith("docs/")
    ]
    links = {link for text in texts for link in re.findall(r"[^\s\"']*runbooks[^\s\"']*#", text)}
    assert links == {f"{thresholds.RUNBOOKS}#"}
    assert sum(text.count("runbook_url") for text in texts) == 3 * len(ALERTS)


def test_recording_rules_for_grafana_are_those_of_prometheus() -> None:
    """Without them, alerts that Grafana evaluates would have no data."""
    rules = [rule for group in loaded("deploy/prometheus/recording.rules.yaml")["groups"] for rule in group["rules"]]
    assert rules == [{"record": record.name, "expr": record.expr} for record in RECORDS]


def test_every_generated_file_says_so() -> None:
    """Somebody who opens it is sent to its source."""
    for path, text in files().items():
        assert "Generated by alerts/main.py" in text.splitlines()[0] + text.splitlines()[2], path
