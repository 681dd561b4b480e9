"""The tasks of one stream: started, cancelled and awaited in one place, so that every failure is reported."""

import asyncio
from collections.abc import Callable, Coroutine

from iris_exporter.core.failures import Failure
from iris_exporter.logs import get_logger

# Unexpected exceptions in a row that make the stream one that cannot go on.
_MAX_UNEXPECTED = 3
_log = get_logger(__name__)


class StreamTasks:
    """Starts and ends the tasks of the stream `name`; `on_crash` is called for each unexpected exception."""

    def __init__(self, name: str, on_crash: Callable[[], None]) -> None:
        self._name = name
        self._on_crash = on_crash
        self._ending: set[asyncio.Task[None]] = set()
        self._unexpected = 0  # in a row
        self._has_lost_task = False

    @property
    def has_crashed(self) -> bool:
        """Whether bugs of the exporter stop the stream: several exceptions in a row, or one that ended a task."""
        return self._has_lost_task or self._unexpected >= _MAX_UNEXPECTED

    def spawn(self, work: Coroutine[object, object, None], what: str) -> asyncio.Task[None]:
        """Start a task; `what` completes its name."""
        self._has_lost_task = False
        task = asyncio.get_running_loop().create_task(work, name=f"{self._name}: {what}")
        task.add_done_callback(self._note_crash)
        return task

    def end(self, task: asyncio.Task[None] | None) -> None:
        """Cancel a task unless it is the one that is running: that one is about to return by itself."""
        if task is not None and not task.done() and task is not asyncio.current_task():
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def wait_ended(self) -> None:
        """Return when every task that was told to end has ended."""
        if self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)

    def unexpected(self, error: Exception) -> Failure:
        """Report an exception that a task caught and survives, as the failure of what it was doing."""
        self._unexpected += 1
        self._report(asyncio.current_task(), error)
        return Failure("other", f"unexpected {type(error).__name__}: a bug in the exporter")

    def works(self) -> None:
        """A link was opened or a poll brought something: unexpected exceptions are counted from 0 again."""
        self._unexpected = 0

    def _note_crash(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._report(task, error)
            self._has_lost_task = task not in self._ending

    def _report(self, task: asyncio.Task[None] | None, error: BaseException) -> None:
        _log.error("stream.crashed", stream=self._name, task=task and task.get_name(), error=error)
        self._on_crash()
