"""Watches streams without a sidecar: the exporter's own parts in this process, and no server."""

import asyncio
import random
from collections.abc import Iterable, Sequence

import aiohttp
import msgspec
from typing_extensions import override

from iris_exporter.clock import Clock
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.failures import Failure
from iris_exporter.decoding.messages import Event
from iris_exporter.settings import StreamSettings
from iris_exporter.streams.following import Follower
from iris_exporter.streams.registry import Streams
from iris_exporter.streams.stream import Stream
from iris_exporter.watch.source import Source, Take
from iris_exporter.watch.view.objects import EventObject, OverviewObject, Snapshot, StreamObject
from iris_exporter.web.views import event_object, overview_object, stream_object

STATE_SECONDS = 1.0
"""Between two looks at what changes without an event of the connection."""


class Direct(Source, Follower):
    """Streams of our own. They are connected when it runs, and closed when it is cancelled."""

    def __init__(self, settings: Sequence[StreamSettings], session: aiohttp.ClientSession, clock: Clock) -> None:
        self._settings = settings
        self._session = session
        self._clock = clock
        self._budgets = ConnectionBudgets()
        self._streams = Streams(self._make, clock)
        self._take: Take = lambda _: None
        self._touched: set[str] = set()

    async def _make(self, settings: StreamSettings) -> Stream:
        stream = Stream(settings, self._session, self._clock, random.random, self._budgets)
        stream.follow(self)
        return stream

    @override
    async def run(self, take: Take) -> None:
        self._take = take
        try:
            await self._streams.reconcile(self._settings)
            take(Snapshot([_state(stream) for stream in self._streams.by_name().values()]))
            while True:
                await self._clock.sleep(STATE_SECONDS)
                self._read(self._streams.by_name())
        finally:
            self._take = lambda _: None
            await self._streams.stop()

    def _read(self, names: Iterable[str]) -> None:
        for name in names:
            if (stream := self._streams.by_name().get(name)) is not None:
                self._take(_state(stream))

    @override
    def events_arrived(self, stream: str, events: Sequence[Event]) -> None:
        for event in events:
            message = {"stream": stream, **event_object(event)}
            self._take(msgspec.json.decode(msgspec.json.encode(message), type=EventObject))

    @override
    def state_changed(self, stream: str) -> None:
        # The connection is in the middle of its change: it is read when that is complete.
        if not self._touched:
            asyncio.get_running_loop().call_soon(self._read_touched)
        self._touched.add(stream)

    def _read_touched(self) -> None:
        touched, self._touched = self._touched, set()
        self._read(touched)

    @override
    async def overview(self, stream: str) -> OverviewObject | Failure:
        found = self._streams.by_name().get(stream)
        if found is None:
            return Failure("not_found", "there is no such stream")
        return msgspec.json.decode(msgspec.json.encode(overview_object(found.snapshot())), type=OverviewObject)

    @override
    async def switch(self, stream: str, action: str) -> Failure | None:
        found = self._streams.by_name().get(stream)
        if found is None:
            return Failure("not_found", "there is no such stream")
        {"connect": found.connect, "disconnect": found.disconnect, "reset": found.reset}[action]()
        return None

    @override
    def retry(self) -> None:
        """There is no sidecar to ask."""


def _state(stream: Stream) -> StreamObject:
    return msgspec.json.decode(msgspec.json.encode(stream_object(stream)), type=StreamObject)
