"""What `--limits` promises (section 5 of the protocol), over real sockets, on a clock that stands still."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace

import aiohttp
import pytest

from iris_exporter.backend.access import NO_LIMITS, PROMISED_LIMITS
from tests.backend.clients import TIMEOUT_SECONDS, Bench, Ended, bench
from tests.backend.test_metrics import scraped
from tests.backend.test_subscriptions import FORMS, SOCKETS, subscribe
from tests.waiting import until

FEW_AT_ONCE = replace(PROMISED_LIMITS, connections_per_hour=None)
MESSAGES = 1000


async def pass_over(it: Bench, seconds: float) -> None:
    """Let time pass in one leap: what is due in between happens at the end of it."""
    it.clock.now += seconds
    await it.clock.advance(0.1)


async def refused(it: Bench, path: str) -> int:
    """Check that a stream is refused over SSE and WebSocket; the seconds after which to try again."""
    response, body = await it.get(path)
    error = json.loads(body)["error"]
    assert (response.status, error["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert response.headers["Retry-After"] == str(error["retryAfter"])
    with pytest.raises(aiohttp.WSServerHandshakeError) as handshake:
        await it.http.ws_connect(it.backend.url + path)
    assert handshake.value.status == 429
    assert handshake.value.headers is not None
    assert handshake.value.headers["Retry-After"] == response.headers["Retry-After"]
    return int(error["retryAfter"])


async def test_a_hundred_connections_an_hour() -> None:
    async with bench(limits=PROMISED_LIMITS) as it:
        await it.clock.advance(10.0)
        for number in range(100):
            channel = ("events", "overview", "telemetry")[number % 3]
            async with it.connect("websocket" if number % 2 else "sse", channel):
                pass
        it.clock.now += 600.0
        for path in ("/api/stream", "/api/stream/events"):
            assert await refused(it, path) == 3000
        response, _ = await it.get("/api/overview")
        assert response.status == 200, "REST is not counted"
        assert (await scraped(it))["iris_backend_refusals_total['RATE_LIMIT_EXCEEDED']"] == 4
        it.clock.now += 3000.0
        async with it.connect("sse", "overview") as client:
            await client.next()


async def test_a_hundred_connections_at_once_even_when_they_come_at_one_moment() -> None:
    async with bench(limits=FEW_AT_ONCE) as it, AsyncExitStack() as opened:
        it.http.connector._limit = 0  # type: ignore[union-attr]  # aiohttp opens a hundred at once and no more
        url = it.backend.url + "/api/stream"
        responses = [opened.enter_async_context(it.http.get(url)) for _ in range(150)]
        statuses = [response.status for response in await asyncio.gather(*responses)]
        assert (statuses.count(200), statuses.count(429)) == (100, 50)
        assert it.backend.open_connections == 100
        assert await refused(it, "/api/stream/events") == 60
        assert (await scraped(it))["iris_backend_refusals_total['RATE_LIMIT_EXCEEDED']"] == 52
        await opened.aclose()
        await it.clock.advance(0.1)
        await it.until_open(0)
        async with it.connect("sse", "overview") as client:
            await client.next()


@SOCKETS
async def test_a_thousand_messages_a_minute(form: str) -> None:
    async with bench(limits=PROMISED_LIMITS) as it:
        async with (
            subscribe(it, form, channels=["events"]) as client,
            subscribe(it, form, channels=["events"]) as other,
        ):
            await client.take(2)
            await other.take(2)
            for _ in range(MESSAGES - 1):
                await client.send({"type": "ping"})
            assert [(await client.next())["type"] for _ in range(MESSAGES - 1)] == ["pong"] * (MESSAGES - 1)
            await it.clock.advance(20.0)
            await client.send({"type": "ping"})
            refusal = await client.next()
            assert (refusal["error"]["code"], refusal["error"]["retryAfter"]) == ("RATE_LIMIT_EXCEEDED", 40)
            with pytest.raises(Ended) as ended:
                await client.next()
            assert ended.value.code == 1008
            # Another client of the same address has a minute of its own.
            it.happen()
            assert (await other.next())["type"] == "event"
        assert (await scraped(it))["iris_backend_refusals_total['RATE_LIMIT_EXCEEDED']"] == 1


async def test_a_thousand_messages_in_each_minute_are_no_fault() -> None:
    quiet = {"heartbeat_interval_seconds": 1000.0}
    async with bench(limits=PROMISED_LIMITS, **quiet) as it, it.connect("websocket") as client:
        for _ in range(3):
            for _ in range(MESSAGES):
                await client.send({"type": "ping"})
            assert [(await client.next()).type for _ in range(MESSAGES)] == ["pong"] * MESSAGES
            await it.clock.advance(60.0)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("path", ["/api/stream", "/api/stream/events", "/api/iris/ws"])
async def test_a_hundred_kilobytes_a_message(path: str, binary: bool) -> None:
    async with bench() as it:
        for size, code in ((100 * 1024, None), (100 * 1024 + 1, 1009)):
            async with it.http.ws_connect(it.backend.url + path) as socket:
                text = '{"type":"later","padding":"' + "x" * (size - 29) + '"}'
                await (socket.send_bytes(text.encode()) if binary else socket.send_str(text))
                await socket.send_str('{"type":"ping"}')
                while (message := await socket.receive(TIMEOUT_SECONDS)).type is aiohttp.WSMsgType.TEXT:
                    if json.loads(message.data)["type"] == "pong":
                        break
                assert socket.close_code == code
        refusals = it.backend.service.stats.refusals
        await until(lambda: refusals["MESSAGE_TOO_LARGE"] > 0, 1.0)  # it is counted after the closing handshake
        assert (await scraped(it))["iris_backend_refusals_total['MESSAGE_TOO_LARGE']"] == 1


@SOCKETS
async def test_five_minutes_without_a_message(form: str) -> None:
    async with bench(limits=PROMISED_LIMITS, heartbeat_interval_seconds=1000.0) as it:
        async with subscribe(it, form, channels=["events"]) as client:
            await client.take(2)
            await pass_over(it, 299.0)
            await client.send({"type": "pong"})
            await client.send({"type": "ping"})
            assert (await client.next())["type"] == "pong"
            await pass_over(it, 299.0)
            it.happen()
            assert (await client.next())["type"] == "event", "what the backend sends keeps nobody from being idle"
            await it.clock.advance(1.5)
            with pytest.raises(Ended) as ended:
                await client.next()
            assert ended.value.code == 1001
        assert (await scraped(it))["iris_backend_refusals_total['IDLE']"] == 1


@FORMS
async def test_without_limits_nobody_is_idle_and_sse_never_is(form: str) -> None:
    limits = PROMISED_LIMITS if form == "sse" else NO_LIMITS
    quiet = {"heartbeat_interval_seconds": 10_000.0}
    async with bench(limits=limits, **quiet) as it, subscribe(it, form, channels=["events"]) as client:
        await client.take(2)
        await pass_over(it, 3000.0)
        it.happen()
        assert (await client.next())["type"] == "event"
