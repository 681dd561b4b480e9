"""The stream endpoints: one handler that speaks WebSocket or SSE, as the request asks."""

import asyncio
import math

import msgspec
from aiohttp import WSMsgType, web

from iris_exporter.backend.access import RateWindow
from iris_exporter.backend.connection import Connection, Ending
from iris_exporter.backend.feed import CHANGES, EVENTS, OVERVIEW, TELEMETRY
from iris_exporter.backend.objects import iso_time
from iris_exporter.backend.replies import SERVICE, accepts, error_response
from iris_exporter.backend.service import GOING_AWAY, Service
from iris_exporter.backend.wire import RECONNECT_HINT, Frame, error_body, pong
from iris_exporter.logs import get_logger

_log = get_logger(__name__)

PATHS = {
    "/api/stream/overview": OVERVIEW,
    "/api/stream/events": EVENTS,
    "/api/stream/telemetry": TELEMETRY,
    "/api/iris/ws": CHANGES,
}
CLOSE_TIMEOUT_SECONDS = 1.0
"""How long a client may take to answer our close frame; well below the five seconds that a stop may last."""
MAX_CLIENT_MESSAGE_BYTES = 100 * 1024
"""Section 5 of the wire description: 100 KB a message."""


class ClientMessage(msgspec.Struct, rename="camel"):
    """What a client may say on a WebSocket: `ping`, `pong`, or `resume` with the last event id it has seen."""

    type: str
    last_event_id: str | None = None


_decoder = msgspec.json.Decoder(ClientMessage)


async def stream(request: web.Request) -> web.StreamResponse:
    """Serve one stream connection until either side ends it."""
    service = request.app[SERVICE]
    channel = PATHS[request.path]
    upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
    if not upgrade and channel == CHANGES:
        return error_response(426, "UPGRADE_REQUIRED", headers={"Upgrade": "websocket", "Connection": "Upgrade"})
    if not upgrade and not accepts(request.headers.get("Accept"), "text/event-stream"):
        return error_response(406, "NOT_ACCEPTABLE")
    wait = service.admission.refuse(request.remote or "", len(service.connections), service.clock.monotonic())
    if wait is not None:
        return error_response(429, "RATE_LIMIT_EXCEEDED", retry_after=math.ceil(wait))
    _log.info("stream.opened", channel=channel, protocol="websocket" if upgrade else "sse")
    if upgrade:
        return await _serve_websocket(request, service, channel)
    return await _serve_sse(request, service, channel)


def _open(request: web.Request, service: Service, channel: str, protocol: str) -> Connection:
    transport = request.transport

    def abort() -> None:
        if transport is not None:
            transport.abort()

    def is_gone() -> bool:
        return transport is None or transport.is_closing()

    return service.open(channel, protocol, abort=abort, is_gone=is_gone)


async def _serve_sse(request: web.Request, service: Service, channel: str) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            # Tells nginx to pass each message on at once.
            "X-Accel-Buffering": "no",
        }
    )
    await response.prepare(request)
    if service.faults.get("accept-close"):
        return response
    connection = _open(request, service, channel, "sse")
    try:
        position = request.headers.get("Last-Event-ID")
        if position:
            service.resume(connection, position)
        service.greet(connection)
        if not service.is_silent(connection):
            await response.write(RECONNECT_HINT)
        while True:
            await connection.wake.wait()
            frames = service.outgoing(connection)
            if frames:
                await response.write(b"".join([frame.sse for frame in frames]))
            if connection.finished:
                break
    except ConnectionError:
        _log.debug("client.left", channel=channel)
    finally:
        service.close(connection)
        _log.info("stream.closed", channel=channel, protocol="sse")
    return response


async def _serve_websocket(request: web.Request, service: Service, channel: str) -> web.WebSocketResponse:
    # Pings are answered here, not by the library, so that `silent` can leave them unanswered.
    socket = web.WebSocketResponse(timeout=CLOSE_TIMEOUT_SECONDS, autoping=False, max_msg_size=MAX_CLIENT_MESSAGE_BYTES)
    await socket.prepare(request)
    if service.faults.get("accept-close"):
        await socket.close(code=GOING_AWAY.code, message=GOING_AWAY.reason.encode())
        return socket
    connection = _open(request, service, channel, "websocket")
    service.greet(connection)
    reader = asyncio.create_task(_read_websocket(socket, service, connection))
    writer = asyncio.create_task(_write_websocket(socket, service, connection))
    try:
        await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
    finally:
        reader.cancel()
        writer.cancel()
        outcomes = await asyncio.gather(reader, writer, return_exceptions=True)
        service.close(connection)
    for outcome in outcomes:
        if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionError):
            raise outcome
    ending = connection.ending
    if ending is not None and not connection.was_cut:
        # Only now that nobody reads: a close beside a waiting `receive` hangs up without awaiting the answer.
        await socket.close(code=ending.code, message=ending.reason.encode())
    _log.info("stream.closed", channel=channel, protocol="websocket", code=socket.close_code)
    return socket


async def _write_websocket(socket: web.WebSocketResponse, service: Service, connection: Connection) -> None:
    """Send what is queued; returns once the connection is to be ended and everything before that is sent."""
    while True:
        await connection.wake.wait()
        for frame in service.outgoing(connection):
            await socket.send_frame(frame.body, WSMsgType.BINARY if frame.binary else WSMsgType.TEXT)
        if connection.finished:
            return


async def _read_websocket(socket: web.WebSocketResponse, service: Service, connection: Connection) -> None:
    """React to what the client says; returns when it has closed the connection."""
    limit = service.settings.limits.messages_per_minute
    window = None if limit is None else RateWindow(limit, 60.0)
    while True:
        message = await socket.receive()
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG):
            return
        if connection.ending is not None:
            continue
        now = service.clock.monotonic()
        connection.last_heard_at = now
        if window is not None and (wait := window.use(now)) is not None:
            service.endings["flood"] += 1
            service.send(connection, Frame("error", error_body("RATE_LIMIT_EXCEEDED", retry_after=math.ceil(wait))))
            connection.end(Ending(1008, "too many messages"))
        elif message.type is WSMsgType.PING:
            if not service.is_silent(connection):
                await socket.pong(message.data)
        elif message.type is WSMsgType.TEXT:
            _answer(service, connection, message.data)


def _answer(service: Service, connection: Connection, text: str) -> None:
    """React to a client's message; types that are unknown here are left alone, so that clients can grow first."""
    try:
        message = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        service.send(connection, Frame("error", error_body("INVALID_REQUEST", "this message is not a JSON envelope")))
        return
    if message.type == "ping":
        service.send(connection, pong(iso_time(service.clock.wall())))
    elif message.type == "resume" and connection.resumed:
        service.send(connection, Frame("error", error_body("INVALID_REQUEST", "this connection was resumed already")))
    elif message.type == "resume":
        service.resume(connection, message.last_event_id or "")
