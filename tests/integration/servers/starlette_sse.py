"""A backend on Starlette, uvicorn and `sse-starlette` that sends server-sent events on the old paths."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import uvicorn
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

COUNT = 40


def say(**line: object) -> None:
    """Tell the test."""
    print(json.dumps(line), flush=True)


def sent(kind: str, data: object) -> dict[str, str]:
    """A message as one event."""
    moment = datetime.now(UTC).isoformat()
    return {"event": kind, "data": json.dumps({"type": kind, "timestamp": moment, "data": data})}


async def messages() -> AsyncIterator[dict[str, str]]:
    """A whole state, then numbered events; then silence, but for the comments that the library sends."""
    project = {"id": "alpha", "name": "Alpha", "status": "warning", "health_score": 71.5, "total_runs": 321}
    metrics = {"total_projects": 1, "active_experts": 7}
    yield sent("update", {"metrics": metrics, "projects": [project], "events": [], "anomalies": []})
    for number in range(COUNT):
        about = {"project": "alpha", "event_type": "evaluation", "severity": "info", "message": "a run"}
        yield sent("event", {"id": f"evt-{number}", "timestamp": datetime.now(UTC).isoformat(), **about})
        await asyncio.sleep(0.02)
    await asyncio.Event().wait()


async def stream(request: Request) -> EventSourceResponse:
    """Answer with the stream."""
    say(opened=request.url.path)
    return EventSourceResponse(messages(), ping=1)


paths = ("/api/stream/overview", "/api/stream/events")
bound = socket.create_server(("127.0.0.1", 0))
say(port=bound.getsockname()[1])
app = Starlette(routes=[Route(path, stream) for path in paths])
uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[bound])
