"""The bars of every dashboard add up to what the counters counted: asked of a real Prometheus, of recorded series.

The counters are recorded at scrape intervals from 5 to 60 seconds, with restarts (also two in a bar, and such that the
counter is higher than before at once), failed scrapes, series that end and that begin late. What they truly counted is
worked out from the samples, one after the other.
"""

import asyncio
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path

import pytest

from iris_exporter.instruments.metric import Metric
from tests.contract import boards
from tests.contract.boards import Query
from tests.integration.test_dashboards import prometheus
from tests.tools import tool

LENGTH_SECONDS = 3600
SCRAPE_INTERVALS = (5, 7, 10, 15, 30, 60)
BARS = (5, 15, 60, 120, 900)
"""Lengths of a bar, as Grafana chooses them for spans of time from some minutes to a day."""
Samples = list[int | None]
"""By scrape; None is a scrape that failed."""


def bar_queries() -> list[Query]:
    """Every query of a panel with bars."""
    drawn = {
        (name, panel["title"])
        for name, board in boards.load().items()
        for panel in boards.panels(board)
        if panel["type"] == "timeseries" and panel["fieldConfig"]["defaults"]["custom"]["drawStyle"] == "bars"
    }
    return [query for query in boards.queries() if (query.board, query.panel) in drawn]


QUERIES = bar_queries()


def test_bars_are_on_all_dashboards_of_prometheus() -> None:
    assert {query.board for query in QUERIES} == {"iris-connection", "iris-exporter", "iris-overview", "iris-project"}
    assert len(QUERIES) >= 14


def counted(samples: Samples, *, first: bool = False) -> int:
    """What a counter counted: each step up, and all that is there after a reset; the first value only if told so."""
    known = [value for value in samples if value is not None]
    steps = sum(after - before if after >= before else after for before, after in pairwise(known))
    return steps + (known[0] if first else 0)


def steady(choice: random.Random, scrapes: int) -> Samples:
    """A process that is restarted some times, and sometimes not scraped for a while."""
    value, found = choice.randrange(50), []
    for _ in range(scrapes):
        if choice.random() < 0.03:
            value = choice.choice((0, 0, 1, 3, value + 1, value + 20))
        value += choice.choice((0, 0, 0, 1, 2, 7))
        found.append(value)
    gaps = {start + n for start in range(scrapes) if choice.random() < 0.01 for n in range(choice.randrange(1, 5))}
    return [None if number in gaps and number else each for number, each in enumerate(found)]


def twice_in_a_bar(choice: random.Random, scrapes: int) -> Samples:
    """Restarts as often as every other scrape."""
    return [choice.randrange(9) for _ in range(scrapes)]


def ended(choice: random.Random, scrapes: int) -> Samples:
    """A target that goes away in the middle, as a pod does."""
    half = scrapes // 2
    return [*steady(choice, half), *[None] * (scrapes - half)]


def away(choice: random.Random, scrapes: int) -> Samples:
    """Not scraped for 40 minutes, in which the process was restarted."""
    samples = steady(choice, scrapes)
    hole = range(scrapes // 6, scrapes * 5 // 6)
    return [None if number in hole else each for number, each in enumerate(samples)]


def late(choice: random.Random, scrapes: int) -> Samples:
    """A target that Prometheus finds in the middle, with numbers that it has had for who knows how long."""
    half = scrapes // 2
    return [*[None] * half, *range(500, 500 + scrapes - half)]


def new(choice: random.Random, scrapes: int) -> Samples:
    """A reason that is counted for the first time, by a process that is scraped already."""
    half = scrapes // 2
    return [*[None] * half, *[3] * 5, *[4] * (scrapes - half - 5)]


def silent(choice: random.Random, scrapes: int) -> Samples:
    """Counts nothing."""
    return [0] * scrapes


HISTORIES: tuple[Callable[[random.Random, int], Samples], ...] = (
    steady,
    twice_in_a_bar,
    ended,
    away,
    late,
    new,
    silent,
)


@dataclass(frozen=True)
class Recorded:
    """One series."""

    labels: str
    samples: Samples
    true: int


def recorded(metric: Metric, interval: int) -> list[Recorded]:
    """A counter of some targets with a history each; the job says how often they are scraped."""
    found = []
    for history in HISTORIES:
        choice = random.Random(f"{metric.name} {interval} {history.__name__}")
        samples = history(choice, LENGTH_SECONDS // interval + 1)
        labels = {"job": f"every-{interval}s", "instance": history.__name__}
        labels |= {label.name: f"some-{label.name}" for label in metric.labels}
        text = ",".join(f'{name}="{value}"' for name, value in labels.items())
        found.append(Recorded(text, samples, counted(samples, first=history is new)))
    return found


def answering(interval: int) -> list[Recorded]:
    """Whether targets answered: Prometheus does not know one of them in the first half."""
    scrapes = LENGTH_SECONDS // interval + 1
    known: Samples = [1] * scrapes
    unknown: Samples = [*[None] * (scrapes // 2), *[1] * (scrapes - scrapes // 2)]
    return [
        Recorded(f'job="every-{interval}s",instance="{each.__name__}"', unknown if each is late else known, 0)
        for each in HISTORIES
    ]


def exposition(start: int, metrics: set[Metric]) -> Iterator[str]:
    """Everything that was recorded, as lines of OpenMetrics with times."""
    for interval in SCRAPE_INTERVALS:
        series = [(metric.name, each) for metric in metrics for each in recorded(metric, interval)]
        for name, each in [*series, *(("up", each) for each in answering(interval))]:
            for number, value in enumerate(each.samples):
                if value is not None:
                    yield f"{name}{{{each.labels}}} {value} {start + number * interval}\n"
    yield "# EOF\n"


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.time_limit(120)
@pytest.mark.needs("prometheus", "promtool")
async def test_bars_add_up_to_the_true_increase(tmp_path: Path) -> None:
    """Each bar is asked for as Grafana asks: at multiples of its length, up to one after the last sample."""
    start = int(time.time()) // 7200 * 7200 - 2 * 7200
    grown = {query: boards.growths(query.expr) for query in QUERIES}
    metrics = {each.metric for found, _ in grown.values() for each in found}
    lines = tmp_path / "recorded.txt"
    lines.write_text("".join(exposition(start, metrics)))
    command = (tool("promtool"), "tsdb", "create-blocks-from", "openmetrics", lines, tmp_path / "data")
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    wrong = []
    async with prometheus(tmp_path) as (server, _):
        for (query, (found, rest)), interval, bar in product(grown.items(), SCRAPE_INTERVALS, BARS):
            assert found
            assert "_total" not in rest
            expr = query.plain(__interval=f"{bar}s", resolution="5s", job=f"every-{interval}s")
            end = start + LENGTH_SECONDS + bar
            data = await server.get("query_range", query=expr, start=start, end=end, step=bar)
            bars = [float(value) for series in data["result"] for _, value in series["values"]]
            true = sum(series.true for each in found for series in recorded(each.metric, interval))
            assert true > 0
            if sum(bars) != true or min(bars) < 0:
                wrong.append(f"{query.where}, scraped every {interval} s, bars of {bar} s: {sum(bars)}, not {true}")
    assert wrong == []
