"""Values that nobody means: each is taken, or refused in a sentence, and none ends in an error of Python's."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Coroutine
from functools import cache
from pathlib import Path

import pytest

from iris_exporter import cli, config, logs
from iris_exporter.commands import serve
from iris_exporter.commands.arguments import Parser
from iris_exporter.core.redaction import Redactor
from tests.waiting import BUSY

URLS = [
    "http://g:3000x", "http://g:99999", "http://g:-1", "http://g:80:80/", "http://h:\u0663/", "http://[::1", "http://[zz]:80/",
    "http://[::1]x:80/", "http://[v1.x]/", "http://a..b/", "http://.example/", f"http://{'a' * 64}.example/",
    f"http://{'a.' * 200}b/", "http://\u2100.com/", "http://\u00fc.example/", "http://h\0x/", "http://h/\udcff", "http://%zz/",
    "//h/", "http:h", "",
]  # fmt: skip
PATHS = ["/nonexistent/x", "~nosuchuser/x", "x" * 5000, "a/" * 3000, "a\0b", "\udcff", "/dev/null/x", "\n"]
NUMBERS = ["nan", "inf", "-1", "1e999", "9" * 5000, "\u0663", "0x10", "1_0", "99999999999999999h"]
ADDRESSES = [
    "127.0.0.1:99999",
    "[::1:80",
    "[zz]:1",
    "[:::]:1",
    "host..x:1",
    f"{'a' * 64}:1",
    "1.2.3.4:\u0663",
    ":-1",
    "-:x",
]
VALUES = [*URLS, *PATHS, *NUMBERS, *ADDRESSES]
ADD_ARGUMENTS = serve.add_arguments
OPTIONS = {option.flag: option for option in config.OPTIONS if option.flag}


@cache
def serve_parser(prog: str, description: str) -> Parser:
    """The parser of `serve`, which is the same for all values and takes longer to make than to use."""
    parser = Parser(prog=prog, description=description)
    ADD_ARGUMENTS(parser)
    return parser


@pytest.fixture(autouse=True)
def own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_redactor", Redactor())


@pytest.fixture(autouse=True)
def one_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(prog: str, description: str) -> Parser:
        return (serve_parser if prog.endswith(" serve") else Parser)(prog=prog, description=description)

    monkeypatch.setattr(cli, "Parser", made)
    monkeypatch.setattr(serve, "add_arguments", lambda _: None)


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(coroutine: Coroutine[object, object, object]) -> None:
        coroutine.close()
        raise AssertionError("the value was taken")

    monkeypatch.setattr(asyncio, "run", run)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> bool:
    """Whether the program refuses; what it prints is a sentence of ours."""
    code = cli.main(list(arguments))
    printed = capsys.readouterr().err
    assert code in (0, 1, 2), printed
    assert "unexpected" not in printed.replace("an unexpected", ""), printed
    assert "Traceback" not in printed
    assert bool(code) == bool(printed), printed
    return code != 0


@pytest.mark.parametrize("flag", sorted(OPTIONS))
def test_an_option_of_serve_takes_a_value_or_refuses_it(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    more = [] if flag == "--stream.url" else ["--stream.url=http://one.example.com/x"]
    for value in VALUES:
        refused(capsys, f"{flag}={value}", "--config.check", *more)


@pytest.mark.parametrize("flag", ["--stream.url", "--stream.snapshot-url", "--discovery.http-url", "--live.url"])
@pytest.mark.parametrize("value", [url for url in URLS if url])
def test_an_address_that_cannot_be_asked_is_refused(flag: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    more = [] if flag == "--stream.url" else ["--stream.url=http://one.example.com/x"]
    assert refused(capsys, f"{flag}={value}", "--config.check", *more)


@pytest.mark.parametrize("value", [*ADDRESSES, ""])
def test_an_address_that_cannot_be_listened_on_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    serve = ("--stream.url=http://one.example.com/x", "--config.check")
    assert refused(capsys, f"--web.listen-address={value}", *serve)
    assert refused(capsys, "backend", f"--web.listen-address={value}")


@pytest.mark.parametrize("value", [*PATHS, "."])
def test_a_key_file_of_the_backend_that_cannot_be_read_is_refused(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, "backend", "--web.listen-address=127.0.0.1:0", f"--api-key-file={value}")


@pytest.mark.parametrize("flag", ["--rate", "--seed"])
def test_a_number_of_the_backend_that_is_none_is_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    for value in ("nan", "1e999", "x", "9" * 5000, ""):
        assert refused(capsys, "backend", "--web.listen-address=127.0.0.1:0", f"{flag}={value}")


@pytest.mark.parametrize("value", [url for url in URLS if url != "//h/"])
def test_an_address_of_dashboards_that_makes_no_sense_is_refused_by_its_option(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken")
    push = ["dashboards", "push", f"--grafana.token-file={token}"]
    for flag, *more in (
        ("--grafana.url",),
        ("--datasource=prometheus", "--grafana.url=http://127.0.0.1:9"),
        ("--action.reset-url", "--grafana.url=http://127.0.0.1:9"),
    ):
        assert cli.main([*push, *more, f"{flag}={value}"]) == 1
        assert capsys.readouterr().err.startswith(f"iris-exporter: {flag.partition('=')[0]}: ")


@pytest.mark.parametrize("value", [*PATHS, "."])
def test_a_file_of_dashboards_that_cannot_be_used_is_refused_by_its_option(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken")
    push = ["dashboards", "push", "--grafana.url=https://127.0.0.1:9"]
    assert cli.main([*push, f"--grafana.token-file={value}"]) == 1
    assert capsys.readouterr().err.startswith("iris-exporter: --grafana.token-file: ")
    assert cli.main([*push, f"--grafana.token-file={token}", f"--grafana.ca-file={value}"]) == 1
    assert capsys.readouterr().err.startswith("iris-exporter: --grafana.ca-file: ")


@pytest.mark.parametrize("value", ["a\0b", "x" * 5000, "/proc/x", "/dev/null/x"])
def test_a_directory_that_cannot_be_written_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dashboards", "export", value]) == 1
    assert capsys.readouterr().err.startswith("iris-exporter: cannot write ")


def program(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-m", "iris_exporter", *arguments],
        env=environment, capture_output=True, text=True, check=False, timeout=30 * BUSY,
    )  # fmt: skip


@pytest.mark.parametrize(
    "command", [["--stream.url=http://one.example.com/x"], ["backend"], ["demo"], ["dashboards", "export", "x"]]
)
def test_a_key_log_that_cannot_be_written_is_refused_by_the_name_of_its_variable(
    command: list[str], tmp_path: Path
) -> None:
    """Else the HTTP client ends the program when it is imported."""
    for path in (tmp_path / "nowhere" / "keys", tmp_path):
        done = program(*command, SSLKEYLOGFILE=str(path))
        assert done.returncode == 2
        assert f"environment: SSLKEYLOGFILE: got {str(path)!r}, expected a file that can be written" in done.stderr
        assert "Error" not in done.stderr


def test_what_a_locale_cannot_write_is_escaped(tmp_path: Path) -> None:
    done = program("dashboards", "export", str(tmp_path / "caf\u00e9"), PYTHONIOENCODING="ascii:strict")
    assert (done.returncode, done.stderr) == (0, "")
    assert "caf\\xe9/dashboards" in done.stdout
