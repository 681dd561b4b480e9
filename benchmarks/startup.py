"""Start to ready: from the start of the process to the first 200 of /-/ready.

The floor is an interpreter that imports the libraries the exporter cannot do without, and ends.
"""

import asyncio
import statistics
import sys
import time

from benchmarks import processes
from benchmarks.processes import environment
from benchmarks.report import Row
from benchmarks.scale import Scale

_IMPORTS = "import aiohttp, aiohttp.web, msgspec, prometheus_client"


async def run(scale: Scale) -> list[Row]:
    """The median of several starts."""
    values, floors = [], []
    async with processes.source() as source:
        for _ in range(scale.starts):
            floors.append(await _floor())
            async with processes.exporter(f"--stream.url={source.url('sse')}", "--stream.protocol=sse") as exporter:
                values.append(exporter.ready_seconds)
    value, floor = statistics.median(values), statistics.median(floors)
    return [Row("start to ready", value, "s", floor, value / floor)]


async def _floor() -> float:
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _IMPORTS, env=environment())
    await process.wait()
    return time.monotonic() - started
