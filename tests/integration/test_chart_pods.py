"""The chart's pods, running: a real cluster of one node and the image that the Dockerfile makes."""

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest
import yaml

from tests.contract.chart import CHART
from tests.integration import images
from tests.integration.harness import Scrape
from tests.integration.kubernetes import helm
from tests.integration.node import NEEDS, Node, Pods, kill_container, node, processes_of
from tests.integration.programs import wait_until
from tests.tools import ROOT
from tests.waiting import BUSY
from tests.web.config.certificates import Authority

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.needs("helm3", "helm4", *NEEDS, *images.NEEDS),
]

REGISTRY, _, _REST = images.NAME.partition("/")
REPOSITORY, _, TAG = _REST.partition(":")
IMAGE = f"--set=image.registry={REGISTRY},image.repository={REPOSITORY},image.tag={TAG}"
RELEASE = ("iris-exporter", CHART, IMAGE)
PORT, DEMO_PORT = 14747, 14748
LEASE_SECONDS = 3
# What the program itself needs at most, and what a busy machine adds.
END_SECONDS = 5 + 5


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One cluster for all tests of this file, each of which has a namespace of its own."""
    archive = images.archive(tmp_path_factory.mktemp("image"))
    started = time.monotonic()
    with node(tmp_path_factory.mktemp("node")) as made:
        made.load(archive)
        print(f"a cluster of one node was ready after {time.monotonic() - started:.1f} s")
        yield made


def ready(pod: dict[str, Any]) -> bool:
    """Whether a pod is Ready, and is to stay."""
    conditions = pod["status"].get("conditions") or []
    return "deletionTimestamp" not in pod["metadata"] and any(
        each["type"] == "Ready" and each["status"] == "True" for each in conditions
    )


def container(pod: dict[str, Any]) -> dict[str, Any]:
    """The status of its first container."""
    found = pod["status"]["containerStatuses"][0]
    assert isinstance(found, dict)
    return found


async def ready_pods(server: Pods, namespace: str, count: int, component: str = "exporter") -> list[dict[str, Any]]:
    """The pods of a component, once there are just so many and all of them are Ready."""

    async def check() -> list[dict[str, Any]]:
        pods = await server.pods(namespace, f"app.kubernetes.io/component={component}")
        return pods if len(pods) == count and all(map(ready, pods)) else []

    try:
        pods = await wait_until(check, f"{count} pods of {component}", 60)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{await server.story(namespace)}") from None
    return sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))


async def scrape(server: Pods, pod: dict[str, Any]) -> Scrape:
    """What a pod answers at its own address to Prometheus, which it keeps the cursors for."""
    header = {"X-Prometheus-Scrape-Timeout-Seconds": "5"}
    status, text = await server.get(f"http://{pod['status']['podIP']}:{PORT}/metrics", **header)
    assert status == 200, text
    return Scrape(text)


async def address_of(server: Pods, namespace: str, service: str) -> str:
    """The cluster's own address of a Service."""
    status, answer = await server.request("GET", f"/api/v1/namespaces/{namespace}/services/{service}")
    assert status == 200, answer
    return str(answer["spec"]["clusterIP"])


async def made_events(server: Pods, namespace: str) -> int:
    """How many events the demo has made so far."""
    address = await address_of(server, namespace, "iris-exporter-demo")
    status, text = await server.get(f"http://{address}:{DEMO_PORT}/api/events?limit=10000")
    assert status == 200, text
    return len(json.loads(text))


async def failed_probes(server: Pods, namespace: str, but: str = "") -> list[str]:
    """What kubelet has said of probes that failed, other than those that wait for a container to start."""
    return [
        f"{event['involvedObject']['name']}: {event['message']}"
        for event in await server.events(namespace)
        if event["reason"] == "Unhealthy"
        and event["involvedObject"]["name"] != but
        and not event["message"].startswith("Startup probe")
    ]


async def uninstall(server: Pods, namespace: str) -> None:
    """Remove the release; its pods end in time."""
    await helm("helm4", server, "uninstall", "iris-exporter", namespace=namespace)

    async def gone() -> bool:
        return not await server.pods(namespace)

    await wait_until(gone, "the pods to end", END_SECONDS)


@pytest.mark.time_limit(120)
@pytest.mark.parametrize("program", ["helm3", "helm4"])
async def test_the_demo_has_something_to_see_in_two_minutes(cluster: Node, program: str) -> None:
    """From `helm install` to the stream being up in a scrape of the Service; then `helm test`."""
    async with cluster.connected() as server:
        await server.namespace(program)
        started = time.monotonic()
        await helm(program, server, "install", *RELEASE, "--set=demo.enabled=true", namespace=program)
        address = await address_of(server, program, "iris-exporter")

        async def up() -> bool:
            try:
                _, text = await server.get(f"http://{address}:{PORT}/metrics")
            except (OSError, TimeoutError, aiohttp.ClientError):
                return False
            return Scrape(text).value("iris_up", stream="demo") == 1

        try:
            await wait_until(up, 'iris_up{stream="demo"} 1', 100)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await server.story(program)}") from None
        print(f'from `{program} install` to iris_up{{stream="demo"}} 1: {time.monotonic() - started:.1f} s')
        for component in ("exporter", "demo-backend"):
            (pod,) = await ready_pods(server, program, 1, component)
            assert container(pod)["restartCount"] == 0
            for process in processes_of(container(pod)["containerID"]):
                # What the restricted standard asks for is what the kernel keeps.
                assert process.status["Uid"].split() == ["65532"] * 4
                assert int(process.status["CapEff"], 16) == int(process.status["CapBnd"], 16) == 0
                assert (process.status["NoNewPrivs"], process.status["Seccomp"]) == ("1", "2")
                assert "ro" in process.root_options
        text = await helm(program, server, "test", "iris-exporter", "--timeout=5m", namespace=program, seconds=70)
        assert "Phase:          Succeeded" in text
        await uninstall(server, program)


@pytest.mark.time_limit(120)
async def test_a_killed_leader_is_followed_and_events_are_counted_once(cluster: Node) -> None:
    """Two replicas with one volume; the kernel kills the leader's container, as it would for want of memory."""
    async with cluster.connected() as server:
        await server.namespace("leader")
        await server.volume("leader", "ReadWriteMany")
        settings = (
            f"--set=demo.enabled=true,demo.rate=8,replicaCount=2,leaderElection.enabled=true,"
            f"leaderElection.leaseDuration={LEASE_SECONDS}s,state.kind=claim,state.accessModes={{ReadWriteMany}},"
            "state.storageClassName=-,state.keep=false"
        )
        await helm("helm4", server, "install", *RELEASE, settings, namespace="leader")
        pods = await ready_pods(server, "leader", 2)

        async def leaders() -> list[dict[str, Any]]:
            return [pod for pod in pods if (await scrape(server, pod)).value("iris_exporter_leader") == 1]

        (leader,) = await wait_until(leaders, "a leader", 20)
        (standby,) = (pod for pod in pods if pod is not leader)

        async def counts() -> bool:
            return (await scrape(server, leader)).total("iris_events_total") >= 30

        await wait_until(counts, "events", 20)
        assert (await scrape(server, standby)).series("iris_up") == {}
        # What it has counted is what its last scrape showed: the cursor is on disk when the answer is complete.
        before = (await scrape(server, leader)).total("iris_events_total")
        killed = time.monotonic()
        kill_container(container(leader)["containerID"])

        async def taken_over() -> bool:
            now = await scrape(server, standby)
            return now.value("iris_exporter_leader") == 1 and now.value("iris_up", stream="demo") == 1

        await wait_until(taken_over, "the takeover", 3 * LEASE_SECONDS + 5)
        print(f"the standby led {time.monotonic() - killed:.1f} s after the leader was killed")

        made = await made_events(server, "leader")

        async def counted() -> float:
            now = await scrape(server, standby)
            return before + now.total("iris_events_total") + now.total("iris_stream_event_gaps_total")

        async def all_counted() -> bool:
            return await counted() >= made

        await wait_until(all_counted, f"{made} events in the counters of both", 20)
        assert await counted() <= await made_events(server, "leader")
        # The container that was killed is back, and stands by.
        pods = await ready_pods(server, "leader", 2)
        restarts = {pod["metadata"]["uid"]: container(pod)["restartCount"] for pod in pods}
        assert restarts == {leader["metadata"]["uid"]: 1, standby["metadata"]["uid"]: 0}
        assert len(await leaders()) == 1
        await uninstall(server, "leader")


async def placement(server: Pods, pods: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Which pods say that they have each stream."""
    found: dict[str, list[str]] = {}
    for pod in pods:
        try:
            now = await scrape(server, pod)
        except (KeyError, OSError, TimeoutError, aiohttp.ClientError):
            continue  # it has no address yet, or is ending
        for labels in now.series("iris_up"):
            found.setdefault(dict(labels)["stream"], []).append(pod["metadata"]["name"])
    return found


@pytest.mark.time_limit(150)
async def test_a_fleet_grows_and_shrinks_with_each_stream_on_one_pod(cluster: Node, tmp_path: Path) -> None:
    """From two shards to three by `helm upgrade`, and back by `helm rollback`."""
    url = "http://iris-exporter-demo:14748/api/stream/overview"
    values = tmp_path / "values.yaml"
    # They differ in name and address, as streams have to, and have one source.
    streams = [{"name": f"stream-{number}", "url": f"{url}?n={number}"} for number in range(8)]
    state = {"kind": "claim", "accessModes": ["ReadWriteMany"], "storageClassName": "-", "keep": False}
    chosen = {"mode": "statefulset", "demo": {"enabled": True}, "state": state, "streams": streams}
    values.write_text(yaml.safe_dump(chosen))
    given = (*RELEASE, "--values", values, "--wait", "--timeout=5m")
    names = {"demo", *(each["name"] for each in streams)}
    looks = 0

    async def never_on_two(server: Pods) -> None:
        nonlocal looks
        while True:
            found = await placement(server, await server.pods("shards", "app.kubernetes.io/component=exporter"))
            # Scrapes of several pods are not of one moment: a stream that moves meanwhile is looked at once more.
            if any(len(where) > 1 for where in found.values()):
                pods = await server.pods("shards", "app.kubernetes.io/component=exporter")
                again = await placement(server, list(reversed(pods)))
                assert not [name for name in found if len(found[name]) > 1 and len(again.get(name, ())) > 1], again
            looks += 1
            await asyncio.sleep(0.1)

    async def shards(server: Pods, count: int) -> dict[str, str]:
        pods = await ready_pods(server, "shards", count)

        async def settled() -> dict[str, list[str]]:
            found = await placement(server, pods)
            return found if set(found) == names else {}

        found = await wait_until(settled, "every stream on a pod", 20)
        assert all(len(where) == 1 for where in found.values()), found
        assert [container(pod)["restartCount"] for pod in pods] == [0] * count
        return {name: pod for name, (pod,) in found.items()}

    async with cluster.connected() as server:
        await server.namespace("shards")
        await server.volume("shards", "ReadWriteMany")
        await helm("helm4", server, "install", *given, namespace="shards", seconds=70)
        two = await shards(server, 2)
        assert set(two.values()) == {"iris-exporter-0", "iris-exporter-1"}
        watching = asyncio.create_task(never_on_two(server))
        await helm("helm4", server, "upgrade", *given, "--set=sharding.shards=3", namespace="shards", seconds=70)
        three = await shards(server, 3)
        moved = {name for name in names if two[name] != three[name]}
        assert {three[name] for name in moved} == {"iris-exporter-2"}
        print(f"{len(moved)} of {len(names)} streams moved to the third pod")
        await helm("helm4", server, "rollback", "iris-exporter", "1", "--wait", namespace="shards", seconds=70)
        assert await shards(server, 2) == two
        if watching.done():
            await watching  # raises what it has seen
        watching.cancel()
        print(f"no stream was on two pods in any of {looks} looks at all of them")
        await uninstall(server, "shards")


@pytest.mark.time_limit(120)
async def test_an_upgrade_replaces_the_pod_and_the_old_one_ends_by_itself(cluster: Node, tmp_path: Path) -> None:
    """With another configuration: never two pods at once, exit code 0 in time, no probe that fails in between."""
    async with cluster.connected() as server:
        await server.namespace("upgrade")
        await helm("helm4", server, "install", *RELEASE, "--set=demo.enabled=true", namespace="upgrade")
        (old,) = await ready_pods(server, "upgrade", 1)
        await ready_pods(server, "upgrade", 1, "demo-backend")
        assert await failed_probes(server, "upgrade") == []
        watched = asyncio.create_task(server.watch("upgrade", old["metadata"]["name"]))
        change = "--set=demo.enabled=true,streamDefaults.max-events=50"
        begun = time.monotonic()
        await helm("helm4", server, "upgrade", *RELEASE, change, namespace="upgrade")

        async def replaced() -> list[dict[str, Any]]:
            pods = await server.pods("upgrade", "app.kubernetes.io/component=exporter")
            running = [
                pod for pod in pods if "containerStatuses" in pod["status"] and "running" in container(pod)["state"]
            ]
            assert len(running) <= 1, [pod["metadata"]["name"] for pod in running]
            return [pod for pod in pods if pod["metadata"]["uid"] != old["metadata"]["uid"] and ready(pod)]

        (new,) = await wait_until(replaced, "another pod", 60)
        print(f"an upgrade took {time.monotonic() - begun:.1f} s, from helm to the new pod being ready")
        last = await asyncio.wait_for(watched, 5 * BUSY)
        ended = container(last)["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (0, "Completed"), ended
        assert container(new)["restartCount"] == 0
        assert "max-events: 50" in (await server.get(f"http://{new['status']['podIP']}:{PORT}/config"))[1]
        # An old pod may be asked once more while it ends.
        assert await failed_probes(server, "upgrade", but=old["metadata"]["name"]) == []
        await uninstall(server, "upgrade")


@pytest.mark.time_limit(120)
async def test_found_streams_come_and_go_without_a_restart(cluster: Node, tmp_path: Path) -> None:
    """From a ConfigMap that kubelet swaps, from one that was not there at first, and from an annotated Service."""
    url = "http://iris-exporter-demo.found.svc:14748/api/stream/overview"
    maps = "/api/v1/namespaces/found/configmaps"

    def named(name: str, *streams: str) -> dict[str, Any]:
        lists = [{"name": stream, "url": f"{url}?n={stream}"} for stream in streams]
        return {"metadata": {"name": name}, "data": {"streams.yaml": yaml.safe_dump(lists)}}

    values = {
        "demo": {"enabled": True},
        "discovery": {
            "configMaps": [{"name": "first"}, {"name": "later", "optional": True}],
            "kubernetes": {"role": "services", "secrets": [{"name": "key"}]},
        },
        "extraArgs": ["--discovery.files-interval=1s"],
    }
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    async with cluster.connected() as server:
        await server.namespace("found")
        await server.make(maps, named("first", "a"))
        secret = {"metadata": {"name": "key"}, "stringData": {"api-key": "secret"}}
        await server.make("/api/v1/namespaces/found/secrets", secret)
        await helm("helm4", server, "install", *RELEASE, "--values", tmp_path / "values.yaml", namespace="found")
        (pod,) = await ready_pods(server, "found", 1)

        async def reaches(*streams: str) -> None:
            async def check() -> bool:
                ups = (await scrape(server, pod)).series("iris_up")
                return {dict(labels)["stream"]: up for labels, up in ups.items()} == dict.fromkeys(streams, 1)

            try:
                await wait_until(check, f"the streams {streams}", 20)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{await server.story('found')}") from None

        await reaches("demo", "a")
        status, _ = await server.request("PUT", f"{maps}/first", named("first", "b", "c"))
        assert status == 200
        await server.make(maps, named("later", "d"))
        annotations = {"iris-exporter.io/scrape": "true", "iris-exporter.io/secret": "key"}
        patch = {"metadata": {"annotations": annotations}}
        service = "/api/v1/namespaces/found/services/iris-exporter-demo"
        status, answer = await server.request("PATCH", service, patch, kind="application/merge-patch+json")
        assert status == 200, answer
        await reaches("demo", "b", "c", "d", "found.iris-exporter-demo")
        (after,) = await ready_pods(server, "found", 1)
        assert after["metadata"]["uid"] == pod["metadata"]["uid"]
        assert container(after)["restartCount"] == 0
        await uninstall(server, "found")


@pytest.mark.time_limit(120)
async def test_a_port_with_tls_and_a_password_is_probed_and_tested(cluster: Node, tmp_path: Path) -> None:
    """By HTTPS first; then, when a password is asked for that kubelet does not have, by connecting alone."""
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    Authority().issue(certificate, key, "iris.example.com")
    secret = {
        "metadata": {"name": "tls"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate.read_text(), "tls.key": key.read_text()},
    }
    files = {"cert_file": "/etc/iris-exporter/tls/tls.crt", "key_file": "/etc/iris-exporter/tls/tls.key"}
    values = tmp_path / "values.yaml"
    async with cluster.connected() as server:
        await server.namespace("web")
        await server.make("/api/v1/namespaces/web/secrets", secret)
        users = {"basic_auth_users": {"prometheus": bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()}}
        for handler, more in (("httpGet", {}), ("tcpSocket", users)):
            config = {"tls_server_config": files, **more}
            values.write_text(
                yaml.safe_dump({"demo": {"enabled": True}, "web": {"tlsSecret": "tls", "config": config}})
            )
            arguments = ("upgrade", "--install", *RELEASE, "--values", values, "--wait", "--timeout=5m")
            await helm("helm4", server, *arguments, namespace="web", seconds=70)
            (pod,) = await ready_pods(server, "web", 1)
            assert handler in pod["spec"]["containers"][0]["readinessProbe"]
            text = await helm("helm4", server, "test", "iris-exporter", "--timeout=5m", namespace="web", seconds=70)
            assert "Phase:          Succeeded" in text
            assert container(pod)["restartCount"] == 0
        await uninstall(server, "web")


APPLICATION = """\
import signal, subprocess, time, urllib.request

def asked(when):
    with urllib.request.urlopen("http://127.0.0.1:14747/-/ready", timeout=25) as answer:
        print(when, answer.status, flush=True)

asked("sidecar at the start:")
source = subprocess.Popen(["iris-exporter", "backend", "--web.listen-address=127.0.0.1:8080", "--rate=5"])
signal.signal(signal.SIGTERM, lambda *_: source.terminate())
source.wait()
time.sleep(2)
asked("sidecar at the end:")
"""


@pytest.mark.time_limit(120)
async def test_a_sidecar_starts_before_the_application_and_ends_after_it(cluster: Node, tmp_path: Path) -> None:
    """The application finds the exporter ready when it starts, and still there when it has ended its own work."""
    chart = tmp_path / "application"
    shutil.copytree(ROOT / "tests/data/chart/application", chart)
    shutil.copytree(CHART, chart / "charts/iris-exporter")
    file = chart / "templates/deployment.yaml"
    restricted = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    own = {
        "name": "application",
        "image": images.NAME,
        "command": ["python", "-c", APPLICATION],
        "securityContext": restricted,
    }
    text = file.read_text()
    before, after = text.split("        - name: application\n          image: example.com/application:1\n")
    file.write_text(f"{before}        - {json.dumps(own)}\n{after}")
    values = "iris-exporter.otlp.enabled=false,iris-exporter.podMonitor.enabled=false"
    names = ("registry", "repository", "tag")
    image = ",".join(f"iris-exporter.image.{k}={v}" for k, v in zip(names, (REGISTRY, REPOSITORY, TAG), strict=True))
    async with cluster.connected() as server:
        await server.namespace("sidecar")
        secret = {"metadata": {"name": "own-key"}, "stringData": {"api-key": "secret"}}
        await server.make("/api/v1/namespaces/sidecar/secrets", secret)
        await helm("helm4", server, "install", "app", chart, f"--set={values},{image}", namespace="sidecar")

        async def running() -> list[dict[str, Any]]:
            return [pod for pod in await server.pods("sidecar", "app=application") if ready(pod)]

        try:
            (pod,) = await wait_until(running, "the application", 60)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await server.story('sidecar')}") from None
        (sidecar,) = pod["status"]["initContainerStatuses"]
        assert sidecar["started"] is True

        async def reads() -> bool:
            return (await scrape(server, pod)).value("iris_up", stream="own") == 1

        await wait_until(reads, "the application's own stream", 20)
        name = pod["metadata"]["name"]
        watched = asyncio.create_task(server.watch("sidecar", name))
        log = asyncio.create_task(server.logs("sidecar", name, "application", follow=True))
        await helm("helm4", server, "uninstall", "app", namespace="sidecar")
        last = await asyncio.wait_for(watched, 20 * BUSY)
        lines = [line for line in (await log).splitlines() if line.startswith("sidecar")]
        assert lines == ["sidecar at the start: 200", "sidecar at the end: 200"]
        (ended,) = (each["state"]["terminated"] for each in last["status"]["initContainerStatuses"])
        assert (ended["exitCode"], sidecar["restartCount"]) == (0, 0), ended
        assert ended["finishedAt"] >= container(last)["state"]["terminated"]["finishedAt"]
