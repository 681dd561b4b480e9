"""A WebSocket server written on another library than the sidecar's own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from tests.integration.harness import sidecar
from tests.waiting import BUSY

MOMENT = "2025-11-23T04:00:00Z"


def message(kind: str, data: dict[str, Any]) -> str:
    """An envelope of the IRIS wire."""
    return json.dumps({"type": kind, "timestamp": MOMENT, "data": data})


def event(identifier: str, event_type: str, severity: str) -> dict[str, Any]:
    """An event of the project `alpha`."""
    return {
        "id": identifier,
        "timestamp": MOMENT,
        "project": "alpha",
        "event_type": event_type,
        "severity": severity,
        "message": f"{event_type} of alpha",
        "metadata": {},
    }


PROJECT = {
    "id": "alpha",
    "name": "Project Alpha",
    "status": "warning",
    "health_score": 0.75,
    "last_run": MOMENT,
    "total_runs": 321,
    "success_rate": 0.9,
    "active_experts": 7,
    "reflexions_count": 11,
    "avg_latency": 250,
}
ANOMALY = {
    "id": "anomaly-1",
    "timestamp": MOMENT,
    "project": "alpha",
    "type": "latency",
    "severity": "critical",
    "metric": "avg_latency",
    "value": 250,
    "expected": 100,
    "deviation": 1.5,
    "description": "slow",
    "resolved": False,
}
MESSAGES = [
    message(
        "update",
        {
            "metrics": {"total_projects": 1, "total_runs_today": 10, "avg_success_rate": 0.5},
            "projects": [PROJECT],
            "events": [event("e1", "evaluation", "info")],
            "anomalies": [ANOMALY],
        },
    ),
    message("event", event("e2", "retrain", "error")),
    message("event", event("e3", "rotation", "warning")),
    message(
        "telemetry",
        {
            "metrics": {"total_runs_today": 12, "active_experts": 7},
            "recentEvents": [event("e3", "rotation", "warning"), event("e4", "evaluation", "info")],
        },
    ),
]


class Talker:
    """Says the same to each connection, and notes the answer to its ping and how the connection was closed."""

    def __init__(self) -> None:
        self.answered = asyncio.Event()
        self.closes: list[int | None] = []

    async def __call__(self, connection: ServerConnection) -> None:
        """Send everything, then listen until the other side closes."""
        for text in MESSAGES:
            await connection.send(text)
        await connection.send(json.dumps({"type": "ping"}))
        async for answer in connection:
            if json.loads(answer) == {"type": "pong"}:
                self.answered.set()
        self.closes.append(connection.close_code)


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[Talker, int]]:
    """A server on a free port."""
    talker = Talker()
    async with serve(talker, "127.0.0.1", 0) as server:
        (socket,) = server.sockets
        yield talker, socket.getsockname()[1]


@pytest.mark.integration
@pytest.mark.parametrize("scheme", ["ws", "http"], ids=["by-scheme", "negotiated"])
async def test_three_message_types_over_websocket_are_counted_and_shown(scheme: str) -> None:
    """Update, event and telemetry are all in the metrics, and an event on two of them counts once."""
    async with talking() as (talker, port):
        async with sidecar(f"--stream.url={scheme}://127.0.0.1:{port}/api/stream/overview") as exporter:
            await exporter.counts("iris_stream_messages_total", 5)
            scrape = await exporter.scrape()  # the first that shows them may have been under way when they came
            counted = {
                dict(labels)["message_type"]: value
                for labels, value in scrape.series("iris_stream_messages_total").items()
                if value
            }
            assert counted == {"update": 1, "event": 2, "telemetry": 1, "ping": 1}
            assert scrape.state() == "live"
            assert scrape.total("iris_stream_info", protocol="websocket") == 1
            assert scrape.total("iris_stream_decode_errors_total") == 0
            assert scrape.total("iris_stream_received_bytes_total", protocol="websocket") > sum(map(len, MESSAGES))

            # Metrics replace one another field by field: 12 is telemetry's, 0.5 is still the update's.
            assert scrape.value("iris_runs_today") == 12
            assert scrape.value("iris_success_ratio") == 0.5
            assert scrape.value("iris_active_experts") == 7
            assert scrape.value("iris_projects") == 1

            alpha = {"stream": "default", "project": "alpha"}
            assert scrape.value("iris_project_status", status="warning", **alpha) == 1
            assert scrape.total("iris_project_status", **alpha) == 1
            assert scrape.value("iris_project_health_ratio", **alpha) == 0.75
            assert scrape.value("iris_project_latency_seconds", **alpha) == 0.25
            assert scrape.value("iris_project_runs", **alpha) == 321
            assert scrape.value("iris_project_info", name="Project Alpha", **alpha) == 1
            assert scrape.value("iris_anomalies", severity="critical", **alpha) == 1

            assert scrape.value("iris_events_total", event_type="evaluation", severity="info", **alpha) == 2
            assert scrape.value("iris_events_total", event_type="retrain", severity="error", **alpha) == 1
            assert scrape.value("iris_events_total", event_type="rotation", severity="warning", **alpha) == 1
            assert scrape.total("iris_events_total") == 4
            assert scrape.total("iris_stream_events_duplicate_total") == 1
            assert [event["id"] for event in await exporter.events()] == ["e4", "e3", "e2", "e1"]
            await asyncio.wait_for(talker.answered.wait(), 5 * BUSY)
        # SIGTERM closes a WebSocket with a close frame, not by dropping it.
        assert talker.closes[-1] in (1000, 1001)
