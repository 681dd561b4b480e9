"""A connection with a subscription: what is asked, what is granted, and what its messages mean."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from iris_exporter.core.positions import Outcome
from iris_exporter.decoding.dialect import Frame, Noted
from iris_exporter.decoding.iris_stream.dialect import IrisStream
from iris_exporter.decoding.messages import (
    Dropped,
    EventBatch,
    EventMessage,
    Message,
    Ping,
    Resumed,
    Subscribed,
    Unknown,
    Update,
    UpstreamError,
)
from iris_exporter.errors import DecodeError
from tests.settings import stream_settings

NOW = "2025-01-02T03:04:05.678Z"
ALL = {"delta": True, "priority": True, "batch": {"maxMessages": 100, "maxDelayMs": 100}, "debounceMs": 200}
MALFORMED: tuple[dict[str, Any], ...] = (
    {"type": "batch"},
    {"type": "batch", "messages": {}},
    {"type": "subscribed"},
    {"type": "delta", "seq": 1},
    {"type": "delta", "data": 7},
)


def dialect(**changes: Any) -> IrisStream:
    found = IrisStream()
    found.configure(stream_settings(url="ws://iris.test/api/stream", **changes))
    found.reset("")
    return found


def encoded(**envelope: Any) -> bytes:
    return json.dumps(envelope, separators=(",", ":")).encode()


def event(number: int, **more: Any) -> bytes:
    data = {"id": f"evt-{number}", "timestamp": NOW, "project": "p", "event_type": "info", "severity": "info"}
    return encoded(type="event", timestamp=NOW, **more, data=data)


def decode(source: IrisStream, *frames: Frame) -> list[Message | DecodeError]:
    found: list[Message | DecodeError] = []
    for each in source.decode(frames):
        found += each.messages() if isinstance(each, EventBatch) else [each]
    return found


def subscribed(source: IrisStream, granted: dict[str, Any] | None = None) -> IrisStream:
    (answer,) = decode(source, encoded(type="subscribed", timestamp=NOW, data=ALL if granted is None else granted))
    assert isinstance(answer, Subscribed)
    return source


def state(kind: str, seq: int | None = None, **data: Any) -> bytes:
    return encoded(type=kind, timestamp=NOW, data=data, **({} if seq is None else {"seq": seq}))


def runs(found: Sequence[Message | DecodeError]) -> list[float | None]:
    return [each.overview.metrics.runs_today for each in found if isinstance(each, Update) and each.overview.metrics]


def asked(message: object) -> dict[str, Any]:
    assert isinstance(message, bytes)
    found = json.loads(message)
    assert found["type"] == "subscribe"
    return dict(found["data"])


# Asking


def test_the_first_message_asks_and_names_the_position() -> None:
    (first,) = dialect().on_open("e-7")
    assert asked(first)["after"] == "e-7"
    (fresh,) = dialect(delta="off").on_open("")
    assert not {"after", "delta"} & set(asked(fresh))


def test_an_address_that_takes_no_subscription_is_plain_json() -> None:
    source = IrisStream()
    source.configure(stream_settings(url="ws://iris.test/api/stream/overview"))
    source.reset("iris.v1+protobuf")
    assert (source.subprotocols, source.compresses, source.extensions, source.missing_hint) == ((), False, None, "")
    assert source.stream_address("http://iris.test/api/stream/overview") == "http://iris.test/api/stream/overview"
    assert source.on_open("") == ()
    (resume,) = source.on_open("e-7")
    assert json.loads(resume if isinstance(resume, bytes) else b"")["type"] == "resume"
    batch = encoded(type="batch", messages=[{"type": "ping"}])
    assert decode(source, batch, encoded(type="delta", data={})) == [Unknown("batch"), Unknown("delta")]
    assert source.noted() == Noted()


def test_the_settings_of_a_stream_can_change() -> None:
    source = dialect()
    source.configure(stream_settings(url="ws://iris.test/api/stream/events"))
    assert source.extensions is None
    source.configure(stream_settings(url="http://iris.test/api/stream", compression="off", encoding="json"))
    assert (source.subprotocols, source.compresses, source.extensions) == (("iris.v1+json",), False, frozenset())


# The answer


def test_the_answer_says_what_is_granted_and_where_it_goes_on() -> None:
    source = dialect()
    resume = {"outcome": "partial", "replayed": 3, "missed": 2, "epoch": "e", "lastEventId": "e-9"}
    data = {**ALL, "encoding": "json", "position": "e-9", "resume": resume}
    extensions = frozenset({"delta", "priority", "batch", "debounce"})
    answer = Subscribed("e-9", extensions, Resumed(Outcome.PARTIAL, 3, 2, "e", "e-9"))
    assert decode(source, encoded(type="subscribed", timestamp=NOW, data=data)) == [answer]
    assert source.extensions == extensions
    source.reset("")
    assert source.extensions == frozenset(), "a new connection has granted nothing yet"


def test_a_source_that_refuses_a_field_is_asked_for_all_once() -> None:
    source = dialect()
    (first,) = source.on_open("")
    assert "fields" in asked(first)
    refusal = encoded(type="error", error={"code": "INVALID_REQUEST", "message": "fields.events: no such field"})
    assert isinstance(decode(source, refusal)[0], UpstreamError)
    assert "fields" not in asked(source.noted().request)
    decode(source, refusal)
    assert source.noted().request is None
    assert "fields" not in source.stream_address("http://iris.test/api/stream")


# Batches


def test_a_batch_is_its_messages_in_order() -> None:
    source = subscribed(dialect())
    messages = [event(1, id="e-1"), event(2, id="e-2"), state("update", 1, metrics={"total_runs_today": 5}), event(3)]
    batch = b'{"type":"batch","messages":[%s]}' % b",".join(messages)
    found = decode(source, event(0), batch, encoded(type="ping"))
    kinds = [each.event.id if isinstance(each, EventMessage) else type(each) for each in found]  # type: ignore[union-attr]
    assert kinds == ["evt-0", "evt-1", "evt-2", Update, "evt-3", Ping]
    assert source.noted().batches == [4]


def test_a_batch_in_another_spelling_brings_the_same() -> None:
    usual, other = subscribed(dialect()), subscribed(dialect())
    messages = [event(number, id=f"e-{number}") for number in range(1, 4)]
    compact = b'{"type":"batch","messages":[%s]}' % b",".join(messages)
    spaced = b'{ "messages": [ %s ], "type": "batch" }' % b" , ".join(messages)
    assert decode(usual, compact) == decode(other, spaced)
    assert usual.noted() == other.noted() == Noted([3])


@pytest.mark.parametrize("inner", [b'{"type":"batch","messages":[{"type":"ping"}]}', b'[{"type":"ping"}]', b"7"])
def test_what_is_no_message_inside_a_batch_is_not_taken_apart(inner: bytes) -> None:
    found = decode(subscribed(dialect()), b'{"type":"batch","messages":[{"type":"pong"},%s,{"type":"ping"}]}' % inner)
    assert [type(each).__name__ for each in found] in (["Pong", "DecodeError", "Ping"], ["Pong", "Unknown", "Ping"])


def test_a_batch_is_bounded() -> None:
    batch = b'{"type":"batch","messages":[%s]}' % b",".join([b'{"type":"ping"}'] * 10_001)
    *first, last = decode(subscribed(dialect()), batch)
    assert first == [Ping()] * 10_000
    assert isinstance(last, DecodeError)
    assert last.reason == "too_long"


@pytest.mark.parametrize("envelope", MALFORMED)
def test_what_is_broken_is_an_error_and_the_next_message_is_read(envelope: dict[str, Any]) -> None:
    broken, ping = decode(subscribed(dialect()), encoded(**envelope), encoded(type="ping"))
    assert isinstance(broken, DecodeError)
    assert ping == Ping()


def test_pings_in_a_batch_are_found_before_it_is_taken() -> None:
    source = subscribed(dialect())
    assert list(source.peek([encoded(type="batch", messages=[{"type": "ping"}])])) == [Ping()]
    assert source.noted() == Noted()


# Changes


def test_changes_become_whole_objects() -> None:
    source = subscribed(dialect())
    first = state("update", 1, metrics={"total_runs_today": 5}, projects=[{"id": "x", "health_score": 90, "name": "X"}])
    change = state("delta", 2, projects=[{"id": "x", "health_score": 1}])
    _, found = decode(source, first, change)
    assert isinstance(found, Update)
    assert found.message_type == "delta"
    assert found.overview.projects is not None
    assert found.overview.projects[0].name == "X"
    assert found.overview.metrics is None
    assert source.noted() == Noted()


@pytest.mark.parametrize("granted", [{}, {"delta": True}])
def test_the_first_update_after_each_answer_is_whole(granted: dict[str, Any]) -> None:
    source = dialect()
    for _ in range(2):
        subscribed(source, granted)
        found = decode(source, *(state("update", number, projects=[{"id": "a"}]) for number in (1, 2)))
        assert [each.is_whole for each in found if isinstance(each, Update)] == [True, False]


def test_what_is_gone_is_named() -> None:
    source = subscribed(dialect(), {"delta": True})
    gone = {"projects": ["a", 7, None, {}]}
    found = decode(source, state("update", 1, removed=gone), state("delta", 2, removed=gone))
    assert [each.overview.removed for each in found if isinstance(each, Update)] == [("a", "7")] * 2
    assert {problem.path for problem in source.problems.take()}


def test_a_missing_change_asks_for_everything_anew_once() -> None:
    source = subscribed(dialect())
    found = decode(
        source,
        state("update", 1, metrics={"total_runs_today": 5}),
        state("delta", 3, metrics={"total_runs_today": 7}),
        state("delta", 4, metrics={"total_runs_today": 8}),
        event(1),
    )
    assert runs(found) == [5], "what follows the gap is not believed"
    assert isinstance(found[-1], EventMessage), "events are"
    noted = source.noted()
    assert noted.losses == 1
    assert asked(noted.request)["delta"]
    assert "after" not in asked(noted.request)
    subscribed(source)
    assert runs(decode(source, state("update", 1, metrics={"total_runs_today": 9}))) == [9]
    assert runs(decode(source, state("delta", 2, metrics={"total_runs_today": 10}))) == [10]
    assert source.noted() == Noted()


def test_an_update_behind_a_gap_is_whole_and_is_used() -> None:
    source = subscribed(dialect())
    assert runs(decode(source, state("update", 5, metrics={"total_runs_today": 5}))) == [5]
    assert source.noted().losses == 1


def test_a_source_whose_changes_never_follow_is_asked_without() -> None:
    source = dialect()
    requests = []
    for _ in range(3):
        decode(subscribed(source), state("delta", 9, metrics={}))
        requests.append("delta" in asked(source.noted().request))
    assert requests == [True, True, False]
    source.reset("")
    assert "delta" not in asked(source.on_open("")[0]), "nor after a reconnect"


def test_changes_that_were_never_granted_do_not_become_objects() -> None:
    source = subscribed(dialect(delta="off"), {"priority": True})
    assert decode(source, state("delta", 1, metrics={"total_runs_today": 5})) == []
    assert source.noted().losses == 1
    assert decode(source, state("delta", 2, metrics={})) == []
    assert source.noted() == Noted(), "once for each subscription"


def test_a_replayed_update_has_no_number() -> None:
    source = subscribed(dialect())
    decode(source, encoded(type="update", timestamp=NOW, replay=True, id="e-3", data={"events": []}))
    decode(source, state("update", 1, metrics={}))
    assert source.noted() == Noted()


# Urgent and lost messages


def test_an_advance_copy_is_told_from_the_event_in_its_place() -> None:
    source = subscribed(dialect())
    early, usual, marked = decode(
        source, event(1, priority="high"), event(1, id="e-1"), event(2, id="e-2", priority="high")
    )
    assert isinstance(early, EventMessage)
    assert isinstance(usual, EventMessage)
    assert isinstance(marked, EventMessage)
    assert (early.is_advance, usual.is_advance, marked.is_advance) == (True, False, False)


def test_urgent_frames_are_advance_copies_alone() -> None:
    frames = [event(1), event(2, priority="high"), event(3, id="e-3", priority="high"), b'{"priority"', b"\xff"]
    assert dialect().urgent(frames) == [frames[1]]


def test_what_the_source_left_out_is_a_message() -> None:
    (found,) = decode(subscribed(dialect()), encoded(type="dropped", data={"events": 7, "from": "e-1", "to": "e-8"}))
    assert found == Dropped(7, "e-8")


# Documents


def test_of_documents_the_channels_that_are_wanted_are_read() -> None:
    body = encoded(
        metrics={}, projects=[{"id": "x"}], events=[{"id": "a", "event_type": "info"}], anomalies=[], cursor="e-1"
    )
    some = dialect(channels=("metrics", "projects")).decode_document(body)
    assert (some.events, some.anomalies, some.cursor) == (None, None, None)
    assert some.projects is not None
    assert dialect(channels=("metrics",)).decode_page(b"[]", {"Iris-Cursor": "e-1"}) is None
    everything = dialect().decode_document(body)
    assert everything.events is not None
    assert everything.cursor == "e-1"
    assert dialect().decode_page(b"[]", {"Iris-Cursor": "e-1"}) is not None
