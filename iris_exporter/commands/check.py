"""`iris-exporter check`: tries each stream once, as the exporter would, and says what it found and what to do."""

import argparse
import asyncio
import json
import os
import sys
from functools import partial
from typing import Any

from iris_exporter import config, logs
from iris_exporter.commands.arguments import ArgumentsError, Parser, reads
from iris_exporter.commands.checks import FILE_CHECKS
from iris_exporter.config import values
from iris_exporter.config.options import COMMON
from iris_exporter.core import urls
from iris_exporter.process.standard_streams import stdout
from iris_exporter.settings import StreamSettings

_KEYS = [option for option in config.OPTIONS if option.group == "stream" or option.key == "config.file"]


def add_arguments(parser: Parser) -> None:
    """Declare the options: those of streams, and how to check."""
    parser.example += " https://iris.example.com/api/stream --stream.api-key-file=/etc/iris/api-key"
    parser.uncommon = frozenset(option.flag for option in _KEYS if option.key not in COMMON)
    parser.epilog = "Exit codes: 0 all well, 1 a problem or a warning, 2 a configuration that cannot be used."
    parser.add_argument("url", nargs="?", metavar="URL", help="address of one stream, as --stream.url")
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="how to write the result (default: %(default)s)"
    )
    parser.add_argument(
        "--wait", type=reads(values.duration(0.1, 86400)), metavar="DURATION",
        help="how long to listen to each stream; 60s and more find what shows only with time (default: 5s, and up to "
        "--stream.heartbeat-timeout where an event stream brings nothing)",
    )  # fmt: skip
    parser.add_argument(
        "--prometheus.url", dest="prometheus", type=_url, metavar="URL",
        help="also ask this Prometheus whether it scrapes these streams and has the rules loaded",
    )  # fmt: skip
    for option in _KEYS:
        form: dict[str, Any] = {"nargs": "?", "const": "true"} if option.type.switch else {}
        action = "append" if option.type.many else "store"
        text = option.help.replace("%", "%%")
        parser.add_argument(option.flag, dest=option.key, action=action, metavar=option.type.metavar, help=text, **form)


def run(arguments: argparse.Namespace) -> int:
    """Check all streams, one after another; the worst decides the exit code.

    Raises:
        ConfigError: The configuration cannot be used.
        ArgumentsError: There is no stream to check.
    """
    logs.setup("error", "logfmt")
    flags = {option.key: getattr(arguments, option.key) for option in _KEYS}
    if arguments.url is not None:
        if flags["stream.url"] is not None:
            raise ArgumentsError("URL and --stream.url are the same thing: give one of them")
        flags["stream.url"] = arguments.url
    settings = config.load(flags, os.environ, FILE_CHECKS)
    if not settings.streams:
        raise ArgumentsError("no stream to check: give its URL (discovered ones are not looked up)")
    return asyncio.run(_check(settings.streams, arguments.wait, arguments.format, arguments.prometheus))


def _url(text: str) -> str:
    wrong = urls.problem(text, ("http", "https"))
    if wrong or "?" in text:
        raise argparse.ArgumentTypeError("expected http(s)://HOST[:PORT][/PATH], without user and query")
    return text


async def _check(streams: tuple[StreamSettings, ...], wait: float | None, form: str, prometheus: str | None) -> int:
    from iris_exporter.check import diagnosis, report
    from iris_exporter.check.probes import examine
    from iris_exporter.check.prometheus import examine_prometheus
    from iris_exporter.clock import SystemClock

    code, results = 0, []
    for settings in streams:
        seen = await examine(settings, wait, SystemClock(), partial(_show, settings.name))
        _show("", "")
        found = diagnosis.diagnose(seen, settings)
        code = max(code, diagnosis.exit_code(found))
        if form == "text":
            stdout.write(logs.redact(report.as_text(seen, found, settings)) + "\n")
        else:
            results.append(report.as_values(seen, found, settings))
    document: dict[str, Any] = {"streams": results}
    if prometheus is not None:
        _show("prometheus", "asking")
        found = await examine_prometheus(prometheus, [settings.name for settings in streams])
        _show("", "")
        code = max(code, diagnosis.exit_code(found))
        document["prometheus"] = report.findings_as_values(found)
        if form == "text":
            stdout.write(logs.redact(report.findings_as_text("prometheus", found)) + "\n")
    if form == "json":
        stdout.write(logs.redact(json.dumps(document, indent=2)) + "\n")
    return code


def _show(stream: str, what: str) -> None:
    """Show what happens now on a terminal; an empty text removes the line."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{logs.redact(f'{stream}: {what}' if what else '')}")
        sys.stderr.flush()
