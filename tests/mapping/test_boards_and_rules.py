"""Dashboards and alerts that are made for a mapping, held to what the shipped ones are held to."""

import json
import subprocess
from pathlib import Path

import pytest

from iris_exporter.cli import main
from iris_exporter.instruments import mapping_alerts
from iris_exporter.mapping import presets
from iris_exporter.mapping.spec import Mapping
from tests.tools import tool

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
    for name in ("wikimedia", "binance"):
        assert main(["alerts", "export", "--mapping", name, str(out)]) == 0
    for name in ("plant", "wikimedia", "binance"):
        for command in (("check", "rules", f"{name}.rules.yaml"), ("test", "rules", f"{name}.rules.test.yaml")):
            run = subprocess.run([tool("promtool"), *command], cwd=out, capture_output=True, text=True, check=False)
            assert run.returncode == 0, run.stdout + run.stderr
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


def test_numbers_and_durations_of_rules_are_those_of_the_mapping(plant: tuple[Path, Mapping]) -> None:
    """With all of their digits, and in the form of Prometheus; what a rule itself labels is not asked for."""
    [group] = mapping_alerts.rules_file(plant[1])["groups"]
    found = {rule["alert"]: rule for rule in group["rules"]}
    assert "[20d]" in found["Silent"]["expr"]
    slow, far = found["PlantStepsTotalBelow"], found["PlantPositionRatioAbove"]
    assert slow["expr"] == "sum by (job, instance, stream, phase) (rate(plant_steps_total[10m])) < 12345678.0"
    assert far["expr"] == "max by (job, instance, stream, phase) (plant_position_ratio) > -0.1234567"
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
    assert main(["dashboards", "export", "--mapping", "wikimedai", str(tmp_path)]) == 1
    assert "did you mean wikimedia?" in capsys.readouterr().err
    assert main(["alerts", "export", "--mapping", "x\0y", str(tmp_path)]) == 1
    assert main(["alerts", "export", "--mapping", "ntfy", "/proc/nowhere"]) == 1
