"""The payload of a chunked body out of a buffer."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iris_exporter.transports.chunks import is_beginning, take_chunks, take_rest

# Sizes of one and of two digits, so that some are as long as the one before.
PAYLOADS = st.lists(st.binary(min_size=1, max_size=40) | st.just(b"\r\n2\r\n"), min_size=1, max_size=6)


def chunk(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


@given(PAYLOADS, st.data())
def test_a_body_is_the_same_wherever_it_is_cut(payloads: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(map(chunk, payloads))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    pieces: list[bytes] = []
    pending, left = b"", 0
    for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        part, start = pending + wire[begin:end], 0
        if left:
            found = take_rest(part, left, pieces)
            assert found is not None
            start, left = found, max(0, left - len(part))
        if not left:
            start, left = take_chunks(part, start, pieces)
        assert is_beginning(part, start)
        pending = part[start:]
    assert (b"".join(pieces), pending, left) == (b"".join(payloads), b"", 0)


@pytest.mark.parametrize(
    "other",
    [
        b"0\r\n\r\n", b"1;x=y\r\na\r\n", b"-1\r\na\r\n", b"0x1\r\na\r\n", b"1_0\r\n" + b"a" * 16 + b"\r\n",
        b" 1\r\na\r\n", b"\r\n", b"000000001\r\na\r\n", b"x\r\n", b"1\na\n",
    ],
)  # fmt: skip
def test_what_is_no_plain_chunk_is_left_from_its_beginning(other: bytes) -> None:
    pieces: list[bytes] = []
    data = chunk(b"ab") + other
    assert take_chunks(data, 0, pieces) == (len(chunk(b"ab")), 0)
    assert pieces == [b"ab"]
    assert not is_beginning(data, len(chunk(b"ab")))


@pytest.mark.parametrize("end", [b"x", b"\rx", b"\n\r"])
def test_a_chunk_of_which_the_end_is_wrong_is_left_or_refused(end: bytes) -> None:
    pieces: list[bytes] = []
    assert take_chunks(b"1\r\na" + end, 0, pieces) == (0, 0)
    assert take_chunks(chunk(b"a") + b"1\r\na" + end, 0, pieces) == (len(chunk(b"a")), 0)
    assert take_rest(b"a" + end, 3, pieces) is None


@given(st.binary(max_size=30))
@example(b"5\r\nabc")
@example(b"1\r\na\r")
def test_anything_is_cut_left_or_awaited(data: bytes) -> None:
    pieces: list[bytes] = []
    start, left = take_chunks(data, 0, pieces)
    assert 0 <= start <= len(data)
    assert left == 0 or start == len(data)
