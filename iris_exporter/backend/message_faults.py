"""The faults that change what one stream connection is sent: silence, garbage, and messages too many or too large."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from iris_exporter.backend.faults import Faults
from iris_exporter.backend.objects import iso_time
from iris_exporter.backend.wire import Frame, encode, error, sse_name
from iris_exporter.clock import Clock

GARBAGE_EVERY = 3
HUGE_EVERY = 50
_GARBAGE = (
    b'{"type":"event","data":{"id":,}',
    b"\x00\xff\xfe\x89IRIS\x80",  # sent as a binary message
    b"<!doctype html><title>502 Bad Gateway</title><h1>Bad Gateway</h1>",
    None,  # half of the message that it replaces
    b'{"type":"event","timestamp":[],"data":{"id":{},"project":7,"severity":[1],"metadata":"x"}}',
)


class MessageFaults:
    """Applies the faults to the messages of one connection, in the order in which they are sent."""

    def __init__(
        self,
        faults: Faults,
        clock: Clock,
        encoder: Callable[[Mapping[str, Any]], bytes] = encode,
        *,
        binary: bool = False,
    ) -> None:
        """`encoder` makes the messages that faults add, for connections of another encoding; `binary` goes with it."""
        self._faults = faults
        self._clock = clock
        self._encoder = encoder
        self._binary = binary
        self._started_at = clock.monotonic()
        self._sent = 0  # while `garbage` was on
        self._since_huge = 0
        self._had: dict[str, float] = {}
        """Which `huge` and which `error`, by the time when it was set, this connection has had."""

    @property
    def silent(self) -> bool:
        """Whether `silent` keeps this connection from sending anything at all."""
        fault = self._faults.get("silent")
        return fault is not None and self._clock.monotonic() - max(self._started_at, fault.since) >= fault.seconds

    def apply(self, frames: Sequence[Frame]) -> list[Frame]:
        """Return what is sent in the place of `frames`."""
        if not frames or self.silent:
            return []
        if self._faults.get("data-silent"):
            frames = [frame for frame in frames if frame.heartbeat]
        if self._faults.get("duplicate"):
            frames = [copy for frame in frames for copy in ([frame, frame] if frame.position else [frame])]
        if self._faults.get("huge"):
            frames = [sent for frame in frames for sent in self._with_huge(frame)]
        if self._faults.get("garbage"):
            frames = [self._garbled(frame) for frame in frames]
        return self._with_error(frames)

    def _is_new(self, name: str, since: float) -> bool:
        """Whether this connection has not had the fault yet since it was set; from now on it has."""
        before = self._had.get(name)
        self._had[name] = since
        return before != since

    def _with_huge(self, frame: Frame) -> list[Frame]:
        fault = self._faults.get("huge")
        due = fault is not None and (self._is_new("huge", fault.since) or self._since_huge >= HUGE_EVERY)
        if fault is None or not due:
            self._since_huge += 1
            return [frame]
        self._since_huge = 1
        return [self._padded(int(fault.seconds)), frame]

    def _padded(self, size: int) -> Frame:
        """A message of `size` bytes that says nothing; in binary its lengths take some bytes more."""
        padding = {"padding": ""}
        # The schema keeps members that nobody knows in objects alone.
        data = {"metrics": padding} if self._binary else padding
        message = {"type": "update", "timestamp": iso_time(self._clock.wall()), "data": data}
        padding["padding"] = "x" * (size - len(self._encoder(message)))
        return self._frame(message)

    def _frame(self, message: Mapping[str, Any]) -> Frame:
        return Frame(sse_name(message["type"]), self._encoder(message), binary=self._binary)

    def _garbled(self, frame: Frame) -> Frame:
        self._sent += 1
        turn, rest = divmod(self._sent, GARBAGE_EVERY)
        if rest:
            return frame
        body = _GARBAGE[(turn - 1) % len(_GARBAGE)]
        binary = frame.binary or body == _GARBAGE[1]
        return Frame(frame.name, body or frame.body[: max(1, len(frame.body) // 2)], binary=binary)

    def _with_error(self, frames: Sequence[Frame]) -> list[Frame]:
        fault = self._faults.get("error")
        if fault is None or not frames or not self._is_new("error", fault.since):
            return list(frames)
        retry_after = 5.0 if fault.text == "RATE_LIMIT_EXCEEDED" else None
        return [self._frame(error(fault.text, retry_after=retry_after)), *frames]
