"""Which streams this process receives now: configured and discovered, of this shard, while it leads.

Everything that can change the answer ends in `Fleet.refresh`, which hands the whole list to whoever runs the streams.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

import aiohttp

from iris_exporter.clock import Clock
from iris_exporter.config.urls import endpoint
from iris_exporter.core.lease import LeaseRules
from iris_exporter.core.sharding import Shard
from iris_exporter.fleet.discovery import FileDiscovery, HttpDiscovery, KubernetesDiscovery
from iris_exporter.fleet.election import LeaderElection
from iris_exporter.fleet.kubernetes import Access, Kubernetes, access_from
from iris_exporter.logs import get_logger
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


class Fleet(Generic[Applied]):
    """Keeps the list of streams. `apply` is told the whole list whenever it may have changed, one call at a time."""

    def __init__(
        self,
        settings: Settings,
        session: aiohttp.ClientSession,
        clock: Clock,
        metrics: FleetMetrics,
        apply: Callable[[Sequence[StreamSettings]], Awaitable[Applied]],
    ) -> None:
        self._settings = settings
        self._session = session
        self._clock = clock
        self._metrics = metrics
        self._apply = apply
        self._found: dict[str, tuple[StreamSettings, ...]] = {}
        self._leads = not settings.fleet.leader_election
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._told_duplicates: set[tuple[str, str]] = set()

    @property
    def is_standby(self) -> bool:
        """Whether another replica leads."""
        return not self._leads

    async def start(self) -> None:
        """Apply the configured streams and begin to look for others and to run for leader."""
        self._metrics.leading(self._leads)
        await self.refresh()
        self._tasks = [asyncio.create_task(source.run()) for source in self._sources()]
        self._tasks.append(asyncio.create_task(self._refresh_when_changed()))
        if self._settings.fleet.leader_election:
            self._tasks.append(asyncio.create_task(self._election().run()))

    async def stop(self) -> None:
        """End all of that; a leader gives up its lease, after its streams were closed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def reconfigure(self, settings: Settings) -> Applied:
        """Go on with other settings; what was discovered stays until the sources have been asked again."""
        before, self._settings = self._settings, settings
        if before.discovery != settings.discovery:
            await self._restart_sources()
        return await self.refresh()

    async def refresh(self) -> Applied:
        """Apply what should run now; return what `apply` returned."""
        fleet = self._settings.fleet
        shard = Shard(fleet.shard, fleet.total_shards)
        self._metrics.shard(shard.ordinal, shard.total)
        mine = [stream for stream in self._all() if shard.owns(stream.name)] if self._leads else []
        return await self._apply(mine)

    def _all(self) -> list[StreamSettings]:
        """Configured and discovered streams; of two with one name or endpoint the first wins."""
        names: set[str] = set()
        endpoints: set[object] = set()
        result = []
        for source, stream in self._named():
            place = endpoint(stream.url)
            if stream.name in names or place in endpoints:
                self._refuse(source, stream)
                continue
            names.add(stream.name)
            endpoints.add(place)
            result.append(stream)
        return result

    def _named(self) -> Iterable[tuple[str, StreamSettings]]:
        yield from (("configuration", stream) for stream in self._settings.streams)
        for source in _SOURCES:
            yield from ((source, stream) for stream in self._found.get(source, ()))

    def _refuse(self, source: str, stream: StreamSettings) -> None:
        key = (source, stream.name)
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
        keep = self._tasks[-1:] if self._settings.fleet.leader_election else []
        for task in [task for task in self._tasks if task not in keep]:
            task.cancel()
        await asyncio.gather(*(task for task in self._tasks if task not in keep), return_exceptions=True)
        self._found = {}
        self._tasks = [asyncio.create_task(source.run()) for source in self._sources()]
        self._tasks += [asyncio.create_task(self._refresh_when_changed()), *keep]

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
        await self.refresh()
