"""A relay as a running backend: everything put together, from the settings to the open port."""

import asyncio
import random
from collections.abc import AsyncIterator, Hashable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from iris_exporter.backend.history import History
from iris_exporter.backend.relay.journal import Journal, JournalError, Stored
from iris_exporter.backend.relay.pace import Pace
from iris_exporter.backend.relay.passing_on import PassingOn
from iris_exporter.backend.relay.relay import KnownIds, Relay, entries_of
from iris_exporter.backend.relay.relayed import Relayed
from iris_exporter.backend.relay.stats import RelayStats
from iris_exporter.backend.relay.upstream import Upstream
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.clock import Clock, SystemClock
from iris_exporter.core.urls import redact
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.http.session import open_session
from iris_exporter.logs import get_logger
from iris_exporter.process.blocking import STATE, BlockedError
from iris_exporter.settings import StreamSettings

FIRST_ANSWER_SECONDS = 5.0
"""How long the port stays closed for the source's first answer; clients then find its state."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """The source to relay, as a stream that is polled, and where the history is kept; None is in memory alone."""

    source: StreamSettings
    state_dir: Path | None


@asynccontextmanager
async def relaying(
    settings: RelaySettings, backend_settings: BackendSettings, clock: Clock | None = None
) -> AsyncIterator[Backend]:
    """Relay a source until the block ends.

    Raises:
        ConfigError: The directory of the history cannot be used, or another relay has it.
        OSError: The address to listen on cannot be had.
    """
    clock = clock or SystemClock()
    name = redact(settings.source.url)
    place = settings.state_dir or "memory"
    interval = settings.source.poll_interval_seconds
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session())
        capacity = backend_settings.history_events
        try:
            journal = await STATE.run(lambda: Journal.open(settings.state_dir, name, capacity), place)
            stack.push_async_callback(_close, journal, place)
            stored = STATE.run(lambda: journal.load(clock.wall()), place)
            history, known, cursor = _restored(journal, await stored, capacity)
        except (BlockedError, JournalError) as error:
            expected = f"a directory that this relay can write in ({error.strerror or error})"
            raise ConfigError([Problem("start", "--state.dir", str(place), expected)]) from error
        relayed = Relayed(name, history, interval, clock.monotonic)
        stats = RelayStats()
        upstream = Upstream(settings.source, session, clock, stats)
        relayed.passing_on = PassingOn(upstream.document, interval, clock)
        relay = Relay(
            upstream=upstream,
            journal=journal,
            place=place,
            relayed=relayed,
            known=known,
            pace=Pace(interval, random.random),
            stats=stats,
            clock=clock,
            last=history.last,
            cursor=cursor,
        )
        backend = Backend(backend_settings, clock=clock, source=lambda _: relayed, history=history)
        backend.service.collectors.append(stats)
        polled = asyncio.Event()
        task = asyncio.create_task(_poll(relay, backend, clock, polled), name="relay")
        stack.push_async_callback(_cancel, task)
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_ANSWER_SECONDS):
                await polled.wait()
        # So that the first client finds all that is known.
        backend.service.feed.advance(clock.wall())
        backend.service.feed.changes(clock.wall())
        _log.info("relay.started", source=name, epoch=journal.epoch, events=len(history.newest(capacity)))
        yield await stack.enter_async_context(backend)


def _restored(journal: Journal, stored: Stored, capacity: int) -> tuple[History, KnownIds, str | None]:
    """What was kept as a history, the ids that are known, and the source's position."""
    history = History(journal.epoch, capacity)
    known = KnownIds(capacity)
    for row in stored.rows:
        known.add(row.event_id)
    history.restore(entries_of(stored.rows), stored.rows[-1].offset if stored.rows else 0)
    return history, known, stored.cursor


async def _poll(relay: Relay, backend: Backend, clock: Clock, polled: asyncio.Event) -> None:
    """Poll for ever; a mistake of ours ends the backend, like one of its own."""
    service = backend.service
    try:
        while True:
            seconds = await relay.poll()
            polled.set()
            await clock.sleep(seconds)
    except Exception as error:  # noqa: BLE001 (whoever runs the backend decides what becomes of it)
        service.crash(error)
    finally:
        polled.set()


async def _close(journal: Journal, place: Hashable) -> None:
    """Close the history; a disk that hangs does not keep the program from ending."""
    try:
        await STATE.run(journal.close, place)
    except BlockedError as error:
        _log.warning("history.not_closed", error=error, detail="the next start may begin a new epoch")


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
