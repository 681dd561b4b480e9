"""Delay: how long a message that was written to the socket takes to be a number in an answer of /metrics.

The exporter and the sender are processes of their own; this one scrapes, one request after the other, and notes when
each answer had arrived whole and how many events it shows. A message is visible with the first answer that counts it;
its delay is the time from the write until then. That contains the rest of the scrape that was under way and the whole
next one, so it is an upper bound of what a scraper sees.
"""

import asyncio
import statistics
import time
from bisect import bisect_left

from benchmarks import processes
from benchmarks.processes import DEADLINE_SECONDS, BenchmarkError, Exporter
from benchmarks.report import Row
from benchmarks.scale import Scale

FRAMING = "websocket"


async def run(scale: Scale) -> list[Row]:
    """Median and 99th percentile over all messages, and the median time of the scrapes themselves."""
    async with (
        processes.source() as source,
        processes.exporter(
            f"--stream.url={source.url(FRAMING)}",
            f"--stream.snapshot-url={source.snapshot_url}",
            "--stream.protocol=websocket",
        ) as exporter,
    ):
        await exporter.until_live()
        source.order(do="pace", framing=FRAMING, count=scale.delay_events, rate=scale.delay_rate)
        started, waited = time.monotonic(), exporter.waited_seconds()
        answers, scrape = await _scrapes(exporter, scale.delay_events)
        waiting = (exporter.waited_seconds() - waited) / (time.monotonic() - started)
        sent = (await source.answer())["sent"]
    delays = sorted(delays_of(sent, answers))
    percentiles = statistics.quantiles(delays, n=100)
    name = f"delay into /metrics at {scale.delay_rate} messages/s"
    return [
        Row(f"{name}, median", percentiles[49] * 1000, "ms"),
        Row(f"{name}, p99", percentiles[98] * 1000, "ms"),
        Row("of it one scrape, median", scrape * 1000, "ms"),
        Row("of that time the exporter waited for a processor", waiting * 100, "%"),
    ]


async def _scrapes(exporter: Exporter, count: int) -> tuple[list[tuple[int, float]], float]:
    """Events shown and moment of arrival of every answer until `count` are shown; the median time of a scrape."""
    answers: list[tuple[int, float]] = []
    seconds: list[float] = []
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not answers or answers[-1][0] < count:
        started = time.monotonic()
        shown = await exporter.events()
        now = time.monotonic()
        if now > deadline:
            raise BenchmarkError(f"{shown} of {count} events within {DEADLINE_SECONDS:g} s")
        answers.append((shown, now))
        seconds.append(now - started)
        await asyncio.sleep(0)
    return answers, statistics.median(seconds)


def delays_of(sent: list[tuple[int, float]], answers: list[tuple[int, float]]) -> list[float]:
    """Seconds from the write to the first answer that shows it, for every message.

    Both lists hold (messages so far, moment), in order.
    """
    shown = [count for count, _ in answers]
    delays: list[float] = []
    before = 0
    for total, moment in sent:
        delays += [answers[bisect_left(shown, number)][1] - moment for number in range(before + 1, total + 1)]
        before = total
    return delays
