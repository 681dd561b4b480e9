"""What has to be known of binary frames before they are decoded: signs of life, and what is not to wait."""

from collections.abc import Iterator, Sequence

from google.protobuf.message import DecodeError as ProtobufError

from iris_exporter.decoding.messages import Ping, Pong
from iris_exporter.wire.iris.v1 import iris_pb2 as pb

_CONTROL_BYTES = 64  # what a ping takes with its timestamp, and much more


def control_of(frames: Sequence[bytes]) -> Iterator[Ping | Pong]:
    """The pings and pongs among the frames."""
    for frame in frames:
        envelope = _read(frame) if len(frame) <= _CONTROL_BYTES else None
        if envelope is not None and envelope.HasField("ping"):
            yield Ping()
        elif envelope is not None and envelope.HasField("pong"):
            yield Pong()


def is_urgent(frame: bytes) -> bool:
    """Whether a frame is an advance copy."""
    envelope = _read(frame)
    return envelope is not None and envelope.priority == pb.PRIORITY_HIGH and not envelope.HasField("position")


def _read(frame: bytes) -> pb.Envelope | None:
    try:
        return pb.Envelope.FromString(frame)
    except ProtobufError:
        return None
