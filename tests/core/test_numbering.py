"""Whether positions follow one by one, asked for many at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.core.positions import MAX_OFFSET, are_consecutive

FIRSTS = st.sampled_from([0, 1, 42, 98, 99, 100, 101, 999, 1000, 123_456, MAX_OFFSET - 300, MAX_OFFSET - 1])


@given(FIRSTS, st.integers(1, 250), st.sampled_from(["e-", "1-2-", "100-", "%-"]))
def test_texts_of_consecutive_numbers_are_consecutive(first: int, count: int, prefix: str) -> None:
    positions = [f"{prefix}{number}" for number in range(first, first + count)]
    assert are_consecutive(positions, prefix, first) == (first + count <= MAX_OFFSET)
    assert not are_consecutive(positions, prefix, first + 1)
    assert not are_consecutive(positions, f"{prefix}1", first)


@given(FIRSTS, st.integers(1, 250), st.data())
def test_one_other_text_is_enough_for_no(first: int, count: int, data: st.DataObject) -> None:
    positions = [f"e-{number}" for number in range(first, first + count)]
    index = data.draw(st.integers(0, count - 1))
    number = positions[index].removeprefix("e-")
    other = data.draw(
        st.sampled_from(
            ["", "e-", "e-x", f"e-0{number}", f"e-+{number}", f"f-{number}", f"{positions[index]}\n", "e-\u0661"]
        )
        | st.integers(0, 10**18).map(lambda offset: f"e-{offset}")
    )
    if other != positions[index]:
        positions[index] = other
        assert not are_consecutive(positions, "e-", first)


@pytest.mark.parametrize("positions", [["e-7\ne-8", "e-9"], ["e-7", "e-8\ne-9"]])
def test_a_line_feed_in_a_position_is_no_border_between_two(positions: list[str]) -> None:
    assert not are_consecutive(positions, "e-", 7)
