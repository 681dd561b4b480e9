"""Frames out of a buffer: whole text messages in one pass, and how long everything else is."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.transports.frames import BINARY, COMPRESSED, PING, TEXT, take_binaries, take_texts, whole_frame

LIMIT = 70_000


def frame(payload: bytes, first: int = TEXT) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


SIZES = st.sampled_from([0, 1, 5, 125, 126, 127, 300, 65_535, 65_536, LIMIT])
TEXTS = st.lists(st.builds(lambda size, letter: bytes((letter,)) * size, SIZES, st.integers(97, 122)), max_size=5)


@given(TEXTS, st.integers(0, 20))
def test_texts_are_cut_up_to_the_first_that_is_not_all_here(texts: list[bytes], missing: int) -> None:
    data = b"x" + b"".join(map(frame, texts))
    left, start = take_texts(data, 1, LIMIT, 1000)
    assert (left, start) == (texts, len(data))
    if texts:
        short = data[: len(data) - 1 - min(missing, len(texts[-1]))]
        assert take_texts(short, 1, LIMIT, 1000) == (texts[:-1], len(data) - len(frame(texts[-1])))


@pytest.mark.parametrize(
    "other",
    [
        frame(b"x", PING),
        frame(b"x", BINARY),
        frame(b"x", TEXT | COMPRESSED),
        frame(b"x", 0x01),  # a fragment
        frame(b"x" * (LIMIT + 1)),
        bytes((TEXT, 0x81)) + b"mask" + b"x",
    ],
)
def test_other_frames_are_left(other: bytes) -> None:
    data = frame(b"a") + other + frame(b"b")
    assert take_texts(data, 0, LIMIT, 1000) == ([b"a"], 3)


def test_so_many_are_cut_at_most() -> None:
    assert take_texts(frame(b"a") * 5, 0, LIMIT, 2) == ([b"a", b"a"], 6)


@given(TEXTS, st.integers(0, 20), st.sampled_from([b"", frame(b"a"), frame(b"x" * (LIMIT + 1), BINARY), b"\x82"]))
def test_binary_messages_are_cut_likewise(payloads: list[bytes], missing: int, rest: bytes) -> None:
    whole = b"x" + b"".join(frame(payload, BINARY) for payload in payloads)
    assert take_binaries(whole + rest, 1, LIMIT, 1000) == (payloads, len(whole))
    assert take_binaries(whole, 1, LIMIT, 2)[0] == payloads[:2]
    if payloads:
        short = whole[: len(whole) - 1 - min(missing, len(payloads[-1]))]
        cut = (payloads[:-1], len(whole) - len(frame(payloads[-1], BINARY)))
        assert take_binaries(short, 1, LIMIT, 1000) == cut


def test_a_length_may_be_longer_than_it_has_to_be() -> None:
    assert take_binaries(b"\x82\x7e\x00\x01a\x82\x7f" + bytes(7) + b"\x01b", 0, LIMIT, 9) == ([b"a", b"b"], 16)


@given(st.integers(0, LIMIT), st.integers(1, 20))
def test_the_size_of_a_frame_is_known_once_its_header_is_here(size: int, cut: int) -> None:
    data = frame(b"x" * size, PING)
    header = len(data) - size
    assert whole_frame(b"ab" + data, 2, LIMIT) == len(data)
    assert whole_frame(data[: max(0, header - cut)], 0, LIMIT) == 0


def test_what_is_masked_or_too_long_has_no_size() -> None:
    assert whole_frame(bytes((TEXT, 0x81)) + b"mask" + b"x", 0, LIMIT) is None
    assert whole_frame(frame(b"x" * 126, PING), 0, 125) is None
