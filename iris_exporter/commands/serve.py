"""The command `iris-exporter serve`, which is the default: the sidecar between its signals."""

import asyncio
import signal
from collections.abc import Callable

from iris_exporter.app import Exporter
from iris_exporter.errors import ConfigError
from iris_exporter.logs import get_logger
from iris_exporter.otel.settings import OFF, OtelSettings
from iris_exporter.process.start_signals import requested
from iris_exporter.settings import Settings

_log = get_logger("app")


def run(settings: Settings, reload: Callable[[], Settings], otel: OtelSettings = OFF) -> int:
    """Run the sidecar until SIGTERM or SIGINT; SIGHUP reloads. Return the exit code.

    Raises:
        ListenError: An address cannot be listened on; nothing is left running.
    """
    asyncio.run(_serve(settings, reload, otel))
    return 0


async def _serve(settings: Settings, load: Callable[[], Settings], otel: OtelSettings) -> None:
    stop, reload_wanted = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload_wanted.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # Signals that arrived before these handlers, or in code that could not be left at once.
    if requested.reload:
        reload_wanted.set()
    if requested.stop:
        return
    try:
        await _run_until(stop, reload_wanted, Exporter(settings, load, otel=otel))
    finally:
        # Closing the loop would put the deadly defaults back, and there is still a log to be written.
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


async def _run_until(stop: asyncio.Event, reload_wanted: asyncio.Event, exporter: Exporter) -> None:
    stopping = asyncio.create_task(stop.wait(), name="stop")
    starting = asyncio.create_task(exporter.__aenter__(), name="start")
    await asyncio.wait({stopping, starting}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        # A start that is not wanted any more undoes what it has done, whatever it waits for.
        starting.cancel()
        await asyncio.wait({starting})
        if starting.cancelled():
            return
    try:
        await starting
        reloading = exporter.tasks.start("reload", lambda: _reload_when(reload_wanted, exporter))
        await stopping
        _log.info("app.stopping", streams=len(exporter.streams()))
        reloading.cancel()
    finally:
        stopping.cancel()
        await exporter.__aexit__(None, None, None)


async def _reload_when(wanted: asyncio.Event, exporter: Exporter) -> None:
    """Reload at each signal; those that come during a reload are one more. Failures have nobody to be returned to."""
    while True:
        await wanted.wait()
        wanted.clear()
        try:
            await exporter.reload()
        except ConfigError:
            continue  # logged and counted by `reload`
        except Exception as error:  # noqa: BLE001 (a mistake in this program must not end reloading)
            exporter.self_metrics.config_reloaded(ok=False, at=0.0)
            _log.error("config.reload_failed", error=error)
