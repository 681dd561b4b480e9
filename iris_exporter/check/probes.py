"""The probes of one stream, in the order of the way to it, with the exporter's own parts.

They are polite: one connection at a time, and few of them: one to each address of the host, one for TLS, the link with
its snapshot, one to resume, and one to tell apart two causes of a failure where that is possible.
"""

import asyncio
import contextlib
import os
import ssl
from collections import Counter
from dataclasses import replace
from typing import Any

import aiohttp

from iris_exporter.check.heads import note_heads
from iris_exporter.check.observations import Heard, Observation
from iris_exporter.check.reaching import Progress, Reaching, Steps
from iris_exporter.check.watching import Notes, ObservedLink, RecordingState, note_documents, note_elements
from iris_exporter.clock import Clock
from iris_exporter.core import negotiation
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.core.limits import Limits
from iris_exporter.core.negotiation import Probe, without_credentials
from iris_exporter.core.status import Counted
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.proxies import proxy_for
from iris_exporter.http.redirects import origin
from iris_exporter.http.session import open_session
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import OTHER
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.model.source_state import SourceState
from iris_exporter.settings import StreamSettings
from iris_exporter.streams.ingest import StreamSink
from iris_exporter.streams.profile import profile_for
from iris_exporter.transports.base import Link
from iris_exporter.transports.connection_events import ConnectionEvent, PollFailed, PollStarted
from iris_exporter.transports.context import StreamContext
from iris_exporter.transports.dialer import Dialer, PollInstead
from iris_exporter.transports.link_session import LinkSession
from iris_exporter.transports.polling import Poller
from iris_exporter.transports.snapshots import SnapshotLoader
from iris_exporter.transports.stream_tasks import StreamTasks

WAIT_SECONDS = 5.0
"""How long is listened where nobody says."""
RESUME_SECONDS = 3.0
_SNAPSHOT_SECONDS = 3.0
_UPGRADE_FAILURES = frozenset(
    {"upgrade_refused", "http_client_error", "not_found", "handshake", "connection_reset", "http_server_error"}
)
_MAYBE_TLS = frozenset({"protocol_error", "connection_reset", "abnormal_closure", "http_client_error", "closed"})


async def examine(
    settings: StreamSettings, wait_seconds: float | None, clock: Clock, progress: Progress
) -> Observation:
    """Go the whole way to one stream and listen; never raises for what the way does.

    `wait_seconds` None is `WAIT_SECONDS`, or where not one byte has come by then, until the exporter would give it up.
    """
    seen = Observation(settings.name, without_credentials(settings.url))
    seen.has_key = bool(settings.api_key_file or settings.headers or settings.headers_file)
    seen.has_certificate = settings.tls_cert_file is not None
    async with open_session([note_heads(seen, settings.url, clock)]) as session:
        examination = _Examination(settings, session, clock, seen, progress)
        try:
            await examination.approach()
            await examination.use(wait_seconds)
        except TransportError as error:
            examination.failed(error.failure)
            await examination.ask_once_more(error.failure)
        finally:
            await examination.finish()
    return seen


class _Examination:
    def __init__(
        self,
        settings: StreamSettings,
        session: aiohttp.ClientSession,
        clock: Clock,
        seen: Observation,
        progress: Progress,
    ) -> None:
        self._settings, self._session, self._clock, self._seen, self._progress = (
            settings,
            session,
            clock,
            seen,
            progress,
        )
        limits = Limits.of(settings)
        profile = profile_for(settings.mapped)
        self._instruments = StreamInstruments(settings.name, limits)
        self._recorder = RecordingState(settings.name, settings.stale_after_seconds, limits=limits)
        self._recorder.record_in(seen.messages)
        self._state: SourceState = self._recorder
        if profile.mapping is not None:
            self._state = profile.state(settings.name, settings.stale_after_seconds, limits, None)
            note_elements(self._state, seen.messages)
            self._instruments.follow(profile.mapping, Counted.NONE)
            seen.mapping = profile.mapping.name
        self._profile = profile
        self._notes = Notes(settings.name, clock, seen.messages, self._on_event)
        self._sink = StreamSink(profile.dialect(limits), self._state, self._instruments, self._notes)
        self._sink.configure(settings)
        self._credentials = Credentials(settings, self._sink.dialect.key_header)
        note_documents(self._sink.dialect, seen)
        self._tasks = StreamTasks(settings.name, lambda: None)
        self._context = StreamContext(
            settings, self._sink, clock, (self._notes.on_event,), lambda *_: None, self._tasks
        )
        self._budgets = ConnectionBudgets()
        self._loader = SnapshotLoader(
            self._context, Poller(settings, session, self._credentials, clock, self._sink.dialect)
        )
        self._asked_at: float | None = None
        self._steps = Steps(seen.steps, clock, progress)
        _, host, port = origin(settings.url)
        self._reaching = self._to(host, port)

    def failed(self, failure: Failure) -> None:
        """The way ends here."""
        self._seen.failure, self._seen.failed_step = failure, self._steps.current
        self._steps.failed(failure)

    def _on_event(self, event: ConnectionEvent) -> None:
        if isinstance(event, PollStarted):
            self._asked_at = self._clock.monotonic()
        elif isinstance(event, PollFailed):
            self._seen.snapshot = event.failure

    # The way

    async def approach(self) -> None:
        """Key, proxy, DNS, TCP and TLS. Raises TransportError where the way ends."""
        url = negotiation.as_http(self._settings.url)
        self._steps.begin("configuration", "reading the configuration")
        self._steps.done(f"{self._seen.url}, protocol {self._settings.protocol}", timed=False)
        self._steps.begin("key", "reading the key and certificates")
        identity = await self._credentials.identity()
        self._steps.done("read" if self._seen.has_key else "no key configured")
        self._steps.begin("proxy", "looking for a proxy")
        proxy = None if self._settings.proxy == "none" else proxy_for(url, os.environ)
        self._steps.done("none" if proxy is None else proxy.url, timed=False)
        scheme, host, port = origin(url if proxy is None else proxy.url)
        reaching = self._reaching if proxy is None else self._to(host, port)
        await reaching.connect(await reaching.resolve(), to_proxy=proxy is not None)
        if scheme == "https" and proxy is None:
            context = identity.trust if isinstance(identity.trust, ssl.SSLContext) else ssl.create_default_context()
            await reaching.secure(context, self._settings.tls_server_name or host)

    def _to(self, host: str, port: int) -> Reaching:
        seen, seconds = self._seen, self._settings.connect_timeout_seconds
        return Reaching(self._steps, seen.way, self._clock, host, port, seconds)

    # The link

    async def use(self, wait_seconds: float | None) -> None:
        """Dial, listen, resume. Raises TransportError where nothing can be had."""
        seen = self._seen
        self._steps.begin("http", "asking for the stream")
        dialer = self._dialer(self._settings)
        dialled = await dialer.dial("")
        seen.connect_seconds = self._steps.seconds
        if isinstance(dialled, PollInstead):
            await self._poll(dialled)
            return
        status = f"HTTP status {seen.heads[-1].status}, " if seen.heads else ""
        between = next((f"; between: {head.between}" for head in seen.heads if head.between), "")
        self._steps.done(f"{status}{dialled.protocol}, compression {dialled.compression}{between}")
        heard = seen.heard = Heard(dialled.protocol, self._clock.wall())
        if dialled.two_way:
            seen.offered, seen.subprotocol = tuple(self._sink.dialect.subprotocols), dialled.subprotocol
        link = ObservedLink(dialled, heard, self._clock, self._sink.dialect, seen.messages.fit)
        await self._listen(link, heard, wait_seconds)
        seen.extensions, seen.encoding = self._sink.dialect.extensions, self._sink.dialect.encoding
        seen.has_positions = self._state.cursor.state.epoch is not None
        if heard.ended is None and seen.has_positions and seen.messages.data:
            await self._resume(dialer)

    def _dialer(self, settings: StreamSettings) -> Dialer:
        dialect = self._sink.dialect
        return Dialer(settings, self._session, self._credentials, self._clock, self._budgets, dialect)

    async def _poll(self, found: PollInstead) -> None:
        self._steps.begin("poll", "polling")
        self._loader.found(found)
        failure = await self._loader.poll()
        self._seen.connect_seconds = self._steps.seconds
        if failure is not None:
            raise TransportError(failure)
        self._steps.done(f"a document arrived from {without_credentials(self._loader.url or '')}")

    async def _listen(self, link: ObservedLink, heard: Heard, wait: float | None) -> None:
        wait_seconds = WAIT_SECONDS if wait is None else wait
        self._steps.begin("messages", f"listening for {wait_seconds:g} s")
        opened = self._clock.monotonic()
        try:
            await self._open(link)
            await link.ping()
            session = asyncio.ensure_future(LinkSession(link, self._context, self._loader).run())
            try:
                await asyncio.wait({session}, timeout=wait_seconds)
                longest = self._settings.heartbeat_timeout_seconds + 1.0
                if wait is None and not heard.reads and not link.two_way and not session.done():
                    self._progress(f"nothing has come yet: listening for {longest:g} s at most")
                    either: set[asyncio.Future[Any]] = {session, link.first_read}
                    await asyncio.wait(either, timeout=longest, return_when=asyncio.FIRST_COMPLETED)
                heard.ended = session.result() if session.done() else None
            finally:
                session.cancel()
                await asyncio.gather(session, return_exceptions=True)
        finally:
            heard.seconds, heard.ended_at = self._clock.monotonic() - opened, self._clock.wall()
            await link.close()
        waited = 0.0 if self._asked_at is None else self._clock.monotonic() - self._asked_at
        if self._recorder.has_snapshot:
            self._seen.snapshot = None
        elif self._seen.snapshot is None and waited >= min(_SNAPSHOT_SECONDS, wait_seconds):
            self._seen.snapshot = Failure("timeout", f"no answer within {waited:.0f} s")
        self._steps.done("it ended: " + str(heard.ended) if heard.ended else "still open", ok=heard.ended is None)

    async def _open(self, link: Link) -> None:
        for message in self._sink.on_open(self._clock.wall(), two_way=link.two_way, subprotocol=link.subprotocol):
            await link.send(message)

    async def _resume(self, dialer: Dialer) -> None:
        """Go on from the last position on a new connection, until the source says how it goes on."""
        self._steps.begin("resume", "asking to go on from the last position")
        self._recorder.recording = False
        self._notes.take_outcome()
        try:
            link = await dialer.dial(self._sink.resume_from())
        except TransportError as error:
            self._steps.done(str(error.failure), ok=False)
            if error.failure.reason == "position_refused":
                self._seen.resumed = "none"
            return
        outcome = None if isinstance(link, PollInstead) else await self._outcome(link)
        self._seen.resumed = outcome
        self._steps.done(f"outcome: {outcome or 'nothing said'}", ok=outcome in ("full", "partial"))

    async def _outcome(self, link: Link) -> str | None:
        outcome = None
        try:
            await self._open(link)
            async with asyncio.timeout(RESUME_SECONDS):
                while outcome is None:
                    self._sink.receive(await link.read(), self._clock.wall())
                    outcome = self._notes.take_outcome()
        except (TimeoutError, TransportError):
            pass
        finally:
            await link.close()
        return outcome

    # After a failure

    async def ask_once_more(self, failure: Failure) -> None:
        """One more question, where it tells two causes apart."""
        settings, heads = self._settings, len(self._seen.heads)
        if self._steps.current != "http":
            return
        if (
            settings.url.lower().startswith(("http:", "ws:"))
            and failure.reason in _MAYBE_TLS
            and await self._reaching.is_tls()
        ):
            self._seen.tls_speaks_on_plain_port = True
            return
        probe = self._sink.dialect.first_probe(settings, None)
        if probe is not Probe.UPGRADE and failure.reason == "timeout" and self._loader.url is not None:
            self._progress("asking for the snapshot")
            if await self._loader.load(polling=False) is None and self._seen.heads:
                self._seen.rest_through = self._seen.heads[-1].between
        if probe is Probe.UPGRADE and failure.reason in _UPGRADE_FAILURES:
            self._steps.begin("http", "asking for an event stream instead")
            with contextlib.suppress(TransportError):
                link = await self._dialer(replace(settings, protocol="sse")).dial("")
                if not isinstance(link, PollInstead):
                    await link.close()
                    self._seen.sse_works_instead = True
                    self._steps.done("the same address answers as an event stream")
            del self._seen.heads[heads:]

    async def finish(self) -> None:
        """Take what the model has; end what is left."""
        seen, view = self._seen, self._state.view(self._clock.wall())
        seen.has_snapshot = self._recorder.has_snapshot
        self._take_mapping()
        seen.projects, seen.anomalies = len(view.projects), len(view.anomalies)
        seen.snapshot_url = without_credentials(self._loader.url or "")
        seen.event_series = len(view.event_counts)
        seen.event_types = len({kind for _, kind, _ in view.event_counts})
        seen.severities = len({severity for _, _, severity in view.event_counts})
        await self._tasks.wait_ended()

    def _take_mapping(self) -> None:
        """Take what was counted of the messages of a mapping, by the kinds that it gives them."""
        seen, mapped = self._seen, self._instruments.mapped
        if mapped is None:
            return
        counts = self._instruments.counter(catalog.MESSAGES).counts()
        seen.messages.kinds = Counter({"unknown" if kind == OTHER else kind: n for kind, n in counts.items() if n})
        seen.messages.usable = sum(n for kind, n in counts.items() if kind != OTHER)
        seen.mapping_problems = mapped.problems
        protocol = self._settings.protocol if seen.heard is None else seen.heard.protocol
        if (found := self._profile.guarantee(protocol)) is not None:
            seen.guarantee = f"{found.counted}: {found.why}"
