"""How long `/metrics` takes beside `prometheus_client.generate_latest` on the same families, and whom it keeps waiting.

The floor prints the families that it read in one scrape of ours, so it is charged with printing alone. Ours is charged
with looking at the streams too. Both take turns, and the median is shown.
"""

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import msgspec
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from benchmarks import ingest, processes
from benchmarks.processes import BenchmarkError
from benchmarks.report import Row
from iris_exporter import config
from iris_exporter.clock import SystemClock
from iris_exporter.core.status import LinkStatus, State
from iris_exporter.decoding.messages import Metrics, Project
from iris_exporter.instruments.exposition import Exposition, Source
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.instruments.text import Format
from iris_exporter.model.snapshot import DataFlow, Snapshot
from iris_exporter.process.listening import bound_sockets
from iris_exporter.streams.stream import Stream
from iris_exporter.version import VersionInfo, version_info
from iris_exporter.web.server import HttpServer

ROUNDS = 5
ONE_FIGURE = ("runs",)
ALL_FIGURES = (
    *("health_ratio", "success_ratio", "runs", "active_experts"),
    *("reflexions", "latency_seconds", "last_run_timestamp"),
)
"""What a project has in numbers."""
SERIES_PER_PROJECT = 16  # 15 of the project itself, and one event counter
SERIES_PER_STREAM = 100
NOW = 1_750_000_000.0
RATE = 10_000
PACED_SECONDS = 20
"""How long events come; the scrapes beside them take a few seconds."""

_FETCH = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], headers={sys.argv[2]: "gzip"})
print(len(urllib.request.urlopen(request).read()))
"""


class Program:
    """Streams that stand in memory, as the web server sees them."""

    checkpoints = None
    version: VersionInfo = version_info()

    def __init__(self, streams: int, projects: int) -> None:
        self.found = [_source(f"stream-{number}", projects) for number in range(streams)]
        self.live: Stream | None = None
        self.figures: tuple[str, ...] = ONE_FIGURE
        self._turn = 0
        self.forget()

    def forget(self) -> None:
        """Let the next scrape be the first one."""
        self_metrics = SelfMetrics("1.0.0", "unknown", "3.11")
        self.exposition = Exposition(self._sources, self_metrics, process_metrics=False)

    def _sources(self) -> list[Source]:
        if (live := self.live) is None:
            return self.found
        return [*self.found, Source(live.instruments, live.status(), live.snapshot())]

    def change(self, step: int) -> None:
        """Let something happen everywhere: a message on each stream, and other `figures` of one project in `step`."""
        self._turn += 1
        for index, source in enumerate(self.found):
            source.instruments.message("event")
            source.instruments.delays([0.02])
            projects = tuple(
                self._changed(project, number) if number % step == 0 else project
                for number, project in enumerate(source.snapshot.projects)
            )
            status = replace(source.status, last_message=(source.status.last_message or 0) + 1)
            self.found[index] = Source(source.instruments, status, replace(source.snapshot, projects=projects))

    def _changed(self, project: Project, number: int) -> Project:
        other = _project(number + self._turn)
        return msgspec.structs.replace(project, **{figure: getattr(other, figure) for figure in self.figures})

    def ready(self) -> bool:
        """See `WebContext.ready`."""
        return True

    def streams(self) -> Mapping[str, Stream]:
        """See `WebContext.streams`."""
        return {}

    def config_text(self) -> str:
        """See `WebContext.config_text`."""
        return ""

    async def reload(self) -> None:
        """See `WebContext.reload`."""


class _Collected(Collector):
    """The families of one scrape."""

    def __init__(self, exposition: Exposition) -> None:
        text = b"".join(exposition.render(Format.TEXT)).decode()
        self._families = list(text_string_to_metric_families(text))

    def collect(self) -> Iterable[Metric]:
        return self._families


def _source(name: str, projects: int) -> Source:
    status = LinkStatus(State.LIVE, "websocket", "wss://iris.test/stream", 0, None, NOW, NOW, None, None, None, NOW)
    snapshot = Snapshot(
        stream=name,
        metrics=Metrics(projects=float(projects), runs_today=4321.0, success_ratio=0.93, active_experts=12.0),
        projects=tuple(_project(number) for number in range(projects)),
        anomalies=(),
        events=(),
        event_counts={(f"project-{number}", "evaluation", "info"): number for number in range(projects)},
        last_data_timestamp=NOW,
        flow=DataFlow.FLOWING,
    )
    return Source(StreamInstruments(name), status, snapshot)


def _project(number: int) -> Project:
    return Project(
        id=f"project-{number}",
        name=f"Project number {number}",
        status="warning" if number % 7 == 0 else "healthy",
        health_ratio=0.5 + number % 50 / 100,
        success_ratio=0.25 + number % 70 / 100,
        runs=float(number * 31),
        active_experts=float(number % 9),
        reflexions=float(number % 400),
        latency_seconds=0.1 + number % 90 / 1000,
        last_run_timestamp=NOW + number,
    )


def _printed(exposition: Exposition) -> int:
    """Print a whole scrape without pausing; the number of bytes."""
    return sum(map(len, list(exposition.render(Format.TEXT))))


def _turns(ours: Callable[[], object], floor: Callable[[], object], before: Callable[[], None]) -> tuple[float, float]:
    """Median seconds of both; `before` runs before each round and is not timed."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        before()
        for what, found in zip((ours, floor), times, strict=True):
            started = time.perf_counter()
            what()
            found.append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


def _compare(name: str, program: Program, changed: float) -> Row:
    """Print when nothing has changed (0), or one project in ten (0.1), or all (1) since the scrape before."""
    _printed(program.exposition)
    collected = _Collected(program.exposition)
    step = round(1 / changed) if changed else 0
    value, floor = _turns(
        lambda: _printed(program.exposition),
        lambda: generate_latest(collected),
        lambda: program.change(step) if step else None,
    )
    return Row(name, value * 1000, "ms", floor * 1000, floor / value)


def _first(projects: int) -> float:
    """Seconds of printing a stream for the first time, when nothing is cached."""
    program = Program(1, projects)
    started = time.perf_counter()
    _printed(program.exposition)
    return time.perf_counter() - started


async def run() -> list[Row]:
    """Scrapes of 1,000, 10,000 and 100,000 series, and the longest time that one keeps the event loop."""
    rows = []
    for series in (1_000, 10_000, 100_000):
        program = Program(1, (series - SERIES_PER_STREAM) // SERIES_PER_PROJECT)
        rows.append(_compare(f"scrape of {series:,} series, 1 in 10 projects changed", program, 0.1))
    rows.append(_compare("scrape of 100,000 series, nothing changed", program, 0.0))
    rows.append(_compare("scrape of 100,000 series, one figure of all projects changed", program, 1.0))
    first = statistics.median(_first(len(program.found[0].snapshot.projects)) for _ in range(ROUNDS))
    rows.append(Row("first scrape of 100,000 series", first * 1000, "ms"))
    program.figures = ALL_FIGURES
    rows.append(_compare("scrape of 100,000 series, all figures of all projects changed", program, 1.0))
    program.figures = ONE_FIGURE
    streams = Program(1_000, 0)
    rows.append(_compare("scrape of 1,000 streams without projects, all active", streams, 1.0))
    streams = Program(1_000, 3)
    rows.append(_compare("scrape of 1,000 streams of 3 projects, one figure of each changed", streams, 1.0))
    streams.figures = ALL_FIGURES
    rows.append(_compare("scrape of 1,000 streams of 3 projects, all figures changed", streams, 1.0))
    for name, coding in (("gzip", "Accept-Encoding"), ("no compression", "X-None")):
        longest, busy, whole = await _longest_hold(program, coding, lambda: program.change(10))
        rows += _hold_rows(f"100,000 series, {name}", longest, busy)
        rows.append(Row(f"whole answer over HTTP, 100,000 series, {name}", whole * 1000, "ms"))
    longest, busy, _ = await _longest_hold(program, "X-None", program.forget)
    rows += _hold_rows("first scrape of 100,000 series", longest, busy)
    rows += _hold_rows(f"100,000 series, beside {RATE:,} messages/s", *await _hold_beside_messages(program))
    from benchmarks.mapped_series import MappedProgram  # a kind of `Program`

    mapped = MappedProgram(100_000)
    rows.append(_compare("scrape of 100,000 mapped series, 1 in 10 label sets changed", mapped, 0.1))
    rows.append(_compare("scrape of 100,000 mapped series, nothing changed", mapped, 0.0))
    longest, busy, _ = await _longest_hold(mapped, "X-None", lambda: mapped.change(10))
    return rows + _hold_rows("100,000 mapped series", longest, busy)


def _hold_rows(name: str, longest: float, busy: float) -> list[Row]:
    return [
        Row(f"longest hold of the event loop, {name}", longest * 1000, "ms"),
        Row("the longest in CPU time", busy * 1000, "ms"),
    ]


async def _hold_beside_messages(program: Program) -> tuple[float, float]:
    """The same while a stream of this process receives events all the time."""
    async with processes.source() as source, ingest.connected(source, "websocket") as program.live:
        source.order(do="pace", framing="websocket", count=RATE * PACED_SECONDS, rate=RATE)
        longest, busy, _ = await _longest_hold(program, "X-None", lambda: program.change(10))
        if sum(program.live.snapshot().event_counts.values()) >= RATE * PACED_SECONDS:
            raise BenchmarkError(f"the scrapes took longer than {PACED_SECONDS} s")
    program.live = None
    return longest, busy


async def _longest_hold(program: Program, coding: str, prepare: Callable[[], None]) -> tuple[float, float, float]:
    """Serve scrapes to another process; median over the rounds of the longest gap between two turns of the loop.

    The second figure is the longest gap in CPU time, which no other process makes longer. The third is the median time
    that the client's process took, less the time it takes for a health check. `prepare` runs before each scrape.
    """
    given = {"stream.url": "http://127.0.0.1:1/api/stream/overview", "web.max-requests": "0"}
    server = HttpServer(program, config.load(given, {}).web, SystemClock())
    await server.start()
    try:
        (bound,) = await bound_sockets("127.0.0.1", 0)
        base = await server.listen(bound)
        gc.collect()
        holds, busy, scrapes, checks = [], [], [], []
        for _ in range(ROUNDS):
            prepare()
            hold, cpu, seconds = await _fetch(f"{base}/metrics", coding)
            holds.append(hold)
            busy.append(cpu)
            scrapes.append(seconds)
            checks.append((await _fetch(f"{base}/-/healthy", coding))[2])
        whole = statistics.median(scrapes) - statistics.median(checks)
        return statistics.median(holds), statistics.median(busy), whole
    finally:
        await server.close()


async def _fetch(url: str, coding: str) -> tuple[float, float, float]:
    """The longest gap between two turns while another process fetches `url`, in CPU time too, and how long it took."""
    started = time.perf_counter()
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _FETCH, url, coding, stdout=asyncio.subprocess.PIPE
    )
    reading = asyncio.create_task(client.communicate())
    longest, last = 0.0, time.perf_counter()
    busiest, before = 0.0, time.thread_time()
    while not reading.done():
        await asyncio.sleep(0)
        now, cpu = time.perf_counter(), time.thread_time()
        longest, last = max(longest, now - last), now
        busiest, before = max(busiest, cpu - before), cpu
    size = int((await reading)[0])
    if not size:
        raise RuntimeError(f"{url} answered nothing")
    return longest, busiest, time.perf_counter() - started
