"""Numbers of the values arrive as they were written, wherever they go; Helm itself would print 1000000 as 1e+06."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.chart import CHART, HELMS, exporter, only, rendered, rendered_text, with_values

pytestmark = pytest.mark.needs(*HELMS)

LARGE = 12_345_678
EXPONENT = re.compile(r"\b\d+(?:\.\d+)?e[+-]?\d+\b", re.IGNORECASE)
# Everything that shows a number switched on; a fleet and a Deployment have different ones.
FEATURES: dict[str, dict[str, Any]] = {
    "deployment": {
        "mode": "deployment",
        "leaderElection": {"enabled": True},
        "autoscaling": {"enabled": True},
        "otlp": {
            "enabled": True,
            "endpoint": "http://c:4318",
            "resourceAttributes": {"build": LARGE, "share": 0.00001},
        },
    },
    "replicas": {"mode": "deployment", "leaderElection": {"enabled": True}},
    "statefulset": {"mode": "statefulset"},
}
# What other forms do not have, and what would be so many objects.
_SHARDING = {"sharding.shards", "sharding.replicasPerShard"}
LEFT_OUT = {
    "deployment": _SHARDING,
    "replicas": _SHARDING,
    "statefulset": {"sharding.replicasPerShard", "replicaCount"},
}
COMMON: dict[str, Any] = {
    "demo": {"enabled": True},
    "service": {"type": "NodePort"},
    "serviceMonitor": {"enabled": True},
    "podDisruptionBudget": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}]},
    "streams": [{"name": "a", "url": "http://a/", "max-message-bytes": LARGE}],
    "podAnnotations": {"example.com/build": str(LARGE)},
    "extraEnv": [{"name": "BUILD", "value": LARGE}, {"name": "ON", "value": True}],
}


def numbers(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Paths of all values that are numbers, or that are one where they are not null."""
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from numbers(value, f"{path}.")
        elif (isinstance(value, int | float) and not isinstance(value, bool)) or path in (
            "service.nodePort",
            "podDisruptionBudget.minAvailable",
        ):
            yield path


def put(values: dict[str, Any], path: str, value: object) -> None:
    """Set a value by its path."""
    *parents, key = path.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
    values[key] = value


@pytest.mark.parametrize("form", FEATURES)
@pytest.mark.parametrize("program", HELMS)
def test_no_number_is_printed_with_an_exponent(program: str, form: str, tmp_path: Path) -> None:
    """All of them large; from a file they are floating point numbers, from a flag whole ones."""
    values: dict[str, Any] = json.loads(json.dumps({**COMMON, **FEATURES[form]}))
    paths = [
        path for path in numbers(yaml.safe_load((CHART / "values.yaml").read_text())) if path not in LEFT_OUT[form]
    ]
    assert {"demo.seed", "web.port", "service.nodePort", "serviceMonitor.sampleLimit"} <= set(paths)
    for path in paths:
        put(values, path, LARGE)
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    text = rendered_text(program, CHART, "--values", file, "--skip-schema-validation")
    assert [line for line in text.splitlines() if EXPONENT.search(line)] == []
    assert text.count(str(LARGE)) > 10

    settings = ",".join(f"{path}={LARGE}" for path in paths)
    switches = tmp_path / "switches.yaml"
    switches.write_text(yaml.safe_dump({**COMMON, **FEATURES[form]}))
    flags = rendered_text(program, CHART, "--values", switches, "--set", settings, "--skip-schema-validation")
    assert flags == text


@pytest.mark.parametrize("program", HELMS)
def test_a_number_reaches_the_arguments_and_the_environment_as_it_was_written(program: str, tmp_path: Path) -> None:
    """An environment variable is text, which Kubernetes would otherwise refuse; small numbers stay what they are."""
    file = tmp_path / "values.yaml"
    file.write_text(
        yaml.safe_dump({**COMMON, **FEATURES["deployment"], "demo": {"enabled": True, "seed": LARGE, "rate": 0.5}})
    )
    objects = rendered(program, CHART, "--values", file)
    (backend,) = only(objects, "Deployment", "iris-exporter-demo")["spec"]["template"]["spec"]["containers"]
    assert {"--rate=0.5", f"--seed={LARGE}"} <= set(backend["args"])
    env = {each["name"]: each.get("value") for each in exporter(objects)["env"]}
    assert (env["BUILD"], env["ON"]) == (str(LARGE), "true")
    assert env["OTEL_RESOURCE_ATTRIBUTES"].endswith(f",build={LARGE},share=0.00001")
    assert f"max-message-bytes: {LARGE}" in only(objects, "ConfigMap")["data"]["config.yaml"]


def test_a_share_stays_a_share() -> None:
    """What may be a number or a text is printed as either."""
    budget = only(
        with_values("podDisruptionBudget.enabled=true", "podDisruptionBudget.maxUnavailable=50%"), "PodDisruptionBudget"
    )
    assert budget["spec"]["maxUnavailable"] == "50%"
