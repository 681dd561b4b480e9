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
from iris_exporter.fleet.lease import Election, Step, read_lease
from iris_exporter.logs import get_logger

_log = get_logger("election")
_LINES_PER_MINUTE = 4
_LEAST_PAUSE_SHARE = 10


class LeaderElection:
    """Runs for leader until stopped. `lead` is called when this process begins to lead, `follow` when it ends.

    Both finish before anything else happens; `follow` has to be quick, since another process may lead soon after.
    `report` takes the reason of each round that failed (`core.own_failures`), and None for each one that did not.
    """

    def __init__(
        self,
        kubernetes: Kubernetes,
        lease_name: str,
        namespace: str,
        identity: str,
        lease_duration_seconds: float,
        clock: Clock,
        lead: Callable[[], Awaitable[None]],
        follow: Callable[[], Awaitable[None]],
        report: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self._kubernetes = kubernetes
        self._name = lease_name
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path = f"{self._collection}/{lease_name}"
        self._clock = clock
        self._duration_seconds = lease_duration_seconds
        self._election = Election(identity, lease_duration_seconds)
        self._lead, self._follow = lead, follow
        self._report = report
        self._raw: dict[str, Any] = {}
        self._broken: tuple[str, ...] = ()  # fields that were logged as such
        self._limited = _log.limited(_LINES_PER_MINUTE, clock)
        self.is_leader = False

    def leads_now(self) -> bool:
        """Whether no other candidate can lead now; may be false while `is_leader` is still to be corrected."""
        return self._election.is_leader(self._clock.monotonic())

    async def run(self) -> None:
        """Run until cancelled; then the leadership has ended and the lease is released."""
        try:
            while True:
                round_ = asyncio.create_task(self._round())
                await self._until_deadline(round_)
                await self._lead_or_follow()
                # A tenth of the retry time or more: an API server that refuses the takeover is not asked all the time.
                least = self._election.retry_seconds / _LEAST_PAUSE_SHARE
                await self._clock.sleep(max(self._election.pause(self._clock.monotonic()), least))
        finally:
            was_leader = self.is_leader
            await self._end_leadership("stopping")
            if was_leader:
                await self._release()

    async def _until_deadline(self, round_: "asyncio.Task[None]") -> None:
        """Wait for one round, but not beyond the time at which this process no longer leads."""
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
                await self._lead_or_follow()
        round_.result()

    async def _round(self) -> None:
        try:
            self._raw = await self._kubernetes.get(self._path) or {}
            lease = read_lease(self._raw)
            self._election.observe(lease, self._clock.monotonic())
            self._report_broken(() if lease is None else lease.broken)
            step = self._election.next_step(self._clock.monotonic())
            if step is not Step.WAIT:
                await self._write(step)
        except KubernetesError as error:
            self._report(error.reason)
            self._limited.warning("election.failed", lease=self._name, error=error)
        else:
            self._report(None)

    def _report_broken(self, fields: tuple[str, ...]) -> None:
        if fields and fields != self._broken:
            detail = "these fields count as missing; without a holder or a duration the lease is free"
            _log.warning("election.lease_broken", lease=self._name, fields=fields, detail=detail)
        self._broken = fields

    async def _write(self, step: Step) -> None:
        started = self._clock.monotonic()
        body = self._body(step)
        try:
            if step is Step.CREATE:
                self._raw = await self._kubernetes.create(self._collection, body)
            else:
                self._raw = await self._kubernetes.update(self._path, body)
        except KubernetesError as error:
            if error.status == 409:  # another candidate was quicker; the next round reads its lease
                return
            raise
        observed = read_lease(self._raw)
        if observed is not None:
            self._election.written(observed, started, self._clock.monotonic())

    def _body(self, step: Step, holder: str | None = None) -> dict[str, Any]:
        now = datetime.fromtimestamp(self._clock.wall(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        spec = _table(self._raw.get("spec"))
        spec["holderIdentity"] = self._election.identity if holder is None else holder
        # A lease that was released is free at once: client-go writes one second.
        # Whole seconds, upwards: others must not think it shorter than this process does.
        spec["leaseDurationSeconds"] = math.ceil(self._duration_seconds) if holder is None else 1
        spec["renewTime"] = now
        if step is not Step.RENEW:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = self._election.transitions()
        metadata = {**_table(self._raw.get("metadata")), "name": self._name}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    async def _lead_or_follow(self) -> None:
        """Act on whether this process leads now."""
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


def _table(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}
