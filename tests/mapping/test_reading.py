"""From YAML to mappings."""

from pathlib import Path

import pytest

from iris_exporter.config import yaml_text
from iris_exporter.config.mappings import Found, read_config
from iris_exporter.mapping.paths import Root
from iris_exporter.mapping.reading import Mappings, read_mappings
from iris_exporter.mapping.spec import Condition, Format, Mapping, MetricKind, Role, is_same
from iris_exporter.mapping.templates import Fields, Template
from tests.mapping.samples import read_files


def read(text: str, directory: Path) -> Found:
    file = directory / "mappings.yaml"
    file.write_text(text, encoding="utf-8")
    return read_files([file])


def one(text: str, directory: Path) -> Mapping:
    result = read(f"mappings:\n  a:\n    namespace: a\n    messages:\n      - kind: a\n{text}", directory)
    assert [str(problem) for problem in result.problems] == []
    return result.by_name["a"]


def problems(text: str, directory: Path) -> list[str]:
    file = str(directory / "mappings.yaml")
    return [str(problem).replace(file, "FILE") for problem in read(text, directory).problems]


def condition(text: str, directory: Path) -> Condition:
    return one(f"        when: {{$.a: {text}}}\n", directory).entries[0].when[0]


@pytest.mark.parametrize(
    ("text", "constant"),
    [
        ("true", True),
        ('"true"', "true"),
        ("null", None),
        ("~", None),
        ('"null"', "null"),
        ("1", 1),
        ("-1.5e2", -150.0),
        ('"1"', "1"),
        ("on", "on"),
        ("no", "no"),
        ("007", "007"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        (".5", ".5"),
        ("True", "True"),
        ("2025-10-09", "2025-10-09"),
        (".nan", ".nan"),
    ],
)
def test_plain_scalars_are_typed_and_everything_else_is_text(text: str, constant: object, tmp_path: Path) -> None:
    """YAML's own types are not used: `on` is no truth, and a date no date."""
    [found] = condition(text, tmp_path).equals or ()
    assert found == constant
    assert type(found) is type(constant)


@pytest.mark.parametrize(
    ("value", "constant", "same"),
    [
        (1, 1, True),
        (1.0, 1, True),
        (1, "1", False),
        (True, 1, False),
        (True, True, True),
        (1, True, False),
        (None, None, True),
        ("a", "a", True),
        ([], None, False),
    ],
)
def test_types_count_where_values_are_compared(value: object, constant: str | float | None, *, same: bool) -> None:
    assert is_same(value, constant) is same


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    mapping = one("        metrics: [{name: things_total, type: counter, help: B., labels: {c: $.c}}]\n", tmp_path)
    assert (mapping.format, mapping.protocol, mapping.authorize.scheme) == (Format.JSON, "auto", "header")
    assert mapping.cursor is None
    [entry] = mapping.entries
    assert entry.role is Role.EVENT
    [metric] = mapping.metrics
    assert (metric.name, metric.kind, metric.limit) == ("a_things_total", MetricKind.COUNTER, 1000)
    assert metric.value is not None
    assert metric.value.constant == 1
    assert metric.labels[0].max_values == 1000
    assert metric.labels[0].other == "other"


def test_values_of_a_label_are_bounded_by_the_mapping(tmp_path: Path) -> None:
    text = """
mappings:
  a:
    namespace: a
    limits: {label-values: 7}
    messages:
      - kind: a
        metrics:
          - {name: thing, type: gauge, help: B., value: $.b, labels: {c: $.c, d: {path: $.d, max-values: 9}}}
"""
    [metric] = read(text, tmp_path).by_name["a"].metrics
    assert [label.max_values for label in metric.labels] == [7, 9]


def test_a_unit_is_a_factor_and_an_offset(tmp_path: Path) -> None:
    text = "        metrics: [{name: heat_celsius, type: gauge, help: B., value: {path: $.b, unit: fahrenheit}}]\n"
    value = one(text, tmp_path).metrics[0].value
    assert value is not None
    assert 212 * value.factor + value.offset == pytest.approx(100)


def test_parts_of_an_identity_may_be_several_paths(tmp_path: Path) -> None:
    part = one("        id: [$.a, [$.b, $.c]]\n        forget: {x: $.d}\n", tmp_path).entries[0].parts[0]
    assert [[path.text for path in paths] for paths in part.id] == [["$.a"], ["$.b", "$.c"]]
    assert part.forget[0][0] == "x"


def test_paths_know_where_they_begin(tmp_path: Path) -> None:
    text = """        each: $.a[*].b.*
        metrics:
          - name: thing
            type: gauge
            help: B.
            value: "@.c"
            labels: {k: "@key", p: "@parent.d", m: $.e, s: meta.stream}
"""
    [metric] = one(text, tmp_path).metrics
    roots = [(label.path or ())[0].root for label in metric.labels]
    assert roots == [Root.KEY, Root.PARENT, Root.MESSAGE, Root.META]


def test_what_is_sent_keeps_its_types(tmp_path: Path) -> None:
    text = """
mappings:
  a:
    namespace: a
    open: [{send: {id: "${next}", n: 1, t: "1", x: null, b: [true]}}, {send: 40}]
    messages: [{kind: a, role: ack}]
"""
    sends = [step.send for step in read(text, tmp_path).by_name["a"].open]
    assert sends[0] is not None
    assert isinstance(sends[0].content, Fields)
    assert sends[0].render({"next": 7}.__getitem__) == '{"id":7,"n":1,"t":"1","x":null,"b":[true]}'
    assert sends[1] == Template("40")


def test_names_that_a_stream_has_to_give(tmp_path: Path) -> None:
    text = """
mappings:
  a:
    namespace: a
    open: [{send: "${secret} ${secret.b} ${param.c}"}, {send: {"${param.d}": 1}}]
    messages: [{kind: a, role: ack, reply: "${secret.e}"}]
"""
    mapping = read(text, tmp_path).by_name["a"]
    assert mapping.needs_key
    assert mapping.secrets == {"b", "e"}
    assert mapping.parameters == {"c", "d"}


def test_a_cursor_of_an_event_stream_is_resumed_by_its_header(tmp_path: Path) -> None:
    text = "mappings:\n  a: {namespace: a, cursor: {}, messages: [{kind: a, role: ack}]}\n"
    cursor = read(text, tmp_path).by_name["a"].cursor
    assert cursor is not None
    assert cursor.path.text == "meta.id"
    assert cursor.resume is not None
    assert cursor.resume.header == "Last-Event-ID"


# Extending


EXTENDED = """
mappings:
  mine:
    extends: wikimedia
    namespace: mine
    limits: {series: 5}
    cursor: {rewind: {by: 9}}
    headers: {User-Agent: me}
    messages:
      - {kind: log, when: {$.type: log}, role: ignore}
      - kind: change
        where: {$.bot: false}
        metrics:
          - {name: changes_total, help: Other help.}
          - {name: titles_total, type: counter, help: More.}
"""


def test_a_mapping_changes_a_preset(tmp_path: Path) -> None:
    result = read(EXTENDED, tmp_path)
    assert result.problems == []
    mapping = result.by_name["mine"]
    assert [metric.name for metric in mapping.metrics] == [
        *("mine_changes_total", "mine_change_bytes", "mine_page_size_bytes", "mine_titles_total"),
    ]
    assert mapping.metrics[0].help == "Other help."
    assert [label.name for label in mapping.metrics[0].labels] == ["wiki", "type", "bot"]
    assert [entry.kind for entry in mapping.entries] == ["log", "change"]
    assert [where.path[0].text for where in mapping.entries[1].parts[0].where] == ["$.bot"]
    assert mapping.cursor is not None
    assert mapping.cursor.rewind is not None
    assert mapping.cursor.rewind.by == 9
    assert mapping.cursor.rewind.pattern is not None


def test_nothing_takes_away_what_a_preset_has(tmp_path: Path) -> None:
    result = read("mappings: {a: {extends: wikimedia, cursor: }}\n", tmp_path)
    assert result.problems == []
    assert result.by_name["a"].cursor is None


def test_a_mapping_may_have_the_name_of_the_preset_that_it_extends(tmp_path: Path) -> None:
    result = read("mappings: {wikimedia: {extends: wikimedia, namespace: w}}\n", tmp_path)
    assert result.problems == []
    assert result.by_name["wikimedia"].namespace == "w"


def test_a_mapping_extends_one_of_another_file(tmp_path: Path) -> None:
    base, other = tmp_path / "base.yaml", tmp_path / "other.yaml"
    base.write_text("mappings: {a: {namespace: a, messages: [{kind: a, role: ack}]}}\n")
    other.write_text("mappings: {b: {extends: a, limits: {series: 0}}}\n")
    result = read_files([other, base])
    assert list(result.by_name) == ["a"]
    assert [str(problem) for problem in result.problems] == [
        f"{other}:1: mappings.b.limits.series: got '0', expected a whole number between 1 and 1000000"
    ]


def test_a_problem_of_what_is_extended_is_where_it_stands(tmp_path: Path) -> None:
    text = """
mappings:
  a:
    namespace: a
    messages:
      - kind: a
        metrics: [{name: thing, type: gauge, help: B., value: {path: $.b, unit: percent}}]
  b: {extends: a}
"""
    expected = "got 'a_thing', expected a name that ends in _ratio, the base unit of percent"
    found = problems(text, tmp_path)
    assert f"FILE:7: mappings.a.messages[0].metrics[0].name: {expected}" in found
    assert f"FILE:7: mappings.b.messages[0].metrics[0].name: {expected}" in found
    in_preset = problems("mappings: {a: {extends: wikimedia, namespace: seconds_minutes}}\n", tmp_path)
    assert any(problem.startswith("preset wikimedia:") for problem in in_preset)


# Files


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "FILE: mappings: got nothing, expected mappings by their names (mappings: ...)"),
        ("- a\n", "FILE:1: (file): got a list, expected mappings by their names (mappings: ...)"),
        ("a\n", "FILE:1: (file): got a single value, expected mappings by their names (mappings: ...)"),
        ("mappings: [a]\n", "FILE:1: mappings: got a list, expected mappings by their names"),
        ("mappings: {}\nstreams: []\n", "FILE:2: streams: got an unknown key, expected one of mappings"),
        ("mappings: {a: [b]}\n", "FILE:1: mappings.a: got a list, expected keys with values"),
        ("mappings: {a: {b}\n", "FILE:"),
        ("mappings:\n  a: {x: @.a}\n", "cannot start any token; write it in quotes)"),
        ("mappings: &a {b: *a}\n", "an alias to what contains it"),
        ("mappings: {a: {namespace: a}, a: {namespace: b}}\n", "FILE:1: mappings.a: got the key a second time"),
    ],
)
def test_what_is_no_mapping_is_one_clear_problem(text: str, expected: str, tmp_path: Path) -> None:
    found = problems(text, tmp_path)
    assert any(expected in problem for problem in found), found


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert "a readable file" in str(read_config(tmp_path / "none.yaml").problems[0])
    assert "a file that is there" in str(read_files([tmp_path / "none.yaml"]).problems[0])


def test_a_name_stands_once_in_all_files(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    for file in (first, second):
        file.write_text("mappings: {a: {namespace: a, messages: [{kind: a, role: ack}]}}\n")
    result = read_files([first, second])
    assert [str(problem) for problem in result.problems] == [
        f"{second}:1: mappings.a: got the mapping a second time, expected it once (first at {first}:1)"
    ]
    assert list(result.by_name) == ["a"]


def test_a_section_with_nothing_in_it_is_no_problem(tmp_path: Path) -> None:
    table, _ = yaml_text.read(tmp_path / "x.yaml") if (tmp_path / "x.yaml").write_text("mappings:\n") else (None, [])
    assert table is not None
    assert read_mappings([(table.entries["mappings"], "x.yaml")]) == Mappings()


def test_a_problem_never_shows_the_value_of_a_header(tmp_path: Path) -> None:
    text = "mappings: {a: {namespace: a, headers: {X-A: 'hunter2\\u00e9'}, messages: [{kind: a, role: ack}]}}\n"
    [problem] = problems(text.replace("\\u00e9", "é"), tmp_path)
    assert "hunter2" not in problem
