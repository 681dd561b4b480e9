"""Each benchmark runs and measures what it says; how fast anything is, is not tested."""

import json
import resource
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from benchmarks import clients, delay, ingest, mapping, memory, peers, startup, storm, volume
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.delay import delays_of
from benchmarks.processes import BenchmarkError, source
from benchmarks.report import Row, table
from benchmarks.scale import Scale
from benchmarks.wire import BLOCK_BYTES, EVENT_BYTES, Events, blocks, sse_chunk, sse_event, websocket_frame
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.transports.sse_parser import SseParser
from tests.decoding.envelopes import decode_one

TINY = Scale(
    ingest_events=600,
    rounds=1,
    delay_events=200,
    delay_rate=10_000,
    streams=2,
    memory_events=400,
    starts=1,
    reconnects=20,
    storm_streams=20,
    storm_seconds=1,
    volume_minutes=2,
    volume_events=5,
    clients=30,
    clients_seconds=1.0,
    mapped_streams=3,
    mapped_events_each=2,
)
STARTED = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("number", [0, 7, 999, 123_456, 99_999_999])
def test_event_has_its_size_and_is_understood(number: int) -> None:
    """Every envelope is 300 bytes long and decodes without a complaint."""
    envelope = Events(STARTED).envelope(number)
    decoder = IrisJson()
    message = decode_one(decoder, envelope)
    assert len(envelope) == EVENT_BYTES
    assert message.message_type == "event"
    assert not decoder.problems


def test_events_are_distinct() -> None:
    """No id and no cursor comes twice."""
    events = Events(STARTED)
    envelopes = [json.loads(events.envelope(number)) for number in range(2000)]
    assert len({envelope["id"] for envelope in envelopes}) == 2000
    assert len({envelope["data"]["id"] for envelope in envelopes}) == 2000


def test_framings_carry_the_envelope() -> None:
    """A frame, an event and a chunk hold the same bytes."""
    envelope = Events(STARTED).envelope(5)
    frame, event, chunk = websocket_frame(envelope), sse_event(envelope), sse_chunk(envelope)
    assert frame == b"\x81\x7e\x01\x2c" + envelope
    assert [(found.id, found.data) for found in SseParser(1000).feed(event)] == [("bench-5", envelope)]
    size, _, rest = chunk.partition(b"\r\n")
    assert rest == event + b"\r\n"
    assert int(size, 16) == len(event)


def test_blocks_are_large_and_whole() -> None:
    """Blocks joined are the frames joined, and all but the last are full."""
    events = Events(STARTED)
    found = list(blocks(events, "websocket", 10, 2000))
    assert b"".join(found) == b"".join(websocket_frame(events.envelope(number)) for number in range(10, 2010))
    assert [len(block) >= BLOCK_BYTES for block in found] == [True, True, False]


def test_delay_is_counted_to_the_first_answer_that_shows_the_message() -> None:
    """Each message has its own delay, also when several were written or shown at once."""
    sent = [(2, 1.0), (3, 2.0)]
    answers = [(0, 0.5), (1, 1.25), (3, 2.5), (3, 3.0)]
    assert delays_of(sent, answers) == [0.25, 1.5, 0.5]


def test_table_has_a_heading_and_leaves_out_what_is_not_known() -> None:
    """Figures are readable and aligned."""
    lines = table([Row("much", 123456.7, "1/s", 200000.0, 0.617), Row("little", 0.0123, "s")]).splitlines()
    assert lines[0].split() == ["figure", "value", "unit", "floor", "ratio"]
    assert lines[1].split() == ["much", "123,457", "1/s", "200,000", "0.617"]
    assert lines[2].split() == ["little", "0.0123", "s"]


def test_a_storm_is_what_comes_without_jitter() -> None:
    """All dials of one moment stay together, or are spread over the seconds around it; both are repeatable."""
    in_step, spread = storm.virtual_hour(100, 0.0), storm.virtual_hour(100, 0.2)
    assert in_step[0] == spread[0] == 100
    assert set(in_step.values()) == {100}
    assert storm.peak(spread, 60) < 30
    assert spread == storm.virtual_hour(100, 0.2)
    assert spread != in_step


def test_a_histogram_shows_the_busiest_second_of_each_group() -> None:
    """A bar is as long as its share of the longest."""
    assert list(storm.bars({0: 60, 1: 30})) == ["     0 s 60 " + "#" * 40, "     1 s 30 " + "#" * 20]
    assert [line.split()[2] for line in storm.bars({0: 1, 1: 5, 119: 2})] == ["5", *["0"] * 8, "2"]
    assert storm.peak({0: 9, 1: 5, 7: 6}) == 6


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.parametrize(
    ("run", "names"),
    [
        (ingest.run, [*ingest.NAMES.values(), "10 projects", "1,000 projects", "100,000 projects"]),
        (delay.run, ["median", "p99", "scrape", "waited"]),
        (mapping.run, [*mapping.NAMES.values(), *["mapped events"] * 4, "alone", "beside a flood"]),
        (
            memory.run,
            ["idle", "2 further", "40 ev", "100 ev", "200 ev", "400 ev", "2 re", "5 re", "10 re", "20 re"],
        ),
        (startup.run, ["ready"]),
        (storm.run, ["after the first", "first minute", "half hour", "real dials in the busiest", "default budget"]),
        (
            clients.run,
            [
                *("processor time", "memory", "each client", "busiest second", "last one is back"),
                *("streams, in the busiest second", "streams, time until the last one is back"),
            ],
        ),
        (
            volume.run,
            [
                *("first state, WebSocket", "protobuf", "WebSocket", "SSE", "protobuf", "all together"),
                *("by the design", "by the design", "by the design", "polling at 30 s", "polling at 30 s, gzip"),
                *(way.name for way in volume.WAYS),
                *("longest: polling", "longest: WebSocket, SSE"),
                *("WebSocket, median", "WebSocket, longest", "SSE, median", "SSE, longest"),
                *("protobuf, median", "protobuf, longest", "gzip, median", "gzip, longest"),
                *("GraphQL, median", "GraphQL, longest"),
            ],
        ),
    ],
)
async def test_benchmark_returns_its_figures(run: Callable[[Scale], Awaitable[list[Row]]], names: list[str]) -> None:
    """At the smallest scale each benchmark ends by itself with every figure that it promises."""
    rows = await run(TINY)
    assert len(rows) == len(names)
    for row, name in zip(rows, names, strict=True):
        assert name in row.name
        # Two idle streams may fit into pages that are there already, in one second nobody dials a second time, and a
        # quiet machine has a processor for everybody.
        may_be_none = ("further", "real dials in the busiest", "waited")
        assert row.value > 0 or any(part in row.name for part in may_be_none)
        assert row.floor is None or (row.floor > 0 and row.ratio == pytest.approx(row.value / row.floor))


@pytest.mark.slow
@pytest.mark.integration
async def test_peers_are_measured_beside_the_exporter_and_missing_ones_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = [peer for peer in peers.PEERS if peer.program is None]
    missing = replace(peers.PEERS[1], program="no-such-program")
    monkeypatch.setattr(peers, "PEERS", (*there, missing))
    monkeypatch.setattr(peers, "RATES", (500,))
    monkeypatch.setattr(peers, "_PACED_SECONDS", 1)
    rows = await peers.run(replace(TINY, ingest_events=30_000))
    assert [row.name.split(",")[0] for row in rows] == [peer.name for peer in there] * 3 + sorted(
        [peer.name for peer in there] * 3, key=[peer.name for peer in there].index
    )
    assert all(row.value > 0 for row in rows)
    assert f"left out: {missing.name}" in capsys.readouterr().out


@pytest.mark.integration
async def test_ingest_fails_when_events_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender that stops early is an error and not a figure."""
    monkeypatch.setattr(ingest, "DEADLINE_SECONDS", 0.2)
    async with source() as sender:
        with pytest.raises(BenchmarkError, match="20 messages"):
            await ingest.product(
                sender, "websocket", 20, lambda: sender.order(do="flood", framing="websocket", count=19)
            )


def test_too_few_open_files_are_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is raised as far as the system allows; beyond that a line says what is needed."""
    limits = {"now": (100, 5000)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.update(now=wanted))
    clients.make_room(1200)
    assert limits["now"] == (1200, 5000)
    clients.make_room(100)
    assert limits["now"] == (1200, 5000)
    with pytest.raises(BenchmarkError, match=r"6000 open files are needed and 5000 allowed: .*ulimit -Hn"):
        clients.make_room(6000)
    limits["now"] = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    clients.make_room(10**9)
    assert limits["now"] == (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def test_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is none says which there are."""
    with pytest.raises(SystemExit):
        main(["ingets"])
    assert f"there are {', '.join(BENCHMARKS)}" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.time_limit(120)
async def test_all_extensions_together_move_a_tenth_of_the_bytes_and_protobuf_half() -> None:
    """Over the scenario's hour, with the first state."""
    ways = {way.name: way for way in volume.WAYS}
    plain = sum(await volume.hour(ways["SSE"], 60))
    for name in ("SSE, all together", "WebSocket, all together"):
        assert sum(await volume.hour(ways[name], 60)) < plain / 10
    first, later = await volume.hour(ways["WebSocket"], 60)
    first_binary, later_binary = await volume.hour(ways["WebSocket, protobuf"], 60)
    assert first_binary < 0.55 * first
    assert later_binary < 0.55 * later
    assert 45_000 < first < 55_000, "the size that the design has"
    assert 200 < later / 720 < 350
