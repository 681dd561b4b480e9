"""The program from the outside: help, version, mistakes, exit codes, and what is not imported."""

import argparse
import json
import logging
import os
import shlex
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iris_exporter import __version__, cli, logs
from iris_exporter.commands import COMMANDS, DEFAULT
from iris_exporter.config.options import COMMON, GROUPS, OPTIONS
from iris_exporter.core.redaction import Redactor
from iris_exporter.errors import UsageError
from iris_exporter.otel.settings import OtelSettings
from iris_exporter.settings import Settings
from iris_exporter.version import version_info

DATA = Path(__file__).parent / "data" / "config"
ROOT = Path(__file__).parent.parent
URL = "http://one.example.com/api/stream/overview"
HEAVY = {"aiohttp", "opentelemetry", "prometheus_client", "google", "requests", "bcrypt"}
UNWANTED = {
    *("yaml", "difflib", "zipfile", "opentelemetry", "google", "bcrypt", "iris_exporter.backend"),
    *("iris_exporter.fleet.discovery.source", "iris_exporter.fleet.kubernetes", "iris_exporter.grafana.live"),
    *("iris_exporter.mapping.spec", "iris_exporter.model.mapped_state", "iris_exporter.core.places"),
}
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def untouched_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root, hook = logging.getLogger(), threading.excepthook
    handlers, level = list(root.handlers), root.level
    monkeypatch.setattr(logs, "_redactor", Redactor())
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("iris_exporter").setLevel(logging.NOTSET)
    logging.captureWarnings(capture=False)
    threading.excepthook = hook


def use_app(monkeypatch: pytest.MonkeyPatch, serve: Callable[..., int]) -> None:
    """Put this in place of what serves, and of all that it imports."""
    monkeypatch.setattr("iris_exporter.commands.serve.serve", serve)


def test_help_is_the_same_everywhere(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in ("40", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        assert cli.main(["--help-all"]) == 0
        printed = capsys.readouterr().out
        if os.environ.get("UPDATE_EXPECTED"):
            (DATA / "help.txt").write_text(printed)
        assert printed == (DATA / "help.txt").read_text()


def test_the_short_help_has_a_dozen_options_and_says_where_the_others_are(capsys: Capture) -> None:
    assert cli.main(["--help"]) == 0
    printed = capsys.readouterr().out
    shown = {option.key for option in OPTIONS if f"${option.variable}\n" in printed}
    assert shown == COMMON
    assert len(COMMON) == 12
    assert "--help-all " in printed
    headings = [title for title in GROUPS.values() if f"\n{title}:\n" in printed]
    assert headings == [title for group, title in GROUPS.items() if any(key.startswith(f"{group}.") for key in COMMON)]


@pytest.mark.parametrize("command", [*COMMANDS, "config example", "dashboards export", "dashboards push"])
def test_help_has_one_example_that_can_be_given(command: str, capsys: Capture) -> None:
    assert cli.main([*command.split(), "--help"]) == 0
    _, example = capsys.readouterr().out.split("\nexample:\n")
    program, *arguments = shlex.split(example.partition(" > ")[0])
    assert program == "iris-exporter"
    name = arguments.pop(0) if arguments[0] in COMMANDS else DEFAULT
    assert name == command.partition(" ")[0]
    cli.parser_for(name).parse(arguments)


def test_all_help_of_a_command_has_what_the_short_one_has(capsys: Capture) -> None:
    for command in COMMANDS:
        assert cli.main([command, "--help"]) == 0
        short = capsys.readouterr().out
        assert cli.main([command, "--help-all"]) == 0
        everything = capsys.readouterr().out
        assert {line for line in short.split("\nexample:")[0].splitlines() if line.startswith("  -")} <= set(
            everything.splitlines()
        )


@pytest.mark.parametrize("command", COMMANDS)
def test_the_short_help_of_a_command_has_no_more_than_a_dozen_options(command: str) -> None:
    parser = cli.parser_for(command)
    flags = {flag for action in parser.actions for flag in action.option_strings}
    assert parser.uncommon <= flags
    assert len(flags - parser.uncommon - {"-h", "--help", "--help-all", "--version"}) <= 12


def test_version_names_version_revision_and_python(capsys: Capture) -> None:
    assert cli.main(["--version"]) == 0
    info = version_info()
    python = ".".join(map(str, sys.version_info[:3]))
    assert info.version == __version__
    assert capsys.readouterr().out.startswith(
        f"iris-exporter, version {__version__} (revision: {info.revision}, python: {python}"
    )


@pytest.mark.parametrize(
    ("content", "revision"), [("4fdd46f\n", "4fdd46f"), (None, "unknown"), ("", "unknown"), ("a b", "unknown")]
)
def test_the_revision_comes_from_a_file_made_when_building(content: str | None, revision: str, tmp_path: Path) -> None:
    file = tmp_path / "REVISION"
    if content is not None:
        file.write_text(content)
    assert version_info(file).revision == revision


def test_config_check_names_the_streams(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATA)
    assert cli.main(["--config.check", "--config.file", "streams.good.yaml"]) == 0
    assert capsys.readouterr() == ("configuration is valid: 2 streams (007, on)\n", "")
    monkeypatch.setenv("IRIS_EXPORTER_CONFIG_CHECK", "true")
    assert cli.main(["serve", f"--stream.url={URL}"]) == 0
    assert capsys.readouterr().out == "configuration is valid: 1 stream (default)\n"


def test_nothing_that_steers_a_terminal_is_written(capsys: Capture) -> None:
    assert cli.main(["map", "--test", "--config.file=\x1b[31m\u202e.yaml"]) == 2
    assert cli.main(["map", "--suggest=\x1b[31m"]) == 1
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "\u202e" not in err
    assert err.count("\ufffd[31m\ufffd.yaml: ") == 1


def test_config_check_says_what_is_doubtful_about_mappings(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "streams: [{name: a, url: 'http://localhost', mapping: a, protocol: sse}]\n"
        "mappings: {a: {namespace: a, messages: [{kind: a, role: ack}, {kind: b, role: ack}]}}\n"
    )
    assert cli.main(["--config.check", f"--config.file={tmp_path}/a.yaml"]) == 0
    out, err = capsys.readouterr()
    assert out == "configuration is valid: 1 stream (a)\n"
    assert err.startswith(f"warning: {tmp_path}/a.yaml:2: mappings.a.messages")


def test_config_check_lists_the_values_that_are_ignored(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "soon")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    assert cli.main(["--config.check", f"--stream.url={URL}"]) == 0
    assert "OTEL_BSP_SCHEDULE_DELAY: got 'soon', expected a whole number" in capsys.readouterr().err


def test_a_bad_configuration_is_reported_on_stderr_with_exit_code_2(capsys: Capture) -> None:
    assert cli.main([f"--stream.url={URL}", "--log.level=loud", "--config.check"]) == 2
    assert capsys.readouterr() == (
        "",
        (
            "iris-exporter: the configuration cannot be used:\n"
            "  --log.level: log.level: got 'loud', expected one of debug, info, warn, error\n"
        ),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stream.ulr=s3cr3t"], "unknown flag --stream.ulr (did you mean --stream.url?)"),
        (["--stream.api-key", "s3cr3t"], "unknown flag --stream.api-key (did you mean --stream.api-key-file?)"),
        (["--stream.u=x"], "unknown flag --stream.u (did you mean --stream.url?)"),
        (["-z", "--qqq"], "unknown flag -z; unknown flag --qqq"),
        (["--stream.url"], "argument --stream.url: expected one argument"),
        (["--stream.url=x", "s3cr3t"], "there is an argument that belongs to no flag"),
        (["--stream.xyzzy=1"], "unknown flag --stream.xyzzy"),
        (["--listen-address=:1"], "unknown flag --listen-address (did you mean --web.listen-address?)"),
        (["-stream.url=x"], "unknown flag -stream.url (did you mean --stream.url?)"),
        (["--stream.max_events=3"], "unknown flag --stream.max_events (did you mean --stream.max-events?)"),
        (["--stream.api-key", "-s3cr3T"], "unknown flag --stream.api-key (did you mean --stream.api-key-file?)"),
        (["--S3CR3T=x", "-ps3cr3t"], "unknown flag --...; unknown flag -p..."),
        (["https://user:s3cr3t@h/"], "an address is not a command (did you mean --stream.url=ADDRESS?)"),
        (["serv"], "unknown command serv (did you mean serve?)"),
        (["xyzzy"], "unknown command xyzzy"),
        (["demo", "--protcol=sse"], "unknown flag --protcol (did you mean --protocol?)"),
        (["dashboards", "exprot"], "unknown command exprot (did you mean export?)"),
        (["dashboards", "push", "--grafana.ulr=x"], "unknown flag --grafana.ulr (did you mean --grafana.url?)"),
        (["dashboards", "export", "d", "--foldr=x"], "unknown flag --foldr"),
        (["\x1b[31m"], "unknown command '\\x1b[31m'"),
    ],
)
def test_a_mistake_is_one_line_with_exit_code_2(arguments: list[str], message: str, capsys: Capture) -> None:
    assert cli.main(arguments) == 2
    assert capsys.readouterr() == ("", f"iris-exporter: {message}; see iris-exporter --help\n")


def test_serve_gets_settings_a_way_to_reload_and_a_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "iris.yaml"
    file.write_text(f"stream: {{name: a, url: '{URL}'}}\n")

    def serve(settings: Settings, reload: Callable[[], Settings], otel: OtelSettings) -> int:
        assert [stream.name for stream in settings.streams] == ["a"]
        file.write_text(f"stream: {{name: b, url: '{URL}'}}\n")
        assert [stream.name for stream in reload().streams] == ["b"]
        logs.get_logger("app").info("served")
        return 7

    use_app(monkeypatch, serve)
    assert cli.main([f"--config.file={file}", "--log.format=json"]) == 7
    assert json.loads(capsys.readouterr().err)["event"] == "served"


@pytest.mark.parametrize("debug", [[], ["--log.level=debug"], ["--log.level", "debug"]])
def test_a_fault_of_ours_is_a_line_and_a_traceback_only_at_debug(
    debug: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    def serve(settings: Settings, reload: Callable[[], Settings], otel: OtelSettings) -> int:
        raise RuntimeError("no luck with the-key-itself")

    use_app(monkeypatch, serve)
    key = tmp_path / "key"
    key.write_text("the-key-itself")
    assert cli.main([f"--stream.url={URL}", f"--stream.api-key-file={key}", *debug]) == 1
    err = capsys.readouterr().err
    assert err.startswith("iris-exporter: unexpected RuntimeError: no luck with <redacted>\n")
    assert ("Traceback" in err) == bool(debug)
    assert ("--log.level=debug shows the traceback" in err) == (not debug)
    assert "the-key-itself" not in err


def test_a_known_failure_is_its_own_sentence(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def serve(settings: Settings, reload: Callable[[], Settings], otel: OtelSettings) -> int:
        raise UsageError("port 14747 is taken")

    use_app(monkeypatch, serve)
    assert cli.main([f"--stream.url={URL}"]) == 1
    assert capsys.readouterr().err == "iris-exporter: port 14747 is taken\n"


def test_an_interruption_is_silent(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def serve(settings: Settings, reload: Callable[[], Settings], otel: OtelSettings) -> int:
        raise KeyboardInterrupt

    use_app(monkeypatch, serve)
    assert cli.main([f"--stream.url={URL}"]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("command", ["demo", "backend"])
def test_other_commands_bring_their_own_arguments(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--log.level", dest="log_level", default="info")
        parser.add_argument("--rate", type=float)

    def run(arguments: argparse.Namespace) -> int:
        logs.setup(arguments.log_level, "logfmt")
        logs.get_logger("t").debug("rate", value=arguments.rate)
        return 3

    name = {"demo": "iris_exporter.commands.demo", "backend": "iris_exporter.commands.backend"}[command]
    module = types.ModuleType(name)
    module.add_arguments, module.run = add_arguments, run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(name, module, raising=False)
    assert cli.main([command, "--rate=2.5", "--log.level=debug"]) == 3
    assert "event=rate value=2.5" in capsys.readouterr().err
    assert cli.main([command, "--rat=2"]) == 2
    assert "unknown flag --rat (did you mean --rate?)" in capsys.readouterr().err
    assert cli.main([command, "--help"]) == 0
    assert f"usage: iris-exporter {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_a_version(command: str, capsys: Capture) -> None:
    """A row of the table is a module with `add_arguments` and `run`."""
    assert cli.main([command, "--version"]) == 0
    assert capsys.readouterr().out.startswith(f"iris-exporter, version {__version__}")
    assert cli.main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: iris-exporter")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--help-all"], ["--version"], ["--config.check", f"--stream.url={URL}"], ["--nope"]]
)
def test_quick_answers_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        f"import sys; from iris_exporter.cli import main; main({arguments!r}); heavy = {HEAVY!r}; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & heavy), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stderr.splitlines()[-1] == "[]"


def test_a_sidecar_imports_nothing_for_what_it_was_not_asked_to_do() -> None:
    """Each of these is a part of the memory of a process that only receives a stream and shows its metrics."""
    code = (
        "import asyncio, sys\n"
        "from iris_exporter import app, config\n"
        "async def main():\n"
        f"    given = {{'stream.url': {URL!r}, 'web.listen-address': ['127.0.0.1:0']}}\n"
        "    async with app.Exporter(config.load(given, {}), lambda: None):\n"
        "        print(sorted(sys.modules.keys() & unwanted))\n"
        f"unwanted = {UNWANTED!r}\n"
        "asyncio.run(main())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.splitlines() == ["[]"]


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_a_reader_that_leaves_early_sees_no_traceback(argument: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        command = [sys.executable, "-m", "iris_exporter", argument]
        result = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, check=False)
    finally:
        os.close(writer)
    assert result.stderr == b""
