"""Keys, tickets, and pages of other origins, over real sockets."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from iris_exporter.backend.access import KEY_IN_URL, NO_KEY, TICKET_FOR_TICKET
from iris_exporter.backend.authentication import FOREIGN_PAGE
from iris_exporter.backend.feed import Feed
from iris_exporter.backend.tickets import EXPIRED, LIFETIME_SECONDS, MAX_OUTSTANDING, UNKNOWN, USED
from tests.backend.clients import Bench, bench
from tests.backend.test_metrics import scraped

KEY = {"Authorization": "Bearer the-key-of-the-test"}
PAGE = "https://dashboard.example.com"
OTHER_PAGE = "http://localhost:5173"
STREAMS = ("/api/stream", "/api/stream/overview", "/api/stream/events", "/api/stream/telemetry", "/api/iris/ws")


@asynccontextmanager
async def guarded(tmp_path: Path, **settings: Any) -> AsyncIterator[Bench]:
    file = tmp_path / "key"
    file.write_text("the-key-of-the-test\n")
    async with bench(api_key_file=file, **settings) as it:
        yield it


async def ask(it: Bench, path: str, method: str = "GET", **options: Any) -> tuple[aiohttp.ClientResponse, Any]:
    """An answer with its JSON, or with None where it has none or does not end."""
    async with it.http.request(method, it.backend.url + path, **options) as response:
        is_json = response.content_type == "application/json"
        return response, json.loads(await response.read()) if is_json else None


async def ticket(it: Bench) -> str:
    response, document = await ask(it, "/api/ticket", "POST", headers=KEY)
    assert response.status == 200
    return str(document["ticket"])


async def upgrade(it: Bench, path: str, **headers: str) -> int:
    """The status of a handshake."""
    try:
        async with it.http.ws_connect(it.backend.url + path, headers=headers):
            return 101
    except aiohttp.WSServerHandshakeError as error:
        return error.status


async def reason(it: Bench, path: str, method: str = "GET", **options: Any) -> tuple[int, str, str]:
    response, document = await ask(it, path, method, **options)
    assert response.status != 401 or response.headers["WWW-Authenticate"] == 'Bearer realm="iris"'
    return response.status, document["error"]["code"], document["error"]["message"]


async def test_a_ticket_is_given_for_the_key_and_kept_by_nobody(tmp_path: Path) -> None:
    async with guarded(tmp_path) as it:
        response, document = await ask(it, "/api/ticket", "POST", headers=KEY)
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-store")
        assert document.keys() == {"ticket", "expiresAt"}
        expires = datetime.fromisoformat(document["expiresAt"]).timestamp()
        assert expires == pytest.approx(it.clock.wall() + LIFETIME_SECONDS, abs=0.001)
        assert await ticket(it) != document["ticket"]


@pytest.mark.parametrize("path", STREAMS)
async def test_a_ticket_opens_each_stream_once(path: str, tmp_path: Path) -> None:
    async with guarded(tmp_path) as it:
        if path != "/api/iris/ws":
            address = f"{path}?ticket={await ticket(it)}"
            assert (await ask(it, address))[0].status == 200
            assert await reason(it, address) == (401, "AUTH_REQUIRED", USED)
        address = f"{path}?ticket={await ticket(it)}"
        assert await upgrade(it, address) == 101
        assert await upgrade(it, address) == 401
        assert await reason(it, address) == (401, "AUTH_REQUIRED", USED)


async def test_a_ticket_may_come_with_options_and_opens_other_endpoints_too(tmp_path: Path) -> None:
    async with guarded(tmp_path) as it:
        path = f"/api/stream?channels=events&ticket={await ticket(it)}&after={it.position(0)}"
        async with it.http.get(it.backend.url + path) as response:
            assert response.status == 200
            assert b"subscribed" in await response.content.readuntil(b"data: ")
        assert (await ask(it, f"/api/overview?ticket={await ticket(it)}"))[0].status == 200


async def test_a_ticket_that_is_late_or_made_up_says_so(tmp_path: Path) -> None:
    async with guarded(tmp_path) as it:
        late = await ticket(it)
        await it.clock.advance(LIFETIME_SECONDS)
        for path in STREAMS:
            assert await reason(it, f"{path}?ticket={late}") == (401, "AUTH_REQUIRED", EXPIRED)
            assert await reason(it, f"{path}?ticket={late}x") == (401, "AUTH_REQUIRED", UNKNOWN)
            assert await reason(it, f"{path}?ticket=") == (401, "AUTH_REQUIRED", UNKNOWN)
        assert (await scraped(it))["iris_backend_refusals_total['AUTH_REQUIRED']"] == 3 * len(STREAMS)


async def test_a_ticket_needs_the_key_in_a_header(tmp_path: Path) -> None:
    async with guarded(tmp_path, key_in_url=True) as it:
        one = await ticket(it)
        for query in (f"?ticket={one}", "?api_key=the-key-of-the-test"):
            assert await reason(it, f"/api/ticket{query}", "POST") == (401, "AUTH_REQUIRED", TICKET_FOR_TICKET)
        assert await reason(it, "/api/ticket", "POST") == (401, "AUTH_REQUIRED", NO_KEY)
        assert await upgrade(it, f"/api/stream?ticket={one}") == 101, "it is still good"
        response, _ = await ask(it, "/api/ticket", headers=KEY)
        assert (response.status, response.headers["Allow"]) == (405, "POST")


async def test_tickets_that_nobody_uses_are_bounded(tmp_path: Path) -> None:
    async with guarded(tmp_path) as it:
        first = await ticket(it)
        for _ in range(MAX_OUTSTANDING - 1):
            it.backend.service.tickets.issue(it.clock.monotonic())
        response, document = await ask(it, "/api/ticket", "POST", headers=KEY)
        assert (response.status, response.headers["Retry-After"]) == (429, "30")
        assert (document["error"]["code"], document["error"]["retryAfter"]) == ("RATE_LIMIT_EXCEEDED", 30)
        assert await upgrade(it, f"/api/stream?ticket={first}") == 101
        assert await upgrade(it, f"/api/stream?ticket={await ticket(it)}") == 101


async def test_without_a_key_a_ticket_is_given_and_not_looked_at() -> None:
    async with bench() as it:
        _, document = await ask(it, "/api/ticket", "POST")
        for _ in range(2):
            assert await upgrade(it, f"/api/stream?ticket={document['ticket']}") == 101


async def test_a_key_in_an_address_is_refused_unless_switched_on(tmp_path: Path) -> None:
    paths = ("/api/overview?api_key=the-key-of-the-test", "/api/stream/events?api_key=the-key-of-the-test")
    async with guarded(tmp_path) as it:
        for path in paths:
            assert await reason(it, path) == (401, "AUTH_REQUIRED", KEY_IN_URL)
        assert await upgrade(it, paths[1]) == 401
        assert (await ask(it, paths[0], headers=KEY))[0].status == 200
    async with guarded(tmp_path, key_in_url=True) as it:
        for path in paths:
            assert (await ask(it, path))[0].status == 200
            assert (await ask(it, f"{path}x"))[0].status == 401
        assert await upgrade(it, paths[1]) == 101


MALFORMED = (
    b"GET /api/stream?ticket=very-secret&x=\xd9\xa3 HTTP/1.1\r\n\r\n",
    b"GET /api/overview?api_key=very-secret HTTP/9.x\r\n\r\n",
    b"GET / HTTP/1.1\r\nAuthorization: Bearer very-secret\x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nAuthorization : Bearer very-secret\r\n\r\n",
    b"GET /api/stream?ticket=very-secret" + b"x" * 200_000 + b" HTTP/1.1\r\n\r\n",
    b"very-secret\r\n\r\n",
)


async def test_what_is_not_http_is_counted_and_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with bench() as it:
        host, _, port = it.backend.url.removeprefix("http://").partition(":")
        for request in MALFORMED:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(request)
            assert (await reader.readline()).startswith(b"HTTP/1.0 400 ")
            writer.close()
        assert it.backend.service.stats.refusals["INVALID_REQUEST"] == len(MALFORMED)
    assert "very-secret" not in str([(record.__dict__, record.exc_info) for record in caplog.records])
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_a_mistake_of_a_handler_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def mistake(*_: object) -> None:
        raise ZeroDivisionError("made by a test")

    monkeypatch.setattr(Feed, "overview_document", mistake)
    async with bench() as it:
        response, _ = await it.get("/api/overview")
        assert response.status == 500
    assert [record.name for record in caplog.records if record.levelno == logging.ERROR] == [
        "iris_exporter.backend.http"
    ]


async def test_tickets_are_in_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with guarded(tmp_path) as it:
        one = await ticket(it)
        for suffix in ("", "", "%00", "%ff", "&delta=maybe", "x" * 9000):
            await upgrade(it, f"/api/stream?ticket={one}{suffix}")
            await ask(it, f"/api/stream?ticket={one}{suffix}")
            await ask(it, f"/api/nothing?ticket={one}{suffix}")
    assert one not in caplog.text
    assert "the-key-of-the-test" not in caplog.text


@pytest.mark.parametrize("origin", [PAGE, OTHER_PAGE])
async def test_pages_of_allowed_origins_may_do_everything(origin: str, tmp_path: Path) -> None:
    async with guarded(tmp_path, cors_origins=(PAGE, OTHER_PAGE)) as it:
        for path, method in (("/api/ticket", "POST"), ("/api/overview", "GET"), ("/api/stream", "GET")):
            asked = {
                "Origin": origin,
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": "authorization,content-type",
            }
            response, _ = await ask(it, path, "OPTIONS", headers=asked)
            assert response.status == 204
            assert method in response.headers["Access-Control-Allow-Methods"].split(", ")
            allowed = response.headers["Access-Control-Allow-Headers"].lower().split(", ")
            assert {"authorization", "content-type", "last-event-id"} <= set(allowed)
            assert int(response.headers["Access-Control-Max-Age"]) > 0
            answers = [response, (await ask(it, path, method, headers=KEY | {"Origin": origin}))[0]]
            # A page has to be able to read why it was refused, too.
            answers.append((await ask(it, path, method, headers={"Origin": origin}))[0])
            assert [answer.status for answer in answers] == [204, 200, 401]
            for answer in answers:
                assert answer.headers["Access-Control-Allow-Origin"] == origin
                assert answer.headers["Access-Control-Allow-Credentials"] == "true"
                assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"].split(", ")
                assert "Origin" in answer.headers["Vary"].split(", ")
        for path in STREAMS:
            assert await upgrade(it, f"{path}?ticket={await ticket(it)}", Origin=origin) == 101


@pytest.mark.parametrize("origin", [None, "http://evil.test", f"{PAGE}.evil.test", "null"])
async def test_other_pages_read_nothing_and_caches_keep_answers_apart(origin: str | None, tmp_path: Path) -> None:
    async with guarded(tmp_path, cors_origins=(PAGE,)) as it:
        headers = {} if origin is None else {"Origin": origin}
        for path in ("/api/overview", "/api/stream", "/api/stream/events", "/api/nothing"):
            for key in ({}, KEY):
                response, _ = await ask(it, path, headers=headers | key)
                assert "Access-Control-Allow-Origin" not in response.headers
                assert "Origin" in response.headers["Vary"].split(", ")
        asked = headers | {"Access-Control-Request-Method": "GET"}
        response, _ = await ask(it, "/api/overview", "OPTIONS", headers=asked)
        assert response.status == 401
        assert "Access-Control-Allow-Methods" not in response.headers
        response, _ = await ask(it, "/api/overview", headers=headers | KEY)
        assert response.headers.getall("Vary") == ["Accept-Encoding, Origin"]


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("with_key", [False, True])
async def test_a_websocket_of_a_page_of_another_origin_is_refused(path: str, with_key: bool, tmp_path: Path) -> None:
    async with guarded(tmp_path, cors_origins=(PAGE,)) if with_key else bench(cors_origins=(PAGE,)) as it:
        suffix = f"?ticket={await ticket(it)}" if with_key else ""
        for origin in ("http://evil.test", "null", it.backend.url + "1"):
            assert await upgrade(it, path + suffix, Origin=origin) == 403
        headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Origin": "http://evil.test"}
        assert await reason(it, path + suffix, headers=headers) == (403, "FORBIDDEN", FOREIGN_PAGE)
        assert (await scraped(it))["iris_backend_refusals_total['FORBIDDEN']"] == 4
        assert await upgrade(it, path + suffix, Origin=it.backend.url) == 101, "the ticket is still good"


async def test_who_is_no_browser_needs_no_origin() -> None:
    async with bench() as it:
        assert await upgrade(it, "/api/stream") == 101
        assert await upgrade(it, "/api/stream", Origin="http://localhost:5173") == 403


async def test_nothing_outside_the_api_answers_a_preflight_or_names_an_origin() -> None:
    async with bench(cors_origins=(PAGE,)) as it:
        for path in ("/-/faults", "/metrics", "/"):
            asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
            response, _ = await ask(it, path, "OPTIONS", headers=asked)
            assert response.status == 405
            assert "Access-Control-Allow-Origin" not in response.headers
        # A header alone makes no preflight.
        response, document = await ask(it, "/api/overview", headers=asked)
        assert response.status == 200
        assert "projects" in document


@pytest.mark.parametrize("path", ["/api/ticket", "/-/faults"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_413(path: str, chunked: bool) -> None:
    async with bench() as it:

        async def parts() -> AsyncIterator[bytes]:
            for _ in range(11):
                yield b" " * 10_240

        body: Any = parts() if chunked else b" " * 112_640
        headers = {"Content-Type": "application/json"}
        response, document = await ask(it, path, "POST", data=body, headers=headers)
        assert (response.status, document["error"]["code"]) == (413, "MESSAGE_TOO_LARGE")
        assert (await scraped(it))["iris_backend_refusals_total['MESSAGE_TOO_LARGE']"] == 1
