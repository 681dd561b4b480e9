"""`--config.watch`: reloads when the content of the configuration file has changed."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from iris_exporter.clock import Clock
from iris_exporter.config import mappings, yaml_tree
from iris_exporter.core.file_watch import FileWatch
from iris_exporter.errors import ConfigError
from iris_exporter.process.blocking import CONFIG, BlockedError

INTERVAL_SECONDS = 5.0
"""Between two checks; a change of a ConfigMap takes longer to arrive anyway."""


class ConfigWatch:
    """Checks a file for ever, and those that `patterns` (the globs of `mapping-files`) name; see `mappings.mark`.

    `reload` reads them, may raise ConfigError, and calls `loaded` in either case. One check at a time: a file on a
    mount that hangs blocks one thread and not the loop. Other files that the configuration names need no watch: keys,
    certificates and the web configuration are read again where they are used.
    """

    def __init__(
        self,
        path: Path,
        mark: str | None,
        clock: Clock,
        reload: Callable[[], Awaitable[None]],
        patterns: Sequence[str] = (),
    ) -> None:
        self._path = path
        self.patterns = patterns
        self._clock = clock
        self._reload = reload
        self._watch = FileWatch(mark)

    async def run(self) -> None:
        """Check for ever."""
        while True:
            await self._clock.sleep(INTERVAL_SECONDS)
            if self._watch.check(await self.mark()):
                try:
                    await self._reload()
                except ConfigError:
                    continue  # logged and counted by the reload

    async def mark(self) -> str | None:
        """What the content is now; ask before it is read, so that a change in between is seen afterwards."""
        try:
            return await CONFIG.run(lambda: mappings.mark(yaml_tree.mark(self._path), self.patterns), self._path)
        except BlockedError:
            return None  # as for a file that cannot be read

    def loaded(self, mark: str | None, *, accepted: bool) -> None:
        """The content with this mark was read, and accepted or not."""
        self._watch.loaded(mark, accepted=accepted)
