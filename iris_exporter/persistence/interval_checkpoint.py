"""Keeps the cursors every so often (`--state.commit=10s`), for readers that do not scrape."""

import asyncio
from collections.abc import Callable

from iris_exporter.persistence.scrape_checkpoint import Commits


class Checkpoints:
    """`run` is a task; `seconds` is asked for the interval, None for no checkpoints, and again after `changed`."""

    def __init__(self, commits: Commits, seconds: Callable[[], float | None]) -> None:
        self._commits = commits
        self._seconds = seconds
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """The interval may be another one."""
        self._changed.set()

    async def run(self) -> None:
        """Write checkpoints until cancelled."""
        while True:
            self._changed.clear()
            try:
                async with asyncio.timeout(self._seconds()):
                    await self._changed.wait()
            except TimeoutError:
                await self.write()

    async def write(self) -> None:
        """Keep every cursor that has moved, if there is an interval; what cannot be written is logged and counted."""
        if self._seconds() is None:
            return
        commit = self._commits.capture()
        try:
            await commit.stage()
            commit.commit()
        finally:
            await commit.discard()
