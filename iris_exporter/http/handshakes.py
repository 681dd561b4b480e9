"""When TLS handshakes begin and end: aiohttp tells only when a connection as a whole is there."""

import ssl
from collections.abc import Callable
from contextvars import ContextVar

WATCHER: ContextVar[Callable[[bool], None] | None] = ContextVar("iris_exporter_handshake_watcher", default=None)
"""Called, for connections that the task makes over a watched context, with False when a handshake begins and with True
when it has succeeded. It is quick and never raises."""


def watch(context: ssl.SSLContext) -> ssl.SSLContext:
    """Let the handshakes of `context` be seen by `WATCHER`; the context itself is returned."""
    context.sslobject_class = _WatchedTls
    return context


class _WatchedTls(ssl.SSLObject):
    """A handshake takes several calls, since each that needs bytes of the other side raises.

    All of them run in the context of the task that connects.
    """

    _has_begun = False

    def do_handshake(self) -> None:
        """See `ssl.SSLObject.do_handshake`."""
        watcher = WATCHER.get()
        if watcher is not None and not self._has_begun:
            self._has_begun = True
            watcher(False)
        super().do_handshake()
        if watcher is not None:
            watcher(True)
