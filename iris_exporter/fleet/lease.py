"""Who leads: the decisions of leader election over a Kubernetes Lease.

Theory. Candidates write their name into one Lease object; the one that is in it leads, as long as it renews the object.
A clock of another machine is never trusted: a candidate notes on its own monotonic clock when it last *saw the object
change*, and takes a lease over when it has not changed for 4/5 of its duration. A leader that could not renew for the
renew deadline, 2/3 of the duration, stops leading before anybody can take over, whatever it believes. The API server
decides between two that write at once: a write with an old resource version fails.

Why not the whole duration, as client-go's candidates wait? The lease is written, and read, every `retry_seconds`, 2/15
of it: a leader that is killed right after it has written is found out that much later at most. The two together are
14/15, so that another one leads, and has connected, within one duration of the kill. The rest between 2/3 and 4/5 is
for clocks that do not run alike.

As in client-go, a missing holder or duration means that the lease is free, so a broken one is too.

A leader that ends on purpose empties the holder, and the next one takes over at once.

Source: the Lease API (coordination.k8s.io/v1) and the customs of client-go's leader election.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

_RENEW_DEADLINE, _TAKEOVER, _RETRY = 2 / 3, 4 / 5, 2 / 15
_MAX_INT32 = 2**31 - 1  # of every number in a Lease

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Observed:
    """A Lease as it was read. `holder` is empty when the lease is free; `version` changes with every write.

    `duration_seconds` is what its holder promised; `transitions` counts changes of the holder. `broken` are fields
    whose values make no sense; they count as missing.
    """

    holder: str
    version: str
    duration_seconds: float
    transitions: int
    broken: tuple[str, ...] = ()


def read_lease(raw: Mapping[str, Any]) -> Observed | None:
    """The Lease that an API server answered, None for an empty answer: there is none."""
    if not raw:
        return None
    broken: list[str] = []

    def read(parent: Mapping[str, Any], name: str, missing: T) -> T:
        value = parent.get(name)
        if type(value) is type(missing) and (not isinstance(value, int) or 0 <= value < _MAX_INT32):
            return value
        if value is not None:
            broken.append(name)
        return missing

    empty: dict[str, Any] = {}
    metadata, spec = read(raw, "metadata", empty), read(raw, "spec", empty)
    holder, version = read(spec, "holderIdentity", ""), read(metadata, "resourceVersion", "")
    duration, transitions = read(spec, "leaseDurationSeconds", 0), read(spec, "leaseTransitions", 0)
    return Observed(holder, version, duration, transitions, tuple(broken))


class Step(StrEnum):
    """What to do next."""

    CREATE = "create"  # there is no Lease: write one with our name
    TAKE = "take"  # it is free: write our name into it
    RENEW = "renew"  # we lead: write it again
    WAIT = "wait"  # another candidate leads


class Election:
    """One candidate. Read the Lease, call `observe`, do what `next_step` says, then call `written` or `failed`.

    `is_leader` is true from a successful write until the renew deadline has passed without another one. All times
    are seconds of one monotonic clock; `retry_seconds` lie between two reads of the Lease, and between two writes.
    """

    def __init__(self, identity: str, duration_seconds: float) -> None:
        self.identity = identity
        self.retry_seconds = duration_seconds * _RETRY
        self._renew_deadline_seconds = duration_seconds * _RENEW_DEADLINE
        self._observed: Observed | None = None
        self._changed_at = 0.0
        self._renewed_at: float | None = None

    def observe(self, lease: Observed | None, now: float) -> None:
        """The Lease was read at `now`; None when there is none."""
        if lease is None or self._observed is None or lease.version != self._observed.version:
            self._changed_at = now
        self._observed = lease
        if lease is None or lease.holder != self.identity:
            self._renewed_at = None

    def next_step(self, now: float) -> Step:
        """What to do with what was observed last."""
        lease = self._observed
        if lease is None:
            return Step.CREATE
        if lease.holder == self.identity:
            return Step.RENEW
        return Step.TAKE if not lease.holder or now >= self._free_at(lease) else Step.WAIT

    def pause(self, now: float) -> float:
        """Seconds until the lease should be read again: at the latest when it may be taken over."""
        lease = self._observed
        if lease is None or not lease.holder or lease.holder == self.identity:
            return self.retry_seconds
        return min(self.retry_seconds, max(0.0, self._free_at(lease) - now))

    def _free_at(self, lease: Observed) -> float:
        return self._changed_at + lease.duration_seconds * _TAKEOVER

    def written(self, lease: Observed, started: float, now: float) -> None:
        """The API server has taken our write, which began at `started`; from then on the deadline is counted."""
        self.observe(lease, now)
        self._renewed_at = started

    def is_leader(self, now: float) -> bool:
        """Whether we lead at `now`. Once this is false the streams have to be closed at once."""
        return self._renewed_at is not None and now - self._renewed_at < self._renew_deadline_seconds

    def leads_for(self, now: float) -> float:
        """For how many more seconds we lead without another write; 0 when we do not."""
        if self._renewed_at is None:
            return 0.0
        return max(0.0, self._renewed_at + self._renew_deadline_seconds - now)

    def transitions(self) -> int:
        """The number to write with the next change of the holder."""
        return 0 if self._observed is None else self._observed.transitions + 1
