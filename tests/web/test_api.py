"""The JSON API: keys, values, filters and switches."""

import io
import json
from typing import Any
from urllib.parse import quote

import pytest

from iris_exporter import logs
from iris_exporter.core.failures import Failure
from iris_exporter.core.redaction import Redactor
from iris_exporter.core.status import State
from iris_exporter.decoding.messages import Event
from iris_exporter.web.views import timestamp
from tests.web.support import NOON, Answer, FakeContext, link, picture, serving

KEYS = [
    "name", "url", "protocol", "state", "is_connected", "is_connecting", "using_fallback", "reconnect_attempt",
    "next_attempt_at", "last_update", "error", "failure", "last_failure_at", "state_changed_at", "data_flow",
    "encoding", "compression", "extensions", "last_message", "messages_total", "event_gaps_total", "last_resume",
    "delay",
]  # fmt: skip


def content(answer: Answer) -> Any:
    assert answer.type == "application/json; charset=utf-8"
    return json.loads(answer.body)


async def test_streams_are_listed_in_the_order_of_the_configuration_with_the_keys_of_the_contract() -> None:
    async with serving(FakeContext()) as get:
        streams = content(await get("/api/v1/streams"))
        assert [stream["name"] for stream in streams] == ["main", "other"]
        assert [list(stream) for stream in streams] == [KEYS, KEYS]
        assert content(await get("/api/v1/streams/other")) == streams[1]


@pytest.mark.parametrize(
    ("state", "flags"),
    [
        (State.LIVE, (True, False, False)), (State.CONNECTING, (False, True, False)),
        (State.POLLING, (False, False, True)), (State.ERROR, (False, False, False)),
        (State.DISCONNECTED, (False, False, False)),
    ],
)  # fmt: skip
async def test_a_stream_in_each_state(state: State, flags: tuple[bool, bool, bool]) -> None:
    context = FakeContext()
    context.controls["main"].link = link(
        state, attempt=2, next_attempt_at=NOON + 0.5, failure=Failure("dns", "gone"), failing_since=NOON - 60,
        last_failure_at=NOON - 2, state_changed_at=NOON - 30,
    )  # fmt: skip
    async with serving(context) as get:
        stream = content(await get("/api/v1/streams/main"))
    assert (stream["is_connected"], stream["is_connecting"], stream["using_fallback"]) == flags
    assert stream["state"] == state.value
    assert stream["reconnect_attempt"] == (0 if state is State.LIVE else 2)
    assert stream["next_attempt_at"] == "2023-11-14T22:13:20.500Z"
    assert stream["last_update"] == "2023-11-14T22:13:20.000Z"
    assert stream["error"] == "dns: gone"
    assert stream["failure"] == {"reason": "dns", "since": "2023-11-14T22:12:20.000Z"}
    assert stream["last_failure_at"] == "2023-11-14T22:13:18.000Z"
    assert stream["state_changed_at"] == "2023-11-14T22:12:50.000Z"


async def test_what_has_not_happened_is_null() -> None:
    context = FakeContext()
    context.controls["main"].picture = picture(last_data_timestamp=None, metrics=None, projects=(), events=())
    async with serving(context) as get:
        stream = content(await get("/api/v1/streams/main"))
        assert (stream["next_attempt_at"], stream["last_update"], stream["error"]) == (None, None, None)
        assert (stream["failure"], stream["last_failure_at"]) == (None, None)
        overview = content(await get("/api/v1/streams/main/overview"))
        assert (overview["metrics"], overview["projects"], overview["last_update"]) == (None, [], None)


async def test_an_error_text_never_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_redactor", Redactor())
    logs.protect("s3cret")
    context = FakeContext()
    context.controls["main"].link = link(State.ERROR, failure=Failure("unauthorized", "key s3cret was refused"))
    async with serving(context) as get:
        for path in ("/api/v1/streams", "/api/v1/streams/main", "/"):
            assert b"s3cret" not in (await get(path)).body


async def test_an_unknown_stream_is_a_404_that_names_the_known_ones() -> None:
    async with serving(FakeContext()) as get:
        for path, method in (("", "GET"), ("/overview", "GET"), ("/events", "GET"), ("/connect", "POST")):
            answer = await get(f"/api/v1/streams/mian{path}", method)
            assert answer.status == 404
            assert content(answer) == {
                "error": "no stream is named 'mian'; there are: main, other",
                "known": ["main", "other"],
            }


async def test_the_overview_has_the_names_of_the_wire_and_base_units() -> None:
    async with serving(FakeContext()) as get:
        overview = content(await get("/api/v1/streams/main/overview"))
    assert (overview["stream"], overview["stale"]) == ("main", False)
    assert overview["metrics"]["total_runs_today"] == 41
    assert overview["metrics"]["avg_success_rate"] == 0.93
    assert overview["metrics"]["active_experts"] is None
    assert overview["projects"][0] == {
        "id": "alpha", "name": "Alpha", "status": "healthy", "health_score": 0.9, "success_rate": None,
        "total_runs": None, "active_experts": None, "reflexions_count": None, "avg_latency_seconds": 0.25,
        "last_run": "2023-11-14T22:13:20.000Z",
    }  # fmt: skip
    assert overview["anomalies"][0]["severity"] == "critical"
    assert len(overview["events"]) == 100


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", [f"e{n}" for n in range(50)]),
        ("?limit=3", ["e0", "e1", "e2"]),
        ("?limit=100", [f"e{n}" for n in range(100)]),
        ("?limit=3&severity=warning", ["e0", "e5", "e10"]),
        ("?limit=2&project=alpha", ["e1", "e3"]),
        ("?severity=warning&project=beta&limit=2", ["e0", "e10"]),
        ("?severity=critical", []),
        ("?project=unknown", []),
        ("?unknown=1&limit=1", ["e0"]),
    ],
)
async def test_events_are_chosen_newest_first(query: str, ids: list[str]) -> None:
    async with serving(FakeContext()) as get:
        events = content(await get(f"/api/v1/streams/main/events{query}"))
    assert [event["id"] for event in events] == ids


async def test_all_events_that_a_stream_keeps_can_be_asked_for() -> None:
    context = FakeContext()
    events = tuple(
        Event(id=f"e{n}", timestamp=None, project="p", event_type="x", severity="info", message="m") for n in range(150)
    )
    context.controls["main"].picture = picture(events=events, max_events=1000)
    async with serving(context) as get:
        path = "/api/v1/streams/main/events"
        assert [len(content(await get(f"{path}?limit={limit}"))) for limit in (101, 149, 200, 1000)] == [
            *(101, 149, 150, 150)
        ]
        assert content(await get(f"{path}?limit=1001"))["expected"] == "a whole number from 1 to 1000"
        context.controls["main"].picture = picture(events=events[:10], max_events=10)
        assert len(content(await get(f"{path}?limit=100"))) == 10


async def test_an_event_is_as_on_the_wire() -> None:
    context = FakeContext()
    event = Event(id="7", timestamp=None, project="p", event_type="x", severity="odd", message="m",
                  metadata=b'{"deep":[1,{"a":null}]}')  # fmt: skip
    context.controls["main"].picture = picture(events=(event,))
    async with serving(context) as get:
        assert content(await get("/api/v1/streams/main/events?severity=odd")) == [
            {
                "id": "7", "timestamp": None, "project": "p", "event_type": "x", "severity": "odd", "message": "m",
                "metadata": {"deep": [1, {"a": None}]},
            }
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("limit", "0", "a whole number from 1 to 100"),
        ("limit", "101", "a whole number from 1 to 100"),
        ("limit", "-1", "a whole number from 1 to 100"),
        ("limit", "ten", "a whole number from 1 to 100"),
        ("limit", "", "a whole number from 1 to 100"),
        ("limit", "1.5", "a whole number from 1 to 100"),
        ("limit", "\u0661", "a whole number from 1 to 100"),
        ("limit", "9" * 5000, "a whole number from 1 to 100"),
        ("severity", "fatal", "one of critical, error, high, info, low, medium, warning"),
        ("severity", "", "one of critical, error, high, info, low, medium, warning"),
        ("project", "", "the id of a project"),
    ],
)
async def test_a_bad_value_is_a_400_that_names_parameter_and_expectation(name: str, value: str, expected: str) -> None:
    async with serving(FakeContext()) as get:
        answer = await get(f"/api/v1/streams/main/events?{name}={quote(value)}")
        assert answer.status == 400
        assert content(answer)["parameter"] == name
        assert content(answer)["expected"] == expected
        assert content(answer)["error"].startswith(f"{name}: got ")


@pytest.mark.parametrize("action", ["connect", "disconnect", "reset"])
async def test_a_switch_is_thrown_once_answers_the_stream_and_is_logged(action: str) -> None:
    stream = io.StringIO()
    logs.setup("info", "logfmt", stream)
    context = FakeContext()
    async with serving(context) as get:
        answer = content(await get(f"/api/v1/streams/main/{action}", "POST"))
    logs.setup("error", "logfmt", io.StringIO())
    assert list(answer) == KEYS
    assert context.controls["main"].calls == [action]
    assert not context.controls["other"].calls
    assert answer["state"] == {"connect": "connecting", "disconnect": "disconnected", "reset": "live"}[action]
    assert f"event=stream.switched stream=main action={action} remote=127.0.0.1" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, None), (0.0, "1970-01-01T00:00:00.000Z"), (1e99, None), (float("nan"), None), (float("inf"), None)],
)
def test_moments_that_no_calendar_has_are_null(seconds: float | None, text: str | None) -> None:
    assert timestamp(seconds) == text
