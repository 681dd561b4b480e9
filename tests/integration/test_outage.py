"""The backend goes away and comes back, on real sockets with short intervals."""

import pytest

from tests.examples import cases
from tests.integration.harness import Scrape, Sidecar, sidecar
from tests.integration.programs import wait_until
from tests.integration.reference import reference_backend

# Three quick attempts, then polling; from there the live transport is tried again twice a second.
SHORT = (
    "--stream.reconnect-initial=100ms",
    "--stream.reconnect-max=200ms",
    "--stream.reconnect-attempts=3",
    "--stream.stable-after=200ms",
    "--stream.live-retry-interval=500ms",
    "--stream.poll-interval=200ms",
    "--stream.connect-timeout=1s",
)
# So few events that a snapshot, which shows the last fifty, has all of them for as long as a test takes.
RATE = "--rate=3"


async def reaches(exporter: Sidecar, state: str, *, up: int, events: float = 0) -> Scrape:
    """The first scrape in `state` with that `iris_up` and at least so many events counted.

    The harness compares the counters of each scrape on the way with those before.
    """

    async def check() -> Scrape | None:
        scrape = await exporter.scrape()
        fits = (scrape.state(), scrape.value("iris_up")) == (state, up)
        return scrape if fits and scrape.total("iris_events_total") >= events else None

    found = await wait_until(check, f"{state} with iris_up {up} and {events:g} events")
    assert found is not None
    return found


async def states(exporter: Sidecar, at_least: int) -> list[str]:
    """The states in the order of the log, which has one line for each change, however short."""
    return [line["state"] for line in await exporter.logged(at_least, event="stream.state")]


async def counted_ids(exporter: Sidecar) -> set[str]:
    """Ids of all events; each stands for one in the counters."""
    scrape = await exporter.scrape()
    shown = [event["id"] for event in await exporter.events()]
    counted = (await exporter.scrape()).total("iris_events_total")
    assert scrape.total("iris_events_total") <= len(shown) <= counted
    assert len(shown) < 100, "the feed is full, and no longer shows all that was counted"
    assert len(set(shown)) == len(shown)
    return set(shown)


@pytest.mark.integration
async def test_a_stream_that_is_cut_is_polled_until_it_comes_back() -> None:
    """REST goes on: live, connecting, polling, live; the events are all of the backend's, each counted once."""
    async with (
        reference_backend("--seed=3", RATE) as backend,
        sidecar(f"--stream.url={backend.stream('overview').replace('http', 'ws', 1)}", *SHORT) as exporter,
    ):
        scrape = await reaches(exporter, "live", up=1, events=3)
        await backend.faults(refuse=True, drop=0)
        scrape = await reaches(exporter, "polling", up=1, events=scrape.total("iris_events_total") + 3)
        assert scrape.total("iris_stream_disconnects_total") == 1
        assert scrape.total("iris_stream_connect_failures_total") >= 3
        assert scrape.total("iris_stream_polls_total") > 1
        await backend.faults()
        scrape = await reaches(exporter, "live", up=1, events=scrape.total("iris_events_total") + 3)
        assert await states(exporter, 5) == ["connecting", "live", "connecting", "polling", "live"]
        assert scrape.value("iris_stream_reconnect_attempt") == 0

        shown = await counted_ids(exporter)
        assert shown == set((await backend.event_ids())[: len(shown)])


@pytest.mark.slow
@pytest.mark.integration
async def test_a_backend_that_dies_is_down_and_its_successor_is_followed() -> None:
    """Nothing answers: live, connecting, polling, error with `iris_up` 0; then live again, nothing counted twice."""
    async with (
        reference_backend("--seed=3", RATE) as first,
        sidecar(f"--stream.url={first.stream('overview')}", *SHORT) as exporter,
    ):
        await reaches(exporter, "live", up=1, events=3)
        # Silent first, so that what was sent before the crash is known.
        await first.faults(data_silent=True)
        known = await first.event_ids()
        await first.program.kill()
        scrape = await reaches(exporter, "error", up=0)
        assert scrape.total("iris_stream_poll_failures_total", reason="connection_refused") >= 1
        assert scrape.total("iris_stream_info", protocol="none") == 1
        before = await counted_ids(exporter)
        assert before == set(known[: len(before)])

        async with reference_backend("--seed=4", RATE, port=first.port) as second:
            await reaches(exporter, "live", up=1, events=len(before) + 3)
            assert (await states(exporter, 5))[:5] == ["connecting", "live", "connecting", "polling", "error"]
            # Whichever comes first finds the successor: the next poll, or the next dial.
            assert (await states(exporter, 6))[5:] in (["polling", "live"], ["live"])
            after = await counted_ids(exporter)
            assert after > before
            assert after - before == set((await second.event_ids())[: len(after) - len(before)])


@pytest.mark.integration
@pytest.mark.parametrize("scheme", cases(("ws", "http"), quick={"ws"}))
async def test_a_link_without_a_byte_is_given_up(scheme: str) -> None:
    """The connection stays open and silent: it is dead after the heartbeat's timeout, and `iris_up` says so."""
    heartbeat = ("--stream.heartbeat-interval=200ms", "--stream.heartbeat-timeout=1500ms")
    async with reference_backend("--seed=3", RATE) as backend:
        url = backend.stream("overview").replace("http", scheme, 1)
        async with sidecar(f"--stream.url={url}", *SHORT, *heartbeat) as exporter:
            await reaches(exporter, "live", up=1, events=3)
            await backend.faults(silent=True)
            scrape = await reaches(exporter, "connecting", up=0)
            assert scrape.total("iris_stream_disconnects_total", reason="heartbeat_timeout") >= 1
            assert scrape.total("iris_stream_disconnects_total") == scrape.total(
                "iris_stream_disconnects_total", reason="heartbeat_timeout"
            )
            await backend.faults()
            await reaches(exporter, "live", up=1, events=(await exporter.scrape()).total("iris_events_total") + 1)
            assert await exporter.logged(level="warn", event="stream.state", reason="heartbeat_timeout")


@pytest.mark.integration
async def test_a_source_that_only_sends_heartbeats_is_not_up_for_long() -> None:
    """The link is live and says so; the data is stale and says so: the mirrored gauges go, counters stay."""
    async with (
        reference_backend("--seed=3", RATE) as backend,
        sidecar(f"--stream.url={backend.stream('overview')}", *SHORT, "--stream.stale-after=2s") as exporter,
    ):
        scrape = await reaches(exporter, "live", up=1, events=3)
        assert scrape.value("iris_projects") == 6
        await backend.faults(data_silent=True)
        scrape = await reaches(exporter, "live", up=0)
        assert scrape.value("iris_projects") is None
        assert scrape.series("iris_project_info") == {}
        assert scrape.total("iris_events_total") >= 3
        await backend.faults()
        scrape = await reaches(exporter, "live", up=1)
        assert scrape.total("iris_stream_disconnects_total") == 0
