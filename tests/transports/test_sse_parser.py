"""The SSE parser against the WHATWG text, each case whole, byte by byte and with a tail."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iris_exporter.decoding.dialect import Frame, NamedEvent
from iris_exporter.errors import LimitExceededError
from iris_exporter.transports import sse_parser
from iris_exporter.transports.sse_columns import columns_of
from iris_exporter.transports.sse_parser import SseEvent, SseParser
from tests.examples import examples


def whole(parser: SseParser, data: bytes) -> list[SseEvent]:
    return parser.feed(data)


def byte_by_byte(parser: SseParser, data: bytes) -> list[SseEvent]:
    return [event for index in range(len(data)) for event in parser.feed(data[index : index + 1])]


def with_incomplete_tail(parser: SseParser, data: bytes) -> list[SseEvent]:
    return parser.feed(data + b": the rest has not come ye")


def e(data: bytes, name: str = "message", identifier: str = "") -> SseEvent:
    return SseEvent(name, data, identifier)


CASES = {
    "one line": (b"data: a\n\n", [e(b"a")]),
    "no space after the colon": (b"data:a\n\n", [e(b"a")]),
    "only one leading space goes": (b"data:  a\n\n", [e(b" a")]),
    "crlf": (b"data: a\r\n\r\n", [e(b"a")]),
    "lone cr": (b"data: a\r\r", [e(b"a")]),
    "mixed line ends": (b"data: a\rdata: b\r\ndata: c\n\r\n", [e(b"a\nb\nc")]),
    "lines are joined": (b"data: a\ndata\ndata: b\n\n", [e(b"a\n\nb")]),
    "an empty data field is an event": (b"data\n\n", [e(b"")]),
    "two empty data fields are one newline": (b"data:\ndata:\n\n", [e(b"\n")]),
    "bom": (b"\xef\xbb\xbfdata: a\n\n", [e(b"a")]),
    "a second bom is no bom": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [e(b"b")]),
    "names": (b"event: update\ndata: a\n\ndata: b\n\n", [e(b"a", "update"), e(b"b")]),
    "an empty name is message": (b"event:\ndata: a\n\n", [e(b"a")]),
    "a name without data is dropped": (b"event: x\n\ndata: a\n\n", [e(b"a")]),
    "the last name wins": (b"event: x\nevent: y\ndata: a\n\n", [e(b"a", "y")]),
    "comments": (b": hello\ndata: a\n:\n\n: b\n", [e(b"a")]),
    "unknown fields": (b"foo: bar\ndata: a\nDATA: b\n\n", [e(b"a")]),
    "ids stay in force": (b"id: 1\ndata: a\n\ndata: b\n\n", [e(b"a", identifier="1"), e(b"b", identifier="1")]),
    "an id after the name": (b"event: x\nid: 7\ndata: a\n\n", [e(b"a", "x", "7")]),
    "an id after the data": (b"data: a\nid: 7\n\n", [e(b"a", identifier="7")]),
    "an empty id resets": (b"id: 1\ndata: a\n\nid\ndata: b\n\n", [e(b"a", identifier="1"), e(b"b")]),
    "NUL in an id is ignored": (
        b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n",
        [e(b"a", identifier="1"), e(b"b", identifier="1")],
    ),
    "line separators of Unicode are data": (
        "data: a\u2028b\u2029c\x85d\x0be\n\n".encode(),
        [e("a\u2028b\u2029c\x85d\x0be".encode())],
    ),
    "colons in data": (b"data: a: b:\n\n", [e(b"a: b:")]),
}


@pytest.mark.parametrize("feed", [whole, byte_by_byte, with_incomplete_tail])
@pytest.mark.parametrize(("stream", "expected"), CASES.values(), ids=CASES.keys())
def test_interprets_the_stream_however_it_is_cut(
    feed: Callable[[SseParser, bytes], list[SseEvent]], stream: bytes, expected: list[SseEvent]
) -> None:
    assert feed(SseParser(1000), stream) == expected


def test_the_end_in_mid_event_discards_the_event_and_keeps_the_id() -> None:
    parser = SseParser(1000)
    assert parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n") == [e(b"a", identifier="1")]
    assert parser.last_event_id == "1"


def test_an_id_without_data_moves_the_last_event_id_and_is_no_event() -> None:
    parser = SseParser(1000)
    assert parser.feed(b"id: 9\n\n") == []
    assert parser.last_event_id == "9"


def test_a_lone_cr_ends_an_event_without_waiting_for_the_next_byte() -> None:
    parser = SseParser(1000)
    assert parser.feed(b"data: a\r\r") == [e(b"a")]
    assert parser.feed(b"\ndata: b\n\n") == [e(b"b")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"retry: 3000", 3000),
        (b"retry:0", 0),
        (b"retry: -1", None),
        (b"retry: 1.5", None),
        (b"retry: 1s", None),
        ("retry: \u00b2".encode(), None),
        (b"retry:", None),
        (b"retry: 1 ", None),
        (b"retry: " + b"9" * 5000, 10**12),
    ],
)
def test_retry_is_ascii_digits_alone(line: bytes, expected: int | None) -> None:
    parser = SseParser(10_000)
    parser.feed(line + b"\n\n")
    assert parser.retry_milliseconds == expected


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    "attack", [b"data: " + b"x" * 101 + b"\n\n", b"data: " + b"x" * 300, b"x" * 300, b"data: 12345678\n" * 20]
)
def test_an_event_over_the_limit_closes_the_parser_and_loses_nothing_before_it(attack: bytes, size: int) -> None:
    parser = SseParser(100)
    stream = b"data: kept\n\n" + attack
    events = []
    for index in range(0, len(stream), size):
        events += parser.feed(stream[index : index + size])
        if parser.closed:
            break
    assert events == [e(b"kept")]
    assert parser.closed
    with pytest.raises(LimitExceededError):
        parser.feed(b"data: a\n\n")


def test_an_event_of_exactly_the_limit_passes() -> None:
    for feed in (whole, byte_by_byte):
        parser = SseParser(100)
        assert feed(parser, b"data: " + b"x" * 100 + b"\n\n") == [e(b"x" * 100)]
        assert feed(SseParser(100), b"data: " + b"x" * 49 + b"\r\ndata: " + b"x" * 50 + b"\r\n\r\n") == [
            e(b"x" * 49 + b"\n" + b"x" * 50)
        ]


@pytest.mark.parametrize("line", [b": ", b"event: ", b"id: ", b"unknown: "])
def test_a_line_over_the_limit_closes_the_parser_however_it_is_cut(line: bytes) -> None:
    for feed in (whole, byte_by_byte_until_closed):
        parser = SseParser(100)
        assert feed(parser, b"data: kept\n\n" + line + b"x" * 110 + b"\ndata: a\n\n") == [e(b"kept")]
        assert parser.closed
        assert not feed(SseParser(100), line + b"x" * 90 + b"\n\n")


def byte_by_byte_until_closed(parser: SseParser, data: bytes) -> list[SseEvent]:
    pieces = (data[index : index + 1] for index in range(len(data)))
    return [event for piece in pieces if not parser.closed for event in parser.feed(piece)]


def reference(stream: bytes) -> list[SseEvent]:
    """The standard's algorithm, as slowly and plainly as it is written there."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events: list[SseEvent] = []
    data: list[bytes] = []
    name, identifier = "", ""
    for line in text.split(b"\n")[:-1]:
        if not line:
            if data:
                events.append(SseEvent(name or "message", b"\n".join(data), identifier))
            data, name = [], ""
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"id" and b"\0" not in value:
            identifier = value.decode("utf-8", "replace")
    return events


FRAGMENTS = [
    b"data",
    b"event",
    b"id",
    b"retry",
    b":",
    b" ",
    b"\n",
    b"\n\n",
    b"\r",
    b"\r\n",
    b"a",
    b"\0",
    b"\xef\xbb\xbf",
]


@given(st.lists(st.sampled_from(FRAGMENTS)).map(b"".join), st.lists(st.integers(0, 60)))
def test_agrees_with_the_standard_for_any_stream_and_any_cuts(stream: bytes, cuts: list[int]) -> None:
    parser = SseParser(10_000)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:stop] for start, stop in itertools.pairwise(edges)]
    assert [event for piece in pieces for event in parser.feed(piece)] == reference(stream)


PARTS = [
    b"id: 7\nevent: event\ndata: {}\n\n",
    b"event: event\nid:8\ndata:{}\n\n",
    b"id: a\nid: b\ndata: c\n\n",
    b"data: plain\n\n",
    b"data: " + b"x" * 300 + b"\n\n",
    b"data: " + b"x" * 301 + b"\n\n",
    b"id: " + b"9" * 256 + b"\ndata: a\n\n",
    b"id:\nevent:\ndata: no name\n\n",
    b"data: a\ndata: b\n\n",
    b"id: \xff\ndata: \xff\n\n",
    b"event: beat\ndata: {}\n\n",
    b"id: 3\nevent:BEAT\ndata: b\n\n",
    b"event: beats\ndata: c\n\n",
    b"id: only\n\n",
    b"data:\n\n",
    b"retry: 5\n\n",
    b": comment\n\n",
    *FRAGMENTS,
]


@given(
    st.lists(st.sampled_from(PARTS[:4]) | st.sampled_from(PARTS), max_size=8).map(b"".join)
    | st.lists(st.sampled_from(PARTS), min_size=1, max_size=2).map(lambda parts: b"".join(parts * 4)),
    st.lists(st.integers(0, 1000), max_size=3),
    st.sampled_from([0, 40, 4096]),
    st.sampled_from([1, 100, 131072]),
    st.booleans(),
)
@example(b"\n\n" + PARTS[0] * 3, [], 4096, 131072, False)
@example(PARTS[0] * 3 + PARTS[1], [], 0, 131072, False)
@example(PARTS[0] * 3 + PARTS[15], [], 0, 1, False)
@example(PARTS[3] + PARTS[4] + PARTS[5] + PARTS[3], [], 4096, 131072, False)
@example(PARTS[3] + b"data: a\rdata: b\n\n", [], 4096, 131072, False)
@example(PARTS[3] + b"id: a\0\ndata: b\n\n", [], 0, 131072, False)
@example(PARTS[3] + b"event: x\n" + PARTS[3], [len(PARTS[3] + b"event: x\n")], 4096, 131072, False)
@example(PARTS[0] * 3 + PARTS[7] + PARTS[3], [], 0, 131072, True)
@examples(4)
def test_frames_are_the_data_of_the_events_for_any_stream_and_any_cuts(
    stream: bytes, cuts: list[int], columns_from: int, at_once: int, names_events: bool
) -> None:
    quick = SseParser(300, "0", frozenset({"beat"}), names_events=names_events)
    patient = SseParser(300, "0")
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    data: list[Frame] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sse_parser, "_COLUMNS_BYTES", columns_from)
        patch.setattr(sse_parser, "_AT_ONCE_BYTES", at_once)
        for start, stop in itertools.pairwise(edges):
            if not quick.closed:
                data += quick.feed_frames(stream[start:stop])
    events = byte_by_byte_until_closed(patient, stream)
    if names_events:
        assert data == [NamedEvent(event.name, event.data, event.id) for event in events]
        assert quick.last_event_id == patient.last_event_id
        return
    assert data == [NamedEvent("beat", event.data) if event.name.lower() == "beat" else event.data for event in events]
    assert (quick.closed, quick.retry_milliseconds) == (patient.closed, patient.retry_milliseconds)
    assert quick.last_event_id == patient.last_event_id


@pytest.mark.parametrize(
    "event",
    [
        b"data: a\n\n",
        b"id: 1\ndata: a\n\n",
        b"event: x\ndata: a\n\n",
        b"id: 1\nevent: x\ndata: a\n\n",
        b"event:x\nid:1\ndata: a\n\n",
    ],
)
def test_events_of_one_shape_are_columns(event: bytes) -> None:
    """Or the test above would compare the regular expression with itself."""
    others = event.replace(b" a", b" b").replace(b"x", b"Y").replace(b"1", b"2")
    columns = columns_of(event + others, 300)
    assert columns is not None
    assert columns.data == [b"a", b"b"]
    assert columns.names == ({"x", "y"} if b"x" in event else set())
    assert columns.id_line.endswith(b"2") == (b"1" in event)


@pytest.mark.parametrize(
    "other",
    [
        b"id: 1\ndata:a\n\n", b"id: 1\ndata\n\n", b"data: a\nid: 1\n\n", b"id: 1\nevent: x\n\n", b"data: a\n\n",
        b"id: 1\ndatA: a\n\n", b"ie: 1\ndata: a\n\n", b": 1\ndata: a\n\n", b"id: 1\n\ndata: a\n\n",
        b"\nid: 1\ndata: a\n", b"id: 1\ndata: a\n\n\n", b"id: 1\nid: 1\ndata: a\n\n",
        b"id: 1\ndata: " + b"a" * 300 + b"\n\n",
    ],
)  # fmt: skip
def test_events_of_several_shapes_are_none(other: bytes) -> None:
    for stream in (b"id: 1\ndata: a\n\n" + other, other + b"id: 1\ndata: a\n\n"):
        assert columns_of(stream, 300) is None


def test_a_closed_parser_takes_no_data() -> None:
    parser = SseParser(10)
    assert parser.feed_frames(b"data: " + b"x" * 11 + b"\n\n") == []
    with pytest.raises(LimitExceededError):
        parser.feed_frames(b"data: a\n\n")
