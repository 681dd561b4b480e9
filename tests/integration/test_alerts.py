"""Outages in front of a real Prometheus and a real Alertmanager: who is told, and how often."""

import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import yaml

from alerts import source
from iris_exporter.core.reasons import AUTH_REASONS
from tests.contract.scrapes import shipped_scrapes
from tests.integration.monitoring import ROOT, Monitoring, Notification, monitoring
from tests.integration.programs import Program, running, wait_until
from tests.integration.reference import ReferenceBackend, reference_backend

# The defaults, sixty times as fast, like the rules.
FASTER = {
    "connect-timeout": "1s",
    "reconnect-initial": "50ms",
    "reconnect-max": "1s",
    "reconnect-attempts": 10,
    "stable-after": "500ms",
    "live-retry-interval": "5s",
    "heartbeat-interval": "500ms",
    "heartbeat-timeout": "1s",
    "poll-interval": "500ms",
    "stale-after": "5s",
    "max-connections-per-hour": 100_000,
}
STREAMS = ("events", "overview", "telemetry")

# Few events, so that the backend's usual incidents are seldom and small.
DATA = ("--seed=3", "--rate=5")
OF_THE_SOURCE = {alert.name for alert in source.GROUP.alerts}
"""What the backend's projects are up to is another story."""

_REFUSED = f'{{reason=~"{"|".join(AUTH_REASONS)}"}}'
NO_DATA = {
    'iris_stream_connect_failures_total{reason=~"rate_limited|connection_budget"}': "nobody was told to wait",
    'iris_stream_disconnects_total{reason="rate_limited"}': "nobody was told to wait",
    'iris_stream_poll_failures_total{reason="rate_limited"}': "nobody was told to wait",
    f"iris_stream_disconnects_total{_REFUSED}": "the key was refused at the attempt",
    f"iris_stream_poll_failures_total{_REFUSED}": "the key was refused at the attempt, unless a poll was under way",
    "iris_exporter_web_config_last_reload_successful": "there is no --web.config.file",
}
"""Selectors of rules that may have no series here, and why."""


def listening(line: str) -> str | None:
    """The address in a log line, if it is the one."""
    fields = json.loads(line) if line.startswith("{") else {}
    return str(fields["address"]) if fields.get("event") == "web.listening" else None


def selectors() -> set[str]:
    """Every selector of every rule, without ranges and offsets."""
    rules = yaml.safe_load((ROOT / "alerts/iris.rules.yaml").read_text())
    text = "\n".join(rule["expr"] for group in rules["groups"] for rule in group["rules"])
    return set(re.findall(r"\b(?:up|iris_[a-z_]+|[a-z_]+:iris_[a-z_]+:\w+)\b(?:\{[^}]*\})?", text))


@asynccontextmanager
async def following(directory: Path, backend: ReferenceBackend) -> AsyncIterator[tuple[Program, str]]:
    """A sidecar that is live on three streams of the backend, and its address."""
    configuration = directory / "streams.yaml"
    streams = [{"name": name, "url": backend.stream(name).replace("http", "ws", 1)} for name in STREAMS]
    configuration.write_text(json.dumps({"defaults": FASTER, "streams": streams}))
    command = (
        *(sys.executable, "-m", "iris_exporter", f"--config.file={configuration}"),
        *("--web.listen-address=127.0.0.1:0", "--log.format=json"),
    )
    async with running(*command) as program:
        address = await program.printed(listening)

        async def live() -> bool:
            lines = [json.loads(line) for line in program.stderr]
            return sum(line.get("state") == "live" for line in lines) == len(STREAMS)

        await wait_until(live, "all streams are live")
        yield program, address.removeprefix("http://")


async def has_all(alerts: Monitoring) -> bool:
    """Whether there are series for every selector but those of `NO_DATA`; an error among events takes its time."""
    return all([await alerts.query(f"last_over_time({each}[5m])") for each in selectors() - NO_DATA.keys()])


DOWN = Notification("page-platform", "IrisStreamDown", STREAMS)
REFUSED = Notification("page-platform", "IrisStreamUnauthorized", STREAMS)
GONE = Notification("page-platform", "IrisExporterDown", ("",))


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.time_limit(120)
@pytest.mark.needs("prometheus", "prometheus-alertmanager")
async def test_one_outage_pages_once(tmp_path: Path) -> None:
    """A source that dies, a key that is refused, an exporter that dies: each is one page to one receiver."""
    async with (
        reference_backend(*DATA) as backend,
        following(tmp_path, backend) as (exporter, address),
        monitoring(tmp_path, [address]) as alerts,
    ):
        await alerts.becomes('iris_stream_state{state="live"} == 1', len(STREAMS))
        await alerts.becomes("stream:iris_stream_messages_live:rate1h > 0", len(STREAMS))

        # The source dies: all its streams are one page, and the error state that follows is no news.
        await backend.program.kill()
        await alerts.told_of("IrisStreamDown")
        texts = await alerts.descriptions("IrisStreamDown")
        assert len(texts) == len(STREAMS)
        assert all(text.endswith(" Last failure: connection_refused.") for text in texts), texts
        await alerts.firing("IrisStreamError", len(STREAMS))
        await alerts.inhibited("IrisStreamError", len(STREAMS))
        async with reference_backend(*DATA, port=backend.port) as successor:
            await alerts.told_the_end_of("IrisStreamDown")
            await alerts.becomes('iris_stream_state{state="live"} == 1', len(STREAMS))
            assert alerts.pages(OF_THE_SOURCE) == [DOWN]

            # The key is refused: whoever has keys is told; that no data arrives follows from it.
            await successor.faults(**{"all:401": True, "drop": 0})
            await alerts.told_of("IrisStreamUnauthorized")
            await alerts.firing("IrisStreamDown", len(STREAMS))
            await alerts.inhibited("IrisStreamDown", len(STREAMS))
            await successor.faults()
            await alerts.told_the_end_of("IrisStreamUnauthorized")
            assert alerts.pages(OF_THE_SOURCE) == [DOWN, REFUSED]

            # Every rule could be evaluated, and what the rules ask for exists.
            assert [rule for rule in await alerts.rules() if rule["health"] != "ok"] == []
            await wait_until(partial(has_all, alerts), "series of everything that rules ask for", 30)

            # The exporter dies: nothing is known of its streams, which is one page and not three.
            await exporter.kill()
            await alerts.told_of("IrisExporterDown")
            assert alerts.pages(OF_THE_SOURCE) == [DOWN, REFUSED, GONE]


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.time_limit(90)
@pytest.mark.needs("prometheus", "prometheus-alertmanager")
@pytest.mark.parametrize("job", ["as shipped", "renamed"])
async def test_an_exporter_is_known_whatever_its_job_is_called(tmp_path: Path, job: str) -> None:
    """The scrape configuration of the quick start: quiet while the exporter answers, one page when it does not."""
    (scrape,) = shipped_scrapes()["docs/quickstart.md"]
    if job == "renamed":
        scrape["job_name"] = "kubernetes-pods"
    async with (
        reference_backend(*DATA) as backend,
        following(tmp_path, backend) as (exporter, address),
        monitoring(tmp_path, [address], [scrape]) as alerts,
    ):
        await alerts.becomes(f'instance:iris_exporter_build_info:known1h{{job="{scrape["job_name"]}"}}', 1)
        # Longer than `for`, which is five seconds here: the alert would fire.
        await alerts.becomes("count_over_time(iris_exporter_build_info[10s]) > 14", 1)
        assert await alerts.query('ALERTS{alertname="IrisExporterDown"}') == []

        await exporter.kill()
        await alerts.told_of("IrisExporterDown")
        (fires,) = await alerts.query('ALERTS{alertname="IrisExporterDown",alertstate="firing"}')
        assert (fires["metric"]["job"], fires["metric"]["instance"]) == (scrape["job_name"], address)
