"""`iris-exporter dashboards`: files that are written, and what is refused before anything is sent."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from iris_exporter import cli
from iris_exporter.grafana import files
from iris_exporter.grafana.files import PANELS_WITH_RESET, with_reset

ROOT = Path(__file__).resolve().parents[2]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main(["dashboards", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_export_writes_what_is_committed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        code, out, err = run(capsys, "export", tmp_path / "new" / "place")
        assert (code, err) == (0, "")
    place = tmp_path / "new" / "place"
    written = {path.relative_to(place): path.read_text() for path in place.rglob("*") if path.is_file()}
    dashboards = {Path("dashboards") / path.name: path.read_text() for path in ROOT.glob("dashboards/json/*.json")}
    folder = ROOT / "deploy/grafana/provisioning"
    provisioning = {
        Path("provisioning") / path.relative_to(folder): path.read_text() for path in folder.rglob("*.yaml")
    }
    assert written == dashboards | provisioning
    assert len(dashboards) == 5
    assert sorted(out.splitlines()) == sorted(str(place / path) for path in written)


def test_export_adds_the_reset_button_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "export", tmp_path / "a")[0] == 0
    assert run(capsys, "export", tmp_path / "b", "--action.reset-url=/iris-exporter/")[0] == 0
    assert all('"actions"' not in path.read_text() for path in (tmp_path / "a/dashboards").iterdir())
    board = json.loads((tmp_path / "b/dashboards/iris-overview.json").read_text())
    (panel,) = (panel for panel in board["panels"] if panel["title"] in PANELS_WITH_RESET)
    assert panel["type"] == "state-timeline", "other kinds of panels than some cannot have actions"
    (action,) = panel["fieldConfig"]["defaults"]["actions"]
    url = "/iris-exporter/api/v1/streams/${__field.labels.stream:percentencode}/reset"
    assert (action["type"], action["fetch"]["method"], action["fetch"]["url"]) == ("fetch", "POST", url)
    assert action["confirmation"]


def test_the_button_leaves_the_original_alone() -> None:
    board = files.dashboards()["iris-connection"]
    assert "actions" in json.dumps(with_reset(board, "/x"))
    assert "actions" not in json.dumps(board)


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = run(capsys, "export", tmp_path / "file")
    assert code == 1
    assert f"cannot write {tmp_path / 'file'}" in err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--grafana.url=ftp://grafana"], "--grafana.url: expected http(s)"),
        (["--grafana.url=http://admin:secret-1@grafana"], "without user and query"),
        (["--datasource=mysql=http://x"], "--datasource: expected KIND=URL with a kind of prometheus, loki, tempo"),
        (["--datasource=loki=x"], "--datasource: expected KIND=URL"),
        (
            ["--grafana.token-file=missing"],
            "--grafana.token-file: got 'missing', expected a readable file with the token (No such file",
        ),
        (
            ["--grafana.token-file=two-lines"],
            "got 'two-lines', expected a file with the token alone (it holds other characters than one line of",
        ),
        (["--action.reset-url=javascript:alert(1)"], "--action.reset-url: expected a path"),
        (["--action.reset-url=//evil/x"], "--action.reset-url: expected a path"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("token").write_text("secret-1\n")
    Path("two-lines").write_text("secret-1\nsecret-2\n")
    code, out, err = run(
        capsys, "push", "--grafana.url=http://127.0.0.1:1", "--grafana.token-file=token", *arguments
    )  # fmt: skip
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert complaint in err
    assert "secret" not in err


def test_a_missing_extra_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "grafana_client", None)
    (tmp_path / "token").write_text("t")
    code, _, err = run(capsys, "push", "--grafana.url=http://x", f"--grafana.token-file={tmp_path / 'token'}")
    assert code == 1
    assert "needs the extra `grafana`: pip install 'iris-exporter[grafana]'" in err


@pytest.mark.parametrize("arguments", [[], ["publish"], ["export"], ["push"]])
def test_an_incomplete_command_is_a_usage_error(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert "see iris-exporter --help" in err


def test_provisioning_files_hold_no_address_and_agree_with_each_other() -> None:
    texts = {str(path): text for path, text in files.provisioning_files()}
    sources = yaml.safe_load(texts["datasources/iris.yaml"])
    assert [source["type"] for source in sources["datasources"]] == list(files.KINDS)
    uids = {source["uid"] for source in sources["datasources"]}
    assert len(uids) == 3
    for source in sources["datasources"]:
        assert source["url"] == f"${{IRIS_{source['type'].upper()}_URL}}"
        assert source["editable"] is False
    prometheus, loki, tempo = (source["jsonData"] for source in sources["datasources"])
    (exemplar,) = prometheus["exemplarTraceIdDestinations"]
    assert exemplar == {"name": "trace_id", "datasourceUid": "iris-tempo"}
    assert {field["datasourceUid"] for field in loki["derivedFields"]} <= uids
    assert tempo["tracesToLogsV2"]["datasourceUid"] in uids
    (provider,) = yaml.safe_load(texts["dashboards/iris.yaml"])["providers"]
    assert (provider["folderUid"], provider["allowUiUpdates"]) == ("iris", False)
    for document in map(yaml.safe_load, texts.values()):
        assert document["apiVersion"] == 1
