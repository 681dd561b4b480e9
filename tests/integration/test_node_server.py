"""The small Node server that came with IRIS's first dashboard, its file unchanged, as the source."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import sidecar
from tests.integration.programs import running
from tests.tools import NODE_MODULES, tool

SERVER = Path(__file__).parents[1] / "data/seed/test-sse-server.js"
PRELOAD = Path(__file__).parent / "preload.cjs"
# A minute's worth is 12 messages at the server's own pace; sped up there is time for five minutes' worth.
SPED_UP = {"PACE_MS": "20", "MESSAGES": "60"}
REAL_TIME = {"PACE_MS": "5000", "MESSAGES": "12"}


def port_of(line: str) -> int | None:
    """The port in the line that says that the server listens."""
    return json.loads(line)["port"] if line.startswith('{"port"') else None


def messages_written(lines: list[str]) -> list[dict[str, Any]]:
    """The JSON documents that the server has put into the stream, in order."""
    pieces = [json.loads(line)["wrote"] for line in lines if line.startswith('{"wrote"')]
    return [json.loads(piece.removeprefix("data: ")) for piece in pieces if piece.startswith("data: ")]


@pytest.mark.integration
@pytest.mark.time_limit(120)
@pytest.mark.needs("node", "express")
@pytest.mark.parametrize(
    "pace", [pytest.param(SPED_UP, id="sped-up"), pytest.param(REAL_TIME, id="real-time", marks=pytest.mark.slow)]
)
async def test_the_test_server_is_followed_without_missing_a_message(pace: dict[str, str]) -> None:
    """Connected by SSE, all four metrics are shown, and every message and event is counted once."""
    count = int(pace["MESSAGES"])
    environment = {**pace, "NODE_PATH": str(NODE_MODULES)}
    async with running(tool("node"), "--require", PRELOAD, SERVER, environment=environment) as server:
        port = await server.printed(port_of)
        url = f"http://127.0.0.1:{port}/api/stream/telemetry"
        async with sidecar(f"--stream.url={url}", "--stream.poll-interval=1m") as exporter:
            scrape = await exporter.counts(
                "iris_stream_messages_total", count, seconds=100, message_type="telemetry", stream="default"
            )
            written = messages_written(server.stdout)
            assert len(written) == count
            identifiers = [event["id"] for message in written for event in message["data"]["recentEvents"]]
            assert len(set(identifiers)) == count, "the server used an id twice: not the sidecar's fault"

            assert scrape.state() == "live"
            assert scrape.value("iris_up", stream="default") == 1
            assert scrape.total("iris_stream_info", protocol="sse") == 1
            assert scrape.total("iris_stream_messages_total") == count
            assert scrape.total("iris_stream_decode_errors_total") == 0
            assert scrape.total("iris_stream_disconnects_total") == 0
            labels = {"project": "test-project", "event_type": "evaluation", "severity": "info"}
            assert scrape.value("iris_events_total", **labels) == scrape.total("iris_events_total") == count

            last = written[-1]["data"]["metrics"]
            assert scrape.value("iris_runs_today") == last["total_runs_today"]
            assert scrape.value("iris_success_ratio") == pytest.approx(last["avg_success_rate"])
            assert scrape.value("iris_active_experts") == last["active_experts"]
            assert scrape.value("iris_projects") == last["total_projects"] == 5
            # Four of the eight metrics were never sent: no series, rather than a zero that nobody reported.
            assert scrape.value("iris_reflexions") is None

            assert [event["id"] for event in await exporter.events()] == list(reversed(identifiers))[:100]
        body = "".join(json.loads(line)["wrote"] for line in server.stdout if line.startswith('{"wrote"'))
        assert scrape.value("iris_stream_received_bytes_total", protocol="sse") == len(body.encode())
