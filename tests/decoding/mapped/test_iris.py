"""IRIS's events as a mapping come to what IRIS's own way makes of them: counts, duplicates, gaps and positions."""

from datetime import UTC, datetime
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.mapping import METRIC, mapping
from benchmarks.wire import Events
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.decoding.messages import EventBatch
from iris_exporter.errors import DecodeError
from iris_exporter.model.state import StreamState
from tests.decoding.mapped.specs import NOW, Run, start
from tests.examples import examples

RECORDING = Path(__file__).parents[2] / "data/streams/stream.ndjson"
STARTED = datetime.fromtimestamp(NOW, UTC)


class Iris:
    """IRIS's own way, as the sink goes it."""

    def __init__(self) -> None:
        self.dialect = IrisJson()
        self.state = StreamState("m", 300.0)
        self.duplicates = 0

    def feed(self, frames: list[bytes]) -> None:
        for found in self.dialect.decode(frames):
            if isinstance(found, DecodeError) or (isinstance(found, EventBatch) and self.state.apply_batch(found, NOW)):
                continue
            for message in found.messages() if isinstance(found, EventBatch) else (found,):
                self.duplicates += self.state.apply(message, NOW).duplicates


def check(iris: Iris, mapped: Run) -> None:
    own, other = iris.state.cursor, mapped.state.cursor
    assert mapped.series().get(METRIC, {}) == dict(iris.state.view(NOW).event_counts)
    assert mapped.duplicates == iris.duplicates
    assert other.state == own.state
    assert (other.has_gap, other.gap_after) == (own.has_gap, own.gap_after)
    assert mapped.state.seen.ids() == iris.state.seen.ids()


def events_of_the_recording() -> list[bytes]:
    """As live ones: a mapping has no word for a marked replay, which it knows by its id."""
    lines = RECORDING.read_bytes().splitlines()
    return [line.replace(b'"replay":true,', b"") for line in lines if b'"type":"event"' in line]


def test_the_events_of_a_recording() -> None:
    iris, mapped = Iris(), start(mapping())
    frames = events_of_the_recording()
    assert len(frames) > 1
    for read in (frames, frames[:1], frames[::-1]):
        iris.feed(read)
        mapped.feed(*read)
        check(iris, mapped)
    assert mapped.duplicates == len(frames) + 1


@examples(1)
@given(st.integers(0, 2**32))
def test_numbered_events_in_any_order(seed: int) -> None:
    """Some come twice, some late, some never; gaps are given up and connections are made anew."""
    random = Random(seed)
    events = Events(STARTED)
    iris, mapped = Iris(), start(mapping())
    number = 1
    for _ in range(random.randint(1, 8)):
        numbers = list(range(number, number + random.randint(1, 40)))
        number = numbers[-1] + 1
        kind = random.choice(["in order", "in order", "mixed", "lost", "twice"])
        if kind == "mixed":
            random.shuffle(numbers)
        elif kind == "lost":
            numbers = [each for each in numbers if random.random() < 0.8]
        elif kind == "twice":
            numbers += random.sample(range(1, number), min(number - 1, 5))
        frames = [events.envelope(each) for each in numbers]
        iris.feed(frames)
        mapped.feed(*frames)
        check(iris, mapped)
        twin = mapped.twin
        assert twin is not None
        cursors = (iris.state.cursor, mapped.state.cursor, twin.state.cursor)
        if random.random() < 0.3:
            assert len({cursor.abandon() for cursor in cursors}) == 1
        if random.random() < 0.3:
            for cursor in cursors:
                cursor.begin(asked=False)
        check(iris, mapped)
