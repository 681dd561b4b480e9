"""What a subscription changes for the sink: events that come early, events left out, and changes that are lost."""

import json
from typing import Any

import pytest

from iris_exporter.core.limits import DEFAULT_LIMITS, Limits
from iris_exporter.decoding.iris_stream.dialect import IrisStream
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import Metric
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.model.state import StreamState
from iris_exporter.streams.ingest import StreamSink
from iris_exporter.streams.log import StreamLog
from iris_exporter.transports.base import Reaction, Received
from tests.fakes import FakeClock
from tests.settings import stream_settings

NOW = "2023-11-14T22:13:20Z"


class Bench:
    """A sink that is subscribed over a WebSocket, or over server-sent events."""

    def __init__(self, *, two_way: bool = True, limits: Limits = DEFAULT_LIMITS) -> None:
        self.clock = FakeClock()
        self.state = StreamState("s", 300.0, limits=limits)
        self.instruments = StreamInstruments("s")
        self.sink = StreamSink(IrisStream(limits), self.state, self.instruments, StreamLog("s", self.clock))
        self.sink.configure(stream_settings(url="ws://iris.test/api/stream"))
        self.state.limit(limits)
        self.two_way = two_way
        self.open()

    def open(self) -> list[dict[str, Any]]:
        """A connection begins: what is sent first."""
        sent = self.sink.on_open(self.clock.wall(), two_way=self.two_way)
        return [json.loads(message) for message in sent if isinstance(message, bytes)]

    def feed(self, *envelopes: dict[str, Any]) -> Reaction:
        frames = [json.dumps({"timestamp": NOW, **each}, separators=(",", ":")).encode() for each in envelopes]
        return self.sink.receive(Received(list(frames), sum(map(len, frames))), self.clock.wall())

    def subscribed(self, position: str | None = "e-10", **data: Any) -> Reaction:
        return self.feed(
            {"type": "subscribed", "data": {"delta": True, "priority": True, "position": position, **data}}
        )

    def count(self, metric: Metric) -> float:
        return self.instruments.instrument(metric).total

    @property
    def events(self) -> int:
        return sum(self.state.view(self.clock.wall()).event_counts.values())


def event(number: int, *, position: bool = True, **more: Any) -> dict[str, Any]:
    data = {"id": f"evt-{number}", "project": "p", "event_type": "info", "timestamp": NOW}
    return {"type": "event", "data": data, **({"id": f"e-{number}"} if position else {}), **more}


def early(number: int) -> dict[str, Any]:
    return event(number, position=False, priority="high")


def test_the_answer_is_the_first_position() -> None:
    bench = Bench()
    bench.subscribed()
    assert bench.sink.resume_from() == "e-10"
    (first,) = bench.open()
    assert first["data"]["after"] == "e-10"


def test_the_answer_to_a_resume_is_in_it() -> None:
    bench = Bench()
    bench.subscribed()
    bench.open()
    assert bench.sink.awaits_answer()
    resume = {"outcome": "partial", "replayed": 0, "missed": 2, "epoch": "e", "lastEventId": "e-12"}
    bench.subscribed("e-12", resume=resume)
    assert not bench.sink.awaits_answer()
    assert (bench.count(catalog.RESUMES), bench.count(catalog.EVENT_GAPS)) == (1, 2)


def test_an_event_that_comes_early_counts_once_and_moves_no_cursor() -> None:
    bench = Bench()
    bench.subscribed()
    bench.feed(early(12))
    assert (bench.events, bench.sink.resume_from()) == (1, "e-10")
    reaction = bench.feed(event(11), event(12), event(13))
    assert (bench.events, bench.sink.resume_from(), reaction.fill) == (3, "e-13", False)
    assert bench.count(catalog.EVENTS_OVERTAKING) == 1
    assert bench.count(catalog.EVENTS_DUPLICATE) == 0
    bench.feed(event(12))
    assert bench.count(catalog.EVENTS_DUPLICATE) == 1, "once more is a repetition"


def test_an_event_that_came_early_may_come_again_in_a_replay() -> None:
    bench = Bench()
    bench.subscribed()
    bench.feed(early(11))
    bench.open()
    resume = {"outcome": "full", "replayed": 1, "missed": 0, "epoch": "e", "lastEventId": "e-11"}
    bench.subscribed("e-11", resume=resume)
    bench.feed(event(11, replay=True))
    assert (bench.events, bench.sink.resume_from()) == (1, "e-11")
    assert (bench.count(catalog.EVENTS_DUPLICATE), bench.count(catalog.EVENTS_REPLAYED)) == (0, 1)


def test_a_copy_of_an_event_that_was_counted_is_a_duplicate() -> None:
    bench = Bench()
    bench.subscribed()
    bench.feed(event(11), early(11), early(12), early(12))
    assert (bench.events, bench.count(catalog.EVENTS_DUPLICATE), bench.count(catalog.EVENTS_OVERTAKING)) == (2, 2, 1)


def test_an_event_that_came_early_is_remembered_until_it_comes_in_its_place() -> None:
    """However many others pass by, within the bound; a batch is taken one by one for it alone."""
    bench = Bench(limits=Limits(max_event_ids=100))
    bench.subscribed()
    bench.feed(early(311))
    bench.feed(*map(event, range(11, 311)))
    assert bench.count(catalog.STREAM_DROPPED) > 0, "its id has been forgotten as that of a counted event"
    bench.feed(*map(event, range(311, 320)))
    assert (bench.events, bench.count(catalog.EVENTS_DUPLICATE)) == (309, 0)


def test_copies_that_never_come_in_their_place_take_bounded_memory() -> None:
    bench = Bench(limits=Limits(max_event_ids=100))
    bench.subscribed()
    bench.feed(*map(early, range(1000)))
    assert len(bench.state.advances.outstanding) == 100
    assert bench.events == 1000


@pytest.mark.parametrize("later", [False, True])
def test_what_was_left_out_is_asked_for_over_rest(later: bool) -> None:
    bench = Bench()
    bench.subscribed()
    reaction = bench.feed({"type": "dropped", "data": {"events": 4, "from": "e-10", "to": "e-14"}})
    if later:
        reaction = bench.feed(event(15))
    assert reaction.fill
    assert bench.sink.missing_after() == "e-10"
    assert bench.count(catalog.SOURCE_DROPPED) == 4
    bench.sink.page("e-10", None, bench.clock.wall())
    assert bench.count(catalog.EVENT_GAPS) == 4, "they cannot be had"
    assert bench.sink.resume_from() == ("e-15" if later else "e-14")


def test_a_lost_change_is_counted_and_everything_is_asked_for_anew() -> None:
    bench = Bench()
    bench.subscribed()
    reaction = bench.feed({"type": "delta", "seq": 2, "data": {"metrics": {}}}, event(11))
    assert reaction.request is not None
    assert reaction.failure is None
    assert (bench.count(catalog.DELTA_RESYNCS), bench.events) == (1, 1)


def test_an_event_stream_is_made_anew_for_a_lost_change_and_goes_on_where_it_was() -> None:
    bench = Bench(two_way=False)
    bench.subscribed()
    reaction = bench.feed(event(11), {"type": "delta", "seq": 2, "data": {"metrics": {}}})
    assert reaction.request is None
    assert reaction.failure is not None
    assert reaction.failure.reason == "out_of_sync"
    assert bench.sink.resume_from() == "e-11"


def test_batches_are_measured() -> None:
    bench = Bench()
    bench.subscribed()
    bench.feed({"type": "batch", "messages": [event(11), event(12)]}, {"type": "batch", "messages": [event(13)]})
    histogram = bench.instruments.histogram(catalog.BATCH_MESSAGES)
    assert (histogram.total, histogram.sum, bench.events) == (2, 3, 3)
    assert bench.instruments.counter(catalog.MESSAGES).counts()["event"] == 3


def test_changes_lead_to_the_state_that_whole_objects_lead_to() -> None:
    changes, whole = Bench(), Bench()
    changes.subscribed()
    first = {"id": "x", "name": "X", "status": "healthy", "health_score": 87, "success_rate": 0.5, "total_runs": 1}
    changes.feed(
        {"type": "update", "seq": 1, "data": {"metrics": {"total_projects": 1}, "projects": [first]}},
        {"type": "delta", "seq": 2, "data": {"projects": [{"id": "x", "health_score": 1, "total_runs": 2}]}},
        {"type": "delta", "seq": 3, "data": {"metrics": {"total_projects": 2}, "anomalies": [{"id": "a", "value": 1}]}},
        {"type": "delta", "seq": 4, "data": {"anomalies": [{"id": "a", "resolved": True}]}},
    )
    whole.feed(
        {"type": "update", "data": {"metrics": {"total_projects": 1}, "projects": [first]}},
        {"type": "update", "data": {"projects": [{**first, "health_score": 1, "total_runs": 2}]}},
        {"type": "update", "data": {"metrics": {"total_projects": 2}, "anomalies": [{"id": "a", "value": 1}]}},
        {"type": "update", "data": {"anomalies": [{"id": "a", "value": 1, "resolved": True}]}},
    )
    one, other = (bench.state.view(bench.clock.wall()) for bench in (changes, whole))
    assert (one.metrics, one.projects, one.anomalies) == (other.metrics, other.projects, other.anomalies)
    assert changes.count(catalog.DELTA_RESYNCS) == 0


def test_an_event_that_came_early_is_not_reported_lost_with_those_that_it_overtook() -> None:
    bench = Bench()
    bench.subscribed()
    bench.feed(early(12))
    bench.open()
    resume = {"outcome": "partial", "replayed": 0, "missed": 3, "epoch": "e", "lastEventId": "e-13"}
    bench.subscribed("e-13", resume=resume)
    assert bench.events + bench.count(catalog.EVENT_GAPS) == 3
    bench.feed({"type": "dropped", "data": {"events": 2, "from": "e-13", "to": "e-15"}})
    bench.sink.page("e-13", None, bench.clock.wall())
    assert bench.events + bench.count(catalog.EVENT_GAPS) == 5, "once"


def test_an_event_that_came_early_and_in_its_place_after_all_was_not_among_the_lost() -> None:
    bench = Bench()
    bench.subscribed()
    bench.feed(early(14))
    bench.open()
    resume = {"outcome": "partial", "replayed": 2, "missed": 2, "epoch": "e", "lastEventId": "e-14"}
    bench.subscribed("e-14", resume=resume)
    bench.feed(event(13, replay=True), event(14, replay=True))
    assert (bench.events, bench.count(catalog.EVENT_GAPS), bench.count(catalog.EVENTS_DUPLICATE)) == (2, 2, 0)
