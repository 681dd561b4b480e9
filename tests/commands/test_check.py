"""`iris-exporter check`: exit codes, both formats, and no secret in any of them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from iris_exporter import cli
from iris_exporter.check.findings import FINDINGS
from tests.otel.receivers import http_receiver
from tests.ports import free_port

KEY = "secret-key-of-check"


class Source(BaseHTTPRequestHandler):
    """A document for those who have the key."""

    def do_GET(self) -> None:
        """Answer with a document, or refuse."""
        body = b'{"metrics": {"totalProjects": 3, "avgSuccessRate": 0.5}}'
        known = self.headers.get("Authorization") == f"Bearer {KEY}"
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the base)
        """Nothing."""


@contextmanager
def source() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Source)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api/overview"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def check(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main(["check", "--wait=200ms", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert KEY not in out + err
    assert "query-secret" not in out + err
    return code, out, err


def test_all_is_well(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The address alone, or with options of a stream; the key is used and not shown."""
    key = tmp_path / "key"
    key.write_text(KEY)
    with source() as url:
        code, out, err = check(capsys, f"{url}?token=query-secret", f"--stream.api-key-file={key}")
    assert (code, err) == (0, "")
    assert "diagnosis: all is well" in out
    assert "success share" in out
    assert "50 %" in out


def test_a_problem_upstream(capsys: pytest.CaptureFixture[str]) -> None:
    with source() as url:
        code, out, _ = check(capsys, url)
    assert code == 1
    assert "diagnosis: key_missing: " in out
    assert "what to do: " in out


def test_json_has_every_stream_of_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    key, file = tmp_path / "key", tmp_path / "iris.yaml"
    key.write_text(KEY)
    with source() as url:
        dead = f"http://127.0.0.1:{free_port()}/api/overview"
        file.write_text(
            f"streams:\n- {{name: one, url: '{url}', api-key-file: '{key}'}}\n- {{name: two, url: '{dead}'}}\n"
        )
        code, out, _ = check(capsys, f"--config.file={file}", "--format=json")
    streams = json.loads(out)["streams"]
    assert code == 1  # the worst
    assert [each["diagnosis"] for each in streams] == ["ok", "connection_refused"]
    assert streams[1]["findings"][0]["advice"] == FINDINGS["connection_refused"].advice
    assert [step["name"] for step in streams[1]["steps"]] == ["configuration", "key", "proxy", "dns", "tcp"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "the address of a source"),
        (["ftp://somewhere"], "stream.url"),
        (["http://a.example/", "--stream.url=http://b.example/"], "give one of them"),
        (["http://a.example/", "--wait=soon"], "--wait"),
        (["http://a.example/", "--stream.api-key-file=/does/not/exist"], "a readable file with the API key"),
        (["--config.file=/does/not/exist"], "/does/not/exist"),
        (["http://a.example/", "--otlp.endpoint=ftp://collector"], "OTEL_EXPORTER_OTLP_ENDPOINT"),
        (["http://a.example/", "--otlp.endpoint=http://u:secret-of-the-url@collector"], "a URL with a user"),
        (["http://a.example/", "--grafana.url=http://g.example"], "have to be given together"),
        (["http://a.example/", "--grafana.token-file=/x"], "have to be given together"),
        (["http://a.example/", "--grafana.ca-file=/x"], "have to be given together"),
        (
            ["http://a.example/", "--grafana.url=http://g.example", "--grafana.token-file=/does/not/exist"],
            "expected a readable file with the token",
        ),
        (["http://a.example/", "--stream.protcol=sse"], "--stream.protocol"),
    ],
)
def test_what_cannot_be_used_gives_two(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = check(capsys, *arguments)
    assert (code, out) == (2, "")
    assert complaint in err


def test_the_otlp_endpoint_is_asked_where_it_is_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the option, or by the variables of the exporter, whose headers are used either way and not shown."""
    key = tmp_path / "key"
    key.write_text(KEY)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=query-secret")
    with source() as url, http_receiver() as receiver:
        arguments = (url, f"--stream.api-key-file={key}", "--format=json")
        code, out, _ = check(capsys, *arguments, f"--otlp.endpoint={receiver.url}")
        asked = json.loads(out)["otlp"]
        assert (code, [(each["name"], each["diagnosis"]) for each in asked]) == (
            0,
            [("otlp traces", "ok"), ("otlp logs", "ok")],
        )
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"{receiver.url}/v1/logs")
        code, out, _ = check(capsys, *arguments)
        assert [each["name"] for each in json.loads(out)["otlp"]] == ["otlp logs"]
        assert [headers["x-key"] for headers in receiver.received.headers] == ["query-secret"] * 3
        assert [span.name for span in receiver.received.spans] == ["iris.check"]
        receiver.behaviour.status = 401
        code, out, _ = check(capsys, *arguments[:2])
    assert code == 1
    assert "diagnosis: otlp_unauthorized: " in out


def test_variables_that_switch_the_export_off_are_a_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with source() as url:
        code, out, _ = check(capsys, url, f"--stream.api-key-file={key}", "--otlp.endpoint=http://127.0.0.1:9")
    assert code == 1
    assert "diagnosis: otlp_off: " in out
