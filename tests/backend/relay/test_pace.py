"""How often a relay polls."""

import pytest

from iris_exporter.backend.relay.pace import LEAST_SECONDS, MOST_SECONDS, Pace


def middle() -> float:
    return 0.5


def test_it_polls_at_its_interval_with_jitter() -> None:
    assert Pace(5.0, middle).after_success(0.0) == 5.0
    assert Pace(5.0, lambda: 0.0).after_success(0.0) == pytest.approx(4.5)
    assert Pace(5.0, lambda: 1.0).after_success(0.0) == pytest.approx(5.5)


def test_it_polls_faster_while_most_of_the_list_is_new_and_slower_again_afterwards() -> None:
    pace = Pace(5.0, middle)
    times = [pace.after_success(0.9) for _ in range(6)]
    assert times == [2.5, 1.25, 0.625, 0.3125, 0.3125, 0.3125]
    later = [pace.after_success(0.1) for _ in range(20)]
    assert later == sorted(later)
    assert later[-1] == 5.0
    assert Pace(1.0, middle).after_success(0.5) == 1.0


def test_there_is_a_least_time() -> None:
    pace = Pace(1.0, middle)
    assert min(pace.after_success(1.0) for _ in range(9)) == LEAST_SECONDS
    assert Pace(0.1, middle).after_success(0.0) == pytest.approx(0.1)


def test_failures_back_off_and_a_success_ends_that() -> None:
    pace = Pace(5.0, middle)
    assert [pace.after_failure(None) for _ in range(5)] == [5.0, 10.0, 20.0, 40.0, MOST_SECONDS]
    pace.after_success(0.0)
    assert pace.after_failure(None) == 5.0


def test_it_comes_no_earlier_than_the_source_asks_for() -> None:
    assert Pace(5.0, lambda: 0.0).after_failure(30.0) == 30.0
    assert Pace(5.0, lambda: 1.0).after_failure(30.0) > 30.0
    assert Pace(5.0, middle).after_failure(0.0) == 5.0
