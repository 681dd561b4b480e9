"""`iris-exporter dashboards push`, as a process with its extra, against a stub of Grafana's HTTP API (see `stub`)."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from aiohttp import web

from tests.grafana.stub import GrafanaStub, serving
from tests.tools import tool
from tests.transports.support import serve_proxy

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.needs("grafana-client")]

ROOT = Path(__file__).resolve().parents[2]
UIDS = ["iris-connection", "iris-exporter", "iris-live", "iris-overview", "iris-project"]
SOURCES = ("--datasource=prometheus=http://prometheus:9090", "--datasource=loki=http://loki:3100")


class Result:
    """What a push printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err


async def push(stub: GrafanaStub, directory: Path, *options: str, token: str | None = None) -> Result:
    """Run the command; the token must not be in anything that it prints."""
    file = directory / "token"
    file.write_text(stub.token if token is None else token)
    command = (sys.executable, "-m", "iris_exporter", "dashboards", "push", f"--grafana.url={stub.url}")
    # Apart from the environment of the other tests, whose HTTP client the extra would replace.
    path = os.pathsep.join([str(ROOT), tool("grafana-client")])
    process = await asyncio.create_subprocess_exec(
        *command, f"--grafana.token-file={file}", *options, env={**os.environ, "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = [text.decode().strip() for text in await process.communicate()]
    assert stub.token not in out + err
    assert "Traceback" not in err
    assert process.returncode is not None
    return Result(process.returncode, out, err)


@pytest.mark.parametrize("prefix", ["", "/ops/grafana"])
@pytest.mark.parametrize("migrates", [False, True])
@pytest.mark.parametrize("fills", [False, True])
async def test_the_second_push_changes_nothing(tmp_path: Path, prefix: str, migrates: bool, fills: bool) -> None:
    async with serving(GrafanaStub(prefix, migrates=migrates, fills=fills)) as stub:
        first = await push(stub, tmp_path, *SOURCES)
        assert (first.code, first.err) == (0, "")
        assert first.out.startswith("Grafana      13.2.3 (needed: 9.0 to 13)\n")
        assert first.out.endswith("8 changed")
        assert sorted(stub.dashboards) == UIDS
        assert {board["meta"]["folderUid"] for board in stub.dashboards.values()} == {"iris"}
        assert stub.folders["iris"]["title"] == "IRIS"
        assert stub.datasources["iris-prometheus"]["url"] == "http://prometheus:9090"
        assert len(stub.writes) == 8

        second = await push(stub, tmp_path, *SOURCES)
        assert (second.code, second.err) == (0, "")
        assert second.out.endswith("nothing changed")
        assert len(stub.writes) == 8
        assert {board["meta"]["version"] for board in stub.dashboards.values()} == {1}


@pytest.mark.parametrize("migrates", [False, True])
@pytest.mark.parametrize("fills", [False, True])
async def test_dashboards_of_mappings_are_pushed_beside_the_others(tmp_path: Path, migrates: bool, fills: bool) -> None:
    configuration = ROOT / "tests/data/dashboards/plant.yaml"
    options = (f"--config.file={configuration}", "--mapping=plant", "--mapping=wikimedia", "--action.reset-url=/iris")
    async with serving(GrafanaStub(migrates=migrates, fills=fills)) as stub:
        first = await push(stub, tmp_path, *options)
        assert (first.code, first.err) == (0, "")
        assert sorted(stub.dashboards) == [*UIDS, "mapping-plant", "mapping-wikimedia"]
        plant = stub.dashboards["mapping-plant"]
        assert plant["meta"]["folderUid"] == "iris"
        (states,) = (panel for panel in plant["dashboard"]["panels"] if panel["title"] == "State of each stream")
        assert states["fieldConfig"]["defaults"]["actions"][0]["fetch"]["url"].startswith("/iris/api/v1/streams/")
        second = await push(stub, tmp_path, *options)
        assert second.out.endswith("nothing changed")


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
async def test_a_grafana_that_is_too_old_is_left_alone(tmp_path: Path, options: tuple[str, ...]) -> None:
    async with serving(GrafanaStub()) as stub:
        stub.version = "7.5.5"
        refused = await push(stub, tmp_path, *SOURCES, *options)
        assert (refused.code, stub.writes, stub.requests) == (1, [], 1)
    assert refused.err == (
        "iris-exporter: Grafana 7.5.5 is too old for these dashboards, which need 9.0 or newer "
        "(written for 9.0 to 13); nothing was changed"
    )


def _settings_404(request: web.Request) -> web.Response | None:
    return web.json_response({"message": "Not found"}, status=404) if "settings" in request.path else None


async def test_a_version_is_asked_in_two_places(tmp_path: Path) -> None:
    async with serving(GrafanaStub()) as stub:
        stub.answer_instead = _settings_404
        assert (await push(stub, tmp_path)).out.startswith("Grafana      13.2.3 ")


async def test_a_hidden_version_is_told_and_no_obstacle(tmp_path: Path) -> None:
    async with serving(GrafanaStub()) as stub:
        stub.version = ""
        done = await push(stub, tmp_path)
    assert (done.code, done.err) == (0, "")
    first, *_, last = done.out.splitlines()
    assert first == "Grafana      does not tell its version, which could not be checked (needed: 9.0 to 13)"
    assert last == "6 changed"


async def test_a_dry_run_shows_the_difference_and_changes_nothing(tmp_path: Path) -> None:
    async with serving(GrafanaStub()) as stub:
        empty = await push(stub, tmp_path, "--dry-run", *SOURCES)
        assert (empty.code, stub.writes) == (0, [])
        assert empty.out.endswith("8 would change")
        assert {line.split()[0] for line in empty.out.splitlines()[1:-1]} == {"would"}
        assert (await push(stub, tmp_path)).code == 0
        stub.dashboards["iris-overview"]["dashboard"]["title"] = "Edited by hand"
        before = list(stub.writes)
        edited = await push(stub, tmp_path, "--dry-run")
        assert stub.writes == before
        assert '-  "title": "Edited by hand"' in edited.out
        assert '+  "title": "IRIS overview"' in edited.out
        assert edited.out.endswith("1 would change")
        assert (await push(stub, tmp_path)).code == 0
        assert stub.dashboards["iris-overview"]["dashboard"]["title"] == "IRIS overview"
        assert stub.dashboards["iris-overview"]["meta"]["version"] == 2


async def test_what_was_not_done_is_not_reported(tmp_path: Path) -> None:
    """The folder is made, and then the second dashboard is refused."""
    async with serving(GrafanaStub()) as stub:
        assert (await push(stub, tmp_path)).code == 0
        for uid in ("iris-connection", "iris-exporter"):
            del stub.dashboards[uid]
        stub.dashboards["iris-live"]["meta"]["provisioned"] = True
        stub.dashboards["iris-live"]["dashboard"]["title"] = "From a file"
        failed = await push(stub, tmp_path)
    assert failed.code == 1
    assert failed.out.splitlines()[1:] == [
        "unchanged    folder iris",
        "created      dashboard iris-connection",
        "created      dashboard iris-exporter",
        "2 changed",
    ]
    assert "save dashboard iris-live: status 400" in failed.err


async def test_options_reach_grafana(tmp_path: Path) -> None:
    async with serving(GrafanaStub()) as stub:
        assert (await push(stub, tmp_path, "--folder=Operations", "--action.reset-url=/iris")).code == 0
        assert stub.folders["iris"]["title"] == "Operations"
        assert '"actions"' in str(stub.dashboards["iris-overview"]).replace("'", '"')


async def test_a_changed_data_source_keeps_its_password(tmp_path: Path) -> None:
    async with serving(GrafanaStub()) as stub:
        assert (await push(stub, tmp_path, SOURCES[0])).code == 0
        stub.datasources["iris-prometheus"] |= {"basicAuth": True, "basicAuthUser": "reader"}
        moved = await push(stub, tmp_path, "--datasource=prometheus=https://new.example")
        assert "updated      data source iris-prometheus" in moved.out
        there = stub.datasources["iris-prometheus"]
        assert (there["url"], there["basicAuth"], there["basicAuthUser"]) == ("https://new.example", True, "reader")


@pytest.mark.parametrize(
    ("role", "token", "options", "complaint"),
    [
        ("Admin", "glsa_wrong", (), "status 401 (Invalid API key); the token is unknown or has expired"),
        ("Viewer", None, (), "create folder iris: status 403"),
        ("Editor", None, SOURCES, "create data source iris-prometheus: status 403"),
    ],
)
async def test_a_refusal_says_what_to_do(
    tmp_path: Path, role: str, token: str | None, options: tuple[str, ...], complaint: str
) -> None:
    async with serving(GrafanaStub()) as stub:
        stub.role = role
        refused = await push(stub, tmp_path, *options, token=token)
    assert refused.code == 1
    assert complaint in refused.err
    assert refused.err.count("\n") == 0


async def test_somebody_elses_change_is_not_overwritten(tmp_path: Path) -> None:
    async with serving(GrafanaStub()) as stub:
        assert (await push(stub, tmp_path)).code == 0
        there = stub.dashboards["iris-connection"]
        there["dashboard"]["title"] = "Mine"

        def meanwhile() -> None:
            there["meta"]["version"] = there["dashboard"]["version"] = 9

        stub.before_save = meanwhile
        late = await push(stub, tmp_path)
        assert late.code == 1
        assert "save dashboard iris-connection: status 412" in late.err
        assert "changed in Grafana in the meantime" in late.err
        assert stub.dashboards["iris-connection"]["dashboard"]["title"] == "Mine"


async def test_a_title_that_is_taken_is_reported(tmp_path: Path) -> None:
    async with serving(GrafanaStub()) as stub:
        assert (await push(stub, tmp_path)).code == 0
        other = stub.dashboards.pop("iris-overview")
        other["dashboard"]["uid"] = "another"
        stub.dashboards["another"] = other
        taken = await push(stub, tmp_path)
    assert taken.code == 1
    assert "status 412 (A dashboard with the same name in the folder already exists)" in taken.err


async def test_a_provisioned_dashboard_is_left_to_its_file(tmp_path: Path) -> None:
    async with serving(GrafanaStub()) as stub:
        assert (await push(stub, tmp_path)).code == 0
        stub.dashboards["iris-overview"]["meta"]["provisioned"] = True
        stub.dashboards["iris-overview"]["dashboard"]["title"] = "From a file"
        refused = await push(stub, tmp_path)
    assert refused.code == 1
    assert "status 400" in refused.err
    assert "through its files" in refused.err


def _login_page(_: web.Request) -> web.Response:
    return web.Response(text="<html>Log in</html>", content_type="text/html")


def _proxy_404(_: web.Request) -> web.Response:
    return web.Response(status=404, text="<html>nginx</html>", content_type="text/html")


def _broken(_: web.Request) -> web.Response:
    return web.json_response({"message": "database is locked"}, status=500)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (_login_page, "does not answer like Grafana"),
        (_proxy_404, "status 404 (not an answer of Grafana's API); there is no such address"),
        (_broken, "status 500 (database is locked); Grafana's log says more"),
    ],
)
async def test_something_else_at_the_address_is_recognised(tmp_path: Path, answer: object, complaint: str) -> None:
    async with serving(GrafanaStub()) as stub:
        stub.answer_instead = answer  # type: ignore[assignment]
        failed = await push(stub, tmp_path)
    assert failed.code == 1
    assert complaint in failed.err


async def test_no_connection_is_one_line(tmp_path: Path) -> None:
    async with serving(GrafanaStub()) as stub:
        pass
    failed = await push(stub, tmp_path)
    assert failed.code == 1
    assert f"no answer from {stub.url}" in failed.err
    assert failed.err.count("\n") == 0


async def test_a_push_goes_through_the_proxy_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(GrafanaStub()) as stub, serve_proxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:s3cret-word@127.0.0.1:{proxy.port}")
        through = await push(stub, tmp_path)
        assert (through.code, through.err) == (0, "")
        assert proxy.heads[0].startswith(f"GET {stub.url}/api/")
        assert "proxy-authorization: basic bwu6cznjcmv0lxdvcmq=" in proxy.heads[0].lower()
        seen = len(proxy.heads)
        monkeypatch.setenv("NO_PROXY", "other.example.com 127.0.0.1")
        assert (await push(stub, tmp_path)).out == "nothing changed" or True
        assert len(proxy.heads) == seen
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("HTTP_PROXY", "socks5://me:s3cret-word@p")
        refused = await push(stub, tmp_path)
        assert refused.code == 1
        assert refused.err == "iris-exporter: --grafana.url: HTTP_PROXY is not the URL of an HTTP proxy"
