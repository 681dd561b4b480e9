"""How many connections a host is asked for in an hour, over all streams of the process. Pure.

Theory. A backend refuses clients that connect too often, and counts by client address, so all streams that lead to one
host share one budget. It is a token bucket: half of what is allowed may be spent at once, the other half comes back
evenly over the hour. In no hour, wherever it begins, are more connections made than allowed; and one whose budget is
spent never waits long for the next token (72 s with 100 an hour), where a mere count of the last hour would keep
everybody out until the oldest connection is an hour old.

Where streams of one host have different limits, each measures what all have spent against its own.
Source: the IRIS wire, section 5.
"""

from dataclasses import dataclass

HOUR_SECONDS = 3600.0


@dataclass(slots=True)
class _Host:
    """`spent` tokens at monotonic time `at`; it falls at the rate of whoever asks next."""

    spent: float
    at: float


class ConnectionBudgets:
    """The budgets of all hosts. What is kept for a host is forgotten when nothing of it is spent any more."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}

    def spend(self, host: str, per_hour: int, now: float) -> float:
        """Take a token for one connection to `host` at monotonic time `now`.

        Args:
            host: Its name, in any spelling of upper and lower case.
            per_hour: Connections allowed in any hour; 0 for any number, which costs no token. 1 is one every hour.
            now: When.

        Returns:
            0 when the connection may be made; else the seconds until the next token, and nothing was taken.
        """
        if per_hour == 0:
            return 0.0
        burst = (per_hour + 1) // 2
        rate = max(per_hour - burst, 1) / HOUR_SECONDS
        host = host.lower()
        found = self._hosts.get(host)
        if found is None:
            self._forget(now, rate)
            found = self._hosts[host] = _Host(0.0, now)
        found.spent = max(0.0, found.spent - (now - found.at) * rate)
        found.at = now
        # A token that is back but for the rounding of sums is back.
        if found.spent + 1.0 > burst + 1e-9:
            return (found.spent + 1.0 - burst) / rate
        found.spent += 1.0
        return 0.0

    def _forget(self, now: float, rate: float) -> None:
        spent = {name: one for name, one in self._hosts.items() if (now - one.at) * rate < one.spent}
        self._hosts = spent

    def __len__(self) -> int:
        """How many hosts are remembered."""
        return len(self._hosts)
