"""How many connections a host is asked for in an hour, over all streams of the process. Pure.

Theory. A backend refuses clients that connect too often, and counts by client address, so all streams that lead to one
host share one budget. It is a token bucket: half of what is allowed may be spent at once, the other half comes back
evenly over the hour. In no hour, wherever it begins, are more connections made than allowed; and one whose budget is
spent never waits long for the next token (72 s with 100 an hour), where a mere count of the last hour would keep
everybody out until the oldest connection is an hour old.

A connection costs a token when the source could have seen it, which is known only afterwards. So a token is reserved
first (`reserve`) and spent or given back later (`settle`): what is reserved counts against those who ask meanwhile, and
a thousand dials at once make no more connections than allowed even when all of them are accepted.

Where streams of one host have different limits, each measures what all have spent against its own.
Source: the IRIS wire, section 5.
"""

from dataclasses import dataclass

HOUR_SECONDS = 3600.0


@dataclass(slots=True)
class _Host:
    """`spent` tokens at monotonic time `at`; it falls at the rate of whoever asks next. `reserved` ones do not fall."""

    spent: float
    at: float
    reserved: int = 0

    def pass_time(self, per_hour: int, now: float) -> None:
        self.spent = max(0.0, self.spent - (now - self.at) * _rate(per_hour))
        self.at = now


class ConnectionBudgets:
    """The budgets of all hosts; a host is forgotten when all of its tokens are back."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}

    def reserve(self, host: str, per_hour: int, now: float) -> float | None:
        """Reserve a token for one connection to `host`; `settle` has to follow.

        Args:
            host: Its name, in any spelling of upper and lower case.
            per_hour: Connections allowed in any hour; 0 for any number, which costs no token. 1 is one every hour.
            now: When, in monotonic time.

        Returns:
            None when the connection may be made; else the seconds until the next token, and nothing is reserved. 0 when
            a token may come back at any time, because it is only reserved.
        """
        if per_hour == 0:
            return None
        host = host.lower()
        found = self._hosts.get(host)
        if found is None:
            self._forget(now, _rate(per_hour))
            found = self._hosts[host] = _Host(0.0, now)
        found.pass_time(per_hour, now)
        # A token that is back but for the rounding of sums is back.
        over = found.spent + 1.0 - _burst(per_hour)
        if over > 1e-9:
            return over / _rate(per_hour)
        if over + found.reserved > 1e-9:
            return 0.0
        found.reserved += 1
        return None

    def settle(self, host: str, per_hour: int, connections: int, now: float) -> None:
        """End a reservation and spend what was used: `connections`, 0 when the source saw none.

        More than the one that was reserved are possible where a host has several addresses; they are spent all the
        same, and whoever asks next waits for them.
        """
        found = self._hosts.get(host.lower())
        if per_hour == 0 or found is None:
            return
        found.pass_time(per_hour, now)
        found.reserved -= 1
        found.spent += connections

    def _forget(self, now: float, rate: float) -> None:
        self._hosts = {
            name: one for name, one in self._hosts.items() if one.reserved or (now - one.at) * rate < one.spent
        }


def _burst(per_hour: int) -> int:
    return (per_hour + 1) // 2


def _rate(per_hour: int) -> float:
    return max(per_hour - _burst(per_hour), 1) / HOUR_SECONDS
