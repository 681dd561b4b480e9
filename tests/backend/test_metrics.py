"""The backend's own /metrics."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from iris_exporter.backend.metrics import BackendCollector
from iris_exporter.backend.stats import Stats
from iris_exporter.core.subscriptions import PROTOBUF_SUBPROTOCOL
from tests.backend.clients import Bench, bench
from tests.backend.test_subscriptions import open_socket, subscribe

DOCS = Path(__file__).parents[2] / "docs" / "backend.md"


async def scraped(it: Bench) -> dict[str, float]:
    response, body = await it.get("/metrics")
    assert response.status == 200
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


async def test_connections_are_counted_by_protocol_and_encoding() -> None:
    async with (
        bench() as it,
        open_socket(it),
        open_socket(it, (PROTOBUF_SUBPROTOCOL,)),
        subscribe(it, "sse") as client,
        it.connect("websocket"),
        it.connect("sse", "overview"),
    ):
        await client.take(2)
        await it.until_open(5)
        found = await scraped(it)
        assert found["iris_backend_connections['json', 'websocket']"] == 2
        assert found["iris_backend_connections['protobuf', 'websocket']"] == 1
        assert found["iris_backend_connections['json', 'sse']"] == 2
        assert (
            found["iris_backend_message_bytes_total['json', 'sse']"]
            > found["iris_backend_wire_bytes_total['json', 'sse']"]
        )


async def test_the_age_of_the_oldest_entry_of_each_queue_is_shown() -> None:
    options = {"channels": ["events"], "batch": {"maxMessages": 100, "maxDelayMs": 9000}, "priority": True}
    async with bench() as it, subscribe(it, "json", **options) as client:
        await client.take(2)
        it.happen()
        await it.clock.advance(2.0)
        found = await scraped(it)
        assert found["iris_backend_queue_oldest_seconds['events']"] == 2.0
        assert [found[f"iris_backend_queue_oldest_seconds['{name}']"] for name in ("answers", "urgent", "state")] == [
            0
        ] * 3
        it.happen(severity="critical")
        assert (await client.next())["priority"] == "high"
        assert (await scraped(it))["iris_backend_advance_copies_total[]"] == 1


async def test_refusals_are_counted_by_reason_and_dropped_events_too(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("the-key-of-the-test")
    async with bench(queue_messages=3, api_key_file=key) as it:
        await it.get("/api/overview")
        it.http.headers["Authorization"] = "Bearer the-key-of-the-test"
        await it.get("/api/nowhere")
        await it.get("/api/stream?delta=maybe")
        await it.get("/api/iris/ws")
        async with subscribe(it, "json", channels=["nope"]) as client:
            await client.next()
            await client.socket.send_bytes(b"binary")
            await client.next()
            await client.subscribe(channels=["events"])
            await client.take(2)
            it.happen(10)
            await client.until("dropped")
        found = await scraped(it)
        assert found["iris_backend_refusals_total['AUTH_REQUIRED']"] == 1
        assert found["iris_backend_refusals_total['INVALID_ENDPOINT']"] == 1
        assert found["iris_backend_refusals_total['INVALID_REQUEST']"] == 3
        assert found["iris_backend_refusals_total['UPGRADE_REQUIRED']"] == 1
        assert found["iris_backend_dropped_events_total[]"] == 7


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text"),
    ],
)
async def test_a_scraper_gets_the_format_it_asks_for(accept: str, content_type: str) -> None:
    async with bench(faults=("all:503",)) as it:
        response, body = await it.get("/metrics", headers={"Accept": accept})
        assert response.status == 200
        assert response.headers["Content-Type"].startswith(content_type)
        assert body.endswith(b"# EOF\n") == ("openmetrics" in content_type)


def test_every_metric_is_described() -> None:
    text = DOCS.read_text()
    for family in BackendCollector(Stats(), lambda: (), lambda: 0.0).collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        assert f"| `{name}` |" in text, name
