"""A stub of Grafana, strict about what its HTTP API documents for folders, dashboards and data sources.

It is not Grafana: it was written from the API's documentation (Folder, Dashboard and Data source HTTP API), holds
everything in memory, and knows the addresses that a push and a check use and no other. What the documentation requires
it refuses when it is missing: the token, the content type, fields, versions, unique titles within a folder.
"""

import copy
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Document = dict[str, Any]
NEWEST_SCHEMA = 42


class GrafanaStub:
    """State of the stub, and a record of what changed it."""

    def __init__(self, prefix: str = "", *, migrates: bool = False, fills: bool = False) -> None:
        """Make one; `url` is set when it is served.

        Args:
            prefix: A path before /api.
            migrates: Give dashboards back in a newer schema, as Grafana 13 may.
            fills: Give them back with fields of Grafana's own that say nothing, and with its built-in annotation.
        """
        self.token = f"glsa_{secrets.token_hex(16)}"
        self.role = "Admin"
        self.folders: dict[str, Document] = {}
        self.dashboards: dict[str, Document] = {}
        self.datasources: dict[str, Document] = {}
        self.health: Callable[[str], web.Response] = lambda _: web.json_response({"status": "OK", "message": "works"})
        self.writes: list[str] = []
        self.requests = 0
        self.answer_instead: Callable[[web.Request], web.Response | None] = lambda _: None
        self.before_save: Callable[[], None] = lambda: None
        self.url = ""
        self._prefix = prefix
        self._migrates = migrates
        self._fills = fills
        self.version = "13.2.3"
        self._ids = 0

    def application(self) -> web.Application:
        """The API."""
        app = web.Application(middlewares=[self._checked], client_max_size=1 << 24)
        api = f"{self._prefix}/api"
        app.router.add_get(f"{api}/frontend/settings", self._get_settings)
        app.router.add_get(f"{api}/health", self._get_health)
        app.router.add_get(f"{api}/folders/{{uid}}", self._get_folder)
        app.router.add_post(f"{api}/folders", self._create_folder)
        app.router.add_get(f"{api}/dashboards/uid/{{uid}}", self._get_dashboard)
        app.router.add_post(f"{api}/dashboards/db", self._save_dashboard)
        app.router.add_get(f"{api}/datasources", self._list_datasources)
        app.router.add_get(f"{api}/datasources/uid/{{uid}}", self._get_datasource)
        app.router.add_get(f"{api}/datasources/uid/{{uid}}/health", self._check_health)
        app.router.add_post(f"{api}/datasources", self._create_datasource)
        app.router.add_put(f"{api}/datasources/uid/{{uid}}", self._update_datasource)
        return app

    @web.middleware
    async def _checked(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.requests += 1
        instead = self.answer_instead(request)
        if instead is not None:
            return instead
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _said(401, "Invalid API key")
        try:
            if request.method in ("POST", "PUT"):
                if request.content_type != "application/json":
                    return _said(415, "Unsupported media type")
                if self.role == "Viewer" or ("datasources" in request.path and self.role != "Admin"):
                    return _said(403, "You'll need additional permissions to perform this action.")
            return await handler(request)
        except json.JSONDecodeError:
            return _said(400, "bad request data")
        except web.HTTPNotFound:
            return _said(404, "Not found")

    def _next_id(self) -> int:
        self._ids += 1
        return self._ids

    async def _get_settings(self, _: web.Request) -> web.Response:
        return web.json_response({"buildInfo": {"hideVersion": not self.version, "version": self.version}})

    async def _get_health(self, _: web.Request) -> web.Response:
        return web.json_response({"database": "ok"} | ({"version": self.version} if self.version else {}))

    async def _get_folder(self, request: web.Request) -> web.Response:
        found = self.folders.get(request.match_info["uid"])
        return _said(404, "folder not found") if found is None else web.json_response(found)

    async def _create_folder(self, request: web.Request) -> web.Response:
        body = await request.json()
        if set(body) - {"uid", "title", "parentUid", "description"} or not body.get("title"):
            return _said(400, "folder title cannot be empty")
        if body.get("uid") in self.folders:
            return _said(409, "a folder with the same uid already exists")
        self.writes.append(f"folder {body['uid']}")
        folder = {"id": self._next_id(), "uid": body["uid"], "title": body["title"], "version": 1, "canSave": True}
        self.folders[body["uid"]] = folder
        return web.json_response(folder)

    async def _get_dashboard(self, request: web.Request) -> web.Response:
        found = self.dashboards.get(request.match_info["uid"])
        if found is None:
            return _said(404, "Dashboard not found")
        answer = copy.deepcopy(found)
        if self._migrates:
            answer["dashboard"]["schemaVersion"] = NEWEST_SCHEMA
            for panel in answer["dashboard"]["panels"]:
                panel.setdefault("pluginVersion", "13.2.0")
        if self._fills:
            _fill(answer["dashboard"])
        return web.json_response(answer)

    async def _save_dashboard(self, request: web.Request) -> web.Response:
        body = await request.json()
        if set(body) - {"dashboard", "folderUid", "folderId", "message", "overwrite", "refresh"}:
            return _said(400, "bad request data")
        document, folder = body.get("dashboard"), body.get("folderUid", "")
        if not isinstance(document, dict) or not document.get("title"):
            return _said(400, "Dashboard title cannot be empty")
        if folder and folder not in self.folders:
            return _said(400, "folder not found")
        self.before_save()
        uid = document.get("uid") or secrets.token_hex(5)
        there = self.dashboards.get(uid)
        if there is not None and there["meta"]["provisioned"]:
            return _said(400, "Cannot save provisioned dashboard")
        if there is None and document.get("id") is not None:
            return _said(404, "Dashboard not found")
        if there is not None and not body.get("overwrite") and document.get("version") != there["meta"]["version"]:
            return _refused("version-mismatch", "The dashboard has been changed by someone else")
        for other in self.dashboards.values():
            same = (other["meta"]["folderUid"], other["dashboard"]["title"]) == (folder, document["title"])
            if same and other["dashboard"]["uid"] != uid and not body.get("overwrite"):
                return _refused("name-exists", "A dashboard with the same name in the folder already exists")
        version = 1 if there is None else there["meta"]["version"] + 1
        number = self._next_id() if there is None else there["dashboard"]["id"]
        self.writes.append(f"dashboard {uid}")
        self.dashboards[uid] = {
            "dashboard": {**document, "uid": uid, "id": number, "version": version},
            "meta": {"folderUid": folder, "version": version, "provisioned": False, "slug": uid, "canSave": True},
        }
        return web.json_response({"id": number, "uid": uid, "status": "success", "version": version, "slug": uid})

    async def _get_datasource(self, request: web.Request) -> web.Response:
        found = self.datasources.get(request.match_info["uid"])
        return _said(404, "Data source not found") if found is None else web.json_response(found)

    async def _list_datasources(self, _: web.Request) -> web.Response:
        """What `datasources:read` allows, which Viewers and Editors do not have by themselves."""
        if self.role != "Admin":
            return _said(403, "You'll need additional permissions to perform this action.")
        return web.json_response(list(self.datasources.values()))

    async def _check_health(self, request: web.Request) -> web.Response:
        uid = request.match_info["uid"]
        return self.health(uid) if uid in self.datasources else _said(404, "Data source not found")

    async def _create_datasource(self, request: web.Request) -> web.Response:
        body = await request.json()
        if not all(isinstance(body.get(field), str) for field in ("name", "type", "access")):
            return _said(400, "bad request data")
        if any(found["name"] == body["name"] for found in self.datasources.values()):
            return _said(409, "data source with the same name already exists")
        self.writes.append(f"data source {body['uid']}")
        defaults = {"orgId": 1, "version": 1, "readOnly": False, "isDefault": False, "basicAuth": False, "user": "",
                    "database": "", "withCredentials": False, "typeLogoUrl": "", "secureJsonFields": {}}  # fmt: skip
        self.datasources[body["uid"]] = {**defaults, "id": self._next_id(), **body}
        return web.json_response({"datasource": self.datasources[body["uid"]], "message": "Datasource added"})

    async def _update_datasource(self, request: web.Request) -> web.Response:
        there = self.datasources.get(request.match_info["uid"])
        body = await request.json()
        if there is None:
            return _said(404, "Data source not found")
        if there["readOnly"]:
            return _said(403, "Cannot update read-only data source")
        self.writes.append(f"data source {there['uid']}")
        books = {"id": there["id"], "orgId": 1, "readOnly": False, "version": there["version"] + 1}
        self.datasources[there["uid"]] = {**body, **books}
        return web.json_response({"datasource": self.datasources[there["uid"]], "message": "Datasource updated"})


def _fill(dashboard: Document) -> None:
    """What Grafana may add to a dashboard of the same schema, and leave out of it."""
    dashboard |= {"gnetId": None, "weekStart": "", "preload": False, "iteration": 0, "fiscalYearStartMonth": 0}
    built_in = {"builtIn": 1, "name": "Annotations & Alerts", "type": "dashboard", "enable": True, "hide": True}
    dashboard["annotations"]["list"].insert(0, built_in)
    for panel in dashboard["panels"]:
        panel.setdefault("pluginVersion", "9.0.0")
        panel.setdefault("maxDataPoints", None)
        panel.setdefault("transparent", False)
    for variable in dashboard["templating"]["list"]:
        variable.setdefault("options", [])
        variable.setdefault("regex", "")
        if not variable.get("skipUrlSync"):
            variable.pop("skipUrlSync", None)


def _said(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


def _refused(reason: str, message: str) -> web.Response:
    return web.json_response({"status": reason, "message": message}, status=412)


@asynccontextmanager
async def serving(stub: GrafanaStub, tls: ssl.SSLContext | None = None) -> AsyncIterator[GrafanaStub]:
    """Serve the stub on a free port; its `url` is set."""
    runner = web.AppRunner(stub.application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    stub.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}{stub._prefix}"
    try:
        yield stub
    finally:
        await runner.cleanup()
