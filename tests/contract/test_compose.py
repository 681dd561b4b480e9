"""The compose stack, as far as it can be checked without the images of others: see deploy/compose/README.md."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts import forms, thresholds
from alerts.main import GROUPS
from iris_exporter.commands import demo
from tests.tools import tool

ROOT = Path(__file__).resolve().parents[2]
STACK = ROOT / "deploy/compose"
COMPOSE: dict[str, Any] = yaml.safe_load((STACK / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

# Where a service listens inside the stack; configurations below say the same.
PORTS = {
    "backend": {14748},
    "exporter": {14747},
    "prometheus": {9090},
    "alertmanager": {9093},
    "collector": {4317, 4318},
    "tempo": {3200, 4317},
    "loki": {3100},
    "grafana": {3000},
}


def run(*command: str | Path, **variables: str) -> tuple[int, str]:
    """Exit code and all output."""
    environment = {**os.environ, **variables}
    result = subprocess.run(
        [str(word) for word in command], check=False, capture_output=True, text=True, cwd=STACK, env=environment
    )
    return result.returncode, result.stdout + result.stderr


def mounts(service: str) -> dict[str, Path]:
    """Path in the container to path here, of what is mounted from this repository."""
    pairs = [volume.split(":")[:2] for volume in SERVICES[service].get("volumes", [])]
    return {target: (STACK / source).resolve() for source, target in pairs if source.startswith(".")}


def laid_out(service: str, root: Path) -> Path:
    """Put the mounted files below `root` as the container sees them."""
    for target, source in mounts(service).items():
        place = root / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
    return root


def loaded(name: str) -> Any:
    """A YAML file of the stack."""
    return yaml.safe_load((STACK / name).read_text())


# The programs that read them.


@pytest.mark.needs("compose-spec")
def test_the_loader_of_docker_compose_accepts_the_stack() -> None:
    """Schema, references between services, volumes and anchors."""
    code, output = run(tool("compose-spec"), "compose.yaml")
    assert code == 0, output
    assert set(yaml.safe_load(output)["services"]) == set(PORTS)


@pytest.mark.needs("compose-spec")
def test_what_the_demo_prints_starts_the_same_stack_from_the_top_of_a_checkout() -> None:
    """Paths in the file are those of its own directory, wherever the command is called."""
    *program, path, verb = demo.COMPOSE.split()
    assert (program, verb) == (["docker", "compose", "-f"], "up")
    code, output = run(tool("compose-spec"), ROOT / path)
    assert code == 0, output
    assert set(yaml.safe_load(output)["services"]) == set(PORTS)


@pytest.mark.needs("compose-spec")
def test_the_loader_finds_a_mistake(tmp_path: Path) -> None:
    """The test above is able to fail."""
    broken = tmp_path / "compose.yaml"
    broken.write_text((STACK / "compose.yaml").read_text().replace("healthcheck:", "healthchek:", 1))
    code, output = run(tool("compose-spec"), broken)
    assert code != 0
    assert "healthchek" in output


@pytest.mark.needs("promtool")
def test_prometheus_accepts_its_configuration_where_the_container_has_it(tmp_path: Path) -> None:
    """And finds the rules."""
    laid_out("prometheus", tmp_path)
    code, output = run(tool("promtool"), "check", "config", tmp_path / "etc/prometheus/prometheus.yml")
    assert code == 0, output
    assert "1 rule files found" in output


@pytest.mark.needs("amtool")
def test_alertmanager_accepts_its_configuration_where_the_container_has_it(tmp_path: Path) -> None:
    """The one of deploy/prometheus."""
    laid_out("alertmanager", tmp_path)
    code, output = run(tool("amtool"), "check-config", tmp_path / "etc/alertmanager/alertmanager.yml")
    assert code == 0, output


@pytest.mark.needs("otelcol")
def test_the_collector_accepts_its_configuration_with_the_addresses_of_the_stack(tmp_path: Path) -> None:
    """With the container's environment."""
    laid_out("collector", tmp_path)
    configuration = f"--config={tmp_path / 'etc/otelcol/config.yaml'}"
    code, output = run(tool("otelcol"), "validate", configuration, **SERVICES["collector"]["environment"])
    assert code == 0, output


def test_the_exporter_accepts_its_options(tmp_path: Path) -> None:
    """As `--config.check` sees them, with the container's environment."""
    options = [option.replace("=/state", f"={tmp_path}") for option in SERVICES["exporter"]["command"]]
    command = (sys.executable, "-m", "iris_exporter", "--config.check", *options)
    code, output = run(*command, **SERVICES["exporter"]["environment"])
    assert code == 0, output


def test_the_backend_has_its_options() -> None:
    """By its help."""
    command, *options = SERVICES["backend"]["command"]
    code, output = run(sys.executable, "-m", "iris_exporter", command, "--help")
    assert code == 0
    assert all(option.partition("=")[0] in output for option in options)


def test_the_image_has_all_that_its_build_needs(tmp_path: Path) -> None:
    """What the Dockerfile copies, and its ignore file lets through, makes a wheel."""
    copied = re.findall(r"^COPY (?!--from)(.+)$", (STACK / "Dockerfile").read_text(), re.MULTILINE)
    sources = [source for line in copied for source in line.split()[:-1]]
    let_through = re.findall(r"^!(.+)$", (STACK / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert sorted(sources) == sorted(let_through)
    for source in sources:
        place = ROOT / source
        if place.is_dir():
            shutil.copytree(place, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(place, tmp_path / source)
    code, output = run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--disable-pip-version-check", "--wheel-dir", tmp_path / "wheel", tmp_path),
    )
    assert code == 0, output


# What the files must agree on.


def test_mounted_files_exist() -> None:
    """An engine would make an empty directory in place of a missing one."""
    assert [source for service in SERVICES for source in mounts(service).values() if not source.exists()] == []


def test_images_have_a_version_and_ports_are_on_loopback() -> None:
    """The stack is the same tomorrow, and nobody else reaches it."""
    for name, service in SERVICES.items():
        assert re.fullmatch(r"[\w./-]+:(v?\d+\.\d+\.\d+|compose)", service["image"]), name
        for port in service.get("ports", []):
            assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port), name
            assert int(port.rpartition(":")[2]) in PORTS[name]


def test_what_refers_to_a_service_names_one_and_its_port() -> None:
    """In options, environment and configuration files, but for what is mounted from other directories."""
    texts = [
        yaml.safe_dump(COMPOSE),
        *(path.read_text() for path in STACK.glob("*.yaml")),
        (STACK / "prometheus.yml").read_text(),
    ]
    found = set(re.findall(r"(?:http://|ws://|[\"' ])([a-z]+):(\d{4,5})\b", "\n".join(texts)))
    named = {(host, int(port)) for host, port in found if host not in ("localhost", "http")}
    assert {host for host, _ in named} >= {
        "backend",
        "collector",
        "prometheus",
        "alertmanager",
        "tempo",
        "loki",
        "exporter",
    }
    assert [pair for pair in named if pair[1] not in PORTS.get(pair[0], set())] == []


def test_tempo_and_loki_listen_where_others_look_for_them() -> None:
    """And write where the container has a place for it."""
    tempo, loki = loaded("tempo.yaml"), loaded("loki.yaml")
    assert tempo["server"]["http_listen_port"] in PORTS["tempo"]
    assert tempo["distributor"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] == "0.0.0.0:4317"
    assert loki["server"]["http_listen_port"] in PORTS["loki"]
    assert loki["limits_config"]["allow_structured_metadata"] is True
    schema = loki["schema_config"]["configs"][-1]
    assert (schema["store"], schema["schema"]) == ("tsdb", "v13")
    for place in (tempo["storage"]["trace"]["local"]["path"], tempo["storage"]["trace"]["wal"]["path"]):
        assert place.startswith("/var/tempo/")
        assert SERVICES["tempo"]["tmpfs"][0].startswith("/var/tempo:")
    assert loki["common"]["path_prefix"] == "/loki"
    assert "loki:/loki" in SERVICES["loki"]["volumes"]


def test_grafana_has_everything_provisioned() -> None:
    """Each variable of the provisioning files has a value, the home dashboard exists, each data source is once."""
    environment, files = SERVICES["grafana"]["environment"], mounts("grafana")
    provisioned = [source for target, source in files.items() if "/provisioning/" in target]
    texts = [source.read_text() for source in provisioned]
    assert set(re.findall(r"(?<!\$)\$\{(\w+)\}", "".join(texts))) <= set(environment)
    dashboards = environment["IRIS_DASHBOARDS"]
    home = Path(environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.parent == Path(dashboards)
    assert (files[dashboards] / home.name).exists()
    uids = [source["uid"] for text in texts for source in yaml.safe_load(text).get("datasources", [])]
    assert len(set(uids)) == len(uids)
    assert {"iris-alertmanager", thresholds.GRAFANA_DATASOURCE} <= set(uids)


@pytest.mark.parametrize("path", ["deploy/compose/prometheus.yml", "deploy/prometheus/prometheus.yml"])
def test_the_alerts_know_the_exporter_by_its_job(path: str) -> None:
    """Otherwise it would be reported as missing."""
    jobs = {job["job_name"] for job in yaml.safe_load((ROOT / path).read_text())["scrape_configs"]}
    assert [job for job in jobs if re.fullmatch(thresholds.JOB, job)] == ["iris-exporter"]


def test_prometheus_keeps_data_for_as_long_as_rules_look_back() -> None:
    """Ranges and offsets of all rules."""
    expressions = " ".join(rule.expr for group in GROUPS for rule in group.rules)
    back = [forms.seconds(text) for text in re.findall(r"(?:\[|offset )(\d+[smhd])", expressions)]
    (kept,) = [option.partition("=")[2] for option in SERVICES["prometheus"]["command"] if "retention.time" in option]
    assert max(back) < forms.seconds(kept)


def test_exemplars_are_stored() -> None:
    """Points in latency panels lead to traces."""
    assert "--enable-feature=exemplar-storage" in SERVICES["prometheus"]["command"]
