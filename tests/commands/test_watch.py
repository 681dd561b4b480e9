"""`iris-exporter watch`: usage, where no screen can be shown, and no secret in what it prints."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from iris_exporter import cli, logs
from iris_exporter.commands import watch
from tests.ports import free_port


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["ws://iris.example.com/api/stream"], "this is a stream: watch it by --stream.url=URL"),
        (["ftp://somewhere"], "expected http(s)://HOST[:PORT][/PATH]"),
        (["http://user:password-of-a-test@somewhere"], "expected http(s)://HOST[:PORT][/PATH]"),
        (["http://somewhere/?token=password-of-a-test"], "without user and query"),
        (["http://somewhere", "--stream.url=http://other/"], "--stream.url is of streams that are followed without"),
        (["--stream.protocol=sse"], "the address of a source"),
        (["--stream.url=http://a.example/", "--stream=mian"], "--stream: got 'mian', expected one of default"),
        (["--stream=a b"], "--stream: got 'a b'"),
        (["--sidecar.username=alice"], "belong together"),
        (["--sidecar.tls-cert-file=/does/not/exist"], "belong together"),
        (
            ["--sidecar.tls-ca-file=/does/not/exist"],
            "--sidecar.tls-ca-file: got '/does/not/exist', expected a readable file",
        ),
        (["--sidecar.username=alice", "--sidecar.password-file=/does/not/exist"], "cannot read '/does/not/exist'"),
        (["--sidecar.pasword-file=x"], "did you mean --sidecar.password-file?"),
        (["--config.file=/does/not/exist"], "/does/not/exist"),
    ],
)
def test_what_cannot_be_used_gives_two(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["watch", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert "password-of-a-test" not in err
    assert len(err.splitlines()) <= 2


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"\xff\xfe", b"x" * 2000])
def test_a_file_that_holds_no_password_gives_two(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "password").write_bytes(content)
    arguments = ["watch", "--sidecar.username=alice", f"--sidecar.password-file={tmp_path / 'password'}"]
    assert cli.main(arguments) == 2
    assert "--sidecar.password-file" in capsys.readouterr().err


def test_the_password_is_hidden_and_sent_as_basic_authentication(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("open sesame ü\n")
    parser = cli.parser_for("watch")
    options = ["--sidecar.username=alice", f"--sidecar.password-file={tmp_path / 'password'}"]
    client = watch._client(parser.parse(options))
    assert client.headers == (("Authorization", "Basic YWxpY2U6b3BlbiBzZXNhbWUgw7w="),)
    assert client.url == "http://localhost:14747"
    assert logs.redact("open sesame ü YWxpY2U6b3BlbiBzZXNhbWUgw7w=") == "<redacted> <redacted>"
    assert watch._client(parser.parse(["https://x.example/iris/"])).url == "https://x.example/iris"


WITHOUT_TEXTUAL = """
import sys
sys.modules["textual"] = None
import importlib.util, iris_exporter.cli
from iris_exporter.commands import watch
watch._is_terminal = lambda: True
watch.find_spec = lambda name: None
sys.exit(iris_exporter.cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("prefix", [["-m", "iris_exporter"], ["-c", WITHOUT_TEXTUAL]], ids=["pipe", "without-extra"])
def test_without_a_screen_there_are_lines(prefix: list[str]) -> None:
    """Where the extra is missing, one line says how to install it."""
    url = f"http://127.0.0.1:{free_port()}"
    with subprocess.Popen(
        [sys.executable, *prefix, "watch", url, "--sidecar.proxy=none"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        process.terminate()
        assert process.wait(30) == 0
        err = process.stderr.read()
    assert f" - sidecar {url}: connection_refused: nothing listens there; next attempt in 1 s\n" in line
    hint = f"iris-exporter: the screen needs the extra `watch`: {watch.EXTRA}; each change is a line now\n"
    assert err == (hint if prefix[0] == "-c" else "")
    assert watch.EXTRA == "pip install 'iris-exporter[watch]'"


def test_a_reader_that_has_gone_ends_it_without_a_word() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "iris_exporter", "watch", f"http://127.0.0.1:{free_port()}", "--sidecar.proxy=none"],
            stdout=write, stderr=subprocess.PIPE, check=False, timeout=60,
        )  # fmt: skip
    finally:
        os.close(write)
    assert (result.returncode, result.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("terminals", "term", "is_terminal"),
    [
        ((True, True, True), "xterm", True),
        ((True, True, True), "dumb", False),
        ((True, True, True), "", False),
        ((False, True, True), "xterm", False),
        ((True, False, True), "xterm", False),
        ((True, True, False), "xterm", False),
    ],
)
def test_a_screen_needs_a_terminal_for_everything(
    terminals: tuple[bool, ...], term: str, is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stream:
        def __init__(self, is_terminal: bool) -> None:
            self.isatty = lambda: is_terminal

    for name, each in zip(("__stdin__", "__stdout__", "__stderr__"), terminals, strict=True):
        monkeypatch.setattr(sys, name, Stream(each))
    monkeypatch.setenv("TERM", term)
    assert watch._is_terminal() == is_terminal
