"""The client of the Kubernetes API takes whole answers, however they arrive, and takes nothing else for one."""

import asyncio
import gzip
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from iris_exporter.fleet import kubernetes
from iris_exporter.fleet.kubernetes import Access, Kubernetes, KubernetesError
from iris_exporter.http.session import open_session
from tests.transports.support import serve
from tests.web.config.certificates import Authority

PATH = "/api/v1/namespaces/ops/services"
LIST = {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": f"service-{n}"}} for n in range(3000)]}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def api(handler: Handler) -> AsyncIterator[Kubernetes]:
    app = web.Application()
    app.router.add_get(PATH, handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        async with open_session() as session:
            yield Kubernetes(Access(f"http://{host}:{port}", "ops", None, None), session)
    finally:
        await runner.cleanup()


def body(content: bytes) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=content, content_type="application/json")

    return answer


async def test_an_answer_in_pieces_is_read_to_its_end() -> None:
    """As it arrives where a list is longer than what a connection carries at once."""

    async def in_pieces(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        content = json.dumps(LIST).encode()
        for begin in range(0, len(content), 50_000):
            await response.write(content[begin : begin + 50_000])
            await asyncio.sleep(0.01)  # so that each piece is on its way alone
        return response

    async with api(in_pieces) as client:
        assert await client.get(PATH) == LIST


async def test_a_server_that_compresses_is_asked_not_to() -> None:
    """An API server does that with lists above 128 KiB and with a watch that begins with all objects."""

    async def compressing(request: web.Request) -> web.StreamResponse:
        watch = request.query.get("watch") == "true"
        content = b'{"type": "ADDED", "object": {}}\n' if watch else json.dumps(LIST).encode()
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=gzip.compress(content), headers={"Content-Encoding": "gzip"})
        return web.Response(body=content)

    async with api(compressing) as client:
        assert await client.get(PATH) == LIST
        assert [event async for event in client.watch(PATH, "")] == [{"type": "ADDED", "object": {}}]


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08", b'{"items": [', b"[]"])
async def test_what_is_no_object_is_an_error_and_no_empty_list(content: bytes) -> None:
    async with api(body(content)) as client:
        with pytest.raises(KubernetesError, match="the answer is not a JSON object"):
            await client.get(PATH)


async def test_an_event_that_is_no_object_ends_the_watch() -> None:
    async with api(body(b'{"type": "ADDED"}\n\x1f\x8b\x08\n{"type": "ADDED"}\n')) as client:
        events = []
        with pytest.raises(KubernetesError, match="an event of the watch is not a JSON object"):
            async for event in client.watch(PATH, "7"):
                events.append(event)  # noqa: PERF401 (what came before the error is wanted)
        assert events == [{"type": "ADDED"}]


async def test_an_answer_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "_MAX_BODY_BYTES", 1000)
    async with api(body(json.dumps(LIST).encode())) as client:
        with pytest.raises(KubernetesError, match="the answer is too large"):
            await client.get(PATH)


async def test_a_rotated_token_and_authority_are_used_without_a_restart(tmp_path: Path) -> None:
    authority, token, certificate, key = (tmp_path / name for name in ("ca.crt", "token", "tls.crt", "tls.key"))
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response({"items": []})

    async with open_session() as session:
        for number in (1, 2):
            issuer = Authority()
            issuer.issue(certificate, key)
            authority.write_text(issuer.pem)
            token.write_text(f"token-{number}\n")
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate, key)
            async with serve(answer, context) as server:
                client = Kubernetes(Access(server.url, "ops", token, authority), session)
                for _ in range(2):
                    assert await client.get(PATH) == {"items": []}
    assert seen == ["Bearer token-1"] * 2 + ["Bearer token-2"] * 2


@pytest.mark.parametrize("content", [b"rubbish", b"\xff\xfe"])
async def test_an_authority_that_cannot_be_used_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_bytes(content)
    async with open_session() as session:
        with pytest.raises(KubernetesError, match=re.escape(str(authority))):
            await Kubernetes(Access("https://127.0.0.1:1", "ops", None, authority), session).get(PATH)
        with pytest.raises(KubernetesError, match=r"credentials: .*token"):
            unreadable = tmp_path / "token"
            unreadable.write_bytes(b"\xff\xfe")
            await Kubernetes(Access("https://127.0.0.1:1", "ops", unreadable, None), session).get(PATH)


async def test_a_version_is_one_value_of_the_query_whatever_is_in_it() -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query.getall("resourceVersion"))
        return web.Response(text='{"type":"ERROR","object":["x"]}\n')

    async with serve(answer) as server, open_session() as session:
        with pytest.raises(KubernetesError) as raised:
            async for _ in Kubernetes(Access(server.url, "ops", None, None), session).watch(PATH, "7&a=/#%41"):
                pass
    assert (asked, raised.value.status) == ([["7&a=/#%41"]], 500)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b'{"a":"\xff"}'])
def test_an_answer_that_is_no_json_that_can_be_read_is_none(content: bytes) -> None:
    """And no error of Python's own, which would end whoever asked."""
    assert kubernetes._decode(content) is None
