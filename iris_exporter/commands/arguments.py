"""Parsing of arguments, the same for all commands: help of a fixed width, values by the types of options."""

import argparse
import re
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from typing_extensions import override

from iris_exporter.config.values import BadValueError, ValueType
from iris_exporter.core.suggestions import did_you_mean
from iris_exporter.version import version_info

PROGRAM = "iris-exporter"
_WIDTH, _HELP_WIDTH = 120, 88
_PLAIN_FLAG = re.compile(r"--?[a-z]+([._-][a-z]+)*|-[A-Za-z0-9]")


class ArgumentsError(Exception):
    """Arguments that make no sense; the text is one line."""


class Parser(argparse.ArgumentParser):
    """A parser that raises `ArgumentsError`, knows no abbreviations, and answers `--help` and `--version`.

    `--help` shows what most people need, `--help-all` everything. `uncommon` are the flags that only the latter shows,
    `details` is its last part, and `example` is a command line for the former.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "formatter_class": _Formatter, "allow_abbrev": False, "add_help": False})
        self.uncommon: frozenset[str] = frozenset()
        self.example = self.prog
        self.details = ""
        general = self.add_argument_group("General")
        general.add_argument("-h", "--help", action=_Help, help="show the options that most people need, and stop")
        general.add_argument("--help-all", action=_Help, help="show all options and stop")
        version = str(version_info())
        general.add_argument("--version", action="version", version=version, help="show the version and stop")

    def help_of(self, *, everything: bool) -> str:
        """Return the help, short or with all there is."""
        shown = [each for each in self._actions if everything or not self.uncommon.intersection(each.option_strings)]
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, shown, [])
        formatter.add_text(self.description)
        for group in self._action_groups:
            formatter.start_section(group.title)
            formatter.add_text(group.description)
            formatter.add_arguments([action for action in group._group_actions if action in shown])  # noqa: SLF001
            formatter.end_section()
        formatter.add_text(self.epilog)
        if everything:
            formatter.add_text(self.details)
        else:
            formatter.add_text(f"example:\n  {self.example}")
        return formatter.format_help()

    def format_help(self) -> str:
        """Everything: what is asked by argparse itself, and by programs that make documents."""
        return self.help_of(everything=True)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise ArgumentsError(message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse an unknown word; of a command with the nearest one, whose name every version of Python shows."""
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
                raise ArgumentsError(f"unknown command {short(value)}{did_you_mean(value, known)}")
            raise argparse.ArgumentError(action, f"got {value!r}, expected one of {', '.join(known)}")

    def parse(self, arguments: list[str]) -> argparse.Namespace:
        """Return the arguments.

        Raises:
            ArgumentsError: Some make no sense. Only names are repeated: what follows an unknown flag may be the key
                that somebody wanted to give.
        """
        known = self._flags_for(arguments)
        try:
            parsed, unknown = self.parse_known_args(arguments)
        except ArgumentsError:
            # What is missing may be there with a slip of the fingers, which says more.
            unknown = [word for word in arguments if word.startswith("--") and word.partition("=")[0] not in known]
            if not unknown:
                raise
        if not unknown:
            return parsed
        flags = _flags(unknown)
        if not flags:
            raise ArgumentsError("there is an argument that belongs to no flag")
        raise ArgumentsError("; ".join(f"unknown flag {_shown(flag, known)}" for flag in flags))

    def _flags_for(self, arguments: list[str]) -> list[str]:
        """The flags of this parser and of the command below it that is called."""
        found = [flag for action in self.actions for flag in action.option_strings]
        called = next((word for word in arguments if word in self.commands), None)
        return found if called is None else [*found, *self.commands[called]._flags_for(arguments)]  # noqa: SLF001

    @property
    def actions(self) -> Sequence[argparse.Action]:
        """Everything that this parser takes, in order."""
        return self._actions

    @property
    def commands(self) -> Mapping[str, "Parser"]:
        """The parsers of commands below, by name."""
        below = (action for action in self._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
        return next((action.choices for action in below), {})


class _Help(argparse.Action):
    """The action of `--help` and `--help-all`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "dest": argparse.SUPPRESS, "default": argparse.SUPPRESS, "nargs": 0})

    @override
    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option_string: str | None = None
    ) -> NoReturn:
        if isinstance(parser, Parser):
            sys.stdout.write(parser.help_of(everything=option_string == "--help-all"))
        parser.exit()


def _flags(unknown: list[str]) -> list[str]:
    """The names of flags among arguments that nobody knows.

    What stands behind a flag may be its value, and a key may begin with a dash: only what reads like a flag is shown.
    """
    found, may_be_value = [], False
    for argument in unknown:
        flag, equals, _ = argument.partition("=")
        if flag.startswith("-") and (not may_be_value or _PLAIN_FLAG.fullmatch(flag)):
            found.append(flag)
        may_be_value = flag.startswith("-") and not equals
    return found


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """The help is the same on every terminal, and in the golden file. Lines of a help text stay lines."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=24, width=_WIDTH)

    def _split_lines(self, text: str, _width: int) -> list[str]:
        lines = text.splitlines()
        return [part for line in lines for part in textwrap.wrap(line, _HELP_WIDTH, break_on_hyphens=False)]


def _shown(flag: str, known: Sequence[str]) -> str:
    """An unknown flag and the nearest one. `-pSECRET` is a flag with its value, so what is no word is cut."""
    hint = did_you_mean(flag, known)
    return short(flag if hint or _PLAIN_FLAG.fullmatch(flag) else f"{flag[:2]}...") + hint


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
