"""What may be asked for, by message and by query, and what is granted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.backend.objects import Anomaly, Event, Project
from iris_exporter.backend.options import FIELDS, Grant, OptionError, parse_options, query_options
from iris_exporter.core.subscriptions import CHANNELS
from iris_exporter.wire.objects import to_fields
from tests.wire.strategies import JSON, OPTIONS

NEARLY = st.dictionaries(
    st.sampled_from(
        ["channels", "projects", "severities", "fields", "delta", "batch", "debounceMs", "priority", "after"]
    ),
    JSON | st.dictionaries(st.sampled_from(["maxMessages", "maxDelayMs", "events"]), JSON),
)


def granted(**options: Any) -> dict[str, Any]:
    return parse_options(options).grant.document()


def test_nothing_asked_is_everything_plain() -> None:
    assert granted() == {"channels": list(CHANNELS)}
    assert parse_options({}).after is None


def test_what_is_granted_is_what_was_asked_as_far_as_it_is_known() -> None:
    asked: dict[str, Any] = {
        "channels": ["events", "projects"],
        "projects": ["b", "a", "b"],
        "severities": ["critical", "error"],
        "fields": {"projects": ["status", "name"], "events": ["severity"]},
        "delta": True,
        "batch": {"maxMessages": 10, "maxDelayMs": 0},
        "debounceMs": 200,
        "priority": True,
    }
    assert granted(**asked, sorcery=True, after="x-1") == {
        **asked,
        "channels": ["projects", "events"],
        "projects": ["a", "b"],
        "severities": ["error", "critical"],
        "fields": {"projects": ["id", "name", "status"], "events": ["id", "severity"]},
    }


def test_null_is_the_same_as_nothing() -> None:
    options = dict.fromkeys(["channels", "projects", "severities", "fields", "delta", "batch", "debounceMs", "after"])
    assert parse_options(options) == parse_options({})
    assert granted(batch={"maxMessages": None}) == granted(batch={})


def test_more_than_there_is_is_cut_to_the_bound() -> None:
    assert granted(batch={"maxMessages": 10**9, "maxDelayMs": 10**9})["batch"] == {
        "maxMessages": 1000,
        "maxDelayMs": 10_000,
    }
    assert granted(debounceMs=10**30)["debounceMs"] == 10_000


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"channels": []}, "channels"),
        ({"channels": "events"}, "channels"),
        ({"channels": ["events", "nope"]}, "channels"),
        ({"channels": ["Events"]}, "channels"),
        ({"channels": {"events": True}}, "channels"),
        ({"projects": [7]}, "projects"),
        ({"projects": ["x" * 201]}, "projects"),
        ({"projects": ["x"] * 1001}, "projects"),
        ({"severities": ["fatal"]}, "severities"),
        ({"fields": ["name"]}, "fields"),
        ({"fields": {"telemetry": ["id"]}}, "fields"),
        ({"fields": {"projects": ["id", "colour"]}}, "fields.projects"),
        ({"fields": {"projects": []}}, "fields.projects"),
        ({"fields": {"metrics": ["id"]}}, "fields.metrics"),
        ({"delta": 1}, "delta"),
        ({"delta": "true"}, "delta"),
        ({"priority": []}, "priority"),
        ({"batch": True}, "batch"),
        ({"batch": {"maxMessages": 1}}, "batch.maxMessages"),
        ({"batch": {"maxMessages": 2.5}}, "batch.maxMessages"),
        ({"batch": {"maxMessages": True}}, "batch.maxMessages"),
        ({"batch": {"maxDelayMs": -1}}, "batch.maxDelayMs"),
        ({"debounceMs": -1}, "debounceMs"),
        ({"debounceMs": "200"}, "debounceMs"),
        ({"after": 7}, "after"),
    ],
)
def test_what_cannot_be_granted_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_options(options)
    assert str(caught.value).startswith(f"{named}: expected ")


@pytest.mark.parametrize("options", [None, [], "delta", 7, True])
def test_options_are_an_object(options: object) -> None:
    with pytest.raises(OptionError, match=r"^data: expected an object"):
        parse_options(options)


def test_a_long_wrong_value_is_not_repeated_whole() -> None:
    with pytest.raises(OptionError) as caught:
        parse_options({"channels": ["x" * 90_000]})
    assert len(str(caught.value)) < 200


@given(NEARLY | JSON)
def test_any_options_are_granted_or_refused(options: Any) -> None:
    try:
        request = parse_options(options)
    except OptionError as problem:
        str(problem).encode("utf-8", "backslashreplace")
        return
    assert parse_options(request.grant.document()).grant == request.grant


def pairs(options: dict[str, Any]) -> list[tuple[str, str]]:
    """Options as a client would write them into a query."""
    found: list[tuple[str, str]] = []
    for key, value in options.items():
        nested = value if isinstance(value, dict) else {"": value}
        for name, part in nested.items():
            path = f"{key}.{name}".rstrip(".")
            parts = part if isinstance(part, list) else [part]
            found += [(path, str(each).lower() if isinstance(each, bool) else str(each)) for each in parts]
    return found


@given(OPTIONS)
def test_a_query_says_the_same_as_a_message(options: dict[str, Any]) -> None:
    try:
        expected = parse_options(options)
    except OptionError as problem:
        with pytest.raises(OptionError) as caught:
            parse_options(query_options(pairs(options)))
        assert str(caught.value).split(":")[0] == str(problem).split(":")[0]
        return
    if not options.get("fields") and "fields" in options:
        del options["fields"]
    if options.get("batch") == {}:
        return  # a query has no empty objects
    assert parse_options(query_options(pairs(options))) == expected


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ([("delta", "yes")], "delta"),
        ([("delta", "true"), ("delta", "false")], "delta"),
        ([("debounceMs", "")], "debounceMs"),
        ([("debounceMs", "1e3")], "debounceMs"),
        ([("debounceMs", "٣")], "debounceMs"),
        ([("batch.maxMessages", "many")], "batch.maxMessages"),
        ([("fields.projects", "colour")], "fields.projects"),
        ([("fields.", "id")], "fields"),
        ([("fields.telemetry", "id")], "fields"),
        ([("channels", "events,metrics")], "channels"),
        ([("after", "a-1"), ("after", "a-2")], "after"),
        ([("batch", "true")], "batch"),
        ([("batch", "1"), ("batch.maxMessages", "3")], "batch"),
        ([("fields.projects", "id"), ("fields", "id")], "fields"),
    ],
)
def test_a_wrong_parameter_is_named(query: list[tuple[str, str]], named: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_options(query_options(query))
    assert str(caught.value).startswith(f"{named}: expected ")


def test_unknown_parameters_are_ignored() -> None:
    assert query_options([("api_key", "k"), ("batch.sorcery", "1"), ("batch[]", "1"), ("field", "1"), ("", "")]) == {}


def test_filters() -> None:
    event = Event("e", "", "a", "info", "error", "", {})
    project = Project("a", "A", "healthy", 1.0, None, 1, 1.0, 1, 1, 1.0)
    anomaly = Anomaly("n", "", "a", "", "critical", "", 1.0, 1.0, 0.0, "", False)
    for options, expected in (
        ({}, (True, True, True)),
        ({"channels": ["metrics"]}, (False, True, True)),
        ({"projects": ["a"]}, (True, True, True)),
        ({"projects": ["b"]}, (False, False, False)),
        ({"severities": ["error"]}, (True, True, False)),
        ({"severities": ["critical"]}, (False, True, True)),
    ):
        grant: Grant = parse_options(options).grant
        assert (grant.shows_event(event), grant.shows(project), grant.shows(anomaly)) == expected


def test_the_schema_has_a_field_for_each_that_can_be_asked_for() -> None:
    for kind, channel in (
        ("Metrics", "metrics"),
        ("Project", "projects"),
        ("Event", "events"),
        ("Anomaly", "anomalies"),
    ):
        assert "other" in to_fields(kind, {"owner": 1})
        for name in FIELDS[channel]:
            values = ({name: value} for value in (1, "", True, {}, "info", "healthy", "2025-01-02T03:04:05.678Z"))
            assert any(name in to_fields(kind, value) for value in values), name
