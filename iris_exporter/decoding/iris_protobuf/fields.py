"""The fields of binary messages: those of the documents that they stand for, and the numbers that the schema lacks."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError as ProtobufError
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from iris_exporter.decoding.fields import MessageFields, ObjectFields
from iris_exporter.decoding.iris_json.fields import message_fields
from iris_exporter.wire.iris.v1 import iris_pb2 as pb
from iris_exporter.wire.objects import WireError
from iris_exporter.wire.protobuf import document

_EPOCH = "0"  # without one, positions are left out


def envelope_fields(frame: bytes) -> Iterator[MessageFields]:
    """Of each message in a binary frame; nothing for what is none."""
    try:
        envelope = pb.Envelope.FromString(frame)
    except ProtobufError:
        return
    for each in envelope.batch.messages if envelope.HasField("batch") else (envelope,):
        try:
            found = next(message_fields(document(each, _EPOCH)), None)
        except (WireError, RecursionError):
            continue
        if found is not None:
            yield MessageFields(found.shape, (*found.objects, *_unknown("message", each)))


def _unknown(place: str, message: Message) -> Iterator[ObjectFields]:
    """Objects with the numbers of unknown fields, below this message, too."""
    unknown: Any = UnknownFieldSet(message)
    numbers = frozenset(f"field {field.field_number}" for field in unknown)
    if numbers:
        yield ObjectFields(place, {}, frozenset(), numbers, frozenset())
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None or descriptor.message_type.full_name.startswith("google."):
            continue
        for each in value if isinstance(value, list) or hasattr(value, "add") else (value,):
            if isinstance(each, Message):
                yield from _unknown(descriptor.name, each)
