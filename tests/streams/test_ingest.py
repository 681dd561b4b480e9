"""The sink of a stream: what arrives is decoded, believed and counted, and what is broken ends nothing."""

import json

import pytest

from iris_exporter.core.failures import Failure
from iris_exporter.core.limits import DEFAULT_LIMITS, Limits
from iris_exporter.decoding.dialect import Binary, Frame, NamedEvent
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.instruments import catalog
from iris_exporter.instruments.catalog import Metric
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.model.snapshot import DataFlow
from iris_exporter.model.state import StreamState
from iris_exporter.streams.ingest import StreamSink
from iris_exporter.streams.log import StreamLog
from iris_exporter.transports.base import NO_REACTION, Polled, Reaction, Received
from tests.fakes import FakeClock
from tests.instruments.oracle import counted
from tests.settings import stream_settings

PONG = b'{"type":"pong"}'


class Bench:
    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.clock = FakeClock()
        self.state = StreamState("s", 300.0, limits=limits)
        self.instruments = StreamInstruments("s")
        self.sink = StreamSink(IrisJson(limits), self.state, self.instruments, StreamLog("s", self.clock))

    def feed(self, *messages: str | Frame) -> Reaction:
        raw = [message.encode() if isinstance(message, str) else message for message in messages]
        return self.sink.receive(Received(raw, sum(map(len, raw))), self.clock.wall())

    def count(self, metric: Metric, **labels: str) -> float:
        """The sum of the series whose labels include `labels`."""
        found = [sample for sample in counted(metric, self.instruments) if labels.items() <= sample.labels.items()]
        return sum(sample.value for sample in found if not sample.name.endswith(("_sum", "_bucket")))


def page(body: str, cursor: str, missed: str = "0", more: str = "false") -> Polled:
    return Polled(body.encode(), 0, {"Iris-Cursor": cursor, "Iris-Missed": missed, "Iris-More": more})


EVENT = '{"type":"event","timestamp":"2023-11-14T22:13:19Z","data":{"id":"%s","event_type":"info","project":"p"}}'

ERROR = '{"type":"error","error":{"code":"%s","message":"m","retryAfter":7}}'


def test_messages_are_counted_by_type_and_events_once() -> None:
    bench = Bench()
    bench.feed(EVENT % "1", EVENT % "2", EVENT % "1", '{"type":"update","data":{"metrics":{"total_projects":5}}}')
    assert bench.count(catalog.MESSAGES, message_type="event") == 3
    assert bench.count(catalog.MESSAGES, message_type="update") == 1
    assert bench.count(catalog.EVENTS_DUPLICATE) == 1
    view = bench.state.view(bench.clock.wall())
    assert sum(view.event_counts.values()) == 2
    assert view.metrics is not None
    assert view.metrics.projects == 5


def test_the_delay_of_a_message_is_observed() -> None:
    bench = Bench()
    bench.feed(EVENT % "1")
    assert bench.count(catalog.MESSAGE_DELAY) == 1


def test_a_ping_is_answered_and_a_pong_is_passed_on() -> None:
    bench = Bench()
    assert bench.feed('{"type":"ping"}').replies == (PONG,)
    assert bench.feed('{"type":"pong"}').pong
    assert bench.feed('{"type":"ping"}', '{"type":"pong"}') == Reaction(replies=(PONG,), pong=True)
    assert bench.feed(EVENT % "1") is NO_REACTION


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AUTH_REQUIRED", "unauthorized"),
        ("RATE_LIMIT_EXCEEDED", "rate_limited"),
        ("STREAM_UNAVAILABLE", "unavailable"),
        ("INVALID_ENDPOINT", "not_found"),
    ],
)
def test_an_error_message_ends_the_link_with_its_reason(code: str, reason: str) -> None:
    bench = Bench()
    error = ERROR % code
    reaction = bench.feed(error, EVENT % "9")
    assert reaction.failure == Failure(reason, f"{code}: m", 7.0)
    assert bench.count(catalog.UPSTREAM_ERRORS, code=code) == 1
    assert bench.count(catalog.MESSAGES, message_type="event") == 1, "what came with it is not lost"


def test_an_unknown_error_code_is_counted_and_ends_nothing() -> None:
    bench = Bench()
    assert bench.feed('{"type":"error","error":{"code":"E_NEW"}}') == NO_REACTION
    assert bench.count(catalog.UPSTREAM_ERRORS, code="other") == 1


def test_broken_messages_are_counted_by_reason_and_their_neighbours_kept() -> None:
    bench = Bench()
    assert (
        bench.feed("{", EVENT % "1", b"\xff", "[]", "7", "{}", '{"type":"unheard"}', *[Binary(b"{}")] * 2)
        is NO_REACTION
    )
    for reason, count in {"not_json": 1, "not_utf8": 1, "not_an_object": 1, "no_type": 1}.items():
        assert bench.count(catalog.DECODE_ERRORS, reason=reason) == count, reason
    assert bench.count(catalog.DECODE_ERRORS, reason="binary") == 2
    assert bench.count(catalog.MESSAGES, message_type="event") == 1
    assert bench.count(catalog.MESSAGES, message_type="other") == 1, "an unknown type is counted as other"


def test_a_bad_field_is_counted_and_its_object_kept() -> None:
    bench = Bench()
    bench.feed('{"type":"update","data":{"metrics":{"total_projects":"many","active_experts":"7"}}}')
    assert bench.count(catalog.DECODE_ERRORS) == 1
    metrics = bench.state.view(bench.clock.wall()).metrics
    assert metrics is not None
    assert (metrics.projects, metrics.active_experts) == (None, 7)


def test_an_array_of_envelopes_is_its_messages_in_order() -> None:
    bench = Bench()
    batch = "[" + ",".join((EVENT % "1", "7", "{}", EVENT % "2", '{"type":"ping"}', "[]")) + "]"
    assert bench.feed(EVENT % "0", batch, EVENT % "3").replies == (PONG,)
    assert bench.count(catalog.MESSAGES, message_type="event") == 4
    assert bench.count(catalog.DECODE_ERRORS, reason="not_an_object") == 2
    assert bench.count(catalog.DECODE_ERRORS, reason="no_type") == 1
    assert [event.id for event in bench.state.view(bench.clock.wall()).events] == ["3", "2", "1", "0"]


def test_an_array_of_too_many_is_read_in_part_and_said_so() -> None:
    bench = Bench()
    bench.feed(b"[" + b",".join([b'{"type":"ping"}'] * 10_001) + b"]")
    assert bench.count(catalog.MESSAGES, message_type="ping") == 10_000
    assert bench.count(catalog.DECODE_ERRORS, reason="too_long") == 1


@pytest.mark.parametrize(
    "body",
    [
        "[1,2,3]", "7", '"text"', "null", "true", "[null]", "[[]]", "[{}]",
        '{"a":1}', '{"data":{"a":1}}', '{"data":[1]}',
        '{"data":null}', '{"metrics":5}', '{"metrics":{"total_projects":"many"}}', '{"metrics":{"cpu":1}}',
        '{"projects":"x","events":7,"anomalies":true,"metrics":"y"}', '{"projects":[1],"events":[7]}',
        '{"status":"ok"}', '{"ok":true,"message":"fine"}', '{"error":"no"}', '{"metrics":[1]}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("polling", [True, False])
def test_a_document_of_which_nothing_can_be_used_is_a_failure(body: str, polling: bool) -> None:
    bench = Bench()
    failure = bench.sink.snapshot(body.encode(), bench.clock.wall(), polling=polling)
    assert failure is not None
    assert failure.reason == "unknown_shape"
    assert bench.state.view(bench.clock.wall()).flow is DataFlow.SILENT


@pytest.mark.parametrize(
    "body",
    [
        "{}", "[]", '{"metrics":{},"projects":[],"events":[],"anomalies":[]}', '{"data":[]}',
        '{"success":true,"data":{}}',
        '{"metrics":null}', '{"events":[]}', '{"metrics":{"cpu":1},"projects":[]}', '{"metrics":{"total_projects":0}}',
        '[1,{"id":"p","status":"healthy"}]',
    ],
)  # fmt: skip
def test_an_empty_document_and_one_of_which_something_can_be_used_are_data(body: str) -> None:
    bench = Bench()
    assert bench.sink.snapshot(body.encode(), bench.clock.wall(), polling=True) is None
    assert bench.state.view(bench.clock.wall()).flow is DataFlow.FLOWING


@pytest.mark.parametrize("body", ['{"success":false,"error":"no"}', '{"ok":false}', "{", "<html></html>"])
def test_a_document_that_says_no_or_is_none_is_a_failure(body: str) -> None:
    bench = Bench()
    failure = bench.sink.snapshot(body.encode(), bench.clock.wall(), polling=True)
    assert failure is not None
    assert failure.reason == "decode"


def test_a_snapshot_is_taken_and_a_broken_one_is_a_failure() -> None:
    bench = Bench()
    body = b'{"metrics":{"total_projects":1},"projects":[{"id":"p"}],"events":[{"id":"1","event_type":"info"}]}'
    assert bench.sink.snapshot(body, bench.clock.wall(), polling=False) is None
    failure = bench.sink.snapshot(b"<html>", bench.clock.wall(), polling=False)
    assert failure is not None
    assert failure.reason == "decode"
    assert bench.count(catalog.DECODE_ERRORS) == 1
    assert [project.id for project in bench.state.view(bench.clock.wall()).projects] == ["p"]


async def test_stale_gauges_go_and_counters_stay() -> None:
    bench = Bench()
    bench.feed(EVENT % "1", '{"type":"update","data":{"metrics":{"total_projects":5},"projects":[{"id":"p"}]}}')
    await bench.clock.advance(299.0)
    assert bench.state.view(bench.clock.wall()).metrics is not None
    bench.sink.unchanged(bench.clock.wall())
    await bench.clock.advance(299.0)
    assert not bench.state.view(bench.clock.wall()).stale, "a sign of life keeps what is believed"
    await bench.clock.advance(1.0)
    view = bench.state.view(bench.clock.wall())
    assert (view.stale, view.metrics, view.projects) == (True, None, ())
    assert sum(view.event_counts.values()) == 1


# Going on after a reconnect

KNOWN = (
    b'{"metrics":{},"events":[{"id":"2","event_type":"info"},{"id":"1","event_type":"info"}],"cursor":"e-2"}',
    b'{"metrics":{},"events":[{"id":"2","event_type":"info"},{"id":"1","event_type":"info"}]}',
)


def test_a_first_connection_has_nothing_to_resume() -> None:
    bench = Bench()
    bench.sink.on_open(bench.clock.wall(), two_way=True)
    assert bench.sink.snapshot(KNOWN[1], bench.clock.wall(), polling=False) is None
    assert bench.count(catalog.RESUMES) == 0


@pytest.mark.parametrize(("ids", "outcome"), [(("3", "2"), "full"), (("9", "8"), "none")])
def test_where_a_source_knows_no_resume_the_next_snapshot_tells_the_outcome(ids: tuple[str, str], outcome: str) -> None:
    bench = Bench()
    bench.sink.snapshot(KNOWN[1], bench.clock.wall(), polling=False)
    bench.sink.on_open(bench.clock.wall(), two_way=True)
    events = [{"id": event_id, "event_type": "info"} for event_id in ids]
    bench.sink.snapshot(json.dumps({"metrics": {}, "events": events}).encode(), bench.clock.wall(), polling=False)
    assert bench.count(catalog.RESUMES, outcome=outcome) == 1
    assert bench.count(catalog.RESUMES) == 1


def test_a_stream_that_another_process_may_have_had_has_an_outcome_from_the_start() -> None:
    bench = Bench()
    bench.sink.lose_cursor()
    bench.sink.on_open(bench.clock.wall(), two_way=True)
    bench.sink.snapshot(KNOWN[1], bench.clock.wall(), polling=False)
    assert bench.count(catalog.RESUMES, outcome="none") == 1


def test_the_answer_to_a_resume_tells_the_outcome_once() -> None:
    bench = Bench()
    bench.sink.snapshot(KNOWN[0], bench.clock.wall(), polling=False)
    assert bench.sink.on_open(bench.clock.wall(), two_way=True) == (b'{"type":"resume","lastEventId":"e-2"}',)
    bench.sink.snapshot(KNOWN[0], bench.clock.wall(), polling=False)
    assert bench.count(catalog.RESUMES) == 0
    answer = '{"type":"resumed","data":{"outcome":"partial","replayed":1,"missed":3,"epoch":"e","lastEventId":"e-6"}}'
    replay = (
        '{"type":"event","id":"e-6","replay":true,"timestamp":"2023-11-14T22:13:00Z",'
        '"data":{"id":"6","event_type":"x"}}'
    )
    bench.feed(answer, replay)
    assert bench.count(catalog.RESUMES, outcome="partial") == 1
    assert bench.count(catalog.EVENT_GAPS) == 3
    assert bench.count(catalog.EVENTS_REPLAYED) == 1
    assert bench.count(catalog.MESSAGE_DELAY) == 0, "a replay is late on purpose"
    assert bench.sink.resume_from() == "e-6"


async def test_a_source_that_never_answers_is_an_outcome_too() -> None:
    bench = Bench()
    bench.sink.snapshot(KNOWN[0], bench.clock.wall(), polling=False)
    bench.sink.on_open(bench.clock.wall(), two_way=True)
    await bench.clock.advance(9.0)
    bench.feed('{"type":"ping"}')
    assert bench.count(catalog.RESUMES) == 0
    await bench.clock.advance(1.0)
    bench.feed('{"type":"ping"}')
    assert bench.count(catalog.RESUMES, outcome="none") == 1


def test_replays_that_nobody_marked_do_not_distort_the_delays() -> None:
    """A source with ids of its own replays what `Last-Event-ID` asked for, as if it had just happened."""
    bench = Bench()
    bench.state.cursor.note_id("17")
    bench.sink.on_open(bench.clock.wall(), two_way=False)
    late = EVENT.replace("22:13:19Z", "22:03:19Z")
    now = EVENT.replace("22:13:19Z", "22:13:20Z")
    bench.feed(late % "1", late % "2", now % "3", late % "4")
    assert bench.count(catalog.EVENTS_REPLAYED) == 2
    assert bench.count(catalog.MESSAGE_DELAY) == 2, "the search for replays has ended with the first live message"


def test_a_hole_is_asked_for_and_only_what_cannot_be_had_is_a_gap() -> None:
    bench = Bench()
    bench.sink.snapshot(KNOWN[0], bench.clock.wall(), polling=False)
    jump = '{"type":"event","id":"e-9","data":{"id":"9","event_type":"info"}}'
    assert bench.feed(jump).fill
    assert bench.sink.missing_after() == "e-2"
    rows = [{"id": number, "event_type": "info"} for number in (5, 6)]
    assert bench.sink.page("e-2", page(json.dumps(rows), "e-6", "2", "true"), bench.clock.wall())
    assert bench.count(catalog.EVENT_GAPS) == 2, "lost, says the source"
    assert bench.sink.missing_after() == "e-6"
    assert not bench.sink.page("e-6", None, bench.clock.wall())
    assert bench.count(catalog.EVENT_GAPS) == 4
    assert bench.sink.missing_after() is None
    assert bench.sink.resume_from() == "e-9"


# Limits

SMALL = Limits(max_projects=2, max_anomalies=1, max_event_series=2, max_event_ids=100)
OVERVIEW = json.dumps({
    "projects": [{"id": f"p{n}"} for n in range(5)],
    "anomalies": [{"id": f"a{n}"} for n in range(5)],
    "events": [{"id": str(n), "project": f"p{n}", "event_type": "info"} for n in range(5)],
})  # fmt: skip
LEFT_OUT = {"projects": 3, "anomalies": 4, "event_labels": 3}


@pytest.mark.parametrize("how", ["stream", "snapshot", "page"])
def test_what_limits_leave_out_is_counted_whichever_way_it_came(how: str) -> None:
    bench = Bench(SMALL)
    if how == "stream":
        bench.feed('{"type":"update","data":' + OVERVIEW + "}")
    elif how == "snapshot":
        bench.sink.snapshot(OVERVIEW.encode(), bench.clock.wall(), polling=True)
    else:
        bench.sink.snapshot(b'{"metrics":{},"cursor":"e-2"}', bench.clock.wall(), polling=True)
        bench.sink.snapshot(b'{"metrics":{},"cursor":"e-9"}', bench.clock.wall(), polling=True)
        bench.sink.page("e-2", page(OVERVIEW, "e-9"), bench.clock.wall())
    counted = {kind: bench.count(catalog.STREAM_DROPPED, kind=kind) for kind in catalog.DROPPED}
    assert {kind: count for kind, count in counted.items() if count} == LEFT_OUT


def test_event_ids_that_are_forgotten_are_counted() -> None:
    bench = Bench(SMALL)
    for number in range(300):
        bench.feed(EVENT % number)
    assert bench.count(catalog.STREAM_DROPPED, kind="event_ids") == 200


def test_an_id_that_no_header_could_take_is_not_resumed_from() -> None:
    bench = Bench()
    for event_id in ("x" * 4096, "y" * 4097):
        bench.sink.receive(Received([], 9, last_event_id=event_id), bench.clock.wall())
    assert bench.sink.resume_from() == "x" * 4096
    assert bench.count(catalog.STREAM_DROPPED, kind="positions") == 1


def test_an_event_that_says_by_its_name_that_the_source_lives_is_a_sign_of_life_and_no_message() -> None:
    bench = Bench()
    assert bench.feed(NamedEvent("heartbeat", b"{}")).silent
    assert bench.count(catalog.MESSAGES) == bench.count(catalog.DECODE_ERRORS) == 0
    assert bench.state.view(bench.clock.wall()).flow is DataFlow.IDLE
    assert bench.feed(NamedEvent("ping", b'{"type":"ping"}')).replies == (PONG,)
    assert not bench.feed(NamedEvent("ping", b"{}"), "{").silent


def test_a_position_that_is_too_long_is_none() -> None:
    bench = Bench()
    bench.feed('{"type":"event","id":"%s-5","data":{"id":"1","event_type":"x","project":"p"}}' % ("e" * 200))
    assert bench.sink.resume_from() == ""
    assert bench.count(catalog.DECODE_ERRORS, reason="too_long") == 1


def test_what_an_error_says_is_cut_before_anybody_keeps_it() -> None:
    failure = Bench().feed(ERROR.replace("m", "m" * 100_000) % "AUTH_REQUIRED").failure
    assert failure is not None
    assert len(failure.detail) <= 1100


@pytest.mark.parametrize("quick", [True, False])
def test_an_event_is_held_to_the_limits_on_the_quick_way_and_on_the_other(quick: bool) -> None:
    bench = Bench(Limits(max_event_bytes=300, max_json_depth=2))
    head = '{"type":"event","timestamp":"2023-11-14T22:13:19Z","data":{"id":%s,"event_type":"info","project":"p",'
    ids = ('"1"', '"2"', '"3"', '"4"') if quick else ("1", "2", "3", "4")
    bodies = (
        '"message":"%s"}}' % ("m" * 301),
        '"metadata":{"a":"%s"}}}' % ("m" * 300),
        '"metadata":{"a":{"b":{}}}}}',
        '"metadata":{"a":{"b":"{{{"}}}}',
    )
    bench.feed(*[head % event_id + body for event_id, body in zip(ids, bodies, strict=True)])
    newest, deep, long, first = bench.state.view(bench.clock.wall()).events
    assert first.message == "m" * 300
    assert [event.metadata for event in (long, deep)] == [b"{}", b"{}"]
    assert newest.metadata == b'{"a":{"b":"{{{"}}'
    assert bench.count(catalog.DECODE_ERRORS, reason="too_long") == 2
    assert bench.count(catalog.DECODE_ERRORS, reason="too_deep") == 1


def test_other_limits_hold_for_everything_from_now_on() -> None:
    bench = Bench()
    bench.feed(*[EVENT % number for number in range(50)])
    bench.sink.configure(stream_settings(url="http://iris.test/", max_events=2, max_event_bytes=256))
    bench.feed((EVENT % "last").replace('"project":"p"', '"project":"p","message":"%s"' % ("m" * 300)))
    events = list(bench.state.view(bench.clock.wall()).events)
    assert [event.id for event in events] == ["last", "49"]
    assert events[0].message == "m" * 256
    assert bench.instruments.limits.max_events == 2
