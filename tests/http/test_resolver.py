"""Names are looked up without threads, and a silent resolver is a failure by itself."""

import asyncio
import socket
import threading

import aiohttp
import pytest

from iris_exporter.http.classify import failure_of
from iris_exporter.http.resolver import Resolver
from iris_exporter.http.session import open_session


async def test_a_resolver_that_never_answers() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        resolver = Resolver([f"127.0.0.1:{silent.getsockname()[1]}"], seconds=0.3)
        connector = aiohttp.TCPConnector(resolver=resolver)
        threads = threading.active_count()
        async with aiohttp.ClientSession(connector=connector) as session:

            async def fail(number: int) -> str:
                with pytest.raises(aiohttp.ClientError) as caught:
                    await session.get(f"http://h{number}.example/")
                return failure_of(caught.value).reason

            assert await asyncio.gather(*map(fail, range(20))) == ["dns"] * 20
        await resolver.close()
        assert threading.active_count() <= threads + 1


async def test_localhost_and_addresses() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, open_session() as session:
        for host in ("localhost", "127.0.0.1"):
            async with session.get(f"http://{host}:{port}/") as response:
                assert response.status == 204
