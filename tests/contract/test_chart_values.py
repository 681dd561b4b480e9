"""The chart refuses mistakes, with a sentence that says what to do; and accepts what is none."""

import json

import pytest
import yaml

from iris_exporter.config import OPTIONS
from tests.contract.chart import CHART, HELMS, exporter, helm, only, pods, values_file, with_values

pytestmark = pytest.mark.needs(*HELMS)

# Values, and what the complaint has to contain.
BY_SCHEMA = {
    "replicas without a leader": ("replicaCount=2", "/replicaCount", "set leaderElection.enabled=true"),
    "replicas of a fleet": ("mode=statefulset,replicaCount=2", "/replicaCount", "a fleet has sharding.shards"),
    "standby without a leader": (
        "mode=statefulset,sharding.replicasPerShard=2",
        "/sharding/replicasPerShard",
        "leaderElection.enabled=true",
    ),
    "scaling without a leader": (
        "autoscaling.enabled=true",
        "/autoscaling/enabled",
        "needs leaderElection.enabled=true",
    ),
    "scaling shards": (
        "mode=statefulset,autoscaling.enabled=true",
        "/autoscaling/enabled",
        "the number of shards is sharding.shards",
    ),
    "inline key": ("streams[0].apiKey=top-secret-key", "/streams/0/apiKey", "put the key into a Secret"),
    "inline key for all": ("streamDefaults.apiKey=top-secret-key", "/streamDefaults/apiKey", "allowInlineApiKeys=true"),
    "unknown key": ("replcaCount=2", "replcaCount", "not allowed"),
    "unknown key below": ("state.knd=claim", "knd", "not allowed"),
    "unknown key of a stream": ("streams[0].urll=x", "urll", "not allowed"),
    "stream without an address": ("streams[1].name=b", "/streams/1", "missing property 'url'"),
    "address without a scheme": ("streams[0].url=iris.example.com", "/streams/0/url", "^(https?|wss?)://"),
    "unknown protocol": ("streams[0].protocol=grpc", "/streams/0/protocol", "'websocket'"),
    "duration without a unit": ("streams[0].poll-interval=30", "/streams/0/poll-interval", "want string"),
    "streams in the wrong place": ("config.streams[0].name=x", "/config/streams", "a value of its own"),
    "unknown mode": ("mode=daemonset", "/mode", "'sidecar'"),
    "claim per pod of a Deployment": ("state.kind=claimPerPod", "/state/kind", "needs mode=statefulset"),
    "two monitors": ("serviceMonitor.enabled=true,podMonitor.enabled=true", "/podMonitor/enabled", "twice"),
    "monitor without a Service": (
        "serviceMonitor.enabled=true,service.enabled=false",
        "/service/enabled",
        "serviceMonitor.enabled needs it",
    ),
    "Service of a sidecar": ("mode=sidecar,serviceMonitor.enabled=true", "/serviceMonitor/enabled", "podMonitor"),
    "no collector": ("otlp.enabled=true", "/otlp/endpoint", "the address of a collector"),
    "route without a gateway": ("httpRoute.enabled=true", "/httpRoute/parentRefs", "minItems"),
    "tag as digest": ("image.digest=latest", "/image/digest", "sha256"),
    "text for a number": ("web.port=http", "/web/port", "want integer"),
}


@pytest.mark.parametrize("program", HELMS)
@pytest.mark.parametrize("mistake", BY_SCHEMA)
def test_the_schema_refuses_a_mistake(mistake: str, program: str) -> None:
    """And says where, and what would be right; a key that was given is not repeated."""
    settings, place, hint = BY_SCHEMA[mistake]
    complaint = refusal(program, settings)
    assert place in complaint
    assert hint in complaint
    assert "top-secret-key" not in complaint


# What holds without the schema, too, or needs more than a schema can say.
BY_TEMPLATE = {
    "replicaCount=2": "each replica would count every event: set leaderElection.enabled=true",
    "mode=statefulset,sharding.replicasPerShard=2": "set leaderElection.enabled=true",
    "autoscaling.enabled=true": "changing their number moves streams",
    "serviceMonitor.enabled=true,podMonitor.enabled=true": "scrape every pod twice",
    "serviceMonitor.enabled=true,service.enabled=false": "set service.enabled=true",
    "mode=sidecar,podMonitor.enabled=true": "the pods of a sidecar are yours",
    "ingress.enabled=true,service.enabled=false": "need the Service of this chart",
    "state.kind=claimPerPod": "needs mode=statefulset",
    "mode=statefulset,state.kind=claim": "one volume for several pods",
    "replicaCount=2,leaderElection.enabled=true,state.kind=claim": "ReadWriteMany",
    "otlp.enabled=true": "give the address of a collector",
    "streams[0].apiKey=top-secret-key": "put it into a Secret",
    "existingConfigMap.name=x": "cannot be used beside it",
    "web.existingConfigSecret.name=x,web.config.rate_limit.burst=1": "choose one",
    "demo.enabled=false,streams=null": "there is nothing to read",
    "prometheusRule.enabled=true,prometheusRule.disabledAlerts={NoSuchAlert}": "which is no alert of this chart",
}


@pytest.mark.parametrize("settings", BY_TEMPLATE)
def test_the_templates_refuse_a_mistake(settings: str) -> None:
    """Where schemas are skipped as well, and alike by both Helms."""
    for program in HELMS:
        complaint = refusal(program, settings, "--skip-schema-validation")
        assert BY_TEMPLATE[settings] in complaint
        assert "top-secret-key" not in complaint


def refusal(program: str, settings: str, *options: str) -> str:
    """What helm says to a mistake beside a stream and the demo."""
    stream = "demo.enabled=true,streams[0].name=a,streams[0].url=http://a/"
    result = helm(program, "template", "x", CHART, "--set", f"{stream},{settings}", *options)
    assert result.returncode == 1, result.stdout[:500]
    return result.stderr


def test_every_option_of_a_stream_can_be_a_value() -> None:
    """With its default; what the chart does not know would be refused."""
    stream = {
        option.name: yaml.safe_load(option.default)
        for option in OPTIONS
        if option.group == "stream" and option.default not in (None, "default")
    }
    streams = json.dumps([{"name": "a", "url": "http://a/", **stream}])
    result = helm("helm4", "template", "x", CHART, "--set-json", f"streams={streams}")
    assert result.returncode == 0, result.stderr
    assert "max-connections-per-hour: 100" in result.stdout


def test_leaders_of_shards_have_leases_of_their_own() -> None:
    """One shard alone has the lease's plain name, as the program has it."""
    settings = ("mode=statefulset", "leaderElection.enabled=true")
    for shards, names in ((1, ["iris-exporter"]), (3, [f"iris-exporter-{shard}" for shard in range(3)])):
        role = only(with_values(*settings, f"sharding.shards={shards}"), "Role")
        assert role["rules"][1]["resourceNames"] == names


def test_a_fleet_knows_its_size_and_its_pods_their_ordinal() -> None:
    """Replicas and total are one value."""
    objects = with_values("mode=statefulset", "sharding.shards=5")
    assert only(objects, "StatefulSet")["spec"]["replicas"] == 5
    assert {"--shard=auto", "--total-shards=5"} <= set(exporter(objects)["args"])


def test_long_names_are_cut_and_stay_names() -> None:
    """With the longest suffix of ours, and of a pod of a StatefulSet."""
    name = "a" * 51 + "-b" + "c" * 30
    for each in with_values(f"fullnameOverride={name}", "mode=statefulset", "dashboards.configMaps.enabled=true"):
        assert len(each["metadata"]["name"]) <= 63
        assert not each["metadata"]["name"].endswith("-")


def test_a_second_release_has_names_of_its_own() -> None:
    """Two releases in one namespace share no object and select no pod of each other."""
    found = []
    for release in ("one", "two"):
        result = helm("helm4", "template", release, CHART, "--values", values_file("monitoring"))
        objects = [each for each in yaml.safe_load_all(result.stdout) if each]
        found.append({(each["kind"], each["metadata"]["name"]) for each in objects})
        labels = [pod["metadata"]["labels"]["app.kubernetes.io/instance"] for _, pod in pods(objects)]
        assert set(labels) == {release}
    assert not found[0] & found[1]
