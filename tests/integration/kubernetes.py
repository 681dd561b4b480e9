"""A real Kubernetes API: kube-apiserver and etcd on loopback, without controllers, scheduler or nodes.

Objects are checked, admitted (Pod Security included), stored and watched as in any cluster; nothing acts on them, so no
pod ever runs. Permissions are enforced for service accounts; `admin` may do everything.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.integration.programs import Program, running, wait_until
from tests.ports import free_ports
from tests.tools import ROOT, tool
from tests.waiting import BUSY

ADMIN_TOKEN = "token-of-the-test-administrator"
DEFINITIONS = ROOT / ".tools/schemas/definitions"
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
# Names of files below a cluster's directory.
CA_FILE = "certificates/apiserver.crt"
ACCOUNTS_KEY = "accounts.key"
KUBECONFIG = "kubeconfig"


class Cluster:
    """A running API server. Paths are those of the Kubernetes API."""

    def __init__(self, url: str, ca_file: Path, directory: Path, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.ca_file = ca_file
        self.directory = directory
        self.kubeconfig = directory / KUBECONFIG
        self.etcd_url = ""
        # What goes before a command, such as helm's, that is to reach it.
        self.entrance: tuple[str, ...] = ()
        self._http = http

    async def request(
        self, method: str, path: str, body: Any = None, *, token: str = ADMIN_TOKEN, kind: str = "application/json"
    ) -> tuple[int, dict[str, Any]]:
        """Status and answer."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        async with self._http.request(method, self.url + path, json=body, headers=headers) as response:
            answer = await response.json(content_type=None) if response.content_type == "application/json" else {}
            return response.status, answer

    async def make(self, path: str, body: Any) -> dict[str, Any]:
        """Create an object; fails unless the API server takes it."""
        status, answer = await self.request("POST", f"{path}?fieldValidation=Strict", body)
        assert status in (200, 201), answer
        return answer

    async def namespace(self, name: str) -> None:
        """Make a namespace that takes restricted pods alone, with the account that a controller would make."""
        await self.make("/api/v1/namespaces", {"metadata": {"name": name, "labels": RESTRICTED}})
        await self.make(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})

    async def items(self, path: str) -> list[dict[str, Any]]:
        """The objects of a list, those of the cluster's own making left out."""
        status, answer = await self.request("GET", path)
        assert status == 200, answer
        return [each for each in answer["items"] if each["metadata"]["name"] not in ("default", "kube-root-ca.crt")]

    async def forget_history(self) -> None:
        """Let etcd forget all but the latest version of everything: older resource versions are gone."""
        made = await self.make("/api/v1/namespaces/default/configmaps", {"metadata": {"generateName": "latest-"}})
        body = {"revision": made["metadata"]["resourceVersion"], "physical": True}
        async with self._http.post(f"{self.etcd_url}/v3/kv/compaction", json=body) as response:
            assert response.status == 200, await response.text()

    async def token_of(self, namespace: str, account: str) -> str:
        """A token of a service account."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        answer = await self.make(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
        return str(answer["status"]["token"])


def control_plane(
    directory: Path, address: str, port: int, etcd_ports: tuple[int, int]
) -> tuple[tuple[str | Path, ...], tuple[str | Path, ...]]:
    """The commands of etcd and kube-apiserver, whose files are made in `directory`."""
    etcd_url, peer = (f"http://127.0.0.1:{each}" for each in etcd_ports)
    etcd = (
        *(tool("etcd"), "--data-dir", directory / "etcd", "--log-level=error", "--unsafe-no-fsync"),
        *("--listen-client-urls", etcd_url, "--advertise-client-urls", etcd_url, "--listen-peer-urls", peer),
        *("--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"),
    )
    write_key(directory / ACCOUNTS_KEY)
    (directory / "tokens.csv").write_text(f'{ADMIN_TOKEN},admin,admin,"system:masters"\n')
    server = (
        *(tool("kube-apiserver"), "--etcd-servers", etcd_url, "--bind-address", address, f"--secure-port={port}"),
        *("--cert-dir", directory / "certificates", "--token-auth-file", directory / "tokens.csv"),
        *("--service-account-key-file", directory / ACCOUNTS_KEY),
        *("--service-account-signing-key-file", directory / ACCOUNTS_KEY),
        *("--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=RBAC", "-v=0"),
    )
    return etcd, server


@asynccontextmanager
async def cluster(directory: Path) -> AsyncIterator[Cluster]:
    """Run etcd and kube-apiserver with their files in `directory`; yields when the server is ready."""
    client_port, peer_port, port = free_ports(3)
    etcd, server = control_plane(directory, "127.0.0.1", port, (client_port, peer_port))
    # It would want to tell other machines of itself, and a loopback address is nothing to tell.
    server = (*server, "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24,fd00:10::/112")
    async with running(*etcd), running(*server) as program:
        ca_file = directory / CA_FILE
        await wait_until(_made(ca_file, program), "a certificate", 30)
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=ca_file))
        async with aiohttp.ClientSession(connector=connector) as http:
            ready = Cluster(f"https://127.0.0.1:{port}", ca_file, directory, http)
            ready.etcd_url = f"http://127.0.0.1:{client_port}"
            await wait_until(_answers(ready, program), "the API server", 60)
            write_kubeconfig(directory, ready.url)
            yield ready
            # Without a session that is open it ends at once.
            await http.close()


def _made(path: Path, program: Program) -> Any:
    async def check() -> bool:
        assert program.exit_code is None, program.output
        # The file is there before its content is.
        return path.exists() and "END CERTIFICATE" in path.read_text()  # noqa: ASYNC240 (one look at a local file)

    return check


def _answers(server: Cluster, program: Program) -> Any:
    async def check() -> bool:
        assert program.exit_code is None, program.output
        try:
            status, _ = await server.request("GET", "/readyz")
        except aiohttp.ClientConnectionError:
            return False
        return status == 200

    return check


def write_key(path: Path) -> None:
    """Make an RSA key; the API server signs the tokens of service accounts with it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )


def write_kubeconfig(directory: Path, url: str) -> None:
    """Write the file by which clients reach the API server as its administrator."""
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "test", "cluster": {"server": url, "certificate-authority": str(directory / CA_FILE)}},
        ],
        "users": [{"name": "admin", "user": {"token": ADMIN_TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    }
    (directory / KUBECONFIG).write_text(yaml.safe_dump(configuration))


async def define_custom_resources(server: Cluster) -> None:
    """Make the kinds of the Prometheus Operator and the Gateway API known, and wait until they are served."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for file in sorted(DEFINITIONS.glob("*.yaml")):
        definition = yaml.safe_load(file.read_text())
        await server.make(path, definition)
        name = definition["metadata"]["name"]

        async def established(name: str = name) -> bool:
            _, answer = await server.request("GET", f"{path}/{name}")
            conditions = answer.get("status", {}).get("conditions") or []
            return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)

        await wait_until(established, f"{name} to be served")


async def helm(program: str, server: Cluster, *arguments: str | Path, namespace: str, seconds: float = 60.0) -> str:
    """Run helm against the cluster; fails unless it succeeds, and returns what it printed."""
    words = [*server.entrance, tool(program), *map(str, arguments)]
    words += ["--namespace", namespace, "--kubeconfig", str(server.kubeconfig)]
    home = server.directory / program
    process = await asyncio.create_subprocess_exec(
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home)},
    )
    output, _ = await asyncio.wait_for(process.communicate(), seconds * BUSY)
    text = output.decode()
    assert process.returncode == 0, text
    # The API server says so where a pod would not be let in, and where a field is unknown or given twice.
    assert "would violate PodSecurity" not in text
    assert "unknown field" not in text
    assert "duplicate" not in text
    return text
