"""Files that pages show: the first line of a block of YAML names the file, and the name decides who loads it."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml

from iris_exporter import config
from iris_exporter.web.config import loading
from tests.contract.chart import CHART, helm
from tests.contract.test_chart import KUBERNETES, kubeconform
from tests.contract.test_compose import STACK
from tests.tools import ROOT, tool
from tests.web.config.certificates import Authority

APPLICATION = ROOT / "tests/data/chart/application"
_NAMED = re.compile(r"^# ([\w./-]+\.ya?ml)\b.*$", re.MULTILINE)
_SECRET = re.compile(r"(?:/run|/var/lib)/[\w./-]+")
HASH = "$2b$04$cnwXJfiUqhUGE/G8lmpUxu8czRKE20ig/DNtzitrm9MP85zST7kN."


def split(text: str) -> dict[str, str]:
    """The files of a block by name, each without the line that names it."""
    found = list(_NAMED.finditer(text))
    if not found or text[: found[0].start()].strip():
        return {}
    ends = [*(each.start() for each in found[1:]), len(text)]
    return {each[1]: text[each.end() + 1 : end] for each, end in zip(found, ends, strict=True)}


def _placed(text: str, directory: Path) -> str:
    """The same with paths of a machine below `directory`, and the files there."""

    def place(found: re.Match[str]) -> str:
        path = directory / found[0].lstrip("/")
        if path.suffix or path.parent.name in ("secrets", "iris-exporter.service"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("a-long-enough-key\n")
        else:
            path.mkdir(parents=True, exist_ok=True)
        return str(path)

    return _SECRET.sub(place, text)


def exporter(text: str, directory: Path) -> None:
    """The program's own configuration, by its own loader."""
    file = directory / "iris.yaml"
    file.write_text(_placed(text, directory))
    assert config.load({"config.file": str(file)}, {}).streams


def discovered(text: str, directory: Path) -> None:
    """A list of streams, which discovery reads as it is read after `streams:`."""
    (directory / "keys").mkdir()
    for name in re.findall(r"keys/[\w-]+", text):
        (directory / name).write_text("a-long-enough-key\n")
    exporter(f"streams:\n{text}", directory)


def web(text: str, directory: Path) -> None:
    """The configuration of the HTTP server, by its own loader, with certificates that are there."""
    authority = Authority()
    authority.issue(directory / "server.crt", directory / "server.key")
    (directory / "ca.crt").write_text(authority.pem)
    file = directory / "web.yml"
    file.write_text(text.replace("$2y$10$...", HASH))
    assert loading.load(file).tls is not None


def prometheus(text: str, directory: Path) -> None:
    """Prometheus' configuration, by promtool."""
    file = directory / "prometheus.yml"
    file.write_text(text)
    result = subprocess.run([tool("promtool"), "check", "config", file], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def compose(text: str, directory: Path) -> None:
    """An override of the stack, by the loader of `docker compose`."""
    file = directory / "compose.override.yaml"
    file.write_text(text)
    command = [tool("compose-spec"), STACK / "compose.yaml", file]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=STACK)
    assert result.returncode == 0, result.stdout + result.stderr
    services = yaml.safe_load(result.stdout)["services"]
    # With a source of one's own there is no backend, and nobody waits for one.
    assert "backend" not in services
    assert not services["exporter"].get("depends_on")


def values(text: str, directory: Path) -> None:
    """Values of the chart: both render, and Kubernetes' schemas take what comes of it."""
    file = directory / "values.yaml"
    file.write_text(text)
    rendered(CHART, directory, "--values", str(file))


def rendered(chart: Path, directory: Path, *options: str) -> None:
    """Hold a chart to the schemas of Kubernetes, as both Helms render it."""
    for program in ("helm3", "helm4"):
        result = helm(program, "template", "iris", chart, *options)
        assert result.returncode == 0, result.stderr
        target = directory / program
        target.mkdir()
        (target / "all.yaml").write_text(result.stdout)
        summary = kubeconform(KUBERNETES[-1], target)
        assert summary["resources"] == []
        assert summary["summary"]["valid"] > 1


def application(files: dict[str, str], directory: Path) -> None:
    """A chart that depends on ours, with these files in place of those that a test of the chart has."""
    chart = directory / "application"
    shutil.copytree(APPLICATION, chart)
    shutil.copytree(CHART, chart / "charts/iris-exporter")
    (chart / "Chart.yaml").write_text(f"apiVersion: v2\nname: application\nversion: 1.0.0\n{files['Chart.yaml']}")
    (chart / "values.yaml").write_text(files["values.yaml"])
    rendered(chart, directory)


def template(text: str, directory: Path) -> None:
    """A part of a template: its lines stand in the template that a test of the chart renders, in this order."""
    lines = iter((APPLICATION / "templates/deployment.yaml").read_text().splitlines())
    assert directory.exists()
    for line in text.splitlines():
        assert any(line.strip() == each.strip() for each in lines), line


LOADERS: dict[str, tuple[Callable[[str, Path], None], tuple[str, ...]]] = {
    # Name: who loads it, and the programs that this needs.
    "iris.yaml": (exporter, ()),
    "config.yaml": (exporter, ()),
    "streams/eu.yaml": (discovered, ()),
    "web.yml": (web, ()),
    "prometheus.yml": (prometheus, ("promtool",)),
    "compose.override.yaml": (compose, ("compose-spec",)),
    "values.yaml": (values, ("helm3", "helm4", "kubeconform", "schemas")),
    "templates/deployment.yaml": (template, ()),
}
TOGETHER: dict[frozenset[str], tuple[Callable[[dict[str, str], Path], None], tuple[str, ...]]] = {
    frozenset({"Chart.yaml", "values.yaml"}): (application, ("helm3", "helm4", "kubeconform", "schemas")),
}


def needs(text: str) -> tuple[str, ...] | None:
    """The programs that loading a block takes; None where nobody loads it."""
    found = split(text)
    if frozenset(found) in TOGETHER:
        return TOGETHER[frozenset(found)][1]
    if not found or not found.keys() <= LOADERS.keys():
        return None
    return tuple(dict.fromkeys(program for name in found for program in LOADERS[name][1]))


def load(text: str, directory: Path) -> None:
    """Load the files of a block; raises what the loader raises, or AssertionError."""
    found = split(text)
    if frozenset(found) in TOGETHER:
        TOGETHER[frozenset(found)][0](found, directory)
        return
    for name, content in found.items():
        LOADERS[name][0](content, directory)
