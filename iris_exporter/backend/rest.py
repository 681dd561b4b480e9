"""The REST endpoints: overview, events, anomalies, patterns, project details and health."""

import re
from urllib.parse import urlencode

from aiohttp import web

from iris_exporter.backend.compression import wants_gzip
from iris_exporter.backend.objects import deployed_event, iso_time
from iris_exporter.backend.replies import SERVICE, error_response, json_response
from iris_exporter.errors import SourceError

DEFAULT_EVENTS = 50
MAX_EVENTS = 1000
"""Most events in one answer; more are there page by page with `after`."""


async def overview(request: web.Request) -> web.Response:
    """Answer with the whole state, or 304 when the client has it already."""
    feed = request.app[SERVICE].feed
    if feed.is_unknown:
        return error_response(503, "SERVICE_UNAVAILABLE", feed.installation.trouble)
    document = feed.overview_document(deployed=_is_deployed(request))
    headers = {"ETag": document.etag, "Vary": "Accept-Encoding"}
    if _matches(request.headers.get("If-None-Match"), document.etag):
        return web.Response(status=304, headers={**headers, "Cache-Control": "no-cache"})
    if wants_gzip(request):
        return json_response(document.compressed, headers={**headers, "Content-Encoding": "gzip"})
    return json_response(document.body, headers=headers)


def _is_deployed(request: web.Request) -> bool:
    """Whether the endpoint answers in the shape of the deployed REST interface."""
    return request.path.startswith("/api/iris/")


def _matches(header: str | None, etag: str) -> bool:
    """Compare weakly, as RFC 9110, 13.1.2 wants it for If-None-Match."""
    if header is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in tags or etag.removeprefix("W/") in tags


async def events(request: web.Request) -> web.Response:
    """Answer with recent events, newest first; with `after`, with what followed that position, oldest first."""
    service = request.app[SERVICE]
    history = service.feed.history
    text = request.query.get("limit", str(DEFAULT_EVENTS))
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return error_response(400, "INVALID_REQUEST", "limit is a whole number")
    limit = min(int(text), MAX_EVENTS)
    after = request.query.get("after")
    headers: dict[str, str] = {}
    if after is None:
        entries = history.newest(limit)
        headers["Iris-Cursor"] = history.position(entries[0].offset if entries else None)
    else:
        replay = history.resume(after)
        entries = replay.entries[:limit]
        # An empty page leaves the client before what it has not taken yet, which is nothing unless the limit is 0.
        last = entries[-1].offset if entries else history.last - len(replay.entries)
        headers["Iris-Cursor"] = history.position(last)
        headers["Iris-Resume"] = replay.outcome
        headers["Iris-Missed"] = str(replay.missed)
        headers["Iris-More"] = "true" if len(replay.entries) > len(entries) else "false"
    deployed = _is_deployed(request)
    return json_response([deployed_event(each.event) if deployed else each.json for each in entries], headers=headers)


async def anomalies(request: web.Request) -> web.Response:
    """Answer with the anomalies, of one project when `projectId` or `project` says so."""
    service = request.app[SERVICE]
    project = request.query.get("projectId") or request.query.get("project")
    known = service.feed.installation.anomalies()
    if known is None:
        if service.feed.is_unknown:
            return error_response(503, "SERVICE_UNAVAILABLE", service.feed.installation.trouble)
        return error_response(404, "INVALID_ENDPOINT", "the source has no anomalies")
    found = [item for item in known if project in (None, item.project)]
    if not _is_deployed(request):
        return json_response(found)
    wrapped = {"success": True, "data": found, "count": len(found), "projectId": project}
    return json_response(wrapped | {"timestamp": iso_time(service.clock.wall())})


async def patterns(request: web.Request) -> web.Response:
    """Answer with the combinations that keep working."""
    found = request.app[SERVICE].feed.installation.patterns()
    return await _passed_on(request, "patterns") if found is None else json_response(found)


async def _passed_on(request: web.Request, name: str, query: str = "") -> web.Response:
    try:
        found = await request.app[SERVICE].feed.installation.document(name, query)
    except SourceError as error:
        return error_response(503, "SERVICE_UNAVAILABLE", f"the source does not answer: {error}")
    return error_response(404, "INVALID_ENDPOINT") if found is None else json_response(found)


async def project_details(request: web.Request) -> web.Response:
    """Answer with one project and its recent history."""
    project = request.query.get("id")
    if not project:
        return error_response(400, "INVALID_REQUEST", "id names the project")
    installation = request.app[SERVICE].feed.installation
    if not installation.has_details and project in {each.id for each in installation.projects() or ()}:
        return await _passed_on(request, "project-details", urlencode({"id": project}))
    details = installation.details(project)
    if details is None:
        return error_response(404, "PROJECT_NOT_FOUND")
    return json_response(details)


async def health(request: web.Request) -> web.Response:
    """Answer whether telemetry is there."""
    installation = request.app[SERVICE].feed.installation
    if installation.trouble is not None:
        return json_response({"ok": False, "error": installation.trouble}, status=503)
    metrics = installation.metrics()
    count = None if metrics is None else metrics.total_projects
    return json_response(
        {"ok": True, "message": f"telemetry{'' if count is None else f' of {count} projects'} is available"}
    )


GET_ROUTES = {
    "/api/overview": overview,
    "/api/iris/overview": overview,
    "/api/events": events,
    "/api/iris/events": events,
    "/api/anomalies": anomalies,
    "/api/iris/anomalies": anomalies,
    "/api/patterns": patterns,
    "/api/project-details": project_details,
    "/api/telemetry/health": health,
}
