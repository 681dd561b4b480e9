"""Frames of `graphql-transport-ws` to messages, and what is sent when."""

import json
from typing import Any

import pytest
from graphql import build_schema, parse, validate
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.backend.graphql.operations import Parameters, prepare
from iris_exporter.backend.graphql.schema import schema
from iris_exporter.core.failures import Failure
from iris_exporter.core.positions import Outcome
from iris_exporter.decoding.dialect import Binary, Frame
from iris_exporter.decoding.iris_graphql import operation
from iris_exporter.decoding.iris_graphql.dialect import IrisGraphql
from iris_exporter.decoding.messages import Dropped, EventMessage, Ping, Pong, Subscribed, Update, UpstreamError
from iris_exporter.errors import DecodeError
from tests.settings import stream_settings

ACK = b'{"type":"connection_ack"}'
EVENT = {
    "id": "e1",
    "timestamp": None,
    "project": "p",
    "event_type": "evaluation",
    "severity": "error",
    "metadata": None,
}


def dialect(**changes: Any) -> IrisGraphql:
    found = IrisGraphql()
    found.configure(stream_settings(**{"url": "http://iris.example/api/graphql", **changes}))
    found.reset("graphql-transport-ws")
    return found


def result(name: str, **members: Any) -> bytes:
    stream = {"__typename": name, "timestamp": "2025-01-02T03:04:05.678Z", **members}
    return json.dumps({"id": "1", "type": "next", "payload": {"data": {"stream": stream}}}).encode()


def decoded(*frames: Frame, of: IrisGraphql | None = None) -> list[Any]:
    return list((of or dialect()).decode(frames))


def test_the_document_fits_the_schema_and_its_limits() -> None:
    assert validate(schema(), parse(operation.DOCUMENT)) == []
    subscribe = json.loads(operation.subscribe({"priority": True, "debounceMs": 200, "delta": True}, "e-7"))
    payload = subscribe["payload"]
    assert payload["variables"] == {"priority": True, "debounceMs": 200, "after": "e-7"}
    asked = prepare(Parameters(payload["query"], payload["operationName"], payload["variables"])).options()
    assert (asked.after, asked.grant.debounce_ms, asked.grant.priority) == ("e-7", 200, True)
    assert build_schema


def test_the_subscription_follows_the_acknowledgement_once() -> None:
    it = dialect(channels=("events",))
    assert it.subprotocols == ("graphql-transport-ws",)
    assert it.on_open("e-7") == (operation.INIT,)
    assert it.request_for((b'{"type":"ping"}', b'{"type":"pong","payload":{"a":"connection_ack"}}')) is None
    request = it.request_for((ACK,))
    assert isinstance(request, bytes)
    variables = json.loads(request)["payload"]["variables"]
    assert variables["after"] == "e-7"
    assert variables["channels"] == ["events"]
    assert it.request_for((ACK,)) is None
    assert decoded(ACK, of=it) == []
    assert it.noted().request is None
    it.reset("graphql-transport-ws")
    it.on_open("")
    assert decoded(ACK, of=it) == []
    asked = it.noted().request
    assert isinstance(asked, bytes)
    assert json.loads(asked)["payload"]["variables"]["after"] is None
    assert it.noted().request is None


def test_results_are_the_messages_of_a_stream() -> None:
    it = dialect()
    subscribed, update, event, advance, dropped, error = decoded(
        result(
            "Subscribed",
            position="e-4",
            granted={"channels": ["events"], "priority": True},
            resume={"outcome": "partial", "replayed": 1, "missed": 2, "epoch": "e", "lastEventId": "e-4"},
        ),
        result(
            "Update", metrics={"total_projects": 6.0}, projects=[{"id": "p", "name": None}], events=None, anomalies=[]
        ),
        result("EventMessage", position="e-5", replay=True, advance=False, event=EVENT),
        result("EventMessage", position=None, replay=False, advance=True, event=EVENT),
        result("Dropped", count=3, **{"from": "e-5", "to": "e-8"}),
        result("ErrorMessage", code="SERVICE_UNAVAILABLE", message="away", retryAfter=None),
        of=it,
    )
    assert isinstance(subscribed, Subscribed)
    assert (subscribed.position, subscribed.extensions) == ("e-4", {"channels", "priority"})
    assert subscribed.resumed is not None
    assert (subscribed.resumed.outcome, subscribed.resumed.missed) == (Outcome.PARTIAL, 2)
    assert isinstance(update, Update)
    assert update.overview.metrics is not None
    assert update.overview.metrics.projects == 6
    assert (update.overview.events, update.overview.anomalies) == (None, ())
    assert update.overview.projects is not None
    assert isinstance(event, EventMessage)
    assert (event.position, event.replay, event.is_advance, event.event.severity) == ("e-5", True, False, "error")
    assert isinstance(advance, EventMessage)
    assert (advance.position, advance.is_advance) == (None, True)
    assert dropped == Dropped(3, "e-8")
    assert isinstance(error, UpstreamError)
    assert (error.code, error.message, error.retry_after_seconds) == ("SERVICE_UNAVAILABLE", "away", None)
    assert it.extensions == {"channels", "priority"}
    assert it.problems.take() == []


def test_signs_of_life() -> None:
    frames = (b'{"type":"ping","payload":{"a":1}}', b'{"type":"pong"}')
    assert decoded(*frames) == [Ping(), Pong()]
    assert list(dialect().peek((ACK, *frames))) == [Ping(), Pong()]


@pytest.mark.parametrize(
    ("errors", "code", "reason"),
    [
        ([{"message": "x", "extensions": {"code": "UNAUTHENTICATED"}}], "AUTH_REQUIRED", "unauthorized"),
        ([{"message": "x", "extensions": {"code": "FORBIDDEN"}}], "FORBIDDEN", "forbidden"),
        ([{"message": "x", "extensions": {"code": "RATE_LIMIT_EXCEEDED"}}], "RATE_LIMIT_EXCEEDED", "rate_limited"),
        ([{"message": "x", "extensions": {"code": "INVALID_REQUEST"}}], "INVALID_REQUEST", "http_client_error"),
        ([{"message": "x"}], "", "http_client_error"),
        ([], "", "http_client_error"),
        (None, "", "http_client_error"),
        ([{"message": 7, "extensions": []}], "", "http_client_error"),
    ],
)
def test_an_operation_that_is_refused_ends_the_link(errors: Any, code: str, reason: str) -> None:
    it = dialect()
    (found,) = decoded(json.dumps({"id": "1", "type": "error", "payload": errors}).encode(), of=it)
    assert found.code == code
    end = it.noted().end
    assert end is not None
    assert end.listed_reason == reason
    assert it.noted().end is None


def test_a_source_with_an_older_schema_is_asked_for_less() -> None:
    assert validate(schema(), parse(operation.OLDER_DOCUMENT)) == []
    it = dialect()
    it.on_open("e-7")
    assert operation.NEWEST in str(it.request_for((ACK,)))
    refusal = [{"message": "Cannot query field 'removed' on type 'Update'."}]
    frame = json.dumps({"id": "1", "type": "error", "payload": refusal}).encode()
    assert decoded(frame, of=it) == []
    noted = it.noted()
    assert noted.end is None
    assert isinstance(noted.request, bytes)
    payload = json.loads(noted.request)["payload"]
    assert operation.NEWEST not in payload["query"]
    assert payload["variables"]["after"] == "e-7"
    assert [type(each) for each in decoded(frame, of=it)] == [UpstreamError], "once"
    assert it.noted().end is not None


def test_what_is_gone_over_graphql() -> None:
    (found,) = decoded(result("Update", removed={"projects": ["a"]}))
    assert isinstance(found, Update)
    assert found.overview.removed == ("a",)


def test_a_completed_operation_ends_the_link_and_another_ones_end_does_not() -> None:
    it = dialect()
    decoded(b'{"id":"2","type":"complete"}', of=it)
    assert it.noted().end is None
    decoded(b'{"id":"1","type":"complete"}', of=it)
    assert it.noted().end == Failure("closed", "the source has completed the subscription")


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (Binary(b"{}"), "binary"),
        (b"{", "not_json"),
        (b"[]", "not_an_object"),
        (b"{}", "no_type"),
        (b'{"id":"1","type":"next"}', "not_an_object"),
        (b'{"id":"1","type":"next","payload":{}}', "no_data"),
        (b'{"id":"1","type":"next","payload":{"data":{"stream":[]}}}', "no_data"),
        (result("Update"), None),
        (result("EventMessage"), "no_data"),
    ],
)
def test_what_is_broken_is_named_and_the_rest_is_read(frame: Frame, reason: str | None) -> None:
    first, last = decoded(frame, b'{"type":"ping"}')
    assert last == Ping()
    assert isinstance(first, DecodeError) == (reason is not None)
    if isinstance(first, DecodeError):
        assert first.reason == reason


def test_errors_beside_data_are_reported_and_the_data_counts() -> None:
    message = json.loads(result("EventMessage", position="e-5", replay=False, advance=False, event=EVENT))
    message["payload"]["errors"] = [{"message": "no name"}]
    error, event = decoded(json.dumps(message).encode())
    assert isinstance(error, UpstreamError)
    assert isinstance(event, EventMessage)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda each: st.lists(each, max_size=3) |
    st.dictionaries(st.sampled_from(["id", "type", "payload", "data", "stream", "errors", "__typename", "event",
    "granted", "resume"]), each | st.sampled_from(["1", "next", "error", "Update", "EventMessage", "Subscribed",
    "Dropped", "ErrorMessage"]), max_size=4), max_leaves=15))  # fmt: skip
def test_anything_is_messages_or_errors(value: Any) -> None:
    it = dialect()
    wrapped = {"id": "1", "type": "next", "payload": {"data": {"stream": value}}}
    for each in (value, wrapped):
        frame = json.dumps(each).encode()
        it.request_for((frame,))
        list(it.peek((frame,)))
        list(it.decode((frame,)))
        it.noted()
