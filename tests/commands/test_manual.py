"""The manual page, as those who read it see it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from iris_exporter import cli
from iris_exporter.commands import COMMANDS
from iris_exporter.config import OPTIONS
from tests.tools import tool

PAGE = Path(__file__).parents[2] / "iris_exporter/commands/manual/iris-exporter.1"


def shown() -> str:
    """The page of `man`, on one line."""
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANWIDTH": "100", "MAN_KEEP_FORMATTING": ""}
    result = subprocess.run(
        [tool("man"), "--warnings", "--encoding=UTF-8", "--local-file", str(PAGE)],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert result.stderr == ""
    return " ".join(result.stdout.split())


@pytest.mark.needs("man")
def test_man_shows_every_option_and_command_without_a_warning() -> None:
    text = shown()
    assert [option.flag for option in OPTIONS if f"{option.flag} " not in text] == []
    assert [option.help for option in OPTIONS if option.help not in text] == []
    assert [option.variable for option in OPTIONS if option.variable not in text] == []
    assert [name for name in COMMANDS if name != "serve" and f" {name.upper()} " not in text] == []
    for name in COMMANDS:
        flags = [flag for action in cli.parser_for(name).actions for flag in action.option_strings]
        assert [flag for flag in flags if flag not in text] == []


@pytest.mark.needs("mandoc")
def test_mandoc_finds_nothing() -> None:
    """But its opinion on long lines of the source, and that a generated page has no date."""
    result = subprocess.run([tool("mandoc"), "-Tlint", str(PAGE)], capture_output=True, text=True, check=False)
    found = [
        line for line in (result.stdout + result.stderr).splitlines() if not re.search("80 bytes|missing date", line)
    ]
    assert found == []
