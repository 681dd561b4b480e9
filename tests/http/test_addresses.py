"""Addresses go out as they are written, and what is made of them keeps what they had."""

import asyncio

import pytest

from iris_exporter.core import negotiation
from iris_exporter.http.addresses import as_written
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.requester import Requester
from iris_exporter.http.session import open_session
from tests.settings import stream_settings
from tests.transports.support import client, serve_bytes

SIGNED = "/%28x%29/a/../b//c;v=1?sig=a%2Fb%2Bc%3D%3D&e=a%40b&t=1+2&low=%2f&$filter=(x)"


class Lines:
    """A server that notes the lines of requests and answers all of them with `answer`."""

    def __init__(self, answer: str = "404 Not Found\r\n") -> None:
        self.lines: list[str] = []
        self.answer = answer

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.lines.append(head.split("\r\n")[0].split(" ")[1])
            writer.write(f"HTTP/1.1 {self.answer}Content-Length: 0\r\n\r\n".encode())


@pytest.mark.parametrize("protocol", ["sse", "websocket", "poll", "auto"])
async def test_an_address_is_requested_as_it_is_written(protocol: str) -> None:
    server = Lines()
    async with (
        serve_bytes(server.handle) as port,
        client(f"http://127.0.0.1:{port}{SIGNED}", protocol=protocol) as made,
    ):
        await (made.polled() if protocol == "poll" else made.outcome())
    assert set(server.lines) == {SIGNED}


@pytest.mark.parametrize("protocol", ["sse", "websocket", "poll"])
@pytest.mark.parametrize("proxied", [False, True])
async def test_a_question_mark_that_nothing_follows_is_requested_too(
    protocol: str, proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Lines()
    async with serve_bytes(server.handle) as port:
        origin = f"http://127.0.0.1:{port}"
        if proxied:
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)
            monkeypatch.setenv("http_proxy", origin)
            origin = "http://source.invalid"
        async with client(f"{origin}/api/s%28?", protocol=protocol) as made:
            await (made.polled() if protocol == "poll" else made.outcome())
    assert server.lines == [f"{origin if proxied else ''}/api/s%28?"]


@pytest.mark.parametrize("scheme", ["ws", "WS"])
async def test_a_websocket_address_is_requested_as_it_is_written(scheme: str) -> None:
    server = Lines()
    async with serve_bytes(server.handle) as port, client(f"{scheme}://127.0.0.1:{port}{SIGNED}") as made:
        await made.outcome()
    assert server.lines == [SIGNED]


@pytest.mark.parametrize("protocol", ["sse", "websocket", "poll"])
async def test_where_a_redirect_leads_is_requested_as_it_is_written(protocol: str) -> None:
    target = "/%28y%29?sig=a%2Fb%2Bc%3D%3D&e=a%40b"
    server = Lines(f"302 Found\r\nLocation: {target}\r\n")
    async with serve_bytes(server.handle) as port, client(f"http://127.0.0.1:{port}/s", protocol=protocol) as made:
        await (made.polled() if protocol == "poll" else made.outcome())
    assert server.lines == ["/s", target]


async def test_what_a_plain_proxy_is_asked_for_is_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Lines()
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with serve_bytes(server.handle) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        async with client(f"http://source.invalid{SIGNED}", protocol="sse") as made:
            await made.outcome()
    assert server.lines == [f"http://source.invalid{SIGNED}"]


async def test_discovery_and_pushes_are_requested_as_they_are_written() -> None:
    server = Lines()
    settings = stream_settings(url="http://127.0.0.1:1/")
    async with serve_bytes(server.handle) as port, open_session() as session:
        requester = Requester(settings, session, Credentials(settings))
        (await requester.send("POST", f"http://127.0.0.1:{port}{SIGNED}", {}, data=b"x")).release()
    assert server.lines == [SIGNED]


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://h/a b?c d=\u00e4", "http://h/a%20b?c%20d=%C3%A4"),
        ("http://h/100%?x=%zz&y=%41", "http://h/100%25?x=%25zz&y=%41"),
        ("http://b\u00fccher.example/%28x%29?e=a%40b", "http://xn--bcher-kva.example/%28x%29?e=a%40b"),
        ("http://H.Example:8080", "http://h.example:8080"),
        ("http://[::1]:8080/%28", "http://[::1]:8080/%28"),
        ("http://h?", "http://h/?"),
        ("http://me@h/p?#part", "http://me@h/p?"),
        ("http://h/p#part?", "http://h/p#part?"),
        ("http://h/p??", "http://h/p??"),
        ('http://h/{x}?q="1"|<2>', "http://h/%7Bx%7D?q=%221%22%7C%3C2%3E"),
    ],
)
def test_what_no_url_can_have_is_escaped_and_nothing_else(url: str, sent: str) -> None:
    assert str(as_written(url)) == sent


def test_a_user_in_an_address_becomes_a_header() -> None:
    url = as_written("http://me:p%40ss@h:1/%28x%29")
    assert (url.user, url.password, url.raw_path) == ("me", "p@ss", "/%28x%29")


@pytest.mark.parametrize("url", ["wss://h/x?", "https://h/x?a=b#", "WSS://h/x"])
def test_another_scheme_changes_nothing_else(url: str) -> None:
    assert negotiation.as_http(url) == "https" + url[url.index(":") :]
