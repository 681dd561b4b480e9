"""The command line: arguments and environment in, an exit code out.

Exit codes: 0 done, 1 something failed, 2 bad configuration or bad arguments, 130 interrupted. An operator never sees
a traceback except at log level debug. What a command needs is imported when it runs, so that `--help`, `--version`
and `--config.check` answer at once.
"""

import argparse
import io
import itertools
import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from iris_exporter import config, logs
from iris_exporter.commands.file_checks import FILE_CHECKS
from iris_exporter.config.options import GROUPS
from iris_exporter.errors import ConfigError, IrisExporterError, Problem
from iris_exporter.otel.environment import read_otel
from iris_exporter.otel.settings import OtelSettings
from iris_exporter.process import standard_streams
from iris_exporter.settings import Settings
from iris_exporter.version import version_info

PROGRAM = "iris-exporter"
COMMANDS: dict[str, str] = {
    "serve": "receive streams and serve their metrics (the default)",
    "demo": "run the reference backend and the exporter together, with nothing to set up",
    "backend": "run the reference IRIS backend",
    "dashboards": "write the Grafana dashboards to files, or push them into a Grafana",
}

_OK, _FAILED, _USAGE, _INTERRUPTED = 0, 1, 2, 130
_DESCRIPTION = "Gives Prometheus and OpenTelemetry what an IRIS backend streams, over WebSocket, SSE or REST."


class _UsageExit(Exception):  # noqa: N818 (not an error: the way out of argparse)
    """Arguments that make no sense; the text is one line."""


class _Parser(argparse.ArgumentParser):
    """A parser that reports in one line and leaves the exit to `main`."""

    def error(self, message: str) -> NoReturn:
        raise _UsageExit(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code.

    Args:
        argv: Arguments without the program's name; None takes those of the process.
    """
    standard_streams.open_missing()
    arguments = list(sys.argv[1:] if argv is None else argv)
    _write_anything()
    try:
        return _report(arguments)
    finally:
        standard_streams.flush()
        logs.flush()


def _report(arguments: list[str]) -> int:
    debug = _wants_tracebacks(arguments, os.environ)
    try:
        return _dispatch(arguments, os.environ)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        standard_streams.discard_output()
        return _FAILED
    except _UsageExit as error:
        _complain(f"{error}; see {PROGRAM} --help")
        return _USAGE
    except ConfigError as error:
        _complain("the configuration cannot be used:", *(f"  {problem}" for problem in error.problems))
        return _USAGE
    except IrisExporterError as error:
        _complain(str(error))
        return _FAILED
    except Exception as error:  # noqa: BLE001 (the last resort: one line in place of a traceback)
        _complain(f"unexpected {type(error).__name__}: {error}")
        _complain(*traceback.format_exception(error)) if debug else _complain("--log.level=debug shows the traceback")
        return _FAILED


def _write_anything() -> None:
    """Let what a locale cannot write be escaped: a path or a diff is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _dispatch(arguments: list[str], environment: Mapping[str, str]) -> int:
    try:
        code = _run(arguments, environment)
    except SystemExit as leave:  # argparse after --help and --version
        code = leave.code if isinstance(leave.code, int) else _OK
    # Here and not at the interpreter's end, where a reader that has left would cause a traceback.
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        standard_streams.discard_output()
        raise IrisExporterError(f"cannot write to standard output: {error.strerror}") from error
    return code


def _run(arguments: list[str], environment: Mapping[str, str]) -> int:
    command = "serve"
    if arguments and not arguments[0].startswith("-"):
        command = arguments.pop(0)
    if command == "serve":
        return _serve(arguments, environment)
    if problems := _environment_problems(environment):
        raise ConfigError(problems)
    if command == "backend":
        from iris_exporter.commands import backend

        return _mounted(command, arguments, backend.add_arguments, backend.run)
    if command == "demo":
        from iris_exporter.commands import demo

        return _mounted(command, arguments, demo.add_arguments, demo.run)
    if command == "dashboards":
        from iris_exporter.commands import dashboards

        return _mounted(command, arguments, dashboards.add_arguments, dashboards.run)
    raise _UsageExit(f"unknown command {_short(command)}{config.did_you_mean(command, COMMANDS)}")


def _serve(arguments: list[str], environment: Mapping[str, str]) -> int:
    parsed = vars(_parse(serve_parser(), arguments))
    flags = {option.key: parsed[option.key] for option in config.OPTIONS}

    def load() -> Settings:
        return config.load(flags, environment, FILE_CHECKS)

    settings, otel = _together(load, lambda: read_otel(environment))
    if _checks_only(flags, environment):
        if otel.ignored:
            _complain("these values are ignored:", *(f"  {problem}" for problem in otel.ignored))
        count = len(settings.streams)
        names = ", ".join(stream.name for stream in settings.streams)
        found = "; more may be discovered" if settings.discovery.is_on else ""
        listed = f" ({names})" if names else ""
        plural = "stream" if count == 1 else "streams"
        sys.stdout.write(f"configuration is valid: {count} {plural}{listed}{found}\n")
        return _OK
    logs.setup(settings.log_level, settings.log_format)
    from iris_exporter.commands import serve

    return serve.run(settings, reload=load, otel=otel)


def _together(load: Callable[[], Settings], read: Callable[[], OtelSettings]) -> tuple[Settings, OtelSettings]:
    """Load our own configuration and that of OpenTelemetry, and complain about both at once."""
    problems = _environment_problems(os.environ)
    settings = otel = None
    try:
        settings = load()
    except ConfigError as error:
        problems += error.problems
    try:
        otel = read()
    except ConfigError as error:
        problems += error.problems
    if settings is None or otel is None or problems:
        raise ConfigError(problems)
    return settings, otel


def _environment_problems(environment: Mapping[str, str]) -> list[Problem]:
    """What is wrong with variables that libraries read: they would fail later, and far from the cause.

    SSLKEYLOGFILE is opened with each TLS context, the first of which the HTTP client makes when it is imported.
    """
    path = environment.get("SSLKEYLOGFILE")
    if not path:
        return []
    try:
        with Path(path).open("ab"):
            return []
    except OSError as error:
        return [Problem("environment", "SSLKEYLOGFILE", repr(path), f"a file that can be written ({error.strerror})")]


def _checks_only(flags: Mapping[str, object], environment: Mapping[str, str]) -> bool:
    given = flags["config.check"] or environment.get(config.BY_KEY["config.check"].variable, "")
    return str(given).rstrip("\r\n") == "true"  # as the reader of options does


def _mounted(
    command: str,
    arguments: list[str],
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], int],
) -> int:
    """Run a command that brings its own arguments."""
    parser = _Parser(
        prog=f"{PROGRAM} {command}",
        description=f"{COMMANDS[command][:1].upper()}{COMMANDS[command][1:]}.",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    parsed = _parse(parser, arguments)
    logs.setup(*_log_options(parsed))
    return run(parsed)


def _log_options(parsed: argparse.Namespace) -> tuple[str, str]:
    """Return level and format where the command has such arguments, whatever their attributes are called."""
    values = {name.replace(".", "_"): value for name, value in vars(parsed).items()}
    level, log_format = values.get("log_level"), values.get("log_format")
    return level if level in logs.LEVELS else "info", log_format if log_format in logs.FORMATS else "logfmt"


def serve_parser() -> argparse.ArgumentParser:
    """Return the parser of `serve`: one flag for each option, None where it is not given."""
    commands = "\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items())
    parser = _Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [serve] --stream.url=URL [flags]\n       {PROGRAM} COMMAND [--help]",
        description=f"{_DESCRIPTION}\n\ncommands:\n{commands}",
        epilog="Each flag is also a variable, shown as $NAME, and a key of the YAML file: --stream.url is url: below\n"
        "stream:. A flag goes before a variable, a variable before the file, the file before the default.",
        formatter_class=_formatter,
        allow_abbrev=False,
        add_help=False,
    )
    general = parser.add_argument_group("General")
    general.add_argument("-h", "--help", action="help", help="show this help and stop")
    general.add_argument("--version", action="version", version=str(version_info()), help="show the version and stop")
    for group, title in GROUPS.items():
        section = parser.add_argument_group(title)
        for option in config.OPTIONS:
            if option.group == group:
                _add_flag(section, option)
    return parser


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Return a formatter of fixed width: the help is the same on every terminal, and in the golden file."""
    return argparse.RawTextHelpFormatter(prog, max_help_position=24, width=120)


def _add_flag(section: "argparse._ArgumentGroup", option: config.Option) -> None:
    default = f"default: {option.default}" if option.default else "not set by default"
    text = textwrap.fill(f"{option.help} ({default})", 88, break_on_hyphens=False)
    text = f"{text}\n${option.variable}".replace("%", "%%")
    if option.type.switch:
        section.add_argument(
            option.flag, dest=option.key, nargs="?", const="true", metavar=option.type.metavar, help=text
        )
    elif option.type.many:
        section.add_argument(option.flag, dest=option.key, action="append", metavar=option.type.metavar, help=text)
    else:
        section.add_argument(option.flag, dest=option.key, metavar=option.type.metavar, help=text)


def _parse(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        # Only names are repeated: what follows an unknown flag may be the key that somebody wanted to give.
        flags = [argument.partition("=")[0] for argument in unknown if argument.startswith("-")]
        if not flags:
            raise _UsageExit("there is an argument that belongs to no flag")
        known = [flag for action in parser._actions for flag in action.option_strings]  # noqa: SLF001 (no other way)
        raise _UsageExit("; ".join(f"unknown flag {_short(flag)}{config.did_you_mean(flag, known)}" for flag in flags))
    return parsed


def _short(text: str) -> str:
    return text if text.isprintable() and len(text) <= 60 else repr(text[:60])


def _wants_tracebacks(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Look for the debug level before anything has been parsed, so that parsing itself may fail."""
    return (
        "--log.level=debug" in arguments
        or ("--log.level", "debug") in itertools.pairwise(arguments)
        or environment.get("IRIS_EXPORTER_LOG_LEVEL", "").rstrip("\r\n") == "debug"
    )


def _complain(*lines: str) -> None:
    """Write to stderr, without the secrets that have been read so far."""
    text = logs.redact("\n".join(line.rstrip("\n") for line in lines))
    logs.flush()
    with suppress(OSError):  # there is no other place for it
        sys.stderr.write(f"{PROGRAM}: {text}\n")
