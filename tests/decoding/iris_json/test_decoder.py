"""Envelopes: every type, every trap in a field, and what is noted about it."""

import re
from typing import Any

import msgspec
import pytest

from iris_exporter.core.positions import Outcome
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.decoding.iris_json.objects import JsonObject, fields_of, read_fields
from iris_exporter.decoding.json_text import MAX_METADATA_DEPTH
from iris_exporter.decoding.messages import (
    MESSAGE_TYPES,
    OLDER_EVENT_TYPES,
    Event,
    EventMessage,
    Message,
    Ping,
    Pong,
    Resumed,
    Unknown,
    Update,
    UpstreamError,
)
from iris_exporter.decoding.problems import MAX_PATHS, Problems
from iris_exporter.decoding.values import MAX_LABEL_CHARS
from iris_exporter.errors import DecodeError
from tests.decoding.envelopes import (
    EVENT,
    MOMENT,
    decode,
    decode_event,
    decode_in_part,
    decode_one,
    encoded,
    envelope,
    event_with,
)

# Types


def test_an_event_is_decoded_with_all_it_says() -> None:
    assert decode(envelope(id="k3v-12", replay=True)) == EventMessage(
        Event("evt-1", MOMENT, "triage-bot", "evaluation", "info", "18 of 20", b'{"run":7}'),
        timestamp=MOMENT + 0.25,
        replay=True,
        position="k3v-12",
    )


@pytest.mark.parametrize("kind", ["update", "telemetry"])
def test_an_update_says_which_type_it_came_as(kind: str) -> None:
    message = decode(envelope({"metrics": {"total_projects": 3}}, kind, id="k3v-9"))
    assert isinstance(message, Update)
    assert (message.message_type, message.timestamp, message.position) == (kind, MOMENT + 0.25, "k3v-9")
    assert message.overview.metrics is not None
    assert message.overview.metrics.projects == 3
    assert message.overview.metrics.runs_today is None
    assert message.overview.projects is None


def test_an_empty_list_is_said_and_a_missing_one_is_not() -> None:
    message = decode(envelope({"projects": [], "anomalies": None}, "update"))
    assert isinstance(message, Update)
    assert message.overview.projects == ()
    assert message.overview.anomalies is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"type":"ping"}', Ping()),
        (b'{"type":"ping","timestamp":[],"data":1}', Ping()),
        (b'{"type":"heartbeat"}', Ping()),
        (b'{"type":"pong"}', Pong()),
        (
            b'{"type":"error","error":{"code":"AUTH_REQUIRED","message":"no key"}}',
            UpstreamError("AUTH_REQUIRED", "no key"),
        ),
        (b'{"type":"error","error":{"code":"X","retryAfter":"1.5"}}', UpstreamError("X", "", 1.5)),
        (b'{"type":"error","data":{"code":"X","retry_after":2}}', UpstreamError("X", "", 2.0)),
        (b'{"type":"error","error":"overloaded"}', UpstreamError("", "overloaded")),
        (b'{"type":"error"}', UpstreamError("")),
        (
            b'{"type":"resumed","data":{"outcome":"full","replayed":2,"missed":0,"epoch":"k","lastEventId":"k-4"}}',
            Resumed(Outcome.FULL, 2, 0, "k", "k-4"),
        ),
        (b'{"type":"resumed","outcome":"none"}', Resumed(Outcome.NONE)),
        (b'{"type":"resumed","outcome":"unknown"}', Resumed(Outcome.NONE)),
        (b'{"type":"resumed","outcome":"no-such-outcome"}', Resumed(Outcome.NONE)),
        (b'{"type":"subscribed"}', Unknown("subscribed")),
        (b'{"type":""}', Unknown("")),
    ],
)
def test_control_messages(data: bytes, message: Message) -> None:
    assert decode(data) == message


def test_an_unknown_type_is_cut_and_counted_as_one_type() -> None:
    message = decode(encoded({"type": "x" * 10_000}))
    assert isinstance(message, Unknown)
    assert len(message.type) < 100
    assert message.message_type == "unknown"


def test_a_retry_hint_that_is_no_number_is_left_out() -> None:
    message, problems = decode_in_part(b'{"type":"error","error":{"code":"X","retryAfter":-5}}')
    assert message == UpstreamError("X")
    assert problems == [("out_of_range", "$.error.retryAfter")]


@pytest.mark.parametrize("kind", OLDER_EVENT_TYPES)
def test_a_named_change_is_an_event_of_that_type(kind: str) -> None:
    message = decode(envelope({"project": "a", "from": "x"}, kind))
    assert isinstance(message, EventMessage)
    assert message.message_type == kind
    assert message.event.event_type == kind
    assert message.event.timestamp == MOMENT + 0.25
    assert msgspec.json.decode(message.event.metadata) == {"project": "a", "from": "x"}


@pytest.mark.parametrize("data", [{"id": "a", "status": "OK"}, {"project": {"id": "a", "status": "OK"}}])
def test_a_project_update_is_a_partial_project(data: Any) -> None:
    message = decode(envelope(data, "project_update"))
    assert isinstance(message, Update)
    assert message.overview.projects is not None
    assert [(project.id, project.status) for project in message.overview.projects] == [("a", "ok")]


def test_a_project_update_that_names_no_project_is_an_event() -> None:
    message = decode(envelope({"message": "re-indexed"}, "project_update"))
    assert isinstance(message, EventMessage)
    assert message.event.event_type == "project_update"


def test_an_anomaly_without_an_id_keeps_its_made_one_when_it_is_resolved() -> None:
    anomaly = {"project": "a", "type": "drift", "metric": "m", "value": 3}
    opened = decode(envelope(anomaly, "anomaly_detected"))
    resolved = decode(envelope({**anomaly, "value": 1, "resolved": True}, "anomaly_detected"))
    assert isinstance(opened, Update)
    assert isinstance(resolved, Update)
    assert opened.overview.anomalies is not None
    assert resolved.overview.anomalies is not None
    assert opened.overview.anomalies[0].id == resolved.overview.anomalies[0].id
    assert resolved.overview.anomalies[0].resolved


OF_SUBSCRIPTIONS = ("delta", "subscribed")


@pytest.mark.parametrize("kind", [kind for kind in MESSAGE_TYPES if kind not in OF_SUBSCRIPTIONS])
def test_every_type_carries_its_name_for_counting(kind: str) -> None:
    data = {"id": "a"}
    assert decode(envelope(data, kind)).message_type == kind


# Traps in fields


@pytest.mark.parametrize(("sent", "text"), [(7, "7"), (7.0, "7"), ("7", "7"), (2**70, str(2**70))])
def test_an_event_id_may_be_a_number(sent: Any, text: str) -> None:
    assert decode_event(event_with(id=sent)).id == text


@pytest.mark.parametrize("sent", [None, ""])
def test_an_event_without_an_id_gets_one_from_what_it_says(sent: Any) -> None:
    event = decode_event(event_with(id=sent))
    assert event.id.startswith("~")
    assert decode_event(event_with(id=sent)).id == event.id
    assert decode_event(event_with(id=sent, timestamp="2026-11-23T10:15:00.000+01:00")).id == event.id
    for field in ("project", "event_type", "message"):
        assert decode_event(event_with(id=sent, **{field: "another"})).id != event.id
    assert decode_event(event_with(id=sent, timestamp="2026-11-23T09:15:01Z")).id != event.id


@pytest.mark.parametrize(
    "moment",
    [
        "2026-11-23T09:15:00Z",
        "2026-11-23T09:15:00.000Z",
        "2026-11-23T09:15:00.000000+00:00",
        "2026-11-23T09:15:00",
        "2026-11-23 09:15:00",
        "2026-11-23T10:15:00+0100",
        "20261123T091500.000Z",
        1795425300,
        1795425300000,
        "1795425300",
    ],
)
def test_moments_come_with_and_without_fraction_and_offset(moment: Any) -> None:
    assert decode_event(event_with(timestamp=moment)).timestamp == MOMENT
    message = decode(encoded({"type": "event", "timestamp": moment, "data": {**EVENT, "timestamp": None}}))
    assert isinstance(message, EventMessage)
    assert message.timestamp == message.event.timestamp == MOMENT


def test_neighbours_in_one_second_keep_their_fractions() -> None:
    """The decoder remembers the last second it read; nothing of a fraction may stick to it."""
    decoder = IrisJson()
    for text, fraction in [
        ("2026-11-23T09:15:00.567Z", 0.567),
        ("2026-11-23T09:15:00Z", 0.0),
        ("2026-11-23T09:15:00.001Z", 0.001),
        ("20261123T091500.567Z", 0.567),
        ("20261123T091500.567Z", 0.567),
        ("2026-11-23T09:15:00.567891Z", 0.567891),
        ("2026-11-23T09:15:00.5Z", 0.5),
    ]:
        message = decode_one(decoder, encoded({"type": "event", "data": {**EVENT, "timestamp": text}}))
        assert isinstance(message, EventMessage)
        assert message.timestamp == MOMENT + fraction


def test_the_event_stands_in_for_the_envelope_and_the_other_way_round() -> None:
    without = decode(encoded({"type": "event", "data": EVENT}))
    assert isinstance(without, EventMessage)
    assert without.timestamp == MOMENT
    assert decode_event(event_with(timestamp=None)).timestamp == MOMENT + 0.25


def test_a_moment_that_cannot_be_read_costs_only_itself() -> None:
    message, problems = decode_in_part(event_with(timestamp="yesterday"))
    assert isinstance(message, EventMessage)
    assert message.event.timestamp == MOMENT + 0.25
    assert problems == [("not_a_timestamp", "$.data.timestamp")]


def test_null_stands_for_missing_everywhere() -> None:
    nothing = dict.fromkeys(EVENT)
    event = decode_event(envelope({**nothing, "id": "evt-1"}))
    assert event == Event("evt-1", MOMENT + 0.25)
    message = decode(envelope({"metrics": {"total_projects": None}, "projects": [{**nothing, "id": "a"}]}, "update"))
    assert isinstance(message, Update)


@pytest.mark.parametrize(
    ("sent", "stored"), [("WARNING", "warning"), (" Error ", "error"), ("high", "high"), ("", "info")]
)
def test_a_severity_is_lower_cased_and_otherwise_as_sent(sent: str, stored: str) -> None:
    assert decode_event(event_with(severity=sent)).severity == stored


def test_details_are_metadata() -> None:
    event = {key: value for key, value in EVENT.items() if key != "metadata"}
    assert decode_event(envelope({**event, "details": {"a": 1}})).metadata == b'{"a":1}'
    assert decode_event(envelope(event)).metadata == b"{}"


@pytest.mark.parametrize("sent", ["text", 5, [1], True])
def test_metadata_that_is_no_object_is_left_out(sent: Any) -> None:
    message, problems = decode_in_part(event_with(metadata=sent))
    assert isinstance(message, EventMessage)
    assert message.event.metadata == b"{}"
    assert problems == [("not_an_object", "$.data.metadata")]


def test_metadata_nested_too_deep_is_left_out() -> None:
    nested: Any = {}
    for _ in range(MAX_METADATA_DEPTH - 1):
        nested = {"a": nested}
    assert decode_event(event_with(metadata=nested)).metadata == encoded(nested)
    message, problems = decode_in_part(event_with(metadata={"a": nested}))
    assert isinstance(message, EventMessage)
    assert (message.event.metadata, problems) == (b"{}", [("too_deep", "$.data.metadata")])


def test_brackets_in_texts_are_no_nesting() -> None:
    metadata = {"a": '[{"' * 200, "b": "\\"}
    assert msgspec.json.decode(decode_event(event_with(metadata=metadata)).metadata) == metadata


@pytest.mark.parametrize("field", ["event_type", "severity"])
def test_a_label_is_cut_to_a_length_that_can_be_shown_and_different_ones_stay_different(field: str) -> None:
    shown = set()
    for end in ("a", "b"):
        message, problems = decode_in_part(event_with(**{field: "x" * MAX_LABEL_CHARS + end}))
        assert isinstance(message, EventMessage)
        assert problems == [("too_long", f"$.data.{field}")]
        shown.add(getattr(message.event, field))
    assert len(shown) == 2
    assert all(re.fullmatch("x{183}~[0-9a-f]{16}", text) for text in shown)


def test_the_project_of_an_event_is_shortened_as_the_id_of_the_project_is() -> None:
    name = "x" * (MAX_LABEL_CHARS + 1)
    message, problems = decode_in_part(event_with(project=name))
    assert problems == [("too_long", "$.data.project")]
    update, _ = decode_in_part(envelope({"projects": [{"id": name}], "anomalies": [{"project": name}]}, "update"))
    assert isinstance(message, EventMessage)
    assert isinstance(update, Update)
    (project,), (anomaly,) = update.overview.projects or (), update.overview.anomalies or ()
    assert message.event.project == project.id == anomaly.project


TOO_LONG = {
    "the name of a project": ({"projects": [{"id": "p", "name": "x" * 201}]}, "$.data.projects[0].name"),
    "the metric of an anomaly": ({"anomalies": [{"metric": "x" * 201}]}, "$.data.anomalies[0].metric"),
    "what an anomaly says": ({"anomalies": [{"description": "x" * 20_000}]}, "$.data.anomalies[0].description"),
    "what an event says": ({"events": [{**EVENT, "message": "x" * 20_000}]}, "$.data.events[0].message"),
    "the metadata of an event": ({"events": [{**EVENT, "metadata": {"a": "x" * 20_000}}]}, "$.data.events[0].metadata"),
}


@pytest.mark.parametrize(("data", "path"), TOO_LONG.values(), ids=TOO_LONG)
def test_nothing_is_kept_that_is_longer_than_the_limit(data: dict[str, Any], path: str) -> None:
    message, problems = decode_in_part(envelope(data, "update"))
    assert problems == [("too_long", path)]
    assert len(msgspec.json.encode(message)) <= 16 * 1024 + 1000


def test_numbers_for_texts_are_read() -> None:
    assert decode_event(event_with(project=12, message=3.5)) == Event(
        "evt-1", MOMENT, "12", "evaluation", "info", "3.5", b'{"run":7}'
    )


def test_a_bad_element_is_skipped_and_its_siblings_stay() -> None:
    data = {"projects": [{"name": "?"}, 5, {"id": "b"}], "events": [None, EVENT], "anomalies": ["x", {"id": "y"}]}
    message, problems = decode_in_part(envelope(data, "update"))
    assert isinstance(message, Update)
    overview = message.overview
    assert [project.id for project in overview.projects or ()] == ["b"]
    assert [event.id for event in overview.events or ()] == ["evt-1"]
    assert [anomaly.id for anomaly in overview.anomalies or ()] == ["y"]
    assert sorted(problems) == [
        ("no_id", "$.data.projects[0]"),
        ("not_an_object", "$.data.anomalies[0]"),
        ("not_an_object", "$.data.events[0]"),
        ("not_an_object", "$.data.projects[1]"),
    ]


def test_a_share_is_read_on_the_scale_of_its_field_in_the_document() -> None:
    """Health counts to 100 and success to 1 in one document, as the stream has it."""
    projects = [
        {"id": "a", "health_score": 87, "success_rate": 0.5},
        {"id": "b", "health_score": 1, "success_rate": 1},
        {"id": "c", "health_score": "12%", "success_rate": "87%"},
    ]
    message = decode(envelope({"metrics": {"avg_success_rate": 93}, "projects": projects}, "update"))
    assert isinstance(message, Update)
    assert message.overview.metrics is not None
    assert message.overview.metrics.success_ratio == 0.93
    assert [(project.health_ratio, project.success_ratio) for project in message.overview.projects or ()] == [
        (0.87, 0.5),
        (0.01, 1.0),
        (0.12, 0.87),
    ]


def test_a_position_may_be_a_number_and_a_replay_mark_a_word() -> None:
    message = decode(envelope(id=12, replay="true"))
    assert isinstance(message, EventMessage)
    assert (message.position, message.replay) == ("12", True)


def test_unusable_extras_of_the_envelope_are_left_out() -> None:
    message, problems = decode_in_part(envelope(id=[], replay="perhaps"))
    assert isinstance(message, EventMessage)
    assert (message.position, message.replay) == (None, False)
    assert problems == [("wrong_type", "$.replay"), ("wrong_type", "$.id")]


def test_unknown_fields_are_ignored() -> None:
    plain = decode(envelope())
    assert decode(envelope({**EVENT, "novelty": [1, {}]}, channel="events", sequence=5)) == plain


# Problems


def test_problems_are_counted_beyond_those_whose_place_is_kept() -> None:
    decoder = IrisJson()
    amount = MAX_PATHS * 3
    decode_one(decoder, envelope({"events": [0] * amount}, "update"))
    problems = decoder.problems.take()
    assert len(problems) <= MAX_PATHS + 1
    assert sum(problem.times for problem in problems) == amount
    assert not decoder.problems
    assert decoder.problems.take() == []


def test_problems_gather_until_they_are_taken() -> None:
    decoder = IrisJson()
    for _ in range(3):
        decode_one(decoder, event_with(metadata=5))
    assert decoder.problems
    assert decoder.problems.take() == [("not_an_object", "$.data.metadata", 3)]


def test_a_lost_message_does_not_disturb_the_next_one() -> None:
    decoder = IrisJson()
    with pytest.raises(DecodeError):
        decode_one(decoder, b'{"type":"update","data":5}')
    decode_one(decoder, event_with(metadata=5))
    assert [problem.path for problem in decoder.problems.take()] == ["$.data.metadata"]


class Depths(msgspec.Struct, frozen=True):
    """A message as the next one may be: fields and nothing else."""

    queue_depth: float | None = None
    dropped: int = 0
    after: str | None = None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, Depths()),
        ({"queueDepth": 12}, Depths(12.0)),
        ({"queue_depth": "12", "dropped": 3.0, "after": "e-9"}, Depths(12.0, 3, "e-9")),
        ({"queueDepth": None, "queue_depth": 7, "after": ""}, Depths(7.0)),
        ({"queueDepth": -1, "dropped": "many"}, Depths()),
    ],
)
def test_a_field_of_a_struct_is_all_that_a_new_field_of_a_message_needs(data: JsonObject, expected: Depths) -> None:
    """In either spelling, by its type; what cannot be used is noted and has its default."""
    problems = Problems()
    assert Depths(**read_fields(data, fields_of(Depths), problems)) == expected
    assert {problem.path for problem in problems.take()} == (
        {"$.queueDepth", "$.dropped"} if data.get("queueDepth") == -1 else set()
    )
