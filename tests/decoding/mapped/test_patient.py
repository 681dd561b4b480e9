"""What a mapping means: messages in, series, counts and problems out."""

from typing import Any

import pytest

from iris_exporter.decoding.dialect import Binary, NamedEvent
from iris_exporter.decoding.messages import Ping, Pong, Resumed, UpstreamError
from iris_exporter.mapping.spec import ErrorSpec, Format, JsonType, Mapping, Order, Role, Template, TimeFormat
from tests.decoding.mapped.specs import (
    NOW,
    counter,
    entry,
    frame,
    gauge,
    histogram,
    info,
    label,
    mapping,
    one,
    part,
    paths,
    run,
    start,
    stateset,
    value,
    when,
)

WORD = label("word", "$.word")


# Metrics


def test_a_counter_counts_each_message_or_adds_a_value() -> None:
    spec = one(counter("a_total", WORD), counter("b_total", of=value("$.n")))
    found = run(spec, {"word": "x", "n": 2}, {"word": "x", "n": 0.5}, {"word": "y"})
    assert found.series() == {"a_total": {("x",): 2, ("y",): 1}, "b_total": {(): 2.5}}
    assert found.messages == {"event": 3}


def test_a_counter_cannot_fall() -> None:
    found = run(one(counter("a_total", of=value("$.n"))), {"n": -1}, {"n": 3})
    assert found.series() == {"a_total": {(): 3}}
    assert found.problems == {("event", "a_total", "negative"): 1}


def test_a_total_is_shown_as_the_source_counts_it() -> None:
    found = run(one(counter("a_total", of=value("$.n"), total=True)), {"n": 10}, {"n": 3})
    assert found.series() == {"a_total": {(): 3}}


def test_a_gauge_shows_the_last_value() -> None:
    found = run(
        one(gauge("a", value("$.n"), WORD)), {"word": "x", "n": 1}, {"word": "x", "n": 2}, {"word": "y", "n": 3}
    )
    assert found.series() == {"a": {("x",): 2, ("y",): 3}}


def test_a_histogram_has_its_buckets_and_its_sum() -> None:
    found = run(one(histogram("a", value("$.n"), buckets=(1, 10))), *({"n": n} for n in (0.5, 1, 5, 50)))
    assert found.series() == {"a": {(): (2, 1, 1, 56.5)}}


def test_an_info_is_its_labels() -> None:
    assert run(one(info("a_info", WORD)), {"word": "x"}).series() == {"a_info": {("x",): 1}}


def test_a_stateset_shows_the_state_that_holds_and_counts_words_that_are_none() -> None:
    spec = one(stateset("a", "$.s", WORD, states=("UP", "DOWN"), map={"ok": "UP"}))
    found = run(spec, {"word": "x", "s": "ok"}, {"word": "y", "s": "DOWN"}, {"word": "z", "s": "odd"}, {"word": "w"})
    assert found.series() == {"a": {("x",): "UP", ("y",): "DOWN", ("z",): None}}
    assert found.problems == {("event", "a", "not_a_state"): 1}


# Values


@pytest.mark.parametrize(
    ("operators", "raw", "expected"),
    [
        ({}, 1.5, 1.5),
        ({}, "0.0025", 0.0025),
        ({}, " 1e3 ", 1000),
        ({}, True, 1),
        ({}, None, None),
        ({}, "", None),
        ({}, "n/a", None),
        ({"default": 7}, None, 7),
        ({"default": 7, "factor": 2}, 3, 6),
        ({"default": 7, "factor": 2}, None, 7),
        ({"length": True}, "four", 4),
        ({"length": True}, [1, 2], 2),
        ({"length": True}, {"a": 1}, 1),
        ({"length": True}, "", 0),
        ({"pattern": "^([0-9.]+) ?Mbps$", "factor": 125_000}, "95.21 Mbps", 11_901_250),
        ({"pattern": "[0-9]+"}, "a12b", 12),
        ({"map": {"on": 1, "off": 0}}, "off", 0),
        ({"map": {"true": 3}}, True, 3),
        ({"map": {"1": 3}}, 1, 3),
        ({"map": {"on": 1}, "other": 9}, "off", 9),
        ({"map": {"on": 1}}, "", None),
        ({"base": 16}, "0x1b4", 436),
        ({"base": 16}, "ff", 255),
        ({"format": TimeFormat.ISO}, "1970-01-01T00:01:00Z", 60),
        ({"format": TimeFormat.ISO}, "1970-01-01 00:01:00", 60),
        ({"format": TimeFormat.UNIX_MS}, 1500, 1.5),
        ({"format": TimeFormat.UNIX_NS}, "1500000000", 1.5),
        ({"factor": 1.8, "offset": 32}, 100, 212),
    ],
)
def test_values_are_read_as_the_mapping_says(operators: dict[str, object], raw: object, expected: float | None) -> None:
    found = run(one(gauge("a", value("$.n", **operators))), {"n": raw})
    assert found.series().get("a", {}).get(()) == pytest.approx(expected)
    assert not found.problems


@pytest.mark.parametrize(
    ("operators", "raw", "reason"),
    [
        ({}, [1], "wrong_type"),
        ({}, {}, "wrong_type"),
        ({}, "twelve", "not_a_number"),
        ({}, "١٢", "not_a_number"),
        ({}, "1_000", "not_a_number"),
        ({}, b"NaN", "not_finite"),
        ({}, b"-Infinity", "not_finite"),
        ({}, b"1e999", "not_finite"),
        ({}, b"9" * 401, "not_finite"),
        ({"base": 10}, "9" * 5_000, "not_finite"),
        ({}, "Infinity", "not_finite"),
        ({"length": True}, 3, "wrong_type"),
        ({"pattern": "^([0-9]+)$"}, "x1", "no_match"),
        ({"map": {"on": 1}}, "off", "not_in_map"),
        ({"map": {"on": 1}}, ["on"], "wrong_type"),
        ({"base": 16}, "xyz", "not_a_number"),
        ({"base": 16}, "f" * 400, "not_finite"),
        ({"base": 10}, "1_0", "not_a_number"),
        ({"format": TimeFormat.ISO}, 5, "not_a_timestamp"),
        ({"format": TimeFormat.ISO}, "yesterday", "not_a_timestamp"),
        ({"format": TimeFormat.ISO}, "1960-01-01T00:00:00Z", "out_of_range"),
        ({"format": TimeFormat.UNIX}, -1, "out_of_range"),
        ({"format": TimeFormat.UNIX}, 1e12, "out_of_range"),
        ({"format": TimeFormat.UNIX}, "soon", "not_a_timestamp"),
        ({"format": TimeFormat.UNIX}, [1], "wrong_type"),
        ({"factor": 1e300}, 1e300, "not_finite"),
    ],
)
def test_a_value_that_cannot_be_read_is_counted_and_left_out(
    operators: dict[str, object], raw: object, reason: str
) -> None:
    """The rest of the message counts."""
    spec = one(gauge("a", value("$.n", **operators)), counter("b_total"))
    found = run(spec, b'{"n":%b}' % (raw if isinstance(raw, bytes) else frame(raw)))
    assert found.series() == {"b_total": {(): 1}}
    assert found.problems == {("event", "a", reason): 1}


def test_differences_and_shares() -> None:
    spec = one(
        gauge("a", value("$.new", minus="$.old")),
        gauge("b", value("$.used", per="$.all", factor=100)),
        gauge("c_seconds", value("$.end", minus="$.begin", format=TimeFormat.ISO)),
    )
    times = {"begin": "2025-10-09T08:53:19Z", "end": "2025-10-09T08:53:20.5Z"}
    found = run(spec, {"new": "5", "old": 3, "used": 1, "all": 4, **times})
    assert found.series() == {"a": {(): 2}, "b": {(): 25}, "c_seconds": {(): 1.5}}
    found = run(spec, {"new": 1, "used": 1, "all": 0})
    assert found.series() == {}
    assert found.problems == {("event", "b", "division_by_zero"): 1}


def test_an_age_is_that_on_arrival_and_never_below_zero() -> None:
    spec = one(histogram("a_seconds", value("$.at", format=TimeFormat.UNIX, age=True), buckets=(1, 10)))
    found = start(spec).feed(*map(frame, ({"at": NOW - 5}, {"at": NOW + 5}, {"at": None})))
    assert found.series() == {"a_seconds": {(): (1, 1, 0, 5)}}


def test_a_required_value_that_is_missing_is_a_problem() -> None:
    spec = one(gauge("a", value("$.n"), required=True), stateset("b", "$.s", states=("x",), required=True))
    assert run(spec, {"n": None}).problems == {("event", "a", "missing"): 1, ("event", "b", "missing"): 1}


def test_of_several_paths_the_first_that_is_not_null_counts() -> None:
    spec = one(gauge("a", value("$.x", "$.y.z", "$['w v'][1]")))
    assert run(spec, {"x": None, "y": {"z": 2}, "w v": [0, 3]}).series() == {"a": {(): 2}}
    assert run(spec, {"y": 7, "w v": [0, 3]}).series() == {"a": {(): 3}}


# Labels


@pytest.mark.parametrize(
    ("operators", "raw", "expected"),
    [
        ({}, "text", "text"),
        ({}, True, "true"),
        ({}, 5, "5"),
        ({}, 5.0, "5"),
        ({}, None, ""),
        ({}, "", ""),
        ({"default": "none"}, None, "none"),
        ({"default": "none"}, "", "none"),
        ({"pattern": r"^([a-z_]+)\."}, "light.bed", "light"),
        ({"pattern": r"^([a-z_]+)\.", "other": "rest"}, "bed", "rest"),
        ({"lower": True}, "BiG", "big"),
        ({"map": {"a": "first"}}, "a", "first"),
        ({"map": {"a": "first"}}, "b", "b"),
        ({"map": {"a": "first"}, "unmapped": "rest"}, "b", "rest"),
        ({"lower": True, "map": {"a": "first"}}, "A", "first"),
        ({"keep": frozenset({"a"})}, "a", "a"),
        ({"keep": frozenset({"a"})}, "b", "other"),
    ],
)
def test_labels_are_read_as_the_mapping_says(operators: dict[str, object], raw: object, expected: str) -> None:
    found = run(one(counter("a_total", label("l", "$.l", **operators))), {"l": raw})
    assert found.series() == {"a_total": {(expected,): 1}}
    assert not found.problems
    assert not found.dropped


def test_a_label_that_is_no_text_is_counted_and_its_sample_left_out() -> None:
    spec = one(counter("a_total", label("l", "$.l")), counter("b_total"))
    found = run(spec, {"l": ["x"]}, {"l": {}}, b'{"l":NaN}')
    assert found.series() == {"b_total": {(): 3}}
    assert found.problems == {("event", "a_total", "wrong_type"): 2, ("event", "a_total", "not_finite"): 1}


def test_a_label_is_cut_and_cleaned_and_that_is_counted() -> None:
    found = run(one(counter("a_total", label("l", "$.l"))), {"l": "x" * 1_000_000}, {"l": "a\u202eb"}, {"l": "a\tb"})
    keys = [key for (key,) in found.series()["a_total"]]
    assert sorted(map(len, keys)) == [3, 20, 200]
    assert found.dropped == {"label_text": 2}


def test_labels_stand_in_one_order_for_all_metrics_of_a_name() -> None:
    """That of the last declaration, as in `Mapping.metrics`."""
    there = counter("a_total", label("l", "$.l"), label("m", "$.m"))
    back = counter("a_total", label("m", "$.m"), label("l", "$.l"))
    spec = mapping(entry("x", part(there), when=(when("$.k", equals=1),)), entry("y", part(back)))
    assert run(spec, {"k": 1, "l": "1", "m": "2"}, {"l": "1", "m": "2"}).series() == {"a_total": {("2", "1"): 2}}


# Which messages and which elements


def test_the_first_entry_that_fits_takes_a_message() -> None:
    spec = mapping(
        entry("first", part(counter("a_total")), when=(when("$.type", equals=("x", "y")),)),
        entry("second", part(counter("b_total")), when=(when("$.type", exists=True), when("$.n", at_least=1, below=5))),
    )
    found = run(
        spec, {"type": "x"}, {"type": "z", "n": "2"}, {"type": "z", "n": 5}, {"type": "z"}, [1], 3, "text", None
    )
    assert found.messages == {"first": 1, "second": 1, "other": 6}


@pytest.mark.parametrize(
    ("expected", "values"),
    [
        ({"equals": 1}, [1, 1.0]),
        ({"equals": True}, [True]),
        ({"equals": "1"}, ["1"]),
        ({"equals": None}, [None, ...]),
        ({"unequal": None}, [1, 1.0, True, "1", "", "abc", 0, [], {}, 2.5]),
        ({"unequal": ("1", 1)}, [True, None, ..., "", "abc", 0, [], {}, 2.5]),
        ({"exists": True}, [1, 1.0, True, "1", "", "abc", 0, [], {}, 2.5]),
        ({"exists": False}, [None, ...]),
        ({"type": JsonType.NUMBER}, [1, 1.0, 0, 2.5]),
        ({"type": JsonType.TEXT}, ["1", "", "abc"]),
        ({"type": JsonType.BOOLEAN}, [True]),
        ({"type": JsonType.OBJECT}, [{}]),
        ({"type": JsonType.LIST}, [[]]),
        ({"matches": "b"}, ["abc"]),
        ({"at_least": 1}, [1, 1.0, "1", 2.5]),
        ({"below": 1}, [0]),
    ],
)
def test_conditions(expected: dict[str, object], values: list[object]) -> None:
    spec = mapping(entry("x", part(counter("a_total")), when=(when("$.v", **expected),)))
    candidates = [1, 1.0, True, "1", None, ..., "", "abc", 0, [], {}, 2.5]
    taken = [each for each in candidates if run(spec, {} if each is ... else {"v": each}).messages["x"]]
    assert list(map(repr, taken)) == list(
        map(
            repr,
            [each for each in candidates if any(each is v or (type(each) is type(v) and each == v) for v in values)],
        )
    )


def test_filtered_elements_are_counted() -> None:
    spec = one(counter("a_total", where=(when("$.n", exists=True),)), where=(when("$.canary", unequal=True),))
    found = run(spec, {"canary": True}, {"n": 1}, {})
    assert found.series() == {"a_total": {(): 1}}
    assert found.filtered == 1
    assert found.messages == {"event": 3}


def test_each_goes_through_lists_and_objects() -> None:
    key, value_of = label("key", "@key"), value("@.n")
    spec = mapping(
        entry("list", part(gauge("a", value_of, key), each="$.items[*]"), when=(when("$.items", exists=True),)),
        entry("object", part(gauge("b", value_of, key), each="$.apps.*"), when=(when("$.apps", exists=True),)),
        entry("top", part(counter("c_total", label("s", "@")), each="$[*]")),
    )
    found = run(spec, {"items": [{"n": 1}, None, {"n": 2}]}, {"apps": {"x": {"n": 3}, "y": None, "z": 4}}, ["s", "s"])
    assert found.series() == {"a": {("0",): 1, ("2",): 2}, "b": {("x",): 3}, "c_total": {("s",): 2}}
    assert found.messages == {"list": 1, "object": 1, "top": 1}


def test_each_can_be_nested_and_see_what_is_around() -> None:
    source, ship = label("source", "@parent.source"), label("ship", "$.ship")
    spec = one(gauge("a", value("@.value"), label("path", "@.path"), source, ship), each="$.updates[*].values[*]")
    document = {
        "ship": "s",
        "updates": [
            {"source": "one", "values": [{"path": "x", "value": 1}, {"path": "y", "value": 2}]},
            {"source": "two", "values": []},
            {"source": "three"},
            {"source": "four", "values": [{"path": "x", "value": 3}]},
        ],
    }
    assert run(spec, document).series() == {"a": {("x", "one", "s"): 1, ("y", "one", "s"): 2, ("x", "four", "s"): 3}}


def test_something_else_where_each_goes_is_a_problem() -> None:
    spec = one(counter("a_total"), each="$.items[*]")
    found = run(spec, {"items": "text"}, {"items": None}, {}, {"items": {"a": 1}})
    assert found.series() == {}
    assert found.problems == {("event", "", "wrong_type"): 2}


def test_an_entry_takes_what_its_paths_can_lead_into() -> None:
    spec = mapping(
        entry("array", part(gauge("a", value("$[0]")))),
        entry("object", part(gauge("b", value("$.n")))),
        entry("any", part(counter("c_total"))),
    )
    assert run(spec, [1], {"n": 2}, 100).messages == {"array": 1, "object": 1, "any": 1}


def test_texts_that_are_no_json() -> None:
    spec = mapping(entry("ignored", role=Role.IGNORE, text="undefined"), entry("event", part(counter("a_total"))))
    found = run(spec, b"undefined", b"{}", b"undefine", b"\xff", b"[" * 100_000)
    assert found.messages == {"ignored": 1, "event": 1}
    assert found.errors == {"not_json": 1, "not_utf8": 1, "too_deep": 1}


def test_json_within_json() -> None:
    inner = part(counter("a_total", label("l", "$.payload.l")), ids=["$.payload.id"])
    spec = mapping(
        entry("update", inner, json_text=["$.payload"], when=(when("$.event", equals="update"),)),
        entry("odd", part(counter("b_total")), json_text=["$.payload"], when=(when("$.payload.odd", equals=True),)),
        entry("delete", part(counter("c_total", label("payload", "$.payload")))),
    )
    found = run(
        spec,
        {"event": "update", "payload": '{"id":"1","l":"x"}'},
        {"event": "update", "payload": {"id": "2", "l": "y"}},
        {"event": "update", "payload": "{broken"},
        {"event": "z", "payload": '{"odd":true}'},
        {"event": "delete", "payload": "123"},
    )
    assert found.series() == {"a_total": {("x",): 1, ("y",): 1, ("",): 1}, "b_total": {(): 1}, "c_total": {("123",): 1}}
    assert found.problems == {("update", "", "not_json"): 1, ("update", "", "missing"): 1}


def test_names_and_ids_of_an_event_stream() -> None:
    spec = mapping(
        entry("status", part(counter("a_total", label("e", "meta.event")), ids=["meta.id"]), events=["update", "edit"]),
        entry("rest", part(counter("b_total", label("stream", "meta.stream")))),
    )
    found = start(spec)
    assert found.dialect.names_events
    found.feed(
        NamedEvent("update", b"{}", "1"), NamedEvent("edit", b"{}", "1"), NamedEvent("delete", b"{}", "2"), b"{}"
    )
    assert found.series() == {"a_total": {("update",): 1}, "b_total": {("",): 2}}
    assert found.duplicates == 1


def by_id(**of_cursor: Any) -> Mapping:
    return mapping(entry("a", part(counter("a_total"))), cursor="meta.id", order=Order.NUMBER, of_cursor=of_cursor)


def test_gaps_in_the_ids_of_an_event_stream_are_counted() -> None:
    """The link has the last id alone, of which there may be many in one read."""
    found = start(by_id(count_gaps=True))
    assert found.dialect.names_events
    assert not found.dialect.uses_event_ids
    found.feed(*(NamedEvent("message", b"{}", str(number)) for number in (1, 2, 3)))
    found.feed(*(NamedEvent("message", b"{}", str(number)) for number in (4, 5, 9)))
    assert (found.gap, found.state.cursor.resume_from) == (3, "9")


@pytest.mark.parametrize("named", [{"when": (when("meta.event", equals="tick"),)}, {"by": paths("meta.event")}])
def test_names_are_asked_for_where_the_cursor_alone_reads_them(named: dict[str, Any]) -> None:
    found = start(
        mapping(
            entry("a", part(counter("a_total"))),
            cursor="$.n",
            order=Order.NUMBER,
            of_cursor={"count_gaps": True, **named},
        )
    )
    assert found.dialect.names_events
    found.feed(NamedEvent("tick", b'{"n":1}', ""), NamedEvent("tock", b'{"n":7}', ""))
    assert found.state.cursor.resume_from == ("1" if "when" in named else "")


def test_the_id_of_the_last_event_needs_no_names() -> None:
    dialect = start(by_id()).dialect
    assert (dialect.names_events, dialect.uses_event_ids) == (False, True)


def test_packets_of_engine_io() -> None:
    spec = mapping(
        entry("open", role=Role.ACK, events=["open"], when=(when("$.sid", exists=True),)),
        entry("ping", role=Role.HEARTBEAT, events=["ping"]),
        entry("price", part(gauge("a", value("$[1].n"))), events=["event"], when=(when("$[0]", equals="price"),)),
        format=Format.ENGINE_IO,
    )
    found = run(spec, b'0{"sid":"a"}', b"2", b'42["price",{"n":1}]', b'42/chat,7["price",{"n":2}]', b"3probe", b"x")
    assert found.messages == {"open": 1, "ping": 1, "price": 2, "other": 1}
    assert found.series() == {"a": {(): 2}}
    assert found.errors == {"not_json": 1}


def test_lines_and_sequences_hold_several_messages() -> None:
    lines = mapping(entry("event", part(counter("a_total"))), format=Format.NDJSON)
    assert run(lines, b'{}\n\n{"a":1}\r\n{}').messages == {"event": 3}
    sequence = mapping(entry("event", part(counter("a_total"))), format=Format.JSON_SEQ)
    assert run(sequence, b"\x1e{}\n\x1e{}\n").messages == {"event": 2}


def test_what_binary_frames_hold_is_read_as_text() -> None:
    of_format = {
        Format.JSON: [b"{}", b'{"a":"\xc3\xa4"}'],
        Format.NDJSON: [b"{}\n{}\n"],
        Format.JSON_SEQ: [b"\x1e{}\n\x1e{}\n"],
    }
    for form, frames in of_format.items():
        spec = mapping(entry("event", part(counter("a_total"))), format=form)
        found = start(spec).feed(*map(Binary, frames))
        assert (found.messages, found.errors, found.series()) == ({"event": 2}, {}, {"a_total": {(): 2}})


def test_a_binary_frame_that_is_no_json_is_counted_as_a_text_frame_is() -> None:
    odd = [b"", b"\x08\x01", b"{", b'{"a":"\xff"}', b"\xff", b"[" * 5_000]
    spec = one(counter("a_total"))
    found = start(spec).feed(Binary(b"{}"), *map(Binary, odd), Binary(b"{}"))
    assert found.errors == start(spec).feed(*odd).errors == {"not_json": 3, "not_utf8": 2, "too_deep": 1}
    assert found.messages == {"event": 2}


def test_an_attachment_of_engine_io_is_no_packet() -> None:
    """Its bytes are the application's: read as a packet, a first byte `2` would be a ping and be answered."""
    spec = mapping(
        entry("ping", role=Role.HEARTBEAT, events=["ping"], reply=Template("3")),
        entry("event", part(counter("a_total")), events=["event"]),
        format=Format.ENGINE_IO,
    )
    found = start(spec).feed(b'42["a"]', Binary(b"2"), b'42["b"]', Binary(b'42["c"]'))
    assert (found.messages, found.errors) == ({"event": 2}, {"binary": 2})
    assert found.dialect.replies_to([Binary(b"2"), b"2"]) == [b"3"]


def test_roles_say_what_a_message_is_for() -> None:
    report = ErrorSpec(paths("$.code"), paths("$.msg"), paths("$.wait"), "rate_limited")
    spec = mapping(
        *(
            entry(role.value, role=role, when=(when("$.t", equals=role.value),))
            for role in (Role.HEARTBEAT, Role.PONG, Role.ACK, Role.RESUMED, Role.IGNORE)
        ),
        entry("error", role=Role.ERROR, error=report, when=(when("$.t", equals="error"),)),
        cursor="$.c",
    )
    found = run(spec, *({"t": role, "c": "at-" + role} for role in ("heartbeat", "pong", "ack", "resumed", "ignore")))
    assert list(map(type, found.others)) == [Ping, Pong, Resumed]
    assert found.state.cursor.state.opaque == "at-ignore"
    found = run(spec, {"t": "error", "code": 7, "msg": "slow down", "wait": 3}, {"t": "error", "code": []}, {"t": "?"})
    assert found.others[:2] == [
        UpstreamError("7", "slow down", 3, "rate_limited"),
        UpstreamError("", "", None, "rate_limited"),
    ]
    assert found.messages == {"error": 2, "other": 1}


def test_what_nothing_takes_can_be_an_error() -> None:
    found = run(
        mapping(entry("x", part(counter("a_total")), when=(when("$.x", exists=True),)), unmatched_is_error=True), {}
    )
    assert found.errors == {"unknown_shape": 1}


# Identity, time, position


def test_an_element_counts_once() -> None:
    spec = one(counter("a_total"), ids=["$.a", "$.b"])
    found = run(spec, {"a": 1, "b": 2}, {"a": 1, "b": "2"}, {"a": 1}, {"a": 1, "b": ""}, {"a": "1"}, {"a": 12})
    assert found.series() == {"a_total": {(): 3}}
    assert found.duplicates == 3


def test_parts_of_an_id_cannot_be_mistaken() -> None:
    spec = one(counter("a_total"), ids=["$.a", "$.b"])
    raws = ["x", "\x1f", "\x1e", "x\x1f", "\x1fx", "\x1e1", "y" * 300, "y" * 301]
    documents = [{"a": one_, "b": two} for one_ in raws for two in raws]
    assert run(spec, *documents).series() == {"a_total": {(): len(documents)}}


def test_without_the_first_part_of_its_id_an_element_counts_and_is_a_problem() -> None:
    found = run(one(counter("a_total"), ids=["$.a"]), {}, {"a": ""}, {"a": []})
    assert found.series() == {"a_total": {(): 3}}
    assert found.problems == {("event", "", "missing"): 2, ("event", "", "wrong_type"): 1}


def test_times_give_delays_and_an_older_value_does_not_replace_a_newer_one() -> None:
    spec = one(gauge("a", value("$.n")), time="$.at")
    found = run(
        spec,
        {"n": 1, "at": "2025-10-09T08:53:20Z"},
        {"n": 2, "at": "2025-10-09T08:53:19Z"},
        {"n": 3, "at": "never"},
        {"n": 4, "at": "2025-10-09T08:53:18Z"},
    )
    assert found.sent == [NOW, NOW - 1, NOW - 2]
    assert found.series() == {"a": {(): 4}}  # nothing is known of when the value before was
    assert found.problems == {("event", "", "not_a_timestamp"): 1}


@pytest.mark.parametrize(
    ("order", "raws", "expected", "problems"),
    [
        (Order.OPAQUE, ["b", "a", None, 7], "7", 0),
        (Order.OPAQUE, ["b", True, {}, ["a"]], "b", 3),
        (Order.NUMBER, [5, "12", 9, None], "12", 0),
        (Order.NUMBER, [5, "x", -1, 1.5, True, [1], "9" * 31], "5", 6),
        (Order.POSITION, ["e-1", "e-2"], "e-2", 0),
    ],
)
def test_the_cursor_follows(order: Order, raws: list[object], expected: str, problems: int) -> None:
    found = run(
        mapping(entry("event", part(counter("a_total"))), cursor="$.c", order=order), *({"c": raw} for raw in raws)
    )
    assert found.state.cursor.resume_from == expected
    assert found.problems == ({("event", "", "cursor"): problems} if problems else {})


def test_the_cursor_follows_the_messages_that_its_condition_names() -> None:
    spec = mapping(
        entry("event", part(counter("a_total"))),
        cursor="$.id",
        of_cursor={"when": (when("$.event", equals="message"),)},
    )
    assert run(spec, {"id": "a", "event": "message"}, {"id": "b", "event": "keepalive"}).state.cursor.resume_from == "a"


def test_further_parts_are_left_out_with_the_first_one() -> None:
    first = part(counter("a_total"), ids=["$.id"], where=(when("$.skip", unequal=True),))
    spec = mapping(entry("event", first, part(counter("b_total"), each="$.items[*]")))
    document = {"id": "1", "items": [1, 2]}
    found = run(spec, document, document, {**document, "id": "2", "skip": True}, {**document, "id": "2"})
    assert found.series() == {"a_total": {(): 1}, "b_total": {(): 4}}
    assert (found.duplicates, found.filtered) == (2, 1)


# What goes


def test_forgotten_series_go() -> None:
    entity = label("entity", "$.id", lower=True)
    spec = mapping(
        entry("removed", part(forget={"entity": "$.id"}), when=(when("$.gone", equals=True),)),
        entry(
            "state",
            part(
                gauge("a", value("$.n"), entity, WORD),
                gauge("b", value("$.n"), WORD),
                info("c_info", entity),
                stateset("d", "$.s", entity, states=("UP",)),
                counter("e_total", entity),
                counter("f_total", entity, of=value("$.n"), total=True),
                histogram("g", value("$.n"), entity, buckets=(1,)),
            ),
        ),
    )
    found = run(spec, *({"id": each, "n": 1, "s": "UP", "word": "w"} for each in "XY"), {"gone": True, "id": "X"})
    series = found.series()
    assert [name for name in series if ("x",) in series[name]] == ["e_total", "f_total", "g"]
    assert series["a"] == {("y", "w"): 1}
    assert series["b"] == {("w",): 1}
    assert not found.feed(frame({"gone": True}), frame({"gone": True, "id": []})).series()["a"].keys() - {("y", "w")}


def test_what_replaces_is_all_there_is_of_its_part() -> None:
    app = label("app", "@key")
    spec = one(gauge("a", value("@.n"), app), counter("b_total", app), each="$.apps.*", replace=True)
    found = run(spec, {"apps": {"x": {"n": 1}, "y": {"n": 2}}}, {"apps": {"y": {"n": 3}}})
    assert found.series() == {"a": {("y",): 3}, "b_total": {("x",): 1, ("y",): 2}}
    assert found.feed(frame({})).series()["a"] == {("y",): 3}
    assert found.feed(frame({"apps": "?"})).series()["a"] == {("y",): 3}
    assert "a" not in found.feed(frame({"apps": {}})).series()


def test_series_expire_and_what_is_counted_does_not() -> None:
    spec = one(
        gauge("a", value("$.n"), WORD, expire_seconds=60), gauge("b", value("$.n"), WORD), counter("c_total", WORD)
    )
    found = start(spec).feed(frame({"word": "x", "n": 1}), now=NOW).feed(frame({"word": "y", "n": 1}), now=NOW + 30)
    assert set(found.series(NOW + 59)["a"]) == {("x",), ("y",)}
    assert set(found.series(NOW + 60)["a"]) == {("y",)}
    assert set(found.series(NOW + 299)) == {"b", "c_total"}
    assert set(found.series(NOW + 330)) == {"c_total"}  # the stream is silent


def test_history_is_known_and_not_new() -> None:
    spec = mapping(
        entry("end", role=Role.ACK, when=(when("$[0]", equals="EOSE"),)),
        entry("event", part(counter("a_total"), gauge("b", value("$[1].n")), ids=["$[1].id"], time="$[1].at")),
        history=(when("$[0]", equals="EOSE"),),
    )
    found = start(spec)
    found.reset()
    at = "2025-10-09T08:53:20Z"
    found.feed(
        *map(frame, (["E", {"id": 1, "n": 1, "at": at}], ["EOSE"], ["E", {"id": 1, "n": 3}], ["E", {"id": 2, "n": 4}]))
    )
    assert found.series() == {"a_total": {(): 1}, "b": {(): 4}}
    assert (found.duplicates, found.sent) == (1, [])
    found.reset()
    found.feed(*map(frame, (["E", {"id": 2, "n": 5}], ["EOSE"])))
    assert found.series() == {"a_total": {(): 1}, "b": {(): 5}}
    assert found.duplicates == 1
