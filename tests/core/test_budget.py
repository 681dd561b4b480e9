"""How often a host is connected to: never more than allowed in any hour, and never a long wait for the next time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.core.budget import HOUR_SECONDS, ConnectionBudgets

steps = st.lists(st.floats(0, HOUR_SECONDS), min_size=1, max_size=300)
limits = st.integers(1, 120)


def test_half_of_it_may_be_spent_at_once_and_the_rest_comes_back_evenly() -> None:
    budgets = ConnectionBudgets()
    assert [budgets.spend("a", 100, 0.0) for _ in range(50)] == [0.0] * 50
    assert budgets.spend("a", 100, 0.0) == pytest.approx(72.0)
    assert budgets.spend("a", 100, 71.0) == pytest.approx(1.0)
    assert budgets.spend("a", 100, 72.0) == 0.0
    assert budgets.spend("a", 100, 72.0) == pytest.approx(72.0)


def test_a_refused_connection_costs_nothing() -> None:
    budgets = ConnectionBudgets()
    for _ in range(1000):
        budgets.spend("a", 2, 0.0)
    assert budgets.spend("a", 2, HOUR_SECONDS) == 0.0


@pytest.mark.parametrize("spelling", ["iris.example.com", "IRIS.example.com"])
def test_a_host_has_one_budget_in_any_spelling_and_other_hosts_have_their_own(spelling: str) -> None:
    budgets = ConnectionBudgets()
    assert budgets.spend("iris.example.com", 1, 0.0) == 0.0
    assert budgets.spend(spelling, 1, 0.0) == pytest.approx(HOUR_SECONDS)
    assert budgets.spend("other.example.com", 1, 0.0) == 0.0


def test_without_a_limit_nothing_is_spent_or_remembered() -> None:
    budgets = ConnectionBudgets()
    assert not any(budgets.spend("a", 0, 0.0) for _ in range(10_000))
    assert len(budgets) == 0


def test_hosts_that_are_whole_again_are_forgotten() -> None:
    """A source that redirects to one host after the other fills no memory."""
    budgets = ConnectionBudgets()
    for number in range(10_000):
        budgets.spend(f"host-{number}", 100, number * 10.0)
    assert len(budgets) <= 10


@given(limits, steps)
def test_no_hour_has_more_connections_than_allowed(per_hour: int, pauses: list[float]) -> None:
    budgets = ConnectionBudgets()
    now, made = 0.0, []
    for pause in pauses:
        now += pause
        # As many as the host is given at this moment.
        while budgets.spend("a", per_hour, now) == 0.0:
            made.append(now)
    for index, begin in enumerate(made):
        within = [at for at in made[index:] if at < begin + HOUR_SECONDS - 1e-3]
        assert len(within) <= per_hour


@given(limits, steps)
def test_what_it_says_to_wait_is_enough_and_never_more_than_a_token_takes(per_hour: int, pauses: list[float]) -> None:
    budgets = ConnectionBudgets()
    token = HOUR_SECONDS / max(per_hour // 2, 1)
    now = 0.0
    for pause in pauses:
        now += pause
        wait = budgets.spend("a", per_hour, now)
        assert 0.0 <= wait <= token + 1e-6
        if wait:
            now += wait + 1e-6
            assert budgets.spend("a", per_hour, now) == 0.0
