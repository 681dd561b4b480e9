"""Renders the Helm chart with the real helm, and keeps the golden renderings.

`python -m tests.contract.chart` writes tests/data/expected/chart anew; read the difference before you commit it.
"""

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.tools import ROOT, tool
from tests.waiting import BUSY

CHART = ROOT / "deploy/helm/iris-exporter"
EXPECTED = ROOT / "tests/data/expected/chart"
FEATURES = tuple(sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml")))
HELMS = ("helm3", "helm4")

Manifest = dict[str, Any]


def values_file(feature: str) -> Path:
    """The values of one feature."""
    return CHART / "ci" / f"{feature}-values.yaml"


def helm(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run helm; it never looks for a cluster of whoever runs the tests."""
    return subprocess.run(
        [tool(program), *map(str, arguments)],
        check=False,
        text=True,
        capture_output=True,
        timeout=60 * BUSY,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "KUBECONFIG": "/nonexistent"},
    )


@cache
def rendered_text(program: str, *arguments: str | Path) -> str:
    """What `helm template` writes for the release `iris-exporter` in the namespace `monitoring`."""
    result = helm(program, "template", "iris-exporter", *arguments, "--namespace", "monitoring")
    assert result.returncode == 0, result.stderr
    return result.stdout


def rendered(program: str, *arguments: str | Path) -> list[Manifest]:
    """The objects of a rendering, sorted by kind and name."""
    objects = [each for each in yaml.load_all(rendered_text(program, *arguments), yaml.CSafeLoader) if each]
    return sorted(objects, key=lambda each: (each["kind"], each["metadata"]["name"]))


def feature_text(feature: str, program: str = "helm4") -> str:
    """The rendering of one feature as text."""
    return rendered_text(program, CHART, "--values", values_file(feature))


def feature(name: str, program: str = "helm4") -> list[Manifest]:
    """The rendering of one feature."""
    return rendered(program, CHART, "--values", values_file(name))


def with_values(*settings: str, program: str = "helm4") -> list[Manifest]:
    """The rendering of the demo with some values changed, each as `key=value`."""
    return rendered(program, CHART, "--values", values_file("demo"), *(f"--set={each}" for each in settings))


def only(objects: list[Manifest], kind: str, name: str = "") -> Manifest:
    """The one object of a kind (and name)."""
    found = [each for each in objects if each["kind"] == kind and name in ("", each["metadata"]["name"])]
    assert len(found) == 1, [each["metadata"]["name"] for each in found]
    return found[0]


def pods(objects: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Name and pod (metadata and spec) of everything that runs."""
    for each in objects:
        if each["kind"] == "Pod":
            yield each["metadata"]["name"], each
        elif each["kind"] in ("Deployment", "StatefulSet"):
            yield each["metadata"]["name"], each["spec"]["template"]


def exporter(objects: list[Manifest], name: str = "iris-exporter") -> Manifest:
    """The exporter's container in the workload of that name."""
    spec = dict(pods(objects))[name]["spec"]
    (found,) = (each for each in spec["containers"] if each["name"] == "iris-exporter")
    return dict(found)


def golden(name: str, program: str) -> str:
    """A rendering as it is compared: objects sorted, and files that have tests of their own left out."""
    objects = feature(name, program)
    for each in objects:
        if each["kind"] == "ConfigMap":
            each["data"] = {
                key: f"(files/dashboards/{key})" if key.startswith("iris-") and key.endswith(".json") else text
                for key, text in each.get("data", {}).items()
            }
        if each["kind"] == "PrometheusRule":
            each["spec"]["groups"] = [group["name"] for group in each["spec"]["groups"]]
        if each["kind"] == "Pod":
            each["spec"]["containers"][0]["args"] = ["(files/scrape.py)"]
    return yaml.safe_dump_all(objects, sort_keys=True, allow_unicode=True, width=120)


if __name__ == "__main__":
    EXPECTED.mkdir(parents=True, exist_ok=True)
    for stale in {path.stem for path in EXPECTED.glob("*.yaml")} - set(FEATURES):
        (EXPECTED / f"{stale}.yaml").unlink()
    for name in FEATURES:
        (EXPECTED / f"{name}.yaml").write_text(golden(name, "helm4"))
