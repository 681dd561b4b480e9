"""Redirects, headers and proxies on real sockets: who gets the key, and who never does."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from iris_exporter.core.failures import Failure
from tests.transports.support import Handler, client, reason, serve, serve_proxy, stream_or_socket

PROTOCOLS = ["sse", "websocket", "poll"]


def redirect(location: str, status: int = 302) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": location})

    return handle


async def ask(url: str, protocol: str, **settings: object) -> object:
    async with client(url, protocol=protocol, **settings) as made:
        return await (made.polled() if protocol == "poll" else made.outcome())


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text("s3cret-key\n")
    return file


def authenticated(key: Path) -> dict[str, object]:
    return {"api_key_file": key, "headers": (("X-Tenant", "s3cret-tenant"),)}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_within_the_origin_is_followed_with_the_key(protocol: str, status: int, key: Path) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/old":
            return web.Response(status=status, headers={"Location": "/new?x=1"})
        return await stream_or_socket(request)

    async with serve(handle) as server:
        outcome = await ask(server.url + "/old", protocol, **authenticated(key))
        assert outcome == (b"{}" if protocol == "poll" else protocol)
        assert [request.path_qs for request in server.requests] == ["/old", "/new?x=1"]
        assert server.sent("Authorization") == ["Bearer s3cret-key"] * 2
        assert server.sent("X-Tenant") == ["s3cret-tenant"] * 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_another_origin_gets_the_request_and_no_credentials(protocol: str, key: Path) -> None:
    async with serve(stream_or_socket) as other, serve(redirect(other.url + "/x")) as home:
        outcome = await ask(home.url + "/s", protocol, **authenticated(key))
        assert outcome == (b"{}" if protocol == "poll" else protocol)
        assert home.sent("Authorization") == ["Bearer s3cret-key"]
        assert other.sent("Authorization") == other.sent("X-Tenant") == [None]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_way_back_brings_no_credentials_back(protocol: str, key: Path) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/s":
            return await redirect(f"{other.url}/x")(request)
        return await stream_or_socket(request)

    async with serve(handle) as home, serve(redirect(home.url + "/back")) as other:
        await ask(home.url + "/s", protocol, **authenticated(key))
        assert home.sent("Authorization") == ["Bearer s3cret-key", None]
        assert home.sent("X-Tenant") == ["s3cret-tenant", None]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_another_origin_that_wants_the_key_is_a_failed_redirect(protocol: str, key: Path) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=401)

    async with serve(refuse) as other, serve(redirect(other.url + "/hidden?token=hidden")) as home:
        outcome = await ask(home.url + "/s", protocol, **authenticated(key))
        assert reason(outcome) == "redirect"
        assert other.url in str(outcome)
        assert "hidden" not in str(outcome)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_circles_and_long_chains_end(protocol: str) -> None:
    async def onward(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": f"/{int(request.path[1:]) + 1}"})

    async with serve(redirect("/s")) as server:
        assert reason(await ask(server.url + "/s", protocol)) == "redirect"
        assert len(server.requests) == 1
    async with serve(onward) as server:
        assert reason(await ask(server.url + "/0", protocol)) == "redirect"
        assert len(server.requests) == 6


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_nothing_is_remembered_of_a_redirect(protocol: str) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/s":
            return web.Response(status=308, headers={"Location": "/moved"})
        return await stream_or_socket(request)

    async with serve(handle) as server, client(server.url + "/s", protocol=protocol) as made:
        for _ in range(2):
            await (made.polled() if protocol == "poll" else made.outcome())
        assert [request.path for request in server.requests] == ["/s", "/moved"] * 2


async def test_a_redirect_leads_to_detection_as_any_answer_does() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/s":
            return web.Response(status=302, headers={"Location": "/moved"})
        return await stream_or_socket(request) if "Upgrade" in request.headers else web.Response(status=426)

    async with serve(handle) as server:
        assert await ask(server.url + "/s", "auto") == "websocket"


async def test_headers_of_a_file_go_over_those_of_the_options_and_are_read_each_time(tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("X-A: from-file-1\n")
    headers = (("x-a", "option-a"), ("X-B", "option-b"), ("User-Agent", "mine"))
    async with (
        serve(stream_or_socket) as server,
        client(server.url, protocol="sse", headers=headers, headers_file=file) as made,
    ):
        assert await made.outcome() == "sse"
        assert not await made.dialer.key_changed()
        file.write_text("X-A: from-file-2\n")
        assert await made.dialer.key_changed()
        assert await made.outcome() == "sse"
        assert server.sent("X-A") == ["from-file-1", "from-file-2"]
        assert server.sent("X-B") == ["option-b"] * 2
        assert server.sent("User-Agent") == ["mine"] * 2
        assert made.hidden == {"from-file-1", "from-file-2", "option-b"}
        file.write_text("X-A: from-file-3\r\nHost: hidden\n")
        outcome = await made.outcome()
        assert reason(outcome) == "credentials"
        assert "hidden" not in str(outcome)


@pytest.mark.parametrize(
    "content",
    [None, b"", b"\n", b"a b", b"a\r\nX-Admin: 1", b"\xff\xfe", b"x" * 9000],
    ids=lambda content: repr(content)[:20],
)
async def test_a_key_that_no_header_can_carry_is_not_sent(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    async with serve(stream_or_socket) as server:
        outcome = await ask(server.url, "sse", api_key_file=file)
        assert reason(outcome) == "credentials"
        assert server.requests == []


@pytest.fixture
def padded_key(key: Path) -> Path:
    key.write_text("  s3cret-key \r\n")
    return key


async def test_blanks_and_line_ends_around_a_key_are_not_part_of_it(padded_key: Path) -> None:
    async with serve(stream_or_socket) as server:
        assert await ask(server.url, "sse", api_key_file=padded_key) == "sse"
        assert server.sent("Authorization") == ["Bearer s3cret-key"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_netrc_is_never_read(protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with serve(stream_or_socket) as server, serve_proxy() as proxy:
        for variable in ("", f"http://127.0.0.1:{proxy.port}"):
            monkeypatch.setenv("HTTP_PROXY", variable)
            assert not isinstance(await ask(server.url + "/s", protocol), Failure)
        assert len(proxy.heads) == 1
        assert server.sent("Authorization") == [None, None]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
async def test_a_plain_request_goes_through_the_proxy_of_the_environment(
    protocol: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(stream_or_socket) as server, serve_proxy() as proxy:
        monkeypatch.setenv(variable, f"http://me:s3cret-word@127.0.0.1:{proxy.port}")
        async with client(server.url + "/s", protocol=protocol) as made:
            outcome = await (made.polled() if protocol == "poll" else made.outcome())
            assert outcome == (b"{}" if protocol == "poll" else protocol)
            assert made.hidden == {"s3cret-word", "bWU6czNjcmV0LXdvcmQ="}
        assert proxy.heads[0].startswith(f"GET {server.url}/s HTTP/1.1\r\n")
        assert "Proxy-Authorization: Basic bWU6czNjcmV0LXdvcmQ=\r\n" in proxy.heads[0]


@pytest.mark.parametrize("how", ["option", "NO_PROXY", "no_proxy"])
async def test_the_proxy_is_not_used_when_it_is_switched_off(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(stream_or_socket) as server, serve_proxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        if how != "option":
            monkeypatch.setenv(how, "localhost,127.0.0.0/8")
        assert await ask(server.url, "sse", proxy="none" if how == "option" else "environment") == "sse"
        assert proxy.heads == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "proxy_refused"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "proxy_refused"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "proxy"),
        (b"garbage\r\n\r\n", "protocol_error"),
    ],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_proxy_that_opens_no_tunnel_is_named(
    protocol: str, answer: bytes, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve_proxy() as proxy:
        proxy.refusal = answer
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:s3cret-word@127.0.0.1:{proxy.port}")
        outcome = await ask("https://iris.example.com/s?api_key=s3cret-query", protocol)
        assert reason(outcome) == expected
        assert "s3cret" not in str(outcome)
        assert proxy.heads[0].startswith("CONNECT iris.example.com:443 ")
        assert "Proxy-Authorization: Basic bWU6czNjcmV0LXdvcmQ=\r\n" in proxy.heads[0]
        assert "s3cret" not in proxy.heads[0]


async def test_a_proxy_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:s3cret-word@127.0.0.1:{port}")
    outcome = await ask("https://iris.example.com/s", "sse")
    assert outcome == Failure("proxy", "the HTTP proxy could not be reached")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://me:s3cret-word@127.0.0.1")
    assert await ask("https://iris.example.com/s", "sse") == Failure(
        "proxy", "HTTPS_PROXY is not the URL of an HTTP proxy"
    )


async def test_an_answer_of_the_proxy_to_a_plain_request_is_the_proxys(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve_proxy() as proxy:
        proxy.refusal = b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert reason(await ask("http://iris.example.com/s", "sse")) == "proxy_refused"
