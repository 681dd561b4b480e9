"""A waiting line shared out by client."""

import pytest

from iris_exporter.core.fair_queue import FairQueue, QueueFullError


def test_clients_are_served_in_turn() -> None:
    line: FairQueue[str] = FairQueue(10, 5)
    for item in ("a1", "a2", "a3"):
        line.enter("a", item)
    line.enter("b", "b1")
    assert [line.take() for _ in range(5)] == ["a1", "b1", "a2", "a3", None]


def test_one_client_has_so_much_room_and_no_more() -> None:
    line: FairQueue[int] = FairQueue(10, 2)
    line.enter("a", 1)
    line.enter("a", 2)
    with pytest.raises(QueueFullError):
        line.enter("a", 3)
    assert len(line) == 2


def test_without_room_the_newest_of_the_longest_line_makes_it() -> None:
    line: FairQueue[str] = FairQueue(4, 4)
    for item in ("a1", "a2", "a3", "a4"):
        line.enter("a", item)
    assert line.enter("b", "b1") == "a4"
    assert line.enter("b", "b2") == "a3"
    with pytest.raises(QueueFullError):
        line.enter("b", "b3")  # it would have more than the other one
    assert [line.take() for _ in range(4)] == ["a1", "b1", "a2", "b2"]


def test_where_everybody_has_one_a_newcomer_is_refused() -> None:
    line: FairQueue[int] = FairQueue(2, 2)
    line.enter("a", 1)
    line.enter("b", 2)
    with pytest.raises(QueueFullError):
        line.enter("c", 3)
