"""What a follower is told, beside the listener that was there before."""

from collections.abc import Sequence
from datetime import UTC, datetime

from iris_exporter.core.limits import DEFAULT_LIMITS
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.decoding.messages import Event, EventBatch
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.model.state import StreamState
from iris_exporter.streams.following import FollowedEvents
from iris_exporter.streams.ingest import StreamSink
from iris_exporter.streams.log import StreamLog
from iris_exporter.transports.base import Received
from tests.fakes import FakeClock


class Told:
    """A follower, and a listener that wants no batch, that note what they are told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.listened: list[str] = []
        self.grants: list[frozenset[str]] = []

    def events_arrived(self, stream: str, events: Sequence[Event]) -> None:
        self.events += [(stream, event.id) for event in events]

    def state_changed(self, stream: str) -> None:
        raise AssertionError(stream)

    def wanted(self, batch: EventBatch) -> Sequence[Event]:
        return ()

    def granted(self, extensions: frozenset[str]) -> None:
        self.grants.append(extensions)

    def arrived(self, events: Sequence[Event], at: float) -> None:
        self.listened += [event.id for event in events]


def message(name: str) -> bytes:
    at = datetime.fromtimestamp(FakeClock().wall(), UTC).isoformat()
    return (
        b'{"type":"event","timestamp":"%s","data":{"id":"%s","project":"p","event_type":"run","severity":"info",'
        b'"message":"m","timestamp":"%s"}}' % (at.encode(), name.encode(), at.encode())
    )


def test_every_event_is_told_once_however_it_arrives_and_the_listener_hears_them_too() -> None:
    told, clock = Told(), FakeClock()
    log = StreamLog("s", clock)
    listener = FollowedEvents("s", told, told)
    sink = StreamSink(IrisJson(DEFAULT_LIMITS), StreamState("s", 300.0), StreamInstruments("s"), log, listener)
    sink.on_open(clock.wall(), two_way=False)
    frames = [message("a"), message("b"), message("c")]
    sink.receive(Received(frames, sum(map(len, frames))), clock.wall())
    sink.receive(Received([message("c"), message("d")], 1), clock.wall())
    assert told.events == [("s", "a"), ("s", "b"), ("s", "c"), ("s", "d")]
    assert told.listened == ["a", "b", "c", "d"]
    listener.granted(frozenset({"delta"}))
    assert told.grants == [frozenset({"delta"})]
    FollowedEvents("s", told, None).granted(frozenset())
    assert len(told.grants) == 1
