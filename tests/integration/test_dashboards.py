"""A real Prometheus scrapes a sidecar to which everything happens; then every query of every dashboard is asked.

Time is compressed: what a dashboard compares with an hour ago is compared with five seconds ago here, and windows are
seconds long. Nothing else about a query is changed.
"""

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from iris_exporter.core.status import State
from tests.contract import boards
from tests.contract.boards import Query
from tests.integration.harness import Sidecar, sidecar
from tests.integration.programs import running, wait_until
from tests.integration.reference import ReferenceBackend, reference_backend
from tests.tools import tool

EMPTY = {
    f"iris-exporter / {panel} / A": "the exporter did all that it was asked for"
    for panel in (
        *("Series dropped, scrapes refused", "Refused and cut", "Internal errors", "Discovery failures"),
        *("Events missed by followers", "Messages of libraries"),
    )
} | {"iris-connection / Beyond a limit / A": "the source stays within all limits"}
"""Queries that must have nothing to say in this run, as `dashboard / panel / query`, and why. They all leave out
what is 0: without that they find series."""
WITHOUT_SERIES = {
    f"iris-connection / {panel} / A": "no stream of this run has a mapping"
    for panel in ("Elements left out", "Guarantee", "Mapping problems")
} | {"iris-exporter / What fails / A": "every part of the exporter works"}
"""Likewise, of metrics that are not there at all."""


def sometimes(query: Query) -> set[str]:
    """Labels that a legend names and that not every series has: an alert is of a stream, of an exporter, or of neither.

    Streams that are polled as set are counted in a label where there are any.
    """
    return {"stream", "project", "instance"} if "ALERTS{" in query.expr else {"polled"}


STEP_SECONDS = 0.5
CONFIGURATION = """
global: {{scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 250ms}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: iris
    file_sd_configs: [{{files: ["{targets}"]}}]
"""
# The same things in a hurry.
OPTIONS = (
    "--stream.protocol=websocket",
    "--stream.reconnect-initial=500ms", "--stream.reconnect-max=1s", "--stream.reconnect-attempts=4",
    "--stream.heartbeat-interval=500ms", "--stream.heartbeat-timeout=2s", "--stream.poll-interval=500ms",
    "--stream.live-retry-interval=2s", "--stream.stable-after=1s",
)  # fmt: skip


def compressed(query: Query, projects: list[str], by: str) -> str:
    """The query with windows that fit the length of this test, split by these labels where it can be."""
    windows = {"__rate_interval": "15s", "__interval": "1s", "__range": "40s", "resolution": "50ms"}
    text = query.plain(**windows, project="|".join(projects), by=by)
    for long, short in (
        ("offset 1d", "offset 5s"),
        ("offset 1h", "offset 5s"),
        ("[1h:1m]", "[20s:1s]"),
        ("[1h:", "[20s:"),
        ("[1h]", "[20s]"),
        ("[2m]", "[2s]"),
        ("[5m]", "[5s]"),
    ):
        text = text.replace(long, short)
    assert not re.search(r"\[\d+[mhd]\b|offset \d+[mhd]\b", text), f"a window that does not fit: {text}"
    return text


def hasty(document: dict[str, Any]) -> dict[str, Any]:
    """A rule file whose alerts fire at once."""
    for group in document["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    return document


BY = ("all", "stream", "instance", "stream, instance")
"""Values of the variable `by`; no series has a label `all`."""


def choices(query: Query) -> tuple[str, ...]:
    """What a query can be split by."""
    return BY if "$by" in query.expr else BY[:1]


def split_by(query: Query, by: str) -> set[str]:
    """Labels that a legend has only while the query is split by them, and is not; and either of two errors' labels."""
    if "$by" not in query.expr:
        return set()
    kept = {"stream"} if "by (stream, $by)" in query.expr else set()
    return {"stream", "instance"} - set(by.split(", ")) - kept | (
        {"reason", "code"} if "{{reason}}{{code}}" in query.legend else set()
    )


class Answers:
    """A Prometheus that is asked for the whole run, in steps that count from `start`.

    What a step has found it finds again: a test that waits for an answer over the run finds it in every later one.
    """

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.start = 0.0
        self._http = http

    async def ready(self) -> None:
        """Return once it answers queries; the run begins."""

        async def check() -> bool:
            async with self._http.get(f"{self.url}/-/ready") as response:
                return response.status == 200

        await wait_until(check, "Prometheus is ready", 15)
        self.start = await self.now()

    async def get(self, path: str, **parameters: str | float) -> Any:
        """The data of an answer; fails on an error."""
        async with self._http.get(f"{self.url}/api/v1/{path}", params=parameters) as response:
            answer = await response.json()
            assert answer["status"] == "success", f"{parameters}: {answer}"
            return answer["data"]

    async def now(self) -> float:
        """Its clock, in seconds."""
        return float((await self.get("query", query="time()"))["result"][1])

    async def over(self, expr: str, end: float) -> list[dict[str, Any]]:
        """The series of a query that have a number in some step until then."""
        data = await self.get("query_range", query=expr, start=self.start, end=end, step=STEP_SECONDS)
        return [series for series in data["result"] if any(not math.isnan(float(v)) for _, v in series["values"])]

    async def finds(self, expr: str) -> None:
        """Return once a step has found something; what has passed by now counts.

        The steps of the last half second are left out: a scrape under way is written down with the time when it began,
        and could take back what they have found.
        """

        async def check() -> bool:
            return bool(await self.over(expr, max(self.start, await self.now() - STEP_SECONDS)))

        await wait_until(check, f"Prometheus finds {expr}", 15)

    async def sees(self, state: State) -> None:
        """Return once the stream was seen in that state."""
        await self.finds(f'iris_stream_state{{state="{state.value}"}} == 1')


@asynccontextmanager
async def prometheus(directory: Path) -> AsyncIterator[tuple[Answers, Path]]:
    """A Prometheus and the file that names its target."""
    targets = directory / "targets.json"
    targets.write_text("[]")
    rules = directory / "rules.yml"
    rules.write_text(yaml.safe_dump(hasty(yaml.safe_load((boards.ROOT / "alerts/iris.rules.yaml").read_text()))))
    configuration = directory / "prometheus.yml"
    configuration.write_text(CONFIGURATION.format(targets=targets, rules=rules))
    command = (
        tool("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={directory / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    )  # fmt: skip

    def listening(line: str) -> str | None:
        match = re.search(r'msg="Listening on" address=(\S+)', line)
        return match and match[1]

    async with running(*command) as program, aiohttp.ClientSession() as http:
        server = Answers(f"http://{await program.printed(listening)}", http)
        await server.ready()
        yield server, targets


async def scraped_from(server: Answers, targets: Path, exporter: Sidecar) -> None:
    """Make Prometheus scrape this sidecar, under a name that stays when another process takes its place."""
    address = exporter.url.removeprefix("http://")
    group = {"targets": [address], "labels": {"instance": "exporter:14747"}}
    await asyncio.to_thread(targets.write_text, json.dumps([group]))

    async def scraped() -> bool:
        active = (await server.get("targets", state="active"))["activeTargets"]
        return any(target["health"] == "up" and address in target["scrapeUrl"] for target in active)

    await wait_until(scraped, "the exporter is scraped", 15)


async def everything_happens(backend: ReferenceBackend, exporter: Sidecar, server: Answers) -> None:
    """Faults one after the other, each until its trace is there: on the page, or where it passes, in Prometheus.

    Each query has something here that makes its data. What only may happen, as an urgent event that overtakes others,
    is not enough.
    """
    await server.finds("iris_runs_today and iris_runs_today offset 5s")
    await exporter.counts("iris_stream_heartbeat_rtt_seconds_count", 2)
    async with grown(exporter, "decode_errors_total", "delta_resyncs_total", "events_duplicate_total"):
        await backend.faults(garbage=True, duplicate=True)
    async with grown(exporter, "upstream_errors_total", "disconnects_total", "resumes_total", by=2):
        await backend.faults(garbage=False, duplicate=False, error="SOMETHING_NEW", drop=1)
    await backend.faults(error=False, drop=False)
    await exporter.reaches("live")
    # What arrives now waits for a snapshot that does not come.
    await backend.faults(**{"rest:hang": True}, drop=0.5)
    await server.finds("iris_stream_queue_oldest_timestamp_seconds")
    await backend.faults(**{"rest:hang": False}, drop=False)
    await exporter.reaches("live")
    async with grown(exporter, "connect_failures_total", "polls_total"):
        await backend.faults(refuse=True, drop=0.2)
        await server.sees(State.CONNECTING)
        await server.finds("iris_stream_next_attempt_timestamp_seconds > time()")
        await server.sees(State.POLLING)
    async with grown(exporter, "poll_failures_total"):
        await backend.faults(**{"all:refuse": True})
        await server.sees(State.ERROR)
    for severity in ("critical", "warning"):
        await server.finds(f'ALERTS{{alertstate="firing", severity="{severity}"}}')
    await exporter.post("/api/v1/streams/default/disconnect")
    await server.sees(State.DISCONNECTED)
    await server.finds('ALERTS{alertstate="firing", severity="info"}')
    await backend.faults(**{"refuse": False, "all:refuse": False}, drop=False)


@asynccontextmanager
async def grown(exporter: Sidecar, *names: str, by: float = 1) -> AsyncIterator[None]:
    """Return from the block once these counters of the stream are larger by that much than when it began."""
    before = await exporter.scrape()
    yield
    for name in (f"iris_stream_{name}" for name in names):
        await exporter.counts(name, before.total(name) + by)


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.time_limit(90)
@pytest.mark.needs("prometheus")
async def test_every_query_returns_data_or_is_listed_with_the_reason(tmp_path: Path) -> None:
    """What is listed as empty must really be, so that the list does not outlive its reasons."""
    web = tmp_path / "web.yml"
    web.write_text("{}\n")
    discovered = tmp_path / "streams.yaml"
    discovered.write_text("[]\n")
    # With this seed an incident begins within two seconds, and an anomaly is open from then on.
    async with reference_backend("--seed=29", "--rate=20") as backend, prometheus(tmp_path) as (server, targets):
        files = (f"--web.config.file={web}", f"--discovery.files={discovered}")
        options = (f"--stream.url={backend.stream('overview').removesuffix('/overview')}", *files, *OPTIONS)
        async with sidecar(*options) as exporter:
            await scraped_from(server, targets, exporter)
            await everything_happens(backend, exporter, server)
        # Another process in its place, as after a restart.
        async with sidecar(*options) as exporter:
            await scraped_from(server, targets, exporter)
            await exporter.reaches("live")
            await server.finds("changes(process_start_time_seconds[15s]) > 0")
            end = await server.now()
            projects = await server.get("label/project/values")
        empty, misnamed = set(), set()
        for query, by in [(each, by) for each in boards.queries() for by in choices(each)]:
            found = await server.over(compressed(query, projects, by), end)
            wanted = {
                label for label in re.findall(r"{{(\w+)}}", query.legend) if label not in split_by(query, by)
            } - sometimes(query)
            if not found:
                empty.add(query.where)
                if boards.growths(query.expr)[0] and query.where not in WITHOUT_SERIES:
                    zeros = compressed(query, projects, by).replace(" > 0", "")
                    assert await server.over(zeros, end), f"not even zeros: {query.where}"
            if not all(wanted <= set(series["metric"]) for series in found):
                misnamed.add(query.where)
    assert misnamed == set(), "a legend names labels that the series do not have"
    assert empty == EMPTY.keys() | WITHOUT_SERIES.keys()
