"""Bodies of JSON texts, cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.errors import LimitExceededError
from iris_exporter.transports.lines import RECORD_SEPARATOR, LineParser
from tests.examples import examples

LINES = st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=20)


def in_pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(body)) for cut in cuts})
    return [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]


@examples(2)
@given(LINES, st.lists(st.integers(0, 400), max_size=10), st.binary(max_size=9).map(lambda each: each.strip(b"\n")))
def test_cut_anywhere_the_messages_are_the_same(lines: list[bytes], cuts: list[int], last: bytes) -> None:
    last = last.replace(b"\n", b"")
    parser = LineParser(1000)
    body = b"".join(line + b"\n" for line in lines) + last
    found = [message for piece in in_pieces(body, cuts) for message in parser.feed(piece)]
    assert found == [line for line in lines if line.strip()]
    assert parser.rest() == ([last] if last.strip() else [])
    assert parser.rest() == []


@examples(2)
@given(LINES, st.lists(st.integers(0, 400), max_size=10), st.integers(1, 15))
def test_what_is_larger_than_the_limit_ends_it_wherever_it_is_cut(
    lines: list[bytes], cuts: list[int], limit: int
) -> None:
    parser = LineParser(limit)
    found: list[bytes] = []
    for piece in in_pieces(b"".join(line + b"\n" for line in lines), cuts):
        if parser.closed:
            break
        found += parser.feed(piece)
    too_large = next((index for index, line in enumerate(lines) if len(line) > limit), None)
    assert parser.closed is (too_large is not None)
    assert found == [line for line in lines[:too_large] if line.strip()]


def test_a_closed_parser_takes_nothing() -> None:
    parser = LineParser(3)
    assert parser.feed(b"1\n22222") == [b"1"]
    with pytest.raises(LimitExceededError):
        parser.feed(b"\n")


def test_records_of_a_sequence_begin_with_their_separator() -> None:
    parser = LineParser(100, RECORD_SEPARATOR)
    assert parser.feed(b'\x1e{"a":1}\n\x1e[2') == [b'{"a":1}\n']
    assert parser.feed(b"]\n\x1e") == [b"[2]\n"]
    assert parser.feed(b'"no end"') == []
    assert parser.rest() == [b'"no end"']
