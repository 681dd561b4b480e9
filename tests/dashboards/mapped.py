"""Series of streams with mappings, to draw their dashboards: each stream of the small fleet has all of the mappings.

What a sample becomes is what the exporter's own parts make of it; from scrape to scrape counters grow by that again,
and gauges move. No stream has so many mappings in real use, where its link would be drawn in the same way.
"""

import json
import math
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from iris_exporter.core.status import Counted
from iris_exporter.grafana import mapped
from iris_exporter.instruments import catalog
from iris_exporter.mapping.spec import Mapping, MetricKind
from iris_exporter.trial.testing import read_arrivals, try_arrivals
from tests.contract.boards import PLANT
from tests.dashboards.recording import END, SCRAPE_SECONDS, SCRAPES, SITES, SMALL
from tests.mapping import samples

_SAME_METRICS = {"mastodon-sse", "mastodon-websocket"}
"""The same mapping as `mastodon`, read in another way."""
_LONG = "a-value-without-any-place-to-break-it-that-is-as-long-as-60-x"
_PLANT = [
    {
        "n": number, "v": ("low", "high", "odd")[number % 3], "g": f"gate {number}", "a": f"{_LONG}{number}",
        "m": 0.25 * number, "r": f'"{number}" \\ <b>&amp;', "c": ("EUR", "USD")[number % 2], "i": f"Città {number}",
        "u": 1500, "p": 101_325 + number, "t": number - 7.5, "b": f"{_LONG} {number}",
        "w": f"2025-12-31T12:{number:02}:00Z", "q": -0.5, "d": 0.3 * number, "f": number / 7 - 1,
        "s": ("ON", 'O"F')[number % 2], "x": f"pump {number}", "f1": 0, "f2": 60_000 + number, "f3": 6e-5, "f4": -3,
    }
    for number in range(14)
]  # fmt: skip
_SAMPLE = re.compile(r"(\w+)\{(.*)\} (\S+)")


def mappings() -> dict[str, Mapping]:
    """Each mapping that there is a sample of, by name."""
    found = {name: samples.load(name).mapping for name in samples.NAMES if name not in _SAME_METRICS}
    return {**found, PLANT.name: PLANT}


@cache
def dashboards() -> dict[str, dict[str, Any]]:
    """Their dashboards, by uid."""
    found = [mapped.dashboard(mapping) for mapping in mappings().values()]
    return {board["uid"]: board for board in found}


def openmetrics() -> str:
    """The series of all streams, as the input of promtool."""
    series = [found for name in mappings() for found in _series(name)]
    lines = [
        f'{name}{{job="{SMALL}",instance="{SMALL}.example:14747",{labels.replace("@", site)}}} {value} {at}'
        for number, site in enumerate(SITES)
        for name, labels, kind, first in series
        for at, value in _values(kind, first, number)
    ]
    return "\n".join([*lines, "# EOF\n"])


def _content(name: str) -> bytes:
    return "\n".join(map(json.dumps, _PLANT)).encode() if name == PLANT.name else samples.load(name).content


def _series(name: str) -> Iterator[tuple[str, str, MetricKind, float]]:
    """Name, labels, kind and first value of what a sample becomes."""
    mapping = mappings()[name]
    result = try_arrivals(mapping, read_arrivals(mapping, _content(name)), END, "@")
    kinds = {metric.name: metric.kind for metric in mapping.metrics}
    for line in result.exposition.splitlines():
        if found := _SAMPLE.fullmatch(line):
            metric = re.sub("_(bucket|count|sum)$", "", found[1])
            yield found[1], found[2], kinds.get(metric) or kinds[found[1]], float(found[3])
    yield catalog.MAPPING_INFO.name, f'mapping="{name}",stream="@"', MetricKind.INFO, 1
    if name == PLANT.name:
        for word in Counted:
            labels = f'guarantee="{word}",stream="@"'
            yield catalog.GUARANTEE.name, labels, MetricKind.STATESET, word is result.guarantee.counted
        labels = 'kind="reading",metric="plant_temperature_celsius",reason="not_a_number",stream="@"'
        yield catalog.MAPPING_PROBLEMS.name, labels, MetricKind.COUNTER, 1


def _values(kind: MetricKind, first: float, stream: int) -> Iterator[tuple[int, float]]:
    for number in range(SCRAPES):
        at = END - (SCRAPES - 1 - number) * SCRAPE_SECONDS
        if kind in (MetricKind.COUNTER, MetricKind.HISTOGRAM):
            yield at, first * (number + 1) * (stream + 1)
        elif kind is MetricKind.GAUGE:
            yield at, first * (1 + 0.02 * math.sin(number / 9 + stream)) if abs(first) < 1e9 else first
        else:
            yield at, float(first)
