"""Joins a source and a board: what comes is fed, overviews are asked for, changes are handed on."""

import asyncio
from collections.abc import Callable, Sequence

from iris_exporter.clock import Clock
from iris_exporter.watch.source import Down, Source, Unreadable, Up
from iris_exporter.watch.view import changes
from iris_exporter.watch.view.board import Board
from iris_exporter.watch.view.changes import Change
from iris_exporter.watch.view.objects import Followed

CHECK_SECONDS = 0.25
"""Between two looks at which overview is due."""


class Session:
    """`on_changes` is called with what has changed, oldest first, and after every other message with nothing."""

    def __init__(
        self, board: Board, source: Source, clock: Clock, on_changes: Callable[[Sequence[Change]], None]
    ) -> None:
        self.board = board
        self.source = source
        self._clock = clock
        self._on_changes = on_changes

    async def run(self) -> None:
        """Go on until it is cancelled; what the source raises comes out."""
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def take(message: Followed | Up | Down | Unreadable) -> None:
            # A reader that has gone is no failure of the source, which would take it for one.
            try:
                self._take(message)
            except Exception as error:  # noqa: BLE001 (whatever it is comes out below)
                if not failed.done():
                    failed.set_exception(error)

        tasks = (
            asyncio.ensure_future(self.source.run(take)),
            asyncio.ensure_future(self._overviews()),
            failed,
        )
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self, message: Followed | Up | Down | Unreadable) -> None:
        now = self._clock.wall()
        if isinstance(message, Up):
            found = self.board.connected(message.skew_seconds, now)
        elif isinstance(message, Down):
            found = self.board.disconnected(message.failure, message.attempt, message.delay_seconds, now)
        elif isinstance(message, Unreadable):
            found = [changes.unreadable(message.detail)]
        else:
            found = self.board.take(message, now)
        self._on_changes(found)

    async def _overviews(self) -> None:
        """One request at a time, so that a sidecar with many streams is not asked for all at once."""
        while True:
            name = self.board.overview_due(self._clock.wall())
            if name is None:
                await self._clock.sleep(CHECK_SECONDS)
                continue
            self.board.asks(name, self._clock.wall())
            overview = await self.source.overview(name)
            self._on_changes(self.board.overview(name, overview, self._clock.wall()))
