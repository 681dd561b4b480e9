"""The streams of this process: brought in line with what is wanted, without touching those that stay as they are."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from iris_exporter import logs
from iris_exporter.clock import Clock
from iris_exporter.instruments.exposition import Source
from iris_exporter.persistence.checkpoints import PendingRecord
from iris_exporter.settings import StreamSettings
from iris_exporter.streams.stream import Stream

STARTS_AT_ONCE = 10
START_PAUSE_SECONDS = 0.05
"""Streams that are connected in one go, and the pause before the next ones: 200 first dials a second at most, so that a
start with a thousand streams is no storm. Later dials are spread by the backoff's jitter. Each stream that is loading
its first snapshot takes some 15 KiB more than it needs later, and Python gives little of that back: so few at once."""

STOP_SECONDS = 3.0
"""Close frames take a second at most; what has not ended after this is left to the end of the process."""

_log = logs.get_logger("app")


Reconciled = dict[str, int]
"""How many streams were `added`, `removed`, `changed` (they have other settings) and left `unchanged`."""


class Streams:
    """The running streams by name. `make` builds one that is not connected yet."""

    def __init__(self, make: Callable[[StreamSettings], Awaitable[Stream]], clock: Clock) -> None:
        self._make = make
        self._clock = clock
        self._running: dict[str, Stream] = {}
        self._lock = asyncio.Lock()
        self._starts: set[asyncio.Task[None]] = set()

    def by_name(self) -> Mapping[str, Stream]:
        """Every stream, in the order in which they were wanted last."""
        return self._running

    async def reconcile(self, wanted: Sequence[StreamSettings]) -> Reconciled:
        """Add, remove and change streams until they are those `wanted`; names are unique.

        A removed stream is closed before another one that takes its endpoint is connected.
        """
        async with self._lock:
            running = self._running
            # One that is IRIS and has a mapping now, or the other way round, has nothing to go on with.
            same = {s.name for s in wanted if s.name in running and _is_same_kind(running[s.name].settings, s)}
            removed = [stream for name, stream in running.items() if name not in same]
            changing = [s for s in wanted if s.name in same and running[s.name].settings != s]
            arriving = [s for s in wanted if s.name not in same]
            await _stop(removed)
            staying = {name: stream for name, stream in running.items() if name in same}
            self._running = staying
            for settings in changing:
                await staying[settings.name].reconfigure(settings)
            staying |= {settings.name: await self._make(settings) for settings in arriving}
            self._running = {settings.name: staying[settings.name] for settings in wanted}
            self._connect([staying[settings.name] for settings in arriving])
            unchanged = len(wanted) - len(changing) - len(arriving)
            counts = {"added": len(arriving), "removed": len(removed), "changed": len(changing)}
            return {**counts, "unchanged": unchanged}

    def _connect(self, streams: Sequence[Stream]) -> None:
        for stream in streams[:STARTS_AT_ONCE]:
            # One that was removed before its turn must not be connected any more.
            if self._running.get(stream.name) is stream:
                stream.connect()
        rest = streams[STARTS_AT_ONCE:]
        if rest:
            task = asyncio.create_task(self._connect_later(rest))
            self._starts.add(task)
            task.add_done_callback(self._starts.discard)

    async def _connect_later(self, streams: Sequence[Stream]) -> None:
        await self._clock.sleep(START_PAUSE_SECONDS)
        self._connect(streams)

    async def stop(self) -> None:
        """Close every stream; they stay visible, as disconnected."""
        for task in self._starts:
            task.cancel()
        await _stop(list(self._running.values()))

    def sources(self) -> Iterator[Source]:
        """What a scrape prints of each stream."""
        for stream in self._running.values():
            yield Source(stream.instruments, stream.status(), stream.snapshot())

    def pending_records(self) -> Iterator[PendingRecord]:
        """The cursor record of each stream."""
        for stream in self._running.values():
            yield stream.pending_record()

    def trouble(self) -> str | None:
        """Name the streams whose tasks have crashed; None without any. No failure of a source ends its tasks."""
        dead = [stream.name for stream in self._running.values() if stream.has_crashed]
        return f"mistakes of the exporter keep these streams from going on: {', '.join(dead)}" if dead else None


def _is_same_kind(before: StreamSettings, now: StreamSettings) -> bool:
    return (before.mapped is None) == (now.mapped is None)


async def _stop(streams: Sequence[Stream]) -> None:
    if not streams:
        return
    tasks = [asyncio.create_task(stream.stop()) for stream in streams]
    _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
    for task in late:
        task.cancel()
    if late:
        _log.warning("streams.late", count=len(late), seconds=STOP_SECONDS)
