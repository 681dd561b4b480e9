"""The fault proxy itself: each fault does to a plain TCP exchange what it says."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.proxy import MAX_LINKS, FaultProxy, Faults, without_end_of_gzip
from tests.waiting import BUSY, until


@asynccontextmanager
async def echo() -> AsyncIterator[FaultProxy]:
    """A proxy in front of a server that sends back what it gets."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(1000):
            writer.write(piece)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    server.close()
    await until(lambda: len(asyncio.all_tasks()) == 1)


async def dial(proxy: FaultProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def say(proxy: FaultProxy, text: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await dial(proxy)
    writer.write(text)
    return reader, writer


async def is_quiet(reader: asyncio.StreamReader) -> bool:
    """Whether nothing comes for so long that an echo would have come many times over."""
    try:
        async with asyncio.timeout(0.1):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


async def test_without_a_fault_bytes_pass_and_the_end_passes_too() -> None:
    async with echo() as proxy:
        reader, writer = await say(proxy, b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        assert await reader.read() == b""
        await until(lambda: proxy.open_links == 0)
        assert proxy.accepted == 1


async def test_refuse_closes_the_listener_and_cuts_what_is_open() -> None:
    async with echo() as proxy:
        reader, writer = await say(proxy, b"hello")
        await reader.readexactly(5)
        port = proxy.port
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await dial(proxy)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await proxy.lift()
        assert proxy.port == port
        reader, second = await say(proxy, b"again")
        assert await reader.readexactly(5) == b"again"
        writer.close()
        second.close()


async def test_hang_accepts_and_never_answers() -> None:
    async with echo() as proxy:
        proxy.set(Faults(hang=True))
        reader, writer = await say(proxy, b"hello")
        assert await is_quiet(reader)
        await proxy.lift()
        assert await is_quiet(reader), "what hung once was forgotten for good"
        writer.close()


async def test_half_open_keeps_the_socket_and_passes_nothing() -> None:
    async with echo() as proxy:
        reader, writer = await say(proxy, b"hello")
        await reader.readexactly(5)
        proxy.half_open()
        writer.write(b"anybody there?")
        assert await is_quiet(reader)
        assert proxy.open_links == 1
        fresh, second = await say(proxy, b"hello")
        assert await fresh.readexactly(5) == b"hello", "new connections are fine"
        writer.close()
        second.close()


@pytest.mark.parametrize(("field", "ends_with"), [("reset_after", ConnectionResetError), ("end_after", None)])
async def test_an_answer_is_cut_after_so_many_bytes(field: str, ends_with: type[Exception] | None) -> None:
    async with echo() as proxy:
        reader, writer = await say(proxy, b"before")
        await reader.readexactly(6)
        proxy.set(Faults(**{field: 3}))
        writer.write(b"hello")
        got = b""
        try:
            while piece := await reader.read(1):
                got += piece
            ended = None
        except ConnectionResetError:
            ended = ConnectionResetError
        assert ended is ends_with
        assert got == b"hel"[: len(got)]
        assert ends_with is not None or got == b"hel", "an orderly end loses nothing; a reset may"
        writer.close()


async def test_drip_gives_one_byte_at_a_time() -> None:
    async with echo() as proxy:
        proxy.set(Faults(drip=True))
        reader, writer = await say(proxy, b"hello")
        sizes = []
        while sum(sizes) < 5:
            sizes.append(len(await reader.read(1000)))
        assert sizes == [1] * 5
        writer.close()


async def test_a_delay_keeps_the_order() -> None:
    async with echo() as proxy:
        proxy.set(Faults(delay_seconds=0.05))
        loop = asyncio.get_running_loop()
        began = loop.time()
        reader, writer = await say(proxy, b"hello")
        writer.write(b" world")
        assert await reader.readexactly(11) == b"hello world"
        assert loop.time() - began >= 0.1, "each way is late"
        writer.close()


async def test_swap_answers_the_second_connection_before_the_first() -> None:
    async with echo() as proxy:
        proxy.set(Faults(swap=True))
        first, one = await say(proxy, b"first")
        assert await is_quiet(first)
        second, two = await say(proxy, b"second")
        assert await second.readexactly(6) == b"second"
        assert await first.readexactly(5) == b"first"
        one.close()
        two.close()


async def test_flap_comes_and_goes() -> None:
    async with echo() as proxy:
        await proxy.flap(lambda: 0.02, lambda: 0.02)
        outcomes: list[bool] = []

        async def look() -> None:
            while outcomes.count(True) < 2 or outcomes.count(False) < 2:
                try:
                    _, writer = await dial(proxy)
                    up = True
                    writer.close()
                except OSError:
                    up = False
                if outcomes[-1:] != [up]:
                    outcomes.append(up)
                await asyncio.sleep(0.001)

        await asyncio.wait_for(look(), 5 * BUSY)
        await proxy.lift()
        reader, writer = await say(proxy, b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()


async def test_the_number_of_connections_is_bounded() -> None:
    async with echo() as proxy:
        proxy.set(Faults(hang=True))
        writers = [(await dial(proxy))[1] for _ in range(MAX_LINKS + 3)]
        await until(lambda: proxy.accepted == MAX_LINKS + 3)
        assert proxy.open_links == MAX_LINKS
        for writer in writers:
            writer.close()


def test_a_compressed_answer_loses_its_end_and_stays_well_framed() -> None:
    body = gzip.compress(b"telemetry " * 100)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    whole = head % len(body) + body
    assert without_end_of_gzip(whole, 5) == head % (len(body) - 5) + body[:-5]
    assert without_end_of_gzip(whole[:-1], 5) is None
    plain = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    assert without_end_of_gzip(plain, 5) == plain
