"""The command `iris-exporter backend`: options in, exit code out."""

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from iris_exporter import config
from iris_exporter.backend.access import NO_LIMITS, PROMISED_LIMITS, KeyFile
from iris_exporter.backend.faults import describe_faults, parse_fault
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.logs import FORMATS, LEVELS
from iris_exporter.process import standard_streams

DEFAULT_ADDRESS = "127.0.0.1:14748"
MAX_RATE = 100_000.0
"""More events a second than one process can make."""
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command; values are checked in `run`, which names all that is wrong at once.

    The parser should show its epilog as it is (`RawDescriptionHelpFormatter`): it is the table of faults. Logging is
    set up by the caller, from `log_level` and `log_format`.
    """
    parser.epilog = (
        "faults ([all:|stream:|rest:]NAME[=VALUE], for streams unless told, flap for all):\n" + describe_faults()
    )
    parser.add_argument(
        "--web.listen-address",
        dest="listen_address",
        metavar="HOST:PORT",
        default=DEFAULT_ADDRESS,
        help="where to listen; port 0 takes any free one (default: %(default)s)",
    )
    parser.add_argument(
        "--api-key-file",
        type=Path,
        metavar="FILE",
        help="file with the key that clients must present; read again when it changes (default: no key needed)",
    )
    parser.add_argument("--seed", metavar="NUMBER", help="repeat the data of an earlier run (default: drawn)")
    parser.add_argument(
        "--rate", default="1", metavar="NUMBER", help="mean events per second; 0 is a source at rest (default: 1)"
    )
    parser.add_argument(
        "--fault", action="append", default=[], metavar="FAULT", help="begin with this fault on; may be repeated"
    )
    parser.add_argument(
        "--limits",
        action="store_true",
        help="enforce what the wire promises: 100 streams at once and per hour and address, 1000 messages a minute "
        "from a client, 5 minutes idle",
    )
    parser.add_argument(
        "--web.cors.origin", dest="cors_origin", metavar="ORIGIN", help="let browsers of this origin read the API"
    )
    parser.add_argument(
        "--log.level",
        dest="log_level",
        default="info",
        choices=tuple(LEVELS),
        help="the least that is logged (default: %(default)s)",
    )
    parser.add_argument(
        "--log.format",
        dest="log_format",
        default=FORMATS[0],
        choices=FORMATS,
        help="how it is written (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT.

    Returns:
        0 after a signal, 1 when the address cannot be had, 2 when an option makes no sense; the last two with one
        line on standard error for each reason.
    """
    try:
        backend = Backend(_read_settings(arguments))
    except ConfigError as error:
        for problem in error.problems:
            print(f"iris-exporter backend: {problem}", file=sys.stderr)
        return EXIT_BAD_INPUT
    try:
        asyncio.run(_serve(backend))
    except OSError as error:
        reason = error.strerror or str(error)
        print(f"iris-exporter backend: cannot listen on {arguments.listen_address}: {reason}", file=sys.stderr)
        return EXIT_FAILED
    return 0


def _read_settings(arguments: argparse.Namespace) -> BackendSettings:
    problems: list[Problem] = []

    def check(key: str, value: str, expected: str) -> None:
        problems.append(Problem("command line", key, repr(value), expected))

    host, port = "", 0
    try:
        host, port = parse_address(arguments.listen_address)
    except ValueError:
        check("--web.listen-address", arguments.listen_address, "HOST:PORT with a port of 0 to 65535")
    rate = -1.0
    with contextlib.suppress(ValueError):
        rate = float(arguments.rate)
    if not 0 <= rate <= MAX_RATE:
        check("--rate", arguments.rate, f"a number of 0 to {MAX_RATE:g}")
    seed = None
    try:
        seed = None if arguments.seed is None else int(arguments.seed)
    except ValueError:
        check("--seed", arguments.seed, "a whole number")
    for spec in arguments.fault:
        try:
            parse_fault(spec, 0.0)
        except ConfigError as error:
            problems += error.problems
    if arguments.api_key_file is not None:
        try:
            KeyFile(arguments.api_key_file)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return BackendSettings(
        host=host,
        port=port,
        api_key_file=arguments.api_key_file,
        seed=seed,
        rate=rate,
        faults=tuple(arguments.fault),
        limits=PROMISED_LIMITS if arguments.limits else NO_LIMITS,
        cors_origin=arguments.cors_origin,
    )


def parse_address(text: str) -> tuple[str, int]:
    """Split an address as `--web.listen-address` of the exporter does. Raises `ValueError`."""
    host, port = config.parse_address(text)
    return host or "0.0.0.0", port  # noqa: S104 - `:port` is how exporters say "all interfaces"


async def _serve(backend: Backend) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with backend:
        service = backend.service
        key = "needs the key of the file given" if service.key else "no key needed"
        standard_streams.write(
            f"IRIS reference backend on {backend.url} ({key}, seed {service.seed})\n"
            f"  streams, WebSocket or SSE: {backend.url}/api/stream/overview, .../events, .../telemetry\n"
            f"  REST: {backend.url}/api/overview\n"
            f"  all endpoints and faults: {backend.url}/\n"
        )
        await stop.wait()
