"""Whatever is shipped and selects something by a name finds what the other shipped parts call it."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts import exporter as exporter_rules
from alerts import thresholds
from alerts.exporter import DOWN, KNOWN
from alerts.main import GROUPS
from dashboards.common import SERVICE_NAME
from tests.contract.chart import (
    CHART,
    FEATURES,
    HELMS,
    Manifest,
    feature,
    helm,
    only,
    pods,
    rendered,
    values_file,
    with_values,
)
from tests.contract.scrapes import shipped_scrapes
from tests.docs.pages import all_blocks, pages
from tests.examples import cases
from tests.tools import ROOT, tool
from tests.waiting import BUSY

ALERTS = [alert for group in GROUPS for alert in group.alerts]
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "dashboards/json").glob("*.json")}


# Prometheus: jobs and rules.


def test_every_scrape_configuration_uses_one_job_name() -> None:
    """That of the quick start, and those of the files."""
    found = shipped_scrapes()
    assert {"docs/quickstart.md", "deploy/prometheus/prometheus.yml", "deploy/compose/prometheus.yml"} <= set(found)
    assert {scrape["job_name"] for scrapes in found.values() for scrape in scrapes} == {"iris-exporter"}
    assert re.fullmatch(thresholds.JOB, "iris-exporter")


def promtool_test(directory: Path, cases: list[dict[str, Any]]) -> str:
    """Run cases with the shipped rules about exporters; what promtool says where one fails, else nothing.

    Other groups know nothing of these rules, and their evaluation would take most of the time.
    """
    rules = yaml.load((ROOT / "alerts/iris.rules.yaml").read_text(), yaml.CSafeLoader)
    groups = [group for group in rules["groups"] if group["name"] == exporter_rules.GROUP.name]
    (directory / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": cases}
    path = directory / "cases.yaml"
    path.write_text(yaml.safe_dump(document))
    result = subprocess.run(
        [tool("promtool"), "test", "rules", path], check=False, capture_output=True, text=True, timeout=60 * BUSY
    )
    return "" if result.returncode == 0 else result.stdout + result.stderr


def series(name: str, job: str, instance: str, values: str, **labels: str) -> dict[str, str]:
    """An input series."""
    text = ",".join(f'{key}="{value}"' for key, value in {"job": job, "instance": instance, **labels}.items())
    return {"series": f"{name}{{{text}}}", "values": values}


def exporter(job: str, instance: str, up: str) -> list[dict[str, str]]:
    """An exporter's target; while it is down it has no series of its own."""
    info = re.sub(r"\b0\+0x(\d+)", r"stale _x\1", up)
    return [
        series("up", job, instance, up),
        series("iris_exporter_build_info", job, instance, info, version="1", revision="a", pythonversion="3.13"),
    ]


def fires(minute: int, *targets: tuple[str, str]) -> dict[str, Any]:
    """What the alert has to be at a minute: a list of job and instance; the empty job for none at all."""
    common = {"severity": DOWN.severity.value, "concern": DOWN.concern.value}
    found = []
    for job, instance in targets:
        labels = {"job": job, "instance": instance} if job else {}
        text = DOWN.annotations["description"]
        start, _, rest = text.partition("{{ else }}")
        other, _, end = rest.partition("{{ end }}")
        chosen = start.partition("}}")[2] if job else other
        annotations = {**DOWN.annotations, "description": f"{chosen}{end}".replace("{{ $labels.instance }}", instance)}
        found.append({"exp_labels": {**common, **labels}, "exp_annotations": annotations})
    return {"eval_time": f"{minute}m", "alertname": DOWN.name, "exp_alerts": found}


JOBS = ("iris-exporter", "iris", "kubernetes-pods", "monitoring/iris-exporter", "serviceMonitor/telemetry/x/0")
"""The quick start's, as it was, a scrape by annotations, a PodMonitor, and a Prometheus that knows no better."""


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("job", cases(JOBS, quick={"iris-exporter", "kubernetes-pods"}))
def test_an_exporter_that_answers_is_not_reported_and_one_that_does_not_is(tmp_path: Path, job: str) -> None:
    """For as long as it is a target, which is longer than any range; another target of the job is not ours."""
    targets = [
        *exporter(job, "a:14747", "1+0x20 0+0x600 1+0x20"),
        *exporter(job, "b:14747", "1+0x641"),
        *(series("up", job, f"other{number}:1", values) for number, values in enumerate(("1+0x641", "0+0x641"))),
    ]
    # A plain job of ours has only targets of ours.
    if re.fullmatch(thresholds.JOB, job):
        targets = targets[:-2]
    quiet = [fires(19), fires(24), fires(640)]
    down = [fires(minute, (job, "a:14747")) for minute in (30, 300, 615)]
    case = {"interval": "1m", "input_series": targets, "alert_rule_test": [*quiet[:2], *down, quiet[2]]}
    assert promtool_test(tmp_path, [case]) == ""


@pytest.mark.needs("promtool")
def test_the_only_exporter_of_a_renamed_job_is_one_alert_and_not_two(tmp_path: Path) -> None:
    """`absent` does not fire beside it, and does where the target itself is gone."""
    case = {
        "interval": "1m",
        "input_series": exporter("iris", "a:14747", "1+0x20 0+0x60 stale"),
        "alert_rule_test": [
            fires(20),
            fires(30, ("iris", "a:14747")),
            fires(79, ("iris", "a:14747")),
            fires(90, ("", "")),
        ],
    }
    assert promtool_test(tmp_path, [case]) == ""


@pytest.mark.needs("promtool")
def test_several_jobs_are_told_apart(tmp_path: Path) -> None:
    """Each exporter that is down is reported with its own job; one that has never answered by the usual job alone."""
    case = {
        "interval": "1m",
        "input_series": [
            *exporter("eu", "a:14747", "1+0x60"),
            *exporter("us", "a:14747", "1+0x20 0+0x40"),
            series("up", "team-iris-exporter", "new:14747", "0+0x60"),
            series("up", "node", "a:14747", "0+0x60"),
        ],
        "alert_rule_test": [
            fires(10, ("team-iris-exporter", "new:14747")),
            fires(40, ("team-iris-exporter", "new:14747"), ("us", "a:14747")),
        ],
    }
    assert promtool_test(tmp_path, [case]) == ""


@pytest.mark.needs("promtool")
def test_an_address_that_somebody_else_has_now_is_forgotten(tmp_path: Path) -> None:
    """What answers for an hour without our metrics is no exporter of ours any more, and may fail as it likes."""
    case = {
        "interval": "1m",
        "input_series": [
            *exporter("pods", "b:14747", "1+0x300"),
            series("up", "pods", "a:14747", "1+0x20 0+0x30 1+0x70 0+0x200"),
            series("iris_exporter_build_info", "pods", "a:14747", "1+0x20 stale", version="1"),
        ],
        "alert_rule_test": [fires(40, ("pods", "a:14747")), fires(70), fires(250)],
    }
    assert promtool_test(tmp_path, [case]) == ""


@pytest.mark.needs("promtool")
def test_metrics_that_are_pushed_are_no_missing_target(tmp_path: Path) -> None:
    """Over OTLP there is no `up`."""
    case = {
        "interval": "1m",
        "input_series": exporter("iris", "a", "1+0x60")[1:],
        "alert_rule_test": [fires(5), fires(50)],
    }
    assert promtool_test(tmp_path, [case]) == ""


# The chart: monitors and rules.


def operator_job(objects: list[Manifest]) -> str:
    """The `job` that the Prometheus Operator gives the targets of the one monitor."""
    (monitor,) = [each for each in objects if each["kind"] in ("ServiceMonitor", "PodMonitor")]
    label = monitor["spec"].get("jobLabel", "")
    if monitor["kind"] == "ServiceMonitor":
        (service,) = selected(monitor["spec"]["selector"], [each for each in objects if each["kind"] == "Service"])
        return str(service["metadata"]["labels"].get(label) or service["metadata"]["name"])
    metadata = monitor["metadata"]
    found = {
        pod["metadata"]["labels"].get(label) for _, pod in pods(objects) if matches(monitor["spec"]["selector"], pod)
    }
    (value,) = found or {None}
    return str(value or f"{metadata['namespace']}/{metadata['name']}")


def matches(selector: dict[str, Any], each: Manifest) -> bool:
    """Whether an object has all labels."""
    return selector["matchLabels"].items() <= each["metadata"].get("labels", {}).items()


def selected(selector: dict[str, Any], objects: list[Manifest]) -> list[Manifest]:
    """The objects that a selector finds."""
    return [each for each in objects if matches(selector, each)]


RENAMED = (
    "",
    "nameOverride=iris",
    "fullnameOverride=iris",
    "nameOverride=iris,fullnameOverride=telemetry",
    "serviceMonitor.jobLabel=",
    "serviceMonitor.jobLabel=,fullnameOverride=iris",
    "serviceMonitor.jobLabel=team,commonLabels.team=ops",
    "serviceMonitor.jobLabel=team,service.labels.team=ops,podLabels.team=ops",
    "serviceMonitor.jobLabel=no-such-label",
    "serviceMonitor.jobLabel=app.kubernetes.io/part-of",
    "serviceMonitor.jobLabel=app.kubernetes.io/instance",
    "serviceMonitor.jobLabel=app.kubernetes.io/version",
    "serviceMonitor.jobLabel=helm.sh/chart",
    "serviceMonitor.jobLabel=,serviceMonitor.namespace=elsewhere,namespaceOverride=here",
    "mode=statefulset,nameOverride=a.b",
)


def down_rule(objects: list[Manifest]) -> dict[str, Any]:
    """The alert in the chart's PrometheusRule."""
    groups = only(objects, "PrometheusRule")["spec"]["groups"]
    (rule,) = [rule for group in groups for rule in group["rules"] if rule.get("alert") == DOWN.name]
    return dict(rule)


def job_patterns(expression: str) -> set[str]:
    """The regular expressions that an expression has for `job`, with the escapes of PromQL resolved."""
    return {json.loads(f'"{text}"') for text in re.findall(r'up\{job=~"((?:[^"\\]|\\.)*)"\}', expression)}


@pytest.mark.needs(*HELMS)
@pytest.mark.parametrize("program", [pytest.param("helm3", marks=pytest.mark.slow), "helm4"])
@pytest.mark.parametrize("monitor", ["serviceMonitor", "podMonitor"])
@pytest.mark.parametrize(
    "settings",
    cases(
        RENAMED,
        quick={
            "",
            "nameOverride=iris,fullnameOverride=telemetry",
            "serviceMonitor.jobLabel=,fullnameOverride=iris",
            "serviceMonitor.jobLabel=team,service.labels.team=ops,podLabels.team=ops",
        },
    ),
)
def test_the_rules_of_the_chart_know_the_job_of_its_targets(settings: str, monitor: str, program: str) -> None:
    """Whatever renames it. Helm 3 takes its turn with the slow tests: that both render the same is tested elsewhere."""
    switches = ["prometheusRule.enabled=true", f"{monitor}.enabled=true", *([settings] if settings else [])]
    objects = with_values(*switches, program=program)
    rule = down_rule(objects)
    (pattern,) = job_patterns(rule["expr"])
    job = operator_job(objects)
    assert re.fullmatch(pattern, job)
    assert not re.fullmatch(pattern, f"x{job}")
    assert f"job is {pattern}," in rule["annotations"]["description"]


@pytest.mark.needs(*HELMS)
def test_a_sidecars_job_is_that_of_its_pod_monitor() -> None:
    """Its pods are somebody else's, and so is their name."""
    objects = rendered(
        "helm4",
        CHART,
        "--values",
        values_file("sidecar"),
        "--set=podMonitor.enabled=true,podMonitor.selector.app=x,prometheusRule.enabled=true",
    )
    (pattern,) = job_patterns(down_rule(objects)["expr"])
    assert re.fullmatch(pattern, operator_job(objects))


@pytest.mark.needs(*HELMS)
def test_without_a_monitor_the_rules_are_those_of_the_repository() -> None:
    """Or go by the job that somebody names, quotes and all."""
    switch = "prometheusRule.enabled=true"
    rule = down_rule(with_values(switch))
    assert (rule["expr"], rule["annotations"]["description"]) == (DOWN.expr, DOWN.annotations["description"])
    assert job_patterns(DOWN.expr) == {thresholds.JOB}
    named = down_rule(with_values(switch, r'prometheusRule.job=a\\.b|"c"', "serviceMonitor.enabled=true"))
    assert job_patterns(named["expr"]) == {r'a\.b|"c"'}


@pytest.mark.needs("promtool", *HELMS)
def test_prometheus_accepts_the_rules_of_a_renamed_chart(tmp_path: Path) -> None:
    """Escapes included."""
    objects = with_values("prometheusRule.enabled=true", "serviceMonitor.enabled=true", "nameOverride=a.b")
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(only(objects, "PrometheusRule")["spec"]))
    result = subprocess.run([tool("promtool"), "check", "rules", path], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


# The chart: selectors of Kubernetes.


def workload_pods(objects: list[Manifest]) -> list[Manifest]:
    """Everything that runs, as pods."""
    return [pod for _, pod in pods(objects)]


def ports(pod: Manifest) -> set[str]:
    """Names of all ports of a pod."""
    spec = pod["spec"]
    containers = [*spec["containers"], *spec.get("initContainers", [])]
    return {port["name"] for container in containers for port in container.get("ports", []) if "name" in port}


def pod_selectors(objects: list[Manifest]) -> Iterator[tuple[str, dict[str, Any], set[str]]]:
    """Where a selector of pods is, what it asks for, and names of ports that the pods need."""
    for each in objects:
        kind, spec = each["kind"], each.get("spec", {})
        where = f"{kind} {each['metadata']['name']}"
        if kind == "Service":
            yield where, {"matchLabels": spec["selector"]}, {port["targetPort"] for port in spec["ports"]}
        elif kind == "PodDisruptionBudget":
            yield where, spec["selector"], set()
        elif kind == "PodMonitor":
            yield where, spec["selector"], {endpoint["port"] for endpoint in spec["podMetricsEndpoints"]}
        elif kind == "NetworkPolicy":
            yield (
                where,
                spec["podSelector"],
                {port["port"] for rule in spec["ingress"] for port in rule.get("ports", [])},
            )
            # Only what the chart itself writes; ingressFrom and egressTo are somebody's own.
            for rule in [*spec["ingress"], *spec.get("egress", [])]:
                for peer in [*rule.get("from", []), *rule.get("to", [])]:
                    if "app.kubernetes.io/instance" in peer.get("podSelector", {}).get("matchLabels", {}):
                        yield f"{where}, a peer", peer["podSelector"], set()


HOSTILE = {
    "plain": (),
    "renamed": (
        "--set=nameOverride=iris,fullnameOverride=telemetry",
        "--set=podLabels.app\\.kubernetes\\.io/name=x,commonLabels.app\\.kubernetes\\.io/name=y",
        "--set=service.labels.iris-exporter\\.io/service=z,labels.app\\.kubernetes\\.io/component=z",
    ),
}


@pytest.mark.needs(*HELMS)
@pytest.mark.parametrize("hostile", cases(HOSTILE, quick={"plain"}))
@pytest.mark.parametrize("name", FEATURES)
def test_every_selector_of_the_chart_finds_pods_of_the_chart(name: str, hostile: str) -> None:
    """With the ports that it names; and each workload its own pods."""
    objects = rendered("helm4", CHART, "--values", values_file(name), *HOSTILE[hostile])
    running = workload_pods(objects)
    own_pods = not any(each["kind"] == "PodMonitor" for each in objects) or bool(running)
    for where, selector, needed in pod_selectors(objects):
        if name == "sidecar" and where.startswith("PodMonitor"):
            continue
        found = selected(selector, running)
        assert found, where
        assert own_pods
        for pod in found:
            assert needed <= ports(pod), where
    for each in objects:
        if each["kind"] in ("Deployment", "StatefulSet"):
            assert matches(each["spec"]["selector"], each["spec"]["template"])
        if each["kind"] == "StatefulSet":
            only(objects, "Service", each["spec"]["serviceName"])
        if each["kind"] == "HorizontalPodAutoscaler":
            only(objects, each["spec"]["scaleTargetRef"]["kind"], each["spec"]["scaleTargetRef"]["name"])
        if each["kind"] == "ServiceMonitor":
            (service,) = selected(each["spec"]["selector"], [one for one in objects if one["kind"] == "Service"])
            assert each["spec"]["namespaceSelector"]["matchNames"] == [service["metadata"]["namespace"]]
            assert {one["port"] for one in each["spec"]["endpoints"]} <= {
                one["name"] for one in service["spec"]["ports"]
            }


@pytest.mark.needs(*HELMS)
def test_what_is_for_the_test_pod_is_for_no_pod_of_another_chart() -> None:
    """Charts of one release share the label of the instance."""
    policy = only(feature("network"), "NetworkPolicy", "iris-exporter-test")
    assert policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "iris-exporter"


@pytest.mark.needs(*HELMS)
def test_a_pod_monitor_scrapes_the_exporter_alone() -> None:
    """A sidecar's neighbour may have a port `http` as well."""
    for name, container in (("sidecar", "iris-exporter"), ("pod-monitor", "iris-exporter")):
        (monitor,) = [each for each in feature(name) if each["kind"] == "PodMonitor"]
        (first, *_) = monitor["spec"]["podMetricsEndpoints"][0]["relabelings"]
        assert first == {
            "action": "keep",
            "sourceLabels": ["__meta_kubernetes_pod_container_name"],
            "regex": container,
        }
    included = helm("helm4", "show", "values", CHART)
    assert included.returncode == 0
    assert "name: iris-exporter\n" in (CHART / "templates/_container.tpl").read_text()


# Alertmanager and Grafana.


def test_routes_and_inhibitions_match_what_alerts_have() -> None:
    """Every matcher of every route and rule fits an alert, and what is equal are labels of both."""
    labels = [{"alertname": alert.name, **alert.all_labels} for alert in ALERTS]
    document = yaml.safe_load((ROOT / "deploy/prometheus/alertmanager.yml").read_text())
    sets = [route["matchers"] for route in document["route"]["routes"]]
    sets += [
        matchers
        for rule in document["inhibit_rules"]
        for matchers in (rule["source_matchers"], rule["target_matchers"])
    ]
    for matchers in sets:
        parsed = [re.fullmatch(r'(\w+)(=~?)"(.*)"', text) for text in matchers]
        assert all(parsed), matchers
        assert any(
            all(
                match and re.fullmatch(match[3] if match[2] == "=~" else re.escape(match[3]), one.get(match[1], ""))
                for match in parsed
            )
            for one in labels
        ), matchers
        for match in parsed:
            for name in match[3].split("|") if match and match[1] == "alertname" else ():
                assert name in {alert.name for alert in ALERTS}
    receivers = {each["name"] for each in document["receivers"]}
    assert {document["route"]["receiver"], *(route["receiver"] for route in document["route"]["routes"])} <= receivers


def test_links_between_dashboards_and_from_alerts_lead_somewhere() -> None:
    """By uid."""
    text = "".join(json.dumps(board) for board in DASHBOARDS.values()) + (ROOT / "alerts/iris.rules.yaml").read_text()
    assert set(re.findall(r"/d/([a-z-]+)", text)) <= {board["uid"] for board in DASHBOARDS.values()}


def test_data_sources_refer_to_each_other_by_uids_that_are_provisioned() -> None:
    """Loki to Tempo, Tempo to Loki, exemplars to Tempo; and rules to Prometheus."""
    files = [
        *(ROOT / "deploy").rglob("*datasource*.yaml"),
        *(ROOT / "deploy/grafana/provisioning/datasources").glob("*.yaml"),
    ]
    texts = [path.read_text() for path in files]
    uids = {source["uid"] for text in texts for source in yaml.safe_load(text)["datasources"]}
    named = set(re.findall(r"datasourceUid: ([\w-]+)", "".join(texts)))
    named |= set(re.findall(r"datasourceUid: ([\w-]+)", (ROOT / "deploy/grafana/alerting/iris.yaml").read_text()))
    assert named - {"__expr__"} <= uids


def test_logs_are_selected_by_the_name_that_the_exporter_gives_itself() -> None:
    """In dashboards, in the data sources and in the text of pages."""
    texts = [json.dumps(board) for board in DASHBOARDS.values()]
    texts += [path.read_text() for path in (ROOT / "deploy/grafana/provisioning").rglob("*.yaml")]
    texts += [path.read_text() for path in pages()]
    assert set(re.findall(r'service_name=\\?"([^"\\]+)', "".join(texts))) == {SERVICE_NAME}


def test_a_dashboard_chooses_all_of_ours_and_nobody_elses() -> None:
    """`up` and `process_...` are of everything that Prometheus scrapes: "All" is then the values that ours have."""
    for board in DASHBOARDS.values():
        for variable in board["templating"]["list"]:
            if variable["name"] in ("job", "instance"):
                assert variable.get("allValue") is None
                assert "iris_exporter_build_info" in json.dumps(variable["query"])


def test_pages_name_objects_and_jobs_that_exist() -> None:
    """A snippet of YAML with the labels of our objects has their names."""
    for block in all_blocks():
        for job in re.findall(r"job_name: (\S+)", block.text if block.language == "yaml" else ""):
            assert job == "iris-exporter", block
    assert KNOWN.name in DOWN.expr
