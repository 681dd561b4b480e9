"""The sink with a dialect and a state that are none of IRIS's: what it counts, what it sends, what a document is."""

from collections import abc
from collections.abc import Iterator, Sequence

from typing_extensions import override

from iris_exporter.core.failures import Failure
from iris_exporter.core.limits import DEFAULT_LIMITS
from iris_exporter.core.status import Counted
from iris_exporter.decoding.dialect import Dialect, Frame, Noted
from iris_exporter.decoding.messages import Elements, EventBatch, Message, Overview, Page, Ping, Pong, UpstreamError
from iris_exporter.decoding.problems import Problems
from iris_exporter.errors import DecodeError
from iris_exporter.instruments import catalog
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.mapping.spec import Entry, Mapping, Role
from iris_exporter.model.source_state import Changes
from iris_exporter.model.state import StreamState
from iris_exporter.settings import StreamSettings
from iris_exporter.streams.ingest import StreamSink
from iris_exporter.streams.log import StreamLog
from iris_exporter.transports.base import Reaction, Received
from tests.fakes import FakeClock


class Some(Elements):
    def __init__(self, changes: Changes) -> None:
        self.message_type = "some"
        self.changes = changes


class Scripted(Dialect):
    """Answers each frame with what the test has laid down for it."""

    accept = "application/json"
    heartbeat = None
    answer = None
    event_names = frozenset[str]()
    documents_are_messages = True

    def __init__(self) -> None:
        self.problems = Problems(DEFAULT_LIMITS)
        self.script: dict[bytes, Elements | Message | DecodeError] = {}
        self.note = Noted(messages={})

    @override
    def configure(self, settings: StreamSettings) -> None: ...
    @override
    def reset(self, subprotocol: str = "") -> None: ...
    @override
    def on_open(self, position: str) -> Sequence[bytes]:
        return ()

    @override
    def noted(self) -> Noted:
        return self.note

    @override
    def decode(self, frames: Sequence[Frame]) -> Iterator[EventBatch | Message | DecodeError]:
        return (self.script[frame] for frame in frames if isinstance(frame, bytes) and frame in self.script)

    @override
    def peek(self, frames: Sequence[Frame]) -> Iterator[Ping | Pong]:
        return iter(())

    @override
    def reads(self, media_type: str) -> bool:
        return True

    @override
    def decode_document(self, body: bytes) -> Overview:
        raise AssertionError

    @override
    def decode_page(self, body: bytes, headers: abc.Mapping[str, str]) -> Page | None:
        return None

    @override
    def snapshot_addresses(self, url: str) -> tuple[str, ...]:
        return ()

    @override
    def page_address(self, snapshot_url: str, after: str) -> str | None:
        return None


class State(StreamState):
    @override
    def apply(self, message: Message, now: float) -> Changes:
        return message.changes if isinstance(message, Some) else super().apply(message, now)


class Rig:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.dialect, self.state = Scripted(), State("s", 300.0)
        self.instruments = StreamInstruments("s")
        self.sink = StreamSink(self.dialect, self.state, self.instruments, StreamLog("s", self.clock))

    def feed(self, *frames: bytes) -> Reaction:
        return self.sink.receive(Received(list(frames), 1), self.clock.wall())

    def open(self) -> None:
        self.sink.on_open(self.clock.wall(), two_way=False)


def test_messages_are_counted_as_the_dialect_counts_them() -> None:
    rig = Rig()
    rig.instruments.follow(Mapping("m", "m", entries=(Entry("change", Role.EVENT),)), Counted.NONE)
    mapped = rig.instruments.mapped
    assert mapped is not None
    rig.dialect.script[b"x"] = Some(Changes(duplicates=2, gap=3))
    rig.dialect.note = Noted(messages={"change": 5, "other": 1}, filtered=4, problems={("event", "m", "wrong_type"): 2})
    rig.feed(b"x")
    rig.feed(b"x")
    assert rig.instruments.counter(catalog.MESSAGES).counts() == {"change": 10, "other": 2}
    assert rig.instruments.counter(catalog.EVENTS_DUPLICATE).total == 4
    assert rig.instruments.counter(catalog.EVENT_GAPS).total == 6
    assert mapped.filtered == 8
    assert mapped.problems == {("event", "m", "wrong_type"): 4}


def test_delays_are_those_of_live_elements() -> None:
    """What was sent before a connection that goes on began is late on purpose."""
    rig = Rig()
    rig.state.cursor.note_id("17")
    rig.open()
    now = rig.clock.wall()
    rig.dialect.script[b"old"] = Some(Changes(sent=(now - 90, now - 80)))
    rig.dialect.script[b"both"] = Some(Changes(sent=(now - 70, now, now - 60)))
    delay = rig.instruments.histogram(catalog.MESSAGE_DELAY)
    rig.feed(b"old")
    assert delay.total == 0
    rig.feed(b"both")
    assert (delay.total, delay.sum) == (2, 60.0)
    assert rig.instruments.counter(catalog.EVENTS_REPLAYED).total == 3


def test_an_element_that_is_known_shows_that_the_source_reaches_back() -> None:
    rig = Rig()
    rig.state.seen.see("a")
    rig.open()
    rig.dialect.script[b"x"] = Some(Changes(duplicates=1))
    rig.feed(b"x")
    rig.feed(b"x")
    assert rig.instruments.counter(catalog.RESUMES).counts()["full"] == 1
    assert rig.sink.last_outcome == "full"


def test_frames_without_a_message_are_signs_of_life() -> None:
    rig = Rig()
    rig.dialect.note = Noted(messages={"ignored": 1})
    reaction = rig.feed(b"")
    assert not reaction.silent, "it is a message, even if it says nothing"
    assert rig.state.view(rig.clock.wall()).flow == "idle"


def test_an_error_has_the_reason_that_the_dialect_gives_it() -> None:
    rig = Rig()
    rig.dialect.script |= {
        b"refused": UpstreamError("9", "no", 5.0, "misconfigured"),
        b"report": UpstreamError("RATE_LIMIT_EXCEEDED", "", None, ""),
    }
    assert rig.feed(b"refused").failure == Failure("misconfigured", "9: no", 5.0)
    assert rig.feed(b"report").failure is None


def test_a_document_is_one_more_frame_and_has_to_be_understood() -> None:
    rig = Rig()
    now = rig.clock.wall()
    assert rig.sink.snapshot(b"x", now, polling=True) is None
    rig.dialect.note = Noted(end=Failure("unknown_shape"))
    assert rig.sink.snapshot(b"x", now, polling=True) == Failure("unknown_shape")
    rig.dialect.script[b"x"] = UpstreamError("", "", None, "unauthorized")
    assert rig.sink.snapshot(b"x", now, polling=True) == Failure("unauthorized")
