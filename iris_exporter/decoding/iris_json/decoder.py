"""Envelopes, as plain JSON values, to messages: the general path, which converts, notes what it left out, and goes on.

Source: the IRIS wire, sections 2 and 3.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from iris_exporter.decoding import values
from iris_exporter.decoding.iris_json.objects import (
    PROJECT_ID,
    JsonObject,
    anomaly_from,
    converted,
    event_from,
    fields_of,
    overview_from,
    project_from,
    read_fields,
)
from iris_exporter.decoding.messages import (
    OLDER_EVENT_TYPES,
    Dropped,
    EventMessage,
    Message,
    Overview,
    Ping,
    Pong,
    Resumed,
    Unknown,
    Update,
    UpstreamError,
)
from iris_exporter.decoding.problems import Problems
from iris_exporter.errors import DecodeError

MAX_TYPE_CHARS = 60
"""An unknown type is shown in a log line, not stored."""


def message_from(envelope: Any, problems: Problems) -> Message:
    """The message that a parsed envelope is.

    Raises:
        DecodeError: The message is lost.
    """
    if not isinstance(envelope, dict):
        raise DecodeError("not_an_object", "$", "the envelope must be an object")
    message_type = envelope.get("type")
    if message_type is None:
        raise DecodeError("no_type", "$.type", "the envelope has no type")
    if not isinstance(message_type, str):
        raise DecodeError("wrong_type", "$.type", "the type must be a text")
    read = _READERS.get(message_type)
    if read is None:
        return Unknown(message_type[:MAX_TYPE_CHARS])
    problems.base = "$"
    try:
        return read(envelope, problems)
    finally:
        problems.base = "$"


class _Head(NamedTuple):
    """The fields of an envelope beside its data."""

    message_type: str
    timestamp: float | None
    replay: bool
    position: str | None


def _open(envelope: JsonObject, problems: Problems, inner: str = "") -> tuple[JsonObject, _Head]:
    """The data of a message, or the object `inner` in it, where problems are noted from now on; and the head."""
    data = envelope.get("data")
    if data is None:
        raise DecodeError("no_data", "$.data", "the message has no data")
    if not isinstance(data, dict):
        raise DecodeError("not_an_object", "$.data", "the data must be an object")
    head = _Head(
        envelope["type"],
        converted(envelope, ("timestamp",), values.timestamp, problems),
        bool(converted(envelope, ("replay",), values.flag, problems)),
        converted(envelope, ("id",), values.position, problems),
    )
    problems.base = "$.data"
    if isinstance(data.get(inner), dict):
        problems.base = f"$.data.{inner}"
        data = data[inner]
    return data, head


def _update(envelope: JsonObject, problems: Problems) -> Update:
    data, head = _open(envelope, problems)
    return Update(overview_from(data, problems, head.timestamp), *head)


def _event(envelope: JsonObject, problems: Problems) -> EventMessage:
    data, head = _open(envelope, problems)
    return _event_message(envelope, data, head, problems)


def _event_message(envelope: JsonObject, data: JsonObject, head: _Head, problems: Problems) -> EventMessage:
    older_type = None if head.message_type == "event" else head.message_type
    event = event_from(data, problems, head.timestamp, older_type, envelope.get("traceparent"))
    timestamp = event.timestamp if head.timestamp is None else head.timestamp
    return EventMessage(event, *head._replace(timestamp=timestamp), is_advance=is_advance(envelope))


def is_advance(envelope: JsonObject) -> bool:
    """Whether a message overtakes others, and comes once more in its place; its position would be that of those."""
    return envelope.get("priority") == "high" and envelope.get("id") is None


def _project_update(envelope: JsonObject, problems: Problems) -> Update | EventMessage:
    """A partial project; what names no project is an event."""
    data, head = _open(envelope, problems, "project")
    if not any(data.get(name) not in (None, "") for name in PROJECT_ID):
        problems.base = "$.data"
        return _event_message(envelope, envelope["data"], head, problems)
    project = project_from(data, problems)
    return Update(Overview(projects=() if project is None else (project,)), *head)


def _anomaly_detected(envelope: JsonObject, problems: Problems) -> Update:
    data, head = _open(envelope, problems, "anomaly")
    return Update(Overview(anomalies=(anomaly_from(data, problems),)), *head)


def _error(envelope: JsonObject, problems: Problems) -> UpstreamError:
    """`error: {code, message, retryAfter}`; the object may also be `data`, and a mere text is the message."""
    name = "data" if envelope.get("error") is None else "error"
    found = envelope.get(name)
    if isinstance(found, str):
        return UpstreamError("", found[: values.MAX_REPORT_CHARS])
    if not isinstance(found, dict):
        if found is not None:
            problems.add("not_an_object", name)
        return UpstreamError("")
    problems.base = f"$.{name}"
    retry_after = converted(found, ("retryAfter", "retry_after"), values.count, problems)
    code = converted(found, ("code",), values.text, problems) or ""
    message = converted(found, ("message",), values.text, problems) or ""
    return UpstreamError(code[: values.MAX_CODE_CHARS], message[: values.MAX_REPORT_CHARS], retry_after)


def _of_fields(kind: type[Ping | Pong | Resumed | Dropped]) -> Callable[[JsonObject, Problems], Message]:
    """Reads a message that is its fields and nothing else; they are in `data`, or in the envelope itself."""
    fields = fields_of(kind)

    def read(envelope: JsonObject, problems: Problems) -> Message:
        data = envelope.get("data")
        if isinstance(data, dict):
            problems.base, envelope = "$.data", data
        return kind(**read_fields(envelope, fields, problems))

    return read


_READERS: dict[str, Callable[[dict[str, Any], Problems], Message]] = {
    "update": _update,
    "telemetry": _update,
    "event": _event,
    "ping": _of_fields(Ping),
    "heartbeat": _of_fields(Ping),
    "pong": _of_fields(Pong),
    "error": _error,
    "resumed": _of_fields(Resumed),
    "dropped": _of_fields(Dropped),
    "project_update": _project_update,
    "anomaly_detected": _anomaly_detected,
    **dict.fromkeys(OLDER_EVENT_TYPES, _event),
}
