"""The probes of one stream, in the order of the way to it, with the exporter's own parts.

They are polite: one connection at a time, and few of them: one to each address of the host, one for TLS, the link with
its snapshot, one to resume, and one to tell apart two causes of a failure where that is possible.
"""

import asyncio
import contextlib
import ipaddress
import os
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp

from iris_exporter.check.heads import note_heads
from iris_exporter.check.observations import Heard, Observation, Step
from iris_exporter.check.watching import Notes, ObservedLink, RecordingState
from iris_exporter.clock import Clock
from iris_exporter.core import negotiation
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.core.limits import Limits
from iris_exporter.core.negotiation import Probe, without_credentials
from iris_exporter.http import tls
from iris_exporter.http.classify import LINK_ERRORS, failure_of
from iris_exporter.http.credentials import Credentials, Identity
from iris_exporter.http.proxies import proxy_for
from iris_exporter.http.redirects import origin
from iris_exporter.http.resolver import Resolver, connect_timeout
from iris_exporter.http.session import open_session
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.settings import StreamSettings
from iris_exporter.streams.ingest import StreamSink
from iris_exporter.streams.profile import IRIS
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
MAX_ADDRESSES = 8
"""So many addresses of a host are tried."""
RESUME_SECONDS = 3.0
_SNAPSHOT_SECONDS = 3.0
_UPGRADE_FAILURES = frozenset(
    {"upgrade_refused", "http_client_error", "not_found", "handshake", "connection_reset", "http_server_error"}
)
_MAYBE_TLS = frozenset({"protocol_error", "connection_reset", "abnormal_closure", "http_client_error", "closed"})

Progress = Callable[[str], None]
"""Is told what happens now."""


async def examine(
    settings: StreamSettings, wait_seconds: float | None, clock: Clock, progress: Progress
) -> Observation:
    """Go the whole way to one stream and listen; never raises for what the way does.

    `wait_seconds` None is `WAIT_SECONDS`, or where not one byte has come by then, until the exporter would give it up.
    """
    seen = Observation(settings.name, without_credentials(settings.url))
    seen.has_key = bool(settings.api_key_file or settings.headers or settings.headers_file)
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
        self._credentials = Credentials(settings)
        limits = Limits.of(settings)
        self._state = RecordingState(settings.name, settings.stale_after_seconds, limits=limits)
        self._state.record_in(seen.messages)
        self._notes = Notes(settings.name, clock, seen.messages, self._on_event)
        instruments = StreamInstruments(settings.name, limits)
        self._sink = StreamSink(IRIS.dialect(limits), self._state, instruments, self._notes)
        self._sink.configure(settings)
        self._tasks = StreamTasks(settings.name, lambda: None)
        self._context = StreamContext(
            settings, self._sink, clock, (self._notes.on_event,), lambda *_: None, self._tasks
        )
        self._budgets = ConnectionBudgets()
        self._loader = SnapshotLoader(
            self._context, Poller(settings, session, self._credentials, clock, self._sink.dialect)
        )
        self._asked_at: float | None = None
        self._step = ""
        self._begun = clock.monotonic()

    def _begin(self, step: str, what: str) -> None:
        self._step, self._begun = step, self._clock.monotonic()
        self._progress(what)

    def _done(self, text: str, *, ok: bool = True, timed: bool = True) -> None:
        seconds = self._clock.monotonic() - self._begun if timed else None
        self._seen.steps.append(Step(self._step, text, seconds, ok))

    def failed(self, failure: Failure) -> None:
        """The way ends here."""
        self._seen.failure, self._seen.failed_step = failure, self._step
        hint = failure.retry_after_seconds
        self._done(str(failure) + (f"; asks to come back in {hint:g} s" if hint is not None else ""), ok=False)

    def _on_event(self, event: ConnectionEvent) -> None:
        if isinstance(event, PollStarted):
            self._asked_at = self._clock.monotonic()
        elif isinstance(event, PollFailed):
            self._seen.snapshot = event.failure

    # The way

    async def approach(self) -> None:
        """Key, proxy, DNS, TCP and TLS. Raises TransportError where the way ends."""
        url = negotiation.as_http(self._settings.url)
        self._begin("configuration", "reading the configuration")
        self._done(f"{self._seen.url}, protocol {self._settings.protocol}", timed=False)
        self._begin("key", "reading the key and certificates")
        identity = await self._credentials.identity()
        self._done("read" if self._seen.has_key else "no key configured")
        self._begin("proxy", "looking for a proxy")
        proxy = None if self._settings.proxy == "none" else proxy_for(url, os.environ)
        self._done("none" if proxy is None else proxy.url, timed=False)
        scheme, host, port = origin(url if proxy is None else proxy.url)
        addresses = await self._resolve(host, port)
        await self._connect(addresses, port, to_proxy=proxy is not None)
        if scheme == "https" and proxy is None:
            await self._handshake(host, port, identity)

    async def _resolve(self, host: str, port: int) -> list[str]:
        self._begin("dns", f"looking up {host}")
        with contextlib.suppress(ValueError):
            self._done(f"{ipaddress.ip_address(host)} (an address)", timed=False)
            return [host]
        resolver = Resolver()
        try:
            async with connect_timeout(self._settings.connect_timeout_seconds):
                results = await resolver.resolve(host, port)
        except OSError as error:
            failure = failure_of(error)
            raise TransportError(Failure("dns", f"cannot resolve {host}: {failure.detail}")) from None
        finally:
            await resolver.close()
        addresses = list(dict.fromkeys(result["host"] for result in results))
        kinds = [f"{address} (IPv{6 if ':' in address else 4})" for address in addresses]
        self._done(", ".join(kinds))
        return addresses

    async def _connect(self, addresses: list[str], port: int, *, to_proxy: bool) -> None:
        """Connect to each address, one after another; the way ends when none answers."""
        seen, first = self._seen, None
        for address in addresses[:MAX_ADDRESSES]:
            self._begin("tcp", f"connecting to {address} port {port}")
            try:
                async with connect_timeout(self._settings.connect_timeout_seconds):
                    _, writer = await asyncio.open_connection(address, port)
            except (OSError, TimeoutError) as error:
                failure = failure_of(error)
                first = failure if first is None else first
                if not _is_harmless(address, failure):
                    seen.bad_addresses.append(f"{address} ({failure.reason})")
                if address != addresses[-1] or seen.good_addresses:
                    self._done(f"{address}: {failure}", ok=False)
                continue
            seen.good_addresses.append(address)
            self._done(f"{address} port {port}")
            await _close(writer)
        if not seen.good_addresses and first is not None:
            raise TransportError(Failure("proxy", f"the HTTP proxy: {first}") if to_proxy else first)

    async def _handshake(self, host: str, port: int, identity: Identity) -> None:
        self._begin("tls", "making a TLS connection")
        context = identity.trust if isinstance(identity.trust, ssl.SSLContext) else ssl.create_default_context()
        try:
            async with connect_timeout(self._settings.connect_timeout_seconds):
                _, writer = await asyncio.open_connection(
                    self._seen.good_addresses[0],
                    port,
                    ssl=context,
                    server_hostname=self._settings.tls_server_name or host,
                )
        except LINK_ERRORS as error:
            raise TransportError(failure_of(error)) from None
        secured = writer.get_extra_info("ssl_object")
        certificate: dict[str, Any] = writer.get_extra_info("peercert") or {}
        await _close(writer)
        text = f"{secured.version()}, {'verified' if certificate else 'not verified'}"
        if certificate:
            days = (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / 86400
            self._seen.certificate_days = days
            names = ", ".join(str(value) for _, value in certificate.get("subjectAltName", ())[:5])
            issuer = dict(pair for entry in certificate.get("issuer", ()) for pair in entry).get("commonName", "?")
            text += f", for {names or 'no name'}, by {issuer}, expires in {days:.0f} days"
        self._done(text)

    # The link

    async def use(self, wait_seconds: float | None) -> None:
        """Dial, listen, resume. Raises TransportError where nothing can be had."""
        seen = self._seen
        self._begin("http", "asking for the stream")
        dialer = self._dialer(self._settings)
        dialled = await dialer.dial("")
        seen.connect_seconds = self._clock.monotonic() - self._begun
        if isinstance(dialled, PollInstead):
            await self._poll(dialled)
            return
        status = f"HTTP status {seen.heads[-1].status}, " if seen.heads else ""
        between = next((f"; between: {head.between}" for head in seen.heads if head.between), "")
        self._done(f"{status}{dialled.protocol}, compression {dialled.compression}{between}")
        heard = seen.heard = Heard(dialled.protocol)
        await self._listen(ObservedLink(dialled, heard, self._clock), heard, wait_seconds)
        seen.extensions = self._sink.dialect.extensions
        seen.has_positions = self._state.cursor.state.epoch is not None
        if heard.ended is None and seen.has_positions and seen.messages.data:
            await self._resume(dialer)

    def _dialer(self, settings: StreamSettings) -> Dialer:
        dialect = self._sink.dialect
        return Dialer(settings, self._session, self._credentials, self._clock, self._budgets, dialect)

    async def _poll(self, found: PollInstead) -> None:
        self._begin("poll", "polling")
        self._loader.found(found)
        failure = await self._loader.poll()
        self._seen.connect_seconds = self._clock.monotonic() - self._begun
        if failure is not None:
            raise TransportError(failure)
        self._done(f"a document arrived from {without_credentials(self._loader.url or '')}")

    async def _listen(self, link: ObservedLink, heard: Heard, wait: float | None) -> None:
        wait_seconds = WAIT_SECONDS if wait is None else wait
        self._begin("messages", f"listening for {wait_seconds:g} s")
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
        if self._state.has_snapshot:
            self._seen.snapshot = None
        elif self._seen.snapshot is None and waited >= min(_SNAPSHOT_SECONDS, wait_seconds):
            self._seen.snapshot = Failure("timeout", f"no answer within {waited:.0f} s")
        self._done("it ended: " + str(heard.ended) if heard.ended else "still open", ok=heard.ended is None)

    async def _open(self, link: Link) -> None:
        for message in self._sink.on_open(self._clock.wall(), two_way=link.two_way, subprotocol=link.subprotocol):
            await link.send(message)

    async def _resume(self, dialer: Dialer) -> None:
        """Go on from the last position on a new connection, until the source says how it goes on."""
        self._begin("resume", "asking to go on from the last position")
        self._state.recording = False
        self._notes.take_outcome()
        try:
            link = await dialer.dial(self._sink.resume_from())
        except TransportError as error:
            self._done(str(error.failure), ok=False)
            if error.failure.reason == "position_refused":
                self._seen.resumed = "none"
            return
        outcome = None if isinstance(link, PollInstead) else await self._outcome(link)
        self._seen.resumed = outcome
        self._done(f"outcome: {outcome or 'nothing said'}", ok=outcome in ("full", "partial"))

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
        if self._step != "http":
            return
        if settings.url.lower().startswith(("http:", "ws:")) and failure.reason in _MAYBE_TLS and await self._is_tls():
            self._seen.tls_speaks_on_plain_port = True
            return
        probe = negotiation.first_probe(settings.protocol, settings.url, None)
        if probe is not Probe.UPGRADE and failure.reason == "timeout":
            self._progress("asking for the snapshot")
            if await self._loader.load(polling=False) is None and self._seen.heads:
                self._seen.rest_through = self._seen.heads[-1].between
        if probe is Probe.UPGRADE and failure.reason in _UPGRADE_FAILURES:
            self._begin("http", "asking for an event stream instead")
            with contextlib.suppress(TransportError):
                link = await self._dialer(replace(settings, protocol="sse")).dial("")
                if not isinstance(link, PollInstead):
                    await link.close()
                    self._seen.sse_works_instead = True
                    self._done("the same address answers as an event stream")
            del self._seen.heads[heads:]

    async def _is_tls(self) -> bool:
        if not self._seen.good_addresses:
            return False
        _, host, port = origin(negotiation.as_http(self._settings.url))
        context = tls.build(tls.Files(), verify=False)
        try:
            async with connect_timeout(self._settings.connect_timeout_seconds):
                _, writer = await asyncio.open_connection(
                    self._seen.good_addresses[0], port, ssl=context, server_hostname=host
                )
        except LINK_ERRORS:
            return False
        await _close(writer)
        return True

    async def finish(self) -> None:
        """Take what the model has; end what is left."""
        seen, view = self._seen, self._state.view(self._clock.wall())
        seen.has_snapshot = self._state.has_snapshot
        seen.projects, seen.anomalies = len(view.projects), len(view.anomalies)
        await self._tasks.wait_ended()


def _is_harmless(address: str, failure: Failure) -> bool:
    """Whether it costs nothing that this address, one of several, does not answer.

    A name such as localhost often has an IPv6 address that nobody uses, and a machine without IPv6 knows at once that
    it cannot go there.
    """
    is_loopback = ipaddress.ip_address(address.partition("%")[0]).is_loopback
    return is_loopback or (":" in address and failure.reason in ("unreachable", "internal"))


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1.0):
            await writer.wait_closed()
