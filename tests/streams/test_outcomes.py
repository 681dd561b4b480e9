"""What a reconnect of a source with a mapping is said to have found, where the source does not say it."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from iris_exporter.core.limits import DEFAULT_LIMITS
from iris_exporter.core.positions import Outcome
from iris_exporter.instruments import catalog
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.streams.ingest import ANSWER_SECONDS, StreamSink
from iris_exporter.streams.log import StreamLog
from iris_exporter.streams.profile import profile_for
from iris_exporter.transports.base import Received
from tests.fakes import FakeClock
from tests.settings import stream_settings
from tests.streams.test_mapped_link import mapping

RESUME = 'resume: {query: {since: "${cursor}"}}'
CURSORS = {
    "opaque": f"order: opaque, {RESUME}",
    "number": f"order: number, {RESUME}",
    "rewound": f"order: number, rewind: {{by: 3}}, {RESUME}",
    "counted": f"order: number, gaps: count, {RESUME}",
    "position": f"order: position, {RESUME}",
}
ENTRY = """
messages:
  - {kind: sign, when: {$.sign: true}, role: heartbeat}
  - {kind: event, id: $.id, metrics: [{name: events_total, type: counter, help: Events.}]}
"""
Sent = str | int


@dataclass
class Life:
    """A stream that has had the events with these cursors on its first connection."""

    directory: Path
    cursor: str
    before: tuple[Sent, ...]
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        mapped = mapping(self.directory, f"cursor: {{path: $.n, {CURSORS[self.cursor]}}}{ENTRY}")
        profile = profile_for(mapped)
        self.instruments = StreamInstruments("s")
        self.instruments.follow(mapped, None)  # type: ignore[arg-type]  # which is not asked for
        self.state = profile.state("s", 300.0, DEFAULT_LIMITS, None)
        log = StreamLog("s", self.clock)
        self.sink = StreamSink(profile.dialect(DEFAULT_LIMITS), self.state, self.instruments, log)
        self.sink.configure(stream_settings(url="http://iris.example.com/events", protocol="ndjson"))
        self.at = self.clock.wall()
        self.connect(*self.before)

    def connect(self, *cursors: Sent) -> None:
        self.sink.on_open(self.at, two_way=False)
        self.receive(*({"id": f"e{each}", "n": each} for each in cursors))

    def receive(self, *messages: dict[str, object]) -> None:
        for message in messages:
            self.at += 0.01
            self.sink.receive(Received([msgspec.json.encode(message)], 10), self.at)

    @property
    def outcomes(self) -> dict[str, int]:
        return {each: count for each, count in self.instruments.counter(catalog.RESUMES).counts().items() if count}


@pytest.mark.parametrize(
    ("cursor", "before", "after", "outcome"),
    [
        ("opaque", ("a", "b"), ("c",), Outcome.UNKNOWN),
        ("opaque", ("a", "b"), ("b", "c"), Outcome.FULL),
        ("number", (1, 2), (3, 4), Outcome.UNKNOWN),
        ("number", (1, 5), (7,), Outcome.UNKNOWN),
        ("number", (1, 5), (4, 7), Outcome.FULL),
        ("rewound", (1, 5), (5, 7), Outcome.FULL),
        ("rewound", (1, 5), (7, 8), Outcome.NONE),
        ("rewound", (1, 5), (), Outcome.UNKNOWN),
        ("counted", (1, 2), (3, 4), Outcome.FULL),
        ("counted", (1, 2), (5, 6), Outcome.PARTIAL),
        ("position", ("e-1", "e-2"), ("e-3", "e-4"), Outcome.FULL),
        ("position", ("e-1", "e-2"), ("e-2", "e-3"), Outcome.FULL),
        ("position", ("e-1", "e-2"), ("e-5", "e-6"), Outcome.NONE),
        ("position", ("e-1", "e-2"), ("f-1",), Outcome.NONE),
        ("position", ("e-1", "e-2"), (), Outcome.UNKNOWN),
    ],
)
def test_an_outcome_is_what_numbers_and_known_events_show(
    cursor: str, before: tuple[Sent, ...], after: tuple[Sent, ...], outcome: Outcome, tmp_path: Path
) -> None:
    life = Life(tmp_path, cursor, before)
    assert life.outcomes == {}
    life.connect(*after)
    life.at += ANSWER_SECONDS
    life.receive({"sign": True})
    assert life.outcomes == {outcome: 1}
    assert not life.state.cursor.awaiting_answer  # or the cursor would stay where it is


def test_a_refused_cursor_and_one_that_another_process_has_are_none(tmp_path: Path) -> None:
    life = Life(tmp_path, "opaque", ("a",))
    life.sink.position_refused(refused=True)
    life.connect("z")
    assert life.outcomes == {"none": 1}
    moved = Life(tmp_path, "opaque", ())
    moved.sink.lose_cursor()
    moved.connect("a")
    moved.at += ANSWER_SECONDS
    moved.receive({"sign": True})
    assert moved.outcomes == {"none": 1}
