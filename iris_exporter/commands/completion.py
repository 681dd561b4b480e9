"""The command `iris-exporter completion`: print what makes a shell complete our commands and flags."""

import argparse
import sys
from importlib import resources

from iris_exporter.commands.arguments import Parser

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: Parser) -> None:
    """Declare the one argument."""
    parser.example += " bash > ~/.local/share/bash-completion/completions/iris-exporter"
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"one of {', '.join(SHELLS)}")
    parser.epilog = (
        "where it belongs, for one user:\n"
        "  bash  ~/.local/share/bash-completion/completions/iris-exporter (needs the package bash-completion)\n"
        "  zsh   a directory of $fpath, as _iris-exporter\n"
        "  fish  ~/.config/fish/completions/iris-exporter.fish"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the file that scripts/generate_completion.py has made for this shell; 0."""
    directory = resources.files("iris_exporter.commands") / "completions"
    sys.stdout.write((directory / f"iris-exporter.{arguments.shell}").read_text("utf-8"))
    return 0
