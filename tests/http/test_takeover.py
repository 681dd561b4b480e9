"""What becomes of a connection that could be taken over and is not."""

import asyncio

import pytest
from aiohttp import ClientResponse

from iris_exporter.http.session import open_session
from iris_exporter.http.takeover import TakeoverResponse, takeovers
from tests.transports.support import serve_bytes
from tests.waiting import until

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.mark.parametrize("ending", [TakeoverResponse.close, TakeoverResponse.release])
@pytest.mark.parametrize("held", [b"", b"data: 1\n\n"])
@pytest.mark.parametrize("ends_before", [False, True])
async def test_aiohttp_hears_the_end_of_a_connection_that_nobody_has_taken(
    ending: object, held: bytes, ends_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_to_end = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + held)
        if not ends_before:
            await asked_to_end.wait()

    async with serve_bytes(handle) as port, open_session() as session:
        with takeovers():
            response: ClientResponse = await session.get(f"http://127.0.0.1:{port}/")
        assert isinstance(response, TakeoverResponse)
        assert response.takeover is not None
        assert response.connection is not None
        protocol = response.connection.protocol
        assert protocol is not None
        takeover, heard = response.takeover, []
        connection_lost = protocol.connection_lost
        monkeypatch.setattr(protocol, "connection_lost", lambda exc: (heard.append(exc), connection_lost(exc)))
        await until(lambda: b"".join(takeover._held) == held and (takeover._has_ended or not ends_before))
        ending(response)  # type: ignore[operator]
        await until(lambda: len(heard) == 1)
        asked_to_end.set()
