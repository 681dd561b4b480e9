"""What clients of `/api/stream` say: messages on a WebSocket, and the query of a request for server-sent events."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from iris_exporter.backend.connection import Connection
from iris_exporter.backend.encoding import JSON
from iris_exporter.backend.objects import iso_time
from iris_exporter.backend.options import OptionError, Request, parse_options, query_options
from iris_exporter.backend.service import Service
from iris_exporter.backend.subscriber import Subscriber
from iris_exporter.backend.wire import error, heartbeat
from iris_exporter.core.subscriptions import PROTOBUF_SUBPROTOCOL


def read_query(query: Sequence[tuple[str, str]], last_event_id: str | None) -> Request:
    """What a request for server-sent events asks for. The header wins, since a browser sets it when it reconnects.

    Raises:
        OptionError: A parameter has a value that it cannot have.
    """
    options = query_options(query)
    if last_event_id:
        options["after"] = last_event_id
    return parse_options(options)


def refuse(service: Service, connection: Connection, code: str, text: str | None, wait: float | None = None) -> None:
    """Answer with an error; `wait` is in seconds."""
    service.stats.refusals[code] += 1
    service.say(connection, error(code, text, None if wait is None else math.ceil(wait)), urgent=True)


def _decode_binary(subscriber: Subscriber, data: bytes) -> dict[str, Any]:
    if not subscriber.encoding.binary:
        raise ValueError(f"binary messages need the subprotocol {PROTOBUF_SUBPROTOCOL}")
    return subscriber.encoding.decode(data)


def answer(service: Service, subscriber: Subscriber, data: str | bytes) -> None:
    """Answer one message of a client. Types that nobody knows are ignored, so that clients can grow first."""
    try:
        message = JSON.decode(data.encode()) if isinstance(data, str) else _decode_binary(subscriber, data)
    except ValueError as problem:
        refuse(service, subscriber, "INVALID_REQUEST", f"this message cannot be read: {problem}")
        return
    kind = message.get("type")
    if kind == "ping":
        service.say(subscriber, heartbeat("pong", iso_time(service.clock.wall())))
    elif kind in ("subscribe", "resume"):
        _subscribe(service, subscriber, message)
    elif not isinstance(kind, str):
        refuse(service, subscriber, "INVALID_REQUEST", "this message has no type")


def _subscribe(service: Service, subscriber: Subscriber, message: Mapping[str, Any]) -> None:
    wait = subscriber.limiter.use(service.clock.monotonic())
    if wait is not None:
        refuse(service, subscriber, "RATE_LIMIT_EXCEEDED", "too many subscribes; the last one stays in force", wait)
        return
    if message["type"] == "resume" and subscriber.has_asked:
        refuse(service, subscriber, "INVALID_REQUEST", "this connection has resumed or subscribed already")
        return
    options = message.get("data") if message["type"] == "subscribe" else {"after": message.get("lastEventId") or ""}
    try:
        request = parse_options({} if options is None else options)
    except OptionError as problem:
        refuse(service, subscriber, "INVALID_REQUEST", str(problem))
        return
    subscriber.has_asked = True
    subscriber.subscribe(request)
