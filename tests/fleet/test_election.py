"""Two candidates and an API server: one leads, and the other takes over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from iris_exporter.clock import SystemClock
from iris_exporter.fleet.election import LeaderElection
from iris_exporter.fleet.kubernetes import Access, Kubernetes, KubernetesError, access_from
from tests.fleet.api import FakeApi, fake_api
from tests.waiting import until

DURATION = 1.0


class Candidate:
    """A process that runs for leader, and notes what was called."""

    def __init__(self, name: str, api: FakeApi, session: aiohttp.ClientSession) -> None:
        self.name = name
        self.calls: list[str] = []
        self.reports: list[str | None] = []
        kubernetes = Kubernetes(Access(api.url, "ops", None, None), session)
        self.election = LeaderElection(
            kubernetes, "iris", "ops", name, DURATION, SystemClock(), self.lead, self.follow, self.reports.append
        )
        self.task = asyncio.create_task(self.election.run())

    async def lead(self) -> None:
        self.calls.append("lead")

    async def follow(self) -> None:
        self.calls.append("follow")

    async def end(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    def kill(self) -> None:
        """As `kill -9` would: nothing more is read or written, and the lease stays."""
        self.election._release = lambda: asyncio.sleep(0)  # type: ignore[method-assign]
        self.task.cancel()


@asynccontextmanager
async def two() -> AsyncIterator[tuple[FakeApi, Candidate, Candidate]]:
    async with fake_api() as api, aiohttp.ClientSession() as session:
        a = Candidate("a", api, session)
        await until(lambda: a.calls == ["lead"])
        b = Candidate("b", api, session)
        try:
            yield api, a, b
        finally:
            await a.end()
            await b.end()


async def test_one_leads_and_the_other_stands_by() -> None:
    async with two() as (api, a, b):
        renewed = api.version
        await until(lambda: api.version >= renewed + 5)
        assert (a.calls, b.calls) == (["lead"], [])
        assert api.leases["iris"]["spec"]["holderIdentity"] == "a"
        assert api.leases["iris"]["spec"]["leaseDurationSeconds"] == 1


async def test_a_leader_that_ends_hands_over_at_once() -> None:
    async with two() as (api, a, b):
        await a.end()
        assert a.calls == ["lead", "follow"], "its streams are closed before the lease is given up"
        await until(lambda: b.calls == ["lead"], seconds=0.9)
        assert api.leases["iris"]["spec"]["leaseTransitions"] >= 1


async def test_a_leader_that_is_killed_is_followed_after_the_lease() -> None:
    async with two() as (_, a, b):
        loop = asyncio.get_running_loop()
        a.kill()
        killed = loop.time()
        await until(lambda: b.calls == ["lead"])
        assert 0.5 < loop.time() - killed < DURATION


@pytest.mark.parametrize("how", ["down", "hang"])
async def test_a_leader_that_cannot_renew_stops_in_time(how: str) -> None:
    async with two() as (api, a, b):
        if how == "down":
            api.down = True
        else:
            api.hang.clear()
        loop = asyncio.get_running_loop()
        since = loop.time()
        await until(lambda: a.calls == ["lead", "follow"])
        assert loop.time() - since < DURATION, "before anybody else could lead"
        assert b.calls == []
        if how == "down":
            assert a.reports[-1] == b.reports[-1] == "unavailable"
        api.down = False
        api.hang.set()
        await until(lambda: a.calls[-1:] == ["lead"] or b.calls == ["lead"])
        assert a.election.is_leader != b.election.is_leader
        await until(lambda: a.reports[-1] is None and b.reports[-1] is None)


async def test_a_stolen_lease_ends_the_leadership() -> None:
    async with two() as (api, a, _):
        lease = api.leases["iris"]
        lease["spec"]["holderIdentity"] = "c"
        lease["metadata"]["resourceVersion"] = api._next()
        await until(lambda: a.calls == ["lead", "follow"])


@pytest.mark.parametrize(
    "odd",
    [
        {"spec": None},
        {"spec": {"holderIdentity": "c", "leaseDurationSeconds": "soon"}},
        {"spec": {"holderIdentity": "c", "leaseDurationSeconds": -3, "leaseTransitions": [1]}},
        {"spec": {"holderIdentity": "c", "leaseDurationSeconds": 10**400}},
        {"spec": {"holderIdentity": ["c"], "leaseDurationSeconds": 3600}},
        {"spec": {"holderIdentity": "", "leaseTransitions": "many"}},
        {"spec": ["c"]},
    ],
)
async def test_an_odd_lease_is_free_and_logged_once(odd: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    """As written by another program, or by hand; the API server is a fake, which admits what a real one may refuse."""
    caplog.set_level("INFO", "iris_exporter.election")
    async with fake_api() as api, aiohttp.ClientSession() as session:
        lease = {"metadata": {"name": "iris", "resourceVersion": api._next()}, **odd}
        api.leases["iris"] = lease
        api.refuse_updates = True
        a = Candidate("a", api, session)
        try:
            await until(lambda: api.refused >= 3)
            api.refuse_updates = False
            await until(lambda: a.calls == ["lead"])
        finally:
            await a.end()
        assert api.leases["iris"]["spec"]["leaseTransitions"] == 1
        assert caplog.messages.count("election.lease_broken") == (odd != {"spec": None})


async def test_a_token_is_read_for_each_request_and_a_refusal_has_its_status(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    async with fake_api() as api, aiohttp.ClientSession() as session:
        kubernetes = Kubernetes(Access(api.url, "ops", token, None), session)
        api.token = "second"
        path = "/apis/coordination.k8s.io/v1/namespaces/ops/leases/iris"
        with pytest.raises(KubernetesError, match=r"Unauthorized \(status 401\)"):
            await kubernetes.get(path)
        token.write_text("second\n")
        assert await kubernetes.get(path) is None
        token.unlink()
        with pytest.raises(KubernetesError, match=r"credentials: .*token"):
            await kubernetes.get(path)


def test_what_a_pod_finds(tmp_path: Path) -> None:
    with pytest.raises(KubernetesError, match="not in a cluster"):
        access_from({}, tmp_path)
    inside = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    with pytest.raises(KubernetesError, match="no service account"):
        access_from(inside, tmp_path)
    (tmp_path / "namespace").write_text("ops\n")
    access = access_from(inside, tmp_path)
    assert (access.url, access.namespace) == ("https://[fd00::1]:6443", "ops")
