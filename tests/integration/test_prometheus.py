"""A real Prometheus scrapes the sidecar, which follows the reference backend."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.integration.harness import Sidecar, sidecar
from tests.integration.programs import running, wait_until
from tests.integration.reference import ReferenceBackend, reference_backend
from tests.tools import tool

CONFIGURATION = """
global:
  scrape_interval: {interval}
  scrape_timeout: {interval}
scrape_configs:
  - job_name: iris
    static_configs:
      - targets: ["{target}"]
"""


class Prometheus:
    """A running Prometheus and its query API."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    async def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """The result vector of an instant query, evaluated at the Unix time `at`; None is now."""
        params = {"query": expression} if at is None else {"query": expression, "time": f"{at:.3f}"}
        async with self._http.get(f"{self.url}/api/v1/query", params=params) as response:
            answer = await response.json()
            assert answer["status"] == "success", answer
            result: list[dict[str, Any]] = answer["data"]["result"]
            return result

    async def becomes(self, expression: str, value: float) -> None:
        """Return once `expression` yields one series with `value`."""

        async def check() -> bool:
            result = await self.query(expression)
            return len(result) == 1 and float(result[0]["value"][1]) == pytest.approx(value)

        await wait_until(check, f"{expression} is {value}")


@asynccontextmanager
async def prometheus(directory: Path, target: str, interval: str = "200ms") -> AsyncIterator[Prometheus]:
    """A Prometheus with one target, on a free port. `interval` is also what a scrape may take."""
    configuration = directory / "prometheus.yml"
    configuration.write_text(CONFIGURATION.format(target=target, interval=interval))
    command = (
        tool("prometheus"),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    )

    def listening(line: str) -> str | None:
        match = re.search(r'msg="Listening on" address=(\S+)', line)
        return match and match[1]

    async with running(*command) as program, aiohttp.ClientSession() as http:
        server = Prometheus(f"http://{await program.printed(listening)}", http)

        async def ready() -> bool:
            async with http.get(f"{server.url}/-/ready") as response:
                return response.status == 200

        await wait_until(ready, "Prometheus is ready")
        yield server
        assert await program.stop() == 0, program.output


@asynccontextmanager
async def followed_backend() -> AsyncIterator[tuple[ReferenceBackend, Sidecar]]:
    """A backend with lively data and a sidecar that has received some of it."""
    async with (
        reference_backend("--seed=7", "--rate=20") as backend,
        sidecar(f"--stream.url={backend.stream('overview')}") as exporter,
    ):
        await exporter.counts("iris_events_total", 10)
        await exporter.reaches("live")
        yield backend, exporter


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.time_limit(60)
@pytest.mark.needs("prometheus")
async def test_prometheus_has_the_values_that_the_backend_sent(tmp_path: Path) -> None:
    """The target is up, and PromQL returns the backend's own figures."""
    async with (
        followed_backend() as (backend, exporter),
        prometheus(tmp_path, exporter.url.removeprefix("http://")) as server,
        backend.overheard() as sent,
    ):
        await server.becomes('up{job="iris"}', 1)
        await server.becomes("iris_up", 1)
        # From here on the backend sends heartbeats alone, so that its last figures can be compared with ours.
        await backend.faults(data_silent=True)
        await server.becomes("iris_projects", sent.metrics["total_projects"])
        await server.becomes("iris_runs_today", sent.metrics["total_runs_today"])
        await server.becomes("iris_success_ratio", sent.metrics["avg_success_rate"])
        await server.becomes("iris_active_experts", sent.metrics["active_experts"])
        await server.becomes("iris_reflexions", sent.metrics["total_reflexions"])
        assert len(sent.projects) > 1
        for identifier, project in sent.projects.items():
            labels = f'{{project="{identifier}"}}'
            # This backend gives health in percent and success as a share; both are ratios here.
            await server.becomes(f"iris_project_health_ratio{labels}", project["health_score"] / 100)
            await server.becomes(f"iris_project_success_ratio{labels}", project["success_rate"])
            await server.becomes(f"iris_project_runs{labels}", project["total_runs"])
            await server.becomes(f"iris_project_latency_seconds{labels}", project["avg_latency"] / 1000)
            await server.becomes(f"sum(iris_project_status{labels})", 1)
            await server.becomes(f'iris_project_status{{project="{identifier}",status="{project["status"]}"}}', 1)
        await server.becomes("sum(iris_events_total)", (await exporter.scrape()).total("iris_events_total"))
        await server.becomes("count(iris_stream_state)", 5)
        await server.becomes("sum(iris_stream_state)", 1)
        await server.becomes('count(up{job="iris"} == 0) or vector(0)', 0)


@pytest.mark.integration
@pytest.mark.needs("promtool")
async def test_promtool_and_both_parsers_find_nothing_wrong() -> None:
    """The real page, with data of a lively backend, in each format."""
    async with followed_backend() as (_backend, exporter):
        text = await exporter.get("/metrics")
        assert len(list(parse_text(text))) > 40
        command = [tool("promtool"), "check", "metrics"]
        check = await asyncio.to_thread(
            subprocess.run, command, input=text, capture_output=True, text=True, check=False
        )
        assert (check.returncode, check.stdout, check.stderr) == (0, "", "")

        openmetrics = await exporter.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
        assert openmetrics.endswith("# EOF\n")
        names = {family.name for family in parse_openmetrics(openmetrics)}  # type: ignore[no-untyped-call]
        assert {"iris_up", "iris_events", "iris_stream", "iris_stream_connect_duration_seconds"} <= names
