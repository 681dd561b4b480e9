"""The server's side of `graphql-transport-ws`, message by message."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.backend.graphql import protocol
from iris_exporter.backend.graphql.protocol import Close, Machine, Send, Start, Stop

INIT = {"type": "connection_init"}
REQUEST = {"query": "{ projects { id } }"}


def subscribe(operation: Any = "1", **changes: Any) -> dict[str, Any]:
    return {"id": operation, "type": "subscribe", "payload": REQUEST} | changes


def fed(*messages: Any) -> list[Any]:
    machine = Machine()
    return [machine.feed(json.dumps(message)) for message in messages]


def test_a_conversation() -> None:
    assert fed(INIT, subscribe(), {"type": "ping"}, {"type": "pong"}, {"id": "1", "type": "complete"}) == [
        Send({"type": "connection_ack"}),
        Start("1", REQUEST),
        Send({"type": "pong"}),
        None,
        Stop("1"),
    ]


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([subscribe()], 4401),
        ([INIT, INIT], 4429),
        ([INIT, subscribe(), subscribe()], 4409),
        ([INIT, {"type": "unknown"}], 4400),
        ([INIT, {"id": "1"}], 4400),
        ([INIT, []], 4400),
        ([INIT, "text"], 4400),
        ([INIT, subscribe(7)], 4400),
        ([INIT, subscribe("")], 4400),
        ([INIT, subscribe("x" * 201)], 4400),
        ([INIT, subscribe(payload=None)], 4400),
        ([INIT, subscribe(payload=[])], 4400),
        ([INIT, {"type": "complete"}], 4400),
        ([{"type": "connection_init", "payload": 7}], 4400),
        ([{"type": "ping", "payload": "x"}], 4400),
        ([{"type": "next", "id": "1", "payload": {}}], 4400),
        ([{"type": ["subscribe"]}], 4400),
    ],
)
def test_a_violation_closes_with_its_code(messages: list[Any], code: int) -> None:
    *before, last = fed(*messages)
    assert not any(isinstance(action, Close) for action in before)
    assert isinstance(last, Close)
    assert last.code == code
    assert len(last.reason.encode()) <= 123


@pytest.mark.parametrize(
    "data", ["", "{", "nul", '{"type":"ping"', "[" * 100_000, b"\x00", b'{"type":"ping"}', "\ud800"]
)
def test_what_is_no_json_text_is_invalid(data: str | bytes) -> None:
    assert Machine().feed(data) == protocol.INVALID


def test_the_reason_of_a_long_id_fits_into_a_close_frame() -> None:
    name = "ü" * 200
    action = fed(INIT, subscribe(name), subscribe(name))[-1]
    assert action == Close(4409, "Subscriber for this id already exists")


def test_an_id_may_be_used_again_after_its_end() -> None:
    assert isinstance(fed(INIT, subscribe(), {"id": "1", "type": "complete"}, subscribe())[-1], Start)
    machine = Machine()
    for message in (INIT, subscribe()):
        machine.feed(json.dumps(message))
    machine.ended("1")
    assert machine.feed(json.dumps({"id": "1", "type": "complete"})) is None
    assert isinstance(machine.feed(json.dumps(subscribe())), Start)


def test_operations_of_a_socket_are_bounded() -> None:
    actions = fed(INIT, *(subscribe(str(number)) for number in range(protocol.MAX_OPERATIONS + 1)))
    assert all(isinstance(action, Start) for action in actions[1:-1])
    refused = actions[-1].message
    assert refused["type"] == "error"
    assert refused["payload"][0]["extensions"] == {"code": "RATE_LIMIT_EXCEEDED"}


def test_the_payload_of_a_ping_comes_back() -> None:
    assert fed({"type": "ping", "payload": {"a": 1}}) == [Send({"type": "pong", "payload": {"a": 1}})]


@given(st.lists(st.recursive(st.none() | st.integers() | st.text(), lambda each: st.lists(each) | st.dictionaries(
    st.sampled_from(["type", "id", "payload", "query"]) | st.text(), each | st.sampled_from(
        ["connection_init", "subscribe", "complete", "ping"])), max_leaves=8), max_size=6))  # fmt: skip
def test_any_json_is_an_action_or_nothing(messages: list[Any]) -> None:
    machine = Machine()
    for message in messages:
        action = machine.feed(json.dumps(message))
        assert action is None or isinstance(action, Send | Start | Stop | Close)
        assert len(machine.operations) <= protocol.MAX_OPERATIONS
        if isinstance(action, Close):
            return
