"""A source of numbered events that is no IRIS, over each transport that a mapping can have, and its mapping.

Three events share a time, a resume gives those *after* the time that it names, and what it names may lie in the middle
of three: as with Wikimedia, only a rewind and an identity lead to exact counts.
"""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Self

from aiohttp import web
from typing_extensions import override

from tests.faults.marathon import Life, Source

EVENTS = "marathon_events_total"
TRANSPORTS = ("sse", "websocket", "ndjson", "poll")
SHARED = 3
"""How many events have one time."""
REWIND = 4
MOST_POLLED = 4000
_AT_ONCE = 500

_RESUME = {"sse": "{header: Last-Event-ID}"} | dict.fromkeys(TRANSPORTS[1:], "{query: {since: '${cursor}'}}")
_MAPPING = """\
mappings:
  marathon:
    namespace: marathon
    FORMAT
    cursor: {path: PATH, order: number, rewind: {by: REWIND}, resume: RESUME}
    limits: {ids: 100000}
    messages:
      - kind: event
        EACH
        id: "AT.id"
        metrics: [{name: events_total, type: counter, help: Events., labels: {kind: "AT.kind"}}]
"""


def options(transport: str, url: str, directory: Path, *, rewind: int = REWIND) -> tuple[str, ...]:
    """Options of a sidecar that follows the source at `url` with the mapping, which is written to `directory`."""
    is_list = transport == "poll"
    text = _MAPPING
    for name, value in {
        "FORMAT": "format: ndjson" if transport == "ndjson" else "format: json",
        "PATH": {"sse": "meta.id", "poll": '"$[-1].t"'}.get(transport, "$.t"),
        "rewind: {by: REWIND}, ": f"rewind: {{by: {rewind}}}, " if rewind else "",
        "RESUME": _RESUME[transport],
        "EACH": 'each: "$[*]"' if is_list else "where: {$.id: {exists: true}}",
        "AT": "@" if is_list else "$",
    }.items():
        text = text.replace(name, value)
    path = directory / f"mapping-{transport}.yaml"
    path.write_text(text)
    return (
        f"--stream.url={url}/events",
        f"--stream.protocol={transport}",
        "--stream.mapping=marathon",
        f"--mapping-files={path}",
    )


class MappedSource(Source):
    """Serves what was published so far, from where a client wants to go on, and then what follows."""

    events = EVENTS

    def __init__(self, transport: str, directory: Path, *, rewind: int = REWIND) -> None:
        self.transport = transport
        self._directory = directory
        self._rewind = rewind
        self.url = ""
        self._events: list[bytes] = []
        self._more = asyncio.Condition()
        self._stopped = False

    @override
    def drawn_life(self) -> Life:
        return Life(self.transport, "/events", ())

    @override
    def options(self, life: Life, url: str) -> tuple[str, ...]:
        return options(life.protocol, url, self._directory, rewind=self._rewind)

    @override
    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/events", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    @override
    async def __aexit__(self, *error: object) -> None:
        self._stopped = True
        async with self._more:
            self._more.notify_all()
        await self._runner.cleanup()

    @override
    async def publish(self, first: int, count: int) -> None:
        self._events += [
            json.dumps({"id": f"event-{number}", "t": number // SHARED, "kind": f"kind-{number % 5}"}).encode()
            for number in range(first, first + count)
        ]
        async with self._more:
            self._more.notify_all()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        since = request.headers.get("Last-Event-ID") or request.query.get("since")
        start = 0 if since is None else min(len(self._events), (int(since) + 1) * SHARED)
        with suppress(ConnectionError):
            if self.transport == "poll":
                return web.json_response(text=f"[{b','.join(self._events[start : start + MOST_POLLED]).decode()}]")
            if self.transport == "websocket":
                return await self._serve_socket(request, start)
            return await self._serve_body(request, start)
        return web.Response()

    async def _serve_socket(self, request: web.Request, start: int) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        reading = asyncio.create_task(socket.receive())  # answers pings, and sees the end
        try:
            while not self._stopped and not socket.closed and not reading.done():
                for event in self._events[start : start + _AT_ONCE]:
                    await socket.send_str(event.decode())
                    start += 1
                await self._wait_for(start)
        finally:
            reading.cancel()
        return socket

    async def _serve_body(self, request: web.Request, start: int) -> web.StreamResponse:
        media_type = "text/event-stream" if self.transport == "sse" else "application/x-ndjson"
        response = web.StreamResponse(headers={"Content-Type": media_type})
        await response.prepare(request)
        while not self._stopped:
            numbers = range(start, min(len(self._events), start + _AT_ONCE))
            if self.transport == "sse":
                pieces = (b"id: %d\ndata: %b\n\n" % (number // SHARED, self._events[number]) for number in numbers)
            else:
                pieces = (self._events[number] + b"\n" for number in numbers)
            await response.write(b"".join(pieces) or (b":\n\n" if self.transport == "sse" else b"\n"))
            start += len(numbers)
            await self._wait_for(start)
        return response

    async def _wait_for(self, start: int) -> None:
        """Wait until there is an event behind `start`; half a second at most, so that a client hears something."""
        async with self._more:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait_for(lambda: len(self._events) > start or self._stopped), 0.5)
