"""Which streams this process receives now: configured and discovered, of this shard, while it leads, and nobody else's.

Everything that can change the answer ends in `Fleet.refresh`, which hands the whole list to whoever runs the streams.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

import aiohttp

from iris_exporter.clock import Clock
from iris_exporter.core.sharding import Shard
from iris_exporter.core.urls import endpoint
from iris_exporter.fleet.discovery import FileDiscovery, HttpDiscovery, KubernetesDiscovery
from iris_exporter.fleet.election import LeaderElection
from iris_exporter.fleet.handover import Claims, Handover
from iris_exporter.fleet.kubernetes import Access, Kubernetes, access_from
from iris_exporter.fleet.lease import LeaseRules
from iris_exporter.logs import get_logger
from iris_exporter.process.tasks import TaskOwner
from iris_exporter.settings import Settings, StreamSettings

_log = get_logger("fleet")

_SOURCES = ("files", "http", "kubernetes")  # in the order in which they win where two name the same stream


Applied = TypeVar("Applied")
"""What applying a list of streams returns."""


class FleetMetrics(Protocol):
    """What is told about the fleet."""

    def shard(self, ordinal: int, total: int) -> None:
        """Which part this process is of how many."""

    def leading(self, leads: bool) -> None:
        """Whether this process leads."""

    def discovered(self, source: str, streams: int) -> None:
        """How many streams a source has named."""

    def discovery_failed(self, source: str, count: int = 1) -> None:
        """`count` entries, files or requests of a source could not be used."""

    def waiting(self, streams: int) -> None:
        """How many streams of this process another one still receives."""


class Fleet(Generic[Applied]):
    """Keeps the list of streams. `apply` is told the whole list whenever it may have changed, one call at a time.

    `claims` and `settled` are those of `Handover`.
    """

    def __init__(
        self,
        settings: Settings,
        session: aiohttp.ClientSession,
        clock: Clock,
        metrics: FleetMetrics,
        apply: Callable[[Sequence[StreamSettings]], Awaitable[Applied]],
        claims: Claims | None,
        settled: Callable[[Collection[str]], Awaitable[None]],
        tasks: TaskOwner,
    ) -> None:
        self._owner = tasks
        self._settings = settings
        self._session = session
        self._clock = clock
        self._metrics = metrics
        self._apply = apply
        self._found: dict[str, tuple[StreamSettings, ...]] = {}
        self._leads = not settings.fleet.leader_election
        self._handover = Handover(claims, settled, clock, metrics.waiting)
        self._applying = asyncio.Lock()
        self._candidate: LeaderElection | None = None
        self._asking: list[asyncio.Task[None]] = []  # the sources of discovery
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._told_duplicates: set[tuple[str, str, object]] = set()

    @property
    def is_standby(self) -> bool:
        """Whether another replica leads, or may do so by now.

        A process that was stopped for a while learns when it runs again that it no longer leads, and what it believes
        until then it must not show.
        """
        return not self._leads or (self._candidate is not None and not self._candidate.leads_now())

    async def _claim(self) -> None:
        """Claim what is wanted now."""
        self._handover.want([stream.name for stream in self._mine()])
        await self._handover.claim()

    async def start(self) -> None:
        """Claim and apply what is configured, then begin to look for other streams and to run for leader.

        Nobody should be able to look at this process before: it has no streams until then.
        """
        await self._claim()
        self._metrics.leading(self._leads)
        self._tell_shard()
        await self._bring_in_line()
        self._asking = self._ask()
        self._tasks = [
            self._owner.start("refresh", self._refresh_when_changed),
            self._owner.start("handover", lambda: self._handover.run(self._bring_in_line)),
        ]
        if self._settings.fleet.leader_election:
            self._candidate = self._election()
            self._tasks.append(self._owner.start("election", self._candidate.run))

    async def stop(self) -> None:
        """End all of that; a leader gives up its lease, after its streams were closed."""
        await _end([*self._asking, *self._tasks])
        await self._handover.close()

    async def reconfigure(self, settings: Settings) -> Applied:
        """Go on with other settings; what was discovered stays until the sources have been asked again."""
        before, self._settings = self._settings, settings
        if before.discovery != settings.discovery:
            await self._restart_sources()
        return await self.refresh()

    async def refresh(self) -> Applied:
        """Apply what should run now; return what `apply` returned. Streams that another process has come later."""
        self._tell_shard()
        await self._claim()
        return await self._bring_in_line()

    def _tell_shard(self) -> None:
        self._metrics.shard(self._settings.fleet.shard, self._settings.fleet.total_shards)

    async def _bring_in_line(self) -> Applied:
        """Apply what may run now; never waits for a claim, so that nothing keeps a former leader from closing."""
        async with self._applying:
            allowed = [stream for stream in self._mine() if self._handover.allowed(stream.name)]
            applied = await self._apply(allowed)
            self._handover.leave([stream.name for stream in allowed])
            return applied

    def _mine(self) -> list[StreamSettings]:
        """The streams of this process's shard; none while another replica leads."""
        shard = Shard(self._settings.fleet.shard, self._settings.fleet.total_shards)
        return [stream for stream in self._all() if shard.owns(stream.name)] if self._leads else []

    def _all(self) -> list[StreamSettings]:
        """Configured and discovered streams; of two with one name or endpoint the first wins."""
        names: set[str] = set()
        endpoints: set[object] = set()
        result = []
        for source, stream in self._named():
            place = endpoint(stream.url)
            if stream.name in names or place in endpoints:
                self._refuse(source, stream, place)
                continue
            names.add(stream.name)
            endpoints.add(place)
            result.append(stream)
        return result

    def _named(self) -> Iterable[tuple[str, StreamSettings]]:
        yield from (("configuration", stream) for stream in self._settings.streams)
        for source in _SOURCES:
            yield from ((source, stream) for stream in self._found.get(source, ()))

    def _refuse(self, source: str, stream: StreamSettings, place: object) -> None:
        key = (source, stream.name, place)
        if key not in self._told_duplicates:
            self._told_duplicates.add(key)
            self._metrics.discovery_failed(source)
            _log.warning("discovery.duplicate", source=source, stream=stream.name)

    def _take(self, source: str, streams: tuple[StreamSettings, ...]) -> None:
        self._found[source] = streams
        self._told_duplicates = {key for key in self._told_duplicates if key[0] != source}
        self._metrics.discovered(source, len(streams))
        self._changed.set()

    async def _refresh_when_changed(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self.refresh()

    async def _restart_sources(self) -> None:
        await _end(self._asking)
        self._found = {}
        self._asking = self._ask()

    def _ask(self) -> list[asyncio.Task[None]]:
        return [self._owner.start(f"discovery_{source.name}", source.run) for source in self._sources()]

    def _sources(self) -> list[FileDiscovery | HttpDiscovery | KubernetesDiscovery]:
        discovery = self._settings.discovery
        sources: list[FileDiscovery | HttpDiscovery | KubernetesDiscovery] = []
        if discovery.files:
            sources.append(FileDiscovery(discovery, self._metrics, self._clock, self._take))
        if discovery.http_url is not None:
            sources.append(HttpDiscovery(discovery, self._session, self._metrics, self._clock, self._take))
        if discovery.kubernetes != "none":
            api = Kubernetes(self._access(), self._session)
            sources.append(KubernetesDiscovery(discovery, api, self._metrics, self._clock, self._take))
        return sources

    def _access(self) -> Access:
        fleet = self._settings.fleet
        if fleet.kubernetes_url is None:
            return access_from(os.environ)
        namespace = fleet.lease_namespace or self._settings.discovery.namespace or "default"
        url = fleet.kubernetes_url.rstrip("/")
        return Access(url, namespace, fleet.kubernetes_token_file, fleet.kubernetes_ca_file)

    def _election(self) -> LeaderElection:
        fleet, access = self._settings.fleet, self._access()
        name = fleet.lease_name if fleet.total_shards == 1 else f"{fleet.lease_name}-{fleet.shard}"
        return LeaderElection(
            Kubernetes(access, self._session),
            name,
            fleet.lease_namespace or access.namespace,
            # Two processes of one host must differ, and so must two lives of one process.
            f"{socket.gethostname()}_{os.getpid()}_{os.urandom(4).hex()}",
            LeaseRules(fleet.lease_duration_seconds),
            self._clock,
            self._lead,
            self._follow,
        )

    async def _lead(self) -> None:
        self._leads = True
        self._metrics.leading(True)
        await self.refresh()

    async def _follow(self) -> None:
        self._leads = False
        self._metrics.leading(False)
        self._handover.want(())
        await self._bring_in_line()


async def _end(tasks: list["asyncio.Task[None]"]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    tasks.clear()
