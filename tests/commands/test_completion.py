"""What the shells themselves complete, with the files that `iris-exporter completion` prints."""

import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import pytest

from iris_exporter import cli
from iris_exporter.commands.completion import SHELLS
from iris_exporter.config import OPTIONS
from tests.tools import tool
from tests.waiting import BUSY

PROMPT = b"READY> "
# What is typed before the tabulator, and what the line is behind it. Each of them has one completion alone.
CASES = [
    (["--stream.snap"], ["--stream.snapshot-url"]),
    (["--log.level", "deb"], ["--log.level", "debug"]),
    (["--log.level=deb"], ["--log.level=debug"]),
    (["--stream.protocol=webs"], ["--stream.protocol=websocket"]),
    (["--config.file", "{directory}/iris-con"], ["--config.file", "{directory}/iris-config.yaml"]),
    (["--config.file={directory}/iris-con"], ["--config.file={directory}/iris-config.yaml"]),
    (["--state.dir={directory}/sta"], ["--state.dir={directory}/state/"]),
    (["dashb"], ["dashboards"]),
    (["dashboards", "ex"], ["dashboards", "export"]),
    (["dashboards", "push", "--grafana.u"], ["dashboards", "push", "--grafana.url"]),
    (["demo", "--proto"], ["demo", "--protocol"]),
    (["demo", "--protocol=webs"], ["demo", "--protocol=websocket"]),
    (["serve", "--stream.snap"], ["serve", "--stream.snapshot-url"]),
    (["completion", "fi"], ["completion", "fish"]),
    (["config", "ex"], ["config", "example"]),
]
# The program is a function that writes its arguments to a file, one a line.
_FUNCTION = "iris-exporter() { printf '%s\\n' \"$@\" > arguments.new; mv arguments.new arguments; }\n"


def printed(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "iris-config.yaml").touch()
    (tmp_path / "state").mkdir()
    return tmp_path


@pytest.mark.parametrize("shell", SHELLS)
def test_it_has_every_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(shell, capsys)
    assert [option.key for option in OPTIONS if option.key not in text] == []


def lines(directory: Path) -> list[str]:
    return [" ".join(["iris-exporter", *words]).format(directory=directory) for words, _ in CASES]


def expected(directory: Path) -> list[list[str]]:
    return [[word.format(directory=directory) for word in words] for _, words in CASES]


def typed(directory: Path, command: list[str]) -> list[list[str]]:
    """The arguments that the program gets when each line, a tabulator and a line end are typed into a shell."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(directory)
        os.execve(
            command[0], command, {"HOME": str(directory), "ZDOTDIR": str(directory), "TERM": "dumb", "LC_ALL": "C"}
        )
    found = []
    try:
        read_until(terminal, PROMPT)
        for line in lines(directory):
            os.write(terminal, f"{line}\t".encode())
            os.write(terminal, b"\n")
            read_until(terminal, PROMPT)
            found.append((directory / "arguments").read_text().splitlines())
    finally:
        os.close(terminal)  # the shell ends with it
        os.waitpid(child, 0)
    return found


def read_until(terminal: int, end: bytes) -> None:
    text, deadline = b"", time.monotonic() + 10 * BUSY
    while end not in text:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"the shell has stopped at {text!r}"
        text += os.read(terminal, 4096)


@pytest.mark.needs("bash")
def test_bash(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "completion").write_text(printed("bash", capsys))
    (directory / "rc").write_text(f"PS1='{PROMPT.decode()}'\nsource ./completion\n{_FUNCTION}")
    assert typed(directory, [tool("bash"), "--noprofile", "--rcfile", "rc", "-i"]) == expected(directory)


@pytest.mark.needs("zsh")
def test_zsh(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "functions").mkdir()
    (directory / "functions/_iris-exporter").write_text(printed("zsh", capsys))
    (directory / ".zshrc").write_text(
        "unsetopt zle_bracketed_paste\nfpath=($PWD/functions $fpath)\nautoload -Uz compinit\ncompinit -u -D\n"
        f"PS1='{PROMPT.decode()}'\n{_FUNCTION}"
    )
    found = typed(directory, [tool("zsh"), "-d", "-i"])
    # A flag that takes a value is completed with what stands between them, and a slash is taken back with the line end.
    assert [[word.removesuffix("=") for word in words] for words in found] == [
        [word.removesuffix("/") for word in words] for words in expected(directory)
    ]


@pytest.mark.needs("fish")
def test_fish(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "completion.fish").write_text(printed("fish", capsys))
    asked = "".join(f"echo = {index}; complete -C '{line}'\n" for index, line in enumerate(lines(directory)))
    result = subprocess.run(
        [tool("fish"), "--no-config"], input=f"source {directory}/completion.fish\n{asked}",
        capture_output=True, text=True, check=True,
        env={"HOME": str(directory), "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
    )  # fmt: skip
    answers = re.split(r"^= \d+\n", result.stdout, flags=re.MULTILINE)[1:]
    found = [[line.partition("\t")[0] for line in answer.splitlines()] for answer in answers]
    assert found == [words[-1:] for words in expected(directory)]
