"""The chart in a real API server: install, upgrade, rollback and uninstall by both Helms; what its account may do."""

from pathlib import Path
from typing import Any

import pytest

from tests.contract.chart import CHART, FEATURES, feature, pods, values_file
from tests.integration.kubernetes import Cluster, cluster, define_custom_resources, helm
from tests.integration.programs import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.needs("helm3", "helm4", "etcd", "kube-apiserver", "schemas"),
]

NAMESPACED = (
    *(
        f"/api/v1/namespaces/%s/{kind}"
        for kind in ("services", "configmaps", "serviceaccounts", "persistentvolumeclaims")
    ),
    *(f"/apis/apps/v1/namespaces/%s/{kind}" for kind in ("deployments", "statefulsets")),
    *(f"/apis/rbac.authorization.k8s.io/v1/namespaces/%s/{kind}" for kind in ("roles", "rolebindings")),
    "/apis/networking.k8s.io/v1/namespaces/%s/networkpolicies",
    "/apis/policy/v1/namespaces/%s/poddisruptionbudgets",
)


async def everything(server: Cluster, namespace: str) -> set[str]:
    """`kind/name` of all objects of a namespace."""
    return {
        f"{path.rpartition('/')[2]}/{each['metadata']['name']}"
        for path in NAMESPACED
        for each in await server.items(path % namespace)
    }


async def deployment(server: Cluster, namespace: str) -> dict[str, Any]:
    """The exporter's Deployment."""
    status, answer = await server.request("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/iris-exporter")
    assert status == 200, answer
    return answer


@pytest.mark.time_limit(180)
async def test_a_release_is_installed_changed_taken_back_and_removed(tmp_path: Path) -> None:
    """By each Helm, in a namespace that lets nothing in but restricted pods."""
    async with cluster(tmp_path) as server:
        for program in ("helm3", "helm4"):
            await server.namespace(program)
            release = ("iris-exporter", CHART, "--values", values_file("hardened"))
            text = await helm(program, server, "install", *release, "--set=demo.enabled=true", namespace=program)
            assert f"kubectl -n {program} rollout status deployment/iris-exporter" in text
            first = await everything(server, program)
            assert {"deployments/iris-exporter-demo", "networkpolicies/iris-exporter-test"} <= first
            before = await deployment(server, program)

            changes = ("--set=replicaCount=3,web.port=9100,state.kind=claim,state.accessModes={ReadWriteMany}",)
            await helm(program, server, "upgrade", *release, *changes, namespace=program)
            second = await everything(server, program)
            assert second - first == {"persistentvolumeclaims/iris-exporter-state"}
            assert "deployments/iris-exporter-demo" not in second
            after = await deployment(server, program)
            assert after["spec"]["replicas"] == 3
            assert "--web.listen-address=:9100" in after["spec"]["template"]["spec"]["containers"][0]["args"]

            await helm(program, server, "upgrade", *release, "--set=mode=statefulset,replicaCount=1", namespace=program)
            fleet = await everything(server, program)
            assert "statefulsets/iris-exporter" in fleet
            assert "deployments/iris-exporter" not in fleet

            await helm(program, server, "rollback", "iris-exporter", "1", namespace=program)
            kept = {"persistentvolumeclaims/iris-exporter-state"}
            assert await everything(server, program) == first | kept
            assert (await deployment(server, program))["spec"] == before["spec"]

            await helm(program, server, "uninstall", "iris-exporter", namespace=program)
            assert await everything(server, program) == kept


@pytest.mark.time_limit(240)
async def test_every_feature_is_installed_and_its_pods_are_let_in(tmp_path: Path) -> None:
    """Strictly checked by the API server and the custom resources' own definitions; pods against `restricted`."""
    async with cluster(tmp_path) as server:
        await define_custom_resources(server)
        for name in ("monitoring", "backends", "observability"):
            await server.namespace(name)
        # What the rest relies on: a pod that is not restricted is not let in.
        body: dict[str, Any] = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a", "image": "a:1"}]}}
        status, answer = await server.request("POST", "/api/v1/namespaces/monitoring/pods?dryRun=All", body)
        assert (status, "violates PodSecurity" in answer["message"]) == (403, True)
        for name in FEATURES:
            await server.namespace(name) if name != "monitoring" else None
            given = ("--values", values_file(name), "--set=dashboards.grafanaOperator.enabled=false")
            await helm("helm4", server, "install", name, CHART, *given, namespace=name)
            for _, pod in pods(feature(name)):
                # This cluster has no runtime class.
                pod["spec"].pop("runtimeClassName", None)
                pod["spec"]["serviceAccountName"] = "default"
                if name == "fleet" and "volumes" in pod["spec"]:
                    # A controller would add the claim that it has made from the template.
                    pod["spec"]["volumes"].append({"name": "iris-exporter-state", "emptyDir": {}})
                body = {"metadata": {"name": "probe"}, "spec": pod["spec"]}
                status, answer = await server.request("POST", f"/api/v1/namespaces/{name}/pods?dryRun=All", body)
                assert status == 201, (name, answer)
            await helm("helm4", server, "uninstall", name, namespace=name)


@pytest.mark.time_limit(120)
async def test_the_account_may_do_what_it_has_to_and_no_more(tmp_path: Path) -> None:
    """Its own Lease, and the Services of one namespace; not other Leases, not Secrets, not elsewhere."""
    async with cluster(tmp_path) as server:
        for name in ("fleet", "backends"):
            await server.namespace(name)
        values = ("demo.enabled=true,leaderElection.enabled=true", "discovery.kubernetes.role=services")
        settings = f"--set={','.join(values)},discovery.kubernetes.namespace=backends"
        await helm("helm4", server, "install", "iris-exporter", CHART, settings, namespace="fleet")
        token = await server.token_of("fleet", "iris-exporter")
        leases = "/apis/coordination.k8s.io/v1/namespaces/fleet/leases"

        async def status(method: str, path: str, body: Any = None) -> int:
            return (await server.request(method, path, body, token=token))[0]

        async def made() -> bool:
            # The server learns of a new Role by a watch, a moment later.
            return await status("POST", leases, {"metadata": {"name": "iris-exporter"}}) in (201, 409)

        await wait_until(made, "the Role to count")
        _, lease = await server.request("GET", f"{leases}/iris-exporter", token=token)
        lease["spec"] = {"holderIdentity": "us"}
        assert await status("PUT", f"{leases}/iris-exporter", lease) == 200
        assert await status("GET", "/api/v1/namespaces/backends/services?watch=true&timeoutSeconds=1") == 200
        assert await status("GET", "/api/v1/namespaces/backends/services") == 200

        await server.make(leases, {"metadata": {"name": "other"}})
        for method, path in (
            ("GET", f"{leases}/other"),
            ("DELETE", f"{leases}/iris-exporter"),
            ("GET", leases),
            ("GET", "/api/v1/namespaces/backends/secrets"),
            ("GET", "/api/v1/namespaces/backends/pods"),
            ("GET", "/api/v1/namespaces/fleet/services"),
            ("GET", "/api/v1/namespaces/fleet/secrets"),
        ):
            assert await status(method, path) == 403, (method, path)
