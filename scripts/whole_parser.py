"""The program's whole command line as one parser, for what is generated from it.

The program itself makes the parser of one command alone, so that it starts quickly.
"""

from collections.abc import Iterator
from importlib import import_module

from iris_exporter import cli
from iris_exporter.commands import COMMANDS, DEFAULT
from iris_exporter.commands.arguments import PROGRAM, Parser


def whole_parser() -> Parser:
    """Return the parser of the default command, with all commands below it."""
    root = cli.parser_for(DEFAULT)
    commands = root.add_subparsers(metavar="COMMAND")
    for name, text in COMMANDS.items():
        description = f"{text[:1].upper()}{text[1:]}."
        command = commands.add_parser(name, prog=f"{PROGRAM} {name}", help=text, description=description)
        import_module(f"iris_exporter.commands.{name}").add_arguments(command)
    return root


def parsers(root: Parser) -> Iterator[Parser]:
    """A parser, and all parsers of commands below it."""
    yield root
    for command in root.commands.values():
        yield from parsers(command)
