"""Which streams this process receives now: configured and discovered ones of its shard, while it leads and owns them.

Every change of that ends in `Fleet.refresh`, which applies the whole list.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import aiohttp

from iris_exporter.clock import Clock
from iris_exporter.config.mappings import Mappings
from iris_exporter.core.sharding import owner
from iris_exporter.core.urls import endpoint
from iris_exporter.fleet.handover import Handover
from iris_exporter.instruments import catalog
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.logs import get_logger
from iris_exporter.persistence.stream_locks import StreamLocks
from iris_exporter.process.tasks import TaskOwner
from iris_exporter.settings import Settings, StreamSettings

if TYPE_CHECKING:
    # Imported where streams are discovered or a leader is elected, and not otherwise.
    from iris_exporter.fleet.discovery.source import Source
    from iris_exporter.fleet.election import LeaderElection
    from iris_exporter.fleet.kubernetes import Access

_log = get_logger("fleet")

_SOURCES = ("files", "http", "kubernetes")  # in the order in which they win where two name the same stream


Applied = TypeVar("Applied")
"""What applying a list of streams returns."""


class Fleet(Generic[Applied]):
    """The list of streams. `apply` gets the whole list whenever it may have changed, one call at a time.

    `locks` and `scrapes_ended` are those of `Handover`.
    """

    def __init__(
        self,
        settings: Settings,
        session: aiohttp.ClientSession,
        clock: Clock,
        metrics: SelfMetrics,
        apply: Callable[[Sequence[StreamSettings]], Awaitable[Applied]],
        locks: StreamLocks | None,
        scrapes_ended: Callable[[Collection[str]], Awaitable[None]],
        tasks: TaskOwner,
    ) -> None:
        self._task_owner = tasks
        self._settings = settings
        self._session = session
        self._clock = clock
        self._metrics = metrics
        self._apply = apply
        self._found: dict[str, tuple[StreamSettings, ...]] = {}
        self._leads = not settings.fleet.leader_election
        self._handover = Handover(locks, scrapes_ended, clock, partial(metrics.set, catalog.WAITING))
        self._applying = asyncio.Lock()
        self._candidate: LeaderElection | None = None
        self._source_tasks: list[asyncio.Task[None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._logged_duplicates: set[tuple[str, str, object]] = set()

    @property
    def is_standby(self) -> bool:
        """Whether another replica leads, or may do so by now.

        A process that was stopped for a while learns only when it runs again that it no longer leads; until then it
        must show nothing.
        """
        return not self._leads or (self._candidate is not None and not self._candidate.leads_now())

    async def start(self) -> None:
        """Acquire and apply what is configured, then begin discovery and leader election.

        Serve no scrape before: until then this process has no streams.
        """
        self._metrics.set(catalog.LEADER, self._leads)
        await self.refresh()
        self._source_tasks = self._start_sources()
        self._tasks = [
            self._task_owner.start("refresh", self._refresh_when_changed),
            self._task_owner.start("handover", lambda: self._handover.run(self._reconcile)),
        ]
        if self._settings.fleet.leader_election:
            self._candidate = self._election()
            self._tasks.append(self._task_owner.start("election", self._candidate.run))

    async def stop(self) -> None:
        """End all of that; a leader gives up its lease, after its streams were closed."""
        await _end([*self._source_tasks, *self._tasks])
        await self._handover.close()

    async def reconfigure(self, settings: Settings) -> Applied:
        """Go on with other settings; what was discovered stays until the sources have been asked again."""
        before, self._settings = self._settings, settings
        if before.discovery != settings.discovery:
            await _end(self._source_tasks)
            for source in _SOURCES:
                self._metrics.report(f"discovery_{source}", None)
            self._found = {}
            self._source_tasks = self._start_sources()
        elif before.mappings != settings.mappings:
            await _end(self._source_tasks)
            self._found = {source: _with_mappings(found, settings.mappings) for source, found in self._found.items()}
            self._source_tasks = self._start_sources()
        return await self.refresh()

    async def refresh(self) -> Applied:
        """Apply what should run now; return what `apply` returned. Streams that another process has come later."""
        self._metrics.set(catalog.SHARD_ORDINAL, self._settings.fleet.shard)
        self._metrics.set(catalog.SHARDS, self._settings.fleet.total_shards)
        self._handover.want([stream.name for stream in self._wanted()])
        await self._handover.acquire()
        return await self._reconcile()

    async def _reconcile(self) -> Applied:
        """Apply what may run now; never waits for a lock, so that a process that led before closes in time."""
        async with self._applying:
            allowed = [stream for stream in self._wanted() if self._handover.allowed(stream.name)]
            applied = await self._apply(allowed)
            self._handover.release([stream.name for stream in allowed])
            return applied

    def _wanted(self) -> list[StreamSettings]:
        """The streams of this process's shard; none while another replica leads."""
        shard, total = self._settings.fleet.shard, self._settings.fleet.total_shards
        return [stream for stream in self._all() if owner(stream.name, total) == shard] if self._leads else []

    def _all(self) -> list[StreamSettings]:
        """Configured and discovered streams; of two with one name or endpoint the first wins."""
        names: set[str] = set()
        endpoints: set[object] = set()
        result = []
        refused = False
        for source, stream in self._configured_and_discovered():
            address = endpoint(stream.url), stream.mapping, stream.parameters
            if stream.name in names or address in endpoints:
                self._refuse_duplicate(source, stream, address)
                refused = True
                continue
            names.add(stream.name)
            endpoints.add(address)
            result.append(stream)
        self._metrics.report("streams", "duplicate" if refused else None)
        return result

    def _configured_and_discovered(self) -> Iterable[tuple[str, StreamSettings]]:
        yield from (("configuration", stream) for stream in self._settings.streams)
        for source in _SOURCES:
            yield from ((source, stream) for stream in self._found.get(source, ()))

    def _refuse_duplicate(self, source: str, stream: StreamSettings, address: object) -> None:
        key = (source, stream.name, address)
        if key not in self._logged_duplicates:
            self._logged_duplicates.add(key)
            self._metrics.add(catalog.DISCOVERY_FAILURES, 1, source)
            _log.warning("discovery.duplicate", source=source, stream=stream.name)

    def _discovered(self, source: str, streams: tuple[StreamSettings, ...]) -> None:
        self._found[source] = streams
        self._logged_duplicates = {key for key in self._logged_duplicates if key[0] != source}
        self._metrics.set(catalog.DISCOVERED, len(streams), source)
        self._changed.set()

    async def _refresh_when_changed(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self.refresh()

    def _start_sources(self) -> list[asyncio.Task[None]]:
        return [self._task_owner.start(f"discovery_{source.name}", source.run) for source in self._sources()]

    def _sources(self) -> "list[Source]":
        discovery = self._settings.discovery
        common = discovery, self._metrics, self._clock, self._discovered
        sources: list[Source] = []
        if discovery.files:
            from iris_exporter.fleet.discovery.files import FileDiscovery

            sources.append(FileDiscovery(*common))
        if discovery.http.url:
            from iris_exporter.fleet.discovery.http import HttpDiscovery

            sources.append(HttpDiscovery(*common, self._session))
        if discovery.kubernetes != "none":
            from iris_exporter.fleet.discovery.kubernetes import KubernetesDiscovery
            from iris_exporter.fleet.kubernetes import Kubernetes

            sources.append(KubernetesDiscovery(*common, Kubernetes(self._access(), self._session)))
        return sources

    def _access(self) -> "Access":
        from iris_exporter.fleet.kubernetes import Access, access_from

        fleet = self._settings.fleet
        if fleet.kubernetes_url is None:
            return access_from(os.environ)
        namespace = fleet.lease_namespace or self._settings.discovery.namespace or "default"
        url = fleet.kubernetes_url.rstrip("/")
        return Access(url, namespace, fleet.kubernetes_token_file, fleet.kubernetes_ca_file)

    def _election(self) -> "LeaderElection":
        from iris_exporter.fleet.election import LeaderElection
        from iris_exporter.fleet.kubernetes import Kubernetes

        fleet, access = self._settings.fleet, self._access()
        name = fleet.lease_name if fleet.total_shards == 1 else f"{fleet.lease_name}-{fleet.shard}"
        return LeaderElection(
            Kubernetes(access, self._session),
            name,
            fleet.lease_namespace or access.namespace,
            # Two processes of one host must differ, and so must a process and the one it replaces.
            f"{socket.gethostname()}_{os.getpid()}_{os.urandom(4).hex()}",
            fleet.lease_duration_seconds,
            self._clock,
            self._lead,
            self._follow,
            partial(self._metrics.report, "election"),
        )

    async def _lead(self) -> None:
        self._leads = True
        self._metrics.set(catalog.LEADER, True)
        await self.refresh()

    async def _follow(self) -> None:
        self._leads = False
        self._metrics.set(catalog.LEADER, False)
        self._handover.want(())
        await self._reconcile()


def _with_mappings(streams: Iterable[StreamSettings], mappings: Mappings) -> tuple[StreamSettings, ...]:
    """Streams with the mappings of their names; a name that is gone is refused where its entry is read again."""
    return tuple(replace(stream, mapped=mappings.get(stream.mapping, stream.mapped)) for stream in streams)


async def _end(tasks: list["asyncio.Task[None]"]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    tasks.clear()
