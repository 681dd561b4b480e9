"""Messages as bytes: envelopes, SSE framing, and the messages that the `garbage` and `huge` faults make. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from iris_exporter.backend.history import Entry
from iris_exporter.backend.objects import DeployedEvent, DeployedProject, Event, Project

_encoder = msgspec.json.Encoder()
RECONNECT_HINT = b"retry: 3000\n\n"
"""First thing on an SSE stream: the delay that a browser should wait before it connects again, in milliseconds."""

CHANGE_TYPES = {
    "evaluation": "evaluation_complete",
    "rotation": "expert_rotated",
    "consensus": "consensus_reached",
    "reflexion": "reflexion_created",
    "retrain": "remediation_progress",
    "anomaly_detected": "anomaly_detected",
}
"""Message types of the older socket by kind of event; any other kind is a `system_alert`."""


class Frame:
    """One message, encoded once and written unchanged to every connection.

    `position` is the cursor after this message (None: it carries no event), `heartbeat` marks what `data-silent`
    lets pass, and `binary` sends it as a binary WebSocket message.
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


def encode(value: object) -> bytes:
    """Encode structs, mappings and sequences as compact JSON."""
    return _encoder.encode(value)


def array(items: Sequence[bytes]) -> bytes:
    """Join JSON texts into a JSON array."""
    return b"[" + b",".join(items) + b"]"


def fields(values: Mapping[str, bytes]) -> bytes:
    """Join JSON texts into a JSON object."""
    return b"{" + b",".join(b'"%b":%b' % (name.encode(), text) for name, text in values.items()) + b"}"


def envelope(
    kind: str, timestamp: str, data: bytes, *, position: str | None = None, replay: bool = False, name: str = ""
) -> Frame:
    """Wrap `data` (JSON) into a message of type `kind`; `name` is the SSE event name when it is another."""
    extra = (f',"id":"{position}"' if position else "") + (',"replay":true' if replay else "")
    body = b'{"type":"%b"%b,"timestamp":"%b","data":%b}' % (kind.encode(), extra.encode(), timestamp.encode(), data)
    return Frame(name or kind, body, position=position)


def ping(timestamp: str) -> Frame:
    """Our heartbeat: a `ping`, named `heartbeat` on SSE."""
    return Frame("heartbeat", encode({"type": "ping", "timestamp": timestamp}), heartbeat=True)


def pong(timestamp: str) -> Frame:
    """The answer to a client's `ping`."""
    return Frame("heartbeat", encode({"type": "pong", "timestamp": timestamp}), heartbeat=True)


ERROR_MESSAGES = {
    "AUTH_REQUIRED": "a valid key is required: Authorization: Bearer <key>",
    "FORBIDDEN": "this key may not read this",
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


def error_body(code: str, message: str | None = None, retry_after: float | None = None) -> bytes:
    """Encode an `error` message; `retry_after` is in seconds, None leaves it out."""
    error: dict[str, object] = {"code": code, "message": message or ERROR_MESSAGES.get(code, code)}
    if retry_after is not None:
        error["retryAfter"] = int(retry_after) if retry_after == int(retry_after) else retry_after
    return encode({"type": "error", "error": error})


def event_frame(entry: Entry, epoch: str, timestamp: str, *, replay: bool = False) -> Frame:
    """One event on the events stream."""
    return envelope("event", timestamp, entry.json, position=f"{epoch}-{entry.offset}", replay=replay)


def change_frame(entry: Entry, epoch: str, timestamp: str, *, replay: bool = False) -> Frame:
    """One event on the older socket, under the type that belongs to its kind."""
    kind = CHANGE_TYPES.get(entry.event.event_type, "system_alert")
    return envelope(kind, timestamp, entry.json, position=f"{epoch}-{entry.offset}", replay=replay)


def newest_first(entries: Sequence[Entry]) -> bytes:
    """Encode a run of events as the lists of the wire have them: the latest in front."""
    return array([entry.json for entry in reversed(entries)])


def deployed_project(project: Project) -> DeployedProject:
    """Spell a project as the deployed REST interface does, with shares in percent."""
    return DeployedProject(
        project=project.id,
        overall_health=project.status,
        latest_health_score=project.health_score,
        last_report_date=project.last_run,
        total_runs=project.total_runs,
        avg_success_rate=round(100 * project.success_rate, 1),
        active_experts=project.active_experts,
        total_reflexions=project.reflexions_count,
    )


def deployed_event(event: Event) -> DeployedEvent:
    """Spell an event as the deployed REST interface does."""
    return DeployedEvent(
        id=event.id,
        timestamp=event.timestamp,
        project=event.project,
        event_type=event.event_type,
        severity=event.severity,
        message=event.message,
        details=event.metadata,
    )


def garbled(frame: Frame, turn: int) -> Frame:
    """Return what the `garbage` fault puts in the place of `frame`; `turn` counts up and picks the sort."""
    sorts = (
        Frame(frame.name, b'{"type":"event","data":{"id":,}'),
        Frame(frame.name, b"\x00\xff\xfe\x89IRIS\x80", binary=True),
        Frame(frame.name, b"<!doctype html><title>502 Bad Gateway</title><h1>Bad Gateway</h1>"),
        Frame(frame.name, frame.body[: max(1, len(frame.body) // 2)]),
        Frame(
            frame.name, b'{"type":"event","timestamp":[],"data":{"id":{},"project":7,"severity":[1],"metadata":"x"}}'
        ),
    )
    return sorts[turn % len(sorts)]


def padded(size: int, timestamp: str) -> Frame:
    """Return a valid `update` without content that is `size` bytes of JSON long."""
    empty = len(envelope("update", timestamp, b'{"padding":""}').body)
    return envelope("update", timestamp, b'{"padding":"%b"}' % (b"x" * (size - empty)))
