"""The stream endpoints: one handler that speaks WebSocket or SSE, as the request asks."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from iris_exporter.backend.access import RateWindow
from iris_exporter.backend.compression import StreamGzip, wants_gzip
from iris_exporter.backend.connection import ChannelConnection, Connection, Ending
from iris_exporter.backend.encoding import ENCODINGS, JSON, choose_subprotocol
from iris_exporter.backend.feed import CHANGES, EVENTS, OVERVIEW, SUBSCRIPTIONS, TELEMETRY
from iris_exporter.backend.metering import meter
from iris_exporter.backend.objects import iso_time
from iris_exporter.backend.options import EVERYTHING, OptionError, Request
from iris_exporter.backend.replies import SERVICE, error_response
from iris_exporter.backend.service import GOING_AWAY, Service
from iris_exporter.backend.subscribing import answer, read_query, refuse
from iris_exporter.backend.wire import RECONNECT_HINT, heartbeat
from iris_exporter.core.subscriptions import STREAM_PATH, SUBPROTOCOLS
from iris_exporter.logs import get_logger
from iris_exporter.web.negotiation import parse

_log = get_logger(__name__)

PATHS = {
    STREAM_PATH: SUBSCRIPTIONS,
    "/api/stream/overview": OVERVIEW,
    "/api/stream/events": EVENTS,
    "/api/stream/telemetry": TELEMETRY,
    "/api/iris/ws": CHANGES,
}
CLOSE_TIMEOUT_SECONDS = 1.0
"""How long a client may take to answer our close frame; well below the five seconds that a stop may last."""
SENT_AT_ONCE_BYTES = 16 * 1024
"""Above this the library compresses a message in a thread, and sends it in a task that nobody can cancel."""
MAX_CLIENT_MESSAGE_BYTES = 100 * 1024
"""Section 5 of the wire description: 100 KB a message."""


class ClientMessage(msgspec.Struct, rename="camel"):
    """What a client may send on a WebSocket: `ping`, `pong`, or `resume` with the last event id it has seen."""

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
    if not upgrade and not _accepts_events(request.headers.get("Accept", "")):
        return error_response(406, "NOT_ACCEPTABLE")
    if len(request.raw_path) > MAX_CLIENT_MESSAGE_BYTES:
        return error_response(400, "INVALID_REQUEST", "an address has at most 100 KB, as a message has")
    wanted = EVERYTHING
    if channel == SUBSCRIPTIONS and not upgrade:
        try:
            wanted = read_query(list(request.query.items()), request.headers.get("Last-Event-ID"))
        except OptionError as problem:
            return error_response(400, "INVALID_REQUEST", str(problem))
    wait = service.admission.admit(request.remote or "", service.clock.monotonic())
    if wait is not None:
        return error_response(429, "RATE_LIMIT_EXCEEDED", retry_after=math.ceil(wait))
    _log.info("stream.opened", channel=channel, protocol="websocket" if upgrade else "sse")
    try:
        if upgrade:
            return await _serve_websocket(request, service, channel)
        return await _serve_sse(request, service, channel, wanted)
    finally:
        service.admission.leave()


def _accepts_events(accept: str) -> bool:
    """Whether an `Accept` header allows `text/event-stream`; the most specific range decides (RFC 9110, 12.5.1)."""
    weights = {item.value: item.weight for item in parse(accept)}
    found = [weights[key] for key in ("text/event-stream", "text/*", "*/*") if key in weights]
    return found[0] > 0 if found else not accept.strip()


async def _serve_sse(request: web.Request, service: Service, channel: str, wanted: Request) -> web.StreamResponse:
    headers = {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-store",
        # Tells nginx to pass each message on at once.
        "X-Accel-Buffering": "no",
    }
    coding = None
    if channel == SUBSCRIPTIONS:
        headers["Vary"] = "Accept-Encoding"
        if wants_gzip(request):
            headers["Content-Encoding"] = "gzip"
            coding = StreamGzip()
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    if service.faults.get("accept-close"):
        return response
    connection: Connection
    if channel == SUBSCRIPTIONS:
        connection = subscriber = service.open_subscriber("sse", request.transport, JSON)
        subscriber.subscribe(wanted)
    else:
        connection = service.open(channel, "sse", request.transport, request.headers.get("Last-Event-ID"))
    try:
        await write_events(response, connection, coding)
    except ConnectionError:
        _log.debug("client.left", channel=channel)
    finally:
        service.connections.discard(connection)
        _log.info("stream.closed", channel=channel, protocol="sse")
    return response


async def write_events(response: web.StreamResponse, connection: Connection, coding: StreamGzip | None) -> None:
    """Send what is queued; returns once the connection is to be ended and everything before that is sent."""

    async def write(data: bytes) -> None:
        connection.traffic.message_bytes += len(data)
        await send(data if coding is None else coding.feed(data))

    async def send(data: bytes) -> None:
        connection.traffic.wire_bytes += len(data)
        await response.write(data)

    if not connection.faults.silent:
        await write(RECONNECT_HINT)
    while True:
        await connection.wake.wait()
        frames = connection.take()
        if frames:
            await write(b"".join([frame.sse for frame in frames]))
        if connection.finished:
            break
        await _let_others()
    if connection.was_cut:
        return
    if connection.last_line and not connection.faults.silent:
        await write(connection.last_line)
    if coding is not None:
        await send(coding.end())


async def _serve_websocket(request: web.Request, service: Service, channel: str) -> web.WebSocketResponse:
    offers = request.headers.getall("Sec-WebSocket-Protocol", ()) if channel == SUBSCRIPTIONS else ()
    subprotocol = choose_subprotocol(offers)
    # Pings are answered here, not by the library, so that `silent` can leave them unanswered.
    socket = web.WebSocketResponse(
        timeout=CLOSE_TIMEOUT_SECONDS,
        autoping=False,
        # The library already refuses a message of exactly this size, unless it was compressed.
        max_msg_size=MAX_CLIENT_MESSAGE_BYTES + 1,
        protocols=() if subprotocol is None else (subprotocol,),
    )
    await socket.prepare(request)
    if service.faults.get("accept-close"):
        await socket.close(code=GOING_AWAY.code, message=GOING_AWAY.reason.encode())
        return socket
    if channel == SUBSCRIPTIONS:
        encoding = JSON if subprotocol is None else ENCODINGS[SUBPROTOCOLS[subprotocol]]
        subscriber = service.open_subscriber("websocket", request.transport, encoding)
        await run_websocket(socket, service, subscriber, lambda data: answer(service, subscriber, data))
    else:
        connection = service.open(channel, "websocket", request.transport)
        await run_websocket(socket, service, connection, lambda data: _answer(service, connection, data))
    return socket


async def run_websocket(
    socket: web.WebSocketResponse, service: Service, connection: Connection, take: Callable[[str | bytes], None]
) -> None:
    """Write what is queued, and hand what the client says to `take`, until either side ends the connection."""
    meter(socket, connection.traffic)
    reader = asyncio.create_task(_read_websocket(socket, service, connection, take))
    writer = asyncio.create_task(_write_websocket(socket, connection))
    try:
        await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
    finally:
        reader.cancel()
        writer.cancel()
        outcomes = await asyncio.gather(reader, writer, return_exceptions=True)
        service.connections.discard(connection)
    for outcome in outcomes:
        if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionError):
            raise outcome
    ending = connection.ending
    if ending is not None and not connection.was_cut:
        # Only now that nobody reads: a close beside a waiting `receive` hangs up without awaiting the answer.
        await socket.close(code=ending.code, message=ending.reason.encode())
    _log.info("stream.closed", channel=connection.channel, protocol="websocket", code=socket.close_code)


async def _write_websocket(socket: web.WebSocketResponse, connection: Connection) -> None:
    """Send what is queued; returns once the connection is to be ended and everything before that is sent."""
    while True:
        await connection.wake.wait()
        for frame in connection.take():
            connection.traffic.message_bytes += len(frame.body)
            sending = socket.send_frame(frame.body, WSMsgType.BINARY if frame.binary else WSMsgType.TEXT)
            await (sending if len(frame.body) <= SENT_AT_ONCE_BYTES else _to_its_end(sending))
        if connection.finished:
            return
        await _let_others()


async def _let_others() -> None:
    """A turn for everybody else: neither a wait for what is there already nor a write to an empty socket gives one.

    A replay of a whole history would hold up all other clients until its end.
    """
    await asyncio.sleep(0)


async def _to_its_end(sending: Coroutine[Any, Any, None]) -> None:
    """Send a large message; on being cancelled, wait for its end, and take note of how it failed.

    It fails on a socket that has closed meanwhile, and the loop would log the error as one that nobody has seen.
    """
    task = asyncio.create_task(sending)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,), timeout=CLOSE_TIMEOUT_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


async def _read_websocket(
    socket: web.WebSocketResponse, service: Service, connection: Connection, take: Callable[[str | bytes], None]
) -> None:
    """Answer the client's messages; returns when it has closed the connection."""
    limit = service.settings.limits.messages_per_minute
    window = None if limit is None else RateWindow(limit, 60.0)
    while True:
        await connection.room.wait()
        message = await socket.receive()
        if message.type is WSMsgType.ERROR:
            # The library has closed it. What the client answered to that is now the close code of the socket.
            large = getattr(message.data, "code", None) == WSCloseCode.MESSAGE_TOO_BIG
            service.stats.refusals["MESSAGE_TOO_LARGE" if large else "INVALID_REQUEST"] += 1
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG):
            return
        if connection.ending is not None:
            continue
        now = service.clock.monotonic()
        connection.last_message_at = now
        if window is not None and (wait := window.use(now)) is not None:
            refuse(service, connection, "RATE_LIMIT_EXCEEDED", None, wait)
            connection.end(Ending(1008, "too many messages"))
        elif message.type is WSMsgType.PING:
            if not connection.faults.silent:
                await socket.pong(message.data)
        elif message.type is not WSMsgType.PONG:
            take(message.data)


def _answer(service: Service, connection: ChannelConnection, text: str | bytes) -> None:
    """Answer a client's message; unknown types are ignored, so that clients can grow first, and binary messages."""
    if isinstance(text, bytes):
        return
    try:
        message = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        refuse(service, connection, "INVALID_REQUEST", "this message is not a JSON envelope")
        return
    if message.type == "ping":
        service.say(connection, heartbeat("pong", iso_time(service.clock.wall())))
    elif message.type == "resume" and connection.resumed:
        refuse(service, connection, "INVALID_REQUEST", "this connection was resumed already")
    elif message.type == "resume":
        service.resume(connection, message.last_event_id or "")
