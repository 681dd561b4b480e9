"""Tickets: short-lived keys for one request, which browsers put into an address since they cannot send headers there.

A ticket in an address is worth nothing to whoever reads the address later, in a log or a history. Pure: times are
handed in, in monotonic seconds.
"""

import hashlib
import secrets
from collections import OrderedDict

LIFETIME_SECONDS = 30.0
"""From the answer that has the ticket to the request that uses it."""
MAX_OUTSTANDING = 1000
"""Tickets that may wait to be used; more would be a client that makes them for nothing."""
MAX_SPENT = 1000
"""Tickets of the past of which it is known why they are no good; older ones are unknown."""
_RANDOM_BYTES = 32

USED = "this ticket was used already; each opens one connection"
EXPIRED = "this ticket has expired; use it within 30 seconds"
UNKNOWN = "this ticket is not known here"


class Tickets:
    """The tickets of one backend.

    Only keyed hashes of them are kept, and found by: how long that takes depends on a hash that nobody outside can
    compute, and so tells nothing about a ticket.
    """

    def __init__(self) -> None:
        self._hash_key = secrets.token_bytes(_RANDOM_BYTES)
        self._waiting: OrderedDict[bytes, float] = OrderedDict()
        """Moments at which they expire, the earliest first."""
        self._spent: OrderedDict[bytes, str] = OrderedDict()
        """Why they are no good, the longest known first."""

    def _hash(self, ticket: str) -> bytes:
        return hashlib.blake2b(ticket.encode("utf-8", "surrogateescape"), key=self._hash_key, digest_size=32).digest()

    def issue(self, now: float) -> str | float:
        """Return a new ticket, or the seconds until there is room for another one."""
        self._expire(now)
        if len(self._waiting) >= MAX_OUTSTANDING:
            return next(iter(self._waiting.values())) - now
        ticket = secrets.token_urlsafe(_RANDOM_BYTES)
        self._waiting[self._hash(ticket)] = now + LIFETIME_SECONDS
        return ticket

    def use(self, ticket: str, now: float) -> str | None:
        """Use a ticket up; None when it is good, else why it is not."""
        self._expire(now)
        found = self._hash(ticket)
        if self._waiting.pop(found, None) is None:
            return self._spent.get(found, UNKNOWN)
        self._spend(found, USED)
        return None

    def _expire(self, now: float) -> None:
        while self._waiting and next(iter(self._waiting.values())) <= now:
            self._spend(self._waiting.popitem(last=False)[0], EXPIRED)

    def _spend(self, found: bytes, reason: str) -> None:
        self._spent[found] = reason
        if len(self._spent) > MAX_SPENT:
            self._spent.popitem(last=False)
