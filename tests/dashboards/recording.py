"""An afternoon of a small and of a large fleet in a real Prometheus, made in half a minute.

Real exporters receive real reference backends, of which some refuse, hang or are gone, and `/metrics` is read four
times a second. Each reading is then given to Prometheus as a scrape 15 s after the one before (`promtool tsdb
create-blocks-from openmetrics`), so that windows, ages and the queries themselves are those of real use. Moments in
the values (`..._timestamp_seconds`) are moved along with the time; whatever else a series says is as it was read.

Alerts are those of alerts/iris.rules.yaml: `promtool` evaluates the recording rules, and the series `ALERTS` are made
here from what Prometheus answers for the expression of each alert, held for its `for`.
"""

import asyncio
import bisect
import json
import math
import re
import subprocess
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.integration.harness import Sidecar, sidecar
from tests.integration.programs import running
from tests.integration.reference import ReferenceBackend, reference_backend
from tests.tools import ROOT, tool

END = 1_767_279_720
"""Unix time of the last scrape: some afternoon, always the same; not a full hour, whose label would be at the edge."""
SCRAPE_SECONDS = 15
PAUSE_SECONDS = 0.25
SEED = 29
EVENTS_PER_SECOND = 5
SCRAPES = 100
LARGE_SCRAPES = 8
"""Of the large fleet, the last ones: enough for the window of a rate."""
YESTERDAY_SECONDS = 24 * 3600
LOOKBACK_SECONDS = 300
"""How old a sample may be that Prometheus still takes for the last one of its series."""
BOARDS = sorted((ROOT / "dashboards/json").glob("*.json"))
RULES = ROOT / "alerts/iris.rules.yaml"

SMALL, LARGE = "iris", "iris-large"
"""The scrape jobs of 14 and of 200 streams."""
SITES = (
    "amsterdam", "berlin", "dublin", "frankfurt", "lagos", "lisbon", "madrid", "milan", "mumbai", "osaka", "oslo",
    "paris", "sydney", "toronto",
)  # fmt: skip
ROLES = {"frankfurt": "gone", "sydney": "denied", "oslo": "refusing", "mumbai": "refusing", "dublin": "hanging"}
"""What becomes of a stream; the others stay live."""
FAULTS: dict[str, dict[str, Any]] = {
    "gone": {"all:refuse": True}, "denied": {"all:401": True}, "refusing": {"refuse": True}, "hanging": {"hang": True},
}  # fmt: skip
CUT: dict[str, Any] = {"drop": 0.1}
"""What makes a stream that is live meet its fault."""
STATES = {"gone": "error", "denied": "error", "refusing": "polling", "hanging": "connecting"}
# The defaults, sixty times as fast.
HURRY = {
    "reconnect-initial": "50ms", "reconnect-max": "1s", "stable-after": "250ms", "live-retry-interval": "5s",
    "poll-interval": "500ms", "connect-timeout": "500ms", "heartbeat-interval": "500ms", "heartbeat-timeout": "10s",
    # Two hundred streams of one host.
    "max-connections-per-hour": 0,
}  # fmt: skip

_SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:[^"}]|"(?:\\.|[^"\\])*")*)\})? (\S+)')
_MOMENTS = ("_timestamp_seconds", "process_start_time_seconds")


def streams(count: int) -> dict[str, str]:
    """Name of each stream to its role, alphabetically; with more than 14, the sites are numbered."""
    if count <= len(SITES):
        return {site: ROLES.get(site, "live") for site in SITES[:count]}
    named = [(f"{site}-{number:02}", site if number == 1 else "") for number in range(1, 100) for site in SITES]
    return dict(sorted((name, ROLES.get(site, "live")) for name, site in named[:count]))


@dataclass
class Readings:
    """What one exporter said, and when."""

    job: str
    instance: str
    at: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    took: list[float] = field(default_factory=list)

    def keep(self, count: int) -> None:
        """Forget all but the last readings."""
        del self.at[:-count], self.texts[:-count], self.took[:-count]

    async def read(self, exporter: Sidecar) -> None:
        """Read once, and pause."""
        began = time.time()
        self.texts.append(await exporter.get("/metrics", Accept="application/openmetrics-text; version=1.0.0"))
        self.at.append(began)
        self.took.append(time.time() - began)
        await asyncio.sleep(PAUSE_SECONDS)

    def time_of(self, index: int) -> int:
        """When Prometheus is told that it was."""
        return END - (len(self.at) - 1 - index) * SCRAPE_SECONDS

    def moved(self, moment: float) -> float:
        """A moment in that time. What was before the first reading stays as long before it; plans are stretched."""
        if moment <= self.at[0]:
            return self.time_of(0) - (self.at[0] - moment)
        last = min(bisect.bisect_right(self.at, moment), len(self.at) - 1)
        pace = SCRAPE_SECONDS / (self.at[last] - self.at[last - 1])
        return self.time_of(last) - (self.at[last] - moment) * pace


async def record(job: str, count: int, scrapes: int, directory: Path) -> Readings:
    """Run an exporter with that many streams until it was read so often; for the last four fifths some are not live."""
    roles = streams(count)
    async with AsyncExitStack() as stack:
        backends = {
            role: await stack.enter_async_context(reference_backend(f"--seed={SEED}", f"--rate={EVENTS_PER_SECOND}"))
            for role in ("live", *FAULTS)
        }
        configuration = directory / f"{job}.yaml"
        configuration.write_text(yaml.safe_dump({"defaults": HURRY, "streams": _configured(roles, backends)}))
        exporter = await stack.enter_async_context(sidecar(f"--config.file={configuration}"))
        readings = Readings(job, f"{job}.example:14747")
        while not _all_in(readings, dict.fromkeys(roles, "live")):
            await readings.read(exporter)
        readings.keep(1)
        while len(readings.at) < scrapes / 5:
            await readings.read(exporter)
        for role, faults in FAULTS.items():
            await backends[role].faults(**faults, **CUT)
        wanted = {name: STATES.get(role, "live") for name, role in roles.items()}
        while len(readings.at) < scrapes or not _all_in(readings, wanted):
            await readings.read(exporter)
    readings.keep(scrapes)
    return readings


def _configured(roles: dict[str, str], backends: dict[str, ReferenceBackend]) -> list[dict[str, Any]]:
    return [
        {
            "name": name, "url": f"{backends[role].stream('overview')}?site={name}", "protocol": "websocket",
            # One that hangs is dialled for as long as the recording lasts.
            "reconnect-attempts": 10_000 if role == "hanging" else 10,
        }
        for name, role in roles.items()
    ]  # fmt: skip


def _all_in(readings: Readings, states: dict[str, str]) -> bool:
    """Whether the last reading has each stream in its state."""
    found = re.findall(
        r'^iris_stream_state{state="(\w+)",stream="([^"]+)"} 1', "".join(readings.texts[-1:]), re.MULTILINE
    )
    return {stream: state for state, stream in found} == states


@cache
def asked_for() -> frozenset[str]:
    """All words of dashboards and rules, among them the names of all series that are worth keeping."""
    return frozenset(word for file in (*BOARDS, RULES) for word in re.findall(r"\w+", file.read_text()))


def openmetrics(readings: Readings, *, at: Iterable[tuple[int, int]]) -> str:
    """Readings as the input of promtool: each family once, with the sample of each (index of a reading, Unix time)."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = defaultdict(list)
    target = f'job="{readings.job}",instance="{readings.instance}"'
    last = set(re.findall(r"^\w+_info\{.*\}", readings.texts[-1], re.MULTILINE))
    for index, moment in at:
        family = ""
        for line in readings.texts[index].splitlines():
            if line.startswith("# EOF"):
                break
            if line.startswith("#"):
                family = line.split(" ", 3)[2]
                heads.setdefault(family, [])
                if line not in heads[family]:
                    heads[family].append(line)
            elif (found := _SAMPLE.match(line)) and found[1] in asked_for():
                name, labels, value = found.groups()
                # A series that is gone is stale to a Prometheus that scrapes; no input of promtool can say so.
                if name.endswith("_info") and END - moment < LOOKBACK_SECONDS and f"{name}{{{labels}}}" not in last:
                    continue
                if name.endswith(_MOMENTS):
                    value = repr(readings.moved(float(value)))
                samples[family].append(f"{name}{{{target}{',' if labels else ''}{labels or ''}}} {value} {moment}")
        samples["up"].append(f"up{{{target}}} 1 {moment}")
        samples["scrape_duration_seconds"].append(
            f"scrape_duration_seconds{{{target}}} {readings.took[index]} {moment}"
        )
        lines = sum(not line.startswith("#") for line in readings.texts[index].splitlines())
        samples["scrape_samples_scraped"].append(f"scrape_samples_scraped{{{target}}} {lines} {moment}")
    parts = [[*heads.get(family, [f"# TYPE {family} gauge"]), *lines] for family, lines in samples.items()]
    return "\n".join([*(line for part in parts for line in part), "# EOF\n"])


def blocks(directory: Path, name: str, text: str) -> None:
    """Give samples to a Prometheus that is to be started on `directory / "data"`."""
    file = directory / f"{name}.txt"
    file.write_text(text)
    command = [tool("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(file), str(directory / "data")]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr


class Prometheus:
    """A running Prometheus that holds what was recorded."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    async def query(self, expression: str, at: float = END) -> dict[str, Any]:
        """The answer to an instant query."""
        return await self._ask("query", query=expression, time=at)

    async def over(self, expression: str, start: float, end: float, step: float) -> dict[str, Any]:
        """The answer to a query of a range."""
        return await self._ask("query_range", query=expression, start=start, end=end, step=step)

    async def _ask(self, path: str, **parameters: str | float) -> dict[str, Any]:
        async with self._http.post(f"{self.url}/api/v1/{path}", data=parameters) as response:
            answer = await response.json()
            assert answer["status"] == "success", f"{parameters}: {answer}"
            found: dict[str, Any] = answer["data"]
            return found


@asynccontextmanager
async def started(directory: Path) -> AsyncIterator[Prometheus]:
    """A Prometheus on what was given to it; it scrapes nothing."""
    configuration = directory / "prometheus.yml"
    configuration.write_text("{}\n")
    command = (
        tool("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={directory / 'data'}",
        "--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:0",
    )  # fmt: skip

    def listening(line: str) -> str | None:
        match = re.search(r'msg="Listening on" address=(\S+)', line)
        return match and match[1]

    async with running(*command) as program, aiohttp.ClientSession() as http:
        url = f"http://{await program.printed(listening)}"
        await program.printed(lambda line: "Server is ready" in line or None)
        yield Prometheus(url, http)


def alert_series(rule: dict[str, Any], answer: dict[str, Any]) -> Iterator[str]:
    """`ALERTS` of a rule, as input of promtool, from the answer to its expression over the recorded time."""
    wait = _seconds(rule.get("for", "0s"))
    for series in answer["result"]:
        labels = {key: value for key, value in series["metric"].items() if key != "__name__"} | rule.get("labels", {})
        since = last = -math.inf
        for moment, _ in series["values"]:
            since, last = (since if moment - last <= SCRAPE_SECONDS else moment), moment
            state = "firing" if moment - since >= wait else "pending"
            found = labels | {"alertname": rule["alert"], "alertstate": state}
            text = ",".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in found.items())
            yield f"ALERTS{{{text}}} 1 {moment}"


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[duration[-1]]


@asynccontextmanager
async def recorded(directory: Path, **more: str) -> AsyncIterator[Prometheus]:
    """A Prometheus with both fleets, yesterday's figures, recording rules and alerts, and more series by a name."""
    small, large = await asyncio.gather(
        record(SMALL, 14, SCRAPES, directory), record(LARGE, 200, LARGE_SCRAPES, directory)
    )
    for readings in (small, large):
        blocks(directory, readings.job, openmetrics(readings, at=_times(readings)))
    # As if nothing had happened since yesterday, for what is compared with then.
    before = [(0, small.time_of(0) - YESTERDAY_SECONDS + minute * 60) for minute in range(0, 60, 4)]
    blocks(directory, "yesterday", openmetrics(small, at=before))
    for name, text in more.items():
        blocks(directory, name, text)
    start, end = small.time_of(0), END
    async with started(directory) as server:
        command = (
            tool("promtool"), "tsdb", "create-blocks-from", "rules", f"--url={server.url}", f"--start={start}",
            f"--end={end}", f"--eval-interval={SCRAPE_SECONDS}s", f"--output-dir={directory / 'data'}", str(RULES),
        )  # fmt: skip
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    async with started(directory) as server:
        alerts = ["# TYPE ALERTS gauge"]
        for group in yaml.safe_load(RULES.read_text())["groups"]:
            for rule in (rule for rule in group["rules"] if "alert" in rule):
                alerts += alert_series(rule, await server.over(rule["expr"], start, end, SCRAPE_SECONDS))
    blocks(directory, "alerts", "\n".join([*alerts, "# EOF\n"]))
    async with started(directory) as server:
        yield server


def _times(readings: Readings) -> list[tuple[int, int]]:
    return [(index, readings.time_of(index)) for index in range(len(readings.at))]
