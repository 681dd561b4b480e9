"""Peers: other ways to count the events of a stream, beside the exporter, from the same source and in the same run.

Each is a process of its own that receives the stream and serves its counters over HTTP. The figure is events by CPU
time of that process, all threads together, from the order to send until its counters show the last event. `make peers`
builds those in Go; Node is looked for on PATH. What is not there is named and left out.
"""

import asyncio
import json
import os
import re
import shutil
import socket
import statistics
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks import processes
from benchmarks.delay import delays_of
from benchmarks.ingest import NAMES
from benchmarks.processes import DEADLINE_SECONDS, ROOT, BenchmarkError, Source
from benchmarks.report import Row
from benchmarks.scale import Scale

HERE = Path(__file__).parent
PROGRAMS = ROOT / ".tools" / "bin"
RATES = (1_000, 10_000)
FRAMINGS_OF_PEERS = {framing: name for framing, name in NAMES.items() if "protobuf" not in framing}
"""Only we read protobuf."""
_PACED_SECONDS = 3
_TICKS = os.sysconf("SC_CLK_TCK")
_PROMETHEUS = re.compile(rb"^(?:iris_)?events_total\{.*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Peer:
    """One consumer; `command` makes its arguments of the stream's address, the framing and a free port."""

    name: str
    program: str | None  # which has to be there, None: nothing has
    command: Callable[[str, str, int], list[str]]
    path: str = "/metrics"


def _exporter(url: str, framing: str, port: int) -> list[str]:
    protocol = "websocket" if framing == "websocket" else "sse"
    options = (f"--stream.url={url}", f"--stream.protocol={protocol}", f"--web.listen-address=127.0.0.1:{port}")
    return [sys.executable, "-m", "iris_exporter", *options, "--log.level=error"]


def _node(url: str, _framing: str, port: int) -> list[str]:
    return ["node", "--experimental-websocket", "--no-warnings", str(HERE / "node_consumer.mjs"), url, str(port)]


def _benthos(_url: str, framing: str, _port: int) -> list[str]:
    kind = "websocket" if framing == "websocket" else "sse"
    return [str(PROGRAMS / "peer-benthos"), "-c", str(HERE / "benthos" / f"{kind}.yaml")]


PEERS = (
    Peer("iris-exporter", None, _exporter),
    Peer("Benthos", "peer-benthos", _benthos),
    Peer("Go consumer", "peer-go", lambda url, _, port: [str(PROGRAMS / "peer-go"), url, str(port)]),
    Peer("Node consumer", "node", _node),
    Peer(
        "Python consumer",
        None,
        lambda url, _, port: [sys.executable, str(HERE / "python_consumer.py"), url, str(port)],
    ),
)


class Running:
    """A peer at work."""

    def __init__(self, process: Process, url: str, http: aiohttp.ClientSession) -> None:
        self._process = process
        self._url = url
        self._http = http

    async def events(self) -> int:
        """How many events its counters show."""
        async with self._http.get(self._url) as response:
            body = await response.read()
        if body.startswith(b"{"):  # Benthos has JSON
            return sum(int(value) for name, value in json.loads(body).items() if name.startswith("events_total"))
        return sum(int(float(value)) for value in _PROMETHEUS.findall(body))

    def cpu_seconds(self) -> float:
        """User and system time so far, of all threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss_bytes(self) -> int:
        """Resident memory now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024

    async def until_events(self, count: int, pause: float) -> None:
        """Return when it shows `count` events."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (shown := await self.events()) < count:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{shown} of {count} events within {DEADLINE_SECONDS:g} s")
            await asyncio.sleep(pause)


async def run(scale: Scale) -> list[Row]:
    """For each framing and peer events per CPU second, and how many times as many the exporter takes; then delays."""
    there = [peer for peer in PEERS if peer.program is None or _has(peer.program)]
    for peer in PEERS:
        if peer not in there:
            print(f"left out: {peer.name} ({peer.program} is not there; `make peers` builds what is in Go)")
    rows: list[Row] = []
    async with processes.source() as source:
        for framing, name in FRAMINGS_OF_PEERS.items():
            source.order(do="prepare", framing=framing, count=scale.ingest_events)
            await source.answer()
            found: dict[str, list[float]] = {peer.name: [] for peer in there}
            for _ in range(scale.rounds):
                for peer in there:
                    found[peer.name].append(await _throughput(peer, source, framing, scale.ingest_events))
            ours = statistics.median(found[PEERS[0].name])
            for peer in there:
                value = statistics.median(found[peer.name])
                rows.append(Row(f"{peer.name}, {name}", value, "messages/CPU s", ratio=ours / value))
        for peer in there:
            rows += [row for rate in RATES for row in await _delay(peer, source, rate)]
    return rows


def _has(program: str) -> bool:
    return (PROGRAMS / program).is_file() or shutil.which(program) is not None


async def _throughput(peer: Peer, source: Source, framing: str, count: int) -> float:
    async with _running(peer, source, framing) as running:
        before = running.cpu_seconds()
        source.order(do="flood", framing=framing, count=count)
        await source.answer()
        await running.until_events(count, 0.1)
        return count / (running.cpu_seconds() - before)


async def _delay(peer: Peer, source: Source, rate: int) -> list[Row]:
    count = rate * _PACED_SECONDS
    async with _running(peer, source, "websocket") as running:
        source.order(do="pace", framing="websocket", count=count, rate=rate)
        answers: list[tuple[int, float]] = []
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not answers or answers[-1][0] < count:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{peer.name}: {answers[-1][0]} of {count} events")
            answers.append((await running.events(), time.monotonic()))
        delays = sorted(delays_of((await source.answer())["sent"], answers))
        memory = running.rss_bytes()
    percentiles = statistics.quantiles(delays, n=100)
    name = f"{peer.name}, delay at {rate} messages/s"
    rows = [Row(f"{name}, median", percentiles[49] * 1000, "ms"), Row(f"{name}, p99", percentiles[98] * 1000, "ms")]
    return rows if rate != RATES[-1] else [*rows, Row(f"{peer.name}, memory after it", memory / 2**20, "MiB")]


@asynccontextmanager
async def _running(peer: Peer, source: Source, framing: str) -> AsyncIterator[Running]:
    """A peer that is connected and answers; ended with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = source.url(framing)
    environment = {**processes.environment(), "URL": url, "PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        *peer.command(url, framing, port), cwd=ROOT, env=environment, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        async with aiohttp.ClientSession() as http:
            running = Running(process, f"http://127.0.0.1:{port}{peer.path}", http)
            deadline = time.monotonic() + DEADLINE_SECONDS
            while not await _is_ready(running, source, framing):
                if process.returncode is not None or time.monotonic() > deadline:
                    raise BenchmarkError(f"{peer.name} does not start")
                await asyncio.sleep(0.1)
            yield running
    finally:
        await processes.end(process)
        while await _clients(source, framing):  # noqa: ASYNC110 (or the next one would not be the only one)
            await asyncio.sleep(0.05)


async def _is_ready(running: Running, source: Source, framing: str) -> bool:
    try:
        await running.events()
    except aiohttp.ClientError:
        return False
    return await _clients(source, framing) == 1


async def _clients(source: Source, framing: str) -> int:
    source.order(do="clients", framing=framing, count=0)
    return int((await source.answer())["clients"])
