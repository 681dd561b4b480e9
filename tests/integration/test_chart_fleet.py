"""Replicas with the chart's own account, and nothing more, in a real API server: one leads, streams come and go."""

import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.contract.chart import CHART
from tests.integration.harness import Scrape
from tests.integration.kubernetes import cluster, helm
from tests.integration.programs import wait_until
from tests.integration.reference import reference_backend
from tests.integration.test_fleet import Process, process

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.needs("helm4", "etcd", "kube-apiserver"),
]

LEASE_SECONDS = 3


async def leads(replica: Process) -> bool:
    """Whether it says so."""
    return Scrape(await replica.scrape()).value("iris_exporter_leader") == 1


@pytest.mark.time_limit(120)
async def test_one_of_two_leads_and_the_other_takes_over(tmp_path: Path) -> None:
    """With the permissions that the chart gives: election, discovery of a Service, takeover after a kill."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(cluster(tmp_path))
        for name in ("fleet", "backends"):
            await server.namespace(name)
        settings = "demo.enabled=true,leaderElection.enabled=true,replicaCount=2,discovery.kubernetes.role=services"
        options = f"--set={settings},discovery.kubernetes.namespace=backends"
        await helm("helm4", server, "install", "iris-exporter", CHART, options, namespace="fleet")
        token_file = tmp_path / "token"
        token_file.write_text(await server.token_of("fleet", "iris-exporter"))
        service = {
            "metadata": {"name": "found", "annotations": {"iris-exporter.io/scrape": "true"}},
            "spec": {"ports": [{"port": 8080}]},
        }
        await server.make("/api/v1/namespaces/backends/services", service)
        backend = await stack.enter_async_context(reference_backend("--rate=30", "--seed=1"))
        (tmp_path / "state").mkdir()

        replicas = [
            await stack.enter_async_context(
                process(
                    *(f"--stream.url={backend.stream('overview')}", f"--state.dir={tmp_path / 'state'}"),
                    *("--leader-election", "--fleet.lease-name=iris-exporter", "--fleet.lease-namespace=fleet"),
                    *(f"--fleet.lease-duration={LEASE_SECONDS}s", f"--fleet.kubernetes-url={server.url}"),
                    *(f"--fleet.kubernetes-token-file={token_file}", f"--fleet.kubernetes-ca-file={server.ca_file}"),
                    *("--discovery.kubernetes=services", "--discovery.namespace=backends"),
                )
            )
            for _ in range(2)
        ]

        async def one_leads() -> list[Process]:
            return [replica for replica in replicas if replica.program.exit_code is None and await leads(replica)]

        (leader,) = await wait_until(one_leads, "a leader", 15)
        (standby,) = (replica for replica in replicas if replica is not leader)

        async def counts() -> bool:
            return await leader.counted() >= 30

        await wait_until(counts, "events")
        assert await leader.states() == {"default": "live", "backends.found": "connecting"}
        assert await standby.states() == {}
        assert await standby.counted() == 0

        before = await leader.counted()
        await leader.states()  # it has come so far that the scrape's cursor is committed
        leader.program.signal(signal.SIGKILL)

        async def taken_over() -> bool:
            return await leads(standby) and await standby.counted() > 0

        # A lease, two tries to take it, and time to connect on a busy machine.
        await wait_until(taken_over, "the takeover", 3 * LEASE_SECONDS + 5)
        status, _ = await server.request("DELETE", "/api/v1/namespaces/backends/services/found")
        assert status == 200

        async def gone() -> bool:
            return set(await standby.states()) == {"default"}

        await wait_until(gone, "the removed Service's stream to go")
        # What the leader counted was in its last scrape, which is what it had committed: nothing twice, nothing lost.
        made = len(await backend.event_ids())

        async def total() -> float:
            scrape = Scrape(await standby.scrape())
            return before + scrape.total("iris_events_total") + scrape.total("iris_stream_event_gaps_total")

        async def all_counted() -> bool:
            return await total() >= made

        await wait_until(all_counted, f"{made} events in the counters of both")
        assert await total() <= len(await backend.event_ids())
