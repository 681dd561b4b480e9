"""The command `iris-exporter config`: what helps to write a configuration."""

import argparse
import sys

from iris_exporter.commands.arguments import Parser
from iris_exporter.config.example import example


def add_arguments(parser: Parser) -> None:
    """Declare the one command below."""
    parser.example += " example > iris-exporter.yaml"
    commands = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    commands.add_parser(
        "example", help="print a file with every option, its help and its default",
        description="Print a configuration file with every option, its help and its default. It can be used as it is, "
        "with the address of your stream.",
    )  # fmt: skip


def run(_arguments: argparse.Namespace) -> int:
    """Print the file; 0."""
    sys.stdout.write(example())
    return 0
