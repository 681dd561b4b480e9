"""Numbered events on Starlette, uvicorn and `sse-starlette`: python starlette_numbers.py PORT FIRST LAST.

`Last-Event-ID` is honoured; a connection ends after fifteen events.
"""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator

import uvicorn
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

AT_ONCE = 15
port, first, last = map(int, sys.argv[1:])


async def numbers(after: int) -> AsyncIterator[dict[str, str]]:
    """The numbers behind `after`, some of them; where there is none, silence."""
    following = range(max(first, after + 1), last + 1)[:AT_ONCE]
    for number in following:
        data = json.dumps({"n": number, "kind": ("even", "odd")[number % 2]})
        yield {"event": "number", "id": str(number), "data": data}
        await asyncio.sleep(0.002)
    if not following:
        await asyncio.Event().wait()


async def stream(request: Request) -> EventSourceResponse:
    """Answer with the stream."""
    after = request.headers.get("Last-Event-ID")
    print(json.dumps({"after": after}), flush=True)
    return EventSourceResponse(numbers(0 if after is None else int(after)), ping=1)


bound = socket.create_server(("127.0.0.1", port))
print(json.dumps({"port": bound.getsockname()[1]}), flush=True)
app = Starlette(routes=[Route("/numbers", stream)])
uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[bound])
