"""A real terminal for a program: tmux, which is typed into and whose screen is read as text."""

import asyncio
import os
import shlex
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.integration.programs import wait_until
from tests.tools import tool


class Terminal:
    """One terminal with one program in it. `width` and `height` are in characters."""

    def __init__(self, directory: Path, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._directory = directory

    async def tmux(self, *command: str) -> str:
        """Run a command of tmux; return what it prints."""
        process = await asyncio.create_subprocess_exec(
            tool("tmux"), "-u", "-S", str(self._directory / "tmux"), "-f", os.devnull, *command,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    async def start(self, command: Sequence[str], environment: dict[str, str]) -> None:
        """Start the program."""
        size = ("-x", str(self.width), "-y", str(self.height))
        variables = [word for pair in environment.items() for word in ("-e", "=".join(pair))]
        # Both are written by shells, since tmux sometimes knows that a program has ended and not how. The pane
        # stays, and the last screen can be read.
        run = 'cd $0; sh -c \'echo $$ >pid; exec "$@"\' sh "$@"; echo $? >code'
        await self.tmux(
            *("set-option", "-g", "remain-on-exit", "on", ";", "new-session", "-d", *size, *variables),
            shlex.join(("sh", "-c", run, str(self._directory), *command)),
        )

    async def screen(self) -> str:
        """What is on the screen; blanks at the ends of lines are left out."""
        return await self.tmux("capture-pane", "-p")

    async def raw_screen(self) -> str:
        """The same with the sequences that make its colours."""
        return await self.tmux("capture-pane", "-p", "-e")

    async def press(self, *keys: str) -> None:
        """Type keys, by tmux's names for them."""
        await self.tmux("send-keys", *keys)

    async def shows(self, *wanted: str, seconds: float = 15.0) -> str:
        """The first screen that has all of these texts, in which runs of blanks are one blank."""
        last = ""

        async def check() -> str:
            nonlocal last
            last = await self.screen()
            flat = " ".join(last.split())
            return last if all(text in flat for text in wanted) else ""

        try:
            return await wait_until(check, f"the screen shows {wanted}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{last}") from None

    async def never_shows(self, unwanted: str, seconds: float = 15.0) -> None:
        """Wait until this text is gone."""

        async def check() -> bool:
            return unwanted not in " ".join((await self.screen()).split())

        await wait_until(check, f"{unwanted!r} is gone", seconds)

    async def exit_code(self) -> int:
        """The program's exit code, once it has ended."""
        try:
            return await self._number("code")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await self.screen()}") from None

    async def pid(self) -> int:
        """The program's process id."""
        return await self._number("pid")

    async def _number(self, name: str) -> int:
        async def check() -> str:
            file = self._directory / name
            return file.read_text().strip() if file.exists() else ""

        return int(await wait_until(check, f"{name} of the program in the terminal", 10))


@asynccontextmanager
async def terminal(
    directory: Path, *arguments: str, width: int = 80, height: int = 34, **environment: str
) -> AsyncIterator[Terminal]:
    """Run `iris-exporter` with these arguments in a terminal; whatever is left is ended with it."""
    one = Terminal(directory, width, height)
    await one.start((sys.executable, "-m", "iris_exporter", *arguments), environment)
    pid = await one.pid()
    try:
        yield one
    finally:
        await one.tmux("kill-server")  # a SIGHUP for what is in it

        async def has_ended() -> bool:
            return not os.path.exists(f"/proc/{pid}")  # noqa: ASYNC240, PTH110 (of memory, and not of a disk)

        await wait_until(has_ended, "the program in the terminal ends")
