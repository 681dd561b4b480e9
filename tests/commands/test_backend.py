"""The command, as a process."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from iris_exporter import cli
from iris_exporter.backend.faults import KINDS
from iris_exporter.backend.service import Service
from tests.http.test_tls import Place
from tests.transports.support import serve
from tests.waiting import BUSY

COMMAND = (sys.executable, "-W", "error", "-m", "iris_exporter", "backend")


@asynccontextmanager
async def started(*options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(*options: str) -> tuple[int | None, str, str]:
    async with started(*options) as process:
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()


async def address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    match = re.search(r"http://\S+:\d+", line)
    assert match, line
    return match[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_closes_streams_with_a_goodbye_and_exits_0(number: signal.Signals) -> None:
    async with (
        started("--web.listen-address=127.0.0.1:0", "--rate=50", "--seed=7", "--log.level=debug") as process,
        aiohttp.ClientSession() as http,
    ):
        url = await address(process)
        async with http.ws_connect(url + "/api/stream/events") as socket:
            assert json.loads((await socket.receive(5)).data)["type"] == "event"
            process.send_signal(number)
            while (await socket.receive(5)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert socket.close_code == 1001
        async with asyncio.timeout(5 * BUSY):
            out, err = await process.communicate()
        assert process.returncode == 0
        assert "/api/stream, .../overview" in out.decode()
        assert "Traceback" not in err.decode()


@pytest.mark.parametrize("key_in_url", [True, False])
async def test_keys_and_tickets_are_never_written(key_in_url: bool, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("very-secret-key")
    options = ["--web.listen-address=127.0.0.1:0", f"--api-key-file={tmp_path / 'key'}", "--log.level=debug"]
    options += ["--allow-key-in-url"] if key_in_url else []
    async with started(*options) as process, aiohttp.ClientSession() as http:
        url = await address(process)
        async with http.get(url + "/api/overview?api_key=very-secret-key") as response:
            assert response.status == (200 if key_in_url else 401)
        async with http.get(url + "/api/stream/events?api_key=very-secret-key-but-wrong") as response:
            assert response.status == 401
        async with http.post(url + "/api/ticket", headers={"Authorization": "Bearer very-secret-key"}) as response:
            ticket = (await response.json())["ticket"]
        async with http.get(f"{url}/api/stream/overview?ticket={ticket}") as response:
            assert response.status == 200
            await response.content.readline()
        async with http.get(f"{url}/api/stream/overview?ticket={ticket}") as response:
            assert response.status == 401
        process.terminate()
        out, err = await process.communicate()
        assert b"very-secret-key" not in out + err
        assert ticket.encode() not in out + err


async def test_pages_of_all_origins_named_may_read() -> None:
    origins = ["https://a.example.com", "http://localhost:5173"]
    options = [f"--web.cors.origin={origin}" for origin in origins]
    async with started("--web.listen-address=127.0.0.1:0", *options) as process, aiohttp.ClientSession() as http:
        url = await address(process)
        for origin in origins:
            async with http.get(url + "/api/overview", headers={"Origin": origin}) as response:
                assert response.headers["Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--web.listen-address=nowhere"], "--web.listen-address"),
        (["--web.listen-address=127.0.0.1:99999"], "--web.listen-address"),
        (["--rate=fast"], "--rate"),
        (["--rate=-1"], "--rate"),
        (["--rate=nan"], "--rate"),
        (["--seed=x"], "--seed"),
        (["--fault=nonsense"], "nonsense"),
        (["--fault=drop"], "drop=SECONDS"),
        (["--api-key-file=/nowhere/key"], "--api-key-file"),
        (["--web.cors.origin=http://a", "--web.cors.origin=*"], "--web.cors.origin"),
        (["--web.cors.origin=https://a.example.com/"], "--web.cors.origin"),
        (["--source="], "--source"),
        (["--source=iris.example.com"], "the scheme is missing"),
        (["--source=http://user:secret@iris"], "no user or password in it"),
        (["--source=http://iris", "--seed=1"], "--seed: got '1', expected no such flag beside --source"),
        (["--source=http://iris", "--rate=1"], "--rate: got '1', expected no such flag beside --source"),
        (["--source=http://iris", "--source.poll-interval=5"], "--source.poll-interval: got '5'"),
        (["--source=http://iris", "--source.api-key-file=/nowhere/key"], "--source.api-key-file"),
        (["--source=http://iris", "--state.dir=/etc/passwd"], "this is a file"),
        (["--source=http://iris", "--state.dir=/proc/nothing", "--web.listen-address=127.0.0.1:0"], "--state.dir"),
        (["--source=http://iris", "--source.headers=Authorization Basic"], "--source.headers: got something without"),
        (["--source=http://iris", "--source.headers-file=/nowhere/headers"], "--source.headers-file"),
        (["--source=http://iris", "--source.tls-ca-file=/nowhere/ca"], "--source.tls-ca-file"),
        (["--source=http://iris", "--source.tls-ca-file=/etc/hostname"], "--source.tls-ca-file"),
        (["--source=http://iris", "--source.tls-key-file=/etc/hostname"], "--source.tls-key-file"),
        (["--source=http://iris", "--source.tls-insecure-skip-verify=yes"], "--source.tls-insecure-skip-verify"),
        (["--source=http://iris", "--source.proxy=http://p"], "--source.proxy"),
        (["--source=http://iris", "--source.headers=A: 1", "--source.headers=a: 2"], "each name once"),
        (["--source.headers=A: 1"], "only beside --source"),
        (["--state.dir=/tmp"], "only beside --source"),
        (["--source.poll-interval=5s"], "only beside --source"),
    ],
)
def test_bad_input_is_a_clear_line_and_exit_2(
    options: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["backend", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "iris-exporter: the configuration cannot be used:"
    assert len(err.splitlines()) == 2
    assert named in err


@pytest.mark.parametrize("source", [(), ("--source=http://iris", "--source.headers=authorization: other-secret")])
def test_the_value_of_a_header_is_in_no_error(source: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["backend", *source, "--source.headers=Authorization: Basic very-secret"]) == 2
    err = capsys.readouterr().err
    assert "--source.headers" in err
    assert "secret" not in err


async def test_a_relay_reaches_a_source_behind_tls_that_wants_a_certificate_and_a_header(tmp_path: Path) -> None:
    place = Place(tmp_path)
    certificate, key = place.issue("client")
    (tmp_path / "headers").write_text("Authorization: Basic very-secret\n")
    asked: list[str | None] = []

    async def overview(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Authorization"))
        return web.json_response({"projects": [{"id": "a"}], "anomalies": [], "events": []})

    options = (
        f"--source.tls-ca-file={place.ca}",
        f"--source.tls-cert-file={certificate}",
        f"--source.tls-key-file={key}",
        "--source.tls-server-name=iris.internal",
        f"--source.headers-file={tmp_path / 'headers'}",
    )
    async with serve(overview, place.server("iris.internal", ask=True)) as source:
        for given, status in ((options, 200), (options[:1], 503)):
            async with (
                started(f"--source={source.url}/api/overview", "--web.listen-address=127.0.0.1:0", *given) as relay,
                aiohttp.ClientSession() as http,
                http.get(await address(relay) + "/api/overview") as response,
            ):
                assert response.status == status
                relay.terminate()
                out, err = await relay.communicate()
                assert b"very-secret" not in out + err
    assert set(asked) == {"Basic very-secret"}


def test_all_that_is_wrong_is_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--rate=fast", "--seed=x", "--fault=nonsense", "--fault=drop", "--api-key-file=/none")
    assert cli.main(["backend", *options]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1 + 5


async def test_an_address_that_is_taken_is_one_line_and_exit_1() -> None:
    async with started("--web.listen-address=127.0.0.1:0") as process:
        taken = (await address(process)).removeprefix("http://")
        code, _, err = await ended(f"--web.listen-address={taken}")
        assert code == 1
        assert err.startswith(f"iris-exporter: cannot listen on {taken}: ")
        assert len(err.splitlines()) == 1


@pytest.mark.parametrize("command", [["backend"], ["demo", "--backend.listen-address=127.0.0.1:0"]])
def test_a_mistake_of_the_backend_ends_the_program_with_a_line_that_says_so(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def mistake(*_: object) -> None:
        raise ZeroDivisionError("made by a test")

    monkeypatch.setattr(Service, "tick", mistake)
    assert cli.main([*command, "--web.listen-address=127.0.0.1:0"]) == 1
    errors = capfd.readouterr().err
    assert "the backend has ended by a mistake of its own: ZeroDivisionError('made by a test')" in errors
    assert "Traceback" not in errors


def test_help_lists_all_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["backend", "--help-all"]) == 0
    out = capsys.readouterr().out
    assert [kind for kind in KINDS.values() if kind.usage not in out] == []


async def test_a_port_alone_is_all_interfaces() -> None:
    async with started("--web.listen-address=:0") as process:
        assert (await address(process)).startswith("http://0.0.0.0:")
