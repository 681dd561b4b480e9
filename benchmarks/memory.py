"""Memory: resident size of the exporter as a process, idle, with many streams, after many events and reconnections."""

import statistics
import tempfile
from pathlib import Path

from benchmarks import processes
from benchmarks.processes import Source
from benchmarks.report import Row
from benchmarks.scale import Scale

FRAMING = "websocket"
_KIB, _MIB = 1024, 1024 * 1024
# In a whole run everything that is bounded (ids, the feed) is full at the first point; from there on it must be flat.
CURVE = (0.1, 0.25, 0.5, 1.0)


async def run(scale: Scale) -> list[Row]:
    """One idle stream, each further one, and the curves over many events and over an hour's worth of reconnections.

    The first two are medians of several processes, after one that may still have had modules to compile.
    """
    async with processes.source() as source:
        await _idle(source, 1)
        one = statistics.median([await _idle(source, 1) for _ in range(scale.starts)])
        many = statistics.median([await _idle(source, 1 + scale.streams) for _ in range(scale.starts)])
        curve = await _over_events(source, [round(scale.memory_events * share) for share in CURVE])
        reconnects = await _over_reconnects(source, [round(scale.reconnects * share) for share in CURVE])
    return [
        Row("memory with one idle stream", one / _MIB, "MiB"),
        Row(f"memory for each of {scale.streams} further streams", (many - one) / scale.streams / _KIB, "KiB"),
        *(Row(f"memory after {count:,} events", size / _MIB, "MiB") for count, size in curve),
        *(Row(f"memory after {count:,} reconnections", size / _MIB, "MiB") for count, size in reconnects),
    ]


async def _idle(source: Source, streams: int) -> int:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "iris-exporter.yaml"
        file.write_text(configuration(source, streams))
        async with processes.exporter(f"--config.file={file}") as exporter:
            await exporter.until_live()
            return exporter.rss_bytes()


async def _over_events(source: Source, points: list[int]) -> list[tuple[int, int]]:
    """Number of events and resident bytes at each of the points, which rise."""
    curve = []
    before = 0
    url = f"--stream.url={source.url(FRAMING)}"
    async with processes.exporter(url, f"--stream.snapshot-url={source.snapshot_url}") as exporter:
        await exporter.until_live()
        for point in points:
            source.order(do="flood", framing=FRAMING, first=before, count=point - before)
            await source.answer()
            await exporter.until_events(point)
            curve.append((point, exporter.rss_bytes()))
            before = point
    return curve


async def _over_reconnects(source: Source, points: list[int]) -> list[tuple[int, int]]:
    """Number of links lost and resident bytes at each of the points: time is compressed by delays of 10 ms."""
    curve = []
    before = 0
    options = [f"--stream.reconnect-{name}=10ms" for name in ("initial", "max")]
    options += ["--stream.reconnect-attempts=1000000", "--stream.max-connections-per-hour=0"]
    url = f"--stream.url={source.url(FRAMING)}"
    async with processes.exporter(url, f"--stream.snapshot-url={source.snapshot_url}", *options) as exporter:
        for point in points:
            source.order(do="drop", framing=FRAMING, first=before, count=point - before)
            await source.answer()
            await exporter.until_events(point)
            curve.append((point, exporter.rss_bytes()))
            before = point
    return curve


def configuration(source: Source, streams: int) -> str:
    """A file of the exporter with that many streams of one source."""
    lines = ["defaults:", "  protocol: websocket", f"  snapshot-url: {source.snapshot_url}"]
    lines += ["  max-connections-per-hour: 0", "streams:"]
    lines += [f"  - {{name: stream-{number}, url: '{source.url(FRAMING, number)}'}}" for number in range(streams)]
    return "\n".join(lines) + "\n"
