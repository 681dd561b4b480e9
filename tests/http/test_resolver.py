"""Names are looked up without threads, and a silent resolver is a failure by itself."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import aiohttp
import pytest

from iris_exporter.core.failures import Failure
from iris_exporter.http import session
from iris_exporter.http.classify import failure_of
from iris_exporter.http.resolver import Resolver, connect_timeout
from iris_exporter.http.session import open_session
from tests.transports.support import client


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sessions ask a name server that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr(session, "Resolver", lambda: Resolver([address]))
        yield


@pytest.mark.usefixtures("silent")
async def test_a_resolver_that_never_answers() -> None:
    threads = threading.active_count()
    async with open_session() as http:

        async def fail(number: int) -> str:
            with pytest.raises(aiohttp.ClientError) as caught:
                async with connect_timeout(2):
                    await http.get(f"http://h{number}.example/")
            return failure_of(caught.value).reason

        assert await asyncio.gather(*map(fail, range(20))) == ["dns"] * 20
    assert threading.active_count() <= threads + 1


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("protocol", ["sse", "websocket", "poll"])
async def test_a_look_up_ends_before_the_time_to_connect_however_short(protocol: str) -> None:
    async with client("http://h.example/", protocol=protocol, connect_timeout_seconds=2) as made:
        failure = await (made.polled() if protocol == "poll" else made.outcome())
    assert failure == Failure("dns", "cannot resolve h.example for the moment")


async def test_localhost_and_addresses() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, open_session() as http:
        for host in ("localhost", "127.0.0.1"):
            async with http.get(f"http://{host}:{port}/") as response:
                assert response.status == 204
