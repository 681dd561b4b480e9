"""What a hostile or broken source sends: nothing raises, everything is bounded, and every drop is counted.

What is no JSON, of other types than expected, or missing, is in `test_patient`.
"""

import time

import pytest

from iris_exporter.decoding.mapped.columns import MAX_REMEMBERED, MAX_REMEMBERED_CHARS, Operator
from iris_exporter.mapping.spec import MappingLimits, Order
from tests.decoding.mapped.specs import (
    NOW,
    Run,
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
    run,
    start,
    stateset,
    value,
)


def test_a_label_of_many_values_goes_on_under_other_and_sums_stay_right() -> None:
    few = label("l", "$.l", max_values=3)
    spec = one(counter("a_total", few), histogram("b", value("$.n"), few, buckets=(1,)), gauge("c", value("$.n"), few))
    found = run(spec, *({"l": f"value-{number}", "n": 2} for number in range(2_000)))
    series = found.series()
    assert series["a_total"] == {("value-0",): 1, ("value-1",): 1, ("value-2",): 1, ("other",): 1_997}
    assert series["b"][("other",)] == (0, 1_997, 3_994.0)
    assert set(series["c"]) == {("value-0",), ("value-1",), ("value-2",)}  # a last value of many would mean nothing
    assert found.dropped == {"label_values": 3 * 1_997}


def test_the_mappings_own_word_for_others_is_used_and_needs_no_room() -> None:
    spec = one(counter("a_total", label("l", "$.l", max_values=1, other="rest")))
    found = run(spec, {"l": "rest"}, {"l": "x"}, {"l": "y"}, {"l": "rest"})
    assert found.series() == {"a_total": {("rest",): 3, ("x",): 1}}
    assert found.dropped == {"label_values": 1}


def test_a_label_value_that_has_gone_makes_room_for_another() -> None:
    """Of gauges: ships pass, and the next ones are shown, at most a tenth of `expire` later."""
    spec = one(gauge("a", value("$.n"), label("l", "$.l", max_values=1), expire_seconds=60))
    found = start(spec).feed(frame({"l": "x", "n": 1})).feed(frame({"l": "y", "n": 1}), now=NOW + 59)
    assert set(found.series(NOW + 59)["a"]) == {("x",)}
    found.feed(frame({"l": "y", "n": 1}), now=NOW + 66)
    assert set(found.series(NOW + 66)["a"]) == {("y",)}
    assert found.dropped == {"label_values": 1}


def test_series_beyond_the_limit_of_a_metric_are_counted_under_other_or_not_shown() -> None:
    word = label("l", "$.l")
    spec = one(
        counter("a_total", word, limit=2), gauge("b", value("$.n"), word, limit=2), info("c_info", word, limit=2)
    )
    found = run(spec, *({"l": text, "n": 1} for text in "wxyzy"))
    assert found.series() == {
        "a_total": {("w",): 1, ("x",): 1, ("other",): 3},
        "b": {("w",): 1, ("x",): 1},
        "c_info": {("w",): 1, ("x",): 1},
    }
    assert found.dropped == {"series": 9}


def test_series_beyond_the_limit_of_a_stream_are_those_that_came_last() -> None:
    """A histogram and a stateset take as many as they show."""
    word = label("l", "$.l")
    spec = mapping(
        entry(
            "event",
            part(
                histogram("a", value("$.n"), word, buckets=(1, 10)),
                stateset("b", "$.s", word, states=("UP", "DOWN")),
                gauge("c", value("$.n"), word),
            ),
        ),
        limits=MappingLimits(series=16),
    )
    found = run(spec, *({"l": text, "n": 1, "s": "UP"} for text in "xyz"))
    series = found.series()
    assert series["b"] == {("x",): "UP", ("y",): "UP"}
    assert series["c"] == {("x",): 1, ("y",): 1}
    assert sum(series["a"][("other",)][:-1]) == 1
    assert found.dropped == {"series": 3}


def test_ids_beyond_the_limit_are_forgotten_and_that_is_counted() -> None:
    spec = mapping(entry("event", part(counter("a_total"), ids=["$.id"])), limits=MappingLimits(ids=10))
    found = run(spec, *({"id": number} for number in range(100)))
    assert found.dropped == {"event_ids": 90}
    assert len(found.state.seen) <= 20


def test_elements_of_one_document_with_the_same_labels() -> None:
    """Never a failed scrape: of gauges the last one, counters count both."""
    same = label("l", "@.l")
    spec = one(gauge("a", value("@.n"), same), counter("b_total", same), each="$.items[*]", replace=True)
    found = run(spec, {"items": [{"l": "x", "n": 1}, {"l": "x", "n": 2}]})
    assert found.series() == {"a": {("x",): 2}, "b_total": {("x",): 2}}


def test_only_the_beginning_of_a_text_is_searched() -> None:
    spec = one(counter("a_total", label("l", "$.l", pattern="(b)")), gauge("b", value("$.l", pattern="([0-9])")))
    found = run(spec, {"l": "a" * 1_000 + "b1"}, {"l": "a" * 998 + "b1"})
    assert found.series() == {"a_total": {("other",): 1, ("b",): 1}, "b": {(): 1}}
    assert found.problems == {("event", "b", "no_match"): 1}


def test_a_hostile_text_for_a_pattern_costs_little() -> None:
    found = start(one(counter("a_total", label("l", "$.l", pattern="a+b"))))
    frames = [frame({"l": "a" * 1_000_000}) for _ in range(3)]
    before = time.process_time()
    found.feed(*frames)
    assert time.process_time() - before < 10
    assert found.series() == {"a_total": {("other",): 3}}


@pytest.mark.parametrize(("order", "expected"), [(Order.NUMBER, "9"), (Order.OPAQUE, "5")])
def test_a_cursor_that_goes_back(order: Order, expected: str) -> None:
    """A number stays where it is; of a text nobody can say that it does."""
    found = run(mapping(entry("event", part(counter("a_total"))), cursor="$.c", order=order), {"c": "9"}, {"c": "5"})
    assert found.state.cursor.resume_from == expected
    assert found.series() == {"a_total": {(): 2}}


def test_a_cursor_that_no_request_can_carry_is_counted() -> None:
    found = run(mapping(entry("event", part(counter("a_total"))), cursor="$.c"), {"c": "a\nb"}, {"c": "x" * 5_000})
    assert found.state.cursor.resume_from == ""
    assert found.dropped == {"positions": 2}


def test_an_element_of_very_many_values_is_read_to_its_end() -> None:
    found = run(one(counter("a_total"), each="$.items[*]"), {"items": list(range(100_000))})
    assert found.series() == {"a_total": {(): 100_000}}


def test_forgetting_costs_what_goes_and_not_what_there_is() -> None:
    """Series are found by the labels that are forgotten: a flood of removals is no flood of searches."""
    entity = label("entity", "$.id", max_values=20_000)
    spec = mapping(
        entry("gone", part(forget={"entity": "$.gone"}), when=(), events=["gone"]),
        entry("state", part(gauge("a", value("$.n"), entity, limit=20_000))),
        limits=MappingLimits(series=20_000),
    )
    found = Run(start(spec).state, start(spec).dialect)
    found.feed(*(frame({"id": f"e{number}", "n": 1}) for number in range(10_000)))
    places = found.state._families["a"]._by_places  # type: ignore[union-attr]
    assert len(places[0,]) == 10_000
    assert places[0,]["e7",] == {("e7",): None}


def test_what_operators_remember_is_bounded() -> None:
    operator = Operator(lambda raws: raws[0])
    for start_at in range(0, 3 * MAX_REMEMBERED, 1_000):
        operator.over([[f"text-{number}" for number in range(start_at, start_at + 1_000)]], 1_000)
    assert len(operator._texts) <= MAX_REMEMBERED
    long = "x" * (MAX_REMEMBERED_CHARS + 1)
    assert operator.over([[long, "short"]], 2) == [long, "short"]
    assert (long,) not in operator._texts
    assert ("short",) in operator._texts
