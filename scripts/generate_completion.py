"""Write the completion of bash, zsh and fish from the parsers; `iris-exporter completion` prints them.

They are made here and not by the program, which would need shtab in every installation.
"""

import argparse
import re
from pathlib import Path

import shtab
from whole_parser import parsers, whole_parser

from iris_exporter.commands.completion import SHELLS

# Of `--flag=value` fish gives the whole word, where its own function for paths wants the value.
FISH_FILE = "(__fish_complete_path (string replace --regex -- '^--[^=]*=' '' (commandline -ct)))"
# Of `--flag=value` readline makes three words, and shtab knows no word that is a sign alone.
BASH = """
_iris_exporter() {
  local -a words=()
  local index current=$COMP_CWORD
  for index in "${!COMP_WORDS[@]}"; do
    if [[ ${COMP_WORDS[index]} != = ]]; then
      words+=("${COMP_WORDS[index]}")
    elif ((index == COMP_CWORD)); then
      words+=("")
    elif ((index < COMP_CWORD)); then
      ((current -= 1))
    fi
  done
  local -a COMP_WORDS=("${words[@]}")
  local COMP_CWORD=$current
  _shtab_iris_exporter "$@"
}

complete -o bashdefault -F _iris_exporter iris-exporter
"""
ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "iris_exporter" / "commands" / "completions"
FILE = {**shtab.FILE, "fish": FISH_FILE}
FILES = {"FILE": FILE, "GLOB": FILE, "DIR": shtab.DIRECTORY, "DIRECTORY": shtab.DIRECTORY}


def _complete(action: argparse.Action) -> None:
    """Say what the values of a flag are, as far as its metavar does."""
    if not isinstance(action.metavar, str):
        return
    if action.metavar in FILES:
        action.complete = FILES[action.metavar]  # type: ignore[attr-defined]
    elif "|" in action.metavar:
        action.choices = [word for word in action.metavar.split("|") if re.fullmatch("[a-z0-9-]+", word)]


def _finish(shell: str, text: str) -> str:
    """Let `--flag=value` be completed as `--flag value` is."""
    if shell == "bash":
        text = re.sub(r"^complete .*\n?", "", text, flags=re.MULTILINE) + BASH
    if shell == "zsh":
        text = re.sub(r'^( *"\*?--[\w.-]+)(\[.*\]:.*:.*")$', r"\1=\2", text, flags=re.MULTILINE)
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE).rstrip("\n") + "\n"


def main() -> None:
    """Write one file for each shell."""
    root = whole_parser()
    for parser in parsers(root):
        for action in parser.actions:
            _complete(action)
    TARGET.mkdir(exist_ok=True)
    for shell in SHELLS:
        text = _finish(shell, shtab.complete(root, shell))
        (TARGET / f"iris-exporter.{shell}").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
