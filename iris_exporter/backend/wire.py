"""Messages as bytes: envelopes, SSE framing, and the bodies of errors. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from iris_exporter.backend.history import Entry

encode = msgspec.json.Encoder().encode
"""Encodes structs, mappings and sequences as compact JSON; `msgspec.Raw` is JSON already."""
RECONNECT_HINT = b"retry: 3000\n\n"
"""First thing on an SSE stream: the delay that a browser should wait before it connects again, in milliseconds."""

HEARTBEATS = ("ping", "pong")

CHANGE_TYPES = {
    "evaluation": "evaluation_complete",
    "rotation": "expert_rotated",
    "consensus": "consensus_reached",
    "reflexion": "reflexion_created",
    "retrain": "remediation_progress",
    "anomaly_detected": "anomaly_detected",
}
"""Message types of the older socket by kind of event; any other kind is a `system_alert`."""

ERROR_MESSAGES = {
    "AUTH_REQUIRED": "a valid key is required: Authorization: Bearer <key>",
    "FORBIDDEN": "this key may not read this",
    "MESSAGE_TOO_LARGE": "a message or a body has at most 100 KB",
    "INVALID_ENDPOINT": "there is nothing at this address",
    "INVALID_REQUEST": "the request cannot be understood",
    "NOT_ACCEPTABLE": "this endpoint answers text/event-stream, or a WebSocket upgrade",
    "UPGRADE_REQUIRED": "this endpoint is a WebSocket",
    "PROJECT_NOT_FOUND": "there is no such project",
    "RATE_LIMIT_EXCEEDED": "too many requests or messages",
    "STREAM_UNAVAILABLE": "streams are not available now, poll instead",
    "SERVICE_UNAVAILABLE": "the backend is not available now",
}
"""What an error code means in words; the four of the wire description and those of this backend."""


class Frame:
    """One message, encoded once and written unchanged to every connection.

    `position` is the cursor after this message (None: it carries no event), `heartbeat` marks what the fault
    `data-silent` still sends, and `binary` sends it as a binary WebSocket message.
    """

    __slots__ = ("_sse", "binary", "body", "heartbeat", "name", "position")

    def __init__(
        self, name: str, body: bytes, *, position: str | None = None, heartbeat: bool = False, binary: bool = False
    ) -> None:
        self.name = name
        self.body = body
        self.position = position
        self.heartbeat = heartbeat
        self.binary = binary
        self._sse: bytes | None = None

    @property
    def sse(self) -> bytes:
        """The message as an SSE event; JSON has no line breaks, so one data line is enough."""
        if self._sse is None:
            head = f"id: {self.position}\nevent: {self.name}\n" if self.position else f"event: {self.name}\n"
            self._sse = b"%bdata: %b\n\n" % (head.encode(), self.body)
        return self._sse


class _Envelope(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    type: str
    id: str | None = None
    replay: bool = False
    timestamp: str
    data: object


def envelope(kind: str, timestamp: str, data: object, *, position: str | None = None, replay: bool = False) -> Frame:
    """Wrap `data` into a message of type `kind`."""
    body = encode(_Envelope(type=kind, id=position, replay=replay, timestamp=timestamp, data=data))
    return Frame(kind, body, position=position)


def event_frame(entry: Entry, epoch: str, timestamp: str, *, replay: bool = False, older: bool = False) -> Frame:
    """One event on the events stream or, under the type that belongs to its kind, on the older socket."""
    kind = CHANGE_TYPES.get(entry.event.event_type or "", "system_alert") if older else "event"
    return envelope(kind, timestamp, entry.json, position=f"{epoch}-{entry.offset}", replay=replay)


def heartbeat(kind: str, timestamp: str) -> dict[str, Any]:
    """A `ping`, or the `pong` that answers a client's."""
    return {"type": kind, "timestamp": timestamp}


def error(code: str, message: str | None = None, retry_after: float | None = None) -> dict[str, Any]:
    """An `error` message; `retry_after` is in seconds, None leaves it out."""
    content: dict[str, object] = {"code": code, "message": message or ERROR_MESSAGES.get(code, code)}
    if retry_after is not None:
        content["retryAfter"] = int(retry_after) if retry_after == int(retry_after) else retry_after
    return {"type": "error", "error": content}


def error_body(code: str, message: str | None = None, retry_after: float | None = None) -> bytes:
    """The same as the body of an HTTP answer."""
    return encode(error(code, message, retry_after))


def sse_name(kind: str) -> str:
    """The SSE event name of a type of message: the type, or `heartbeat` for both kinds of those."""
    return "heartbeat" if kind in HEARTBEATS else kind


def message_frame(message: Mapping[str, Any]) -> Frame:
    """A message without a position, in JSON."""
    kind = message["type"]
    return Frame(sse_name(kind), encode(message), heartbeat=kind in HEARTBEATS)
