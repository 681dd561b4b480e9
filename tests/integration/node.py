"""A whole cluster of one node, so that pods run: Kubernetes' own programs, containerd, runc, CNI plugins and CoreDNS.

It lives in a machine of its own (node_machine.py), of which nothing is left when it ends. NetworkPolicies are stored
and not enforced, as with any network plugin that does not know them.

Addresses are from the ranges for documentation (RFC 5737): the node's, the pods' and the Services'.
"""

import asyncio
import ctypes
import hashlib
import io
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.integration.kubernetes import (
    ACCOUNTS_KEY,
    ADMIN_TOKEN,
    CA_FILE,
    KUBECONFIG,
    RESTRICTED,
    Cluster,
    control_plane,
    write_kubeconfig,
)
from tests.integration.programs import POLL_SECONDS, wait_until
from tests.tools import tool
from tests.waiting import BUSY

# A plugin that Debian does not have on PATH; the others lie beside it.
CNI = "/usr/lib/cni/ptp"
NEEDS = (
    *("root-with-cgroup-v1", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"),
    *("kube-proxy", "containerd", "containerd-shim-runc-v2", "ctr", "pause", "coredns", "runc", "nft", CNI),
)
ADDRESS = "192.0.2.1"
PODS = "198.51.100.0/24"
SERVICES = "203.0.113.0/24"
API_PORT = 6443
PAUSE_IMAGE = "test.invalid/pause:1"
STOP_SECONDS = 20.0
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


class Machine:
    """The namespaces, and what runs in them. Made outside of any event loop, since several tests share it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._report = directory / "machine.log"
        script = Path(__file__).with_name("node_machine.py")
        with self._report.open("w") as report:
            self._process = subprocess.Popen(
                [sys.executable, str(script), ADDRESS, str(directory)],
                stdin=subprocess.PIPE,
                stdout=report,
                stderr=report,
                # An interrupt at the terminal is for the tests, which end it by its input.
                start_new_session=True,
            )

    def open(self) -> None:
        """Wait until programs can be started in it."""
        wait(lambda: "started" in self.report(), "the machine to start", 10)
        # The outer process has unshare as its child, whose child is the init.
        self.pid = _child(_child(self._process.pid))
        # A packet to a Service needs some way out before kube-proxy gives it another destination.
        self.run("ip", "route", "add", SERVICES, "dev", "lo", "src", ADDRESS)

    def report(self) -> str:
        """What the machine said: JSON lines, and its errors."""
        assert self._process.poll() is None, self._report.read_text()
        return self._report.read_text()

    def start(self, name: str, *command: str | Path, **environment: str) -> None:
        """Start a program that runs until the end."""
        order = {
            "name": name,
            "command": [str(word) for word in command],
            "log": str(self.directory / f"{name}.log"),
            "environment": environment,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def check(self) -> None:
        """Fail when one of the programs has ended."""
        for line in self.report().splitlines():
            assert line.startswith("{"), self.report()
            ended = json.loads(line).get("ended")
            assert ended is None, f"{line}\n{self.log(ended)[-5000:]}"

    def log(self, name: str) -> str:
        """What a program has printed."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    @property
    def entrance(self) -> tuple[str, ...]:
        """What goes before a command that is to run in there."""
        return ("nsenter", "--target", str(self.pid), "--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--")

    def run(self, *command: str | Path, seconds: float = 60.0) -> str:
        """What a command prints that has to succeed in there."""
        words = [*self.entrance, *map(str, command)]
        result = subprocess.run(words, capture_output=True, text=True, timeout=seconds * BUSY, check=False)
        assert result.returncode == 0, f"{words}: {result.stdout}{result.stderr}"
        return result.stdout

    def socket(self, information: Any) -> socket.socket:
        """A socket of the machine's network, for a client outside."""
        family, kind, protocol, _, _ = information
        # A network namespace is a thread's, and nothing else runs in this one meanwhile.
        with open(f"/proc/{self.pid}/ns/net") as network, open("/proc/thread-self/ns/net") as home:  # noqa: PTH123
            _enter(network.fileno())
            try:
                return socket.socket(family, kind, protocol)
            finally:
                _enter(home.fileno())

    def stop(self) -> None:
        """End it, with all that runs in it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            code = self._process.wait(STOP_SECONDS * BUSY)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        assert code == 0, self._report.read_text()


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def wait(check: Callable[[], Any], what: str, seconds: float) -> None:
    """Wait until something is true; outside of an event loop."""
    deadline = time.monotonic() + seconds * BUSY
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)


def _child(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


class Node:
    """The cluster, for all tests of a module."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.directory = machine.directory

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Pods"]:
        """A client in the event loop of a test."""
        ca_file = self.directory / CA_FILE
        sockets: list[socket.socket] = []

        def opened(information: Any) -> socket.socket:
            sockets.append(self.machine.socket(information))
            return sockets[-1]

        async def closed() -> bool:
            return all(each.fileno() == -1 for each in sockets)

        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=ca_file), socket_factory=opened)
        async with aiohttp.ClientSession(connector=connector) as http:
            yield Pods(self.machine, f"https://{ADDRESS}:{API_PORT}", ca_file, self.directory, http)
        # With TLS a connection that is closed says goodbye first, and the loop must not end before.
        await wait_until(closed, "the connections to close", 5)

    def load(self, archive: Path) -> None:
        """Give the node an image, from an archive in OCI's form."""
        self.machine.run(tool("ctr"), "--namespace=k8s.io", "images", "import", "--local", archive)


class Pods(Cluster):
    """A cluster in which pods run."""

    def __init__(self, machine: Machine, *given: Any) -> None:
        super().__init__(*given)
        self.machine = machine
        self._headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        self.entrance = machine.entrance

    async def namespace(self, name: str) -> None:
        """Make a namespace that takes restricted pods alone, and wait for what the controllers put into it."""
        await self.make("/api/v1/namespaces", {"metadata": {"name": name, "labels": RESTRICTED}})

        async def furnished() -> bool:
            answers = [
                await self.request("GET", f"/api/v1/namespaces/{name}/{each}")
                for each in ("serviceaccounts/default", "configmaps/kube-root-ca.crt")
            ]
            return all(status == 200 for status, _ in answers)

        await wait_until(furnished, f"the namespace {name}", 30)

    async def pods(self, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        """The pods that exist, those that are ending included."""
        status, answer = await self.request("GET", f"/api/v1/namespaces/{namespace}/pods?labelSelector={selector}")
        assert status == 200, answer
        return list(answer["items"])

    async def logs(self, namespace: str, pod: str, container: str, *, follow: bool = False) -> str:
        """What a container has printed; with `follow`, until it ends."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}&follow={str(follow).lower()}"
        async with self._http.get(self.url + path, headers=self._headers) as response:
            return await response.text()

    async def watch(self, namespace: str, pod: str) -> dict[str, Any]:
        """Wait until a pod is gone; what it was in the end."""
        path = f"/api/v1/namespaces/{namespace}/pods?watch=true&fieldSelector=metadata.name={pod}"
        async with self._http.get(self.url + path, headers=self._headers) as response:
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "DELETED":
                    return dict(event["object"])
        raise AssertionError(f"the API server stopped telling of {pod}")

    async def events(self, namespace: str) -> list[dict[str, Any]]:
        """What has been written down about the objects of a namespace."""
        return await self.items(f"/api/v1/namespaces/{namespace}/events")

    async def story(self, namespace: str) -> str:
        """What has become of the pods of a namespace, for a message."""
        lines = []
        for pod in await self.pods(namespace):
            name, status = pod["metadata"]["name"], pod["status"]
            statuses = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
            lines.append(f"{name}: {status.get('phase')} {json.dumps(statuses)}")
            lines += [await self.logs(namespace, name, each["name"]) for each in statuses]
        lines += [f"{each['reason']}: {each['message']}" for each in await self.events(namespace)]
        return "\n".join(lines)

    async def volume(self, name: str, mode: str) -> None:
        """Offer a volume to the first claim that fits."""
        path = f"/var/lib/volumes/{name}"
        self.machine.run("mkdir", "-p", path)
        terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node"]}]}]
        specification = {
            "capacity": {"storage": "1Gi"},
            "accessModes": [mode],
            "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
        }
        await self.make("/api/v1/persistentvolumes", {"metadata": {"name": name}, "spec": specification})

    async def get(self, url: str, **headers: str) -> tuple[int, str]:
        """Status and body of what a pod or Service answers."""
        async with self._http.get(url, headers=headers, timeout=aiohttp.ClientTimeout(total=5 * BUSY)) as response:
            return response.status, await response.text()


@contextmanager
def node(directory: Path) -> Iterator[Node]:
    """Run a cluster with its files in `directory`; yields when its node is ready."""
    machine = Machine(directory)
    try:
        machine.open()
        asyncio.run(_start(machine))
        yield Node(machine)
        machine.check()
    finally:
        machine.stop()


async def _start(machine: Machine) -> None:
    directory = machine.directory
    _write_files(directory)
    etcd, server = control_plane(directory, ADDRESS, API_PORT, (2379, 2380))
    machine.start("etcd", *etcd)
    machine.start(
        "kube-apiserver",
        *(*server, "--advertise-address", ADDRESS, "--service-cluster-ip-range", SERVICES),
        "--kubelet-preferred-address-types=InternalIP",
    )
    path = os.pathsep.join((str(Path(tool("containerd")).parent), os.environ["PATH"], "/usr/sbin", "/sbin"))
    machine.start("containerd", tool("containerd"), "--config", directory / "containerd.toml", PATH=path)
    ca_file, kubeconfig = directory / CA_FILE, directory / KUBECONFIG
    write_kubeconfig(directory, f"https://{ADDRESS}:{API_PORT}")
    started = Node(machine)

    async def certificate() -> bool:
        machine.check()
        return ca_file.exists()

    await wait_until(certificate, "a certificate", 30)
    async with started.connected() as client:

        async def answers() -> bool:
            machine.check()
            try:
                status, _ = await client.request("GET", "/readyz")
            except aiohttp.ClientConnectionError:
                return False
            return status == 200

        await wait_until(answers, "the API server", 60)
        common = ("--kubeconfig", kubeconfig)
        local = ("--leader-elect=false", "--bind-address", ADDRESS)
        machine.start(
            "kube-controller-manager",
            *(tool("kube-controller-manager"), *common, *local, "--root-ca-file", ca_file),
            *("--service-account-private-key-file", directory / ACCOUNTS_KEY),
        )
        machine.start("kube-scheduler", tool("kube-scheduler"), *common, *local)
        machine.start(
            "kubelet",
            *(tool("kubelet"), *common, "--config", directory / "kubelet.yaml", "--node-ip", ADDRESS),
            *("--hostname-override=node", "--root-dir=/var/lib/kubelet", "--cert-dir=/var/lib/kubelet/pki"),
            PATH=path,
        )
        machine.start("kube-proxy", tool("kube-proxy"), "--config", directory / "kube-proxy.yaml", PATH=path)
        machine.start("coredns", tool("coredns"), "-conf", directory / "Corefile")
        _write_image(directory / "pause.tar", PAUSE_IMAGE, Path(tool("pause")))
        started.load(directory / "pause.tar")

        async def ready() -> bool:
            machine.check()
            status, answer = await client.request("GET", "/api/v1/nodes/node")
            if status != 200 or "taints" in answer["spec"]:
                return False
            conditions = answer["status"].get("conditions") or []
            return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

        await wait_until(ready, "the node", 60)


def _write_files(directory: Path) -> None:
    kubeconfig = str(directory / KUBECONFIG)
    network = {
        "cniVersion": "1.0.0",
        "name": "pods",
        # A link of its own for each pod, and no bridge: what passes between pods is routed, where kube-proxy sees it.
        "plugins": [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": "/run/cni",
                },
            }
        ],
    }
    (directory / "cni").mkdir()
    (directory / "cni/pods.conflist").write_text(json.dumps(network))
    (directory / "containerd.toml").write_text(
        f"""\
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]

[grpc]
address = "/run/containerd/containerd.sock"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
# Not every root may give a process a better score than its own.
restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{Path(tool(CNI)).parent}"]
conf_dir = "{directory}/cni"
"""
    )
    kubelet = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        # How soon a changed ConfigMap is seen in a pod; a minute otherwise.
        "syncFrequency": "2s",
        "clusterDNS": [ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "enforceNodeAllocatable": [],
        # How full the real machine is, is not this one's matter.
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
    }
    proxy = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "bindAddress": ADDRESS,
        "clusterCIDR": PODS,
        "hostnameOverride": "node",
        "clientConnection": {"kubeconfig": kubeconfig},
        # What it would set belongs to the kernel, and so to the real machine.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }
    (directory / "kubelet.yaml").write_text(yaml.safe_dump(kubelet))
    (directory / "kube-proxy.yaml").write_text(yaml.safe_dump(proxy))
    (directory / "Corefile").write_text(
        f".:53 {{\n bind {ADDRESS}\n errors\n kubernetes cluster.local {{\n  kubeconfig {kubeconfig} test\n }}\n}}\n"
    )


def _write_image(path: Path, name: str, program: Path) -> None:
    """Write an archive in OCI's form of an image that holds one static program."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        archive.add(program, arcname="program")
    blobs: dict[str, bytes] = {}

    def blob(content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    prefix = "application/vnd.oci.image"
    first = blob(layer.getvalue(), f"{prefix}.layer.v1.tar")
    configuration = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "config": {"Entrypoint": ["/program"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [first["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{prefix}.manifest.v1+json",
        "config": blob(json.dumps(configuration).encode(), f"{prefix}.config.v1+json"),
        "layers": [first],
    }
    described = blob(json.dumps(manifest).encode(), f"{prefix}.manifest.v1+json")
    index = {
        "schemaVersion": 2,
        "mediaType": f"{prefix}.index.v1+json",
        "manifests": [{**described, "annotations": {"io.containerd.image.name": name}}],
    }
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(index).encode(), **blobs}
    with tarfile.open(path, "w") as archive:
        for each, content in files.items():
            entry = tarfile.TarInfo(each)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@dataclass(frozen=True)
class ContainerProcess:
    """A process of a container, as the kernel knows it."""

    pid: int
    status: dict[str, str]  # of /proc/PID/status
    root_options: list[str]  # of the mount of its root


def processes_of(container_id: str) -> list[ContainerProcess]:
    """The processes of a container; `container_id` is that of a pod's status."""
    found = container_id.removeprefix("containerd://")
    processes = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if found not in (path / "cgroup").read_text():
                continue
            lines = (path / "status").read_text().splitlines()
            mounts = [line.split() for line in (path / "mountinfo").read_text().splitlines()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        (root,) = (fields[5] for fields in mounts if fields[4] == "/")
        processes.append(ContainerProcess(int(path.name), status, root.split(",")))
    assert processes, f"no process of {container_id}"
    return processes


def kill_container(container_id: str) -> None:
    """Kill the processes of a container, as a crash would."""
    for process in processes_of(container_id):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
