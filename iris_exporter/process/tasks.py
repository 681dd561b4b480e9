"""The owner of long-lived tasks: none of them ends unseen.

A task that fails is logged, counted and started again after a pause that grows. One that goes on failing is trouble:
`/-/healthy` says so until it has lasted for a while, since its work is not done meanwhile.
"""

import asyncio
from collections.abc import Callable, Coroutine

from iris_exporter.clock import Clock
from iris_exporter.logs import get_logger

PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""Before the first and at most before a later new start."""
LASTING_SECONDS = 60.0
"""A task that has run for so long has recovered from its failures."""
FAILURES_OF_TROUBLE = 3
"""So many in a row are trouble."""

_log = get_logger("tasks")


class TaskOwner:
    """Starts long-lived tasks, and starts them again when they fail; the caller cancels them at the end.

    `count_failure` is called with the name of a task that has failed: a label value of
    `iris_exporter_task_failures_total`.
    """

    def __init__(self, clock: Clock, count_failure: Callable[[str], None]) -> None:
        self._clock = clock
        self._count_failure = count_failure
        self._failures: dict[str, tuple[int, float | None]] = {}  # in a row, and the time of the new start

    def start(self, name: str, run: Callable[[], Coroutine[object, object, None]]) -> asyncio.Task[None]:
        """Start `run`, which ends only when it is cancelled or has nothing more to do."""
        return asyncio.create_task(self._keep(name, run), name=name)

    def trouble(self) -> str | None:
        """Which tasks cannot be kept running, as a phrase; None when all can."""
        now = self._clock.monotonic()
        failing = [
            name
            for name, (failures, started) in self._failures.items()
            if failures >= FAILURES_OF_TROUBLE and (started is None or now - started < LASTING_SECONDS)
        ]
        return f"these tasks fail again and again: {', '.join(failing)}" if failing else None

    async def _keep(self, name: str, run: Callable[[], Coroutine[object, object, None]]) -> None:
        failures = 0
        while True:
            started = self._clock.monotonic()
            try:
                await run()
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    self._failures.pop(name, None)
                    raise
                failure: BaseException = error  # of another task, which has leaked
            except Exception as error:  # noqa: BLE001 (whatever it is, the task has to go on)
                failure = error
            else:
                self._failures.pop(name, None)
                return
            failures = 1 if self._clock.monotonic() - started >= LASTING_SECONDS else failures + 1
            pause = min(PAUSE_SECONDS * 2 ** min(failures - 1, 10), LONGEST_PAUSE_SECONDS)
            self._failures[name] = failures, None
            self._count_failure(name)
            _log.error("task.failed", task=name, error=failure, failures=failures, again_in_seconds=pause)
            await self._clock.sleep(pause)
            self._failures[name] = failures, self._clock.monotonic()
