"""`iris-exporter map`: what a mapping makes of a sample or of a real source, its tests, presets and their schema."""

import argparse
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from iris_exporter import logs
from iris_exporter.commands.arguments import ArgumentsError, Parser, reads
from iris_exporter.commands.mappings import add_mapping, chosen_mapping, read_mappings
from iris_exporter.config import values
from iris_exporter.config.mappings import mapping_of_stream
from iris_exporter.core.suggestions import did_you_mean
from iris_exporter.errors import UsageError

if TYPE_CHECKING:
    from iris_exporter.mapping.spec import Mapping
    from iris_exporter.trial.running import Result
    from iris_exporter.trial.samples import Arrival

_STDIN = "-"


def add_arguments(parser: Parser) -> None:
    """Declare what can be asked."""
    parser.example += " --try sample.ndjson --mapping wikimedia"
    parser.epilog = "Exit codes: 0 all well, 1 problems or nothing matched, 2 a mapping that cannot be used."
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument(
        "--try", dest="sample", metavar="SAMPLE",
        help="print what a mapping makes of this file (- is stdin): event streams, JSON, a message in each line",
    )  # fmt: skip
    actions.add_argument("--test", action="store_true", help="run the tests: of mappings, as promtool does for rules")
    actions.add_argument(
        "--suggest", metavar="SAMPLE", help="print a first mapping for this file (- is standard input)"
    )
    actions.add_argument("--list", action="store_true", help="list the presets, and what each is for")
    actions.add_argument("--show", metavar="PRESET", help="print a preset, as YAML to start from")
    actions.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of the section mappings:, for editors"
    )
    add_mapping(parser, "file with mappings:, and streams:")
    parser.add_argument(
        "--stream", metavar="NAME",
        help="a stream of --config.file: its mapping; without --try, listen to its source for --seconds",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=reads(values.number(1, 86_400)), metavar="NUMBER", help="how long to listen (default: 20)"
    )
    parser.add_argument(
        "--save", type=Path, metavar="DIR",
        help="also write what was heard, with its values replaced, as a sample for a test",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked.

    Raises:
        ArgumentsError: Nothing is asked, what does not belong together, or a preset, mapping or stream that is none.
        ConfigError: The mapping, or the configuration, cannot be used.
        UsageError: A file cannot be read or written, or has nothing in it.
    """
    logs.setup("error", "logfmt")
    if arguments.list:
        return _print(_list())
    if arguments.show is not None:
        return _print(_show(arguments.show))
    if arguments.schema:
        from iris_exporter.mapping.schema import schema

        return _print(json.dumps(schema(), indent=2) + "\n")
    if arguments.suggest is not None:
        return _print(_suggest(arguments.suggest))
    if arguments.test:
        return _test(arguments)
    if arguments.sample is not None:
        return _try(arguments)
    if arguments.stream is not None:
        return _listen(arguments)
    raise ArgumentsError("give one of --try, --test, --suggest, --list, --show, --schema, or --stream to listen to it")


def _print(text: str) -> int:
    sys.stdout.write(text)
    return 0


# Presets


def _list() -> str:
    from iris_exporter.mapping import presets

    width = max(map(len, presets.names()))
    return "".join(f"{name:<{width}}  {presets.summary(name)}\n" for name in presets.names())


def _show(name: str) -> str:
    from iris_exporter.mapping import presets

    if name not in presets.names():
        hint = did_you_mean(name, presets.names())
        raise ArgumentsError(f"--show: there is no preset of this name{hint}; --list has them")
    return presets.text(name)


# Samples


def _content(name: str) -> bytes:
    from iris_exporter.trial.testing import bounded, read_file

    return bounded(sys.stdin.buffer, "standard input") if name == _STDIN else read_file(Path(name))


def _try(arguments: argparse.Namespace) -> int:
    from iris_exporter.trial.testing import read_arrivals, try_arrivals

    read = read_mappings(arguments.config_file)
    name = arguments.mapping or _mapping_of_stream(arguments)
    mapping = chosen_mapping(name, read)
    recording = read_arrivals(mapping, _content(arguments.sample))
    result = try_arrivals(mapping, recording, time.time(), arguments.stream or "sample")
    if arguments.save is not None:
        _save(arguments.save, mapping, recording.arrivals)
    return _report(result)


def _report(result: "Result") -> int:
    from iris_exporter.trial.report import report

    sys.stdout.write(logs.redact(report(result)))  # a real source may say a secret back
    return 0 if result.is_clean else 1


def _mapping_of_stream(arguments: argparse.Namespace) -> str | None:
    """The name of the mapping that a stream of the file has; None without a stream."""
    if arguments.stream is None:
        return None
    name = mapping_of_stream(_file_of_stream(arguments), arguments.stream)
    if name is None:
        raise ArgumentsError(f"--stream: {arguments.config_file} has no stream {arguments.stream!r} with a mapping")
    return name


def _file_of_stream(arguments: argparse.Namespace) -> Path:
    if arguments.config_file is None:
        raise ArgumentsError("--stream is a stream of --config.file, which is not given")
    file: Path = arguments.config_file
    return file


def _suggest(name: str) -> str:
    from iris_exporter.trial.samples import read_sample
    from iris_exporter.trial.suggest import suggest

    recording = read_sample(_content(name), names_events=True, lines=False)
    if not recording.arrivals:
        raise UsageError(f"--suggest: there is no message in {'standard input' if name == _STDIN else name}")
    return suggest("source" if name == _STDIN else Path(name).stem, recording.arrivals, form=recording.form)


# Tests


def _test(arguments: argparse.Namespace) -> int:
    from iris_exporter.trial.testing import run_test

    read = read_mappings(arguments.config_file)
    chosen = [chosen_mapping(arguments.mapping, read)] if arguments.mapping is not None else list(read.by_name.values())
    tests = [(mapping, test) for mapping in chosen for test in mapping.tests]
    if not tests:
        raise ArgumentsError("--test: no mapping has tests: (give --config.file with one that has)")
    failed = 0
    for mapping, test in tests:
        differences = run_test(mapping, test, time.time())
        failed += bool(differences)
        sys.stdout.write(f"{'FAILED' if differences else 'ok':<6}  {mapping.name}: {test.sample}\n")
        sys.stdout.writelines(f"  {line}\n" for line in differences)
    sys.stdout.write(f"{len(tests) - failed} of {len(tests)} tests passed\n")
    return 1 if failed else 0


# A real source


def _listen(arguments: argparse.Namespace) -> int:
    import asyncio
    import os

    from iris_exporter import config
    from iris_exporter.clock import SystemClock
    from iris_exporter.commands.checks import FILE_CHECKS
    from iris_exporter.trial.listening import listen

    settings = config.load({"config.file": str(_file_of_stream(arguments))}, os.environ, FILE_CHECKS)
    stream = next((each for each in settings.streams if each.name == arguments.stream), None)
    if stream is None:
        hint = did_you_mean(arguments.stream, [each.name for each in settings.streams])
        raise ArgumentsError(f"--stream: there is no stream of this name{hint}")
    if stream.mapped is None:
        raise ArgumentsError("--stream: this stream is of IRIS, and has no mapping: iris-exporter check tries it")
    heard = asyncio.run(listen(stream, stream.mapped, arguments.seconds or 20.0, SystemClock()))
    if arguments.save is not None:
        _save(arguments.save, stream.mapped, heard.arrivals)
    code = _report(heard.result)
    for line in heard.trouble:
        sys.stdout.write(f"# {logs.redact(line)}\n")
    return 1 if heard.trouble else code


def _save(directory: Path, mapping: "Mapping", arrivals: "Iterable[Arrival]") -> None:
    from iris_exporter.trial.saving import save

    path = save(directory, mapping, arrivals)
    sys.stderr.write(f"wrote {path}\n")
