"""`iris-exporter check`: tries each stream once, as the exporter would, and says what it found and what to do.

Given their addresses it also asks what is around the exporter: Prometheus, the OTLP endpoint, Grafana.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iris_exporter import config, logs
from iris_exporter.clock import SystemClock
from iris_exporter.commands.arguments import ArgumentsError, Parser, reads
from iris_exporter.commands.checks import FILE_CHECKS
from iris_exporter.commands.grafana import add_grafana, grafana_token
from iris_exporter.config import values
from iris_exporter.config.options import COMMON
from iris_exporter.core import urls
from iris_exporter.errors import UsageError
from iris_exporter.http.proxies import proxy_for
from iris_exporter.otel.settings import OtelSettings
from iris_exporter.process.standard_streams import stdout
from iris_exporter.settings import StreamSettings

if TYPE_CHECKING:
    from iris_exporter.check.findings import Found
    from iris_exporter.grafana.client import Grafana

_OTHERS = ("config.file", "mapping-files")
_KEYS = [option for option in config.OPTIONS if option.group == "stream" or option.key in _OTHERS]


def add_arguments(parser: Parser) -> None:
    """Declare the options: those of streams, and how to check."""
    parser.example += " https://iris.example.com/api/stream --stream.api-key-file=/etc/iris/api-key"
    parser.uncommon = frozenset(option.flag for option in _KEYS if option.key not in COMMON) | {"--grafana.ca-file"}
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
    parser.add_argument(
        "--otlp.endpoint", dest="otlp", metavar="URL",
        help="also ask this OTLP endpoint whether it takes a span and a log record; without it, those that the OTEL_* "
        "variables name, which are used as by the exporter in either case",
    )  # fmt: skip
    add_grafana(
        parser, "also ask this Grafana whether it has the dashboards as shipped, and whether their data source answers",
        "Viewer, and may read data sources", required=False,
    )  # fmt: skip
    for option in _KEYS:
        form: dict[str, Any] = {"nargs": "?", "const": "true"} if option.type.switch else {}
        action = "append" if option.type.many else "store"
        text = option.help.replace("%", "%%")
        parser.add_argument(option.flag, dest=option.key, action=action, metavar=option.type.metavar, help=text, **form)


def run(arguments: argparse.Namespace) -> int:
    """Check all streams, one after another, and what else is named; the worst decides the exit code.

    Raises:
        ConfigError: The configuration cannot be used.
        ArgumentsError: There is no stream to check, a file for Grafana cannot be used, or its extra is not installed.
    """
    from iris_exporter.otel.environment import read_otel  # with what reads certificates

    logs.setup("error", "logfmt")
    flags = {option.key: getattr(arguments, option.key) for option in _KEYS}
    if arguments.url is not None:
        if flags["stream.url"] is not None:
            raise ArgumentsError("URL and --stream.url are the same thing: give one of them")
        flags["stream.url"] = arguments.url
    settings = config.load(flags, os.environ, FILE_CHECKS)
    if not settings.streams:
        raise ArgumentsError("no stream to check: give its URL (discovered ones are not looked up)")
    otel = read_otel(os.environ if arguments.otlp is None else _with_endpoint(os.environ, arguments.otlp))
    grafana = _grafana(arguments)
    output = _Output(arguments.format)
    asyncio.run(_check(settings.streams, arguments.wait, output))
    if arguments.prometheus is not None:
        asyncio.run(_ask_prometheus(arguments.prometheus, settings.streams, output))
    asyncio.run(_ask_otlp(otel, arguments.otlp is not None, output))
    if grafana is not None:
        asyncio.run(_ask_grafana(arguments.grafana_url, grafana, arguments.grafana_ca_file, output))
    return output.close()


def _with_endpoint(environment: Mapping[str, str], url: str) -> dict[str, str]:
    """The variables with this address in place of all others."""
    own = {f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT" for signal in ("TRACES", "LOGS")}
    others = {name: value for name, value in environment.items() if name not in own}
    return {**others, "OTEL_EXPORTER_OTLP_ENDPOINT": url}


def _grafana(arguments: argparse.Namespace) -> "Grafana | None":
    url, token_file = arguments.grafana_url, arguments.grafana_token_file
    if url is None and token_file is None and arguments.grafana_ca_file is None:
        return None
    if url is None or token_file is None:
        raise ArgumentsError("--grafana.url and --grafana.token-file have to be given together")
    from iris_exporter.grafana.client import Grafana

    try:
        return Grafana(url, grafana_token(token_file), arguments.grafana_ca_file)
    except UsageError as error:
        raise ArgumentsError(str(error)) from error


def _url(text: str) -> str:
    wrong = urls.problem(text, ("http", "https"))
    if wrong or "?" in text:
        raise argparse.ArgumentTypeError("expected http(s)://HOST[:PORT][/PATH], without user and query")
    return text


class _Output:
    """Writes results, text at once and JSON at the end, and remembers the worst."""

    def __init__(self, form: str) -> None:
        self._is_text = form == "text"
        self._code = 0
        self._document: dict[str, Any] = {"streams": []}

    def add(self, found: list["Found"], text: str, key: str, values: Any) -> None:
        """One result; under `key` there is a list, or with `values` of a list that list."""
        from iris_exporter.check import diagnosis

        _show("", "")
        self._code = max(self._code, diagnosis.exit_code(found))
        if self._is_text:
            stdout.write(logs.redact(text) + "\n")
        elif isinstance(values, list):
            self._document[key] = values
        else:
            self._document.setdefault(key, []).append(values)

    def close(self) -> int:
        """Write what is left, and return the exit code."""
        if not self._is_text:
            stdout.write(logs.redact(json.dumps(self._document, indent=2)) + "\n")
        return self._code


async def _check(streams: tuple[StreamSettings, ...], wait: float | None, output: _Output) -> None:
    from iris_exporter.check import diagnosis, report
    from iris_exporter.check.probes import examine

    for settings in streams:
        seen = await examine(settings, wait, SystemClock(), partial(_show, settings.name))
        found = diagnosis.diagnose(seen, settings)
        output.add(found, report.as_text(seen, found, settings), "streams", report.as_values(seen, found, settings))


async def _ask_prometheus(url: str, streams: tuple[StreamSettings, ...], output: _Output) -> None:
    from iris_exporter.check import report
    from iris_exporter.check.prometheus import examine_prometheus

    _show("prometheus", "asking")
    found = await examine_prometheus(url, [settings.name for settings in streams])
    output.add(found, report.findings_as_text("prometheus", found), "prometheus", report.findings_as_values(found))


async def _ask_otlp(settings: OtelSettings, wanted: bool, output: _Output) -> None:
    from iris_exporter.check import report
    from iris_exporter.check.otlp import examine_otlp, variable_findings

    if found := variable_findings(settings, wanted=wanted):
        output.add(
            found, report.findings_as_text("otlp variables", found), "otlp_variables", report.findings_as_values(found)
        )
    for service in await examine_otlp(settings, SystemClock(), partial(_show, "otlp")):
        output.add(service.found, report.service_as_text(service), "otlp", report.service_as_values(service))


async def _ask_grafana(url: str, grafana: "Grafana", ca_file: Path | None, output: _Output) -> None:
    from iris_exporter.check import report
    from iris_exporter.check.grafana import examine_grafana

    direct = proxy_for(url, os.environ) is None
    service = await examine_grafana(
        url, grafana, ca_file, direct=direct, clock=SystemClock(), progress=partial(_show, "grafana")
    )
    output.add(service.found, report.service_as_text(service), "grafana", report.service_as_values(service))


def _show(stream: str, what: str) -> None:
    """Show what happens now on a terminal; an empty text removes the line."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{logs.redact(f'{stream}: {what}' if what else '')}")
        sys.stderr.flush()
