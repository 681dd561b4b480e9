"""The chart refuses mistakes, with a sentence that says what to do; and accepts what is none."""

import json

import pytest
import yaml

from iris_exporter.config import OPTIONS
from tests.contract.chart import CHART, HELMS, exporter, helm, only, pods, values_file, with_values

pytestmark = [pytest.mark.slow, pytest.mark.needs(*HELMS)]

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
    "unknown key below": ("state.knd=claim", "/state/knd", "no such key here; there are kind, mountPath"),
    "unknown key of a stream": ("streams[0].poll_interval=1m", "/streams/0/poll_interval", "poll-interval"),
    "unknown section": ("config.webb.max-requests=1", "/config/webb", "there are web, live, mapping-files)"),
    "unknown option": ("config.web.max-request=1", "/config/web/max-request", "max-requests"),
    "what a flag of the chart's sets": ("config.web.telemetry-path=/x", "/config/web/", "say it by web.telemetryPath"),
    "a stream that is only an address": ("streams[0]=http://a/", "/streams/0", "a map such as {name: production"),
    "a name with a blank": ("streams[0].name=a b", "/streams/0/name", "1 to 64 letters"),
    "stream without an address": ("streams[1].name=b", "/streams/1", "missing property 'url'"),
    "address without a scheme": ("streams[0].url=iris.example.com", "/streams/0/url", "such as wss://iris.example.com"),
    "address without a host": ("streams[0].url=https://", "/streams/0/url", "such as wss://iris.example.com"),
    "address with a key": ("streams[0].url=https://me:top-secret-key@a/", "/streams/0/url", "an address such as"),
    "unknown protocol": ("streams[0].protocol=grpc", "/streams/0/protocol", "'websocket'"),
    "duration without a unit": ("streams[0].poll-interval=30", "/streams/0/poll-interval", "(500ms, 3s, 1m30s)"),
    "duration in seconds": ("leaderElection.leaseDuration=15", "/leaderElection/leaseDuration", "such as 30s or 1m30s"),
    "number out of range": ("streams[0].reconnect-jitter=2", "/streams/0/reconnect-jitter", "between 0 and 1"),
    "time between scrapes": ("serviceMonitor.interval=30", "/serviceMonitor/interval", "such as 30s"),
    "no replicas": ("replicaCount=0", "/replicaCount", "want 1"),
    "fewer than no replicas": ("replicaCount=-1", "/replicaCount", "want 1"),
    "Secret as text": ("streams[0].apiKeySecret=iris", "/streams/0/apiKeySecret", "{name: iris, key: api-key}"),
    "Secret in the words of Kubernetes": (
        "streams[0].apiKeySecret.secretName=iris",
        "/streams/0/apiKeySecret/secretName",
        "there are name, key",
    ),
    "Secret without a name": ("streams[0].apiKeySecret.name=", "/streams/0/apiKeySecret/name", "name of an object"),
    "key as an option": ("streams[0].api-key=top-secret-key", "/streams/0/api-key", "name that in apiKeySecret"),
    "password in place of its hash": (
        "web.config.basic_auth_users.me=top-secret-key",
        "/web/config/basic_auth_users/me",
        "htpasswd -nBC 10",
    ),
    "shards of a Deployment": ("sharding.shards=4", "/sharding/shards", "others need mode=statefulset"),
    "policy of a sidecar": ("mode=sidecar,networkPolicy.enabled=true", "/networkPolicy/enabled", "are yours"),
    "size with a B": ("state.size=1GB", "/state/size", "such as 1Gi"),
    "probe switched off by a word": ("livenessProbe=none", "/livenessProbe", "null for none"),
    "strategy as text": ("strategy=Recreate", "/strategy", "{type: Recreate}"),
    "variables as a map": ("extraEnv.A=b", "/extraEnv", "{name: HTTPS_PROXY"),
    "label that is no text": ("podLabels.a=true", "/podLabels/a", "put it in quotes"),
    "tag that is no text": ("image.tag=1", "/image/tag", 'as in "0.1.0"'),
    "host of an Ingress as text": ("ingress.hosts[0]=iris.example.com", "/ingress/hosts/0", "{host: iris.example.com"),
    "share that is none": ("podDisruptionBudget.minAvailable=half", "/minAvailable", "a percentage such as 50%"),
    "limits misspelt": ("resources.limit.cpu=1", "/resources/limit", "there are requests, limits"),
    "collector without a scheme": (
        "otlp.endpoint=collector:4317",
        "/otlp/endpoint",
        "otel-collector.observability:4318",
    ),
    "capitals in a name": ("fullnameOverride=Iris", "/fullnameOverride", "small letters"),
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
    "route without a gateway": ("httpRoute.enabled=true", "/httpRoute/parentRefs", "needed: the Gateway"),
    "Ingress without a host": ("ingress.enabled=true", "/ingress/hosts", "{host: iris.example.com}"),
    "tag as digest": ("image.digest=latest", "/image/digest", "sha256"),
    "unknown family": ("service.ipFamilies={IPv5}", "/service/ipFamilies/0", "'IPv6'"),
    "family twice": ("service.ipFamilies={IPv6,IPv6}", "/service/ipFamilies", "equal"),
    "unknown policy": ("service.externalTrafficPolicy=Nearest", "/service/externalTrafficPolicy", "'Local'"),
    "name for an address": ("service.loadBalancerIP=iris.example.com", "/service/loadBalancerIP", "192.0.2.10"),
    "address for a range": (
        "service.type=LoadBalancer,service.loadBalancerSourceRanges={10.0.0.1}",
        "/service/loadBalancerSourceRanges/0",
        "10.0.0.0/8",
    ),
    "proxy without a scheme": ("serviceMonitor.proxyUrl=proxy:3128", "/serviceMonitor/proxyUrl", "http://proxy"),
    "proxy with a password": (
        "serviceMonitor.proxyUrl=http://me:top-secret-key@p:1",
        "/serviceMonitor/proxyUrl",
        "such",
    ),
    "token in place of a Secret": (
        "serviceMonitor.authorization.credentials=top-secret-key",
        "/serviceMonitor/authorization/credentials",
        "names a Secret",
    ),
    "token of no key": (
        "serviceMonitor.authorization.credentials.name=a",
        "/serviceMonitor/authorization/credentials",
        "'key'",
    ),
    "labels honoured by a word": ("serviceMonitor.honorLabels=yes", "/serviceMonitor/honorLabels", "want boolean"),
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
    "streams[1].name=a,streams[1].url=http://b/": "two streams are called a",
    "streams[1].name=b,streams[1].url=ws://a:80": "the streams a and b have the same url",
    "streams[1].name=demo,streams[1].url=http://b/": "as demo.enabled calls its own",
    "streams[0].url=wss://a/,streams[0].protocol=sse": "write http:// or https://",
    "streams[0].url=wss://a/,streamDefaults.protocol=poll": "write http:// or https://",
    "streams[0].url=http://a/?api_key=top-secret-key": "name that in apiKeySecret",
    "streams[0].url=http://me:top-secret-key@a/": "name that in apiKeySecret",
    "streams[0].headers.Authorization=top-secret-key": "name that in headersSecret",
    "streams[0].headers={Accept: a,X-API-Key: top-secret-key}": "name that in headersSecret",
    "streamDefaults.headers=Cookie: top-secret-key": "streamDefaults has a header that looks like a key",
    "streams[0].apiKeySecret.name=x,streams[0].api-key-file=/x": "has apiKeySecret and api-key-file: choose one",
    "streams[0].tlsCaSecret.name=x,streams[0].tlsCaConfigMap.name=x": "choose one",
    "strategy.type=RollingUpdate": "both would count every event",
    "strategy.rollingUpdate.maxUnavailable=1": "both would count every event",
    "leaderElection.enabled=true,autoscaling.enabled=true,autoscaling.minReplicas=9": "above autoscaling.maxReplicas",
    "podDisruptionBudget.enabled=true,podDisruptionBudget.maxUnavailable=null": "set one of them",
    "sharding.shards=4": "mode=deployment divides no streams",
    "mode=sidecar,podDisruptionBudget.enabled=true": "make the objects for them",
    "leaderElection.enabled=true,serviceAccount.create=false": "name the account of these pods",
    "mode=sidecar,discovery.kubernetes.role=pods": "name the account of these pods",
    "state.existingClaim=x": "set state.kind=claim",
    "web.tlsSecret=x": "would speak plain HTTP",
    "web.config.tls_server_config.key_file=/etc/iris-exporter/tls/tls.key": "in web.tlsSecret",
    "web.tls=true": "there is none",
    "otlp.enabled=true,otlp.endpoint=http://c,extraEnv[0].name=OTEL_LOGS_EXPORTER": "which otlp sets as well",
    "serviceMonitor.enabled=true,serviceMonitor.interval=1m,serviceMonitor.scrapeTimeout=1m1s": "make it shorter",
    "service.loadBalancerIP=192.0.2.10": "set service.type=LoadBalancer",
    "service.type=NodePort,service.loadBalancerSourceRanges={10.0.0.0/8}": "set service.type=LoadBalancer",
    "service.loadBalancerClass=x": "set service.type=LoadBalancer",
    "service.allocateLoadBalancerNodePorts=false": "set service.type=LoadBalancer",
    "service.externalTrafficPolicy=Local": "set service.type=NodePort or LoadBalancer",
    "service.ipFamilies={IPv4,IPv6}": "set service.ipFamilyPolicy to PreferDualStack",
    "service.ipFamilies={IPv4,IPv6},service.ipFamilyPolicy=SingleStack": "set service.ipFamilyPolicy",
    "serviceMonitor.basicAuth.username.name=a,serviceMonitor.oauth2.tokenUrl=b": "choose one",
    "serviceMonitor.authorization.type=a,serviceMonitor.oauth2.tokenUrl=b": "choose one",
    "serviceMonitor.noProxy=a": "is an exception from serviceMonitor.proxyUrl",
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


# Near a mistake, and none.
ACCEPTED = (
    "streams[1].name=b,streams[1].url=https://a/",
    "streams[1].name=b,streams[1].url=http://a/?project=b",
    "streams[0].headers.X-Tenant=eu",
    "streams[0].url=ws://a/,streams[0].protocol=websocket",
    "strategy.type=RollingUpdate,strategy.rollingUpdate.maxSurge=0,strategy.rollingUpdate.maxUnavailable=1",
    "strategy.type=RollingUpdate,leaderElection.enabled=true",
    "leaderElection.enabled=true,serviceAccount.create=false,rbac.create=false",
    "serviceMonitor.enabled=true,serviceMonitor.interval=1m30s,serviceMonitor.scrapeTimeout=90s",
    "serviceMonitor.enabled=true,serviceMonitor.scrapeTimeout=90s",
    "podDisruptionBudget.enabled=true,podDisruptionBudget.minAvailable=0",
    "otlp.endpoint=http://collector:4318",
    "image.pullPolicy=Never,imagePullSecrets[0]=a,imagePullSecrets[1].name=b",
    "livenessProbe=null,readinessProbe=null,startupProbe=null",
    "streams[0].stable-after=0",
    "global.anything.of.others=1",
    "namespaceOverride=1st-team",
    "service.ipFamilies={IPv6}",
    "service.ipFamilies={IPv4,IPv6},service.ipFamilyPolicy=PreferDualStack",
    "service.type=NodePort,service.externalTrafficPolicy=Local",
    "serviceMonitor.proxyUrl=socks5://proxy:1080,serviceMonitor.noProxy=a",
)


@pytest.mark.parametrize("settings", ACCEPTED)
def test_what_is_no_mistake_is_accepted(settings: str) -> None:
    """By schema and templates."""
    assert pods(with_values("streams[0].name=a", "streams[0].url=http://a/", settings))
