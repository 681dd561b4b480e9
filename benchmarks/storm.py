"""A storm that must not be: many streams, and a backend that is down for good.

The first part is an hour in virtual time: as many connection machines as streams, with the default rules and a backoff
whose random numbers are repeatable; every dial fails at once, every poll too. Its floor is the same without jitter,
which is what all of them knocking in step looks like. The second part is real: the exporter as a process, with as many
streams to a port where nobody listens, asked every second how often it has tried; once with jitter alone, and once with
the budget of connections that a host has by default. How the dials spread is printed as a few bars for each.
"""

import asyncio
import heapq
import itertools
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks import processes
from benchmarks.processes import Exporter
from benchmarks.report import Row
from benchmarks.scale import Scale
from benchmarks.settings import stream_settings
from iris_exporter.core.backoff import Backoff
from iris_exporter.core.connection import Action, Connection, Input, Rules, Step
from iris_exporter.core.failures import Failure

HOUR = 3600
_FAILURE = Failure("refused")
_BAR = 40  # characters of the longest one
_BARS = 10  # of one histogram
_COUNTERS = "/metrics?name[]=iris_stream_connect_attempts_total&name[]=iris_stream_connect_failures_total"


async def run(scale: Scale) -> list[Row]:
    """Dials a second at most, in virtual and in real time; what comes after the first second is what matters."""
    streams = scale.storm_streams
    settings = stream_settings(url="ws://127.0.0.1:1/ws")
    spread = virtual_hour(streams, settings.reconnect_jitter)
    in_step = virtual_hour(streams, 0.0)
    show(
        f"{streams:,} streams, the first minute in virtual time: dials in the busiest second of each six",
        first(spread, 60),
    )
    show("the whole hour: dials in the busiest second of each six minutes", spread)
    free = await _real(streams, scale.storm_seconds, 0)
    show(f"{streams:,} streams, {scale.storm_seconds} real seconds: dials in the busiest second of each bar", free)
    held = await _real(streams, scale.storm_seconds, None)
    show(f"the same with the default budget of {settings.max_connections_per_hour} connections an hour", held)
    return [
        _compare("dials in the busiest second after the first", peak(spread), peak(in_step)),
        _compare("dials in the busiest second after the first minute", peak(spread, 60), peak(in_step, 60)),
        Row("dials a second in the last half hour, mean", _mean(spread, HOUR // 2, HOUR), "1/s"),
        Row("real dials in the busiest second after the first", peak(free), "1/s"),
        Row(f"real dials with the default budget in {scale.storm_seconds} s", held.total(), ""),
    ]


def virtual_hour(streams: int, jitter: float) -> Counter[int]:
    """How many dials begin in each second of an hour that starts with `connect` on every stream and never succeeds."""
    settings = stream_settings(url="ws://127.0.0.1:1/ws")
    rules = Rules(settings.reconnect_attempts, settings.stable_after_seconds, settings.live_retry_interval_seconds)
    generator = random.Random(1)  # repeatable on purpose
    backoff = Backoff(settings.reconnect_initial_seconds, settings.reconnect_max_seconds, jitter, generator.random)
    dials: Counter[int] = Counter()
    due: list[tuple[float, int, Connection]] = []
    order = itertools.count()

    def carry_out(connection: Connection, step: Step, now: float) -> None:
        if Action.START_POLLS in step.actions:
            connection.feed(Input.POLL_FAILED)
        if step.delay_seconds is not None:
            heapq.heappush(due, (now + step.delay_seconds, next(order), connection))
        if Action.DIAL in step.actions:
            dials[int(now)] += 1
            carry_out(connection, connection.failed(_FAILURE, now), now)

    for _ in range(streams):
        connection = Connection(rules, backoff)
        carry_out(connection, connection.feed(Input.CONNECT), 0.0)
    while due and due[0][0] < HOUR:
        now, _, connection = heapq.heappop(due)
        carry_out(connection, connection.feed(Input.DUE), now)
    return dials


async def _real(streams: int, seconds: int, per_hour: int | None) -> Counter[int]:
    """The same from outside: attempts counted by the exporter, read every second; `per_hour` None is the default."""
    with tempfile.TemporaryDirectory() as directory, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else can take it
        url = f"ws://127.0.0.1:{nobody.getsockname()[1]}"
        lines = ["defaults:", "  protocol: websocket"]
        lines += [] if per_hour is None else [f"  max-connections-per-hour: {per_hour}"]
        lines += ["streams:", *(f"  - {{name: stream-{number}, url: '{url}/{number}'}}" for number in range(streams))]
        file = Path(directory) / "iris-exporter.yaml"
        file.write_text("\n".join(lines) + "\n")
        async with processes.exporter(f"--config.file={file}") as exporter:
            return await _dials(exporter, seconds)


async def _dials(exporter: Exporter, seconds: int) -> Counter[int]:
    dials: Counter[int] = Counter()
    started = time.monotonic()
    before = 0
    for second in range(seconds):
        await asyncio.sleep(max(0.0, started + second + 1 - time.monotonic()))
        total = _dialled((await exporter.get(_COUNTERS)).decode())
        dials[second] = total - before
        before = total
    return dials


def _dialled(text: str) -> int:
    """How many attempts reached for the network: those that the budget refused did not."""
    total = 0.0
    for line in text.splitlines():
        if line.startswith("iris_stream_connect_attempts_total{"):
            total += float(line.rpartition(" ")[2])
        elif 'reason="connection_budget"' in line:
            total -= float(line.rpartition(" ")[2])
    return round(total)


def peak(dials: Mapping[int, int], after: int = 1) -> int:
    """The most in one second that begins `after` seconds from the start, or later."""
    return max((count for second, count in dials.items() if second >= after), default=0)


def first(dials: Mapping[int, int], seconds: int) -> dict[int, int]:
    """Only the first so many seconds."""
    return {second: dials.get(second, 0) for second in range(seconds)}


def _mean(dials: Mapping[int, int], start: int, end: int) -> float:
    return sum(count for second, count in dials.items() if start <= second < end) / (end - start)


def _compare(name: str, value: int, floor: int) -> Row:
    return Row(name, value, "1/s", floor, value / floor)


def show(title: str, dials: Mapping[int, int]) -> None:
    """Print what `bars` makes of it."""
    print(f"{title}\n" + "\n".join(bars(dials)), file=sys.stderr)


def bars(dials: Mapping[int, int]) -> Iterable[str]:
    """A histogram as lines: seconds grouped so that it stays short, each with its busiest second."""
    end = max(dials, default=0) + 1
    group = -(-end // _BARS)
    groups = [max(dials.get(second, 0) for second in range(start, start + group)) for start in range(0, end, group)]
    scale = max(groups) or 1
    width = len(f"{scale:,}")
    for index, count in enumerate(groups):
        yield f"{index * group:6} s {count:{width},} {'#' * round(count / scale * _BAR)}".rstrip()
