"""The command `iris-exporter serve`, which is the default: the sidecar between its signals."""

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from iris_exporter import config, logs
from iris_exporter.commands import COMMANDS
from iris_exporter.commands.arguments import PROGRAM, Parser
from iris_exporter.commands.checks import FILE_CHECKS, environment_problems
from iris_exporter.config.options import COMMON, GROUPS
from iris_exporter.errors import ConfigError
from iris_exporter.otel.settings import OFF, OtelSettings
from iris_exporter.process.start_signals import requested
from iris_exporter.settings import Settings

if TYPE_CHECKING:
    from iris_exporter.app import Exporter

_DESCRIPTION = "Exports what an IRIS backend streams (WebSocket, SSE or REST) to Prometheus and OpenTelemetry."
_EXAMPLE = f"{PROGRAM} --stream.url=https://iris.example.com/api/stream --stream.api-key-file=/etc/iris/api-key"
_EPILOG = """\
Each flag is also a variable, shown as $NAME, and a key of the YAML file: --stream.url is url: below stream:.
A flag goes before a variable, a variable before the file, the file before the default.
OpenTelemetry is configured by its own variables, OTEL_EXPORTER_OTLP_ENDPOINT and others."""

_log = logs.get_logger("app")


def add_arguments(parser: Parser) -> None:
    """Declare one flag for each option, None where it is not given; the help is that of the whole program."""
    commands = "\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items())
    parser.prog = PROGRAM
    parser.usage = f"{PROGRAM} [serve] --stream.url=URL [flags]\n       {PROGRAM} COMMAND [--help | --help-all]"
    parser.description = f"{_DESCRIPTION}\n\ncommands:\n{commands}"
    parser.epilog, parser.example = _EPILOG, _EXAMPLE
    parser.uncommon = frozenset(option.flag for option in config.OPTIONS if option.key not in COMMON)
    sections = {group: parser.add_argument_group(title) for group, title in GROUPS.items()}
    for option in config.OPTIONS:
        default = f"default: {option.default}" if option.default else "not set by default"
        text = f"{option.help} ({default})\n${option.variable}".replace("%", "%%")
        form: dict[str, Any] = {"nargs": "?", "const": "true"} if option.type.switch else {}
        action = "append" if option.type.many else "store"
        sections[option.group].add_argument(
            option.flag, dest=option.key, action=action, metavar=option.type.metavar, help=text, **form
        )


def run(arguments: argparse.Namespace) -> int:
    """Check the configuration and serve, or with `--config.check` print that it can be used.

    Raises:
        ConfigError: With every problem of the options and of OpenTelemetry's variables.
        ListenError: An address cannot be listened on; nothing is left running.
    """
    from iris_exporter.otel.environment import read_otel  # with what reads certificates

    flags = {option.key: getattr(arguments, option.key) for option in config.OPTIONS}

    def load() -> Settings:
        return config.load(flags, os.environ, FILE_CHECKS)

    settings: Settings
    otel: OtelSettings
    settings, otel = _all_of(load, lambda: read_otel(os.environ))
    if settings.config_check:
        _show_valid(settings, otel)
        return 0
    logs.setup(settings.log_level, settings.log_format)
    return serve(settings, load, otel)


def _all_of(*loads: Callable[[], Any]) -> list[Any]:
    """The results of all functions, or everything that is wrong with the configuration at once."""
    problems, results = environment_problems(os.environ), []
    for load in loads:
        try:
            results.append(load())
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return results


def _show_valid(settings: Settings, otel: OtelSettings) -> None:
    """What `--config.check` prints."""
    if otel.ignored:
        ignored = "".join(f"  {problem}\n" for problem in otel.ignored)
        sys.stderr.write(logs.redact(f"{PROGRAM}: these values are ignored:\n{ignored}"))
    warnings = "".join(f"warning: {warning}\n" for warning in settings.mapping_warnings)
    sys.stderr.write(logs.redact(warnings))
    count, names = len(settings.streams), ", ".join(stream.name for stream in settings.streams)
    listed = f" ({names})" if names else ""
    more = "; more may be discovered" if settings.discovery.is_on else ""
    sys.stdout.write(f"configuration is valid: {count} {'stream' if count == 1 else 'streams'}{listed}{more}\n")


def serve(settings: Settings, reload: Callable[[], Settings], otel: OtelSettings = OFF) -> int:
    """Run the sidecar until SIGTERM or SIGINT; SIGHUP reloads. Return the exit code.

    Raises:
        ListenError: An address cannot be listened on; nothing is left running.
    """
    asyncio.run(_serve(settings, reload, otel))
    return 0


async def _serve(settings: Settings, load: Callable[[], Settings], otel: OtelSettings) -> None:
    gc.disable()  # what is imported lives as long as the process, and looking for garbage in it is a tenth of the start
    from iris_exporter.app import Exporter  # everything heavy

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
    _spare_collector()
    try:
        await _run_until(stop, reload_wanted, Exporter(settings, load, otel=otel))
    finally:
        # Closing the loop would put the deadly defaults back, and there is still a log to be written.
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


def _spare_collector() -> None:
    """Leave what was loaded out of garbage collections: a full one takes 30 ms with it, and nearly none without.

    A collection stops the event loop, and modules, classes and code live as long as the process anyway. What is made
    later is collected as ever. The little garbage that imports leave stays: to find it takes longer than it is worth.
    """
    gc.freeze()
    gc.enable()


async def _run_until(stop: asyncio.Event, reload_wanted: asyncio.Event, exporter: "Exporter") -> None:
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


async def _reload_when(wanted: asyncio.Event, exporter: "Exporter") -> None:
    """Reload at each signal; those that come during a reload are one more. Failures are only logged."""
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
