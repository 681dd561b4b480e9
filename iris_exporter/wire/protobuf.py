"""The binary encoding of the stream's messages: JSON documents to `iris.v1.Envelope` and back. Pure.

The two are encodings of the same messages (docs/protocol.md): `decode(encode(message), epoch)` is the message, but for
members of objects that are null, which means the same as leaving them out. In a `delta`, null means to remove, and
stays.
"""

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import DecodeError as ProtobufError
from google.protobuf.message import Message

from iris_exporter.core.positions import parse_position
from iris_exporter.wire.iris.v1 import iris_pb2 as pb
from iris_exporter.wire.objects import Json, WireError, iso_time, milliseconds, to_fields, to_members

UNKNOWN = "unknown"
"""The type of a message without a payload that this version knows; it is to be ignored."""

_LISTS = {"projects": "Project", "events": "Event", "anomalies": "Anomaly"}


def encode(message: Mapping[str, Any]) -> bytes:
    """Encode a message of the stream.

    Raises WireError for one that the schema does not have, or whose time or position is none.
    """
    try:
        return pb.Envelope(**_envelope_fields(message)).SerializeToString()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WireError(f"the schema has no such message: {error}") from error


def decode(data: bytes, epoch: str = "") -> Json:
    """Decode a message. Raises WireError; positions are left out while no `epoch` is known."""
    try:
        found = pb.Envelope.FromString(data)
    except ProtobufError as error:
        raise WireError(f"no iris.v1.Envelope: {error}") from error
    return document(found, epoch)


def document(found: pb.Envelope, epoch: str = "") -> Json:
    """The JSON document that says the same as a message of the schema. Raises WireError."""
    kind = found.WhichOneof("payload") or UNKNOWN
    message: Json = {"type": kind}
    if found.HasField("position") and epoch:
        message["id"] = f"{epoch}-{found.position}"
    if found.HasField("seq"):
        message["seq"] = found.seq
    if found.replay:
        message["replay"] = True
    if found.priority == pb.PRIORITY_HIGH:
        message["priority"] = "high"
    if found.HasField("timestamp"):
        message["timestamp"] = iso_time(found.timestamp)
    if kind != UNKNOWN:
        message |= _READERS[kind](getattr(found, kind), epoch)
    return message


def _envelope_fields(message: Mapping[str, Any]) -> Json:
    kind = message["type"]
    fields: Json = {kind: _WRITERS[kind](message)}
    if (timestamp := message.get("timestamp")) is not None:
        fields["timestamp"] = milliseconds(timestamp)
        if fields["timestamp"] is None:
            raise WireError(f"no time: {timestamp!r}")
    if (position := message.get("id")) is not None:
        fields["position"] = _offset(position)
    if (seq := message.get("seq")) is not None:
        fields["seq"] = seq
    if message.get("replay"):
        fields["replay"] = True
    if message.get("priority") == "high":
        fields["priority"] = pb.PRIORITY_HIGH
    return fields


def _offset(position: str) -> int:
    found = parse_position(position)
    if found is None:
        raise WireError(f"no position: {position!r}")
    return found.offset


def _write_state(data: Mapping[str, Any], *, change: bool = False) -> Json:
    fields: Json = {}
    if (metrics := data.get("metrics")) is not None:
        fields["metrics"] = to_fields("Metrics", metrics, change=change)
    for name, kind in _LISTS.items():
        if (objects := data.get(name)) is not None:
            fields[name] = {"items": [to_fields(kind, each, change=change) for each in objects]}
    if (removed := data.get("removed")) is not None:
        fields["removed"] = _write_members(pb.Removed.DESCRIPTOR, removed)
    return fields


def _read_state(found: Message, _: str) -> Json:
    return {"data": {field.name: _read_part(field.name, value) for field, value in found.ListFields()}}


def _read_part(name: str, found: Any) -> Json | list[Json]:
    if name in _LISTS:
        return [to_members(each) for each in found.items]
    return _read_members(found) if name == "removed" else to_members(found)


def _write_batch(message: Mapping[str, Any]) -> Json:
    messages = message["messages"]
    if any(each["type"] == "batch" for each in messages):
        raise WireError("a batch inside a batch")
    return {"messages": [_envelope_fields(each) for each in messages]}


def _read_batch(found: pb.Batch, epoch: str) -> Json:
    if any(each.HasField("batch") for each in found.messages):
        raise WireError("a batch inside a batch")
    return {"messages": [document(each, epoch) for each in found.messages]}


def _write_dropped(message: Mapping[str, Any]) -> Json:
    data = message["data"]
    return {"events": data["events"], "from_offset": _offset(data["from"]), "to_offset": _offset(data["to"])}


def _read_dropped(found: pb.Dropped, epoch: str) -> Json:
    positions = {"from": f"{epoch}-{found.from_offset}", "to": f"{epoch}-{found.to_offset}"} if epoch else {}
    return {"data": {"events": found.events} | positions}


# Messages of the protocol itself: members have the same names in camel case.


def _write_members(kind: Any, members: Mapping[str, Any]) -> Json:
    """The fields of a message by its descriptor; members that the schema does not know are left out."""
    fields: Json = {}
    for field in kind.fields:
        value = members.get(field.json_name)
        if value is not None:
            fields[field.name] = value if field.message_type is None else _write_members(field.message_type, value)
    return fields


def _read_members(found: Message) -> Json:
    members: Json = {}
    for field, value in found.ListFields():
        if field.is_repeated:
            members[field.json_name] = list(value)
        else:
            members[field.json_name] = value if field.message_type is None else _read_members(value)
    return members


def _read_options(found: Message, _: str) -> Json:
    members = _read_members(found)
    return {"data": members.pop("options", {}) | members}


_OPTIONS, _SUBSCRIBED = pb.Options.DESCRIPTOR, pb.Subscribed.DESCRIPTOR

_WRITERS: dict[str, Callable[[Mapping[str, Any]], Json]] = {
    "update": lambda message: _write_state(message["data"]),
    "delta": lambda message: _write_state(message["data"], change=True),
    "event": lambda message: to_fields("Event", message["data"]),
    "batch": _write_batch,
    "ping": lambda _: {},
    "pong": lambda _: {},
    "error": lambda message: _write_members(pb.Error.DESCRIPTOR, message["error"]),
    "dropped": _write_dropped,
    "subscribed": lambda message: _write_members(_SUBSCRIBED, {**message["data"], "options": message["data"]}),
    "subscribe": lambda message: {"options": _write_members(_OPTIONS, message.get("data") or {})},
    "resume": lambda message: _write_members(pb.Resume.DESCRIPTOR, message),
}
_READERS: dict[str, Callable[[Any, str], Json]] = {
    "update": _read_state,
    "delta": _read_state,
    "event": lambda found, _: {"data": to_members(found)},
    "batch": _read_batch,
    "ping": lambda _, __: {},
    "pong": lambda _, __: {},
    "error": lambda found, _: {"error": _read_members(found)},
    "dropped": _read_dropped,
    "subscribed": _read_options,
    "subscribe": _read_options,
    "resume": lambda found, _: _read_members(found),
}
