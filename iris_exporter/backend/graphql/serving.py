"""GraphQL over HTTP, over server-sent events and over WebSocket.

Source: the GraphQL over HTTP specification; the protocols of graphql-sse (distinct connections) and of graphql-ws.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from iris_exporter.backend.compression import StreamGzip, wants_gzip
from iris_exporter.backend.connection import Ending
from iris_exporter.backend.encoding import JSON
from iris_exporter.backend.graphql import protocol
from iris_exporter.backend.graphql.operations import (
    Operation,
    Parameters,
    RequestError,
    Result,
    prepare,
    read_parameters,
    refusal,
)
from iris_exporter.backend.graphql.socket import GraphQLSocket
from iris_exporter.backend.graphql.subscription import Subscription
from iris_exporter.backend.message_faults import MessageFaults
from iris_exporter.backend.options import Request
from iris_exporter.backend.replies import ERROR_CODE, SERVICE, error_response
from iris_exporter.backend.service import GOING_AWAY, Service
from iris_exporter.backend.streams import (
    CLOSE_TIMEOUT_SECONDS,
    MAX_CLIENT_MESSAGE_BYTES,
    run_websocket,
    write_events,
)
from iris_exporter.backend.wire import encode
from iris_exporter.logs import get_logger
from iris_exporter.web.negotiation import parse

_log = get_logger(__name__)

CHANNEL = "graphql"
RESPONSE = "application/graphql-response+json"
LEGACY = "application/json"
EVENTS = "text/event-stream"
_PARAMETERS = ("query", "operationName", "variables", "extensions")
_decode = msgspec.json.Decoder().decode


async def serve(request: web.Request) -> web.StreamResponse:
    """Answer a request, or serve a stream until either side ends it."""
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return await _serve_websocket(request)
    media = choose_media(request.headers.get("Accept"))
    if media is None:
        return error_response(406, "NOT_ACCEPTABLE", f"this endpoint answers {RESPONSE}, {LEGACY} or {EVENTS}")
    try:
        found = await _read(request)
    except web.HTTPRequestEntityTooLarge:
        raise
    except web.HTTPException as error:
        return _response(error.status, {"errors": refusal(error.text or error.reason).errors}, media)
    try:
        operation = prepare(found if isinstance(found, Parameters) else read_parameters(found))
        if media == EVENTS:
            return await _serve_events(request, operation)
        if operation.is_subscription:
            text = f"a subscription is answered as {EVENTS}, or over a WebSocket"
            return _response(406, {"errors": refusal(text, "NOT_ACCEPTABLE").errors}, media)
        return _response(200, operation.answer(request.app[SERVICE].feed), media)
    except RequestError as problem:
        if media == EVENTS:
            return await _send_once(request, {"errors": problem.errors})
        return _response(200 if media == LEGACY else 400, {"errors": problem.errors}, media)


def choose_media(accept: str | None) -> str | None:
    """The media type to answer with; None when nothing fits. An event stream has to be asked for by name."""
    if accept is None or not accept.strip():
        return RESPONSE
    weights = {item.value: item.weight for item in parse(accept)}
    best, weight = None, 0.0
    for media, ranges in (
        (EVENTS, (EVENTS,)),
        (RESPONSE, (RESPONSE, "application/*", "*/*")),
        (LEGACY, (LEGACY, "application/*", "*/*")),
    ):
        found = next((weights[each] for each in ranges if each in weights), 0.0)
        if found > weight:
            best, weight = media, found
    return best


def _response(status: int, result: Mapping[str, Any], media: str) -> web.Response:
    shown = LEGACY if media == EVENTS else media
    headers = {"Cache-Control": "no-cache"}
    response = web.Response(body=encode(result), status=status, content_type=shown, charset="utf-8", headers=headers)
    if "data" not in result:
        response[ERROR_CODE] = _code_of(result)
    return response


def _code_of(result: Mapping[str, Any]) -> str:
    return str(result["errors"][0].get("extensions", {}).get("code", "INVALID_REQUEST"))


async def _read(request: web.Request) -> object:
    """The parameters of a request as a JSON value. Raises HTTPException for what cannot be read at all."""
    if request.method == "GET":
        return _read_query(list(request.query.items()))
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send JSON, with Content-Type: application/json")
    body = await request.read()
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise web.HTTPBadRequest(text="the body is not JSON") from None


def _read_query(query: Sequence[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in query:
        if name in _PARAMETERS:
            if name in found:
                raise web.HTTPBadRequest(text=f"{name}: expected one value")
            found[name] = text
    for name in ("variables", "extensions"):
        if name in found:
            try:
                found[name] = _decode(found[name]) if found[name] else None
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                raise web.HTTPBadRequest(text=f"{name}: expected a JSON object") from None
    if found.get("operationName") == "":
        found["operationName"] = None
    return found


# Event streams


async def _serve_events(request: web.Request, operation: Operation) -> web.StreamResponse:
    service = request.app[SERVICE]
    if not operation.is_subscription:
        return await _send_once(request, operation.answer(service.feed))
    wanted = operation.options(request.headers.get("Last-Event-ID"))
    if (refused := _admit(request)) is not None:
        return refused
    try:
        return await _stream_events(request, operation, wanted)
    finally:
        service.admission.leave()


async def _stream_events(request: web.Request, operation: Operation, wanted: Request) -> web.StreamResponse:
    service = request.app[SERVICE]
    _log.info("stream.opened", channel=CHANNEL, protocol="sse")
    response, coding = await _open_events(request)
    if service.faults.get("accept-close"):
        return response
    subscription = Subscription(
        **service.subscriber_parts("sse", request.transport, JSON) | {"faults": _faults(service, None)},
        traffic=service.stats.traffic["sse", "graphql"],
        operation=operation,
    )
    service.register(subscription)
    subscription.subscribe(wanted)
    try:
        await write_events(response, subscription, coding)
    except ConnectionError:
        _log.debug("client.left", channel=CHANNEL)
    finally:
        service.connections.discard(subscription)
        _log.info("stream.closed", channel=CHANNEL, protocol="sse")
    return response


async def _send_once(request: web.Request, result: Result) -> web.StreamResponse:
    """One result and the end, as an event stream: what is refused is said there, too."""
    response, coding = await _open_events(request)
    data = b"event: next\ndata: %b\n\nevent: complete\ndata: \n\n" % encode(result)
    await response.write(data if coding is None else coding.feed(data) + coding.end())
    if "data" not in result:
        response[ERROR_CODE] = _code_of(result)
    return response


async def _open_events(request: web.Request) -> tuple[web.StreamResponse, StreamGzip | None]:
    headers = {
        "Content-Type": EVENTS,
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
        "Vary": "Accept-Encoding",
    }
    coding = None
    if wants_gzip(request):
        headers["Content-Encoding"] = "gzip"
        coding = StreamGzip()
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    return response, coding


def _admit(request: web.Request) -> web.Response | None:
    """Take a place for a stream, to be given back by `leave`; the answer where there is none."""
    service = request.app[SERVICE]
    wait = service.admission.admit(request.remote or "", service.clock.monotonic())
    return None if wait is None else error_response(429, "RATE_LIMIT_EXCEEDED", retry_after=math.ceil(wait))


def _faults(service: Service, operation_id: str | None) -> MessageFaults:
    """Faults whose messages are results of the operation."""

    def write(message: Mapping[str, Any]) -> bytes:
        is_error = message["type"] == "error"
        found = {"__typename": "ErrorMessage", **message["error"]} if is_error else {"__typename": "Update", **message}
        result = {"data": {"stream": found}}
        return encode(result if operation_id is None else protocol.next_message(operation_id, result))

    return MessageFaults(service.faults, service.clock, write)


# WebSockets


async def _serve_websocket(request: web.Request) -> web.StreamResponse:
    if (refused := _admit(request)) is not None:
        return refused
    try:
        return await _stream_websocket(request)
    finally:
        request.app[SERVICE].admission.leave()


async def _stream_websocket(request: web.Request) -> web.StreamResponse:
    service = request.app[SERVICE]
    offers = ",".join(request.headers.getall("Sec-WebSocket-Protocol", ()))
    is_known = protocol.SUBPROTOCOL in [offer.strip() for offer in offers.split(",")]
    # Pings are answered where `silent` can leave them unanswered, not by the library.
    socket = web.WebSocketResponse(
        timeout=CLOSE_TIMEOUT_SECONDS,
        autoping=False,
        max_msg_size=MAX_CLIENT_MESSAGE_BYTES + 1,  # as on the other streams
        protocols=(protocol.SUBPROTOCOL,) if is_known else (),
    )
    await socket.prepare(request)
    _log.info("stream.opened", channel=CHANNEL, protocol="websocket")
    if service.faults.get("accept-close"):
        await socket.close(code=GOING_AWAY.code, message=GOING_AWAY.reason.encode())
        return socket
    traffic = service.stats.traffic["websocket", "graphql"]

    def open_subscription(operation: Operation, operation_id: str) -> Subscription:
        return Subscription(
            **service.subscriber_parts("websocket", request.transport, JSON)
            | {"faults": _faults(service, operation_id)},
            traffic=traffic,
            operation=operation,
            operation_id=operation_id,
        )

    def refused_operation(code: str) -> None:
        service.stats.refusals[code] += 1

    connection = GraphQLSocket(
        channel=CHANNEL,
        protocol="websocket",
        transport=request.transport,
        started_at=service.clock.monotonic(),
        faults=MessageFaults(service.faults, service.clock),
        traffic=traffic,
        open_subscription=open_subscription,
        answer_query=lambda operation: operation.answer(service.feed),
        refused=refused_operation,
        now=service.clock.monotonic,
    )
    service.register(connection)
    if not is_known:
        connection.end(Ending(protocol.NO_SUBPROTOCOL.code, protocol.NO_SUBPROTOCOL.reason))
    await run_websocket(socket, service, connection, connection.receive)
    return socket
