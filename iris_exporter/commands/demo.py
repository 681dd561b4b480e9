"""`iris-exporter demo`: a reference backend and the sidecar in one process on loopback, with nothing to set up."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from iris_exporter import config, logs
from iris_exporter.app import Exporter, ListenError
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.commands.arguments import Parser, reads
from iris_exporter.commands.checks import FILE_CHECKS
from iris_exporter.config import values
from iris_exporter.config.option_types import ADDRESSES
from iris_exporter.core.status import PROTOCOLS, LinkStatus, State
from iris_exporter.model.snapshot import Snapshot
from iris_exporter.otel.environment import read_otel
from iris_exporter.otel.settings import OtelSettings
from iris_exporter.process.standard_streams import stdout
from iris_exporter.settings import Settings

SIDECAR_ADDRESS = "127.0.0.1:14747"
BACKEND_ADDRESS = "127.0.0.1:14748"
# Long enough to see it live, and long enough away that the attempts run out and polling is tried.
DROP_FAULT = "flap=20,40"

_ADDRESSES = """
  iris-exporter demo: a synthetic IRIS installation and the exporter, both on this machine only

    {sidecar}/              streams, their states, and buttons to connect, disconnect and reset
    {sidecar}/metrics       what Prometheus scrapes
    {sidecar}/api/v1/streams/demo/events?limit=5
    {backend}/              the backend: its endpoints, and faults to play with

  Watch it reconnect:  curl --json '{{"drop": 5}}' {backend}/-/faults
  and make it whole:   curl --json '{{}}' {backend}/-/faults
  With Prometheus and Grafana, in a checkout, after this one has freed port 14747:
    {compose}
  Ctrl-C stops both.
"""
COMPOSE = "docker compose -f deploy/compose/compose.yaml up"
"""All of it in one command: also dashboards, alerts, traces and logs."""


def add_arguments(parser: Parser) -> None:
    """Declare the options of the command."""
    parser.example += " --drop --duration=2m"
    address, duration = reads(ADDRESSES), reads(values.duration(0.001, 31 * 86400))
    parser.add_argument(
        "--web.listen-address", dest="sidecar", type=address, metavar="HOST:PORT", default=SIDECAR_ADDRESS,
        help="where the exporter listens; port 0 takes any free one (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--backend.listen-address", dest="backend", type=address, metavar="HOST:PORT", default=BACKEND_ADDRESS,
        help="where the backend listens (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--protocol", choices=("auto", *PROTOCOLS), default="websocket",
        help="how the exporter connects (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--drop", action="store_true",
        help="stop the backend for 40 s after every 20 s, to watch the exporter reconnect, poll and recover",
    )  # fmt: skip
    parser.add_argument(
        "--rate", type=reads(values.number(0, 10_000)), metavar="NUMBER", default=2.0,
        help="events per second (default: 2)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, metavar="NUMBER", help="repeat the data of an earlier run with this seed (default: random)"
    )
    parser.add_argument(
        "--duration", type=duration, metavar="DURATION",
        help="stop after this time, such as 30s (default: run until stopped)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Run both until SIGINT or SIGTERM; 0 then.

    Raises:
        IrisExporterError: An address cannot be listened on, or a mistake of the backend has ended it.
        ConfigError: An OTEL_* variable makes no sense.
    """
    logs.setup("info", "logfmt")
    asyncio.run(_run(arguments, read_otel(os.environ)))
    return 0


async def _run(arguments: argparse.Namespace, otel: OtelSettings) -> None:
    host, port = config.parse_address(arguments.backend)
    faults = (DROP_FAULT,) if arguments.drop else ()
    backend = Backend(
        BackendSettings(host=host or "127.0.0.1", port=port, seed=arguments.seed, rate=arguments.rate, faults=faults)
    )
    service = backend.service
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, service.ended.set)
    try:
        await backend.start()
    except OSError as error:
        raise ListenError(f"--backend.listen-address: cannot listen on {arguments.backend}: port in use?") from error
    try:
        settings = _settings(arguments, backend.url)
        async with Exporter(settings, lambda: settings, otel=otel) as exporter:
            stdout.write(_ADDRESSES.format(sidecar=exporter.addresses[0], backend=backend.url, compose=COMPOSE))
            stream = exporter.streams()["demo"]
            line = asyncio.create_task(_show(lambda: (stream.status(), stream.snapshot())))
            with suppress(TimeoutError):
                async with asyncio.timeout(arguments.duration):
                    await service.wait_for_end()
            line.cancel()
            # A short run elsewhere than on a terminal would else show nothing of what it has received.
            stdout.write("\n" if sys.stdout.isatty() else f"{status_line(stream.status(), stream.snapshot())}\n")
    finally:
        await backend.stop()


def _settings(arguments: argparse.Namespace, backend_url: str) -> Settings:
    """The configuration of the demo: the usual defaults, in a hurry, so that something can be watched."""
    host, port = config.parse_address(arguments.sidecar)
    flags = {
        "web.listen-address": [f"{f'[{host}]' if ':' in host else host or '127.0.0.1'}:{port}"],
        "stream.name": "demo",
        "stream.url": f"{backend_url}/api/stream",
        "stream.protocol": arguments.protocol,
        "stream.reconnect-initial": "1s",
        "stream.reconnect-max": "5s",
        "stream.reconnect-attempts": "5",
        "stream.heartbeat-interval": "5s",
        "stream.heartbeat-timeout": "10s",
        "stream.poll-interval": "5s",
        "stream.live-retry-interval": "10s",
        "stream.stable-after": "5s",
        # The demo reconnects on purpose, and to itself.
        "stream.max-connections-per-hour": "0",
    }
    return config.load(flags, {}, FILE_CHECKS)


async def _show(current: Callable[[], tuple[LinkStatus, Snapshot]]) -> None:
    """Update one line on a terminal; elsewhere write it anew every ten seconds."""
    terminal = sys.stdout.isatty()
    while True:
        await asyncio.sleep(1.0 if terminal else 10.0)
        line = status_line(*current())
        stdout.write(f"\r\x1b[K{line}" if terminal else f"{line}\n")


def status_line(status: LinkStatus, snapshot: Snapshot) -> str:
    """One line: state, what is in use, and the four figures of the old page."""
    state = str(status.state)
    if status.state is State.CONNECTING and status.attempt:
        state = f"connecting (attempt {status.attempt})"
    parts = [f"{state:<24} {status.protocol:<9}", f"{sum(snapshot.event_counts.values())} events"]
    metrics = snapshot.metrics
    if metrics is None:
        parts.append("no data yet" if not snapshot.stale else "data is stale")
    else:
        parts += [
            f"{name} {value:g}{unit}"
            for name, value, unit in (
                ("runs", metrics.runs_today, ""),
                ("success", metrics.success_ratio and round(metrics.success_ratio * 100, 1), " %"),
                ("experts", metrics.active_experts, ""),
                ("projects", metrics.projects, ""),
            )
            if value is not None
        ]
    if status.failure is not None:
        parts.append(status.failure.reason)
    return "  " + " | ".join(parts)
