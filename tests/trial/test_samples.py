"""From recorded bytes to messages."""

import pytest

from iris_exporter.decoding.dialect import NamedEvent
from iris_exporter.trial.samples import Recording, read_sample


def read(content: bytes, *, names_events: bool = False, lines: bool = False) -> Recording:
    return read_sample(content, names_events=names_events, lines=lines)


@pytest.mark.parametrize(
    ("content", "form", "messages"),
    [
        (b'data: {"a":1}\n\ndata: {"a":2}\n\n', "sse", [b'{"a":1}', b'{"a":2}']),
        (b":ok\n\nid: 1\ndata: a\ndata: b", "sse", [b"a\nb"]),
        (b"\xef\xbb\xbfevent: x\r\ndata: a\r\n\r\n", "sse", [b"a"]),
        (b'{"a":1}\n{"a":2}\n\n', "lines", [b'{"a":1}', b'{"a":2}']),
        (b'{\n "a": 1\n}\n', "json", [b'{\n "a": 1\n}']),
        (b'[{"a":1},\n{"a":2}]', "json", [b'[{"a":1},\n{"a":2}]']),
        (b'{"a":1}', "json", [b'{"a":1}']),
        (b'{\n"a":1}\n\n{"a":2}', "json", [b'{\n"a":1}', b'{"a":2}']),
        (b'\x1e{"a":\n1}\n\x1e{"a":2}\n\x1e', "json-seq", [b'{"a":\n1}', b'{"a":2}']),
        (b'{"a":1}\nbroken\n{"a":2}\n', "lines", [b'{"a":1}', b"broken", b'{"a":2}']),
        (b"\xff\xfe\n{}\n", "lines", [b"\xff\xfe", b"{}"]),
        (b"[" * 100_000, "lines", [b"[" * 100_000]),
        (b"", "lines", []),
        (b" \n\n", "lines", []),
    ],
)
def test_the_form_is_found_from_the_content(content: bytes, form: str, messages: list[bytes]) -> None:
    recording = read(content)
    assert [arrival.frame for arrival in recording.arrivals] == messages
    if messages:
        assert recording.form == form


def test_events_have_their_names_where_the_mapping_reads_them() -> None:
    [first, second] = read(b"event: a\nid: 7\ndata: x\n\ndata: y\n\n", names_events=True).arrivals
    assert first.frame == NamedEvent("a", b"x", "7")
    assert second.frame == NamedEvent("message", b"y", "7")
    assert first.last_event_id == "7"


def test_packets_are_lines_whatever_they_look_like() -> None:
    assert [arrival.frame for arrival in read(b'40{"sid":"b"}\n2\n', lines=True).arrivals] == [b'40{"sid":"b"}', b"2"]
