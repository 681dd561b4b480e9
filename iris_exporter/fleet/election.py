"""Leader election over a Lease: the loop around `fleet.lease`.

The loop reads and writes the Lease; a second, independent wait ends the leadership at the renew deadline even while a
request hangs, so that no answer can come too late.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from iris_exporter.clock import Clock
from iris_exporter.fleet.kubernetes import Kubernetes, KubernetesError
from iris_exporter.fleet.lease import Election, LeaseRules, Observed, Step
from iris_exporter.logs import get_logger

_log = get_logger("election")
_LINES_PER_MINUTE = 4
_LEAST_PAUSE_SHARE = 10


class LeaderElection:
    """Runs for leader until stopped. `lead` is called when we begin to lead, `follow` when we no longer do.

    Both finish before anything else happens; `follow` has to be quick, since another process may lead soon after.
    """

    def __init__(
        self,
        kubernetes: Kubernetes,
        lease_name: str,
        namespace: str,
        identity: str,
        rules: LeaseRules,
        clock: Clock,
        lead: Callable[[], Awaitable[None]],
        follow: Callable[[], Awaitable[None]],
    ) -> None:
        self._kubernetes = kubernetes
        self._name = lease_name
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path = f"{self._collection}/{lease_name}"
        self._clock = clock
        self._rules = rules
        self._election = Election(identity, rules)
        self._lead, self._follow = lead, follow
        self._raw: dict[str, Any] = {}
        self._limited = _log.limited(_LINES_PER_MINUTE, clock)
        self.is_leader = False

    def leads_now(self) -> bool:
        """Whether nobody else can lead at this moment; may be false while `is_leader` is still to be corrected."""
        return self._election.is_leader(self._clock.monotonic())

    async def run(self) -> None:
        """Run until cancelled; then the leadership has ended and the lease is given up."""
        try:
            while True:
                round_ = asyncio.create_task(self._round())
                await self._until_deadline(round_)
                await self._settle()
                await self._clock.sleep(self._pause())
        finally:
            was_leader = self.is_leader
            await self._end_leadership("stopping")
            if was_leader:
                await self._release()

    def _pause(self) -> float:
        """Not shorter than a moment, so that an API server that refuses the takeover is not asked all the time."""
        return max(self._election.pause(self._clock.monotonic()), self._rules.retry_seconds / _LEAST_PAUSE_SHARE)

    async def _until_deadline(self, round_: "asyncio.Task[None]") -> None:
        """Wait for one round, but not beyond the moment at which we no longer lead."""
        while not round_.done():
            left = self._election.leads_for(self._clock.monotonic()) if self.is_leader else None
            deadline = asyncio.create_task(self._clock.sleep(left if left is not None else 3600.0))
            try:
                await asyncio.wait({round_, deadline}, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                round_.cancel()
                raise
            finally:
                deadline.cancel()
            if not round_.done():
                await self._settle()
        round_.result()

    async def _round(self) -> None:
        try:
            self._raw = await self._kubernetes.get(self._path) or {}
            self._election.observe(_observed(self._raw), self._clock.monotonic())
            step = self._election.next_step(self._clock.monotonic())
            if step is not Step.WAIT:
                await self._write(step)
        except KubernetesError as error:
            self._limited.warning("election.failed", lease=self._name, error=error)

    async def _write(self, step: Step) -> None:
        started = self._clock.monotonic()
        body = self._body(step)
        try:
            if step is Step.CREATE:
                self._raw = await self._kubernetes.create(self._collection, body)
            else:
                self._raw = await self._kubernetes.update(self._path, body)
        except KubernetesError as error:
            if error.status == 409:  # somebody else was quicker; the next round reads what he wrote
                return
            raise
        observed = _observed(self._raw)
        if observed is not None:
            self._election.written(observed, started, self._clock.monotonic())

    def _body(self, step: Step, holder: str | None = None) -> dict[str, Any]:
        now = datetime.fromtimestamp(self._clock.wall(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        spec = dict(self._raw.get("spec") or {})
        spec["holderIdentity"] = self._election.identity if holder is None else holder
        # A lease that was given up is free at once: client-go writes one second.
        # Whole seconds, upwards: others must not think it shorter than we do.
        spec["leaseDurationSeconds"] = math.ceil(self._rules.duration_seconds) if holder is None else 1
        spec["renewTime"] = now
        if step is not Step.RENEW:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = self._election.transitions()
        metadata = dict(self._raw.get("metadata") or {"name": self._name})
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    async def _settle(self) -> None:
        """Bring what we do in line with who leads."""
        leads = self._election.is_leader(self._clock.monotonic())
        if leads and not self.is_leader:
            self.is_leader = True
            _log.info("election.leading", lease=self._name, identity=self._election.identity)
            await self._lead()
        elif not leads:
            await self._end_leadership("the lease could not be renewed or was taken")

    async def _end_leadership(self, why: str) -> None:
        if self.is_leader:
            self.is_leader = False
            _log.warning("election.following", lease=self._name, reason=why)
            await self._follow()

    async def _release(self) -> None:
        with suppress(KubernetesError):
            await self._kubernetes.update(self._path, self._body(Step.RENEW, holder=""))


def _observed(raw: dict[str, Any]) -> Observed | None:
    spec = raw.get("spec")
    if not isinstance(spec, dict):
        return None
    return Observed(
        holder=str(spec.get("holderIdentity") or ""),
        version=str((raw.get("metadata") or {}).get("resourceVersion") or ""),
        duration_seconds=float(spec.get("leaseDurationSeconds") or 0),
        transitions=int(spec.get("leaseTransitions") or 0),
    )
