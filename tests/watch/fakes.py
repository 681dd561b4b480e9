"""A source that a test speaks for."""

import asyncio
from collections.abc import Sequence

from typing_extensions import override

from iris_exporter.core.failures import Failure
from iris_exporter.watch.source import Down, Source, Take, Unreadable, Up
from iris_exporter.watch.view.objects import Followed, OverviewObject


class FakeSource(Source):
    """Says what it is given, and notes what it is asked for."""

    def __init__(self, *messages: Followed | Up | Down | Unreadable, **overviews: OverviewObject) -> None:
        self._messages: Sequence[Followed | Up | Down | Unreadable] = messages
        self.overviews = overviews
        self.refusal: Failure | None = None
        self.calls: list[str] = []
        self.say: Take = lambda _: None
        self.error: Exception | None = None
        self.wake = asyncio.Event()

    @override
    async def run(self, take: Take) -> None:
        self.say = take
        for message in self._messages:
            take(message)
        await self.wake.wait()
        if self.error is not None:
            raise self.error

    @override
    async def overview(self, stream: str) -> OverviewObject | Failure:
        self.calls.append(f"overview {stream}")
        return self.overviews.get(stream) or Failure("not_found", "no overview")

    @override
    async def switch(self, stream: str, action: str) -> Failure | None:
        self.calls.append(f"{action} {stream}")
        return self.refusal

    @override
    def retry(self) -> None:
        self.calls.append("retry")
