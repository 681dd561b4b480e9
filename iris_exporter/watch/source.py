"""What is watched: the seam between what happens and who shows it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from iris_exporter.core.failures import Failure
from iris_exporter.watch.view.objects import Followed, OverviewObject


@dataclass(frozen=True, slots=True)
class Up:
    """The sidecar answers; its clock is so many seconds ahead of ours."""

    skew_seconds: float


@dataclass(frozen=True, slots=True)
class Down:
    """The sidecar does not answer; `attempt` failures in a row, and a delay before the next try."""

    failure: Failure
    attempt: int
    delay_seconds: float


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that could not be read."""

    detail: str


Take = Callable[[Followed | Up | Down | Unreadable], None]


class Source(Protocol):
    """A sidecar, or streams of our own."""

    async def run(self, take: Take) -> None:
        """Tell `take` what happens, until it is cancelled."""

    async def overview(self, stream: str) -> OverviewObject | Failure:
        """What the source of a stream is believed to be."""

    async def switch(self, stream: str, action: str) -> Failure | None:
        """Do `connect`, `disconnect` or `reset` to a stream; None when it was accepted."""

    def retry(self) -> None:
        """Ask a sidecar that does not answer now, and not later."""
