"""The client of the Kubernetes API takes whole answers, however they arrive, and takes nothing else for one."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from iris_exporter.fleet import kubernetes
from iris_exporter.fleet.kubernetes import Access, Kubernetes, KubernetesError
from iris_exporter.transports.session import open_session

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
