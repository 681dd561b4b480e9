"""The state of a stream with a mapping, over a change of the mapping."""

from iris_exporter.core.places import Place
from iris_exporter.decoding.mapped.dialect import MappedDialect
from iris_exporter.model.mapped_state import MappedState
from tests.decoding.mapped.specs import NOW, counter, entry, gauge, label, mapping, part, run, value

APP = label("app", "@.name")


def test_what_a_message_replaces_goes_also_where_an_earlier_mapping_has_named_it() -> None:
    """The part may have another number in the mapping that was changed; series of other parts stay."""
    apps = part(gauge("a", value("@.n"), APP), each="$.apps[*]", replace=True)
    beside = part(gauge("b", value("$.b")))
    spec = mapping(entry("event", apps, beside))
    found = run(spec, {"apps": [{"name": "x", "n": 1}, {"name": "y", "n": 2}], "b": 7})
    assert found.series() == {"a": {("x",): 1, ("y",): 2}, "b": {(): 7}}
    changed = mapping(entry("event", beside, part(counter("c_total")), apps))
    after = MappedState(changed, "m", 300.0, Place())
    after.take_over(found.state, NOW)
    for message in MappedDialect(changed).decode([b'{"apps": [{"name": "x", "n": 3}]}']):
        after.apply(message, NOW)
    shown = after.view(NOW).mapped
    assert shown is not None
    assert {name: dict(series) for name, series in shown.series.items()} == {
        "a": {("x",): 3},
        "b": {(): 7},
        "c_total": {(): 1},
    }
