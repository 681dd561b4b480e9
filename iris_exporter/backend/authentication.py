"""What every request below /api has to show, on every endpoint alike, and the endpoint that gives tickets."""

import math

from aiohttp import web
from aiohttp.typedefs import Handler

from iris_exporter.backend.objects import iso_time
from iris_exporter.backend.origins import is_foreign
from iris_exporter.backend.replies import SERVICE, error_response, json_response
from iris_exporter.backend.tickets import LIFETIME_SECONDS

TICKET_PATH = "/api/ticket"
FOREIGN_PAGE = "pages of this origin may not open WebSockets here; --web.cors.origin names those that may"


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse who has no key; a WebSocket is refused before the upgrade, also to a page that may not read here."""
    if not request.path.startswith("/api/"):
        return await handler(request)
    service = request.app[SERVICE]
    headers = request.headers
    upgrade = headers.get("Upgrade", "").lower() == "websocket"
    # Before a ticket is used up. Nothing else needs this: browsers show other answers to no page without our word.
    if upgrade and is_foreign(headers.get("Origin"), headers.get("Host"), service.settings.cors_origins):
        return error_response(403, "FORBIDDEN", FOREIGN_PAGE)
    reason = service.authenticator.refusal(
        headers.get("Authorization"),
        request.query,
        service.clock.monotonic(),
        header_only=request.path == TICKET_PATH,
    )
    return await handler(request) if reason is None else error_response(401, "AUTH_REQUIRED", reason)


async def give_ticket(request: web.Request) -> web.Response:
    """Answer `{ticket, expiresAt}`; a body says nothing, and is read so that one that is too large is refused."""
    await request.read()
    service = request.app[SERVICE]
    ticket = service.tickets.issue(service.clock.monotonic())
    if not isinstance(ticket, str):
        text = "too many tickets wait to be used"
        return error_response(429, "RATE_LIMIT_EXCEEDED", text, retry_after=math.ceil(ticket))
    expires = iso_time(service.clock.wall() + LIFETIME_SECONDS)
    return json_response({"ticket": ticket, "expiresAt": expires}, headers={"Cache-Control": "no-store"})
