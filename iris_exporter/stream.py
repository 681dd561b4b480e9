"""One stream, put together: what its connection brings is decoded, believed and counted here.

The supervisor sees a `Sink`, the exposition a source of numbers, the web server something to look at and to steer.
"""

from collections.abc import Callable

import aiohttp

from iris_exporter.clock import Clock
from iris_exporter.core.detection import without_credentials
from iris_exporter.core.failures import Failure, from_error_code
from iris_exporter.core.status import LinkStatus
from iris_exporter.decoding.decoder import Decoder
from iris_exporter.decoding.messages import Message, Ping, Pong, Resumed, UpstreamError
from iris_exporter.errors import DecodeError
from iris_exporter.instruments.stream import StreamInstruments
from iris_exporter.model.snapshot import Snapshot
from iris_exporter.model.state import NO_CHANGES, Changes, StreamState
from iris_exporter.settings import StreamSettings
from iris_exporter.streamlog import StreamLog
from iris_exporter.transports.base import NO_REACTION, Observers, Reaction, Received
from iris_exporter.transports.credentials import Credentials
from iris_exporter.transports.dialer import Dialer
from iris_exporter.transports.polling import Poller
from iris_exporter.transports.supervisor import Supervisor

PONG = b'{"type":"pong"}'
_PONG_REACTION = Reaction(pong=True)
_ANSWER_REACTION = Reaction(replies=(PONG,))


class StreamSink:
    """Takes what a connection brings: decodes it, applies it to the model, counts it."""

    def __init__(self, state: StreamState, instruments: StreamInstruments, log: StreamLog) -> None:
        self._decoder = Decoder()
        self._state = state
        self._instruments = instruments
        self._log = log

    def receive(self, received: Received, protocol: str, at: float) -> Reaction:  # noqa: ARG002 (see Sink)
        """See `Sink.receive`."""
        decode, apply = self._decoder.decode, self._state.apply
        counts: dict[str, int] = {}
        delays: list[float] = []
        reaction = NO_REACTION
        for data in received.messages:
            try:
                message = decode(data)
            except DecodeError as error:
                self._broken(error.reason, error.path, 1, error.detail)
                continue
            kind = message.message_type
            counts[kind] = counts.get(kind, 0) + 1
            changes = apply(message, at)
            if changes is NO_CHANGES:
                answer = self._control(message)
                if answer is not NO_REACTION:
                    reaction = answer if reaction.failure is None else reaction
                continue
            if changes.delay_seconds is not None:
                delays.append(changes.delay_seconds)
            if changes.duplicates or changes.replayed or changes.gap:
                self._count(changes)
        if received.binary:
            self._broken("binary", "$", received.binary)
        for kind, count in counts.items():
            self._instruments.message(kind, count)
        if delays:
            self._instruments.delays(delays)
        if self._decoder.problems:
            self._report_problems()
        return reaction

    def _control(self, message: Message) -> Reaction:
        if isinstance(message, Ping):
            return _ANSWER_REACTION
        if isinstance(message, Pong):
            return _PONG_REACTION
        if isinstance(message, UpstreamError):
            self._instruments.upstream_error(message.code)
            self._log.upstream_error(message.code, message.message)
            failure = from_error_code(message.code, message.message, message.retry_after_seconds)
            return NO_REACTION if failure is None else Reaction(failure=failure)
        if isinstance(message, Resumed):
            self._instruments.resume(message.outcome)
        return NO_REACTION

    def _count(self, changes: Changes) -> None:
        if changes.duplicates:
            self._instruments.event_duplicate(changes.duplicates)
        if changes.replayed:
            self._instruments.event_replayed(changes.replayed)
        if changes.gap:
            self._instruments.event_gap(changes.gap)

    def snapshot(self, body: bytes, at: float) -> Failure | None:
        """See `Sink.snapshot`."""
        try:
            overview = self._decoder.decode_document(body)
        except DecodeError as error:
            self._broken(error.reason, error.path, 1, error.detail)
            return Failure("decode", str(error))
        finally:
            if self._decoder.problems:
                self._report_problems()
        self._count(self._state.apply_snapshot(overview, at))
        return None

    def unchanged(self, at: float) -> None:
        """See `Sink.unchanged`."""
        self._state.heard(at)

    def forget(self) -> None:
        """See `Sink.forget`."""
        self._state.forget()

    def _broken(self, reason: str, path: str, count: int, detail: str = "") -> None:
        self._instruments.decode_error(reason, count)
        self._log.broken(reason, path, detail)

    def _report_problems(self) -> None:
        for reason, path, count in self._decoder.problems.take():
            self._broken(reason, path, count)


class Stream:
    """A stream of the configuration, from socket to numbers. Call `connect` to begin and `stop` at the end.

    `reconfigure` gives it other settings; what was counted and believed stays, because the name stays.
    """

    def __init__(
        self,
        settings: StreamSettings,
        session: aiohttp.ClientSession,
        clock: Clock,
        random: Callable[[], float],
        protect: Callable[[str], None],
    ) -> None:
        self._session = session
        self._clock = clock
        self._random = random
        self._protect = protect
        self._log = StreamLog(settings.name, clock)
        self.instruments = StreamInstruments(settings.name)
        self._state = StreamState(settings.name, settings.stale_after_seconds)
        self._sink = StreamSink(self._state, self.instruments, self._log)
        self._supervisor = self._supervise(settings)
        self.settings = settings

    def _supervise(self, settings: StreamSettings) -> Supervisor:
        credentials = Credentials(settings.api_key_file, self._protect)
        return Supervisor(
            settings,
            Dialer(settings, self._session, credentials, self._clock),
            Poller(settings, self._session, credentials, self._clock),
            self._sink,
            Observers((self.instruments, self._log)),
            self._clock,
            self._random,
        )

    # Steering

    def connect(self) -> None:
        """See `Supervisor.connect`."""
        self._supervisor.connect()

    def disconnect(self) -> None:
        """See `Supervisor.disconnect`."""
        self._supervisor.disconnect()

    def reset(self) -> None:
        """See `Supervisor.reset`."""
        self._supervisor.reset()

    async def stop(self) -> None:
        """See `Supervisor.stop`."""
        await self._supervisor.stop()

    async def reconfigure(self, settings: StreamSettings) -> None:
        """Close the link and start again with `settings`, whose name is the same."""
        await self._supervisor.stop()
        self.settings = settings
        self._state.stale_after_seconds = settings.stale_after_seconds
        self._supervisor = self._supervise(settings)
        self._supervisor.connect()

    # Looking

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

    def snapshot(self) -> Snapshot:
        """What the source is believed to be now."""
        return self._state.view(self._clock.wall())
