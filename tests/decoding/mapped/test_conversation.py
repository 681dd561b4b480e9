"""What is said to a source, for the presets that have something to say."""

import json

import pytest

from iris_exporter.core.failures import Failure
from iris_exporter.decoding.mapped.conversation import Conversation
from iris_exporter.decoding.mapped.dialect import MappedDialect
from iris_exporter.mapping import presets
from iris_exporter.mapping.paths import read_path
from iris_exporter.mapping.spec import CursorSpec, Entry, Mapping, OpenStep, Order, PlannedEnd, Resume, Role
from iris_exporter.mapping.templates import Fields, Template
from tests.decoding.mapped.specs import when

SECRETS = {"": "the-key"}


def opened(mapping: Mapping, **given: object) -> Conversation:
    return Conversation(mapping, secrets=SECRETS, **given)  # type: ignore[arg-type]


def test_home_assistant_is_told_the_key_when_it_asks_for_it() -> None:
    talk = opened(presets.load("home-assistant"))
    assert talk.begin() == []
    assert (talk.step, talk.timeout_seconds) == (0, 10.0)
    assert talk.take([b"{broken", b'{"type":"other"}']) == ([], None)
    sent, failure = talk.take([b'{"type":"auth_required","ha_version":"1"}'])
    assert ([json.loads(bytes(each)) for each in sent], failure) == (
        [{"type": "auth", "access_token": "the-key"}],
        None,
    )
    assert talk.step == 1
    sent, failure = talk.take([b'{"type":"auth_ok"}', b'{"type":"auth_invalid"}'])
    assert json.loads(bytes(sent[0])) == {"id": 1, "type": "subscribe_events", "event_type": "state_changed"}
    assert (talk.timeout_seconds, failure) == (None, None)
    heartbeat = presets.load("home-assistant").heartbeat
    assert heartbeat is not None
    assert [json.loads(talk.say(heartbeat.send))["id"] for _ in "ab"] == [2, 3]


def test_a_refusal_of_the_handshake_has_its_reason() -> None:
    talk = opened(presets.load("home-assistant"))
    talk.begin()
    _, failure = talk.take([b'{"type":"auth_required"}', b'{"type":"auth_invalid","message":"the-key is wrong"}'])
    assert failure is not None
    assert failure.reason == "unauthorized"
    assert "the-key" not in str(failure)


def test_an_error_message_ends_the_handshake() -> None:
    talk = opened(presets.load("home-assistant"))
    talk.begin()
    _, failure = talk.take([b'{"type":"result","success":false,"error":{"code":"x"}}'])
    assert failure is not None
    assert failure.reason == "handshake"


def test_several_steps_may_be_answered_in_one_piece() -> None:
    talk = opened(presets.load("socketio"))
    assert talk.begin() == []
    sent, failure = talk.take([b'0{"sid":"a"}', b'40{"sid":"b"}', b'42["x",1]'])
    assert (sent, failure, talk.timeout_seconds) == ([b"40"], None, None)
    assert talk.replies_to([b"2", b'42["2"]', b"2"]) == [b"3", b"3"]


RESUMED = CursorSpec(
    read_path("$.seq"), Order.NUMBER, resume=Resume(message=Template(Fields((("op", 6), ("seq", "${cursor}")))))
)


def test_a_resume_by_message_follows_the_steps() -> None:
    steps = (OpenStep(send=Template("hello ${param.room}")), OpenStep(await_=(when("$.ok", equals=True),)))
    mapping = Mapping("m", "m", open=steps, cursor=RESUMED)
    talk = opened(mapping, cursor="41", parameters={"room": "r1"})
    assert talk.begin() == [b"hello r1"]
    assert talk.take([b'{"ok":true}']) == ([b'{"op":6,"seq":"41"}'], None)
    assert opened(Mapping("m", "m", cursor=RESUMED), cursor="41").begin() == [b'{"op":6,"seq":"41"}']
    assert opened(Mapping("m", "m", cursor=RESUMED)).begin() == []


def test_what_ends_a_stream_and_what_wants_an_answer_are_noted() -> None:
    entries = (
        Entry("ping", Role.HEARTBEAT, when=(when("$.t", equals="ping"),), reply=Template("pong")),
        Entry("end", Role.END, when=(when("$.t", equals="end"),)),
    )
    dialect = MappedDialect(Mapping("m", "m", entries=entries))
    dialect.reset()
    dialect.on_open("")
    list(dialect.decode([b'{"t":"ping"}']))
    noted = dialect.noted()
    assert (noted.reply, noted.end, noted.messages) == (b"pong", None, {"ping": 1})
    assert dialect.noted().reply is None
    list(dialect.decode([b'{"t":"end"}']))
    assert dialect.noted().end == Failure("planned_end", "the source ends the stream")


@pytest.mark.parametrize(
    ("failure", "seconds", "is_planned"),
    [
        (Failure("closed"), 3_600, True),
        (Failure("going_away", close_code=1001), 4_000, True),
        (Failure("closed"), 3_599, False),
        (Failure("timeout"), 4_000, False),
        (Failure("protocol_error", close_code=4999), 1, True),
        (Failure("protocol_error", close_code=4998), 4_000, False),
    ],
)
def test_an_end_is_planned_by_its_code_or_after_its_time(failure: Failure, seconds: float, *, is_planned: bool) -> None:
    mapping = Mapping("m", "m", planned_end=PlannedEnd(close_codes=frozenset({4999}), after_seconds=3_600))
    assert MappedDialect(mapping).ends_as_planned(failure, seconds) is is_planned
