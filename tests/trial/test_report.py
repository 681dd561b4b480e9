"""What a person reads of a trial."""

from pathlib import Path

import pytest

from iris_exporter.mapping.spec import Mapping
from iris_exporter.trial.report import report
from iris_exporter.trial.running import Result
from iris_exporter.trial.saving import Disguise
from iris_exporter.trial.testing import read_arrivals, series, try_arrivals
from tests.mapping.samples import read_files

MAPPING = """
mappings:
  a:
    namespace: a
    cursor: {path: $.n, order: number, rewind: {by: 5}, resume: {query: {since: "${cursor}"}}}
    limits: {series: 100}
    messages:
      - {kind: bad, when: {$.type: error}, role: error, error: {code: $.code, as: rate_limited}}
      - {kind: never, when: {$.type: never}, role: ack}
      - kind: sample
        when: {$.type: sample}
        each: $.items[*]
        where: {"@.skip": null}
        id: ["@.id"]
        metrics:
          - {name: items_total, type: counter, help: Items., labels: {host: $.host, zone: $.zone}}
          - {name: load_ratio, type: gauge, help: Load., value: "@.load"}
          - {name: words, type: gauge, help: Words., value: {path: "@.words", length: true}}
          - {name: unseen, type: gauge, help: Nothing., value: "@.unseen"}
"""
SAMPLE = b"""{"type":"sample","n":10,"host":"h","items":[{"id":1,"words":["a","b"],"extra":1},{"id":2,"load":"x"}]}
{"type":"sample","n":11,"host":"h","items":[{"id":1},{"id":3,"skip":true},{"load":0.1,"id":4}],"more":{"deep":1}}
{"type":"error","code":"E1"}
{"type":"unknown","text":"\\u001b[31mred"}
{"type":"unknown","text":"another of this shape"}
[1,2]
nonsense
"""


@pytest.fixture
def mapping(tmp_path: Path) -> Mapping:
    file = tmp_path / "a.yaml"
    file.write_text(MAPPING)
    read = read_files([file])
    assert read.problems == []
    return read.by_name["a"]


@pytest.fixture
def result(mapping: Mapping) -> Result:
    return try_arrivals(mapping, read_arrivals(mapping, SAMPLE), 1000.0)


LOGGED = """
mappings:
  l:
    namespace: l
    messages:
      - kind: edit
        when: {$.type: edit}
        id: $.id
        log: {body: $.text, severity: $.level, attributes: {wiki: $.wiki}}
        trace: {traceparent: $.trace}
"""


def test_the_report_shows_the_first_log_records_and_counts_the_spans(tmp_path: Path) -> None:
    file = tmp_path / "l.yaml"
    file.write_text(LOGGED)
    read = read_files([file])
    assert [*read.problems, *read.warnings] == []
    traced = b'"trace":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"'
    sample = b"\n".join(
        [
            b'{"type":"edit","id":"a","text":"first","level":"WARNING","wiki":"de",%b}' % traced,
            b'{"type":"edit","id":"a","text":"first","level":"WARNING","wiki":"de",%b}' % traced,
            *(b'{"type":"edit","id":"%d"}' % number for number in range(6)),
        ]
    )
    mapping = read.by_name["l"]
    lines = report(try_arrivals(mapping, read_arrivals(mapping, sample), 1000.0)).splitlines()
    start = lines.index("# log records over OTLP: 7 (edit 7)")
    assert lines[start + 1 : start + 3] == ['#   warning first a {"wiki":"de"}', "#   info (no body) 0"]
    assert lines[start + 6 : start + 8] == [
        "#   and 2 more",
        "# spans over OTLP, each linked to one of the source: 1 (edit 1)",
    ]


def test_everything_that_came_of_it_is_counted(result: Result) -> None:
    assert result.messages == {"sample": 2, "bad": 1, "other": 3}
    assert (result.filtered, result.duplicates) == (1, 1)
    assert [tuple(found)[:4] for found in result.problems] == [
        ("sample", "a_load_ratio", "not_a_number", "@.load"),
        ("", "", "not_json", "$"),
    ]
    assert result.errors == {("E1", "rate_limited"): 1}
    assert len(result.unmatched) == 2
    assert not result.is_clean


def test_paths_that_found_nothing_and_fields_that_nobody_reads(result: Result) -> None:
    assert result.coverage.missed() == {"sample": ["$.zone", "@.unseen"]}
    assert result.coverage.unread()["sample"] == ["$.items[*].extra", "$.more.deep"]


def test_the_report_says_all_of_it(result: Result) -> None:
    text = report(result)
    for part in (
        "# messages: 6 (sample 2, bad 1, other 3)",
        "# elements filtered: 1; duplicates: 1 (left out: their id was that of an earlier event); gaps: 0",
        "# kinds without a message: never",
        "# error of the source: E1, which is the reason rate_limited (1)",
        "# no entry takes 3; the first of each shape:",
        "sample a_load_ratio: not_a_number at @.load, found text (1): text that is not a number",
        "a message: not_json at $ (1): the text is not JSON",
        "#   sample: $.zone, @.unseen",
        "#   sample: $.items[*].extra, $.more.deep",
        "a_unseen: 0 of 1000  <- nothing came",
        "# guarantee: exactly_once: ",
        "# cursor: 11",
    ):
        assert part in text, part


def test_the_report_is_an_exposition(result: Result) -> None:
    lines = report(result).splitlines()
    assert all(line.startswith(("#", "a_")) for line in lines)
    assert series(lines) == series(result.exposition.splitlines())


def test_nothing_of_a_message_reaches_the_terminal_as_it_is(result: Result) -> None:
    assert "\x1b" not in report(result)


def test_lists_and_long_messages_are_cut(mapping: Mapping) -> None:
    many = b'{"type":"sample","items":[{"id":1}],' + b",".join(b'"f%d":1' % n for n in range(500)) + b"}\n"
    long = b'{"other":"' + b"x" * 10_000 + b'"}\n'
    text = report(try_arrivals(mapping, read_arrivals(mapping, many + long), 1000.0))
    assert "and 470 more" in text
    assert max(map(len, text.splitlines())) < 300


def test_a_mapping_that_takes_nothing_is_no_success(mapping: Mapping) -> None:
    assert not try_arrivals(mapping, read_arrivals(mapping, b'{"a":1}\n'), 1000.0).is_clean
    assert not try_arrivals(mapping, read_arrivals(mapping, b""), 1000.0).is_clean
    clean = b'{"type":"sample","items":[{"id":1,"load":1}]}\n'
    assert try_arrivals(mapping, read_arrivals(mapping, clean), 1000.0).is_clean


def test_a_path_that_a_condition_wants_absent_is_not_missed(tmp_path: Path) -> None:
    file = tmp_path / "b.yaml"
    file.write_text(
        "mappings: {b: {namespace: b, messages: [{kind: idle, when: {$.n: null}, role: heartbeat}, "
        "{kind: data, where: {$.gone: {exists: false}, $.m: 1}, "
        "metrics: [{name: n, type: gauge, help: N., value: $.n}]}]}}"
    )
    mapping = read_files([file]).by_name["b"]
    coverage = try_arrivals(mapping, read_arrivals(mapping, b'{}\n{"n":1}\n'), 1.0).coverage
    assert coverage.missed() == {"data": ["$.m"]}
    assert coverage.unread() == {}


@pytest.mark.parametrize(
    ("form", "sample"),
    [
        ("json-seq", b'\x1e{"a":\n1,"z":2}\n\x1e{"a":2,"z":3}\n'),
        ("ndjson", b'data: {"a":1,"z":2}\ndata: {"a":2,"z":3}\n'),
    ],
)
def test_paths_are_compared_whatever_the_format(form: str, sample: bytes, tmp_path: Path) -> None:
    """A text sequence, and an event with two lines of JSON in it."""
    file = tmp_path / "b.yaml"
    metrics = "[{name: one, type: gauge, help: B., value: $.a}, {name: two, type: gauge, help: C., value: $.q}]"
    file.write_text(f"mappings: {{b: {{namespace: b, format: {form}, messages: [{{kind: b, metrics: {metrics}}}]}}}}")
    mapping = read_files([file]).by_name["b"]
    recording = read_arrivals(mapping, sample)
    result = try_arrivals(mapping, recording, 1000.0)
    assert (result.messages, result.problems) == ({"b": 2}, {})
    assert result.coverage.missed() == {"b": ["$.q"]}
    assert result.coverage.unread() == {"b": ["$.z"]}
    again = read_arrivals(mapping, Disguise(mapping).sample(recording.arrivals))
    assert try_arrivals(mapping, again, 1000.0).messages == {"b": 2}


def test_what_a_path_counts_from_the_end_is_read(tmp_path: Path) -> None:
    file = tmp_path / "d.yaml"
    metric = "{name: last, type: gauge, help: L., value: '$.n[-1]'}"
    file.write_text(f"mappings: {{d: {{namespace: d, messages: [{{kind: d, metrics: [{metric}]}}]}}}}")
    mapping = read_files([file]).by_name["d"]
    coverage = try_arrivals(mapping, read_arrivals(mapping, b'{"n":[5]}'), 1.0).coverage
    assert (coverage.missed(), coverage.unread()) == ({}, {})


def test_each_bucket_and_each_state_is_one_of_the_series(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("""
mappings:
  w:
    namespace: w
    messages:
      - kind: a
        metrics:
          - {name: size_bytes, type: histogram, help: Size., value: $.n, buckets: [1, 10]}
          - {name: state, type: stateset, help: State., state: $.s, states: [up, down]}
          - {name: seen_total, type: counter, help: Seen.}
""")
    mapping = read_files([file]).by_name["w"]
    lines = report(try_arrivals(mapping, read_arrivals(mapping, b'{"n":1,"s":"up"}'), 1000.0)).splitlines()
    assert "# series: 8 of 10000; label sets of each metric:" in lines
    assert sum(line.startswith("w_") for line in lines) == 8
