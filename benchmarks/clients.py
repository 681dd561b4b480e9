"""Clients: what a thousand of them cost one backend process, and how they come back after it has been restarted.

Every client subscribes in one of several ways, over WebSocket and SSE, in JSON and protobuf, compressed or not. A tenth
of them are streams of an exporter, a process of its own. CPU time and memory are the backend's own, from /proc. Then
the backend is asked to stop, and is started again on the same port; each client comes back when it was told to, the
exporter's streams as the exporter decides, and the busiest second is counted. What came second by second is printed as
bars.
"""

import asyncio
import json
import os
import resource
import signal
import socket
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from benchmarks import processes
from benchmarks.processes import DEADLINE_SECONDS, ROOT, BenchmarkError, Exporter, end, environment
from benchmarks.report import Row
from benchmarks.scale import Scale
from benchmarks.storm import show
from benchmarks.volume import WAYS, Way, query
from iris_exporter.core.subscriptions import PROTOBUF_SUBPROTOCOL
from iris_exporter.wire import protobuf

EVENTS_PER_SECOND = 5
EXPORTER_SHARE = 10
"""One client in so many is a stream of the exporter."""
SPARE_FILES = 200
"""Open files of a process beside its sockets to clients."""
LOOK_SECONDS = 0.1
"""How often the exporter is asked which of its streams are live."""
MIXED = tuple(way for way in WAYS if not way.graphql)
"""How clients ask for `/api/stream`."""
RETRY_SECONDS = 1.0
"""When a client comes back that was not told when."""
_TICKS = os.sysconf("SC_CLK_TCK")


class BackendProcess:
    """A running `iris-exporter backend`."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def cpu_seconds(self) -> float:
        """Processor time since its start, user and system."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss_bytes(self) -> int:
        """Its resident memory now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024

    async def stop(self) -> None:
        """Ask it to stop, and wait until it has."""
        self._process.send_signal(signal.SIGTERM)
        await self._process.wait()


@asynccontextmanager
async def _backend(port: int) -> AsyncIterator[BackendProcess]:
    options = (f"--web.listen-address=127.0.0.1:{port}", f"--rate={EVENTS_PER_SECOND}", "--seed=7", "--log.level=error")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "iris_exporter", "backend", *options),
        cwd=ROOT, env=environment(), stdin=DEVNULL, stdout=DEVNULL,
    )  # fmt: skip
    try:
        yield BackendProcess(process)
    finally:
        await end(process)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Client:
    """One client, which comes back once: `told` so many seconds after the end, at `back_at` (monotonic)."""

    def __init__(self, http: aiohttp.ClientSession, port: int, way: Way) -> None:
        self._http = http
        self._port = port
        self._way = way
        self.subscribed = asyncio.Event()
        self.returned = asyncio.Event()
        self.told: float | None = None
        self.back_at: float | None = None

    async def run(self) -> None:
        """Subscribe, read to the end, wait as told, and subscribe again; where nobody is there, wait as long again.

        So does an EventSource, with the time of the last `retry:`.
        """
        await self._dial()
        while self.back_at is None:
            await asyncio.sleep(RETRY_SECONDS if self.told is None else self.told)
            with suppress(aiohttp.ClientError):
                await self._dial(again=True)

    def _arrived(self, *, again: bool) -> None:
        if again and self.back_at is None:
            self.back_at = time.monotonic()
            self.returned.set()
        self.subscribed.set()

    async def _dial(self, *, again: bool = False) -> None:
        address = f"http://127.0.0.1:{self._port}/api/stream"
        if not self._way.websocket:
            await self._follow_events(address, again=again)
            return
        offers = (PROTOBUF_SUBPROTOCOL,) if "Sec-WebSocket-Protocol" in self._way.headers else ()
        deflate = 15 if "Sec-WebSocket-Extensions" in self._way.headers else 0
        async with self._http.ws_connect(address, protocols=offers, compress=deflate) as connection:
            await connection.send_json({"type": "subscribe", "data": self._way.options})
            async for message in connection:
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    break
                self._arrived(again=again)
                if b"STREAM_UNAVAILABLE" in (message.data.encode() if isinstance(message.data, str) else message.data):
                    binary = isinstance(message.data, bytes)
                    found = protobuf.decode(message.data) if binary else json.loads(message.data)
                    self.told = float(found["error"]["retryAfter"])

    async def _follow_events(self, address: str, *, again: bool) -> None:
        headers = {"Accept-Encoding": self._way.headers.get("Accept-Encoding", "identity")}
        async with self._http.get(address, params=query(self._way.options), headers=headers) as response:
            async for line in response.content:
                self._arrived(again=again)
                if line.startswith(b"retry: "):
                    self.told = int(line[7:]) / 1000


def make_room(files: int) -> None:
    """Raise the limit of open files of this process and those that it starts, as far as that is needed.

    Raises:
        BenchmarkError: The system does not allow that many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < files:
        if hard != resource.RLIM_INFINITY and hard < files:
            raise BenchmarkError(f"{files} open files are needed and {hard} allowed: raise the hard limit (ulimit -Hn)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


@asynccontextmanager
async def _exporter(port: int, streams: int) -> AsyncIterator[Exporter]:
    """An exporter with that many streams of the backend, half of them over WebSocket."""
    # A budget of connections would be that of one host, for which no exporter has a hundred streams.
    lines = ["defaults: {max-connections-per-hour: 0}", "streams:"]
    for number in range(streams):
        scheme, protocol = ("ws", "websocket") if number % 2 else ("http", "sse")
        # No two streams of an exporter may have one address; the backend ignores what it does not know.
        url = f"{scheme}://127.0.0.1:{port}/api/stream?stream={number}"
        lines.append(f"  - {{name: stream-{number}, protocol: {protocol}, url: '{url}'}}")
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "iris-exporter.yaml"
        file.write_text("\n".join(lines) + "\n")
        async with processes.exporter(f"--config.file={file}") as exporter:
            await exporter.until_live()
            yield exporter


async def _live_again(exporter: Exporter, streams: int, stopped: float) -> list[float]:
    """Seconds after `stopped` (monotonic) at which each stream was live again, to a tenth."""
    found: list[float] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(found) < streams:
            await asyncio.sleep(LOOK_SECONDS)
            listed = json.loads(await exporter.get("/api/v1/streams"))
            live = sum(stream["state"] == "live" for stream in listed)
            found += [time.monotonic() - stopped] * (live - len(found))
    return found


async def run(scale: Scale) -> list[Row]:
    """CPU and memory with all of them connected, each one's share, and the busiest second of their return."""
    make_room(scale.clients + SPARE_FILES)
    port = _free_port()
    streams = scale.clients // EXPORTER_SHARE
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=2**20) as http:
        clients = [Client(http, port, MIXED[number % len(MIXED)]) for number in range(scale.clients - streams)]
        async with _backend(port) as backend:
            await _until_listening(port)
            empty = backend.rss_bytes()
            tasks = [asyncio.create_task(client.run()) for client in clients]
            try:
                async with _exporter(port, streams) as exporter:
                    await _all([client.subscribed for client in clients])
                    before, started = backend.cpu_seconds(), time.monotonic()
                    await asyncio.sleep(scale.clients_seconds)
                    busy = (backend.cpu_seconds() - before) / (time.monotonic() - started)
                    full = backend.rss_bytes()
                    await backend.stop()
                    stopped = time.monotonic()
                    async with _backend(port):
                        live = await _live_again(exporter, streams, stopped)
                        await _all([client.returned for client in clients])
                        returns = [client.back_at - stopped for client in clients if client.back_at is not None]
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    untold = sum(client.told is None for client in clients)
    if untold:
        raise BenchmarkError(f"{untold} clients were not told when to come back")
    seconds, of_exporter = (Counter(map(int, moments)) for moments in (returns + live, live))
    show(f"{scale.clients:,} clients after a restart: how many came back in the busiest second of each bar", seconds)
    show(f"of them the {streams} streams of the exporter", of_exporter)
    name = f"{scale.clients:,} clients at {EVENTS_PER_SECOND} events/s"
    return [
        Row(f"{name}, processor time of the backend", 100 * busy, "%"),
        Row(f"{name}, memory of the backend", full / 2**20, "MiB"),
        Row("of it for each client", (full - empty) / scale.clients / 1024, "KiB"),
        Row("after a restart, clients in the busiest second", max(seconds.values()), "clients"),
        Row("after a restart, time until the last one is back", max(returns + live), "s"),
        Row("of the exporter's streams, in the busiest second", max(of_exporter.values()), "streams"),
        Row("of the exporter's streams, time until the last one is back", max(live), "s"),
    ]


async def _until_listening(port: int) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def _all(events: list[asyncio.Event]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        for event in events:
            await event.wait()
