"""The composition root: the one place that knows all the parts; start, reload and stop.

Everything runs on one event loop. A start that fails leaves nothing running; a reload that fails leaves the old
configuration in force; a stop takes less than five seconds, whatever the sources do.
"""

import asyncio
import random
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

import aiohttp

from iris_exporter import config, logs
from iris_exporter.clock import Clock, SystemClock
from iris_exporter.config.watch import ConfigWatch
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.negotiation import without_credentials
from iris_exporter.core.own_failures import disk_reason
from iris_exporter.errors import ConfigError, IrisExporterError, Problem
from iris_exporter.fleet.manager import Fleet
from iris_exporter.http.session import open_session
from iris_exporter.instruments import catalog
from iris_exporter.instruments.exposition import Exposition, Source
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.otel.settings import OFF, OtelSettings
from iris_exporter.persistence.checkpoints import Checkpoints, PendingRecord
from iris_exporter.persistence.state_directory import StateDirectory
from iris_exporter.process.blocking import CONFIG, BlockedError
from iris_exporter.process.listening import bound_sockets
from iris_exporter.process.standard_streams import stderr
from iris_exporter.process.tasks import TaskOwner
from iris_exporter.settings import Settings, StreamSettings
from iris_exporter.streams.registry import Reconciled, Streams
from iris_exporter.streams.stream import Stream
from iris_exporter.version import VersionInfo, version_info
from iris_exporter.web.server import HttpServer

if TYPE_CHECKING:
    from iris_exporter.otel.provider import Telemetry

_log = logs.get_logger("app")


class ListenError(IrisExporterError):
    """An address cannot be listened on."""


class Exporter:
    """The running sidecar, and what the web server needs to know of it (`web.server.WebContext`).

    Use it as `async with`; inside, `addresses` are the URLs it listens on. `load` reads the configuration again and
    is called in a thread; it raises ConfigError. `otel` says what is exported over OTLP; it holds until the end, since
    the variables that it comes from do.
    """

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Settings],
        clock: Clock | None = None,
        otel: OtelSettings = OFF,
    ) -> None:
        self.settings = settings
        self.addresses: list[str] = []
        self.version: VersionInfo = version_info()
        self.self_metrics = SelfMetrics(self.version.version, self.version.revision, self.version.python)
        self.self_metrics.watch(catalog.LIBRARY_MESSAGES, logs.library_messages)
        self.self_metrics.watch(catalog.LOG_DROPPED, lambda: stderr.dropped)
        self.self_metrics.watch(catalog.TASK_FAILURES, lambda: {catalog.LOG_WRITER: stderr.failures})
        self._clock = clock or SystemClock()
        self.tasks = TaskOwner(self._clock, partial(self.self_metrics.add, catalog.TASK_FAILURES, 1))
        self._streams = Streams(self._make, self._clock)
        self.exposition = Exposition(
            self._sources, self.self_metrics, process_metrics=not settings.web.disable_exporter_metrics
        )
        self._load = load
        self._otel = otel
        self._telemetry = self._make_telemetry(otel) if otel.traces or otel.logs else None
        self._fleet: Fleet[Reconciled] | None = None
        self._is_ready = False
        self._budgets = ConnectionBudgets()
        self._state: StateDirectory | None = None
        self._server = HttpServer(self, settings.web, self._clock, self._trouble)
        self._session: aiohttp.ClientSession | None = None
        self._cleanup = AsyncExitStack()
        self._reloading = asyncio.Lock()
        self._rejected: list[str] = []  # what was wrong with the configuration at the last attempt
        self._watch: ConfigWatch | None = None
        if settings.config_watch and (file := settings.config_file) is not None:
            reload = partial(self.reload, log_again=False)
            self._watch = ConfigWatch(file, settings.config_mark, self._clock, reload, settings.mapping_files)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for problem in self._otel.ignored:
                _log.warning("otel.value_ignored", variable=problem.key, value=problem.value, expected=problem.expected)
            self._warn(self.settings)
            await self._open_state(stack)
            trace_configs: list[aiohttp.TraceConfig] = []
            if self._telemetry is not None:
                self._telemetry.start(self.tasks)
                stack.push_async_callback(self._telemetry.close)
                trace_configs = self._telemetry.trace_configs()
            self._session = await stack.enter_async_context(open_session(trace_configs))
            self._fleet = Fleet(
                self.settings,
                self._session,
                self._clock,
                self.self_metrics,
                self._streams.reconcile,
                None if self._state is None else self._state.locks,
                _no_scrapes if self._state is None else self._state.checkpoints.scrapes_ended,
                self.tasks,
            )
            sockets = await self._bind(stack)
            self.self_metrics.config_reloaded(ok=True, at=self._clock.wall())
            stack.push_async_callback(self._streams.stop)
            stack.push_async_callback(self._fleet.stop)
            await self._fleet.start()
            # Not before the streams are there: a scrape without them would show that they have gone.
            await self._listen(sockets)
            if self._state is not None:
                stack.push_async_callback(self._state.checkpoints.write)
                stack.callback(self.tasks.start("checkpoints", self._state.checkpoints.run).cancel)
            if self.settings.live.client.url:
                from iris_exporter.grafana.live import LivePush

                live = LivePush(self.settings.live, self._session, self.streams, self.self_metrics, self._clock)
                stack.callback(self.tasks.start("live", live.run).cancel)
            if self._watch is not None:
                stack.callback(self.tasks.start("config_watch", self._watch.run).cancel)
            self._is_ready = True
            self._cleanup = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._cleanup.aclose()

    def _make_telemetry(self, otel: OtelSettings) -> "Telemetry":
        from iris_exporter.otel.provider import Telemetry

        return Telemetry(otel, self._clock, self.version.version, self.self_metrics)

    async def _open_state(self, stack: AsyncExitStack) -> None:
        directory = self.settings.state_dir
        if directory is None:
            _log.info("state.in_memory", detail="without --state.dir a restart may count or miss events")
            return
        seconds = self.settings.state_commit_seconds
        self._state = await StateDirectory.open(directory, self._pending_records, self._written, seconds)
        # Last of all, when nothing is shown to anybody any more.
        stack.callback(self._state.locks.close)

    def _written(self, error: OSError | None) -> None:
        if error is not None:
            self.self_metrics.add(catalog.STATE_COMMIT_FAILURES)
        self.self_metrics.report("state", None if error is None else disk_reason(error))

    async def _bind(self, stack: AsyncExitStack) -> list[socket.socket]:
        sockets: list[socket.socket] = []
        stack.callback(_close, sockets)  # after the servers have
        stack.push_async_callback(self._server.close)
        await self._server.start()
        for address in self.settings.web.listen_addresses:
            host, port = config.parse_address(address)
            try:
                sockets += await bound_sockets(host or None, port)
            except OSError as error:
                raise ListenError(f"--web.listen-address: cannot listen on {address}: {_reason(error)}") from error
        return sockets

    async def _listen(self, sockets: Sequence[socket.socket]) -> None:
        for bound in sockets:
            try:
                self.addresses.append(await self._server.listen(bound))
            except OSError as error:
                host, port = bound.getsockname()[:2]
                raise ListenError(f"--web.listen-address: cannot listen on {host}:{port}: {_reason(error)}") from error
        for url in self.addresses:
            root = url + self.settings.web.route_prefix
            _log.info("web.listening", address=root, metrics=root + self.settings.web.telemetry_path)

    async def _make(self, settings: StreamSettings) -> Stream:
        assert self._session is not None  # noqa: S101 (set before any stream is made)
        name, endpoint = settings.name, without_credentials(settings.url)
        fingerprint = "" if settings.mapped is None else settings.mapped.fingerprint
        record = None if self._state is None else await self._state.load(name, endpoint, fingerprint)
        stream = Stream(
            settings,
            self._session,
            self._clock,
            random.random,
            self._budgets,
            record,
            None if self._telemetry is None else self._telemetry.stream,
            lambda: self.self_metrics.add(catalog.TASK_FAILURES, 1, "stream"),
        )
        fleet = self.settings.fleet
        if record is None and (fleet.total_shards > 1 or fleet.leader_election):
            stream.lose_cursor()
        return stream

    def _trouble(self) -> str | None:
        return self.tasks.trouble() or self._streams.trouble()

    def _sources(self) -> Iterator[Source]:
        return iter(()) if self._is_standby else self._streams.sources()

    def _pending_records(self) -> Iterator[PendingRecord]:
        return iter(()) if self._is_standby else self._streams.pending_records()

    @property
    def _is_standby(self) -> bool:
        return self._fleet is not None and self._fleet.is_standby

    # What the web server asks

    def streams(self) -> Mapping[str, Stream]:
        """The streams of this process by name, in the order of the configuration; none while another one leads."""
        return self._streams.by_name()

    @property
    def checkpoints(self) -> Checkpoints | None:
        """The checkpoints of the streams; None without `--state.dir`."""
        return None if self._state is None else self._state.checkpoints

    def ready(self) -> bool:
        """Whether a scrape can be served: from the moment the streams of this process exist, be they none."""
        return self._is_ready

    def config_text(self) -> str:
        """The configuration in force as YAML, without secrets."""
        return config.dump(self.settings)

    async def reload(self, *, log_again: bool = True) -> None:
        """Read the configuration again and bring the streams in line with it; untouched ones do not notice.

        Args:
            log_again: Whether to log problems that were logged last time as well.
        Raises:
            ConfigError: It cannot be used; the old one stays in force.
        """
        async with self._reloading:
            mark = None if self._watch is None else await self._watch.mark()
            try:
                settings = await self._load_again()
            except ConfigError as error:
                self._reloaded(mark, [str(problem) for problem in error.problems], log_again=log_again)
                if isinstance(error.__cause__, BlockedError):
                    self.self_metrics.report("config", "hangs")
                raise
            await self._apply(settings)
            if self._watch is not None and self._watch.patterns != settings.mapping_files:
                self._watch.patterns, mark = settings.mapping_files, settings.config_mark
            self._reloaded(mark, [])

    def _reloaded(self, mark: str | None, problems: list[str], *, log_again: bool = True) -> None:
        """Report a reload, or the problems that prevented it."""
        if log_again or problems != self._rejected:
            for problem in problems:
                _log.error("config.rejected", problem=problem)
        self._rejected = problems
        self.self_metrics.config_reloaded(ok=not problems, at=self._clock.wall())
        if self._watch is not None:
            self._watch.loaded(mark, accepted=not problems)

    @staticmethod
    def _warn(settings: Settings) -> None:
        """Log what is doubtful about mappings."""
        for warning in settings.mapping_warnings:
            _log.warning("mapping.doubtful", problem=str(warning))

    async def _load_again(self) -> Settings:
        try:
            return await CONFIG.run(self._load, "configuration")
        except BlockedError as error:
            expected = "files that can be read, the configuration's own and those that it names"
            raise ConfigError([Problem("reload", "config.file", str(error.strerror), expected)]) from error

    async def _apply(self, settings: Settings) -> None:
        assert self._fleet is not None  # noqa: S101 (set when the server was started)
        needs_restart = config.needs_restart(self.settings, settings)
        logs.setup(settings.log_level, settings.log_format)
        self.settings = settings
        if self._state is not None:
            self._state.checkpoints.set_interval(settings.state_commit_seconds)
        self._warn(settings)
        done = await self._fleet.reconfigure(settings)
        _log.info("config.reloaded", **done)
        if needs_restart:
            _log.warning("config.needs_restart", options=" ".join(needs_restart))


async def _no_scrapes(streams: Collection[str]) -> None:
    """Without a state directory no scrape makes a checkpoint."""


def _close(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        each.close()


def _reason(error: OSError) -> str:
    words = error.strerror or str(error)
    return words[:1].lower() + words[1:]
