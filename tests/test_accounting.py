"""Every event is counted once or reported lost once, whatever happens to the connection: against a model of a source.

The source numbers its events and keeps some of them. Messages, answers, replays, snapshots, polls and pages reach the
sink in any order that a network allows, links are lost anywhere, the source and we are started again. At any moment
what was counted and what was reported lost is what the cursor has passed or has noted to lie ahead.
"""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from iris_exporter.core.cursor import Cursor
from iris_exporter.core.dedup import SeenIds
from iris_exporter.core.limits import DEFAULT_LIMITS
from iris_exporter.core.positions import CursorState, parse_position
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.decoding.messages import Event, EventBatch
from iris_exporter.instruments import catalog
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.model.state import StreamState
from iris_exporter.streams.ingest import StreamSink
from iris_exporter.streams.log import StreamLog
from iris_exporter.transports.base import Polled, Received
from tests.examples import examples
from tests.fakes import FakeClock

COUNTS = st.integers(1, 12)


class Source:
    """Numbered events in a bounded history, as docs/protocol.md has them."""

    def __init__(self, number: int, history: int) -> None:
        self.epoch = f"e{number}"
        self.sent = 0
        self.history = history

    @property
    def first_lost(self) -> int:
        return max(0, self.sent - self.history)

    def at(self, offset: int) -> str:
        return f"{self.epoch}-{offset}"

    def event(self, offset: int) -> dict[str, Any]:
        return {"id": self.at(offset).replace("-", ":"), "project": "p", "event_type": "info"}

    def events(self, after: int, end: int) -> list[dict[str, Any]]:
        return [self.event(offset) for offset in range(after + 1, end + 1)]

    def message(self, offset: int, events: int = 1, *, replay: bool = False) -> bytes:
        envelope: dict[str, Any] = {"type": "event", "id": self.at(offset), "data": self.event(offset)}
        if events > 1:
            listed = self.events(max(0, offset - events), offset)[::-1]
            envelope |= {"type": "update", "data": {"events": listed}}
        return json.dumps(envelope | ({"replay": True} if replay else {})).encode()

    def document(self, events: int) -> bytes:
        listed = self.events(max(self.first_lost, self.sent - events), self.sent)[::-1]
        return json.dumps({"metrics": {}, "events": listed, "cursor": self.at(self.sent)}).encode()

    def resume(self, position: str) -> list[bytes]:
        """The answer to a resume, and the replay."""
        asked = parse_position(position)
        assert asked is not None
        outcome, start, missed = "full", asked.offset, 0
        if asked.epoch != self.epoch:
            outcome, start = "restarted", self.first_lost
        elif asked.offset > self.sent:
            outcome, start = "none", self.sent
        elif asked.offset < self.first_lost:
            outcome, start, missed = "partial", self.first_lost, self.first_lost - asked.offset
        said = {"outcome": outcome, "replayed": self.sent - start, "missed": missed, "epoch": self.epoch}
        answer = json.dumps({"type": "resumed", "data": said | {"lastEventId": self.at(self.sent)}}).encode()
        return [answer, *(self.message(offset, replay=True) for offset in range(start + 1, self.sent + 1))]

    def page(self, after: str, limit: int) -> tuple[str, Polled]:
        asked = parse_position(after)
        assert asked is not None
        known = asked.epoch == self.epoch and asked.offset <= self.sent
        start = max(self.first_lost, asked.offset if known else 0)
        end = min(start + limit, self.sent)
        missed = start - asked.offset if known else 0
        body = json.dumps(self.events(start, end)).encode()
        headers = {"Iris-Cursor": self.at(end), "Iris-Missed": str(missed), "Iris-More": str(end < self.sent).lower()}
        return after, Polled(body, 0, headers)


class Accounting(RuleBasedStateMachine):
    """The sink of one stream between a source and a network."""

    @initialize(history=st.integers(0, 30))
    def begin(self, history: int) -> None:
        self.clock = FakeClock()
        self.source = Source(1, history)
        self.sent_before = 0  # by sources that are no more
        self.first_source = True
        self.counted: list[str] = []
        self.gaps = 0.0
        self.linked = False
        self.page: tuple[str, Polled] | None = None
        self.resumed: list[bytes] = []  # the answer and the replay, on their way
        self.live: list[bytes] = []
        self.state: StreamState
        self.start(CursorState("e1", 0, confirmed=True), SeenIds())

    def start(self, cursor: CursorState, seen: SeenIds) -> None:
        """A process of ours begins."""
        self.state = StreamState("s", 300.0, seen, Cursor(cursor))
        self.instruments = StreamInstruments("s")
        self.sink = StreamSink(IrisJson(), self.state, self.instruments, StreamLog("s", self.clock), self)

    def wanted(self, batch: EventBatch) -> Sequence[Event]:
        return batch.events()

    def arrived(self, events: Sequence[Event], at: float) -> None:
        self.counted += [event.id for event in events]

    def reported_lost(self) -> float:
        return self.gaps + self.instruments.counter(catalog.EVENT_GAPS).counts()[""]

    def receive(self, messages: list[bytes]) -> None:
        self.sink.receive(Received(list(messages), 0), self.clock.wall())

    @rule(count=COUNTS, most=st.integers(1, 8), few=st.booleans())
    def publish(self, count: int, most: int, few: bool) -> None:
        """New events; a channel that carries at most so many in a message leaves the others out."""
        self.source.sent += count
        sent = self.source.sent
        if self.linked and few:
            self.live.append(self.source.message(sent, most))
        elif self.linked:
            self.live += [self.source.message(offset) for offset in range(sent - count + 1, sent + 1)]

    @precondition(lambda self: not self.linked)
    @rule(ignored=st.booleans())
    def connect(self, ignored: bool) -> None:
        """`ignored`: the way to ask is not open on this connection."""
        asked = "" if ignored else self.sink.resume_from()
        if ignored:
            self.state.cursor.refuse()
        self.sink.on_open(self.clock.wall(), two_way=False)
        self.state.cursor.allow()
        self.resumed = self.source.resume(asked) if asked else []
        self.linked = True

    @precondition(lambda self: self.linked)
    @rule()
    def lose(self) -> None:
        self.linked, self.page = False, None
        self.resumed, self.live = [], []

    @precondition(lambda self: self.live)
    @rule(count=COUNTS)
    def hear(self, count: int) -> None:
        now, self.live = self.live[:count], self.live[count:]
        self.receive(now)

    @precondition(lambda self: self.resumed)
    @rule(count=COUNTS)
    def hear_replay(self, count: int) -> None:
        now, self.resumed = self.resumed[:count], self.resumed[count:]
        self.receive(now)

    @precondition(lambda self: self.linked)
    @rule(events=st.integers(0, 12))
    def snapshot(self, events: int) -> None:
        assert self.sink.snapshot(self.source.document(events), self.clock.wall(), polling=False) is None

    @precondition(lambda self: not self.linked)
    @rule(events=st.integers(0, 12))
    def poll(self, events: int) -> None:
        assert self.sink.snapshot(self.source.document(events), self.clock.wall(), polling=True) is None

    @precondition(lambda self: self.sink.missing_after() is not None)
    @rule(limit=COUNTS, had=st.booleans())
    def fill(self, limit: int, had: bool) -> None:
        after = self.sink.missing_after()
        assert after is not None
        page = self.source.page(after, limit)[1] if had else None
        self.sink.page(after, page, self.clock.wall())

    @precondition(lambda self: self.sink.missing_after() is not None)
    @rule(limit=COUNTS)
    def ask_for_page(self, limit: int) -> None:
        after = self.sink.missing_after()
        assert after is not None
        self.page = self.source.page(after, limit)

    @precondition(lambda self: self.page is not None)
    @rule()
    def late_page(self) -> None:
        """What was asked for a while ago, of the same source and within the same connection."""
        assert self.page is not None
        (after, page), self.page = self.page, None
        self.sink.page(after, page, self.clock.wall())

    @rule()
    def start_again(self) -> None:
        """Our process, with its state file."""
        self.gaps = self.reported_lost()
        self.lose()
        seen = SeenIds(DEFAULT_LIMITS.max_event_ids, self.state.seen.ids(), self.state.seen.pinned)
        self.start(self.state.cursor.state, seen)

    @precondition(lambda self: self.source.epoch < "e3")
    @rule(history=st.integers(0, 30))
    def source_starts_again(self, history: int) -> None:
        self.sent_before += self.source.sent
        self.first_source = False
        self.lose()
        self.source = Source(int(self.source.epoch[1:]) + 1, history)

    @invariant()
    def each_event_is_counted_once(self) -> None:
        assert len(self.counted) == len(set(self.counted))

    @invariant()
    def what_is_accounted_for_was_sent(self) -> None:
        accounted = len(self.counted) + self.reported_lost()
        assert accounted <= self.sent_before + self.source.sent
        cursor = self.state.cursor.state
        if self.first_source:
            assert accounted == cursor.offset + sum(end - start for start, end in cursor.ahead)

    def teardown(self) -> None:
        """Once everything has arrived everything is accounted for."""
        if not hasattr(self, "source") or not self.first_source:
            return
        self.lose()
        self.poll(0)
        while self.sink.missing_after() is not None:
            self.fill(12, had=True)
        assert len(self.counted) + self.reported_lost() == self.source.sent


TestAccounting = Accounting.TestCase
TestAccounting.settings = examples(1.5, stateful_step_count=40)
