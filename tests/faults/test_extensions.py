"""Every extension of a subscription, alone and in pairs, over every transport: the same events and the same state."""

import itertools
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import aiohttp
import msgspec
import pytest

from iris_exporter.backend.installation import Installation
from iris_exporter.backend.server import Backend
from iris_exporter.core.status import State
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.instruments import catalog
from iris_exporter.model.snapshot import Snapshot
from iris_exporter.model.state import StreamState
from tests.faults.rig import Rig, numbered_events, rig
from tests.waiting import until

OFF: Mapping[str, object] = {
    "fields": "off", "delta": "off", "batch_seconds": 0.0, "debounce_seconds": 0.0, "compression": "off",
    "encoding": "json",
}  # fmt: skip
EXTENSIONS: Mapping[str, Mapping[str, object]] = {
    "batch": {"batch_seconds": 0.03},
    "compression": {"compression": "auto"},
    "debounce": {"debounce_seconds": 0.06},
    "delta": {"delta": "auto"},
    "encoding": {"encoding": "auto"},
    "fields": {"fields": "auto"},
}
FORMS = ("websocket", "sse", "graphql")
BESIDE_GRAPHQL = ("batch", "delta", "fields")
"""What a GraphQL subscription has no option for: its selection says what comes."""
EVENTS_PER_SECOND = 100.0
"""Of a source that is told to go on: it is at rest while a stream that it does not know connects, since that is
given the last fifty events, and no older ones."""

ALL = tuple(EXTENSIONS)


def changes(names: tuple[str, ...]) -> dict[str, object]:
    found = dict(OFF)
    for name in names:
        found |= EXTENSIONS[name]
    return found


def figures(snapshot: Snapshot) -> object:
    """What is believed of the state, in no order."""
    return (
        snapshot.metrics,
        {project.id: project for project in snapshot.projects},
        {anomaly.id: anomaly for anomaly in snapshot.anomalies},
    )


class Truth:
    """What the source says of itself: its events over all its lives, and its state as plain JSON brings it."""

    def __init__(self, it: Rig) -> None:
        self._it = it
        self._before = 0
        service = it.backend.service
        installation = service.feed.installation
        assert isinstance(installation, Installation)
        self._installation = installation

    @property
    def events(self) -> int:
        return self._before + self._it.backend.service.feed.history.last

    def rest(self) -> None:
        """Let nothing more happen."""
        self._installation._rate = 0.0

    def go_on(self) -> None:
        """Let events happen, from now on."""
        self._installation._rate = EVENTS_PER_SECOND
        self._installation._now = self._installation._next_event = now = time.time()
        self._installation._next_step = now + 1.0

    def restart(self) -> None:
        """End the process of the source, and start another with another history."""
        self._before = self.events
        self._it.backend.service.restart()


async def settled(it: Rig, truth: Truth) -> None:
    await it.reaches("live")
    with suppress(TimeoutError):
        await until(lambda: it.counted() >= truth.events)
    assert it.counted() == truth.events, "each event is counted once"


async def check(transport: str, names: tuple[str, ...]) -> None:
    """Run one stream through a cut and a restart of its source, and compare with plain JSON at the end."""
    async with rig(transport, path="/api/stream", **changes(names)) as it:
        truth = Truth(it)
        truth.go_on()
        await until(lambda: it.counted() >= 50)
        it.proxy.cut()
        await until(lambda: it.stream.status().state is not State.LIVE)
        await it.reaches("live")
        truth.rest()
        await settled(it, truth)
        truth.restart()
        it.publish(10)
        await settled(it, truth)
        truth.go_on()
        seen = it.counted()
        await until(lambda: it.counted() >= seen + 30)
        truth.rest()
        await settled(it, truth)
        scrape = await it.scrape()
        status = it.stream.status()
        assert status.encoding == ("protobuf" if "encoding" in names and transport == "websocket" else "json")
        compression = "none" if "compression" not in names else "gzip" if transport == "sse" else "deflate"
        assert status.compression == compression
        elsewhere = {"encoding", "compression"} | (set(BESIDE_GRAPHQL) if transport == "graphql" else set())
        assert status.extensions == {*set(names) - elsewhere, "priority"}
        assert scrape.total("iris_stream_info", encoding=status.encoding, compression=compression) == 1
        assert scrape.total("iris_stream_event_gaps_total") == 0
        assert scrape.total("iris_stream_decode_errors_total") == 0
        assert scrape.total("iris_stream_delta_resyncs_total") == 0
        assert (scrape.total("iris_stream_batch_messages_count") > 0) == ("batch" in set(names) - elsewhere)
        names_of_bytes = ("iris_stream_received_bytes_total", "iris_stream_decoded_bytes_total")
        sizes = [scrape.total(name, protocol=transport) for name in names_of_bytes]
        assert (sizes[0] < sizes[1]) == (compression != "none")
        await same_state(it)


async def same_state(it: Rig) -> None:
    """What the stream has led to is what a document brings to a stream that has had nothing else."""
    async with aiohttp.ClientSession() as http, http.get(f"{it.backend.url}/api/overview") as answer:
        overview = IrisJson().decode_document(await answer.read())
    fresh = StreamState("fresh", 300.0)
    fresh.apply_snapshot(overview, 1.0)
    wanted = figures(fresh.view(1.0))
    with suppress(TimeoutError):
        await until(lambda: figures(it.stream.snapshot()) == wanted)
    assert figures(it.stream.snapshot()) == wanted


@pytest.mark.time_limit(60)
@pytest.mark.parametrize("transport", FORMS)
@pytest.mark.parametrize("names", [(), ALL], ids=["none", "all"])
async def test_none_and_all_of_the_extensions(transport: str, names: tuple[str, ...]) -> None:
    await check(transport, names)


@pytest.mark.slow
@pytest.mark.time_limit(60)
@pytest.mark.parametrize("transport", FORMS)
@pytest.mark.parametrize("names", [*((name,) for name in ALL), *itertools.combinations(ALL, 2)], ids="+".join)
async def test_each_extension_and_each_pair(transport: str, names: tuple[str, ...]) -> None:
    await check(transport, names)


@pytest.mark.parametrize("transport", FORMS)
async def test_what_a_slow_reader_has_lost_comes_over_rest(transport: str) -> None:
    async with rig(transport, path="/api/stream", source={"queue_messages": 50}) as it:
        it.publish(1000)
        await it.has_counted(1020)
        scrape = await it.scrape()
        assert scrape.total("iris_stream_source_dropped_events_total") >= 900
        assert scrape.total("iris_stream_event_gaps_total") == 0


@pytest.mark.parametrize("transport", FORMS)
async def test_an_event_that_overtakes_others_counts_once(transport: str) -> None:
    async with rig(transport, path="/api/stream", batch_seconds=0.2) as it:
        (last,) = numbered_events(999, 1)
        critical = msgspec.structs.replace(last, id="urgent", severity="critical")
        it.publish(10)
        it.backend.service.publish([critical])
        it.publish(10)
        await it.has_counted(41)
        scrape = await it.scrape()
        assert scrape.total("iris_stream_events_overtaking_total") == 1
        assert scrape.total("iris_stream_event_gaps_total") == 0
        assert scrape.total("iris_events_total", severity="critical") == 1
        it.proxy.cut()
        it.publish(5)
        await it.has_counted(46)


@pytest.mark.parametrize("encoding", ["json", "auto"])
@pytest.mark.parametrize("transport", ("websocket", "sse"))
async def test_a_change_that_does_not_follow_is_made_good(transport: str, encoding: str) -> None:
    async with rig(transport, path="/api/stream", encoding=encoding) as it:
        truth = Truth(it)
        truth.go_on()
        await until(lambda: it.counted() >= 50)
        for subscriber in it.backend.service._subscribers():
            subscriber.send_queue._seq += 1
        before = it.counted()
        await until(lambda: it.stream.instruments.counter(catalog.DELTA_RESYNCS).counts()[""] == 1)
        await until(lambda: it.counted() >= before + 30)
        truth.rest()
        await settled(it, truth)
        await same_state(it)
        scrape = await it.scrape()
        assert scrape.total("iris_stream_delta_resyncs_total") == 1
        assert scrape.total("iris_stream_event_gaps_total") == 0
        lost = scrape.total("iris_stream_disconnects_total", reason="out_of_sync")
        assert lost == (1 if transport == "sse" else 0), "a WebSocket stays open"


@pytest.mark.parametrize("transport", FORMS)
async def test_a_source_that_restarts_in_order_is_returned_to_when_it_says(transport: str) -> None:
    """And not after five minutes of polling."""
    source = {"come_back_seconds": (0.2, 0.4)}
    patient = {"live_retry_interval_seconds": 300.0, "poll_interval_seconds": 300.0}
    async with rig(transport, path="/api/stream", source=source, **patient) as it:
        settings = replace(it.backend.service.settings, port=int(it.backend.url.rpartition(":")[2]))
        await it.backend.stop()
        async with Backend(settings) as again:
            await it.reaches("live")
            again.service.publish(numbered_events(500, 10))
            await it.has_counted(30)


@pytest.mark.parametrize("transport", FORMS)
async def test_channels_that_are_not_wanted_bring_nothing_and_miss_nothing(transport: str) -> None:
    source = {"rate": EVENTS_PER_SECOND, "history_events": 20}
    async with rig(transport, path="/api/stream", source=source, channels=("metrics", "projects")) as it:
        truth = Truth(it)
        await until(lambda: it.stream.snapshot().metrics is not None and truth.events > 50)
        it.proxy.cut()
        await until(lambda: it.stream.status().state is not State.LIVE)
        await it.reaches("live")
        before = it.stream.snapshot().metrics
        await until(lambda: it.stream.snapshot().metrics != before and truth.events > 100)
        snapshot, scrape = it.stream.snapshot(), await it.scrape()
        assert snapshot.projects
        assert (it.counted(), snapshot.anomalies, len(snapshot.events)) == (0, (), 0)
        assert scrape.total("iris_stream_event_gaps_total") == 0
        assert scrape.total("iris_stream_resumes_total") == 0
        status = it.stream.status()
        assert status.extensions is not None
        assert "channels" in status.extensions
