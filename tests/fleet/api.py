"""A stand-in for the Kubernetes API server, written from the API conventions: it is not one.

It keeps what matters to a client: one growing resource version for all objects, writes refused with 409 when they come
from an old one, watches from a version, bookmarks, and 410 for a version that is no longer known.
"""

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Json = dict[str, Any]


class FakeApi:
    """Leases and Services in memory. `down` answers 503; `hang` does not answer; `refuse_updates` answers 409."""

    def __init__(self) -> None:
        self.url = ""
        self.version = 0
        self.leases: dict[str, Json] = {}
        self.services: dict[str, Json] = {}
        self.down = False
        self.refuse_updates = False
        self.refused = 0
        self.hang = asyncio.Event()
        self.hang.set()
        self.token: str | None = None
        self._history: list[tuple[int, str, Json]] = []
        self._oldest = 0
        self._changed = asyncio.Condition()
        self._ending = False

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        leases = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        app.router.add_get(leases + "/{name}", self._get_lease)
        app.router.add_post(leases, self._create_lease)
        app.router.add_put(leases + "/{name}", self._update_lease)
        app.router.add_get("/api/v1/namespaces/{namespace}/services", self._services)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        await self.hang.wait()
        if self.down:
            return _status(503, "ServiceUnavailable")
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized")
        return await handler(request)

    def _next(self) -> str:
        self.version += 1
        return str(self.version)

    async def _get_lease(self, request: web.Request) -> web.Response:
        lease = self.leases.get(request.match_info["name"])
        return _status(404, "NotFound") if lease is None else web.json_response(lease)

    async def _create_lease(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = body["metadata"]["name"]
        if name in self.leases:
            return _status(409, "AlreadyExists")
        return self._store(name, body, 201)

    async def _update_lease(self, request: web.Request) -> web.Response:
        body, name = await request.json(), request.match_info["name"]
        known = self.leases.get(name)
        if known is None:
            return _status(404, "NotFound")
        if self.refuse_updates or body["metadata"].get("resourceVersion") != known["metadata"]["resourceVersion"]:
            self.refused += 1
            return _status(409, "Conflict")
        return self._store(name, body, 200)

    def _store(self, name: str, body: Json, status: int) -> web.Response:
        spec = body["spec"]
        assert isinstance(spec["leaseDurationSeconds"], int)
        assert spec["leaseDurationSeconds"] >= 1
        assert spec["renewTime"].endswith("Z")
        body["metadata"]["resourceVersion"] = self._next()
        self.leases[name] = body
        return web.json_response(body, status=status)

    async def put_service(self, name: str, annotations: dict[str, str] | None, port: int = 80) -> None:
        """Add or change a Service, or with None delete it."""
        if annotations is None:
            kind, item = "DELETED", self.services.pop(name)
        else:
            kind = "MODIFIED" if name in self.services else "ADDED"
            full = {f"iris-exporter.io/{key}": value for key, value in annotations.items()}
            item = {
                "metadata": {"name": name, "namespace": "ops", "annotations": full},
                "spec": {"ports": [{"port": port}]},
            }
            self.services[name] = item
        item["metadata"]["resourceVersion"] = self._next()
        async with self._changed:
            self._history.append((self.version, kind, copy.deepcopy(item)))
            self._changed.notify_all()

    async def expire(self) -> None:
        """Forget the history: every watch has to begin from a new list."""
        async with self._changed:
            self._next()
            self._history.clear()
            self._oldest = self.version
            self._changed.notify_all()

    async def _services(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch") != "true":
            items = list(self.services.values())
            return web.json_response(
                {"kind": "ServiceList", "metadata": {"resourceVersion": str(self.version)}, "items": items}
            )
        since = int(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        while not self._ending:
            async with self._changed:
                if since < self._oldest:
                    await _line(response, {"type": "ERROR", "object": {"code": 410, "reason": "Expired"}})
                    return response
                news = [entry for entry in self._history if entry[0] > since]
                if not news:
                    await self._changed.wait()
                    continue
            for version, kind, item in news:
                since = version
                await _line(response, {"type": kind, "object": item})
            await _line(response, {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(since)}}})
        return response

    async def end(self) -> None:
        """Let every watch end."""
        async with self._changed:
            self._ending = True
            self._changed.notify_all()


async def _line(response: web.StreamResponse, event: Json) -> None:
    await response.write(json.dumps(event).encode() + b"\n")


def _status(code: int, reason: str) -> web.Response:
    return web.json_response({"kind": "Status", "status": "Failure", "reason": reason, "code": code}, status=code)


@asynccontextmanager
async def fake_api() -> AsyncIterator[FakeApi]:
    api = FakeApi()
    runner = web.AppRunner(api.app(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        await api.end()
        await runner.cleanup()
