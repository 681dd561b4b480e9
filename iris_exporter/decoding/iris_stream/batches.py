"""Batches in JSON to the messages in them, without reading those: each goes the way that it would go alone. Pure."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from iris_exporter.decoding.dialect import Frame
from iris_exporter.decoding.iris_stream.session import MAX_MESSAGES, Session

_BEGIN = b'{"type":"batch"'


class _Batch(msgspec.Struct, gc=False, tag_field="type", tag="batch"):
    messages: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_MESSAGES)]


_decode = msgspec.json.Decoder(_Batch).decode


def unpacked(frames: Sequence[Frame], session: Session | None = None) -> list[Frame]:
    """The frames, with the messages of each batch in its place; `session` takes note of each.

    A batch that is written in another way than usual, or is broken, stays as it is: the general path takes it apart, or
    says what is wrong.
    """
    found: list[Frame] = []
    for frame in frames:
        messages = _messages_of(frame) if isinstance(frame, bytes) and frame.startswith(_BEGIN) else None
        if messages is None:
            found.append(frame)
            continue
        if session is not None:
            session.note_batch(len(messages))
        found += messages
    return found


def _messages_of(frame: bytes) -> list[bytes] | None:
    """The messages, copied, since a raw value holds on to the whole batch."""
    try:
        messages = list(map(bytes, _decode(frame).messages))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    # What is one inside another, or a list of messages, is no message of a batch.
    return messages if all(each.startswith(b"{") and not each.startswith(_BEGIN) for each in messages) else None
