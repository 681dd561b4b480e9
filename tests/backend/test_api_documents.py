"""What a running backend sends and answers is what docs/asyncapi.yaml and docs/openapi.yaml say, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from typing_extensions import override

from iris_exporter.backend.installation import PROJECT_NAMES, Installation
from iris_exporter.backend.objects import Anomaly, Event, iso_time
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.backend.wire import CHANGE_TYPES
from iris_exporter.wire import protobuf
from tests.api_documents import check, check_message, document
from tests.waiting import BUSY

REST = document("openapi.yaml")
OLD_PATHS = ("/api/stream/overview", "/api/stream/events", "/api/stream/telemetry", "/api/iris/ws")
ALL: dict[str, Any] = {
    "delta": True,
    "batch": {"maxMessages": 10, "maxDelayMs": 100},
    "debounceMs": 50,
    "priority": True,
    "projects": [name.lower().replace(" ", "-") for name in PROJECT_NAMES],
    "severities": ["info", "warning", "critical"],
}
FIELDS = {
    "fields": {"projects": ["status"], "events": ["severity"], "metrics": ["active_experts"], "anomalies": ["value"]}
}
SETTINGS = {
    "port": 0,
    "seed": 7,
    "rate": 50.0,
    "update_interval_seconds": 0.1,
    "telemetry_interval_seconds": 0.2,
    "heartbeat_interval_seconds": 0.3,
}


class Lively(Installation):
    """One that has been running for half an hour, and whose anomalies change all the time."""

    def __init__(self, start: float) -> None:
        super().__init__(seed=7, start=start - 1800, rate=5.0)
        for ago in range(1800, 0, -5):
            self.advance(start - ago)

    @override
    def anomalies(self) -> list[Anomaly]:
        return [msgspec.structs.replace(each, value=float(self.version)) for each in super().anomalies()]


def lively(**more: Any) -> Backend:
    return Backend(BackendSettings(**SETTINGS | more), source=Lively)


def happen(backend: Backend, count: int = 1) -> None:
    """Let events of every kind happen, so many of each."""
    now = iso_time(backend.service.clock.wall())
    made = backend.service.feed.history.last
    backend.service.publish(
        Event(f"own-{made}-{number}-{kind}", now, "checkout-assistant", kind, severity, "a run", {"number": number})
        for number in range(count)
        for kind in (*CHANGE_TYPES, "info")
        for severity in ("info", "critical")
    )


@asynccontextmanager
async def websocket(
    http: aiohttp.ClientSession, url: str, *first: dict[str, Any], protocols: tuple[str, ...] = ()
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    async with http.ws_connect(url, protocols=protocols, max_msg_size=0) as socket:
        for message in first:
            await socket.send_json(message)

        async def messages() -> AsyncIterator[dict[str, Any]]:
            epoch = ""
            async for received in socket:
                binary = received.type is aiohttp.WSMsgType.BINARY
                message = protobuf.decode(received.data, epoch) if binary else json.loads(received.data)
                if message["type"] == "subscribed":
                    epoch = message["data"]["position"].partition("-")[0]
                yield message

        yield messages()


@asynccontextmanager
async def events(
    http: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    async with http.get(url, headers=headers, read_bufsize=2**22) as response:
        assert response.status == 200

        async def messages() -> AsyncIterator[dict[str, Any]]:
            async for line in response.content:
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])

        yield messages()


async def hold(
    path: str, messages: AsyncIterator[dict[str, Any]], wanted: set[str], *, whole: bool = True
) -> list[dict[str, Any]]:
    """Check each message until every schema in `wanted` was seen."""
    seen: set[str] = set()
    found = []
    async with asyncio.timeout(15 * BUSY):
        async for message in messages:
            found.append(message)
            seen |= check_message(path, message, whole=whole)
            if wanted <= seen:
                break
    assert wanted <= seen, f"missing: {wanted - seen}"
    return found


@pytest.mark.parametrize(
    ("path", "protocol"),
    [*((path, "websocket") for path in OLD_PATHS), *((path, "sse") for path in OLD_PATHS if path != "/api/iris/ws")],
)
async def test_every_message_of_the_old_paths(path: str, protocol: str) -> None:
    kinds = {
        "/api/stream/overview": {"Update"},
        "/api/stream/events": {"EventMessage"},
        "/api/stream/telemetry": {"Telemetry"},
        "/api/iris/ws": {"OlderEvent", "ProjectUpdate"},
    }[path] | {"Resumed", "Ping"}
    async with lively() as backend, aiohttp.ClientSession() as http:
        happen(backend)
        backend.faults.set("error=RATE_LIMIT_EXCEEDED")
        after = backend.service.feed.history.position(1)
        url = backend.url + path
        if protocol == "sse":
            async with events(http, url, {"Last-Event-ID": after}) as messages:
                found = await hold(path, messages, {*kinds, "Error"})
        else:
            said = ({"type": "resume", "lastEventId": after}, {"type": "ping"})
            async with websocket(http, url, *said) as messages:
                found = await hold(path, messages, {*kinds, "Error", "Pong"})
    assert any(message.get("replay") for message in found)


FORMS = {
    "json": ((), ALL),
    "json, fields": (("iris.v1+json",), ALL | FIELDS),
    "protobuf": (("iris.v1+protobuf",), ALL),
    "protobuf, fields": (("iris.v1+protobuf",), ALL | FIELDS),
    "json, plain": ((), {}),
    "protobuf, plain": (("iris.v1+protobuf",), {}),
}


@pytest.mark.parametrize("form", FORMS)
async def test_every_message_of_subscriptions_over_websocket(form: str) -> None:
    """With every option, a replay, an advance copy, answers to bad requests, lost events, and the end."""
    protocols, options = FORMS[form]
    wanted = {"Subscribed", "Update", "EventMessage", "Ping", "Pong", "Error", "Dropped"}
    wanted |= {"Batch", "Delta"} if options else set()
    # So few events may wait that some of many at once are lost.
    async with lively(queue_messages=30) as backend, aiohttp.ClientSession() as http:
        happen(backend)
        after = {"after": backend.service.feed.history.position(1)}
        said = (
            {"type": "subscribe", "data": options | after},
            {"type": "subscribe", "data": {"delta": 1}},
            {"type": "ping"},
        )
        async with websocket(http, backend.url + "/api/stream", *said, protocols=protocols) as messages:
            whole = "fields" not in form
            found = await hold("/api/stream", messages, {"Subscribed", "EventMessage", "Error"}, whole=whole)
            happen(backend, 40)
            later = wanted - {"Subscribed", "Error", "Pong", "Update"}
            found += await hold("/api/stream", messages, later, whole=whole)
            backend.service.shutdown()
            async for message in messages:
                check_message("/api/stream", message, whole=whole)
                found.append(message)
    assert any(message["type"] == "error" and message["error"].get("retryAfter", 0) >= 1 for message in found)
    parts = [part for message in found for part in message.get("messages", [message])]
    for kind in ("update", "delta") if options else ("update",):
        assert any(part["type"] == kind and part["data"].get("anomalies") for part in parts), f"no anomaly in a {kind}"


@pytest.mark.parametrize(
    "query", ["", "delta=true&batch.maxMessages=10&debounceMs=50&priority=true&severities=critical"]
)
async def test_every_message_of_subscriptions_over_sse(query: str) -> None:
    wanted = {"Subscribed", "Update", "EventMessage", "Ping", "Dropped"} | ({"Batch", "Delta"} if query else set())
    async with lively(queue_messages=30) as backend, aiohttp.ClientSession() as http:
        happen(backend)
        last = {"Last-Event-ID": backend.service.feed.history.position(1)}
        async with events(http, f"{backend.url}/api/stream?{query}", last) as messages:
            await hold("/api/stream", messages, {"Subscribed", "EventMessage"})
            happen(backend, 40)
            await hold("/api/stream", messages, wanted - {"Subscribed", "Update"})
            backend.service.shutdown()
            found = [message async for message in messages]
            for message in found:
                check_message("/api/stream", message)
    assert "STREAM_UNAVAILABLE" in [message["error"]["code"] for message in found if message["type"] == "error"]


def test_what_is_wrong_does_not_pass() -> None:
    good = {
        "type": "dropped",
        "timestamp": "2025-01-02T03:04:05.678Z",
        "data": {"events": 1, "from": "a-1", "to": "a-2"},
    }
    assert check_message("/api/stream", good) == {"Dropped"}
    for wrong in (
        good | {"timestamp": "yesterday"},
        good | {"more": 1},
        good | {"data": {"events": 0, "from": "a-1", "to": "a-2"}},
        good | {"data": {"events": 1, "from": "a", "to": "a-2"}},
        {"type": "batch", "messages": [good, good | {"more": 1}]},
    ):
        with pytest.raises(AssertionError):
            check_message("/api/stream", wrong)
    with pytest.raises(ValueError, match="unpack"):
        check_message("/api/stream/events", good)


# Headers of the protocol's own, or whose meaning the document gives; others are HTTP's.
HEADERS = ("ETag", "Retry-After", "WWW-Authenticate", "Allow", "Upgrade")
PATHS = [path for path in REST["paths"] if not path.startswith("/api/stream") and path != "/api/iris/ws"]
STREAM_PATHS = [path for path in REST["paths"] if path.startswith("/api/stream")]
NEEDED = {"/api/project-details": "?id=checkout-assistant"}
FAULTS = {"401": "401", "403": "403", "404": "404", "429": "429=7", "503": "503"}


def resolved(found: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in found:
        value: Any = REST
        for part in found["$ref"].removeprefix("#/").split("/"):
            value = value[part]
        found = value
    return found


async def answered(
    http: aiohttp.ClientSession,
    backend: Backend,
    target: str,
    status: int,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> object:
    """Ask, and hold status, headers and body to the document; returns the body."""
    path = target.partition("?")[0]
    (method,) = REST["paths"][path]
    async with http.request(method, backend.url + target, headers=headers, **more) as response:
        assert response.status == status, await response.text()
        described = resolved(REST["paths"][path][method]["responses"][str(status)])
        known = {name: resolved(each) for name, each in described.get("headers", {}).items()}
        for name, header in known.items():
            assert name in response.headers or not header["required"], f"{name} is missing"
        for name, value in response.headers.items():
            if name in HEADERS or name.startswith("Iris-"):
                check("openapi.yaml", known[name]["schema"], value)
        body = await response.read() if response.content_type != "text/event-stream" else b""
        if response.content_type not in described.get("content", {}):
            assert body == b""
            return None
        if response.content_type == "text/event-stream":
            return None
        document = json.loads(body)
        check("openapi.yaml", described["content"][response.content_type]["schema"], document)
        return document


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_of_rest(path: str) -> None:
    """The answer, that there is nothing new, and each refusal."""
    (operation,) = REST["paths"][path].values()
    async with lively() as backend, aiohttp.ClientSession() as http:
        happen(backend, 3)
        target = path + NEEDED.get(path, "")
        assert await answered(http, backend, target, 200)
        tried = {"200"}
        if "304" in operation["responses"]:
            tried.add("304")
            await answered(http, backend, target, 304, {"If-None-Match": "*"})
        if path.endswith("events"):
            for position in ("0", "1", "2"):
                after = backend.service.feed.history.position(int(position))
                assert await answered(http, backend, f"{target}?after={after}&limit=5", 200)
            assert await answered(http, backend, f"{target}?after=other-5&limit=1000", 200)
            await answered(http, backend, f"{target}?limit=0", 200)
        if "400" in operation["responses"]:
            tried.add("400")
            await answered(http, backend, f"{path}?limit=none", 400)
        if "413" in operation["responses"]:
            tried.add("413")
            await answered(http, backend, path, 413, data=b"x" * 200_000)
        for status, fault in FAULTS.items():
            tried.add(status)
            backend.faults.set(f"rest:{fault}")
            await answered(http, backend, target, int(status))
            backend.faults.clear()
        assert set(operation["responses"]) == tried


@pytest.mark.parametrize("path", [*STREAM_PATHS, "/api/iris/ws"])
async def test_every_answer_of_streams_to_plain_requests(path: str) -> None:
    async with lively() as backend, aiohttp.ClientSession() as http:
        tried = {"101"}
        async with http.ws_connect(backend.url + path) as socket:
            assert not socket.closed
        if path == "/api/iris/ws":
            tried.add("426")
            await answered(http, backend, path, 426)
        else:
            tried |= {"200", "406"}
            await answered(http, backend, path, 200)
            await answered(http, backend, path, 406, {"Accept": "application/json"})
        if path == "/api/stream":
            tried.add("400")
            await answered(http, backend, f"{path}?delta=perhaps", 400)
        for status, fault in FAULTS.items():
            tried.add(status)
            backend.faults.set(fault)
            await answered(http, backend, path, int(status))
            backend.faults.clear()
        assert set(REST["paths"][path]["get"]["responses"]) == tried


async def test_refusals_of_keys_projects_and_methods(tmp_path: Path) -> None:
    """What the backend refuses by itself, without a fault."""
    (tmp_path / "key").write_text("a-key")
    async with lively(api_key_file=tmp_path / "key") as backend, aiohttp.ClientSession() as http:
        await answered(http, backend, "/api/events", 401)
        right = {"Authorization": "Bearer a-key"}
        happen(backend)
        assert await answered(http, backend, "/api/events", 200, right)
        await answered(http, backend, "/api/project-details?id=none", 404, right)
        await answered(http, backend, "/api/project-details", 400, right)
        async with http.post(f"{backend.url}/api/events", headers=right) as response:
            described = REST["components"]["responses"]["405"]
            assert response.status == 405
            assert set(described["headers"]) <= set(response.headers)
            check("openapi.yaml", described["content"]["application/json"]["schema"], await response.json())
