"""What `log` and `trace` of a mapping make of elements: one event for each new one, the same both ways."""

import json

import pytest

from iris_exporter.decoding.messages import Event, MappedEvent, logged
from iris_exporter.mapping.spec import Role, TimeFormat
from tests.decoding.mapped.specs import NOW, Run, counter, entry, log, mapping, one, part, run, start, trace, when

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
COUNTED = counter("a_total")


def event(found: Run) -> MappedEvent:
    [made] = found.events
    assert isinstance(made, MappedEvent)
    return made


def attributes(found: Run) -> dict[str, object]:
    decoded = json.loads(event(found).metadata)
    assert isinstance(decoded, dict)
    return decoded


def test_a_new_element_is_one_event_with_its_id_and_its_time() -> None:
    spec = one(
        COUNTED,
        ids=["$.id"],
        time="$.at",
        format=TimeFormat.UNIX,
        log=log("$.text", "$.level", attributes={"wiki": "$.wiki", "size": "$.size", "gone": "$.gone"}),
        trace=trace("$.trace"),
    )
    message = {"id": "e1", "at": 5, "text": "t", "level": "Warning", "wiki": "de", "size": 1.5, "trace": TRACEPARENT}
    made = event(run(spec, message))
    assert made == MappedEvent(
        "e1", 5.0, "", "event", "warning", "t", b'{"wiki":"de","size":1.5}', TRACEPARENT, "m", is_logged=True
    )


def test_a_duplicate_is_no_event_and_an_element_without_id_always_is() -> None:
    found = start(one(COUNTED, ids=["$.id"], log=log("$.id")))
    found.feed(b'{"id":"a"}', b'{"id":"b"}', b'{"id":"a"}').feed(b'{"id":"b"}', b'{"id":"c"}')
    assert [each.id for each in found.events] == ["a", "b", "c"]
    assert [each.message for each in run(one(COUNTED, log=log("$.id")), {"id": "a"}, {"id": "a"}).events] == ["a", "a"]


def test_what_is_known_already_or_filtered_is_no_event() -> None:
    history = mapping(entry("event", part(COUNTED, log=log("$.n"))), history=(when("$.end", equals=True),))
    found = start(history)
    found.reset()
    found.feed(b'{"n":1}', b'{"n":2,"end":true}', b'{"n":3}')
    assert [each.message for each in found.events] == ["2", "3"]
    found = run(one(COUNTED, where=(when("$.n", at_least=2),), log=log("$.n")), {"n": 1}, {"n": 2})
    assert [each.message for each in found.events] == ["2"]


def test_each_element_has_its_own_event_and_a_further_part_the_id_of_its_message() -> None:
    spec = mapping(
        entry(
            "event",
            part(COUNTED, ids=["$.id"], log=log("$.id")),
            part(each="$.of[*]", log=log("@.x", attributes={"place": "@key"})),
        )
    )
    found = run(spec, {"id": "a", "of": [{"x": 1}, {"x": 2}]}, {"id": "a", "of": [{"x": 3}]})
    assert [(each.id, each.message, each.metadata) for each in found.events] == [
        ("a", "a", b"{}"),
        ("a", "1", b'{"place":0}'),
        ("a", "2", b'{"place":1}'),
    ]


def test_a_part_that_is_only_traced_is_not_logged() -> None:
    made = event(run(one(COUNTED, ids=["$.id"], trace=trace("$.t")), {"id": "a", "t": TRACEPARENT}))
    assert (made.traceparent, made.is_logged, made.message) == (TRACEPARENT, False, "")
    assert logged([made, Event("of IRIS")]) == [Event("of IRIS")]


@pytest.mark.parametrize(
    ("raw", "body", "problem"),
    [
        ("t", "t", None),
        ("", "", None),
        (None, "", None),
        (1.5, "1.5", None),
        (True, "true", None),
        (10**30, "1e+30", None),
        ([1, {"a": "\u00e9"}], '[1,{"a":"\u00e9"}]', None),
        ({"a": None}, '{"a":null}', None),
    ],
)
def test_a_body_can_be_anything(raw: object, body: str, problem: str | None) -> None:
    found = run(one(COUNTED, log=log("$.b")), {"b": raw})
    assert event(found).message.replace("1e30", "1e+30") == body
    assert not found.problems


def test_the_whole_message_can_be_the_body() -> None:
    assert event(run(one(COUNTED, log=log("$")), {"a": [1], "b": "x"})).message == '{"a":[1],"b":"x"}'


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("2", 2),
        (b"1e999", "inf"),
        (b"%d" % 10**399, "1" + 399 * "0"),
        (b"%d" % 2**64, float(2**64)),
        (b'"\\ud800"', "\ufffd"),
    ],
)
def test_an_attribute_holds_what_the_source_says(raw: object, expected: object) -> None:
    text = b'{"a":' + (raw if isinstance(raw, bytes) else str(raw).encode()) + b"}"
    assert attributes(run(one(COUNTED, log=log("$.no", attributes={"a": "$.a"})), text)) == {"a": expected}


@pytest.mark.parametrize(
    ("operators", "raw", "severity"),
    [
        ({}, "ERROR", "error"),
        ({}, "odd", "odd"),
        ({}, None, "info"),
        ({}, 3, "3"),
        ({"map": {"3": "error", "W": "warning"}}, 3, "error"),
        ({"map": {"3": "error", "W": "warning"}}, "x", "x"),
        ({"map": {"W": "warning"}, "unmapped": "debug", "other": "debug"}, "x", "debug"),
        ({"pattern": "^<([a-z]+)>", "map": {"w": "warning"}}, "<w> text", "warning"),
        ({"pattern": "^<([a-z]+)>"}, "text", "info"),
        ({"default": "debug"}, None, "debug"),
    ],
)
def test_a_severity_is_read_as_a_label_is(operators: dict[str, object], raw: object, severity: str) -> None:
    assert event(run(one(COUNTED, log=log("$.no", "$.s", **operators)), {"s": raw})).severity == severity


def test_a_severity_may_be_constant() -> None:
    assert event(run(one(COUNTED, log=log("$.no", constant="error")), {})).severity == "error"
    assert event(run(one(COUNTED, log=log("$.no")), {})).severity == "info"


def test_what_cannot_be_read_is_counted_and_the_event_is_there_without_it() -> None:
    deep = b'{"s":[],"t":{},"x":' + b"[" * 300 + b"]" * 300 + b"}"
    found = run(one(COUNTED, log=log("$.b", "$.s", attributes={"x": "$.x"}), trace=trace("$.t")), deep)
    assert found.problems[("event", "", "wrong_type")] == 2
    assert (event(found).severity, event(found).traceparent) == ("info", "")
    found = run(one(COUNTED, trace=trace("$.t")), {"t": 5}, {"t": "no context"}, {"t": ""}, {})
    assert found.problems == {("event", "", "wrong_type"): 1, ("event", "", "not_a_traceparent"): 1}


def test_messages_of_several_kinds_in_one_read_keep_their_order() -> None:
    spec = mapping(
        entry("a", part(COUNTED, log=log("$.n")), when=(when("$.k", equals="a"),)),
        entry("b", part(counter("b_total")), when=(when("$.k", equals="b"),)),
        entry("c", part(each="$.of[*]", log=log("@")), when=(when("$.k", equals="c"),)),
        entry("d", when=(when("$.k", equals="d"),), role=Role.IGNORE),
    )
    frames = [{"k": "c", "of": ["x", "y"]}, {"k": "a", "n": 1}, {"k": "b"}, {"k": "d"}, {"k": "a", "n": 2}]
    found = run(spec, *frames)
    assert [(each.event_type, each.message) for each in found.events] == [
        ("c", "x"),
        ("c", "y"),
        ("a", "1"),
        ("a", "2"),
    ]
    assert found.dialect._compiled is not None
    assert found.state.view(NOW).mapped is not None
