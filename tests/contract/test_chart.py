"""The Helm chart, rendered by both Helms: golden files, schemas of Kubernetes, a linter, and what it promises."""

import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from alerts import thresholds
from iris_exporter import __version__, cli
from scripts.chart_values import described_values
from tests.contract.chart import (
    CHART,
    EXPECTED,
    FEATURES,
    HELMS,
    ROOT,
    Manifest,
    exporter,
    feature,
    feature_text,
    golden,
    helm,
    only,
    pods,
    rendered_text,
    values_file,
    with_values,
)
from tests.contract.mounts import mounted_arguments
from tests.tools import tool
from tests.waiting import BUSY

pytestmark = [pytest.mark.slow, pytest.mark.needs(*HELMS)]

SCHEMAS = ROOT / ".tools/schemas"
# Those that scripts/tools/schemas.py writes: the oldest that the chart allows, and the ends of what gets fixes.
KUBERNETES = ("1.29.15", "1.35.0", "1.37.0")


@pytest.mark.parametrize("program", HELMS)
def test_helm_lint_finds_nothing(program: str) -> None:
    """Neither with the defaults nor with any feature; the hint about an icon is the only line it may say."""
    for values in [[], *(["--values", values_file(name)] for name in FEATURES)]:
        result = helm(program, "lint", "--strict", "--quiet", CHART, *values)
        assert (result.returncode, result.stdout.strip()) == (0, ""), result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.needs("helm-unittest")
def test_the_tests_of_the_chart_pass() -> None:
    """Those beside the templates, with warnings about what they do not use being errors."""
    command = [tool("helm-unittest"), "--strict", CHART]
    result = subprocess.run(command, check=False, text=True, capture_output=True, timeout=240 * BUSY)
    assert result.returncode == 0, result.stdout + result.stderr
    suites = len(list((CHART / "tests").glob("*_test.yaml")))
    assert f"{suites} passed, {suites} total" in result.stdout


@pytest.mark.needs("helm-unittest")
def test_the_tests_of_the_chart_can_fail(tmp_path: Path) -> None:
    """A value changed in a template is found by the topic it belongs to."""
    shutil.copytree(CHART, tmp_path / "chart")
    template = tmp_path / "chart/templates/networkpolicy.yaml"
    template.write_text(template.read_text().replace("egress: []", "egress: [{}]", 1))
    command = [tool("helm-unittest"), "--strict", "--file", "tests/networkpolicy_test.yaml", tmp_path / "chart"]
    result = subprocess.run(command, check=False, text=True, capture_output=True, timeout=60 * BUSY)
    assert result.returncode == 1
    assert "lets the exporter reach the demo, and nobody else" in result.stdout


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_is_rendered_as_expected(name: str) -> None:
    """By both Helms; `python -m tests.contract.chart` writes the files anew."""
    expected = (EXPECTED / f"{name}.yaml").read_text()
    for program in HELMS:
        assert golden(name, program) == expected


def test_every_golden_file_has_its_values() -> None:
    """A feature that was removed leaves nothing behind."""
    assert {path.stem for path in EXPECTED.glob("*.yaml")} == set(FEATURES)


@pytest.mark.needs("kubeconform", "schemas")
@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_valid_in_kubernetes(version: str, tmp_path: Path) -> None:
    """Against the strict schemas of a version, of the Prometheus Operator and the Gateway API; one kind is left out."""
    for name in FEATURES:
        (tmp_path / f"{name}.yaml").write_text(feature_text(name))
    summary = kubeconform(version, tmp_path)
    assert summary["resources"] == []
    assert summary["summary"]["valid"] > 100
    assert (summary["summary"]["invalid"], summary["summary"]["errors"]) == (0, 0)
    assert summary["summary"]["skipped"] == len(operator_dashboards())


@pytest.mark.needs("kubeconform", "schemas")
def test_the_schemas_find_a_mistake(tmp_path: Path) -> None:
    """A field that does not exist, in a built-in and in each custom kind."""
    mistaken = feature_text("network") + feature_text("monitoring") + feature_text("sidecar")
    (tmp_path / "all.yaml").write_text(mistaken.replace("\nspec:\n", "\nspec:\n  noSuchField: 1\n"))
    found = {each["kind"] for each in kubeconform(KUBERNETES[-1], tmp_path)["resources"]}
    assert found >= {"Deployment", "NetworkPolicy", "ServiceMonitor", "PodMonitor", "PrometheusRule", "HTTPRoute"}


def kubeconform(version: str, directory: Path) -> dict[str, dict[str, int]]:
    """What kubeconform says, with the problems under `resources`."""
    locations = [
        SCHEMAS / "{{ .NormalizedKubernetesVersion }}/{{ .ResourceKind }}{{ .KindSuffix }}.json",
        SCHEMAS / "custom/{{ .Group }}/{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json",
    ]
    options = [option for location in locations for option in ("-schema-location", str(location))]
    # The grafana-operator publishes its definition where no tool of ours can get it; see below.
    options += ["-skip", "GrafanaDashboard"]
    command = [tool("kubeconform"), "-strict", "-summary", "-output=json", "-kubernetes-version", version, *options]
    result = subprocess.run([*command, str(directory)], check=False, text=True, capture_output=True, timeout=60 * BUSY)
    return dict(json.loads(result.stdout))


def operator_dashboards() -> list[Manifest]:
    """All GrafanaDashboards of the examples."""
    return [each for name in FEATURES for each in feature(name) if each["kind"] == "GrafanaDashboard"]


VALIDATE = """\
import { GrafanaDashboard } from '@kubernetes-models/grafana-operator/grafana.integreatly.org/v1beta1';
import { readFileSync } from 'node:fs';
function check(each) {
  try { new GrafanaDashboard(each).validate(); return ''; } catch (error) { return error.message; }
}
console.log(JSON.stringify(JSON.parse(readFileSync('dashboards.json')).map(check)));
"""


@pytest.mark.needs("node", "typescript", "@kubernetes-models/grafana-operator")
def test_a_grafana_dashboard_is_what_the_operator_defines(tmp_path: Path) -> None:
    """By types and code generated from its definition: the types know all fields, the code knows the patterns."""
    modules = Path(tool("@kubernetes-models/grafana-operator")).parents[1]
    (tmp_path / "node_modules").symlink_to(modules)
    dashboards = operator_dashboards()
    assert len(dashboards) == len(list((ROOT / "dashboards/json").glob("*.json")))
    wrong: list[Manifest] = [
        {**dashboards[0], "spec": {**dashboards[0]["spec"], **change}}
        for change in ({"noSuchField": 1}, {"resyncPeriod": "10"}, {"configMapRef": {"name": "a"}})
    ]

    lines = [
        "import type { IGrafanaDashboard } from '@kubernetes-models/grafana-operator/grafana.integreatly.org/v1beta1';"
    ]
    for number, each in enumerate([*dashboards, *wrong]):
        lines.append(f"export const dashboard{number}: IGrafanaDashboard = {json.dumps(each)};")
    (tmp_path / "dashboards.ts").write_text("\n".join(lines))
    command = ["node", modules / "typescript/bin/tsc", "--noEmit", "--strict", "--skipLibCheck"]
    options = ["--module", "preserve", "--target", "es2022", "--pretty", "false", "dashboards.ts"]
    checked = subprocess.run(
        [*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60 * BUSY
    )
    # The second mistake is one of a pattern, and all text to a type.
    first = len(dashboards) + 2
    told = sorted({line.partition("(")[2].partition(",")[0] for line in checked.stdout.splitlines() if "(" in line})
    assert told == [str(first), str(first + 2)], checked.stdout

    (tmp_path / "dashboards.json").write_text(json.dumps([*dashboards, *wrong]))
    (tmp_path / "validate.mjs").write_text(VALIDATE)
    result = subprocess.run(
        ["node", "validate.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60 * BUSY
    )
    *accepted, pattern, required = json.loads(result.stdout)
    assert set(accepted) == {""}
    assert "resyncPeriod must match pattern" in pattern
    assert "configMapRef must have required property key" in required


# What kube-score says of features that leave things to the operator, and why that is so.
ACCEPTED = {
    "container-resources": "how much depends on the streams (docs/sizing.md); charts leave it unset",
    "container-ephemeral-storage-request-and-limit": "nothing is written but the state, which has a limit of its own",
    "container-image-pull-policy": "the tag is a release, or there is a digest",
    "pod-networkpolicy": "off until the operator says who may connect",
    "deployment-replicas": "one process reads a stream; more need leader election",
    "deployment-strategy": "two processes at once would count events twice: Recreate",
    "statefulset-has-poddisruptionbudget": "off until asked for",
    "deployment-has-poddisruptionbudget": "off until asked for",
    "pod-probes-identical": "where a password is asked for, probes can only try to connect",
    "service-type": "the feature `network` shows a NodePort",
    "container-security-context-user-group-id": "the feature `pod` shows a user of one's own",
}


@pytest.mark.needs("kube-score")
@pytest.mark.parametrize("name", FEATURES)
def test_the_linter_finds_nothing_without_a_reason(name: str) -> None:
    """Nothing at all in the feature `hardened`."""
    command = [tool("kube-score"), "score", "--kubernetes-version", "v1.37", "--output-format", "json", "-"]
    result = subprocess.run(
        command, check=False, text=True, input=feature_text(name), capture_output=True, timeout=60 * BUSY
    )
    found = {
        (each["object_name"], check["check"]["id"])
        for each in json.loads(result.stdout) or ()
        for check in each["checks"]
        if not check["skipped"] and check["grade"] < 10
    }
    accepted = () if name == "hardened" else ACCEPTED
    assert {each for each in found if each[1] not in accepted} == set()


# The same for checkov, by the number that it gives a check.
CHECKOV_ACCEPTED = {
    "CKV2_K8S_6": "off until the operator says who may connect",
    "CKV_K8S_8": "the pod of `helm test` ends by itself",
    "CKV_K8S_9": "nothing is sent to the pod of `helm test`",
    "CKV_K8S_10": "how much depends on the streams (docs/sizing.md); charts leave it unset",
    "CKV_K8S_11": "likewise",
    "CKV_K8S_12": "likewise",
    "CKV_K8S_13": "likewise",
    "CKV_K8S_15": "the tag is a release, or there is a digest",
    "CKV_K8S_21": "extra manifests of the feature `pod` are the operator's own",
    "CKV_K8S_35": "OpenTelemetry reads headers from a variable alone",
    "CKV_K8S_38": "leader election and discovery need the API server",
    "CKV_K8S_40": "the feature `pod` shows a user of one's own",
    "CKV_K8S_43": "a digest is a value of whoever has pushed the image",
}
# What is left of them in the feature `hardened`, which has two leaders and no image of its own.
CHECKOV_HARDENED = {"CKV_K8S_8", "CKV_K8S_9", "CKV_K8S_38", "CKV_K8S_43"}


@pytest.mark.slow
@pytest.mark.needs("checkov")
@pytest.mark.time_limit(240)
def test_another_linter_finds_nothing_without_a_reason(tmp_path: Path) -> None:
    """In all features at once, since it takes longer to start than to read; nothing is asked of any other machine."""
    for name in FEATURES:
        (tmp_path / f"{name}.yaml").write_text(feature_text(name))
    command = [sys.executable, "-m", "checkov.main", "--directory", tmp_path, "--framework", "kubernetes"]
    options = ["--skip-download", "--compact", "--quiet", "--output", "json"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT / ".tools/checkov")}
    result = subprocess.run(
        [*command, *options], check=False, text=True, capture_output=True, env=environment, timeout=240 * BUSY
    )
    report = json.loads(result.stdout)
    assert report["summary"]["resource_count"] > 100
    assert (report["summary"]["parsing_errors"], report["summary"]["skipped"]) == (0, 0)
    found = [(Path(each["file_path"]).stem, each["check_id"]) for each in report["results"]["failed_checks"]]
    assert {each for each in found if each[1] not in CHECKOV_ACCEPTED} == set()
    assert {check for name, check in found if name == "hardened"} <= CHECKOV_HARDENED
    # A reason that nothing needs any more would hide what comes next.
    assert CHECKOV_ACCEPTED.keys() == {check for _, check in found}


@pytest.mark.parametrize("name", FEATURES)
def test_every_pod_is_restricted(name: str) -> None:
    """The restricted Pod Security Standard, a read-only root, no token that is not needed, and no service links."""
    for _, pod in pods(feature(name)):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert not any("hostPath" in volume for volume in spec.get("volumes", []))
        needs_token = name in ("leader", "hardened", "autoscaling", "fleet-standby", "discovery", "existing-config")
        own = pod["metadata"]["labels"]["app.kubernetes.io/component"] == "exporter"
        assert spec["automountServiceAccountToken"] is (needs_token and own)
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("name", FEATURES)
def test_every_object_has_the_recommended_labels(name: str) -> None:
    """And no selector changes with a version, since selectors cannot be changed."""
    for each in feature(name):
        if each["metadata"]["name"].endswith(("-extra", "-text")):
            continue  # extra manifests are the operator's own
        assert each["metadata"]["labels"].keys() >= {
            *(f"app.kubernetes.io/{key}" for key in ("name", "instance", "version", "managed-by", "component")),
            "helm.sh/chart",
        }
        assert len(each["metadata"]["name"]) <= 63
        selector = each.get("spec", {}).get("selector", {})
        chosen = selector.get("matchLabels", selector)
        assert not {"app.kubernetes.io/version", "helm.sh/chart", "app.kubernetes.io/managed-by"} & chosen.keys()
        if each["kind"] in ("Deployment", "StatefulSet"):
            assert chosen.items() <= each["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("name", [name for name in FEATURES if name != "sidecar"])
def test_the_program_accepts_its_arguments_and_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--config.check` with what a container is given, its volumes filled as Kubernetes would."""
    arguments, environment = mounted_arguments(feature(name), tmp_path)
    monkeypatch.setattr("socket.gethostname", lambda: "iris-exporter-1")
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    result = cli.main([*arguments, "--config.check"])
    assert (result, capsys.readouterr().err) == (0, "")


def test_no_key_is_in_a_config_map() -> None:
    """Inline keys are in a Secret, and only there."""
    for each in feature("inline-keys"):
        text = yaml.safe_dump(each)
        assert ("only-for-tests" in text) == (each["metadata"]["name"] == "iris-exporter-inline-keys")
    assert only(feature("inline-keys"), "Secret")["stringData"].keys() == {"defaults", "test"}


def test_permissions_are_no_wider_than_needed() -> None:
    """Leases by name, Services listed in one namespace, and nothing at all without those features."""
    assert only(feature("fleet-standby"), "Role")["rules"] == [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": ["iris-0", "iris-1"],
            "verbs": ["get", "update"],
        },
    ]
    assert only(feature("leader"), "Role")["rules"][1]["resourceNames"] == ["iris-exporter"]
    role = only(feature("discovery"), "Role")
    assert role["metadata"]["namespace"] == "backends"
    assert role["rules"] == [{"apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch"]}]
    for name in set(FEATURES) - {"leader", "hardened", "autoscaling", "fleet-standby", "discovery"}:
        assert not any(each["kind"] in ("Role", "ClusterRole") for each in feature(name))


def test_dashboards_arrive_unchanged() -> None:
    """Byte for byte, braces included, and each small enough for a ConfigMap."""
    found = {
        key: text
        for each in feature("monitoring")
        if each["kind"] == "ConfigMap" and each["metadata"]["labels"].get("grafana_dashboard") == "1"
        for key, text in each["data"].items()
    }
    sources = {
        path.name: path.read_text().replace(thresholds.RUNBOOKS, "https://wiki.example.com/iris/runbooks")
        for path in (ROOT / "dashboards/json").glob("*.json")
    }
    assert found == {name: text.strip() for name, text in sources.items()}
    assert all(len(text.encode()) < 1_000_000 for text in found.values())
    claimed = [
        each["spec"]["configMapRef"]["key"] for each in feature("monitoring") if each["kind"] == "GrafanaDashboard"
    ]
    assert sorted(claimed) == sorted(sources)


def test_rules_arrive_unchanged_but_for_what_was_asked() -> None:
    """One alert is left out, the others have the further label, the job and the links; the further group comes last."""
    groups = only(feature("monitoring"), "PrometheusRule")["spec"]["groups"]
    text = (ROOT / "alerts/iris.rules.yaml").read_text().replace(thresholds.JOB, "eu-iris")
    text = text.replace(thresholds.RUNBOOKS, "https://wiki.example.com/iris/runbooks")
    text = text.replace("dashboard_url: /d/", "dashboard_url: https://grafana.example.com/d/")
    source = yaml.safe_load(text)["groups"]
    for group in source:
        group["rules"] = [rule for rule in group["rules"] if rule.get("alert") != "IrisStreamError"]
        for rule in group["rules"]:
            if "alert" in rule:
                rule["labels"] = {**rule.get("labels", {}), "team": "ops"}
    assert groups[:-1] == source
    assert groups[-1]["rules"][0]["annotations"]["summary"] == "{{ $value }} anomalies"


def test_pods_are_replaced_when_their_configuration_changes() -> None:
    """And only then."""
    checksums = [
        dict(pods(objects))["iris-exporter"]["metadata"]["annotations"]["checksum/config"]
        for objects in (
            with_values(),
            with_values("service.port=80"),
            with_values("config.web.max-requests=5"),
            with_values("web.config.rate_limit.interval=1s"),
        )
    ]
    assert checksums[0] == checksums[1]
    assert len(set(checksums)) == 3


def test_a_watched_configuration_replaces_pods_only_where_it_has_to() -> None:
    """What a reload cannot apply is below `config`."""
    checksums = [
        dict(pods(with_values("configWatch=true", *more)))["iris-exporter"]["metadata"]["annotations"][
            "checksum/config"
        ]
        for more in (
            (),
            ("streams[0].name=a", "streams[0].url=http://a/"),
            ("streamDefaults.protocol=sse",),
            ("web.config.rate_limit.interval=1s",),
            ("config.web.max-requests=5",),
        )
    ]
    assert len(set(checksums[:4])) == 1
    assert checksums[4] != checksums[0]


def test_two_pods_never_count_at_the_same_time() -> None:
    """A Deployment of one is recreated; with a leader it is rolled."""
    strategies = [
        only(objects, "Deployment", "iris-exporter")["spec"]["strategy"]["type"]
        for objects in (with_values(), with_values("leaderElection.enabled=true"))
    ]
    assert strategies == ["Recreate", "RollingUpdate"]


def test_probes_follow_what_the_port_speaks() -> None:
    """HTTPS with TLS; only the connection where a password is asked for, which a kubelet does not have."""
    files = (f"web.config.tls_server_config.{kind}_file=/etc/iris-exporter/tls/{kind}" for kind in ("cert", "key"))
    tls = exporter(with_values("web.tlsSecret=tls", *files))
    assert tls["livenessProbe"]["httpGet"] == {"path": "/-/healthy", "port": "http", "scheme": "HTTPS"}
    assert exporter(feature("web"))["readinessProbe"]["tcpSocket"] == {"port": "http"}
    assert exporter(feature("existing-web"))["startupProbe"]["tcpSocket"] == {"port": "http"}


def test_a_probe_that_is_null_is_left_out() -> None:
    """The others stay."""
    container = exporter(with_values("livenessProbe=null", "startupProbe=null"))
    assert container.keys() & {"livenessProbe", "readinessProbe", "startupProbe"} == {"readinessProbe"}


def test_the_policy_lets_out_to_the_ports_that_addresses_name() -> None:
    """Of streams, snapshots, the collector and http_sd, each once."""
    objects = with_values(
        "networkPolicy.enabled=true,networkPolicy.egressPorts={443}",
        "streams[0].name=a,streams[0].url=http://a:8080/x",
        "streams[1].name=b,streams[1].url=wss://[::1]:443/x,streams[1].snapshot-url=https://b:8443/",
        "otlp.enabled=true,otlp.endpoint=http://c:4318,discovery.httpUrl=http://d/",
    )
    ports = only(objects, "NetworkPolicy", "iris-exporter")["spec"]["egress"][1]["ports"]
    assert sorted(port["port"] for port in ports) == [443, 4318, 8080, 8443]


def test_the_pod_of_helm_test_runs_where_the_exporter_runs() -> None:
    """Nodes that only tolerated pods may use are often all there are."""
    pod = only(with_values("tolerations[0].key=dedicated", "nodeSelector.role=metrics"), "Pod")["spec"]
    assert (pod["tolerations"], pod["nodeSelector"]) == ([{"key": "dedicated"}], {"role": "metrics"})


def test_every_value_is_used_by_a_template_and_shown_by_an_example() -> None:
    """And tried by a test beside the templates, so that none is forgotten, and none does nothing."""
    templates = "\n".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())
    paths = [value.path for value in described_values(CHART / "values.yaml")]
    shown = [yaml.safe_load(values_file(name).read_text()) for name in FEATURES]
    assert [path for path in paths if path.rpartition(".")[2] not in templates] == []
    assert [path for path in paths if not any(has(values, path) for values in shown)] == []
    suites = [yaml.safe_load(path.read_text()) for path in (CHART / "tests").glob("*_test.yaml")]
    tried = {path for suite in suites for part in (suite, *suite["tests"]) for path in every_path(part.get("set", {}))}
    assert [path for path in paths if path not in tried] == []


def every_path(values: object, path: str = "") -> Iterator[str]:
    """All paths of keys, joined by dots; a key may be a path itself."""
    if path:
        yield path
    if isinstance(values, dict):
        for key, value in values.items():
            yield from every_path(value, f"{path}.{key}" if path else key)


def has(values: object, path: str) -> bool:
    """Whether an example sets the value."""
    for key in path.split("."):
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True


def test_the_chart_says_what_it_is() -> None:
    """The exporter's version, and what Artifact Hub reads."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    assert chart["apiVersion"] == "v2"
    annotations = {key.removeprefix("artifacthub.io/"): value for key, value in chart["annotations"].items()}
    assert annotations.keys() >= {"changes", "images", "license", "links", "category", "prerelease"}
    assert yaml.safe_load(annotations["images"])[0]["image"].endswith(f":{__version__}")
    assert all(maintainer.keys() == {"name", "email", "url"} for maintainer in chart["maintainers"])


@pytest.mark.parametrize("name", FEATURES)
def test_the_notes_say_what_to_try(name: str) -> None:
    """Commands for this release, with names and ports that there are, and no leftover of the template language."""
    result = helm("helm4", "install", "--dry-run=client", "iris-exporter", CHART, "--values", values_file(name))
    notes = result.stdout.partition("NOTES:")[2]
    assert "<no value>" not in notes
    sidecar = name == "sidecar"
    assert ("{{-" in notes) == sidecar

    objects = [each for each in feature(name) if each["kind"] in ("Deployment", "StatefulSet", "Service")]
    there = {f"{each['kind'].lower()}/{each['metadata']['name']}" for each in objects}
    commands = [line.partition("#")[0].split() for line in notes.splitlines() if line.startswith("  kubectl ")]
    named = {word for words in commands for word in words if "/" in word and not word.startswith(("app.", "pod/POD"))}
    pods_of_sets = {f"pod/{each['metadata']['name']}-0" for each in objects if each["kind"] == "StatefulSet"}
    assert named <= there | pods_of_sets
    assert {each for each in there if each.startswith(("deployment/", "statefulset/"))} <= named
    assert {words[2] for words in commands} == {"observability" if name == "pod" else "default"}

    (forward,) = (words for words in commands if "port-forward" in words)
    local, _, remote = forward[5].partition(":")
    kind, _, target = forward[4].partition("/")
    if kind == "service":
        assert int(remote) == only(objects, "Service", target)["spec"]["ports"][0]["port"]
    elif not sidecar:
        assert int(remote) == exporter(feature(name), target.removesuffix("-0"))["ports"][0]["containerPort"]
    assert f"://127.0.0.1:{local}/" in notes
    assert ("curl -k" in notes) == (name in ("web", "existing-web"))
    tested = any(each["metadata"]["labels"]["app.kubernetes.io/component"] == "test" for _, each in pods(feature(name)))
    assert ("helm test iris-exporter" in notes) == tested


def test_the_notes_name_what_has_to_be_there() -> None:
    """Secrets, ConfigMaps and claims of somebody else's, and none of the chart's own."""

    def needed(name: str) -> set[str]:
        result = helm("helm4", "install", "--dry-run=client", "iris-exporter", CHART, "--values", values_file(name))
        lines = result.stdout.partition("NOTES:")[2].splitlines()
        return {line.partition(" get ")[2] for line in lines if " get " in line and " get leases" not in line}

    assert needed("streams") == {"secret iris iris-client iris-eu", "configmap company-ca"}
    assert needed("existing-config") == {"configmap iris-configuration", "pvc iris-state"}
    assert needed("existing-web") == {"secret iris-exporter-tls iris-exporter-web"}
    assert needed("otlp") == {"secret otlp"}
    assert needed("fleet-standby") == {"configmap iris-streams"}
    assert needed("discovery") == {"secret iris iris-eu"}
    assert needed("pod") == {"secret global-pull own-pull"}
    assert needed("demo") == needed("inline-keys") == set()


def test_a_packaged_chart_renders_the_same(tmp_path: Path) -> None:
    """What `helm package` leaves out is not needed."""
    result = helm("helm4", "package", CHART, "--destination", tmp_path)
    assert result.returncode == 0, result.stderr
    (archive,) = tmp_path.glob("*.tgz")
    packaged = rendered_text("helm4", archive, "--values", values_file("monitoring"))
    assert packaged == feature_text("monitoring")
    with tarfile.open(archive) as package:
        folders = {Path(name).parts[1] for name in package.getnames()}
    assert folders == {
        "Chart.yaml",
        "README.md",
        "files",
        "templates",
        "values.schema.json",
        "values.yaml",
        ".helmignore",
    }
