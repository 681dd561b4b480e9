"""Signals that arrive before the event loop can take them.

Without a handler SIGHUP and SIGTERM end a process at once, and a start takes a good part of a second: a reload that
arrives right after the start would kill the process. Import nothing heavy here.
"""

import os
import signal
from collections.abc import Mapping, Sequence
from types import FrameType

_SERVERS = ("serve", "demo", "backend")
_ANSWERS = ("-h", "--help", "--version", "--config.check")
_CHECK_VARIABLE = "IRIS_EXPORTER_CONFIG_CHECK"


class StartSignals:
    """What was asked for during the start."""

    def __init__(self) -> None:
        self.reload = False
        self.stop = False

    def watch(self, arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> None:
        """Handle SIGTERM for a command that serves, and SIGHUP for the one that reloads; leave all others alone."""
        command = arguments[0] if arguments and not arguments[0].startswith("-") else "serve"
        answers = any(argument.partition("=")[0] in _ANSWERS for argument in arguments)
        if command not in _SERVERS or answers or environment.get(_CHECK_VARIABLE) == "true":
            return
        signal.signal(signal.SIGTERM, self._stop)
        if command == "serve":
            signal.signal(signal.SIGHUP, self._reload)

    def _reload(self, _: int, __: FrameType | None) -> None:
        self.reload = True

    def _stop(self, _: int, __: FrameType | None) -> None:
        if self.stop:
            return
        # A place that swallows the exception, such as a destructor, leaves the flag.
        self.stop = True
        raise SystemExit(0)


requested = StartSignals()
"""Those of this process."""
