"""Counts numbered events through a flapping proxy while the sidecar is killed at random: the parts of the run.

The sidecar is a process of its own with `--state.dir`, on a port that stays the same. It is scraped as Prometheus does
it, and what counts is what a scrape has shown: the last values of each life, summed over its lives, must be the
number of events sent, and what is missing must stand on the gap counter, to the last event.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

import aiohttp
from typing_extensions import override

from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from tests.faults.proxy import FaultProxy
from tests.faults.rig import numbered_events
from tests.integration.harness import Scrape
from tests.integration.programs import Program, running
from tests.ports import free_port
from tests.waiting import BUSY

EVENTS = "iris_events_total"
GAPS = "iris_stream_event_gaps_total"
SCRAPE_HEADERS = {"X-Prometheus-Scrape-Timeout-Seconds": "10", "Accept-Encoding": "identity"}
SCRAPE_EVERY_SECONDS = 0.25
SCRAPE_SECONDS = 0.02
"""What an answer takes at the most, from the first byte of the request to the commit."""
PUBLISH_EVERY_SECONDS = 0.02
LOOK_EVERY_SECONDS = 0.02
SETTLE_SECONDS = 30.0
"""How long nothing may come, once the faults are over, while the sidecar catches up with what it has missed."""
SUBSCRIPTION = {
    "encoding": ("auto", "json", "protobuf"),
    "delta": ("auto", "off"),
    "fields": ("auto", "off"),
    "batch": ("auto", "off", "10ms", "500ms"),
    "debounce": ("auto", "off", "1s"),
    "compression": ("auto", "off"),
}
"""Options for a stream that takes subscriptions; each life has its own choice of them."""
OLDER_PATH_SHARE = 0.25
"""How many runs receive at an address that takes none; a cursor is of one address, so all lives have the same."""
OPTIONS = (
    "--stream.reconnect-initial=50ms",
    "--stream.max-connections-per-hour=0",
    "--stream.reconnect-max=300ms",
    "--stream.reconnect-attempts=3",
    "--stream.stable-after=1s",
    "--stream.live-retry-interval=500ms",
    "--stream.poll-interval=200ms",
    "--stream.connect-timeout=2s",
    "--stream.heartbeat-interval=1s",
    "--stream.heartbeat-timeout=3s",
    "--log.format=json",
)


@dataclass(frozen=True)
class Plan:
    """How much of everything. Times are drawn between two bounds, in seconds; `history` is how many events a resume
    reaches back: by default all, since on a busy machine a life may end before it has caught up."""

    seed: int
    events: int = 100_000
    rate: float = 4000.0
    history: int = 120_000
    kill_every: tuple[float, float] = (1.0, 4.0)
    up: tuple[float, float] = (0.3, 2.0)
    down: tuple[float, float] = (0.02, 0.4)


@dataclass
class Life:
    """One process of the sidecar, as far as scrapes have shown it. `asked` are its options for a subscription.

    `withheld` are events that its last scrape had more than the one before, where the kill came between all bytes of
    that scrape but the last and the last one: the moment of the commit, which the kill may have come before or after.
    `guarantees` are those that scrapes have shown, of a source with a mapping.
    """

    protocol: str
    path: str
    asked: tuple[str, ...]
    events: float = 0
    gaps: float = 0
    duplicates: float = 0
    scrapes: int = 0
    was_live: bool = False
    withheld: float = 0
    guarantees: set[str] = field(default_factory=set)
    kept: dict[object, float] = field(default_factory=dict)
    scrape_began: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Outcome:
    """What came of a run."""

    plan: Plan
    sent: int = 0
    seconds: float = 0.0
    connections: int = 0
    lives: list[Life] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def counted(self) -> int:
        """Events, from the last scrape of each life."""
        return int(sum(life.events for life in self.lives))

    @property
    def accounted(self) -> set[int]:
        """What events and gaps may add up to: each kill in the moment of a commit has two answers."""
        sums = {self.counted + self.gaps}
        for life in self.lives:
            sums |= {each + int(life.withheld) for each in sums}
        return sums

    @property
    def gaps(self) -> int:
        """Events reported missing, likewise."""
        return int(sum(life.gaps for life in self.lives))

    def __str__(self) -> str:
        duplicates = int(sum(life.duplicates for life in self.lives))
        return (
            f"seed {self.plan.seed}: {self.sent} events sent in {self.seconds:.1f} s; {len(self.lives)} lives, "
            f"{sum(life.scrapes for life in self.lives)} scrapes, {self.connections} connections; "
            f"{self.counted} counted and {self.gaps} reported missing in the last scrapes, "
            f"{duplicates} repetitions recognised"
        )


class Source(Protocol):
    """Where the events come from; `events` is the counter that has them at the sidecar."""

    events: str
    url: str

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *error: object) -> None: ...

    async def publish(self, first: int, count: int) -> None:
        """Send `count` events, of which the first has the number `first`."""

    def drawn_life(self) -> Life:
        """The protocol and the options of the next life."""

    def options(self, life: Life, url: str) -> tuple[str, ...]:
        """The sidecar's options for a life that receives by way of `url`."""


class ReferenceBackend(Source):
    """The reference IRIS, with every extension."""

    events = EVENTS

    def __init__(self, plan: Plan, draw: random.Random) -> None:
        self._random = draw
        self._path = "/api/stream/events" if draw.random() < OLDER_PATH_SHARE else "/api/stream"
        self._backend = Backend(
            BackendSettings(port=0, rate=0, seed=plan.seed, heartbeat_interval_seconds=0.5, history_events=plan.history)
        )

    @override
    async def __aenter__(self) -> Self:
        await self._backend.__aenter__()
        self.url = self._backend.url
        return self

    @override
    async def __aexit__(self, *error: object) -> None:
        await self._backend.__aexit__(None, None, None)

    @override
    async def publish(self, first: int, count: int) -> None:
        self._backend.service.publish(numbered_events(first, count))

    @override
    def drawn_life(self) -> Life:
        protocol = self._random.choice(("websocket", "sse", "graphql"))  # which has its address beside the other ones
        drawn = (f"--stream.{name}={self._random.choice(values)}" for name, values in SUBSCRIPTION.items())
        return Life(protocol, self._path, tuple(drawn))  # which ask for nothing at the older address

    @override
    def options(self, life: Life, url: str) -> tuple[str, ...]:
        return (f"--stream.url={url}{life.path}", f"--stream.protocol={life.protocol}", *life.asked)


class Watcher(Protocol):
    """A scraper other than the run's own, such as a Prometheus."""

    async def sees_live(self) -> bool:
        """Whether a scrape of the first life has shown the stream live, and so kept where it stood."""

    async def accounted(self) -> int:
        """Events that its scrapes have shown, or shown to be missing, over all lives so far."""


class Marathon:
    """One run: `await Marathon(plan, directory).run()`. `port` is the sidecar's.

    With a `watcher`, it is the one that scrapes; the run's own scrapes only look, as a person with curl. `source` is
    the reference backend where there is no other one.
    """

    def __init__(self, plan: Plan, state_dir: Path, source: Source | None = None) -> None:
        self.port = free_port()
        self.outcome = Outcome(plan)
        self.watcher: Watcher | None = None
        self._plan = plan
        self._state_dir = state_dir
        self._random = random.Random(plan.seed)
        self._source = ReferenceBackend(plan, self._random) if source is None else source
        self._http: aiohttp.ClientSession
        self._sent_all = asyncio.Event()

    async def run(self) -> Outcome:
        """Send everything, wait until the sums are right or stand still, end everything."""
        plan, draw = self._plan, self._random.uniform
        began = time.monotonic()
        # A scrape that the scraper gives up after it was answered would be counted by nobody.
        timeout = aiohttp.ClientTimeout(total=10 * BUSY)
        async with (
            self._source as source,
            FaultProxy(int(source.url.rpartition(":")[2])) as proxy,
            aiohttp.ClientSession(timeout=timeout) as self._http,
        ):
            async with self._life(proxy) as (program, life):
                await self._scraped_live(life)
                publishing = asyncio.create_task(self._publish())
                await proxy.flap(lambda: draw(*plan.up), lambda: draw(*plan.down))
                finished = await self._live_until_killed(life)
            while not finished:
                async with self._life(proxy) as (program, life):
                    finished = await self._live_until_killed(life)
            await publishing
            self.outcome.connections = proxy.accepted
            await proxy.lift()
            async with self._life(proxy) as (program, life):
                await self._settle(life)
                await program.stop()
        self.outcome.seconds = time.monotonic() - began
        return self.outcome

    async def _publish(self) -> None:
        began = time.monotonic()
        while self.outcome.sent < self._plan.events:
            await asyncio.sleep(PUBLISH_EVERY_SECONDS)
            due = min(self._plan.events, int((time.monotonic() - began) * self._plan.rate)) - self.outcome.sent
            await self._source.publish(self.outcome.sent, due)
            self.outcome.sent += due
        self._sent_all.set()

    @asynccontextmanager
    async def _life(self, proxy: FaultProxy) -> AsyncIterator[tuple[Program, Life]]:
        """A sidecar process, scraped all the time until the block ends; then it is killed."""
        life = self._source.drawn_life()
        self.outcome.lives.append(life)
        command = (sys.executable, "-m", "iris_exporter", f"--web.listen-address=127.0.0.1:{self.port}", *OPTIONS)
        stream = self._source.options(life, proxy.url)
        async with running(*command, *stream, f"--state.dir={self._state_dir}") as program:
            await program.printed(_is_listening)
            scraping = asyncio.create_task(self._scrape_for_ever(life))
            try:
                yield program, life
            finally:
                await program.kill()
                # An answer that is under way was sent before the kill, or it ends in an error.
                scraping.cancel()
                with suppress(asyncio.CancelledError):
                    await scraping
        self.outcome.problems += [line for line in program.stderr if "raceback" in line or not line.startswith("{")]

    async def _live_until_killed(self, life: Life) -> bool:
        """Wait for the moment of the kill; True when all events were sent before it.

        Every other kill is aimed at a scrape that is under way, which chance alone would rarely hit.
        """
        seconds = self._random.uniform(*self._plan.kill_every)
        try:
            await asyncio.wait_for(self._sent_all.wait(), seconds)
        except TimeoutError:
            if self._random.random() < 0.5:
                life.scrape_began.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(life.scrape_began.wait(), 2 * SCRAPE_EVERY_SECONDS)
                await asyncio.sleep(self._random.uniform(0, SCRAPE_SECONDS))
            return False
        return True

    async def _scrape_for_ever(self, life: Life) -> None:
        while True:
            answer = asyncio.create_task(self._scrape(life))
            try:
                await asyncio.shield(answer)
                await asyncio.sleep(SCRAPE_EVERY_SECONDS)
            except asyncio.CancelledError:
                await answer
                raise

    async def _scrape(self, life: Life) -> None:
        """One scrape; what does not arrive whole was not shown to anybody."""
        life.scrape_began.set()
        text, whole = b"", 0
        try:
            headers = SCRAPE_HEADERS if self.watcher is None else {}
            async with self._http.get(f"http://127.0.0.1:{self.port}/metrics", headers=headers) as response:
                whole = response.content_length or 0
                while piece := await response.content.readany():
                    text += piece
        except (aiohttp.ClientError, TimeoutError):
            if len(text) == whole - 1:
                life.withheld = Scrape(text.decode() + "\n").total(self._source.events) - life.events
            return
        life.withheld = 0
        scrape = Scrape(text.decode())
        now: dict[object, float] = {key: scrape.samples[key] for key in scrape.cumulative}
        self.outcome.problems += [f"{key} fell" for key, value in life.kept.items() if now.get(key, -1.0) < value]
        life.kept = now
        life.events, life.gaps = scrape.total(self._source.events), scrape.total(GAPS)
        life.duplicates = scrape.total("iris_stream_events_duplicate_total")
        life.scrapes += 1
        shown = scrape.series("iris_stream_guarantee")
        life.guarantees |= {dict(labels)["guarantee"] for labels, value in shown.items() if value == 1}
        life.was_live = life.was_live or scrape.state() in ("live", "polling")

    async def _scraped_live(self, life: Life) -> None:
        """Events may begin once a scrape has shown, and kept, where the stream stood before the first one."""
        watcher = self.watcher
        async with asyncio.timeout(10 * BUSY):
            while not (life.was_live if watcher is None else await watcher.sees_live()):  # noqa: ASYNC110 (see below)
                await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _settle(self, life: Life) -> None:
        """Wait until all came, or nothing more comes; then for two more scrapes, after which that must be so still.

        Where a kill has two answers, the smaller sum may be all that ever comes, and the larger one may be right by
        chance while the stream still catches up.
        """
        with suppress(TimeoutError):
            # Other processes are waited for, which set no events of ours.
            came = False
            while not came:
                while not self._is_all(before := await self._accounted()):
                    async with asyncio.timeout(SETTLE_SECONDS * BUSY):
                        while before == await self._accounted():  # noqa: ASYNC110
                            await asyncio.sleep(LOOK_EVERY_SECONDS)
                async with asyncio.timeout(SETTLE_SECONDS * BUSY):
                    seen = life.scrapes
                    while life.scrapes < seen + 2:  # noqa: ASYNC110
                        await asyncio.sleep(LOOK_EVERY_SECONDS)
                came = self._is_all(await self._accounted())

    async def _accounted(self) -> set[int]:
        return self.outcome.accounted if self.watcher is None else {await self.watcher.accounted()}

    def _is_all(self, sums: set[int]) -> bool:
        return self.outcome.sent in sums or self.outcome.sent < min(sums)


def _is_listening(line: str) -> bool | None:
    with suppress(ValueError):
        if json.loads(line).get("event") == "web.listening":
            return True
    return None
