"""The JSON API: what each stream is, what it says, and the three switches."""

from typing import Any

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import LooseHeaders

from iris_exporter.logs import get_logger, redact_data
from iris_exporter.streams.stream import Stream
from iris_exporter.web.context import HttpError, WebContext
from iris_exporter.web.negotiation import prefers_html
from iris_exporter.web.views import overview_object, select_events, stream_object

PREFIX = "/api/v1/streams"

_log = get_logger(__name__)


def json_response(value: Any, status: int = 200, headers: LooseHeaders | None = None) -> web.Response:
    """An answer in JSON with a final line feed, for people with curl; secrets that a source says back are masked."""
    body = redact_data(msgspec.json.encode(value).decode()).encode() + b"\n"
    return web.Response(status=status, body=body, content_type="application/json", charset="utf-8", headers=headers)


class StreamsApi:
    """Handlers under `/api/v1/streams`."""

    def __init__(self, context: WebContext, route_prefix: str) -> None:
        self._context = context
        self._path = route_prefix + PREFIX

    def routes(self) -> list[web.RouteDef]:
        """All routes; aiohttp answers other methods on them with 405 and `Allow`."""
        every, one = self._path, self._path + "/{name}"
        return [
            web.get(every, self._list),
            web.get(one, self._one),
            web.get(f"{one}/overview", self._overview),
            web.get(f"{one}/events", self._events),
            *(web.post(f"{one}/{action}", self._switch) for action in ("connect", "disconnect", "reset")),
        ]

    def _stream(self, request: web.Request) -> Stream:
        name = request.match_info["name"]
        streams = self._context.streams()
        stream = streams.get(name)
        if stream is None:
            known = list(streams)
            sentence = f"no stream is named {name!r}; there are: {', '.join(known) or 'none'}"
            raise HttpError(404, sentence, details={"known": known})
        return stream

    async def _list(self, _: web.Request) -> web.Response:
        return json_response([stream_object(stream) for stream in self._context.streams().values()])

    async def _one(self, request: web.Request) -> web.Response:
        return json_response(stream_object(self._stream(request)))

    async def _overview(self, request: web.Request) -> web.Response:
        return json_response(overview_object(self._stream(request).snapshot()))

    async def _events(self, request: web.Request) -> web.Response:
        return json_response(select_events(self._stream(request).snapshot(), request.query))

    async def _switch(self, request: web.Request) -> web.Response:
        stream = self._stream(request)
        action = request.path.rpartition("/")[2]
        {"connect": stream.connect, "disconnect": stream.disconnect, "reset": stream.reset}[action]()
        _log.info("stream.switched", stream=stream.name, action=action, remote=request.remote)
        if prefers_html(request.headers.get(hdrs.ACCEPT, "")):
            # The form on the landing page: back to where it was. Relative, as a proxy may have another path than we.
            return web.Response(status=303, headers={hdrs.LOCATION: f"../../../../#stream-{stream.name}"})
        return json_response(stream_object(stream))
