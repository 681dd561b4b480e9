"""Following over TLS, with passwords, at the rate limit, and with clients that take nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from iris_exporter.instruments import catalog
from iris_exporter.web.rate_limits import Timeouts
from tests.fakes import FakeClock
from tests.waiting import BUSY
from tests.web.http_servers import RunningServer, http_server, until
from tests.web.test_follow import PATH, arrive, event, following, left, main
from tests.web.test_http_server import ALICE, TLS, USERS, Shop, basic

PASSWORD = ALICE["Authorization"]
LARGE = "x" * 20_000


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@asynccontextmanager
async def served(shop: Shop, text: str, **settings: object) -> AsyncIterator[RunningServer]:
    async with http_server(shop.write(text), clock=FakeClock(), **settings) as running:  # type: ignore[arg-type]
        yield running


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("users", [False, True])
async def test_a_client_goes_on_over_tls_and_with_a_password_as_without(shop: Shop, secure: bool, users: bool) -> None:
    """Events, a state, and the position to go on from are the same."""
    tls = shop.client() if secure else None
    headers = {"Authorization": PASSWORD} if users else {}
    async with served(shop, (TLS % "" if secure else "") + (USERS if users else "") or "{}\n") as running:
        async with following(running, "?stream=main", tls, **headers) as reader:
            assert (await reader.message())[0] == "snapshot"
            arrive(running, event("1"))
            assert (await reader.message())[1]["id"] == "1"
            main(running).disconnect()
            main(running).follower.state_changed("main")  # type: ignore[union-attr]
            assert (await reader.message())[1]["state"] == "disconnected"
        await left(running)
        arrive(running, event("2"))
        async with following(running, "", tls, Last_Event_ID=reader.last_id, **headers) as again:
            assert (await again.message())[1]["resumed"] == "full"
            assert (await again.message())[1]["id"] == "2"


@pytest.mark.parametrize("secure", [False, True])
async def test_without_the_right_password_nothing_is_followed(shop: Shop, secure: bool) -> None:
    tls = shop.client() if secure else None
    async with served(shop, (TLS % "" if secure else "") + USERS) as running:
        for headers in ({}, basic("alice", "wrong"), basic("bob", "open sesame")):
            for method in ("GET", "HEAD"):
                answer = await running.ask(PATH, method, tls=tls, headers=headers)
                assert (answer.status, answer.headers["WWW-Authenticate"][:5]) == (401, "Basic")
        assert main(running).follower is None
        assert running.metrics.shown(catalog.FOLLOW_CLIENTS) == 0


async def test_a_client_certificate_is_asked_for_first(shop: Shop) -> None:
    text = TLS % ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt"
    async with served(shop, text) as running:
        with pytest.raises((OSError, aiohttp.ClientError)):
            await running.ask(PATH, tls=shop.client())
        assert main(running).follower is None
        async with following(running, "", shop.client("a.example.com")) as reader:
            assert (await reader.message())[0] == "snapshot"


async def test_a_renewed_certificate_makes_followers_connect_anew_and_go_on(shop: Shop) -> None:
    async with served(shop, TLS % "") as running:
        async with following(running, "", shop.client()) as reader:
            await reader.message()
            arrive(running, event("1"))
            await reader.message()
            serial = shop.rotate()
            await running.later()
            assert await reader.ended()
        await left(running)
        assert await shop.seen_serial(running) == serial
        async with following(running, "", shop.client(), Last_Event_ID=reader.last_id) as again:
            assert (await again.message())[1]["resumed"] == "full"


async def test_the_rate_limit_is_for_connecting_and_leaves_those_who_follow_alone(shop: Shop) -> None:
    """Whoever is refused is told when to come back, and misses nothing by that."""
    async with served(shop, "rate_limit: {interval: 10s, burst: 2}\n") as running, following(running) as reader:
        await reader.message()
        async with following(running) as other:
            await other.message()
        refused = await running.ask(PATH)
        assert (refused.status, refused.headers["Retry-After"]) == (429, "10")
        refusals = running.metrics.shown(catalog.REQUESTS_REFUSED)
        assert isinstance(refusals, dict)
        assert refusals["rate_limited"] == 1
        for number in range(30):
            arrive(running, event(str(number)))
            assert (await reader.message())[1]["id"] == str(number)
        assert (await running.ask(PATH)).status == 429
        await running.later(10)
        async with following(running, Last_Event_ID=other.last_id) as again:
            _, snapshot = await again.message()
            assert (snapshot["resumed"], snapshot["missed"]) == ("full", 0)
            assert [(await again.message())[1]["id"] for _ in range(30)] == [str(number) for number in range(30)]


def swept(running: RunningServer) -> dict[str, float]:
    """Why connections were cut, once the server has looked at all of them."""
    assert isinstance(running.clock, FakeClock)
    running.clock.now += 1
    running.tick()
    cut = running.metrics.shown(catalog.CONNECTIONS_CUT)
    assert isinstance(cut, dict)
    return cut


@pytest.mark.parametrize("secure", [False, True])
async def test_a_client_that_takes_nothing_is_cut_and_leaves_nothing_behind(shop: Shop, secure: bool) -> None:
    """Others get everything meanwhile; its place is free again."""
    tls = shop.client() if secure else None
    text = TLS % "" if secure else "{}\n"
    async with served(shop, text, timeouts=Timeouts(stall_seconds=0.6)) as running:
        reader, writer = await running.dial(tls)
        writer.write(f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        await reader.readuntil(b"event: snapshot")
        async with following(running, "", tls) as quick:
            await quick.message()
            for number in range(2000):  # more than the buffers of the system take
                arrive(running, event(str(number), message=LARGE))
                kind, data = await quick.message()
                assert (kind, data["id"]) == ("event", str(number))
            assert running.metrics.shown(catalog.FOLLOW_CLIENTS) == 2
            await until(lambda: swept(running)["stalled"] == 1)
            await until(lambda: swept(running) and running.metrics.shown(catalog.FOLLOW_CLIENTS) == 1)
            arrive(running, event("last"))
            while (message := await quick.message())[0] != "event":
                pass
            assert message[1]["id"] == "last"
        writer.close()


async def test_many_slow_clients_share_one_buffer(shop: Shop) -> None:
    """What waits for each of them is what its socket has not taken, and no copy of the events."""
    async with served(shop, "{}\n") as running:
        slow = [await running.dial() for _ in range(8)]
        for reader, writer in slow:
            writer.write(f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            await reader.readuntil(b"event: snapshot")
        async with following(running) as quick:
            await quick.message()
            for number in range(1500):
                arrive(running, event(str(number), message=LARGE))
                await quick.message()
        for reader, writer in slow:
            async with asyncio.timeout(20 * BUSY):
                while not (await reader.readline()).startswith(b"event: lost"):
                    pass
            writer.close()
        assert running.metrics.shown(catalog.FOLLOW_DROPPED) > 0
