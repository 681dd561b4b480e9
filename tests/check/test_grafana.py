"""What is asked of a Grafana, against a stub that answers as its documented HTTP API does (tests/grafana/stub.py)."""

import asyncio
import copy
import json
import os
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from iris_exporter.backend.server import Backend
from iris_exporter.check.findings import FINDINGS
from iris_exporter.check.grafana import chosen
from iris_exporter.grafana import files
from iris_exporter.grafana.revision import is_shipped
from tests.check.sources import BACKEND, certificate
from tests.grafana.stub import GrafanaStub, serving
from tests.ports import free_port
from tests.tools import ROOT, tool
from tests.transports.support import serve, serve_bytes
from tests.web.config.certificates import Authority

Board = dict[str, Any]
PROMETHEUS = {"uid": "iris-prometheus", "name": "IRIS Prometheus", "type": "prometheus", "isDefault": False}


def filled(stub: GrafanaStub) -> GrafanaStub:
    """A Grafana with all dashboards as shipped, in another folder than ours, and the data source."""
    for number, (uid, board) in enumerate(files.dashboards().items()):
        there = {**copy.deepcopy(board), "id": number, "version": 3}
        stub.dashboards[uid] = {"dashboard": there, "meta": {"folderUid": "elsewhere", "provisioned": True}}
    stub.datasources["iris-prometheus"] = dict(PROMETHEUS)
    return stub


def said(status: int, message: str) -> Callable[[web.Request], web.Response | None]:
    return lambda _: web.json_response({"message": message}, status=status)


def page(status: int) -> Callable[[web.Request], web.Response | None]:
    return lambda _: web.Response(text="<h1>Please sign in</h1>", content_type="text/html", status=status)


async def check(url: str, directory: Path, token: str, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and what is said about Grafana; the token is in nothing that is printed."""
    file = directory / "token"
    file.write_text(token)
    # Apart from the environment of the other tests, whose HTTP client the extra would replace.
    path = os.pathsep.join([str(ROOT), tool("grafana-client")])
    async with Backend(BACKEND) as backend:
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "iris_exporter", "check", f"{backend.url}/api/overview", "--wait=200ms"),
            *("--format=json", f"--grafana.url={url}", f"--grafana.token-file={file}", *options),
            env={**os.environ, "PYTHONPATH": path}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await program.communicate()
    assert token not in out.decode() + err.decode()
    assert err == b""
    document = json.loads(out)
    assert document["streams"][0]["diagnosis"] == "ok"
    assert program.returncode is not None
    (grafana,) = document["grafana"]
    return program.returncode, grafana


def change(stub: GrafanaStub) -> None:
    board = stub.dashboards["iris-overview"]["dashboard"]
    board["panels"] = board["panels"][1:]


def lose(stub: GrafanaStub) -> None:
    del stub.dashboards["iris-live"], stub.dashboards["iris-project"]


def other_source(stub: GrafanaStub) -> None:
    stub.datasources = {"loki": {"uid": "loki", "name": "Loki", "type": "loki"}}


def sick(stub: GrafanaStub) -> None:
    stub.health = lambda _: web.json_response(
        {"status": "ERROR", "message": "dial tcp 10.0.0.1:9090: connect: connection refused"}, status=400
    )


def untested(stub: GrafanaStub) -> None:
    stub.health = lambda _: web.json_response({"message": "Plugin has no health check"}, status=404)


def with_answer(answer: Callable[[web.Request], web.Response | None]) -> Callable[[GrafanaStub], None]:
    def set_answer(stub: GrafanaStub) -> None:
        stub.answer_instead = answer

    return set_answer


def with_role(role: str) -> Callable[[GrafanaStub], None]:
    return lambda stub: setattr(stub, "role", role)


def with_version(version: str) -> Callable[[GrafanaStub], None]:
    return lambda stub: setattr(stub, "version", version)


def no_view(request: web.Request) -> web.Response | None:
    """A folder that this service account may not see."""
    return web.json_response({"message": "Access denied"}, status=403) if "/dashboards/" in request.path else None


CASES: dict[str, tuple[Callable[[GrafanaStub], object], list[str], str]] = {
    "healthy": (lambda _: None, [], ""),
    "wrong token": (lambda stub: setattr(stub, "token", "another"), ["grafana_unauthorized"], "Invalid API key"),
    "dashboards not to be seen": (with_answer(no_view), ["grafana_forbidden"], "dashboard iris-connection"),
    "data sources not to be seen": (with_role("Viewer"), ["grafana_forbidden"], "data sources"),
    "no such data source": (other_source, ["grafana_datasource_missing"], ""),
    "a data source that does not answer": (sick, ["grafana_datasource_fails"], "connection refused"),
    "a data source without a test": (untested, ["grafana_datasource_untested"], "IRIS Prometheus"),
    "dashboards missing": (lose, ["grafana_dashboard_missing"], "iris-live, iris-project"),
    "a dashboard changed": (change, ["grafana_dashboard_differs"], "iris-overview"),
    "an old version": (with_version("8.5.1"), ["grafana_too_old"], "9.0 to 13"),
    "a version to come": (with_version("14.0.0"), ["grafana_no_version"], "14.0.0"),
    "a hidden version": (with_version(""), ["grafana_no_version"], "does not tell"),
    "a page": (with_answer(page(200)), ["grafana_not_grafana"], ""),
    "a page that is not there": (with_answer(page(404)), ["grafana_not_grafana"], ""),
    "a proxy that wants a login": (with_answer(page(401)), ["grafana_not_grafana"], ""),
    "another API": (with_answer(said(404, "no such route")), ["grafana_not_grafana"], ""),
    "another API that says yes": (with_answer(lambda _: web.json_response({"ok": 1})), ["grafana_not_grafana"], ""),
    "a list": (with_answer(lambda _: web.json_response([1])), ["grafana_not_grafana"], ""),
    "500": (with_answer(said(500, "database is locked")), ["grafana_server_error"], "database is locked"),
    "503 of a gateway": (with_answer(page(503)), ["grafana_server_error"], "503"),
    "several at once": (
        lambda stub: (lose(stub), sick(stub)),
        ["grafana_dashboard_missing", "grafana_datasource_fails"],
        "",
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.needs("grafana-client")
async def test_what_a_grafana_has(name: str, tmp_path: Path) -> None:
    prepare, ids, words = CASES[name]
    stub = filled(GrafanaStub("/ops", fills=True))
    token = stub.token
    async with serving(stub):
        prepare(stub)
        code, seen = await check(stub.url, tmp_path, token)
    assert [each["id"] for each in seen["findings"]] == ids, seen
    assert all(words in each["detail"] for each in seen["findings"])
    assert code == (0 if all(each["severity"] == "note" for each in seen["findings"]) else 1)
    assert stub.writes == []


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.needs("grafana-client")
async def test_the_way_to_it(tmp_path: Path) -> None:
    """Nothing there, no such name, a hang, and each fault of TLS is named."""
    authority, ca = Authority(), tmp_path / "ca.pem"
    ca.write_text(authority.pem)
    trusted = f"--grafana.ca-file={ca}"

    async def found(url: str, *options: str) -> list[str]:
        code, seen = await check(url, tmp_path, "glsa_secret", *options)
        assert code == 1
        return [each["id"] for each in seen["findings"]]

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass

    async def at_tls(context: ssl.SSLContext, scheme: str = "https", *options: str) -> list[str]:
        async with serve(nobody, context) as server:
            return await found(server.url.replace("https", scheme), *options)

    async def nobody(_: web.Request) -> web.StreamResponse:
        raise web.HTTPNotFound

    assert await found(f"http://127.0.0.1:{free_port()}") == ["grafana_unreachable"]
    assert await found("http://nothing.invalid/") == ["grafana_dns"]
    async with serve_bytes(hang) as port:
        assert await found(f"http://127.0.0.1:{port}") == ["grafana_timeout"]
    async with serve(nobody) as server:
        assert await found(server.url.replace("http", "https")) == ["grafana_tls_not_spoken"]
    assert await at_tls(certificate(tmp_path, authority), "http") == ["grafana_tls_expected"]
    assert await at_tls(certificate(tmp_path, authority)) == ["grafana_tls_unknown_authority"]
    for about, name in (
        ({"begins_days": -20, "ends_days": -1}, "grafana_tls_expired"),
        ({"begins_days": 3}, "grafana_tls_not_yet_valid"),
        ({"name": "grafana.example"}, "grafana_tls_wrong_name"),
    ):
        assert await at_tls(certificate(tmp_path, authority, **about), "https", trusted) == [name]  # type: ignore[arg-type]
    assert await at_tls(certificate(tmp_path, None), "https", trusted) == ["grafana_tls_self_signed"]


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.needs("grafana-client")
async def test_over_tls_with_its_authority(tmp_path: Path) -> None:
    authority, ca = Authority(), tmp_path / "ca.pem"
    ca.write_text(authority.pem)
    stub = filled(GrafanaStub())
    async with serving(stub, certificate(tmp_path, authority)):
        code, seen = await check(stub.url, tmp_path, stub.token, f"--grafana.ca-file={ca}")
    assert (code, seen["findings"]) == (0, [])
    assert [step["name"] for step in seen["steps"]] == ["dns", "tcp", "tls", "version", "dashboards", "data source"]


# Without a process


@pytest.mark.parametrize("uid", files.dashboards())
def test_what_may_rightly_differ_in_a_dashboard(uid: str) -> None:
    """The button, the address of the runbooks, and Grafana's own bookkeeping."""
    wanted = files.dashboards()[uid]
    assert is_shipped(wanted, {**copy.deepcopy(wanted), "id": 4, "version": 7})
    assert is_shipped(wanted, files.with_reset(wanted, "/iris-exporter"))
    text = json.dumps(wanted)
    moved = text.replace("https://example.com/iris-exporter/docs/runbooks.md#", "https://wiki.example.org/iris#")
    assert is_shipped(wanted, json.loads(moved))
    assert not is_shipped(wanted, json.loads(text.replace("iris_", "other_")))
    assert not is_shipped(wanted, {**wanted, "panels": []})
    assert not is_shipped(wanted, {**wanted, "panels": [7, {"title": "State of each stream"}]})


# Dashboards of which somebody, or another version, has made something else.
ODD: list[Board] = [
    *({"templating": odd} for odd in (None, 7, "x", [7], {"list": 7}, {"list": ["x", 7]})),
    *({"templating": {"list": [{"name": "prometheus_datasource", "current": odd}]}} for odd in (None, "x", [7], {})),
    *({"panels": odd} for odd in (None, 7, "x", {"a": 1}, [[7]])),
    *({"schemaVersion": odd} for odd in (None, "41", [])),
]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_a_dashboard_of_another_shape_is_another_one(odd: Board) -> None:
    wanted = files.dashboards()["iris-overview"]
    there = {**wanted, **odd}
    assert not is_shipped(wanted, there)
    assert chosen(SOURCES, (there,)) == SOURCES[2]


SOURCES = [
    {"uid": "loki", "type": "loki", "isDefault": True},
    {"uid": "a", "type": "prometheus"},
    {"uid": "b", "type": "prometheus", "isDefault": True},
]


def saved(uid: object) -> Board:
    return {"templating": {"list": [{"name": "prometheus_datasource", "current": {"value": uid}}]}}


@pytest.mark.parametrize(
    ("sources", "boards", "uid"),
    [
        (SOURCES, (), "b"),
        (SOURCES, (saved("a"),), "a"),
        (SOURCES, (saved("gone"),), "b"),
        (SOURCES, (saved(["a"]), {"templating": None}), "b"),
        ([*SOURCES, PROMETHEUS], (), "iris-prometheus"),
        (SOURCES[:2], (), "a"),
        (SOURCES[:1], (), None),
        ([], (), None),
    ],
)
def test_the_data_source_that_the_dashboards_open_with(
    sources: list[Board], boards: tuple[Board, ...], uid: str | None
) -> None:
    source = chosen(sources, boards)
    assert (None if source is None else source["uid"]) == uid


def test_every_finding_of_grafana_is_tried_here() -> None:
    tried = {each for _, ids, _ in CASES.values() for each in ids}
    on_the_way = {name for name in FINDINGS if name.startswith("grafana_tls")} | {
        *("grafana_unreachable", "grafana_dns", "grafana_timeout"),
    }
    as_for_the_endpoint = {"grafana_connect_timeout", "grafana_proxy", "grafana_client_certificate", "grafana_failed"}
    assert {name for name in FINDINGS if name.startswith("grafana_")} == tried | on_the_way | as_for_the_endpoint
