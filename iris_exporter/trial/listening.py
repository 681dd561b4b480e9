"""Listening to a real source with its mapping: connects as the exporter does, and says only what the mapping says."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from iris_exporter.clock import Clock
from iris_exporter.core.budget import ConnectionBudgets
from iris_exporter.core.limits import Limits
from iris_exporter.core.status import State
from iris_exporter.decoding.dialect import Dialect, Frame, NamedEvent
from iris_exporter.decoding.messages import EventBatch, Message
from iris_exporter.errors import DecodeError
from iris_exporter.http.session import open_session
from iris_exporter.mapping.spec import Mapping
from iris_exporter.settings import StreamSettings
from iris_exporter.streams.profile import profile_for
from iris_exporter.streams.stream import Stream
from iris_exporter.trial.running import Result, Trial, text_of
from iris_exporter.trial.samples import MAX_BYTES, Arrival

MAX_MESSAGES = 100_000
"""Messages that are taken, in so many bytes as a sample may have; a busier source is not listened to any longer."""

_CHECK_SECONDS = 0.1


@dataclass(slots=True)
class Heard:
    """What came of listening; `trouble` is what kept the stream from being live, in sentences."""

    result: Result
    arrivals: list[Arrival] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)


async def listen(
    settings: StreamSettings, mapping: Mapping, seconds: float, clock: Clock, messages: int = MAX_MESSAGES
) -> Heard:
    """Connect to a source, take what it sends for so many seconds, and leave it.

    It ends before where that many messages have come, or where the source refuses.
    """
    profile = profile_for(mapping)
    arrivals: list[tuple[Arrival, float]] = []
    enough = asyncio.Event()

    size = 0

    def take(frames: Sequence[Frame]) -> None:
        nonlocal size
        at = clock.wall()
        for frame in frames:
            if enough.is_set():
                return
            identifier = frame.id if isinstance(frame, NamedEvent) else None
            arrivals.append((Arrival(frame, identifier or None), at))
            size += len(text_of(frame))
            if len(arrivals) >= messages or size >= MAX_BYTES:
                enough.set()

    def dialect(limits: Limits) -> Dialect:
        made = profile.dialect(limits)
        decode = made.decode

        def heard(frames: Sequence[Frame]) -> Iterator[EventBatch | Message | DecodeError]:
            take(frames)
            return decode(frames)

        made.decode = heard  # type: ignore[method-assign]  # the stream has this one
        # The ids of events, which a link otherwise has for itself.
        made.names_events = True
        return made

    async with open_session() as session:
        stream = Stream(
            settings,
            session,
            clock,
            random.random,
            ConnectionBudgets(),
            profile=replace(profile, dialect=dialect),
        )
        stream.connect()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not enough.is_set() and stream.status().state is not State.ERROR:
                    await wait_briefly(enough)
        status = stream.status()
        await stream.stop()
    protocol = status.protocol if status.protocol != "none" else settings.protocol
    trial = Trial(mapping, settings.name, protocol)
    for arrival, at in arrivals:
        trial.take(arrival, at)
    found = Heard(trial.result(clock.wall()), [arrival for arrival, _ in arrivals])
    if status.failure is not None:
        explained = status.failure.explanation
        detail = f" ({status.failure.detail})" if status.failure.detail else ""
        found.trouble.append(f"{status.failure.reason}{detail}: {explained.meaning}. {explained.advice}")
    return found


async def wait_briefly(event: asyncio.Event) -> None:
    """Wait until it is set, or so long that the state may have changed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_CHECK_SECONDS):
            await event.wait()
