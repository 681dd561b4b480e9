"""Objects of the protocol as members of a JSON object, and as fields of the schema. Pure.

Members are fields of the same name; times are milliseconds, words are enums. What a field cannot hold is in the field
`other`, as JSON, so that nothing that JSON can carry is lost.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from google.protobuf.message import Message

from iris_exporter.wire.iris.v1 import iris_pb2 as pb

Json = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_TIMES = {"last_run", "timestamp"}
_JSON_OBJECTS = {"metadata"}
_NOT_MEMBERS = {"cleared", "other"}
_INT64 = 2**63
_EXACT = 2**53  # integers up to here are doubles, too

_encode_json = msgspec.json.Encoder().encode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


class WireError(ValueError):
    """Bytes that are no message of the schema, or a message that the schema does not have."""


def milliseconds(text: object) -> int | None:
    """The time in the protocol's own form (`2025-01-02T03:04:05.678Z`) since the Unix epoch; None for all else."""
    if not isinstance(text, str) or len(text) != 24 or text[-1] != "Z":
        return None
    try:
        since_epoch = (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
    except ValueError:
        return None
    return since_epoch if iso_time(since_epoch) == text else None


def iso_time(since_epoch: int) -> str:
    """Milliseconds since the Unix epoch as ISO 8601 in UTC. Raises WireError outside the years 1 to 9999."""
    try:
        time = _EPOCH + timedelta(milliseconds=since_epoch)
    except OverflowError as error:
        raise WireError("a time outside the years 1 to 9999") from error
    return time.isoformat(timespec="milliseconds")[:-6] + "Z"


def to_fields(kind: str, members: Mapping[str, Any], *, change: bool = False) -> Json:
    """The fields of a `Metrics`, `Project`, `Event` or `Anomaly`; in a `change` null means to remove."""
    writers = _WRITERS[kind]
    fields: Json = {}
    other: Json = {}
    cleared = []
    for name, member in members.items():
        if member is None:
            cleared.append(name)
        elif (write := writers.get(name)) is None or (fitting := write(member)) is None:
            other[name] = member
        else:
            fields[name] = fitting
    if cleared and change:
        fields["cleared"] = cleared
    if other:
        fields["other"] = _encode_json(other).decode()
    return fields


def to_members(found: Message) -> Json:
    """The members of the JSON object that says the same. Raises WireError for what no JSON object can say."""
    readers = _READERS[found.DESCRIPTOR.name]
    members: Json = {}
    for field, value in found.ListFields():
        name = field.name
        if name == "cleared":
            members |= dict.fromkeys(value)
        elif name == "other":
            members |= _json_object(value)
        elif (member := readers[name](value)) is not None:
            members[name] = member
    return members


def _json_object(text: str) -> Json:
    try:
        return _decode_object(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise WireError("no JSON object") from error


def _int64(value: object) -> int | None:
    return value if type(value) is int and -_INT64 <= value < _INT64 else None


def _double(value: object) -> float | None:
    if type(value) is float:
        return value
    return float(value) if type(value) is int and abs(value) <= _EXACT else None


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _bool(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _json_text(value: object) -> str | None:
    return _encode_json(value).decode() if isinstance(value, dict) else None


def _same(value: Any) -> Any:
    return value


_Codec = tuple[Callable[[Any], Any], Callable[[Any], Any]]
"""How a field is written (None: it cannot hold the value) and read (None: it is absent)."""


def _codec(field: Any) -> _Codec:
    if field.name in _TIMES:
        return milliseconds, iso_time
    if field.name in _JSON_OBJECTS:
        return _json_text, _json_object
    if field.enum_type is not None:
        prefix = f"{field.enum_type.name.upper()}_"
        words = {each.number: each.name.removeprefix(prefix).lower() for each in field.enum_type.values if each.number}
        numbers = {word: number for number, word in words.items()}
        return lambda value: numbers.get(value) if isinstance(value, str) else None, words.get
    by_type: dict[int, _Codec] = {
        field.CPPTYPE_INT64: (_int64, _same),
        field.CPPTYPE_DOUBLE: (_double, _same),
        field.CPPTYPE_STRING: (_string, _same),
        field.CPPTYPE_BOOL: (_bool, _same),
    }
    return by_type[field.cpp_type]


_CODECS = {
    kind.name: {field.name: _codec(field) for field in kind.fields if field.name not in _NOT_MEMBERS}
    for kind in (pb.Metrics.DESCRIPTOR, pb.Project.DESCRIPTOR, pb.Event.DESCRIPTOR, pb.Anomaly.DESCRIPTOR)
}
_WRITERS = {kind: {name: write for name, (write, _) in codecs.items()} for kind, codecs in _CODECS.items()}
_READERS = {kind: {name: read for name, (_, read) in codecs.items()} for kind, codecs in _CODECS.items()}
