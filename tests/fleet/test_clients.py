"""What is asked besides streams (an http_sd endpoint, Grafana Live, the Kubernetes API): credentials and proxies."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from iris_exporter import config
from iris_exporter.clock import SystemClock
from iris_exporter.commands.checks import FILE_CHECKS
from iris_exporter.errors import ConfigError
from iris_exporter.fleet.discovery.http import HttpDiscovery
from iris_exporter.fleet.kubernetes import Access, Kubernetes, KubernetesError
from iris_exporter.grafana.live import LivePush
from iris_exporter.http.session import open_session
from iris_exporter.instruments import catalog
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.settings import Settings
from tests.fleet.test_discovery import Reported, running
from tests.http.test_tls import Place
from tests.transports.support import Server, serve, serve_proxy
from tests.waiting import until
from tests.web.config.certificates import Authority

CLIENTS = ["discovery.http-", "live."]
KEY = {"discovery.http-": "api-key-file", "live.": "token-file"}


def settings_of(prefix: str, url: str, **options: object) -> Settings:
    """`options` follow the prefix of their names."""
    flags = {f"{prefix}{name.replace('_', '-')}": value for name, value in options.items()}
    return config.load({"stream.url": "http://h/x", f"{prefix}url": url, **flags}, {}, FILE_CHECKS)


async def answer(request: web.Request) -> web.Response:
    return web.json_response([{"targets": ["h:8080"]}])


class Asking:
    """One client; `ask` makes one request and says whether it was answered."""

    def __init__(self, prefix: str, settings: Settings, session: aiohttp.ClientSession) -> None:
        self.reported, self.counts = Reported(), SelfMetrics("1", "r", "3")
        if prefix == "live.":
            self._live = LivePush(settings.live, session, dict, self.counts, SystemClock())
        self._discovery = replace(settings.discovery, http_interval_seconds=60.0)
        self._session, self._prefix = session, prefix

    async def ask(self) -> bool:
        if self._prefix == "live.":
            return await self._live._push(["a b=1i 1"])
        self.reported = Reported()
        source = HttpDiscovery(self._discovery, self.reported.metrics, SystemClock(), self.reported, self._session)
        async with running(source.run()):
            await until(lambda: bool(self.reported.lists or self.reported.failures))
        return bool(self.reported.lists)


@asynccontextmanager
async def asking(prefix: str, url: str, **options: object) -> AsyncIterator[Asking]:
    async with open_session() as session:
        yield Asking(prefix, settings_of(prefix, url, **options), session)


@pytest.mark.parametrize("prefix", CLIENTS)
async def test_key_and_headers_are_sent_and_read_again_when_their_files_change(prefix: str, tmp_path: Path) -> None:
    key, headers = tmp_path / "key", tmp_path / "headers"
    key.write_text("s3cret-1\n")
    headers.write_text("X-File: one\n")
    options: dict[str, object] = {KEY[prefix].replace("-", "_"): str(key), "headers_file": str(headers)}
    async with serve(answer) as server, asking(prefix, server.url, headers=["X-Tenant: a"], **options) as client:
        assert await client.ask()
        key.write_text("\ns3cret-2 \n\n")
        headers.write_text("X-File: two\n")
        assert await client.ask()
        assert server.sent("Authorization") == ["Bearer s3cret-1", "Bearer s3cret-2"]
        assert server.sent("X-File") == ["one", "two"]
        assert server.sent("X-Tenant") == ["a", "a"]
        key.write_text("two words")
        assert not await client.ask()
        key.unlink()
        assert not await client.ask()
        assert len(server.requests) == 2


@pytest.mark.parametrize("prefix", CLIENTS)
async def test_a_password_stands_in_the_file_of_headers(prefix: str, tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("Authorization: Basic bWU6d29yZA==\n")
    async with serve(answer) as server, asking(prefix, server.url, headers_file=str(file)) as client:
        assert await client.ask()
        assert server.sent("Authorization") == ["Basic bWU6d29yZA=="]


@pytest.mark.parametrize("prefix", CLIENTS)
async def test_certificates_are_those_of_the_options_and_read_again(prefix: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    certificate, key = place.issue("ours", "us")
    ours: dict[str, object] = {"tls_cert_file": str(certificate), "tls_key_file": str(key)}
    async with serve(answer, place.server("iris.internal", ask=True)) as server:
        for options, answered in (
            ({}, False),
            ({"tls_ca_file": str(place.ca), **ours}, False),
            ({"tls_ca_file": str(place.ca), "tls_server_name": "iris.internal"}, False),
            ({"tls_ca_file": str(place.ca), "tls_server_name": "iris.internal", **ours}, True),
            ({"tls_insecure_skip_verify": "true", **ours}, True),
        ):
            async with asking(prefix, server.url, **options) as client:
                assert await client.ask() is answered, options


@pytest.mark.parametrize("prefix", CLIENTS)
async def test_an_authority_that_has_changed_is_trusted_without_a_restart(prefix: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    context = place.server()
    async with serve(answer, context) as server, asking(prefix, server.url, tls_ca_file=str(place.ca)) as client:
        assert await client.ask()
        place.ca.write_text(Authority().pem)
        assert not await client.ask()


async def test_a_redirect_of_an_endpoint_is_followed_and_takes_no_key_elsewhere(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret-1\n")
    async with serve(answer) as other:

        async def lead(request: web.Request) -> web.Response:
            where = "/new" if request.path == "/old" else other.url + "/x"
            return web.Response(status=302, headers={"Location": where})

        async with (
            serve(lead) as home,
            asking("discovery.http-", home.url + "/old", api_key_file=str(key)) as client,
        ):
            assert await client.ask()
            assert home.sent("Authorization") == ["Bearer s3cret-1"] * 2
            assert other.sent("Authorization") == [None]


async def test_a_push_follows_no_redirect_and_keeps_the_query_of_its_address() -> None:
    async def lead(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with serve(lead) as server, asking("live.", f"{server.url}/grafana/?org=7") as client:
        assert not await client.ask()
        assert [request.path_qs for request in server.requests] == ["/grafana/api/live/push/iris?org=7"]
        assert client.counts.shown(catalog.LIVE_DROPPED) == 1


Made = Callable[[Server, aiohttp.ClientSession], Any]


async def ask_kubernetes(server: Server, session: aiohttp.ClientSession) -> None:
    assert await Kubernetes(Access(server.url, "ops", None, None), session).get("/api/v1") == {}


async def watch_kubernetes(server: Server, session: aiohttp.ClientSession) -> None:
    async for _ in Kubernetes(Access(server.url, "ops", None, None), session).watch("/api/v1", "1"):
        pass


async def ask_endpoint(server: Server, session: aiohttp.ClientSession) -> None:
    assert await Asking("discovery.http-", settings_of("discovery.http-", server.url + "/sd"), session).ask()


async def push(server: Server, session: aiohttp.ClientSession) -> None:
    assert await Asking("live.", settings_of("live.", server.url), session).ask()


@pytest.mark.parametrize("made", [ask_kubernetes, watch_kubernetes, ask_endpoint, push])
async def test_every_request_goes_through_the_proxy_of_the_environment(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fitting(request: web.Request) -> web.Response:
        if "watch" in request.query:
            return web.Response(text="{}\n")
        return web.json_response({} if request.path == "/api/v1" else [])

    async with serve(fitting) as server, serve_proxy() as proxy, open_session() as session:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:s3cret-word@127.0.0.1:{proxy.port}")
        await made(server, session)
        (head,) = proxy.heads
        assert f" {server.url}/" in head.splitlines()[0]
        assert "Proxy-Authorization: Basic bWU6czNjcmV0LXdvcmQ=\r\n" in head
        for exceptions in ("localhost 127.0.0.1", "localhost, 127.0.0.0/8", f"127.0.0.1:{server.port}", "*"):
            monkeypatch.setenv("NO_PROXY", exceptions)
            await made(server, session)
        assert len(proxy.heads) == 1


@pytest.mark.parametrize("prefix", CLIENTS)
async def test_a_proxy_can_be_left_out(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with serve(answer) as server:
        async with asking(prefix, server.url) as client:
            assert not await client.ask()
        async with asking(prefix, server.url, proxy="none") as client:
            assert await client.ask()


async def test_a_variable_that_is_no_proxy_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks5://me:s3cret-word@p")
    async with open_session() as session:
        with pytest.raises(KubernetesError, match="proxy: HTTP_PROXY is not the URL of an HTTP proxy") as error:
            await Kubernetes(Access("http://h", "ops", None, None), session).get("/api/v1")
    assert "s3cret" not in str(error.value)


def test_what_does_not_belong_together_is_refused_at_the_start(tmp_path: Path) -> None:
    place = Place(tmp_path)
    certificate, key = place.issue("ours", "us")
    other = tmp_path / "other.key"
    place.issue("other", "them")
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    for prefix in CLIENTS:
        wrong: list[dict[str, object]] = [
            {"headers": ["X-A: 1", "x-a: 2"]},
            {"headers": ["Authorization: Basic x"], KEY[prefix].replace("-", "_"): str(secret)},
            {"headers": ["Host: a"]},
            {"tls_key_file": str(key)},
            {"tls_ca_file": str(secret)},
            {"tls_cert_file": str(certificate), "tls_key_file": str(other)},
            {"proxy": "http://p"},
        ]
        for options in wrong:
            with pytest.raises(ConfigError, match=prefix.replace(".", r"\.")):
                settings_of(prefix, "http://h/", **options)
    authorities = {"fleet.kubernetes-url": "http://k", "fleet.kubernetes-ca-file": str(secret)}
    with pytest.raises(ConfigError, match="certificates"):
        config.load({"stream.url": "http://h/x", **authorities}, {}, FILE_CHECKS)


def test_no_secret_of_a_client_is_shown(tmp_path: Path) -> None:
    settings = settings_of("live.", "http://g/?token=s3cret-query", headers=["X-A: s3cret-header"])
    discovery = settings_of("discovery.http-", "http://g/?token=s3cret-query", headers=["X-A: s3cret-header"])
    for each in (settings, discovery):
        assert "s3cret" not in config.dump(each) + repr(each)
