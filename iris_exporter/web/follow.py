"""`/api/v1/follow`: states and events of the streams as they happen, as server-sent events.

All clients read one bounded buffer of events (`core.recent_events`), each from a position of its own. A slow one costs
no memory: it loses the oldest, and is told how many. States are not queued: a client gets the newest of each
stream that has changed since it was last written to.

Streams are followed from the first client until `LINGER_SECONDS` after the last one, so that one that comes back can go
on; after that, and after a restart of the exporter, positions have another epoch. While nobody follows, streams have no
follower and do nothing for it.
Source: WHATWG HTML, 9.2 "Server-sent events".
"""

import asyncio
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import hdrs, web
from multidict import MultiMapping
from typing_extensions import override

from iris_exporter.clock import Clock
from iris_exporter.core.recent_events import RecentEvents, Resumption
from iris_exporter.decoding.messages import Event
from iris_exporter.instruments import catalog
from iris_exporter.logs import redact_data
from iris_exporter.streams.following import Follower
from iris_exporter.streams.stream import Stream
from iris_exporter.web.context import HttpError, WebContext
from iris_exporter.web.rate_limits import Limiter
from iris_exporter.web.views import SEVERITIES, bad_parameter, event_object, stream_object

PATH = "/api/v1/follow"
MAX_CLIENTS = 64
"""A person has one or two; a fourth of them for one client address."""
HEARTBEAT_SECONDS = 15.0
"""Half of the shortest time after which proxies are known to cut a connection that is silent."""
LINGER_SECONDS = 60.0
STATE_SECONDS = 1.0
"""Between two looks at what changes without an event of the connection: times, counts, the flow of data."""
RETRY_MILLISECONDS = 2000
_EVENTS_AT_ONCE = 100
_EVENT_OVERHEAD_BYTES = 400
_MAX_VALUES = 32
_HEADERS = {
    hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8",
    "X-Accel-Buffering": "no",  # nginx would keep back what is small
}


@dataclass(frozen=True, slots=True)
class Selection:
    """What a client asked for; an empty set stands for everything."""

    streams: frozenset[str]
    severities: frozenset[str]
    projects: frozenset[str]

    @classmethod
    def of(cls, query: MultiMapping[str], streams: Mapping[str, Stream]) -> "Selection":
        """Read the query parameters `stream`, `severity` and `project`, each any number of times. Raises HttpError."""

        def values(name: str) -> frozenset[str]:
            found = query.getall(name, [])
            if len(found) > _MAX_VALUES:
                raise bad_parameter(name, f"{len(found)} values", f"at most {_MAX_VALUES}")
            return frozenset(found)

        selection = cls(values("stream"), values("severity"), values("project"))
        for name in sorted(selection.streams - streams.keys()):
            raise bad_parameter("stream", name, f"one of {', '.join(streams) or 'none'}")
        for severity in sorted(selection.severities - SEVERITIES):
            feeds = (event.severity for stream in streams.values() for event in stream.snapshot().events)
            known = {*SEVERITIES, *feeds}
            if severity not in known:
                raise bad_parameter("severity", severity, f"one of {', '.join(sorted(known))}")
        if "" in selection.projects:
            raise bad_parameter("project", "", "the id of a project")
        return selection

    def has_stream(self, name: str) -> bool:
        """Whether states of this stream are wanted."""
        return not self.streams or name in self.streams

    def has_event(self, stream: str, event: Event) -> bool:
        """Whether an event of this stream is wanted."""
        return (
            (not self.streams or stream in self.streams)
            and (not self.severities or event.severity in self.severities)
            and (not self.projects or event.project in self.projects)
        )


@dataclass(eq=False, slots=True)
class _Client:
    """One connection: what it wants, and what it has. `snapshot` and `states` are versions."""

    request: web.Request
    selection: Selection
    position: int
    written_at: float
    snapshot: int = 0
    states: int = 0
    ended: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Follow(Follower):
    """Serves the clients. Call `tick` a few times a second, and `close` at the end."""

    def __init__(self, context: WebContext, clock: Clock, max_connections: int) -> None:
        self._context = context
        self._clock = clock
        self._metrics = context.exposition.self_metrics
        # Scrapes and probes find room whatever number of clients follows.
        most = max(1, min(MAX_CLIENTS, max_connections // 4))
        self._limiter = Limiter(most, max(1, most // 4))
        self._clients: set[_Client] = set()
        self._closed = False
        self._streams: dict[str, Stream] = {}
        self._recent: RecentEvents[tuple[str, Event]] | None = None  # None while nothing is followed
        self._snapshot = 0  # rises when streams come or go
        self._state_version = 0
        self._states: dict[str, tuple[int, dict[str, Any]]] = {}  # by stream, the one that changed last at the end
        self._checked_at = 0.0
        self._left_at = 0.0
        self._touched: set[str] = set()
        self._metrics.watch(catalog.FOLLOW_CLIENTS, lambda: len(self._clients))

    # What clients ask

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer with messages until the client goes, the configuration changes, or the server closes."""
        selection = Selection.of(request.query, self._context.streams())
        if request.method == hdrs.METH_HEAD:
            return web.Response(headers=_HEADERS)
        address = request.remote or ""
        refusal = "limit" if self._closed else self._limiter.acquire(address)
        if refusal is not None:
            sentence = "too many clients follow the streams already"
            raise HttpError(503, sentence, counted="busy", headers={hdrs.RETRY_AFTER: "10"})
        client: _Client | None = None
        try:
            recent = self._begin()
            resumption = recent.resume(request.headers.get("Last-Event-ID"))
            client = _Client(request, selection, resumption.position, self._clock.monotonic())
            self._clients.add(client)
            if resumption.missed:
                self._metrics.add(catalog.FOLLOW_DROPPED, resumption.missed)
            response = web.StreamResponse(headers=_HEADERS)
            await response.prepare(request)
            await response.write(b"retry: %d\n\n" % RETRY_MILLISECONDS + self._first(client, recent, resumption))
            await self._serve(client, recent, response)
            return response
        finally:
            if client is not None:
                self._clients.discard(client)
            self._left_at = self._clock.monotonic()
            self._limiter.release(address)

    async def _serve(
        self, client: _Client, recent: RecentEvents[tuple[str, Event]], response: web.StreamResponse
    ) -> None:
        while not client.ended:
            # Before what is due is looked for: what happens while it is being written sets it again.
            client.wake.clear()
            now = self._clock.monotonic()
            due = b"".join(self._due(client, recent))
            if not due and now - client.written_at >= HEARTBEAT_SECONDS:
                due = b": heartbeat\n\n"
            if not due:
                await client.wake.wait()
                continue
            client.written_at = now
            await response.write(due)

    def _first(self, client: _Client, recent: RecentEvents[tuple[str, Event]], resumption: Resumption) -> bytes:
        return self._snapshot_message(client, recent, {"resumed": resumption.outcome, "missed": resumption.missed})

    def _snapshot_message(
        self, client: _Client, recent: RecentEvents[tuple[str, Event]], more: Mapping[str, Any]
    ) -> bytes:
        client.snapshot, client.states = self._snapshot, self._state_version
        wanted = [self._states[name][1] for name in self._streams if client.selection.has_stream(name)]
        return _message("snapshot", {"streams": wanted, **more}, recent.text(client.position))

    def _due(self, client: _Client, recent: RecentEvents[tuple[str, Event]]) -> Iterator[bytes]:
        """The messages that a client has not got yet, not too many at once."""
        if client.snapshot != self._snapshot:
            yield self._snapshot_message(client, recent, {"resumed": None, "missed": 0})
        lost = recent.lost_after(client.position)
        if lost:
            client.position += lost
            self._metrics.add(catalog.FOLLOW_DROPPED, lost)
            yield _message("lost", {"events": lost}, recent.text(client.position))
        for stream, event in recent.after(client.position, _EVENTS_AT_ONCE):
            client.position += 1
            if client.selection.has_event(stream, event):
                yield _message("event", {"stream": stream, **event_object(event)}, recent.text(client.position))
        if recent.last > client.position:
            client.wake.set()
        yield from self._changed_states(client, recent)

    def _changed_states(self, client: _Client, recent: RecentEvents[tuple[str, Event]]) -> Iterator[bytes]:
        changed = []
        for name, (version, state) in reversed(self._states.items()):
            if version <= client.states:
                break
            if client.selection.has_stream(name):
                changed.append(state)
        client.states = self._state_version
        for state in reversed(changed):
            yield _message("state", state, recent.text(client.position))

    # What streams tell

    @override
    def events_arrived(self, stream: str, events: Sequence[Event]) -> None:
        if self._recent is not None:
            for event in events:
                self._recent.add((stream, event), len(event.metadata) + len(event.message) + _EVENT_OVERHEAD_BYTES)
            self._wake_all()

    @override
    def state_changed(self, stream: str) -> None:
        # The connection is in the middle of its change: it is read when that is complete.
        if not self._touched:
            asyncio.get_running_loop().call_soon(self._read_touched)
        self._touched.add(stream)

    def _read_touched(self) -> None:
        for name in self._touched & self._streams.keys():
            self._read(name)
        self._touched.clear()
        self._wake_all()

    def _read(self, name: str) -> None:
        state = stream_object(self._streams[name])
        if self._states.get(name, (0, None))[1] != state:
            self._states.pop(name, None)
            self._state_version += 1
            self._states[name] = self._state_version, state

    def _wake_all(self) -> None:
        for client in self._clients:
            client.wake.set()

    # Time

    def tick(self) -> None:
        """Look at what changes by itself, and leave the streams alone when nobody follows any more."""
        if self._recent is None:
            return
        now = self._clock.monotonic()
        for client in self._clients:
            if client.request.transport is None:  # gone, which aiohttp tells a handler only when it writes
                client.ended = True
                client.wake.set()
        if not self._clients:
            if now - self._left_at >= LINGER_SECONDS:
                self._leave()
            return
        if now - self._checked_at >= STATE_SECONDS:
            self._check(now)
            self._wake_all()

    def _begin(self) -> RecentEvents[tuple[str, Event]]:
        if self._recent is None:
            self._recent = RecentEvents(secrets.token_hex(6))
        self._check(self._clock.monotonic())
        return self._recent

    def _check(self, now: float) -> None:
        self._checked_at = now
        streams = dict(self._context.streams())
        if streams != self._streams or list(streams) != list(self._streams):
            for name, stream in self._streams.items():
                if streams.get(name) is not stream:
                    stream.follow(None)
            for name, stream in streams.items():
                if self._streams.get(name) is not stream:
                    stream.follow(self)
            self._streams = streams
            self._states = {name: state for name, state in self._states.items() if name in streams}
            self._snapshot += 1
        for name in streams:
            self._read(name)

    def _leave(self) -> None:
        for stream in self._streams.values():
            stream.follow(None)
        self._streams, self._states, self._recent = {}, {}, None

    def end_all(self) -> None:
        """End all connections; clients come back, and go on where they were."""
        for client in self._clients:
            client.ended = True
        self._wake_all()

    def close(self) -> None:
        """End all connections, and begin no more."""
        self._closed = True
        self.end_all()
        self._leave()


def _message(kind: str, value: Mapping[str, Any], position: str) -> bytes:
    # Metadata is as its source sent it: a line end in it stands between two tokens, and would end our line.
    text = redact_data(msgspec.json.encode(value).decode())
    data = text.replace("\n", " ").replace("\r", " ").encode()
    return b"event: %b\nid: %b\ndata: %b\n\n" % (kind.encode(), position.encode(), data)
