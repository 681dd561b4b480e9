"""First mappings for samples."""

from pathlib import Path

import pytest

from iris_exporter.config.mappings import Found
from iris_exporter.mapping.spec import Role
from iris_exporter.trial.samples import read_sample
from iris_exporter.trial.suggest import suggest
from iris_exporter.trial.testing import read_arrivals, try_arrivals
from tests.mapping import samples
from tests.mapping.samples import read_files


def suggested(content: bytes, directory: Path) -> Found:
    recording = read_sample(content, names_events=True, lines=False)
    file = directory / "suggested.yaml"
    file.write_text(suggest("My source", recording.arrivals, form=recording.form), encoding="utf-8")
    return read_files([file])


@pytest.mark.parametrize("name", [name for name in samples.NAMES if name != "socketio"])
def test_what_is_suggested_for_a_real_stream_can_be_used(name: str, tmp_path: Path) -> None:
    """It is accepted, and takes every message of the sample that is JSON."""
    sample = samples.load(name)
    read = suggested(sample.content, tmp_path)
    assert [str(problem) for problem in read.problems] == []
    mapping = read.by_name["my-source"]
    result = try_arrivals(mapping, read_arrivals(mapping, sample.content), samples.NOW)
    assert result.is_clean or {found.reason for found in result.problems} <= {"not_json", "missing", "wrong_type"}
    assert result.exposition


def test_kinds_ids_times_numbers_and_labels_are_found(tmp_path: Path) -> None:
    content = (
        b"".join(
            b'{"type":"%s","id":"e%d","created_at":"2025-10-09T08:53:%02dZ","region":"%s","took_ms":%d,"price":"1.5"}\n'
            % ((b"open", b"close")[n % 2], n, n, (b"eu", b"us")[n // 2 % 2], n)
            for n in range(12)
        )
        + b'{"type":"heartbeat"}\n'
    )
    mapping = suggested(content, tmp_path).by_name["my-source"]
    kinds = {entry.kind: entry for entry in mapping.entries}
    assert kinds["heartbeat"].role is Role.HEARTBEAT
    # `open` could be an acknowledgement.
    part = kinds["close"].parts[0]
    assert [path.text for paths in part.id for path in paths] == ["$.id"]
    assert part.time is not None
    assert (part.time.path[0].text, part.time.format) == ("$.created_at", "iso")
    metrics = {metric.name: metric for metric in part.metrics}
    assert metrics.keys() == {"my_source_close_total", "my_source_close_took_seconds", "my_source_close_price"}
    assert [label.name for label in metrics["my_source_close_total"].labels] == ["region"]
    took = metrics["my_source_close_took_seconds"].value
    assert took is not None
    assert took.factor == 0.001


JOBS = b"""\
id: %d
event: job.queued
data: {"at":"2026-11-29T10:00:00Z","job":{"id":"j7","name":"build"}}

id: %d
event: job.finished
data: {"at":"2026-11-29T10:01:00Z","job":{"id":"j7","name":"build"},"took":"1200 ms"}

"""


@pytest.mark.parametrize("numbers", [(1, 2), (1, 1)])
def test_messages_about_the_same_thing_are_not_taken_for_one_event(numbers: tuple[int, int], tmp_path: Path) -> None:
    """By the ids of the events, and without such by the id of the thing together with the kind."""
    content = JOBS % numbers
    mapping = suggested(content, tmp_path).by_name["my-source"]
    for entry in mapping.entries:
        part = entry.parts[0]
        ids = [path.text for paths in part.id for path in paths]
        assert ids == (["meta.id"] if numbers == (1, 2) else ["meta.event", "$.job.id"])
        assert part.time is not None
        assert [label.name for label in part.metrics[0].labels] == ["name"]
    assert (mapping.cursor is not None) == (numbers == (1, 2))
    result = try_arrivals(mapping, read_arrivals(mapping, content), samples.NOW)
    assert 'my_source_job_finished_total{name="build",stream="sample"} 1.0' in result.exposition


def test_kinds_without_names_of_events_share_an_id_as_well(tmp_path: Path) -> None:
    content = b"".join(b'{"kind":"%s","id":"j%d"}\n' % (kind, n) for n in range(3) for kind in (b"start", b"stop"))
    mapping = suggested(content, tmp_path).by_name["my-source"]
    assert [[path.text for paths in entry.parts[0].id for path in paths] for entry in mapping.entries] == [
        ["$.kind", "$.id"]
    ] * 2


def test_a_short_sample_may_have_many_kinds(tmp_path: Path) -> None:
    kinds = ("welcome", "login", "subscribed", "reading", "state", "error", "reading")
    content = "".join(f'{{"kind":"{kind}","n":1}}\n' for kind in kinds).encode()
    mapping = suggested(content, tmp_path).by_name["my-source"]
    assert {entry.kind for entry in mapping.entries} == set(kinds)


def test_elements_of_lists_and_values_of_objects_are_found(tmp_path: Path) -> None:
    listed = suggested(b'[{"id":1,"n":2},{"id":2,"n":3}]', tmp_path).by_name["my-source"].entries[0].parts[0]
    assert str(listed.each) == "$[*]"
    keyed = suggested(b'{"apps":{"a":{"load":1,"up":true},"b":{"load":2,"up":false}}}', tmp_path).by_name["my-source"]
    part = keyed.entries[0].parts[0]
    assert str(part.each) == "$.apps.*"
    assert part.metrics[0].labels[0].name == "name"
    assert str((part.metrics[0].labels[0].path or ())[0]) == "@key"


@pytest.mark.parametrize(
    "content",
    [
        b"1\n2\n",
        b'"a"\n',
        b"{}\n{}\n",
        b"null\n",
        b"not json\n",
        b'{"a b":{"c-d":1,"1":2,"":3},"le":"x","\xc3\xa4":4}\n',
        b'{"ms":1,"count":2,"total":3,"info":4,"gauge":5,"a_sum":6}\n',
        b'{"type":"other"}\n{"type":"Other!"}\n{"type":"a\\"b"}\n',
        b'{"type":"","n":1}\n{"type":"\\u4e2d","n":1}\n',
    ],
)
def test_whatever_the_sample_what_is_suggested_is_a_mapping(content: bytes, tmp_path: Path) -> None:
    read = suggested(content, tmp_path)
    assert [str(problem) for problem in read.problems] == []
    assert list(read.by_name) == ["my-source"]


def test_codes_are_counted_by_and_ports_are_left_out(tmp_path: Path) -> None:
    content = b"".join(
        b'{"src_port":%d,"status":%d,"severity":"%d","size":%d}\n' % (5_000 + n, (200, 404)[n % 2], n % 3, n)
        for n in range(12)
    )
    (part,) = suggested(content, tmp_path).by_name["my-source"].entries[0].parts
    assert [metric.name for metric in part.metrics] == ["my_source_message_total", "my_source_size"]
    assert [label.name for label in part.metrics[0].labels] == ["status", "severity"]


def test_a_number_further_down_that_is_used_again_is_no_id(tmp_path: Path) -> None:
    """The counter would leave out a second question with the number of the first."""
    content = b"".join(b'{"dns":{"id":%d},"n":%d}\n' % (n * 7919 % 65_536, n) for n in range(12))
    assert suggested(content, tmp_path).by_name["my-source"].entries[0].parts[0].id == ()
    rising = b"".join(b'{"dns":{"id":%d},"n":%d}\n' % (n, n) for n in range(12))
    assert suggested(rising, tmp_path).by_name["my-source"].entries[0].parts[0].id


def test_an_id_and_a_time_may_be_text_with_a_prefix_in_their_names(tmp_path: Path) -> None:
    content = b"".join(b'{"ci_event_uuid":"e%d","ci_event_timestamp":"17959816%02d123"}\n' % (n, n) for n in range(12))
    (part,) = suggested(content, tmp_path).by_name["my-source"].entries[0].parts
    assert [path.text for paths in part.id for path in paths] == ["$.ci_event_uuid"]
    assert part.time is not None
    assert part.time.format == "unix_ms"


def test_a_list_that_few_messages_have_is_not_what_all_are_about(tmp_path: Path) -> None:
    content = b'{"topic":"all","payload":[{"name":"a"}]}\n' + b'{"topic":"a","payload":{"load":1}}\n' * 11
    (part,) = suggested(content, tmp_path).by_name["my-source"].entries[0].parts
    assert part.each is None
    assert "my_source_payload_load" in {metric.name for metric in part.metrics}


def test_empty_objects_are_signs_of_life(tmp_path: Path) -> None:
    mapping = suggested(b"{}\n" + b'{"index":1,"n":2}\n{"index":2,"n":2}\n{}\n' * 3, tmp_path).by_name["my-source"]
    assert [entry.role for entry in mapping.entries] == [Role.HEARTBEAT, Role.EVENT]
    result = try_arrivals(mapping, read_arrivals(mapping, b'{}\n{"index":1,"n":2}\n'), samples.NOW)
    assert dict(result.messages) == {"empty": 1, "message": 1}


def test_a_short_text_that_is_no_json_is_a_sign_of_life(tmp_path: Path) -> None:
    content = b'PING\n{"n":1}\nPING\n{"n":2}\n'
    mapping = suggested(content, tmp_path).by_name["my-source"]
    result = try_arrivals(mapping, read_arrivals(mapping, content), samples.NOW)
    assert (dict(result.messages), result.is_clean) == ({"text-1": 2, "message": 2}, True)
    garbage = suggested(b"".join(b"line %d\n" % n for n in range(9)) + content, tmp_path).by_name["my-source"]
    assert [entry.kind for entry in garbage.entries] == ["message"]


def test_an_id_that_most_messages_share_is_of_something_else(tmp_path: Path) -> None:
    content = b"".join(b'{"id":"%s","load":%d}\n' % ((b"one", b"two")[n % 2], n) for n in range(8))
    [entry] = suggested(content, tmp_path).by_name["my-source"].entries
    assert entry.parts[0].id == ()
