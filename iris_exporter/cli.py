"""The command line: arguments and environment in, an exit code out.

Exit codes: 0 done, 1 something failed, 2 bad configuration or bad arguments, 130 interrupted. An operator never sees
a traceback except at log level debug. A command's module is imported when it runs, and imports late what is heavy, so
that `--help`, `--version` and `--config.check` answer at once.
"""

import io
import itertools
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from iris_exporter import logs
from iris_exporter.commands import COMMANDS, DEFAULT
from iris_exporter.commands.arguments import PROGRAM, ArgumentsError, Parser, short
from iris_exporter.commands.checks import environment_problems
from iris_exporter.core.suggestions import did_you_mean
from iris_exporter.core.visible_text import REPLACEMENT, UNSEEN
from iris_exporter.errors import ConfigError, IrisExporterError
from iris_exporter.process import standard_streams

_OK, _FAILED, _USAGE, _INTERRUPTED = 0, 1, 2, 130


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
        standard_streams.stdout.flush()
        standard_streams.stderr.flush()


def _report(arguments: list[str]) -> int:
    debug = _wants_tracebacks(arguments, os.environ)
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        standard_streams.discard_output()
        return _FAILED
    except ArgumentsError as error:
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


def _dispatch(arguments: list[str]) -> int:
    try:
        code = _run(arguments)
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


def _run(arguments: list[str]) -> int:
    name = arguments.pop(0) if arguments and not arguments[0].startswith("-") else DEFAULT
    if "://" in name:  # not repeated, since there may be a password in it
        raise ArgumentsError("an address is not a command (did you mean --stream.url=ADDRESS?)")
    if name not in COMMANDS:
        raise ArgumentsError(f"unknown command {short(name)}{did_you_mean(name, COMMANDS)}")
    # `serve` imports late what these break, and reports them with all other problems.
    if name != DEFAULT and (problems := environment_problems(os.environ)):
        raise ConfigError(problems)
    code: int = _module(name).run(parser_for(name).parse(arguments))
    return code


def parser_for(command: str) -> Parser:
    """Return the parser of one of `COMMANDS`."""
    text = COMMANDS[command]
    parser = Parser(prog=f"{PROGRAM} {command}", description=f"{text[:1].upper()}{text[1:]}.")
    _module(command).add_arguments(parser)
    return parser


def _module(command: str) -> Any:
    return import_module(f"iris_exporter.commands.{command}")


def _wants_tracebacks(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Look for the debug level before anything has been parsed, so that parsing itself may fail."""
    return (
        "--log.level=debug" in arguments
        or ("--log.level", "debug") in itertools.pairwise(arguments)
        or environment.get("IRIS_EXPORTER_LOG_LEVEL", "").rstrip("\r\n") == "debug"
    )


def _complain(*lines: str) -> None:
    """Write to stderr, without the secrets that have been read so far, and without what steers a terminal."""
    text = UNSEEN.sub(REPLACEMENT, logs.redact("\n".join(line.rstrip("\n") for line in lines)))
    standard_streams.stderr.flush()
    with suppress(OSError):  # there is no other place for it
        sys.stderr.write(f"{PROGRAM}: {text}\n")
