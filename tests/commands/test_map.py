"""The command `iris-exporter map`."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from iris_exporter import cli
from iris_exporter.mapping import presets
from tests.mapping import samples


def test_presets_are_listed_with_what_they_are_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["map", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(presets.names())
    assert all(len(line) < 140 and line.split("  ")[-1] for line in lines)


def test_a_preset_is_shown_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["map", "--show", "ntfy"]) == 0
    assert capsys.readouterr().out == presets.text("ntfy")


def test_an_unknown_preset_is_refused_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["map", "--show", "wikimedai"]) == 2
    assert "did you mean wikimedia?" in capsys.readouterr().err


def test_the_schema_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["map", "--schema"]) == 0
    Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--list", "--schema"],
        ["--show"],
        ["--mapping", "ntfy"],
        ["--try", "x", "--suggest", "y"],
        ["--seconds", "0"],
        ["--test"],
        ["--stream", "a"],
        ["--try", "x"],
    ],
)
def test_one_thing_is_asked_at_a_time(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["map", *arguments]) == 2
    assert "see iris-exporter --help" in capsys.readouterr().err


# Samples

NTFY = samples.DIRECTORY / "ntfy" / "sample.ndjson"
CONFIG = """
streams:
  - {name: alerts, url: "https://ntfy.example/alerts/json", mapping: topics}
  - {name: plain, url: "https://iris.example/"}
mappings:
  topics:
    extends: ntfy
    namespace: topics
    tests: [{sample: sample.ndjson, expect: expected.txt, at: 2025-10-09T08:53:20Z}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    (tmp_path / "sample.ndjson").write_bytes(NTFY.read_bytes())
    (tmp_path / "expected.txt").write_text('topics_messages_total{priority="5",topic="alerts"} 1\n')
    return file


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main(["map", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_sample_is_tried_with_a_preset(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--try", NTFY, "--mapping", "ntfy")
    assert (code, err) == (0, "")
    assert 'ntfy_messages_total{priority="5",stream="sample",topic="alerts"} 1.0\n' in out
    assert "# messages: 3 (open 1, message 1, keepalive 1)" in out


def test_a_sample_may_come_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(NTFY.read_bytes())))
    code, out, _ = run(capsys, "--try", "-", "--mapping", "ntfy")
    assert code == 0
    assert "# messages: 3" in out


@pytest.mark.parametrize("arguments", [[], ["--mapping=topics"], ["--stream=alerts"]])
def test_the_mapping_is_named_or_the_only_one_or_that_of_a_stream(
    arguments: list[str], config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "--try", NTFY, "--config.file", config, *arguments)
    assert code == 0
    assert "topics_messages_total{" in out


def test_what_nothing_comes_of_has_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = tmp_path / "x.ndjson"
    sample.write_text('{"a":1}\n')
    code, out, _ = run(capsys, "--try", sample, "--mapping", "ntfy")
    assert code == 1
    assert '#   {"a":1}' in out


def test_a_mapping_that_cannot_be_used_has_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("mappings:\n  a:\n    namespace: a\n    messages: [{kind: a, colour: red}]\n")
    code, _, err = run(capsys, "--try", NTFY, "--config.file", file)
    assert code == 2
    assert f"{file}:4: mappings.a.messages[0].colour: got an unknown key" in err


def test_what_is_doubtful_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("mappings:\n  a:\n    namespace: a\n    messages:\n      - {kind: a, when: {$.a: 1}}\n")
    _, _, err = run(capsys, "--try", NTFY, "--config.file", file)
    assert f"warning: {file}:5: mappings.a.messages[0]: got the kind a without metrics" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--try", "/no/such", "--mapping", "ntfy"], 1, "cannot read '/no/such'"),
        (["--try", str(NTFY), "--mapping", "ntfi"], 2, "did you mean ntfy?"),
        (["--try", str(NTFY), "--mapping", "mine"], 2, "no 'mine' among the presets, and no --config.file has others"),
        (["--suggest", "/no/such"], 1, "cannot read"),
        (["--suggest", "/dev/null"], 1, "there is no message in /dev/null"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, _, err = run(capsys, *arguments)
    assert ended == code
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_stream_without_a_mapping_is_one_clear_error(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "--try", NTFY, "--config.file", config, "--stream=plain")
    assert code == 2
    assert "no stream 'plain' with a mapping" in err


def test_a_sample_is_saved_with_other_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "--try", NTFY, "--mapping=ntfy", "--save", tmp_path / "new")
    assert code == 0
    saved = tmp_path / "new" / "sample.ndjson"
    assert f"wrote {saved}" in err
    assert b"Disk full" not in saved.read_bytes()
    assert run(capsys, "--try", saved, "--mapping=ntfy")[0] == 0


def test_a_first_mapping_is_suggested(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "--suggest", NTFY)
    assert code == 0
    file = tmp_path / "suggested.yaml"
    file.write_text(out)
    assert run(capsys, "--try", NTFY, "--config.file", file)[0] == 0


# Tests of mappings


def test_tests_beside_a_mapping_are_run(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--test", "--config.file", config)
    assert code == 0
    assert out.splitlines() == [f"ok      topics: {config.parent / 'sample.ndjson'}", "1 of 1 tests passed"]


def test_a_test_that_fails_shows_the_difference(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config.parent / "expected.txt").write_text('topics_messages_total{priority="5",topic="alerts"} 2\n')
    code, out, _ = run(capsys, "--test", "--config.file", config)
    assert code == 1
    assert "FAILED  topics: " in out
    assert '  -topics_messages_total{priority="5",topic="alerts"} 2\n' in out
    assert '  +topics_messages_total{priority="5",topic="alerts"} 1\n' in out


# A real source


class Refusing(BaseHTTPRequestHandler):
    """Refuses everybody."""

    def do_GET(self) -> None:
        self.send_error(403)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the base)
        """Nothing."""


@pytest.fixture
def refusing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/json?key=hidden-secret"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_real_source_is_listened_to(refusing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f'streams: [{{name: alerts, url: "{refusing}", mapping: ntfy}}]\n')
    code, out, err = run(capsys, "--stream=alerts", "--config.file", file, "--save", tmp_path)
    assert code == 1
    assert "# messages: 0\n" in out
    assert "# forbidden" in out
    assert "hidden-secret" not in out + err
    assert (tmp_path / "sample.ndjson").read_bytes() == b""


@pytest.mark.parametrize(
    ("stream", "message"),
    [("alert", "no stream of this name (did you mean alerts?)"), ("plain", "this stream is of IRIS")],
)
def test_a_stream_that_cannot_be_listened_to_is_one_clear_error(
    stream: str, message: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "--config.file", config, "--stream", stream)
    assert code == 2
    assert message in err
