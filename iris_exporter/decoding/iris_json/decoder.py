"""JSON bytes to typed messages.

Theory. Nearly every message is an `event`, so there is a fast path for events whose fields have the JSON types they
should have (`fast_path`): one typed decode, no dictionary, no conversion that is not needed. Whatever deviates (a
number for an id, a missing type, NUL in a text) raises or is noticed there and takes the general path: plain JSON
values, then the tables of `objects`, which convert, note and go on. Both paths give the same result for the same bytes.

What fails as a whole raises `DecodeError`; what fails in part is noted in `Decoder.problems`, to be taken by the caller
after each message or now and then. All reasons are in `problems.REASONS`, all corners of JSON in `json_text`.

Source: the IRIS wire, sections 2 and 3.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from iris_exporter.core.limits import DEFAULT_LIMITS, Limits
from iris_exporter.decoding import values
from iris_exporter.decoding.iris_json.documents import overview_of
from iris_exporter.decoding.iris_json.fast_path import WireEnvelope, batch_of, message_of, wire_decoder
from iris_exporter.decoding.iris_json.objects import (
    JsonObject,
    anomaly_from,
    event_from,
    overview_from,
    project_from,
)
from iris_exporter.decoding.json_text import MAX_METADATA_DEPTH, parse
from iris_exporter.decoding.messages import (
    OLDER_EVENT_TYPES,
    EventBatch,
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
from iris_exporter.decoding.problems import REASONS, FieldProblem, Problems
from iris_exporter.decoding.values import UnusableValueError
from iris_exporter.errors import DecodeError

__all__ = ["REASONS", "Decoder", "FieldProblem"]

MAX_TYPE_CHARS = 60
"""An unknown type is shown in a log line, not stored."""

MAX_BATCH = 256
"""Messages in one batch: enough to make its fixed costs small, and few enough to stay in a processor's cache."""

MAX_LISTED = 10_000
"""Messages in one frame, where a source sends a list of them: more than fit into one with events in them."""

_PING, _PONG = Ping(), Pong()

_NOT_QUICK = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Decoder:
    """Decodes what one source sends. Not for use by two threads at a time.

    `problems` is falsy while nothing was left out; `take_problems` empties it. What of an object is longer or deeper
    than its `limits` is left out, too.
    """

    __slots__ = ("_wire", "problems")

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.problems = Problems(limits)
        self._wire = wire_decoder()

    def take_problems(self) -> list[FieldProblem]:
        """Return and forget what was left out of messages and documents since the last call."""
        return self.problems.take()

    def decode(self, data: bytes) -> Message:
        """One envelope of the stream.

        Raises:
            DecodeError: The message is lost; the decoder can go on with the next one.
        """
        try:
            wire = self._ordinary(data)
        except _NOT_QUICK:
            return self._decode_any(data)
        message = message_of(wire, data)
        return self._decode_any(data) if message is None else message

    def decode_all(self, messages: Sequence[bytes]) -> Iterator[EventBatch | Message | DecodeError]:
        """Several envelopes of the stream, in order: well-formed events in batches, anything else as `decode` has it.

        A JSON array is the envelopes in it. What cannot be read is given as the error and not raised. Noticeably
        quicker than `decode` for many.
        """
        for start in range(0, len(messages), MAX_BATCH):
            yield from self._decode_some(messages[start : start + MAX_BATCH])

    def _decode_some(self, messages: Sequence[bytes]) -> Iterator[EventBatch | Message | DecodeError]:
        limits = self.problems.limits
        small = max(map(len, messages), default=0) <= limits.max_event_bytes
        quick = small and limits.max_json_depth >= MAX_METADATA_DEPTH
        wire = self._wire if quick else self._ordinary
        wires: list[WireEnvelope] = []
        for index, data in enumerate(messages):
            try:
                wires.append(wire(data))
            except _NOT_QUICK:
                if wires:
                    yield from self._in_one(wires, messages[index - len(wires) : index])
                    wires = []
                yield from self._general(data)
        if wires:
            yield from self._in_one(wires, messages[len(messages) - len(wires) :])

    def _ordinary(self, data: bytes) -> WireEnvelope:
        """Decode a well-formed event that cannot be over a limit; what can is left to the general way.

        Raises:
            msgspec.DecodeError, UnicodeDecodeError, RecursionError: It is none, or it has to be looked into.
        """
        limits = self.problems.limits
        if len(data) > limits.max_event_bytes:
            raise msgspec.DecodeError
        if limits.max_json_depth < MAX_METADATA_DEPTH:
            # The envelope and its data are two objects around the one that the limit is about.
            nested = data.count(b"{") + data.count(b"[")
            if nested > limits.max_json_depth + 2:
                raise msgspec.DecodeError
        return self._wire(data)

    def _in_one(
        self, wires: list[WireEnvelope], messages: Sequence[bytes]
    ) -> Iterator[EventBatch | Message | DecodeError]:
        batch = batch_of(wires, messages)
        if batch is not None:
            yield batch
            return
        for wire, data in zip(wires, messages, strict=True):
            message = message_of(wire, data)
            if message is None:
                yield from self._general(data)
            else:
                yield message

    def _general(self, data: bytes) -> Iterator[Message | DecodeError]:
        """What one frame says, the general way: an envelope, or a list of them."""
        try:
            found = parse(data)
        except DecodeError as error:
            yield error
            return
        envelopes = found[:MAX_LISTED] if isinstance(found, list) else (found,)
        for envelope in envelopes:
            try:
                yield self._read(envelope)
            except DecodeError as error:
                yield error
        if isinstance(found, list) and len(found) > MAX_LISTED:
            yield DecodeError("too_long", f"$[{MAX_LISTED}]", "more messages in a frame than are read")

    def decode_document(self, body: bytes, kind: str | None = None) -> Overview:
        """A REST document of any known shape; `kind` as in `documents.overview_of`.

        Raises:
            DecodeError: Nothing in the document could be used.
        """
        return overview_of(parse(body), self.problems, kind)

    def _decode_any(self, data: bytes) -> Message:
        return self._read(parse(data))

    def _read(self, envelope: Any) -> Message:
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
        self.problems.base = "$"
        try:
            return read(envelope, self.problems)
        finally:
            self.problems.base = "$"


def _sent_at(envelope: JsonObject, problems: Problems) -> float | None:
    try:
        return values.timestamp(envelope.get("timestamp"))
    except UnusableValueError as error:
        problems.add(error.reason, "timestamp")
        return None


def _position(envelope: JsonObject, problems: Problems, name: str = "id") -> str | None:
    """Where a message is in the source's numbering; one that is too long to be one is none."""
    try:
        position = values.text(envelope.get(name))
    except UnusableValueError as error:
        problems.add(error.reason, name)
        return None
    if position is not None and len(position) > values.MAX_ID_CHARS:
        problems.add("too_long", name)
        return None
    return position or None


def _is_replay(envelope: JsonObject, problems: Problems) -> bool:
    try:
        return bool(values.flag(envelope.get("replay")))
    except UnusableValueError as error:
        problems.add(error.reason, "replay")
        return False


def _payload(envelope: JsonObject) -> JsonObject:
    data = envelope.get("data")
    if isinstance(data, dict):
        return data
    if data is None:
        raise DecodeError("no_data", "$.data", "the message has no data")
    raise DecodeError("not_an_object", "$.data", "the data must be an object")


def _update(envelope: JsonObject, problems: Problems) -> Update:
    payload = _payload(envelope)
    moment = _sent_at(envelope, problems)
    replay, position = _is_replay(envelope, problems), _position(envelope, problems)
    problems.base = "$.data"
    return Update(overview_from(payload, problems, moment), envelope["type"], moment, replay, position)


def _event(envelope: JsonObject, problems: Problems) -> EventMessage:
    payload = _payload(envelope)
    moment = _sent_at(envelope, problems)
    replay, position = _is_replay(envelope, problems), _position(envelope, problems)
    problems.base = "$.data"
    older_type = None if envelope["type"] == "event" else envelope["type"]
    event = event_from(payload, problems, moment, older_type, envelope.get("traceparent"))
    return EventMessage(event, envelope["type"], event.timestamp if moment is None else moment, replay, position)


def _project_update(envelope: JsonObject, problems: Problems) -> Update | EventMessage:
    """A partial project; what names no project is an event."""
    payload = _payload(envelope)
    inner = payload.get("project")
    data = inner if isinstance(inner, dict) else payload
    if not any(data.get(name) not in (None, "") for name in ("id", "project", "project_id", "projectId")):
        return _event(envelope, problems)
    moment = _sent_at(envelope, problems)
    replay, position = _is_replay(envelope, problems), _position(envelope, problems)
    problems.base = "$.data" if data is payload else "$.data.project"
    project = project_from(data, problems)
    return Update(Overview(projects=() if project is None else (project,)), envelope["type"], moment, replay, position)


def _anomaly_detected(envelope: JsonObject, problems: Problems) -> Update:
    payload = _payload(envelope)
    inner = payload.get("anomaly")
    data = inner if isinstance(inner, dict) else payload
    moment = _sent_at(envelope, problems)
    replay, position = _is_replay(envelope, problems), _position(envelope, problems)
    problems.base = "$.data" if data is payload else "$.data.anomaly"
    return Update(Overview(anomalies=(anomaly_from(data, problems),)), envelope["type"], moment, replay, position)


def _error(envelope: JsonObject, problems: Problems) -> UpstreamError:
    """`error: {code, message, retryAfter}`; the object may also be `data`, and a mere text is the message."""
    found = envelope.get("error")
    name = "error"
    if found is None:
        found, name = envelope.get("data"), "data"
    if isinstance(found, str):
        return UpstreamError("", found[: values.MAX_REPORT_CHARS])
    if not isinstance(found, dict):
        if found is not None:
            problems.add("not_an_object", name)
        return UpstreamError("")
    problems.base = f"$.{name}"
    retry_after = None
    for hint in ("retryAfter", "retry_after"):
        try:
            retry_after = values.count(found.get(hint)) if retry_after is None else retry_after
        except UnusableValueError as error:
            problems.add(error.reason, hint)
    code = _words(found, "code", problems)[: values.MAX_CODE_CHARS]
    return UpstreamError(code, _words(found, "message", problems)[: values.MAX_REPORT_CHARS], retry_after)


def _resumed(envelope: JsonObject, problems: Problems) -> Resumed:
    data = envelope.get("data")
    found: JsonObject = data if isinstance(data, dict) else envelope
    problems.base = "$.data" if isinstance(data, dict) else "$"
    amounts = []
    for name in ("replayed", "missed"):
        try:
            amounts.append(int(values.count(found.get(name)) or 0))
        except UnusableValueError as error:
            problems.add(error.reason, name)
            amounts.append(0)
    return Resumed(
        outcome=_words(found, "outcome", problems),
        replayed=amounts[0],
        missed=amounts[1],
        epoch=_position(found, problems, "epoch"),
        last_event_id=_position(found, problems, "lastEventId"),
    )


def _words(data: JsonObject, name: str, problems: Problems) -> str:
    try:
        return values.text(data.get(name)) or ""
    except UnusableValueError as error:
        problems.add(error.reason, name)
        return ""


_READERS: dict[str, Callable[[dict[str, Any], Problems], Message]] = {
    "update": _update,
    "telemetry": _update,
    "event": _event,
    "ping": lambda _envelope, _problems: _PING,
    "heartbeat": lambda _envelope, _problems: _PING,
    "pong": lambda _envelope, _problems: _PONG,
    "error": _error,
    "resumed": _resumed,
    "project_update": _project_update,
    "anomaly_detected": _anomaly_detected,
    **dict.fromkeys(OLDER_EVENT_TYPES, _event),
}
