"""Events that came early: each is counted or reported lost, once, whatever becomes of its place."""

from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.core.advances import Advances


@given(st.lists(st.booleans(), max_size=12), st.integers(0, 5), st.booleans())
def test_what_is_counted_and_what_is_reported_add_up(early_is_lost: list[bool], others: int, restarts: bool) -> None:
    """Some early events are among the lost ones, which are reported at once; the rest comes in its place."""
    advances = Advances(100)
    for number in range(len(early_is_lost)):
        advances.add(str(number))
    reported = advances.reported(others + sum(early_is_lost))
    if restarts:
        advances = Advances(100, list(advances.outstanding), advances.lost)
    for number, is_lost in enumerate(early_is_lost):
        if not is_lost:
            reported += advances.take(str(number))
    assert reported == others
    assert advances.lost == len(advances.outstanding) or others == 0


def test_memory_is_bounded_and_the_numbers_stay_possible() -> None:
    advances = Advances(3, ["a", "b"], 7)
    assert advances.lost == 2
    for name in "cdefg":
        advances.add(name)
    assert list(advances.outstanding) == ["e", "f", "g"]
    assert 0 <= advances.lost <= 3
