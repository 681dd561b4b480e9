"""Reports when TLS handshakes begin and end; aiohttp reports only complete connections."""

import ssl
from collections.abc import Callable
from contextvars import ContextVar

WATCHER: ContextVar[Callable[[bool], None] | None] = ContextVar("iris_exporter_handshake_watcher", default=None)
"""Called for each connection that the task makes over a watched context: with False when a handshake begins, with True
when it has succeeded. It is quick and never raises."""


def watch(context: ssl.SSLContext) -> ssl.SSLContext:
    """Report the handshakes of `context` to `WATCHER`, and return the context."""
    context.sslobject_class = _WatchedTls
    return context


class _WatchedTls(ssl.SSLObject):
    """A handshake takes several calls, in the context of the task that connects: each raises until the peer answers."""

    _has_begun = False

    def do_handshake(self) -> None:
        """Go on with the handshake, and report its beginning and its success."""
        watcher = WATCHER.get()
        if watcher is not None and not self._has_begun:
            self._has_begun = True
            watcher(False)
        super().do_handshake()
        if watcher is not None:
            watcher(True)
