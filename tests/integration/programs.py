"""Starts real programs, keeps all they print, and ends them by their process id."""

import asyncio
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from tests.waiting import BUSY, pause

POLL_SECONDS = 0.02
START_SECONDS = 15.0
STOP_SECONDS = 5.0

T = TypeVar("T")


async def wait_until(check: Callable[[], Awaitable[T]], what: str, seconds: float = 10.0) -> T:
    """The first true value of `check`, asked again and again: for real processes alone, which no fake clock reaches.

    `seconds` is for a quiet machine; see `waiting.BUSY`.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not (value := await check()):
        waited = loop.time() - began
        assert waited < seconds * BUSY, f"not within {seconds:g} s: {what}; the last answer was {value!r}"
        await asyncio.sleep(max(POLL_SECONDS, pause(waited)))
    return value


class Program:
    """A running program and the lines it has printed so far, stdout and stderr apart."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._process = process
        self._printed = asyncio.Event()
        self._readers = [
            asyncio.create_task(self._collect(stream, lines))
            for stream, lines in ((process.stdout, self.stdout), (process.stderr, self.stderr))
            if stream is not None
        ]

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number when a signal ended it."""
        return self._process.returncode

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens when it has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    @property
    def output(self) -> str:
        """Everything printed so far, for messages and searches."""
        return "\n".join([*self.stdout, *self.stderr])

    async def printed(self, find: Callable[[str], T | None], seconds: float = START_SECONDS) -> T:
        """What `find` returns for the first line, printed already or still to come, for which that is not None."""

        async def search() -> T:
            seen = [0, 0]
            while True:
                self._printed.clear()
                for index, lines in enumerate((self.stdout, self.stderr)):
                    for line in lines[seen[index] :]:
                        seen[index] += 1
                        if (found := find(line)) is not None:
                            return found
                assert not all(reader.done() for reader in self._readers), f"{self.name} ended:\n{self.output}"
                await self._printed.wait()

        try:
            return await asyncio.wait_for(search(), seconds * BUSY)
        except TimeoutError:
            raise AssertionError(f"{self.name} did not print it within {seconds:g} s:\n{self.output}") from None

    async def stop(self) -> int:
        """Send SIGTERM, wait for the end and return the exit code; fails when it takes over 5 s of a quiet machine."""
        if self.exit_code is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS * BUSY)
        except TimeoutError:
            raise AssertionError(f"{self.name} still ran {STOP_SECONDS:g} s after SIGTERM:\n{self.output}") from None
        await asyncio.gather(*self._readers)
        return self._process.returncode or 0

    async def kill(self) -> None:
        """End it at once, as a crash would; nothing happens when it has ended."""
        if self.exit_code is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        await asyncio.gather(*self._readers)

    async def _collect(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        try:
            async for line in stream:
                lines.append(line.decode(errors="replace").rstrip("\n"))
                self._printed.set()
        finally:
            self._printed.set()


@asynccontextmanager
async def running(
    *command: str | Path, directory: Path | None = None, environment: dict[str, str] | None = None
) -> AsyncIterator[Program]:
    """Start a program; when the block ends it is killed unless `stop` has ended it. `environment` is added to ours."""
    words = [str(word) for word in command]
    process = await asyncio.create_subprocess_exec(
        *words, cwd=directory, env={**os.environ, **(environment or {})}, stdout=PIPE, stderr=PIPE, limit=1 << 24
    )
    program = Program(" ".join(words[:3]), process)
    try:
        yield program
    finally:
        await program.kill()
