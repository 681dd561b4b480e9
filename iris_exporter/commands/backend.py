"""The command `iris-exporter backend`: options in, exit code out."""

import argparse
import asyncio
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from iris_exporter import logs
from iris_exporter.backend.access import NO_LIMITS, PROMISED_LIMITS, KeyFile
from iris_exporter.backend.faults import describe_faults, parse_fault
from iris_exporter.backend.graphql.route import MISSING, is_available
from iris_exporter.backend.origins import parse_origin
from iris_exporter.backend.relay.running import RelaySettings, relaying
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.commands import relay_options
from iris_exporter.commands.arguments import Parser
from iris_exporter.commands.relay_options import add_source_flags, read_source, shown_texts, source_texts
from iris_exporter.config import parse_address, values
from iris_exporter.config.option_types import ADDRESSES, DIRECTORY
from iris_exporter.config.reader import Given, Reader
from iris_exporter.config.values import ValueType
from iris_exporter.core.negotiation import GRAPHQL_PATH
from iris_exporter.errors import ConfigError, IrisExporterError, Problem
from iris_exporter.logs import FORMATS, LEVELS
from iris_exporter.process.standard_streams import stdout

DEFAULT_ADDRESS = "127.0.0.1:14748"
DEFAULT_RATE = 1.0
MAX_RATE = 100_000.0
"""More events a second than one process can make."""

_SEED = values.matching("a whole number", "NUMBER", "-?[0-9]{1,30}")
_ORIGIN = ValueType(
    "an origin: http:// or https://, host and port, nothing behind", "ORIGIN", lambda text, _: parse_origin(text)
)


def add_arguments(parser: Parser) -> None:
    """Declare the options of the command; values are checked in `run`, which names all that is wrong at once.

    The details are the table of faults, so the parser has to show it as it is.
    """
    parser.example += " --web.listen-address=127.0.0.1:0 --rate=10 --fault=flap=20,40"
    parser.epilog = "--help-all shows all options, and the faults."
    parser.uncommon = relay_options.UNCOMMON | {"--allow-key-in-url", "--log.format", "--web.cors.origin"}
    parser.details = (
        "faults are written [all:|stream:|rest:]NAME[=VALUE]; without a scope they are for streams, and flap for all:\n"
        + describe_faults()
    )
    parser.add_argument(
        "--web.listen-address", dest="listen_address", metavar="HOST:PORT", default=DEFAULT_ADDRESS,
        help="where to listen; port 0 takes any free one (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--api-key-file", type=Path, metavar="FILE",
        help="file with the key that clients have to send; read again when it changes (default: no key needed)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-key-in-url", action="store_true",
        help="accept the key as query parameter api_key too, where proxies and histories keep it; browsers can use the "
        "tickets of POST /api/ticket instead",
    )  # fmt: skip
    parser.add_argument(
        "--seed", metavar="NUMBER", help="repeat the data of an earlier run with this seed (default: random)"
    )
    parser.add_argument(
        "--rate", metavar="NUMBER", help=f"mean events per second; 0 makes none (default: {DEFAULT_RATE:g})"
    )
    add_source_flags(parser)
    parser.add_argument(
        "--state.dir", dest="state_dir", metavar="DIRECTORY",
        help="where a relay keeps its history, so that positions outlive a restart (default: in memory)",
    )  # fmt: skip
    parser.add_argument(
        "--fault", action="append", default=[], metavar="FAULT",
        help="start with this fault, one of those that --help-all lists; repeat the flag for several",
    )  # fmt: skip
    parser.add_argument(
        "--limits", action="store_true",
        help="enforce the limits of the IRIS protocol: 100 streams at once, 100 new ones an hour from an address, "
        "1000 messages a minute from a client, 5 minutes without a message; 100 KB a message is always the limit",
    )  # fmt: skip
    parser.add_argument(
        "--web.cors.origin", dest="cors_origins", action="append", default=[], metavar="ORIGIN",
        help="let browser pages of this origin, such as https://dashboard.example.com, use the API and open "
        "WebSockets; repeat the flag for several (default: only pages of the backend's own address)",
    )  # fmt: skip
    parser.add_argument(
        "--log.level", dest="log_level", default="info", choices=tuple(LEVELS),
        help="lowest severity to log (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--log.format", dest="log_format", default=FORMATS[0], choices=FORMATS,
        help="form of the log lines (default: %(default)s)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ConfigError: With every option that makes no sense.
        IrisExporterError: The address cannot be had, or a mistake of the backend has ended it.
    """
    logs.setup(arguments.log_level, arguments.log_format)
    # All it has to say is that a client offers no subprotocol of ours, which is no fault, and any client may do often.
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)
    settings, relay = _read_settings(arguments)
    try:
        asyncio.run(_serve(settings, relay))
    except OSError as error:
        reason = error.strerror or str(error)
        raise IrisExporterError(f"cannot listen on {arguments.listen_address}: {reason}") from error
    return 0


def _misplaced(arguments: argparse.Namespace, source: Mapping[str, Sequence[str]]) -> list[Problem]:
    """Flags that make no sense with, or without, a source to relay."""
    if "url" not in source:
        given, wrong = {"--state.dir": arguments.state_dir}, shown_texts(source)
        expected = "this flag only beside --source: without one, nothing is relayed"
    else:
        given, wrong = {"--seed": arguments.seed, "--rate": arguments.rate}, {}
        expected = "no such flag beside --source: what is relayed is not made here"
    wrong |= {flag: values.quoted(text) for flag, text in given.items() if text is not None}
    return [Problem("command line", flag, shown, expected) for flag, shown in wrong.items()]


def _read_settings(arguments: argparse.Namespace) -> tuple[BackendSettings, RelaySettings | None]:
    reader = Reader()

    def read(flag: str, value_type: ValueType, text: str) -> Any:
        return reader.read(Given(value_type, (text,), "command line", flag))

    def check(parse: Callable[..., object], *values: object) -> None:
        try:
            parse(*values)
        except ConfigError as error:
            reader.problems += error.problems

    addresses = read("--web.listen-address", ADDRESSES, arguments.listen_address)
    rate = DEFAULT_RATE if arguments.rate is None else read("--rate", values.number(0, MAX_RATE), arguments.rate)
    seed = None if arguments.seed is None else read("--seed", _SEED, arguments.seed)
    origins = [read("--web.cors.origin", _ORIGIN, text) for text in arguments.cors_origins]
    for spec in arguments.fault:
        check(parse_fault, spec, 0.0)
    if arguments.api_key_file is not None:
        check(KeyFile, arguments.api_key_file)
    texts = source_texts(arguments)
    reader.problems += _misplaced(arguments, texts)
    state_dir = None if arguments.state_dir is None else read("--state.dir", DIRECTORY, arguments.state_dir)
    source = read_source(texts, reader)
    if reader.problems:
        raise ConfigError(reader.problems)
    host, port = parse_address(*addresses)
    settings = BackendSettings(
        host=host or "0.0.0.0",  # noqa: S104 (`:port` is all interfaces, as of exporters)
        port=port,
        api_key_file=arguments.api_key_file,
        seed=None if seed is None else int(seed),
        rate=rate,
        faults=tuple(arguments.fault),
        limits=PROMISED_LIMITS if arguments.limits else NO_LIMITS,
        cors_origins=tuple(origins),
        key_in_url=arguments.allow_key_in_url,
    )
    return settings, None if source is None else RelaySettings(source, state_dir)


def _on_signal(act: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, act)


async def _serve(settings: BackendSettings, relay: RelaySettings | None) -> None:
    if (task := asyncio.current_task()) is not None:
        _on_signal(task.cancel)
    # A cancelled start is one that was asked to stop: a relay waits for its source's first answer.
    with suppress(asyncio.CancelledError):
        await _serve_until_end(settings, relay)


async def _serve_until_end(settings: BackendSettings, relay: RelaySettings | None) -> None:
    async with Backend(settings) if relay is None else relaying(relay, settings) as backend:
        service = backend.service
        _on_signal(service.ended.set)
        key = "needs the key of the file given" if service.key else "no key needed"
        what = f"seed {service.seed}" if relay is None else service.feed.installation.description
        stdout.write(
            f"IRIS reference backend on {backend.url} ({key}, {what})\n"
            f"  streams, WebSocket or SSE: {backend.url}/api/stream, .../overview, .../events, .../telemetry\n"
            f"  REST: {backend.url}/api/overview\n"
            f"  GraphQL: {backend.url}{GRAPHQL_PATH}{'' if is_available() else f': {MISSING}'}\n"
            f"  all endpoints and faults: {backend.url}/\n"
        )
        await service.wait_for_end()
