"""One stream, put together: its connection, what its sink believes and counts, and how it is steered."""

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import aiohttp

from iris_exporter.clock import Clock
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.limits import Limits
from iris_exporter.core.negotiation import without_credentials
from iris_exporter.core.positions import Outcome
from iris_exporter.core.status import LinkStatus, State
from iris_exporter.http.credentials import Credentials
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.model.snapshot import Snapshot
from iris_exporter.persistence.checkpoints import PendingRecord
from iris_exporter.persistence.cursor_store import CursorRecord
from iris_exporter.settings import StreamSettings
from iris_exporter.streams.following import FollowedEvents, Follower
from iris_exporter.streams.ingest import StreamSink
from iris_exporter.streams.log import StreamLog
from iris_exporter.streams.profile import Profile, profile_for
from iris_exporter.transports.connection_events import Connected, ConnectionEvent, Observer, StateChanged
from iris_exporter.transports.context import StreamContext
from iris_exporter.transports.dialer import Dialer
from iris_exporter.transports.polling import Poller
from iris_exporter.transports.stream_tasks import StreamTasks
from iris_exporter.transports.supervisor import Supervisor

if TYPE_CHECKING:
    # OpenTelemetry is imported where something is exported, and not otherwise.
    from iris_exporter.otel.stream_tracer import StreamTracer

# Of all streams together: a stream that comes back must not begin below the generation of its last checkpoint.
_generations = itertools.count()


class Stream:
    """A stream of the configuration, from socket to numbers. Call `connect` to begin and `stop` at the end.

    `profile` is what its source is; None for what the settings say.

    `record` is the cursor record of an earlier process, None for a fresh start. `budgets` is shared by all streams of
    the process. `make_tracer` is `Telemetry.stream`, None where nothing is exported over OTLP. `on_crash` is called for
    each unexpected exception in one of its tasks.

    `reconfigure` gives it other settings; what was counted and believed stays, because the name stays.
    """

    def __init__(
        self,
        settings: StreamSettings,
        session: aiohttp.ClientSession,
        clock: Clock,
        random: Callable[[], float],
        budgets: ConnectionBudgets,
        record: CursorRecord | None = None,
        make_tracer: "Callable[[str, str, StreamInstruments], StreamTracer] | None" = None,
        on_crash: Callable[[], None] = lambda: None,
        profile: Profile | None = None,
    ) -> None:
        self._on_crash = on_crash
        self._session = session
        self._clock = clock
        self._random = random
        self._budgets = budgets
        self._log = StreamLog(settings.name, clock)
        limits = Limits.of(settings)
        self.instruments = StreamInstruments(settings.name, limits)
        self.telemetry = None if make_tracer is None else make_tracer(settings.name, settings.url, self.instruments)
        self._follower: Follower | None = None
        self._observers: tuple[Observer, ...] = (self.instruments.on_event, self._log.on_event, self._on_event)
        if self.telemetry is not None:
            self._observers += (self.telemetry.on_event,)
        self._profile = profile = profile or profile_for(settings.mapped)
        self._state = profile.state(settings.name, settings.stale_after_seconds, limits, record)
        self._sink = StreamSink(profile.dialect(limits), self._state, self.instruments, self._log, self.telemetry)
        self._sink.configure(settings)
        self._promise(settings.protocol)
        self._supervisor = self._supervise(settings)
        self.settings = settings
        self._pending: PendingRecord | None = None
        self._recorded: tuple[object, ...] | None = None

    def _promise(self, protocol: str) -> None:
        """Show and log how often events are counted over a protocol, where a mapping says what they are."""
        found, mapping = self._profile.guarantee(protocol), self._profile.mapping
        if found is None or mapping is None:
            return
        counts = self.instruments.mapped
        if counts is None or (counts.mapping, counts.guarantee) != (mapping, found.counted):
            self.instruments.follow(mapping, found.counted)
            self._log.guarantee(found.counted, found.why)

    def _supervise(self, settings: StreamSettings) -> Supervisor:
        dialect = self._sink.dialect
        credentials = Credentials(settings, dialect.key_header)
        tasks, on_read = StreamTasks(settings.name, self._on_crash), self.instruments.received
        return Supervisor(
            StreamContext(settings, self._sink, self._clock, self._observers, on_read, tasks),
            Dialer(settings, self._session, credentials, self._clock, self._budgets, dialect),
            Poller(settings, self._session, credentials, self._clock, dialect),
            self._random,
        )

    # Steering

    def lose_cursor(self) -> None:
        """Another process may have had this stream: the first connection reports how it goes on."""
        self._sink.lose_cursor()

    def connect(self) -> None:
        """Connect, or make the next attempt now."""
        self._supervisor.connect()

    def disconnect(self) -> None:
        """Close the link and stay disconnected until asked again."""
        self._supervisor.disconnect()

    def reset(self) -> None:
        """Clear what is believed about the source, then connect."""
        self._supervisor.reset()

    async def stop(self) -> None:
        """Disconnect for good, and return when all tasks have ended."""
        await self._supervisor.stop()
        if self.telemetry is not None:
            self.telemetry.close()

    async def reconfigure(self, settings: StreamSettings) -> None:
        """Close the link and start again with `settings`, whose name is the same."""
        await self._supervisor.stop()
        if settings.mapped != self.settings.mapped:
            self._follow_mapping(settings)
        self.settings = settings
        self._state.stale_after_seconds = settings.stale_after_seconds
        self._sink.configure(settings)
        if self.telemetry is not None:
            self.telemetry.locate(settings.url)
        last_failure_at = self._supervisor.last_failure_at
        self._supervisor = self._supervise(settings)
        self._supervisor.last_failure_at = last_failure_at
        self._supervisor.connect()

    def _follow_mapping(self, settings: StreamSettings) -> None:
        """Go on with a mapping that was changed: metrics go on from their values, and ids that were seen are known."""
        before, profile, limits = self._profile, profile_for(settings.mapped), Limits.of(settings)
        record = None
        if _fingerprint(before) == _fingerprint(profile):
            record = self.pending_record().build()
        else:
            self._log.cursor_forgotten(settings.mapping)
        state = profile.state(settings.name, settings.stale_after_seconds, limits, record)
        state.take_over(self._state, self._clock.wall())
        sink = StreamSink(profile.dialect(limits), state, self.instruments, self._log, self._sink.listener)
        sink.last_outcome = self._sink.last_outcome
        self._profile, self._state, self._sink = profile, state, sink
        self._promise(settings.protocol)

    # Looking

    def follow(self, follower: Follower | None) -> None:
        """From now on tell `follower` what happens; None for nobody, which costs nothing."""
        self._follower = follower
        self._sink.listener = (
            self.telemetry if follower is None else FollowedEvents(self.name, follower, self.telemetry)
        )

    def _on_event(self, event: ConnectionEvent) -> None:
        if isinstance(event, Connected):
            self._promise(event.protocol)
        elif isinstance(event, StateChanged):
            if event.state is State.POLLING:
                self._promise("poll")
            if self._follower is not None:
                self._follower.state_changed(self.name)

    @property
    def last_resume(self) -> Outcome | None:
        """How much the source could replay when it was last asked to go on; None when it never was."""
        return self._sink.last_outcome

    @property
    def name(self) -> str:
        """The name of the stream."""
        return self.settings.name

    @property
    def url(self) -> str:
        """The configured address, without credentials."""
        return without_credentials(self.settings.url)

    def status(self) -> LinkStatus:
        """What the connection looks like now."""
        return self._supervisor.status()

    @property
    def has_crashed(self) -> bool:
        """Whether bugs of the exporter stop the stream."""
        return self._supervisor.has_crashed

    def pending_record(self) -> PendingRecord:
        """The cursor record as it is now; the same object as long as nothing has changed."""
        cursor, endpoint, mapping = self._state.cursor.state_to_record, self.url, self._profile.mapping
        current = (self._state.counted, cursor, endpoint, mapping)
        if self._pending is None or current != self._recorded:
            self._recorded = current
            name, seen, fingerprint = self.name, self._state.seen.copy(), _fingerprint(self._profile)
            mapping_name = "" if mapping is None else mapping.name
            early_ids, early_lost = list(self._state.advances.outstanding), self._state.advances.lost
            self._pending = PendingRecord(
                name,
                next(_generations),
                lambda: CursorRecord(
                    name,
                    endpoint,
                    cursor,
                    seen.ids(),
                    list(seen.pinned),
                    early_ids,
                    early_lost,
                    mapping_name,
                    fingerprint,
                ),
            )
        return self._pending

    def snapshot(self) -> Snapshot:
        """What the source is believed to be now."""
        return self._state.view(self._clock.wall())


def _fingerprint(profile: Profile) -> str:
    """Stands for the identities and the cursor of a mapping; empty for IRIS."""
    return "" if profile.mapping is None else profile.mapping.fingerprint
