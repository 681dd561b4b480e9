"""Parsing of arguments, the same for all commands: help of a fixed width, values by the types of options."""

import argparse
import textwrap
from collections.abc import Callable
from typing import Any, NoReturn

from iris_exporter.config.reader import did_you_mean
from iris_exporter.config.values import BadValueError, ValueType
from iris_exporter.version import version_info

PROGRAM = "iris-exporter"
_WIDTH, _HELP_WIDTH = 120, 88


class ArgumentsError(Exception):
    """Arguments that make no sense; the text is one line."""


class Parser(argparse.ArgumentParser):
    """A parser that raises `ArgumentsError`, knows no abbreviations, and answers `--help` and `--version`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "formatter_class": _Formatter, "allow_abbrev": False, "add_help": False})
        general = self.add_argument_group("General")
        general.add_argument("-h", "--help", action="help", help="show this help and stop")
        version = str(version_info())
        general.add_argument("--version", action="version", version=version, help="show the version and stop")

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise ArgumentsError(message)

    def parse(self, arguments: list[str]) -> argparse.Namespace:
        """Return the arguments.

        Raises:
            ArgumentsError: Some make no sense. Only names are repeated: what follows an unknown flag may be the key
                that somebody wanted to give.
        """
        parsed, unknown = self.parse_known_args(arguments)
        if not unknown:
            return parsed
        flags = [argument.partition("=")[0] for argument in unknown if argument.startswith("-")]
        if not flags:
            raise ArgumentsError("there is an argument that belongs to no flag")
        known = [flag for action in self._actions for flag in action.option_strings]
        raise ArgumentsError("; ".join(f"unknown flag {short(flag)}{did_you_mean(flag, known)}" for flag in flags))


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """The help is the same on every terminal, and in the golden file. Lines of a help text stay lines."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=24, width=_WIDTH)

    def _split_lines(self, text: str, _width: int) -> list[str]:
        lines = text.splitlines()
        return [part for line in lines for part in textwrap.wrap(line, _HELP_WIDTH, break_on_hyphens=False)]


def reads(value_type: ValueType) -> Callable[[str], Any]:
    """The `type` of an argument that is read as an option is."""

    def read(text: str) -> Any:
        try:
            return value_type.read(text)
        except BadValueError as error:
            shown = error.shown or value_type.show(text)
            raise argparse.ArgumentTypeError(f"got {shown}, expected {error.expected}") from None

    return read


def short(text: str) -> str:
    """A word of the command line as a message may have it."""
    return text if text.isprintable() and len(text) <= 60 else repr(text[:60])
