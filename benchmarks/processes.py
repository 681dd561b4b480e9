"""The processes of a benchmark: the sender of messages, and the exporter as an operator starts it."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parent.parent
DEADLINE_SECONDS = 60.0
"""For anything that is waited for; a benchmark that takes longer has failed."""
_LINE_BYTES = 1 << 26  # the log of a paced run is one line


class BenchmarkError(Exception):
    """Something that was to be measured did not happen."""


class Source:
    """The sender; `url` is that of the stream with a framing of `wire.FRAMINGS`."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self._port = port

    def url(self, framing: str, number: int = 0) -> str:
        """Where a stream is; any number is another address of the same."""
        scheme = "ws" if framing.startswith("websocket") else "http"
        path = "/api/stream" if "protobuf" in framing else ""
        return f"{scheme}://127.0.0.1:{self._port}/{framing}/{number}{path}"

    @property
    def snapshot_url(self) -> str:
        """Where an empty REST document is; below it, by a number, one with so many projects."""
        return f"http://127.0.0.1:{self._port}/overview"

    def order(self, **order: Any) -> None:
        """Send an order (see `source`); `answer` takes what comes back."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def answer(self) -> dict[str, Any]:
        """The answer to the oldest order that was not answered yet."""
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE_SECONDS):
            line = await self._process.stdout.readline()
        if not line:
            raise BenchmarkError("the sender has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


@asynccontextmanager
async def source() -> AsyncIterator[Source]:
    """A sender, ended with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.source", cwd=ROOT, stdin=PIPE, stdout=PIPE, limit=_LINE_BYTES
    )
    try:
        assert process.stdout is not None
        yield Source(process, json.loads(await process.stdout.readline())["port"])
    finally:
        await end(process)


@asynccontextmanager
async def collector() -> AsyncIterator[str]:
    """The address of a collector that takes whatever it is sent, ended with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.collector", cwd=ROOT, stdout=PIPE, stdin=DEVNULL
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        await end(process)


class Exporter:
    """A running `iris-exporter`; `ready_seconds` passed between its start and the first 200 of /-/ready."""

    def __init__(self, process: Process, url: str, http: aiohttp.ClientSession, ready_seconds: float) -> None:
        self._process = process
        self._http = http
        self.url = url
        self.ready_seconds = ready_seconds

    def rss_bytes(self) -> int:
        """Its resident memory now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024

    def waited_seconds(self) -> float:
        """How long its main thread could have run and had no processor, since its start."""
        return int(Path(f"/proc/{self._process.pid}/schedstat").read_text().split()[1]) / 1e9

    async def get(self, path: str) -> bytes:
        """The body of an answer."""
        async with self._http.get(self.url + path) as response:
            return await response.read()

    async def events(self, metric: str = "iris_events_total") -> int:
        """How many events /metrics shows, over all labels."""
        lines, start = (await self.get("/metrics")).split(b"\n"), metric.encode() + b"{"
        return sum(int(float(line.rpartition(b" ")[2])) for line in lines if line.startswith(start))

    async def until_live(self) -> None:
        """Return when every stream is live."""
        await self._until(self._all_live, "every stream live")

    async def until_events(self, count: int, metric: str = "iris_events_total") -> None:
        """Return when /metrics shows `count` events."""

        async def arrived() -> bool:
            return await self.events(metric) >= count

        await self._until(arrived, f"{count} events in /metrics")

    async def _all_live(self) -> bool:
        return all(stream["state"] == "live" for stream in json.loads(await self.get("/api/v1/streams")))

    async def _until(self, check: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not await check():
            if time.monotonic() > deadline:
                raise BenchmarkError(f"not within {DEADLINE_SECONDS:g} s: {what}")
            await asyncio.sleep(0.05)


@asynccontextmanager
async def exporter(*options: str) -> AsyncIterator[Exporter]:
    """The exporter on a free port, ready; ended with the block. `/proc` and a loopback are all that it needs."""
    command = (sys.executable, "-m", "iris_exporter", "--web.listen-address=127.0.0.1:0", "--log.format=json")
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *command, *options, cwd=ROOT, env=environment(), stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(DEADLINE_SECONDS):
            url = await _address(process.stderr)
        # From here on at once: a thousand streams that fail fill the pipe, and then their exporter waits for a reader.
        drain = asyncio.create_task(_drain(process.stderr))
        try:
            async with aiohttp.ClientSession() as http:
                async with asyncio.timeout(DEADLINE_SECONDS), http.get(f"{url}/-/ready") as response:
                    if response.status != 200:
                        raise BenchmarkError(f"/-/ready said {response.status}")
                yield Exporter(process, url, http, time.monotonic() - started)
        finally:
            await end(process)
            drain.cancel()
    finally:
        await end(process)


async def _address(stderr: asyncio.StreamReader) -> str:
    lines = []
    async for line in stderr:
        lines.append(line.decode(errors="replace"))
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        if fields.get("event") == "web.listening":
            return str(fields["address"])
    raise BenchmarkError("the exporter did not start:\n" + "".join(lines[:5]))


async def _drain(stderr: asyncio.StreamReader) -> None:
    while await stderr.read(65536):
        pass


async def end(process: Process) -> None:
    """Ask a process to end, and insist after five seconds."""
    if process.stdin is not None:
        process.stdin.close()
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(5):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def environment() -> dict[str, str]:
    """Ours without settings of the exporter or of OpenTelemetry: what is measured is the default.

    Bytecode is written, as an installation has it: to compile all modules takes 3 MiB, and twice the time of a start.
    """
    others = ("IRIS_EXPORTER_", "OTEL_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(others)}
