"""Tickets, on times that are handed in."""

import pytest

from iris_exporter.backend.tickets import EXPIRED, LIFETIME_SECONDS, MAX_OUTSTANDING, MAX_SPENT, UNKNOWN, USED, Tickets


def issued(tickets: Tickets, now: float = 0.0) -> str:
    ticket = tickets.issue(now)
    assert isinstance(ticket, str)
    return ticket


def test_a_ticket_is_good_once() -> None:
    tickets = Tickets()
    ticket, other = issued(tickets), issued(tickets)
    assert tickets.use(ticket, 1.0) is None
    assert tickets.use(ticket, 2.0) == USED
    assert tickets.use(other, LIFETIME_SECONDS - 0.1) is None
    assert tickets.use(ticket, 10 * LIFETIME_SECONDS) == USED


def test_a_ticket_expires() -> None:
    tickets = Tickets()
    ticket = issued(tickets)
    assert tickets.use(ticket, LIFETIME_SECONDS) == EXPIRED
    assert tickets.use(ticket, LIFETIME_SECONDS) == EXPIRED
    assert f"{LIFETIME_SECONDS:g} seconds" in EXPIRED


@pytest.mark.parametrize("offered", ["", "x", "\udcff", "x" * 100_000])
def test_what_is_no_ticket_is_unknown_and_uses_none_up(offered: str) -> None:
    tickets = Tickets()
    ticket = issued(tickets)
    assert tickets.use(offered, 0.0) == UNKNOWN
    assert tickets.use(ticket[:-1], 0.0) == UNKNOWN
    assert Tickets().use(ticket, 0.0) == UNKNOWN
    assert tickets.use(ticket, 0.0) is None


def test_tickets_are_long_and_all_different() -> None:
    tickets = Tickets()
    found = {issued(tickets) for _ in range(100)}
    assert len(found) == 100
    assert {len(ticket) for ticket in found} == {43}, "256 bits"


def test_no_more_than_a_thousand_wait_and_a_wait_says_when_there_is_room() -> None:
    tickets = Tickets()
    first = issued(tickets, 0.0)
    for _ in range(MAX_OUTSTANDING - 1):
        issued(tickets, 5.0)
    assert tickets.issue(10.0) == LIFETIME_SECONDS - 10.0
    assert tickets.use(first, 10.0) is None
    issued(tickets, 10.0)
    assert isinstance(tickets.issue(10.0), float)
    issued(tickets, LIFETIME_SECONDS + 5.0)


def test_what_is_remembered_is_bounded_and_holds_no_ticket() -> None:
    tickets = Tickets()
    first = issued(tickets)
    tickets.use(first, 0.0)
    for _ in range(3 * MAX_SPENT):
        tickets.use(issued(tickets), 0.0)
    assert len(tickets._spent) == MAX_SPENT
    assert tickets.use(first, 0.0) == UNKNOWN
    last = issued(tickets)
    assert last not in repr(vars(tickets))
