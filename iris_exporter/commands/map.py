"""`iris-exporter map`: mappings of sources that are not IRIS: which presets there are, and what they say."""

import argparse
import json
import sys

from iris_exporter import logs
from iris_exporter.commands.arguments import Parser
from iris_exporter.config.reader import did_you_mean
from iris_exporter.errors import UsageError


def add_arguments(parser: Parser) -> None:
    """Declare what can be asked."""
    parser.example += " --show wikimedia"
    actions = parser.add_mutually_exclusive_group(required=True)
    actions.add_argument("--list", action="store_true", help="list the presets, and what each is for")
    actions.add_argument("--show", metavar="PRESET", help="print a preset, as YAML to start from")
    actions.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of the section mappings:, for editors"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print what is asked.

    Raises:
        UsageError: There is no such preset.
    """
    logs.setup("error", "logfmt")
    if arguments.list:
        text = _list()
    elif arguments.show is not None:
        text = _show(arguments.show)
    else:
        from iris_exporter.mapping.schema import schema

        text = json.dumps(schema(), indent=2) + "\n"
    sys.stdout.write(text)
    return 0


def _list() -> str:
    from iris_exporter.mapping import presets

    width = max(map(len, presets.names()))
    return "".join(f"{name:<{width}}  {presets.summary(name)}\n" for name in presets.names())


def _show(name: str) -> str:
    from iris_exporter.mapping import presets

    if name not in presets.names():
        raise UsageError(f"--show: there is no preset of this name{did_you_mean(name, presets.names())}; see --list")
    return presets.text(name)
