"""The options by which commands are told of a mapping, and the mapping that is meant."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from iris_exporter.commands.arguments import ArgumentsError, Parser
from iris_exporter.config.mappings import Found, read_config
from iris_exporter.core.suggestions import did_you_mean
from iris_exporter.errors import ConfigError

if TYPE_CHECKING:
    from iris_exporter.mapping.spec import Mapping


def add_mapping(parser: Parser, help_of_file: str = "file with mappings:") -> None:
    """Declare one mapping, and the file that it may be in."""
    parser.add_argument(
        "--mapping", metavar="NAME", help="the mapping: a preset, or one of --config.file (default: its only one)"
    )
    add_file(parser, help_of_file)


def add_mappings(parser: Parser) -> None:
    """Declare any number of mappings, and the file that they may be in."""
    parser.add_argument(
        "--mapping", action="append", default=[], metavar="NAME",
        help="also one for this mapping, a preset or one of --config.file; repeat the flag for several",
    )  # fmt: skip
    add_file(parser, "file with mappings:")


def add_file(parser: Parser, text: str) -> None:
    """Declare the file alone."""
    parser.add_argument("--config.file", dest="config_file", type=Path, metavar="FILE", help=text)


def read_mappings(file: Path | None) -> Found:
    """The mappings of a file; what is doubtful is printed. Raises ConfigError."""
    if file is None:
        return Found()
    read = read_config(file)
    if read.problems:
        raise ConfigError(read.problems)
    for warning in read.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    return read


def chosen_mapping(name: str | None, read: Found) -> "Mapping":
    """The mapping of a name, or the only one. Raises ArgumentsError and UsageError."""
    from iris_exporter.mapping import presets

    known = read.by_name
    if name is None:
        if len(known) == 1:
            return next(iter(known.values()))
        names = f"one of {', '.join(known)}" if known else "a preset (see --list), or one of --config.file"
        raise ArgumentsError(f"--mapping: give {names}")
    if name in known:
        return known[name]
    if name in presets.names():
        return presets.load(name)
    where = "among the presets and in --config.file" if known else "among the presets, and no --config.file has others"
    raise ArgumentsError(f"--mapping: there is no {name!r} {where}{did_you_mean(name, [*known, *presets.names()])}")
