"""How often a host is connected to: never more than allowed in any hour, and never a long wait for the next time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.core.budget import HOUR_SECONDS, ConnectionBudgets


def spend(budgets: ConnectionBudgets, host: str, per_hour: int, now: float) -> float:
    """Make a connection that is accepted at once: 0, or the seconds until one may be made."""
    seconds = budgets.reserve(host, per_hour, now)
    if seconds is not None:
        return seconds
    budgets.settle(host, per_hour, 1, now)
    return 0.0


steps = st.lists(st.floats(0, HOUR_SECONDS), min_size=1, max_size=300)
limits = st.integers(1, 120)


def test_half_of_it_may_be_spent_at_once_and_the_rest_comes_back_evenly() -> None:
    budgets = ConnectionBudgets()
    assert [spend(budgets, "a", 100, 0.0) for _ in range(50)] == [0.0] * 50
    assert spend(budgets, "a", 100, 0.0) == pytest.approx(72.0)
    assert spend(budgets, "a", 100, 71.0) == pytest.approx(1.0)
    assert spend(budgets, "a", 100, 72.0) == 0.0
    assert spend(budgets, "a", 100, 72.0) == pytest.approx(72.0)


def test_a_refused_connection_costs_nothing() -> None:
    budgets = ConnectionBudgets()
    for _ in range(1000):
        spend(budgets, "a", 2, 0.0)
    assert spend(budgets, "a", 2, HOUR_SECONDS) == 0.0


@pytest.mark.parametrize("spelling", ["iris.example.com", "IRIS.example.com"])
def test_a_host_has_one_budget_in_any_spelling_and_other_hosts_have_their_own(spelling: str) -> None:
    budgets = ConnectionBudgets()
    assert spend(budgets, "iris.example.com", 1, 0.0) == 0.0
    assert spend(budgets, spelling, 1, 0.0) == pytest.approx(HOUR_SECONDS)
    assert spend(budgets, "other.example.com", 1, 0.0) == 0.0


def test_without_a_limit_nothing_is_spent_or_remembered() -> None:
    budgets = ConnectionBudgets()
    assert not any(spend(budgets, "a", 0, 0.0) for _ in range(10_000))
    assert len(budgets._hosts) == 0


def test_hosts_that_are_whole_again_are_forgotten() -> None:
    """A source that redirects to one host after the other fills no memory."""
    budgets = ConnectionBudgets()
    for number in range(10_000):
        spend(budgets, f"host-{number}", 100, number * 10.0)
    assert len(budgets._hosts) <= 10


@given(limits, steps)
def test_no_hour_has_more_connections_than_allowed(per_hour: int, pauses: list[float]) -> None:
    budgets = ConnectionBudgets()
    now, made = 0.0, []
    for pause in pauses:
        now += pause
        # As many as the host is given at this moment.
        while spend(budgets, "a", per_hour, now) == 0.0:
            made.append(now)
    for index, begin in enumerate(made):
        within = [at for at in made[index:] if at < begin + HOUR_SECONDS - 1e-3]
        assert len(within) <= per_hour


@given(limits, steps)
def test_the_wait_is_enough_and_never_more_than_a_token_takes(per_hour: int, pauses: list[float]) -> None:
    budgets = ConnectionBudgets()
    token = HOUR_SECONDS / max(per_hour // 2, 1)
    now = 0.0
    for pause in pauses:
        now += pause
        wait = spend(budgets, "a", per_hour, now)
        assert 0.0 <= wait <= token + 1e-6
        if wait:
            now += wait + 1e-6
            assert spend(budgets, "a", per_hour, now) == 0.0


def test_what_is_given_back_was_never_spent() -> None:
    budgets = ConnectionBudgets()
    for _ in range(1000):
        assert budgets.reserve("a", 100, 0.0) is None
        budgets.settle("a", 100, 0, 0.0)
    assert budgets._hosts["a"].spent == 0.0


def test_what_is_reserved_counts_against_others_and_does_not_come_back_by_itself() -> None:
    budgets = ConnectionBudgets()
    assert [budgets.reserve("a", 100, 0.0) for _ in range(50)] == [None] * 50
    assert budgets.reserve("a", 100, 0.0) == 0.0, "a token may come back at any moment"
    assert budgets.reserve("a", 100, HOUR_SECONDS) == 0.0
    budgets.settle("a", 100, 0, HOUR_SECONDS)
    assert budgets.reserve("a", 100, HOUR_SECONDS) is None
    for _ in range(50):
        budgets.settle("a", 100, 1, HOUR_SECONDS)
    assert budgets.reserve("a", 100, HOUR_SECONDS) == pytest.approx(72.0)


def test_a_host_with_reservations_is_not_forgotten() -> None:
    budgets = ConnectionBudgets()
    assert budgets.reserve("a", 2, 0.0) is None
    assert budgets.reserve("b", 2, 10 * HOUR_SECONDS) is None
    assert budgets.reserve("a", 2, 10 * HOUR_SECONDS) == 0.0


def test_connections_beyond_the_reserved_one_are_waited_for() -> None:
    budgets = ConnectionBudgets()
    assert budgets.reserve("a", 100, 0.0) is None
    budgets.settle("a", 100, 51, 0.0)
    assert budgets.reserve("a", 100, 0.0) == pytest.approx(144.0)


@given(limits, st.lists(st.tuples(st.floats(0, HOUR_SECONDS / 10), st.booleans()), min_size=1, max_size=200))
def test_no_hour_has_more_connections_than_allowed_whatever_is_given_back(
    per_hour: int, dials: list[tuple[float, bool]]
) -> None:
    """Every dial takes as long as the next one takes to begin; some are accepted at its end, and some never."""
    budgets = ConnectionBudgets()
    now, made, open_dials = 0.0, [], []
    for pause, is_accepted in dials:
        while budgets.reserve("a", per_hour, now) is None:
            open_dials.append(is_accepted)
        now += pause
        for accepted in open_dials:
            budgets.settle("a", per_hour, int(accepted), now)
            made += [now] * accepted
        open_dials.clear()
    for index, begin in enumerate(made):
        assert sum(at < begin + HOUR_SECONDS - 1e-3 for at in made[index:]) <= per_hour
