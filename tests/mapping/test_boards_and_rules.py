"""Dashboards and alerts that are made for a mapping, held to what the shipped ones are held to."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from iris_exporter.cli import main
from iris_exporter.instruments import mapping_alerts
from iris_exporter.mapping import presets
from iris_exporter.mapping.spec import Mapping
from tests.tools import ROOT, tool

ALERTING = """\
mappings:
  plant:
    namespace: plant
    expect: {every: 20d}
    cursor: {path: $.n, order: number, rewind: {by: 2}, resume: {query: {since: "${cursor}"}}}
    messages:
      - kind: reading
        id: $.n
        metrics:
          - name: temperature_celsius
            type: gauge
            help: Temperature.
            value: $.t
            labels: {boiler: $.b}
            alert: {above: 90, for: 10m, severity: critical, summary: "Boiler {{ $labels.boiler }} is too hot"}
          - name: pressure_pascals
            type: gauge
            help: Pressure.
            value: $.p
            alert: {below: 100000, for: 10m, severity: warning, summary: Too little pressure}
          - name: faults_total
            type: counter
            help: Faults.
            alert: {above: 0.5, for: 5m, severity: warning, summary: Many faults}
          - name: steps_total
            type: counter
            help: Steps, such as {{ this }}.
            labels: {severity: $.s, mapping: $.m, phase: $.p}
            alert: {below: 12345678, for: 1500ms, summary: "{{ $labels.phase }} is slow: {{ $value | humanize }}"}
          - name: position_ratio
            type: gauge
            help: Position {{.
            value: $.r
            labels: {severity: $.s, phase: $.p}
            alert: {above: -0.1234567, for: 1500ms, summary: Far from its place}
          - {name: state, type: stateset, help: 'A "pump".', states: [ON, 'O"F'], state: $.s, labels: &pump {p: $.x}}
          - {name: pump_info, type: info, help: Pumps., labels: *pump}
"""


def run(program: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool(program), *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def plant(tmp_path: Path) -> tuple[Path, Mapping]:
    from iris_exporter.config.mappings import read_config

    path = tmp_path / "plant.yaml"
    path.write_text(ALERTING)
    read = read_config(path)
    assert not read.problems, read.problems
    return path, read.by_name["plant"]


@pytest.mark.needs("promtool")
def test_rules_fire_and_are_quiet_as_their_tests_say(tmp_path: Path, plant: tuple[Path, Mapping]) -> None:
    file, mapping = plant
    out = tmp_path / "alerts"
    assert main(["alerts", "export", "--config.file", str(file), str(out)]) == 0
    for command in (("check", "rules", "plant.rules.yaml"), ("test", "rules", "plant.rules.test.yaml")):
        done = run("promtool", *command, cwd=out)
        assert done.returncode == 0, done.stdout + done.stderr
    names = [rule.name for rule in mapping_alerts.rules(mapping)]
    assert names == [
        *(
            "MappingProblems",
            "MessagesUnmatched",
            "SeriesLimitReached",
            "SubscriptionRefused",
            "CountersInexact",
            "Silent",
        ),
        *("PlantTemperatureCelsiusAbove", "PlantPressurePascalsBelow", "PlantFaultsTotalAbove"),
        *("PlantStepsTotalBelow", "PlantPositionRatioAbove"),
    ]
    assert "Silent" not in [rule.name for rule in mapping_alerts.rules(presets.load("binance"))]


@pytest.mark.slow
@pytest.mark.needs("promtool", "pint")
def test_the_rules_of_every_preset_are_clean_and_do_what_their_tests_say(tmp_path: Path) -> None:
    """pint has the rules for the shipped alerts, but for their names and the dashboard they lead to."""
    names = sorted(path.stem for path in Path(presets.__file__).parent.glob("*.yaml"))
    assert len(names) >= 18
    grafana = ("--web.grafana-url", "https://grafana.example")
    for name in names:
        assert main(["alerts", "export", "--mapping", name, *grafana, str(tmp_path)]) == 0
    plant = ROOT / "tests/data/dashboards/plant.yaml"
    assert main(["alerts", "export", "--config.file", str(plant), *grafana, str(tmp_path)]) == 0
    for path in sorted(tmp_path.glob("*.test.yaml")):
        done = run("promtool", "test", "rules", path.name, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    configuration = (ROOT / "alerts/pint.hcl").read_text()
    for before, after in (('"Iris[A-Z]', '"[A-Z]'), ("/iris-[a-z]+", "/d/mapping-[a-z-]+"), ("#iris[a-z]+", "#[a-z]+")):
        assert before in configuration
        configuration = configuration.replace(before, after)
    (tmp_path / "pint.hcl").write_text(configuration)
    rules = [path.name for path in tmp_path.glob("*.rules.yaml")]
    strict = ("--min-severity=info", "--fail-on=info")
    linted = run("pint", "--offline", "--config", "pint.hcl", "lint", *strict, *rules, cwd=tmp_path)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.slow  # promtool evaluates twenty days of rules once more, six seconds of processor time
@pytest.mark.needs("promtool")
def test_a_rule_that_does_not_fire_fails_its_test(tmp_path: Path, plant: tuple[Path, Mapping]) -> None:
    """Of an alert with a value in its summary, too."""
    assert main(["alerts", "export", "--config.file", str(plant[0]), str(tmp_path)]) == 0
    file = tmp_path / "plant.rules.yaml"
    text = file.read_text()
    assert "< 12345678.0" in text
    file.write_text(text.replace("< 12345678.0", "< 0"))
    done = run("promtool", "test", "rules", "plant.rules.test.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "PlantStepsTotalBelow" in done.stdout + done.stderr


def test_alerts_lead_to_their_runbooks_and_to_the_dashboard_of_the_mapping(tmp_path: Path) -> None:
    flags = ["--web.runbook-base-url", "https://docs.example/help", "--web.grafana-url", "https://grafana.example/g/"]
    for more, runbooks, grafana in (
        (flags, flags[1], flags[3].rstrip("/")),
        ([], "https://example.com/iris-exporter/docs/runbooks.md", ""),
    ):
        assert main(["alerts", "export", "--mapping", "wikimedia", *more, str(tmp_path)]) == 0
        [group] = yaml.safe_load((tmp_path / "wikimedia.rules.yaml").read_text())["groups"]
        for rule in group["rules"]:
            annotations = rule["annotations"]
            assert annotations["runbook_url"] == f"{runbooks}#{rule['alert'].lower()}"
            assert annotations["dashboard_url"].startswith(f"{grafana}/d/mapping-wikimedia?var-job=")
            assert rule["labels"]["concern"] in ("link", "source")
            assert rule["alert"] in mapping_alerts.OF_MAPPINGS
    assert main(["alerts", "export", "--mapping", "wikimedia", "--web.grafana-url", "grafana", str(tmp_path)]) == 2


def test_numbers_and_durations_of_rules_are_those_of_the_mapping(plant: tuple[Path, Mapping]) -> None:
    """With all of their digits, and in the form of Prometheus; what a rule itself labels is not asked for."""
    [group] = mapping_alerts.rules_file(plant[1], mapping_alerts.Links("https://docs.example/runbooks", "/d/x"))[
        "groups"
    ]
    found = {rule["alert"]: rule for rule in group["rules"]}
    assert "[20d]" in found["Silent"]["expr"]
    slow, far = found["PlantStepsTotalBelow"], found["PlantPositionRatioAbove"]
    assert slow["expr"] == "sum by (job, instance, stream, phase) (rate(plant_steps_total[10m])) < 12345678.0"
    assert far["expr"] == "max by (job, instance, stream, phase) (plant_position_ratio) > -0.1234567"
    assert found["PlantPressurePascalsBelow"]["expr"].startswith("min by (job, instance, stream) (")
    assert slow["for"] == far["for"] == "1s500ms"
    assert slow["annotations"]["description"].startswith('Steps, such as {{ "{{" }} this }}. Of {{ $labels.stream }}')


def test_dashboards_of_mappings_are_exported_beside_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dashboards", "export", "--mapping", "wikimedia", "--mapping", "ntfy", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "dashboards/mapping-wikimedia.json").read_text())
    assert written["title"] == "Mapping wikimedia"
    assert (tmp_path / "dashboards/iris-overview.json").exists()
    assert "mapping-ntfy.json" in capsys.readouterr().out
    assert main(["dashboards", "export", "--mapping", "wikimedai", str(tmp_path)]) == 2
    assert "did you mean wikimedia?" in capsys.readouterr().err
    assert main(["alerts", "export", "--mapping", "x\0y", str(tmp_path)]) == 2
    assert main(["alerts", "export", "--mapping", "ntfy", "/proc/nowhere"]) == 1
