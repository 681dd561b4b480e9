"""What arrives together has the same effect as what arrives one by one, whatever it is."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from iris_exporter.core.cursor import Cursor
from iris_exporter.core.dedup import SeenIds
from iris_exporter.core.limits import DEFAULT_LIMITS
from iris_exporter.core.positions import CursorState
from iris_exporter.decoding.iris_json.dialect import MAX_BATCH, IrisJson
from iris_exporter.decoding.messages import Event, EventBatch
from iris_exporter.errors import DecodeError
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import Kind
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.model.state import StreamState
from iris_exporter.streams.ingest import StreamSink
from iris_exporter.streams.log import StreamLog
from iris_exporter.transports.base import Received
from tests.decoding.envelopes import decode_one
from tests.examples import examples
from tests.fakes import FakeClock

NOW = 1_764_000_000.0  # whole seconds, so that sums of delays are exact in any order
CONTEXT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACED = {"traceparent": CONTEXT.decode()}
DEEP = "[" * 70 + "]" * 70


class Patient(StreamState):
    """Takes nothing at once."""

    def apply_batch(self, batch: EventBatch, now: float) -> bool:
        return False


class Life:
    """A stream in the middle of its life, and all that can be seen of it."""

    def __init__(
        self, kept: CursorState | None, asked: bool, max_ids: int, kind: type[StreamState] = StreamState
    ) -> None:
        clock = FakeClock()
        self.told: list[Event] = []
        self.state = kind("s", 300.0, SeenIds(max_ids, ["known"]), Cursor(kept))
        self.instruments = StreamInstruments("s")
        self.sink = StreamSink(IrisJson(), self.state, self.instruments, StreamLog("s", clock), self)
        if not asked:
            self.state.cursor.refuse()
        self.sink.on_open(NOW - 5, two_way=False)
        self.state.cursor.allow()

    def wanted(self, batch: EventBatch) -> Sequence[Event]:
        assert batch.traced() == [event for event in batch.events() if event.traceparent]
        return batch.events()

    def arrived(self, events: Sequence[Event], at: float) -> None:
        assert at == NOW
        self.told += events

    def receive(self, *messages: bytes) -> None:
        self.sink.receive(Received(list(messages), 0), NOW)

    def seen(self) -> dict[str, object]:
        view = self.state.view(NOW)
        cursor = self.state.cursor
        counted = {metric.name: sorted(self.instruments.instrument(metric).text("").splitlines()) for metric in COUNTED}
        return {
            "events": tuple(view.events),
            "counts": list(view.event_counts.items()),
            "rest": (view.metrics, view.projects, view.anomalies, view.last_data_timestamp, view.flow),
            "counted": (self.state.counted, counted),
            "ids": self.state.seen.ids(),
            "cursor": {name: getattr(cursor, name) for name in cursor.__slots__},
            "told": self.told,
        }


COUNTED = [
    metric
    for metric in catalog.CATALOG
    if metric.kind is Kind.HISTOGRAM
    or (metric.kind is Kind.COUNTER and metric.group in (catalog.LINK, catalog.TRAFFIC))
]

FIELDS = st.fixed_dictionaries(
    {"project": st.sampled_from(["a", "b"]), "event_type": st.sampled_from(["x", "y"])},
    optional={
        "severity": st.sampled_from(["info", "error", "INFO", 3]),
        "message": st.sampled_from(["", "m", "\u20ac", "\0", "\\", None, 5]),
        "timestamp": st.sampled_from(
            ["2025-11-24T15:59:58Z", "2025-11-24T15:59:57", "1969-01-01T00:00:00Z", None, "?"]
        ),
        "metadata": st.sampled_from(
            [
                {},
                {"run": 1},
                TRACED,
                {"traceparent": "x"},
                None,
                [],
                json.loads(DEEP),
                {"deep": json.loads(DEEP)},
                {"t": "\0"},
            ]
        ),
        "details": st.sampled_from([{"from": "details"}, "text"]),
    },
)
PLAIN = {"project": "a", "event_type": "x", "metadata": {"run": 1}, "timestamp": "2025-11-24T15:59:57Z"}
# How far the position moves (None: the message has none), whether it is a replay, the id (None: a new one), the rest.
Step = tuple[int | None, bool, str | None, dict[str, Any]] | bytes
USUAL: Step = (1, False, None, PLAIN)
ONE_ODD = st.one_of(
    st.tuples(st.sampled_from([0, -1, 2, 5, None]), st.just(False), st.none(), st.just(PLAIN)),
    st.tuples(st.just(1), st.just(True), st.none(), st.just(PLAIN)),
    st.tuples(st.just(1), st.just(False), st.sampled_from(["known", "again"]), st.just(PLAIN)),
    st.tuples(st.just(1), st.just(False), st.none(), FIELDS.map(lambda fields: {**PLAIN, **fields})),
    st.tuples(st.just(1), st.just(False), st.none(), FIELDS),
)
STEPS = st.lists(
    st.just(USUAL)
    | st.just(USUAL)
    | ONE_ODD
    | st.sampled_from(
        [
            b'{"type":"ping"}',
            b'{"type":"update","data":{"metrics":{"total_projects":3}}}',
            b'{"type":"resumed","data":{"outcome":"full","replayed":2,"missed":0,"epoch":"e","lastEventId":"e-12"}}',
            b"{",
            b"",
            b'{"type":"event","data":{"id":"\xff","project":"a","event_type":"x"}}',
            b'{"type":"event","id":"other-4","data":{"id":"z","project":"a","event_type":"x"}}',
            b'{"type":"event","traceparent":"%s","data":{"id":"t","project":"a","event_type":"x"}}' % CONTEXT,
            b'{"type":"event","traceparent":7,"data":{"id":"u","project":"a","event_type":"x"}}',
            b'{"type":"event","id":"opaque","data":{"id":"q","project":"a","event_type":"x"}}',
        ]
    ),
    max_size=30,
)


def messages(steps: list[Step]) -> list[bytes]:
    offset = 10
    found = []
    for number, step in enumerate(steps):
        if isinstance(step, bytes):
            found.append(step)
            continue
        move, replay, identifier, fields = step
        envelope: dict[str, Any] = {"type": "event", "timestamp": "2025-11-24T15:59:58Z"}
        if move is not None:
            offset += move
            envelope["id"] = f"e-{offset}"
        if replay:
            envelope["replay"] = True
        envelope["data"] = {"id": identifier or f"event-{number}", **fields}
        found.append(json.dumps(envelope).encode())
    return found


@given(
    STEPS,
    st.sampled_from([None, CursorState("e", 10), CursorState("e", 10, confirmed=True), CursorState(opaque="17")]),
    st.booleans(),
    st.sampled_from([3, 10_000]),
)
@example([USUAL] * 5, CursorState("e", 10, confirmed=True), False, 10_000)
@example([USUAL] * 5, CursorState("e", 10, confirmed=True), False, 3)
@example([(1, False, "known", PLAIN)] * 2, CursorState("e", 10, confirmed=True), False, 10_000)
@example([(move, False, None, PLAIN) for move in (2, -1, 2)], CursorState("e", 10, confirmed=True), False, 10_000)
@examples(3)
def test_together_is_the_same_as_one_by_one(
    steps: list[Step],
    kept: CursorState | None,
    asked: bool,
    max_ids: int,
) -> None:
    arriving = messages(steps)
    together, patient = Life(kept, asked, max_ids), Life(kept, asked, max_ids, Patient)
    if arriving:
        together.receive(*arriving)
    for message in arriving:
        patient.receive(message)
    assert together.seen() == patient.seen()


@given(STEPS)
def test_decoding_together_is_the_same_as_decoding_one_by_one(
    steps: list[Step],
) -> None:
    arriving = messages(steps)
    together, apart = IrisJson(), IrisJson()
    found: list[object] = []
    for part in together.decode(arriving):
        found += part.messages() if isinstance(part, EventBatch) else [part]
    expected: list[object] = []
    for message in arriving:
        try:
            expected.append(decode_one(apart, message))
        except DecodeError as error:
            expected.append(error)
    assert list(map(repr, found)) == list(map(repr, expected))
    assert together.problems.take() == apart.problems.take()


def test_a_long_batch_is_shown_like_its_events_one_by_one() -> None:
    arriving = messages([USUAL] * (2 * DEFAULT_LIMITS.max_events))
    together, patient = Life(CursorState("e", 10), False, 150), Life(CursorState("e", 10), False, 150, Patient)
    together.receive(*arriving[:-50])
    together.receive(*arriving[-50:])
    patient.receive(*arriving)
    assert together.seen() == patient.seen()
    assert len(together.state.view(NOW).events) == DEFAULT_LIMITS.max_events
    assert [event.id for event in together.told] == [
        f"event-{number}" for number in range(2 * DEFAULT_LIMITS.max_events)
    ]


def test_well_formed_events_come_in_batches_and_others_in_between() -> None:
    plain = messages([USUAL] * (MAX_BATCH + 2))
    found = list(IrisJson().decode([*plain, b'{"type":"ping"}', b"{", plain[0]]))
    assert [len(part) if isinstance(part, EventBatch) else type(part).__name__ for part in found] == [
        MAX_BATCH,
        2,
        "Ping",
        "DecodeError",
        1,
    ]


def test_new_events_are_told_once_whichever_way_they_come() -> None:
    life = Life(None, False, 10_000)
    life.receive(*messages([(1, False, None, PLAIN), (1, False, "again", PLAIN), (1, False, "again", PLAIN)]))
    life.sink.snapshot(b'{"events":[{"id":"polled","project":"a"},{"id":"again","project":"a"}]}', NOW, polling=True)
    assert [event.id for event in life.told] == ["event-0", "again", "polled"]
